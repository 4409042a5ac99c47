//! Making a store, and making its segments.

use crate::error::{Error, Result};
use crate::log::evidence::Evidence;
use crate::log::head::Head;
use crate::log::listing::{Listing, no_store};
use crate::log::options::Options;
use crate::log::paths;
use crate::storage::{EntryKind, OpenMode, Storage, WrongKind, write_all_at};
use crate::{ErrorKind, Flags, Kind, LogId, SegmentHeader, SegmentNumber, Seq, SyncPolicyTag, TypeTable};
use std::io;
use taffrail_log_format::{FrameFields, encode_frame, layout};

/// Length of a new segment's file: what its first frames take, and zeros up to here.
pub(crate) const FIRST_SEGMENT_LEN_BYTES: u64 = 64 << 10;

/// Makes the directories of a store, if it is wanted and they are not there.
///
/// # Errors
/// `NotFound` where there is no store and none is wanted; `Invalid` where the directory holds something else; `Io`.
pub(crate) fn ensure(storage: &dyn Storage, options: &Options) -> Result<()> {
    let io_error = |error| Error::io("cannot look at the store", error);
    match storage.entry(paths::SEGMENTS) {
        Ok(Some(entry)) if entry.kind == EntryKind::Directory => return Ok(()),
        Ok(Some(entry)) if entry.kind.is_special() => {
            let wrong = WrongKind { name: entry.name, found: entry.kind, expected: EntryKind::Directory };
            return Err(Error::io("cannot open the store", wrong.into_io()));
        }
        Ok(Some(_)) => return Err(foreign(paths::SEGMENTS)),
        Ok(None) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
        Err(error) => return Err(io_error(error)),
    }
    if !options.create {
        return Err(no_store());
    }
    let make = |directory: &str| {
        let made = storage.create_dir(directory);
        made.map_err(|error| Error::io("cannot make the store's directory", error))
    };
    if !make("")? {
        let own = [paths::LOCK, paths::GITIGNORE, paths::CONFIG];
        let entries = storage.list("").map_err(io_error)?;
        if entries.iter().any(|entry| entry.name == paths::SEGMENTS && entry.kind == EntryKind::Directory) {
            // Somebody else has made the store since it was looked for.
            return Ok(());
        }
        // What a restore has left before it came to an end is its own, too.
        let is_restoring = entries.iter().any(|entry| entry.name == paths::RESTORING);
        let is_foreign = |entry: &&crate::storage::Entry| !is_restoring && !own.contains(&entry.name.as_str());
        if let Some(other) = entries.iter().find(is_foreign) {
            return Err(foreign(&other.name));
        }
    }
    match storage.open(paths::GITIGNORE, OpenMode::CreateNew) {
        Ok(file) => write_all_at(&*file, 0, b"*\n").map_err(|error| Error::io("cannot write .gitignore", error))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io("cannot write .gitignore", error)),
    }
    make(paths::SEGMENTS).map(|_made| ())
}

fn foreign(name: &str) -> Error {
    Error::new(ErrorKind::Invalid, "T0306", format!("the directory is no store and not empty: it holds {name:?}"))
        .hint("choose an empty or a new directory")
}

/// Makes the first segment of a new store, durable up to the root's own name, and says whether it did. The caller holds the
/// lock, so that only one process does.
pub(crate) fn ensure_first_segment(storage: &dyn Storage, options: &Options) -> Result<bool> {
    let listing = Listing::read(storage)?;
    // Something else in a segment's place is a reason to look, not to begin anew.
    let is_empty = listing.segments.is_empty() && listing.special.is_empty();
    let nothing_yet = is_empty && Evidence::read(storage)?.log_id().is_none();
    if !nothing_yet {
        return Ok(false);
    }
    if !options.create {
        return Err(no_store());
    }
    let log_id = match options.log_id {
        Some(log_id) => log_id,
        None => LogId(storage.random_id().map_err(|error| Error::io("cannot draw a log id", error))?),
    };
    first_segment(storage, options, log_id).map(|()| true)
}

