use crate::error::{Error, Result};
use crate::log::compact::going::Going;
use crate::log::cursor::Cursor;
use crate::log::sealed_file::SealedFile;
use crate::log::segment::Segment;
use crate::storage::{StorageFile, read_full_at, write_all_at};
use crate::{ErrorKind, Frame, GapRange, GapReason, Gaps, Kind, SegmentHeader, SegmentNumber, Seq, TypeTable};
use taffrail_log_format::sabotage::{self, Sabotage};
use taffrail_log_format::{Step, layout};

/// Segments that follow each other, and what one of them will be that stands for all.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    /// The segments, ascending: the new file bears the last one's number.
    pub(crate) segments: &'a [Segment],
    /// Which events go.
    pub(crate) going: &'a Going,
    /// Where the originals will be, relative to the store; empty where they are dropped.
    pub(crate) kept_in: &'a str,
}

/// What a rewriting came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rewritten {
    /// Events that went.
    pub(crate) events: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Ranges that were recorded for them.
    pub(crate) ranges: u64,
    /// BLAKE3 of the whole files that were read, in order.
    pub(crate) originals: Vec<[u8; 32]>,
}

/// What is taken of the sources in one pass.
#[derive(Default)]
struct Taken {
    /// Frames that stay, one behind the other, as they are stored.
    kept: Vec<u8>,
    /// Absences: those that were recorded before, and the new ones.
    ranges: Vec<GapRange>,
    /// How many bytes each new range has.
    range_lens: Vec<u64>,
    rewritten: Rewritten,
}

/// A range of events that go, while it grows.
#[derive(Default)]
struct Open {
    first: Option<Seq>,
    last: Option<Seq>,
    events: u64,
    len_bytes: u64,
    /// The bytes so far, while it is not known whether the range is worth its record.
    held: Vec<u8>,
    hasher: blake3::Hasher,
}

/// Longest record of absences that is written, in bytes: where more would be needed, the shortest ranges stay in the log.
pub(crate) const MOST_GAPS_LEN_BYTES: usize = layout::MAX_PAYLOAD_LEN_BYTES / 2;

/// Writes the segment that stands for the sources into an empty file; [`sync`] makes it durable. Each source is read once, and its
/// frames are moved as they are; where `copies` has a file for it, that becomes a copy of the source, byte for byte.
///
/// Holds the bytes that stay in memory, since what is absent is told at the front of a segment.
///
/// # Errors
/// `Damaged` where a source is not whole: repair it first. `Io`.
pub(crate) fn rewrite(
    sources: &Sources<'_>,
    target: &dyn StorageFile,
    copies: &[Option<Box<dyn StorageFile>>],
    progress: &mut dyn FnMut(u64),
) -> Result<Rewritten> {
    let mut taken = take(sources, 0, copies, progress)?;
    if encoded_len(&taken.ranges) > MOST_GAPS_LEN_BYTES {
        let shortest = threshold(&taken);
        taken = take(sources, shortest, &[], &mut |_| {})?;
    }
    let Some((first, last)) = sources.segments.first().zip(sources.segments.last()) else {
        return Err(Error::new(ErrorKind::Invalid, "T0190", "a rewriting of no segment"));
    };
    let Some((_, footer)) = last.footer()? else { return Err(unfit(last, "it has no footer")) };
    let generation = sources.segments.iter().map(|source| source.header.generation).max().unwrap_or(0) + 1;
    let header = SegmentHeader {
        generation,
        covers_from: first.header.covers_from,
        first_seq: first.header.first_seq,
        time_floor_ns: first.header.time_floor_ns,
        predecessor: first.header.predecessor,
        origin: Some(last.header.origin.unwrap_or(footer.origin)),
        ..last.header.clone()
    };
    let gaps = Gaps::new(std::mem::take(&mut taken.ranges))
        .ok_or_else(|| unfit(last, "its absences and those before it overlap"))?;
    write(target, &header, &footer.types, &gaps, &mut taken.kept)?;
    Ok(taken.rewritten)
}

