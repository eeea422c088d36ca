//! Cards that are not what they seem: never done for a bad one, and the others are not disturbed.

use std::time::Duration;

use super::{
    disk::{Disk, Wrong},
    *,
};
use crate::flash::fault::{CardFault, Holds, Verdict};

const MIB: u64 = 1 << 20;

/// What a card holds before: it boots.
pub(super) fn old(len: u64) -> Vec<u8> {
    let mut old = vec![0x0d; len as usize];
    old[..512].fill(0);
    old[446 + 4] = 0x0c;
    old[510..512].copy_from_slice(&[0x55, 0xaa]);
    old
}

pub(super) fn boots(card: &[u8]) -> bool {
    card[510..512] == [0x55, 0xaa]
}

fn write_to(disk: &Arc<Disk>, image: &TestImage) -> CardOutcome {
    flash_all(vec![Card::of("/dev/sdx", Arc::clone(disk) as _)], image, Options::default()).pop().unwrap()
}

/// The outcome of a card with this fault, which is not done.
fn refused(len: u64, wrong: &[Wrong]) -> (CardFault, Holds) {
    let image = TestImage::new(9 << 20);
    let disk = Disk::new(old(len), wrong);
    let outcome = write_to(&disk, &image);
    if outcome.holds == Holds::Unbootable {
        assert!(!boots(&disk.medium()), "{wrong:?}");
    }
    (outcome.result.expect_err("it is not done"), outcome.holds)
}

#[test]
fn a_good_card_is_done() {
    let image = TestImage::new(9 << 20);
    let disk = Disk::new(old(16 * MIB), &[]);
    let outcome = write_to(&disk, &image);
    outcome.result.unwrap();
    assert_eq!(outcome.holds, Holds::Complete);
    assert!(image.is_on(&disk.medium()));
}

#[test]
fn zeros_that_are_used_are_written_unless_they_are_there() {
    let mut image = TestImage::new(9 << 20);
    Arc::make_mut(&mut image.bytes)[4 << 20..5 << 20].fill(0);
    let written = [old(16 * MIB), vec![0; 16 << 20]].map(|before| {
        let disk = Disk::new(before, &[]);
        // The marks of the probe are not zero.
        let options = Options { probe: false, ..Options::default() };
        let outcome = flash_all(vec![Card::of("/dev/sdx", Arc::clone(&disk) as _)], &image, options).remove(0);
        assert!(image.is_on(&disk.medium()));
        outcome.result.unwrap().written.bytes
    });
    assert_eq!(written, [5 * MIB, 4 * MIB]);
}

#[test]
fn a_thousand_sectors_that_cannot_be_written_are_named_by_the_first() {
    let bad = 4 * MIB + 123 * 4096;
    let (fault, holds) = refused(16 * MIB, &[Wrong::WriteFails(bad, bad + 1000 * 512)]);
    assert!(matches!(fault, CardFault::Write { offset, .. } if offset == bad), "{fault:?}");
    assert_eq!(holds, Holds::Unbootable);
}

#[test]
fn sectors_that_cannot_be_read_back_are_named_by_the_first() {
    let bad = 2 * MIB + 9 * 4096;
    let (fault, _) = refused(16 * MIB, &[Wrong::ReadFails(bad + 100, bad + 101)]);
    assert!(matches!(fault, CardFault::Read { offset, .. } if offset == bad), "{fault:?}");
}

#[test]
fn a_card_that_is_shorter_than_the_image_is_not_touched() {
    let (fault, holds) = refused(8 * MIB, &[]);
    assert!(matches!(fault, CardFault::TooSmall { .. }));
    assert_eq!(holds, Holds::Untouched);
    assert_eq!(fault.to_string(), "it has 8 MB, and the image needs 10 MB");
}

#[test]
fn a_card_that_ends_before_it_says_is_not_done() {
    let (fault, holds) = refused(16 * MIB, &[Wrong::Ends(7 * MIB)]);
    assert!(matches!(fault, CardFault::Write { .. }), "{fault:?}");
    assert_eq!(holds, Holds::Unbootable);
}

