//! `pikiosk doctor`: what is missing on this machine, and how to get it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::cli::Json;
use super::failure::{Exit, Failure};
use super::output;
use crate::config::{ConfigError, KioskSettings, ServerSettings, Sources};
#[cfg(feature = "display")]
use crate::io::room::Room;

/// Tells what is missing on this machine, and how to get it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk doctor
  pikiosk doctor --json

Exit code 0: all that is needed is there; 3: something is missing.")]
pub struct Args {
    #[command(flatten)]
    json: Json,
}

/// With less room a display can neither remember what it is told nor start Firefox.
#[cfg(feature = "display")]
const ROOM_LEFT: u64 = 4 << 20;

/// One thing that was looked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Finding {
    what: String,
    state: State,
    /// What was found, or what it is needed for.
    says: String,
    /// Debian packages that bring it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    packages: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Missing,
    /// There, and it cannot be used.
    Wrong,
    /// Not there, and only some need it.
    Optional,
}

/// A program to look for.
struct Wanted {
    /// The first one on the path will do.
    names: Vec<String>,
    package: &'static str,
    needed_for: &'static str,
    required: bool,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let findings = super::block_on(findings())?;
    let missing = findings.iter().filter(|finding| matches!(finding.state, State::Missing | State::Wrong)).count();
    if args.json.json {
        output::json(&findings)?;
        return Ok(if missing == 0 { Exit::Done } else { Exit::Pending });
    }
    output::text(&told(&findings))?;
    match missing {
        0 => Ok(Exit::Done),
        count => Err(Failure::Missing { count }),
    }
}

async fn findings() -> Vec<Finding> {
    let kiosk = KioskSettings::load(&Sources::system());
    let settings = kiosk.as_ref().ok().map(|loaded| &loaded.settings);
    let mut findings = Vec::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    for wanted in wanted(settings.and_then(|settings| settings.browser.command.as_deref())) {
        findings.push(program(&wanted, &std::env::split_paths(&path).collect::<Vec<_>>()).await);
    }
    #[cfg(feature = "display")]
    {
        findings.push(fonts(&["/usr/share/fonts".into(), "/usr/local/share/fonts".into()]));
        findings.push(config("kiosk.toml", kiosk.as_ref().err()));
        let written = [("disk", "/var/lib/pikiosk"), ("profile", "/run/pikiosk/profile")];
        findings.extend(written.iter().filter_map(|(what, folder)| room(what, Path::new(folder))));
    }
    if cfg!(feature = "server") {
        findings.push(config("server.toml", ServerSettings::load(&Sources::system()).as_ref().err()));
    }
    #[cfg(any(feature = "tools", feature = "display"))]
    {
        let named = std::env::var("PIKIOSK_SERVER").ok().and_then(|text| url::Url::parse(&text).ok());
        let configured = settings.and_then(|settings| Some(settings.server.as_ref()?.url.clone()));
        if let Some(url) = named.or(configured) {
            findings.push(server(&url).await);
        }
    }
    findings
}

fn wanted(browser: Option<&str>) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let mut add = |names: &[&str], package, needed_for, required| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        wanted.push(Wanted { names, package, needed_for, required });
    };
    if cfg!(feature = "display") {
        match browser {
            Some(command) => add(&[command], "firefox-esr", "shows the pages (browser.command names it)", true),
            None => add(&["firefox-esr", "firefox"], "firefox-esr", "shows the pages", true),
        }
        add(&["matchbox-window-manager"], "matchbox-window-manager", "gives Firefox the whole screen", true);
        add(&["Xvfb"], "xvfb", "a screen in memory, only for demo, drill --headless and the tests", false);
    }
    if cfg!(feature = "server") {
        add(&["redis-server"], "redis-server", "only where a web application mints tickets in it", false);
    }
    wanted
}

async fn program(wanted: &Wanted, folders: &[PathBuf]) -> Finding {
    let what = wanted.names[0].clone();
    let Some(found) = wanted.names.iter().find_map(|name| on_path(name, folders)) else {
        let state = if wanted.required { State::Missing } else { State::Optional };
        return Finding { what, state, says: wanted.needed_for.to_owned(), packages: vec![wanted.package] };
    };
    let mut says = found.display().to_string();
    if wanted.package == "firefox-esr" {
        says.extend(version(&found).await.map(|version| format!(", {version}")));
    }
    Finding { what, state: State::Ok, says, packages: Vec::new() }
}

pub(super) fn on_path(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(runs);
    }
    folders.iter().map(|folder| folder.join(name)).find(runs)
}

/// What `--version` says, if it says so in time.
async fn version(program: &Path) -> Option<String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let asked = tokio::process::Command::new(program).arg("--version").kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

#[cfg(feature = "display")]
fn fonts(folders: &[PathBuf]) -> Finding {
    let what = "fonts".to_owned();
    match folders.iter().find_map(|folder| a_font(folder, 6)) {
        Some(font) => Finding { what, state: State::Ok, says: font.display().to_string(), packages: Vec::new() },
        None => {
            let says = "without one, pages show boxes in the place of letters".to_owned();
            Finding { what, state: State::Missing, says, packages: vec!["fonts-dejavu-core"] }
        }
    }
}