/// The length of a range below which it stays, so that the record of the others fits.
fn threshold(taken: &Taken) -> u64 {
    let per_range = encoded_len(&taken.ranges) / taken.ranges.len().max(1) + 1;
    let mut lens = taken.range_lens.clone();
    lens.sort_unstable_by_key(|len| std::cmp::Reverse(*len));
    lens.get(MOST_GAPS_LEN_BYTES / per_range / 2).map_or(u64::MAX, |len| len + 1)
}

fn encoded_len(ranges: &[GapRange]) -> usize {
    // Two seqs, a reason, a digest, a text with its length; and the count before all of them.
    ranges.iter().map(|range| 18 + 1 + 32 + 9 + range.kept_in.len()).sum::<usize>() + 9
}

fn take(
    sources: &Sources<'_>,
    shortest: u64,
    copies: &[Option<Box<dyn StorageFile>>],
    progress: &mut dyn FnMut(u64),
) -> Result<Taken> {
    let mut taken = Taken::default();
    for (place, source) in sources.segments.iter().enumerate() {
        let copy = copies.get(place).and_then(Option::as_deref);
        let digest = take_one(sources, source, shortest, copy, &mut taken, progress)?;
        taken.rewritten.originals.push(digest);
    }
    Ok(taken)
}

/// Takes one source, and gives the BLAKE3 of its file.
fn take_one(
    sources: &Sources<'_>,
    source: &Segment,
    shortest: u64,
    copy: Option<&dyn StorageFile>,
    taken: &mut Taken,
    progress: &mut dyn FnMut(u64),
) -> Result<[u8; 32]> {
    let mut original = Original { copy, written: 0, buffer: Vec::new(), hasher: blake3::Hasher::new() };
    original.front(source)?;
    let mut cursor = Cursor::new(source, layout::FIRST_FRAME, Some(source.header.first_seq));
    let mut open = Open::default();
    let mut told = 0;
    loop {
        let (is_gaps, ends) = match cursor.step()? {
            Step::Frame(frame) => {
                original.frame(&frame)?;
                let kind = frame.header.kind;
                if kind.takes_seq() {
                    if sources.going.takes(&frame.header) {
                        if open.last.is_some_and(|last| last.next() != frame.header.seq) {
                            // Absences that are recorded already lie between.
                            open.close(sources.kept_in, shortest, taken);
                        }
                        open.add(&frame, shortest);
                    } else {
                        open.close(sources.kept_in, shortest, taken);
                        push_frame(&mut taken.kept, &frame);
                    }
                }
                (kind == Kind::GAPS, kind == Kind::SEAL)
            }
            Step::Bad { defect, .. } => {
                return Err(unfit(source, &defect.to_string()).offset(defect.offset));
            }
            Step::Free | Step::End | Step::NeedBytes(_) => return Err(unfit(source, "it ends without a seal")),
        };
        if is_gaps {
            taken.ranges.extend_from_slice(cursor.scanner.gaps().ranges());
        }
        let at = cursor.scanner.offset();
        if at - told >= PROGRESS_STEP_BYTES || ends {
            progress(at - told);
            told = at;
        }
        if ends {
            break;
        }
    }
    open.close(sources.kept_in, shortest, taken);
    // Old absences of this source stand before those that were found in it.
    taken.ranges.sort_by_key(|range| range.first);
    original.finish()
}

const PROGRESS_STEP_BYTES: u64 = 1 << 20;

impl Open {
    fn add(&mut self, frame: &Frame<'_>, shortest: u64) {
        self.first = self.first.or(Some(frame.header.seq));
        self.last = Some(frame.header.seq);
        self.events += 1;
        self.len_bytes += frame.header.frame_len();
        push_frame(&mut self.held, frame);
        if self.len_bytes >= shortest && self.held.len() >= HASH_LEN_BYTES {
            self.hasher.update(&self.held);
            self.held.clear();
        }
    }

