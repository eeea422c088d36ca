//! The layer that came by the command `configure`: which keys it may hold.
//!
//! A server that somebody took over must not be able to open what the owner of a display has closed, nor to run programs:
//! only keys that say what is shown, and when, may come from there. The rest is the owner's, at the display or by
//! `pikiosk provision --host`.

use super::{
    fragment::Fragment,
    merged::spelled,
    origin::{Origin, Problem},
};

/// Keys, or tables with all that is in them.
pub const PUSHABLE: &[&str] = &["display.url", "browser.hang_seconds", "schedule"];

/// Tells each key that may not come from there.
pub(super) fn refuse(fragment: &Fragment, problems: &mut Vec<Problem>) {
    let keys: Vec<String> = fragment.origins.iter().map(|(path, _)| spelled(path)).collect();
    let below = |key: &str, of: &str| key.strip_prefix(of).is_some_and(|rest| rest.starts_with(['.', '[']));
    for (key, (_, origin)) in keys.iter().zip(&fragment.origins) {
        // A table stands here as well as what is in it.
        let holds_others = keys.iter().any(|other| below(other, key));
        let may = PUSHABLE.iter().any(|pushable| key == pushable || below(key, pushable) || below(pushable, key));
        if !may && !holds_others {
            let able = PUSHABLE.join(", ");
            problems.push(Problem {
                origin: origin.clone(),
                key: key.clone(),
                says: "may not be set by a command".to_owned(),
                cure: format!("set it at the display, or by pikiosk provision --host; a command may set {able}"),
            });
        }
    }
}

/// The name under which its problems are told.
pub(super) const NAME: &str = "configure";

/// True for a value that came from there.
pub fn is_pushed(origin: &Origin) -> bool {
    matches!(origin, Origin::File { path, .. } if path.to_str() == Some(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KioskSettings, Sources, layers::variable, shape::Shape};

    fn with(text: &str) -> Result<KioskSettings, String> {
        let sources = Sources::under("/nowhere").with_pushed(Some(text.to_owned()));
        KioskSettings::load(&sources).map(|loaded| loaded.settings).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_shown_may_be_pushed_and_lies_over_the_files_and_under_the_environment() {
        let text = "[display]\nurl = \"https://new.example/\"\n[browser]\nhang_seconds = 20\n";
        let settings = with(text).unwrap();
        assert_eq!(settings.display.url.unwrap().as_str(), "https://new.example/");
        assert_eq!(settings.browser.hang.as_secs(), 20);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kiosk.toml");
        std::fs::write(&file, "[display]\nid = \"lobby\"\nurl = \"https://old.example/\"\n").unwrap();
        let mut sources = Sources::only(&file).with_pushed(Some(text.to_owned()));
        let url = |sources: &Sources| KioskSettings::load(sources).unwrap().settings.display.url.unwrap().to_string();
        assert_eq!(url(&sources), "https://new.example/");
        sources.environment.push((variable("display.url"), "https://person.example/".into()));
        assert_eq!(url(&sources), "https://person.example/");
    }

    #[test]
    fn what_is_the_owners_is_refused_with_the_key_and_the_line() {
        for (text, named) in [
            ("[server]\nurl = \"https://evil.example\"\n", "server.url"),
            ("[browser]\ncommand = \"/bin/sh\"\n", "browser.command"),
            ("[browser]\nallow = [\"https://evil.example\"]\n", "browser.allow"),
            ("[browser.prefs]\n\"a.b\" = true\n", "browser.prefs"),
            ("[system]\nssh_keys = [\"ssh-ed25519 AAAA\"]\n", "system.ssh_keys"),
            ("[network]\nwifi_ssid = \"x\"\n", "network.wifi_ssid"),
            ("[page]\nlisten = \"127.0.0.1:81\"\n", "page.listen"),
            ("[display]\nid = \"other\"\n", "display.id"),
        ] {
            let said = with(text).unwrap_err();
            assert!(said.contains(named) && said.contains("configure:"), "{text}{said}");
        }
        assert!(with("[display]\nurl = \"javascript:alert(1)\"\n").unwrap_err().contains("display.url"));
        assert!(with("[display").unwrap_err().contains("configure:1"));
    }

    #[test]
    fn every_key_that_may_be_pushed_is_one() {
        let shape = Shape::of::<KioskSettings>();
        let leaves = shape.leaves();
        for key in PUSHABLE {
            assert!(leaves.iter().any(|(leaf, _)| leaf == key || leaf.starts_with(&format!("{key}."))), "{key}");
        }
    }
}
