//! `STATE/display.key` and `STATE/enrollment.json`: who this display is.

use std::{path::Path, sync::Mutex};

use pikiosk::{
    display::link::identity::{self, Enrollment},
    io::store,
};

use super::{Durable, Found};

/// A key is made once: one display each, and the n-th has its public key from here.
#[derive(Default)]
pub struct Keys(Mutex<Vec<String>>);

impl Durable for Keys {
    fn name(&self) -> &'static str {
        "key"
    }

    fn write(&mut self, folder: &Path, n: u64) {
        let state = folder.join(n.to_string());
        store::make_dir(&state).unwrap();
        let key = identity::load_or_make_key(&state).unwrap();
        self.0.lock().unwrap().push(key.public_text());
    }

    fn read(&self, folder: &Path) -> Found {
        let mut found = Found::default();
        for (public, n) in self.0.lock().unwrap().iter().zip(1..) {
            let state = folder.join(n.to_string());
            if !state.exists() {
                return found;
            }
            match identity::load_or_make_key(&state) {
                Ok(key) if key.public_text() == *public => found.newest = Some(n),
                // Made anew: nobody knew the old one, unless it was promised.
                Ok(_) => return found,
                Err(error) => found.torn.push(format!("{n}: {error}")),
            }
        }
        found
    }
}

/// A display that is renamed again and again.
pub struct Enrollments;

fn enrollment(n: u64) -> Enrollment {
    let display = |n: u64| format!("display-{n}").parse().unwrap();
    let once = (n.saturating_sub(150).max(1)..n).map(display).collect();
    Enrollment { display: display(n), code_sha256: Some(identity::hash_of(&n.to_string())), once }
}

impl Durable for Enrollments {
    fn name(&self) -> &'static str {
        "enrollment"
    }

    fn write(&mut self, folder: &Path, n: u64) {
        identity::keep_enrollment(folder, &enrollment(n)).unwrap();
    }

    fn read(&self, folder: &Path) -> Found {
        let Some(kept) = identity::load_enrollment(folder) else {
            let there = folder.join("enrollment.json").exists();
            return Found { newest: None, torn: there.then(|| "it cannot be read".to_owned()).into_iter().collect() };
        };
        let newest = kept.display.as_str().strip_prefix("display-").and_then(|n| n.parse().ok());
        let whole = newest.is_some_and(|n| enrollment(n) == kept);
        Found { newest, torn: (!whole).then(|| format!("{kept:?}")).into_iter().collect() }
    }
}
