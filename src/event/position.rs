//! Where a reader stands in one address's history.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `{epoch, offset}` in one address's history.
///
/// Offsets of an address start at 1 and grow by one. The epoch is a random text of that address; it changes only when
/// the history is lost, and then offsets of the old epoch mean nothing: the two are kept and compared together.
/// On the wire the offset is a string of digits, since JSON numbers above 2^53 are not safe everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub epoch: String,
    #[serde(with = "digits")]
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.offset)
    }
}

/// Offsets as strings of digits; a plain JSON number is read too.
pub mod digits {
    use super::*;

    pub fn serialize<S: Serializer>(offset: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(offset)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        struct Digits;
        impl serde::de::Visitor<'_> for Digits {
            type Value = u64;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an offset: a string of 1 to 20 digits")
            }
            fn visit_u64<E>(self, value: u64) -> Result<u64, E> {
                Ok(value)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
                parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Digits)
    }

    /// Reads digits only: no sign, no space, at most `u64::MAX`.
    pub fn parse(text: &str) -> Option<u64> {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_travels_as_digits_and_numbers_are_read_too() {
        let position = Position { epoch: "k3".into(), offset: 9_007_199_254_740_993 };
        let text = serde_json::to_string(&position).unwrap();
        assert_eq!(text, r#"{"epoch":"k3","offset":"9007199254740993"}"#);
        assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), position);
        assert_eq!(serde_json::from_str::<Position>(r#"{"epoch":"k3","offset":7}"#).unwrap().offset, 7);
        for bad in [r#""""#, r#""-1""#, r#""1e3""#, r#""99999999999999999999999""#, "-1", "1.5"] {
            assert!(serde_json::from_str::<Position>(&format!(r#"{{"epoch":"k","offset":{bad}}}"#)).is_err(), "{bad}");
        }
    }
}
