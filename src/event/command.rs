//! THE command registry: every command a display can do, its data, its kind and how long it waits.
//!
//! Help, completion, the JSON schema, the server's 422 and the display's dispatch all come from [`REGISTRY`]. It holds
//! the commands that work, and no others.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::envelope::Event;

mod data;
mod device;
mod fault;
mod hours;
pub use data::*;
pub use device::*;
pub use fault::{Fault, UnknownFault};
pub use hours::*;

/// The longest time to live a publisher may ask for.
pub const TTL_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a state command sets. A newer state command of the same slot replaces an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// What is on the glass: `navigate` and `playlist` share it.
    Content,
    Zoom,
    /// Whether the panel is on, whatever the schedule says.
    Power,
    Schedule,
    Volume,
    Rotate,
    Brightness,
}

/// How a command is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The last value is kept and given to every display that (re)connects.
    State(Slot),
    /// Queued per display with a time to live; done at most once.
    Action,
}

/// One line of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    pub name: &'static str,
    /// One sentence for help and documentation.
    pub summary: &'static str,
    pub kind: Kind,
    /// How long an action waits for its display if the publisher does not say; none for state, which never ages.
    pub ttl: Option<Duration>,
    /// The data of a typical use, as one would type it after `pikiosk push TARGET NAME`.
    pub example: &'static str,
    schema: fn() -> schemars::Schema,
}

impl Spec {
    /// The JSON schema of the command's data.
    pub fn schema(&self) -> Value {
        (self.schema)().to_value()
    }
}

/// Why an event is no command that a display can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("there is no command `{name}`{}", nearest(name).map(|near| format!(": did you mean `{near}`?")).unwrap_or_default())]
    Unknown { name: String },
    #[error("the data of `{name}`: {problem}")]
    Data { name: &'static str, problem: String },
}

/// The registered name closest to what was typed, if any is close.
pub fn nearest(name: &str) -> Option<&'static str> {
    let scored = REGISTRY.iter().map(|spec| (strsim::damerau_levenshtein(spec.name, name), spec.name));
    scored.min().filter(|(distance, best)| *distance <= best.len().div_ceil(3)).map(|(_, best)| best)
}

