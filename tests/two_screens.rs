//! Two screens with a page each: real Xorg with its dummy driver, matchbox, `pikiosk run`, `pikiosk browser`, Firefox.
#![cfg(feature = "display")]
#![expect(clippy::print_stdout, reason = "the logs of a display that failed are for whoever reads why")]

mod support;

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use nix::sys::signal::Signal;
use support::{
    device::XServer,
    kiosk::COLD,
    process::{self, Process},
    screen::Colour,
    server::{free_port, pikiosk},
    site::Site,
    wait::{LOOK, seconds, until},
};
use x11rb::{
    connection::Connection as _,
    protocol::xproto::{ConnectionExt as _, ImageFormat},
    rust_connection::RustConnection,
};

const GREEN: Colour = [0x22, 0x8b, 0x22];
/// Behind our own pages (assets/page/page.css).
const INK: Colour = [0x0d, 0x13, 0x21];
const BLUE: Colour = [0x1e, 0x4f, 0xd8];

/// Left, top, width, height.
type Place = (i16, i16, u16, u16);

/// Fields drop in this order.
struct Stage {
    browser: Process,
    run: Process,
    _manager: Process,
    glass: RustConnection,
    server: XServer,
    /// Of the first page, and of the second.
    sites: [Site; 2],
    folder: tempfile::TempDir,
}

impl Stage {
    /// None, said in words, where Xorg's dummy driver is not installed.
    fn start() -> Option<Stage> {
        let folder = tempfile::Builder::new().prefix("pikiosk-").tempdir().expect("a folder is made");
        let server = XServer::xorg(folder.path())?;
        let glass = x11rb::connect(Some(&server.display)).expect("X is there").0;
        let mut manager = Command::new("matchbox-window-manager");
        manager.args(["-use_titlebar", "no", "-use_cursor", "no", "-use_desktop_mode", "plain"]);
        manager.args(["-kbdconfig", "/dev/null"]).env("DISPLAY", &server.display);
        let manager = Process::start("matchbox", folder.path(), &mut manager);
        let sites = [(GREEN, Site::start()), (BLUE, Site::start())].map(|([r, g, b], site)| {
            let page = "<script>onkeydown = () => fetch('/pressed')</script>";
            let html = format!("<!doctype html><body bgcolor='#{r:02x}{g:02x}{b:02x}'>{page}</body>");
            site.put("/page", "", &html);
            site
        });
        let config = folder.path().join("kiosk.toml");
        let text = format!(
            "[display]\nid = \"alone\"\nurl = \"{}\"\n[page]\nlisten = \"127.0.0.1:{}\"\n\
             [screen]\nmode = \"1280x720\"\nsecond = \"{}\"\n[browser]\nallow = [\"{}\", \"{}\"]\n",
            sites[0].url("/page#first"),
            free_port(),
            sites[1].url("/page#second"),
            sites[0].url(""),
            sites[1].url(""),
        );
        fs::write(&config, text).expect("the config is written");
        let run = Stage::run(folder.path());
        let runtime = folder.path().join("runtime");
        let mut browser = pikiosk(&["browser", "--config"]);
        browser.arg(&config).arg("--runtime").arg(&runtime);
        browser.env("DISPLAY", &server.display).env("HOME", folder.path());
        let browser = Process::start("browser", folder.path(), &mut browser);
        Some(Stage { browser, run, _manager: manager, glass, server, sites, folder })
    }

    fn run(folder: &std::path::Path) -> Process {
        let mut run = pikiosk(&["run", "--config"]);
        run.arg(folder.join("kiosk.toml")).arg("--state").arg(folder.join("state"));
        run.arg("--runtime").arg(folder.join("runtime"));
        let run = Process::start("run", folder, &mut run);
        let socket = folder.join("runtime/browser.sock");
        until("the supervisor listens", seconds(20), || socket.exists().then_some(()));
        run
    }

    /// The dummy driver calls connected what is lit. As X does it with a screen that is new, it shows what the first does.
    fn plug_in(&self, output: &str) {
        self.server.says("xrandr", &["--addmode", output, "800x600"]);
        self.xrandr(&["--output", output, "--mode", "800x600", "--same-as", "DUMMY0"]);
        // X looks at a plug again only when it is asked to.
        self.server.says("xrandr", &["--query"]);
    }

