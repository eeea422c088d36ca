//! What a display sent back with its receipt: words, a file, or facts.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::super::client::{Client, ClientError};
use super::super::failure::Failure;

/// A result as people want to see it.
#[derive(Debug, PartialEq)]
pub enum Sent<'r> {
    Nothing,
    /// Log lines.
    Text(&'r str),
    /// A picture or a long log: in the receipt itself, or at the server.
    File {
        content_type: &'r str,
        bytes: u64,
        base64: Option<&'r str>,
    },
    Facts(&'r Value),
}

impl<'r> Sent<'r> {
    pub fn read(result: Option<&'r Value>) -> Self {
        match result {
            None | Some(Value::Null) => Self::Nothing,
            Some(result) => match (result["text"].as_str(), result["content_type"].as_str()) {
                (Some(text), _) => Self::Text(text),
                (None, Some(content_type)) => Self::File {
                    content_type,
                    bytes: result["bytes"].as_u64().unwrap_or_default(),
                    base64: result["data_base64"].as_str(),
                },
                (None, None) => Self::Facts(result),
            },
        }
    }

    /// The lines below the receipt; each ends itself.
    pub fn told(&self, saved: Option<&Path>) -> String {
        match (self, saved) {
            (Self::Nothing, _) => String::new(),
            (_, Some(path)) => format!("  saved as {}\n", path.display()),
            (Self::Text(text), None) => text.lines().map(|line| format!("  {line}\n")).collect(),
            (Self::File { content_type, bytes, .. }, None) => {
                format!("  {content_type}, {bytes} bytes (--save FILE keeps it)\n")
            }
            (Self::Facts(facts), None) => format!("{facts:#}\n"),
        }
    }

    /// What `--save` writes; none where nothing was sent.
    pub async fn content(&self, client: &Client, display: &str, event: &str) -> Result<Option<Vec<u8>>, ClientError> {
        match self {
            Self::Nothing => Ok(None),
            Self::Text(text) => Ok(Some(text.as_bytes().to_vec())),
            Self::Facts(facts) => Ok(Some(format!("{facts:#}\n").into_bytes())),
            Self::File { base64, .. } => match base64.and_then(|text| BASE64_STANDARD.decode(text).ok()) {
                Some(bytes) => Ok(Some(bytes)),
                None => client.bytes(&["displays", display, "results", event]).await.map(Some),
            },
        }
    }
}

/// Writes a display's result; where there may be many displays, the display's id goes into the file's name.
pub fn save(file: &Path, display: &str, many: bool, content: &[u8]) -> Result<PathBuf, Failure> {
    let path = if many { with_id(file, display) } else { file.to_owned() };
    match std::fs::write(&path, content) {
        Ok(()) => Ok(path),
        Err(source) => Err(Failure::File { path, source }),
    }
}

/// `shot.png` of `lobby` is `shot-lobby.png`.
fn with_id(file: &Path, display: &str) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = match file.extension() {
        Some(kind) => format!("{stem}-{display}.{}", kind.to_string_lossy()),
        None => format!("{stem}-{display}"),
    };
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_display_sends_is_told_as_what_it_is() {
        let text = json!({ "text": "one\ntwo" });
        assert_eq!(Sent::read(Some(&text)).told(None), "  one\n  two\n");
        let file = json!({ "content_type": "image/png", "bytes": 23456, "url": "/v1/displays/lobby/results/1" });
        assert_eq!(Sent::read(Some(&file)).told(None), "  image/png, 23456 bytes (--save FILE keeps it)\n");
        assert_eq!(Sent::read(Some(&file)).told(Some(Path::new("a.png"))), "  saved as a.png\n");
        assert_eq!(Sent::read(None), Sent::Nothing);
        assert_eq!(Sent::read(Some(&json!(null))).told(None), "");
    }

    #[test]
    fn many_displays_get_a_file_each() {
        assert_eq!(with_id(Path::new("/tmp/shot.png"), "lobby"), Path::new("/tmp/shot-lobby.png"));
        assert_eq!(with_id(Path::new("log"), "lobby"), Path::new("log-lobby"));
    }
}
