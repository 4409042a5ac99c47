use crate::error::{Error, Result};
use crate::log::cursor::Cursor;
use crate::log::paths;
use crate::log::sealed_file::{Origin, SealedFile};
use crate::log::segment::Segment;
use crate::storage::{OpenMode, Storage, StorageFile, read_full_at, write_all_at};
use crate::{ErrorKind, Gaps, Header, SegmentHeader, Seq, TypeTable};
use std::io;
use std::ops::Range;
use taffrail_log_format::Step;

/// What a rewritten segment is made of.
pub(super) struct Content<'a> {
    /// Its header; the origin is filled in if there is none.
    pub(super) header: SegmentHeader,
    /// The type table that it begins with.
    pub(super) types: &'a TypeTable,
    /// What is absent.
    pub(super) gaps: Gaps,
    /// Good frames of the old file, as ranges of bytes.
    pub(super) kept: &'a [Range<u64>],
    /// The seq at which it ends.
    pub(super) next_seq: Seq,
    /// Length and digest of the first sealed content, where that is known.
    pub(super) origin: Option<Origin>,
}

/// Writes a sealed segment under a temporary name, syncs it, and puts it in the place of the old one, durably. Kept frames
/// keep every byte but those of the header CRC, which is bound to the place.
pub(super) fn rewrite(storage: &dyn Storage, old: Option<&Segment>, content: &Content<'_>) -> Result<()> {
    rewrite_changed(storage, old, content, &mut |_, _| None, &mut |_| Ok(()))
}

/// What takes the place of a frame's payload, by its header and the payload; `None` to keep it.
pub(super) type Change<'a> = &'a mut dyn FnMut(&Header, &[u8]) -> Option<Vec<u8>>;

/// What has to be done with the new file when it is whole and durable, before it has its name.
pub(crate) type Admit<'a> = &'a mut dyn FnMut(&dyn StorageFile) -> Result<()>;

/// The same, with other payloads in the place of some: their frames say so, and keep the rest of their headers.
pub(super) fn rewrite_changed(
    storage: &dyn Storage,
    old: Option<&Segment>,
    content: &Content<'_>,
    change: Change<'_>,
    admit: Admit<'_>,
) -> Result<()> {
    let number = content.header.number;
    let temporary = paths::segment_temporary(number);
    let io_error = |error| Error::io("cannot rewrite a segment", error).segment(number);
    match storage.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(error)),
        _ => {}
    }
    let file = storage.open(&temporary, OpenMode::CreateNew).map_err(io_error)?;
    let written = write(&*file, old, content, change).and_then(|()| file.sync_all().map_err(io_error));
    let result = written.and_then(|()| admit(&*file));
    if let Err(error) = result {
        // What is left of it is removed by the next recovery.
        let _left_for_later = storage.remove(&temporary);
        return Err(error);
    }
    storage
        .rename(&temporary, &paths::segment(number))
        .and_then(|()| storage.sync_dir(paths::SEGMENTS))
        .map_err(io_error)
}

fn write(file: &dyn StorageFile, old: Option<&Segment>, content: &Content<'_>, change: Change<'_>) -> Result<()> {
    let mut sealed = SealedFile::begin(file, &content.header, content.types, &content.gaps)?;
    for range in content.kept {
        if let Some(old) = old {
            copy(&mut sealed, old, range, content, change)?;
        }
    }
    sealed.seal(Some(content.next_seq), content.origin)
}

/// Copies good frames of the old file.
fn copy(
    sealed: &mut SealedFile<'_>,
    old: &Segment,
    range: &Range<u64>,
    content: &Content<'_>,
    change: Change<'_>,
) -> Result<()> {
    let mut cursor = Cursor::new(old, range.start, None).limited(range.end);
    // The old file's record of them stands at its beginning, which is not read here.
    cursor.scanner.assume_gaps(content.gaps.clone());
    loop {
        match cursor.step()? {
            Step::Frame(frame) => match change(&frame.header, &frame.payload()) {
                Some(payload) => sealed.redacted(&frame.header, &payload)?,
                None => sealed.frame(&frame)?,
            },
            Step::Bad { defect, .. } => {
                // It was good when the plan was made a moment ago.
                return Err(Error::new(ErrorKind::Damaged, "T0308", format!("the segment has changed: {defect}"))
                    .segment(content.header.number)
                    .offset(defect.offset)
                    .hint("plan the repair again"));
            }
            Step::Free | Step::End | Step::NeedBytes(_) => return Ok(()),
        }
    }
}

/// Copies a range of one file into another, to the same place.
pub(super) fn copy_bytes(from: &dyn StorageFile, to: &dyn StorageFile, range: Range<u64>) -> io::Result<()> {
    let mut chunk = vec![0; 1 << 20];
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(chunk.len());
        let read = read_full_at(from, at, &mut chunk[..len])?;
        if read == 0 {
            break;
        }
        write_all_at(to, at, &chunk[..read])?;
        at += read as u64;
    }
    Ok(())
}
