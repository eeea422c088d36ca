//! `pikiosk image describe`: reads an image once, and writes what travels beside it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::super::failure::{Exit, Failure};
use super::super::output;
use super::{DescribeArgs, ImageFault, opened};
use crate::flash::source::Hasher;
use crate::flash::stream::{CHUNK, Used};
use crate::flash::usage::Usage;
use crate::image::bmap::Map;
use crate::image::inspect::{Inspection, inspect};
use crate::image::manifest::{Entry, Manifest};
use crate::image::packages::Package;
use crate::image::sbom::{Subject, cyclonedx};
use crate::io::block::BlockDevice;
use crate::io::store;

pub fn run(args: &DescribeArgs) -> Result<Exit, Failure> {
    let failed = |source: ImageFault| Failure::Image { doing: "describe the image", source };
    let path = &args.image;
    if path.extension().is_some_and(|extension| extension != "img") {
        return Err(failed(ImageFault::Packed { path: path.clone() }));
    }
    let device = opened::raw(path).map_err(failed)?;
    let (inspection, packages) =
        inspect(device.clone()).map_err(|source| failed(ImageFault::Inspect { path: path.clone(), source }))?;
    let read = |source| failed(ImageFault::Read { path: path.clone(), source });
    let (map, sha256) = blocks(&*device).map_err(read)?;
    let packed = beside(path, "xz");
    let xz = if packed.is_file() { Some(hash(&packed).map_err(read)?) } else { None };

    let mapped = map.mapped();
    let manifest = manifest(path, &inspection, &sha256, xz.as_ref(), mapped, packages.len());
    let mut hashes = format!("{sha256}  {}\n", name(path));
    if let Some((_, sha256)) = &xz {
        hashes.push_str(&format!("{sha256}  {}\n", name(&packed)));
    }
    write(&beside(path, "bmap"), &map.render(inspection.bytes))?;
    write(&beside(path, "sha256"), &hashes)?;
    write(&beside(path, "sbom.json"), &pretty(&sbom(path, &inspection, &packages, &sha256))?)?;
    write(&beside(path, "manifest.json"), &pretty(&manifest)?)?;
    if args.json.json {
        output::json(&manifest)?;
    } else {
        output::remark(&format!(
            "{}: {} of {} MiB matter; {} packages; SHA-256 {sha256}",
            path.display(),
            mapped >> 20,
            inspection.bytes >> 20,
            packages.len()
        ));
    }
    Ok(Exit::Done)
}

/// Reads the whole image once: which blocks matter, and its hash.
fn blocks(device: &dyn BlockDevice) -> io::Result<(Map, String)> {
    let mut used = Usage::new(Some(device.len()));
    let (mut map, mut hasher) = (Map::default(), Hasher::default());
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0;
    while offset < device.len() {
        let length = (device.len() - offset).min(CHUNK as u64) as usize;
        let piece = &mut buffer[..length];
        device.read_at(offset, piece)?;
        hasher.update(piece);
        map.add(offset, piece, &used.used(offset, piece));
        offset += length as u64;
    }
    Ok((map, hasher.finish().to_string()))
}

fn hash(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut length) = (Hasher::default(), 0);
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((length, hasher.finish().to_string()));
        }
        hasher.update(&buffer[..read]);
        length += read as u64;
    }
}

fn sbom(path: &Path, inspection: &Inspection, packages: &[Package], sha256: &str) -> serde_json::Value {
    let made = |key: &str| inspection.kiosk.made.as_ref()?.get(key)?.as_str();
    let subject = Subject {
        name: &name(path),
        date: made("date"),
        distribution: &inspection.system.id,
        codename: inspection.system.codename.as_deref().unwrap_or_default(),
        sha256,
        pikiosk: made("version"),
    };
    cyclonedx(&subject, packages)
}

fn manifest(
    path: &Path,
    inspection: &Inspection,
    sha256: &str,
    xz: Option<&(u64, String)>,
    mapped: u64,
    packages: usize,
) -> Manifest {
    let date = inspection.kiosk.made.as_ref().and_then(|made| made.get("date")?.as_str()?.get(..10));
    let (url, size, packed) = match xz {
        Some((size, sha256)) => (name(&beside(path, "xz")), *size, sha256.clone()),
        None => (name(path), inspection.bytes, sha256.to_owned()),
    };
    let entry = Entry {
        name: format!("pikiosk for Raspberry Pi 3 ({})", inspection.system.codename.as_deref().unwrap_or("unknown")),
        description: format!("{} with the kiosk laid down", inspection.system.name),
        url,
        extract_size: inspection.bytes,
        extract_sha256: sha256.to_owned(),
        image_download_size: size,
        image_download_sha256: packed,
        release_date: date.map(str::to_owned),
        devices: vec!["pi3-64bit".to_owned()],
        architecture: "armv8".to_owned(),
        mapped_size: mapped,
        packages,
    };
    Manifest { os_list: vec![entry] }
}

fn pretty(value: &impl serde::Serialize) -> Result<String, Failure> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|source| Failure::Unwritable { source: source.into() })?;
    text.push('\n');
    Ok(text)
}

/// Whole or not at all: a hash that is cut would be taken for a wrong image.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = store::write_durably(path, text.as_bytes(), 0o644);
    written.map_err(|source| Failure::File { path: path.to_owned(), source })
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(extension);
    name.into()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
