//! Who may log in from afar: those whose keys kiosk.toml names, as root, and by nothing else than keys.
//!
//! As root and not as one more user: without passwords, `sudo` would ask for none, and such a user is root by a longer
//! name. A system whose kiosk.toml names no key keeps its ssh as it is, so that nobody is locked out of a Pi that runs.

use super::{Lay, units};
use crate::{config::KioskSettings, io::system::Owner, provision::facts::Facts};

/// The first value counts for sshd, and cloud-init has a file at 50.
const SSHD: &str = "/etc/ssh/sshd_config.d/10-pikiosk.conf";
const KEYS: &str = "/etc/ssh/authorized_keys.d";

pub fn lay(lay: &mut Lay, settings: &KioskSettings, _facts: &Facts) {
    let keys = &settings.system.ssh_keys;
    if keys.is_empty() {
        let why = "kiosk.toml names no key: ssh is as it was";
        lay.absent(SSHD, why);
        lay.absent(format!("{KEYS}/root"), why);
        lay.absent("/etc/systemd/system/ssh.service.d/pikiosk.conf", why);
        return;
    }
    let text = format!(
        "# Written by pikiosk provision.\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nAuthorizedKeysFile .ssh/authorized_keys {KEYS}/%u\n\
         DenyUsers kiosk pikiosk\nX11Forwarding no\n"
    );
    lay.file(SSHD, text, "ssh: keys only, and not for the accounts of the kiosk");
    let why = "the keys of those who may log in as root";
    lay.dir(KEYS, 0o755, Owner::ROOT, why);
    lay.file(format!("{KEYS}/root"), keys.iter().map(|key| format!("{key}\n")).collect::<String>(), why);
    // An image has no keys of its own: two displays with the same would be one to whoever listens.
    let text = "# Written by pikiosk provision.\n[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\n\
                ExecStartPre=/usr/sbin/sshd -t\n";
    lay.file(
        "/etc/systemd/system/ssh.service.d/pikiosk.conf",
        text,
        "each display makes its own host keys at the first start",
    );
    units::wanted_by(lay, "ssh.service", "multi-user.target", "ssh is on, since kiosk.toml names keys");
    lay.after(
        &[SSHD, "/etc/systemd/system/ssh.service.d"],
        "systemctl",
        &["--no-block", "try-reload-or-restart", "ssh.service"],
        "lets ssh take its new rules",
        false,
    );
}
