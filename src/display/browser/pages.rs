//! When a process that runs pages ends. It is no child of ours, and Firefox does not always say that it is gone: not of a
//! page that it was started with.

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

use crate::io::process::Identity;

/// Returns when it has ended, or cannot be watched any longer.
pub async fn ended(page: Identity) {
    match page.end().and_then(watch) {
        Ok(end) => drop(end.readable().await),
        Err(error) => tracing::debug!(pid = page.pid, %error, "its end cannot be waited for"),
    }
}

fn watch(end: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(unsafe_code, reason = "tokio has no other way to wait for a descriptor")]
    // SAFETY: the descriptor is open and the same for as long as it is owned, and it is owned by what is returned.
    let watched = unsafe { AsyncFd::register_with_interest(end, Interest::READABLE) };
    watched.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_that_is_no_child_of_ours_is_noticed() {
        // The shell's child is ours no more than Firefox's pages are.
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 1000 & echo $!; wait"]).stdout(std::process::Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(shell.stdout.take().unwrap()), &mut line).unwrap();
        let sleeper = Identity::of(line.trim().parse().unwrap()).unwrap();
        let waiting = tokio::spawn(ended(sleeper));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        sleeper.signal(nix::sys::signal::Signal::SIGKILL).unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await.unwrap().unwrap();
        shell.wait().unwrap();
        assert!(sleeper.end().is_err(), "and of one that has ended there is nothing to wait for");
    }
}