/// A font file in the folder, at most so deep.
#[cfg(feature = "display")]
fn a_font(folder: &Path, depth: usize) -> Option<PathBuf> {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path()).collect();
    entries.sort();
    let is_font = |path: &&PathBuf| {
        path.extension().and_then(|kind| kind.to_str()).is_some_and(|kind| matches!(kind, "ttf" | "otf" | "ttc"))
    };
    match entries.iter().find(is_font) {
        Some(font) => Some(font.clone()),
        None if depth == 0 => None,
        None => entries.iter().filter(|path| path.is_dir()).find_map(|path| a_font(path, depth - 1)),
    }
}

fn config(name: &str, error: Option<&ConfigError>) -> Finding {
    let (state, says) = match error {
        None => (
            State::Ok,
            format!("can be used; pikiosk config show {} tells what is in force", name.trim_end_matches(".toml")),
        ),
        Some(ConfigError::Refused { problems }) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            let more = if problems.len() > 1 { format!(" (and {} more)", problems.len() - 1) } else { String::new() };
            (State::Wrong, format!("{first}{more}"))
        }
        Some(error) => (State::Wrong, error.to_string()),
    };
    Finding { what: name.to_owned(), state, says, packages: Vec::new() }
}

/// Whether a folder that a display writes to can be written; none where there is no such folder.
#[cfg(feature = "display")]
fn room(what: &str, folder: &Path) -> Option<Finding> {
    let (room, at) = (Room::of(folder).ok()?, folder.display());
    let (state, says) = if room.read_only {
        (State::Wrong, format!("{at} can only be read: its card is failing, replace it"))
    } else if room.free < ROOM_LEFT {
        let cure = "`sudo du -xh / | sort -h | tail -20` tells what takes the room";
        (State::Wrong, format!("{at} is full, {}: {cure}", room.words()))
    } else {
        (State::Ok, format!("{at}: {}", room.words()))
    };
    Some(Finding { what: what.to_owned(), state, says, packages: Vec::new() })
}

#[cfg(any(feature = "tools", feature = "display"))]
async fn server(url: &url::Url) -> Finding {
    use super::reach::{PATIENCE, bare, http};
    use crate::io::http::in_words;
    let address = format!("{}/healthz", bare(url));
    let asked = async { http()?.get(address).timeout(PATIENCE).send().await?.error_for_status() };
    let (state, says) = match asked.await {
        Ok(_) => (State::Ok, format!("{} answers", bare(url))),
        Err(error) => (State::Wrong, format!("{} cannot be reached: {}", bare(url), in_words(&error))),
    };
    Finding { what: "server".to_owned(), state, says, packages: Vec::new() }
}

fn told(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let state = match finding.state {
            State::Ok => "ok",
            State::Missing => "missing",
            State::Wrong => "wrong",
            State::Optional => "optional",
        };
        text.push_str(&format!("{state:<9} {:<24} {}\n", finding.what, finding.says));
    }
    let install = |state| {
        let packages = findings.iter().filter(|finding| finding.state == state).flat_map(|finding| &finding.packages);
        packages.copied().collect::<Vec<_>>().join(" ")
    };
    for (state, words) in [(State::Missing, "To get what is missing"), (State::Optional, "If you need it")] {
        let packages = install(state);
        if !packages.is_empty() {
            text.push_str(&format!("\n{words}:\n  sudo apt-get install -y {packages}\n"));
        }
    }
    text
}

#[cfg(all(test, feature = "display"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_missing_is_told_with_one_command_that_gets_it_and_a_display_needs_no_screen_in_memory() {
        let bin = tempfile::tempdir().unwrap();
        let redis = bin.path().join("redis-server");
        std::fs::write(&redis, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&redis, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let folders = [bin.path().to_owned()];
        let mut findings = Vec::new();
        for wanted in wanted(None) {
            findings.push(program(&wanted, &folders).await);
        }
        findings.push(fonts(&folders));
        let error = KioskSettings::from_text("[display]\nulr = 1\n").unwrap_err();
        findings.push(config("kiosk.toml", Some(&error)));
        if cfg!(feature = "server") {
            let text = told(&findings).replace(&bin.path().display().to_string(), "/bin");
            insta::assert_snapshot!(text, @"
    missing   firefox-esr              shows the pages
    missing   matchbox-window-manager  gives Firefox the whole screen
    optional  Xvfb                     a screen in memory, only for demo, drill --headless and the tests
    ok        redis-server             /bin/redis-server
    missing   fonts                    without one, pages show boxes in the place of letters
    wrong     kiosk.toml               kiosk.toml:2: display.ulr: there is no such key; did you mean url? (here may stand: id, url)

    To get what is missing:
      sudo apt-get install -y firefox-esr matchbox-window-manager fonts-dejavu-core

    If you need it:
      sudo apt-get install -y xvfb
    ");
        }
    }

    #[test]
    fn a_disk_tells_how_much_room_it_has_and_a_folder_that_is_not_there_tells_nothing() {
        let found = room("disk", Path::new("/")).unwrap();
        assert!(found.says.starts_with('/') && found.says.contains(" MiB are free"), "{}", found.says);
        assert_eq!(room("disk", Path::new("/proc")).unwrap().state, State::Wrong, "there is no room at all");
        assert_eq!(room("disk", Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn a_font_is_found_in_a_folder_of_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("truetype/dejavu");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(fonts(&[root.path().to_owned()]).state, State::Missing);
        std::fs::write(deep.join("DejaVuSans.ttf"), "").unwrap();
        assert_eq!(fonts(&[root.path().to_owned()]).state, State::Ok);
    }
}
