//! The system this process runs on.

use std::{io, path::Path, process::Command};

use super::{Abilities, Observe, Owner, Ran, Stat, System, launch::launch, tree::Tree};

/// Where the Pi's FAT partition is mounted: since Debian bookworm, and before.
pub(super) const FAT: [&str; 2] = ["/boot/firmware", "/boot"];

/// `/`.
#[derive(Debug)]
pub struct Real {
    tree: Tree,
    abilities: Abilities,
}

impl Real {
    pub fn open() -> io::Result<Self> {
        let tree = Tree::open(Path::new("/"))?;
        let abilities = Abilities {
            run: nix::unistd::geteuid().is_root(),
            // As sd_booted(3) does it.
            live: Path::new("/run/systemd/system").is_dir(),
            fat: FAT.into_iter().find(|path| tree.is_fat(Path::new(path))),
        };
        Ok(Self { tree, abilities })
    }
}

impl Observe for Real {
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
        self.abilities
    }
}

impl System for Real {
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
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
        launch(command, told)
    }

    /// Each call is on the medium when it returns.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
