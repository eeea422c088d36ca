//! What provisioning promises, for any wish on any system: nothing left to do the second time, undone to the byte, and
//! neither a cut nor a refused call at any moment leaves anything between.
#![cfg(any(feature = "display", feature = "tools"))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pikiosk::io::system::memory::{Fault, Memory, Node, What};
use pikiosk::io::system::{Abilities, Observe, Owner, Ran};
use pikiosk::provision::apply::{self, ApplyError};
use pikiosk::provision::item::{After, Desired, Item};
use pikiosk::provision::observe::observe;
use pikiosk::provision::plan::{FirstBoot, Plan, PlanError, Reason, plan};
use pikiosk::provision::receipt::{FIRST_BOOT, HOME, Receipt};
use pikiosk::provision::undo::{Undone, undo};
use proptest::prelude::*;

type Tree = BTreeMap<PathBuf, Node>;

const FAULTS: [fn(usize) -> Fault; 3] = [Fault::CutBefore, Fault::CutWithin, Fault::CutAfter];

fn planned(system: &dyn Observe, desired: &Desired) -> Result<Plan, PlanError> {
    let receipt = Receipt::load(system).unwrap();
    let observed = observe(system, desired, receipt.as_ref()).unwrap();
    plan(desired, &observed, receipt.as_ref())
}

fn apply(system: &mut Memory, plan: &Plan) -> Result<(), ApplyError> {
    apply::apply(system, plan, &mut |_| {})
}

