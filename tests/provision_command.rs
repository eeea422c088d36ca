//! `pikiosk provision` as a person runs it: the binary itself on a directory that holds a system, killed at any moment,
//! undone, and over ssh. As root, as it is meant to be run; otherwise these say so and pass.
#![cfg(feature = "tools")]
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(clippy::print_stderr, reason = "figures, and what was left out")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Every path with what it is: content or target, mode, owner.
type Tree = BTreeMap<PathBuf, Node>;
type Node = (Vec<u8>, u32, u32, u32);

/// A directory with as much of Debian as provisioning looks at, and a kiosk.toml.
struct Root {
    around: tempfile::TempDir,
}

impl Root {
    /// `None` for who is not root: nothing here could give files away.
    fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("left out: only root can provision");
            return None;
        }
        let root = Self { around: tempfile::tempdir().unwrap() };
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let dpkg = format!("Package: dpkg\nStatus: install ok installed\nArchitecture: {architecture}\n");
        for (path, content, mode) in [
            ("usr/lib/os-release", "ID=debian\nVERSION_CODENAME=trixie\nPRETTY_NAME=\"Debian 13\"\n", 0o644),
            ("var/lib/dpkg/status", &dpkg, 0o644),
            ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n", 0o644),
            ("etc/group", "root:x:0:\ntty:x:5:\naudio:x:29:\nvideo:x:44:\ninput:x:105:\nrender:x:106:\n", 0o644),
            ("etc/shadow", "root:*:19000:0:99999:7:::\n", 0o640),
            ("etc/gshadow", "root:*::\nvideo:!::\n", 0o640),
            ("etc/hostname", "raspberrypi\n", 0o644),
            ("etc/hosts", "127.0.0.1 localhost\n", 0o644),
            ("boot/firmware/cmdline.txt", "console=tty1 root=LABEL=rootfs rootwait\n", 0o755),
            ("boot/firmware/config.txt", "arm_64bit=1\n", 0o755),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::write(root.config(), "[display]\nid = \"lobby\"\nurl = \"https://example.org/\"\n").unwrap();
        Some(root)
    }

    fn path(&self) -> PathBuf {
        self.around.path().join("root")
    }

    fn config(&self) -> PathBuf {
        self.around.path().join("kiosk.toml")
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pikiosk"));
        command.arg("provision").arg("--root").arg(self.path()).args(flags);
        if !flags.contains(&"--undo") {
            // Any program of this processor will do, and a small one is quick.
            command.arg("--config").arg(self.config()).args(["--binary", "/bin/true"]);
        }
        command.stdin(Stdio::null());
        command
    }

    fn provision(&self, flags: &[&str]) -> Output {
        self.command(flags).output().unwrap()
    }

    /// A file that was not there before, by the receipt.
    fn a_file_of_ours(&self) -> PathBuf {
        let receipt = fs::read(self.path().join("var/lib/pikiosk/provision/receipt.json")).unwrap();
        let receipt: Value = serde_json::from_slice(&receipt).unwrap();
        let entries = receipt["entries"].as_object().unwrap();
        let ours = |it: &Value| it["before"]["is"] == "absent" && it["left"]["is"] == "file";
        let (path, _) = entries.iter().find(|(path, it)| path.starts_with("/etc/systemd/") && ours(it)).unwrap();
        self.path().join(path.trim_start_matches('/'))
    }

    fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        collect(&self.path(), &mut tree);
        tree
    }
}

fn collect(directory: &Path, tree: &mut Tree) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_dir() {
            collect(&path, tree);
            Vec::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).unwrap()
        };
        tree.insert(path, (content, metadata.mode(), metadata.uid(), metadata.gid()));
    }
}

/// What provisioning keeps for itself is not compared: it says how it came to this.
fn without_receipt(tree: Tree) -> Tree {
    tree.into_iter().filter(|(path, _)| !path.to_str().unwrap().contains("var/lib/pikiosk/provision")).collect()
}

