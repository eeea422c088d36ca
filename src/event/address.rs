//! Where an event goes: `display/<id>`, `group/<name>`, `user/<name>`, `all`.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The longest display id or group name, in bytes.
pub const NAME_MAX: usize = 63;
/// The longest user name, in bytes. Users are named by other programs, so any text is a name, up to this.
pub const USER_MAX: usize = 256;

/// Why a text is no address or name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("`{0}` is not an address: write display/<id>, group/<name>, user/<name> or all")]
    Form(String),
    #[error(
        "`{0}` is not a display id: use 1 to 63 of a-z, 0-9 and -, starting with a letter or digit (not all, group or user)"
    )]
    DisplayId(String),
    #[error("`{0}` is not a group name: use 1 to 63 of a-z, 0-9 and -, starting with a letter or digit")]
    GroupName(String),
    #[error("a user name has 1 to {USER_MAX} bytes and no control characters")]
    UserName,
}

/// What [`is_plain_name`] checks, for schemas.
const PLAIN_NAME: &str = "^[a-z0-9][a-z0-9-]{0,62}$";

fn is_plain_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=NAME_MAX).contains(&bytes.len())
        && bytes[0] != b'-'
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $max:expr, $pattern:expr, $valid:expr, $error:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = AddressError;
            fn from_str(text: &str) -> Result<Self, AddressError> {
                if $valid(text) { Ok(Self(text.to_owned())) } else { Err($error(text)) }
            }
        }
        impl TryFrom<String> for $name {
            type Error = AddressError;
            fn try_from(text: String) -> Result<Self, AddressError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "minLength": 1, "maxLength": $max, "pattern": $pattern})
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_type!(
    /// A display's name: `[a-z0-9][a-z0-9-]{0,62}`, and none of `all`, `group`, `user` (they are words of AMQP keys).
    DisplayId,
    NAME_MAX,
    PLAIN_NAME,
    |text: &str| is_plain_name(text) && !matches!(text, "all" | "group" | "user"),
    |text: &str| AddressError::DisplayId(text.to_owned())
);
text_type!(
    /// A group's name: `[a-z0-9][a-z0-9-]{0,62}`.
    GroupName,
    NAME_MAX,
    PLAIN_NAME,
    is_plain_name,
    |text: &str| AddressError::GroupName(text.to_owned())
);
text_type!(
    /// A user's name as another program knows it: any text of 1 to 256 bytes without control characters.
    UserName,
    USER_MAX,
    r"^[^\p{Cc}]+$",
    |text: &str| (1..=USER_MAX).contains(&text.len()) && !text.chars().any(char::is_control),
    |_: &str| AddressError::UserName
);

impl JsonSchema for Address {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "display/<id>, group/<name>, user/<name> or all",
            "pattern": "^(all|display/.+|group/.+|user/.+)$",
        })
    }
}

/// Where an event goes. Its text form is the CloudEvents `subject`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    All,
    Display(DisplayId),
    Group(GroupName),
    User(UserName),
}

impl Address {
    /// True where displays listen: such an address may carry commands.
    pub fn reaches_displays(&self) -> bool {
        !matches!(self, Address::User(_))
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == "all" {
            return Ok(Address::All);
        }
        match text.split_once('/') {
            Some(("display", id)) => Ok(Address::Display(id.parse()?)),
            Some(("group", name)) => Ok(Address::Group(name.parse()?)),
            Some(("user", name)) => Ok(Address::User(name.parse()?)),
            _ => Err(AddressError::Form(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::All => f.write_str("all"),
            Address::Display(id) => write!(f, "display/{id}"),
            Address::Group(name) => write!(f, "group/{name}"),
            Address::User(name) => write!(f, "user/{name}"),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_kinds_of_address_read_back_as_written() {
        for text in ["all", "display/lobby-1", "group/shops", "user/Zoë / ops@example.org"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_cure() {
        for text in [
            "",
            "lobby",
            "display/",
            "display/Lobby",
            "display/-a",
            "display/all",
            "display/a/b",
            "group/",
            "user/",
            "ALL",
            "user/a\nb",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
        let long = format!("display/{}", "a".repeat(64));
        assert!(long.parse::<Address>().is_err());
        assert!(long[..long.len() - 1].parse::<Address>().is_ok());
        assert!("lobby".parse::<Address>().unwrap_err().to_string().contains("display/<id>"));
    }
}
