//! What a drill does to Firefox on purpose. Undone by the recovery that it is to show, and by nothing else.

use nix::sys::signal::Signal;

use super::memory;
use crate::{
    display::drill::wire::Harm,
    io::process::{self, Identity},
};

/// Signals the processes that run pages; how many.
pub fn to_content(signal: Signal) -> usize {
    let own = nix::unistd::getpid().as_raw();
    let is_content = |name: String| memory::is_content(&name);
    let content = process::descendants(own).into_iter().filter(|it| process::name(it.pid).is_some_and(is_content));
    content.filter(|process| process.signal(signal).is_ok()).count()
}

/// Says what was done, or why it was not.
pub fn do_harm(harm: Harm, firefox: Option<i32>) -> Result<String, String> {
    tracing::warn!(?harm, "a drill");
    let done = match harm {
        Harm::KillBrowser => to_firefox(firefox, Signal::SIGKILL),
        Harm::StopBrowser => to_firefox(firefox, Signal::SIGSTOP),
        Harm::KillContent => to_content(Signal::SIGKILL),
        Harm::StopContent => to_content(Signal::SIGSTOP),
        // Nobody answers after it.
        Harm::KillSession => usize::from(nix::sys::signal::raise(Signal::SIGKILL).is_ok()),
    };
    match done {
        0 => Err("there is no such process to do it to".to_owned()),
        count => Ok(format!("{count} processes")),
    }
}

fn to_firefox(pid: Option<i32>, signal: Signal) -> usize {
    let firefox = pid.and_then(Identity::of).filter(|process| process.is_alive());
    usize::from(firefox.is_some_and(|process| process.signal(signal).is_ok()))
}
