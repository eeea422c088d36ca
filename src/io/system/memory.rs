//! A system that is a map: for tests of everything that provisions, with faults at any call.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    path::{Component, Path, PathBuf},
};

use nix::errno::Errno;

use super::{Abilities, Kind, MAX_LINKS, Observe, Owner, Ran, Stat, System};

/// One thing in the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub what: What,
    /// 0o777 for links.
    pub mode: u32,
    pub owner: Owner,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    File(Vec<u8>),
    Directory,
    Link(String),
    Other,
}

/// What goes wrong, at the n-th changing call from now (0 is the next one).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// That call is refused (EIO) and changes nothing; the ones after it work.
    Refused(usize),
    /// The power goes before that call: nothing works any more until [`Memory::boot`].
    CutBefore(usize),
    /// The power goes within that call: a file is half written beside its place, a directory has a mode of its own.
    CutWithin(usize),
    /// The power goes after that call, before its caller knows that it worked.
    CutAfter(usize),
}

impl Fault {
    fn at(self) -> usize {
        match self {
            Self::Refused(at) | Self::CutBefore(at) | Self::CutWithin(at) | Self::CutAfter(at) => at,
        }
    }
}

/// What a program does when it is run: the test's own stand-in.
pub type Runner = Box<dyn FnMut(&mut Memory, &str, &[String]) -> io::Result<Ran> + Send>;

/// A map of paths, beginning with `/`.
pub struct Memory {
    nodes: BTreeMap<PathBuf, Node>,
    pub abilities: Abilities,
    fault: Option<Fault>,
    /// Changing calls since the fault was set, or ever.
    calls: usize,
    dark: bool,
    struck: bool,
    log: Vec<String>,
    runner: Option<Runner>,
}

