//! Each card's own settings, laid onto it by the same engine that provisions a running Pi.

use std::path::Path;
use std::sync::Arc;

use super::Args;
use super::cards::{Kiosk, Planned};
use super::targets::Opened;
use crate::commands::failure::Failure;
use crate::config::KioskSettings;
use crate::flash::job::{CardJob, Customise, Customising, Mode};
use crate::flash::receipt::{Named, hex};
use crate::flash::stream::StreamError;
use crate::io::system::image::ImageSystem;
use crate::io::system::{Owner, System};
use crate::provision::{apply, desired, facts, observe, plan, receipt};

/// The record of a card, on its boot partition, readable on any computer.
const MANIFEST: &str = "pikiosk-manifest.json";

/// What is to be done with one card.
pub fn job(planned: &Planned, opened: Opened, args: &Args, program: Option<&Arc<Vec<u8>>>) -> CardJob {
    let Opened { card, medium } = opened;
    let kiosk = planned.kiosk.as_deref().filter(|_| args.mode() != Mode::VerifyOnly);
    let config_sha256 = kiosk.map(|kiosk| {
        let digest = ring::digest::digest(&ring::digest::SHA256, kiosk.loaded.text.as_bytes());
        hex(digest.as_ref())
    });
    let identity = planned.kiosk.as_deref().and_then(identity);
    let customise = kiosk.map(|kiosk| customise(kiosk.loaded.settings.clone(), program.cloned()));
    CardJob { card, medium, identity, config_sha256, customise }
}

/// The pikiosk for the Pi, if it was given.
pub fn program(args: &Args) -> Result<Option<Arc<Vec<u8>>>, Failure> {
    let Some(path) = &args.binary else { return Ok(None) };
    let bytes = std::fs::read(path).map_err(|source| Failure::Unread { path: path.clone(), source })?;
    // ELF, 64 bits, little-endian, machine 183 (AArch64).
    let is_for_pi = bytes.starts_with(b"\x7fELF\x02\x01") && bytes.get(18..20) == Some(&183u16.to_le_bytes()[..]);
    if !is_for_pi {
        return Err(Failure::Usage {
            doing: "take the program for the Pi",
            says: format!("{} is no program for aarch64", path.display()),
            hint: "make aarch64 builds it, at target/aarch64/pikiosk".to_owned(),
        });
    }
    Ok(Some(Arc::new(bytes)))
}

fn identity(kiosk: &Kiosk) -> Option<Named> {
    let settings = &kiosk.loaded.settings;
    let display = settings.display.id.as_ref()?.to_string();
    let hostname = settings.system.hostname.clone();
    let server = settings.server.as_ref().map(|server| server.url.to_string());
    Some(Named { display, hostname, server })
}

fn customise(settings: KioskSettings, program: Option<Arc<Vec<u8>>>) -> Customise {
    Box::new(move |Customising { device, manifest }| {
        let mut system = ImageSystem::open(device)?;
        lay(&mut system, &settings, program.as_ref().map(|bytes| bytes.as_slice()))?;
        if let Some(boot) = system.boot_partition().map(|(_, at)| at) {
            system.write(&Path::new(boot).join(MANIFEST), &manifest, 0o644, Owner::ROOT)?;
        }
        Ok(system.sync()?)
    })
}

/// Makes a system that is not running a kiosk. What needs it to run is left for its first boot.
pub fn lay(system: &mut dyn System, settings: &KioskSettings, program: Option<&[u8]>) -> Result<(), StreamError> {
    let facts = facts::facts(system)?;
    let mut desired = desired::desired(settings, &facts)?;
    let there = Path::new(desired::PROGRAM);
    let program = match program {
        Some(bytes) => bytes.to_vec(),
        // What a plan does not name any more is taken away: the image's own program is named.
        None if system.stat(there)?.is_some() => system.read(there)?,
        None => {
            return Err("the image holds no pikiosk yet: give --binary target/aarch64/pikiosk (make aarch64)".into());
        }
    };
    desired.items.push(desired::program(program));
    let receipt = receipt::Receipt::load(system)?;
    let observed = observe::observe(system, &desired, receipt.as_ref())?;
    let plan = plan::plan(&desired, &observed, receipt.as_ref())?;
    Ok(apply::apply(system, &plan, &mut |_| {})?)
}
