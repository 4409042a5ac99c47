//! Carrying a redaction out.

use super::Progress;
use super::places::PlaceAction;
use super::plan::{RedactPlan, Redaction};
use super::selector::Selector;
use super::unfinished::{self, Unfinished, unfinished};
use crate::error::{Error, Result};
use crate::log::compact::{archive, work};
use crate::log::forgotten::REDACT;
use crate::log::lock::StoreLock;
use crate::log::{distrust_cache, paths};
use crate::plan::{Authority, other_plan};
use crate::repair::redact_segment;
use crate::storage::{OpenMode, Rooted, Storage};
use crate::{ErrorKind, Journal, Reader, Segment, SegmentNumber};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Redacted {
    /// The plan's id.
    pub plan: String,
    /// Seq of the operator event that tells of it: of the last one, where one could not hold all digests.
    pub event: u64,
    /// Events that were changed.
    pub lost: u64,
    /// Files that were removed.
    pub forgotten: Vec<String>,
    /// Files that still hold what was redacted: the operator has to see to them.
    pub by_hand: Vec<String>,
    /// Events that an earlier redaction, which was stopped, has left, and that this one did not cover.
    pub left: Vec<u64>,
}

/// What shows a plan anew.
const COMMAND: &str = "taffrail log redact --help";
/// Events, and files, that one operator event tells of: it has to fit into a frame.
const MOST_TOLD: usize = 50_000;

impl RedactPlan {
    /// Carries the plan out, with the selector that it was made by. The operator event goes in first, so that the digests of
    /// what was there are never lost; then segments are replaced, one rename each, and files are removed. Safe to be
    /// interrupted anywhere, also by `progress`: [`unfinished`] tells what is left, and the same redaction again does it.
    ///
    /// # Errors
    /// `Rejected` where the store is no longer what was planned for, or the authority does not cover the loss: nothing was
    /// changed. `Invalid` (T0407) where the reason itself holds what a pattern matches. `Damaged` where a segment has to be
    /// repaired first; `Locked`, `Io`.
    pub fn apply(
        &self,
        storage: &Arc<dyn Storage>,
        selector: &Selector,
        authority: &Authority,
        progress: Progress<'_>,
    ) -> Result<Redacted> {
        self.check(storage, selector, authority, progress)?;
        // A compaction that goes on meanwhile would keep copies of what is redacted; one that was interrupted is finished.
        let was_unfinished = work::is_unfinished(&**storage)?;
        let alone = work::begin(storage, authority.lock_timeout_ms)?;
        if was_unfinished {
            self.check(storage, selector, authority, progress)?;
        }
        let before = unfinished(storage)?;
        let now = Reader::open_on(Arc::clone(storage))?.durable();
        unfinished::begin(&**storage, before.as_ref().map_or(now, |before| before.after.min(now)))?;
        let event = self.tell(storage, authority).inspect_err(|error| {
            // Whoever did not get the lock has told nothing, and there is nothing to finish.
            let is_untold = |left: Option<Unfinished>| left.is_some_and(|left| left.event.is_none());
            if error.kind() == ErrorKind::Locked && before.is_none() && unfinished(storage).is_ok_and(is_untold) {
                let _told_as_unfinished = remove(&**storage, paths::REDACTING);
            }
        })?;
        let mut lock = StoreLock::open(Arc::clone(storage))?;
        lock.acquire(authority.lock_timeout_ms)?;
        distrust_cache(&**storage)?;
        // Whoever comes after an interruption judges the tail anew.
        lock.mark_held()?;
        self.rewrite(storage, selector, progress)?;
        let forgotten = self.forget(&**storage)?;
        sweep(&**storage)?;
        lock.abandon();
        let left = if before.is_some() { unfinished(storage)?.unwrap_or_default().events } else { Vec::new() };
        if left.is_empty() {
            remove(&**storage, paths::REDACTING)?;
        }
        drop(alone);
        let by_hand = self.places.iter().filter(|place| place.action == PlaceAction::ByHand);
        let by_hand = by_hand.map(|place| place.path.clone()).collect();
        Ok(Redacted { plan: self.id.clone(), event, lost: self.lost, forgotten, by_hand, left })
    }

