//! The same store again, out of a bundle of a whole one.
//!
//! Segments are written beside the store's own directory of them, which takes their place by one rename: a crash leaves a
//! store without events, or the whole log. Blobs and snapshots are hints until then. What is left of an interrupted restore
//! is swept away by the next one; the file `restoring` says that there may be some.

use super::copying::copy;
use super::manifest::{Kind, Member};
use super::{Bundle, Progress};
use crate::blob::Blobs;
use crate::config::CONFIG_FILE_NAME;
use crate::error::{Error, Result};
use crate::import::ImportReport;
use crate::log::lock::StoreLock;
use crate::log::quarantine::ensure_dir;
use crate::log::{Restore, create, not_empty, paths, watermark};
use crate::storage::{OpenMode, Storage, write_all_at};
use crate::{ErrorKind, Listing, LogId, Options, Reader, Seq};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// Where segments are written before they are published.
const STAGED: &str = "segments.restoring";
/// Room that is asked for besides the files themselves.
const SPARE_BYTES: u64 = 1 << 20;

/// Restores a bundle of a whole store into a storage without events, but for members that are left out.
pub(super) fn restore(
    bundle: &Bundle,
    storage: &Arc<dyn Storage>,
    options: &Options,
    (accepts_damage, left_out): (bool, &BTreeSet<String>),
    progress: Progress<'_>,
    report: &mut ImportReport,
) -> Result<()> {
    create::ensure(&**storage, options)?;
    let mut lock = StoreLock::open(Arc::clone(storage))?;
    lock.acquire(options.lock_timeout_ms)?;
    refuse_events(storage)?;
    let mut restoring = Restoring {
        bundle,
        left_out,
        storage,
        progress,
        report,
        written: Vec::new(),
        done: 0,
        total: bundle.manifest().len_bytes(),
    };
    // Whoever comes after an interruption judges the tail anew.
    let prepared = begin(&**storage).and_then(|()| restoring.prepare()).and_then(|()| lock.mark_held());
    let published = match prepared {
        Ok(()) => publish(&**storage).map_err(|error| (error, is_staged(&**storage))),
        Err(error) => Err((error, true)),
    };
    if let Err((error, is_taken_back)) = published {
        // Behind the rename everything is there, and the next import brings it to its end.
        if is_taken_back {
            restoring.roll_back();
        }
        return Err(error);
    }
    restoring.write_watermark()?;
    lock.abandon();
    drop(lock);
    finish(bundle, storage, options, accepts_damage, report)
}

/// A store with events is not restored over.
fn refuse_events(storage: &Arc<dyn Storage>) -> Result<()> {
    if Listing::read(&**storage)?.segments.is_empty() {
        let mark = watermark::read(&**storage)?.newest;
        return mark.map_or(Ok(()), |mark| Err(not_empty(mark.log_id)));
    }
    let reader = Reader::open_on(Arc::clone(storage))?;
    let is_empty = reader.next_seq()? == Seq::FIRST && reader.segments().len() == 1;
    if is_empty { Ok(()) } else { Err(not_empty(reader.log_id())) }
}

/// Says that a restore is under way, and takes away what an earlier one has left.
fn begin(storage: &dyn Storage) -> Result<()> {
    let io = |error| Error::io("cannot begin the restore", error);
    match storage.open(paths::RESTORING, OpenMode::CreateNew) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io(error)),
        _ => {}
    }
    storage.sync_dir("").map_err(io)?;
    clear(storage, STAGED).map_err(io)?;
    ensure_dir(storage, STAGED)
}

/// Whether the segments are known not to be in their place yet.
fn is_staged(storage: &dyn Storage) -> bool {
    storage.entry(STAGED).is_ok_and(|staged| staged.is_some())
}

