//! Removing what compactions and repairs have kept, knowingly: from then on it can not be had back.

use crate::error::{Error, Result};
use crate::log::archived::is_archive;
use crate::log::compact::archive::{self, exists, is_absent};
use crate::log::compact::work::{self, Work};
use crate::log::paths;
use crate::log::quarantine::digest_of;
use crate::log::query::Query;
use crate::log::reader::Reader;
use crate::plan::{Applied, Authority, other_plan, plan_id, plan_name};
use crate::storage::{EntryKind, OpenMode, Storage};
use crate::{ErrorKind, GapRange, GapReason, Journal, Seq};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A run with events that are in an archive alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForgottenRun {
    /// Its number.
    pub run: u64,
    /// Its name; `None` where nothing tells it.
    pub name: Option<String>,
    /// How many of its events are nowhere else.
    pub events: u64,
}

/// A directory that is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// The directory, relative to the store.
    pub directory: String,
    /// How many files are in it.
    pub files: u64,
    /// Their bytes.
    pub len_bytes: u64,
    /// BLAKE3 over names, lengths and bytes of the files, in hexadecimal; of an archive's segments, over what its manifest
    /// says of their bytes.
    pub digest: String,
    /// Events that are nowhere else: their number is the loss.
    pub events: u64,
}

/// What forgetting would do. Made by reading only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForgetPlan {
    /// BLAKE3 over the plan, in hexadecimal; the first six digits are its name.
    pub id: String,
    /// The directories, sorted.
    pub directories: Vec<Forgotten>,
    /// The runs that lose events, by number.
    pub runs: Vec<ForgottenRun>,
    /// Events that are lost by it, to be accepted by number.
    pub lost: u64,
    /// Bytes that are freed, at most: a segment's file may have a second name in the log.
    pub len_bytes: u64,
}

/// Shows the plan.
const COMMAND: &str = "taffrail store forget";

impl ForgetPlan {
    /// The directories that there are to forget: `archive/NAME`, `quarantine/NAME`, sorted.
    ///
    /// # Errors
    /// `Io`.
    pub fn candidates(storage: &dyn Storage) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for parent in [paths::ARCHIVE, paths::QUARANTINE] {
            let listed = match storage.list(parent) {
                Err(error) if is_absent(&error) => continue,
                listed => listed.map_err(|error| Error::io(format_args!("cannot list {parent}"), error))?,
            };
            let directories = listed.into_iter().filter(|entry| entry.kind == EntryKind::Directory);
            all.extend(directories.map(|entry| format!("{parent}/{}", entry.name)));
        }
        Ok(all)
    }

    /// Plans to remove directories, as [`ForgetPlan::candidates`] names them.
    ///
    /// # Errors
    /// `NotFound` (T0411) for another name; `Rejected` (T0412) where an interrupted compaction has to be finished first; as
    /// reading.
    pub fn make(storage: &Arc<dyn Storage>, directories: &BTreeSet<String>) -> Result<ForgetPlan> {
        let candidates = ForgetPlan::candidates(&**storage)?;
        let reader = Reader::open_on(Arc::clone(storage))?;
        let gaps = reader.gaps()?;
        let mut forgotten = Vec::new();
        for directory in directories {
            if !candidates.contains(directory) {
                let message = format!("nothing is kept in {directory:?}");
                return Err(Error::new(ErrorKind::NotFound, "T0411", message).hint(COMMAND));
            }
            if exists(&**storage, &archive::prepared(directory))? {
                let message = format!("what {directory} belongs to was interrupted, and is not finished");
                return Err(Error::new(ErrorKind::Rejected, "T0412", message).hint("taffrail log compact"));
            }
            let (files, len_bytes, digest) = measure(&**storage, directory)?;
            let events = gaps.iter().filter(|gap| is_only_in(gap, directory)).map(count).sum();
            forgotten.push(Forgotten { directory: directory.clone(), files, len_bytes, digest, events });
        }
        let lost = forgotten.iter().map(|forgotten| forgotten.events).sum();
        let len_bytes = forgotten.iter().map(|forgotten| forgotten.len_bytes).sum();
        let runs = if lost > 0 { runs(&reader, &gaps, directories)? } else { Vec::new() };
        let mut plan = ForgetPlan { id: String::new(), directories: forgotten, runs, lost, len_bytes };
        plan.id = plan_id(&plan)?;
        Ok(plan)
    }

    /// The short name: the first six digits of the id.
    #[must_use]
    pub fn name(&self) -> &str {
        plan_name(&self.id)
    }

    /// Writes the operator event, and removes the directories. Safe to be interrupted anywhere: once the event is in the
    /// log, the next compaction, undo or removal finishes it.
    ///
    /// # Errors
    /// `Rejected` where the directories are no longer what was planned for; `Locked`, `Io`.
    pub fn apply(&self, storage: &Arc<dyn Storage>, authority: &Authority) -> Result<Applied> {
        authority.covers(&self.id, self.lost, COMMAND)?;
        let lock_timeout_ms = authority.lock_timeout_ms;
        let alone = work::begin(storage, lock_timeout_ms)?;
        let names = self.directories.iter().map(|forgotten| forgotten.directory.clone());
        let again = ForgetPlan::make(storage, &names.clone().collect())?;
        if again.id != self.id {
            return Err(other_plan(&self.id, &again.id, COMMAND));
        }
        let directory = archive::free_directory(&**storage, &self.id)?;
        let after = Reader::open_on(Arc::clone(storage))?.durable();
        let work = Work { plan: self.id.clone(), after, forgotten: names.collect(), ..Work::default() };
        archive::make_directories(&**storage, &directory, false)
            .and_then(|()| work.note(&**storage, &directory))
            .inspect_err(|_| {
                let _left_for_later = work::roll_back(storage, &directory);
            })?;
        let detail = serde_json::json!({ "directories": self.directories, "runs": self.runs.len(), "lost": self.lost });
        let told = Journal::options()
            .lock_timeout_ms(lock_timeout_ms)
            .open_on(Arc::clone(storage))
            .and_then(|journal| authority.tell(journal, "forget", &self.id, &detail));
        let event = told.inspect_err(|_| {
            let _left_for_later = work::settle(storage, lock_timeout_ms);
        })?;
        work.carry_out(storage, &directory, lock_timeout_ms, false)?;
        drop(alone);
        Ok(Applied { plan: self.id.clone(), kept_in: None, event, lost: self.lost })
    }
}

