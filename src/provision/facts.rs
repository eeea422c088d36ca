//! What a system is, before anything is decided: read once, only looked at, never changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use super::packages;
use crate::io::system::{Kind, Observe};

/// What a system is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub os: Os,
    pub release: Release,
    /// Debian's name: `arm64`, `armhf`, `amd64`.
    pub architecture: String,
    /// `None`: nothing here is started by a Pi's firmware (a container, a PC).
    pub boot: Option<Boot>,
    /// What holds the Ethernet port and the Wi-Fi.
    pub network: Network,
    /// It is the running system.
    pub live: bool,
    /// What is written to the root goes to memory and is gone at the next start.
    pub overlay: bool,
    /// Debian packages that are there.
    pub installed: BTreeSet<String>,
    /// Names of time zones; empty where the database is not installed.
    pub zones: BTreeSet<String>,
    /// What is in the home of an account `kiosk` that was there before the first provisioning, by name.
    pub home: Vec<String>,
    /// Files that others write too, and what they hold now.
    files: BTreeMap<PathBuf, String>,
    /// Of all paths that a decision hangs on, those that are there.
    present: BTreeSet<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    Debian,
    RaspberryPiOs,
}

/// Releases that were tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    Bookworm,
    Trixie,
}

/// The partition that the Pi's firmware reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Where it is mounted: `/boot/firmware`, or `/boot` on a system that was upgraded since long.
    pub dir: PathBuf,
    /// `cmdline.txt` and `config.txt` are written anew at every kernel update, from files in `/etc/default`.
    pub generated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    NetworkManager,
    /// ifupdown holds at least one interface.
    Ifupdown,
    Networkd,
}

/// Why nothing is known of a system.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not UTF-8 text: it cannot be edited", .0.display())]
    NotText(PathBuf),
    /// Neither Debian nor Raspberry Pi OS of a release that was tried.
    #[error("this is {found}: pikiosk knows Debian and Raspberry Pi OS, bookworm and trixie")]
    Unknown { found: String },
    /// It holds no system at all.
    #[error("there is no system here: {} is missing", .0.display())]
    NoSystem(PathBuf),
}

/// Files that others write too: they are edited, and what is not ours stays.
const SHARED: &[&str] = &[
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/fstab",
    "/etc/locale.gen",
    "/etc/default/keyboard",
    "/etc/default/raspi-extra-cmdline",
    "/etc/default/raspi-firmware-custom",
    "/var/lib/NetworkManager/NetworkManager.state",
    "/opt/pikiosk/home/.bash_profile",
    "/home/kiosk/.bash_profile",
    "/etc/pikiosk/kiosk.toml",
    "/etc/wpa_supplicant/wpa_supplicant-wlan0.conf",
    "/etc/NetworkManager/system-connections/pikiosk-wifi.nmconnection",
];

/// Paths whose being there decides something.
const TELLING: &[&str] = &[
    "/etc/default/locale",
    "/etc/timezone",
    "/usr/bin/cloud-init",
    "/usr/lib/systemd/system/userconfig.service",
    "/usr/lib/systemd/system/dphys-swapfile.service",
    "/usr/lib/systemd/system/NetworkManager-wait-online.service",
];

const GENERATOR: &str = "/etc/kernel/postinst.d/z50-raspi-firmware";
const ZONES: &str = "/usr/share/zoneinfo/tzdata.zi";

impl Facts {
    /// What a shared file holds; `None`: it is not there.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(Path::new(path)).map(String::as_str)
    }

    /// What a file of the boot partition holds.
    pub fn boot_text(&self, name: &str) -> Option<&str> {
        self.files.get(&self.boot.as_ref()?.dir.join(name)).map(String::as_str)
    }

    pub fn has(&self, package: &str) -> bool {
        self.installed.contains(package)
    }

    /// One of the paths that decisions hang on is there.
    pub fn present(&self, path: &str) -> bool {
        debug_assert!(TELLING.contains(&path), "{path} is not looked for");
        self.present.contains(Path::new(path))
    }
}

/// Looks at a system.
pub fn facts(system: &dyn Observe) -> Result<Facts, FactsError> {
    let look = Look { system };
    let (os, release) = look.os()?;
    let status = look.must(packages::STATUS)?;
    let boot = look.boot()?;
    let mut files = BTreeMap::new();
    let of_boot = boot.iter().flat_map(|boot| ["cmdline.txt", "config.txt"].map(|name| boot.dir.join(name)));
    for path in SHARED.iter().map(PathBuf::from).chain(of_boot) {
        if let Some(text) = look.text(&path)? {
            files.insert(path, text);
        }
    }
    let mut present = BTreeSet::new();
    for path in TELLING.iter().map(PathBuf::from) {
        // A link at this place is not the thing itself: it leads to what was already there by another name.
        if look.stat(&path)?.is_some_and(|kind| !matches!(kind, Kind::Link { .. })) {
            present.insert(path);
        }
    }
    let installed = packages::parse(&status);
    Ok(Facts {
        os,
        release,
        architecture: architecture(&status).unwrap_or_default(),
        boot,
        network: look.network(&installed)?,
        live: system.abilities().live,
        overlay: system.abilities().live && look.text(Path::new("/proc/mounts"))?.is_some_and(|text| is_overlay(&text)),
        zones: look.text(Path::new(ZONES))?.map(|text| zones(&text)).unwrap_or_default(),
        home: look.home()?,
        installed,
        files,
        present,
    })
}

