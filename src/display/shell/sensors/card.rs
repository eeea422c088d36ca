//! How the SD card is: what the kernel has met on it. Most cards tell nothing of their wear; their errors are counted.

use std::{fs, path::Path};

use crate::event::health::Card;

/// Each step of `life_time` is so many per cent (JESD84-B51, EXT_CSD 268 and 269).
const STEP_PERCENT: u8 = 10;

/// Reads below `root`, which is `/` but in tests. None where there is neither a card nor a file system that counts.
pub fn read(root: &Path) -> Option<Card> {
    let text = |path: &Path| fs::read_to_string(path).ok();
    let device = root.join("sys/block/mmcblk0/device");
    let name = text(&device.join("name")).map(|name| name.trim().to_owned());
    let worn_percent = text(&device.join("life_time")).as_deref().and_then(worn);
    let systems = fs::read_dir(root.join("sys/fs/ext4")).into_iter().flatten().flatten();
    let errors: Vec<u64> =
        systems.filter_map(|system| text(&system.path().join("errors_count"))?.trim().parse().ok()).collect();
    let errors = (!errors.is_empty()).then(|| errors.iter().sum());
    let read_only = text(&root.join("proc/self/mountinfo")).is_some_and(|mounts| root_is_read_only(&mounts));
    let card = Card { name, errors, worn_percent, read_only };
    (card != Card::default()).then_some(card)
}

/// The worse of the two kinds of memory in a card.
fn worn(life_time: &str) -> Option<u8> {
    let steps =
        life_time.split_whitespace().filter_map(|step| u8::from_str_radix(step.trim_start_matches("0x"), 16).ok());
    steps.max().filter(|steps| *steps > 0).map(|steps| steps.saturating_mul(STEP_PERCENT))
}

/// Whether the file system itself is read-only, and not only our view of it: systemd gives a service such a view. A root
/// that is meant to be so is an overlay.
fn root_is_read_only(mountinfo: &str) -> bool {
    let of_root = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some("/"));
    let options = of_root.and_then(|line| line.split_once(" - ")?.1.split(' ').nth(2));
    options.is_some_and(|options| options.split(',').any(|option| option == "ro"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::shell::sensors::tests::machine;

    #[test]
    fn a_card_tells_its_errors_and_its_wear() {
        let root = machine(&[
            ("sys/block/mmcblk0/device/name", "SC32G\n"),
            ("sys/block/mmcblk0/device/life_time", "0x02 0x09\n"),
            ("sys/fs/ext4/mmcblk0p2/errors_count", "2\n"),
            ("sys/fs/ext4/mmcblk0p3/errors_count", "1\n"),
            ("sys/fs/ext4/features/lazy_itable_init", "supported\n"),
        ]);
        let card = read(root.path()).unwrap();
        assert_eq!((card.name.as_deref(), card.errors, card.worn_percent), (Some("SC32G"), Some(3), Some(90)));
        assert!(!card.read_only);
        assert_eq!(worn("0x00 0x00"), None, "not defined");
        assert_eq!(read(machine(&[]).path()), None);
    }

    #[test]
    fn a_root_that_the_kernel_made_read_only_is_told_from_a_service_that_may_not_write() {
        let line = |ours: &str, its: &str| {
            format!("22 1 179:2 / / {ours},relatime shared:1 - ext4 /dev/mmcblk0p2 {its},errors=remount-ro\n")
        };
        let read_only = |text: String| read(machine(&[("proc/self/mountinfo", &text)]).path()).is_some();
        assert!(!read_only(line("rw", "rw")) && !read_only(line("ro", "rw")));
        assert!(read_only(line("ro", "ro")) && read_only(line("rw", "ro")));
        assert!(read_only(line("rw", "rw") + &line("ro", "ro")), "what was mounted last counts");
        assert!(!read_only("22 1 0:4 / /proc ro - proc proc ro\n".to_owned()));
    }
}
