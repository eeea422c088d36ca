//! A browser loop that was taken over: whatever it says, in whatever order, for a day, the budgets hold.

use proptest::prelude::*;

use super::*;
use crate::display::{
    screen::{Facts, Frame, Panel},
    supervisor::recovery::Ledger,
};

const HOUR: Duration = Duration::from_secs(3600);
/// From a reboot to a supervisor.
const BOOT: Duration = Duration::from_secs(20);

/// What it can say.
#[derive(Debug, Clone, Copy)]
enum Lie {
    Came,
    Gone,
    Attached,
    Detached,
    NoProfile,
    Grown { content: bool, killed: bool },
    ContentEnded,
    Crashed,
    Closed,
    Opened,
    Frozen,
    Blind,
    Painted { status: u16 },
    Pageless,
    Empty,
    Refused,
}

fn lie() -> impl Strategy<Value = Lie> {
    prop_oneof![
        1 => Just(Lie::Came),
        1 => Just(Lie::Gone),
        3 => Just(Lie::Attached),
        3 => Just(Lie::Detached),
        2 => Just(Lie::NoProfile),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(content, killed)| Lie::Grown { content, killed }),
        1 => Just(Lie::ContentEnded),
        2 => Just(Lie::Crashed),
        2 => Just(Lie::Closed),
        1 => Just(Lie::Opened),
        3 => Just(Lie::Frozen),
        2 => Just(Lie::Blind),
        4 => prop::sample::select(vec![200u16, 503]).prop_map(|status| Lie::Painted { status }),
        2 => Just(Lie::Pageless),
        2 => Just(Lie::Empty),
        2 => Just(Lie::Refused),
    ]
}

/// What was done, and when.
#[derive(Debug, Default)]
struct Done {
    reboots: Vec<Duration>,
    sessions: Vec<Duration>,
    browsers: Vec<Duration>,
    kept: Vec<Duration>,
}

struct Forged {
    world: World,
    began: Instant,
    boot: u64,
    kept: Option<String>,
    done: Done,
}

impl Forged {
    fn new() -> Self {
        let world = World::up();
        Forged { began: world.now, world, boot: 0, kept: None, done: Done::default() }
    }

    fn say(&mut self, lie: Lie) {
        let world = &mut self.world;
        let seen = |seen| Input::Seen(seen);
        let frozen = Frame { uniform: None, hash: 1, still_ms: 600_000, beat_still_ms: Some(600_000) };
        match lie {
            Lie::Came => world.give(Input::LoopCame),
            Lie::Gone => world.give(Input::LoopGone),
            Lie::Attached => world.give(Input::Attached),
            Lie::Detached => world.give(Input::Detached { why: "so it says".into() }),
            Lie::NoProfile => world.give(Input::NoProfile { why: "so it says".into() }),
            Lie::Grown { content, killed } => {
                world.give(Input::Overgrown(Overgrown { content, killed, megabytes: 900, limit: 500 }));
            }
            Lie::ContentEnded => world.give(Input::ContentEnded),
            Lie::Crashed => world.give(seen(Seen::Committed { navigation: None, url: "about:tabcrashed?e=x".into() })),
            Lie::Closed => world.give(seen(Seen::Closed)),
            Lie::Opened => (0..30).for_each(|n| world.give(seen(Seen::Opened { context: n.to_string() }))),
            Lie::Frozen => {
                world.give(Input::ScreenSeen(Facts { frame: Some(frozen), panel: Panel::On, ..Facts::default() }));
            }
            Lie::Blind => world.give(Input::ScreenSeen(Facts::default())),
            Lie::Painted { status } => world.paint_with(status),
            Lie::Pageless => self.answer(Ok(Answer::Pageless)),
            Lie::Empty => self.answer(Ok(Answer::Looked(Looked { empty: true, may_fill: false, beats: None }))),
            Lie::Refused => self.answer(Err(AskError::Refused("no".into()))),
        }
        self.look();
    }