/// Whether an absence's events are in this directory, and nowhere else.
fn is_only_in(gap: &GapRange, directory: &str) -> bool {
    gap.reason == GapReason::Compacted && gap.kept_in == directory
}

fn count(gap: &GapRange) -> u64 {
    gap.last.get() - gap.first.get() + 1
}

/// Whose events those are, as far as the archives still tell.
fn runs(reader: &Reader, gaps: &[GapRange], directories: &BTreeSet<String>) -> Result<Vec<ForgottenRun>> {
    let Some(whole) = reader.with_archives()? else { return Ok(Vec::new()) };
    let mut counts: BTreeMap<Seq, u64> = BTreeMap::new();
    let mut gone = gaps.iter().filter(|gap| is_archive(&gap.kept_in) && directories.contains(&gap.kept_in)).peekable();
    let Some(first) = gone.peek().map(|gap| gap.first) else { return Ok(Vec::new()) };
    let mut events = whole.events(Query::all().from(first))?;
    while let Some(record) = events.next()? {
        while gone.peek().is_some_and(|gap| gap.last < record.seq) {
            gone.next();
        }
        let Some(gap) = gone.peek() else { break };
        if let Some(run) = record.run.filter(|_| gap.first <= record.seq) {
            *counts.entry(run).or_default() += 1;
        }
    }
    let names = reader.runs()?;
    let name = |run: &Seq| names.get(run).and_then(|summary| summary.name.clone());
    Ok(counts.into_iter().map(|(run, events)| ForgottenRun { run: run.get(), name: name(&run), events }).collect())
}

/// Files, bytes, and a digest over them.
fn measure(storage: &dyn Storage, directory: &str) -> Result<(u64, u64, String)> {
    let is_told = exists(storage, &format!("{directory}/{}", paths::MANIFEST))?;
    let mut hasher = blake3::Hasher::new();
    let (mut files, mut bytes) = (0, 0);
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        let io_error = |error| Error::io(format_args!("cannot read {directory}"), error);
        for entry in storage.list(&directory).map_err(io_error)? {
            let name = format!("{directory}/{}", entry.name);
            if entry.kind == EntryKind::Directory {
                pending.push(name);
                continue;
            }
            hasher.update(format!("{name}\0{}\0", entry.len_bytes).as_bytes());
            if !(is_told && directory.ends_with(paths::SEGMENTS)) {
                let file = storage.open(&name, OpenMode::Read).map_err(io_error)?;
                hasher.update(&digest_of(&*file, 0..entry.len_bytes)?);
            }
            files += 1;
            bytes += entry.len_bytes;
        }
    }
    Ok((files, bytes, hasher.finalize().to_hex().to_string()))
}
