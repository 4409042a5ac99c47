//! Work on a store's files that takes more than one step: all of it is prepared beside the log and noted; the operator event
//! that tells of it decides that it is done; and whoever works on the store next finishes what an interruption has left.
//!
//! So after an interruption there are two cases. The event is not in the log: nothing was touched, and what was prepared is
//! taken away. The event is in the log: every step is still to be found in the note, and those that are left are taken.

use crate::error::{Error, Result};
use crate::log::archived::is_archive;
use crate::log::compact::archive::{self, entries, exists, remove_directory, remove_if_there, sync_dir};
use crate::log::compact::publish::{self, Replacement, publish};
use crate::log::cursor::Cursor;
use crate::log::listing::Listing;
use crate::log::lock::LockState;
use crate::log::paths;
use crate::log::quarantine::ensure_dir;
use crate::log::query::Query;
use crate::log::segment::Segment;
use crate::plan::parse_digest;
use crate::storage::{EntryKind, OpenMode, Storage, StorageFile, read_full_at};
use crate::{ErrorKind, Journal, OperatorAction, Reader, SegmentNumber, Seq};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use taffrail_log_format::Step;

/// What has been prepared, and is to be done once it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    /// The plan's id.
    pub(crate) plan: String,
    /// The log's last event when the work was prepared: the one that tells of it stands behind.
    pub(crate) after: u64,
    /// New files of segments.
    pub(crate) replacements: Vec<Replacement>,
    /// By run: the revision that it has to have when the first segment is replaced.
    pub(crate) revisions: BTreeMap<u64, u32>,
    /// Directories to remove, relative to the store.
    pub(crate) forgotten: Vec<String>,
}

/// The note's name among the prepared files: the last one, so that it is removed last.
const NOTE: &str = "work.json";

/// Keeps other compactions, undos and removals of archives away while what is returned is held, and finishes what an
/// interrupted one has left. Writers are not concerned.
///
/// # Errors
/// `Locked` (T0311) where another process does such work; what finishing says.
pub(crate) fn begin(storage: &Arc<dyn Storage>, lock_timeout_ms: u64) -> Result<Box<dyn StorageFile>> {
    let file = alone(&**storage)?;
    settle(storage, lock_timeout_ms)?;
    Ok(file)
}