    /// As [`Stage::plug_in`] has it, the other way round.
    fn unplug(&self, output: &str) {
        self.xrandr(&["--output", output, "--off"]);
        self.server.says("xrandr", &["--query"]);
    }

    /// A plug changes nothing of the X screen's size, and xrandr does if it is not told to leave it.
    fn xrandr(&self, args: &[&str]) {
        let (width, height) = self.size();
        self.server.says("xrandr", &[&["--fb", &format!("{width}x{height}")], args].concat());
    }

    /// Of the X screen. It is black everywhere for a moment when this changes, with real graphics.
    fn size(&self) -> (u16, u16) {
        let root = self.glass.setup().roots[0].root;
        let is = self.glass.get_geometry(root).expect("X is there").reply().expect("X answers");
        (is.width, is.height)
    }

    /// Where this output lies on the X screen, by X's own word.
    fn place(&self, output: &str) -> Option<Place> {
        let said = self.server.says("xrandr", &["--query"]);
        let line = said.lines().find(|line| line.starts_with(&format!("{output} connected")))?;
        let geometry = line.split(' ').find(|word| word.contains('x') && word.contains('+'))?;
        let mut numbers = geometry.split(['x', '+']).map(|number| number.parse::<u16>().ok());
        let (width, height, x, y) = (numbers.next()??, numbers.next()??, numbers.next()??, numbers.next()??);
        Some((i16::try_from(x).ok()?, i16::try_from(y).ok()?, width, height))
    }

    /// The share of this place that has this colour.
    fn share(&self, (x, y, width, height): Place, colour: Colour) -> f64 {
        let root = self.glass.setup().roots[0].root;
        let asked = self.glass.get_image(ImageFormat::Z_PIXMAP, root, x, y, width, height, !0).expect("X is there");
        let Ok(image) = asked.reply() else { return 0.0 };
        let pixels = image.data.chunks_exact(4).step_by(16);
        let (same, all) = pixels.fold((0_u32, 0_u32), |(same, all), pixel| {
            (same + u32::from([pixel[2], pixel[1], pixel[0]] == colour), all + 1)
        });
        f64::from(same) / f64::from(all)
    }

    #[track_caller]
    fn shows(&self, output: &str, colour: Colour, within: u64) {
        until(&format!("{output} is {colour:02x?}"), seconds(within), || {
            (self.share(self.place(output)?, colour) > 0.9).then_some(())
        });
    }

