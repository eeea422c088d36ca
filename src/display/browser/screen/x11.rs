//! One connection to the X server, and what can go wrong on it.

use x11rb::{
    connection::{Connection as _, RequestConnection as _},
    errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError},
    protocol::{dpms, randr, screensaver, xfixes, xinput, xproto},
    rust_connection::RustConnection,
};

use crate::display::screen::Refusal;

/// The connection, and which extensions the server has.
#[derive(Debug)]
pub struct X11 {
    pub connection: RustConnection,
    pub root: xproto::Window,
    /// Of the root window.
    pub depth: u8,
    /// RandR 1.3 or newer: outputs, their pictures and rotations.
    pub has_randr: bool,
    pub has_dpms: bool,
    /// XInput 2.2 or newer: which devices are touch screens.
    pub has_touch: bool,
    pub has_xfixes: bool,
    /// MIT-SCREEN-SAVER: since when nobody has touched anything.
    pub has_idle: bool,
}

/// What went wrong with the X server.
#[derive(Debug, thiserror::Error)]
pub enum XError {
    #[error("the X server cannot be reached: {0}; is DISPLAY right, and may this user use it?")]
    Unreachable(#[from] ConnectError),
    /// The connection is of no use any more.
    #[error("the X server is gone: {0}")]
    Gone(ConnectionError),
    /// The connection works; this one request does not.
    #[error("the X server refuses: {0}")]
    Refused(String),
    #[error("{0}")]
    Lacking(String),
}

impl From<ConnectionError> for XError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::UnsupportedExtension => XError::Lacking("the X server lacks an extension".to_owned()),
            error => XError::Gone(error),
        }
    }
}

impl From<ReplyError> for XError {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(error) => error.into(),
            ReplyError::X11Error(error) => {
                let request = error.request_name.unwrap_or("a request");
                XError::Refused(format!("{request}: {:?}", error.error_kind))
            }
        }
    }
}

impl From<ReplyOrIdError> for XError {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::IdsExhausted => XError::Refused("it has no number left to give".to_owned()),
            ReplyOrIdError::ConnectionError(error) => error.into(),
            ReplyOrIdError::X11Error(error) => ReplyError::X11Error(error).into(),
        }
    }
}

impl XError {
    pub fn is_gone(&self) -> bool {
        matches!(self, XError::Gone(_) | XError::Unreachable(_))
    }

    /// As the answer to an order.
    pub fn refusal(&self) -> Refusal {
        match self {
            XError::Lacking(why) => Refusal::Lacking(why.clone()),
            other => Refusal::Failed(other.to_string()),
        }
    }
}

impl X11 {
    /// Connects to the server that DISPLAY names, and asks to be told when outputs come, go or change.
    pub fn connect() -> Result<Self, XError> {
        let (connection, screen) = RustConnection::connect(None)?;
        let screen = &connection.setup().roots[screen];
        let (root, depth) = (screen.root, screen.root_depth);
        let has = |name| connection.extension_information(name).map(|found| found.is_some());
        let mut x11 = X11 {
            root,
            depth,
            has_randr: has(randr::X11_EXTENSION_NAME)?,
            has_dpms: has(dpms::X11_EXTENSION_NAME)?,
            has_touch: has(xinput::X11_EXTENSION_NAME)?,
            has_xfixes: has(xfixes::X11_EXTENSION_NAME)?,
            has_idle: has(screensaver::X11_EXTENSION_NAME)?,
            connection,
        };
        x11.agree_on_versions()?;
        Ok(x11)
    }

    /// An extension is not to be used before both sides have said how much of it they know.
    fn agree_on_versions(&mut self) -> Result<(), XError> {
        let x = &self.connection;
        if self.has_randr {
            let version = randr::query_version(x, 1, 3)?.reply()?;
            self.has_randr = (version.major_version, version.minor_version) >= (1, 3);
        }
        if self.has_randr {
            let events = randr::NotifyMask::SCREEN_CHANGE
                | randr::NotifyMask::CRTC_CHANGE
                | randr::NotifyMask::OUTPUT_CHANGE
                | randr::NotifyMask::RESOURCE_CHANGE;
            randr::select_input(x, self.root, events)?;
        }
        if self.has_dpms {
            dpms::get_version(x, 1, 1)?.reply()?;
            self.has_dpms = dpms::capable(x)?.reply()?.capable;
        }
        if self.has_touch {
            let version = xinput::xi_query_version(x, 2, 2)?.reply()?;
            self.has_touch = (version.major_version, version.minor_version) >= (2, 2);
        }
        if self.has_xfixes {
            xfixes::query_version(x, 4, 0)?.reply()?;
        }
        Ok(())
    }

    /// For how long nobody has touched a key, a mouse or the glass, in milliseconds, as far as X counts.
    pub fn idle_ms(&self) -> Result<Option<u32>, XError> {
        if !self.has_idle {
            return Ok(None);
        }
        Ok(Some(screensaver::query_info(&self.connection, self.root)?.reply()?.ms_since_user_input))
    }

    pub fn atom(&self, name: &str) -> Result<xproto::Atom, XError> {
        Ok(xproto::intern_atom(&self.connection, false, name.as_bytes())?.reply()?.atom)
    }
}
