//! The two accounts, as edits of passwd, group, shadow and gshadow: an image has no `useradd` to run.

use std::collections::BTreeSet;

use super::{DesiredError, Lay};
use crate::{io::system::Owner, provision::facts::Facts};

struct Account {
    name: &'static str,
    comment: &'static str,
    home: &'static str,
    shell: &'static str,
    /// Further groups; one that is not there yet is made.
    groups: &'static [&'static str],
}

/// The same as in systemd/sysusers.d/pikiosk.conf.
const KIOSK: Account = Account {
    name: "kiosk",
    comment: "The screen of this display",
    home: "/home/kiosk",
    shell: "/bin/bash",
    groups: &["video", "input", "render", "tty", "audio"],
};
const SUPERVISOR: Account = Account {
    name: "pikiosk",
    comment: "Supervisor of this display",
    home: "/var/lib/pikiosk",
    shell: "/usr/sbin/nologin",
    groups: &["kiosk"],
};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const SHADOW: &str = "/etc/shadow";
const GSHADOW: &str = "/etc/gshadow";
const WHY: &str = "the accounts kiosk (X and Firefox) and pikiosk (the supervisor), both without a password";
/// What systemd gives to accounts of services.
const SYSTEM_IDS: std::ops::RangeInclusive<u32> = 100..=999;

/// What an account brings along, and what its programs write by themselves: a session may begin without it.
const NO_LOSS: [&str; 8] = [
    ".bash_history",
    ".bash_logout",
    ".bash_profile",
    ".bashrc",
    ".cache",
    ".profile",
    ".sudo_as_admin_successful",
    ".Xauthority",
];

/// Says who X and Firefox run as.
pub fn lay(lay: &mut Lay, facts: &Facts) -> Result<Owner, DesiredError> {
    // A session begins with an empty home: what somebody keeps there would be gone.
    if let Some(kept) = facts.home.iter().find(|name| !NO_LOSS.contains(&name.as_str())) {
        let why = format!("its home holds {kept}, and every session begins with a new home; move it elsewhere");
        return Err(DesiredError::Account { name: "kiosk", why });
    }
    let mut edit = Edit::of(facts)?;
    let kiosk = edit.account(&KIOSK)?;
    edit.account(&SUPERVISOR)?;
    lay.owned(PASSWD, edit.passwd.text(), 0o644, Owner::ROOT, WHY);
    lay.owned(GROUP, edit.group.text(), 0o644, Owner::ROOT, WHY);
    // root:shadow on every Debian; where the group is missing, root alone.
    let shadow = Owner { uid: 0, gid: edit.group.id_of("shadow").unwrap_or(0) };
    for (path, table) in [(SHADOW, &edit.shadow), (GSHADOW, &edit.gshadow)] {
        if facts.text(path).is_some() {
            lay.secret(path, table.text(), 0o640, shadow, WHY);
        }
    }
    Ok(kiosk)
}

struct Edit {
    passwd: Table,
    group: Table,
    shadow: Table,
    gshadow: Table,
}

impl Edit {
    fn of(facts: &Facts) -> Result<Self, DesiredError> {
        let table = |path, fields| Table::read(path, facts.text(path).unwrap_or_default(), fields);
        Ok(Self {
            passwd: table(PASSWD, 7)?,
            group: table(GROUP, 4)?,
            shadow: table(SHADOW, 9)?,
            gshadow: table(GSHADOW, 4)?,
        })
    }

    fn account(&mut self, account: &Account) -> Result<Owner, DesiredError> {
        let owner = match self.passwd.find(account.name) {
            Some(row) => self.known(row, account)?,
            None => self.add(account),
        };
        // A run that was cut may have written one file of the four and not the next.
        // No password fits; and no date of a last change, which would make two cards differ.
        self.shadow.add(&[account.name, "!*", "", "", "", "", "", "", ""]);
        if self.group.find(account.name).is_some() {
            self.gshadow.add(&[account.name, "!*", "", ""]);
        }
        for group in account.groups {
            if self.group.find(group).is_none() {
                let gid = self.free();
                self.new_group(group, gid);
            }
            self.group.member(group, account.name);
            self.gshadow.member(group, account.name);
        }
        Ok(owner)
    }

