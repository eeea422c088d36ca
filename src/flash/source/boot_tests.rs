use std::io::{Cursor, Write};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::io::aligned::AlignedBuffer;

const MIB: u64 = 1 << 20;

fn pieces(image: &[u8]) -> VecDeque<Chunk> {
    image
        .chunks(CHUNK)
        .enumerate()
        .map(|(number, bytes)| Chunk {
            offset: (number * CHUNK) as u64,
            bytes: Arc::new(AlignedBuffer::copy_of(bytes)),
        })
        .collect()
}

fn judged(image: &[u8], all: bool) -> Result<Option<Boot>, String> {
    judge(Head::new(&pieces(image)), None, all).map_err(|error| error.to_string())
}

fn entry(image: &mut [u8], number: usize, kind: u8, start: u64, len: u64) {
    let at = 446 + number * 16;
    image[at + 4] = kind;
    image[at + 8..at + 12].copy_from_slice(&u32::try_from(start / 512).unwrap().to_le_bytes());
    image[at + 12..at + 16].copy_from_slice(&u32::try_from(len / 512).unwrap().to_le_bytes());
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
}

/// An image with a boot partition that holds these files, and a second partition that begins where it ends.
fn image(fat: fatfs::FatType, files: &[&str]) -> Vec<u8> {
    let len = match fat {
        fatfs::FatType::Fat32 => 40 * MIB,
        _ => 10 * MIB,
    };
    let start = MIB;
    let mut image = vec![0; (start + len + MIB) as usize];
    let volume = &mut image[start as usize..(start + len) as usize];
    let options =
        fatfs::FormatVolumeOptions::new().fat_type(fat).bytes_per_cluster(512 * if len > 30 * MIB { 1 } else { 4 });
    fatfs::format_volume(Cursor::new(&mut *volume), options).unwrap();
    let system = fatfs::FileSystem::new(Cursor::new(volume), fatfs::FsOptions::new()).unwrap();
    for name in files {
        if *name == "EFI" {
            system.root_dir().create_dir(name).unwrap();
        } else {
            system.root_dir().create_file(name).unwrap().write_all(&[1; 3000]).unwrap();
        }
    }
    drop(system);
    entry(&mut image, 0, 0x0c, start, len);
    entry(&mut image, 1, 0x83, start + len, MIB);
    image
}

const PI: [&str; 5] = ["bootcode.bin", "start.elf", "kernel8.img", "config.txt", "bcm2710-rpi-3-b-plus.dtb"];

pub(in super::super) fn pi_3() -> Vec<u8> {
    image(fatfs::FatType::Fat16, &PI)
}

pub(in super::super) fn pi_3_of_32_bits() -> Vec<u8> {
    image(fatfs::FatType::Fat16, &["bootcode.bin", "start.elf", "kernel7.img"])
}

pub(in super::super) fn pc() -> Vec<u8> {
    image(fatfs::FatType::Fat16, &["EFI"])
}

#[test]
fn an_image_for_a_pi_3_is_known_on_every_kind_of_fat() {
    for fat in [fatfs::FatType::Fat12, fatfs::FatType::Fat16, fatfs::FatType::Fat32] {
        let image = image(fat, &PI);
        let boot = judged(&image, true).unwrap().unwrap();
        assert_eq!((boot.firmware, boot.arm64), (Some(true), Some(true)), "{fat:?}");
        assert_eq!(boot.partitions_end, image.len() as u64);
    }
}

#[test]
fn a_folder_that_is_spread_between_large_files_is_followed() {
    let many: Vec<String> = (0..60).map(|number| format!("bcm27{number:02}-a-long-name-of-a-board.dtb")).collect();
    let mut files: Vec<&str> = many.iter().map(String::as_str).collect();
    files.extend(PI);
    let image = image(fatfs::FatType::Fat32, &files);
    assert_eq!(judged(&image, true).unwrap().unwrap().arm64, Some(true));
    // Beyond the first pieces: not yet known, and in the end not refused.
    let head = &image[..(MIB + 700 * 1024) as usize];
    assert_eq!(judged(head, false), Ok(None));
    assert_eq!(judged(head, true).unwrap().unwrap().firmware, None);
}

