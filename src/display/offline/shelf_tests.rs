use std::{io::Write, time::Duration};

use super::*;

const LIMIT: u64 = 1000;

fn at(n: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + n)
}

fn shelf(state: &Path) -> Shelf {
    Shelf::open_on(state.join("media"), LIMIT, Room::plenty)
}

fn label(url: &str, bytes: &[u8]) -> Label {
    let content_type = "image/png".to_owned();
    Label {
        url: url.into(),
        bytes: bytes.len() as u64,
        sha256: sha256(bytes),
        content_type,
        etag: Some("\"1\"".into()),
        modified: None,
    }
}

fn put(shelf: &Shelf, url: &str, bytes: &[u8], n: u64) {
    shelf.make_room(url, bytes.len() as u64).unwrap();
    let (mut file, path) = shelf.beside(url).unwrap();
    file.write_all(bytes).unwrap();
    shelf.put(&file, &path, label(url, bytes), at(n)).unwrap();
}

fn wants(shelf: &Shelf, urls: &[&str], n: u64) {
    let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
    shelf.want(&urls, at(n));
}

fn files(state: &Path) -> usize {
    fs::read_dir(state.join("media")).map_or(0, |entries| entries.flatten().count())
}

fn read(shelf: &Shelf, url: &str) -> Option<Vec<u8>> {
    let label = shelf.find(url)?;
    let (mut file, served) = shelf.open_file(&label.file())?;
    assert_eq!(served, label);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

#[test]
fn a_file_is_there_again_after_a_start_and_a_newer_version_takes_its_place() {
    let state = tempfile::tempdir().unwrap();
    let first = shelf(state.path());
    assert_eq!((read(&first, "http://a/"), files(state.path())), (None, 0));
    put(&first, "http://a/", b"one", 1);
    let again = shelf(state.path());
    assert_eq!(read(&again, "http://a/").as_deref(), Some(&b"one"[..]));
    put(&again, "http://a/", b"two two", 2);
    assert_eq!(read(&again, "http://a/").as_deref(), Some(&b"two two"[..]));
    assert_eq!((again.bytes(), files(state.path())), (7, 2), "the older one is gone");
}

#[test]
fn a_file_that_was_corrupted_is_not_served_and_is_taken_away() {
    let state = tempfile::tempdir().unwrap();
    put(&shelf(state.path()), "http://a/", b"whole bytes", 1);
    let path = state.path().join("media").join(label("http://a/", b"whole bytes").file());
    for harmed in [&b"whole byteZ"[..], b"whole byte", b""] {
        put(&shelf(state.path()), "http://a/", b"whole bytes", 1);
        fs::write(&path, harmed).unwrap();
        let again = shelf(state.path());
        assert_eq!(read(&again, "http://a/"), None);
        assert_eq!((again.labelled("http://a/"), files(state.path())), (None, 0));
    }
}

#[test]
fn a_torn_label_and_what_a_crash_left_beside_it_are_swept_away() {
    let state = tempfile::tempdir().unwrap();
    put(&shelf(state.path()), "http://a/", b"one", 1);
    put(&shelf(state.path()), "http://b/", b"two", 1);
    let media = state.path().join("media");
    let torn = media.join(format!("{}.json", name_of("http://a/")));
    let text = fs::read(&torn).unwrap();
    fs::write(&torn, &text[..text.len() / 2]).unwrap();
    // A label of another name, one that leads elsewhere, and half a download.
    fs::write(media.join("0123.json"), &text).unwrap();
    fs::write(media.join(format!(".{}.new", name_of("http://c/"))), "half").unwrap();
    let again = shelf(state.path());
    assert_eq!(read(&again, "http://a/"), None);
    assert_eq!(read(&again, "http://b/").as_deref(), Some(&b"two"[..]));
    assert_eq!(files(state.path()), 2);
}

#[test]
fn the_bound_is_kept_and_what_was_wanted_longest_ago_goes_first() {
    let state = tempfile::tempdir().unwrap();
    let kept = shelf(state.path());
    for (n, url) in ["http://1/", "http://2/", "http://3/"].into_iter().enumerate() {
        put(&kept, url, &[n as u8; 300], n as u64);
    }
    wants(&kept, &["http://1/"], 9);
    put(&kept, "http://4/", &[4; 300], 10);
    assert_eq!(kept.labelled("http://2/"), None);
    assert!(kept.bytes() <= LIMIT && kept.labelled("http://1/").is_some() && kept.labelled("http://3/").is_some());
    // The order is the same after a start.
    let again = shelf(state.path());
    put(&again, "http://5/", &[5; 300], 11);
    assert!(again.labelled("http://3/").is_none() && again.labelled("http://1/").is_some());
}

#[test]
fn nothing_of_the_playlist_on_the_glass_goes_for_another_of_its_files() {
    let state = tempfile::tempdir().unwrap();
    let kept = shelf(state.path());
    wants(&kept, &["http://1/", "http://2/", "http://3/"], 0);
    put(&kept, "http://1/", &[1; 400], 1);
    put(&kept, "http://2/", &[2; 400], 2);
    assert_eq!(kept.make_room("http://3/", 400), Err(Full { needed: 400 }));
    assert!(kept.labelled("http://1/").is_some() && kept.labelled("http://2/").is_some());
    // A newer version of one of them may take its own place.
    put(&kept, "http://2/", &[3; 600], 3);
    assert_eq!((kept.bytes(), read(&kept, "http://2/").map(|bytes| bytes.len())), (1000, Some(600)));
    assert_eq!(kept.make_room("http://2/", 601), Err(Full { needed: 601 }));
}

#[test]
fn a_cache_that_is_switched_off_is_emptied() {
    let state = tempfile::tempdir().unwrap();
    put(&shelf(state.path()), "http://a/", b"one", 1);
    let closed = Shelf::open(state.path().join("media"), 0);
    assert!(closed.is_closed() && closed.find("http://a/").is_none());
    assert_eq!(files(state.path()), 0);
}

#[test]
fn a_disk_that_is_nearly_full_is_left_to_everything_else() {
    let state = tempfile::tempdir().unwrap();
    put(&shelf(state.path()), "http://a/", &[1; 600], 1);
    // A twentieth is more than LEAVE here, and 700 bytes are above it with what lies there already.
    let nearly = |_: &Path| Ok(Room { free: (5 << 30) + 100, size: 100 << 30, read_only: false });
    let nearly = Shelf::open_on(state.path().join("media"), LIMIT, nearly);
    assert_eq!(nearly.make_room("http://b/", 701), Err(Full { needed: 701 }));
    put(&nearly, "http://b/", &[2; 650], 2);
    assert_eq!(nearly.bytes(), 650, "and the older one went for it");
}