    /// The oldest question gets this answer.
    fn answer(&mut self, answer: Result<Answer, AskError>) {
        if !self.world.asks.is_empty() {
            self.world.answer(0, answer);
        }
    }

    fn pass(&mut self, time: Duration) {
        // In small steps: what is done at each is noted with its time.
        for _ in 0..time.as_secs().max(1) {
            self.world.pass(S);
            self.look();
        }
        self.world.asks.truncate(200);
    }

    /// Notes what was done; a machine that was to be started again is.
    fn look(&mut self) {
        let at = self.world.now - self.began;
        let mut boots = false;
        for effect in std::mem::take(&mut self.world.effects) {
            match effect {
                Effect::System { request: crate::display::helper::Request::Reboot, .. } => {
                    self.done.reboots.push(at);
                    boots = true;
                }
                Effect::System { .. } => self.done.sessions.push(at),
                Effect::RestartBrowser { .. } => self.done.browsers.push(at),
                Effect::Remember(text) => {
                    self.done.kept.push(at);
                    self.kept = Some(text);
                }
                _ => {}
            }
        }
        if boots {
            self.boot += 1;
            self.world.now += BOOT;
            self.world.die(true);
            let ledger = Ledger::resume(self.kept.as_deref(), &format!("boot-{}", self.boot), BOOT);
            let now = self.world.now;
            self.world.machine.recall(ledger, now);
            self.world.effects.clear();
        }
    }
}

pub(super) fn most_within(times: &[Duration], window: Duration) -> usize {
    let within = |(n, at): (usize, &Duration)| times[n..].iter().take_while(|later| **later < *at + window).count();
    times.iter().enumerate().map(within).max().unwrap_or(0)
}

fn budgets_hold(done: &Done) -> Result<(), TestCaseError> {
    prop_assert!(most_within(&done.reboots, HOUR) <= 3, "reboots: {:?}", done.reboots);
    prop_assert!(most_within(&done.sessions, HOUR) <= 3, "sessions: {:?}", done.sessions);
    let browsers = most_within(&done.browsers, 600 * S);
    // Ten by budget, two with the plain profile, and one a minute at the top.
    prop_assert!(browsers <= 22, "{browsers} starts of Firefox in ten minutes");
    let kept = most_within(&done.kept, 600 * S);
    prop_assert!(kept <= 28, "the card was written {kept} times in ten minutes");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_loop_that_lies_has_the_machine_started_again_three_times_an_hour_at_most(
        lies in prop::collection::vec((lie(), 0..60u32), 200..300),
    ) {
        let mut forged = Forged::new();
        for (lie, pause) in lies {
            forged.say(lie);
            forged.pass(pause * S);
        }
        budgets_hold(&forged.done)?;
    }
}

/// Those that climb furthest, each alone and as fast as it may: as often as a loop is listened to.
#[test]
fn a_loop_that_says_the_worst_all_the_time_gets_no_more() {
    let worst: [&[Lie]; 8] = [
        &[Lie::NoProfile],
        &[Lie::NoProfile, Lie::Attached],
        &[Lie::Attached, Lie::Closed],
        &[Lie::Attached, Lie::Opened],
        &[Lie::Grown { content: false, killed: true }],
        &[Lie::Gone],
        &[Lie::Came],
        &[Lie::Attached, Lie::Detached],
    ];
    for lies in worst {
        let mut forged = Forged::new();
        for _ in 0..2 * 3600 {
            lies.iter().for_each(|lie| forged.say(*lie));
            forged.pass(S);
        }
        let done = &forged.done;
        let (reboots, sessions, browsers) = (done.reboots.len(), done.sessions.len(), done.browsers.len());
        budgets_hold(done).unwrap();
        assert!(reboots + sessions + browsers > 0, "{lies:?} is believed as long as its budgets last");
    }
}
