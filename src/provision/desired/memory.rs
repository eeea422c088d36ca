//! A gigabyte is not much for a browser, and a card is not made for swap.

use super::{DesiredError, Lay, edit::Word, units};
use crate::{
    config::KioskSettings,
    io::system::Owner,
    provision::facts::{Facts, Os},
};

const ZRAM: &str = "/etc/systemd/zram-generator.conf.d/90-pikiosk.conf";
const RPI_SWAP: &str = "/etc/rpi/swap.conf.d/90-pikiosk.conf";

/// Of all memory, for X, Firefox and all it starts: the rest is for the supervisor and the system. Above it the kernel
/// ends the largest process, which is the page's. Not MemoryHigh as well: a process that took all was held there for
/// minutes, neither ended nor of any use (seen in a machine of 1 GB).
const SESSION: &str = "# Written by pikiosk provision.
[Slice]
MemoryMax=75%
";

pub fn lay(lay: &mut Lay, settings: &KioskSettings, facts: &Facts, kiosk: Owner) -> Result<(), DesiredError> {
    lay.file(
        format!("/etc/systemd/system/user-{}.slice.d/90-pikiosk.conf", kiosk.uid),
        SESSION,
        "a page that takes all memory is ended, and neither the supervisor nor the system",
    );
    let zram = settings.system.zram;
    if facts.has("rpi-swap") {
        // Raspberry Pi OS of trixie has a program of its own for it, which would swap to the card as well.
        let mechanism = if zram { "zram" } else { "none" };
        let text = format!("# Written by pikiosk provision.\n[Main]\nMechanism={mechanism}\n");
        lay.file(RPI_SWAP, text, "memory that is not in use is compressed, and never written to the card");
    } else if zram {
        let text =
            "# Written by pikiosk provision.\n[zram0]\nzram-size = ram / 2\nswap-priority = 100\nfs-type = swap\n";
        lay.file(ZRAM, text, "memory that is not in use is compressed, and never written to the card");
    } else {
        lay.absent(ZRAM, "kiosk.toml wants no compressed memory");
    }
    if facts.present("/usr/lib/systemd/system/dphys-swapfile.service") {
        units::mask(lay, "dphys-swapfile.service", "Raspberry Pi OS of bookworm swaps to the card: that wears it out");
    }
    if settings.system.read_only_root && !state_has_its_own_place(facts.text("/etc/fstab").unwrap_or_default()) {
        return Err(DesiredError::NothingToKeepStateOn);
    }
    Ok(())
}

/// The root in memory over the card's, by Debian's package overlayroot; other partitions are written as they are.
pub fn overlay_word(settings: &KioskSettings) -> Word {
    let word = settings.system.read_only_root.then(|| "overlayroot=tmpfs:recurse=0".to_owned());
    Word { name: "overlayroot=", word }
}

/// Raspberry Pi's own kernel counts no memory by groups of processes unless it is told to; no limit would hold.
pub fn groups_word(facts: &Facts) -> Option<Word> {
    let word = || Word { name: "cgroup_enable=memory", word: Some("cgroup_enable=memory".to_owned()) };
    (facts.os == Os::RaspberryPiOs).then(word)
}

fn state_has_its_own_place(fstab: &str) -> bool {
    fstab.lines().any(|line| {
        let mut words = line.split_whitespace();
        !line.trim_start().starts_with('#') && words.nth(1) == Some("/var/lib/pikiosk")
    })
}