    fn status(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("runtime/status.json")).unwrap_or_default();
        let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        status["health"]["status"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn says(&self, words: &str) {
        until(&format!("the status says {words}"), seconds(20), || self.status().contains(words).then_some(()));
    }

    /// Waits until Firefox has so many windows with pages in them.
    #[track_caller]
    fn has_windows(&self, count: usize) {
        until(&format!("{count} windows"), seconds(10), || {
            let listed =
                Command::new("xwininfo").args(["-root", "-tree"]).env("DISPLAY", &self.server.display).output();
            // One that goes meanwhile makes it fail.
            let listed = listed.ok().filter(|listed| listed.status.success())?;
            (String::from_utf8_lossy(&listed.stdout).matches("(\"Navigator\"").count() == count).then_some(())
        });
    }

    fn content(&self) -> Vec<i32> {
        let of_pages = |seen: &process::Seen| seen.name.starts_with("Web Content") && seen.state != 'Z';
        process::below(self.browser.pid()).into_iter().filter(of_pages).map(|seen| seen.pid).collect()
    }
}

/// Looks at the middle of the first screen as often as X answers.
struct Witness {
    over: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Witness {
    fn of_the_first(display: &str) -> Witness {
        let over = Arc::new(AtomicBool::new(false));
        let (ends, glass) = (Arc::clone(&over), x11rb::connect(Some(display)).expect("X is there").0);
        let thread = std::thread::spawn(move || {
            let root = glass.setup().roots[0].root;
            let (mut looks, mut others) = (0, 0);
            while !ends.load(Ordering::SeqCst) {
                let asked = glass.get_image(ImageFormat::Z_PIXMAP, root, 0, 360, 1280, 1, !0).expect("X is there");
                let line = asked.reply().expect("X answers").data;
                let is_green = |pixel: &[u8]| [pixel[2], pixel[1], pixel[0]] == GREEN;
                others += usize::from(!line.chunks_exact(4).all(is_green));
                looks += 1;
                std::thread::park_timeout(LOOK);
            }
            println!("{others} of {looks} looks at the first screen saw something else");
            others
        });
        Witness { over, thread }
    }

    fn ends(self) -> usize {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().expect("it looked")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            [&self.run, &self.browser].iter().for_each(|process| println!("--- {}\n{}", process.name, process.log()));
        }
    }
}

#[test]
fn two_screens_show_a_page_each_whatever_is_done_to_either() {
    let Some(mut stage) = Stage::start() else { return };
    until("green", COLD, || (stage.share((0, 0, 1280, 720), GREEN) > 0.9).then_some(()));
    stage.says("no second screen is connected");

    let witness = Witness::of_the_first(&stage.server.display);
    stage.plug_in("DUMMY1");
    stage.shows("DUMMY1", BLUE, 30);
    assert_eq!(witness.ends(), 0, "looks at the first screen that saw anything but its page");
    stage.shows("DUMMY0", GREEN, 5);
    stage.says("DUMMY1 shows http://");
    let places = [stage.place("DUMMY0"), stage.place("DUMMY1")].map(|place| place.expect("it is lit"));
    assert_eq!(places, [(0, 0, 1280, 720), (1280, 0, 800, 600)]);

    // It is pulled out, and plugged in again.
    let witness = Witness::of_the_first(&stage.server.display);
    stage.unplug("DUMMY1");
    stage.says("no second screen is connected");
    stage.has_windows(1);
    stage.plug_in("DUMMY1");
    stage.shows("DUMMY1", BLUE, 30);
    assert_eq!(witness.ends(), 0, "looks at the first screen that saw anything but its page");
    assert_eq!(stage.size(), (2560, 720), "room for two, from the start");

    // Keys are the first page's, and the second's while the pointer is there.
    stage.server.says("xdotool", &["key", "a"]);
    until("the first page hears it", seconds(5), || (!stage.sites[0].hits("/pressed").is_empty()).then_some(()));
    stage.server.says("xdotool", &["mousemove", "1400", "100"]);
    until("the second page hears it", seconds(10), || {
        stage.server.says("xdotool", &["key", "b"]);
        (!stage.sites[1].hits("/pressed").is_empty()).then_some(())
    });

    // The second page's site goes, and comes back; the first page stays.
    stage.sites[1].go_away();
    let before = stage.sites[0].hits("/page").len();
    stage.content().iter().for_each(|pid| process::send(*pid, Signal::SIGKILL));
    stage.says("is not on DUMMY1 (");
    until("the first is loaded again", seconds(20), || (stage.sites[0].hits("/page").len() > before).then_some(()));
    stage.shows("DUMMY0", GREEN, 10);
    // Our own page says so, in its own colour, and not the browser's about the crash.
    until("our page", seconds(10), || (stage.share(places[1], INK) > 0.5).then_some(()));
    stage.sites[1].come_back();
    stage.shows("DUMMY1", BLUE, 20);

    // Their process dies while both sites are there: each has a fragment in its address.
    let hits = |stage: &Stage| [0, 1].map(|site: usize| stage.sites[site].hits("/page").len());
    let before = hits(&stage);
    stage.content().iter().for_each(|pid| process::send(*pid, Signal::SIGKILL));
    until("both are loaded again", seconds(20), || {
        hits(&stage).iter().zip(before).all(|(now, before)| *now > before).then_some(())
    });
    stage.shows("DUMMY0", GREEN, 10);
    stage.shows("DUMMY1", BLUE, 10);

    // Another supervisor: the window that the last one opened gives way to its own.
    stage.run.kill();
    stage.run = Stage::run(stage.folder.path());
    stage.says("DUMMY1 shows http://");
    stage.shows("DUMMY1", BLUE, 10);
    stage.has_windows(2);
    assert!(stage.share(places[0], GREEN) > 0.9);

    // Another Firefox.
    let firefox = process::below(stage.browser.pid()).into_iter().find(|seen| seen.name.starts_with("firefox"));
    process::send(firefox.expect("Firefox runs").pid, Signal::SIGKILL);
    stage.has_windows(0);
    stage.shows("DUMMY0", GREEN, 30);
    stage.shows("DUMMY1", BLUE, 30);
    stage.has_windows(2);
}
