//! One decode, a thread for each card, and one that watches them.
//!
//! ```text
//!   stream -> used -> marks -> ring -+-> card 0: clear, write, read back ---------> customise, first MiB
//!     ^                              +-> card 1: the same; some extents are bad -+
//!     +---- once more from the front, for the bad extents of all such cards -----+
//! ```
//!
//! Rejected: a second decode for each card that wants one. It would take longer than writing the card anew.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use super::{
    events::{Event, Events},
    fault::{CardFault, Holds},
    job::{Cancel, CardJob, CardOutcome, Differences, Image, Mode, Options},
    mark::Piece,
    receipt::{ImageFacts, hex},
    ring::{End, Ring},
    schedule,
    stream::{Chunk, ImageStream, SlowPart, Used},
    watch::Watched,
    write::CardRun,
};

/// How many pieces of the image the fastest card may be ahead of the slowest: 64 MiB, three seconds of a usual card,
/// which bridges a card's own pauses (they clean up for up to a second).
const WINDOW: usize = 16;

/// How often it is looked whether a card hangs.
const LOOK: Duration = Duration::from_millis(100);

/// What all cards of a run share.
pub(super) struct Shared {
    pub options: Options,
    pub events: Arc<dyn Events>,
    pub cancel: Cancel,
    /// The first MiB of the image.
    pub head: Vec<u8>,
    pub name: String,
    pub source: String,
    /// Known at the end of the stream.
    pub facts: OnceLock<ImageFacts>,
    pub broken: OnceLock<Arc<dyn std::error::Error + Send + Sync>>,
    pub slow_part: Mutex<SlowPart>,
}

/// How a card's thread ends.
enum Ended {
    Done(usize, Box<CardOutcome>),
    /// These extents (their offsets) are not as written.
    Mend(Box<CardRun>, BTreeSet<u64>),
}

/// Writes an image to all these cards, or compares, as `options` say; returns when all are done with, in their order.
///
/// No card is touched before the first piece of the image was read and the card was found large enough. A card that
/// fails does not disturb the others; one that is slow paces them.
pub fn flash(
    jobs: Vec<CardJob>,
    image: Image,
    options: Options,
    events: Arc<dyn Events>,
    cancel: &Cancel,
) -> Vec<CardOutcome> {
    let Image { name, source, mut stream, used } = image;
    let begin = match stream.next_chunk() {
        Ok(Some(chunk)) => chunk,
        Ok(None) => return refuse_all(&jobs, &CardFault::image("it is empty".into())),
        Err(error) => return refuse_all(&jobs, &CardFault::image(error)),
    };
    let head = begin.bytes[..begin.bytes.len().min(schedule::FIRST as usize)].to_vec();
    let needed = schedule::needed(&head, stream.length());
    let shared = Arc::new(Shared {
        options,
        events,
        cancel: cancel.clone(),
        head,
        name,
        source,
        facts: OnceLock::new(),
        broken: OnceLock::new(),
        slow_part: Mutex::new(stream.slow_part()),
    });

    let mut outcomes: Vec<Option<CardOutcome>> = Vec::new();
    let mut runs = Vec::new();
    for (index, job) in jobs.into_iter().enumerate() {
        match fits(&job, needed, stream.length(), shared.writes()) {
            Ok(()) => {
                runs.push(CardRun::new(index, job, Arc::clone(&shared)));
                outcomes.push(None);
            }
            Err(fault) => outcomes.push(Some(refused(&job.card.name, fault))),
        }
    }
    let mut station = Station { shared, outcomes, mends: Vec::new() };
    let feed = Feed { stream, used, begin: Some(begin), only: None };
    if let Some(feed) = station.pass(runs.into_iter().map(|run| (run, None)).collect(), feed) {
        station.mend(feed);
    }
    let all = station.outcomes.into_iter();
    all.map(|outcome| outcome.expect("every card was refused, or its thread ended or was given up")).collect()
}

/// Everything of one run.
struct Station {
    shared: Arc<Shared>,
    outcomes: Vec<Option<CardOutcome>>,
    mends: Vec<(Box<CardRun>, BTreeSet<u64>)>,
}

