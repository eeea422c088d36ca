//! Real Debian systems made kiosks: systemd, sshd, sh and the account tools of each say that what was laid down is right,
//! and undone, not a byte is left.
//!
//! `make test` does it to a small Debian trixie. `make provision-roots` does it to bookworm and trixie with all packages
//! installed by apt, and as Raspberry Pi OS would have it: its own files laid over Debian.
#![cfg(any(feature = "display", feature = "tools"))]
#![allow(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::print_stderr, reason = "a test that did not run says so")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::SystemTime,
};

use tempfile::TempDir;

const SETTINGS: &str = r#"
[display]
id = "lobby"
url = "https://example.org/"
[browser]
command = "/usr/bin/firefox-esr"
[screen]
mode = "1920x1080@60"
rotate = 90
[network]
wifi_ssid = "Reception"
wifi_password = "wall and paper"
wifi_country = "CH"
[system]
timezone = "Europe/Zurich"
locale = "de_CH.UTF-8"
keyboard = "ch(fr)"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO8FSo4wtATm47Q00l5nE6cbRK0Y7F9HLYfAXXNo6+vB technician"]
"#;

/// Made once a day and kept in target/, as one file: making one takes ten seconds and the network.
fn packed(release: &str, packages: &str) -> Option<PathBuf> {
    for (program, package) in [("mmdebstrap", "mmdebstrap"), ("chroot", "coreutils")] {
        if !Command::new(program).arg("--version").output().is_ok_and(|said| said.status.success()) {
            eprintln!("NOT TESTED: there is no {program} on this machine (apt install {package})");
            return None;
        }
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("NOT TESTED: only root can make a whole system in a directory and run its programs");
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("roots");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{release}.tar"));
    let age = |file: &Path| SystemTime::now().duration_since(file.metadata().ok()?.modified().ok()?).ok();
    if age(&file).is_none_or(|age| age.as_secs() > 86_400) {
        let half = file.with_extension(format!("{}.half.tar", std::process::id()));
        let mut command = Command::new("mmdebstrap");
        command
            .args([
                "--quiet",
                "--mode=root",
                "--variant=minbase",
                "--components=main,non-free-firmware",
                "--include",
                packages,
                release,
            ])
            .arg(&half);
        let made = command.stdin(Stdio::null()).output().unwrap();
        if !made.status.success() {
            eprintln!("NOT TESTED: mmdebstrap could not make a root:\n{}", String::from_utf8_lossy(&made.stderr));
            return None;
        }
        // A cut run leaves no half file at this name.
        fs::hard_link(&half, &file).or_else(|_| fs::copy(&half, &file).map(drop)).unwrap();
        fs::remove_file(half).unwrap();
    }
    Some(file)
}

/// A whole system in a directory of its own.
struct Root {
    folder: TempDir,
}

impl Root {
    fn unpacked(file: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        let root = Self { folder };
        let unpacked = Command::new("tar").arg("-xpf").arg(file).arg("-C").arg(root.path()).output().unwrap();
        assert!(unpacked.status.success(), "{}", words(&unpacked));
        root.write("kiosk.toml", SETTINGS);
        root
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    /// A file beside the root.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn put(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn provision(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pikiosk"));
        command.args(["provision", "--yes", "--root"]).arg(self.path());
        command.arg("--config").arg(self.folder.path().join("kiosk.toml"));
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a program of this system, with the file systems of the kernel that programs look for.
    fn run(&self, script: &str) -> Output {
        let enter =
            "mount -t proc proc \"$1/proc\" && mount -t tmpfs tmpfs \"$1/run\" && exec chroot \"$1\" sh -c \"$2\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "sh", "-c", enter, "sh"]).arg(self.path()).arg(script);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output().unwrap()
    }

    fn must(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(output.status.success(), "{script}\n{}", words(&output));
        words(&output)
    }

    /// Every path with what it is, to the byte; not what the kernel or time alone changes.
    fn tree(&self) -> BTreeMap<PathBuf, String> {
        let mut tree = BTreeMap::new();
        let mut ahead = vec![self.path()];
        while let Some(folder) = ahead.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let (path, of) = (entry.path(), entry.metadata().unwrap());
                let what = match of.file_type() {
                    kind if kind.is_symlink() => format!("-> {}", fs::read_link(&path).unwrap().display()),
                    kind if kind.is_dir() => {
                        ahead.push(path.clone());
                        "directory".to_owned()
                    }
                    kind if kind.is_file() => {
                        format!("{:?}", ring::digest::digest(&ring::digest::SHA256, &fs::read(&path).unwrap()))
                    }
                    _ => "device".to_owned(),
                };
                tree.insert(path, format!("{:o} {}:{} {what}", of.mode(), of.uid(), of.gid()));
            }
        }
        tree
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", words(output));
    words(output)
}

/// A card for another processor: its programs do not run here.
fn not_runnable(root: &Root, yes: bool) {
    let mode = if yes { 0o644 } else { 0o755 };
    fs::set_permissions(root.at("/usr/bin/true"), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_small_debian_becomes_a_kiosk_and_is_itself_again() {
    let Some(packed) = packed("trixie", "systemd-sysv,openssh-server,udev,tzdata") else { return };
    let root = Root::unpacked(&packed);
    as_a_card_of_debian(&root);
    not_runnable(&root, true);
    let before = root.tree();

    done(&root.provision(&[]));
    assert!(root.text("/var/lib/pikiosk/provision/first-boot.json").contains("matchbox-window-manager"));
    assert!(done(&root.provision(&[])).contains("nothing to change"));
    assert!(done(&root.provision(&["--check"])).contains("nothing to change"));
    done(&root.provision(&["--undo"]));
    let after = root.tree();
    let differ: Vec<_> = before
        .iter()
        .filter(|(path, what)| after.get(*path) != Some(*what))
        .chain(after.iter().filter(|(path, _)| !before.contains_key(*path)))
        .collect();
    assert!(differ.is_empty(), "{differ:#?}");

    done(&root.provision(&[]));
    not_runnable(&root, false);
    right(&root);
    debians_own_boot_files_hold_what_was_asked_for(&root);

    not_runnable(&root, true);
    fs::write(root.at("/etc/hostname"), "somebody's\n").unwrap();
    assert_eq!(root.provision(&["--check"]).status.code(), Some(3));
    done(&root.provision(&[]));
    assert_eq!(root.text("/etc/hostname"), "lobby\n", "drift is put right");
}

#[test]
fn whole_systems_become_kiosks() {
    let Some(which) = std::env::var_os("PIKIOSK_ROOTS") else {
        eprintln!("NOT TESTED: whole systems are made by `make provision-roots`");
        return;
    };
    for release in ["bookworm", "trixie"] {
        for raspberry in [false, true] {
            let name = format!("{release}{}", if raspberry { "-raspberry" } else { "" });
            if which != "all" && *which != *name {
                continue;
            }
            eprintln!("{name}: a root, and everything that apt brings");
            let Some(packed) = packed(release, "systemd-sysv,udev,tzdata,ca-certificates") else { return };
            let root = Root::unpacked(&packed);
            fs::copy("/etc/resolv.conf", root.at("/etc/resolv.conf")).unwrap();
            match raspberry {
                true => as_raspberry_pi_os(&root, release),
                false => as_a_card_of_debian(&root),
            }
            done(&root.provision(&[]));
            assert!(done(&root.provision(&[])).contains("nothing to change"), "{name}");
            right(&root);
            x_takes_its_configuration(&root);
            match raspberry {
                true => raspberry_pi_os_has_its_own_ways(&root, release),
                false => debians_own_boot_files_hold_what_was_asked_for(&root),
            }
            eprintln!("{name}: right");
        }
    }
}

/// What raspi-firmware and its hook leave on a card of Debian.
fn as_a_card_of_debian(root: &Root) {
    let hook = "#!/bin/sh\nset -e\ncmdline_custom=\"/etc/default/raspi-extra-cmdline\"\n\
                post_cmdline=$(cat $cmdline_custom)\nfirmware_custom=/etc/default/raspi-firmware-custom\n\
                cat >/boot/firmware/config.txt <<EOF\narm_64bit=1\n\nenable_uart=1\n\n$(cat ${firmware_custom})\nEOF\n\
                cat >/boot/firmware/cmdline.txt <<EOF\n console=tty0 root=LABEL=rootfs rw rootwait ${post_cmdline}\nEOF\n";
    root.put("/etc/kernel/postinst.d/z50-raspi-firmware", hook);
    root.put("/boot/firmware/cmdline.txt", " console=tty0 root=LABEL=rootfs rw rootwait \n");
    root.put("/boot/firmware/config.txt", "arm_64bit=1\n\nenable_uart=1\n");
    for name in ["cmdline.txt", "config.txt"] {
        let path = root.at("/boot/firmware").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Files of Raspberry Pi OS, as pi-gen lays them down.
fn as_raspberry_pi_os(root: &Root, release: &str) {
    root.put("/etc/rpi-issue", "Raspberry Pi reference 2025-11-24\n");
    let token = if release == "trixie" { "resize" } else { "init=/usr/lib/raspberrypi-sys-mods/firstboot" };
    let cmdline = format!(
        "console=serial0,115200 console=tty1 root=PARTUUID=a-02 rootfstype=ext4 fsck.repair=yes rootwait {token}\n"
    );
    root.put("/boot/firmware/cmdline.txt", &cmdline);
    root.put("/boot/firmware/config.txt", "dtparam=audio=on\ndtoverlay=vc4-kms-v3d\n\n[cm4]\notg_mode=1\n\n[all]\n");
    root.put("/boot/config.txt", "DO NOT EDIT THIS FILE\n");
    root.put(
        "/usr/lib/systemd/system/userconfig.service",
        "[Unit]\nDescription=User configuration dialog\n[Service]\nExecStart=/bin/false\n",
    );
    root.must("apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends network-manager");
    root.put("/var/lib/NetworkManager/NetworkManager.state", "[main]\nWirelessEnabled=false\n");
    root.must("useradd --create-home --groups video,sudo pi");
}

/// Every tool of the system that reads one of these files says that it is right.
fn right(root: &Root) {
    let must = |script: &str| root.must(script);
    assert!(must("id kiosk").contains("(video)") && must("id pikiosk").contains("(kiosk)"));
    must("grpck -r");
    let complaints = words(&root.run("pwck -r"));
    assert!(!complaints.contains("kiosk'"), "{complaints}");
    let kept = must(
        "cd /etc && cp passwd group shadow gshadow /run && systemd-sysusers pikiosk.conf && for of in passwd group shadow gshadow; do cmp $of /run/$of; done",
    );
    assert_eq!(kept, "", "systemd would make the same accounts");
    must("mkdir -p /run/sshd && sshd -t");
    let sshd = must("mkdir -p /run/sshd && sshd -T");
    for line in [
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "authorizedkeysfile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u",
    ] {
        assert!(sshd.contains(line), "{line}\n{sshd}");
    }
    must("ssh-keygen -l -f /etc/ssh/authorized_keys.d/root");
    let made = must("systemd-tmpfiles --create pikiosk.conf && stat -c '%a %U %G' /run/pikiosk /run/pikiosk/profile");
    assert_eq!(made, "2751 pikiosk kiosk\n700 kiosk kiosk\n");
    let units = "default.target pikiosk.service pikiosk-repair.service pikiosk-first-boot.service getty@tty1.service ssh.service";
    let verify = root.run(&format!("systemd-analyze verify --man=no --recursive-errors=no {units}"));
    assert!(verify.status.success() && words(&verify).trim().is_empty(), "{}", words(&verify));
    for unit in ["apt-daily.timer", "ctrl-alt-del.target"] {
        assert_eq!(words(&root.run(&format!("systemctl is-enabled {unit}"))).trim(), "masked");
    }
    for unit in ["pikiosk.service", "ssh.service", "getty@tty1.service"] {
        assert_eq!(words(&root.run(&format!("systemctl is-enabled {unit}"))).trim(), "enabled", "{unit}");
    }
    assert!(must("systemctl get-default").contains("multi-user.target"));
    let config = must("systemd-analyze cat-config systemd/journald.conf");
    assert!(config.rfind("Storage=volatile") > config.rfind("#Storage="), "{config}");
    assert_eq!(must("readlink /etc/localtime").trim(), "/usr/share/zoneinfo/Europe/Zurich");
    must("test -e /etc/localtime && test \"$(hostname --file /etc/hostname 2>/dev/null; cat /etc/hostname)\" = lobby");
    the_session_starts_x_on_tty1_only(root);
}

/// The files of the home are run by the shells that will run them, with stand-ins for the programs they start.
fn the_session_starts_x_on_tty1_only(root: &Root) {
    let stand_in = |name: &str, text: &str| {
        // Where /etc/profile looks first.
        let path = root.at("/usr/local/bin").join(name);
        root.put(&format!("/usr/local/bin/{name}"), &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    stand_in("tty", "echo ${TTY_OF_TEST}");
    for name in ["systemd-cat", "xset", "xmodmap", "matchbox-window-manager", "pikiosk"] {
        stand_in(name, &format!("echo \"{name} $*\" >>/home/kiosk/ran"));
    }
    // There is no X to set anything of, and for one question there is one.
    stand_in("xset", "echo \"xset $*\" >>/home/kiosk/ran; test \"$*\" = q && mkdir /home/kiosk/asked 2>/dev/null");
    // The first line of the unit that systemd runs before the login: it makes the home new.
    let getty = root.text("/etc/systemd/system/getty@tty1.service.d/pikiosk.conf");
    let restore = getty.lines().find_map(|line| line.strip_prefix("ExecStartPre=-")).unwrap();
    root.put("/home/kiosk/left-behind", "by a page");
    root.must("chown kiosk: /home/kiosk/left-behind");
    root.must(restore);
    assert!(!root.at("/home/kiosk/left-behind").exists() && root.at("/home/kiosk/.xsessionrc").exists());
    let login = |tty: &str| {
        let environment = format!("HOME=/home/kiosk USER=kiosk TTY_OF_TEST={tty} PATH=/usr/local/bin:/usr/bin:/bin");
        root.must(&format!(
            "rm -f /home/kiosk/ran; cd /home/kiosk; setpriv --reuid=kiosk --regid=kiosk --init-groups env -i {environment} \
             bash --login -c 'echo shell'; cat /home/kiosk/ran 2>/dev/null || :"
        ))
    };
    assert_eq!(login("/dev/pts/0"), "shell\n");
    assert_eq!(login("/dev/tty2"), "shell\n");
    assert_eq!(login("/dev/tty1"), "systemd-cat --identifier=kiosk-session startx\n");
    // As /etc/X11/Xsession reads it: with -e.
    let session = root.must(
        "rm -f /home/kiosk/ran; cd /home/kiosk; setpriv --reuid=kiosk --regid=kiosk --init-groups env -i HOME=/home/kiosk \
         PATH=/usr/local/bin:/usr/bin:/bin sh -e -c '. ./.xsessionrc'; sleep 0.2; sort /home/kiosk/ran",
    );
    for line in [
        "xset s off",
        "xset -dpms",
        "matchbox-window-manager -use_titlebar no",
        "systemd-cat --identifier=pikiosk-browser pikiosk browser",
    ] {
        assert!(session.contains(line), "{line}\n{session}");
    }
    root.must("rm -f /usr/local/bin/*; sh -n /home/kiosk/.xserverrc");
    root.must(restore);
}

/// The hook of Debian's firmware package writes the boot files anew: what was asked for is in them again.
fn debians_own_boot_files_hold_what_was_asked_for(root: &Root) {
    let wanted = "video=HDMI-A-1:1920x1080@60D fbcon=rotate:1 consoleblank=0 cfg80211.ieee80211_regdom=CH quiet";
    assert!(root.text("/boot/firmware/cmdline.txt").contains(wanted));
    root.must("sh -e /etc/kernel/postinst.d/z50-raspi-firmware");
    assert!(root.text("/boot/firmware/cmdline.txt").contains(wanted));
    assert!(root.text("/boot/firmware/config.txt").contains("[all]\ndisable_splash=1"));
    not_runnable(root, true);
    assert!(done(&root.provision(&["--check"])).contains("nothing to change"), "a kernel update is no drift");
    not_runnable(root, false);
    assert!(root.text("/etc/wpa_supplicant/wpa_supplicant-wlan0.conf").contains("country=CH"));
}

fn raspberry_pi_os_has_its_own_ways(root: &Root, release: &str) {
    let cmdline = root.text("/boot/firmware/cmdline.txt");
    let token = if release == "trixie" { " resize " } else { " init=/usr/lib/raspberrypi-sys-mods/firstboot " };
    assert!(cmdline.contains(token) && cmdline.contains(" quiet ") && cmdline.lines().count() == 1, "{cmdline}");
    assert!(root.text("/boot/firmware/config.txt").contains("[all]\ndisable_splash=1\ndtparam=watchdog=on"));
    assert_eq!(words(&root.run("systemctl is-enabled userconfig.service")).trim(), "masked");
    assert!(root.text("/var/lib/NetworkManager/NetworkManager.state").contains("WirelessEnabled=true"));
    let connection = root.at("/etc/NetworkManager/system-connections/pikiosk-wifi.nmconnection");
    assert_eq!(connection.metadata().unwrap().mode() & 0o777, 0o600);
    // NetworkManager's own reader of its files.
    let told = root.run("nmcli --offline connection modify con-name x </etc/NetworkManager/system-connections/pikiosk-wifi.nmconnection");
    assert!(told.status.success() && words(&told).contains("key-mgmt=wpa-psk"), "{}", words(&told));
}

/// The X server itself reads our configuration; its screen here is memory.
fn x_takes_its_configuration(root: &Root) {
    root.must("DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends xserver-xorg-video-dummy");
    let dummy = "Section \"Device\"\nIdentifier \"dummy\"\nDriver \"dummy\"\nEndSection\n";
    root.put("/etc/X11/xorg.conf.d/99-dummy.conf", dummy);
    let log = root.must(
        "mkdir -p /tmp/.X11-unix; timeout 20 /usr/lib/xorg/Xorg :7 -logfile /run/x.log -novtswitch -sharevts vt7 >/run/out 2>&1 & \
         n=0; while [ $n -lt 100 ] && ! grep -q 'DUMMY(0)' /run/x.log 2>/dev/null; do n=$((n+1)); sleep 0.1; done; \
         kill %1; wait; cat /run/x.log /run/out",
    );
    for line in
        ["(**) Option \"DontVTSwitch\" \"true\"", "(**) Option \"DontZap\" \"true\"", "(**) Option \"BlankTime\" \"0\""]
    {
        assert!(log.contains(line), "{line}\n{log}");
    }
    fs::remove_file(root.at("/etc/X11/xorg.conf.d/99-dummy.conf")).unwrap();
}
