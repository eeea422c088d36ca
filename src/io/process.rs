//! Processes: started so that they cannot outlive us, found by their tree, ended and reaped whole.
//!
//! A process is named by pid *and* start time ([`Identity`]): a pid alone may have been given to somebody else. The
//! caller becomes the *subreaper* of all that it starts (prctl(2)), so that helpers which outlive their parent become
//! its own children, and "everything below me" is the whole tree.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read},
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    process::{Child, Command},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};

/// One process, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    pub pid: i32,
    /// Clock ticks since boot at which it was started (proc(5), stat, field 22).
    pub started: u64,
}

impl Identity {
    /// The process that has this pid now.
    pub fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|stat| Identity { pid, started: stat.started })
    }

    /// True while this very process runs; a zombie does not.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// Sends a signal, unless the process is gone.
    pub fn signal(self, signal: Signal) -> io::Result<()> {
        match self.is_alive().then(|| kill(Pid::from_raw(self.pid), signal)) {
            None | Some(Ok(()) | Err(Errno::ESRCH)) => Ok(()),
            Some(Err(errno)) => Err(errno.into()),
        }
    }

    /// Something to poll that becomes readable when the process ends, whoever its parent is (`pidfd_open(2)`).
    pub fn end(self) -> io::Result<OwnedFd> {
        #[expect(unsafe_code, reason = "nix has no pidfd_open")]
        // SAFETY: it takes two numbers, and what it returns is a descriptor that nobody else has.
        let end = unsafe {
            match i32::try_from(libc::syscall(libc::SYS_pidfd_open, self.pid, 0)) {
                Ok(fd @ 0..) => OwnedFd::from_raw_fd(fd),
                Ok(_) | Err(_) => return Err(io::Error::last_os_error()),
            }
        };
        // The pid may have been given to another one meanwhile.
        if self.is_alive() { Ok(end) } else { Err(Errno::ESRCH.into()) }
    }
}

/// Makes this process the parent of everything below it that loses its own parent.
pub fn become_subreaper() -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true).map_err(io::Error::from)
}

/// Starts a command in a process group of its own. The kernel kills it when the *thread* that calls this ends: call it
/// from a thread that lives as long as the process.
pub fn spawn_bound(command: &mut Command) -> io::Result<Child> {
    let parent = nix::unistd::getpid();
    let bind = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the line above.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::Error::from(Errno::ESRCH)) }
    };
    command.process_group(0);
    #[expect(unsafe_code, reason = "pre_exec is the only way to set PR_SET_PDEATHSIG on a child")]
    // SAFETY: between fork and exec the closure makes two system calls, allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(bind)
    };
    command.spawn()
}

/// Every living process below `root`, parents before children. Zombies are left out.
pub fn descendants(root: i32) -> Vec<Identity> {
    let mut found = Vec::new();
    let mut parents = vec![root];
    let all: Vec<(i32, Stat)> = pids().filter_map(|pid| stat(pid).map(|stat| (pid, stat))).collect();
    while let Some(parent) = parents.pop() {
        for (pid, stat) in all.iter().filter(|(_, stat)| stat.parent == parent) {
            parents.push(*pid);
            if stat.state != 'Z' {
                found.push(Identity { pid: *pid, started: stat.started });
            }
        }
    }
    found
}

/// The short name of a process (proc(5), comm), at most 15 bytes.
pub fn name(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
}

/// Every living process of any parent that has all these words on its command line, ourselves left out.
pub fn with_arguments(words: &[&OsStr]) -> Vec<Identity> {
    let own = nix::unistd::getpid().as_raw();
    let has_all = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid != own && words.iter().all(|word| line.split(|byte| *byte == 0).any(|it| it == word.as_bytes()))
    };
    pids().filter(has_all).filter_map(Identity::of).collect()
}

