//! What is, was, or shall be at one path: small enough to keep in a plan and a receipt, exact enough to tell any change.

use std::{fmt::Write, io, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::io::system::{Abilities, Kind, Observe, Owner, Stat};

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Nothing.
    Absent,
    File {
        /// Of the content, 64 hexadecimal digits.
        sha256: String,
        #[serde(with = "octal")]
        mode: u32,
        #[serde(flatten)]
        owner: Owner,
    },
    Directory {
        #[serde(with = "octal")]
        mode: u32,
        #[serde(flatten)]
        owner: Owner,
    },
    Link {
        target: String,
        #[serde(flatten)]
        owner: Owner,
    },
    /// A device, socket or pipe: none of ours to touch.
    Other,
}

impl State {
    /// What is at this path of this system now. Reads a file to its end.
    pub fn of(system: &dyn Observe, path: &Path) -> io::Result<Self> {
        let Some(Stat { kind, mode, uid, gid }) = system.stat(path)? else { return Ok(Self::Absent) };
        let owner = Owner { uid, gid };
        let state = match kind {
            Kind::File { .. } => Self::File { sha256: sha256(&system.read(path)?), mode, owner },
            Kind::Directory => Self::Directory { mode, owner },
            Kind::Link { target } => Self::Link { target, owner },
            Kind::Other => Self::Other,
        };
        Ok(state.kept_at(path, system.abilities()))
    }

    /// As the system keeps it: without owner and mode where its file system has none.
    pub fn kept_at(mut self, path: &Path, abilities: Abilities) -> Self {
        if abilities.fat.is_some_and(|fat| path.starts_with(fat)) {
            match &mut self {
                Self::File { mode, owner, .. } | Self::Directory { mode, owner } => {
                    (*mode, *owner) = (0o755, Owner::ROOT);
                }
                Self::Link { owner, .. } => *owner = Owner::ROOT,
                Self::Absent | Self::Other => {}
            }
        }
        self
    }

    /// Equal in all that matters: who owns a link does not.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Link { target, .. }, Self::Link { target: other, .. }) => target == other,
            _ => self == other,
        }
    }

    /// The hash of a file's content.
    pub fn content(&self) -> Option<&str> {
        match self {
            Self::File { sha256, .. } => Some(sha256),
            _ => None,
        }
    }

    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory { .. })
    }

    /// `a file`, for sentences.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::File { .. } => "a file",
            Self::Directory { .. } => "a directory",
            Self::Link { .. } => "a link",
            Self::Other => "a device, socket or pipe",
        }
    }
}

/// The bytes of a file, in JSON as text where they are text. Cheap to clone: a plan holds the program itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub enum Content {
    Bytes(Arc<[u8]>),
    /// Left out of what is shown.
    Secret,
}

/// A [`Content`] in JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Text(String),
    #[serde(with = "base64_bytes")]
    Base64(Arc<[u8]>),
    Secret,
}

impl From<Content> for Written {
    fn from(content: Content) -> Self {
        match content {
            Content::Secret => Self::Secret,
            Content::Bytes(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::Base64(bytes),
            },
        }
    }
}

impl From<Written> for Content {
    fn from(written: Written) -> Self {
        match written {
            Written::Text(text) => Self::Bytes(text.into_bytes().into()),
            Written::Base64(bytes) => Self::Bytes(bytes),
            Written::Secret => Self::Secret,
        }
    }
}

impl Content {
    /// `None` if it was hidden.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Secret => None,
        }
    }
}

/// SHA-256 as 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Modes as people write them: `"0644"`.
mod octal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(mode: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{mode:04o}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        u32::from_str_radix(&String::deserialize(from)?, 8).map_err(D::Error::custom)
    }
}

mod base64_bytes {
    use std::sync::Arc;

    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[u8]>, D::Error> {
        Ok(STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)?.into())
    }
}
