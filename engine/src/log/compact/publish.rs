//! Putting a new segment in the place of one, or of several, while others read and write.
//!
//! One rename does it. Where the new file stands for several, a note beside the segments says so before the rename, and is
//! taken away when the files that it supersedes are gone: a directory with both is read as the new file says.

use crate::error::{Error, Result};
use crate::log::compact::archive::remove_if_there;
use crate::log::listing::Listing;
use crate::log::lock::{LockState, StoreLock};
use crate::log::paths;
use crate::log::segment::Segment;
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, SegmentNumber};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A new file, and the segments that it takes the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replacement {
    /// The new file, relative to the store.
    pub(crate) prepared: String,
    /// What is there now, ascending: number, generation, length of the file in bytes. The new file bears the last number.
    pub(crate) present: Vec<(u32, u32, u64)>,
}

impl Replacement {
    /// The segments that it takes the place of.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = SegmentNumber> {
        self.present.iter().filter_map(|(number, ..)| SegmentNumber::new(*number))
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
    let mut lock = StoreLock::open(Arc::clone(storage))?;
    let state = lock.acquire(lock_timeout_ms)?;
    check_present(&**storage, replacement)?;
    check(state)?;
    // Whoever comes after an interruption recovers, and finishes this.
    lock.mark_held()?;
    replace(&**storage, replacement)?;
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
    }
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

fn replace(storage: &dyn Storage, replacement: &Replacement) -> Result<()> {
    let Some((first, last)) = replacement.numbers().next().zip(replacement.numbers().last()) else { return Ok(()) };
    let io_error = |error| Error::io("cannot put a segment in its place", error).segment(last);
    let note = (first < last).then(|| paths::stands_for(first, last));
    if let Some(note) = &note {
        super::archive::write_file(storage, note, &[])?;
        storage.sync_dir(paths::SEGMENTS).map_err(io_error)?;
    }
    storage
        .rename(&replacement.prepared, &paths::segment(last))
        .and_then(|()| storage.sync_dir(paths::SEGMENTS))
        .map_err(io_error)?;
    if note.is_some() {
        finish(storage, &Listing::read(storage)?)?;
    }
    Ok(())
}

/// Removes the files that others stand for, and then the notes that say so. The caller holds the store's lock.
pub(crate) fn finish(storage: &dyn Storage, listing: &Listing) -> Result<()> {
    let notes: Vec<&String> = listing.strays.iter().filter(|name| paths::stood_for(name).is_some()).collect();
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