    /// An account of this name that is there already is ours, or one that serves; its number stays.
    fn known(&mut self, row: usize, account: &Account) -> Result<Owner, DesiredError> {
        let refused = |why: String| DesiredError::Account { name: account.name, why };
        let fields = &mut self.passwd.rows[row];
        let number = |text: &str| text.parse().map_err(|_| refused(format!("its number is {text:?}")));
        let owner = Owner { uid: number(&fields[2])?, gid: number(&fields[3])? };
        if owner.uid == 0 {
            return Err(refused("it is root by another name".to_owned()));
        }
        if fields[5] != account.home {
            return Err(refused(format!("its home is {} and not {}", fields[5], account.home)));
        }
        fields[6] = account.shell.to_owned();
        Ok(owner)
    }

    fn add(&mut self, account: &Account) -> Owner {
        let id = match self.group.id_of(account.name) {
            Some(gid) => Owner { uid: self.free(), gid },
            None => {
                let id = self.free();
                self.new_group(account.name, id);
                Owner { uid: id, gid: id }
            }
        };
        let row = [account.name, "x", &id.uid.to_string(), &id.gid.to_string(), account.comment, account.home];
        self.passwd.add(&[&row[..], &[account.shell]].concat());
        id
    }

    fn new_group(&mut self, name: &str, gid: u32) {
        self.group.add(&[name, "x", &gid.to_string(), ""]);
        self.gshadow.add(&[name, "!*", "", ""]);
    }

    /// The highest number that neither an account nor a group has, as systemd-sysusers chooses.
    fn free(&self) -> u32 {
        let taken =
            |table: &Table| table.rows.iter().filter_map(|row| row.get(2)?.parse().ok()).collect::<BTreeSet<u32>>();
        let (users, groups) = (taken(&self.passwd), taken(&self.group));
        let free = SYSTEM_IDS.rev().find(|id| !users.contains(id) && !groups.contains(id));
        free.expect("no system has nine hundred services")
    }
}

/// A file of lines with colons. What is not such a line (NIS, comments) stays where it is.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(path: &'static str, text: &str, fields: usize) -> Result<Self, DesiredError> {
        let mut rows = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let row: Vec<String> = line.split(':').map(str::to_owned).collect();
            if row.len() != fields && is_entry(line) {
                return Err(DesiredError::Malformed { path, line: index + 1 });
            }
            rows.push(row);
        }
        Ok(Self { rows })
    }

    fn text(&self) -> String {
        self.rows.iter().map(|row| row.join(":") + "\n").collect()
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.len() > 1 && row[0] == name)
    }

    /// The third field of an entry.
    fn id_of(&self, name: &str) -> Option<u32> {
        self.rows[self.find(name)?].get(2)?.parse().ok()
    }

    /// At the end, but before what NIS adds: nothing after that is read.
    fn add(&mut self, row: &[&str]) {
        if self.find(row[0]).is_some() {
            return;
        }
        let end = self.rows.iter().position(|row| row[0].starts_with(['+', '-'])).unwrap_or(self.rows.len());
        self.rows.insert(end, row.iter().map(|field| (*field).to_owned()).collect());
    }

    fn member(&mut self, group: &str, user: &str) {
        let Some(at) = self.find(group) else { return };
        let members = self.rows[at].last_mut().expect("an entry has fields");
        if !members.split(',').any(|member| member == user) {
            let comma = if members.is_empty() { "" } else { "," };
            members.push_str(&format!("{comma}{user}"));
        }
    }
}

fn is_entry(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(['#', '+', '-'])
}
