//! A machine with everything in it that was ever written over by mistake.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::*;

const GB: u64 = 1_000_000_000;

/// A picture of /sys, /proc and the nodes of /dev.
struct Picture {
    root: tempfile::TempDir,
    nodes: BTreeMap<PathBuf, DeviceNumber>,
    mountinfo: String,
    swaps: String,
}

impl Picture {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/block")).unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        let swaps = "Filename\tType\tSize\tUsed\tPriority\n".to_owned();
        Self { root, nodes: BTreeMap::new(), mountinfo: String::new(), swaps }
    }

    /// A disk at the end of a way through the devices: `pci0000:00/usb1/1-2`.
    fn disk(&mut self, way: &str, name: &str, number: &str, size: u64, attributes: &[(&str, &str)]) -> &mut Self {
        let at = self.root.path().join("sys/devices").join(way).join("block").join(name);
        for directory in ["holders", "slaves", "queue", "device"] {
            fs::create_dir_all(at.join(directory)).unwrap();
        }
        write(&at.join("dev"), number);
        write(&at.join("size"), &(size / 512).to_string());
        write(&at.join("queue/max_sectors_kb"), "512");
        for (attribute, value) in [("removable", "0"), ("ro", "0")].iter().chain(attributes) {
            write(&at.join(attribute), value);
        }
        symlink(&at, self.root.path().join("sys/block").join(name)).unwrap();
        self.node(&format!("/dev/{}", name.replace('!', "/")), number)
    }

    fn part(&mut self, disk: &str, name: &str, number: &str) -> &mut Self {
        let at = self.root.path().join("sys/block").join(disk).join(name);
        fs::create_dir_all(at.join("holders")).unwrap();
        for (attribute, value) in [("dev", number), ("size", "2048"), ("partition", "1")] {
            write(&at.join(attribute), value);
        }
        self.node(&format!("/dev/{name}"), number)
    }

    fn holds(&mut self, below: &str, holder: &str) -> &mut Self {
        write(&self.root.path().join("sys/block").join(below).join("holders").join(holder), "");
        let below = below.rsplit('/').next().unwrap();
        write(&self.root.path().join("sys/block").join(holder).join("slaves").join(below), "");
        self
    }

    fn node(&mut self, path: &str, number: &str) -> &mut Self {
        self.nodes.insert(path.into(), number.parse().unwrap());
        self
    }

    fn mount(&mut self, number: &str, source: &str, at: &str) -> &mut Self {
        self.mountinfo += &format!("36 35 {number} / {at} rw,noatime shared:1 - ext4 {source} rw\n");
        self
    }

    fn swap(&mut self, path: &str) -> &mut Self {
        self.swaps += &format!("{path}\tpartition\t1\t0\t-2\n");
        self
    }

    fn nodes(&self) -> impl Fn(&Path) -> Node + '_ {
        |path| self.nodes.get(path).map_or(Node::Missing, |number| Node::Block(*number))
    }

    fn machine(&self) -> Machine {
        write(&self.root.path().join("proc/self/mountinfo"), &self.mountinfo);
        write(&self.root.path().join("proc/swaps"), &self.swaps);
        observe(self.root.path(), &self.nodes()).unwrap()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("{text}\n")).unwrap();
}

const USB: &str = "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0";
const SATA: &str = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0";
const SD: (&str, &str) = ("device/type", "SD");
const MMC: (&str, &str) = ("device/type", "MMC");
const REMOVABLE: (&str, &str) = ("removable", "1");

