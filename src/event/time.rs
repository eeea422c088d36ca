//! Instants as they travel: RFC 3339 text outside, milliseconds since 1970 inside.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A moment in UTC, in milliseconds since 1970. Its text form is RFC 3339 with milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UtcMillis(pub u64);

impl JsonSchema for UtcMillis {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "UtcMillis".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// The text is not RFC 3339, or lies before 1970.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time: write it as RFC 3339, for example 2026-05-04T12:00:00Z")]
pub struct TimeError(String);

impl std::str::FromStr for UtcMillis {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError(text.chars().take(60).collect());
        let moment: jiff::Timestamp = text.parse().map_err(|_| error())?;
        u64::try_from(moment.as_millisecond()).map(Self).map_err(|_| error())
    }
}

impl std::fmt::Display for UtcMillis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{moment:.3}")
    }
}

impl TryFrom<String> for UtcMillis {
    type Error = TimeError;
    fn try_from(text: String) -> Result<Self, TimeError> {
        text.parse()
    }
}

impl From<UtcMillis> for String {
    fn from(moment: UtcMillis) -> String {
        moment.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_with_any_offset_and_are_written_in_utc_with_milliseconds() {
        let moment: UtcMillis = "2026-05-04T14:00:00.25+02:00".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-05-04T12:00:00.250Z");
        for bad in ["", "2026-05-04", "2026-05-04T12:00:00", "1969-12-31T23:59:59Z", "now"] {
            assert!(bad.parse::<UtcMillis>().is_err(), "{bad}");
        }
    }
}
