//! The pointer: never on a display without a mouse, and away when the mouse rests.

use std::time::Duration;

use x11rb::protocol::{
    xfixes::ConnectionExt as _,
    xinput::{self, ConnectionExt as _},
};

use super::x11::{X11, XError};

/// A mouse that rests for so long has been left.
const RESTS: Duration = Duration::from_secs(5);

/// Whether the pointer is drawn. X shows it again by itself when this connection ends.
#[derive(Debug)]
pub struct Cursor {
    /// A mouse may be used here.
    wanted: bool,
    hidden: bool,
}

impl Cursor {
    pub fn new(wanted: bool) -> Self {
        Cursor { wanted, hidden: false }
    }

    /// Hides it where it has no business, or has rested.
    pub fn look(&mut self, x11: &X11, idle: Option<Duration>) -> Result<(), XError> {
        let rests = !self.wanted || idle.is_some_and(|idle| idle >= RESTS);
        if !self.hidden && rests && x11.has_xfixes {
            x11.connection.xfixes_hide_cursor(x11.root)?.check()?;
            self.hidden = true;
            if self.wanted {
                self.listen(x11, true)?;
            }
        }
        Ok(())
    }

    /// The mouse moved: it is there at once, and nothing more is listened to.
    pub fn moved(&mut self, x11: &X11) -> Result<(), XError> {
        if self.hidden && self.wanted {
            x11.connection.xfixes_show_cursor(x11.root)?.check()?;
            self.hidden = false;
            self.listen(x11, false)?;
        }
        Ok(())
    }

    /// For every movement there is an event: only while it is hidden.
    fn listen(&self, x11: &X11, on: bool) -> Result<(), XError> {
        if !x11.has_touch {
            return Ok(());
        }
        let moves = xinput::XIEventMask::RAW_MOTION | xinput::XIEventMask::RAW_BUTTON_PRESS;
        let mask = if on { moves } else { xinput::XIEventMask::default() };
        let of = xinput::EventMask { deviceid: xinput::Device::ALL_MASTER.into(), mask: vec![mask] };
        x11.connection.xinput_xi_select_events(x11.root, &[of])?.check()?;
        Ok(())
    }
}