/// Every disk of the picture with what the answer must be: `safe`, or a word of the first reason.
fn everything(picture: &mut Picture) -> Vec<(&'static str, &'static str)> {
    let mut expected = Vec::new();
    let mut minor = 0;
    let mut number = || {
        minor += 16;
        format!("{}:{}", 8 + minor / 4096, minor % 4096)
    };
    let mut add = |picture: &mut Picture, way: &str, name: &'static str, size, attributes: &[_], expect| {
        let number = number();
        picture.disk(&format!("{way}/of-{name}"), name, &number, size, attributes);
        expected.push((name, expect));
        number
    };
    // Cards and sticks.
    let sd = add(picture, "soc/mmc0", "mmcblk0", 32 * GB, &[SD, ("device/cid", "0353445344333247")], "safe");
    add(picture, "soc/mmc1", "mmcblk1", 64 * GB, &[MMC], "eMMC");
    add(picture, "soc/mmc1", "mmcblk1boot0", 4_194_304, &[MMC], "no card and no USB stick");
    add(picture, "soc/mmc1", "mmcblk1boot1", 4_194_304, &[SD], "no card and no USB stick");
    add(picture, "soc/mmc2", "mmcblk2", 32 * GB, &[], "no card and no USB stick");
    add(picture, "soc/mmc3", "mmcblk3", 32 * GB, &[("device/type", "SDIO")], "no card and no USB stick");
    add(picture, "soc/mmc4", "mmcblk4", 32 * GB, &[SD, ("ro", "1")], "write-protected");
    add(picture, "soc/mmc5", "mmcblk5", 0, &[SD], "no card in it");
    add(picture, "soc/mmc6", "mmcblk6", 2 * GB, &[SD], "smaller");
    add(picture, "soc/mmc7", "mmcblk7", 1024 * GB, &[SD], "larger");
    let stick = add(
        picture,
        USB,
        "sdb",
        16 * GB,
        &[REMOVABLE, ("device/vendor", "Generic-"), ("device/model", "SD/MMC")],
        "safe",
    );
    add(picture, USB, "sdc", 0, &[REMOVABLE], "no card in it");
    add(picture, USB, "sdd", 16 * GB, &[], "not removable");
    add(picture, USB, "sde", 4000 * GB, &[REMOVABLE], "larger");
    add(picture, USB, "sdf", 16 * GB, &[REMOVABLE, ("ro", "1")], "write-protected");
    // Names that begin alike.
    let sda = add(picture, SATA, "sda", 500 * GB, &[], "runs from it");
    let sdaa = add(picture, USB, "sdaa", 32 * GB, &[REMOVABLE], "safe");
    add(picture, SATA, "sdab", 32 * GB, &[REMOVABLE], "internal");
    add(picture, "pci0000:00/usbish0/ata9", "sdac", 32 * GB, &[REMOVABLE], "internal");
    // Other buses.
    let nvme = add(picture, "pci0000:00/nvme/nvme0", "nvme0n1", 256 * GB, &[], "in use at /data");
    add(picture, "pci0000:00/nvme/nvme1", "nvme1n1", 256 * GB, &[REMOVABLE], "internal");
    add(picture, "pci0000:00/virtio1", "vda", 20 * GB, &[], "internal");
    add(picture, "vbd-51712", "xvda", 20 * GB, &[REMOVABLE], "internal");
    add(picture, "virtual", "loop0", 20 * GB, &[], "loop device");
    add(picture, "virtual", "loop1", 20 * GB, &[REMOVABLE], "loop device");
    add(picture, "virtual", "zram0", 20 * GB, &[REMOVABLE], "no card and no USB stick");
    add(picture, "virtual", "ram0", 20 * GB, &[], "no card and no USB stick");
    add(picture, "virtual", "nbd0", 20 * GB, &[], "no card and no USB stick");
    add(picture, USB, "sr0", 20 * GB, &[REMOVABLE], "no card and no USB stick");
    add(picture, USB, "fd0", 20 * GB, &[REMOVABLE], "no card and no USB stick");
    add(picture, "soc/spi", "mtdblock0", 20 * GB, &[], "no card and no USB stick");
    add(picture, "pci0000:00/cciss0", "cciss!c0d0", 20 * GB, &[], "no card and no USB stick");
    // What stands on others, and what it stands on.
    let crypt = add(picture, "virtual", "dm-0", 400 * GB, &[], "runs from it");
    add(picture, "virtual", "dm-1", 32 * GB, &[REMOVABLE], "stands on it");
    let home = add(picture, "virtual", "dm-2", 32 * GB, &[], "runs from it");
    add(picture, "virtual", "md0", 32 * GB, &[], "made from other disks");
    add(picture, "virtual", "md127", 32 * GB, &[REMOVABLE], "made from other disks");
    add(picture, "virtual", "bcache0", 32 * GB, &[], "made from other disks");
    add(picture, USB, "sdg", 32 * GB, &[REMOVABLE], "runs from it"); // its LVM holds /home
    add(picture, USB, "sdh", 32 * GB, &[REMOVABLE], "stands on it"); // a RAID member
    add(picture, USB, "sdi", 32 * GB, &[REMOVABLE], "stands on it"); // the whole disk is in a bcache
    // In use one way or another.
    let boot = add(picture, "soc/mmc8", "mmcblk8", 32 * GB, &[SD], "runs from it");
    let media = add(picture, USB, "sdj", 32 * GB, &[REMOVABLE], "safe"); // only under /media
    let mounted = add(picture, USB, "sdk", 32 * GB, &[REMOVABLE], "in use at /mnt/backup");
    let swapped = add(picture, USB, "sdl", 32 * GB, &[REMOVABLE], "swaps to it");
    let whole = add(picture, USB, "sdm", 32 * GB, &[REMOVABLE], "in use at /srvice");
    add(picture, USB, "sdn", 32 * GB, &[REMOVABLE], "runs from it"); // a btrfs without a number of its own
    add(picture, USB, "sdo", 32 * GB, &[REMOVABLE], "stands on it"); // the other disk of that btrfs
    let odd = add(picture, USB, "sdp", 32 * GB, &[REMOVABLE], "in use at /mediaserver/x");
    let bind = add(picture, USB, "sdq", 32 * GB, &[REMOVABLE], "runs from it"); // at /media and, bound, at /var/lib

    for (disk, number, parts) in [
        ("mmcblk0", sd, &["mmcblk0p1"][..]),
        ("sda", sda, &["sda1", "sda2"]),
        ("nvme0n1", nvme, &["nvme0n1p1"]),
        ("sdaa", sdaa, &["sdaa1"]),
        ("mmcblk8", boot, &["mmcblk8p1", "mmcblk8p2"]),
        ("sdj", media, &["sdj1", "sdj2"]),
        ("sdk", mounted, &["sdk1"]),
        ("sdl", swapped, &["sdl5"]),
        ("sdp", odd, &["sdp1"]),
        ("sdq", bind, &["sdq1"]),
    ] {
        let number: DeviceNumber = number.parse().unwrap();
        for (part, name) in parts.iter().enumerate() {
            picture.part(disk, name, &format!("{}:{}", number.major, number.minor + 1 + part as u64));
        }
    }
    picture.part("sdg", "sdg1", "259:1").part("sdh", "sdh1", "259:2").part("sdn", "sdn1", "259:3");
    picture.part("sdo", "sdo1", "259:4");
    picture.holds("sda/sda2", "dm-0").mount(&crypt, "/dev/mapper/root", "/");
    picture.holds("dm-1", "dm-2").holds("sdg/sdg1", "dm-1").mount(&home, "/dev/mapper/vg-home", "/home/ann");
    picture.holds("sdh/sdh1", "md0").holds("sdi", "bcache0");
    let nodes = picture.nodes.clone();
    let part = |disk: &str, plus: u64| {
        let number = nodes[Path::new(&format!("/dev/{disk}"))];
        format!("{}:{}", number.major, number.minor + plus)
    };
    let mounts = [
        (part("mmcblk8", 1), "/dev/mmcblk8p1", "/boot/firmware"),
        (part("nvme0n1", 1), "/dev/nvme0n1p1", "/data"),
        (part("sdj", 1), "/dev/sdj1", "/media/ann/bootfs"),
        (part("sdj", 2), "/dev/sdj2", "/run/media/ann/root\\040fs"),
        (part("sdk", 1), "/dev/sdk1", "/mnt/backup"),
        (whole, "/dev/sdm", "/srvice"),
        ("0:47".to_owned(), "/dev/disk/by-id/usb-pool-part1", "/var"),
        ("0:48".to_owned(), "overlay", "/overlay"),
        (part("sdp", 1), "/dev/sdp1", "/mediaserver/x"),
        (part("sdq", 1), "/dev/sdq1", "/media/ann/q"),
        (part("sdq", 1), "/dev/sdq1", "/var/lib/q"),
    ];
    for (number, source, at) in mounts {
        picture.mount(&number, source, at);
    }
    picture.node("/dev/disk/by-id/usb-pool-part1", "259:3");
    for member in ["sdn1", "sdo1"] {
        let at = picture.root.path().join("sys/fs/btrfs/0a0a/devices").join(member);
        write(&at, "");
    }
    picture.node("/dev/disk/by-partlabel/swap", &part("sdl", 1)).swap("/dev/disk/by-partlabel/swap");
    picture.swap("/swapfile");
    picture.node("/dev/disk/by-id/usb-Generic-0:0", &stick).node("/dev/disk/by-id/ata-root", &part("sda", 0));
    picture.node("/dev/disk/by-id/ata-root-part2", &part("sda", 2)).node("/dev/disk/by-path/gone", "240:0");
    expected
}