impl Station {
    /// Brings the image to these cards once. `None`: the source is of no more use.
    fn pass(&mut self, runs: Vec<(Box<CardRun>, Option<BTreeSet<u64>>)>, feed: Feed) -> Option<Feed> {
        // Readers have the numbers of their cards, those that are not there included.
        let ring = Arc::new(Ring::new(WINDOW, self.outcomes.len()));
        let there: BTreeSet<_> = runs.iter().map(|(run, _)| run.index).collect();
        (0..self.outcomes.len()).filter(|card| !there.contains(card)).for_each(|card| ring.leave(card));
        let (tell, told) = channel();
        let mut watched = Vec::new();
        for (run, bad) in runs {
            watched.push(Watch { card: run.index, device: Arc::clone(&run.device), warned: 0, name: run.name() });
            let (ring, tell) = (Arc::clone(&ring), tell.clone());
            thread::spawn(move || card_thread(run, bad, &ring, &tell));
        }
        drop(tell);
        let feeder = {
            let (ring, shared) = (Arc::clone(&ring), Arc::clone(&self.shared));
            thread::spawn(move || feed.run(&ring, &shared))
        };
        self.wait(&told, watched, &ring);
        // All readers have left: the feeder ends at its next piece.
        feeder.join().ok()?
    }

    fn wait(&mut self, told: &Receiver<Ended>, mut watched: Vec<Watch>, ring: &Ring<Piece>) {
        while !watched.is_empty() {
            match told.recv_timeout(LOOK) {
                Ok(Ended::Done(card, outcome)) => {
                    watched.retain(|watch| watch.card != card);
                    self.finish(card, *outcome);
                }
                Ok(Ended::Mend(run, bad)) => {
                    watched.retain(|watch| watch.card != run.index);
                    self.mends.push((run, bad));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    for watch in watched.drain(..) {
                        let source = Arc::new(std::io::Error::other("its writer stopped, which is a bug of pikiosk"));
                        self.give_up(&watch, CardFault::Gone { source });
                    }
                }
            }
            watched.retain_mut(|watch| match watch.look(&self.shared) {
                None => true,
                Some(fault) => {
                    watch.device.close();
                    ring.leave(watch.card);
                    self.give_up(watch, fault);
                    false
                }
            });
        }
    }

    fn give_up(&mut self, watch: &Watch, fault: CardFault) {
        let differs = Differences::default();
        let outcome = CardOutcome { name: watch.name.clone(), holds: Holds::Unknown, result: Err(fault), differs };
        self.finish(watch.card, outcome);
    }

    fn finish(&mut self, card: usize, outcome: CardOutcome) {
        let text = match &outcome.result {
            Ok(_) => outcome.holds.words().to_owned(),
            Err(fault) => format!("{fault}; {}", outcome.holds.words()),
        };
        self.shared.events.tell(Event::Finished { card, ok: outcome.result.is_ok(), text });
        self.outcomes[card] = Some(outcome);
    }

    /// Brings the image once more to the cards that hold something else than was written.
    fn mend(&mut self, mut feed: Feed) {
        let mends = std::mem::take(&mut self.mends);
        if mends.is_empty() {
            return;
        }
        let again = if self.shared.cancel.is_cancelled() { Ok(false) } else { feed.stream.rewind() };
        if let Ok(true) = again {
            feed.only = Some(mends.iter().flat_map(|(_, bad)| bad.iter().copied()).collect());
            self.pass(mends.into_iter().map(|(run, bad)| (run, Some(bad))).collect(), feed);
        } else {
            for (run, bad) in mends {
                let card = run.index;
                let outcome = run.fail_at(&bad);
                self.finish(card, outcome);
            }
        }
    }
}

/// Whom to look after.
struct Watch {
    card: usize,
    device: Arc<Watched>,
    /// The request that was warned of.
    warned: u64,
    name: String,
}

impl Watch {
    /// A fault: give it up.
    fn look(&mut self, shared: &Shared) -> Option<CardFault> {
        let (silent, offset, request) = self.device.silent()?;
        let seconds = silent.as_secs();
        if silent >= shared.options.give_up_after {
            return Some(CardFault::Hangs { offset, seconds });
        }
        if silent >= shared.options.slow_after && self.warned != request {
            self.warned = request;
            shared.events.tell(Event::Slow { card: self.card, offset, seconds });
        }
        None
    }
}

