//! Random systems and random wishes, on few paths, so that they meet: nothing is left to do the second time, all of it is
//! undone to the byte, and neither a cut nor a refused call at any moment leaves anything between.

use std::path::{Path, PathBuf};

use pikiosk::{
    io::system::{
        Owner,
        memory::{Fault, Memory, Node, What},
    },
    provision::{
        item::{After, Desired, Item},
        receipt::HOME,
        undo::undo,
    },
};
use proptest::prelude::*;

use super::{FAULTS, Tree, apply, at_every_call, copy, difference, planned, prepared, undone};

fn any_path() -> impl Strategy<Value = PathBuf> {
    let top = prop::sample::select(vec!["/etc", "/opt", "/home/kiosk"]);
    (top, prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4))
        .prop_map(|(top, names)| names.iter().fold(PathBuf::from(top), |path, name| path.join(name)))
}

fn any_content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![&b""[..], b"one\n", b"one\ntwo\n", b"\xff\0binary"]).prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..8),
    ]
}

fn any_mode() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0o644, 0o600, 0o755, 0o4755, 0o2770])
}

fn any_owner() -> impl Strategy<Value = Owner> {
    prop::sample::select(vec![Owner::ROOT, Owner { uid: 1000, gid: 1000 }, Owner { uid: 0, gid: 44 }])
}

fn any_node() -> impl Strategy<Value = Node> {
    let what = prop_oneof![
        3 => any_content().prop_map(What::File),
        2 => Just(What::Directory),
        1 => prop::sample::select(vec!["x", "/etc/x", "nowhere"]).prop_map(|to| What::Link(to.to_owned())),
    ];
    (what, any_mode(), any_owner()).prop_map(|(what, mode, owner)| {
        let mode = if matches!(what, What::Link(_)) { 0o777 } else { mode };
        Node { what, mode, owner }
    })
}

fn any_system() -> impl Strategy<Value = Memory> {
    prop::collection::vec((any_path(), any_node()), 0..10).prop_map(|nodes| {
        let mut memory = Memory::default();
        for path in ["/etc", "/opt", "/home/kiosk", "/var/lib"] {
            memory.put(path, What::Directory, 0o755, Owner::ROOT);
        }
        memory.put("/data/d", What::Directory, 0o755, Owner::ROOT);
        for (path, mut node) in nodes {
            // One link that leads to a directory; two could make two names for one place.
            if path == Path::new("/etc/a") && matches!(node.what, What::Link(_)) {
                node.what = What::Link("../data/d".to_owned());
            }
            let is_directory = |path: &Path| memory.tree().get(path).is_none_or(|node| node.what == What::Directory);
            let has_below = memory.tree().keys().any(|other| other != &path && other.starts_with(&path));
            if path.ancestors().skip(1).all(is_directory) && !has_below {
                memory.put(&path, node.what, node.mode, node.owner);
            }
        }
        memory
    })
}

fn any_item() -> impl Strategy<Value = Item> {
    let why = "is for the test";
    prop_oneof![
        4 => (any_path(), any_content(), any_mode(), any_owner(), any::<bool>())
            .prop_map(move |(path, content, mode, owner, secret)| Item::File { path, content, mode, owner, why, secret }),
        2 => (any_path(), any_mode(), any_owner())
            .prop_map(move |(path, mode, owner)| Item::Directory { path, mode, owner, why }),
        1 => any_path().prop_map(move |path| Item::Link { path, target: "/etc/x".to_owned(), why }),
        1 => any_path().prop_map(move |path| Item::Absent { path, why }),
        1 => prop::sample::select(vec![0o755, 0o1770])
            .prop_map(move |mode| Item::Directory { path: "/var/lib/pikiosk".into(), mode, owner: Owner::ROOT, why }),
    ]
}

fn place(item: &Item) -> (&Path, bool) {
    match item {
        Item::Directory { path, .. } => (path, true),
        Item::File { path, .. } | Item::Link { path, .. } | Item::Absent { path, .. } => (path, false),
        Item::Packages { .. } => unreachable!("none is made here"),
    }
}

/// A wish that does not contradict itself.
fn any_desired() -> impl Strategy<Value = Desired> {
    prop::collection::vec(any_item(), 1..10).prop_map(|items| {
        let mut kept: Vec<Item> = Vec::new();
        for item in items {
            let (path, directory) = place(&item);
            let clashes = kept.iter().map(place).any(|(other, other_directory)| {
                path == other || path.starts_with(other) && !other_directory || other.starts_with(path) && !directory
            });
            if !clashes {
                kept.push(item);
            }
        }
        let after = vec![After {
            watches: vec!["/etc".into()],
            program: "systemctl",
            arguments: vec!["daemon-reload".to_owned()],
            why: "tells systemd",
            offline: false,
        }];
        Desired { items: kept, after }
    })
}