    /// Ends the range: it goes, or stays where it is shorter than what is worth a record.
    fn close(&mut self, kept_in: &str, shortest: u64, taken: &mut Taken) {
        let mut range = std::mem::take(self);
        let (Some(first), Some(last)) = (range.first, range.last) else { return };
        if range.len_bytes < shortest {
            taken.kept.extend_from_slice(&range.held);
            return;
        }
        range.hasher.update(&range.held);
        let digest = *range.hasher.finalize().as_bytes();
        let kept_in = kept_in.to_owned();
        taken.ranges.push(GapRange { first, last, reason: GapReason::Compacted, digest, kept_in });
        taken.range_lens.push(range.len_bytes);
        taken.rewritten.events += range.events;
        taken.rewritten.bytes += range.len_bytes;
        taken.rewritten.ranges += 1;
    }
}

/// BLAKE3 is several times faster on long inputs.
const HASH_LEN_BYTES: usize = 256 << 10;

fn push_frame(bytes: &mut Vec<u8>, frame: &Frame<'_>) {
    bytes.extend_from_slice(frame.header_bytes());
    bytes.extend_from_slice(frame.stored);
    // A set bit in the padding means nothing, and is not moved on.
    bytes.resize(bytes.len() + frame.padding.len(), 0);
}

/// The source's file as it is read: its digest, and a copy of it where one is wanted.
struct Original<'a> {
    copy: Option<&'a dyn StorageFile>,
    written: u64,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
}

impl Original<'_> {
    /// Everything before the first frame.
    fn front(&mut self, source: &Segment) -> Result<()> {
        let mut front = vec![0; usize::try_from(layout::FIRST_FRAME).unwrap_or(0)];
        read_full_at(&*source.file, 0, &mut front)
            .map_err(|error| Error::io("cannot read a segment", error).segment(source.header.number))?;
        self.buffer.extend_from_slice(&front);
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<()> {
        self.buffer.extend_from_slice(frame.header_bytes());
        self.buffer.extend_from_slice(frame.stored);
        self.buffer.extend_from_slice(frame.padding);
        if self.buffer.len() < WRITE_LEN_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        self.hasher.update(&self.buffer);
        if let Some(copy) = self.copy {
            write_all_at(copy, self.written, &self.buffer)
                .map_err(|error| Error::io("cannot copy a segment to the archive", error))?;
        }
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<[u8; 32]> {
        self.flush()?;
        if let Some(copy) = self.copy {
            copy.sync_all().map_err(|error| Error::io("cannot copy a segment to the archive", error))?;
        }
        Ok(*self.hasher.finalize().as_bytes())
    }
}

const WRITE_LEN_BYTES: usize = 1 << 20;

/// Writes a sealed segment. It goes to the disk while something else is done; durable it is after [`sync`].
pub(crate) fn write(
    target: &dyn StorageFile,
    header: &SegmentHeader,
    types: &TypeTable,
    gaps: &Gaps,
    kept: &mut [u8],
) -> Result<()> {
    let mut sealed = SealedFile::begin(target, header, types, gaps)?;
    sealed.frames(kept)?;
    sealed.seal(None, header.origin)?;
    target.start_writeback(0, 0);
    Ok(())
}

/// Makes a new segment's file durable.
pub(crate) fn sync(target: &dyn StorageFile) -> Result<()> {
    if sabotage::is(Sabotage::SkipRewriteSync) {
        return Ok(());
    }
    target.sync_all().map_err(|error| Error::io("cannot sync a rewritten segment", error))
}

/// The error for a segment that can not be rewritten as it is.
pub(crate) fn unfit(source: &Segment, why: &str) -> Error {
    let number: SegmentNumber = source.header.number;
    Error::new(ErrorKind::Damaged, "T0308", format!("segment {number} can not be compacted: {why}"))
        .segment(number)
        .hint("taffrail log verify")
}
