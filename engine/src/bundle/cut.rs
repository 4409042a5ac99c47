//! Where a log is cut for a bundle: sealed segments whole, the newest one up to the durable head.

use crate::error::{Error, Result};
use crate::log::{Cursor, Position, frame_is_there, paths, watermark};
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, Listing, Segment, SegmentHeader, SegmentNumber, Seq, Watermark};
use std::collections::VecDeque;
use taffrail_log_format::{Step, layout};

/// A consistent state of a log, found by reading only. Whatever is appended meanwhile lies behind it.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// The segments.
    pub(super) segments: Vec<CutSegment>,
    /// The end, as a watermark: its log, its segment and offset, and the last durable seq.
    pub(super) end: Watermark,
}

/// A segment of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CutSegment {
    pub(super) number: SegmentNumber,
    /// Up to where it belongs to the cut.
    pub(super) len_bytes: u64,
    /// How often it had been rewritten; `None` where its header can not be read.
    pub(super) generation: Option<u32>,
}

impl CutSegment {
    /// Whether a file is still the one that was cut: compactions, repairs and redactions put others in its place.
    pub(super) fn is(&self, storage: &dyn Storage) -> bool {
        generation(storage, self.number) == self.generation
    }
}

fn generation(storage: &dyn Storage, number: SegmentNumber) -> Option<u32> {
    Segment::open(storage, number, OpenMode::Read).ok().map(|segment| segment.header.generation)
}

impl Cut {
    /// Looks at a store.
    ///
    /// # Errors
    /// `NotFound` where there is no store; `Damaged` where the newest segment is; `Io`.
    pub(super) fn find(storage: &dyn Storage) -> Result<Cut> {
        // The watermark first: what it says stays true, and no segment of the listing is older.
        let mark = watermark::read(storage)?.newest;
        let listing = Listing::read(storage)?;
        let newest = listing.newest().ok_or_else(crate::log::listing::no_store)?;
        let segment = Segment::open(storage, newest, OpenMode::Read)?;
        let log_id = segment.header.log_id;
        let mark = mark.filter(|mark| mark.log_id == log_id);
        // A segment is begun when everything before it is durable.
        let before = segment.header.first_seq.count_before();
        let mut durable = mark.map_or(0, |mark| mark.durable).max(before);
        let io = |error| Error::io("cannot look for a lock", error);
        if storage.entry(paths::LOCK).map_err(io)?.is_none()
            && let Some((_, footer)) = segment.footer()?
        {
            // An archive: nobody appends to it, and nothing of it waits for a sync.
            durable = durable.max(footer.next_seq.count_before());
        }
        let marked = match mark.filter(|mark| mark.segment == newest) {
            Some(mark) => frame_is_there(&*segment.file, log_id, &position(&mark))?.then_some(mark),
            None => None,
        };
        // A watermark is behind the last acknowledgement while appends are queued: the frames after it tell more.
        let end = match marked {
            Some(mark) => scan(&segment, mark, Seq::after(mark.durable))?,
            None => scan(&segment, start_of(&segment.header, durable), segment.header.first_seq)?,
        };
        let cut = |(number, len_bytes): (SegmentNumber, u64)| CutSegment {
            number,
            len_bytes: if number == newest { end.offset } else { len_bytes },
            generation: generation(storage, number),
        };
        let segments = listing.segments.into_iter().map(cut).collect();
        Ok(Cut { segments, end: Watermark { counter: EVEN_COUNTER, ..end } })
    }

    /// The bytes of a watermark file that says so.
    pub(super) fn watermark(end: &Watermark) -> Vec<u8> {
        let mut bytes = vec![0; layout::watermark::FILE_LEN_BYTES];
        bytes[..layout::watermark::LEN_BYTES].copy_from_slice(&end.encode());
        bytes
    }
}

/// The counter of a watermark in a bundle, whatever it was in the store: its version stands in the first slot.
pub(super) const EVEN_COUNTER: u64 = 2;

fn position(mark: &Watermark) -> Position {
    Position {
        segment: mark.segment,
        offset: mark.offset,
        next_seq: Seq::after(mark.durable),
        time_max_ns: i64::MIN,
        last_frame: mark.last_frame,
        last_frame_crc: mark.last_frame_crc,
    }
}

/// Before the first frame of a segment.
fn start_of(header: &SegmentHeader, durable: u64) -> Watermark {
    Watermark {
        log_id: header.log_id,
        counter: 0,
        segment: header.number,
        offset: layout::FIRST_FRAME,
        durable,
        last_frame: 0,
        last_frame_crc: 0,
    }
}

/// The end of the last whole batch that is durable, from a place on where the event of a seq is due: by what is known of it,
/// and by what each frame says had been durable when it was written.
fn scan(segment: &Segment, start: Watermark, due: Seq) -> Result<Watermark> {
    let mut end = start;
    // Ends of batches of which it is not known yet: those of one group, at most.
    let mut waiting: VecDeque<(u64, Watermark)> = VecDeque::new();
    let mut last = due.count_before();
    let mut cursor = Cursor::new(segment, start.offset, Some(due));
    loop {
        match cursor.step()? {
            Step::Frame(frame) => {
                let header = &frame.header;
                if header.kind.takes_seq() {
                    last = header.seq.get();
                    end.durable = end.durable.max(header.durable());
                }
                let (last_frame, offset, last_frame_crc) = (frame.offset, frame.end(), frame.header_crc());
                if !cursor.scanner.in_batch() {
                    waiting.push_back((last, Watermark { offset, last_frame, last_frame_crc, ..end }));
                }
                while let Some((_, reached)) = waiting.front().filter(|(seq, _)| *seq <= end.durable) {
                    end = Watermark { durable: end.durable, ..*reached };
                    waiting.pop_front();
                }
            }
            Step::Bad { defect, .. } if last < end.durable => {
                let message = format!("the newest segment can not be read up to the durable head: {defect}");
                return Err(Error::new(ErrorKind::Damaged, "T0308", message)
                    .segment(segment.header.number)
                    .offset(defect.offset)
                    .hint("taffrail log verify"));
            }
            // What is behind the durable head may be half written: it is not in the cut.
            Step::Bad { .. } | Step::Free | Step::End | Step::NeedBytes(_) => return Ok(end),
        }
    }
}
