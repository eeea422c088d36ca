//! `STATE/recovery.json`: how often each rung was taken. Lost, it would give a display its reboots back.

use std::{fs, path::Path, time::Duration};

use pikiosk::{
    display::supervisor::recovery::{Ledger, Rung, RunningTime},
    io::store,
};

use super::{Durable, Found};

const WINDOW: Duration = Duration::from_secs(3600);

pub struct Budgets;

fn running(n: u64) -> RunningTime {
    RunningTime::default() + Duration::from_secs(n)
}

impl Durable for Budgets {
    fn name(&self) -> &'static str {
        "recovery"
    }

    /// As `shell/memory.rs` does, one rung each second.
    fn write(&mut self, folder: &Path, n: u64) {
        let path = folder.join("recovery.json");
        let text = fs::read_to_string(&path).ok();
        let mut ledger = Ledger::resume(text.as_deref(), &format!("boot-{n}"), Duration::from_secs(1));
        ledger.spend(Rung::Navigate, running(n));
        store::write_durably(&path, ledger.to_text(running(n)).as_bytes(), 0o600).unwrap();
    }

    fn read(&self, folder: &Path) -> Found {
        let Ok(text) = fs::read_to_string(folder.join("recovery.json")) else { return Found::default() };
        let ledger = Ledger::resume(Some(&text), "another boot", Duration::ZERO);
        let now = ledger.at_start();
        // A text that cannot be read is the beginning of time.
        let newest = (1..=WINDOW.as_secs()).find(|n| running(*n) == now);
        let taken = ledger.spent(Rung::Navigate, WINDOW, now) as u64;
        let whole = newest.is_some_and(|n| taken == n.min(200));
        Found { newest, torn: (!whole).then(|| format!("{taken} rungs: {text}")).into_iter().collect() }
    }
}
