//! The threads that unpack and hash, and the end of the pipe that others hold.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use super::codec::{Means, codec};
use super::format::{Format, Kind, MAGIC};
use super::input::{Blocks, Input};
use crate::flash::source::{Cancel, Hasher, Progress, Sha256, SourceError, Told, partitions_end};
use crate::flash::stream::{CHUNK, Chunk, ImageStream, SlowPart, StreamError};
use crate::io::aligned::AlignedBuffer;

/// Pieces between two threads: enough that a pause of 100 ms of one does not stop the other at 100 MB/s.
const AHEAD: usize = 4;

/// How large an image may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Bytes of the smallest card, or what the person allows.
    pub bytes: u64,
}

/// What the unpacked image must be, as far as somebody told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Bytes.
    pub length: Option<Told<u64>>,
    pub sha256: Option<Told<Sha256>>,
    /// Of the unpacked image or of the packed file, whichever it fits.
    pub either: Option<Told<Sha256>>,
    /// Of the packed file, known before the last piece is given out; never, if nobody hashes that file.
    pub packed: Arc<OnceLock<Sha256>>,
}

/// One image to unpack.
pub struct Job {
    /// What people call it.
    pub name: String,
    pub blocks: Blocks,
    pub expected: Expected,
    pub limit: Limit,
    pub means: Means,
    pub progress: Arc<Progress>,
    /// Of this job alone: it is cancelled when [`Decoded`] is dropped.
    pub cancel: Cancel,
    /// What the packed bytes come from, for [`SlowPart`].
    pub from: SlowPart,
}

/// An image on its way. Dropped before its end, it stops everything behind it.
pub struct Decoded {
    format: Format,
    /// Taken already to be looked at, and still to be given out.
    ahead: VecDeque<Chunk>,
    pieces: Option<Receiver<Result<Chunk, SourceError>>>,
    threads: Vec<JoinHandle<Option<Sha256>>>,
    expected: Option<u64>,
    sha256: Option<Sha256>,
    from: SlowPart,
    progress: Arc<Progress>,
    cancel: Cancel,
}

/// Starts to unpack. What the first bytes alone tell is refused here.
pub fn start(job: Job) -> Result<Decoded, SourceError> {
    let mut input = Input::new(job.blocks, job.progress.clone());
    let format = told_format(&job.name, &mut input)?;
    let length = job.expected.length.as_ref().map(|told| told.value);
    if let Some(size) = length.filter(|size| *size > job.limit.bytes) {
        return Err(SourceError::TooLarge { size, limit: job.limit.bytes, at_least: false });
    }
    if let Some(length) = length {
        job.progress.set_total_out(length);
    }
    let (unpacked, to_hash) = sync_channel(AHEAD);
    let (hashed, pieces) = sync_channel(AHEAD);
    let told = job.expected.length.clone();
    let expected = job.expected;
    let unpacker = Unpacker {
        format,
        input,
        means: job.means,
        limit: job.limit,
        told,
        progress: job.progress.clone(),
        cancel: job.cancel.clone(),
    };
    let threads = vec![
        spawn("unpack", move || {
            unpacker.run(&unpacked);
            None
        })?,
        spawn("hash", move || hash(&to_hash, &hashed, &expected))?,
    ];
    Ok(Decoded {
        format,
        ahead: VecDeque::new(),
        pieces: Some(pieces),
        threads,
        expected: length,
        sha256: None,
        from: job.from,
        progress: job.progress,
        cancel: job.cancel,
    })
}

impl Decoded {
    /// What the file is packed with.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The next piece. `None` comes after the last one, and only if the length and every hash are right; after an error
    /// too.
    pub fn next_piece(&mut self) -> Result<Option<Chunk>, SourceError> {
        match self.ahead.pop_front() {
            Some(piece) => Ok(Some(piece)),
            None => self.receive(),
        }
    }

    /// Takes one piece more, keeps it for `next_piece`, and returns all that are kept; `None` at the end of the image.
    pub fn look_ahead(&mut self) -> Result<Option<&VecDeque<Chunk>>, SourceError> {
        let Some(piece) = self.receive()? else { return Ok(None) };
        self.ahead.push_back(piece);
        Ok(Some(&self.ahead))
    }

    /// The pieces that were looked at.
    pub fn ahead(&self) -> &VecDeque<Chunk> {
        &self.ahead
    }

    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    fn receive(&mut self) -> Result<Option<Chunk>, SourceError> {
        let Some(pieces) = &self.pieces else { return Ok(None) };
        match pieces.recv() {
            Ok(Ok(piece)) => Ok(Some(piece)),
            Ok(Err(error)) => {
                self.end();
                Err(error)
            }
            Err(_) => {
                self.end();
                match self.sha256 {
                    Some(_) => Ok(None),
                    // A thread panicked: what came so far is not the image.
                    None => Err(SourceError::Damaged { says: "unpacking it failed".to_owned() }),
                }
            }
        }
    }

    fn end(&mut self) {
        self.pieces = None;
        for thread in self.threads.drain(..) {
            if let Ok(Some(sha256)) = thread.join() {
                self.sha256 = Some(sha256);
            }
        }
    }
}

impl ImageStream for Decoded {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, StreamError> {
        Ok(self.next_piece()?)
    }

    fn length(&self) -> Option<u64> {
        self.expected
    }

    fn sha256(&self) -> Option<[u8; 32]> {
        self.sha256.map(Sha256::bytes)
    }

    fn slow_part(&self) -> SlowPart {
        match self.progress.waited_for_input() > self.progress.decoding() {
            true => self.from,
            false => SlowPart::Decoding,
        }
    }
}

impl Drop for Decoded {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.end();
    }
}