macro_rules! registry {
    ($($(#[doc = $summary:literal])+ $variant:ident = $name:literal, $kind:expr, $ttl:expr, $example:literal;)+) => {
        /// A command with its typed, checked data.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Command {
            $($(#[doc = $summary])+ $variant($variant),)+
        }

        /// Every command, in the order in which help shows them.
        pub const REGISTRY: &[Spec] = &[
            $(Spec {
                name: $name,
                summary: concat!($($summary),+).trim_ascii_start(),
                kind: $kind,
                ttl: $ttl,
                example: $example,
                schema: || schemars::schema_for!($variant),
            },)+
        ];

        impl Command {
            /// Reads and checks a command's data. No data is the same as `{}`.
            pub fn parse(name: &str, data: &RawValue) -> Result<Self, CommandError> {
                match name {
                    $($name => read::<$variant>($name, data).map(Command::$variant),)+
                    _ => Err(CommandError::Unknown { name: name.chars().take(64).collect() }),
                }
            }

            /// The name as it travels, after `kiosk.`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Command::$variant(_) => $name,)+
                }
            }

            /// The data as JSON, defaults filled in.
            pub fn data(&self) -> Value {
                match self {
                    $(Command::$variant(data) => serde_json::to_value(data).unwrap_or_default(),)+
                }
            }
        }
    };
}

registry! {
    /// Shows a web page and keeps it on the glass.
    Navigate = "navigate", Kind::State(Slot::Content), None, "url=https://example.org/menu";
    /// Shows pages, images and videos in turn.
    Playlist = "playlist", Kind::State(Slot::Content), None,
        r#"--data '{"items":[{"url":"https://example.org","seconds":30},{"image":"https://example.org/a.jpg","seconds":10}]}'"#;
    /// Enlarges or shrinks what pages show.
    Zoom = "zoom", Kind::State(Slot::Zoom), None, "percent=125";
    /// Switches the screen on or off, whatever its schedule says.
    Power = "power", Kind::State(Slot::Power), None, "on=false seconds=3600";
    /// Switches the screen on and off by the clock, in its local time.
    Schedule = "schedule", Kind::State(Slot::Schedule), None,
        r#"--data '{"rules":[{"days":"mon-fri","on":"07:30","off":"18:00"}],"holidays":["12-25"]}'"#;
    /// Turns the picture, and touch with it.
    Rotate = "rotate", Kind::State(Slot::Rotate), None, "degrees=90";
    /// Makes the screen brighter or darker.
    Brightness = "brightness", Kind::State(Slot::Brightness), None, "percent=60";
    /// Sets how loud the display is.
    Volume = "volume", Kind::State(Slot::Volume), None, "percent=40";
    /// Loads the page on the glass again.
    Reload = "reload", Kind::Action, Some(Duration::from_secs(60)), "ignore_cache=true";
    /// Lays a message over whatever is on the glass.
    Message = "message", Kind::Action, Some(Duration::from_secs(300)), "text='Back in five minutes' seconds=20";
    /// Takes the message away.
    ClearMessage = "clear_message", Kind::Action, Some(Duration::from_secs(300)), "";
    /// Sends back a picture of the glass.
    Screenshot = "screenshot", Kind::Action, Some(Duration::from_secs(60)), "width=640";
    /// Shows the display's id in large letters, to find it among others.
    Identify = "identify", Kind::Action, Some(Duration::from_secs(60)), "seconds=10";
    /// Plays a sound; the page on the glass stays.
    Sound = "sound", Kind::Action, Some(Duration::from_secs(60)), "url=https://example.org/gong.mp3";
    /// Speaks a text.
    Say = "say", Kind::Action, Some(Duration::from_secs(60)), "text='Table forty-one, please'";
    /// Clears what web pages have stored on the display.
    ClearData = "clear_data", Kind::Action, Some(Duration::from_secs(24 * 3600)), "cookies=true storage=true cache=false";
    /// Starts Firefox again with a fresh profile.
    RestartBrowser = "restart_browser", Kind::Action, Some(Duration::from_secs(300)), "";
    /// Starts the supervisor again; what is on the glass stays.
    Restart = "restart", Kind::Action, Some(Duration::from_secs(300)), "";
    /// Starts the machine again.
    Reboot = "reboot", Kind::Action, Some(Duration::from_secs(300)), "";
    /// Switches the machine off; somebody has to switch it on again.
    Shutdown = "shutdown", Kind::Action, Some(Duration::from_secs(300)), "";
    /// Changes settings of kiosk.toml, and takes them back if the display is not well with them.
    Configure = "configure", Kind::Action, Some(Duration::from_secs(3600)), r#"--data '{"toml":"[display]\nurl = \"https://example.org/\""}'"#;
    /// Sends back how the display is: uptime, memory, load, temperature, versions, what is on the glass.
    Health = "health", Kind::Action, Some(Duration::from_secs(60)), "";
    /// Sends back the last log lines.
    Logs = "logs", Kind::Action, Some(Duration::from_secs(60)), "lines=200";
    /// Makes a fault on purpose, and sends back how long the display took to be right again.
    Drill = "drill", Kind::Action, Some(Duration::from_secs(300)), "fault=browser-killed";
    /// Gives the page on the glass a DOM event, with data.
    PageEvent = "event", Kind::Action, Some(Duration::from_secs(60)), r#"name=order-ready data='{"number":41}'"#;
}

/// The registry's line for a name.
pub fn spec(name: &str) -> Option<&'static Spec> {
    REGISTRY.iter().find(|spec| spec.name == name)
}

