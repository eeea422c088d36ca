//! A window of our own over everything: the last picture while Firefox is replaced, or moving bars for the panel's good.
//!
//! It belongs to the X connection, so it is gone with the loop, whatever happens to that; and it ends by itself.

use std::time::Duration;

use tokio::time::Instant;
use x11rb::{
    connection::Connection as _,
    protocol::{
        shape::{self, ConnectionExt as _},
        xproto::{self, ConnectionExt as _},
    },
};

use super::x11::{X11, XError};

/// However long was asked for: behind a curtain nobody sees what is wrong.
const LONGEST: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_secs(3);
/// Bars of a screen's height or width, and how often they move on: each point is of each colour once in a while.
const BAR: u16 = 64;
const MOVE_EVERY: Duration = Duration::from_millis(200);
/// White, black, and the three colours that a pixel is made of.
const BARS: [u32; 5] = [0x00ff_ffff, 0, 0x00ff_0000, 0x0000_ff00, 0x0000_00ff];

#[derive(Debug)]
pub struct Curtain {
    window: xproto::Window,
    until: Instant,
    /// For how long it was asked for.
    within: Duration,
    bars: Option<Bars>,
}

#[derive(Debug)]
struct Bars {
    brush: xproto::Gcontext,
    step: u16,
    next: Instant,
}

impl Curtain {
    /// The picture that is on the glass now stays there.
    pub fn hold(x11: &X11, within: Duration, now: Instant) -> Result<Self, XError> {
        let x = &x11.connection;
        let size = x.get_geometry(x11.root)?.reply()?;
        let (picture, copier) = (x.generate_id()?, x.generate_id()?);
        x.create_pixmap(x11.depth, picture, x11.root, size.width, size.height)?.check()?;
        let with_windows =
            xproto::CreateGCAux::new().subwindow_mode(xproto::SubwindowMode::INCLUDE_INFERIORS).graphics_exposures(0);
        x.create_gc(copier, x11.root, &with_windows)?.check()?;
        x.copy_area(x11.root, picture, copier, 0, 0, 0, 0, size.width, size.height)?;
        let window = raise(x11, &xproto::CreateWindowAux::new().background_pixmap(picture), &size)?;
        // The window keeps its own hold on them.
        x.free_pixmap(picture)?;
        x.free_gc(copier)?;
        x.flush()?;
        Ok(Curtain { window, until: now + within.min(LONGEST), within, bars: None })
    }

    /// Moving bars: what has stood in one place for days is moved out of the panel.
    pub fn bars(x11: &X11, within: Duration, now: Instant) -> Result<Self, XError> {
        let x = &x11.connection;
        let size = x.get_geometry(x11.root)?.reply()?;
        let window = raise(x11, &xproto::CreateWindowAux::new().background_pixel(0), &size)?;
        let brush = x.generate_id()?;
        x.create_gc(brush, window, &xproto::CreateGCAux::new())?.check()?;
        let bars = Bars { brush, step: 0, next: now };
        Ok(Curtain { window, until: now + within.min(LONGEST), within, bars: Some(bars) })
    }

    /// It is there for a moment only, as between two items of a playlist.
    pub fn is_moment(&self) -> bool {
        self.within <= MOMENT
    }

    /// It is a picture of what was there, and no bars.
    pub fn is_held(&self) -> bool {
        self.bars.is_none()
    }

    /// When there is something to do.
    pub fn due(&self) -> Instant {
        self.bars.as_ref().map_or(self.until, |bars| bars.next.min(self.until))
    }

    /// Moves on. False once it is over, and gone.
    pub fn go_on(&mut self, x11: &X11, now: Instant) -> Result<bool, XError> {
        if now >= self.until {
            self.end(x11)?;
            return Ok(false);
        }
        if let Some(bars) = &mut self.bars
            && bars.next <= now
        {
            bars.next = now + MOVE_EVERY;
            bars.step = bars.step.wrapping_add(1);
            paint(x11, self.window, bars)?;
        }
        Ok(true)
    }

    /// Another window came over it.
    pub fn stay_above(&self, x11: &X11, window: xproto::Window) -> Result<(), XError> {
        if window == self.window {
            let above = xproto::ConfigureWindowAux::new().stack_mode(xproto::StackMode::ABOVE);
            x11.connection.configure_window(self.window, &above)?;
            x11.connection.flush()?;
        }
        Ok(())
    }

    pub fn end(&self, x11: &X11) -> Result<(), XError> {
        if let Some(bars) = &self.bars {
            x11.connection.free_gc(bars.brush)?;
        }
        x11.connection.destroy_window(self.window)?.check()?;
        Ok(())
    }
}

/// No window manager has a say in it, and a finger or a key meets what is below. It leaves one pixel in the corner free:
/// Firefox draws nothing behind a window that covers all of it, and would begin with a blank page when that goes.
fn raise(x11: &X11, look: &xproto::CreateWindowAux, size: &xproto::GetGeometryReply) -> Result<xproto::Window, XError> {
    let x = &x11.connection;
    let window = x.generate_id()?;
    let look = look.override_redirect(1).event_mask(xproto::EventMask::VISIBILITY_CHANGE);
    let (same, kind) = (x11rb::COPY_DEPTH_FROM_PARENT, xproto::WindowClass::INPUT_OUTPUT);
    x.create_window(same, window, x11.root, 0, 0, size.width, size.height, 0, kind, 0, &look)?.check()?;
    let (width, height) = (size.width.saturating_sub(1), size.height.saturating_sub(1));
    let last = i16::try_from(height).unwrap_or(i16::MAX);
    let all_but_one = [
        xproto::Rectangle { x: 0, y: 0, width: size.width, height },
        xproto::Rectangle { x: 0, y: last, width, height: 1 },
    ];
    // A server that cannot cut a window covers the pixel as well.
    let (set, bounds, unsorted) = (shape::SO::SET, shape::SK::BOUNDING, xproto::ClipOrdering::UNSORTED);
    let _ = x.shape_rectangles(set, bounds, unsorted, window, 0, 0, &all_but_one);
    x.map_window(window)?.check()?;
    Ok(window)
}

fn paint(x11: &X11, window: xproto::Window, bars: &Bars) -> Result<(), XError> {
    let x = &x11.connection;
    let size = x.get_geometry(window)?.reply()?;
    let count = usize::from(size.width / BAR) + 2;
    for (bar, at) in (0..count).zip((0..).step_by(BAR.into())) {
        let colour = BARS[(bar + usize::from(bars.step)) % BARS.len()];
        x.change_gc(bars.brush, &xproto::ChangeGCAux::new().foreground(colour))?;
        let bar = xproto::Rectangle { x: at, y: 0, width: BAR, height: size.height };
        x.poly_fill_rectangle(window, bars.brush, &[bar])?;
    }
    x.flush()?;
    Ok(())
}
