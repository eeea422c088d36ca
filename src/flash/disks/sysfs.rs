//! Reads `/sys/block` (Linux's stable ABI: Documentation/ABI/stable/sysfs-block) and what uses the disks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    DeviceNumber, Disk, DiskKind, Identity, Machine, Node, Partition, Use,
    mounts::{Mount, mounts, swaps},
};

/// A logical sector of sysfs, whatever the disk's own sector is.
const SECTOR: u64 = 512;

pub(super) fn observe(root: &Path, node: &dyn Fn(&Path) -> Node) -> io::Result<Machine> {
    let sys = root.join("sys");
    let mut blocks = BTreeMap::new();
    for entry in fs::read_dir(sys.join("block"))? {
        let path = entry?.path();
        if let Some(block) = Block::read(&path) {
            blocks.insert(block.number, block);
        }
    }
    let users = Users {
        mounts: mounts(&fs::read_to_string(root.join("proc/self/mountinfo"))?),
        // A kernel without swap has no such file.
        swaps: swaps(&fs::read_to_string(root.join("proc/swaps")).unwrap_or_default()),
        btrfs: btrfs_members(&sys),
        node,
    };
    let disks = blocks.values().map(|block| block.disk(&blocks, &users));
    let mut disks: Vec<Disk> = disks.collect();
    disks.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Machine { disks })
}

/// One entry of `/sys/block`, as it stands there.
struct Block {
    path: PathBuf,
    name: String,
    number: DeviceNumber,
    parts: Vec<Part>,
    holders: Vec<String>,
}

struct Part {
    partition: Partition,
    holders: Vec<String>,
}

impl Block {
    fn read(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_owned();
        let number = text(path, "dev")?.parse().ok()?;
        let parts = names(path)
            .into_iter()
            .filter(|name| path.join(name).join("partition").exists())
            .filter_map(|name| {
                let at = path.join(&name);
                let number = text(&at, "dev")?.parse().ok()?;
                let size = text(&at, "size")?.parse::<u64>().ok()?.checked_mul(SECTOR)?;
                let holders = names(&at.join("holders"));
                Some(Part { partition: Partition { name, number, size }, holders })
            })
            .collect();
        Some(Self { path: path.to_owned(), name, number, parts, holders: names(&path.join("holders")) })
    }

    fn disk(&self, blocks: &BTreeMap<DeviceNumber, Block>, users: &Users<'_>) -> Disk {
        let at = &self.path;
        let kind = self.kind();
        let size = text(at, "size").and_then(|sectors| sectors.parse::<u64>().ok()).unwrap_or(0);
        let model = [text(at, "device/vendor"), text(at, "device/model"), text(at, "device/name")];
        let identity = Identity {
            number: self.number,
            size: size.saturating_mul(SECTOR),
            serial: text(at, "device/serial").or_else(|| usb_serial(at)),
            cid: text(at, "device/cid"),
            sequence: text(at, "diskseq").and_then(|number| number.parse().ok()),
        };
        let kilobytes = text(at, "queue/max_sectors_kb").and_then(|text| text.parse::<u32>().ok());
        Disk {
            identity,
            name: self.name.clone(),
            kind,
            // Virtual disks name their maker by a number.
            model: model.into_iter().flatten().filter(|name| !name.starts_with("0x")).collect::<Vec<_>>().join(" "),
            removable: flag(at, "removable"),
            read_only: flag(at, "ro"),
            largest_write: kilobytes.unwrap_or(512).saturating_mul(1024),
            partitions: self.parts.iter().map(|part| part.partition.clone()).collect(),
            uses: self.uses(blocks, users),
        }
    }

    fn kind(&self) -> DiskKind {
        let name = self.name.as_str();
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if starts(&["mmcblk"]) {
            // `mmcblk0boot0` and `mmcblk0rpmb` show the type of their card.
            let whole = name["mmcblk".len()..].bytes().all(|byte| byte.is_ascii_digit());
            return match text(&self.path, "device/type").as_deref() {
                Some("SD") if whole => DiskKind::SdCard,
                Some("MMC") if whole => DiskKind::Emmc,
                _ => DiskKind::MmcOther,
            };
        }
        if starts(&["dm-", "md", "bcache"]) || !names(&self.path.join("slaves")).is_empty() {
            DiskKind::Stacked
        } else if starts(&["loop"]) {
            DiskKind::Loop
        } else if starts(&["nvme"]) {
            DiskKind::Nvme
        } else if starts(&["sd"]) {
            // The link says how it is attached: ../devices/pci0000:00/…/usb1/1-2/…/block/sdb
            let way = fs::canonicalize(&self.path).unwrap_or_default();
            let by_usb = way.iter().filter_map(|part| part.to_str()).any(is_usb_bus);
            if by_usb { DiskKind::Usb } else { DiskKind::Internal }
        } else if starts(&["vd", "xvd", "hd", "pmem"]) {
            DiskKind::Internal
        } else {
            DiskKind::Other
        }
    }

