//! What every [`System`] must do, whatever it is made of: called by the tests of each.

use std::{io, path::Path};

use super::{Kind, Owner, Stat, System};

/// Goes through everything a system promises, below `/suite`, which it makes and removes.
pub fn behaves(system: &mut dyn System) {
    let at = |path: &str| Path::new("/suite").join(path);
    let someone = Owner { uid: 1234, gid: 4321 };
    system.make_dir(Path::new("/suite"), 0o755, Owner::ROOT).unwrap();
    files(system, &at, someone);
    directories(system, &at, someone);
    links(system, &at, someone);
    assert_eq!(system.list(Path::new("/suite")).unwrap(), ["dir", "file"]);
    for path in ["file", "dir"] {
        system.remove(&at(path)).unwrap();
    }
    system.remove(Path::new("/suite")).unwrap();
    assert_eq!(system.stat(Path::new("/suite")).unwrap(), None);
    system.sync().unwrap();
}

fn files(system: &mut dyn System, at: &dyn Fn(&str) -> std::path::PathBuf, someone: Owner) {
    let file = at("file");
    assert_eq!(system.stat(&file).unwrap(), None, "nothing is there");
    assert_eq!(system.read(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
    for (bytes, mode, owner) in [
        (&b"one"[..], 0o600, Owner::ROOT),
        (&[0xff; 70_000][..], 0o4755, someone),
        (b"", 0o640, Owner { uid: 0, gid: 4321 }),
        (b"three", 0o444, Owner::ROOT),
    ] {
        system.write(&file, bytes, mode, owner).unwrap();
        assert_eq!(system.read(&file).unwrap(), bytes);
        let kind = Kind::File { len: bytes.len() as u64 };
        assert_eq!(system.stat(&file).unwrap(), Some(Stat { kind, mode, uid: owner.uid, gid: owner.gid }));
    }
    system.own(&file, 0o2751, someone).unwrap();
    let kind = Kind::File { len: 5 };
    assert_eq!(system.stat(&file).unwrap(), Some(Stat { kind, mode: 0o2751, uid: 1234, gid: 4321 }));
    assert_eq!(system.read(&file).unwrap(), b"three", "its content stays");
    assert!(system.write(&at("no/parent"), b"x", 0o644, Owner::ROOT).is_err(), "a parent is not made");
    assert!(system.write(&at("file/below"), b"x", 0o644, Owner::ROOT).is_err(), "a file is no parent");
    assert_eq!(system.stat(&at("file/below")).unwrap(), None, "and nothing can be below it");
    assert!(system.list(&file).is_err());
    system.sweep(&file).unwrap();
    system.remove(&at("never was")).unwrap();
    system.remove(&at("never/was")).unwrap();
}

fn directories(system: &mut dyn System, at: &dyn Fn(&str) -> std::path::PathBuf, someone: Owner) {
    let dir = at("dir");
    for (mode, owner) in [(0o700, someone), (0o2770, Owner { uid: 7, gid: 8 }), (0o755, Owner::ROOT)] {
        // Twice: one that is there gets this mode and owner.
        system.make_dir(&dir, mode, owner).unwrap();
        let kind = Kind::Directory;
        assert_eq!(system.stat(&dir).unwrap(), Some(Stat { kind, mode, uid: owner.uid, gid: owner.gid }));
    }
    assert!(system.list(&at("none")).unwrap().is_empty());
    for name in ["b", "a", "c with space"] {
        system.write(&dir.join(name), name.as_bytes(), 0o644, Owner::ROOT).unwrap();
    }
    assert_eq!(system.list(&dir).unwrap(), ["a", "b", "c with space"]);
    assert!(system.remove(&dir).is_err(), "a directory that is not empty stays");
    assert!(system.write(&dir, b"x", 0o644, Owner::ROOT).is_err(), "a directory is not replaced by a file");
    assert!(system.link(&dir, "x", Owner::ROOT).is_err(), "nor by a link");
    assert!(system.make_dir(&at("file"), 0o755, Owner::ROOT).is_err(), "nor a file by a directory");
    assert!(system.read(&dir).is_err());
    for name in ["a", "b", "c with space"] {
        system.remove(&dir.join(name)).unwrap();
    }
    assert!(system.list(&dir).unwrap().is_empty());
}

fn links(system: &mut dyn System, at: &dyn Fn(&str) -> std::path::PathBuf, someone: Owner) {
    system.write(&at("dir/real"), b"real", 0o644, Owner::ROOT).unwrap();
    // A short one, a long one (60 bytes and more are stored elsewhere by ext4), one that leads nowhere.
    let long = format!("../dir/{}real", "./".repeat(60));
    for target in ["dir/real", long.as_str(), "/suite/dir/real", "nowhere"] {
        let link = at("link");
        system.link(&link, target, someone).unwrap();
        let stat = system.stat(&link).unwrap().unwrap();
        assert_eq!(stat.kind, Kind::Link { target: target.to_owned() });
        assert_eq!((stat.uid, stat.gid), (1234, 4321));
        assert!(system.read(&link).is_err(), "a link is not followed at the end");
    }
    system.link(&at("link"), "/suite/dir/real", Owner::ROOT).unwrap();
    assert_eq!(system.read_through(&at("link")).unwrap(), b"real");
    // In the middle it is followed, inside the system: / is the system's own.
    system.link(&at("way"), "/suite/dir", Owner::ROOT).unwrap();
    assert_eq!(system.read(&at("way/real")).unwrap(), b"real");
    assert_eq!(system.read(&at("way/../dir/real")).unwrap(), b"real");
    assert!(system.list(&at("way")).is_err(), "a link is no directory");
    system.write(&at("way/new"), b"new", 0o644, Owner::ROOT).unwrap();
    assert_eq!(system.read(&at("dir/new")).unwrap(), b"new");
    system.link(&at("up"), "../../../../../../suite/dir", Owner::ROOT).unwrap();
    assert_eq!(system.read(&at("up/new")).unwrap(), b"new", ".. does not lead above /");
    system.link(&at("loop"), "loop", Owner::ROOT).unwrap();
    assert!(system.read(&at("loop/x")).is_err());
    assert!(system.read_through(&at("loop")).is_err());
    // A link is replaced by a file, not written through.
    system.write(&at("link"), b"file", 0o644, Owner::ROOT).unwrap();
    assert_eq!(system.read(&at("dir/real")).unwrap(), b"real");
    for path in ["link", "way", "up", "loop", "dir/real", "dir/new"] {
        system.remove(&at(path)).unwrap();
        assert_eq!(system.stat(&at(path)).unwrap(), None);
    }
}
