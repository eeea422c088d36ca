//! Small card images in the formats that are published, made in a second and without a mount: what tells them apart, and
//! the files that provisioning reads. They do not boot.
//!
//! A test that needs them says `#[path = "support/golden.rs"] mod golden;`. Needs mke2fs, mkfs.vfat and mtools.
#![allow(dead_code, reason = "each test binary uses its part of this")]

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A published image format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Raspberry Pi OS Lite, bookworm: `firstrun.sh`, `custom.toml`, `init=…/firstboot`.
    Bookworm,
    /// Raspberry Pi OS Lite, trixie: cloud-init.
    Trixie,
    /// Debian's own image for the Pi.
    Debian,
    /// What `pikiosk image build` makes.
    Ours,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Bookworm, Self::Trixie, Self::Debian, Self::Ours];
}

/// How the two file systems are made.
#[derive(Debug, Clone)]
pub struct Layout {
    /// MiB of the FAT partition, which begins at 4 MiB.
    pub boot_mib: u64,
    /// MiB of the ext4 partition.
    pub root_mib: u64,
    /// Further arguments of mke2fs.
    pub ext4: Vec<&'static str>,
    /// Sectors in a cluster of the FAT file system, which is FAT32.
    pub cluster: u32,
}

impl Layout {
    /// As pi-gen makes images since 2026.
    pub fn pi_gen() -> Self {
        Self { boot_mib: 48, root_mib: 96, ext4: vec!["-O", "^huge_file,^64bit"], cluster: 1 }
    }

    /// With the defaults of bookworm's mke2fs.
    pub fn bookworm() -> Self {
        Self { ext4: vec![], ..Self::pi_gen() }
    }

    /// With the defaults of trixie's mke2fs, as far as this machine's knows them.
    pub fn trixie() -> Self {
        Self { ext4: vec!["-O", "orphan_file,metadata_csum_seed"], ..Self::pi_gen() }
    }

    /// Bytes from the start of the image.
    pub const BOOT_START: u64 = 4 << 20;

    pub fn boot_len(&self) -> u64 {
        self.boot_mib << 20
    }

    pub fn root_start(&self) -> u64 {
        Self::BOOT_START + self.boot_len()
    }

    pub fn root_len(&self) -> u64 {
        self.root_mib << 20
    }
}

/// An image file, gone with the value.
pub struct Golden {
    pub path: PathBuf,
    pub layout: Layout,
    pub folder: tempfile::TempDir,
}

/// Makes an image of this format, as its publisher lays it out.
pub fn image(format: Format) -> Golden {
    let layout = match format {
        Format::Bookworm | Format::Trixie => Layout::pi_gen(),
        Format::Debian => Layout { cluster: 1, ..Layout::bookworm() },
        Format::Ours => Layout::bookworm(),
    };
    image_with(format, layout)
}

/// Makes an image of this format in this layout.
pub fn image_with(format: Format, layout: Layout) -> Golden {
    let folder = tempfile::tempdir().expect("a folder for the image");
    let (boot, root) = (folder.path().join("boot"), folder.path().join("root"));
    fs::create_dir(&boot).expect("a folder");
    fs::create_dir(&root).expect("a folder");
    lay_down(format, &boot, &root);
    let path = folder.path().join("card.img");
    assemble(&path, &layout, labels(format), &boot, &root);
    Golden { path, layout, folder }
}

/// Makes an image of what is in two folders.
pub fn assemble(path: &Path, layout: &Layout, (boot_label, root_label): (&str, &str), boot: &Path, root: &Path) {
    let fat = path.with_extension("fat");
    let ext4 = path.with_extension("ext4");
    File::create(&fat).and_then(|file| file.set_len(layout.boot_len())).expect("room for a FAT file system");
    File::create(&ext4).and_then(|file| file.set_len(layout.root_len())).expect("room for an ext4 file system");
    let cluster = layout.cluster.to_string();
    run("mkfs.vfat", &["-F", "32", "-s", &cluster, "-i", "deadbeef", "-n", boot_label], &fat);
    let mut names: Vec<_> =
        fs::read_dir(boot).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    names.sort();
    for name in names {
        let name = name.to_str().expect("UTF-8").to_owned();
        let fat = fat.to_str().expect("UTF-8");
        done("mcopy", tool("mcopy").args(["-s", "-m", "-i", fat, &name, "::/"]));
    }
    let root = root.to_str().expect("UTF-8");
    let mut arguments = vec!["-q", "-t", "ext4", "-b", "4096", "-L", root_label, "-d", root];
    arguments.extend([
        "-U",
        "5c7b1d9e-2f3a-4a6b-8c8d-1e2f3a4b5c6d",
        "-E",
        "hash_seed=5c7b1d9e-2f3a-4a6b-8c8d-1e2f3a4b5c6d",
    ]);
    arguments.extend(&layout.ext4);
    run("mke2fs", &arguments, &ext4);

    let card = File::create(path).expect("the image opens");
    card.set_len(layout.root_start() + layout.root_len()).expect("room for the image");
    card.write_all_at(&mbr(layout), 0).expect("the table is written");
    for (part, start) in [(&fat, Layout::BOOT_START), (&ext4, layout.root_start())] {
        copy_sparse(part, &card, start);
        fs::remove_file(part).expect("the part is gone");
    }
}