#[test]
fn a_fake_card_is_found_in_seconds_before_the_image_is_written() {
    for wrong in [Wrong::Wraps(4 * MIB), Wrong::Swallows(4 * MIB)] {
        let image = TestImage::new(9 << 20);
        let disk = Disk::new(old(32 * MIB), &[wrong]);
        let outcome = write_to(&disk, &image);
        assert!(matches!(outcome.result, Err(CardFault::Lies { .. })), "{wrong:?}: {outcome:?}");
        assert!(disk.writes() < 70, "only probed");
        assert!(!boots(&disk.medium()));
    }
}

#[test]
fn a_fake_card_is_found_by_reading_back_if_it_was_not_probed() {
    let image = TestImage::new(9 << 20);
    let disk = Disk::new(old(32 * MIB), &[Wrong::Wraps(8 * MIB)]);
    let options = Options { probe: false, ..Options::default() };
    let outcome = flash_all(vec![Card::of("/dev/sdx", Arc::clone(&disk) as _)], &image, options).pop().unwrap();
    // What was written at 8 MiB is where the first MiB goes.
    assert!(matches!(outcome.result, Err(CardFault::Lies { offset: 0, .. })), "{outcome:?}");
    assert!(!boots(&disk.medium()));
}

#[test]
fn a_worn_card_that_keeps_nothing_is_seen_at_once() {
    let (fault, holds) = refused(16 * MIB, &[Wrong::KeepsNothing { from: 0 }]);
    assert!(matches!(fault, CardFault::KeepsNothing), "{fault:?}");
    assert_eq!(holds, Holds::Unknown, "it still boots what it held");
}

#[test]
fn a_card_that_stops_keeping_half_way_is_told_from_one_with_a_weak_spot() {
    let (fault, _) = refused(16 * MIB, &[Wrong::KeepsNothing { from: 14 }]);
    assert!(matches!(fault, CardFault::Differs { verdict: Verdict::StoppedKeeping, .. }), "{fault:?}");
    let (fault, _) = refused(16 * MIB, &[Wrong::MisreadsBit(2 * MIB + 5000)]);
    assert!(matches!(fault, CardFault::Differs { offset, .. } if offset == 2 * MIB + 4096), "{fault:?}");
}

#[test]
fn a_reader_that_gives_something_else_each_time_is_told_from_a_bad_card() {
    let (fault, _) = refused(16 * MIB, &[Wrong::Flickers(2 * MIB + 5000)]);
    assert!(matches!(fault, CardFault::Differs { verdict: Verdict::Reader, .. }), "{fault:?}");
}

#[test]
fn one_bit_read_wrong_once_is_read_again_and_noted() {
    let image = TestImage::new(9 << 20);
    let disk = Disk::new(old(16 * MIB), &[Wrong::MisreadsBitOnce(2 * MIB + 5000)]);
    let receipt = write_to(&disk, &image).result.unwrap();
    assert_eq!(receipt.retries.into_iter().collect::<Vec<_>>(), [(2 * MIB, 1)]);
}

#[test]
fn a_write_that_was_lost_is_mended_from_a_second_pass_over_the_image() {
    let mut image = TestImage::new(9 << 20);
    // The probe is 12 writes: this one is of the image.
    let lost = || Disk::new(old(16 * MIB), &[Wrong::Dropped { nth: 13 }]);
    let disk = lost();
    let told = Arc::new(Told::default());
    let jobs = vec![job(Card::of("/dev/sdx", Arc::clone(&disk) as _))];
    let outcomes =
        crate::flash::flash(jobs, image.image(), Options::default(), Arc::clone(&told) as _, &Cancel::default());
    assert!(outcomes[0].result.is_ok(), "{outcomes:?}");
    assert!(image.is_on(&disk.medium()));
    assert!(
        told.events()
            .iter()
            .any(|event| matches!(event, Event::Phase { phase: crate::flash::events::Phase::Mending, .. }))
    );

    image.rewinds = false;
    let disk = lost();
    let outcome = write_to(&disk, &image);
    assert!(matches!(outcome.result, Err(CardFault::Differs { verdict: Verdict::Weak, .. })), "{outcome:?}");
    assert!(!boots(&disk.medium()));
}

