//! What provisioning promises, for any wish on any system (`any`), and one promise each, as a person meets it (`promises`).
#![cfg(any(feature = "display", feature = "tools"))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod any;
mod promises;

use std::{collections::BTreeMap, path::PathBuf};

use pikiosk::{
    io::system::{
        Abilities, Observe,
        memory::{Fault, Memory, Node},
    },
    provision::{
        apply::{self, ApplyError},
        item::Desired,
        observe::observe,
        plan::{Plan, PlanError, plan},
        receipt::Receipt,
        undo::{Undone, undo},
    },
};

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

fn difference(left: &Tree, right: &Tree) -> String {
    let one = |name: &str, a: &Tree, b: &Tree| -> String {
        a.iter().filter(|(path, node)| b.get(*path) != Some(*node)).map(|it| format!("{name}: {it:?}\n")).collect()
    };
    one("is", left, right) + &one("should be", right, left)
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
