use std::path::Path;

use super::*;
use crate::flash::source::Patience;

const LIST: &str = r#"{
  "imager": { "latest_version": "2.0.0", "devices": [] },
  "os_list": [
    { "name": "Raspberry Pi OS (64-bit)", "description": "", "icon": "", "url": "https://example.org/full.img.xz",
      "extract_size": 6000000000, "extract_sha256": "ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789",
      "image_download_size": 1000, "release_date": "2026-05-13", "devices": ["pi5-64bit", "pi3-64bit"] },
    { "name": "Raspberry Pi OS (other)", "subitems": [
      { "name": "Raspberry Pi OS Lite (64-bit)", "url": "https://example.org/lite.img.xz", "extract_size": 2977955840,
        "extract_sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "image_download_sha256": "", "init_format": "cloudinit-rpi", "devices": ["pi3-64bit"] },
      { "name": "Raspberry Pi OS Lite (32-bit)", "url": "https://example.org/lite32.img.xz", "devices": ["pi3-32bit"] },
      { "name": "Pi 5 only", "url": "https://example.org/five.img.xz", "devices": ["pi5-64bit"] } ] },
    { "name": "Others", "subitems_url": "others.json" },
    { "name": "Gone", "subitems_url": "gone.json" },
    { "name": "Erase", "url": "internal://format" }
  ]
}"#;

const OTHERS: &str = r#"{ "os_list": [ { "name": "Kiosk Linux 7", "url": "kiosk.img.zst", "devices": [] } ] }"#;

fn lists() -> (tempfile::TempDir, Lookup) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("list.json"), LIST).unwrap();
    std::fs::write(dir.path().join("others.json"), OTHERS).unwrap();
    let list = dir.path().join("list.json").display().to_string();
    let lookup =
        Lookup { os_list: list, cache: None, beside: false, patience: Patience::default(), ..Lookup::default() };
    (dir, lookup)
}

fn found(name: &str) -> Result<Source, SourceError> {
    let (_dir, lookup) = lists();
    find(name, &lookup)
}

#[test]
fn an_image_is_found_by_its_name_or_by_words_of_it() {
    for name in ["Raspberry Pi OS Lite (64-bit)", "raspberry pi os lite (64-BIT)", "os lite 64"] {
        let source = found(name).unwrap();
        assert_eq!(source.place, Place::Url("https://example.org/lite.img.xz".parse().unwrap()), "{name}");
        assert_eq!(source.unpacked.unwrap().value, 2_977_955_840);
        assert!(source.unpacked_sha256.is_some() && source.packed_sha256.is_none(), "an empty hash is none");
        assert_eq!(source.init_format.as_deref(), Some("cloudinit-rpi"));
    }
    let full = found("Raspberry Pi OS (64-bit)").unwrap();
    assert_eq!((full.packed, full.unpacked.unwrap().value), (Some(1000), 6_000_000_000));
}

#[test]
fn a_list_in_the_list_is_read_relative_to_it() {
    let (dir, lookup) = lists();
    let source = find("kiosk linux 7", &lookup).unwrap();
    assert_eq!(source.place, Place::File(dir.path().join("kiosk.img.zst")));
}

#[test]
fn a_name_that_fits_none_or_many_or_another_pi_is_refused_with_what_there_is() {
    match found("Raspbery Pi OS Light (64-bit)").unwrap_err() {
        SourceError::UnknownName { near, .. } => assert!(near.contains(&"Raspberry Pi OS Lite (64-bit)".to_owned())),
        other => panic!("{other}"),
    }
    match found("lite").unwrap_err() {
        SourceError::ManyNames { names, .. } => {
            assert_eq!(
                names,
                ["Raspberry Pi OS Lite (64-bit) (lite.img.xz)", "Raspberry Pi OS Lite (32-bit) (lite32.img.xz)"]
            );
        }
        other => panic!("{other}"),
    }
    assert!(matches!(found("pi 5 only"), Err(SourceError::OtherDevice { .. })));
    assert!(matches!(found(""), Err(SourceError::UnknownName { .. })));
}

#[test]
fn a_manifest_with_one_image_needs_no_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kiosk.rpi-imager-manifest");
    std::fs::write(&path, OTHERS).unwrap();
    std::fs::write(dir.path().join("list.json"), LIST).unwrap();
    let (_lists, lookup) = lists();
    let source = Source::find(path.to_str().unwrap(), &lookup).unwrap();
    assert_eq!(source.place, Place::File(dir.path().join("kiosk.img.zst")));
    let many = Source::find(dir.path().join("list.json").to_str().unwrap(), &lookup);
    assert!(matches!(many, Err(SourceError::ManyNames { .. })));
    assert!(is_list(Path::new("a.json")) && !is_list(Path::new("a.img")));
}

#[test]
fn a_list_from_a_server_names_no_file_of_this_machine() {
    let home = Home::of("https://example.org/list.json").unwrap();
    let item = |url: &str| Item { name: "x".to_owned(), url: Some(url.to_owned()), ..Item::default() };
    let entry = |url: &str| Entry { item: item(url), home: home.clone() };
    let (_dir, lookup) = lists();
    assert!(matches!(entry("file:///etc/passwd").source(&lookup), Err(SourceError::BadList { .. })));
    assert!(matches!(entry("internal://format").source(&lookup), Err(SourceError::BadList { .. })));
    assert_eq!(
        entry("a.img.xz").source(&lookup).unwrap().place,
        Place::Url("https://example.org/a.img.xz".parse().unwrap())
    );
}

#[test]
fn a_list_that_makes_no_sense_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    let (_lists, lookup) = lists();
    let bad_hash = r#"{"os_list":[{"name":"x","url":"a.img","extract_sha256":"12"}]}"#;
    for text in ["", "[]", "<html>", r#"{"os_list":[]}"#, r#"{"os_list":[{"name":5}]}"#, bad_hash] {
        std::fs::write(&path, text).unwrap();
        let error = Source::find(path.to_str().unwrap(), &lookup).unwrap_err();
        assert!(error.to_string().contains("a.json"), "{text}: {error}");
    }
}
