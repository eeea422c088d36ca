//! What was written to which card, when and how well: kept as JSON beside others, and on the card itself.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::job::{Medium, Retries};
use crate::io::store;

/// The proof that a card was written and read back.
///
/// The one on the card (`pikiosk-manifest.json`) is made before the card is done: its `finished` is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The version of this form.
    pub version: u32,
    /// The version of pikiosk that wrote it.
    pub pikiosk: String,
    pub image: ImageFacts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Named>,
    /// SHA-256 of the settings that were put on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_sha256: Option<String>,
    pub card: CardFacts,
    pub written: Pass,
    pub read_back: Pass,
    /// What was tried again, by its offset.
    #[serde(default, skip_serializing_if = "Retries::is_empty")]
    pub retries: Retries,
    /// Blocks that differ from the image because they are this card's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub customised: Vec<Customised>,
    pub began: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// Who did it: `anna@desk`.
    pub by: String,
}

/// Which image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    pub name: String,
    pub source: String,
    /// Of the decoded image, in lower-case hexadecimal.
    pub sha256: String,
    /// Bytes of the decoded image.
    pub bytes: u64,
}

/// Which card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardFacts {
    /// Where it was: `/dev/sdb`.
    pub device: String,
    pub bytes: u64,
    #[serde(flatten)]
    pub medium: Medium,
}

/// Whose card it is. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub display: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// One way over a card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    pub extents: u64,
    pub bytes: u64,
    pub seconds: f64,
}

impl Pass {
    /// MB (10^6 bytes) a second, as cards are sold and progress is told.
    pub fn speed(&self) -> f64 {
        if self.seconds > 0.0 { self.bytes as f64 / 1e6 / self.seconds } else { 0.0 }
    }

    pub(super) fn add(&mut self, extents: u64, bytes: u64, time: std::time::Duration) {
        self.extents += extents;
        self.bytes += bytes;
        self.seconds += time.as_secs_f64();
    }
}

/// A run of bytes that is not as in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customised {
    /// Bytes from the start of the card.
    pub offset: u64,
    pub bytes: u64,
    pub sha256: String,
}

impl Receipt {
    /// The JSON text, with a newline at its end.
    pub fn json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a receipt has text keys and finite numbers only");
        text.push(b'\n');
        text
    }

    /// Its name in a directory of receipts: the display, or the card, and when.
    pub fn file_name(&self) -> String {
        let who = self.identity.as_ref().map_or(self.card.device.as_str(), |identity| identity.display.as_str());
        let who: String = who.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        let when = self.finished.unwrap_or(self.began).strftime("%Y%m%dT%H%M%SZ");
        format!("{}-{when}.json", who.trim_matches('-'))
    }

    /// Writes it into a directory, which is made if there is none; a receipt that is there is never written over.
    pub fn keep(&self, directory: &Path) -> io::Result<PathBuf> {
        store::make_dir(directory)?;
        let name = self.file_name();
        let stem = name.trim_end_matches(".json");
        let path = (1..)
            .map(|nth| directory.join(if nth == 1 { name.clone() } else { format!("{stem}-{nth}.json") }))
            .find(|path| !path.exists())
            .expect("the numbers do not end");
        store::write_durably(&path, &self.json(), 0o644)?;
        Ok(path)
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        use std::fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::flash) fn receipt() -> Receipt {
        Receipt {
            version: 1,
            pikiosk: "0.1.0".into(),
            image: ImageFacts {
                name: "pikiosk.img.xz".into(),
                source: "https://example.org/pikiosk.img.xz".into(),
                sha256: "0123456789abcdef".repeat(4),
                bytes: 1 << 30,
            },
            identity: Some(Named {
                display: "lobby".into(),
                hostname: Some("lobby-pi".into()),
                server: Some("https://push.example.org".into()),
            }),
            config_sha256: None,
            card: CardFacts {
                device: "/dev/sdb".into(),
                bytes: 32 << 30,
                medium: Medium { cid: Some("1b534d".into()), ..Medium::default() },
            },
            written: Pass { extents: 3, bytes: 3 << 20, seconds: 1.5 },
            read_back: Pass::default(),
            retries: Retries::from([(4096, 2)]),
            customised: vec![Customised { offset: 8192, bytes: 4096, sha256: "00".repeat(32) }],
            began: "2026-05-04T12:14:00Z".parse().unwrap(),
            finished: Some("2026-05-04T12:15:00Z".parse().unwrap()),
            by: "anna@desk".into(),
        }
    }

    #[test]
    fn a_receipt_is_read_as_it_was_written() {
        let receipt = receipt();
        assert_eq!(serde_json::from_slice::<Receipt>(&receipt.json()).unwrap(), receipt);
        assert!((receipt.written.speed() - 2.1).abs() < 0.01, "{}", receipt.written.speed());
        let json: serde_json::Value = serde_json::from_slice(&receipt.json()).unwrap();
        assert_eq!(json["card"]["cid"], "1b534d");
        assert_eq!(json["retries"]["4096"], 2);
    }

    #[test]
    fn a_receipt_never_replaces_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("receipts");
        let names: Vec<_> = (0..2).map(|_| receipt().keep(&path).unwrap()).collect();
        assert_eq!(names[0], path.join("lobby-20260504T121500Z.json"));
        assert_eq!(names[1], path.join("lobby-20260504T121500Z-2.json"));
        let nameless = Receipt { identity: None, finished: None, ..receipt() };
        assert_eq!(nameless.file_name(), "dev-sdb-20260504T121400Z.json");
    }
}
