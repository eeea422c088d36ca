//! Kill after kill at random moments: Firefox, the page's process, the browser loop, the supervisor. The right page comes
//! back each time; nothing stays behind, nothing lies over it, and nothing grows.
//!
//! `PIKIOSK_KILLS` says how often (20 here, 1,000 for `make proof-kills`), `PIKIOSK_DISPLAYS` on how many displays at
//! once, `PIKIOSK_SEED` repeats a run.

#![expect(clippy::print_stdout, reason = "the figures are this test's report")]

mod support;

use std::{
    any::Any,
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{
    kiosk::Kiosk,
    process::{self, send},
    site::turn_colour,
    wait::{seconds, timed, until},
};

/// After the last of some kills, on a machine that has other tests to run.
const STUCK: Duration = Duration::from_secs(90);
/// What takes longer is told with its log.
const SLOW: Duration = Duration::from_secs(15);
const TAG: &str = "kills";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Firefox,
    Content,
    Loop,
    Supervisor,
}

/// What one display went through.
#[derive(Debug, Default)]
struct Story {
    /// Who was killed, and how long the right page took, where it was waited for.
    kills: Vec<(Victim, Option<Duration>)>,
    /// Of supervisor and loop after each kill, as long as neither was killed itself.
    sizes: Vec<Sizes>,
    zombies: usize,
    /// What ended it before its end.
    broke: Option<Box<dyn Any + Send>>,
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    supervisor: Size,
    keeper: Size,
}

#[derive(Debug, Clone, Copy)]
struct Size {
    /// Its own memory and nobody else's. Parts of its program that it came to use are not: they come from the disk, in a
    /// debug build megabytes of them.
    anonymous_kb: u64,
    files: usize,
}

