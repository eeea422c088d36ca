use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::io::append_log::Medium;

fn key(id: &str) -> EventKey {
    EventKey { source: "/test".into(), id: id.into() }
}

fn taken(id: &str, name: &str, started: bool) -> Taken {
    Taken { key: key(id), name: name.into(), data: json!({}), expires_ms: None, started }
}

fn ended(id: &str, status: Status, at_ms: Option<u64>) -> Record {
    Record::Ended { receipt: Receipt::new(id, "/test", status, 1), at_ms }
}

fn read(offset: u64) -> Record {
    Record::Read(BTreeMap::from([(Address::All, Position { epoch: "e".into(), offset })]))
}

fn journal(records: &[Record]) -> Journal {
    let mut journal = Journal::default();
    records.iter().for_each(|record| journal.apply(record));
    journal
}

#[test]
fn a_duplicate_gets_the_stored_receipt_and_what_is_in_hand_is_not_taken_twice() {
    let mut journal = journal(&[Record::Taken(taken("a", "message", true))]);
    assert_eq!(journal.judge(&key("a")), Verdict::InHand);
    assert_eq!(journal.judge(&key("b")), Verdict::Fresh);
    journal.apply(&ended("a", Status::Shown, None));
    let Verdict::Duplicate(receipt) = journal.judge(&key("a")) else { panic!() };
    assert_eq!(receipt.status, Status::Shown);
    assert_eq!(journal.open().count(), 0);
}

#[test]
fn the_same_id_of_another_source_is_another_event() {
    let journal = journal(&[Record::Taken(taken("a", "message", true))]);
    assert_eq!(journal.judge(&EventKey { source: "/other".into(), id: "a".into() }), Verdict::Fresh);
}

#[test]
fn a_restart_interrupts_what_was_started_and_keeps_what_was_not() {
    let mut journal = journal(&[
        Record::Taken(taken("state", "navigate", true)),
        Record::Taken(taken("cut", "message", true)),
        Record::Taken(taken("waits", "reload", false)),
        Record::Taken(taken("later", "identify", false)),
        Record::Started(key("later")),
        Record::Taken(taken("itself", "restart", true)),
    ]);
    let records = journal.after_restart();
    records.iter().for_each(|record| journal.apply(record));
    let open: Vec<_> = journal.open().map(|taken| taken.key.id.as_str()).collect();
    assert_eq!(open, ["state", "waits"]);
    for (id, status, error) in [
        ("cut", Status::Failed, Some(INTERRUPTED)),
        ("later", Status::Failed, Some(INTERRUPTED)),
        ("itself", Status::Done, None),
    ] {
        let receipt = journal.receipt(&key(id)).unwrap();
        assert_eq!((receipt.status, receipt.error.as_deref()), (status, error), "{id}");
    }
}

#[test]
fn a_value_stays_after_its_receipt_until_a_newer_one_of_the_same_slot_comes() {
    let mut journal = journal(&[Record::Taken(taken("a", "navigate", true)), ended("a", Status::Shown, None)]);
    assert_eq!(journal.state(Slot::Content).unwrap().key, key("a"));
    journal.apply(&Record::Taken(taken("b", "playlist", true)));
    assert_eq!(journal.state(Slot::Content).unwrap().key, key("b"));
    assert!(journal.state(Slot::Zoom).is_none());
}

#[test]
fn the_first_final_counts_and_only_its_hash_is_filled_in() {
    let mut journal = journal(&[Record::Taken(taken("a", "message", true)), ended("a", Status::Shown, None)]);
    journal.apply(&Record::Told(key("a")));
    assert_eq!(journal.untold().count(), 0);
    journal.apply(&ended("a", Status::Failed, None));
    assert_eq!(journal.receipt(&key("a")).unwrap().status, Status::Shown);
    let mut hashed = Receipt::new("a", "/test", Status::Shown, 1);
    hashed.frame_sha256 = Some("00".into());
    journal.apply(&Record::Ended { receipt: hashed.clone(), at_ms: None });
    assert_eq!(journal.receipt(&key("a")), Some(&hashed));
    assert_eq!(journal.untold().count(), 1, "the update is still to be sent");
}

#[test]
fn reading_never_goes_back_within_an_epoch_and_starts_again_in_a_new_one() {
    let mut journal = journal(&[read(7), read(3)]);
    assert_eq!(journal.positions()[&Address::All].offset, 7);
    let new = Position { epoch: "f".into(), offset: 1 };
    assert!(!journal.has_read(&Address::All, &new));
    journal.apply(&Record::Read(BTreeMap::from([(Address::All, new.clone())])));
    assert_eq!(journal.positions()[&Address::All], new);
}

