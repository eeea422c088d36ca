//! A display of values around a drill: it listens where a supervisor does, loads the page as Firefox does, and is broken or
//! lies as each test wants it. The clock is the tests' own: a minute is over at once.

use std::{
    future::pending,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixListener, UnixStream},
    sync::Notify,
    task::JoinHandle,
    time::sleep,
};

use super::{
    wire::{Answer, Glass, Look, Request, SOCKET},
    *,
};
use crate::event::command::Fault;

/// How long this display takes to be right again, and to see that a site is away.
const HEALS: Duration = Duration::from_secs(3);
const NOTICES: Duration = Duration::from_secs(2);
const TRIES_EVERY: Duration = Duration::from_millis(500);

/// What is wrong with this display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Well,
    /// The fault changes nothing on the glass, and the supervisor calls that the page.
    OldPicture,
    /// The page is back on the glass, and the supervisor does not know.
    Unsaid,
    /// The page is back on half of the glass.
    Half,
    /// Firefox does not run: no harm can be done to it.
    Refuses,
    /// The page never comes at all.
    Dark,
    /// The screen cannot be taken away.
    Fixed,
    /// The screen is taken away for good.
    Lost,
    /// The supervisor does not miss a screen that is away.
    Blind,
    /// The screen comes back with another picture.
    Blurred,
}

#[derive(Debug, Default)]
struct State {
    look: Option<Look>,
    showing: bool,
    offline: bool,
    /// Somebody else has the glass.
    pushed: bool,
    living: Option<JoinHandle<()>>,
    /// The kernel has no screen, and the supervisor knows.
    unplugged: bool,
    missed: bool,
    blurred: bool,
}

#[derive(Debug, Clone)]
struct Display {
    way: Way,
    state: Arc<Mutex<State>>,
    harmed: Arc<Notify>,
    /// The supervisor: whoever talks to it is cut off.
    killed: Arc<Notify>,
}

impl Display {
    fn listen(runtime: &Path, way: Way) -> Self {
        let listener = UnixListener::bind(runtime.join(SOCKET)).unwrap();
        let display = Display { way, state: Arc::default(), harmed: Arc::default(), killed: Arc::default() };
        let own = display.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::select! {
                    () = own.converse(stream) => {}
                    () = own.killed.notified() => {}
                }
            }
        });
        display
    }

    async fn converse(&self, stream: UnixStream) {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = self.answer(serde_json::from_str(&line).unwrap());
            let line = serde_json::to_string(&answer).unwrap() + "\n";
            if writer.write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: Request) -> Answer {
        let mut state = self.state.lock().unwrap();
        match request {
            Request::Hold { url } => {
                if let Some(before) = state.living.replace(tokio::spawn(self.clone().live(url))) {
                    before.abort();
                }
                Answer::Done("it is yours".into())
            }
            Request::Glass {} => Answer::Glass(Glass {
                showing: state.showing,
                offline: state.offline,
                held: !state.pushed,
                sentence: "Doing its best".into(),
                display: String::new(),
                truth: if state.missed { "unplugged" } else { "showing" }.into(),
                picture: Some(if state.blurred { "1024x768" } else { "1920x1080" }.into()),
            }),
            Request::Look {} => Answer::Look(state.look.clone().unwrap_or(Look { colour: [0; 3], share: 1.0 })),
            Request::Harm(_) if self.way == Way::Refuses => Answer::Refused("Firefox does not run".into()),
            Request::Harm(_) => {
                self.harmed.notify_one();
                Answer::Done("done".into())
            }
            Request::Release {} | Request::Status {} => Answer::Done("as it was".into()),
        }
    }

    /// A tab of Firefox, and a supervisor that looks after it.
    async fn live(self, url: String) {
        let mut is_first = true;
        loop {
            let page = if self.way == Way::Dark { pending().await } else { get(&url).await };
            let Some(page) = page else {
                self.away().await;
                continue;
            };
            let half = self.way == Way::Half && !is_first;
            let look = Look { colour: colour(&page), share: if half { 0.5 } else { 1.0 } };
            {
                let mut state = self.state.lock().unwrap();
                (state.look, state.offline) = (Some(look), false);
                state.showing = is_first || self.way != Way::Unsaid;
            }
            is_first = false;
            let site = url.rsplit_once('/').unwrap().0;
            let orders = format!("{site}/orders?turn={}", between(&page, "turn=", "\""));
            let word = loop {
                tokio::select! {
                    word = get(&orders) => if word.as_deref() != Some("") { break word },
                    () = self.harmed.notified() => break Some("harm".to_owned()),
                }
            };
            match word.as_deref() {
                None | Some("reload") => {}
                _ if self.way == Way::OldPicture => pending().await,
                _ => {
                    self.state.lock().unwrap().showing = false;
                    sleep(HEALS).await;
                }
            }
        }
    }

    /// Somebody pulls the plug out, and puts it back.
    async fn unplugged(self) {
        let is = |way| self.way == way;
        self.state.lock().unwrap().unplugged = !is(Way::Fixed);
        sleep(NOTICES).await;
        self.state.lock().unwrap().missed = !is(Way::Blind) && !is(Way::Fixed);
        sleep(NOTICES).await;
        {
            let mut state = self.state.lock().unwrap();
            (state.unplugged, state.blurred) = (is(Way::Lost), is(Way::Blurred));
        }
        sleep(HEALS).await;
        self.state.lock().unwrap().missed = false;
    }

    /// The site is away: that is seen after a while, and then tried again and again.
    async fn away(&self) {
        let was = self.state.lock().unwrap().offline;
        sleep(if was { TRIES_EVERY } else { NOTICES }).await;
        let mut state = self.state.lock().unwrap();
        (state.showing, state.look, state.offline) = (false, None, self.way != Way::Unsaid);
    }
}