fn same(is: &Tree, should: &Tree) {
    let in_words = |(path, (content, mode, uid, gid)): (&PathBuf, &Node)| {
        format!("{} {mode:o} {uid}:{gid} {:?}", path.display(), String::from_utf8_lossy(content))
    };
    let differ = |a: &Tree, b: &Tree| a.iter().filter(|it| b.get(it.0) != Some(it.1)).map(in_words).collect::<Vec<_>>();
    assert_eq!((differ(is, should), differ(should, is)), (vec![], vec![]), "(is, should be)");
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn ends(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", told(output));
}

#[test]
fn a_root_becomes_a_kiosk_stays_one_and_is_undone_to_the_byte() {
    let Some(root) = Root::new() else { return };
    let before = root.tree();
    let check = root.provision(&["--check"]);
    ends(&check, 3);
    assert!(told(&check).contains("DRY RUN") && told(&check).contains("+127.0.1.1\tlobby"), "{}", told(&check));
    same(&root.tree(), &before);

    let asked = root.provision(&[]);
    ends(&asked, 2);
    assert!(told(&asked).contains("--yes"), "nobody is there to ask: {}", told(&asked));
    same(&root.tree(), &before);

    ends(&root.provision(&["--yes"]), 0);
    let after = root.tree();
    let begun = Instant::now();
    let again = root.provision(&["--yes", "--json"]);
    eprintln!("figure: the second run took {} ms", begun.elapsed().as_millis());
    ends(&again, 0);
    let result: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(result["changed"], false, "{result}");
    same(&root.tree(), &after);
    ends(&root.provision(&["--check"]), 0);

    ends(&root.provision(&["--undo", "--yes"]), 0);
    same(&root.tree(), &before);
    ends(&root.provision(&["--undo", "--yes"]), 0);
}

#[test]
fn while_one_provisions_a_system_another_may_only_look() {
    let Some(root) = Root::new() else { return };
    let before = root.tree();
    let first = fs::File::open(root.path()).unwrap();
    first.lock().unwrap();
    let second = root.provision(&["--yes"]);
    ends(&second, 14);
    assert!(told(&second).contains("another pikiosk provision is at work on it"), "{}", told(&second));
    ends(&root.provision(&["--undo", "--yes"]), 14);
    same(&root.tree(), &before);
    ends(&root.provision(&["--check"]), 3);
    drop(first);
    ends(&root.provision(&["--yes"]), 0);
}

#[test]
fn a_file_that_was_changed_by_hand_is_named_with_its_cure_and_repaired_when_asked() {
    let Some(root) = Root::new() else { return };
    ends(&root.provision(&["--yes"]), 0);
    let changed = root.a_file_of_ours();
    let ours = fs::read(&changed).unwrap();
    fs::write(&changed, "by hand\n").unwrap();
    let check = root.provision(&["--check"]);
    ends(&check, 3);
    assert!(told(&check).contains("changed since the last run"), "{}", told(&check));
    ends(&root.provision(&["--repair"]), 0);
    assert_eq!(fs::read(&changed).unwrap(), ours);

    fs::write(&changed, "by hand\n").unwrap();
    let undo = root.provision(&["--undo", "--yes"]);
    ends(&undo, 15);
    let name = changed.file_name().unwrap().to_str().unwrap();
    assert!(told(&undo).contains(&format!("{name}: somebody changed it since")), "{}", told(&undo));
    assert_eq!(fs::read(&changed).unwrap(), b"by hand\n");
    fs::remove_file(&changed).unwrap();
    ends(&root.provision(&["--undo", "--yes"]), 0);
}

/// Found on a card for a Pi, provisioned again from a PC whose own pikiosk does not run there: it was taken away.
#[test]
fn a_card_keeps_its_program_where_none_for_its_processor_is_at_hand() {
    let Some(root) = Root::new() else { return };
    ends(&root.provision(&["--yes"]), 0);
    let program = root.path().join("usr/bin/pikiosk");
    let ours = fs::read(&program).unwrap();
    let status = root.path().join("var/lib/dpkg/status");
    let packages = fs::read_to_string(&status).unwrap();
    // No processor that anybody builds pikiosk for.
    fs::write(&status, packages.replace("amd64", "armhf").replace("arm64", "armhf")).unwrap();
    let again = |flag: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pikiosk"));
        command.args(["provision", flag, "--root"]).arg(root.path()).arg("--config").arg(root.config());
        command.stdin(Stdio::null()).output().unwrap()
    };
    let check = again("--check");
    assert!(!told(&check).contains("/usr/bin/pikiosk"), "{}", told(&check));
    ends(&again("--yes"), 0);
    assert!(fs::read(&program).is_ok_and(|bytes| bytes == ours), "the program is gone");
}

