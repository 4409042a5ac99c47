//! Where the originals of compacted segments are kept: a directory that is laid out like a store, so that everything which
//! reads a store reads it in place.
//!
//! Segments that were not compacted with the others are not in it. What stands for them is a segment without events that
//! records them as absent, so that the archive is whole in itself.

use crate::error::{Error, Result};
use crate::log::compact::rewrite::write;
use crate::log::paths;
use crate::log::quarantine::ensure_dir;
use crate::log::segment::Segment;
use crate::storage::{OpenMode, Storage, StorageFile, write_all_at};
use crate::{GapRange, GapReason, Gaps, SegmentHeader, SegmentNumber, Seq};
use std::collections::BTreeSet;
use std::io;

/// The directory of a plan's archive.
pub(crate) fn directory(name: &str) -> String {
    format!("{}/{name}", paths::ARCHIVE)
}

/// The directory of a plan's new segments, until they are put in their place.
pub(crate) fn prepared(directory: &str) -> String {
    format!("{directory}/{PREPARED}")
}

/// See [`prepared`].
const PREPARED: &str = "prepared";

/// The file of a segment below a directory.
pub(crate) fn segment_in(directory: &str, number: SegmentNumber) -> String {
    format!("{directory}/{}", paths::segment(number))
}

/// Makes a file anew: whatever bore the name is removed.
pub(crate) fn create(storage: &dyn Storage, name: &str) -> Result<Box<dyn StorageFile>> {
    remove_if_there(storage, name)?;
    storage.open(name, OpenMode::CreateNew).map_err(|error| Error::io(format_args!("cannot make {name}"), error))
}

/// Removes a file, if it is there.
pub(crate) fn remove_if_there(storage: &dyn Storage, name: &str) -> Result<()> {
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format_args!("cannot remove {name}"), error))
        }
        _ => Ok(()),
    }
}

/// Makes the directories of an archive, durably.
pub(crate) fn make_directories(storage: &dyn Storage, directory: &str, with_segments: bool) -> Result<()> {
    ensure_dir(storage, paths::ARCHIVE)?;
    ensure_dir(storage, directory)?;
    ensure_dir(storage, &prepared(directory))?;
    if with_segments {
        ensure_dir(storage, &format!("{directory}/{}", paths::SEGMENTS))?;
    }
    Ok(())
}

/// Gives a segment's file a second name in an archive: no byte is copied. `false` where the file system has no such
/// thing; then it has to be copied.
pub(crate) fn link(storage: &dyn Storage, from: &str, to: &str) -> Result<bool> {
    remove_if_there(storage, to)?;
    match storage.link(from, to) {
        Ok(()) => Ok(true),
        // Whatever the reason is, a copy does as well, and tells of it if that one fails too.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(format_args!("cannot keep {from}"), error)),
    }
}

/// Writes what stands in an archive for the segments before its last one that are not in it.
///
/// # Errors
/// `Damaged` where one of those has no good header or footer; `Io`.
pub(crate) fn stand_ins(
    storage: &dyn Storage,
    directory: &str,
    segments: &[SegmentNumber],
    archived: &BTreeSet<SegmentNumber>,
) -> Result<()> {
    let Some(last) = archived.last() else { return Ok(()) };
    let mut absent: Vec<Segment> = Vec::new();
    for number in segments.iter().filter(|number| *number <= last) {
        if !archived.contains(number) {
            absent.push(Segment::open(storage, *number, OpenMode::Read)?);
            continue;
        }
        stand_in(storage, directory, &absent)?;
        absent.clear();
    }
    Ok(())
}

/// One segment for several that follow each other.
fn stand_in(storage: &dyn Storage, directory: &str, absent: &[Segment]) -> Result<()> {
    let Some((first, last)) = absent.first().zip(absent.last()) else { return Ok(()) };
    let Some((_, footer)) = last.footer()? else {
        return Err(super::rewrite::unfit(last, "it has no footer"));
    };
    let header = SegmentHeader {
        generation: last.header.generation + 1,
        covers_from: first.header.covers_from,
        first_seq: first.header.first_seq,
        time_floor_ns: first.header.time_floor_ns,
        predecessor: first.header.predecessor,
        origin: Some(last.header.origin.unwrap_or(footer.origin)),
        ..last.header.clone()
    };
    let range = Seq::new(footer.next_seq.count_before()).filter(|end| *end >= header.first_seq).map(|end| GapRange {
        first: header.first_seq,
        last: end,
        reason: GapReason::Compacted,
        // Nothing was taken away: the events are where they were, in the store that the archive is in.
        digest: *blake3::hash(&[]).as_bytes(),
        kept_in: format!("../../{}", paths::SEGMENTS),
    });
    let gaps = Gaps::new(range.into_iter().collect()).unwrap_or_default();
    let file = create(storage, &segment_in(directory, header.number))?;
    write(&*file, &header, &footer.types, &gaps, &mut [])
}

/// Writes a small file durably.
pub(crate) fn write_file(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<()> {
    let file = create(storage, name)?;
    write_all_at(&*file, 0, bytes)
        .and_then(|()| file.sync_all())
        .map_err(|error| Error::io(format_args!("cannot write {name}"), error))
}

/// Removes what a compaction that did not come to its end has left: new segments, of any plan.
pub(crate) fn remove_prepared(storage: &dyn Storage) -> Result<()> {
    for name in entries(storage, paths::ARCHIVE)? {
        let directory = directory(&name);
        remove_directory(storage, &prepared(&directory))?;
        // A plan that drops has nothing else.
        if entries(storage, &directory)?.is_empty() {
            let _not_empty_or_no_directory = storage.remove_dir(&directory);
        }
    }
    Ok(())
}

/// Removes a directory of files, if it is there.
pub(crate) fn remove_directory(storage: &dyn Storage, directory: &str) -> Result<()> {
    for file in entries(storage, directory)? {
        remove_if_there(storage, &format!("{directory}/{file}"))?;
    }
    match storage.remove_dir(directory) {
        Err(error) if !is_absent(&error) => Err(Error::io(format_args!("cannot remove {directory}"), error)),
        _ => Ok(()),
    }
}

/// Names in a directory; none where there is no directory.
pub(crate) fn entries(storage: &dyn Storage, directory: &str) -> Result<Vec<String>> {
    match storage.list(directory) {
        Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect()),
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        Err(error) => Err(Error::io(format_args!("cannot list {directory}"), error)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Makes the entries of an archive durable.
pub(crate) fn sync(storage: &dyn Storage, directory: &str, with_segments: bool) -> Result<()> {
    let io_error = |error| Error::io(format_args!("cannot sync {directory}"), error);
    if with_segments {
        storage.sync_dir(&format!("{directory}/{}", paths::SEGMENTS)).map_err(io_error)?;
    }
    storage.sync_dir(&prepared(directory)).and_then(|()| storage.sync_dir(directory)).map_err(io_error)
}
