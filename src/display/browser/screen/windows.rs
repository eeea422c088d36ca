//! Two pages on two outputs: which window of Firefox lies where.
//!
//! The window manager (matchbox) makes every window as large as the whole X screen, over all outputs, and shows one at a
//! time. So where a second page is wanted, the windows are taken out of its hands (override-redirect) and are laid where
//! they belong. Whatever moves them afterwards is told by X, and they are laid there again.
//!
//! Rejected: a panel (dock) as wide as the second output, which matchbox leaves free. A window that is full screen, as a
//! kiosk's is, covers it all the same. Rejected too: an X screen for each output, which needs a Firefox for each.

use x11rb::{
    protocol::xproto::{self, AtomEnum, ConnectionExt as _, EventMask, Window},
    wrapper::ConnectionExt as _,
};

use super::{
    layout,
    outputs::Outputs,
    x11::{X11, XError},
};

/// What Firefox calls the windows that pages are in (WM_WINDOW_ROLE).
const ROLE: &[u8] = b"browser";
/// Told to GTK, which asks the window manager for it: Firefox shows its bars in a window that is not.
const FULL_SCREEN: &str = "_NET_WM_STATE_FULLSCREEN";

/// A rectangle of the X screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub x: i16,
    pub y: i16,
    pub width: u16,
    pub height: u16,
}

/// Where the two pages lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    pub first: Place,
    /// With what RandR calls that output; none while it is away, or shows the same as the first.
    pub second: Option<(String, Place)>,
}

impl Places {
    /// None while no screen is lit.
    pub fn of(outputs: &Outputs) -> Option<Self> {
        let main = outputs.main()?;
        let first = place(outputs, main.lit?);
        let mut others = outputs.all.iter().filter(|it| it.id != main.id && it.is_usable());
        let second = others.find_map(|it| Some((it.name.clone(), place(outputs, it.lit?))));
        let second = second.filter(|(_, second)| (first.x, first.y) != (second.x, second.y));
        Some(Places { first, second })
    }
}

fn place(outputs: &Outputs, lit: super::outputs::Lit) -> Place {
    let (width, height) = layout::turned(outputs, &lit);
    Place { x: lit.x, y: lit.y, width, height }
}

/// Asks to be told of windows that come and go. Those of Firefox are added as they are found.
pub fn watch(x11: &X11) -> Result<(), XError> {
    let told = xproto::ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
    x11.connection.change_window_attributes(x11.root, &told)?.check()?;
    Ok(())
}

/// The windows that Firefox has shown. One that it has not shown yet is not ours to show.
#[derive(Debug, Default)]
pub struct Windows {
    shown: Vec<Window>,
}

impl Windows {
    /// Lays each window where it belongs. True if something had to be done: then it is to be looked at once more.
    pub fn settle(&mut self, x11: &X11, places: &Places) -> Result<bool, XError> {
        let mut windows = browsers(x11)?;
        // X gives a program's windows rising numbers: the first one is that of the first page, whatever came after it.
        windows.sort_unstable();
        self.shown.retain(|window| windows.contains(window));
        let before = self.shown.len();
        let mut changed = false;
        for (at, window) in windows.iter().enumerate() {
            let place = match &places.second {
                _ if at == 0 => Some(places.first),
                Some((_, second)) if at + 1 == windows.len() => Some(*second),
                Some(_) | None => None,
            };
            let done = match place {
                Some(place) => self.lay(x11, *window, place),
                None => self.close(x11, *window),
            };
            changed |= gone_is_fine(done)?.unwrap_or(false);
        }
        if let Some(first) = windows.first().filter(|first| self.shown.contains(first)) {
            // The pointer rests in the middle of the X screen, which may be the second page's.
            if self.shown.len() > before {
                gone_is_fine(point_at(x11, *first, places.first))?;
            }
            // Without a window manager nobody gives the keys to anybody.
            if !gone_is_fine(self.has_keys(x11))?.unwrap_or(false) {
                gone_is_fine(focus_on(x11, *first))?;
            }
        }
        Ok(changed)
    }

    /// A window was made, and is not shown yet: the window manager is never to lay it over the first page.
    pub fn made(&self, x11: &X11, window: Window, places: &Places) -> Result<(), XError> {
        gone_is_fine(take(x11, window))?;
        if let Some((_, Place { x, y, .. })) = places.second.as_ref().filter(|_| !self.shown.is_empty()) {
            let there = xproto::ConfigureWindowAux::new().x(i32::from(*x)).y(i32::from(*y));
            gone_is_fine(x11.connection.configure_window(window, &there)?.check().map_err(XError::from))?;
        }
        Ok(())
    }

    /// Asks Firefox to close it, as a window manager does. What it has not shown yet is not ours to close either.
    fn close(&self, x11: &X11, window: Window) -> Result<bool, XError> {
        if !self.shown.contains(&window) {
            return Ok(false);
        }
        let (protocols, delete) = (x11.atom("WM_PROTOCOLS")?, x11.atom("WM_DELETE_WINDOW")?);
        let told = xproto::ClientMessageEvent::new(32, window, protocols, [delete, x11rb::CURRENT_TIME, 0, 0, 0]);
        x11.connection.send_event(false, window, EventMask::NO_EVENT, told)?.check()?;
        Ok(true)
    }

