//! Which system is meant, opened.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
#[cfg(feature = "tools")]
use std::sync::Arc;

use super::{Args, ProvisionError};
use crate::commands::Failure;
use crate::config::{KioskSettings, Sources};
use crate::io::system::{Mounted, Observe, Real, System};
#[cfg(feature = "tools")]
use crate::io::{
    block::{FileDevice, overlay::Overlay},
    system::image::ImageSystem,
};

/// A system to provision, with its name for sentences.
pub(super) struct Target {
    pub system: Box<dyn System>,
    pub name: String,
    /// Where its own settings are below; `None`: they cannot be read as files of this machine.
    layers: Option<PathBuf>,
    /// An image's changes, until all of them are there.
    #[cfg(feature = "tools")]
    image: Option<Arc<Overlay<FileDevice>>>,
    /// Its directory, locked for as long as this lives; none where nothing is changed, and an image's file is locked itself.
    _alone: Option<File>,
}

impl Target {
    fn of(system: Box<dyn System>, name: String, layers: Option<PathBuf>) -> Self {
        Self {
            system,
            name,
            layers,
            #[cfg(feature = "tools")]
            image: None,
            _alone: None,
        }
    }

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

    /// Writes what was changed in an image into its file: until here, the file is as it was.
    pub fn finish(&mut self) -> Result<(), Failure> {
        let written = self.system.sync();
        #[cfg(feature = "tools")]
        let written = written.and_then(|()| self.image.as_ref().map_or(Ok(()), |image| image.commit().map(drop)));
        written.map_err(|source| self.failed(ProvisionError::Write { source }))
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
            let alone = alone(root, &name, args.check)?;
            Ok(Target { _alone: alone, ..Target::of(Box::new(system), name, Some(root.clone())) })
        }
    }
}

/// The system we run on.
pub(super) fn this_pi(only_look: bool) -> Result<Target, Failure> {
    let name = "this Pi".to_owned();
    may_change(&name, only_look)?;
    let system = Real::open().map_err(|source| failed(&name, ProvisionError::Open { source }))?;
    let root = PathBuf::from("/");
    let alone = alone(&root, &name, only_look)?;
    Ok(Target { _alone: alone, ..Target::of(Box::new(system), name, Some(root)) })
}

/// Nobody else provisions it meanwhile (a first boot may be at it for minutes): whoever comes second would take for what was
/// there before what the first has just written, and an undo would bring that back. However this process ends, the kernel
/// lets go.
fn alone(root: &Path, name: &str, only_look: bool) -> Result<Option<File>, Failure> {
    if only_look {
        return Ok(None);
    }
    let directory = File::open(root).map_err(|source| failed(name, ProvisionError::Open { source }))?;
    lock(&directory).map_err(|source| failed(name, source))?;
    Ok(Some(directory))
}

fn lock(file: &File) -> Result<(), ProvisionError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(ProvisionError::Busy),
        Err(TryLockError::Error(source)) => Err(ProvisionError::Open { source }),
    }
}

/// The seam to the image's own file systems: FAT and ext4 in user space.
#[cfg(feature = "tools")]
fn image(file: &Path, only_look: bool) -> Result<Target, Failure> {
    let name = file.display().to_string();
    let unopened = |source| failed(&name, ProvisionError::Open { source });
    let opened = std::fs::OpenOptions::new().read(true).write(!only_look).open(file).map_err(unopened)?;
    if !only_look {
        lock(&opened).map_err(|source| failed(&name, source))?;
    }
    let len = opened.metadata().map_err(unopened)?.len();
    let device = FileDevice::new(opened, len);
    let image = Arc::new(Overlay::new(device));
    let system = ImageSystem::open(image.clone()).map_err(|source| failed(&name, ProvisionError::Image { source }))?;
    Ok(Target { image: Some(image), ..Target::of(Box::new(system), name, None) })
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