    /// Rewrites the segments that hold the events, in the log and in archives.
    fn rewrite(&self, storage: &Arc<dyn Storage>, selector: &Selector, progress: Progress<'_>) -> Result<()> {
        let seqs: BTreeSet<u64> = self.events.iter().map(|event| event.seq).collect();
        let segments = self.segments();
        let total = segments.len() as u64;
        for (done, (archive, number)) in (0..).zip(segments) {
            if progress("rewriting segments", done, total).is_break() {
                return Err(super::stopped());
            }
            let Some(number) = SegmentNumber::new(number) else { continue };
            let mut change = |header: &crate::Header, entry: Option<&crate::TypeEntry>, payload: &[u8]| {
                let is_named = seqs.contains(&header.seq.get());
                let change = is_named.then(|| selector.change_at(header.kind, entry, payload)).flatten();
                change.map(|change| change.payload)
            };
            match archive {
                None => redact_segment(&**storage, number, 0, &mut change, &mut |_| Ok(()))?,
                // An undo of the compaction takes the new file for the original only if the archive says so.
                Some(archive) => {
                    let rooted = Rooted::new(Arc::clone(storage), &archive);
                    // Nor may it be mistaken, once it is back, for what it takes the place of.
                    let present = Segment::open(&**storage, number, OpenMode::Read).map(|it| it.header.generation);
                    redact_segment(&rooted, number, present.unwrap_or(0), &mut change, &mut |file| {
                        archive::admit(&**storage, &archive, number, file)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn check(
        &self,
        storage: &Arc<dyn Storage>,
        selector: &Selector,
        authority: &Authority,
        progress: Progress<'_>,
    ) -> Result<()> {
        let again = RedactPlan::make(storage, selector, progress)?;
        if again.id != self.id {
            return Err(other_plan(&authority.plan, &again.id, COMMAND));
        }
        if selector.pattern.as_ref().is_some_and(|pattern| pattern.is_match(authority.reason.as_bytes())) {
            let message = "the pattern matches the reason that is given, which would be written down";
            return Err(Error::new(ErrorKind::Invalid, "T0407", message).hint("give a reason without it"));
        }
        authority.covers(&self.id, self.lost, COMMAND)
    }

    /// Opens the store, which recovers its tail, and appends the operator events.
    fn tell(&self, storage: &Arc<dyn Storage>, authority: &Authority) -> Result<u64> {
        let forgotten = self.places.iter().filter(|place| place.action == PlaceAction::Forget);
        let forgotten: Vec<(&str, &str)> =
            forgotten.map(|place| (place.path.as_str(), place.digest.as_str())).collect();
        let (mut events, mut files) = (self.events.chunks(MOST_TOLD), forgotten.chunks(MOST_TOLD));
        let (mut next_events, mut next_files) = (events.next().unwrap_or_default(), files.next().unwrap_or_default());
        loop {
            let digests: Vec<(u64, &str)> =
                next_events.iter().map(|event: &Redaction| (event.seq, event.digest.as_str())).collect();
            let detail = serde_json::json!({
                "lost": self.lost, "events": digests, "runs": self.runs, "forgotten": next_files,
            });
            let options = Journal::options().lock_timeout_ms(authority.lock_timeout_ms);
            let told = authority.tell(options.open_on(Arc::clone(storage))?, REDACT, &self.id, &detail)?;
            (next_events, next_files) = (events.next().unwrap_or_default(), files.next().unwrap_or_default());
            if next_events.is_empty() && next_files.is_empty() {
                return Ok(told);
            }
        }
    }

    /// Removes the files, durably.
    fn forget(&self, storage: &dyn Storage) -> Result<Vec<String>> {
        let mut forgotten = Vec::new();
        for place in self.places.iter().filter(|place| place.action == PlaceAction::Forget) {
            remove(storage, &place.path)?;
            forgotten.push(place.path.clone());
        }
        Ok(forgotten)
    }
}

/// Removes what may have parts of events in it and is nobody's: what an interruption has left, and the run index, which names
/// places in segments that are other files now.
fn sweep(storage: &dyn Storage) -> Result<()> {
    let listed = storage.list(paths::SEGMENTS);
    for entry in listed.map_err(|error| Error::io("cannot list the segments", error))? {
        if entry.name.ends_with(".tmp") {
            remove(storage, &format!("{}/{}", paths::SEGMENTS, entry.name))?;
        }
    }
    [paths::RUNS_INDEX, paths::RUNS_INDEX_TEMPORARY, paths::REDACTING_TEMPORARY]
        .iter()
        .try_for_each(|name| remove(storage, name))
}

fn remove(storage: &dyn Storage, name: &str) -> Result<()> {
    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
    match storage.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other
            .and_then(|()| storage.sync_dir(directory))
            .map_err(|error| Error::io(format_args!("cannot remove {name}"), error)),
    }
}
