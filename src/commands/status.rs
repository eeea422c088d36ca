//! `pikiosk status`: what this display shows, and how it is.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::cli::Json;
use super::failure::{Exit, Failure};
use super::output;
use crate::display::{
    status::{STALE, StatusFile},
    supervisor::{recovery::Cause, times},
};
use crate::event::{
    health::{Screen, Trouble, troubles},
    time::UtcMillis,
};
use crate::io::uptime::uptime;

/// Tells what this display shows and how it is, in words.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk status
  pikiosk status --json
  sudo pikiosk status --last

Exit code 21: there is no supervisor, or it has said nothing for too long.")]
pub struct Args {
    #[command(flatten)]
    json: Json,
    /// Where the supervisor keeps what is of this boot only.
    #[arg(long, value_name = "DIR", default_value = "/run/pikiosk")]
    runtime: PathBuf,
    /// Tell why this display was last started again, and what was seen before it. The log lines are for root.
    #[arg(long)]
    last: bool,
    /// With --last: where the supervisor keeps what must survive everything.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/pikiosk")]
    state: PathBuf,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    if args.last {
        return last::run(&args.runtime, &args.state, args.json);
    }
    let status = StatusFile::read(&args.runtime).map_err(|source| Failure::Status { source })?;
    let now = UtcMillis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default());
    let age = status.age(now, uptime());
    let alive = age < STALE && runs(status.pid);
    if args.json.json {
        let told = json!({ "alive": alive, "age_s": age.as_secs(), "display": status.display, "pid": status.pid,
            "health": status.health });
        output::json(&told)?;
    } else {
        output::text(&told(&status, age, alive))?;
    }
    Ok(if alive { Exit::Done } else { Exit::Unreachable })
}

/// True while there is such a process (`kill(2)` with no signal; not being allowed to is an answer too).
fn runs(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    !matches!(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None), Err(nix::errno::Errno::ESRCH))
}

fn told(status: &StatusFile, age: Duration, alive: bool) -> String {
    let health = &status.health;
    let mut text = String::new();
    if !alive {
        let ago = super::roughly(age.as_secs());
        text.push_str(&format!(
            "The supervisor has said nothing for {ago}; it hangs, or is gone (cure: sudo systemctl \
             restart pikiosk). Its last words:\n"
        ));
    }
    text.push_str(&format!("{}\n", health.status));
    for trouble in troubles(health) {
        text.push_str(&format!("! {trouble}\n"));
    }
    text.push('\n');
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("{name:<14} {value}\n"));
        }
    };
    line("display", status.display.clone());
    line(if health.showing { "on the glass" } else { "wanted" }, health.url.clone());
    line("trouble", health.trouble.as_ref().map(in_words));
    line("screen", health.screen.as_ref().map(screen_in_words).filter(|words| !words.is_empty()));
    // As it was said; a supervisor that is there has lived on since.
    line("up for", Some(super::roughly(health.uptime_s + if alive { age.as_secs() } else { 0 })));
    line(
        "Firefox",
        health.firefox.as_ref().map(|version| format!("{version}, started {}", times(health.browser_starts))),
    );
    line("memory free", health.memory_available_kb.map(|kb| format!("{} MiB", kb / 1024)));
    line("disk free", health.disk_free_kb.map(|kb| format!("{} MiB", kb / 1024)));
    line("temperature", health.temperature_c.map(|degrees| format!("{degrees:.0} °C")));
    line("addresses", Some(health.addresses.join(", ")).filter(|addresses| !addresses.is_empty()));
    line("last restart", health.last_restart.as_ref().map(|restart| restart.sentence.clone()));
    line("pikiosk", Some(health.version.clone()).filter(|version| !version.is_empty()));
    text
}

mod last;

