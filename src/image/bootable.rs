//! Would a Pi 3 start from it? What its boot code, its firmware and the kernel look for, looked for in an image.
//!
//! An emulator starts the kernel by itself and never reads `config.txt`; this is the only check of that half.

use std::io::{self, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use serde::Serialize;

use super::firmware::{Config, Root};
use crate::io::system::{Kind, Observe};

/// Names of the disk and of its partitions, by which a kernel may be told to find its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// The disk's number in its MBR.
    pub disk: u32,
    /// The root's number, from 1.
    pub root: u32,
    pub root_label: String,
    /// With dashes, small letters.
    pub root_uuid: String,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Whether it is as a Pi 3 needs it.
    pub ok: bool,
    /// What was found, in words.
    pub says: String,
}

/// Looks at a boot partition, mounted at `boot` in this system.
pub fn checks(system: &dyn Observe, boot: &Path, names: &Names) -> io::Result<Vec<Check>> {
    let mut checks = Vec::new();
    let mut check = |ok: bool, good: String, bad: String| checks.push(Check { ok, says: if ok { good } else { bad } });
    let there = |name: &str| -> io::Result<bool> {
        Ok(matches!(system.stat(&boot.join(name))?, Some(stat) if matches!(stat.kind, Kind::File { len } if len > 0)))
    };

    let mut missing = Vec::new();
    for name in ["bootcode.bin", "start.elf", "fixup.dat"] {
        if !there(name)? {
            missing.push(name);
        }
    }
    check(
        missing.is_empty(),
        "the boot firmware of a Pi 3 is there".to_owned(),
        format!("the boot firmware of a Pi 3 lacks {}", missing.join(", ")),
    );

    let config = Config::read(&text(system, &boot.join("config.txt"))?.unwrap_or_default());
    let prefixed = |name: &str| format!("{}{name}", config.os_prefix);

    // Without a name the firmware looks for a 64-bit kernel first, unless told not to.
    let kernel = match &config.kernel {
        Some(kernel) => prefixed(kernel),
        None => prefixed("kernel8.img"),
    };
    if there(&kernel)? {
        let arm64 = is_arm64(&system.read(&boot.join(&kernel))?);
        // A kernel8.img says by its name what it is; any other name needs the setting.
        let switched = config.arm_64bit.unwrap_or(kernel.ends_with("kernel8.img"));
        check(
            arm64 && switched,
            format!("the kernel is {kernel}, for arm64"),
            if arm64 {
                format!("config.txt does not switch to 64 bits (arm_64bit=1), which {kernel} needs")
            } else {
                format!("{kernel} is no kernel for arm64")
            },
        );
    } else {
        check(false, String::new(), format!("the kernel, {kernel}, is not on the boot partition"));
    }
    if let Some(initramfs) = &config.initramfs {
        let initramfs = prefixed(initramfs);
        let ok = there(&initramfs)?;
        check(ok, format!("the initramfs is {initramfs}"), format!("config.txt names {initramfs}, which is not there"));
    }

    let tree = config.device_tree.clone().unwrap_or_else(|| {
        if config.upstream_kernel { "bcm2837-rpi-3-b.dtb" } else { "bcm2710-rpi-3-b.dtb" }.to_owned()
    });
    let tree = prefixed(&tree);
    let ok = there(&tree)?;
    check(ok, format!("the device tree is {tree}"), format!("{tree}, the device tree of a Pi 3, is not there"));

    let name = prefixed(&config.cmdline);
    match text(system, &boot.join(&name))? {
        None => check(false, String::new(), format!("{name} is not there: the kernel would not know its root")),
        Some(cmdline) => {
            // The firmware takes the first line only.
            let (ok, says) = root(cmdline.lines().next().unwrap_or_default(), names, config.initramfs.is_some());
            check(ok, format!("{name} {says}"), format!("{name} {says}"));
        }
    }
    Ok(checks)
}

fn root(cmdline: &str, names: &Names, initramfs: bool) -> (bool, String) {
    let partition = format!("{:08x}-{:02x}", names.disk, names.root);
    match Root::of(cmdline) {
        None => (false, "names no root".to_owned()),
        // A kernel alone knows partitions, not what is in them.
        Some(Root::Label(_) | Root::Uuid(_)) if !initramfs => {
            (false, "names the root by its file system, which needs an initramfs, and there is none".to_owned())
        }
        Some(Root::Label(label)) if label == names.root_label => {
            (true, format!("finds the root by its label, {label}"))
        }
        Some(Root::Label(label)) => {
            (false, format!("looks for a root labelled {label}, but the root is labelled {}", names.root_label))
        }
        Some(Root::Uuid(uuid)) if uuid == names.root_uuid => (true, "finds the root by its UUID".to_owned()),
        Some(Root::Uuid(uuid)) => (false, format!("looks for a root with UUID {uuid}, but it has {}", names.root_uuid)),
        Some(Root::PartUuid(wanted)) if wanted == partition => (true, "finds the root by its partition".to_owned()),
        Some(Root::PartUuid(wanted)) => (false, format!("looks for partition {wanted}, but the root is {partition}")),
        Some(Root::Partition(number)) if number == names.root => {
            (true, format!("finds the root as partition {number}"))
        }
        Some(Root::Partition(number)) => {
            (false, format!("looks for the root on partition {number}, but it is on {}", names.root))
        }
        Some(Root::Other(value)) => (false, format!("looks for the root at {value}, which no Pi 3 has")),
    }
}

/// A kernel image for arm64, as it is or packed by gzip, as Raspberry Pi OS does. Source: Linux,
/// Documentation/arch/arm64/booting.rst ("ARM\x64" at byte 56).
fn is_arm64(kernel: &[u8]) -> bool {
    let mut head = [0; 60];
    let read = if kernel.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(kernel).read_exact(&mut head)
    } else {
        (&mut &*kernel).read_exact(&mut head)
    };
    read.is_ok() && &head[56..] == b"ARMd"
}

fn text(system: &dyn Observe, path: &Path) -> io::Result<Option<String>> {
    match system.stat(path)? {
        Some(stat) if matches!(stat.kind, Kind::File { .. }) => {
            Ok(Some(String::from_utf8_lossy(&system.read(path)?).into_owned()))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