#[test]
fn what_surely_does_not_start_a_pi_3_is_refused_with_the_reason() {
    let fat16 = fatfs::FatType::Fat16;
    let cases = [
        (image(fat16, &["EFI", "README.diskdefines"]), "as a PC does"),
        (image(fat16, &["start4.elf", "kernel8.img", "config.txt"]), "Raspberry Pi 4 only"),
        (image(fat16, &["hello.txt"]), "no bootcode.bin"),
        (image(fat16, &["bootcode.bin", "kernel8.img"]), "no bootcode.bin and start.elf"),
        (image(fat16, &PI)[MIB as usize..].to_vec(), "one file system alone"),
        (
            {
                let mut ext4_only = vec![0; 4 * MIB as usize];
                entry(&mut ext4_only, 0, 0x83, MIB, MIB);
                ext4_only
            },
            "no FAT partition",
        ),
        (
            {
                let mut empty = vec![0; 4096];
                empty[510..512].copy_from_slice(&[0x55, 0xaa]);
                empty
            },
            "partition table is empty",
        ),
    ];
    for (image, says) in cases {
        let error = judged(&image, true).unwrap_err();
        assert!(error.contains(says), "{error}, but not {says}");
    }
}

#[test]
fn an_image_of_32_bits_only_is_told_apart() {
    let arm64 = |files: &[&str]| judged(&image(fatfs::FatType::Fat16, files), true).unwrap().unwrap().arm64;
    assert_eq!(arm64(&["bootcode.bin", "start.elf", "kernel7.img", "kernel.img"]), Some(false));
    assert_eq!(arm64(&["bootcode.bin", "start.elf", "kernel7.img", "kernel8.img"]), Some(true));
    assert_eq!(arm64(&["bootcode.bin", "start.elf", "vmlinuz-6.12.0-arm64", "kernel.img"]), None);
}

#[test]
fn an_image_that_ends_before_its_last_partition_is_cut_off() {
    let image = image(fatfs::FatType::Fat16, &PI);
    let pieces = pieces(&image);
    let judge = |length| judge(Head::new(&pieces), Some(length), true);
    assert!(judge(image.len() as u64).is_ok());
    assert!(matches!(judge(image.len() as u64 - 1), Err(SourceError::Truncated { .. })));
}

#[test]
fn a_gpt_is_followed_to_its_boot_partition() {
    let mut image = image(fatfs::FatType::Fat16, &PI);
    let (start, end) = (MIB, 11 * MIB);
    image[446..510].fill(0);
    entry(&mut image, 0, GPT, 512, 12 * MIB);
    image[512..520].copy_from_slice(b"EFI PART");
    image[512 + 72..512 + 80].copy_from_slice(&2u64.to_le_bytes());
    image[512 + 80..512 + 84].copy_from_slice(&4u32.to_le_bytes());
    image[512 + 84..512 + 88].copy_from_slice(&128u32.to_le_bytes());
    image[1024] = 1;
    image[1024 + 32..1024 + 40].copy_from_slice(&(start / 512).to_le_bytes());
    image[1024 + 40..1024 + 48].copy_from_slice(&(end / 512 - 1).to_le_bytes());
    assert_eq!(judged(&image, true).unwrap().unwrap().arm64, Some(true));
}

proptest! {
    #[test]
    fn any_bytes_in_place_of_tables_never_panic_nor_run_on(
        seed in proptest::collection::vec((0usize..4096, any::<u8>()), 0..60),
        start in 0u32..4,
        fat32 in any::<bool>(),
    ) {
        let mut image = vec![0; 64 << 10];
        entry(&mut image, 0, 0x0c, u64::from(start) * 512, 32 << 10);
        let at = start as usize * 512;
        image[at] = 0xeb;
        image[at + 11..at + 17].copy_from_slice(&[0, 2, 1, 1, 0, 1]);
        image[at + 17] = if fat32 { 0 } else { 64 };
        image[at + 36] = 8;
        image[at + 44] = 2;
        image[at + 510..at + 512].copy_from_slice(&[0x55, 0xaa]);
        for (at, byte) in seed {
            image[at] = byte;
        }
        let _ = judged(&image, true);
        let _ = judged(&image, false);
    }
}
