//! What systemd is told (`sd_notify(3)`). Without systemd nobody listens, and nothing is said.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service is up.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// One plain sentence for `systemctl status`.
pub fn status(sentence: &str) {
    tell(&[NotifyState::Status(sentence)]);
}

/// The service lives.
pub fn watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// The start takes longer, and goes on.
pub fn extend_start(by: Duration) {
    tell(&[NotifyState::ExtendTimeoutUsec(u32::try_from(by.as_micros()).unwrap_or(u32::MAX))]);
}

/// The service ends of its own will.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// How often systemd wants to hear [`watchdog`], if at all: it acts at twice this.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