fn undone(system: &mut Memory) -> Option<Undone> {
    undo(system, false, &mut |_| {}).unwrap()
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

fn difference(left: &Tree, right: &Tree) -> String {
    let one = |name: &str, a: &Tree, b: &Tree| -> String {
        a.iter().filter(|(path, node)| b.get(*path) != Some(*node)).map(|it| format!("{name}: {it:?}\n")).collect()
    };
    one("is", left, right) + &one("should be", right, left)
}

// Random systems and random wishes, on few paths, so that they meet.

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

fn live(mut memory: Memory) -> Memory {
    memory.abilities = Abilities { run: true, live: true, fat: None };
    memory
}

/// A memory with the same tree, and its plan; `None` where the wish cannot be had on this system.
fn prepared(system: &Memory, desired: &Desired) -> Option<(Memory, Plan)> {
    let mut copy = live(Memory::default());
    for (path, node) in system.tree() {
        copy.put(path, node.what.clone(), node.mode, node.owner);
    }
    let plan = planned(&copy, desired).ok()?;
    Some((copy, plan))
}

fn copy(system: &Memory) -> Memory {
    prepared(system, &Desired::default()).unwrap().0
}

/// As often as a call that changes something is made by `act`, once with each fault at that call.
fn at_every_call(start: &Memory, faults: &[fn(usize) -> Fault], mut act: impl FnMut(&mut Memory)) -> usize {
    let mut call = 0;
    loop {
        let mut struck = false;
        for fault in faults {
            let mut system = copy(start);
            system.fail(fault(call));
            act(&mut system);
            struck |= system.struck();
        }
        if !struck {
            return call;
        }
        call += 1;
    }
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

// One promise each, as a person meets it.

fn why() -> &'static str {
    "is for the test"
}

fn file(path: &str, content: &str) -> Item {
    let (content, mode, owner) = (content.as_bytes().to_vec(), 0o644, Owner::ROOT);
    Item::File { path: path.into(), content, mode, owner, why: why(), secret: false }
}

fn packages(names: &[&str]) -> Item {
    Item::Packages { names: names.iter().map(|name| (*name).to_owned()).collect(), why: why() }
}

fn after(watched: &str, program: &'static str, offline: bool) -> After {
    After { watches: vec![watched.into()], program, arguments: Vec::new(), why: why(), offline }
}

fn wish(items: Vec<Item>, after: Vec<After>) -> Desired {
    Desired { items, after }
}

/// A small system with dpkg's list of packages.
fn debian() -> Memory {
    let mut memory = Memory::default();
    memory.put_file("/etc/hosts", "127.0.0.1 localhost\n").put_file("/var/lib/dpkg/status", status(&["dpkg"]));
    memory
}

fn status(names: &[&str]) -> String {
    names.iter().map(|name| format!("Package: {name}\nStatus: install ok installed\n\n")).collect()
}

/// apt, as far as it matters here: everything it is asked for comes, with `libdep`.
fn with_apt(mut memory: Memory, works: bool) -> Memory {
    memory.on_run(Box::new(move |memory, program, arguments| {
        if program == "apt-get" && arguments[0] == "install" {
            let mut names = vec!["dpkg", "libdep"];
            names.extend(arguments.iter().skip(6).map(String::as_str));
            memory.put_file("/var/lib/dpkg/status", status(&names));
            return Ok(Ran {
                success: works,
                status: "exit status: 100".to_owned(),
                output: "E: no network".to_owned(),
            });
        }
        if program == "apt-get" && arguments[0] == "purge" {
            memory.put_file("/var/lib/dpkg/status", status(&["dpkg"]));
        }
        let success = program != "broken";
        Ok(Ran { success, status: "exit status: 1".to_owned(), output: String::new() })
    }));
    memory
}

fn ran(memory: &Memory) -> Vec<&str> {
    memory.log().iter().filter_map(|line| line.strip_prefix("run ")).collect()
}

#[test]
fn what_somebody_changed_since_is_told_and_left_alone_by_undo() {
    let mut system = live(debian());
    let desired =
        wish(vec![file("/etc/hosts", "ours\n"), file("/etc/new", "ours\n"), file("/etc/gone", "ours\n")], vec![]);
    let plan = planned(&system, &desired).unwrap();
    apply(&mut system, &plan).unwrap();
    system.put_file("/etc/hosts", "by hand\n").put_file("/etc/new", "by hand\n").take("/etc/gone");
    let drift = planned(&system, &desired).unwrap();
    assert!(drift.steps.len() == 3 && drift.steps.iter().all(|step| step.drifted), "{drift:#?}");

    let undone = undone(&mut system).unwrap();
    assert!(!undone.is_complete());
    let kept: Vec<_> = undone.kept.iter().map(|kept| (kept.path.to_str().unwrap(), kept.reason)).collect();
    assert_eq!(kept, [("/etc/new", Reason::Changed), ("/etc/hosts", Reason::Changed)]);
    assert_eq!(system.read(Path::new("/etc/hosts")).unwrap(), b"by hand\n");
    let before = undone.kept[1].before.as_ref().unwrap();
    let blob = Path::new(HOME).join("blobs").join(before);
    assert_eq!(
        system.read(&blob).unwrap(),
        b"127.0.0.1 localhost\n",
        "what was there before is where it is said to be"
    );

    // Put right by hand, the rest is undone.
    system.put_file("/etc/hosts", "ours\n").put_file("/etc/new", "ours\n");
    assert!(super_undone(&mut system).is_complete());
    assert_eq!(difference(system.tree(), live(debian()).tree()), "");
}

fn super_undone(system: &mut Memory) -> Undone {
    undone(system).unwrap()
}

#[test]
fn a_shared_file_that_was_edited_between_two_runs_is_not_thrown_back_to_the_first() {
    let mut system = live(debian());
    let first = planned(&system, &wish(vec![file("/etc/hosts", "localhost\nours\n")], vec![])).unwrap();
    apply(&mut system, &first).unwrap();
    system.put_file("/etc/hosts", "localhost\nours\na printer\n");
    let second =
        planned(&system, &wish(vec![file("/etc/hosts", "localhost\nours, new\na printer\n")], vec![])).unwrap();
    apply(&mut system, &second).unwrap();
    let undone = undone(&mut system).unwrap();
    assert_eq!(undone.kept.len(), 1, "{undone:?}");
    assert_eq!(system.read(Path::new("/etc/hosts")).unwrap(), b"localhost\nours, new\na printer\n");
}

#[test]
fn repair_puts_right_what_drifted_and_brings_nothing_new() {
    let mut system = live(debian());
    let plan = planned(&system, &wish(vec![file("/etc/one", "1"), file("/etc/two", "2")], vec![])).unwrap();
    apply(&mut system, &plan).unwrap();
    system.put_file("/etc/one", "by hand");
    let newer = wish(
        vec![file("/etc/one", "1"), file("/etc/two", "newer"), file("/etc/three", "3"), packages(&["firefox-esr"])],
        vec![after("/etc/one", "reload-one", false), after("/etc/three", "reload-three", false)],
    );
    let repair = planned(&system, &newer).unwrap().only_drifted(&newer, system.abilities);
    let paths: Vec<_> = repair.steps.iter().map(|step| step.path.to_str().unwrap()).collect();
    assert_eq!(paths, ["/etc/one"]);
    assert!(repair.packages.is_empty());
    apply(&mut system, &repair).unwrap();
    assert_eq!(ran(&system), ["reload-one"]);
}

#[test]
fn packages_come_first_and_are_listed_with_what_they_brought() {
    let mut system = with_apt(live(debian()), true);
    let desired = wish(vec![packages(&["dpkg", "firefox-esr", "xinit"]), file("/etc/new", "x")], vec![]);
    let plan = planned(&system, &desired).unwrap();
    assert_eq!(plan.packages, ["firefox-esr", "xinit"], "what is there is not asked for");
    apply::install(&mut system, &plan, &mut |_| {}).unwrap();
    assert_eq!(ran(&system)[..2], ["dpkg --configure -a", "apt-get update -q"]);
    let next = planned(&system, &desired).unwrap();
    assert!(next.packages.is_empty());
    apply(&mut system, &next).unwrap();
    assert!(planned(&system, &desired).unwrap().is_empty());

    let mut other = with_apt(copy(&system), true);
    let undone = super_undone(&mut system);
    assert_eq!(undone.packages, ["firefox-esr", "libdep", "xinit"], "they stay and are named");
    let purged = undo(&mut other, true, &mut |_| {}).unwrap().unwrap().purged;
    assert_eq!(purged, ["firefox-esr", "libdep", "xinit"]);
    assert_eq!(difference(other.tree(), debian().tree()), "");
}

#[test]
fn apt_that_fails_changes_no_file_and_what_it_brought_is_known() {
    let mut system = with_apt(live(debian()), false);
    let plan = planned(&system, &wish(vec![packages(&["xinit"]), file("/etc/new", "x")], vec![])).unwrap();
    let error = apply::install(&mut system, &plan, &mut |_| {}).unwrap_err();
    assert!(error.source.to_string().contains("no network"), "{error:?}");
    assert_eq!(error.installed, ["libdep", "xinit"]);
    assert_eq!(super_undone(&mut system).packages, ["libdep", "xinit"]);
}

#[test]
fn what_cannot_be_done_on_a_card_is_left_for_its_first_boot_in_the_same_form() {
    let mut card = debian();
    let desired = wish(
        vec![packages(&["xinit"]), file("/etc/locale.gen", "de"), file("/etc/new", "x")],
        vec![after("/etc/locale.gen", "locale-gen", true), after("/etc", "systemctl", false)],
    );
    let plan = planned(&card, &desired).unwrap();
    assert!(plan.packages.is_empty() && plan.commands.is_empty());
    apply(&mut card, &plan).unwrap();
    let left: Plan = serde_json::from_slice(&card.read(Path::new(FIRST_BOOT)).unwrap()).unwrap();
    assert_eq!(left.packages, ["xinit"]);
    assert_eq!(left.commands.iter().map(|it| it.line()).collect::<Vec<_>>(), ["locale-gen"], "a boot does the other");
    assert!(planned(&card, &desired).unwrap().is_empty(), "left once");

    // The card is in the Pi.
    let mut booted = with_apt(live(copy(&card)), true);
    apply::install(&mut booted, &left, &mut |_| {}).unwrap();
    // A command that fails leaves the plan for another try.
    let rest = planned(&booted, &desired).unwrap();
    assert_eq!(rest.first_boot, Some(FirstBoot::Drop));
    let mut broken = copy(&booted);
    broken.on_run(Box::new(|_, _, _| Ok(Ran { success: false, status: String::new(), output: String::new() })));
    apply(&mut broken, &rest).unwrap_err();
    assert!(broken.stat(Path::new(FIRST_BOOT)).unwrap().is_some());
    apply(&mut booted, &rest).unwrap();
    assert!(booted.stat(Path::new(FIRST_BOOT)).unwrap().is_none());
    assert!(ran(&booted).contains(&"locale-gen"));
    assert!(planned(&booted, &desired).unwrap().is_empty());
    let undone = super_undone(&mut booted);
    assert_eq!(undone.packages, ["libdep", "xinit"]);
}

#[test]
fn a_command_that_fails_takes_the_files_back_and_is_run_again_with_the_old_ones() {
    let mut system = with_apt(live(debian()), true);
    let desired = wish(
        vec![file("/etc/hosts", "ours")],
        vec![after("/etc/hosts", "reload", false), after("/etc/hosts", "broken", false)],
    );
    let plan = planned(&system, &desired).unwrap();
    let error = apply(&mut system, &plan).unwrap_err();
    assert_eq!(error.doing, "run broken");
    assert!(error.not_undone.is_empty());
    assert_eq!(ran(&system), ["reload", "broken", "reload", "broken"]);
    assert_eq!(difference(system.tree(), debian().tree()), "");
}

#[test]
fn a_command_that_a_cut_run_did_not_come_to_is_run_by_the_next() {
    let desired = wish(vec![file("/etc/hosts", "ours")], vec![after("/etc/hosts", "reload", false)]);
    at_every_call(&live(debian()), &FAULTS, |system| {
        let plan = planned(system, &desired).unwrap();
        let _ = apply(system, &plan);
        system.boot();
        let rest = planned(system, &desired).unwrap();
        apply(system, &rest).unwrap();
        assert!(ran(system).contains(&"reload"), "{:?}", system.log());
    });
}

#[test]
fn a_file_that_changes_while_the_plan_waits_for_its_yes_is_not_overwritten() {
    let mut system = live(debian());
    let plan = planned(&system, &wish(vec![file("/etc/one", "1"), file("/etc/hosts", "ours")], vec![])).unwrap();
    system.put_file("/etc/hosts", "meanwhile");
    let before = system.tree().clone();
    let error = apply(&mut system, &plan).unwrap_err();
    assert!(error.not_undone.is_empty());
    assert_eq!(difference(system.tree(), &before), "");
}

#[test]
fn modes_and_owners_on_fat_are_nobodys_wish() {
    let mut system = debian();
    system.abilities.fat = Some("/boot/firmware");
    system.put("/boot/firmware/cmdline.txt", What::File(b"a".to_vec()), 0o755, Owner::ROOT);
    let (path, content) = (PathBuf::from("/boot/firmware/cmdline.txt"), b"b".to_vec());
    let owner = Owner { uid: 5, gid: 5 };
    let desired = wish(vec![Item::File { path, content, mode: 0o600, owner, why: why(), secret: false }], vec![]);
    let before = system.tree().clone();
    let plan = planned(&system, &desired).unwrap();
    apply(&mut system, &plan).unwrap();
    assert!(planned(&system, &desired).unwrap().is_empty());
    super_undone(&mut system);
    assert_eq!(difference(system.tree(), &before), "");
}

#[test]
fn a_wish_that_contradicts_itself_or_what_is_there_is_refused_before_anything_is_done() {
    let mut system = debian();
    system.put_file("/srv/data/file", "x");
    let refused = |items| planned(&system, &wish(items, vec![])).unwrap_err().to_string();
    assert!(refused(vec![file("/etc/a", "1"), file("/etc/a", "2")]).contains("twice"));
    assert!(refused(vec![file("/etc/a", "1"), file("/etc/a/b", "2")]).contains("not below a directory"));
    assert!(refused(vec![file("/etc/../a", "1")]).contains("plain absolute path"));
    assert!(refused(vec![file("/srv/data", "1")]).contains("a directory that is not empty is there"));
    assert!(refused(vec![file("/etc/hosts/below", "1")]).contains("a file is there"));
}

#[test]
fn a_receipt_that_another_user_could_have_written_is_not_believed() {
    let mut system = live(debian());
    let plan = planned(&system, &wish(vec![file("/etc/new", "x")], vec![])).unwrap();
    apply(&mut system, &plan).unwrap();
    for (mode, uid) in [(0o700, 998), (0o777, 0)] {
        system.put(HOME, What::Directory, mode, Owner { uid, gid: 0 });
        let refused = undo(&mut system, false, &mut |_| {}).unwrap_err().to_string();
        assert!(refused.contains("trust"), "{refused}");
    }
}

#[test]
fn a_plan_that_is_shown_holds_no_secret() {
    let (path, content) = (PathBuf::from("/etc/wifi"), b"psk=hunter22".to_vec());
    let item = Item::File { path, content, mode: 0o600, owner: Owner::ROOT, why: why(), secret: true };
    let mut system = debian();
    system.put_file("/etc/wifi", "psk=before11");
    let plan = planned(&system, &wish(vec![item, file("/etc/open", "text")], vec![])).unwrap();
    let diff = pikiosk::provision::report::diff(&system, &plan).unwrap();
    let json = serde_json::to_string(&plan.shown()).unwrap();
    for shown in [&diff, &json] {
        assert!(!shown.contains("hunter22") && !shown.contains("before11"), "{shown}");
        assert!(shown.contains("/etc/wifi") && shown.contains("text"), "{shown}");
    }
    let whole: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(whole, plan, "unshown, nothing is lost");
}
