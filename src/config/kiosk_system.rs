//! `[system]`: the Raspberry Pi under the display.

use base64::{Engine, prelude::BASE64_STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::origin::Refusals;

/// The Raspberry Pi under the display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemSettings {
    /// `None`: the display's id, or what the system is called already.
    pub hostname: Option<String>,
    /// A name of the time zone database; `None`: as it is.
    pub timezone: Option<String>,
    /// Always one of UTF-8, such as `de_CH.UTF-8`; `None`: as it is.
    pub locale: Option<String>,
    /// An XKB layout; `None`: as it is.
    pub keyboard: Option<Keyboard>,
    /// Lines of `authorized_keys`, without options. Empty: ssh is left as it is.
    pub ssh_keys: Vec<String>,
    /// 0: there is none. At most what the Pi's watchdog can wait.
    pub watchdog_seconds: u32,
    pub journal: Journal,
    pub read_only_root: bool,
    pub zram: bool,
    pub quiet_boot: bool,
    pub repair: Repair,
    /// Names of Debian packages.
    pub packages: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyboard {
    pub layout: String,
    /// May be empty.
    pub variant: String,
}

/// Where the system's log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Journal {
    Ram,
    Disk,
}

/// When what somebody changed by hand is put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Repair {
    Off,
    Boot,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SystemFile {
    /// What the Pi is called in its network. Without it, as the display is (display.id).
    #[schemars(extend("examples" = ["lobby"]))]
    hostname: Option<String>,
    /// The time zone, by the name of a large city in it. Without it, as the system has it.
    #[schemars(extend("examples" = ["Europe/Zurich"]))]
    timezone: Option<String>,
    /// Language and country, for dates and numbers. Without it, as the system has it.
    #[schemars(extend("examples" = ["de_CH.UTF-8"]))]
    locale: Option<String>,
    /// The keyboard's layout, with its variant in brackets if it has one. Without it, as the system has it.
    #[schemars(extend("examples" = ["ch(fr)"]))]
    keyboard: Option<String>,
    /// Public keys that may log in as root by ssh; passwords may not any more. Empty: ssh stays as it is, which on a
    /// new card is off.
    #[schemars(extend("examples" =
        [["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO8FSo4wtATm47Q00l5nE6cbRK0Y7F9HLYfAXXNo6+vB"]]))]
    ssh_keys: Vec<String>,
    /// The Pi starts again when its system stood still for so many seconds. 0: it does not.
    #[schemars(range(min = 0, max = 15))]
    watchdog_seconds: u32,
    /// Where the system's log is. "ram": gone at the next start, and the card lives longer. "disk": kept.
    journal: Journal,
    /// true: nothing is written on the card in use, and a power cut harms nothing. Needs a partition of its own for
    /// /var/lib/pikiosk, where the display keeps its key.
    read_only_root: bool,
    /// true: memory that is not in use is compressed, and never swapped to the card.
    zram: bool,
    /// true: no text and no logo while the Pi starts.
    quiet_boot: bool,
    /// When to put right what somebody changed by hand. "off": only when asked. "boot": at each start.
    repair: Repair,
    /// Debian packages of your own to install.
    #[schemars(extend("examples" = [["fonts-noto-cjk"]]))]
    packages: Vec<String>,
}

impl Default for SystemFile {
    fn default() -> Self {
        Self {
            hostname: None,
            timezone: None,
            locale: None,
            keyboard: None,
            ssh_keys: Vec::new(),
            watchdog_seconds: 15,
            journal: Journal::Ram,
            read_only_root: false,
            zram: true,
            quiet_boot: true,
            repair: Repair::Off,
            packages: Vec::new(),
        }
    }
}

