//! `kiosk.toml`: what a display is, what it shows first, and which server it listens to.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::kiosk_allow::{self, Allowed};
use super::kiosk_network::{self, NetworkFile, NetworkSettings};
use super::kiosk_offline::{self, OfflineFile, OfflineSettings};
use super::kiosk_schedule::{self, ScheduleFile, ScheduleSettings};
use super::kiosk_screen::{self, ScreenFile, ScreenSettings};
use super::kiosk_sound::{self, SoundFile, SoundSettings};
use super::kiosk_system::{self, SystemFile, SystemSettings};
use super::origin::Refusals;
use super::{Document, layers::Sources};
use crate::event::{address::DisplayId, command::check_url};

/// The settings of a display.
#[derive(Debug, Clone, PartialEq)]
pub struct KioskSettings {
    pub display: DisplaySettings,
    /// `None`: this display stands alone and shows `display.url`.
    pub server: Option<ServerLinkSettings>,
    pub page: PageSettings,
    pub browser: BrowserSettings,
    pub screen: ScreenSettings,
    pub schedule: ScheduleSettings,
    pub sound: SoundSettings,
    pub offline: OfflineSettings,
    pub network: NetworkSettings,
    pub system: SystemSettings,
    /// What was written, for the file of the display itself. Only this module can make one, so only `from_file` makes
    /// settings.
    written: Written,
}

/// All that is not as it would be without a file, and not the Wi-Fi's password.
#[derive(Clone, PartialEq)]
struct Written {
    values: toml::Table,
    password: bool,
}

/// It holds the enrollment code.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written(..)")
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct DisplaySettings {
    /// `None`: the server gives one at enrollment.
    pub id: Option<DisplayId>,
    /// What is on the glass until a server says otherwise; `None`: the splash.
    pub url: Option<Url>,
}

#[derive(Clone, PartialEq)]
pub struct ServerLinkSettings {
    /// `http` or `https`, no path, no credentials.
    pub url: Url,
    /// The one-time code, for a display that has no key at the server yet.
    pub enrollment: Option<String>,
}

/// The code is a secret until it is used: it stays out of logs.
impl fmt::Debug for ServerLinkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerLinkSettings").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PageSettings {
    /// Always a loopback address.
    pub listen: SocketAddr,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BrowserSettings {
    /// `None`: the first of `firefox-esr` and `firefox` on the path.
    pub command: Option<String>,
    /// A page that answers nothing for this long is hung.
    pub hang: Duration,
    /// What Firefox may take, in MiB; `None`: a share of what the machine has.
    pub memory_mb: Option<u32>,
    /// The sites that may come onto the glass.
    pub allow: Allowed,
    /// Where sites send those who have to sign in; without a pattern nothing is taken for it.
    pub login: Allowed,
    /// After a touch and so long without another, the page that should be there is loaded anew; `None`: never.
    pub home_after: Option<Duration>,
    /// Fields of pages bring a keyboard along.
    pub keyboard: bool,
    /// Laid over the preferences that the kiosk sets itself.
    pub prefs: BTreeMap<String, Pref>,
}

/// The value of one Firefox preference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Pref {
    Boolean(bool),
    Integer(i64),
    Text(String),
}

impl KioskSettings {
    /// The settings that a text of `kiosk.toml` makes, alone; for tests and for settings that arrive as text.
    pub fn from_text(text: &str) -> Result<Self, super::ConfigError> {
        super::from_text(text)
    }

    /// The settings of these sources, and the origin of each.
    pub fn load(sources: &Sources) -> Result<super::Loaded<Self>, super::ConfigError> {
        super::load(sources)
    }
}

impl KioskSettings {
    /// The `kiosk.toml` that makes these settings, for the display's own `/etc/pikiosk`: whatever layers they came from
    /// here, and without the password of the Wi-Fi, which the display keeps where its network is set up.
    pub fn for_the_display(&self) -> String {
        toml::to_string(&self.written.values).expect("what was read from TOML can be written as TOML")
    }

    /// The password of the Wi-Fi stands in it.
    pub fn has_password(&self) -> bool {
        self.written.password
    }
}