impl std::fmt::Debug for Decoded {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Decoded").field("format", &self.format).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Job").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Tells the format from the first bytes, or why they are no image.
fn told_format(name: &str, input: &mut Input) -> Result<Format, SourceError> {
    let head = input.peek(MAGIC)?;
    if head.is_empty() {
        return Err(SourceError::Empty { name: name.to_owned() });
    }
    match Kind::of(head) {
        Kind::Image(format) => Ok(format),
        Kind::Other(kind) => Err(SourceError::Unsupported { name: name.to_owned(), kind }),
        Kind::WebPage => Err(SourceError::WebPage { place: name.to_owned() }),
        Kind::Unknown if head.len() < MAGIC => {
            Err(SourceError::NotAnImage { says: format!("{name} is {} bytes long", head.len()) })
        }
        Kind::Unknown => {
            Err(SourceError::NotAnImage { says: format!("{name} neither begins with a partition table nor is packed") })
        }
    }
}

pub(in crate::flash) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, SourceError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|source| SourceError::Thread { source })
}

struct Unpacker {
    format: Format,
    input: Input,
    means: Means,
    limit: Limit,
    told: Option<Told<u64>>,
    progress: Arc<Progress>,
    cancel: Cancel,
}

impl Unpacker {
    fn run(mut self, to: &SyncSender<Result<Chunk, SourceError>>) {
        if let Err(error) = self.unpack(to) {
            // Nobody listens any more: then nobody wants to know.
            let _ = to.send(Err(error));
        }
    }

    fn unpack(&mut self, to: &SyncSender<Result<Chunk, SourceError>>) -> Result<(), SourceError> {
        let mut codec = codec(self.format, self.means);
        let mut offset = 0;
        loop {
            if self.cancel.is_cancelled() {
                return Err(SourceError::Cancelled);
            }
            let (since, waited) = (Instant::now(), self.progress.waited_for_input());
            let mut buffer = AlignedBuffer::zeroed(CHUNK);
            let mut len = 0;
            while len < CHUNK {
                match codec.decode(&mut self.input, &mut buffer[len..])? {
                    0 => break,
                    made => len += made,
                }
            }
            self.progress.add_decoding(since, waited);
            buffer.truncate(len);
            let end = offset + len as u64;
            if end > self.limit.bytes {
                return Err(SourceError::TooLarge { size: self.limit.bytes, limit: self.limit.bytes, at_least: true });
            }
            // More than was told is a lie already; less is one at the end.
            if let Some(told) = self.told.as_ref().filter(|told| end > told.value || (len < CHUNK && end < told.value))
            {
                return Err(SourceError::WrongLength {
                    what: "the unpacked image".to_owned(),
                    expected: told.value,
                    found: end,
                    teller: told.teller.clone(),
                });
            }
            if offset == 0 {
                self.refuse_nested(&buffer)?;
            }
            self.progress.add_decoded(len);
            if len > 0 {
                let since = Instant::now();
                let sent = to.send(Ok(Chunk { offset, bytes: Arc::new(buffer) }));
                self.progress.add_wait_for_room(since);
                if sent.is_err() {
                    return Ok(());
                }
            }
            if len < CHUNK {
                return Ok(());
            }
            offset = end;
        }
    }

    fn refuse_nested(&self, first: &[u8]) -> Result<(), SourceError> {
        let outer = self.format.name();
        match Kind::of(&first[..first.len().min(MAGIC)]) {
            Kind::Image(Format::Raw) => Ok(()),
            Kind::Image(inner) => Err(SourceError::Nested { outer, inner: inner.article_name() }),
            Kind::Other(inner) => Err(SourceError::Nested { outer, inner }),
            Kind::WebPage => Err(SourceError::Nested { outer, inner: "a web page" }),
            Kind::Unknown if first.is_empty() => Err(SourceError::Empty { name: format!("the inside of the {outer}") }),
            Kind::Unknown => Err(SourceError::NotAnImage {
                says: format!("what the {outer} holds does not begin with a partition table"),
            }),
        }
    }
}

/// Hashes what passes, and tells at the end whether it is what was expected, and all of it.
fn hash(
    from: &Receiver<Result<Chunk, SourceError>>,
    to: &SyncSender<Result<Chunk, SourceError>>,
    expected: &Expected,
) -> Option<Sha256> {
    let mut hasher = Hasher::default();
    let mut held: Option<Chunk> = None;
    let mut failed = None;
    let (mut length, mut needed) = (0, 0);
    for piece in from {
        match piece {
            Ok(piece) => {
                hasher.update(&piece.bytes);
                length = piece.offset + piece.bytes.len() as u64;
                if piece.offset == 0 {
                    needed = partitions_end(&piece.bytes);
                }
                // The last piece is given out only when the hash is known to be right.
                if let Some(piece) = held.replace(piece) {
                    to.send(Ok(piece)).ok()?;
                }
            }
            Err(error) => failed = Some(error),
        }
    }
    let found = hasher.finish();
    if failed.is_none() && length < needed {
        let says = format!("its last partition ends at byte {needed}, and it has {length} bytes");
        failed = Some(SourceError::Truncated { says });
    }
    let wrong = expected.sha256.as_ref().filter(|told| told.value != found).or_else(|| {
        expected.either.as_ref().filter(|told| told.value != found && Some(&told.value) != expected.packed.get())
    });
    if let (None, Some(told)) = (&failed, wrong) {
        failed = Some(SourceError::WrongHash {
            what: "the unpacked image",
            expected: told.value,
            found,
            teller: told.teller.clone(),
        });
    }
    if let Some(error) = failed {
        to.send(Err(error)).ok()?;
        return None;
    }
    if let Some(piece) = held {
        to.send(Ok(piece)).ok()?;
    }
    Some(found)
}
