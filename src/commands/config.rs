//! `pikiosk config`: an example to begin with, a check, what is in force, and the schema.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::cli::{Json, print};
use super::failure::{Exit, Failure};
use super::output;
use crate::config::{self, ConfigError, Document, KioskSettings, Origin, ServerSettings, Shown, Sources};

/// Writes an example kiosk.toml or server.toml, checks it, and shows what is in force.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk config init kiosk --to kiosk.toml
  pikiosk config check kiosk.toml
  pikiosk config show")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Prints an example file with every key, its meaning and its default.
    #[command(after_help = "Examples:
  pikiosk config init kiosk
  sudo pikiosk config init kiosk --to /etc/pikiosk/kiosk.toml")]
    Init {
        /// kiosk (of a display) or server.
        #[arg(default_value = "kiosk", hide_possible_values = true, value_name = "kiosk|server")]
        document: DocumentName,
        /// Write it to this file, which must not be there yet.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Tells every mistake, with its line and its cure; exit code 10 if there is one.
    #[command(after_help = "Examples:
  pikiosk config check
  pikiosk config check ./kiosk.toml
  pikiosk config check server --config ./of-the-server.toml")]
    Check {
        #[command(flatten)]
        read: Read,
        #[command(flatten)]
        json: Json,
    },
    /// Shows every value in force and where it is from; secrets are hidden.
    #[command(after_help = "Examples:
  pikiosk config show kiosk
  pikiosk config show ./server.toml --json

Order, the last one counts:
  /usr/lib/pikiosk, /run/pikiosk, /etc/pikiosk (in each: NAME.toml, then NAME.d/*.toml),
  environment variables (display.url is PIKIOSK_DISPLAY_URL), flags.")]
    Show {
        #[command(flatten)]
        read: Read,
        #[command(flatten)]
        json: Json,
    },
    /// Prints the JSON schema, for editors that complete and check.
    #[command(after_help = "Example:
  pikiosk config schema kiosk > kiosk.schema.json")]
    Schema {
        /// kiosk (of a display) or server.
        #[arg(default_value = "kiosk", hide_possible_values = true, value_name = "kiosk|server")]
        document: DocumentName,
    },
}

#[derive(Debug, clap::Args)]
struct Read {
    /// kiosk (of a display) or server, as it is in force here; or a file, as with --config. Left out: kiosk.
    #[arg(value_name = "kiosk|server|FILE", value_parser = which)]
    which: Option<Which>,
    /// Read this file, and none of the folders. A name that begins with server is a server's.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Which {
    Document(DocumentName),
    File(PathBuf),
}

fn which(text: &str) -> Result<Which, String> {
    match DocumentName::from_str(text, false) {
        Ok(document) => Ok(Which::Document(document)),
        Err(_) if text.contains(['.', '/']) => Ok(Which::File(text.into())),
        Err(_) => Err("it is neither kiosk nor server, nor a file such as ./kiosk.toml".to_owned()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DocumentName {
    Kiosk,
    Server,
}

pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.what {
        What::Init { document, to } => init(document, to),
        What::Check { read, json } => check(&read, json),
        What::Show { read, json } => show(&read, json),
        What::Schema { document } => output::json(&match document {
            DocumentName::Kiosk => config::schema::<KioskSettings>(),
            DocumentName::Server => config::schema::<ServerSettings>(),
        })
        .map(|()| Exit::Done),
    }
}

fn init(document: DocumentName, to: Option<PathBuf>) -> Result<Exit, Failure> {
    let text = match document {
        DocumentName::Kiosk => config::example::<KioskSettings>(),
        DocumentName::Server => config::example::<ServerSettings>(),
    };
    let Some(path) = to else { return print(&text) };
    match create_new(&path, &text) {
        Ok(()) => {
            let path = path.display();
            output::remark(&format!("wrote {path}; change what you need in it, then: pikiosk config check {path}"));
            Ok(Exit::Done)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(Failure::FileThere { path }),
        Err(source) => Err(Failure::File { path, source }),
    }
}

fn create_new(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn check(read: &Read, json: Json) -> Result<Exit, Failure> {
    read.check()?;
    let (problems, is_written) = match load(read) {
        Ok(shown) => (Vec::new(), shown.iter().any(|shown| matches!(shown.origin, Origin::File { .. }))),
        Err(ConfigError::Refused { problems }) if json.json => (problems, true),
        Err(source) => return Err(Failure::Config { source }),
    };
    if json.json {
        let told: Vec<_> = problems
            .iter()
            .map(|problem| Told {
                at: problem.origin.to_string(),
                key: &problem.key,
                says: &problem.says,
                cure: &problem.cure,
            })
            .collect();
        output::json(&serde_json::json!({ "ok": told.is_empty(), "problems": told }))?;
        return Ok(if told.is_empty() { Exit::Done } else { Exit::ConfigRefused });
    }
    let name = read.document().name();
    // "Ok" to somebody whose file is elsewhere would be the worst answer.
    let empty = match read.file() {
        _ if is_written => String::new(),
        Some(file) => format!(", but {} sets nothing", file.display()),
        None => ", but no file in /etc/pikiosk sets anything; pikiosk config check FILE reads another one".to_owned(),
    };
    output::line(&format!("{name}.toml: ok{empty}"))?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Told<'a> {
    at: String,
    key: &'a str,
    says: &'a str,
    cure: &'a str,
}

fn show(read: &Read, json: Json) -> Result<Exit, Failure> {
    read.check()?;
    let shown = load(read).map_err(|source| Failure::Config { source })?;
    if json.json {
        output::json(&shown)?;
        return Ok(Exit::Done);
    }
    let values: Vec<_> = shown
        .iter()
        .map(|shown| if shown.value.is_null() { "(none)".to_owned() } else { shown.value.to_string() })
        .collect();
    let keys = shown.iter().map(|shown| shown.key.len()).max().unwrap_or_default();
    let widest = values.iter().map(String::len).filter(|width| *width <= 50).max().unwrap_or_default();
    for (shown, value) in shown.iter().zip(&values) {
        output::line(&format!("{:<keys$}  {value:<widest$}  {}", shown.key, shown.origin))?;
    }
    Ok(Exit::Done)
}

fn load(read: &Read) -> Result<Vec<Shown>, ConfigError> {
    let sources = Sources::system().with_file(read.file().map(Path::to_owned));
    match read.document() {
        DocumentName::Kiosk => KioskSettings::load(&sources).map(|loaded| loaded.shown),
        DocumentName::Server => ServerSettings::load(&sources).map(|loaded| loaded.shown),
    }
}

impl Read {
    fn check(&self) -> Result<(), Failure> {
        match (&self.which, &self.config) {
            (Some(Which::File(_)), Some(_)) => Err(Failure::Usage {
                doing: "read the configuration",
                says: "two files are named".to_owned(),
                hint: "name one of them".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn file(&self) -> Option<&Path> {
        match &self.which {
            Some(Which::File(file)) => Some(file),
            _ => self.config.as_deref(),
        }
    }

    fn document(&self) -> DocumentName {
        let named = self.file().and_then(Path::file_name).and_then(|name| name.to_str());
        match self.which {
            Some(Which::Document(document)) => document,
            _ if named.is_some_and(|name| name.starts_with(ServerSettings::NAME)) => DocumentName::Server,
            _ => DocumentName::Kiosk,
        }
    }
}

impl DocumentName {
    fn name(self) -> &'static str {
        match self {
            Self::Kiosk => KioskSettings::NAME,
            Self::Server => ServerSettings::NAME,
        }
    }
}
