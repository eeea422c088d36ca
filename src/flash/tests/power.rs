//! The power goes at every moment: what the card then holds does not boot, unless it is all there.

use super::{
    disk::{Disk, Done},
    faults::{boots, old},
    *,
};
use crate::{flash::job::Mode, io::block::BlockDevice};

const MIB: u64 = 1 << 20;

/// What a card holds when the power goes after `cut` of what was done. What was flushed is there; of what was not, any
/// part is, in any order, torn at any sector.
fn held_after(before: &[u8], log: &[Done], cut: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let flushed = log[..cut].iter().rposition(|done| matches!(done, Done::Flush)).map_or(0, |at| at + 1);
    let mut card = before.to_vec();
    let mut pending = Vec::new();
    for (at, done) in log[..cut].iter().enumerate() {
        let Done::Write(offset, bytes) = done else { continue };
        if at < flushed {
            card[*offset as usize..][..bytes.len()].copy_from_slice(bytes);
        } else {
            pending.push((*offset as usize, bytes));
        }
    }
    random.shuffle(&mut pending);
    for (offset, bytes) in pending {
        let sectors = bytes.len() / 512;
        let (from, to) = match random.u8(0..4) {
            0 => (0, 0),
            1 => (0, sectors),
            2 => (0, random.usize(0..=sectors)),
            _ => (random.usize(0..=sectors), sectors),
        };
        let bytes = &bytes[from * 512..to.max(from) * 512];
        card[offset + from * 512..][..bytes.len()].copy_from_slice(bytes);
    }
    card
}

fn sweep(before: Vec<u8>, image: &TestImage, options: Options, place: Option<u64>) -> usize {
    let disk = Disk::that_remembers(before.clone());
    let mut job = job(Card::of("/dev/sdx", Arc::clone(&disk) as _));
    let mut expected = image.clone();
    if let Some(place) = place {
        Arc::make_mut(&mut expected.bytes)[place as usize..][..4].copy_from_slice(b"hall");
        job.customise = Some(Box::new(move |it| Ok(it.device.write_at(place, b"hall")?)));
    }
    let outcomes = crate::flash::flash(vec![job], image.image(), options, Arc::new(|_| {}), &Cancel::default());
    assert!(outcomes[0].result.is_ok(), "{outcomes:?}");
    assert!(expected.is_on(&disk.medium()));
    let log = disk.log();
    let mut random = fastrand::Rng::with_seed(11);
    for cut in 0..=log.len() {
        for _ in 0..6 {
            let card = held_after(&before, &log, cut, &mut random);
            let as_before = card[MIB as usize..] == before[MIB as usize..];
            assert!(
                !boots(&card) || as_before || expected.is_on(&card),
                "after {cut} of {} it boots and is not complete",
                log.len()
            );
        }
    }
    log.len()
}

#[test]
fn power_cut_at_any_write_of_a_first_flash() {
    let image = TestImage::new(9 << 20);
    assert!(sweep(old(12 * MIB), &image, Options::default(), None) > 20);
}

#[test]
fn power_cut_at_any_write_of_a_flash_with_settings() {
    let image = TestImage::new(5 << 20);
    let place = 2 * MIB + 70_000;
    sweep(old(6 * MIB), &image, Options { probe: false, ..Options::default() }, Some(place));
}

#[test]
fn power_cut_at_any_write_of_a_flash_of_what_differs() {
    let image = TestImage::new(9 << 20);
    let mut before = image.bytes.to_vec();
    for place in [2 * MIB + 10, 4 * MIB, 8 * MIB + 70_000] {
        before[place as usize] ^= 1;
    }
    let again = Options { mode: Mode::Again, ..Options::default() };
    assert!(sweep(before, &image, again, None) > 8);
}
