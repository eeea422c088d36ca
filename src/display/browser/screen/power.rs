//! Whether light comes out of the panel: DPMS, and the screen saver that must never come.

use x11rb::protocol::{
    dpms::{ConnectionExt as _, DPMSMode},
    xproto::{self, ConnectionExt as _},
};

use super::x11::{X11, XError};
use crate::display::screen::Panel;

/// What X itself says.
pub fn panel(x11: &X11) -> Result<Panel, XError> {
    if !x11.has_dpms {
        return Ok(Panel::Unknown);
    }
    let info = x11.connection.dpms_info()?.reply()?;
    Ok(if info.state && info.power_level != DPMSMode::ON { Panel::Off } else { Panel::On })
}

/// Switches the panel, and returns what X then says.
pub fn switch(x11: &X11, on: bool) -> Result<Panel, XError> {
    if !x11.has_dpms {
        return Err(XError::Lacking("this X server cannot switch a screen off: it has no DPMS".to_owned()));
    }
    let x = &x11.connection;
    // A level can be forced only while DPMS is enabled; without time limits it then stays.
    x.dpms_set_timeouts(0, 0, 0)?.check()?;
    x.dpms_enable()?.check()?;
    x.dpms_force_level(if on { DPMSMode::ON } else { DPMSMode::OFF })?.check()?;
    if on {
        x.force_screen_saver(xproto::ScreenSaver::RESET)?.check()?;
        x.dpms_disable()?.check()?;
    }
    panel(x11)
}

/// Takes care that X neither blanks the picture nor switches the panel off by itself. True if it would have.
pub fn never_by_itself(x11: &X11) -> Result<bool, XError> {
    let x = &x11.connection;
    let saver = x.get_screen_saver()?.reply()?;
    let blanks = saver.timeout != 0 || saver.prefer_blanking != xproto::Blanking::NOT_PREFERRED;
    if blanks {
        let (no_blanking, no_exposures) = (xproto::Blanking::NOT_PREFERRED, xproto::Exposures::NOT_ALLOWED);
        x.set_screen_saver(0, 0, no_blanking, no_exposures)?.check()?;
    }
    if !x11.has_dpms {
        return Ok(blanks);
    }
    let times = x.dpms_get_timeouts()?.reply()?;
    let sleeps = [times.standby_timeout, times.suspend_timeout, times.off_timeout] != [0; 3];
    if sleeps {
        x.dpms_set_timeouts(0, 0, 0)?.check()?;
    }
    Ok(blanks || sleeps)
}
