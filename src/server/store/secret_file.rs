//! Writes a secret that only its owner may read, and has it on disk.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::StoreError;

/// Off the runtime's threads.
pub async fn write(file: &Path, text: String) -> Result<(), StoreError> {
    let file: PathBuf = file.to_owned();
    let written = tokio::task::spawn_blocking(move || write_now(&file, &text)).await;
    Ok(written.unwrap_or_else(|error| Err(io::Error::other(error)))?)
}

fn write_now(file: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(file) {
        // Of a store that is gone, or of a start that was cut before its hash was kept.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    opened.write_all(text.as_bytes())?;
    opened.write_all(b"\n")?;
    opened.sync_all()?;
    if let Some(dir) = file.parent() {
        fs::File::open(dir)?.sync_all()?;
    }
    Ok(())
}