#[test]
fn whatever_is_killed_whenever_the_right_page_comes_back_and_nothing_stays_behind() {
    let number = |name: &str, other: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(other);
    let (kills, displays) = (number("PIKIOSK_KILLS", 20), number("PIKIOSK_DISPLAYS", 1));
    let seed = number("PIKIOSK_SEED", fastrand::u64(..1_000_000));
    println!("{kills} kills on {displays} displays, PIKIOSK_SEED={seed}");
    let began = Instant::now();
    let stories: Vec<Story> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..displays)
            .map(|display| {
                let random = fastrand::Rng::with_seed(seed + display);
                let own = kills / displays + u64::from(display < kills % displays);
                scope.spawn(move || {
                    let mut story = Story::default();
                    let endured = catch_unwind(AssertUnwindSafe(|| endure(display, own, random, &mut story)));
                    story.broke = endured.err();
                    story
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it catches what breaks")).collect()
    });
    report(&stories, began.elapsed());
    for story in stories {
        if let Some(broke) = story.broke {
            resume_unwind(broke);
        }
        assert_eq!(story.zombies, 0, "the dead are buried");
        assert_flat(&story.sizes);
    }
    println!("0 stuck, 0 orphans, 0 dialogs");
}

fn endure(display: u64, kills: u64, mut random: fastrand::Rng, story: &mut Story) {
    let mut kiosk = Kiosk::start();
    let url = kiosk.site.url(&format!("/turn/{TAG}"));
    kiosk.push_is("navigate", &json!({ "url": url }), "shown");
    recovered(&kiosk, 0);
    let mut kill = 0;
    while kill < kills {
        // In the first half supervisor and loop live, so that their memory says something.
        let all = kill >= kills / 2;
        let victim = match random.u32(..10) {
            0 | 1 if all => Victim::Supervisor,
            2 if all => Victim::Loop,
            3..=6 => Victim::Firefox,
            _ => Victim::Content,
        };
        let before = kiosk.site.turns(TAG);
        if !strike(&mut kiosk, victim) {
            // Its like is only being started: the next blow falls on something else, a moment later.
            rest(Duration::from_millis(random.u64(0..500)));
            continue;
        }
        // Every third blow falls into the recovery from the one before.
        let waits = random.u32(..3) > 0 || kill + 1 == kills;
        let took = waits.then(|| recovered(&kiosk, if victim == Victim::Supervisor { 0 } else { before }));
        if let Some(took) = took.filter(|took| *took > SLOW) {
            println!("display {display}, kill {kill}: {victim:?} took {took:.1?}\n{}", kiosk.logs());
        }
        story.kills.push((victim, took));
        rest(Duration::from_millis(random.u64(0..if waits { 1500 } else { 5000 })));
        if waits && kill % 10 == 0 {
            nothing_stayed_behind(&mut kiosk, display, kill);
        }
        if !all {
            story.sizes.push(sizes(&mut kiosk));
        }
        if kill % 50 == 49 {
            println!("display {display}: {} kills", kill + 1);
        }
        kill += 1;
    }
    nothing_stayed_behind(&mut kiosk, display, kills);
    kiosk.push_is("event", &json!({"name": "paint-me", "data": {"colour": "#ffffff"}}), "done");
    kiosk.shows([255, 255, 255], seconds(5));
    story.zombies = process::below(kiosk.browser().pid()).iter().filter(|seen| seen.state == 'Z').count();
    kiosk.stop_display();
    let left = ours(&kiosk);
    assert!(left.is_empty(), "left after the end: {left:?}");
    assert!(kiosk.panics().is_empty(), "{:#?}", kiosk.panics());
}

/// Until the moment of the next blow.
fn rest(time: Duration) {
    let began = Instant::now();
    until("the moment of the next blow", seconds(10), || (began.elapsed() >= time).then_some(()));
}

/// True if there was one to kill.
fn strike(kiosk: &mut Kiosk, victim: Victim) -> bool {
    let keeper = kiosk.browser().pid();
    let named = |names: &'static [&'static str]| {
        let is = move |seen: &process::Seen| seen.state != 'Z' && names.iter().any(|name| seen.name.starts_with(name));
        process::below(keeper).into_iter().filter(is).collect::<Vec<_>>()
    };
    match victim {
        Victim::Firefox => match named(&["firefox"]).into_iter().find(|seen| seen.parent == keeper) {
            Some(firefox) => send(firefox.pid, Signal::SIGKILL),
            None => return false,
        },
        Victim::Content => {
            let found = named(&["Web Content", "Isolated Web"]);
            found.iter().for_each(|content| send(content.pid, Signal::SIGKILL));
            return !found.is_empty();
        }
        Victim::Loop => {
            kiosk.browser().kill();
            kiosk.start_browser();
        }
        Victim::Supervisor => {
            kiosk.kill_run();
            kiosk.start_run();
        }
    }
    true
}

/// Waits until a load of the page after `before` fills the glass, and the supervisor of now says so.
#[track_caller]
fn recovered(kiosk: &Kiosk, before: u32) -> Duration {
    let look = || {
        let (frame, turns) = (kiosk.frame(), kiosk.site.turns(TAG));
        let candidates = (before + 1).max(turns.saturating_sub(8))..=turns;
        let fills = candidates.into_iter().any(|turn| frame.share(turn_colour(turn)) > 0.97);
        (fills && says_it_shows(kiosk)).then_some(())
    };
    let began = Instant::now();
    let found = catch_unwind(AssertUnwindSafe(|| timed("the right page", STUCK, look).1));
    found.unwrap_or_else(|_| {
        let picture = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("kills-stuck.png");
        kiosk.frame().save(&picture);
        panic!("stuck after {:?}; the glass: {}\n{}", began.elapsed(), picture.display(), kiosk.logs())
    })
}

fn says_it_shows(kiosk: &Kiosk) -> bool {
    let text = fs::read_to_string(kiosk.runtime().join("status.json")).unwrap_or_default();
    let status: Value = serde_json::from_str(&text).unwrap_or_default();
    let pid = status["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    status["health"]["showing"] == true && pid.is_some_and(|pid| process::seen(pid).is_some_and(|it| it.state != 'Z'))
}

/// Everything that runs with this display's folder as its home: only the loop does, and what is below it.
fn ours(kiosk: &Kiosk) -> Vec<(i32, String)> {
    let home = format!("HOME={}", kiosk.folder().display());
    let pids = fs::read_dir("/proc").expect("/proc is there").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_ours = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|word| word == home.as_bytes())
    };
    pids.filter(is_ours).filter_map(|pid| process::seen(pid).map(|seen| (pid, seen.name))).collect()
}

