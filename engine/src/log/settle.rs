//! Finding the end of the log when the lock has been taken.

use crate::error::Result;
use crate::log::head::Head;
use crate::log::lock::LockState;
use crate::log::paths;
use crate::log::recovery::{RecoveryPlan, distrust_cache};
use crate::storage::Storage;
use crate::{ErrorKind, Recovered, SegmentNumber};

/// The end of the log as a new holder of the lock finds it.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The end.
    pub(crate) head: Head,
    /// The highest durable seq.
    pub(crate) durable: u64,
    /// What was cut.
    pub(crate) recovered: Option<Recovered>,
    /// Whether the last holder had left in order, so that nothing had to be looked at.
    pub(crate) clean: bool,
}

/// Finds the end of the log, running recovery unless the last holder left in order within this boot. The caller holds the
/// lock.
pub(crate) fn settle(storage: &dyn Storage, state: LockState) -> Result<Settled> {
    if let LockState::Clean { boot_id, segment, offset, durable } = state
        && boot_id == storage.boot_id()
        && let Some(head) = attach_if_end(storage, (segment, offset))?
    {
        let durable = durable.min(head.seq());
        return Ok(Settled { head, durable, recovered: None, clean: true });
    }
    distrust_cache(storage)?;
    let plan = RecoveryPlan::make(storage)?;
    let recovered = plan.apply(storage)?;
    let head = Head::attach(storage, plan.end())?;
    Ok(Settled { head, durable: plan.head(), recovered, clean: false })
}

/// The head at the place that `LOCK` names, if the log ends there. `LOCK` is believed only as far as the log bears it out: it
/// may have been put back from a copy.
fn attach_if_end(storage: &dyn Storage, end: (SegmentNumber, u64)) -> Result<Option<Head>> {
    let entry = storage.entry(&paths::segment(end.0));
    let entry = entry.map_err(|error| crate::Error::io("cannot look at the newest segment", error).segment(end.0))?;
    if entry.is_none() {
        return Ok(None);
    }
    match Head::attach(storage, end) {
        Ok(head) => Ok(if head.is_end(storage)? { Some(head) } else { None }),
        Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
        Err(error) => Err(error),
    }
}