/// What an event means to displays: a command of the registry, or an event for the page.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    Command(&'static Spec, Command),
    /// A type of the publisher's own: the page gets it.
    ForPage,
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Reads an event as a display would. A `kiosk.` type outside the registry is an error.
pub fn meaning(event: &Event) -> Result<Meaning, CommandError> {
    let Some(name) = event.kiosk_name() else { return Ok(Meaning::ForPage) };
    let command = Command::parse(name, event.json_data())?;
    let spec = spec(command.name()).ok_or(CommandError::Unknown { name: name.to_owned() })?;
    Ok(Meaning::Command(spec, command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, json: &str) -> Result<Command, CommandError> {
        Command::parse(name, &RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn every_command_of_the_registry_reads_its_own_example_and_has_words_and_a_schema() {
        for spec in REGISTRY {
            assert!(spec.summary.ends_with('.') && !spec.summary.starts_with(' '), "{:?}", spec.summary);
            assert_eq!(spec.schema()["type"], "object", "{}", spec.name);
            assert_eq!(
                spec.ttl.is_none(),
                matches!(spec.kind, Kind::State(_)),
                "{}: actions age, state does not",
                spec.name
            );
        }
    }

    #[test]
    fn data_is_typed_and_defaults_are_filled_in() {
        let Command::Message(message) = parse("message", r#"{"text":"hi"}"#).unwrap() else { panic!() };
        assert_eq!((message.seconds, message.level, message.position), (10, Level::Info, Place::Center));
        assert!(parse("reload", "null").is_ok(), "no data is the same as {{}}");
        let command =
            parse("playlist", r#"{"items":[{"url":"http://a/"},{"video":"https://b/v.mp4","seconds":3}]}"#).unwrap();
        assert_eq!(command.data()["loop"], true);
    }

    #[test]
    fn what_no_display_can_do_is_refused_with_the_reason() {
        for (name, json, named) in [
            ("navigat", "{}", "did you mean `navigate`?"),
            ("fly", "{}", "no command `fly`"),
            ("navigate", "{}", "missing field `url`"),
            ("navigate", r#"{"url":"lobby"}"#, "https://"),
            ("navigate", r#"{"url":"javascript:alert(1)"}"#, "only http"),
            ("navigate", r#"{"url":"file:///etc/passwd"}"#, "only http"),
            ("navigate", r#"{"url":"about:config"}"#, "only http"),
            ("navigate", r#"{"url":"http://a/","speed":1}"#, "unknown field `speed`"),
            ("message", r#"{"text":"  "}"#, "1 to 2000"),
            ("message", r#"{"text":"a","seconds":0}"#, "seconds must be 1 to 86400"),
            ("message", r#"{"text":"a","level":"loud"}"#, "unknown variant `loud`"),
            ("playlist", r#"{"items":[]}"#, "1 to 200"),
            ("playlist", r#"{"items":[{"url":"http://a/","image":"http://b/"}]}"#, "items[0] needs exactly one"),
            ("playlist", r#"{"items":[{"url":"http://a/"}],"transition":"wipe"}"#, "unknown variant `wipe`"),
            ("playlist", r#"{"items":[{"url":"http://a/"}],"transition_ms":5000}"#, "100 to 3000"),
            ("zoom", r#"{"percent":1}"#, "25 to 500"),
            ("power", "{}", "missing field `on`"),
            ("power", r#"{"on":true,"seconds":1,"until":"2026-05-04T12:00:00Z"}"#, "exclude one another"),
            ("power", r#"{"on":"schedule","seconds":60}"#, "the schedule has no end"),
            ("power", r#"{"on":false,"until":"tomorrow"}"#, "RFC 3339"),
            ("schedule", "{}", "missing field `rules`"),
            ("schedule", r#"{"rules":[{"days":"mon","on":"25:00","off":"26:00"}]}"#, "rules[0].on"),
            ("rotate", r#"{"degrees":45}"#, "0, 90, 180 or 270"),
            ("brightness", r#"{"percent":101}"#, "0 to 100"),
            ("volume", r#"{"percent":101}"#, "0 to 100"),
            ("sound", r#"{"url":"file:///etc/passwd"}"#, "only http"),
            ("say", r#"{"text":" "}"#, "1 to 500"),
            ("say", r#"{"text":"a","voice":"--help"}"#, "voice"),
            ("logs", r#"{"unit":"--vacuum-size=1"}"#, "systemd unit"),
            ("event", r#"{"name":"a b"}"#, "letters"),
            ("clear_data", r#"{"cookies":false,"storage":false,"cache":false}"#, "off"),
        ] {
            let error = parse(name, json).unwrap_err().to_string();
            assert!(error.contains(named), "{name} {json}\n  {error}");
        }
    }

    #[test]
    fn an_event_of_the_publishers_own_type_is_for_the_page() {
        assert_eq!(meaning(&Event::new("1", "s", "org.example.order")), Ok(Meaning::ForPage));
        assert!(
            matches!(meaning(&Event::new("1", "s", "kiosk.reload")), Ok(Meaning::Command(spec, _)) if spec.name == "reload")
        );
        assert!(meaning(&Event::new("1", "s", "kiosk.hello")).is_err());
    }
}
