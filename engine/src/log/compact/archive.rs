//! Where the originals of compacted segments are kept: a directory that is laid out like a store, so that everything which
//! reads a store reads it in place.
//!
//! Segments that were not compacted with the others are not in it. What stands for them is a segment without events that
//! records them as absent, so that the archive is whole in itself.

use crate::error::{Error, Result};
use crate::log::compact::rewrite::{sync, write};
use crate::log::paths;
use crate::log::quarantine::{digest_of, ensure_dir};
use crate::log::segment::Segment;
use crate::plan::plan_name;
use crate::storage::{EntryKind, OpenMode, Storage, StorageFile, read_full_at, write_all_at};
use crate::{ErrorKind, GapRange, GapReason, Gaps, SegmentHeader, SegmentNumber, Seq};
use std::collections::BTreeSet;
use std::io;

/// Where the events are that an archive stands beside, relative to it.
pub(crate) const ELSEWHERE: &str = "../../segments";

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

/// Copies a file durably.
pub(crate) fn copy(storage: &dyn Storage, from: &str, to: &str) -> Result<()> {
    let io_error = |error| Error::io(format_args!("cannot copy {from}"), error);
    let (source, target) = (storage.open(from, OpenMode::Read).map_err(io_error)?, create(storage, to)?);
    let mut chunk = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let len = read_full_at(&*source, at, &mut chunk).map_err(io_error)?;
        if len == 0 {
            return target.sync_all().map_err(io_error);
        }
        write_all_at(&*target, at, &chunk[..len]).map_err(io_error)?;
        at += len as u64;
    }
}

/// What an archive says of itself; nothing where that can not be understood.
pub(crate) fn manifest(storage: &dyn Storage, directory: &str) -> Result<serde_json::Value> {
    let name = format!("{directory}/{}", paths::MANIFEST);
    let io_error = |error| Error::io(format_args!("cannot read {name}"), error);
    let file = match storage.open(&name, OpenMode::Read) {
        Err(error) if is_absent(&error) => return Ok(serde_json::Value::Null),
        other => other.map_err(io_error)?,
    };
    let len = file.len_bytes().map_err(io_error)?.min(MOST_MANIFEST_LEN_BYTES);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = read_full_at(&*file, 0, &mut bytes).map_err(io_error)?;
    Ok(serde_json::from_slice(&bytes[..read]).unwrap_or_default())
}

/// Says in an archive that a segment of it may be another file than the one that was kept: this one, in which events were
/// redacted. Before the file has its name, so that an undo finds either of them to be what was kept.
pub(crate) fn admit(
    storage: &dyn Storage,
    directory: &str,
    number: SegmentNumber,
    file: &dyn StorageFile,
) -> Result<()> {
    let mut manifest = manifest(storage, directory)?;
    let listed = manifest["segments"].as_array_mut().into_iter().flatten();
    let Some(told) = listed.into_iter().find(|told| told["segment"] == number.get()) else { return Ok(()) };
    let len_bytes = file.len_bytes().map_err(|error| Error::io("cannot measure a segment", error).segment(number))?;
    let digest = blake3::Hash::from(digest_of(file, 0..len_bytes)?).to_hex().to_string();
    match told["redacted"].as_array_mut() {
        Some(admitted) if admitted.iter().any(|known| *known == digest) => return Ok(()),
        Some(admitted) => admitted.push(digest.into()),
        None => told["redacted"] = vec![digest].into(),
    }
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| {
        Error::new(ErrorKind::Invalid, "T0190", format!("the manifest can not be written down: {error}"))
    })?;
    let (name, temporary) =
        (format!("{directory}/{}", paths::MANIFEST), format!("{directory}/{}.tmp", paths::MANIFEST));
    write_file(storage, &temporary, &text)?;
    storage.rename(&temporary, &name).map_err(|error| Error::io(format_args!("cannot write {name}"), error))?;
    sync_dir(storage, directory)
}

/// How often a segment had been rewritten when it was kept, as an archive's manifest says.
pub(crate) fn generation_of(manifest: &serde_json::Value, number: SegmentNumber) -> Option<u32> {
    let mut listed = manifest["segments"].as_array().into_iter().flatten();
    let told = listed.find(|told| told["segment"] == number.get())?;
    told["generation"].as_u64().and_then(|generation| u32::try_from(generation).ok())
}

/// Whether a digest, in hexadecimal, is one that an archive's manifest has of a segment: of the original, or of what a
/// redaction has made of it.
pub(crate) fn has_admitted(manifest: &serde_json::Value, number: SegmentNumber, digest: &str) -> bool {
    let listed = manifest["segments"].as_array().into_iter().flatten();
    let mut of_segment = listed.filter(|told| told["segment"] == number.get());
    of_segment.any(|told| {
        told["blake3"] == digest || told["redacted"].as_array().into_iter().flatten().any(|known| *known == digest)
    })
}

const MOST_MANIFEST_LEN_BYTES: u64 = 64 << 20;

/// A directory below `archive/` for a plan: its name, or more digits of its id where that is taken.
pub(crate) fn free_directory(storage: &dyn Storage, id: &str) -> Result<String> {
    let short = directory(plan_name(id));
    Ok(if exists(storage, &short)? { directory(id.get(..16).unwrap_or(id)) } else { short })
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
        kept_in: ELSEWHERE.to_owned(),
    });
    let gaps = Gaps::new(range.into_iter().collect()).unwrap_or_default();
    let file = create(storage, &segment_in(directory, header.number))?;
    write(&*file, &header, &footer.types, &gaps, &mut []).and_then(|()| sync(&*file))
}

/// Writes a small file durably.
pub(crate) fn write_file(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<()> {
    let file = create(storage, name)?;
    write_all_at(&*file, 0, bytes)
        .and_then(|()| file.sync_all())
        .map_err(|error| Error::io(format_args!("cannot write {name}"), error))
}

/// Whether a name is taken.
pub(crate) fn exists(storage: &dyn Storage, name: &str) -> Result<bool> {
    match storage.entry(name) {
        Ok(entry) => Ok(entry.is_some()),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(Error::io(format_args!("cannot look at {name}"), error)),
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(storage: &dyn Storage, directory: &str) -> Result<()> {
    storage.sync_dir(directory).map_err(|error| Error::io(format_args!("cannot sync {directory}"), error))
}

/// Removes a directory with all that is in it, if it is there. What says that it is an archive goes first: from then on
/// nobody takes it for one.
pub(crate) fn remove_tree(storage: &dyn Storage, directory: &str) -> Result<()> {
    let manifest = format!("{directory}/{}", paths::MANIFEST);
    if exists(storage, &manifest)? {
        remove_if_there(storage, &manifest)?;
        sync_dir(storage, directory)?;
    }
    let listed = match storage.list(directory) {
        Err(error) if is_absent(&error) => return Ok(()),
        listed => listed.map_err(|error| Error::io(format_args!("cannot list {directory}"), error))?,
    };
    for entry in listed.iter().filter(|entry| entry.kind == EntryKind::Directory) {
        remove_directory(storage, &format!("{directory}/{}", entry.name))?;
    }
    remove_directory(storage, directory)?;
    let parent = directory.rsplit_once('/').map_or("", |(parent, _)| parent);
    sync_dir(storage, parent)
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

/// Whether an error says that there is nothing of that name.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
