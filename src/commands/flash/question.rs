//! What is about to be erased, in words, and the answer of whoever is asked.

use std::io::{self, BufRead, IsTerminal};

use super::list;
use crate::commands::{failure::Failure, output};
use crate::flash::disks::{Disk, polite_mounts};

/// Tells what will be erased, and asks. `Ok(false)`: no.
///
/// Without anybody at the keyboard it is a mistake not to have said `--yes`.
pub fn agreed(disks: &[(&Disk, Option<String>)], yes: bool) -> Result<bool, Failure> {
    if disks.is_empty() {
        return Ok(true);
    }
    output::remark("Everything on these will be erased:\n");
    for (disk, id) in disks {
        output::remark(&line(disk, id.as_deref()));
    }
    if yes {
        output::remark("");
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage {
            doing: "ask whether to erase them",
            says: "nobody is at the keyboard".to_owned(),
            hint: "look at the list above; if it is right, say --yes".to_owned(),
        });
    }
    output::remark("\nType yes to go on, anything else to stop:");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|source| Failure::Unwritable { source })?;
    Ok(answer.trim() == "yes")
}

fn line(disk: &Disk, id: Option<&str>) -> String {
    let mut text = format!("  {}  {}  {}", disk.node(), list::size(disk.identity.size), list::what(disk));
    let parts = disk.partitions.len();
    if parts > 0 {
        text.push_str(&format!(", {} on it", super::cards::counted(parts, "partition")));
    }
    let mounts = polite_mounts(disk);
    if !mounts.is_empty() {
        text.push_str(&format!(", now at {} (will be unmounted)", mounts.join(" and ")));
    }
    if let Some(id) = id {
        text.push_str(&format!("  ->  {id}"));
    }
    text
}
