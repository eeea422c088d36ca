//! libfaketime: another clock for one process.
#![expect(clippy::print_stdout, reason = "what was skipped is told")]

use std::path::Path;

/// What is to be preloaded; none where it is not installed.
pub fn library() -> Option<&'static str> {
    let places = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    ];
    let found = places.into_iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        println!("SKIPPED: faketime is not installed (apt install faketime)");
    }
    found
}