async fn get(url: &str) -> Option<String> {
    let (host, path) = url.strip_prefix("http://")?.split_once('/')?;
    let mut stream = TcpStream::connect(host).await.ok()?;
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).unwrap().1.split_once(after).unwrap().0
}

fn colour(page: &str) -> [u8; 3] {
    let number = u32::from_str_radix(between(page, "background: #", ";"), 16).unwrap();
    let [_, red, green, blue] = number.to_be_bytes();
    [red, green, blue]
}

/// What was taken from the surroundings, and given back.
#[derive(Debug, Clone)]
struct Surroundings {
    done: Arc<Mutex<Vec<&'static str>>>,
    display: Display,
}

impl Surroundings {
    fn note(&self, what: &'static str) -> Result<(), NotHere> {
        self.done.lock().unwrap().push(what);
        Ok(())
    }
}

impl Around for Surroundings {
    fn kill_supervisor(&mut self) -> Result<(), NotHere> {
        self.display.killed.notify_one();
        self.note("supervisor killed")
    }
    fn session_killed(&mut self) -> Result<(), NotHere> {
        self.note("session killed")
    }
    fn network(&self) -> Result<Ipv4Addr, NotHere> {
        Err(NotHere("there is none of its own".into()))
    }
    fn take_network(&mut self) -> Result<(), NotHere> {
        self.note("network taken")
    }
    fn give_network(&mut self) -> Result<(), NotHere> {
        self.note("network given")
    }
    fn fill_disk(&mut self) -> Result<(), NotHere> {
        self.note("disk filled")
    }
    fn empty_disk(&mut self) {
        let _ = self.note("disk emptied");
    }
    fn take_clock(&mut self) -> Result<(), NotHere> {
        self.note("clock taken")
    }
    fn give_clock(&mut self) -> Result<bool, NotHere> {
        self.note("clock given").map(|()| false)
    }
    fn screens(&self) -> Result<Vec<String>, NotHere> {
        match (self.display.way, self.display.state.lock().unwrap().unplugged) {
            (Way::Refuses, _) => Err(NotHere("it has no plug".into())),
            (_, unplugged) => Ok(if unplugged { Vec::new() } else { vec!["card0-HDMI-A-1".into()] }),
        }
    }
    async fn unplug(&mut self) -> Result<(), NotHere> {
        tokio::spawn(self.display.clone().unplugged());
        self.note("unplugged")
    }
    fn site_address(&self) -> Ipv4Addr {
        Ipv4Addr::LOCALHOST
    }
}

/// A drill of such a display, and what it sees of it besides.
async fn drill(way: Way) -> (tempfile::TempDir, Drill<Surroundings>, Surroundings) {
    let runtime = tempfile::tempdir().unwrap();
    let around = Surroundings { done: Arc::default(), display: Display::listen(runtime.path(), way) };
    let client = Client::connect(runtime.path()).await.unwrap();
    let rng = fastrand::Rng::with_seed(1);
    let drill = Drill::begin(runtime.path(), client, None, around.clone(), rng).await.unwrap();
    (runtime, drill, around)
}

/// One fault on such a display: how it ended, and what was done around it.
async fn made(way: Way, fault: Fault) -> (Outcome, Vec<&'static str>) {
    let (_runtime, mut drill, around) = drill(way).await;
    let outcome = drill.make(fault).await;
    let done = around.done.lock().unwrap().clone();
    (outcome, done)
}

#[track_caller]
fn took(outcome: &Outcome, least: Duration, most: Duration) {
    match &outcome.ended {
        Ended::Recovered(took) if (least..=most).contains(took) => {}
        other => panic!("{}: {other:?}, not within {least:?} to {most:?}", outcome.fault.name()),
    }
}

const SLACK: Duration = Duration::from_millis(300);

