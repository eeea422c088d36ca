use proptest::prelude::*;

use super::*;

/// A disk in memory that forgets what was not synced, and fails when told to.
#[derive(Debug, Default, Clone)]
pub struct FaultyDisk {
    pub synced: Vec<u8>,
    pub written: Vec<u8>,
    /// Fails once it is 0; counts down with each operation.
    pub fail_in: Option<usize>,
}

impl FaultyDisk {
    fn turn(&mut self) -> io::Result<()> {
        match &mut self.fail_in {
            Some(0) => Err(io::Error::other("told to fail")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Medium for FaultyDisk {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.written.clone())
    }
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.turn() {
            self.written.extend(&bytes[..bytes.len() / 2]);
            return Err(error);
        }
        self.written.extend(bytes);
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        self.turn()?;
        self.synced = self.written.clone();
        Ok(())
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.turn()?;
        self.written.truncate(usize::try_from(length).unwrap());
        Ok(())
    }
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.turn()?;
        self.written = bytes.to_vec();
        self.synced = self.written.clone();
        Ok(())
    }
}

fn reopen(bytes: &[u8]) -> Opened {
    let disk = FaultyDisk { written: bytes.to_vec(), ..Default::default() };
    AppendLog::open(disk).unwrap().1
}

proptest! {
    /// The bytes a power cut can leave are a prefix: what was synced, and part of what followed.
    #[test]
    fn every_prefix_of_the_file_reopens_to_a_state_that_was_written(lines in prop::collection::vec("[a-zé\" ]{0,20}", 0..8)) {
        let (mut log, _) = AppendLog::open(FaultyDisk::default()).unwrap();
        let mut ends = vec![0];
        for line in &lines {
            log.append(line).unwrap();
            ends.push(log.length());
        }
        log.sync().unwrap();
        let bytes = log.medium.synced;
        for cut in 0..=bytes.len() {
            let opened = reopen(&bytes[..cut]);
            let whole = ends.iter().filter(|end| **end as usize <= cut).count() - 1;
            prop_assert_eq!(&opened.lines[..], &lines[..whole], "cut at {}", cut);
            prop_assert_eq!(opened.damaged, 0);
        }
    }

    #[test]
    fn a_log_that_lost_its_tail_goes_on_as_if_the_tail_had_never_been(cut in 0usize..200, more in "[a-z]{1,9}") {
        let (mut log, _) = AppendLog::open(FaultyDisk::default()).unwrap();
        for line in ["first", "second", "third"] {
            log.append(line).unwrap();
        }
        let cut = cut % (log.medium.written.len() + 1);
        let disk = FaultyDisk { written: log.medium.written[..cut].to_vec(), ..Default::default() };
        let (mut log, before) = AppendLog::open(disk).unwrap();
        log.append(&more).unwrap();
        let after = reopen(&log.medium.written);
        prop_assert_eq!(after.lines.split_last().unwrap(), (&more, &before.lines[..]));
    }

    #[test]
    fn whatever_fails_what_was_acknowledged_is_kept(fail_in in 0usize..12, lines in prop::collection::vec("[a-z]{1,9}", 1..8)) {
        let disk = FaultyDisk { fail_in: Some(fail_in), ..Default::default() };
        let (mut log, _) = AppendLog::open(disk).unwrap();
        let mut acknowledged = Vec::new();
        for line in &lines {
            if log.append(line).and_then(|()| log.sync()).is_ok() {
                acknowledged.push(line.clone());
            }
        }
        let opened = reopen(&log.medium.synced);
        prop_assert_eq!(opened.lines, acknowledged);
    }
}

#[test]
fn a_damaged_line_in_the_middle_costs_that_line_only() {
    let (mut log, _) = AppendLog::open(FaultyDisk::default()).unwrap();
    for line in ["first", "second", "third"] {
        log.append(line).unwrap();
    }
    let mut bytes = log.medium.written;
    bytes[20] ^= 1;
    let opened = reopen(&bytes);
    assert_eq!((opened.lines, opened.damaged), (vec!["first".to_owned(), "third".to_owned()], 1));
}

#[test]
fn a_block_that_the_card_cannot_read_any_more_costs_its_own_lines_only() {
    let text: String = (0..300).map(|n| write_line(&format!("what was kept as line {n:03}"))).collect();
    let read_at = |into: &mut [u8], at: u64| {
        let at = usize::try_from(at).unwrap();
        if (BLOCK..2 * BLOCK).contains(&at) {
            return Err(io::Error::from_raw_os_error(nix::libc::EIO));
        }
        into.copy_from_slice(&text.as_bytes()[at..at + into.len()]);
        Ok(into.len())
    };
    let opened = reopen(&past_bad_blocks(read_at, text.len() as u64).unwrap());
    let lost = 300 - opened.lines.len();
    assert!(opened.damaged == 1 && (1..=BLOCK / 30).contains(&lost), "{lost} lines are lost");
    assert!(opened.lines[0].ends_with("line 000") && opened.lines.last().unwrap().ends_with("line 299"));
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_the_log_is_written_anew() {
    let (mut log, _) = AppendLog::open(FaultyDisk::default()).unwrap();
    log.append("one").unwrap();
    log.medium.fail_in = Some(0);
    assert!(log.sync().is_err());
    log.medium.fail_in = None;
    assert!(log.sync().is_err() && log.append("two").is_err());
    log.compact(["one", "two"]).unwrap();
    log.append("three").unwrap();
    log.sync().unwrap();
    assert_eq!(reopen(&log.medium.synced).lines, ["one", "two", "three"]);
}

#[test]
fn a_log_on_disk_survives_being_opened_again_and_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let (mut log, opened) = AppendLog::open(LogFile::open(&path).unwrap()).unwrap();
    assert!(opened.lines.is_empty());
    log.append("one").unwrap();
    log.append("two").unwrap();
    log.sync().unwrap();
    log.compact(["both"]).unwrap();
    log.append("three").unwrap();
    drop(log);
    let (_, opened) = AppendLog::open(LogFile::open(&path).unwrap()).unwrap();
    assert_eq!(opened.lines, ["both", "three"]);
}
