//! Which disks and files are meant, whether they may be written, and their opening.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Args, list};
use crate::commands::{failure::Failure, output};
use crate::flash::card::{Card, Existing, FileSize};
use crate::flash::disks::{self, Disk, LARGEST, Machine, Rules, Target, judge, polite_mounts};
use crate::flash::job::{Medium, Mode};

/// One target that may be written.
#[derive(Debug)]
pub struct Settled {
    path: PathBuf,
    target: Target,
}

impl Settled {
    pub fn disk(&self) -> Option<&Disk> {
        match &self.target {
            Target::Disk(disk) => Some(disk),
            Target::File(_) => None,
        }
    }
}

/// A target that is open for this process alone.
#[derive(Debug)]
pub struct Opened {
    pub card: Card,
    pub medium: Medium,
}

/// Finds and judges every target; one that is not safe refuses them all. `image`: what is read, if that is a file.
pub fn settle(
    paths: &[PathBuf],
    image: Option<&Path>,
    machine: &Machine,
    rules: Rules,
) -> Result<Vec<Settled>, Failure> {
    let mut settled: Vec<Settled> = Vec::new();
    for path in paths {
        let target = disks::target(path, machine, &disks::node_of)
            .map_err(|error| unsafe_disk(path, error.to_string(), error.cure()))?;
        if let Target::Disk(disk) = &target {
            let against = judge(disk, rules);
            if let Some(first) = against.first() {
                let says = against.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                let cure = first.cure().unwrap_or("see which cards there are: pikiosk flash --list");
                return Err(unsafe_disk(path, says, cure.to_owned()));
            }
        }
        let read = image.map(|image| Target::File(image.to_owned()));
        if read.is_some_and(|read| same(&read, &target)) {
            let cure = "give the card another name".to_owned();
            return Err(unsafe_disk(path, "it is the image itself".to_owned(), cure));
        }
        if let Some(twin) = settled.iter().find(|other| same(&other.target, &target)) {
            let says = format!("it is the same as {}", twin.path.display());
            return Err(unsafe_disk(path, says, "name each card once".to_owned()));
        }
        settled.push(Settled { path: path.clone(), target });
    }
    Ok(settled)
}

/// Bytes of the smallest target; a file may grow as long as the disk has room, which is not asked here.
pub fn room(targets: &[Settled]) -> u64 {
    targets.iter().filter_map(Settled::disk).map(|disk| disk.identity.size).min().unwrap_or(LARGEST)
}

/// Takes desktop mounts away, looks once more, and opens every target.
pub fn open(targets: &[Settled], args: &Args, rules: Rules) -> Result<Vec<Opened>, Failure> {
    for disk in targets.iter().filter_map(Settled::disk) {
        for at in polite_mounts(disk) {
            unmount(at)?;
        }
    }
    // Between question and answer a card may have been changed for another one.
    let now = disks::observe("/".as_ref(), &disks::node_of).map_err(|source| Failure::Disks { source })?;
    targets.iter().map(|target| open_one(target, &now, args, rules)).collect()
}

fn open_one(settled: &Settled, now: &Machine, args: &Args, rules: Rules) -> Result<Opened, Failure> {
    let path = &settled.path;
    let disk = match &settled.target {
        Target::Disk(disk) => disk,
        Target::File(file) => {
            let size = if args.file_size == "pow2" { FileSize::PowerOfTwo } else { FileSize::Image };
            let existing = if args.mode() == Mode::Write { Existing::Emptied } else { Existing::Kept };
            if args.mode() == Mode::VerifyOnly && !file.exists() {
                return Err(unsafe_disk(path, "there is no such file".to_owned(), "is the name right?".to_owned()));
            }
            let card = Card::file(file, size, existing).map_err(|source| cannot_open(path, source))?;
            return Ok(Opened { card, medium: Medium::default() });
        }
    };
    let same = now.disks.iter().find(|other| other.identity == disk.identity);
    let Some(same) = same.filter(|same| judge(same, rules).is_empty()) else {
        let says = "it is not the card any more that was shown".to_owned();
        return Err(unsafe_disk(path, says, "look again: pikiosk flash --list".to_owned()));
    };
    let card = Card::disk(Path::new(&same.node())).map_err(|source| cannot_open(path, source))?;
    // The node could have been made for another disk meanwhile.
    if card.len() != same.identity.size {
        let says = format!("it has another size than was shown ({})", list::size(card.len()));
        return Err(unsafe_disk(path, says, "look again: pikiosk flash --list".to_owned()));
    }
    let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let medium =
        Medium { model: told(&same.model), serial: same.identity.serial.clone(), cid: same.identity.cid.clone() };
    Ok(Opened { card, medium })
}

/// As a desktop's user would: umount(8) also tells the desktop.
fn unmount(at: &str) -> Result<(), Failure> {
    output::remark(&format!("Unmounting {at} …"));
    let mut command = Command::new("umount");
    command.arg("--").arg(at).stdin(Stdio::null()).process_group(0);
    let says = match command.output() {
        Ok(ended) if ended.status.success() => return Ok(()),
        Ok(ended) => String::from_utf8_lossy(&ended.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let cure = "close what has a file of it open, then try again".to_owned();
    Err(unsafe_disk(Path::new(at), format!("it cannot be unmounted: {says}"), cure))
}

fn same(one: &Target, other: &Target) -> bool {
    match (one, other) {
        (Target::Disk(one), Target::Disk(other)) => one.identity.number == other.identity.number,
        (Target::File(one), Target::File(other)) => {
            let whole = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            whole(one) == whole(other)
        }
        (Target::Disk(_), Target::File(_)) | (Target::File(_), Target::Disk(_)) => false,
    }
}

fn cannot_open(path: &Path, source: std::io::Error) -> Failure {
    match source.raw_os_error() {
        Some(errno) if errno == nix::errno::Errno::EBUSY as i32 => {
            let says = "something else has it open or mounted".to_owned();
            unsafe_disk(path, says, "close or unmount it, then try again".to_owned())
        }
        _ => Failure::CardUnopened { path: path.to_owned(), source },
    }
}

fn unsafe_disk(path: &Path, says: String, cure: String) -> Failure {
    Failure::UnsafeDisk { path: path.to_owned(), says, cure }
}
