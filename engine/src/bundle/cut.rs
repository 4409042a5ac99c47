//! Where a log is cut for a bundle: sealed segments whole, the newest one up to the durable head.

use crate::error::{Error, Result};
use crate::log::{Cursor, Position, frame_is_there, watermark};
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, Header, Listing, Segment, SegmentNumber, Seq, Watermark};
use taffrail_log_format::{Step, layout};

/// A consistent state of a log, found by reading only. Whatever is appended meanwhile lies behind it.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// The segments, with the lengths up to which they belong to it.
    pub(super) segments: Vec<(SegmentNumber, u64)>,
    /// The end, as a watermark: its log, its segment and offset, and the last durable seq.
    pub(super) end: Watermark,
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
        let durable = mark.map_or(0, |mark| mark.durable).max(before);
        let marked = match mark.filter(|mark| mark.segment == newest) {
            Some(mark) => frame_is_there(&*segment.file, log_id, &position(&mark))?.then_some(mark),
            None => None,
        };
        let end = match marked {
            Some(mark) => mark,
            None => scan(&segment, durable)?,
        };
        let mut segments = listing.segments;
        if let Some(last) = segments.last_mut() {
            last.1 = end.offset;
        }
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

/// The end of the last whole batch that is durable.
fn scan(segment: &Segment, durable: u64) -> Result<Watermark> {
    let header = &segment.header;
    let mut end = Watermark {
        log_id: header.log_id,
        counter: 0,
        segment: header.number,
        offset: layout::FIRST_FRAME,
        durable,
        last_frame: 0,
        last_frame_crc: 0,
    };
    let reached = |header: &Header| if header.kind.takes_seq() { header.seq.get() } else { 0 };
    let mut cursor = Cursor::new(segment, layout::FIRST_FRAME, Some(header.first_seq));
    loop {
        match cursor.step()? {
            Step::Frame(frame) => {
                if reached(&frame.header) > durable {
                    return Ok(end);
                }
                let (offset, behind, crc) = (frame.offset, frame.end(), frame.header_crc());
                if !cursor.scanner.in_batch() {
                    (end.last_frame, end.offset, end.last_frame_crc) = (offset, behind, crc);
                }
            }
            Step::Bad { defect, .. } => {
                let message = format!("the newest segment can not be read up to the durable head: {defect}");
                return Err(Error::new(ErrorKind::Damaged, "T0308", message)
                    .segment(header.number)
                    .offset(defect.offset)
                    .hint("taffrail log verify"));
            }
            Step::Free | Step::End | Step::NeedBytes(_) => return Ok(end),
        }
    }
}
