//! `pikiosk browser` without Firefox, on X servers that can do more than Xvfb; the test plays the supervisor and X's own
//! programs are the judges.
//!
//! Xephyr turns its picture (RandR rotation). Xorg with its dummy driver has sixteen outputs, real modes, gamma, and a
//! touch screen by its `inputtest` driver. Neither has DPMS, but Debian's dummy driver has it when it is built with one
//! line more (`xf86DPMSInit(pScreen, xf86DPMSSet, 0);` before `xf86SetDesiredModes`): PIKIOSK_TEST_XORG_MODULES names
//! the folder above `drivers/dummy_drv.so`.

#![expect(clippy::print_stdout, reason = "what cannot be tried on this machine is said, and loudly")]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::net::UnixListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    browser::{Supervisor, start_loop_on},
    process::Process,
    wait::seconds,
};

const XORG: &str = r#"
Section "ServerLayout"
  Identifier "layout"
  Screen "screen"
  InputDevice "touch"
EndSection
Section "ServerFlags"
  Option "AutoAddDevices" "false"
  Option "AutoEnableDevices" "false"
EndSection
Section "InputDevice"
  Identifier "touch"
  Driver "inputtest"
  Option "SocketPath" "@FOLDER@/touch.sock"
  Option "DeviceType" "Touch"
EndSection
Section "Device"
  Identifier "card"
  Driver "dummy"
  VideoRam 64000
EndSection
Section "Monitor"
  Identifier "monitor"
  HorizSync 5-1000
  VertRefresh 5-200
EndSection
Section "Screen"
  Identifier "screen"
  Device "card"
  Monitor "monitor"
  DefaultDepth 24
  SubSection "Display"
    Depth 24
    Virtual 1920 1920
  EndSubSection
EndSection
"#;

/// An X server; ends with it.
#[derive(Debug)]
pub struct XServer {
    /// Such as `:99`.
    pub display: String,
    server: Child,
}

impl XServer {
    /// None, said in words, where this server is not installed or may not run here.
    pub fn start(command: &mut Command, what: &str) -> Option<XServer> {
        for judge in ["xrandr", "xset", "xsetroot", "xinput"] {
            let asked = Command::new(judge).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if asked.is_err() {
                println!("SKIPPED: {judge} is not installed (apt install x11-xserver-utils xinput)");
                return None;
            }
        }
        let started = command.args(["-displayfd", "1", "-noreset", "-nolisten", "tcp"]);
        let started = started.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut server) = started else {
            println!("SKIPPED: {what} is not installed");
            return None;
        };
        let mut line = String::new();
        let stdout = server.stdout.take().expect("it was piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says its display, or ends");
        let display = format!(":{}", line.trim());
        let server = XServer { display, server };
        if line.trim().is_empty() {
            println!("SKIPPED: {what} does not start here");
            return None;
        }
        Some(server)
    }

    pub fn xvfb() -> Option<XServer> {
        Self::start(Command::new("Xvfb").args(["-screen", "0", "1280x720x24"]), "Xvfb (apt install xvfb)")
    }

    /// One that draws its pointer, into `Xvfb_screen0` of this folder.
    pub fn with_a_pointer(folder: &Path) -> Option<XServer> {
        let mut command = Command::new("Xvfb");
        command.args(["-screen", "0", "640x480x24", "-fbdir"]).arg(folder);
        Self::start(&mut command, "Xvfb (apt install xvfb)")
    }

    /// Xorg, without a graphics card.
    pub fn xorg(folder: &Path) -> Option<XServer> {
        let config = folder.join("xorg.conf");
        let mut text = XORG.replace("@FOLDER@", &folder.to_string_lossy());
        if let Some(modules) = std::env::var_os("PIKIOSK_TEST_XORG_MODULES") {
            let own = modules.to_string_lossy();
            let paths = [&own, "/usr/lib/xorg/modules"].map(|path| format!("  ModulePath \"{path}\"\n")).concat();
            text.push_str(&format!("Section \"Files\"\n{paths}EndSection\n"));
        }
        fs::write(&config, text).expect("the config is written");
        let mut command = Command::new("Xorg");
        command.arg("-config").arg(&config).arg("-logfile").arg(folder.join("xorg.log"));
        command.args(["-novtswitch", "-sharevts", "vt7"]);
        Self::start(&mut command, "Xorg with its dummy driver (apt install xserver-xorg-video-dummy; as root)")
    }

    /// Xephyr, in a window of another X server.
    pub fn xephyr(inside: &XServer) -> Option<XServer> {
        let mut command = Command::new("Xephyr");
        command.args(["-screen", "800x600"]).env("DISPLAY", &inside.display);
        Self::start(&mut command, "Xephyr (apt install xserver-xephyr)")
    }

    /// What one of X's own programs says.
    #[track_caller]
    pub fn says(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program).args(args).env("DISPLAY", &self.display).output();
        let output = output.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        text
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        super::process::send(i32::try_from(self.server.id()).expect("a pid is small"), signal);
    }
}

impl Drop for XServer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The loop on such a server. Fields drop in this order.
#[derive(Debug)]
pub struct Device {
    pub supervisor: Supervisor,
    pub process: Process,
    _listener: UnixListener,
    _folder: TempDir,
    asks: u64,
}

impl Device {
    #[track_caller]
    pub fn start(server: &XServer, config: &str) -> Device {
        let folder = tempfile::Builder::new().prefix("pikiosk-").tempdir().expect("a folder is made");
        let listener = UnixListener::bind(folder.path().join("browser.sock")).expect("the socket is made");
        let path = folder.path().join("kiosk.toml");
        fs::write(&path, config).expect("the config is written");
        let process = start_loop_on(folder.path(), &server.display, &path);
        Device { supervisor: Supervisor::meets(&listener), process, _listener: listener, _folder: folder, asks: 0 }
    }

    /// The supervisor goes; the loop lives as long as what is returned.
    pub fn without_supervisor(self) -> (Process, UnixListener, TempDir) {
        let Device { supervisor, process, _listener, _folder, .. } = self;
        drop(supervisor);
        (process, _listener, _folder)
    }

    /// Orders something of the screen, and returns what came of it: `Ok` or `Err` as JSON has them.
    #[track_caller]
    pub fn order(&mut self, order: &Value) -> Value {
        self.asks += 1;
        self.supervisor.order(&json!({ "screen": { "ask": self.asks, "order": order } }));
        let answer = self.supervisor.heard("screen", seconds(20));
        assert_eq!(answer["ask"], self.asks, "{answer}");
        answer["result"].clone()
    }

    /// The next facts of which this holds.
    #[track_caller]
    pub fn sees(&mut self, what: &str, within: u64, holds: impl FnMut(&Value) -> bool) -> Value {
        sees(&mut self.supervisor, what, within, holds)
    }
}

/// The next facts of which this holds.
#[track_caller]
pub fn sees(supervisor: &mut Supervisor, what: &str, within: u64, mut holds: impl FnMut(&Value) -> bool) -> Value {
    let began = std::time::Instant::now();
    loop {
        let facts = supervisor.heard("sees", seconds(30));
        if holds(&facts) {
            println!("{what}: after {:?}", began.elapsed());
            return facts;
        }
        assert!(began.elapsed() < seconds(within), "not within {within} s: {what}; last seen: {facts}");
    }
}
