//! Taking snapshots away, by a plan that can be undone.

use crate::error::{Error, Result};
use crate::fold::ancestry::parent_of;
use crate::fold::snapshots::{Snapshot, Snapshots};
use crate::log::archived::compacted_between;
use crate::log::paths;
use crate::log::quarantine::{digest_of, keep};
use crate::plan::{Applied, Authority, other_plan, plan_id, plan_name};
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, EventOrLoss, GapReason, Journal, Query, Reader, Seq};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A snapshot's file that is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DroppedFile {
    /// The file, relative to the store.
    pub file: String,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub digest: String,
}

/// What dropping snapshots would do. Made by reading only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DropPlan {
    /// BLAKE3 over the plan, in hexadecimal; the first six digits are its name.
    pub id: String,
    /// The files, sorted.
    pub snapshots: Vec<DroppedFile>,
}

/// Shows the plan.
const COMMAND: &str = "taffrail snap drop";

impl DropPlan {
    /// Plans to drop snapshots, good ones and others, by their files as [`Snapshots::list`] names them.
    ///
    /// # Errors
    /// `NotFound` (T0510) for a file that is no snapshot of this store; `Rejected` (T0518) where events are compacted away,
    /// no archive has them, and nothing else knows what they did; `Io`.
    pub fn make(reader: &Reader, files: &BTreeSet<String>) -> Result<DropPlan> {
        let none = |file: &str| Error::new(ErrorKind::NotFound, "T0510", format!("there is no snapshot {file}"));
        let Some(snapshots) = Snapshots::of(reader) else {
            return Err(none("beside a segment's file").hint("taffrail snap list"));
        };
        let list = snapshots.list()?;
        let storage = snapshots.storage();
        let mut dropped = Vec::new();
        for file in files {
            let good = list.snapshots.iter().find(|snapshot| snapshot.file == *file);
            let bad = list.findings.iter().find(|finding| finding.file == *file);
            if good.is_none() && bad.is_none() {
                return Err(none(file).hint("taffrail snap list"));
            }
            if let Some(snapshot) = good
                && let Some(last) = needed_for(reader, &list.snapshots, snapshot, files)?
            {
                let message =
                    format!("{file} is all that is left of the events up to seq {last}, which are compacted away");
                return Err(Error::new(ErrorKind::Rejected, "T0518", message).hint("taffrail snap create"));
            }
            let io = |error| Error::io(format_args!("cannot read {file}"), error);
            let open = storage.open(file, OpenMode::Read).map_err(io)?;
            let len_bytes = open.len_bytes().map_err(io)?;
            let digest = blake3::Hash::from(digest_of(&*open, 0..len_bytes)?).to_hex().to_string();
            dropped.push(DroppedFile { file: file.clone(), len_bytes, digest });
        }
        let mut plan = DropPlan { id: String::new(), snapshots: dropped };
        plan.id = plan_id(&plan)?;
        Ok(plan)
    }

    /// The short name: the first six digits of the id.
    #[must_use]
    pub fn name(&self) -> &str {
        plan_name(&self.id)
    }