/// The sentence above says what; this says why, what was done last, and since when.
fn in_words(trouble: &Trouble) -> String {
    let cause = Cause::ALL.into_iter().find(|cause| cause.name() == trouble.cause);
    let rung = cause.and_then(|cause| cause.ladder().iter().find(|rung| rung.name() == trouble.rung));
    let cause = cause.map_or_else(|| trouble.cause.clone(), |cause| cause.words().to_owned());
    let rung = rung.map_or_else(|| trouble.rung.replace('_', " "), |rung| rung.words().to_owned());
    format!("{cause}, for {}; done last: {rung}", super::roughly(trouble.since_s))
}

fn screen_in_words(screen: &Screen) -> String {
    let light = match (screen.lit, screen.off_on_purpose) {
        (Some(true), _) => Some("on".to_owned()),
        (Some(false), true) => Some("off on purpose".to_owned()),
        (Some(false), false) => Some("off".to_owned()),
        (None, _) => None,
    };
    let still = screen.frozen.then(|| "the picture stands still".to_owned());
    let words = [screen.name.clone(), screen.picture.clone(), light, still];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::health::Health;

    fn status() -> StatusFile {
        let health = Health {
            version: "0.1.0".into(),
            status: "Showing https://example.org/; connected to push.example.org.".into(),
            firefox: Some("140.5.0".into()),
            url: Some("https://example.org/".into()),
            showing: true,
            uptime_s: 7500,
            browser_starts: 1,
            memory_available_kb: Some(409_600),
            ..Health::default()
        };
        StatusFile { display: Some("lobby".into()), pid: 1, written: UtcMillis(0), health }
    }

    #[test]
    fn the_first_line_is_one_plain_sentence() {
        insta::assert_snapshot!(told(&status(), Duration::from_secs(2), true), @"
    Showing https://example.org/; connected to push.example.org.

    display        lobby
    on the glass   https://example.org/
    up for         2 h
    Firefox        140.5.0, started once
    memory free    400 MiB
    pikiosk        0.1.0
    ");
    }

    #[test]
    fn trouble_and_screen_are_told_in_words() {
        let mut status = status();
        status.health.trouble = Some(Trouble {
            cause: "page-hung".into(),
            rung: "replace_content".into(),
            since_s: 90,
            ..Trouble::default()
        });
        status.health.showing = false;
        status.health.screen = Some(Screen {
            lit: Some(false),
            off_on_purpose: true,
            picture: Some("1920x1080 60 Hz".into()),
            ..Screen::default()
        });
        let text = told(&status, Duration::from_secs(2), true);
        assert!(
            text.contains(
                "trouble        the page does not answer, for 90 s; done last: replacing the page's process\n"
            ),
            "{text}"
        );
        assert!(text.contains("wanted         https://example.org/\n"), "{text}");
        assert!(text.contains("screen         1920x1080 60 Hz, off on purpose\n"), "{text}");
    }

    #[test]
    fn a_supervisor_that_says_nothing_is_told_first() {
        let text = told(&status(), Duration::from_secs(400), false);
        insta::assert_snapshot!(text.lines().next().unwrap(), @"The supervisor has said nothing for 6 min; it hangs, or is gone (cure: sudo systemctl restart pikiosk). Its last words:");
    }

    #[test]
    fn without_a_supervisor_the_failure_says_so() {
        let runtime = tempfile::tempdir().unwrap();
        let state = runtime.path().to_owned();
        let args = Args { json: Json { json: false }, runtime: runtime.path().to_owned(), last: false, state };
        let failure = run(&args).unwrap_err();
        insta::assert_snapshot!(failure.rendered(), @"
    error: failed to ask the supervisor: no supervisor runs here
    hint: start it with: sudo systemctl start pikiosk (or pikiosk run; --runtime must be the same)
    ");
        // Its last words are told, and no script takes them for a display that is well.
        std::fs::write(runtime.path().join("status.json"), status().to_json()).unwrap();
        assert_eq!(run(&args).unwrap(), Exit::Unreachable);
    }
}