/// What dpkg itself is built for.
fn architecture(status: &str) -> Option<String> {
    let stanza = status.split("\n\n").find(|stanza| stanza.lines().any(|line| line == "Package: dpkg"))?;
    stanza.lines().find_map(|line| line.strip_prefix("Architecture: ")).map(str::to_owned)
}

/// The names of zones (`Z`) and their other names (`L`), as tzdata's compact source has them.
fn zones(text: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let mut words = line.split(' ');
        match words.next()? {
            "Z" => words.next().map(str::to_owned),
            "L" => words.nth(1).map(str::to_owned),
            _ => None,
        }
    };
    text.lines().filter_map(name).collect()
}

fn is_overlay(mounts: &str) -> bool {
    mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).any(|of| of.get(1..3) == Some(&["/", "overlay"]))
}

struct Look<'s> {
    system: &'s dyn Observe,
}

impl Look<'_> {
    fn stat(&self, path: &Path) -> Result<Option<Kind>, FactsError> {
        let stat = self.system.stat(path).map_err(|source| FactsError::Read { path: path.to_owned(), source })?;
        Ok(stat.map(|stat| stat.kind))
    }

    /// The text of a regular file, if there is one. A link is not followed: what it leads to has a name of its own.
    fn text(&self, path: &Path) -> Result<Option<String>, FactsError> {
        match self.stat(path)? {
            Some(Kind::File { .. }) => {}
            _ => return Ok(None),
        }
        let bytes = self.system.read(path).map_err(|source| FactsError::Read { path: path.to_owned(), source })?;
        String::from_utf8(bytes).map(Some).map_err(|_| FactsError::NotText(path.to_owned()))
    }

    fn must(&self, path: &str) -> Result<String, FactsError> {
        self.text(Path::new(path))?.ok_or_else(|| FactsError::NoSystem(PathBuf::from(path)))
    }

    fn os(&self) -> Result<(Os, Release), FactsError> {
        // /etc/os-release is a link to it.
        let text = self.must("/usr/lib/os-release")?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            Some(line.trim().trim_matches('"').to_owned())
        };
        let id = value("ID").unwrap_or_default();
        let unknown = || FactsError::Unknown { found: value("PRETTY_NAME").unwrap_or_else(|| format!("{id:?}")) };
        let raspberry = id == "raspbian" || self.stat(Path::new("/etc/rpi-issue"))?.is_some();
        let os = match id.as_str() {
            _ if raspberry => Os::RaspberryPiOs,
            "debian" => Os::Debian,
            _ => return Err(unknown()),
        };
        match value("VERSION_CODENAME").as_deref() {
            Some("bookworm") => Ok((os, Release::Bookworm)),
            Some("trixie") => Ok((os, Release::Trixie)),
            _ => Err(unknown()),
        }
    }

    fn home(&self) -> Result<Vec<String>, FactsError> {
        if self.stat(Path::new("/opt/pikiosk/home"))?.is_some() {
            return Ok(Vec::new());
        }
        let home = Path::new("/home/kiosk");
        match self.stat(home)? {
            Some(Kind::Directory) => {
                self.system.list(home).map_err(|source| FactsError::Read { path: home.to_owned(), source })
            }
            _ => Ok(Vec::new()),
        }
    }

    fn boot(&self) -> Result<Option<Boot>, FactsError> {
        // The package of this name is another one on Raspberry Pi OS: what its hook does tells them apart.
        let generated = self.text(Path::new(GENERATOR))?.is_some_and(|hook| hook.contains("raspi-extra-cmdline"));
        let firmware = PathBuf::from("/boot/firmware");
        let known = ["cmdline.txt", "config.txt"];
        let mut there = false;
        for name in known {
            there |= self.stat(&firmware.join(name))?.is_some();
        }
        if generated || there {
            return Ok(Some(Boot { dir: firmware, generated }));
        }
        // Since bookworm, what stands here is a note that says where the file went.
        let old = self.text(Path::new("/boot/config.txt"))?;
        let old = old.is_some_and(|text| !text.starts_with("DO NOT EDIT"));
        Ok(old.then(|| Boot { dir: PathBuf::from("/boot"), generated: false }))
    }

    fn network(&self, installed: &BTreeSet<String>) -> Result<Network, FactsError> {
        if installed.contains("network-manager") {
            return Ok(Network::NetworkManager);
        }
        if !installed.contains("ifupdown") {
            return Ok(Network::Networkd);
        }
        let dir = Path::new("/etc/network/interfaces.d");
        let names = self.system.list(dir).map_err(|source| FactsError::Read { path: dir.to_owned(), source })?;
        let ours = |name: &String| name != "pikiosk-wifi";
        let more = names.iter().filter(|name| ours(name)).map(|name| dir.join(name));
        for path in std::iter::once(PathBuf::from("/etc/network/interfaces")).chain(more) {
            let text = self.text(&path)?.unwrap_or_default();
            let mut words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            if words.any(|words| words.first() == Some(&"iface") && words.get(1) != Some(&"lo")) {
                return Ok(Network::Ifupdown);
            }
        }
        Ok(Network::Networkd)
    }
}

#[cfg(test)]
mod tests;
