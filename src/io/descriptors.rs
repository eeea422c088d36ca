//! How many files and connections this process may have open.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Takes as many as the machine allows; returns how many those are. A shell and most containers give 1,024, for the sake of
/// programs that call select(2), and allow many more (`systemd.exec(5)`, `LimitNOFILE`).
pub fn take_all() -> io::Result<u64> {
    let (given, allowed) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if given < allowed {
        setrlimit(Resource::RLIMIT_NOFILE, allowed, allowed)?;
    }
    Ok(allowed)
}