/// The display that this machine is: what it shows first, and which server it listens to.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "kiosk.toml")]
#[serde(default)]
pub struct KioskFile {
    /// What this display is called and what it shows.
    display: DisplayFile,
    /// The event server. Without it the display stands alone and shows display.url.
    server: ServerLinkFile,
    /// The local page: splash, messages, playlist, offline.
    page: PageFile,
    /// Firefox.
    browser: BrowserFile,
    /// How the picture lies on the glass. This and what follows is laid down by `pikiosk provision` and `pikiosk flash`.
    screen: ScreenFile,
    /// When the screen is on. Without a line here, always; a schedule that the server sends takes its place.
    schedule: ScheduleFile,
    /// How the display is heard.
    sound: SoundFile,
    /// What is kept on the card for when the network is away.
    offline: OfflineFile,
    /// How the display reaches its server. Without a line here: by cable, and the network gives the address.
    network: NetworkFile,
    /// The Raspberry Pi under the display.
    system: SystemFile,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct DisplayFile {
    /// The display's name at the server: small letters, digits and dashes. Without it the server gives one at
    /// enrollment.
    #[schemars(extend("examples" = ["lobby"]))]
    id: Option<String>,
    /// The page to show until the server says otherwise: http or https. Without it, the splash.
    #[schemars(extend("examples" = ["https://example.org/"]))]
    url: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct ServerLinkFile {
    /// Where the server is: http or https, host and port, no path.
    #[schemars(extend("examples" = ["https://push.example.org"]))]
    url: Option<String>,
    /// The one-time code of `pikiosk enroll`. Used once, then of no use to anybody.
    #[schemars(extend("writeOnly" = true, "examples" = ["the code that pikiosk enroll printed"]))]
    enrollment: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct PageFile {
    /// Address and port of the local page. Only this machine may reach it: 127.x.x.x or ::1.
    listen: String,
}

impl Default for PageFile {
    fn default() -> Self {
        Self { listen: "127.0.0.1:80".to_owned() }
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct BrowserFile {
    /// The Firefox to start: a name on the path, or a whole path. Without it, firefox-esr or else firefox.
    #[schemars(extend("examples" = ["/usr/bin/firefox-esr"]))]
    command: Option<String>,
    /// Seconds that a page may answer nothing before it is taken for hung and replaced.
    #[schemars(range(min = 2, max = 600))]
    hang_seconds: u32,
    /// The memory in MiB that Firefox may take with all its pages; a page that takes more is ended and loaded again.
    /// Without it, 60 % of the machine's, at most 2048.
    #[schemars(range(min = 256, max = 65536), extend("examples" = [600]))]
    memory_mb: Option<u32>,
    /// The only sites that may come onto the glass, whoever asks for others: the server, a link, the page itself. Each
    /// is scheme://host, with a path where not all of the site is meant; *.example.org is the site and all below it.
    /// Without a line here, every http and https address.
    #[schemars(extend("examples" = [["https://example.org", "https://*.example.org/menu/*"]]))]
    allow: Vec<String>,
    /// Where your sites send a display whose sign-in has run out, written as for allow. Such a page is never left on the
    /// glass: the display says so, and tries the page it should show again and again.
    #[schemars(extend("examples" = [["https://sso.example.org/*"]]))]
    login: Vec<String>,
    /// Seconds after the last touch of a screen that people use until the page that should be there is loaded anew: what
    /// somebody opened, wrote or scrolled to is gone for the next one. Not while nobody touched it, and not during
    /// a playlist. Without it, never.
    #[schemars(range(min = 10, max = 86400), extend("examples" = [60]))]
    home_after: Option<u32>,
    /// true: who taps a field of a page is given a keyboard on the screen, for displays without one of their own.
    keyboard: bool,
    /// Firefox preferences of your own, over those that the kiosk sets: "name" = true, a number, or text.
    #[schemars(extend("examples" = [{"media.autoplay.default": 0}]))]
    prefs: BTreeMap<String, Pref>,
}

impl Default for BrowserFile {
    fn default() -> Self {
        Self {
            command: None,
            hang_seconds: 8,
            memory_mb: None,
            allow: Vec::new(),
            login: Vec::new(),
            home_after: None,
            keyboard: false,
            prefs: BTreeMap::new(),
        }
    }
}

impl Document for KioskSettings {
    const NAME: &'static str = "kiosk";
    const NOT_YET: &[&str] = &[];
    type File = KioskFile;

    fn every_key() -> KioskFile {
        KioskFile { schedule: ScheduleFile::every_key(), ..KioskFile::default() }
    }

    fn from_file(file: KioskFile, refusals: &mut Refusals<'_>) -> Option<Self> {
        let written = written(&file);
        let id = file.display.id.and_then(|text| display_id(&text, refusals));
        let page_url = file.display.url.and_then(|text| page_url(&text, refusals));
        let server_url = file.server.url.and_then(|text| server_url(&text, refusals));
        if file.server.enrollment.is_some() && server_url.is_none() {
            refusals.refuse("server.enrollment", "a code without a server", "write server.url as well");
        }
        if file.server.enrollment.as_deref().is_some_and(|code| code.trim().is_empty()) {
            let cure = "write the code that pikiosk enroll printed, or take the line out";
            refusals.refuse("server.enrollment", "the code is empty", cure);
        }
        let listen = loopback(&file.page.listen, refusals)?;
        if file.browser.command.as_deref().is_some_and(|command| command.trim().is_empty()) {
            refusals.refuse("browser.command", "the command is empty", "write firefox-esr, or take the line out");
        }
        let allow = kiosk_allow::settings("browser.allow", &file.browser.allow, refusals);
        let screen = kiosk_screen::settings(file.screen, refusals)?;
        for (key, url) in [("display.url", &page_url), ("screen.second", &screen.second)] {
            if let Some(url) = url.as_ref().filter(|url| !allow.permits(url.as_str())) {
                let cure = "add its site to browser.allow, or show another page";
                refusals.refuse(key, format!("{url} is not among the sites of browser.allow"), cure);
            }
        }
        Some(Self {
            display: DisplaySettings { id, url: page_url },
            server: server_url.map(|url| ServerLinkSettings {
                url,
                enrollment: file.server.enrollment.map(|code| code.trim().to_owned()),
            }),
            page: PageSettings { listen },
            browser: BrowserSettings {
                command: file.browser.command,
                hang: Duration::from_secs(file.browser.hang_seconds.into()),
                memory_mb: file.browser.memory_mb,
                allow,
                login: kiosk_allow::settings("browser.login", &file.browser.login, refusals),
                home_after: file.browser.home_after.map(|seconds| Duration::from_secs(seconds.into())),
                keyboard: file.browser.keyboard,
                prefs: file.browser.prefs,
            },
            screen,
            schedule: kiosk_schedule::settings(file.schedule, refusals),
            sound: kiosk_sound::settings(file.sound, refusals),
            offline: kiosk_offline::settings(&file.offline),
            network: kiosk_network::settings(file.network, refusals),
            system: kiosk_system::settings(file.system, refusals),
            written,
        })
    }
}

/// The values that differ from those of an empty file.
fn written(file: &KioskFile) -> Written {
    let table = |file: &KioskFile| toml::Table::try_from(file).expect("a file's values are those of TOML");
    let mut values = table(file);
    let password = values.get_mut("network").and_then(toml::Value::as_table_mut);
    let password = password.is_some_and(|network| network.remove("wifi_password").is_some());
    without(&mut values, &table(&KioskFile::default()));
    Written { values, password }
}

/// Takes away what is the same in both.
fn without(values: &mut toml::Table, same: &toml::Table) {
    values.retain(|name, value| match (value, same.get(name)) {
        (toml::Value::Table(values), Some(toml::Value::Table(same))) => {
            without(values, same);
            !values.is_empty()
        }
        (value, same) => Some(&*value) != same,
    });
}

fn display_id(text: &str, refusals: &mut Refusals<'_>) -> Option<DisplayId> {
    let id = text.parse().ok();
    if id.is_none() {
        let cure = "write small letters, digits and dashes, at most 63, beginning with a letter or digit; \
                    all, group and user are taken";
        refusals.refuse("display.id", format!("{text:?} is no display id"), cure);
    }
    id
}

fn page_url(text: &str, refusals: &mut Refusals<'_>) -> Option<Url> {
    // The same rule as for `navigate`: what may be pushed may be written here, and nothing else.
    if let Err(says) = check_url(text) {
        refusals.refuse("display.url", says, "write a whole address, such as https://example.org/");
        return None;
    }
    Url::parse(text).ok()
}

fn server_url(text: &str, refusals: &mut Refusals<'_>) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // The text is not repeated: it may hold a password.
    let says = match &url {
        None => "this is no address of a server",
        Some(url) if !url.username().is_empty() || url.password().is_some() => "a user or password has no place here",
        Some(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
            "a server has a host and a port, and nothing after it"
        }
        Some(_) => return url,
    };
    refusals.refuse("server.url", says, "write it such as https://push.example.org or http://192.168.1.20:8400");
    None
}

fn loopback(text: &str, refusals: &mut Refusals<'_>) -> Option<SocketAddr> {
    let cure = "write 127.0.0.1 and a port, such as 127.0.0.1:80";
    match text.parse::<SocketAddr>() {
        Ok(listen) if listen.ip().is_loopback() => Some(listen),
        Ok(_) => {
            refusals.refuse("page.listen", format!("{text:?} could be reached from other machines"), cure);
            None
        }
        Err(_) => {
            refusals.refuse("page.listen", format!("{text:?} is no address and port"), cure);
            None
        }
    }
}
