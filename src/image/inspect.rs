//! What an image is: its partitions, its system, what pikiosk put there, and whether a Pi 3 would start from it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::bootable::{self, Check, Names};
use super::packages::{self, Package};
use crate::io::block::BlockDevice;
use crate::io::partitions::{self, Content, Partition, PartitionsError};
use crate::io::system::image::{ImageError, ImageSystem};
use crate::io::system::{Kind, Observe};

/// Where the recipe says what it made.
pub const MADE: &str = "/usr/lib/pikiosk/image.json";

/// All that is told of an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Bytes, unpacked.
    pub bytes: u64,
    pub partitions: Vec<Part>,
    pub system: Os,
    pub kiosk: Kiosk,
    /// Whether every check below is well.
    pub boots_pi3: bool,
    pub checks: Vec<Check>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    pub number: u32,
    /// Bytes.
    pub start: u64,
    /// Bytes.
    pub bytes: u64,
    /// `fat`, `ext4`, `unknown`.
    pub content: &'static str,
    pub label: Option<String>,
}

/// What os-release and dpkg say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Os {
    /// `Debian GNU/Linux 13 (trixie)`.
    pub name: String,
    /// `debian`.
    pub id: String,
    /// `13`; absent where a release has none.
    pub version: Option<String>,
    pub codename: Option<String>,
    /// `arm64`; absent without dpkg.
    pub architecture: Option<String>,
    /// How many are installed.
    pub packages: usize,
}

/// What pikiosk put there.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Kiosk {
    /// What the recipe says of an image of ours.
    pub made: Option<serde_json::Value>,
    /// The program is there.
    pub program: bool,
    /// A receipt of provisioning is there.
    pub provisioned: bool,
    /// Something is left for the first start.
    pub first_boot_pending: bool,
    /// From its kiosk.toml.
    pub display: Option<String>,
    /// From its kiosk.toml.
    pub server: Option<String>,
}

/// Why an image cannot be told about.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error("its partitions cannot be made out")]
    Partitions { source: PartitionsError },
    #[error("its file systems cannot be read")]
    System { source: ImageError },
    #[error("a file in it cannot be read")]
    File { source: io::Error },
}

/// Looks at an image; reads only. The packages come along, for the SBOM.
pub fn inspect(device: Arc<dyn BlockDevice>) -> Result<(Inspection, Vec<Package>), InspectError> {
    let found = partitions::read(&device).map_err(|source| InspectError::Partitions { source })?;
    let bytes = device.len();
    let file = |source| InspectError::File { source };
    let parts: Vec<_> =
        found.iter().map(|partition| part(&device, partition)).collect::<io::Result<_>>().map_err(file)?;
    let disk = disk_number(&device).map_err(file)?;
    let system = ImageSystem::open(Arc::clone(&device)).map_err(|source| InspectError::System { source })?;
    let root = system.root_partition();
    let names = Names {
        disk,
        root: root.number,
        root_label: label(&device, root).map_err(file)?.unwrap_or_default(),
        root_uuid: ext4_uuid(&device, root.start).map_err(file)?,
    };
    let checks = match system.boot_partition() {
        Some((_, boot)) => bootable::checks(&system, Path::new(boot), &names).map_err(file)?,
        None => vec![Check { ok: false, says: "there is no FAT partition, which a Pi 3 starts from".to_owned() }],
    };
    let (os, installed) = os(&system).map_err(file)?;
    let inspection = Inspection {
        bytes,
        partitions: parts,
        system: os,
        kiosk: kiosk(&system).map_err(file)?,
        boots_pi3: checks.iter().all(|check| check.ok),
        checks,
    };
    Ok((inspection, installed))
}

