use std::path::Path;

use super::*;
use crate::io::system::memory::Memory;
use crate::io::system::{Owner, System};

fn kernel() -> Vec<u8> {
    let mut kernel = vec![0; 64];
    kernel[56..60].copy_from_slice(b"ARMd");
    kernel
}

fn names() -> Names {
    Names { disk: 0x1a2b_3c4d, root: 2, root_label: "rootfs".into(), root_uuid: "aa-bb".into() }
}

/// A boot partition as Debian's packages make it.
fn debian() -> Memory {
    let mut system = Memory::default();
    system.make_dir(Path::new("/boot"), 0o755, Owner::ROOT).unwrap();
    system.make_dir(Path::new("/boot/firmware"), 0o755, Owner::ROOT).unwrap();
    for name in ["bootcode.bin", "start.elf", "fixup.dat", "initrd.img-6.12", "bcm2837-rpi-3-b.dtb"] {
        put(&mut system, name, b"x");
    }
    put(&mut system, "vmlinuz-6.12", &kernel());
    put(&mut system, "config.txt", b"arm_64bit=1\nupstream_kernel=1\nkernel=vmlinuz-6.12\ninitramfs initrd.img-6.12\n");
    put(&mut system, "cmdline.txt", b"console=tty0 root=LABEL=rootfs rw rootwait\n");
    system
}

fn put(system: &mut Memory, name: &str, bytes: &[u8]) {
    system.write(&Path::new("/boot/firmware").join(name), bytes, 0o755, Owner::ROOT).unwrap();
}

/// What is wrong, in the words that a person sees.
fn wrong(system: &Memory) -> Vec<String> {
    let checks = checks(system, Path::new("/boot/firmware"), &names()).unwrap();
    assert!(checks.iter().all(|check| !check.says.is_empty()));
    checks.into_iter().filter(|check| !check.ok).map(|check| check.says).collect()
}

#[test]
fn debians_boot_files_start_a_pi_3() {
    assert_eq!(wrong(&debian()), [""; 0]);
}

#[test]
fn raspberry_pi_os_starts_a_pi_3_with_its_packed_kernel_and_no_initramfs() {
    let mut system = debian();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &kernel()).unwrap();
    put(&mut system, "kernel8.img", &packed.finish().unwrap());
    put(&mut system, "bcm2710-rpi-3-b.dtb", b"x");
    put(&mut system, "config.txt", b"[pi4]\nkernel=other.img\n[all]\n");
    put(&mut system, "cmdline.txt", b"root=PARTUUID=1A2B3C4D-02 rootwait\n");
    assert_eq!(wrong(&system), [""; 0]);
    put(&mut system, "cmdline.txt", b"root=LABEL=rootfs rootwait\n");
    assert_eq!(
        wrong(&system),
        ["cmdline.txt names the root by its file system, which needs an initramfs, and there is none"]
    );
}

#[test]
fn each_thing_that_would_keep_a_pi_3_from_starting_is_named() {
    let mut system = debian();
    system.remove(Path::new("/boot/firmware/start.elf")).unwrap();
    system.remove(Path::new("/boot/firmware/initrd.img-6.12")).unwrap();
    system.remove(Path::new("/boot/firmware/bcm2837-rpi-3-b.dtb")).unwrap();
    put(&mut system, "vmlinuz-6.12", b"MZ of another machine");
    put(&mut system, "cmdline.txt", b"root=/dev/mmcblk0p1\nroot=LABEL=rootfs\n");
    assert_eq!(
        wrong(&system),
        [
            "the boot firmware of a Pi 3 lacks start.elf",
            "vmlinuz-6.12 is no kernel for arm64",
            "config.txt names initrd.img-6.12, which is not there",
            "bcm2837-rpi-3-b.dtb, the device tree of a Pi 3, is not there",
            "cmdline.txt looks for the root on partition 1, but it is on 2",
        ]
    );
}

#[test]
fn a_64_bit_kernel_without_the_switch_to_64_bits_does_not_start() {
    let mut system = debian();
    put(&mut system, "config.txt", b"upstream_kernel=1\nkernel=vmlinuz-6.12\ninitramfs initrd.img-6.12\n");
    assert_eq!(wrong(&system), ["config.txt does not switch to 64 bits (arm_64bit=1), which vmlinuz-6.12 needs"]);
}
