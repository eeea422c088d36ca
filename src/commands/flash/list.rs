//! `pikiosk flash --list`: what there is, and why a disk is refused.

use serde_json::json;

use super::super::{
    failure::{Exit, Failure},
    output,
};
use crate::flash::disks::{Disk, DiskKind, Machine, Refusal, Rules, Use, judge, polite_mounts};

/// Lists every disk. Exit code 0 also if none is safe: it was asked what there is.
pub fn list(machine: &Machine, rules: Rules, json: bool) -> Result<Exit, Failure> {
    let worth = |disk: &&Disk| !is_noise(disk);
    let judged: Vec<_> = machine.disks.iter().filter(worth).map(|disk| (disk, judge(disk, rules))).collect();
    if json {
        let disks: Vec<_> = judged.iter().map(|(disk, against)| as_json(disk, against)).collect();
        output::json(&json!({ "disks": disks }))?;
        return Ok(Exit::Done);
    }
    if judged.is_empty() {
        output::line("This machine shows no disk at all.")?;
        return Ok(Exit::Done);
    }
    let rows = judged.iter().map(|(disk, against)| {
        let answer = match against.first() {
            None if polite_mounts(disk).is_empty() => "yes".to_owned(),
            None => format!("yes, after unmounting {}", polite_mounts(disk).join(", ")),
            Some(_) => format!("no: {}", against.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        };
        [disk.node(), size(disk.identity.size), what(disk), answer]
    });
    output::table(["DISK", "SIZE", "WHAT", "MAY BE WRITTEN"], rows)?;
    if judged.iter().all(|(_, against)| !against.is_empty()) {
        output::remark("\nNo card is in. Put one into the reader, wait a moment, and list again.");
    }
    Ok(Exit::Done)
}

/// A disk in words: `SD card, SanDisk SL32G`.
pub fn what(disk: &Disk) -> String {
    let kind = match disk.kind {
        DiskKind::SdCard => "SD card",
        DiskKind::Emmc | DiskKind::MmcOther => "built-in flash",
        DiskKind::Usb if disk.removable => "USB card reader or stick",
        DiskKind::Usb => "USB disk",
        DiskKind::Loop => "loop device",
        DiskKind::Nvme => "NVMe disk",
        DiskKind::Internal => "internal disk",
        DiskKind::Stacked => "made from other disks",
        DiskKind::Other => "no card",
    };
    if disk.model.is_empty() { kind.to_owned() } else { format!("{kind}, {}", disk.model) }
}

/// As it is printed on cards: powers of ten.
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let gigabytes = bytes as f64 / 1e9;
    if bytes == 0 { "-".to_owned() } else { format!("{gigabytes:.1} GB") }
}

/// Empty loop devices, RAM disks and the like, of which every machine has a dozen.
fn is_noise(disk: &Disk) -> bool {
    let nothing = disk.identity.size == 0 && disk.uses.is_empty();
    match disk.kind {
        DiskKind::Loop | DiskKind::Stacked | DiskKind::MmcOther => nothing,
        DiskKind::Other => nothing || disk.name.starts_with("ram") || disk.name.starts_with("zram"),
        DiskKind::SdCard | DiskKind::Emmc | DiskKind::Usb | DiskKind::Nvme | DiskKind::Internal => false,
    }
}

fn as_json(disk: &Disk, against: &[Refusal]) -> serde_json::Value {
    let mounts: Vec<_> = disk
        .uses
        .iter()
        .filter_map(|used| match used {
            Use::Mounted { at, .. } => Some(at),
            Use::Swap { .. } | Use::Holder { .. } => None,
        })
        .collect();
    let reasons: Vec<_> =
        against.iter().map(|refusal| json!({ "says": refusal.to_string(), "cure": refusal.cure() })).collect();
    json!({
        "device": disk.node(),
        "size": disk.identity.size,
        "what": what(disk),
        "model": disk.model,
        "serial": disk.identity.serial,
        "cid": disk.identity.cid,
        "removable": disk.removable,
        "read_only": disk.read_only,
        "mounted": mounts,
        "safe": against.is_empty(),
        "refused": reasons,
    })
}