fn os(system: &dyn Observe) -> io::Result<(Os, Vec<Package>)> {
    let release = match text(system, "/etc/os-release")? {
        Some(release) => release,
        None => text(system, "/usr/lib/os-release")?.unwrap_or_default(),
    };
    let field = |key: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(value.trim_matches(['"', '\'']).to_owned())
    };
    let packages = packages::installed(&text(system, "/var/lib/dpkg/status")?.unwrap_or_default());
    // What is for all architectures says nothing; the rest are of one.
    let own = packages.iter().find(|package| package.architecture != "all");
    let os = Os {
        name: field("PRETTY_NAME").unwrap_or_else(|| "no known system (no os-release)".to_owned()),
        id: field("ID").unwrap_or_default(),
        version: field("VERSION_ID"),
        codename: field("VERSION_CODENAME"),
        architecture: own.map(|package| package.architecture.clone()),
        packages: packages.len(),
    };
    Ok((os, packages))
}

fn kiosk(system: &dyn Observe) -> io::Result<Kiosk> {
    let there = |path: &str| Ok::<_, io::Error>(system.stat(Path::new(path))?.is_some());
    // Its own reader is strict; here a file that it would refuse is told about as far as it goes.
    let config: toml::Table =
        text(system, "/etc/pikiosk/kiosk.toml")?.and_then(|text| text.parse().ok()).unwrap_or_default();
    let said = |table: &str, key: &str| config.get(table)?.get(key)?.as_str().map(str::to_owned);
    Ok(Kiosk {
        made: text(system, MADE)?.and_then(|text| serde_json::from_str(&text).ok()),
        program: there("/usr/bin/pikiosk")?,
        provisioned: there("/var/lib/pikiosk/provision/receipt.json")?,
        first_boot_pending: there("/var/lib/pikiosk/provision/first-boot.json")?,
        display: said("display", "id"),
        server: said("server", "url"),
    })
}

/// A regular file as text. One link is followed: os-release and localtime are links in every Debian.
fn text(system: &dyn Observe, path: &str) -> io::Result<Option<String>> {
    let path = Path::new(path);
    let target = match system.stat(path)?.map(|stat| stat.kind) {
        Some(Kind::File { .. }) => path.to_owned(),
        Some(Kind::Link { target }) => {
            let target = path.parent().unwrap_or(path).join(target);
            match system.stat(&target)?.map(|stat| stat.kind) {
                Some(Kind::File { .. }) => target,
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(String::from_utf8_lossy(&system.read(&target)?).into_owned()))
}

fn part(device: &dyn BlockDevice, partition: &Partition) -> io::Result<Part> {
    Ok(Part {
        number: partition.number,
        start: partition.start,
        bytes: partition.len,
        content: match partition.content {
            Content::Fat => "fat",
            Content::Ext => "ext4",
            Content::Unknown => "unknown",
        },
        label: label(device, partition)?,
    })
}

/// Offsets of labels: Linux, fs/ext4/ext4.h (`s_volume_name`); Microsoft, FAT specification (`BS_VolLab` of FAT32).
fn label(device: &dyn BlockDevice, partition: &Partition) -> io::Result<Option<String>> {
    let mut label = [0; 16];
    match partition.content {
        Content::Ext => device.read_at(partition.start + 1024 + 0x78, &mut label)?,
        Content::Fat => device.read_at(partition.start + 71, &mut label[..11])?,
        Content::Unknown => return Ok(None),
    }
    let end = label.iter().position(|byte| *byte == 0).unwrap_or(label.len());
    let label = String::from_utf8_lossy(&label[..end]).trim_end().to_owned();
    Ok((!label.is_empty()).then_some(label))
}

/// `s_uuid`, with dashes.
fn ext4_uuid(device: &dyn BlockDevice, start: u64) -> io::Result<String> {
    let mut uuid = [0; 16];
    device.read_at(start + 1024 + 0x68, &mut uuid)?;
    let hex = super::bmap::hex(&uuid);
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// The disk's number in its MBR, of which PARTUUIDs are made.
fn disk_number(device: &dyn BlockDevice) -> io::Result<u32> {
    let mut number = [0; 4];
    device.read_at(440, &mut number)?;
    Ok(u32::from_le_bytes(number))
}