/// Makes the first segment of a log, over one without events if there is one. The caller holds the lock.
pub(crate) fn first_segment(storage: &dyn Storage, options: &Options, log_id: LogId) -> Result<()> {
    let header = SegmentHeader {
        format_version: layout::FORMAT_VERSION,
        reader_floor: layout::FORMAT_VERSION,
        log_id,
        number: SegmentNumber::FIRST,
        generation: 0,
        covers_from: SegmentNumber::FIRST,
        first_seq: Seq::FIRST,
        created_ns: storage.now_ns(),
        time_floor_ns: i64::MIN,
        predecessor: None,
        origin: None,
        sync_policy: options.sync.into(),
    };
    publish(storage, &header, &TypeTable::new())?;
    storage
        .sync_dir(paths::SEGMENTS)
        .and_then(|()| storage.sync_dir(""))
        .and_then(|()| storage.sync_parent())
        .map_err(|error| Error::io("cannot sync the store's directories", error))
}

/// Makes the segment that follows a sealed one, under its final name, and returns its number and where its first frames
/// end. The caller syncs the directory before anything is appended.
pub(crate) fn next_segment(
    storage: &dyn Storage,
    head: &Head,
    sync_policy: SyncPolicyTag,
) -> Result<(SegmentNumber, u64)> {
    let sealed = &head.segment.header;
    let Some((_, footer)) = head.segment.footer()? else {
        let message = "the sealed segment's footer can not be read back";
        return Err(Error::new(ErrorKind::Damaged, "T0304", message)
            .segment(sealed.number)
            .hint("taffrail log verify"));
    };
    let number = sealed.number.next();
    let taken = storage.entry(&paths::segment(number));
    if taken.map_err(|error| Error::io("cannot look for the next segment", error).segment(number))?.is_some() {
        // Publishing renames over whatever bears the name.
        let message =
            format!("segment {number} is there already, but segment {} was taken for the newest", sealed.number);
        return Err(Error::new(ErrorKind::Damaged, "T0304", message).segment(number).hint("taffrail log verify"));
    }
    let header = SegmentHeader {
        format_version: layout::FORMAT_VERSION,
        reader_floor: layout::FORMAT_VERSION,
        log_id: sealed.log_id,
        number,
        generation: 0,
        covers_from: number,
        first_seq: head.position.next_seq,
        created_ns: storage.now_ns(),
        time_floor_ns: head.position.time_max_ns,
        predecessor: Some(footer.origin),
        origin: None,
        sync_policy,
    };
    publish(storage, &header, &head.types).map(|end| (number, end))
}

/// Writes a whole new segment under a temporary name, syncs it, and renames it. Returns where its frames end.
fn publish(storage: &dyn Storage, header: &SegmentHeader, types: &TypeTable) -> Result<u64> {
    let number = header.number;
    let temporary = paths::segment_temporary(number);
    let (bytes, frames_end) = first_bytes(header, types)?;
    let attempt = || {
        match storage.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = storage.open(&temporary, OpenMode::CreateNew)?;
        write_all_at(&*file, 0, &bytes)?;
        file.sync_all()?;
        storage.rename(&temporary, &paths::segment(number))
    };
    attempt().map(|()| frames_end).map_err(|error| {
        // What is left of it is removed by the next attempt or the next recovery.
        let _left_for_later = storage.remove(&temporary);
        Error::io("cannot make a new segment", error).segment(number)
    })
}

/// A new segment's bytes: header block, type table, zeros; and where the frames end.
fn first_bytes(header: &SegmentHeader, types: &TypeTable) -> Result<(Vec<u8>, u64)> {
    let block = header.encode();
    let mut bytes = block.to_vec();
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    bytes.resize(at(layout::SECOND_BLOCK), 0);
    bytes.extend_from_slice(&block);
    let fields = FrameFields {
        seq: header.first_seq,
        run: None,
        revision: 0,
        time_ns: header.created_ns,
        durable: header.first_seq.count_before(),
        kind: Kind::TYPE_TABLE,
        flags: Flags::default(),
    };
    encode_frame(&mut bytes, &header.key(), layout::FIRST_FRAME, &fields, &types.encode()).map_err(|len| {
        Error::new(ErrorKind::Invalid, "T0144", format!("the type table takes {len} bytes, more than a frame holds"))
    })?;
    let frames_end = bytes.len() as u64;
    bytes.resize(bytes.len().max(at(FIRST_SEGMENT_LEN_BYTES)), 0);
    Ok((bytes, frames_end))
}
