//! What recovery remembers, on disk: `STATE/recovery.json`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::time::Instant;

use crate::{
    display::supervisor::{Supervisor, recovery::Ledger},
    io::{store, uptime::uptime},
};

const FILE: &str = "recovery.json";

/// Where it is.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
}

impl Memory {
    /// Tells the supervisor what was done before it: by an earlier one, or before this boot.
    pub fn recall(state: &Path, supervisor: &mut Supervisor, now: Instant) -> Self {
        let path = state.join(FILE);
        let text = match fs::read(&path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            // It is there and cannot be read: that is not the same as nothing.
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "what was done before is not known");
                Some(String::new())
            }
        };
        supervisor.recall(Ledger::resume(text.as_deref(), &boot_id(), uptime().unwrap_or_default()), now);
        Memory { path }
    }

    /// On disk when it returns true.
    pub async fn keep(&self, supervisor: &mut Supervisor, text: String) -> bool {
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || store::write_durably(&path, text.as_bytes(), 0o600)).await;
        let trouble = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = &trouble {
            tracing::error!(why, path = %self.path.display(), "recovery cannot remember what it does");
        }
        let kept = trouble.is_none();
        supervisor.remembers(trouble);
        kept
    }
}

/// Another one after every boot (proc(5)); empty where the kernel has none, and then uptime alone has to do.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
