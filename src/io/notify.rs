//! What systemd is told (`sd_notify(3)`), and the listening socket that it holds (`sd_listen_fds(3)`). Without systemd
//! nobody listens, and nothing is said.

use std::{
    io,
    net::TcpListener,
    os::fd::{FromRawFd, OwnedFd},
    time::Duration,
};

use nix::sys::socket::{getsockopt, sockopt};

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

/// The end takes longer, and goes on.
pub fn extend_stop(by: Duration) {
    extend_start(by);
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

/// Why a socket that systemd gave is not listened on.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    #[error("{0} sockets were given, and one is taken: write one ListenStream= into the socket unit")]
    Several(usize),
    #[error("what was given is no listening TCP socket: write ListenStream=ADDRESS:PORT into the socket unit")]
    NotListening,
    #[error("take the socket that was given")]
    Io(#[from] io::Error),
}

/// The listening socket of a `.socket` unit, where there is one: whoever connects while the service is started anew waits
/// in it. To be called once.
///
/// # Errors
/// See [`InheritError`].
pub fn inherited_listener() -> Result<Option<TcpListener>, InheritError> {
    let mut given = sd_notify::listen_fds()?;
    let Some(descriptor) = given.next() else { return Ok(None) };
    if given.len() > 0 {
        return Err(InheritError::Several(given.len() + 1));
    }
    #[expect(unsafe_code, reason = "a descriptor that another process opened comes as a number")]
    // SAFETY: the environment names this process as the one that was given it, and nothing else here takes it.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let listens = getsockopt(&socket, sockopt::AcceptConn).unwrap_or(false);
    let listener = TcpListener::from(socket);
    // Of a socket that is not TCP no address can be told.
    if !listens || listener.local_addr().is_err() {
        return Err(InheritError::NotListening);
    }
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
}
