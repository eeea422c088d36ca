//! Who may call what. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// The tasks for everybody, and the lists of those who may call fewer.
#[derive(Debug)]
pub struct Rules {
    tasks: BTreeSet<String>,
    principals: BTreeMap<String, BTreeSet<String>>,
}

impl Rules {
    pub fn new(tasks: BTreeSet<String>, principals: BTreeMap<String, BTreeSet<String>>) -> Self {
        Self { tasks, principals }
    }

    /// `caller` is `user/<name>` or `display/<id>`. A list of its own narrows what is for everybody, and adds nothing.
    pub fn allow(&self, caller: &str, task: &str) -> bool {
        self.tasks.contains(task) && self.principals.get(caller).is_none_or(|own| own.contains(task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_ones_own_narrows_the_tasks_for_everybody_and_adds_none() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let own = [("user/anna".to_owned(), set(&["add", "rm"])), ("display/lobby".to_owned(), set(&[]))];
        let rules = Rules::new(set(&["add", "mul"]), own.into());
        for (caller, task, allowed) in [
            ("user/bob", "add", true),
            ("user/bob", "mul", true),
            ("user/bob", "rm", false),
            ("user/anna", "add", true),
            ("user/anna", "mul", false),
            ("user/anna", "rm", false),
            ("display/lobby", "add", false),
            ("user/lobby", "add", true),
        ] {
            assert_eq!(rules.allow(caller, task), allowed, "{caller} {task}");
        }
    }
}
