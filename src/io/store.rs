//! Writing a file so that a power cut leaves the old one or the new one, and nothing between.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Replaces `path` by a file with these bytes and this mode (neither an existing file's mode nor the umask counts).
///
/// Written beside it, fsynced, renamed over it, and the directory fsynced: when this returns, the bytes are on disk.
/// An error leaves the old file as it was.
pub fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, mode, true)
}

/// Replaces `path` in one step for whoever reads it, without waiting for the disk: for files in RUNTIME.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, mode, false)
}

/// Gives a file that was written bit by bit its name, in the same file system: on disk first, renamed then.
pub fn move_durably(file: &File, from: &Path, to: &Path) -> io::Result<()> {
    file.sync_all()?;
    rename(from, to)?;
    to.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_dir)
}

/// Makes a directory and what is missing above it, and fsyncs the one that now holds it.
pub fn make_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_dir)
}

/// Makes the names in a directory durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn replace(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(".new");
    let beside = directory.join(beside);
    // What a crash left behind may have another mode.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_new(&beside, bytes, mode, durable).and_then(|()| rename(&beside, path));
    if let Err(error) = written {
        // The first error is the one that says what is wrong.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    if durable { sync_dir(directory) } else { Ok(()) }
}

#[expect(clippy::disallowed_methods, reason = "this module is what the ban names")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The mode above has lost what the umask takes: a service's takes all from others.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    if durable { file.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/key");
        make_dir(path.parent().unwrap()).unwrap();
        for (bytes, mode) in [(&b"one"[..], 0o600), (b"two two", 0o640)] {
            write_durably(&path, bytes, mode).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
        fs::write(path.with_file_name(".key.new"), "left by a crash").unwrap();
        write_atomically(&path, b"three", 0o600).unwrap();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        write_durably(&path, b"old", 0o600).unwrap();
        fs::create_dir(directory.path().join(".state.new")).unwrap();
        assert!(write_durably(&path, b"new", 0o600).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
