//! What is on the glass by the X server's own word: the colour that most of its root has.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::timeout;
use x11rb::{
    connection::Connection,
    errors::{ConnectError, ConnectionError, ReplyError},
    protocol::{
        randr::ConnectionExt as _,
        xproto::{ConnectionExt, ImageFormat, Window},
    },
    rust_connection::RustConnection,
};

use super::wire::Look;

/// Red, green, blue.
pub type Colour = [u8; 3];

/// So many lines of the picture are looked at, all over it: 120 KiB of a full-HD glass, in under 2 ms.
const LINES: u16 = 16;
/// A server that answers nothing for so long is not there.
const LOOK_WITHIN: Duration = Duration::from_secs(3);

/// Why the glass cannot be seen.
#[derive(Debug, thiserror::Error)]
pub enum EyesError {
    #[error("no X server lets us in")]
    Connect(#[from] ConnectError),
    #[error("the X server is gone")]
    Connection(#[from] ConnectionError),
    #[error("the X server gave no picture")]
    Reply(#[from] ReplyError),
    #[error("the X server does not answer")]
    Silent,
    #[error("the X server's pixels are of an unknown kind")]
    Pixels,
}

/// A connection to the X server: made when it is needed, and again after it broke.
#[derive(Debug, Clone)]
pub struct Eyes {
    display: Option<String>,
    server: Arc<Mutex<Option<(RustConnection, usize)>>>,
}

impl Eyes {
    /// The X server by its name, such as `:0`; `None`: the one of `DISPLAY`. Where it asks for a cookie, `XAUTHORITY` of
    /// this process names it.
    pub fn open(display: Option<&str>) -> Self {
        Eyes { display: display.map(str::to_owned), server: Arc::default() }
    }

    /// Safe to drop: a server that hangs holds a thread, not the drill.
    pub async fn look(&self) -> Result<Look, EyesError> {
        let own = self.clone();
        match timeout(LOOK_WITHIN, tokio::task::spawn_blocking(move || own.look_now())).await {
            Ok(Ok(look)) => look,
            Ok(Err(_)) | Err(_) => Err(EyesError::Silent),
        }
    }

    fn look_now(&self) -> Result<Look, EyesError> {
        let mut kept = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let (server, screen) = match kept.take() {
            Some(server) => server,
            None => RustConnection::connect(self.display.as_deref())?,
        };
        let look = look(&server, screen)?;
        *kept = Some((server, screen));
        Ok(look)
    }
}

fn look(server: &RustConnection, screen: usize) -> Result<Look, EyesError> {
    let setup = server.setup();
    let root = &setup.roots[screen];
    let depth = setup.pixmap_formats.iter().find(|format| format.depth == root.root_depth);
    if depth.is_none_or(|format| format.bits_per_pixel != 32) || setup.image_byte_order != 0.into() {
        return Err(EyesError::Pixels);
    }
    let (width, height) = match first_picture(server, root.root) {
        Ok(Some(size)) => size,
        Ok(None) | Err(_) => {
            let size = server.get_geometry(root.root)?.reply()?;
            (size.width, size.height)
        }
    };
    // Asked all at once, answered in one go.
    let lines: Vec<u16> = (0..LINES).map(|line| (height / LINES) * line + height / LINES / 2).collect();
    let asked: Vec<_> = lines
        .iter()
        .filter_map(|y| i16::try_from(*y).ok())
        .map(|y| server.get_image(ImageFormat::Z_PIXMAP, root.root, 0, y, width, 1, u32::MAX))
        .collect::<Result<_, _>>()?;
    let mut counts: HashMap<Colour, u32> = HashMap::new();
    let mut all = 0_u32;
    for line in asked {
        // Every eighth pixel: blue, green, red, nothing.
        for pixel in line.reply()?.data.chunks_exact(4).step_by(8) {
            *counts.entry([pixel[2], pixel[1], pixel[0]]).or_default() += 1;
            all += 1;
        }
    }
    let (colour, count) = counts.into_iter().max_by_key(|(_, count)| *count).ok_or(EyesError::Pixels)?;
    Ok(Look { colour, share: f64::from(count) / f64::from(all) })
}

/// The size of what the first screen shows: beside it may lie a second page, which is no part of a drill. None where X has
/// no outputs.
fn first_picture(server: &RustConnection, root: Window) -> Result<Option<(u16, u16)>, EyesError> {
    let resources = server.randr_get_screen_resources_current(root)?.reply()?;
    for crtc in resources.crtcs {
        let lit = server.randr_get_crtc_info(crtc, resources.config_timestamp)?.reply()?;
        if lit.mode != 0 && (lit.x, lit.y) == (0, 0) {
            return Ok(Some((lit.width, lit.height)));
        }
    }
    Ok(None)
}
