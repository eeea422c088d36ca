//! A system below a directory: a card or an image that is mounted, or a root that is being made.

use std::{
    cell::OnceCell,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Abilities, Observe, Owner, Ran, Stat, System, launch::launch, real::FAT, tree::Tree};

/// Runs a program in a root with what programs expect to find there, in a mount namespace that goes with it.
///
/// The name server's address is the host's, unless the root's is a link (it would lead to the host's own file).
const ENTER: &str = r#"
set -e
root=$1; shift
for dir in proc sys dev; do [ -d "$root/$dir" ] && [ ! -L "$root/$dir" ] && mount --rbind "/$dir" "$root/$dir"; done
if [ -f "$root/etc/resolv.conf" ] && [ ! -L "$root/etc/resolv.conf" ] && [ ! -L "$root/etc" ] && [ -e /etc/resolv.conf ]
then mount --bind /etc/resolv.conf "$root/etc/resolv.conf"; fi
exec chroot "$root" "$@"
"#;

/// Where Debian keeps programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A directory as `/`.
#[derive(Debug)]
pub struct Mounted {
    root: PathBuf,
    tree: Tree,
    fat: Option<&'static str>,
    /// Found out when first asked: a program is run for it.
    run: OnceCell<bool>,
}

impl Mounted {
    pub fn open(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        let tree = Tree::open(&root)?;
        let fat = FAT.into_iter().find(|path| tree.is_fat(Path::new(path)));
        Ok(Self { root, tree, fat, run: OnceCell::new() })
    }

    /// Can programs of this root run here? Asked by running one: that covers rights, architecture and what is missing.
    fn can_run(&self) -> bool {
        *self.run.get_or_init(|| {
            nix::unistd::geteuid().is_root()
                && matches!(self.tree.stat(Path::new("/usr/bin/true")), Ok(Some(_)))
                && Command::new("chroot")
                    .arg(&self.root)
                    .arg("/usr/bin/true")
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .is_ok_and(|status| status.success())
        })
    }
}

impl Observe for Mounted {
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.tree.stat(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.tree.read(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.tree.list(path)
    }

    fn abilities(&self) -> Abilities {
        Abilities { run: self.can_run(), live: false, fat: self.fat }
    }
}

impl System for Mounted {
    fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()> {
        self.tree.write(path, bytes, mode, owner)
    }

    fn make_dir(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        self.tree.make_dir(path, mode, owner)
    }

    fn link(&mut self, path: &Path, target: &str, owner: Owner) -> io::Result<()> {
        self.tree.link(path, target, owner)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.tree.remove(path)
    }

    fn own(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        self.tree.own(path, mode, owner)
    }

    fn sweep(&mut self, path: &Path) -> io::Result<()> {
        self.tree.sweep(path)
    }

    fn run(
        &mut self,
        program: &str,
        arguments: &[String],
        environment: &[(String, String)],
        told: &mut dyn FnMut(&str),
    ) -> io::Result<Ran> {
        if !self.can_run() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "programs of this root cannot run here"));
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh"]).arg(&self.root).arg(program);
        // Nothing in the root shall start a service of this machine.
        command.args(arguments).env_clear().env("PATH", PATH).env("HOME", "/root").env("SYSTEMD_OFFLINE", "1");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        launch(command, told)
    }

    /// Each call is on the medium when it returns.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_root_below_a_directory_behaves_as_a_system() {
        let root = tempfile::tempdir().unwrap();
        super::super::suite::behaves(&mut Mounted::open(root.path()).unwrap());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing is left beside");
    }

    #[test]
    fn a_link_in_the_root_never_leads_out_of_it() {
        let around = tempfile::tempdir().unwrap();
        let (root, outside) = (around.path().join("root"), around.path().join("outside"));
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "the host's").unwrap();
        fs::write(root.join("etc/hostname"), "inside").unwrap();
        let host = outside.to_str().unwrap();
        symlink(host, root.join("absolute")).unwrap();
        symlink("../../../../../../../..", root.join("above")).unwrap();
        symlink("../outside", root.join("beside")).unwrap();
        symlink("/etc", root.join("conf")).unwrap();
        let mut mounted = Mounted::open(&root).unwrap();
        for way in ["/absolute/file", "/beside/file", "/../outside/file", &format!("/above{host}/file")] {
            let way = Path::new(way);
            assert!(mounted.read(way).is_err(), "{}", way.display());
            assert_eq!(mounted.stat(way).unwrap(), None);
            assert!(mounted.write(way, b"overwritten", 0o644, Owner::ROOT).is_err());
            assert!(mounted.link(way, "x", Owner::ROOT).is_err());
            assert!(mounted.make_dir(way, 0o755, Owner::ROOT).is_err());
            assert!(mounted.own(way, 0o777, Owner::ROOT).is_err());
            mounted.remove(way).unwrap();
            mounted.sweep(way).unwrap();
        }
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"the host's");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(mounted.read(Path::new("/conf/hostname")).unwrap(), b"inside", "/etc is the root's own");
        assert_eq!(mounted.read(Path::new("/above/etc/hostname")).unwrap(), b"inside");
    }

    #[test]
    fn a_directory_without_programs_cannot_run_any() {
        let root = tempfile::tempdir().unwrap();
        let mut mounted = Mounted::open(root.path()).unwrap();
        assert!(!mounted.abilities().run);
        assert!(mounted.run("true", &[], &[], &mut |_| {}).is_err());
    }
}