fn nothing_stayed_behind(kiosk: &mut Kiosk, display: u64, kill: u64) {
    let keeper = kiosk.browser().pid();
    until("orphans are gone", seconds(15), || {
        let below: Vec<i32> = process::below(keeper).iter().map(|seen| seen.pid).collect();
        let strays: Vec<_> =
            ours(kiosk).into_iter().filter(|(pid, _)| *pid != keeper && !below.contains(pid)).collect();
        if !strays.is_empty() {
            println!("display {display}, kill {kill}: {strays:?} run beside the loop, for now");
        }
        strays.is_empty().then_some(())
    });
    let firefoxes = kiosk.all_firefoxes();
    assert_eq!(firefoxes.len(), 1, "one Firefox: {firefoxes:?}");
}

fn sizes(kiosk: &mut Kiosk) -> Sizes {
    let of = |pid: i32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Size { anonymous_kb: process::status_field(pid, "RssAnon").unwrap_or(0), files }
    };
    let (supervisor, keeper) = (of(kiosk.run().pid()), of(kiosk.browser().pid()));
    Sizes { supervisor, keeper }
}

/// The first kills fill what is filled once: buffers, the ring of the log's last lines.
const WARM_UP: usize = 3;
/// What a process may take more at one moment than at another.
const SLACK_KB: u64 = 512;

/// A supervisor of a debug build has some three megabytes of its own, and twice that while a picture passes through.
const MOST_KB: u64 = 8 * 1024;

/// The least of the last third is no more than the most of the first: what is only larger now and then is no leak.
fn assert_flat(sizes: &[Sizes]) {
    let sizes = sizes.get(WARM_UP..).unwrap_or_default();
    let third = sizes.len() / 3;
    let (early, late) = (&sizes[..third], &sizes[sizes.len() - third..]);
    for (name, of) in [("supervisor", (|it| it.supervisor) as fn(&Sizes) -> Size), ("browser loop", |it| it.keeper)] {
        let kb = |it: &Sizes| of(it).anonymous_kb;
        let files = |it: &Sizes| of(it).files;
        let (Some(early_kb), Some(late_kb)) = (early.iter().map(kb).max(), late.iter().map(kb).min()) else { return };
        assert!(late_kb <= MOST_KB, "the {name} keeps {late_kb} KiB");
        assert!(late_kb <= early_kb + SLACK_KB, "the {name} grew from {early_kb} to {late_kb} KiB: {sizes:?}");
        let (Some(early), Some(late)) = (early.iter().map(files).max(), late.iter().map(files).min()) else { return };
        assert!(late <= early + 2, "the {name} holds {late} files, {early} before");
    }
}

fn report(stories: &[Story], took: Duration) {
    println!("{} kills in {:.0} s", stories.iter().map(|story| story.kills.len()).sum::<usize>(), took.as_secs_f64());
    for victim in [Victim::Firefox, Victim::Content, Victim::Loop, Victim::Supervisor] {
        let all = stories.iter().flat_map(|story| &story.kills).filter(|(who, _)| *who == victim);
        let count = all.clone().count();
        let mut times: Vec<f64> = all.filter_map(|(_, took)| took.map(|took| took.as_secs_f64())).collect();
        times.sort_by(f64::total_cmp);
        if let (Some(middle), Some(worst)) = (times.get(times.len() / 2), times.last()) {
            let late = times[(times.len() * 99 / 100).min(times.len() - 1)];
            println!(
                "{victim:?}: {count} kills; the page back after {middle:.2} s (median), {late:.2} (99 %), {worst:.2} (worst) of {}",
                times.len()
            );
        }
    }
    for (display, story) in stories.iter().enumerate() {
        if let (Some(first), Some(last)) = (story.sizes.get(WARM_UP), story.sizes.last()) {
            println!("display {display}: at first {first:?}, after {} looks {last:?}", story.sizes.len());
        }
    }
}