fn card_thread(mut run: Box<CardRun>, bad: Option<BTreeSet<u64>>, ring: &Ring<Piece>, tell: &Sender<Ended>) {
    struct Leaving<'a>(&'a Ring<Piece>, usize);
    impl Drop for Leaving<'_> {
        fn drop(&mut self) {
            self.0.leave(self.1);
        }
    }
    let leaving = Leaving(ring, run.index);
    let card = run.index;
    let may_mend = bad.is_none();
    let read_back = match bad {
        None => run.bring(ring),
        Some(bad) => run.mend(ring, &bad),
    };
    drop(leaving);
    let ended = match read_back {
        Ok(bad) if bad.is_empty() => {
            let result = run.complete();
            Ended::Done(card, Box::new(run.outcome(result)))
        }
        Ok(bad) if may_mend => Ended::Mend(run, bad),
        Ok(bad) => Ended::Done(card, Box::new(run.fail_at(&bad))),
        Err(fault) => Ended::Done(card, Box::new(run.outcome(Err(fault)))),
    };
    // Each `outcome` took the run with it: the card is closed before it is told that it is done with.
    // Nobody listens to a card that was given up.
    let _ = tell.send(ended);
}

/// The one decode.
struct Feed {
    stream: Box<dyn ImageStream>,
    used: Box<dyn Used>,
    /// The first piece, already read.
    begin: Option<Chunk>,
    /// Only pieces that hold one of these offsets are wanted.
    only: Option<BTreeSet<u64>>,
}

impl Feed {
    /// Returns itself if the stream can be used again.
    fn run(mut self, ring: &Ring<Piece>, shared: &Shared) -> Option<Self> {
        let (mut used, mut length) = (0, 0);
        loop {
            let chunk = match self.begin.take().map_or_else(|| self.stream.next_chunk(), |chunk| Ok(Some(chunk))) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => {
                    // The cards are told below; the first error is the one.
                    let _ = shared.broken.set(error.into());
                    ring.end(End::Broken);
                    return None;
                }
            };
            *shared.slow_part.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.slow_part();
            let range = chunk.offset..chunk.offset + chunk.bytes.len() as u64;
            length = range.end;
            let piece = match &self.only {
                Some(only) if only.range(range.clone()).next().is_none() => continue,
                Some(_) => Piece::new(chunk, Vec::new(), 0, None),
                None => {
                    let ranges = self.used.used(chunk.offset, &chunk.bytes);
                    used += ranges.iter().map(|range| range.end - range.start).sum::<u64>();
                    let extents = schedule::extents(&ranges, &range);
                    let (done, total) = match self.used.total() {
                        Some(total) => (used, Some(total)),
                        None => (range.end, self.stream.length()),
                    };
                    Piece::new(chunk, extents, done, total)
                }
            };
            if !ring.push(piece, || shared.cancel.is_cancelled()) {
                ring.end(End::Broken);
                // A card that waits to be mended has left the ring too.
                return (!shared.cancel.is_cancelled()).then_some(self);
            }
        }
        let facts = ImageFacts {
            name: shared.name.clone(),
            source: shared.source.clone(),
            sha256: self.stream.sha256().map(|sha256| hex(&sha256)).unwrap_or_default(),
            bytes: length,
        };
        // A second pass finds what the first one found.
        let _ = shared.facts.set(facts);
        ring.end(End::Complete);
        Some(self)
    }
}

/// Whether a card can take the image; makes a file long enough, if it is to be written.
fn fits(job: &CardJob, needed: Option<u64>, length: Option<u64>, writes: bool) -> Result<(), CardFault> {
    if let Some(end) = length.max(needed).filter(|_| writes) {
        job.card.make_room(end).map_err(|error| CardFault::of(super::events::Doing::Write, 0, error))?;
    }
    let (len, needed) = (job.card.len(), needed.unwrap_or(schedule::FIRST));
    if len < needed && !job.card.grows() { Err(CardFault::TooSmall { len, needed }) } else { Ok(()) }
}

fn refuse_all(jobs: &[CardJob], fault: &CardFault) -> Vec<CardOutcome> {
    jobs.iter().map(|job| refused(&job.card.name, fault.clone())).collect()
}

fn refused(name: &str, fault: CardFault) -> CardOutcome {
    CardOutcome { name: name.to_owned(), holds: Holds::Untouched, result: Err(fault), differs: Differences::default() }
}

impl Shared {
    pub(super) fn check(&self) -> Result<(), CardFault> {
        if self.cancel.is_cancelled() { Err(CardFault::Cancelled) } else { Ok(()) }
    }

    /// Why the stream ended before its end.
    pub(super) fn why_broken(&self) -> CardFault {
        match self.broken.get() {
            Some(source) => CardFault::Image { source: Arc::clone(source) },
            None => CardFault::Cancelled,
        }
    }

    pub(super) fn writes(&self) -> bool {
        self.options.mode != Mode::VerifyOnly
    }
}
