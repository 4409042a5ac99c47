//! Putting back what was the newest segment when it was repaired: events follow it now, so it gets an end.
//!
//! Every frame of it comes back, good or not, at its place. What stood behind the last event does not: a torn append, or a stray
//! bit in free space. Those had never been events, whoever writes cuts them, and they stay in the quarantine.

use crate::error::{Error, Result};
use crate::log::cursor::Cursor;
use crate::log::repair::rewrite::copy_bytes;
use crate::log::sealed_file::{SealedFile, front};
use crate::log::segment::Segment;
use crate::storage::{StorageFile, read_full_at, write_all_at};
use crate::{DefectKind, FooterBuilder, SegmentHeader, Seq, TypeTable, Verdict};
use std::sync::Arc;
use taffrail_log_format::{Scanner, Step, layout, scan_tail};

/// Where the events of an original end, and a summary of them.
struct End {
    at: u64,
    footer: FooterBuilder,
    is_whole: bool,
}

/// Writes the original of a segment that was the newest one, sealed, into an empty file. `present` is what the repair has made
/// of it, and `next` the segment that follows.
///
/// # Errors
/// `Io`.
pub(super) fn reseal(
    original: &Arc<dyn StorageFile>,
    target: &dyn StorageFile,
    present: &Segment,
    next: &Segment,
) -> Result<()> {
    let number = present.header.number;
    let io_error = |error| Error::io("cannot put a segment back", error).segment(number);
    let own = Segment::read_any(Arc::clone(original)).ok().map(|segment| segment.header);
    let header = own.as_ref().unwrap_or(&present.header);
    let sealed =
        SegmentHeader { generation: present.header.generation + 1, origin: next.header.predecessor, ..header.clone() };
    let end = end_of(original, header, next.header.first_seq)?;
    let mut top = vec![0; usize::try_from(layout::FIRST_FRAME).unwrap_or(0)];
    read_full_at(&**original, 0, &mut top).map_err(io_error)?;
    let (old, new) = (front(header), front(&sealed));
    for block in [layout::FIRST_BLOCK, layout::SECOND_BLOCK] {
        let start = usize::try_from(block).unwrap_or(0);
        let place = start..start + layout::block::LEN_BYTES;
        // A bad block comes back as it was.
        if top[place.clone()] == old[place.clone()] {
            top[place.clone()].copy_from_slice(&new[place]);
        }
    }
    write_all_at(target, 0, &top).map_err(io_error)?;
    let len = original.len_bytes().map_err(io_error)?;
    copy_bytes(&**original, target, layout::FIRST_FRAME..end.at.min(len)).map_err(io_error)?;
    let mut footer = end.footer.finish(next.header.predecessor);
    footer.next_seq = next.header.first_seq;
    if let Some(types) = types_of(next)? {
        footer.types = types;
    }
    if !end.is_whole {
        // Which runs have events here, the frames tell better than a list of those that are left.
        footer.runs = None;
    }
    // Where events are missing and not even bytes are left of them, there is a hole.
    target.set_len(end.at).map_err(io_error)?;
    SealedFile::behind(target, &sealed, end.at).end(&footer, next.header.first_seq)
}

/// The types that a segment begins with.
fn types_of(segment: &Segment) -> Result<Option<TypeTable>> {
    segment.frame_at(layout::FIRST_FRAME, |frame| TypeTable::decode(&frame.payload()).ok()).map(Option::flatten)
}

/// Finds where the events of what was a newest segment end: `next_seq` is the seq that follows them. Judged as a tail is, again
/// behind each damage.
fn end_of(original: &Arc<dyn StorageFile>, header: &SegmentHeader, next_seq: Seq) -> Result<End> {
    let io_error = |error| Error::io("cannot read a segment", error).segment(header.number);
    let key = header.key();
    let mut cursor = Cursor::over(Arc::clone(original), key, layout::FIRST_FRAME, Some(header.first_seq));
    let mut footer = FooterBuilder::new(header.first_seq, header.time_floor_ns);
    let mut batch = cursor.scanner.clone();
    let mut is_whole = true;
    loop {
        let (kind, bad) = match cursor.step()? {
            Step::Frame(frame) => {
                footer.observe(&frame.header, frame.header_bytes(), frame.offset, &frame.payload());
                if !cursor.scanner.in_batch() {
                    batch = cursor.scanner.clone();
                }
                continue;
            }
            Step::Bad { defect, header } => (defect.kind, header),
            Step::Free | Step::End | Step::NeedBytes(_) => (DefectKind::Hole, None),
        };
        let due = cursor.scanner.expected().unwrap_or(next_seq);
        if due >= next_seq {
            // Nothing is missing: what follows was torn, or is no part of the log.
            let scan = rest(&**original, &batch).map_err(io_error)?;
            let scan = scan_tail(batch.clone(), &scan, next_seq.count_before(), |_| {});
            let torn = scan.filter(|scan| scan.verdict == Verdict::Torn).map(|scan| scan.batch_at);
            return Ok(End { at: torn.unwrap_or(cursor.scanner.offset()), footer, is_whole });
        }
        is_whole = false;
        let bad_at = cursor.scanner.offset();
        let goes_on = if kind == DefectKind::Hole { cursor.skip_free()? } else { cursor.skip_bad(kind, bad)? };
        if !goes_on {
            let left = rest(&**original, &cursor.scanner).map_err(io_error)?;
            let data = left.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
            let missing = next_seq.get() - due.get();
            // What a header claims, and as many headers as are missing, have to find room: what follows has to be taken for what
            // it is.
            let claimed = bad.map_or(0, |header| header.frame_len());
            let room = claimed + missing * layout::frame::HEADER_LEN_BYTES as u64;
            let at = bad_at + data.max(room).next_multiple_of(layout::FRAME_ALIGN_BYTES);
            return Ok(End { at, footer, is_whole });
        }
        batch = cursor.scanner.clone();
    }
}

/// What stands in a file from a scanner's place on. A newest segment is no longer than a writer makes one.
fn rest(file: &dyn StorageFile, scanner: &Scanner) -> std::io::Result<Vec<u8>> {
    let len = file.len_bytes()?.saturating_sub(scanner.offset());
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let read = read_full_at(file, scanner.offset(), &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}
