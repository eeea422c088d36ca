//! A gigabyte is not much for a browser, and a card is not made for swap.

use super::{DesiredError, Lay, edit::Word, units};
use crate::{config::KioskSettings, provision::facts::Facts};

const ZRAM: &str = "/etc/systemd/zram-generator.conf.d/90-pikiosk.conf";
const RPI_SWAP: &str = "/etc/rpi/swap.conf.d/90-pikiosk.conf";

pub fn lay(lay: &mut Lay, settings: &KioskSettings, facts: &Facts) -> Result<(), DesiredError> {
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

fn state_has_its_own_place(fstab: &str) -> bool {
    fstab.lines().any(|line| {
        let mut words = line.split_whitespace();
        !line.trim_start().starts_with('#') && words.nth(1) == Some("/var/lib/pikiosk")
    })
}
