//! `STATE/configured.json`: the settings that came by command. Each is tried, and every other one is kept.

use std::path::Path;

use pikiosk::display::{
    configured::{Configured, Fate},
    journal::EventKey,
};

use super::{Durable, Found};

pub struct Settings;

fn key(n: u64) -> EventKey {
    EventKey { source: "proof".into(), id: format!("configure-{n}") }
}

fn text(n: u64) -> String {
    format!("# setting {n}\n[browser]\nhang = 20\n{}", "# and words about it\n".repeat(300))
}

fn is_kept(n: u64) -> bool {
    n.is_multiple_of(2)
}

fn end(configured: &mut Configured, n: u64) {
    if is_kept(n) { configured.keep() } else { configured.take_back("it was not well") }
}

impl Durable for Settings {
    fn name(&self) -> &'static str {
        "configured"
    }

    fn write(&mut self, folder: &Path, n: u64) {
        let mut configured = Configured::read(folder);
        configured.try_next(key(n), text(n));
        configured.write(folder).unwrap();
        end(&mut configured, n);
        configured.write(folder).unwrap();
    }

    /// The newest that ended, or the one before that which is being tried.
    fn read(&self, folder: &Path) -> Found {
        let path = folder.join("configured.json");
        if !path.exists() {
            return Found::default();
        }
        let configured = Configured::read(folder);
        let about = (1..1000).find(|n| configured.fate(&key(*n)) == Fate::OnTrial);
        let about = about.or_else(|| (1..1000).rev().find(|n| configured.fate(&key(*n)) != Fate::Unknown));
        let Some(n) = about else { return Found { newest: None, torn: vec!["it cannot be read".to_owned()] } };
        let on_trial = configured.fate(&key(n)) == Fate::OnTrial;
        // Made anew as it must have been: all of it counts.
        let mut whole = Configured::default();
        for earlier in n.saturating_sub(2).max(1)..n {
            whole.try_next(key(earlier), text(earlier));
            end(&mut whole, earlier);
        }
        whole.try_next(key(n), text(n));
        if !on_trial {
            end(&mut whole, n);
        }
        let newest = if on_trial { n - 1 } else { n };
        let torn = (whole != configured).then(|| format!("{n} is not whole: {configured:?}"));
        Found { newest: (newest > 0).then_some(newest), torn: torn.into_iter().collect() }
    }
}