impl Default for Memory {
    fn default() -> Self {
        let root = Node { what: What::Directory, mode: 0o755, owner: Owner::ROOT };
        Self {
            nodes: BTreeMap::from([(PathBuf::from("/"), root)]),
            abilities: Abilities::default(),
            fault: None,
            calls: 0,
            dark: false,
            struck: false,
            log: Vec::new(),
            runner: None,
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("nodes", &self.nodes).field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl Memory {
    /// Everything there is, to compare.
    pub fn tree(&self) -> &BTreeMap<PathBuf, Node> {
        &self.nodes
    }

    /// Puts a thing there as somebody else would: no fault, no log. Directories above it are made.
    pub fn put(&mut self, path: impl AsRef<Path>, what: What, mode: u32, owner: Owner) -> &mut Self {
        let path = path.as_ref();
        for above in path.ancestors().skip(1) {
            let directory = Node { what: What::Directory, mode: 0o755, owner: Owner::ROOT };
            self.nodes.entry(above.to_owned()).or_insert(directory);
        }
        self.nodes.insert(path.to_owned(), Node { what, mode, owner });
        self
    }

    /// A file of root's, 0644.
    pub fn put_file(&mut self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> &mut Self {
        self.put(path, What::File(content.as_ref().to_vec()), 0o644, Owner::ROOT)
    }

    /// Takes a thing and what is below it away, as somebody else would.
    pub fn take(&mut self, path: impl AsRef<Path>) {
        self.nodes.retain(|at, _| !at.starts_with(&path));
    }

    pub fn fail(&mut self, fault: Fault) {
        self.fault = Some(fault);
        self.calls = 0;
        self.struck = false;
    }

    /// The power comes back; what is there is what was there.
    pub fn boot(&mut self) {
        self.fault = None;
        self.dark = false;
    }

    /// True if the last fault that was set has struck.
    pub fn struck(&self) -> bool {
        self.struck
    }

    /// The changing calls so far, in words: `write /etc/hostname`.
    pub fn log(&self) -> &[String] {
        &self.log
    }

    pub fn clear_log(&mut self) {
        self.log.clear();
    }

    /// What programs do. Without it, every program ends well and does nothing.
    pub fn on_run(&mut self, runner: Runner) {
        self.runner = Some(runner);
    }

    fn lit(&self) -> io::Result<()> {
        if self.dark { Err(Errno::EIO.into()) } else { Ok(()) }
    }

    /// Counts a changing call and lets the fault strike: `within` is done first if the power goes in the middle of it.
    fn changing(
        &mut self,
        said: String,
        within: impl FnOnce(&mut Self),
        change: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        self.lit()?;
        self.log.push(said);
        let call = self.calls;
        self.calls += 1;
        let Some(fault) = self.fault.filter(|fault| fault.at() == call) else { return change(self) };
        self.struck = true;
        match fault {
            Fault::Refused(_) => return Err(Errno::EIO.into()),
            Fault::CutBefore(_) => {}
            Fault::CutWithin(_) => within(self),
            Fault::CutAfter(_) => change(self)?,
        }
        self.dark = true;
        Err(Errno::EIO.into())
    }

    /// The path with every link in the middle followed.
    fn place(&self, path: &Path) -> Result<PathBuf, Errno> {
        let mut ahead: VecDeque<String> = components(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            if ahead.is_empty() {
                return Ok(next);
            }
            match self.nodes.get(&next).map(|node| &node.what) {
                Some(What::Directory) => at = next,
                Some(What::Link(target)) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::ELOOP);
                    }
                    if target.starts_with('/') {
                        at = PathBuf::from("/");
                    }
                    for name in components(Path::new(target)).into_iter().rev() {
                        ahead.push_front(name);
                    }
                }
                Some(_) => return Err(Errno::ENOTDIR),
                None => return Err(Errno::ENOENT),
            }
        }
        Ok(at)
    }

    /// Where something is to be made: its parent is a directory.
    fn place_to_make(&self, path: &Path) -> Result<PathBuf, Errno> {
        let place = self.place(path)?;
        match place.parent().and_then(|parent| self.nodes.get(parent)) {
            Some(Node { what: What::Directory, .. }) => Ok(place),
            Some(_) => Err(Errno::ENOTDIR),
            None => Err(Errno::ENOENT),
        }
    }

    fn names_in(&self, directory: &Path) -> Vec<String> {
        let below = self.nodes.keys().filter(|path| path.parent() == Some(directory));
        below.filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned())).collect()
    }

    fn fat(&self, path: &Path, mode: u32, owner: Owner) -> (u32, Owner) {
        match self.abilities.fat {
            Some(fat) if path.starts_with(fat) => (0o755, Owner::ROOT),
            _ => (mode, owner),
        }
    }

    fn insert(&mut self, place: PathBuf, what: What, mode: u32, owner: Owner) {
        let (mode, owner) = self.fat(&place, mode, owner);
        self.nodes.insert(place, Node { what, mode, owner });
    }

    fn replace(&mut self, said: &str, path: &Path, what: What, mode: u32, owner: Owner) -> io::Result<()> {
        let place = self.place_to_make(path)?;
        if matches!(self.nodes.get(&place), Some(Node { what: What::Directory, .. })) {
            return Err(Errno::EISDIR.into());
        }
        let left = beside(&place);
        self.changing(
            format!("{said} {}", path.display()),
            |memory| {
                let half = Node { what: What::File(b"half".to_vec()), mode: 0o600, owner: Owner::ROOT };
                memory.nodes.insert(left.clone(), half);
            },
            |memory| {
                memory.nodes.remove(&left);
                memory.insert(place, what, mode, owner);
                Ok(())
            },
        )
    }
}

