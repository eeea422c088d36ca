//! The display that this machine is: what can be done to it from here, and what cannot.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;

use super::DrillFailure;
use crate::{
    display::{
        drill::{Around, Client, NotHere},
        helper::{self, plugs},
        status::StatusFile,
    },
    io::process::Identity,
};

/// A display with its supervisor, as it stands.
#[derive(Debug)]
pub struct Device {
    runtime: PathBuf,
    display: String,
}

impl Device {
    pub async fn of(runtime: &Path, client: &mut Client) -> Result<Self, DrillFailure> {
        let glass = client.glass().await?;
        Ok(Device { runtime: runtime.to_owned(), display: glass.display })
    }

    pub fn what(&self) -> String {
        let status = StatusFile::read(&self.runtime).ok();
        let name = status.as_ref().and_then(|status| status.display.clone());
        let firefox = status.and_then(|status| status.health.firefox);
        format!(
            "The display `{}`, at X {}, with Firefox {}.",
            name.unwrap_or_else(|| "without a name".to_owned()),
            self.display,
            firefox.unwrap_or_else(|| "of some version".to_owned())
        )
    }
}

impl Around for Device {
    fn kill_supervisor(&mut self) -> Result<(), NotHere> {
        let status = StatusFile::read(&self.runtime).map_err(|error| NotHere(error.to_string()))?;
        restarted_by_systemd(status.pid)?;
        kill(status.pid)
    }

    fn session_killed(&mut self) -> Result<(), NotHere> {
        // The terminal's getty starts the next one.
        Ok(())
    }

    fn network(&self) -> Result<Ipv4Addr, NotHere> {
        Err(NotHere("on a display it would cut off whoever looks after it; --headless has a network of its own".into()))
    }

    fn take_network(&mut self) -> Result<(), NotHere> {
        self.network().map(drop)
    }

    fn give_network(&mut self) -> Result<(), NotHere> {
        self.network().map(drop)
    }

    fn fill_disk(&mut self) -> Result<(), NotHere> {
        Err(NotHere("on a display it would fill the card of everything else; --headless has a disk of its own".into()))
    }

    fn empty_disk(&mut self) {}

    fn take_clock(&mut self) -> Result<(), NotHere> {
        Err(NotHere("on a display it would be the clock of everything else; --headless has one of its own".into()))
    }

    fn give_clock(&mut self) -> Result<bool, NotHere> {
        Ok(false)
    }

    fn screens(&self) -> Result<Vec<String>, NotHere> {
        match plugs::connected(Path::new(plugs::DRM)) {
            Ok(screens) if !screens.is_empty() => Ok(screens),
            Ok(_) => Err(NotHere("no screen is plugged into this machine's own graphics".into())),
            Err(_) => Err(NotHere(format!("this machine's kernel has no plugs for screens ({})", plugs::DRM))),
        }
    }

    async fn unplug(&mut self) -> Result<(), NotHere> {
        helper::ask(&self.runtime, &helper::Request::Unplug).await.map_err(|error| NotHere(error.to_string()))
    }

    fn site_address(&self) -> Ipv4Addr {
        Ipv4Addr::LOCALHOST
    }
}

fn kill(pid: u32) -> Result<(), NotHere> {
    let process = i32::try_from(pid).ok().and_then(Identity::of);
    let process = process.ok_or_else(|| NotHere("it does not run".into()))?;
    process.signal(Signal::SIGKILL).map_err(|error| NotHere(format!("it cannot be killed: {error}")))
}

/// A supervisor that somebody started by hand would not come back.
fn restarted_by_systemd(pid: u32) -> Result<(), NotHere> {
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    match is_of_a_service(&cgroup) {
        true => Ok(()),
        false => Err(NotHere("nobody would start it again: it is no service of systemd".into())),
    }
}

/// A terminal of somebody's desktop is below `user@1000.service` as well, and its programs are nobody's to restart.
fn is_of_a_service(cgroup: &str) -> bool {
    cgroup.lines().any(|line| line.ends_with(".service"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_supervisor_that_systemd_restarts_is_killed() {
        assert!(is_of_a_service("0::/system.slice/pikiosk.service\n"));
        for by_hand in [
            "0::/user.slice/user-1000.slice/session-3.scope\n",
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n",
            "",
        ] {
            assert!(!is_of_a_service(by_hand), "{by_hand}");
        }
    }
}
