//! `make boot-test` judges a booted image by pictures of its screen. What it sees in them is tried here, without one.

use std::process::Command;

#[test]
fn the_boot_test_sees_what_is_on_the_glass() {
    let test = concat!(env!("CARGO_MANIFEST_DIR"), "/image/boot/eyes_test.py");
    // -B: no folders of compiled Python in the sources.
    let output = Command::new("python3").args(["-B", test]).output().expect("python3 is there: make needs installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
