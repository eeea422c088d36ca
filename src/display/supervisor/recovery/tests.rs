//! Every cause from every rung, on a virtual clock: budgets hold, nothing loops, nothing gives up.

use std::collections::HashMap;

use super::*;

const S: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn machine(now: Instant) -> Recovery {
    Recovery::new(Ledger::resume(None, "boot", 100 * S), now)
}

/// What a cause that never goes away is answered with, asked every `every` for `long`; from an incident at `from`.
fn taken(cause: Cause, from: Option<(Cause, Rung)>, every: Duration, long: Duration) -> Vec<(Duration, Rung)> {
    let began = Instant::now();
    let mut recovery = machine(began);
    if let Some((cause, rung)) = from {
        *recovery.slot(cause) =
            Some(Incident { cause, rung, since: began, in_a_row: rung.in_a_row(cause), taken: began, well: None });
    }
    let mut now = began;
    let mut taken = Vec::new();
    while now < began + long {
        taken.push((now - began, recovery.fault(cause, now)));
        now += every;
    }
    taken
}

fn most_within(taken: &[(Duration, Rung)], rung: Rung, window: Duration) -> usize {
    let times: Vec<Duration> = taken.iter().filter(|(_, it)| *it == rung).map(|(at, _)| *at).collect();
    let within = |(n, at): (usize, &Duration)| times[n..].iter().take_while(|later| **later < *at + window).count();
    times.iter().enumerate().map(within).max().unwrap_or(0)
}

/// Every cause, from nothing and from every (cause, rung) before, asked at every pace: three hours each.
#[test]
fn every_path_keeps_its_budgets_and_never_ends() {
    let befores = Cause::ALL.iter().flat_map(|cause| cause.ladder().iter().map(|rung| Some((*cause, *rung))));
    let befores: Vec<_> = std::iter::once(None).chain(befores).collect();
    let mut paths = 0;
    for cause in Cause::ALL {
        for before in &befores {
            for every in [S, 7 * S, 125 * S] {
                let taken = taken(cause, *before, every, 3 * HOUR);
                let at = format!("{cause:?} after {before:?} every {every:?}");
                paths += 1;
                for (_, rung) in &taken {
                    assert!(cause.ladder().contains(rung), "{at}: {rung:?}");
                }
                for rung in cause.ladder() {
                    if let Some((times, window)) = rung.budget() {
                        assert!(most_within(&taken, *rung, window) <= times, "{at}: {rung:?} too often");
                    }
                }
                // Whatever was done, within its longest budget and a pause something is tried again.
                let tries: Vec<Duration> =
                    taken.iter().filter(|(_, rung)| *rung != Rung::SaySo).map(|(at, _)| *at).collect();
                let ends = tries.iter().copied().chain([3 * HOUR]);
                // But a disk that remembers nothing: what is tried for it is to write, and that is not of the ladder.
                if cause == Cause::DiskFailed {
                    assert!(tries.is_empty(), "{at}: the machine has not been up for so long");
                    continue;
                }
                let gap = ends.scan(Duration::ZERO, |last, at| Some(at - std::mem::replace(last, at))).max().unwrap();
                assert!(gap <= HOUR + BEGIN_AGAIN + every, "{at}: nothing is tried for {gap:?}");
            }
        }
    }
    assert_eq!(paths, Cause::ALL.len() * befores.len() * 3);
}

#[test]
fn a_dead_site_a_dead_network_and_a_wrong_clock_never_touch_the_browser_or_the_machine() {
    for cause in [Cause::Site, Cause::Network, Cause::Clock, Cause::Login, Cause::Setting] {
        for (_, rung) in taken(cause, None, S, 24 * HOUR) {
            assert!(matches!(rung, Rung::Navigate | Rung::SaySo), "{cause:?}: {rung:?}");
        }
    }
}

#[test]
fn a_page_never_reboots_the_machine_and_a_browser_that_is_lost_does_at_most_three_times_an_hour() {
    let reboots = |cause| most_within(&taken(cause, None, 20 * S, 24 * HOUR), Rung::Reboot, HOUR);
    for cause in [Cause::PageHung, Cause::PageCrashed, Cause::PageEmpty, Cause::GlassFrozen, Cause::ContentLost] {
        assert_eq!(reboots(cause), 0, "{cause:?}");
    }
    use Cause::{BrowserEnds, BrowserHung, BrowserLost, NothingPaints, SessionEnds, SessionLost};
    for cause in [BrowserHung, BrowserLost, BrowserEnds, NothingPaints, SessionLost, SessionEnds] {
        let times = reboots(cause);
        assert!((1..=3).contains(&times), "{cause:?}: {times}");
    }
}

#[test]
fn a_browser_that_does_not_come_back_climbs_rung_by_rung() {
    let rungs: Vec<Rung> = taken(Cause::BrowserLost, None, 10 * S, 70 * S).into_iter().map(|(_, rung)| rung).collect();
    use Rung::{PlainProfile, Reboot, RestartBrowser, RestartSession, SaySo};
    assert_eq!(rungs, [RestartBrowser, RestartBrowser, PlainProfile, RestartSession, Reboot, SaySo, SaySo]);
}

#[test]
fn a_page_that_is_killed_a_moment_after_firefox_was_started_again_is_only_loaded_again() {
    let now = Instant::now();
    let mut recovery = machine(now);
    assert_eq!(recovery.fault(Cause::BrowserHung, now), Rung::RestartBrowser);
    assert_eq!(recovery.fault(Cause::PageCrashed, now + 5 * S), Rung::Navigate);
    assert_eq!(recovery.fault(Cause::PageHung, now + 20 * S), Rung::ReplaceContent);
}

