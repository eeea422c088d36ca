//! Real Celery workers, of the tasks in `tests/python/workers.py`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::signal::Signal;

use super::{
    process::{Process, send},
    wait::{seconds, until},
};

#[derive(Debug)]
pub struct Worker {
    process: Process,
    broker: String,
    backend: String,
    notes: PathBuf,
}

fn python(program: &str, broker: &str, backend: &str, notes: &Path) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join(".venv/bin").join(program);
    assert!(program.exists(), "{} is not there: run `make python`", program.display());
    let mut command = Command::new(program);
    command
        .current_dir(root.join("tests/python"))
        .env("BROKER", broker)
        .env("BACKEND", backend)
        .env("NOTES", notes)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1");
    command
}

impl Worker {
    /// Starts one that does so many tasks at a time, and waits until it takes them. In `threads` it starts quickly, in
    /// `prefork`, Celery's own default, a waiting task can be revoked.
    #[track_caller]
    pub fn start(folder: &Path, broker: &str, backend: &str, pool: &str, at_a_time: u32) -> Worker {
        let notes = folder.join("notes");
        let mut command = python("celery", broker, backend, &notes);
        command.args(["-A", "workers", "worker", "--pool", pool, "--loglevel", "info", "-c"]);
        command.arg(at_a_time.to_string()).args(["--without-gossip", "--without-mingle"]);
        let process = Process::start("worker", folder, &mut command);
        let mut worker = Worker { process, broker: broker.to_owned(), backend: backend.to_owned(), notes };
        until("the worker is ready", seconds(120), || {
            let ended = worker.process.ended();
            assert!(ended.is_none(), "the worker ended: {ended:?}\n{}", worker.process.log());
            worker.process.log().contains(" ready.").then_some(())
        });
        worker
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    /// What the task `shop.note` was told, in order.
    pub fn notes(&self) -> String {
        std::fs::read_to_string(&self.notes).unwrap_or_default()
    }

    /// Lets every task `shop.wait` end, those that are yet to begin too.
    pub fn go(&self) {
        std::fs::write(self.notes.with_extension("go"), "").expect("the folder is ours");
    }

    /// Revokes every task of this name that waits in the worker; returns how many.
    pub fn revoke_waiting(&self, name: &str) -> usize {
        let mut command = python("python", &self.broker, &self.backend, &self.notes);
        let output = command.args(["-c", &format!("import workers; workers.revoke_waiting({name:?})")]).output();
        let output = output.expect("the interpreter starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("it prints a number")
    }
}

/// A worker that is told to end waits for its tasks; nobody waits for them here.
impl Drop for Worker {
    fn drop(&mut self) {
        send(-self.process.pid(), Signal::SIGKILL);
        self.process.kill();
    }
}