impl Observe for Memory {
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.lit()?;
        let place = match self.place(path) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            found => found?,
        };
        Ok(self.nodes.get(&place).map(|node| Stat {
            kind: match &node.what {
                What::File(bytes) => Kind::File { len: bytes.len() as u64 },
                What::Directory => Kind::Directory,
                What::Link(target) => Kind::Link { target: target.clone() },
                What::Other => Kind::Other,
            },
            mode: node.mode,
            uid: node.owner.uid,
            gid: node.owner.gid,
        }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.lit()?;
        match self.nodes.get(&self.place(path)?).map(|node| &node.what) {
            Some(What::File(bytes)) => Ok(bytes.clone()),
            Some(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
            None => Err(Errno::ENOENT.into()),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.lit()?;
        let place = match self.place(path) {
            Err(Errno::ENOENT) => return Ok(Vec::new()),
            found => found?,
        };
        match self.nodes.get(&place).map(|node| &node.what) {
            Some(What::Directory) => Ok(self.names_in(&place)),
            Some(_) => Err(Errno::ENOTDIR.into()),
            None => Ok(Vec::new()),
        }
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }
}

impl System for Memory {
    fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()> {
        self.replace("write", path, What::File(bytes.to_vec()), mode, owner)
    }

    fn make_dir(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        let place = self.place_to_make(path)?;
        if self.nodes.get(&place).is_some_and(|node| node.what != What::Directory) {
            return Err(Errno::ENOTDIR.into());
        }
        let half = place.clone();
        self.changing(
            format!("make_dir {}", path.display()),
            |memory| memory.insert(half, What::Directory, 0o700, Owner::ROOT),
            |memory| {
                memory.insert(place, What::Directory, mode, owner);
                Ok(())
            },
        )
    }

    fn link(&mut self, path: &Path, target: &str, owner: Owner) -> io::Result<()> {
        self.replace("link", path, What::Link(target.to_owned()), 0o777, owner)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let place = match self.place(path) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
            found => found?,
        };
        if !self.nodes.contains_key(&place) {
            return self.lit();
        }
        if !self.names_in(&place).is_empty() {
            return Err(Errno::ENOTEMPTY.into());
        }
        let said = format!("remove {}", path.display());
        let change = |memory: &mut Self| {
            memory.nodes.remove(&place);
            Ok(())
        };
        self.changing(said, |_| {}, change)
    }

    fn own(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        let place = self.place(path)?;
        let what = self.nodes.get(&place).ok_or(Errno::ENOENT)?.what.clone();
        if matches!(what, What::Link(_)) {
            return Err(Errno::ELOOP.into());
        }
        let (half, before) = (place.clone(), self.nodes[&place].mode);
        let kept = what.clone();
        self.changing(
            format!("own {}", path.display()),
            |memory| memory.insert(half, kept, before, owner),
            |memory| {
                memory.insert(place, what, mode, owner);
                Ok(())
            },
        )
    }

    fn sweep(&mut self, path: &Path) -> io::Result<()> {
        let Ok(place) = self.place(path) else { return Ok(()) };
        let left = beside(&place);
        if !self.nodes.contains_key(&left) {
            return self.lit();
        }
        let change = |memory: &mut Self| {
            memory.nodes.remove(&left);
            Ok(())
        };
        self.changing(format!("sweep {}", path.display()), |_| {}, change)
    }

    fn run(
        &mut self,
        program: &str,
        arguments: &[String],
        _: &[(String, String)],
        told: &mut dyn FnMut(&str),
    ) -> io::Result<Ran> {
        let said = format!("run {program} {}", arguments.join(" "));
        self.changing(said.trim_end().to_owned(), |_| {}, |_| Ok(()))?;
        let ran = match self.runner.take() {
            Some(mut runner) => {
                let ran = runner(self, program, arguments);
                self.runner = Some(runner);
                ran?
            }
            None => Ran { success: true, status: "exit status: 0".to_owned(), output: String::new() },
        };
        ran.output.lines().for_each(told);
        Ok(ran)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.lit()
    }
}

fn beside(place: &Path) -> PathBuf {
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    place.with_file_name(format!(".{name}.pikiosk-new"))
}

fn components(path: &Path) -> VecDeque<String> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            Component::ParentDir => Some("..".to_owned()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_behaves_as_a_system() {
        super::super::suite::behaves(&mut Memory::default());
    }

    #[test]
    fn a_fault_strikes_once_and_a_power_cut_until_the_next_boot() {
        let mut memory = Memory::default();
        let write = |memory: &mut Memory, name: &str| memory.write(Path::new(name), b"x", 0o644, Owner::ROOT);
        memory.fail(Fault::Refused(1));
        write(&mut memory, "/a").unwrap();
        write(&mut memory, "/b").unwrap_err();
        write(&mut memory, "/c").unwrap();
        assert_eq!(memory.list(Path::new("/")).unwrap(), ["a", "c"]);
        memory.fail(Fault::CutWithin(0));
        write(&mut memory, "/d").unwrap_err();
        memory.read(Path::new("/a")).unwrap_err();
        memory.boot();
        assert_eq!(memory.list(Path::new("/")).unwrap(), [".d.pikiosk-new", "a", "c"]);
        memory.sweep(Path::new("/d")).unwrap();
        assert_eq!(memory.list(Path::new("/")).unwrap(), ["a", "c"]);
    }
}