#[tokio::test(start_paused = true)]
async fn the_time_is_from_the_fault_to_the_next_load_of_the_page_on_the_glass() {
    for fault in [Fault::BrowserKilled, Fault::ContentStopped, Fault::PageHung, Fault::PageWhite, Fault::MemoryHog] {
        let (outcome, _) = made(Way::Well, fault).await;
        took(&outcome, HEALS, HEALS + SLACK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_outlives_its_supervisor_need_not_be_loaded_again() {
    let (outcome, around) = made(Way::Well, Fault::SupervisorKilled).await;
    took(&outcome, Duration::ZERO, SLACK);
    assert_eq!(around[0], "supervisor killed");
}

#[tokio::test(start_paused = true)]
async fn both_witnesses_must_say_that_the_page_is_there() {
    for (way, why) in [
        (Way::OldPicture, "the load of before is still on the glass"),
        (Way::Unsaid, "the supervisor does not call it painted"),
        (Way::Half, "half of the glass shows something else"),
    ] {
        let (outcome, _) = made(way, Fault::BrowserKilled).await;
        let Ended::Never { waited, says } = &outcome.ended else { panic!("{why}: {outcome:?}") };
        assert!(*waited >= Fault::BrowserKilled.gives_up() && !outcome.is_ok(), "{why}");
        assert_eq!(says, "Doing its best");
    }
}

#[tokio::test(start_paused = true)]
async fn a_screen_that_was_unplugged_is_measured_from_when_it_is_plugged_in_again() {
    let (outcome, _) = made(Way::Well, Fault::ScreenUnplugged).await;
    took(&outcome, HEALS - SLACK, HEALS + SLACK);
    for (way, why) in [
        (Way::Fixed, "was not taken away"),
        (Way::Lost, "did not come back"),
        (Way::Blind, "never said that no screen"),
        (Way::Blurred, "Doing its best (the picture was 1920x1080 and is 1024x768)"),
    ] {
        let (outcome, _) = made(way, Fault::ScreenUnplugged).await;
        match &outcome.ended {
            Ended::Broken(says) | Ended::Never { says, .. } if says.contains(why) => assert!(!outcome.is_ok()),
            ended => panic!("{way:?}: {ended:?}, and not {why}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_away_is_right_once_the_offline_page_is_there() {
    let (outcome, _) = made(Way::Well, Fault::SiteAway).await;
    took(&outcome, NOTICES, NOTICES + SLACK);
    let (outcome, _) = made(Way::Unsaid, Fault::SiteAway).await;
    assert!(matches!(outcome.ended, Ended::Never { .. }), "a dark glass is no offline page: {outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_site_that_went_away_is_back_for_the_next_fault() {
    let (_runtime, mut drill, _) = drill(Way::Well).await;
    drill.make(Fault::SiteAway).await;
    took(&drill.make(Fault::BrowserKilled).await, HEALS, HEALS + SLACK);
}

#[tokio::test(start_paused = true)]
async fn the_way_back_is_measured_from_when_the_site_came_back() {
    let (outcome, _) = made(Way::Well, Fault::SiteBack).await;
    took(&outcome, Duration::ZERO, TRIES_EVERY + SLACK);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_here_says_why_and_is_never_ok() {
    for (way, fault, why) in [
        (Way::Refuses, Fault::BrowserKilled, "Firefox does not run"),
        (Way::Well, Fault::NoNetwork, "there is none of its own"),
        (Way::Refuses, Fault::ScreenUnplugged, "it has no plug"),
    ] {
        let (outcome, _) = made(way, fault).await;
        assert_eq!(outcome.ended, Ended::NotHere(why.into()));
        assert!(!outcome.is_ok() && !outcome.was_run());
    }
}

#[tokio::test(start_paused = true)]
async fn a_display_that_is_not_well_is_not_harmed() {
    let (outcome, around) = made(Way::Dark, Fault::DiskFull).await;
    assert_eq!(outcome.ended, Ended::Broken("the display was not well before it: Doing its best".into()));
    assert!(!around.contains(&"disk filled"), "{around:?}");
}

#[tokio::test(start_paused = true)]
async fn whatever_was_taken_is_given_back_however_it_ended() {
    let (outcome, around) = made(Way::Well, Fault::DiskFull).await;
    took(&outcome, HEALS, HEALS + SLACK);
    assert_eq!(around, ["disk filled", "network given", "disk emptied", "clock given"]);
    let (outcome, around) = made(Way::Half, Fault::DiskFull).await;
    assert!(matches!(outcome.ended, Ended::Never { .. }));
    assert_eq!(around, ["disk filled", "network given", "disk emptied", "clock given"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_somebody_pushes_meanwhile_ends_the_drill() {
    let (_runtime, mut drill, around) = drill(Way::Well).await;
    let pushed = async {
        sleep(Duration::from_secs(1)).await;
        around.display.state.lock().unwrap().pushed = true;
    };
    let (outcome, ()) = tokio::join!(drill.make(Fault::DiskFull), pushed);
    let Ended::Broken(why) = &outcome.ended else { panic!("{outcome:?}") };
    assert!(why.contains("another page was pushed"), "{why}");
    let done = around.done.lock().unwrap();
    assert!(!done.contains(&"disk filled"), "nothing is done to what is not the drill's: {done:?}");
}
