//! Putting a new segment in the place of one, or of several, or several in the place of one, while others read and write.
//!
//! One rename does it. Where the file stands for several, before or afterwards, a note beside the segments says so before the
//! rename, and is taken away when it is done: a directory with both is read as the header of the file says. What is not needed
//! any more is removed without the store's lock.

use crate::error::{Error, Result};
use crate::log::compact::archive::{self, exists, remove_if_there};
use crate::log::listing::Listing;
use crate::log::lock::{LockState, StoreLock};
use crate::log::paths;
use crate::log::segment::Segment;
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, SegmentNumber};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use taffrail_log_format::sabotage::{self, Sabotage};

/// New files, and the segments that they take the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replacement {
    /// The new file of the last segment, relative to the store: it is there until the replacement is done.
    pub(crate) prepared: String,
    /// What is there now, ascending: number, generation, length of the file in bytes. The new file bears the last number.
    pub(crate) present: Vec<(u32, u32, u64)>,
    /// Segments that come back before the last one, ascending, which stands for them now: number, and the original.
    #[serde(default)]
    pub(crate) earlier: Vec<(u32, String)>,
}

impl Replacement {
    /// The segments that it takes the place of.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = SegmentNumber> {
        self.present.iter().filter_map(|(number, ..)| SegmentNumber::new(*number))
    }

    /// The segments that come back before the last one: number, where it is prepared, and the original.
    pub(crate) fn earlier(&self) -> impl Iterator<Item = (SegmentNumber, String, &str)> {
        let directory = self.prepared.rsplit_once('/').map_or("", |(directory, _)| directory);
        self.earlier.iter().filter_map(move |(number, original)| {
            let number = SegmentNumber::new(*number)?;
            Some((number, format!("{directory}/{}", number.file_name()), original.as_str()))
        })
    }

    /// The note that says which files are one, before or afterwards; `None` where one file takes the place of one.
    fn note(&self) -> Option<String> {
        let last = self.numbers().last()?;
        let first = self.earlier().map(|(number, ..)| number).chain(self.numbers()).min()?;
        (first < last).then(|| paths::stands_for(first, last))
    }
}

/// Publishes one replacement. The store's lock is held meanwhile: no longer than a rotation takes.
///
/// # Errors
/// `Rejected` where the segments are not the planned ones any more; what `check` says of how the last holder left the lock: nothing was changed. `Locked`, `Io`.
pub(crate) fn publish(
    storage: &Arc<dyn Storage>,
    lock_timeout_ms: u64,
    replacement: &Replacement,
    check: &mut dyn FnMut(LockState) -> Result<()>,
) -> Result<()> {
    // What an interruption had put in its place already, a recovery has taken away; and what it was in the middle of making is no
    // copy. Either is made anew.
    for (_, prepared, original) in replacement.earlier() {
        remove_if_there(&**storage, &prepared)?;
        if !archive::link(&**storage, original, &prepared)? {
            archive::copy(&**storage, original, &prepared)?;
        }
    }
    let note = replacement.note();
    if let Some(note) = &note {
        write_note(&**storage, note)?;
    }
    let mut lock = StoreLock::open(Arc::clone(storage))?;
    let state = lock.acquire(lock_timeout_ms)?;
    check_present(&**storage, replacement)?;
    check(state)?;
    // Whoever comes after an interruption recovers, and finishes this.
    lock.mark_held()?;
    replace(&**storage, replacement, note.as_deref())?;
    // The index names places in segments that are other files now.
    remove_if_there(&**storage, paths::RUNS_INDEX)?;
    match state {
        // Nothing has happened at the log's end.
        LockState::Clean { boot_id, known, offset } if boot_id == storage.boot_id() => {
            lock.release_clean(known, offset)
        }
        _ => {
            lock.abandon();
            Ok(())
        }
    }?;
    drop(lock);
    finish(&**storage, &Listing::read(&**storage)?)
}

fn write_note(storage: &dyn Storage, note: &str) -> Result<()> {
    archive::write_file(storage, note, &[])?;
    archive::sync_dir(storage, paths::SEGMENTS)
}

fn check_present(storage: &dyn Storage, replacement: &Replacement) -> Result<()> {
    for (number, (_, generation, len_bytes)) in replacement.numbers().zip(&replacement.present) {
        let segment = Segment::open(storage, number, OpenMode::Read)?;
        let len = segment.file.len_bytes().map_err(|error| Error::io("cannot measure a segment", error))?;
        if (segment.header.generation, len) != (*generation, *len_bytes) {
            let message = format!("segment {number} has been rewritten since the plan was made");
            return Err(Error::new(ErrorKind::Rejected, "T0401", message).segment(number).hint("taffrail log compact"));
        }
    }
    Ok(())
}

fn replace(storage: &dyn Storage, replacement: &Replacement, note: Option<&str>) -> Result<()> {
    let Some(last) = replacement.numbers().last() else { return Ok(()) };
    let io_error = |error| Error::io("cannot put a segment in its place", error).segment(last);
    // A recovery that came meanwhile saw no use for it.
    if let Some(note) = note
        && !exists(storage, note)?
    {
        write_note(storage, note)?;
    }
    if sabotage::is(Sabotage::RemoveBeforeReplace) {
        for number in replacement.numbers() {
            remove_if_there(storage, &paths::segment(number))?;
        }
        archive::sync_dir(storage, paths::SEGMENTS)?;
    }
    let mut is_there = Ok(());
    for (number, prepared, _) in replacement.earlier() {
        is_there = is_there.and_then(|()| storage.rename(&prepared, &paths::segment(number)));
    }
    if !replacement.earlier.is_empty() {
        is_there = is_there.and_then(|()| storage.sync_dir(paths::SEGMENTS));
    }
    is_there
        .and_then(|()| storage.rename(&replacement.prepared, &paths::segment(last)))
        .and_then(|()| storage.sync_dir(paths::SEGMENTS))
        .map_err(io_error)
}

/// Removes the files that others stand for, and then the notes that say so. Where nobody holds the store's lock, whoever calls
/// it is the only one that makes such notes.
pub(crate) fn finish(storage: &dyn Storage, listing: &Listing) -> Result<()> {
    let is_decided = |name: &&String| paths::stood_for(name).is_some() && !listing.undecided.contains(name);
    let notes: Vec<&String> = listing.strays.iter().filter(is_decided).collect();
    if notes.is_empty() {
        return Ok(());
    }
    for (number, _) in &listing.superseded {
        remove_if_there(storage, &paths::segment(*number))?;
    }
    let sync = || storage.sync_dir(paths::SEGMENTS).map_err(|error| Error::io("cannot sync the segments", error));
    sync()?;
    for note in notes {
        remove_if_there(storage, &format!("{}/{note}", paths::SEGMENTS))?;
    }
    sync()
}