    /// Copies the files to quarantine, writes the operator event, and removes them. Safe to be interrupted anywhere: then
    /// files may still be there that the log says were dropped, and dropping them again is another plan.
    ///
    /// # Errors
    /// `Rejected` (T0401) where the files are no longer what was planned for; `Locked`, `Io`.
    pub fn apply(&self, storage: &Arc<dyn Storage>, authority: &Authority) -> Result<Applied> {
        let reader = Reader::open_on(Arc::clone(storage))?;
        let files = self.snapshots.iter().map(|dropped| dropped.file.clone()).collect();
        let again = DropPlan::make(&reader, &files)?;
        authority.covers(&again.id, 0, COMMAND)?;
        if again.id != self.id {
            return Err(other_plan(&self.id, &again.id, COMMAND));
        }
        let directory = format!("{}/{}", paths::QUARANTINE, self.name());
        let mut told = Vec::new();
        for (number, dropped) in self.snapshots.iter().enumerate() {
            let io = |error| Error::io(format_args!("cannot read {}", dropped.file), error);
            let file = storage.open(&dropped.file, OpenMode::Read).map_err(io)?;
            let (kept_as, _) =
                keep(&**storage, &directory, &format!("snapshot-{number}"), &*file, 0..dropped.len_bytes)?;
            told.push(serde_json::json!({ "file": dropped.file, "kept_as": kept_as, "digest": dropped.digest }));
        }
        let journal = Journal::options().lock_timeout_ms(authority.lock_timeout_ms).open_on(Arc::clone(storage))?;
        let detail = serde_json::json!({ "kept_in": directory, "snapshots": told });
        let event = authority.tell(journal, "drop", &self.id, &detail)?;
        let snapshots = Snapshots::new(Arc::clone(storage));
        for dropped in &self.snapshots {
            snapshots.remove(&dropped.file)?;
        }
        Ok(Applied { plan: self.id.clone(), kept_in: Some(directory), event, lost: 0 })
    }
}

/// Those of these files that would be missed if all of them went: a snapshot that is all that is left of compacted events.
///
/// # Errors
/// As reading.
pub(crate) fn needed(reader: &Reader, files: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let Some(snapshots) = Snapshots::of(reader).filter(|_| !files.is_empty()) else { return Ok(BTreeSet::new()) };
    let all = snapshots.list()?.snapshots;
    let mut needed = BTreeSet::new();
    for snapshot in all.iter().filter(|snapshot| files.contains(&snapshot.file)) {
        needed.extend(needed_for(reader, &all, snapshot, files)?.map(|_| snapshot.file.clone()));
    }
    Ok(needed)
}

/// The last of the events of which a snapshot is all that is left, if these files go: they are compacted away, no archive has
/// them, and no other snapshot tells what they did.
fn needed_for(reader: &Reader, all: &[Snapshot], snapshot: &Snapshot, files: &BTreeSet<String>) -> Result<Option<Seq>> {
    let archived = reader.with_archives()?;
    let reader = archived.as_ref().unwrap_or(reader);
    let seq = snapshot.head.seq;
    let Some(last) = last_compacted(reader, snapshot.head.run, seq)? else { return Ok(None) };
    let key = |it: &Snapshot| (it.head.fold.clone(), it.head.version, it.head.run);
    let mut others = all.iter().filter(|other| key(other) == key(snapshot) && !files.contains(&other.file));
    Ok(if others.any(|other| other.head.seq >= last.min(seq)) { None } else { Some(last) })
}

/// The last seq that was compacted away of what a state up to a seq has seen: of a run and of those that it began as, or of the
/// whole store (`None`). Where events of a run are gone, its revisions jump.
fn last_compacted(reader: &Reader, run: Option<Seq>, seq: Seq) -> Result<Option<Seq>> {
    let gaps = reader.gaps()?;
    let compacted = gaps.iter().filter(|gap| gap.reason == GapReason::Compacted && gap.first <= seq);
    let last = compacted.map(|gap| gap.last).max();
    let (Some(run), Some(_)) = (run, last) else { return Ok(last) };
    let (mut last, mut oldest) = (None, Some(run));
    while let Some(run) = oldest.take() {
        let (mut after, mut revision) = (None, 0_u32);
        let mut events = reader.events(Query::all().run(run).from(run))?;
        while let Some(next) = events.next_or_loss()? {
            // What is damaged is still there.
            let EventOrLoss::Event(record) = next else { continue };
            oldest = oldest.or(parent_of(&record));
            if record.revision > revision.saturating_add(1) {
                last = last.max(compacted_between(&gaps, after, record.seq).map(|gap| gap.last));
            }
            (after, revision) = (Some(record.seq), record.revision);
            if record.seq > seq {
                break;
            }
        }
    }
    Ok(last)
}
