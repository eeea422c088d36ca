//! Which system is meant, opened.

use std::path::{Path, PathBuf};

use super::{Args, ProvisionError};
use crate::commands::Failure;
use crate::config::{KioskSettings, Sources};
use crate::io::system::{Mounted, Observe, Real, System};

/// A system to provision, with its name for sentences.
pub(super) struct Target {
    pub system: Box<dyn System>,
    pub name: String,
    /// Where its own settings are below; `None`: they cannot be read as files of this machine.
    layers: Option<PathBuf>,
}

impl Target {
    /// A failure that names this system.
    pub fn failed(&self, source: ProvisionError) -> Failure {
        failed(&self.name, source)
    }

    /// `--config`, or what the system has.
    pub fn settings(&self, args: &Args) -> Result<KioskSettings, Failure> {
        let sources = match (&args.config, &self.layers) {
            (Some(file), _) => Sources::system().with_file(Some(file.clone())),
            (None, Some(root)) if root == Path::new("/") => Sources::system(),
            (None, Some(root)) => Sources::under(root),
            (None, None) => return Err(self.failed(ProvisionError::NoSettings)),
        };
        Ok(KioskSettings::load(&sources).map_err(|source| Failure::Config { source })?.settings)
    }

    pub fn observe(&self) -> &dyn Observe {
        &*self.system
    }
}

pub(super) fn open(args: &Args) -> Result<Target, Failure> {
    #[cfg(feature = "tools")]
    if let Some(file) = &args.image {
        return image(file, args.check);
    }
    match &args.root {
        None => this_pi(args.check),
        Some(root) => {
            let name = root.display().to_string();
            may_change(&name, args.check)?;
            let system = Mounted::open(root).map_err(|source| failed(&name, ProvisionError::Open { source }))?;
            Ok(Target { system: Box::new(system), name, layers: Some(root.clone()) })
        }
    }
}

/// The system we run on.
pub(super) fn this_pi(only_look: bool) -> Result<Target, Failure> {
    let name = "this Pi".to_owned();
    may_change(&name, only_look)?;
    let system = Real::open().map_err(|source| failed(&name, ProvisionError::Open { source }))?;
    Ok(Target { system: Box::new(system), name, layers: Some(PathBuf::from("/")) })
}

/// The seam to the image's own file systems: FAT and ext4 in user space.
#[cfg(feature = "tools")]
fn image(file: &Path, only_look: bool) -> Result<Target, Failure> {
    use std::sync::Arc;

    use crate::io::{block::FileDevice, system::image::ImageSystem};

    let name = file.display().to_string();
    let opened = std::fs::OpenOptions::new().read(true).write(!only_look).open(file);
    let device = opened.and_then(|opened| {
        let len = opened.metadata()?.len();
        Ok(FileDevice::new(opened, len))
    });
    let device = device.map_err(|source| failed(&name, ProvisionError::Open { source }))?;
    let system =
        ImageSystem::open(Arc::new(device)).map_err(|source| failed(&name, ProvisionError::Image { source }))?;
    Ok(Target { system: Box::new(system), name, layers: None })
}

/// Said before anything is looked at: half of a system's files cannot even be read by others.
fn may_change(name: &str, only_look: bool) -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() || only_look {
        return Ok(());
    }
    Err(failed(name, ProvisionError::NotRoot))
}

pub(super) fn failed(name: &str, source: ProvisionError) -> Failure {
    Failure::Provision { target: name.to_owned(), source }
}