/// Removes the files of a directory, where there is one.
fn clear(storage: &dyn Storage, directory: &str) -> io::Result<()> {
    match storage.list(directory) {
        Ok(entries) => entries.iter().try_for_each(|entry| storage.remove(&format!("{directory}/{}", entry.name))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Puts the segments in their place. Before the rename the store has no events, and behind it has all of them.
fn publish(storage: &dyn Storage) -> Result<()> {
    let io = |error| Error::io("cannot publish the restored segments", error);
    for name in [paths::WATERMARK, paths::RUNS_INDEX] {
        match storage.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    // The old watermark must be gone for good before there is a log that it does not belong to.
    storage.sync_dir("").map_err(io)?;
    clear(storage, paths::SEGMENTS)
        .and_then(|()| storage.sync_dir(paths::SEGMENTS))
        .and_then(|()| storage.rename(STAGED, paths::SEGMENTS))
        .and_then(|()| storage.sync_dir(""))
        .and_then(|()| storage.sync_parent())
        .map_err(io)
}

/// Opens the store as its next writer will, which leaves everything in order.
fn finish(
    bundle: &Bundle,
    storage: &Arc<dyn Storage>,
    options: &Options,
    accepts_damage: bool,
    report: &mut ImportReport,
) -> Result<()> {
    let log_id = bundle.manifest().log_id().unwrap_or(LogId([0; 16]));
    match Restore::open(storage, options, log_id).and_then(|restore| restore.close(true)) {
        Err(error) if accepts_damage && error.kind() == ErrorKind::Damaged => {
            report.notes.push(format!("the store is restored with its damage, and refuses to be written to: {error}"));
            let removed = storage.remove(paths::RESTORING).and_then(|()| storage.sync_dir(""));
            removed.map_err(|error| Error::io("cannot end the restore", error))
        }
        other => other,
    }
}

/// A restore before it is published.
struct Restoring<'a> {
    bundle: &'a Bundle,
    /// Members that are damaged, and that one can do without.
    left_out: &'a BTreeSet<String>,
    storage: &'a Arc<dyn Storage>,
    progress: Progress<'a>,
    report: &'a mut ImportReport,
    /// Files that are taken away again if it does not come to an end.
    written: Vec<String>,
    done: u64,
    total: u64,
}

impl Restoring<'_> {
    /// Writes everything but what makes it a log.
    fn prepare(&mut self) -> Result<()> {
        let free = self.storage.free_bytes().map_err(|error| Error::io("cannot ask for free space", error))?;
        let needed = self.total.saturating_add(SPARE_BYTES);
        if let Some(free) = free.filter(|free| *free < needed) {
            let full = io::Error::new(io::ErrorKind::StorageFull, format!("{needed} bytes needed, {free} free"));
            return Err(Error::io("not enough space for what is in the bundle", full));
        }
        let bundle = self.bundle;
        for member in &bundle.manifest().members {
            match Kind::of(&member.path) {
                Some(Kind::Segment(number)) => self.file(member, &format!("{STAGED}/{}", number.file_name()))?,
                Some(Kind::Snapshot) if self.left_out.contains(&member.path) => {}
                Some(Kind::Snapshot) => self.beside(member)?,
                Some(Kind::Config) => self.config(member)?,
                // Blobs come in one go, the watermark at the end.
                Some(Kind::Blob(_) | Kind::Watermark) | None => {}
            }
        }
        self.blobs()?;
        let synced = self.storage.sync_dir(STAGED).and_then(|()| self.storage.sync_dir(""));
        synced.map_err(|error| Error::io("cannot sync the restored files", error))
    }

    /// Writes a member under a name that nobody else has, durably.
    fn file(&mut self, member: &Member, name: &str) -> Result<()> {
        let io = |error| Error::io(format_args!("cannot write {name}"), error);
        let file = self.storage.open(name, OpenMode::CreateNew).map_err(io)?;
        self.written.push(name.to_owned());
        let mut at = 0;
        let (progress, done, total) = (&mut self.progress, &mut self.done, self.total);
        copy(&self.bundle.member(member)?, member, &mut |chunk| {
            write_all_at(&*file, at, chunk).map_err(io)?;
            at += chunk.len() as u64;
            *done += chunk.len() as u64;
            if progress("restoring", *done, total).is_break() { Err(super::stopped()) } else { Ok(()) }
        })?;
        file.sync_all().map_err(io)
    }

    /// Writes a file of a directory that is not swapped, where it is not there yet.
    fn beside(&mut self, member: &Member) -> Result<()> {
        let io = |error| Error::io(format_args!("cannot write {}", member.path), error);
        let directory = member.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let mut made = String::new();
        for part in directory.split('/') {
            made = if made.is_empty() { part.to_owned() } else { format!("{made}/{part}") };
            ensure_dir(&**self.storage, &made)?;
        }
        if self.storage.entry(&member.path).map_err(io)?.is_some() {
            // Left by a restore that was interrupted, or of another log: written anew, as it is in the bundle.
            self.storage.remove(&member.path).map_err(io)?;
        }
        self.file(member, &member.path)?;
        self.storage.sync_dir(directory).map_err(io)
    }

    /// Settings that the store has already stay. New ones get their name when they are whole: those that a crash had left
    /// empty would be taken for the store's own by the next restore.
    fn config(&mut self, member: &Member) -> Result<()> {
        let entry = self.storage.entry(CONFIG_FILE_NAME);
        if entry.map_err(|error| Error::io("cannot look at the settings", error))?.is_some() {
            self.report.notes.push("the store keeps the settings that it has".to_owned());
            return Ok(());
        }
        let staged = format!("{STAGED}/{CONFIG_FILE_NAME}");
        self.file(member, &staged)?;
        let renamed = self.storage.rename(&staged, CONFIG_FILE_NAME);
        renamed.map_err(|error| Error::io("cannot put the settings in their place", error))?;
        self.written.push(CONFIG_FILE_NAME.to_owned());
        Ok(())
    }

    fn blobs(&mut self) -> Result<()> {
        let mut blobs = Blobs::new(Arc::clone(self.storage));
        let bundle = self.bundle;
        for member in &bundle.manifest().members {
            let Some(Kind::Blob(_)) = Kind::of(&member.path) else { continue };
            let is_there =
                self.storage.entry(&member.path).map_err(|error| Error::io("cannot look for a blob", error))?;
            if is_there.is_none() {
                self.written.push(member.path.clone());
            }
            let (progress, done, total) = (&mut self.progress, &mut self.done, self.total);
            let file = bundle.member(member)?;
            let put = blobs.put_from(|sink| {
                copy(&file, member, &mut |chunk| {
                    *done += chunk.len() as u64;
                    if progress("restoring", *done, total).is_break() {
                        return Err(super::stopped());
                    }
                    sink(chunk).map_err(|error| Error::io("cannot keep a blob", error))
                })
            });
            match put {
                Ok((kept, ())) if kept.is_new => self.report.files_kept += 1,
                Ok(_) => self.report.files_already_there += 1,
                Err(crate::blob::PutError::Source(error) | crate::blob::PutError::Store(error)) => return Err(error),
            }
        }
        blobs.settle()
    }

    /// The watermark goes in behind the segments: readers know from it what is durable.
    fn write_watermark(&mut self) -> Result<()> {
        let bundle = self.bundle;
        for member in &bundle.manifest().members {
            if Kind::of(&member.path) == Some(Kind::Watermark) {
                self.file(member, paths::WATERMARK)?;
            }
        }
        Ok(())
    }

    /// Takes away what was written. Where that fails, the next restore does it.
    fn roll_back(&mut self) {
        for name in self.written.drain(..) {
            let _swept_by_the_next_one = self.storage.remove(&name);
        }
        let cleared = clear(&**self.storage, STAGED).and_then(|()| match self.storage.remove_dir(STAGED) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        });
        let removed = cleared.and_then(|()| self.storage.remove(paths::RESTORING));
        let _swept_by_the_next_one = removed.and_then(|()| self.storage.sync_dir(""));
        self.report.files_kept = 0;
    }
}