#[test]
fn duplicates_are_known_for_512_commands_and_for_a_day_and_memory_is_bounded() {
    let day = FINALS_AGE_MS;
    let mut all_at_once = Journal::default();
    let mut over_days = Journal::default();
    all_at_once.apply(&Record::Taken(taken("0", "navigate", true)));
    for n in 0..10_000u64 {
        all_at_once.apply(&ended(&n.to_string(), Status::Done, Some(n)));
        over_days.apply(&ended(&n.to_string(), Status::Done, Some(n * day / 100)));
    }
    assert!(all_at_once.finals.len() <= FINALS_MAX);
    assert!(all_at_once.receipt(&key(&(10_000 - FINALS_MAX as u64 / 2).to_string())).is_some());
    assert!(all_at_once.receipt(&key("0")).is_some(), "it is on the glass");
    assert_eq!(over_days.finals.len(), FINALS_MIN);
    assert!(over_days.receipt(&key(&(10_000 - FINALS_MIN as u64).to_string())).is_some());
    assert!(over_days.receipt(&key(&(10_000 - FINALS_MIN as u64 - 1).to_string())).is_none());
    assert_eq!(over_days.by_key.len(), over_days.finals.len());
}

#[test]
fn big_results_are_kept_with_the_last_few_receipts_only() {
    let mut journal = Journal::default();
    for n in 0..40 {
        let receipt = Receipt::new(n.to_string(), "/test", Status::Done, 1).with_result(json!("x".repeat(9000)));
        journal.apply(&Record::Ended { receipt, at_ms: None });
    }
    let kept = journal.finals.iter().filter(|ended| ended.receipt.result.is_some()).count();
    assert_eq!(kept, BIG_RESULTS_KEPT);
    assert!(journal.receipt(&key("39")).unwrap().result.is_some());
}

/// A medium in memory.
#[derive(Debug, Default, Clone)]
struct Memory(Vec<u8>);

impl Medium for Memory {
    fn read_all(&mut self) -> std::io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.extend(bytes);
        Ok(())
    }
    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
    fn truncate(&mut self, length: u64) -> std::io::Result<()> {
        self.0.truncate(usize::try_from(length).unwrap());
        Ok(())
    }
    fn replace(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0 = bytes.to_vec();
        Ok(())
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let id = (0..6u8).prop_map(|n| n.to_string());
    let name = prop::sample::select(vec!["navigate", "playlist", "zoom", "message", "restart", "reload", "reboot"]);
    let status = prop::sample::select(vec![Status::Shown, Status::Failed, Status::Superseded]);
    prop_oneof![
        (id.clone(), name, any::<bool>()).prop_map(|(id, name, started)| Record::Taken(taken(&id, name, started))),
        (0..50u64).prop_map(read),
        id.clone().prop_map(|id| Record::Started(key(&id))),
        id.clone().prop_map(|id| Record::Leaving { key: key(&id), boot: "b".into() }),
        (id.clone(), status).prop_map(|(id, status)| ended(&id, status, None)),
        id.clone().prop_map(|id| Record::Back(taken(&id, "zoom", true))),
        id.prop_map(|id| Record::Told(key(&id))),
    ]
}

proptest! {
    #[test]
    fn a_snapshot_makes_the_same_journal(records in prop::collection::vec(any_record(), 0..40)) {
        let whole = journal(&records);
        prop_assert_eq!(journal(&whole.snapshot()), whole);
    }

    /// A line is all or nothing: what reopens is the state after some whole number of changes.
    #[test]
    fn a_journal_cut_at_any_byte_reopens_to_a_state_that_was(records in prop::collection::vec(any_record(), 0..12)) {
        let mut memory = Memory::default();
        let mut states = vec![Journal::default()];
        for pair in records.chunks(2) {
            let (mut file, mut journal) = JournalFile::over(memory.clone()).unwrap();
            pair.iter().for_each(|record| journal.apply(record));
            file.keep(pair, true).unwrap();
            memory = file.into_medium();
            states.push(journal);
        }
        for cut in 0..=memory.0.len() {
            let (_, reopened) = JournalFile::over(Memory(memory.0[..cut].to_vec())).unwrap();
            prop_assert!(states.contains(&reopened), "cut at {cut}");
        }
    }
}

#[test]
fn a_long_journal_is_written_anew_and_says_the_same() {
    let (mut file, mut journal) = JournalFile::over(Memory::default()).unwrap();
    for n in 0..20_000u64 {
        let record = ended(&n.to_string(), Status::Done, Some(n * 1_000_000));
        journal.apply(&record);
        file.keep(&[record], true).unwrap();
        if file.is_long() {
            file.compact(&journal.snapshot()).unwrap();
        }
    }
    let memory = file.into_medium();
    assert!(memory.0.len() < 1024 * 1024, "{}", memory.0.len());
    assert_eq!(JournalFile::over(memory).unwrap().1.snapshot(), journal.snapshot());
}
