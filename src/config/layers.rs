//! Where the layers are, lowest first.

use std::path::{Path, PathBuf};

use super::Document;
use super::fragment::{Fragment, distance};
use super::kiosk::KioskSettings;
use super::origin::{ConfigError, Origin, Problem};
use super::pushed;
use super::server::ServerSettings;
use super::shape::Shape;

/// The folders of the file layers, lowest first: the package's own, this boot's, the machine's owner's.
const FOLDERS: [&str; 3] = ["usr/lib/pikiosk", "run/pikiosk", "etc/pikiosk"];

/// Variables of ours that are not keys of a file.
const NOT_KEYS: [&str; 4] = ["PIKIOSK_SERVER", "PIKIOSK_KEY", "PIKIOSK_KEY_FILE", "PIKIOSK_LOG"];

/// What the configuration is read from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// What the folders of the layers are under: `/`, or a test's own folder.
    pub root: PathBuf,
    /// `--config FILE`: takes the place of all file layers.
    pub file: Option<PathBuf>,
    /// What came by the command `configure`: over the files, and under everything that a person says at the machine.
    pub pushed: Option<String>,
    /// The environment's variables.
    pub environment: Vec<(String, String)>,
    pub flags: Vec<Flag>,
}

/// A value from the command line, or from a list that it names.
#[derive(Debug, Clone)]
pub struct Flag {
    /// Where it was said, such as `--listen` or `cards.csv:3`.
    pub name: String,
    /// The key it sets, such as `listen`.
    pub key: String,
    pub value: String,
}

impl Sources {
    /// This machine's folders and this process's environment.
    pub fn system() -> Self {
        // A variable whose value is not UTF-8 is nobody's setting.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { environment: std::env::vars_os().filter_map(text).collect(), ..Self::under("/") }
    }

    /// The layers under another root, and an empty environment.
    pub fn under(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), file: None, pushed: None, environment: Vec::new(), flags: Vec::new() }
    }

    /// Only this file, and an empty environment.
    pub fn only(file: impl Into<PathBuf>) -> Self {
        Self { file: Some(file.into()), ..Self::under("/") }
    }

    /// `--config FILE`, when given.
    #[must_use]
    pub fn with_file(mut self, file: Option<PathBuf>) -> Self {
        self.file = file;
        self
    }

    /// The text of a command `configure`, when there was one.
    #[must_use]
    pub fn with_pushed(mut self, text: Option<String>) -> Self {
        self.pushed = text;
        self
    }

    /// A flag, when given.
    #[must_use]
    pub fn with_flag(mut self, name: &str, key: &str, value: Option<String>) -> Self {
        self.flags.extend(value.map(|value| Flag { name: name.to_owned(), key: key.to_owned(), value }));
        self
    }
}

/// Reads every layer that is there, lowest first.
pub fn read<S: Document>(
    sources: &Sources,
    shape: &Shape,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Fragment>, ConfigError> {
    let mut fragments = Vec::new();
    for path in files(S::NAME, sources)? {
        let bytes = std::fs::read(&path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
        match String::from_utf8(bytes) {
            Ok(text) => fragments.push(Fragment::from_text::<S>(&path, &text, shape, problems)),
            Err(error) => {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
                problems.push(Problem {
                    origin: Origin::File { path: path.as_path().into(), line },
                    key: String::new(),
                    says: "not UTF-8 text".to_owned(),
                    cure: "save the file as UTF-8".to_owned(),
                });
            }
        }
    }
    if let Some(text) = &sources.pushed {
        let fragment = Fragment::from_text::<S>(Path::new(pushed::NAME), text, shape, problems);
        pushed::refuse(&fragment, problems);
        fragments.push(fragment);
    }
    fragments.extend(environment(sources, shape, problems));
    let leaves = shape.leaves();
    for Flag { name, key, value } in &sources.flags {
        let origin = Origin::Flag { name: name.clone() };
        match leaves.iter().find(|(at, _)| at == key) {
            Some((_, of)) => fragments.push(Fragment::from_text_value(key, of, value, origin, problems)),
            None => {
                let near = leaves.iter().map(|(known, _)| known).min_by_key(|known| distance(known, key));
                let cure = near.map_or_else(String::new, |near| format!("did you mean {near}?"));
                problems.push(Problem { origin, key: key.clone(), says: "there is no such key".to_owned(), cure });
            }
        }
    }
    Ok(fragments)
}

/// The variable that sets a key: `display.url` is `PIKIOSK_DISPLAY_URL`.
pub fn variable(key: &str) -> String {
    format!("PIKIOSK_{}", key.replace('.', "_").to_uppercase())
}

/// The files of the layers that are there; `NAME.d/*.toml` of a folder comes after its `NAME.toml`, by name.
fn files(document: &str, sources: &Sources) -> Result<Vec<PathBuf>, ConfigError> {
    if let Some(file) = &sources.file {
        return Ok(vec![file.clone()]);
    }
    let mut found = Vec::new();
    for folder in FOLDERS {
        let folder = sources.root.join(folder);
        let main = folder.join(format!("{document}.toml"));
        if there(&main)? && is_trusted(&main) {
            found.push(main);
        }
        let more = folder.join(format!("{document}.d"));
        let entries = match std::fs::read_dir(&more) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(ConfigError::Unreadable { path: more, source }),
        };
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| ConfigError::Unreadable { path: more.clone(), source })?.path();
            names.extend((path.extension().is_some_and(|kind| kind == "toml") && is_trusted(&path)).then_some(path));
        }
        names.sort();
        found.extend(names);
    }
    Ok(found)
}

/// Only root's files and our own count: the browser's user can write in /run/pikiosk, and must not tell root or the
/// supervisor what to do. Passed over and not refused: nobody shall be kept from starting by such a file.
fn is_trusted(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = nix::unistd::geteuid().as_raw();
    // One that cannot be looked at is told when it is read.
    std::fs::symlink_metadata(path).map_or(true, |about| about.uid() == 0 || about.uid() == own)
}

fn there(path: &Path) -> Result<bool, ConfigError> {
    path.try_exists().map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

fn environment(sources: &Sources, shape: &Shape, problems: &mut Vec<Problem>) -> Vec<Fragment> {
    let leaves = shape.leaves();
    let (kiosk, server) = (Shape::of::<KioskSettings>(), Shape::of::<ServerSettings>());
    // Both files' variables may be set on one machine: each document takes its own, and a misspelt one is told.
    let known: Vec<String> =
        [&kiosk, &server].into_iter().flat_map(Shape::leaves).map(|(key, _)| variable(&key)).collect();
    let mut fragments = Vec::new();
    let mut variables: Vec<_> =
        sources.environment.iter().filter(|(name, value)| name.starts_with("PIKIOSK_") && !value.is_empty()).collect();
    variables.sort();
    for (name, value) in variables {
        let origin = Origin::Environment { name: name.clone() };
        if let Some((key, of)) = leaves.iter().find(|(key, _)| variable(key) == *name) {
            fragments.push(Fragment::from_text_value(key, of, value, origin, problems));
        } else if !known.contains(name) && !NOT_KEYS.contains(&name.as_str()) {
            let near = known.iter().min_by_key(|known| distance(known, name));
            // Others may have variables of this prefix; one that is nearly ours is a slip of the hand.
            if let Some(near) = near.filter(|near| distance(near, name) <= 3) {
                problems.push(Problem {
                    origin,
                    key: String::new(),
                    says: "there is no such variable".to_owned(),
                    cure: format!("did you mean {near}?"),
                });
            }
        }
    }
    fragments
}
