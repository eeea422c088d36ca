//! What becomes of a command that was taken: which machine it is given to, and when it may start.

use std::time::Duration;

use tokio::time::Instant;

use super::{Out, Outcome, Show, Supervisor, to_command};
use crate::{
    display::{
        helper,
        journal::{EventKey, Record, Taken},
    },
    event::{Status, command::Command},
};

/// More than the way of two hellos may differ: the server's clock was set.
const CLOCK_SET_MS: u64 = 1_000;

impl Supervisor {
    /// Starts the actions that waited, in the order in which they came.
    pub(super) fn start_waiting(&mut self, out: &mut Out) {
        let ended: Vec<EventKey> = out.ended.iter().map(|(key, _)| key.clone()).collect();
        let waiting: Vec<Taken> = self.journal.actions().filter(|taken| !taken.started).cloned().collect();
        for taken in waiting.into_iter().filter(|taken| !ended.contains(&taken.key)) {
            let Some(command) = to_command(&taken) else {
                out.end(
                    taken.key,
                    Outcome { error: Some("not known to this version".into()), ..Outcome::of(Status::Refused) },
                );
                continue;
            };
            // Without the server's clock nobody knows whether it has expired: hello brings it.
            let known = taken.expires_ms.is_none() || self.server_clock.is_some();
            if known && !self.is_expired(taken.expires_ms, out.now) && self.may_start(&command, Some(&taken.key)) {
                self.keep(vec![Record::Started(taken.key.clone())], out);
                self.act(command, taken.key, out);
            }
        }
    }

    /// What needs the glass waits for it, and for what came before it; the rest is for when the glass is the trouble.
    pub(super) fn may_start(&self, command: &Command, waiting: Option<&EventKey>) -> bool {
        let needs_glass = needs_glass(command);
        let is_first = || {
            let mut before = self.journal.actions().take_while(|taken| Some(&taken.key) != waiting);
            !before.any(|taken| !taken.started && to_command(taken).is_some_and(|command| self::needs_glass(&command)))
        };
        let needs_page = matches!(command, Command::Reload(_) | Command::PageEvent(_));
        let needs_loop = matches!(command, Command::RestartBrowser(_));
        (!needs_loop || self.pulse.has_loop())
            && (!needs_glass || (self.attached && is_first() && (!needs_page || self.content.is_settled())))
    }

    pub(super) fn set(&mut self, command: Command, key: Option<EventKey>, out: &mut Out) {
        // What is pushed comes before any drill.
        if matches!(command, Command::Navigate(_) | Command::Playlist(_)) {
            self.held = None;
        }
        match command {
            Command::Navigate(navigate) => self.content.want(Show::Url(navigate.url), key, out),
            Command::Playlist(playlist) => self.content.want(Show::Playlist(playlist), key, out),
            Command::Zoom(zoom) => self.overlays.zoom(zoom.percent, key, out),
            Command::Power(_)
            | Command::Schedule(_)
            | Command::Rotate(_)
            | Command::Brightness(_)
            | Command::Volume(_) => {
                self.devices.want(command, key, out);
            }
            other => tracing::error!(command = other.name(), "is no state command"),
        }
    }

    pub(super) fn act(&mut self, command: Command, key: EventKey, out: &mut Out) {
        match command {
            Command::Reload(reload) => self.content.reload(key, reload.ignore_cache, out),
            Command::Message(message) => {
                self.unveil(out);
                self.overlays.message(key, &message, out);
            }
            Command::ClearMessage(_) => self.overlays.clear_message(key, out),
            Command::Identify(identify) => {
                self.unveil(out);
                let (display, lines) = (self.setting.display.clone(), self.setting.identify_lines.clone());
                self.overlays.identify(key, &display, &lines, identify.seconds, out);
            }
            Command::Screenshot(screenshot) => self.jobs.screenshot(key, &screenshot, out),
            Command::Health(_) => self.jobs.health(key, out),
            Command::Logs(logs) => self.jobs.logs(key, &logs, out),
            Command::Drill(drill) => self.jobs.drill(key, drill.fault, out),
            Command::PageEvent(event) => self.jobs.page_event(key, event.name, event.data, out),
            Command::Sound(sound) => self.sounds.play(key, sound.url, out),
            Command::Say(say) => self.sounds.say(key, say.text, say.voice, out),
            Command::ClearData(what) => self.jobs.clear_data(key, &what, out),
            Command::RestartBrowser(_) => {
                self.swap_browser("it was asked for", out);
                self.jobs.await_browser(key, !self.attached, out);
            }
            Command::Reboot(_) => self.leave(helper::Request::Reboot, key, out),
            Command::Shutdown(_) => self.leave(helper::Request::PowerOff, key, out),
            Command::Configure(configure) => self.configure(configure.toml, key, out),
            Command::Restart(_) => {
                out.end(key, Outcome::of(Status::Done));
                out.restart = Some("restart");
            }
            Command::Navigate(_)
            | Command::Playlist(_)
            | Command::Zoom(_)
            | Command::Power(_)
            | Command::Schedule(_)
            | Command::Rotate(_)
            | Command::Brightness(_)
            | Command::Volume(_) => self.set(command, Some(key), out),
        }
    }

    /// Where this display is reached now: an address may come long after the supervisor.
    pub fn is_reached_at(&mut self, lines: Vec<String>) {
        self.setting.identify_lines = lines;
    }

    /// What waits was judged by the clock that the server had: where that was set meanwhile, or another server with
    /// another clock says hello, it keeps the time that is left to it.
    pub(super) fn hear_the_clock(&mut self, server_ms: u64, out: &mut Out) {
        let expected_ms = self.server_ms(out.now).unwrap_or(server_ms);
        if server_ms.abs_diff(expected_ms) > CLOCK_SET_MS {
            let by_ms = i64::try_from(i128::from(server_ms) - i128::from(expected_ms)).unwrap_or(i64::MAX);
            self.keep(vec![Record::ClockSet(by_ms)], out);
        }
        self.server_clock = Some((server_ms, out.now));
        self.devices.server_clock(server_ms, out);
    }

    pub(super) fn expiry(&self) -> Option<Instant> {
        let (at_ms, seen) = self.server_clock?;
        let waiting = self.journal.actions().filter(|taken| !taken.started);
        let first = waiting.filter_map(|taken| taken.expires_ms).min()?;
        Some(seen + Duration::from_millis(first.saturating_sub(at_ms)))
    }

    pub(super) fn is_expired(&self, expires_ms: Option<u64>, now: Instant) -> bool {
        expires_ms.zip(self.server_ms(now)).is_some_and(|(expires, now)| expires <= now)
    }
}

/// What acts on the glass, in the order in which it came.
fn needs_glass(command: &Command) -> bool {
    !matches!(
        command,
        Command::Health(_)
            | Command::Logs(_)
            | Command::Restart(_)
            | Command::RestartBrowser(_)
            | Command::Reboot(_)
            | Command::Shutdown(_)
            | Command::Drill(_)
            | Command::Configure(_)
    )
}