#[test]
fn of_fifty_disks_only_unused_cards_and_sticks_are_safe() {
    let mut picture = Picture::new();
    let expected = everything(&mut picture);
    assert!(expected.len() >= 50, "{}", expected.len());
    let machine = picture.machine();
    assert_eq!(machine.disks.len(), expected.len());
    let mut wrong = Vec::new();
    for (name, expect) in expected {
        let disk = machine.disks.iter().find(|disk| disk.name == name).unwrap();
        let against = judge(disk, Rules::default());
        let said = against.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let right = if expect == "safe" { against.is_empty() } else { said.contains(expect) };
        if !right {
            wrong.push(format!("{name}: expected {expect:?}, was told {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_flag_makes_a_disk_in_use_or_a_built_in_disk_safe() {
    let mut picture = Picture::new();
    everything(&mut picture);
    let all = Rules { any_size: true, loops: true, needed: 0 };
    let machine = picture.machine();
    let safe = machine.disks.iter().filter(|disk| judge(disk, all).is_empty()).map(|disk| disk.name.as_str());
    let mut safe: Vec<_> = safe.collect();
    safe.sort_unstable();
    let expected = ["loop0", "loop1", "mmcblk0", "mmcblk6", "mmcblk7", "sdaa", "sdb", "sde", "sdj"];
    assert_eq!(safe, expected);
}

#[test]
fn a_link_and_a_name_that_begins_alike_lead_to_the_disk_that_they_name() {
    let mut picture = Picture::new();
    everything(&mut picture);
    let machine = picture.machine();
    let disk_of = |path: &str| match target(Path::new(path), &machine, &picture.nodes()) {
        Ok(Target::Disk(disk)) => disk.name,
        other => format!("{other:?}"),
    };
    assert_eq!(disk_of("/dev/disk/by-id/usb-Generic-0:0"), "sdb");
    assert_eq!(disk_of("/dev/disk/by-id/ata-root"), "sda");
    assert_eq!(disk_of("/dev/sdaa"), "sdaa");
    let refused = |path: &str| target(Path::new(path), &machine, &picture.nodes()).unwrap_err();
    assert_eq!(refused("/dev/sdaa1"), TargetError::Partition { disk: "/dev/sdaa".to_owned() });
    assert_eq!(refused("/dev/disk/by-id/ata-root-part2"), TargetError::Partition { disk: "/dev/sda".to_owned() });
    assert_eq!(refused("/dev/sdz"), TargetError::Missing);
    assert!(matches!(refused("/dev/disk/by-path/gone"), TargetError::Unknown { .. }));
    let file = target(Path::new("card.img"), &machine, &picture.nodes());
    assert_eq!(file, Ok(Target::File("card.img".into())));
}

#[test]
fn mounts_of_a_desktop_may_be_taken_away_and_no_others() {
    let mut picture = Picture::new();
    everything(&mut picture);
    let machine = picture.machine();
    let mounts = |name: &str| {
        let disk = machine.disks.iter().find(|disk| disk.name == name).unwrap();
        polite_mounts(disk).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(mounts("sdj"), ["/media/ann/bootfs", "/run/media/ann/root fs"]);
    assert_eq!(mounts("sdk"), [] as [&str; 0]);
}

#[test]
fn an_image_that_does_not_fit_is_refused_before_anything_is_written() {
    let mut picture = Picture::new();
    picture.disk("soc/mmc0", "mmcblk0", "179:0", 8 * GB, &[SD]);
    let machine = picture.machine();
    let disk = &machine.disks[0];
    assert_eq!(judge(disk, Rules { needed: 8 * GB, ..Rules::default() }), []);
    let against = judge(disk, Rules { needed: 8 * GB + 512, ..Rules::default() });
    assert_eq!(against[0].to_string(), "the image needs 8.0 GB and it has 8.0 GB");
}

#[test]
fn another_card_in_the_same_slot_is_another_identity() {
    let identity = |cid: &str| {
        let mut picture = Picture::new();
        picture.disk("soc/mmc0", "mmcblk0", "179:0", 32 * GB, &[SD, ("device/cid", cid), ("diskseq", "9")]);
        picture.machine().disks[0].identity.clone()
    };
    assert_ne!(identity("0353445344333247"), identity("1b534d4547423153"));
    assert_eq!(identity("0353445344333247").sequence, Some(9));
}