/// Everything but what provisioning keeps for itself.
fn outside(system: &Memory) -> Tree {
    system
        .tree()
        .iter()
        .filter(|(path, _)| !path.starts_with(HOME))
        .map(|(path, node)| (path.clone(), node.clone()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_second_plan_is_empty_and_undo_restores_every_byte_mode_and_owner(
        system in any_system(), desired in any_desired(),
    ) {
        let Some((mut system, plan)) = prepared(&system, &desired) else { return Ok(()) };
        let before = system.tree().clone();
        apply(&mut system, &plan).unwrap();
        let second = planned(&system, &desired).unwrap();
        prop_assert!(second.is_empty(), "{second:#?}");
        system.clear_log();
        apply(&mut system, &second).unwrap();
        prop_assert!(system.log().is_empty(), "nothing to do is nothing done: {:?}", system.log());
        prop_assert!(undone(&mut system).is_none_or(|undone| undone.is_complete()));
        prop_assert!(*system.tree() == before, "{}", difference(system.tree(), &before));
        prop_assert!(undone(&mut system).is_none(), "there is nothing to undo any more");
    }

    #[test]
    fn what_is_no_longer_wished_for_is_put_back_and_the_rest_still_undoes(
        system in any_system(), first in any_desired(), then in any_desired(),
    ) {
        let Some((mut system, plan)) = prepared(&system, &first) else { return Ok(()) };
        let before = system.tree().clone();
        apply(&mut system, &plan).unwrap();
        if let Ok(next) = planned(&system, &then) {
            apply(&mut system, &next).unwrap();
            let again = planned(&system, &then).unwrap();
            prop_assert!(again.is_empty(), "{again:#?}");
        }
        undone(&mut system);
        prop_assert!(*system.tree() == before, "{}", difference(system.tree(), &before));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_that_is_cut_at_any_call_is_finished_by_another_and_still_undoes(
        system in any_system(), desired in any_desired(),
    ) {
        let Some((start, whole)) = prepared(&system, &desired) else { return Ok(()) };
        let mut finished = copy(&start);
        apply(&mut finished, &whole).unwrap();
        let finished = outside(&finished);
        at_every_call(&start, &FAULTS, |system| {
            let _ = apply(system, &whole);
            system.boot();
            let mut other = copy(system);
            // Finished by another run.
            let rest = planned(system, &desired).unwrap();
            system.clear_log();
            apply(system, &rest).unwrap();
            assert_eq!(difference(&outside(system), &finished), "");
            assert!(planned(system, &desired).unwrap().is_empty());
            undone(system);
            assert_eq!(difference(system.tree(), start.tree()), "");
            // Or undone at once.
            undone(&mut other);
            assert_eq!(difference(other.tree(), start.tree()), "");
        });
    }

    #[test]
    fn a_change_of_mind_that_is_cut_at_any_call_is_finished_and_still_undoes(
        system in any_system(), first in any_desired(), then in any_desired(),
    ) {
        let Some((start, plan)) = prepared(&system, &first) else { return Ok(()) };
        let mut begun = copy(&start);
        apply(&mut begun, &plan).unwrap();
        let Ok(next) = planned(&begun, &then) else { return Ok(()) };
        let mut finished = copy(&begun);
        apply(&mut finished, &next).unwrap();
        at_every_call(&begun, &FAULTS, |system| {
            let _ = apply(system, &next);
            system.boot();
            let mut other = copy(system);
            let rest = planned(system, &then).unwrap();
            apply(system, &rest).unwrap();
            assert_eq!(difference(&outside(system), &outside(&finished)), "");
            undone(system);
            assert_eq!(difference(system.tree(), start.tree()), "");
            undone(&mut other);
            assert_eq!(difference(other.tree(), start.tree()), "");
        });
    }

    #[test]
    fn a_call_that_is_refused_leaves_everything_as_it_was(system in any_system(), desired in any_desired()) {
        let Some((start, whole)) = prepared(&system, &desired) else { return Ok(()) };
        at_every_call(&start, &[Fault::Refused], |system| match apply(system, &whole) {
            Ok(()) => assert!(!system.struck(), "a refused call was not noticed"),
            Err(error) => {
                assert!(error.not_undone.is_empty(), "{error:?}");
                assert_eq!(difference(system.tree(), start.tree()), "");
            }
        });
    }

    #[test]
    fn an_undo_that_is_cut_at_any_call_is_finished_by_another(system in any_system(), desired in any_desired()) {
        let Some((start, plan)) = prepared(&system, &desired) else { return Ok(()) };
        let mut done = copy(&start);
        apply(&mut done, &plan).unwrap();
        at_every_call(&done, &FAULTS, |system| {
            let _ = undo(system, false, &mut |_| {});
            system.boot();
            undone(system);
            assert_eq!(difference(system.tree(), start.tree()), "");
        });
    }
}
