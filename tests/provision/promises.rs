//! One promise each, as a person meets it.

use std::path::{Path, PathBuf};

use pikiosk::{
    io::system::{
        Observe, Owner, Ran,
        memory::{Memory, What},
    },
    provision::{
        item::{After, Desired, Item},
        plan::{FirstBoot, Plan, Reason},
        receipt::{FIRST_BOOT, HOME},
        undo::{Undone, undo},
    },
};

use super::{FAULTS, apply, at_every_call, copy, difference, live, planned, undone};

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
