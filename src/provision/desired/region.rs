//! What the machine is called, and where in the world it stands.

use super::{DesiredError, Lay, edit};
use crate::{
    config::KioskSettings,
    provision::facts::{Facts, Release},
};

/// What Debian's installer writes, for a system that was made without one.
const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n";
const KEYBOARD: &str = "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"\"\nXKBVARIANT=\"\"\nXKBOPTIONS=\"\"\nBACKSPACE=\"guess\"\n";

pub fn lay(lay: &mut Lay, settings: &KioskSettings, facts: &Facts) -> Result<(), DesiredError> {
    let system = &settings.system;
    let by_id = || settings.display.id.clone().map(String::from).map(|id| id.trim_end_matches('-').to_owned());
    if let Some(name) = system.hostname.clone().or_else(by_id) {
        lay.file("/etc/hostname", format!("{name}\n"), "what the machine is called");
        let hosts = edit::hosts(facts.text("/etc/hosts").unwrap_or(HOSTS), &name);
        lay.file("/etc/hosts", hosts, "the machine knows its own name without a network");
        lay.after(&["/etc/hostname"], "hostname", &["--file", "/etc/hostname"], "calls the machine so at once", false);
    }
    if let Some(zone) = &system.timezone {
        if !facts.zones.is_empty() && !facts.zones.contains(zone) {
            let near = facts.zones.iter().map(|known| (strsim::damerau_levenshtein(zone, known), known)).min();
            let near = near.filter(|(distance, _)| *distance <= 4).map(|(_, known)| known.clone());
            return Err(DesiredError::NoSuchZone { zone: zone.clone(), near });
        }
        lay.link("/etc/localtime", format!("/usr/share/zoneinfo/{zone}"), "the time zone");
        if facts.present("/etc/timezone") || facts.release == Release::Bookworm {
            lay.file("/etc/timezone", format!("{zone}\n"), "the time zone, for Debian's own programs");
        }
    }
    if let Some(locale) = &system.locale {
        // Trixie moved it, and has a link at the old place for those who read it there.
        if facts.release == Release::Bookworm || facts.present("/etc/default/locale") {
            lay.file("/etc/default/locale", format!("LANG={locale}\n"), "language and country");
        } else {
            lay.file("/etc/locale.conf", format!("LANG={locale}\n"), "language and country");
            lay.link("/etc/default/locale", "../locale.conf", "language and country, where logins read them");
        }
        if !locale.starts_with("C.") {
            let text = edit::locale_gen(facts.text("/etc/locale.gen").unwrap_or_default(), locale);
            lay.file("/etc/locale.gen", text, "the locales that are made");
            lay.after(&["/etc/locale.gen"], "locale-gen", &[], "makes the locale", true);
        }
    }
    if let Some(keyboard) = &system.keyboard {
        let path = "/etc/default/keyboard";
        let had = facts
            .text(path)
            .unwrap_or("XKBMODEL=\"pc105\"\nXKBLAYOUT=\"\"\nXKBVARIANT=\"\"\nXKBOPTIONS=\"\"\nBACKSPACE=\"guess\"\n");
        let text = edit::assignment(had, "XKBLAYOUT", &keyboard.layout);
        let text = edit::assignment(&text, "XKBVARIANT", &keyboard.variant);
        lay.file(path, text, "the keyboard's layout, for X and the console");
    }
    Ok(())
}
