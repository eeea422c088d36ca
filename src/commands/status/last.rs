//! `pikiosk status --last`: what the black box holds.

use std::{io::ErrorKind, path::Path};

use serde_json::json;

use crate::commands::{
    cli::Json,
    failure::{Exit, Failure},
    output,
};
use crate::display::{
    blackbox::{Entry, Ring},
    status::{StatusError, StatusFile},
};
use crate::event::health::Restart;

/// Of entries before the last one.
const EARLIER: usize = 9;

/// Whoever may not look into the box is told the last cause, by the supervisor's own word.
pub fn run(runtime: &Path, state: &Path, json: Json) -> Result<Exit, Failure> {
    let ring = Ring::of(state);
    let entries = match ring.entries() {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return of_the_supervisor(runtime, json),
        Err(error) if error.kind() == ErrorKind::NotFound && state.exists() => Vec::new(),
        // Where no supervisor ever was, nothing can have been started again.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Failure::Status { source: StatusError::Absent });
        }
        Err(source) => return Err(Failure::Unread { path: ring.folder().to_owned(), source }),
    };
    if json.json {
        output::json(&json!({ "folder": ring.folder(), "entries": entries }))?;
    } else {
        output::text(&told(&entries, ring.folder()))?;
    }
    Ok(Exit::Done)
}

fn of_the_supervisor(runtime: &Path, json: Json) -> Result<Exit, Failure> {
    let status = StatusFile::read(runtime).map_err(|source| Failure::Status { source })?;
    let last = status.health.last_restart;
    if json.json {
        output::json(&json!({ "last_restart": last }))?;
    } else {
        let last = last.as_ref().map_or_else(|| NEVER.to_owned(), headline);
        output::text(&format!("{last}\nWhat was seen before it is for root: sudo pikiosk status --last\n"))?;
    }
    Ok(Exit::Done)
}

const NEVER: &str = "Nothing was started again so far.";

fn told(entries: &[Entry], folder: &Path) -> String {
    let Some((last, earlier)) = entries.split_first() else { return format!("{NEVER}\n") };
    let mut text = format!("{}\n", headline(&last.restart));
    text.push_str(&format!("\nBefore it, at {}: {}\n", last.last_written, last.last_sentence));
    for line in &last.lines {
        text.push_str(&format!("  {line}\n"));
    }
    for frame in &last.frames {
        text.push_str(&format!("The glass before it: {}\n", folder.join(frame).display()));
    }
    if !earlier.is_empty() {
        text.push_str("\nEarlier:\n");
    }
    for entry in earlier.iter().take(EARLIER) {
        text.push_str(&format!("  {}\n", headline(&entry.restart)));
    }
    if earlier.len() > EARLIER {
        text.push_str(&format!("  and {} more (--json tells all)\n", earlier.len() - EARLIER));
    }
    text
}

fn headline(restart: &Restart) -> String {
    let down = match restart.down_s {
        Some(seconds) if seconds > 0 => format!(" It was back after {}.", crate::commands::roughly(seconds)),
        _ => String::new(),
    };
    format!("{}  {}{down}", restart.at, restart.sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        health::{RestartCause, Restarted},
        time::UtcMillis,
    };

    fn entry(at: u64, sentence: &str) -> Entry {
        let (of, cause) = (Restarted::Supervisor, RestartCause::Watchdog);
        let restart = Restart { at: UtcMillis(at), of, cause, sentence: sentence.into(), down_s: Some(3) };
        Entry {
            restart,
            version: "0.1.0".into(),
            last_sentence: "Showing https://example.org/.".into(),
            last_written: UtcMillis(at - 5000),
            lines: vec!["WARN something".into()],
            frames: vec!["00000007-0.jpg".into()],
        }
    }

    #[test]
    fn the_last_restart_is_told_in_words_with_what_was_seen_before() {
        let entries: Vec<Entry> =
            (0..12).rev().map(|n| entry(1_800_000_000_000 + n * 86_400_000, "It gave no sign of life.")).collect();
        insta::assert_snapshot!(told(&entries[..2], Path::new("/var/lib/pikiosk/blackbox")), @"
    2027-01-26T08:00:00.000Z  It gave no sign of life. It was back after 3 s.

    Before it, at 2027-01-26T07:59:55.000Z: Showing https://example.org/.
      WARN something
    The glass before it: /var/lib/pikiosk/blackbox/00000007-0.jpg

    Earlier:
      2027-01-25T08:00:00.000Z  It gave no sign of life. It was back after 3 s.
    ");
        assert!(told(&entries, Path::new("/")).ends_with("and 2 more (--json tells all)\n"));
        assert_eq!(told(&[], Path::new("/")), "Nothing was started again so far.\n");
    }
}
