//! Mounts disks after a power cut and looks what is there.

use std::{
    fmt, fs,
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc::Receiver},
    thread::{self, JoinHandle},
};

use super::{
    Durable,
    disk::{SIZE, mount, unmount},
    states::State,
};

/// Mounting is mostly waiting for the kernel.
const JUDGES: usize = 4;
/// Failures that are told in words.
const TOLD: usize = 5;

#[derive(Debug, Clone, Default)]
pub struct Row {
    pub name: &'static str,
    pub torn: u64,
    pub missing: u64,
    pub older: u64,
    told: Vec<String>,
}

/// How many states there were, and what was wrong with each subject.
#[derive(Debug, Default)]
pub struct Verdicts {
    pub states: u64,
    rows: Vec<Row>,
}

impl Verdicts {
    pub fn of(subjects: &[Box<dyn Durable>]) -> Self {
        let names = subjects.iter().map(|subject| subject.name());
        Verdicts { states: 0, rows: names.map(|name| Row { name, ..Row::default() }).collect() }
    }

    pub fn add(&mut self, other: Verdicts) {
        self.states += other.states;
        for (row, other) in self.rows.iter_mut().zip(other.rows) {
            row.torn += other.torn;
            row.missing += other.missing;
            row.older += other.older;
            row.told.extend(other.told);
        }
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// In words, the first few.
    pub fn failures(&self) -> Vec<&String> {
        self.rows.iter().flat_map(|row| row.told.iter().take(TOLD)).collect()
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{} crash states             torn  missing    older", self.states)?;
        for row in &self.rows {
            writeln!(f, "  {:28} {:6} {:8} {:8}", row.name, row.torn, row.missing, row.older)?;
        }
        Ok(())
    }
}

pub fn start(states: Receiver<State>, subjects: Arc<[Box<dyn Durable>]>) -> Vec<JoinHandle<Verdicts>> {
    let states = Arc::new(Mutex::new(states));
    let judge = |_| {
        let (states, subjects) = (states.clone(), subjects.clone());
        thread::spawn(move || {
            // In memory where there is room for it in memory: nothing here has to outlive anything.
            let shared = Path::new("/dev/shm");
            let mut builder = tempfile::Builder::new();
            let place = builder.prefix("pikiosk-power-");
            let place = if shared.is_dir() { place.tempdir_in(shared) } else { place.tempdir() }.unwrap();
            fs::create_dir(place.path().join("mount")).unwrap();
            let mut verdicts = Verdicts::of(&subjects);
            loop {
                let next = states.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(state) = next else { return verdicts };
                judge_one(place.path(), &state, &subjects, &mut verdicts);
            }
        })
    };
    (0..JUDGES).map(judge).collect()
}

fn judge_one(place: &Path, state: &State, subjects: &[Box<dyn Durable>], verdicts: &mut Verdicts) {
    // A new file each time: no cache knows it.
    let image = place.join(format!("image-{}", verdicts.states));
    let at = place.join("mount");
    let file = File::create(&image).unwrap();
    file.set_len(SIZE).unwrap();
    for (at, block) in state.image.blocks() {
        file.write_all_at(block, at).unwrap();
    }
    drop(file);
    verdicts.states += 1;
    if let Err(refusal) = mount(&image, &at) {
        // The file system's own superblock was torn as it was mounted for the first time: nobody had written anything.
        assert!(state.promised.iter().all(Option::is_none), "no disk any more: {refusal}; {}", state.told);
        return fs::remove_file(&image).unwrap();
    }
    for ((subject, row), promised) in subjects.iter().zip(&mut verdicts.rows).zip(&state.promised) {
        let found = subject.read(&at.join(subject.name()));
        let mut tell = |count: fn(&mut Row) -> &mut u64, what: String| {
            *count(row) += 1;
            row.told.push(format!("{}: {what}; {}", subject.name(), state.told));
        };
        if !found.torn.is_empty() {
            tell(|row| &mut row.torn, format!("torn: {}", found.torn.join(", ")));
        }
        match (promised, found.newest) {
            (Some(promised), None) => {
                tell(|row| &mut row.missing, format!("{promised} was promised, nothing is there"))
            }
            (Some(promised), Some(newest)) if newest < *promised => {
                tell(|row| &mut row.older, format!("{promised} was promised, {newest} is there"));
            }
            _ => {}
        }
    }
    unmount(&at);
    fs::remove_file(&image).unwrap();
}
