//! The one-time ticket that opens one WebSocket, as an existing web application mints it in Redis.
//!
//! Key: `wstoken` + 32 hex digits. Value: `{"user": "...", "time": "%d:%m:%Y:%H:%M:%S"}` in UTC, and `"display"` where the
//! ticket is a display's. Good for 20 s and for one use; taking it (atomically) is the store's part.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::event::{
    Address, DisplayId,
    address::{AddressError, UserName},
};

/// How long a ticket is good, in ms.
pub const LIFE_MS: u64 = 20_000;
/// How far in the future its time may lie (two clocks), in ms.
pub const FUTURE_MS: u64 = 5_000;
const PREFIX: &str = "wstoken";

/// Why a ticket opens nothing. For the log only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    #[error("the ticket has not the form wstoken + 32 hex digits")]
    Form,
    #[error("no such ticket: never minted, already used, or over 20 s old")]
    Unknown,
    #[error("the ticket's value is not {{\"user\", \"time\"}}: {0}")]
    Value(String),
    #[error("the ticket's time `{0}` is not dd:mm:yyyy:HH:MM:SS")]
    Time(String),
    #[error("the ticket was minted {0} ms ago")]
    Old(u64),
    #[error("the ticket's time lies {0} ms in the future")]
    Future(u64),
    #[error("the ticket names a user or display that cannot be one")]
    Name(#[from] AddressError),
}

/// Who a ticket is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub user: UserName,
    /// Set for a display's ticket: the socket is that display, if it is enrolled.
    pub display: Option<DisplayId>,
}

/// A ticket that was taken, and is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub grant: Grant,
    /// In ms since 1970; whole seconds, as tickets say it.
    pub minted_ms: u64,
}

impl Grant {
    pub fn address(&self) -> Address {
        Address::User(self.user.clone())
    }
}

/// A ticket that is ready to be stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// The ticket itself, which is also its key in Redis.
    pub key: String,
    /// What is stored under it.
    pub value: String,
    /// In ms since 1970.
    pub expires_ms: u64,
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted").field("value", &self.value).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Value {
    user: String,
    time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display: Option<String>,
}

