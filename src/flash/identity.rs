//! Each card its own identity: rows of a list, or a pattern that counts. Pure.

use std::path::Path;

/// Short names that a list may use for the keys of kiosk.toml.
const SHORT: &[(&str, &str)] = &[
    ("id", "display.id"),
    ("display", "display.id"),
    ("url", "display.url"),
    ("hostname", "system.hostname"),
    ("server", "server.url"),
    ("code", "server.enrollment"),
    ("enrollment", "server.enrollment"),
    ("wifi", "network.wifi_ssid"),
    ("ssid", "network.wifi_ssid"),
    ("wifi_ssid", "network.wifi_ssid"),
    ("wifi_password", "network.wifi_password"),
];

/// What is particular about one card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Where it was said: `cards.csv:3`, `--id`.
    pub origin: String,
    /// Keys of kiosk.toml and their values, as text.
    pub values: Vec<(String, String)>,
}

impl Identity {
    /// The display id, if the row has one.
    pub fn id(&self) -> Option<&str> {
        self.values.iter().find(|(key, _)| key == "display.id").map(|(_, value)| value.as_str())
    }
}

/// Why a list of identities cannot be used. `Display` fits after `failed to read the list: `.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{file} line {line}: {says}")]
    Row { file: String, line: u64, says: String },
    #[error("{file} has no rows: the first line names the columns, each line after it is one card")]
    Empty { file: String },
    #[error("two cards are called {id} ({one} and {other})")]
    Twice { id: String, one: String, other: String },
    #[error("{pattern:?} does not say once where the number goes")]
    NoNumber { pattern: String },
}

/// Reads a list with a first line of column names (RFC 4180; commas or semicolons, as spreadsheets write them).
///
/// A column is a key of kiosk.toml (`display.id`) or a short name of one (`id`, `url`, `hostname`, `code`, `ssid`,
/// `wifi_password`, `server`). An empty cell says nothing: the value of the configuration stands.
pub fn from_csv(path: &Path, text: &str) -> Result<Vec<Identity>, IdentityError> {
    let file = path.display().to_string();
    // Spreadsheets put a byte order mark before it. A cell of several lines has no meaning here.
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let Some((_, header)) = lines.next() else { return Err(IdentityError::Empty { file }) };
    let delimiter = if header.contains(';') && !header.contains(',') { b';' } else { b',' };
    let keys: Vec<String> = cells(header, delimiter).iter().map(|column| key(column)).collect();
    let mut cards = Vec::new();
    for (line, text) in lines {
        let cells = cells(text, delimiter);
        if cells.len() != keys.len() {
            let says = format!("{} cells, and the first line names {} columns", cells.len(), keys.len());
            return Err(IdentityError::Row { file, line, says });
        }
        let values: Vec<_> = keys.iter().cloned().zip(cells).filter(|(_, cell)| !cell.is_empty()).collect();
        if !values.is_empty() {
            cards.push(Identity { origin: format!("{file}:{line}"), values });
        }
    }
    if cards.is_empty() {
        return Err(IdentityError::Empty { file });
    }
    distinct(cards)
}

/// `lobby-#`, or `lobby-###` (padded with zeros to three digits), counted from `first`.
pub fn from_pattern(pattern: &str, first: u32, count: usize) -> Result<Vec<Identity>, IdentityError> {
    let width = pattern.matches('#').count();
    let marks = "#".repeat(width);
    let one_run = width > 0 && pattern.contains(&marks);
    if !one_run && (width > 0 || count > 1) {
        return Err(IdentityError::NoNumber { pattern: pattern.to_owned() });
    }
    let numbered = |number: u32| match one_run {
        true => pattern.replace(&marks, &format!("{number:0width$}")),
        false => pattern.to_owned(),
    };
    let of = |id| Identity { origin: "--id".to_owned(), values: vec![("display.id".to_owned(), id)] };
    Ok((first..).take(count).map(numbered).map(of).collect())
}

fn cells(line: &str, delimiter: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new();
    reader.delimiter(delimiter).trim(csv::Trim::All).has_headers(false);
    let record = reader.from_reader(line.as_bytes()).into_records().next();
    record.and_then(Result::ok).map(|record| record.iter().map(str::to_owned).collect()).unwrap_or_default()
}

fn key(column: &str) -> String {
    let column = column.to_lowercase();
    let short = SHORT.iter().find(|(short, _)| *short == column);
    short.map_or(column, |(_, key)| (*key).to_owned())
}

fn distinct(cards: Vec<Identity>) -> Result<Vec<Identity>, IdentityError> {
    for (index, card) in cards.iter().enumerate() {
        let Some(id) = card.id() else { continue };
        if let Some(other) = cards[..index].iter().find(|other| other.id() == Some(id)) {
            let (one, other) = (other.origin.clone(), card.origin.clone());
            return Err(IdentityError::Twice { id: id.to_owned(), one, other });
        }
    }
    Ok(cards)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Result<Vec<Identity>, String> {
        from_csv(Path::new("cards.csv"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn each_line_of_a_list_is_a_card_with_its_own_keys() {
        let cards =
            csv("\u{feff}ID;code;network.wifi_ssid\r\n# the ground floor\r\nlobby;AB-12;shop\r\n\r\ncafe;;\r\n");
        let cards = cards.unwrap();
        assert_eq!(cards.len(), 2);
        assert_eq!(cards[0].id(), Some("lobby"));
        assert_eq!(cards[0].values[1], ("server.enrollment".to_owned(), "AB-12".to_owned()));
        assert_eq!(cards[1].origin, "cards.csv:5");
        assert_eq!(cards[1].values.len(), 1, "an empty cell says nothing");
    }

    #[test]
    fn a_list_that_cannot_be_used_is_told_with_its_line() {
        assert_eq!(
            csv("id,url\na,b,c\n").unwrap_err(),
            "cards.csv line 2: 3 cells, and the first line names 2 columns"
        );
        assert!(csv("id,url\n").unwrap_err().contains("no rows"));
        assert!(csv("").unwrap_err().contains("no rows"));
        let twice = csv("id\na\nb\na\n").unwrap_err();
        assert_eq!(twice, "two cards are called a (cards.csv:2 and cards.csv:4)");
    }

    #[test]
    fn a_pattern_counts() {
        let ids = |pattern: &str, first, count| {
            let cards = from_pattern(pattern, first, count);
            cards.map(|cards| cards.iter().map(|card| card.id().unwrap().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(ids("lobby-#", 9, 2).unwrap(), ["lobby-9", "lobby-10"]);
        assert_eq!(ids("d###x", 7, 1).unwrap(), ["d007x"]);
        assert_eq!(ids("lobby", 1, 1).unwrap(), ["lobby"]);
        for pattern in ["lobby", "lob-#-#"] {
            assert!(ids(pattern, 1, 2).is_err(), "{pattern}");
        }
    }
}
