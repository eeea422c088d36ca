//! The last log lines of this process, in memory: what the `logs` command sends without reading a disk.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that are kept: an hour of a busy display, some 100 KiB.
const LINES_MAX: usize = 1000;
/// The longest line that is kept, in bytes; a longer one is cut.
const LINE_BYTES_MAX: usize = 1024;

/// The last log lines, oldest first. Clones share the lines.
#[derive(Debug, Clone, Default)]
pub struct LogRing {
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl LogRing {
    /// The last `count` lines, oldest first.
    pub fn last(&self, count: usize) -> Vec<String> {
        let lines = self.lines();
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    fn push(&self, line: &str) {
        let mut lines = self.lines();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        let end = (0..=line.len().min(LINE_BYTES_MAX)).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        lines.push_back(line[..end].to_owned());
    }

    /// A panic while the lock was held leaves whole lines: they are as good as before.
    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one formatted log event at a time, as tracing's formatter writes it.
#[derive(Debug)]
pub struct RingWriter<'a>(&'a LogRing);

impl Write for RingWriter<'_> {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        for line in String::from_utf8_lossy(event).lines() {
            self.0.push(line);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogRing {
    type Writer = RingWriter<'a>;

    fn make_writer(&'a self) -> RingWriter<'a> {
        RingWriter(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_older_ones_are_not() {
        let ring = LogRing::default();
        for n in 0..LINES_MAX + 5 {
            ring.make_writer().write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        assert_eq!(ring.last(2), ["line 1003", "line 1004"]);
        assert_eq!(ring.last(5000).len(), LINES_MAX);
        assert_eq!(ring.last(5000)[0], "line 5");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_letters() {
        let ring = LogRing::default();
        ring.make_writer().write_all("é".repeat(LINE_BYTES_MAX).as_bytes()).unwrap();
        assert_eq!(ring.last(1)[0].len(), LINE_BYTES_MAX);
    }
}