/// A partition table with a bootable FAT32 and a Linux partition, and the disk signature that `PARTUUID` names.
fn mbr(layout: &Layout) -> [u8; 512] {
    let mut sector = [0; 512];
    sector[440..444].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
    let entries = [(0x0c, Layout::BOOT_START, layout.boot_len()), (0x83, layout.root_start(), layout.root_len())];
    for (index, (kind, start, len)) in entries.into_iter().enumerate() {
        let entry = &mut sector[446 + 16 * index..][..16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&u32::try_from(start / 512).expect("a small image").to_le_bytes());
        entry[12..16].copy_from_slice(&u32::try_from(len / 512).expect("a small image").to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

fn copy_sparse(from: &Path, to: &File, start: u64) {
    let mut from = File::open(from).expect("the part opens");
    let mut piece = vec![0; 64 << 10];
    let mut offset = 0;
    loop {
        let len = from.read(&mut piece).expect("the part is read");
        if len == 0 {
            return;
        }
        if piece[..len].iter().any(|byte| *byte != 0) {
            to.write_all_at(&piece[..len], start + offset).expect("the image is written");
        }
        offset += len as u64;
    }
}

fn labels(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Debian => ("RASPIFIRM", "RASPIROOT"),
        Format::Bookworm | Format::Trixie | Format::Ours => ("bootfs", "rootfs"),
    }
}

const CMDLINE: &str =
    "console=serial0,115200 console=tty1 root=PARTUUID=deadbeef-02 rootfstype=ext4 fsck.repair=yes rootwait";

fn lay_down(format: Format, boot: &Path, root: &Path) {
    let put = |folder: &Path, path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a path has a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    for folder in [
        "boot/firmware",
        "dev",
        "home",
        "proc",
        "run",
        "sys",
        "tmp",
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "var/lib/dpkg",
        "opt",
        "etc/systemd/system",
        "root",
    ] {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a mode");
    fs::set_permissions(root.join("root"), fs::Permissions::from_mode(0o700)).expect("a mode");
    for name in ["bin", "sbin", "lib"] {
        symlink(format!("usr/{name}"), root.join(name)).expect("a link");
    }
    symlink("../usr/lib/os-release", root.join("etc/os-release")).expect("a link");
    put(root, "etc/hostname", if format == Format::Debian { "rpi_3\n" } else { "raspberrypi\n" });
    put(root, "etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n\n127.0.1.1\traspberrypi\n");
    put(root, "etc/passwd", "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n");
    put(root, "etc/group", "root:x:0:\ndaemon:x:1:\ntty:x:5:\naudio:x:29:\nvideo:x:44:\ninput:x:995:\nrender:x:993:\n");
    put(root, "etc/shadow", "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n");
    put(root, "etc/gshadow", "root:*::\ndaemon:*::\ntty:*::\naudio:*::\nvideo:*::\ninput:!::\nrender:!::\n");
    fs::set_permissions(root.join("etc/shadow"), fs::Permissions::from_mode(0o640)).expect("a mode");
    put(
        root,
        "var/lib/dpkg/status",
        "Package: base-files\nStatus: install ok installed\nArchitecture: arm64\nVersion: 12.4\n\n",
    );
    put(
        boot,
        "config.txt",
        "# For more options and information see\n# http://rptl.io/configtxt\ndtparam=audio=on\ndtoverlay=vc4-kms-v3d\n\n[all]\n",
    );
    put(boot, "overlays/README", "Overlays are here.\n");
    put(boot, "kernel8.img", &"kernel".repeat(20_000));
    let (version, codename) = match format {
        Format::Bookworm => ("12", "bookworm"),
        Format::Trixie | Format::Debian | Format::Ours => ("13", "trixie"),
    };
    put(
        root,
        "usr/lib/os-release",
        &format!(
            "PRETTY_NAME=\"Debian GNU/Linux {version} ({codename})\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"{version}\"\nVERSION_CODENAME={codename}\nID=debian\n"
        ),
    );
    put(root, "etc/debian_version", &format!("{version}.1\n"));
    let fstab = |boot: &str, root: &str| {
        format!(
            "proc            /proc           proc    defaults          0       0\n{boot}  /boot/firmware  vfat    defaults          0       2\n{root}  /               ext4    defaults,noatime  0       1\n"
        )
    };
    let by_part = fstab("PARTUUID=deadbeef-01", "PARTUUID=deadbeef-02");
    match format {
        Format::Bookworm => {
            let issue = "Raspberry Pi reference 2025-05-13\nGenerated using pi-gen, https://github.com/RPi-Distro/pi-gen, 0123456789abcdef0123456789abcdef01234567, stage2\n";
            put(root, "etc/rpi-issue", issue);
            put(boot, "issue.txt", issue);
            put(root, "etc/fstab", &by_part);
            put(boot, "cmdline.txt", &format!("{CMDLINE} quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n"));
            put(root, "usr/lib/raspberrypi-sys-mods/firstboot", "#!/bin/sh\n");
            put(root, "usr/lib/raspberrypi-sys-mods/imager_custom", "#!/bin/sh\n");
            put(root, "usr/lib/userconf-pi/userconf", "#!/bin/sh\n");
        }
        Format::Trixie => {
            let issue = "Raspberry Pi reference 2025-12-04\nGenerated using pi-gen, https://github.com/RPi-Distro/pi-gen, 0123456789abcdef0123456789abcdef01234567, stage2\n";
            put(root, "etc/rpi-issue", issue);
            put(boot, "issue.txt", issue);
            put(root, "etc/fstab", &by_part);
            put(boot, "cmdline.txt", &format!("{CMDLINE} resize ds=nocloud;i=rpi-imager-1764806400\n"));
            put(
                boot,
                "meta-data",
                "# This is the meta-data configuration file for cloud-init.\n\ninstance-id: rpios-image\n",
            );
            put(boot, "user-data", "#cloud-config\n# See https://cloudinit.readthedocs.io/\n#hostname: raspberrypi\n");
            put(boot, "network-config", "# This file contains a netplan-compatible configuration\n");
            put(root, "etc/cloud/cloud.cfg", "users:\n  - default\ndatasource_list: [NoCloud, None]\n");
        }
        Format::Debian => {
            put(root, "etc/fstab", &fstab("LABEL=RASPIFIRM", "LABEL=RASPIROOT"));
            put(
                boot,
                "cmdline.txt",
                "console=tty0 console=ttyS1,115200 root=LABEL=RASPIROOT rw fsck.repair=yes net.ifnames=0 rootwait\n",
            );
            put(
                boot,
                "sysconf.txt",
                "# This file will be automatically evaluated and installed at next boot time\n#root_pw=FIXME\n",
            );
            put(root, "usr/local/sbin/rpi-set-sysconf", "#!/usr/bin/perl\n");
        }
        Format::Ours => {
            put(root, "etc/fstab", &fstab("LABEL=bootfs", "LABEL=rootfs"));
            put(boot, "cmdline.txt", "console=tty1 root=LABEL=rootfs rootfstype=ext4 rootwait quiet\n");
            put(root, "usr/bin/pikiosk", "\u{7f}ELF and so on\n");
            fs::create_dir_all(root.join("etc/pikiosk")).expect("a folder");
            fs::create_dir_all(root.join("var/lib/pikiosk")).expect("a folder");
            fs::create_dir_all(root.join("etc/systemd/network")).expect("a folder");
        }
    }
}

/// A tool that may be in /usr/sbin, which is not in everybody's PATH.
pub fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("MTOOLS_SKIP_CHECK", "1");
    // The same image whenever it is made.
    command.env("E2FSPROGS_FAKE_TIME", "1764806400").env("SOURCE_DATE_EPOCH", "1764806400").stdin(Stdio::null());
    command
}

fn run(name: &str, arguments: &[&str], last: &Path) {
    done(name, tool(name).args(arguments).arg(last));
}

fn done(name: &str, command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    assert!(output.status.success(), "{name} says: {}", said(&output));
}

/// What a tool wrote, both streams.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Copies a partition out of an image, for tools that know no offsets.
pub fn part(image: &Path, start: u64, len: u64, to: &Path) {
    let mut from = File::open(image).expect("the image opens");
    from.seek(SeekFrom::Start(start)).expect("the partition is inside");
    let mut out = File::create(to).expect("a file");
    let copied = std::io::copy(&mut from.take(len), &mut out).expect("the partition is read");
    assert_eq!(copied, len, "the partition is whole");
    out.flush().expect("a file");
}

/// `e2fsck -fn` finds nothing to do in the partition at `start` of an image.
#[track_caller]
pub fn assert_ext4_clean(image: &Path, start: u64) {
    let at = format!("{}?offset={start}", image.display());
    let output = tool("e2fsck").args(["-f", "-n", &at]).output().expect("e2fsck runs");
    assert!(output.status.success(), "e2fsck found faults:\n{}", said(&output));
}

/// `fsck.vfat -n` finds nothing to do in the partition at `start` of an image.
#[track_caller]
pub fn assert_fat_clean(image: &Path, start: u64, len: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let fat = folder.path().join("fat");
    part(image, start, len, &fat);
    let output = tool("fsck.vfat").args(["-n", "-v"]).arg(&fat).output().expect("fsck.vfat runs");
    let says = said(&output);
    assert!(output.status.success(), "fsck.vfat found faults:\n{says}");
    for bad in ["Dirty bit", "differ", "Reclaim", "Orphan", "wrong", "Bad", "nvalid"] {
        assert!(!says.contains(bad), "fsck.vfat found faults:\n{says}");
    }
}