/// True for `^wstoken[0-9a-f]{32}$`; checked before any store is asked.
pub fn is_ticket(text: &str) -> bool {
    text.strip_prefix(PREFIX)
        .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// Makes a ticket from 16 bytes of secure randomness.
pub fn mint(random: [u8; 16], grant: &Grant, now_ms: u64) -> Minted {
    let mut key = String::from(PREFIX);
    for byte in random {
        write!(key, "{byte:02x}").expect("writing to a String cannot fail");
    }
    let display = grant.display.as_ref().map(|id| id.as_str().to_owned());
    let value = Value { user: grant.user.as_str().to_owned(), time: write_time(now_ms), display };
    let value = serde_json::to_string(&value).expect("three strings always serialise");
    Minted { key, value, expires_ms: now_ms.saturating_add(LIFE_MS) }
}

/// Judges the value of a ticket that was just taken: by now it is spent, whatever the answer.
pub fn judge(value: &[u8], now_ms: u64) -> Result<Taken, TicketError> {
    let value: Value = serde_json::from_slice(value).map_err(|error| TicketError::Value(error.to_string()))?;
    let minted_ms = read_time(&value.time).ok_or_else(|| TicketError::Time(value.time.chars().take(40).collect()))?;
    if let Some(ahead) = minted_ms.checked_sub(now_ms).filter(|ahead| *ahead > FUTURE_MS) {
        return Err(TicketError::Future(ahead));
    }
    // The time has whole seconds: what was minted at .999 lives its 20 s too.
    let age = now_ms.saturating_sub(minted_ms);
    if age >= LIFE_MS + 1_000 {
        return Err(TicketError::Old(age));
    }
    let grant = Grant { user: value.user.parse()?, display: value.display.map(|id| id.parse()).transpose()? };
    Ok(Taken { grant, minted_ms })
}

fn write_time(now_ms: u64) -> String {
    let seconds = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    moment.strftime("%d:%m:%Y:%H:%M:%S").to_string()
}

/// Reads exactly `dd:mm:yyyy:HH:MM:SS`, UTC, as ms since 1970.
fn read_time(text: &str) -> Option<u64> {
    let form = |(i, b): (usize, u8)| if matches!(i, 2 | 5 | 10 | 13 | 16) { b == b':' } else { b.is_ascii_digit() };
    if text.len() != 19 || !text.bytes().enumerate().all(form) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text[range].parse::<i16>().ok();
    let small = |range: std::ops::Range<usize>| text[range].parse::<i8>().ok();
    let moment = jiff::civil::DateTime::new(
        number(6..10)?,
        small(3..5)?,
        small(0..2)?,
        small(11..13)?,
        small(14..16)?,
        small(17..19)?,
        0,
    )
    .ok()?;
    let moment = jiff::tz::Offset::UTC.to_timestamp(moment).ok()?;
    u64::try_from(moment.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_777_896_000_500; // 2026-05-04T12:00:00.5Z

    fn grant(user: &str) -> Grant {
        Grant { user: user.parse().unwrap(), display: None }
    }

    #[test]
    fn a_minted_ticket_has_the_form_and_the_value_of_the_web_application() {
        let minted = mint([0xab; 16], &grant("zoë"), NOW);
        assert_eq!(minted.key, format!("wstoken{}", "ab".repeat(16)));
        assert!(is_ticket(&minted.key));
        assert_eq!(minted.value, r#"{"user":"zoë","time":"04:05:2026:12:00:00"}"#);
        assert_eq!(
            judge(minted.value.as_bytes(), NOW),
            Ok(Taken { grant: grant("zoë"), minted_ms: NOW / 1000 * 1000 })
        );
        assert!(!format!("{minted:?}").contains("abab"), "a ticket never gets into a log");
    }

    #[test]
    fn a_displays_ticket_names_the_display() {
        let grant = Grant { user: "lobby".parse().unwrap(), display: Some("lobby".parse().unwrap()) };
        let minted = mint([1; 16], &grant, NOW);
        assert_eq!(judge(minted.value.as_bytes(), NOW).unwrap().grant, grant);
    }

    #[test]
    fn a_ticket_of_python_is_read() {
        let value = br#"{"user": "J\u00fcrgen", "time": "04:05:2026:11:59:50"}"#;
        assert_eq!(judge(value, NOW).unwrap().grant.address().to_string(), "user/Jürgen");
    }

    #[test]
    fn only_the_exact_form_is_a_ticket() {
        let good = format!("wstoken{}", "0f".repeat(16));
        assert!(is_ticket(&good));
        for bad in [
            String::new(),
            "wstoken".into(),
            good[..38].into(),
            format!("{good}0"),
            format!("{good}\n"),
            good.to_uppercase(),
            good.replace('f', "g"),
            good.replace("wstoken", "wstokem"),
            good.replace("0f0f", "é0f"),
        ] {
            assert!(!is_ticket(&bad), "{bad:?}");
        }
    }

    #[test]
    fn a_ticket_is_good_for_its_twenty_seconds_and_a_clock_that_is_five_ahead() {
        let value = |seconds: i64| {
            let at = NOW.checked_add_signed(seconds * 1000).unwrap();
            format!(r#"{{"user":"u","time":"{}"}}"#, write_time(at))
        };
        for good in [0, -1, -19, -20, 1, 5] {
            assert!(judge(value(good).as_bytes(), NOW).is_ok(), "{good}");
        }
        for old in [-21, -60, -86_400] {
            assert!(matches!(judge(value(old).as_bytes(), NOW), Err(TicketError::Old(_))), "{old}");
        }
        for future in [6, 60, 86_400] {
            assert!(matches!(judge(value(future).as_bytes(), NOW), Err(TicketError::Future(_))), "{future}");
        }
    }

    #[test]
    fn a_broken_value_is_refused_with_its_reason() {
        for bad in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"user":"u"}"#,
            r#"{"user":7,"time":"04:05:2026:12:00:00"}"#,
            r#"{"user":"","time":"04:05:2026:12:00:00"}"#,
            r#"{"user":"a\nb","time":"04:05:2026:12:00:00"}"#,
            r#"{"user":"u","time":"04:05:2026:12:00:00","display":"No Such"}"#,
            r#"{"user":"u","time":"2026-05-04T12:00:00Z"}"#,
            r#"{"user":"u","time":"31:02:2026:12:00:00"}"#,
            r#"{"user":"u","time":"04:05:2026:24:00:00"}"#,
            r#"{"user":"u","time":"+4:05:2026:12:00:00"}"#,
            r#"{"user":"u","time":"٠٤:05:2026:12:00"}"#,
        ] {
            assert!(judge(bad.as_bytes(), NOW).is_err(), "{bad}");
        }
        assert!(judge(&[0xff, 0xfe], NOW).is_err());
    }
}