    /// GTK has a window of its own for them, in the one that is shown.
    fn has_keys(&self, x11: &X11) -> Result<bool, XError> {
        let focus = x11.connection.get_input_focus()?.reply()?.focus;
        Ok(self.shown.contains(&focus) || self.shown.contains(&x11.connection.query_tree(focus)?.reply()?.parent))
    }

    /// True if something of it was not so.
    fn lay(&mut self, x11: &X11, window: Window, place: Place) -> Result<bool, XError> {
        let x = &x11.connection;
        let attributes = x.get_window_attributes(window)?.reply()?;
        let is_mapped = attributes.map_state != xproto::MapState::UNMAPPED;
        let was_shown = self.shown.contains(&window);
        if is_mapped && !was_shown {
            self.shown.push(window);
        }
        let mut changed = false;
        if !attributes.override_redirect {
            take(x11, window)?;
            changed = true;
        }
        let told = EventMask::STRUCTURE_NOTIFY | EventMask::ENTER_WINDOW;
        if !attributes.your_event_mask.contains(told) {
            let ours = xproto::ChangeWindowAttributesAux::new().event_mask(told);
            x.change_window_attributes(window, &ours)?.check()?;
        }
        if x.query_tree(window)?.reply()?.parent != x11.root {
            // It is unmapped for it: the window manager takes it for closed, and lets go of it.
            x.reparent_window(window, x11.root, place.x, place.y)?.check()?;
            changed = true;
        }
        let is = x.get_geometry(window)?.reply()?;
        if (Place { x: is.x, y: is.y, width: is.width, height: is.height }) != place || is.border_width != 0 {
            let there = xproto::ConfigureWindowAux::new().x(i32::from(place.x)).y(i32::from(place.y)).border_width(0);
            let there = there.width(u32::from(place.width)).height(u32::from(place.height));
            x.configure_window(window, &there)?.check()?;
            changed = true;
        }
        if !is_mapped && was_shown {
            x.map_window(window)?.check()?;
            changed = true;
        }
        Ok(is_made_full(x11, window)? || changed)
    }
}

/// Takes it out of the window manager's hands.
fn take(x11: &X11, window: Window) -> Result<(), XError> {
    let ours = xproto::ChangeWindowAttributesAux::new().override_redirect(1);
    x11.connection.change_window_attributes(window, &ours)?.check()?;
    Ok(())
}

/// The pointer, or the finger, is in this window now: the keys are its.
pub fn entered(x11: &X11, window: Window) -> Result<(), XError> {
    gone_is_fine(focus_on(x11, window)).map(drop)
}

fn focus_on(x11: &X11, window: Window) -> Result<(), XError> {
    let then = xproto::InputFocus::POINTER_ROOT;
    x11.connection.set_input_focus(then, window, x11rb::CURRENT_TIME)?.check()?;
    Ok(())
}

fn point_at(x11: &X11, window: Window, Place { width, height, .. }: Place) -> Result<(), XError> {
    let middle = |size: u16| i16::try_from(size / 2).unwrap_or(0);
    let (x, y) = (middle(width), middle(height));
    x11.connection.warp_pointer(x11rb::NONE, window, 0, 0, 0, 0, x, y)?.check()?;
    Ok(())
}

/// Firefox's windows with pages in them: below the root, or in the frame that the window manager put around them.
fn browsers(x11: &X11) -> Result<Vec<Window>, XError> {
    let mut found = Vec::new();
    for window in children(x11, x11.root)? {
        let inner = gone_is_fine(children(x11, window))?.unwrap_or_default();
        for window in std::iter::once(window).chain(inner) {
            if gone_is_fine(is_browser(x11, window))?.unwrap_or(false) {
                found.push(window);
            }
        }
    }
    Ok(found)
}

fn children(x11: &X11, window: Window) -> Result<Vec<Window>, XError> {
    Ok(x11.connection.query_tree(window)?.reply()?.children)
}

fn is_browser(x11: &X11, window: Window) -> Result<bool, XError> {
    let role = x11.atom("WM_WINDOW_ROLE")?;
    let asked = x11.connection.get_property(false, window, role, AtomEnum::STRING, 0, 16)?;
    Ok(asked.reply()?.value == ROLE)
}

/// What the window manager would say of it. True if it was not said.
fn is_made_full(x11: &X11, window: Window) -> Result<bool, XError> {
    let x = &x11.connection;
    let (state, full) = (x11.atom("_NET_WM_STATE")?, x11.atom(FULL_SCREEN)?);
    let states = x.get_property(false, window, state, AtomEnum::ATOM, 0, 16)?.reply()?;
    let is_full = states.value32().is_some_and(|mut states| states.any(|it| it == full));
    if !is_full {
        x.change_property32(xproto::PropMode::REPLACE, window, state, AtomEnum::ATOM, &[full])?.check()?;
    }
    Ok(!is_full)
}

/// A window may go while it is looked at: X then refuses, and there is nothing to do.
fn gone_is_fine<T>(result: Result<T, XError>) -> Result<Option<T>, XError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(XError::Refused(why)) => {
            tracing::debug!(why, "a window went meanwhile");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
