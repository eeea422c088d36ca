//! Firefox's process: found, started, asked where BiDi listens; and one that an earlier loop left behind, ended.

use std::{
    env,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use crate::io::process;

/// Looked for on the PATH, in this order.
const NAMES: [&str; 2] = ["firefox-esr", "firefox"];
/// A line of Firefox's stderr is read this far, in bytes.
const LINE_MAX: u64 = 4096;
const LISTENING: &str = "WebDriver BiDi listening on ";

/// Why Firefox is not started.
#[derive(Debug, thiserror::Error)]
pub enum FirefoxError {
    #[error("it is not on this machine: install it with `sudo apt install firefox-esr`")]
    Missing,
    #[error("there is no program {}: set [browser] command in kiosk.toml", .0.display())]
    NoProgram(PathBuf),
    #[error("start {}", path.display())]
    Start { path: PathBuf, source: io::Error },
}

/// The program to start: as configured, else the first of firefox-esr and firefox on the PATH.
pub fn find(configured: Option<&Path>) -> Result<PathBuf, FirefoxError> {
    match configured {
        Some(path) if path.components().count() > 1 => {
            if path.is_file() {
                Ok(path.to_owned())
            } else {
                Err(FirefoxError::NoProgram(path.to_owned()))
            }
        }
        Some(name) => on_path(name).ok_or_else(|| FirefoxError::NoProgram(name.to_owned())),
        None => NAMES.iter().find_map(|name| on_path(Path::new(name))).ok_or(FirefoxError::Missing),
    }
}

fn on_path(name: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// Starts Firefox in kiosk mode with BiDi on a free port of loopback. Its stderr is piped.
pub fn start(program: &Path, profile: &Path, url: &str) -> Result<Child, FirefoxError> {
    let mut command = Command::new(program);
    command
        .args(["--kiosk", "--no-remote", "--remote-debugging-port=0", "--profile"])
        .arg(profile)
        .arg(url)
        .env("MOZ_CRASHREPORTER_DISABLE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    process::spawn_bound(&mut command).map_err(|source| FirefoxError::Start { path: program.to_owned(), source })
}

/// Ends what a loop that was killed left behind: a Firefox with our profile on its command line. (`--kiosk` is what
/// tells it from a `sudo` or `timeout` that was given *our* command line, and would be our own parent.)
pub fn end_leftovers(profile: &Path, within: Duration) {
    let leftovers = process::with_arguments(&[OsStr::new("--kiosk"), OsStr::new("--profile"), profile.as_os_str()]);
    if leftovers.is_empty() {
        return;
    }
    tracing::warn!(count = leftovers.len(), "ending what an earlier loop left behind");
    if !process::kill_all(&leftovers, within) {
        tracing::error!("what an earlier loop left behind cannot be killed");
    }
}

/// Reads Firefox's stderr to its end, so that its pipe never fills; tells once where BiDi listens, as `ws://…`.
pub async fn watch_stderr(stderr: impl AsyncRead + Unpin, mut listening: impl FnMut(String)) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        match text.trim_end().split_once(LISTENING) {
            Some((_, url)) => listening(url.to_owned()),
            None => tracing::trace!(target: "firefox", line = text.trim_end(), "stderr"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_place_where_bidi_listens_is_found_among_all_that_firefox_says() {
        let mut stderr = vec![b'x'; 10_000];
        stderr.extend(b"\n[warn] glxtest\nWebDriver BiDi listening on ws://127.0.0.1:41733\nmore\n");
        let mut found = Vec::new();
        watch_stderr(&stderr[..], |url| found.push(url)).await;
        assert_eq!(found, ["ws://127.0.0.1:41733"]);
    }

    #[test]
    fn a_firefox_that_is_not_there_is_told_with_the_cure() {
        let error = find(Some(Path::new("/nowhere/firefox"))).unwrap_err();
        assert_eq!(error.to_string(), "there is no program /nowhere/firefox: set [browser] command in kiosk.toml");
        assert!(find(Some(Path::new("sh"))).unwrap().is_absolute());
    }
}