    /// Everything that stands on this disk, at any height, and who uses it.
    fn uses(&self, blocks: &BTreeMap<DeviceNumber, Block>, users: &Users<'_>) -> Vec<Use> {
        let mut uses = Vec::new();
        let mut on_it: BTreeMap<DeviceNumber, String> = BTreeMap::from([(self.number, self.name.clone())]);
        let mut waiting: Vec<String> = self.holders.clone();
        for part in &self.parts {
            on_it.insert(part.partition.number, part.partition.name.clone());
            waiting.extend(part.holders.iter().cloned());
        }
        let mut seen = BTreeSet::new();
        while let Some(holder) = waiting.pop().filter(|_| seen.len() < 4096) {
            if !seen.insert(holder.clone()) {
                continue;
            }
            uses.push(Use::Holder { name: holder.clone() });
            if let Some(block) = blocks.values().find(|block| block.name == holder) {
                on_it.insert(block.number, block.name.clone());
                waiting.extend(block.holders.iter().cloned());
                for part in &block.parts {
                    on_it.insert(part.partition.number, part.partition.name.clone());
                    waiting.extend(part.holders.iter().cloned());
                }
            }
        }
        for mount in &users.mounts {
            if let Some(name) = users.numbers(mount).into_iter().find_map(|number| on_it.get(&number)) {
                uses.push(Use::Mounted { name: name.clone(), at: mount.at.clone() });
            }
        }
        for group in &users.btrfs {
            if let Some(name) = on_it.values().find(|name| group.contains(name.as_str())) {
                let named = uses.iter().any(|it| matches!(it, Use::Mounted { name: there, .. } if there == name));
                // A member of a mounted btrfs that is not the one in mountinfo.
                if !named {
                    uses.push(Use::Holder { name: format!("btrfs on {name}") });
                }
            }
        }
        for swap in &users.swaps {
            if let Node::Block(number) = (users.node)(Path::new(swap))
                && let Some(name) = on_it.get(&number)
            {
                uses.push(Use::Swap { name: name.clone() });
            }
        }
        uses
    }
}

struct Users<'a> {
    mounts: Vec<Mount>,
    swaps: Vec<String>,
    /// The members of each btrfs that the kernel knows, by name.
    btrfs: Vec<BTreeSet<String>>,
    node: &'a dyn Fn(&Path) -> Node,
}

impl Users<'_> {
    /// The device of a mount; for a file system without one device also what it was mounted from.
    fn numbers(&self, mount: &Mount) -> Vec<DeviceNumber> {
        let mut numbers = vec![mount.number];
        if mount.number.major == 0
            && mount.source.starts_with('/')
            && let Node::Block(number) = (self.node)(Path::new(&mount.source))
        {
            numbers.push(number);
        }
        numbers
    }
}

fn btrfs_members(sys: &Path) -> Vec<BTreeSet<String>> {
    let all = sys.join("fs/btrfs");
    names(&all).into_iter().map(|id| names(&all.join(id).join("devices")).into_iter().collect()).collect()
}

fn is_usb_bus(part: &str) -> bool {
    part.strip_prefix("usb").is_some_and(|bus| !bus.is_empty() && bus.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The serial number of the USB device that a disk is in: the nearest one above it.
fn usb_serial(block: &Path) -> Option<String> {
    let way = fs::canonicalize(block.join("device")).ok()?;
    let device = way.ancestors().take(8).find(|above| above.join("idVendor").exists())?;
    text(device, "serial")
}

fn flag(at: &Path, name: &str) -> bool {
    text(at, name).as_deref() == Some("1")
}

fn text(at: &Path, name: &str) -> Option<String> {
    let bytes = fs::read(at.join(name)).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The names in a directory, sorted; none if there is none.
fn names(at: &Path) -> Vec<String> {
    let entries = fs::read_dir(at).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}