/// Every fault, at every write: done means that all is there, and anything else that it does not boot.
#[test]
fn whenever_it_happens_a_card_is_done_or_does_not_boot() {
    let image = TestImage::new(5 << 20);
    let len = 8 * MIB;
    let good = Disk::new(old(len), &[]);
    write_to(&good, &image).result.unwrap();
    let mut done = 0;
    for nth in 0..good.writes() {
        for wrong in [
            Wrong::Short { nth },
            Wrong::Torn { nth },
            Wrong::Dropped { nth },
            Wrong::KeepsNothing { from: nth },
            Wrong::Gone { from: nth },
            Wrong::FlushFails { from: nth },
        ] {
            let disk = Disk::new(old(len), &[wrong]);
            let outcome = write_to(&disk, &image);
            let card = disk.medium();
            match &outcome.result {
                Ok(_) => assert!(image.is_on(&card), "{wrong:?} is not done"),
                // Before it was made unbootable it is as it was.
                Err(_) if outcome.holds == Holds::Unknown => {
                    let untouched = card[MIB as usize..] == old(len)[MIB as usize..];
                    assert!(!boots(&card) || untouched || image.is_on(&card), "{wrong:?}: {outcome:?}");
                }
                Err(_) => assert!(!boots(&card), "{wrong:?}: {outcome:?}"),
            }
            done += usize::from(outcome.result.is_ok());
        }
    }
    assert!(done >= 6, "of the image's own two writes, one that is lost, torn or short is made good");
}

#[test]
fn one_bad_card_does_not_disturb_the_others() {
    let image = TestImage::new(13 << 20);
    let faults: [&[Wrong]; 4] =
        [&[], &[Wrong::Gone { from: 14 }], &[Wrong::Hangs { nth: 14 }], &[Wrong::WriteFails(4 * MIB, 5 * MIB)]];
    let disks: Vec<_> = faults.iter().map(|wrong| Disk::new(old(16 * MIB), wrong)).collect();
    let cards = disks.iter().map(|disk| Card::of("/dev/sdx", Arc::clone(disk) as _)).collect();
    let told = Arc::new(Told::default());
    let jobs = {
        let cards: Vec<Card> = cards;
        cards.into_iter().map(job).collect()
    };
    let options = Options {
        slow_after: Duration::from_millis(50),
        give_up_after: Duration::from_millis(400),
        ..Options::default()
    };
    let outcomes = crate::flash::flash(jobs, image.image(), options, Arc::clone(&told) as _, &Cancel::default());
    assert!(outcomes[0].result.is_ok(), "{outcomes:?}");
    assert!(image.is_on(&disks[0].medium()));
    assert!(matches!(outcomes[1].result, Err(CardFault::Gone { .. })), "{outcomes:?}");
    assert!(matches!(outcomes[2].result, Err(CardFault::Hangs { .. })), "{outcomes:?}");
    assert!(matches!(outcomes[3].result, Err(CardFault::Write { .. })), "{outcomes:?}");
    assert_eq!(told.events().iter().filter(|event| matches!(event, Event::Slow { card: 2, .. })).count(), 1);
    let writes = disks[2].writes();
    disks[2].release();
    assert_eq!(disks[2].writes(), writes, "nothing is written to a card that was given up");
}

#[test]
fn ctrl_c_leaves_a_card_that_does_not_boot_and_says_so() {
    let image = TestImage::new(13 << 20);
    let disk = Disk::new(old(16 * MIB), &[]);
    let cancel = Cancel::default();
    let events = {
        let cancel = cancel.clone();
        move |event| {
            if let Event::Phase { phase: crate::flash::events::Phase::ReadingBack, .. } = event {
                cancel.cancel();
            }
        }
    };
    let jobs = vec![job(Card::of("/dev/sdx", Arc::clone(&disk) as _))];
    let outcome =
        crate::flash::flash(jobs, image.image(), Options::default(), Arc::new(events), &cancel).pop().unwrap();
    assert!(matches!(outcome.result, Err(CardFault::Cancelled)));
    assert_eq!(outcome.holds, Holds::Unbootable);
    assert!(!boots(&disk.medium()));
}