/// Whether an interruption has left something to finish or to take away.
///
/// # Errors
/// `Io`.
pub(crate) fn is_unfinished(storage: &dyn Storage) -> Result<bool> {
    for name in directories(storage)? {
        if exists(storage, &archive::prepared(&archive::directory(&name)))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finishes what an interrupted compaction, undo or removal has left, or takes it away where the log does not tell of it.
/// `false` where there is nothing of that kind.
///
/// # Errors
/// `Locked` (T0311) where another process does such work; `Io`.
pub fn finish_interrupted(storage: &Arc<dyn Storage>, lock_timeout_ms: u64) -> Result<bool> {
    if !is_unfinished(&**storage)? {
        return Ok(false);
    }
    drop(begin(storage, lock_timeout_ms)?);
    Ok(true)
}

impl Work {
    /// Writes the note, and makes everything that was prepared in a directory of the archives durable.
    pub(crate) fn note(&self, storage: &dyn Storage, directory: &str) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| {
            Error::new(ErrorKind::Invalid, "T0190", format!("the work can not be written down: {error}"))
        })?;
        let prepared = archive::prepared(directory);
        archive::write_file(storage, &format!("{prepared}/{NOTE}"), &text)?;
        sync_dir(storage, &prepared)?;
        sync_dir(storage, directory)?;
        sync_dir(storage, paths::ARCHIVE)
    }

    fn read(storage: &dyn Storage, directory: &str) -> Result<Option<Work>> {
        let name = format!("{}/{NOTE}", archive::prepared(directory));
        let io_error = |error| Error::io(format_args!("cannot read {name}"), error);
        let file = match storage.open(&name, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(io_error)?,
        };
        let len = file.len_bytes().map_err(io_error)?.min(MOST_NOTE_LEN_BYTES);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        let read = read_full_at(&*file, 0, &mut bytes).map_err(io_error)?;
        // A note that was not written to its end was never told of.
        Ok(serde_json::from_slice(&bytes[..read]).ok().filter(|work: &Work| work.stays_in(directory)))
    }

    /// Whether it names only files that such work has: what a note says of paths is not believed further than this.
    fn stays_in(&self, directory: &str) -> bool {
        let prepared = archive::prepared(directory);
        let is_own = |replacement: &Replacement| {
            let last = replacement.numbers().last().map(|number| format!("{prepared}/{}", number.file_name()));
            let originals = replacement.earlier.iter().zip(replacement.earlier());
            last.as_ref() == Some(&replacement.prepared)
                && replacement.earlier.len() == replacement.earlier().count()
                && originals.into_iter().all(|((_, original), (number, ..))| is_original(original, number))
        };
        let is_kept = |forgotten: &String| {
            let name =
                forgotten.split_once('/').filter(|(parent, _)| [paths::ARCHIVE, paths::QUARANTINE].contains(parent));
            name.is_some_and(|(_, name)| !name.is_empty() && !name.contains('/'))
        };
        self.replacements.iter().all(is_own) && self.forgotten.iter().all(is_kept)
    }

    /// Whether the log tells of it. What it tells is durable then.
    fn is_told(&self, storage: &Arc<dyn Storage>, lock_timeout_ms: u64) -> Result<bool> {
        Journal::options().lock_timeout_ms(lock_timeout_ms).open_on(Arc::clone(storage))?.close()?;
        let reader = Reader::open_on(Arc::clone(storage))?;
        let plan = parse_digest(&self.plan);
        let mut told = reader.events(Query::all().event_type("OperatorAction").from(Seq::after(self.after)))?;
        while let Some(record) = told.next()? {
            if OperatorAction::decode(&record.payload).is_ok_and(|action| Some(action.plan) == plan) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the steps that are left, and removes the note. `is_late` where the work was interrupted: what has been changed
    /// otherwise meanwhile stays as it is then.
    ///
    /// # Errors
    /// `Rejected` where the segments or runs are not those of the plan any more: nothing was changed, and nothing is left to
    /// do. `Locked`, `Io`: the steps that are left stay noted.
    pub(crate) fn carry_out(
        &self,
        storage: &Arc<dyn Storage>,
        directory: &str,
        lock_timeout_ms: u64,
        is_late: bool,
    ) -> Result<()> {
        let mut left = Vec::new();
        for replacement in &self.replacements {
            if exists(&**storage, &replacement.prepared)? {
                left.push(replacement);
            }
        }
        let mut is_untouched = left.len() == self.replacements.len();
        let mut seen = LockState::Unknown;
        let mut checked = Ok(());
        if is_untouched {
            // The runs are read without the lock; with it, only what was appended meanwhile is.
            seen = in_order(&**storage)?;
            checked = self.check_runs(storage);
        }
        for replacement in left {
            let mut check = |now: LockState| if is_untouched { self.check_since(storage, seen, now) } else { Ok(()) };
            let published = std::mem::replace(&mut checked, Ok(()))
                .and_then(|()| publish(storage, lock_timeout_ms, replacement, &mut check));
            match published {
                Ok(()) => is_untouched = false,
                Err(error) if error.kind() != ErrorKind::Rejected => return Err(error),
                Err(_) if is_late => remove_if_there(&**storage, &replacement.prepared)?,
                Err(error) => {
                    if is_untouched {
                        roll_back(storage, directory)?;
                    }
                    return Err(error);
                }
            }
        }
        for forgotten in &self.forgotten {
            archive::remove_tree(&**storage, forgotten)?;
        }
        // What an interruption has left of the files that others stand for.
        publish::finish(&**storage, &Listing::read(&**storage)?)?;
        finish(&**storage, directory)
    }

    /// Whether the runs still stand where they were when the lock was as `seen`. The caller holds the lock, and found it as
    /// `now`.
    fn check_since(&self, storage: &Arc<dyn Storage>, seen: LockState, now: LockState) -> Result<()> {
        let (LockState::Clean { known, offset, .. }, LockState::Clean { known: newest, offset: end, .. }) = (seen, now)
        else {
            return self.check_runs(storage);
        };
        let newest = newest.segment;
        if known.segment != newest || end < offset {
            return self.check_runs(storage);
        }
        if offset == end {
            return Ok(());
        }
        let segment = Segment::open(&**storage, newest, OpenMode::Read)?;
        let mut cursor = Cursor::new(&segment, offset, None).limited(end);
        while let Step::Frame(frame) = cursor.step()? {
            if let Some(run) = frame.header.run.filter(|run| self.revisions.contains_key(&run.get())) {
                return Err(changed(&format!("#{run}")));
            }
        }
        Ok(())
    }

    /// Whether the runs stand where the plan saw them.
    pub(crate) fn check_runs(&self, storage: &Arc<dyn Storage>) -> Result<()> {
        if self.revisions.is_empty() {
            return Ok(());
        }
        let runs = Reader::open_on(Arc::clone(storage))?.runs()?;
        for (run, revision) in &self.revisions {
            let now = Seq::new(*run).and_then(|run| runs.get(&run));
            if now.map(|run| run.revision) != Some(*revision) {
                let name = now.and_then(|run| run.name.clone()).unwrap_or_else(|| format!("#{run}"));
                return Err(changed(&name));
            }
        }
        Ok(())
    }
}

/// Whether a file is where an archive has the original of a segment.
fn is_original(file: &str, number: SegmentNumber) -> bool {
    let directory = file.strip_suffix(&paths::segment(number)).and_then(|it| it.strip_suffix('/'));
    directory.is_some_and(is_archive)
}

fn changed(run: &str) -> Error {
    let message = format!("run {run:?} has changed since the plan was made");
    Error::new(ErrorKind::Rejected, "T0401", message).hint("taffrail log compact")
}

/// How the last holder left the lock, as soon as nobody holds it; that of somebody who holds it for longer.
fn in_order(storage: &dyn Storage) -> Result<LockState> {
    for _ in 0..50 {
        let state = LockState::read(storage)?;
        if matches!(state, LockState::Clean { .. }) {
            return Ok(state);
        }
        storage.sleep(Duration::from_millis(1));
    }
    LockState::read(storage)
}

const MOST_NOTE_LEN_BYTES: u64 = 64 << 20;

/// Removes the note with what lies beside it, and the directory, if nothing else is in it.
fn finish(storage: &dyn Storage, directory: &str) -> Result<()> {
    remove_directory(storage, &archive::prepared(directory))?;
    sync_dir(storage, directory)?;
    if entries(storage, directory)?.is_empty() {
        remove_directory(storage, directory)?;
        sync_dir(storage, paths::ARCHIVE)?;
    }
    Ok(())
}

/// Takes away what was prepared and not told of.
///
/// Originals are among that only where nothing of the log has been replaced: as soon as an absence names the directory, they
/// stay, whatever the note says.
pub(crate) fn roll_back(storage: &Arc<dyn Storage>, directory: &str) -> Result<()> {
    let gaps = Reader::open_on(Arc::clone(storage))?.gaps()?;
    if !gaps.iter().any(|gap| gap.kept_in == directory) {
        remove_if_there(&**storage, &format!("{directory}/{}", paths::MANIFEST))?;
        remove_directory(&**storage, &format!("{directory}/{}", paths::SEGMENTS))?;
        // The note goes last: without it, nobody knows that these are left over.
        sync_dir(&**storage, directory)?;
    }
    finish(&**storage, directory)
}

/// Finishes what an interruption has left, or takes it away. The caller is [`alone`].
pub(crate) fn settle(storage: &Arc<dyn Storage>, lock_timeout_ms: u64) -> Result<()> {
    for name in directories(&**storage)? {
        let directory = archive::directory(&name);
        if exists(&**storage, &archive::prepared(&directory))? {
            match Work::read(&**storage, &directory)? {
                Some(work) if work.is_told(storage, lock_timeout_ms)? => {
                    work.carry_out(storage, &directory, lock_timeout_ms, true)?;
                }
                _ => roll_back(storage, &directory)?,
            }
        } else if entries(&**storage, &directory)?.is_empty() {
            remove_directory(&**storage, &directory)?;
        }
    }
    Ok(())
}

/// The names of the directories below `archive/`.
pub(crate) fn directories(storage: &dyn Storage) -> Result<Vec<String>> {
    match storage.list(paths::ARCHIVE) {
        Ok(entries) => {
            Ok(entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory).map(|entry| entry.name).collect())
        }
        Err(error) if archive::is_absent(&error) => Ok(Vec::new()),
        Err(error) => Err(Error::io(format_args!("cannot list {}", paths::ARCHIVE), error)),
    }
}

fn alone(storage: &dyn Storage) -> Result<Box<dyn StorageFile>> {
    ensure_dir(storage, paths::ARCHIVE)?;
    let io_error = |error| Error::io(format_args!("cannot open {}", paths::ARCHIVE_LOCK), error);
    let file = match storage.open(paths::ARCHIVE_LOCK, OpenMode::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match storage.open(paths::ARCHIVE_LOCK, OpenMode::CreateNew) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    storage.open(paths::ARCHIVE_LOCK, OpenMode::Write)
                }
                other => other,
            }
        }
        other => other,
    };
    let file = file.map_err(io_error)?;
    if file.try_lock().map_err(io_error)? {
        return Ok(file);
    }
    Err(Error::new(ErrorKind::Locked, "T0311", "another process is compacting this store")
        .hint("wait for the other process"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_that_names_other_files_is_none() {
        let directory = "archive/abc123";
        let of = |prepared: &str| Work {
            replacements: vec![Replacement {
                prepared: prepared.to_owned(),
                present: vec![(3, 0, 100)],
                earlier: Vec::new(),
            }],
            ..Work::default()
        };
        assert!(of("archive/abc123/prepared/0000000003.seg").stays_in(directory));
        for other in ["archive/abc123/prepared/0000000004.seg", "LOCK", "archive/abc124/prepared/0000000003.seg"] {
            assert!(!of(other).stays_in(directory), "{other}");
        }
        let restores = |original: &str| {
            let mut work = of("archive/abc123/prepared/0000000003.seg");
            work.replacements[0].earlier = vec![(2, original.to_owned())];
            work.stays_in(directory)
        };
        assert!(restores("archive/8c1e44/segments/0000000002.seg"));
        for other in
            ["archive/8c1e44/segments/0000000001.seg", "segments/0000000002.seg", "archive/../0000000002.seg", ""]
        {
            assert!(!restores(other), "{other}");
        }
        let forgets = |name: &str| Work { forgotten: vec![name.to_owned()], ..Work::default() }.stays_in(directory);
        assert!(forgets("archive/8c1e44") && forgets("quarantine/torn-0000000001-0x1200"));
        for other in ["segments", "archive", "archive/", "archive/a/b", "snapshots/x", ""] {
            assert!(!forgets(other), "{other}");
        }
    }
}
