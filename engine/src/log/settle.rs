//! Finding the end of the log when the lock has been taken.

use crate::error::Result;
use crate::log::head::Head;
use crate::log::lock::{LastKnown, LockState};
use crate::log::recovery::{RecoveryPlan, distrust_cache};
use crate::log::repair::{UntoldRepair, untold};
use crate::log::{paths, watermark};
use crate::storage::{EntryKind, OpenMode, Storage, WrongKind};
use crate::{ErrorKind, Recovered};
use taffrail_log_format::sabotage::{self, Sabotage};

/// The end of the log as a new holder of the lock finds it.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The end.
    pub(crate) head: Head,
    /// The highest durable seq.
    pub(crate) durable: u64,
    /// What was cut, by this recovery or by one that was stopped before it could tell.
    pub(crate) recovered: Vec<Recovered>,
    /// Repairs that were stopped before they could tell.
    pub(crate) repaired: Vec<UntoldRepair>,
    /// Whether the last holder had left in order, so that nothing had to be looked at.
    pub(crate) clean: bool,
}

/// Finds the end of the log, running recovery unless the last holder left in order within this boot. The caller holds the
/// lock.
pub(crate) fn settle(storage: &dyn Storage, state: LockState) -> Result<Settled> {
    if let Some((head, durable)) = attach_if_clean(storage, state, OpenMode::Write)? {
        return Ok(Settled { head, durable, recovered: Vec::new(), repaired: Vec::new(), clean: true });
    }
    if !sabotage::is(Sabotage::NoCacheDrop) {
        distrust_cache(storage)?;
    }
    let plan = RecoveryPlan::make(storage)?;
    let mut recovered = plan.apply(storage)?;
    if sabotage::is(Sabotage::SkipRecovered) {
        recovered.clear();
    }
    let repaired = untold(storage)?;
    let head = Head::attach(storage, plan.end(), OpenMode::Write)?;
    Ok(Settled { head, durable: plan.head(), recovered, repaired, clean: false })
}

/// The end of a log whose first segment the caller has just made, and made durable: what recovery would sync is synced.
pub(crate) fn settle_new(storage: &dyn Storage) -> Result<Settled> {
    let plan = RecoveryPlan::make(storage)?;
    if !plan.leftovers.is_empty() {
        return settle(storage, LockState::Unknown);
    }
    let head = Head::attach(storage, plan.end(), OpenMode::Write)?;
    Ok(Settled { head, durable: plan.head(), recovered: Vec::new(), repaired: Vec::new(), clean: false })
}

/// What [`settle`] would say to a plan without a refusal, found out by reading: `Ok(true)` where the last holder's word is
/// taken, and the tail not looked at; `Ok(false)` where the plan would be carried out.
///
/// # Errors
/// What settling would fail with.
pub(crate) fn foresee(storage: &dyn Storage, plan: &RecoveryPlan) -> Result<bool> {
    if let Some(entry) = storage.entry(paths::LOCK).map_err(|error| crate::Error::io("cannot look at LOCK", error))?
        && entry.kind != EntryKind::File
    {
        let wrong = WrongKind { name: entry.name, found: entry.kind, expected: EntryKind::File };
        return Err(crate::Error::io("cannot open LOCK", wrong.into_io()));
    }
    if attach_if_clean(storage, plan.lock, OpenMode::Read)?.is_some() {
        return Ok(true);
    }
    if let Some(refusal) = plan.refusal() {
        return Err(refusal);
    }
    Head::attach(storage, plan.end(), OpenMode::Read).map(|_| false)
}

/// The end of the log and the highest durable seq, where the last holder left in order within this boot.
fn attach_if_clean(storage: &dyn Storage, state: LockState, mode: OpenMode) -> Result<Option<(Head, u64)>> {
    let LockState::Clean { boot_id, known, offset } = state else { return Ok(None) };
    if boot_id != storage.boot_id() && !sabotage::is(Sabotage::BelieveStaleLock) {
        return Ok(None);
    }
    let head = attach_if_end(storage, known, offset, mode)?;
    Ok(head.map(|head| {
        let durable = known.durable.min(head.seq());
        (head, durable)
    }))
}

/// The head at the place that `LOCK` names, if the log ends there. `LOCK` is believed only as far as the log and the watermark
/// bear it out: it may have been put back from a copy, or a segment may have gone since.
fn attach_if_end(storage: &dyn Storage, known: LastKnown, offset: u64, mode: OpenMode) -> Result<Option<Head>> {
    let end = (known.segment, offset);
    let entry = storage.entry(&paths::segment(end.0));
    let entry = entry.map_err(|error| crate::Error::io("cannot look at the newest segment", error).segment(end.0))?;
    if entry.is_none() {
        return Ok(None);
    }
    match Head::attach(storage, end, mode) {
        Ok(head) => {
            let mark = watermark::read(storage)?.newest.filter(|mark| mark.log_id == known.log_id);
            let tells_of_more = mark.is_some_and(|mark| (mark.segment, mark.durable) > (end.0, head.seq()));
            let is_end = head.log_id() == known.log_id && !tells_of_more && head.is_end(storage)?;
            Ok(is_end.then_some(head))
        }
        Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
        Err(error) => Err(error),
    }
}