#[test]
fn killed_at_any_moment_another_run_finishes_it_and_undo_still_restores_all() {
    const KILLS: u32 = 40;
    let Some(whole) = Root::new() else { return };
    let before = whole.tree().len();
    let begun = Instant::now();
    ends(&whole.provision(&["--yes"]), 0);
    let took = begun.elapsed();
    let strip = |root: &Root, tree: Tree| -> Tree {
        tree.into_iter().map(|(path, node)| (path.strip_prefix(root.path()).unwrap().to_owned(), node)).collect()
    };
    let finished = strip(&whole, without_receipt(whole.tree()));
    let mut random = fastrand::Rng::with_seed(7);
    let (mut killed, mut halfway) = (0, 0);
    for round in 0..KILLS {
        let root = Root::new().unwrap();
        let start = root.tree();
        let mut run = root.command(&["--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment is what is tried, so this waits for a time and not for an event.
        std::thread::sleep(took.mul_f64(random.f64()));
        run.kill().unwrap();
        killed += u32::from(!run.wait().unwrap().success());
        halfway += u32::from(root.tree().len() > before);
        if round % 2 == 0 {
            ends(&root.provision(&["--yes"]), 0);
            same(&strip(&root, without_receipt(root.tree())), &finished);
            ends(&root.provision(&["--check"]), 0);
        }
        // An undo is killed as well.
        let mut undo = root.command(&["--undo", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(took.mul_f64(random.f64()));
        undo.kill().unwrap();
        undo.wait().unwrap();
        ends(&root.provision(&["--undo", "--yes"]), 0);
        same(&root.tree(), &start);
    }
    eprintln!("figure: {KILLS} runs killed with SIGKILL: {killed} before their end, {halfway} with something done");
    assert!(halfway > 0, "no run was killed in the middle");
}

/// An sshd of our own on loopback, with keys of its own and nothing of the machine's.
struct Sshd {
    child: Child,
    around: tempfile::TempDir,
    port: u16,
}

impl Sshd {
    fn start() -> Option<Self> {
        if !Path::new("/usr/sbin/sshd").exists() {
            eprintln!("left out: no sshd here (apt install openssh-server)");
            return None;
        }
        let around = tempfile::tempdir().unwrap();
        let at = |name: &str| around.path().join(name);
        for name in ["host", "user"] {
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at(name)).status();
            assert!(made.unwrap().success());
        }
        fs::copy(at("user.pub"), at("authorized_keys")).unwrap();
        // What sshd wants there for its unprivileged half.
        fs::create_dir_all("/run/sshd").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = around.path().display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nAuthorizedKeysFile {dir}/authorized_keys\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        );
        fs::write(at("sshd_config"), config).unwrap();
        // `ssh` as the command finds it: the person's own settings stand in for by -F.
        let ssh = format!(
            "#!/bin/sh\nexec /usr/bin/ssh -F none -p {port} -i {dir}/user -o IdentitiesOnly=yes -o BatchMode=yes \
             -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \"$@\"\n"
        );
        fs::create_dir(at("bin")).unwrap();
        fs::write(at("bin/ssh"), ssh).unwrap();
        fs::set_permissions(at("bin/ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        let child =
            Command::new("/usr/sbin/sshd").arg("-D").arg("-f").arg(at("sshd_config")).stderr(Stdio::null()).spawn();
        let sshd = Self { child: child.unwrap(), around, port };
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", sshd.port)).is_err() {
            assert!(Instant::now() < deadline, "sshd does not listen");
            std::thread::yield_now();
        }
        Some(sshd)
    }

    fn provision(&self, host: &str, flags: &[&str]) -> Output {
        let path = format!("{}/bin:{}", self.around.path().display(), std::env::var("PATH").unwrap());
        Command::new(env!("CARGO_BIN_EXE_pikiosk"))
            .args(["provision", "--host", host])
            .args(flags)
            .env("PATH", path)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_pi_is_checked_over_ssh_and_its_answer_and_exit_code_come_back() {
    let Some(root) = Root::new() else { return };
    let Some(sshd) = Sshd::start() else { return };
    let config = root.config();
    // By this, what is ours in /tmp is told from what others leave there.
    let mark = format!("# {}\n{}", root.path().display(), fs::read_to_string(&config).unwrap());
    fs::write(&config, &mark).unwrap();
    // This machine is not to be changed: only looked at.
    let check = sshd.provision("root@127.0.0.1", &["--check", "--config", config.to_str().unwrap()]);
    ends(&check, 3);
    assert!(told(&check).contains("DRY RUN") && told(&check).contains("/etc/pikiosk/kiosk.toml"), "{}", told(&check));
    let json = sshd.provision("root@127.0.0.1", &["--check", "--json", "--config", config.to_str().unwrap()]);
    ends(&json, 3);
    let result: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(result["target"], "this Pi", "stdout is the other's, and nothing else");
    let copies = fs::read_dir("/tmp").unwrap().map(|entry| entry.unwrap().path().join("kiosk.toml"));
    let left = copies.filter(|copy| fs::read_to_string(copy).is_ok_and(|text| text == mark));
    let left: Vec<_> = left.filter(|copy| copy.to_str().unwrap().starts_with("/tmp/pikiosk")).collect();
    assert!(left.is_empty(), "nothing stays in /tmp: {left:?}");

    let wrong = root.path().join("wrong");
    fs::write(&wrong, "no program").unwrap();
    let wrong = sshd.provision("root@127.0.0.1", &["--check", "--binary", wrong.to_str().unwrap()]);
    ends(&wrong, 2);
    assert!(told(&wrong).contains("it is no program"), "{}", told(&wrong));
    ends(&sshd.provision("nobody-there@127.0.0.1", &["--check"]), 21);
    ends(&sshd.provision("-oProxyCommand=true", &["--check"]), 2);
}
