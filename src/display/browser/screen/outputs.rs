//! What RandR says of the outputs.

use std::collections::HashMap;

use x11rb::protocol::{
    randr::{self, ConnectionExt as _},
    xproto::AtomEnum,
};

use super::{
    edid,
    x11::{X11, XError},
};
use crate::display::screen::{Output, Picture};

/// More connectors than any Pi has; a server that names more is not believed.
const OUTPUTS_MAX: usize = 16;
/// Of an EDID, in units of four bytes: the base block and three extensions.
const EDID_MAX: u32 = 128;

/// The whole of it, as arranging it needs it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outputs {
    pub size: (u16, u16),
    /// The largest that the X screen may be.
    pub most: (u16, u16),
    pub all: Vec<Connector>,
    pub modes: HashMap<randr::Mode, ModeLine>,
    pub primary: Option<randr::Output>,
    pub config_timestamp: u32,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connector {
    pub id: randr::Output,
    pub name: String,
    pub connected: bool,
    pub screen: Option<String>,
    /// What it is driven by, where it is switched on.
    pub lit: Option<Lit>,
    /// What may drive it.
    pub crtcs: Vec<randr::Crtc>,
    pub modes: Vec<randr::Mode>,
    pub preferred: Option<randr::Mode>,
}

/// Where on the X screen its picture lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lit {
    pub crtc: randr::Crtc,
    pub x: i16,
    pub y: i16,
    pub mode: randr::Mode,
    pub degrees: u32,
    /// RandR's bits of the turns that it can do.
    pub can: u16,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModeLine {
    pub width: u16,
    pub height: u16,
    pub millihertz: u32,
}

impl Outputs {
    pub fn read(x11: &X11) -> Result<Self, XError> {
        let x = &x11.connection;
        let root = x11rb::protocol::xproto::get_geometry(x, x11.root)?.reply()?;
        // Without looking at the plugs again, which takes a while. A server that has never looked knows of none.
        let known = x.randr_get_screen_resources_current(x11.root)?.reply()?;
        if known.outputs.is_empty() {
            x.randr_get_screen_resources(x11.root)?.reply()?;
        }
        let resources = x.randr_get_screen_resources_current(x11.root)?.reply()?;
        let primary = x.randr_get_output_primary(x11.root)?.reply()?.output;
        let range = x.randr_get_screen_size_range(x11.root)?.reply()?;
        let edid = x11.atom("EDID")?;
        let mut all = Vec::new();
        for id in resources.outputs.iter().copied().take(OUTPUTS_MAX) {
            let output = x.randr_get_output_info(id, resources.config_timestamp)?.reply()?;
            let crtc = match output.crtc {
                0 => None,
                crtc => Some(x.randr_get_crtc_info(crtc, resources.config_timestamp)?.reply()?),
            };
            let lit = crtc.filter(|crtc| crtc.mode != 0).map(|crtc| Lit {
                crtc: output.crtc,
                x: crtc.x,
                y: crtc.y,
                mode: crtc.mode,
                degrees: degrees(crtc.rotation),
                can: crtc.rotations.into(),
            });
            let connected = output.connection == randr::Connection::CONNECTED;
            let screen = match connected {
                true => edid::name(&property(x11, id, edid)?),
                false => None,
            };
            let preferred = output.modes.first().copied().filter(|_| output.num_preferred > 0);
            let name = String::from_utf8_lossy(&output.name).into_owned();
            let (crtcs, modes) = (output.crtcs, output.modes);
            all.push(Connector { id, name, connected, screen, lit, crtcs, modes, preferred });
        }
        let modes = resources.modes.iter().map(|mode| (mode.id, line(mode))).collect();
        let primary = Some(primary).filter(|id| *id != 0);
        let size = (root.width, root.height);
        let most = (range.max_width, range.max_height);
        Ok(Outputs { size, most, all, modes, primary, config_timestamp: resources.config_timestamp })
    }

    /// As it is told to the supervisor.
    pub fn facts(&self) -> Vec<Output> {
        let of = |connector: &Connector| Output {
            name: connector.name.clone(),
            connected: connector.connected,
            screen: connector.screen.clone(),
            picture: connector.lit.and_then(|lit| self.picture(lit.mode)),
            preferred: connector.preferred.and_then(|mode| self.picture(mode)),
            degrees: connector.lit.map_or(0, |lit| lit.degrees),
        };
        self.all.iter().map(of).collect()
    }

    /// The one that the page is on: the primary, or the first that is connected and has a picture to offer.
    pub fn main(&self) -> Option<&Connector> {
        let mut usable = self.all.iter().filter(|it| it.is_usable());
        let primary = usable.clone().find(|it| Some(it.id) == self.primary);
        primary.or_else(|| usable.next())
    }

    fn picture(&self, mode: randr::Mode) -> Option<Picture> {
        let line = self.modes.get(&mode)?;
        Some(Picture { width: line.width.into(), height: line.height.into(), millihertz: line.millihertz })
    }
}

impl Connector {
    /// A connector that is "connected" and offers no picture is of no use.
    pub fn is_usable(&self) -> bool {
        self.connected && !self.modes.is_empty()
    }
}

fn property(x11: &X11, output: randr::Output, name: u32) -> Result<Vec<u8>, XError> {
    let any = AtomEnum::ANY;
    let cookie = x11.connection.randr_get_output_property(output, name, any, 0, EDID_MAX, false, false)?;
    match cookie.reply().map_err(XError::from) {
        Ok(reply) if reply.format == 8 => Ok(reply.data),
        // It went while we asked, or has none.
        Ok(_) | Err(XError::Refused(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn line(mode: &randr::ModeInfo) -> ModeLine {
    let dots = u64::from(mode.htotal) * u64::from(mode.vtotal);
    let mut millihertz = u64::from(mode.dot_clock) * 1000 / dots.max(1);
    if mode.mode_flags.contains(randr::ModeFlag::INTERLACE) {
        millihertz *= 2;
    }
    if mode.mode_flags.contains(randr::ModeFlag::DOUBLE_SCAN) {
        millihertz /= 2;
    }
    ModeLine { width: mode.width, height: mode.height, millihertz: u32::try_from(millihertz).unwrap_or(0) }
}

/// Clockwise; RandR counts the other way round.
fn degrees(rotation: randr::Rotation) -> u32 {
    match u16::from(rotation) & 15 {
        2 => 270,
        4 => 180,
        8 => 90,
        _ => 0,
    }
}