pub(super) fn settings(file: SystemFile, refusals: &mut Refusals<'_>) -> SystemSettings {
    let mut fits = |key: &str, value: Option<String>, good: fn(&str) -> bool, what: &str, cure: &str| {
        let value = value?;
        if good(&value) {
            return Some(value);
        }
        refusals.refuse(key, format!("{value:?} is no {what}"), cure);
        None
    };
    let cure = "write small letters, digits and dashes, at most 63, with a letter or digit at both ends";
    let hostname = fits("system.hostname", file.hostname, is_hostname, "name of a machine", cure);
    let cure = "write a continent and a large city, such as Europe/Zurich, or UTC";
    let timezone = fits("system.timezone", file.timezone, is_timezone, "time zone", cure);
    let cure = "write language_COUNTRY.UTF-8, such as de_CH.UTF-8, or C.UTF-8";
    let locale = fits("system.locale", file.locale, is_locale, "locale of UTF-8", cure);
    let cure = "write a layout such as gb or de, with a variant in brackets such as ch(fr)";
    let keyboard = fits("system.keyboard", file.keyboard, |text| keyboard(text).is_some(), "layout", cure);
    for (index, name) in file.packages.iter().enumerate() {
        let cure = "write the name of a Debian package, such as fonts-noto-cjk";
        let key = format!("system.packages[{index}]");
        fits(&key, Some(name.clone()), is_package, "package", cure);
    }
    for (index, line) in file.ssh_keys.iter().enumerate() {
        if let Err(says) = ssh_key(line) {
            let cure = "write the one line of the .pub file, such as ssh-ed25519 AAAA… name";
            refusals.refuse(&format!("system.ssh_keys[{index}]"), says, cure);
        }
    }
    SystemSettings {
        hostname,
        timezone,
        locale,
        keyboard: keyboard.as_deref().and_then(self::keyboard),
        ssh_keys: file.ssh_keys.iter().map(|line| line.trim().to_owned()).collect(),
        watchdog_seconds: file.watchdog_seconds,
        journal: file.journal,
        read_only_root: file.read_only_root,
        zram: file.zram,
        quiet_boot: file.quiet_boot,
        repair: file.repair,
        packages: file.packages,
    }
}

/// RFC 1123, one label.
fn is_hostname(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(letters) && !text.starts_with('-') && !text.ends_with('-')
}

/// The form of a name; whether there is such a zone, the system knows.
fn is_timezone(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_uppercase())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+'))
    };
    let parts = text.split('/').collect::<Vec<_>>();
    parts.iter().all(|name| part(name)) && ((2..=3).contains(&parts.len()) || text == "UTC")
}

fn is_locale(text: &str) -> bool {
    let Some((language, codeset)) = text.split_once('.') else { return false };
    let (codeset, modifier) = codeset.split_once('@').unwrap_or((codeset, "x"));
    let country = match language.split_once('_') {
        Some((language, country)) => {
            (2..=3).contains(&language.len())
                && language.bytes().all(|byte| byte.is_ascii_lowercase())
                && country.len() == 2
                && country.bytes().all(|byte| byte.is_ascii_uppercase())
        }
        None => language == "C",
    };
    country && codeset == "UTF-8" && !modifier.is_empty() && modifier.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn keyboard(text: &str) -> Option<Keyboard> {
    let (layout, variant) = match text.strip_suffix(')') {
        Some(text) => text.split_once('(').filter(|(_, variant)| !variant.is_empty())?,
        None => (text, ""),
    };
    let name = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
    };
    let layout_is_one = (2..=12).contains(&layout.len()) && name(layout);
    (layout_is_one && variant.len() <= 32 && name(variant))
        .then(|| Keyboard { layout: layout.to_owned(), variant: variant.to_owned() })
}

/// Debian policy 5.6.7.
fn is_package(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
    (2..=100).contains(&text.len())
        && text.bytes().all(letters)
        && text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
}

/// What is wrong with a public key. The line is never repeated: it may be a private one by mistake.
fn ssh_key(line: &str) -> Result<(), String> {
    let line = line.trim();
    if line.contains("PRIVATE KEY") {
        return Err("this is a private key: it belongs to nobody but its owner".to_owned());
    }
    if line.contains(['\n', '\r', '\0']) {
        return Err("a key is one line".to_owned());
    }
    let mut words = line.split(' ');
    let (kind, body) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let known = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];
    if !known.contains(&kind) && !kind.starts_with("sk-") {
        return Err("this is no public key of ssh".to_owned());
    }
    // The first field of the body is its kind again, after its length (RFC 4253, 6.6).
    let body = BASE64_STANDARD.decode(body).ok();
    let inner = body.as_ref().and_then(|bytes| {
        let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        bytes.get(4..4 + length)
    });
    match inner == Some(kind.as_bytes()) && body.is_some_and(|body| body.len() > 4 + kind.len() + 16) {
        true => Ok(()),
        false => Err("the key is not whole: a part of the line is missing".to_owned()),
    }
}