/// Kills processes, ours or not, and waits until they run no more. False if `within` passed first.
pub fn kill_all(processes: &[Identity], within: Duration) -> bool {
    let deadline = Instant::now() + within;
    for process in processes {
        let _ = process.signal(Signal::SIGKILL);
    }
    while processes.iter().any(|process| process.is_alive()) {
        if Instant::now() >= deadline {
            return false;
        }
        // They may be another's children: there is nothing to wait on but /proc.
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Kills everything below this process and reaps it. True once nothing is left; false if `within` passed first.
///
/// Only for a process whose every child is meant to go: it waits for *any* child.
pub fn kill_everything_below(within: Duration) -> bool {
    let deadline = Instant::now() + within;
    let own = nix::unistd::getpid().as_raw();
    loop {
        // Again and again: a process may fork while it is being killed, and orphans become our children.
        for process in descendants(own) {
            let _ = process.signal(Signal::SIGKILL);
        }
        match wait_for_any(deadline.saturating_duration_since(Instant::now())) {
            Waited::NoChildren => return true,
            Waited::Reaped => {}
            Waited::TimedOut => return false,
        }
    }
}

/// Reaps one child of ours that ended, if there is one; never blocks. Gives its pid and how it ended, in words.
pub fn reap_one() -> Option<(i32, String)> {
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(pid, 0)) => Some((pid.as_raw(), "it ended by itself".to_owned())),
        Ok(WaitStatus::Exited(pid, code)) => Some((pid.as_raw(), format!("it ended with exit code {code}"))),
        Ok(WaitStatus::Signaled(pid, signal, _)) => Some((pid.as_raw(), format!("it was ended by {signal}"))),
        _ => None,
    }
}

enum Waited {
    Reaped,
    NoChildren,
    TimedOut,
}

fn wait_for_any(within: Duration) -> Waited {
    let deadline = Instant::now() + within;
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Ok(WaitStatus::StillAlive) if Instant::now() >= deadline => return Waited::TimedOut,
            // A killed process is gone within milliseconds; there is no system call that waits with a deadline
            // without taking SIGCHLD from the runtime.
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(5)),
            Ok(_) => return Waited::Reaped,
            Err(Errno::EINTR) => {}
            Err(_) => return Waited::NoChildren,
        }
    }
}

struct Stat {
    parent: i32,
    state: char,
    started: u64,
}

/// proc(5), stat. The name in brackets may hold anything, so fields are counted after the last bracket.
fn stat(pid: i32) -> Option<Stat> {
    let mut text = Vec::with_capacity(512);
    fs::File::open(format!("/proc/{pid}/stat")).ok()?.read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { parent, state, started })
}

fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_pid_and_start_time_together() {
        let own = Identity::of(nix::unistd::getpid().as_raw()).unwrap();
        assert!(own.is_alive());
        assert!(!Identity { started: own.started + 1, ..own }.is_alive(), "somebody else has the pid now");
        assert!(Identity::of(i32::MAX).is_none());
        assert!(name(own.pid).is_some());
    }

    #[test]
    fn what_a_process_starts_is_found_below_it() {
        let mut child = spawn_bound(Command::new("sh").args(["-c", "sleep 1000 & wait"])).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while descendants(pid).iter().all(|below| name(below.pid).as_deref() != Some("sleep")) {
            assert!(Instant::now() < deadline, "the shell started nothing");
            std::thread::yield_now();
        }
        let below = descendants(pid);
        assert!(descendants(nix::unistd::getpid().as_raw()).iter().any(|process| process.pid == pid));
        assert!(kill_all(&below, Duration::from_secs(10)));
        assert!(child.wait().unwrap().code().is_some());
    }

    #[test]
    fn a_process_is_found_by_all_its_words_and_a_part_of_them_is_not_enough() {
        let mut child = spawn_bound(Command::new("sleep").args(["1003", "1004"])).unwrap();
        let found = |words: &[&str]| {
            let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
            with_arguments(&words).iter().any(|process| process.pid.cast_unsigned() == child.id())
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !found(&["1004", "1003"]) {
            assert!(Instant::now() < deadline, "it is not found");
            std::thread::yield_now();
        }
        assert!(!found(&["1003", "1005"]));
        assert!(!found(&["100"]), "a part of a word is not the word");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
