//! Is this disk surely a card that nobody uses? Pure: values in, every reason against it out.

use super::{Disk, DiskKind, Use};

/// A sold "8 GB" card has at least this many bytes.
pub const SMALLEST: u64 = 7_000_000_000;
/// The largest card that is surely a card. Larger things are somebody's backup disk.
pub const LARGEST: u64 = 512_200_000_000;

/// Where mounts are made by a desktop for whoever is at the keyboard: these may be unmounted.
const POLITE: &[&str] = &["/media/", "/run/media/"];
/// What a machine runs from.
const SYSTEM: &[&str] = &["/boot", "/usr", "/var", "/home", "/etc", "/opt", "/srv", "/root", "/nix", "/sysroot"];

/// What may be allowed by name. There is nothing here for a disk in use: no flag allows that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Smaller than 7 GB or larger than 512 GB.
    pub any_size: bool,
    /// Loop devices, for tests and for image builders.
    pub loops: bool,
    /// What the image needs, in bytes; 0 if not known yet.
    pub needed: u64,
}

/// One reason not to write to a disk. `Display` is a whole clause: `it is where this machine runs from (/)`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this machine runs from it ({at})")]
    System { at: String },
    #[error("it is in use at {at}")]
    Mounted { at: String },
    #[error("this machine swaps to it ({name})")]
    Swap { name: String },
    #[error("{name} stands on it (encryption, volume group, RAID or the like)")]
    Holder { name: String },
    #[error("it is built-in storage (eMMC), no card")]
    Emmc,
    #[error("it is an internal disk, no card")]
    Internal,
    #[error("it is made from other disks")]
    Stacked,
    #[error("it is a USB disk that says it is not removable")]
    FixedUsb,
    #[error("it is a loop device")]
    Loop,
    #[error("it is no card and no USB stick")]
    NoCard,
    #[error("there is no card in it")]
    Empty,
    #[error("with {} it is smaller than any card that is sold for this", gigabytes(*size))]
    TooSmall { size: u64 },
    #[error("with {} it is larger than a card", gigabytes(*size))]
    TooLarge { size: u64 },
    #[error("the image needs {} and it has {}", gigabytes(*needed), gigabytes(*size))]
    TooSmallForImage { size: u64, needed: u64 },
    #[error("it is write-protected")]
    ReadOnly,
}

impl Refusal {
    /// What a person can do; `None`: nothing, and rightly so.
    pub fn cure(&self) -> Option<&'static str> {
        match self {
            Self::Mounted { .. } => Some("unmount it first, if it is a card"),
            Self::Holder { .. } => Some("close what stands on it first, if it is a card"),
            Self::Swap { .. } => Some("swapoff it first, if it is a card"),
            Self::Loop => Some("--allow-loop, if this is meant"),
            Self::Empty => Some("put a card in"),
            Self::TooSmall { .. } | Self::TooLarge { .. } => Some("--allow-size, if this is meant"),
            Self::TooSmallForImage { .. } => Some("take a larger card"),
            Self::ReadOnly => Some("slide the lock on the card's edge; a worn-out card stays locked"),
            Self::FixedUsb => Some("use a card reader that says it is removable"),
            Self::System { .. } | Self::Emmc | Self::Internal | Self::Stacked | Self::NoCard => None,
        }
    }
}

/// Every reason why this disk must not be written, the gravest first; none: it is safe.
pub fn judge(disk: &Disk, rules: Rules) -> Vec<Refusal> {
    let mut against: Vec<Refusal> = disk.uses.iter().filter_map(of_use).collect();
    against.sort_by_key(|refusal| !matches!(refusal, Refusal::System { .. }));
    against.dedup();
    against.extend(of_kind(disk, rules));
    let size = disk.identity.size;
    if size == 0 {
        against.push(Refusal::Empty);
        return against;
    }
    if !rules.any_size && disk.kind != DiskKind::Loop {
        if size < SMALLEST {
            against.push(Refusal::TooSmall { size });
        } else if size > LARGEST {
            against.push(Refusal::TooLarge { size });
        }
    }
    if size < rules.needed {
        against.push(Refusal::TooSmallForImage { size, needed: rules.needed });
    }
    if disk.read_only {
        against.push(Refusal::ReadOnly);
    }
    against
}

/// The mounts that may be taken away once the person has said yes, in the order in which they were found.
pub fn polite_mounts(disk: &Disk) -> Vec<&str> {
    let of = |it: &'_ Use| matches!(it, Use::Mounted { at, .. } if is_polite(at));
    disk.uses
        .iter()
        .filter(|it| of(it))
        .filter_map(|it| match it {
            Use::Mounted { at, .. } => Some(at.as_str()),
            Use::Swap { .. } | Use::Holder { .. } => None,
        })
        .collect()
}

fn of_use(used: &Use) -> Option<Refusal> {
    match used {
        Use::Mounted { at, .. } if is_system(at) => Some(Refusal::System { at: at.clone() }),
        Use::Mounted { at, .. } if is_polite(at) => None,
        Use::Mounted { at, .. } => Some(Refusal::Mounted { at: at.clone() }),
        Use::Swap { name } => Some(Refusal::Swap { name: name.clone() }),
        Use::Holder { name } => Some(Refusal::Holder { name: name.clone() }),
    }
}

fn of_kind(disk: &Disk, rules: Rules) -> Option<Refusal> {
    match disk.kind {
        DiskKind::SdCard => None,
        DiskKind::Usb if disk.removable => None,
        DiskKind::Usb => Some(Refusal::FixedUsb),
        DiskKind::Loop if rules.loops => None,
        DiskKind::Loop => Some(Refusal::Loop),
        DiskKind::Emmc => Some(Refusal::Emmc),
        DiskKind::Nvme | DiskKind::Internal => Some(Refusal::Internal),
        DiskKind::Stacked => Some(Refusal::Stacked),
        DiskKind::MmcOther | DiskKind::Other => Some(Refusal::NoCard),
    }
}

fn is_system(at: &str) -> bool {
    at == "/"
        || SYSTEM.iter().any(|of| at.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn is_polite(at: &str) -> bool {
    POLITE.iter().any(|prefix| at.starts_with(prefix))
}

/// As it is printed on cards: powers of ten.
fn gigabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let gigabytes = bytes as f64 / 1e9;
    format!("{gigabytes:.1} GB")
}
