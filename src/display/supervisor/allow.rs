//! The device's own list of sites (`[browser] allow`): whatever the server asks for, whatever a page leads to.

use super::{Show, Supervisor};
use crate::{
    config::Allowed,
    event::command::{Command, Playlist},
};

impl Supervisor {
    /// Why this command may not be done here: what it would show is not on the list.
    pub(super) fn forbidden(&self, command: &Command) -> Option<String> {
        let stranger = match command {
            Command::Navigate(navigate) => stranger(&self.setting.allow, [navigate.url.as_str()]),
            Command::Playlist(playlist) => stranger(&self.setting.allow, addresses(playlist)),
            Command::Sound(sound) => stranger(&self.setting.allow, [sound.url.as_str()]),
            _ => None,
        }?;
        let stranger: String = stranger.chars().take(200).collect();
        Some(format!("{stranger} is not among the sites that this display may show (browser.allow in its kiosk.toml)"))
    }

    /// True for a document that may not be on the glass. Our own pages, the browser's words about a failure and
    /// a drill's page may.
    pub(super) fn is_stray(&self, url: &str) -> bool {
        !self.setting.allow.is_open()
            && !self.setting.urls.owns(url)
            && !url.starts_with("about:")
            && !self.setting.allow.permits(url)
            && !self.is_of_the_drill(url)
    }
}

/// Whether all of it is on the list.
pub fn permits(allow: &Allowed, show: &Show) -> bool {
    match show {
        Show::Splash => true,
        Show::Url(url) => allow.permits(url),
        Show::Playlist(playlist) => stranger(allow, addresses(playlist)).is_none(),
    }
}

fn addresses(playlist: &Playlist) -> impl Iterator<Item = &str> {
    playlist.items.iter().flat_map(|item| [&item.url, &item.image, &item.video]).flatten().map(String::as_str)
}

fn stranger<'a>(allow: &Allowed, urls: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    urls.into_iter().find(|url| !allow.permits(url))
}