#[test]
fn a_display_that_was_well_for_a_while_begins_at_the_lowest_rung_again() {
    let now = Instant::now();
    let mut recovery = machine(now);
    recovery.fault(Cause::PageHung, now);
    recovery.fault(Cause::PageHung, now + 10 * S);
    assert_eq!(recovery.fault(Cause::PageHung, now + 20 * S), Rung::RestartBrowser);
    recovery.is_well(true, now + 30 * S);
    recovery.is_well(false, now + 80 * S);
    recovery.is_well(true, now + 85 * S);
    recovery.due(now + 30 * S + CALM);
    assert!(recovery.incident().is_some(), "it was not well all the time");
    assert_eq!(recovery.deadline(), Some(now + 85 * S + CALM));
    recovery.due(now + 85 * S + CALM);
    assert_eq!(recovery.incident(), None);
    assert_eq!(recovery.fault(Cause::PageHung, now + 150 * S), Rung::ReplaceContent);
}

#[test]
fn budgets_outlive_the_supervisor_and_the_machine() {
    let mut now = Instant::now();
    let mut text: Option<String> = None;
    let mut done: HashMap<Rung, usize> = HashMap::new();
    // A machine whose browser never comes: each rung that ends the supervisor really ends it. 40 minutes in all.
    for boot in 0..40 {
        let mut recovery = Recovery::new(Ledger::resume(text.as_deref(), &format!("boot-{boot}"), 10 * S), now);
        for _ in 0..5 {
            now += 10 * S;
            let rung = recovery.fault(Cause::BrowserLost, now);
            text = Some(recovery.kept(now));
            *done.entry(rung).or_default() += 1;
            if rung == Rung::Reboot {
                break;
            }
        }
    }
    assert_eq!((done[&Rung::Reboot], done[&Rung::RestartSession]), (3, 3), "{done:?}");
}

#[test]
fn a_disk_that_keeps_nothing_gets_no_reboot() {
    let now = Instant::now();
    let mut recovery = machine(now);
    recovery.remembers(Some("read-only file system".into()));
    for n in 0..1000 {
        let rung = recovery.fault(Cause::BrowserLost, now + n * 10 * S);
        assert!(rung < Rung::RestartSession || rung == Rung::SaySo, "{rung:?}");
    }
}

/// The machine is started again whenever that is decided; what was done is forgotten each time.
#[test]
fn a_disk_that_has_failed_gets_four_reboots_a_day_though_nothing_can_be_remembered_on_it() {
    let began = Instant::now();
    let (mut now, mut booted) = (began, began);
    let mut recovery = machine(now);
    let mut reboots = Vec::new();
    while now < began + 48 * HOUR {
        recovery.remembers(Some("read-only file system".into()));
        match recovery.fault(Cause::DiskFailed, now) {
            Rung::Reboot => {
                reboots.push(now - began);
                (recovery, booted) = (Recovery::new(Ledger::resume(None, "another", 20 * S), now + 20 * S), now);
            }
            rung => assert_eq!(rung, Rung::SaySo),
        }
        now += 60 * S;
    }
    assert!(reboots.iter().zip(&reboots[1..]).all(|(a, b)| *b - *a >= RESTED - 20 * S), "{reboots:?}");
    assert!((7..=8).contains(&reboots.len()), "{reboots:?}");
    assert!(now - booted < 7 * HOUR, "it goes on");
}

#[test]
fn a_disk_that_has_failed_is_no_reason_to_ask_for_a_reboot_that_is_refused_all_the_time() {
    let mut now = Instant::now();
    let mut recovery = Recovery::new(Ledger::resume(None, "boot", 7 * HOUR), now);
    let mut reboots = 0;
    for _ in 0..24 * 60 {
        reboots += usize::from(recovery.fault(Cause::DiskFailed, now) == Rung::Reboot);
        now += 60 * S;
    }
    assert!((24..=3 * 24).contains(&reboots), "{reboots} in a day");
    let mut alone = Recovery::new(Ledger::resume(None, "boot", 7 * HOUR), now);
    alone.has_helper(false);
    assert_eq!(alone.fault(Cause::DiskFailed, now), Rung::SaySo, "nobody is there who could");
}

#[test]
fn a_disk_in_trouble_does_not_hold_up_what_is_done_for_the_glass_nor_the_other_way_round() {
    let mut now = Instant::now();
    let mut recovery = machine(now);
    use Rung::{PlainProfile, RestartBrowser};
    for expected in [RestartBrowser, RestartBrowser, PlainProfile] {
        assert_eq!(recovery.fault(Cause::BrowserLost, now), expected);
        recovery.fault(Cause::DiskFull, now);
        now += 10 * S;
    }
    recovery.is_well(true, now);
    recovery.due(now + CALM);
    assert_eq!(recovery.incident(), None);
    assert_eq!(recovery.disk().map(|it| (it.cause, it.rung)), Some((Cause::DiskFull, Rung::SaySo)));
    recovery.disk_is_well();
    assert_eq!(recovery.fault(Cause::DiskFull, now + 600 * S), Rung::MakeRoom);
}

#[test]
fn a_profile_that_cannot_be_written_ends_in_a_new_session_and_then_in_a_boot() {
    let rungs: Vec<Rung> = taken(Cause::Profile, None, 30 * S, 180 * S).into_iter().map(|(_, rung)| rung).collect();
    use Rung::{Reboot, RestartBrowser, RestartSession, SaySo};
    assert_eq!(rungs, [RestartBrowser, RestartBrowser, RestartSession, Reboot, SaySo, SaySo]);
}
