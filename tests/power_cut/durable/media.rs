//! `STATE/media/`: a film of the playlist, in ever newer versions.

use std::{io::Write, path::Path, time::SystemTime};

use pikiosk::{
    display::offline::{Label, Shelf},
    io::digest::sha256,
};

use super::{Durable, Found};

const FILM: &str = "https://films.example.org/loop.webm";

pub struct Films;

fn shelf(folder: &Path) -> Shelf {
    Shelf::open(folder.join("media"), 1 << 30)
}

fn bytes(n: u64) -> Vec<u8> {
    format!("version {n} of the film ").repeat(2000).into_bytes()
}

impl Durable for Films {
    fn name(&self) -> &'static str {
        "media"
    }

    fn write(&mut self, folder: &Path, n: u64) {
        let (shelf, bytes) = (shelf(folder), bytes(n));
        let (mut file, path) = shelf.beside(FILM).unwrap();
        file.write_all(&bytes).unwrap();
        let label = Label {
            url: FILM.into(),
            bytes: bytes.len() as u64,
            sha256: sha256(&bytes),
            content_type: "video/webm".into(),
            etag: Some(n.to_string()),
            modified: None,
        };
        shelf.put(&file, &path, label, SystemTime::now()).unwrap();
    }

    fn read(&self, folder: &Path) -> Found {
        let shelf = shelf(folder);
        let Some(label) = shelf.find(FILM) else { return Found::default() };
        let newest = label.etag.and_then(|etag| etag.parse().ok());
        let whole = newest.is_some_and(|n| label.sha256 == sha256(&bytes(n)));
        Found { newest, torn: (!whole).then(|| format!("{newest:?} has other bytes")).into_iter().collect() }
    }
}
