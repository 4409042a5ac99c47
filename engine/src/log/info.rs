//! What a store is and how it stands: a report that is made by reading only.

use crate::error::{Error, Result};
use crate::log::listing::Listing;
use crate::log::lock::LockState;
use crate::log::recovery::RecoveryPlan;
use crate::log::segment::Segment;
use crate::log::settle::foresee;
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, SegmentHeader, Verdict};
use std::time::Duration;

/// Who may be writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody: the last one released the store in order.
    Nobody,
    /// A process that is alive. It may have released the store since.
    Alive {
        /// Its number.
        process_id: u32,
    },
    /// A process that ended, or a machine that stopped, in the middle of writing: the next open runs recovery.
    Gone {
        /// The process's number.
        process_id: u32,
    },
    /// `LOCK` is not there or says nothing that this build understands.
    Unknown,
}

impl Owner {
    /// Who that is, of a lock's words.
    #[must_use]
    pub fn of(lock: LockState, storage: &dyn Storage) -> Owner {
        match lock {
            LockState::Clean { .. } => Owner::Nobody,
            LockState::Unknown => Owner::Unknown,
            LockState::Held { boot_id, process_id, .. } => {
                let alive = boot_id == storage.boot_id() && storage.process_alive(process_id);
                if alive { Owner::Alive { process_id } } else { Owner::Gone { process_id } }
            }
        }
    }
}

/// What opening a store for writing would do now.
#[derive(Clone, Debug)]
pub enum Opening {
    /// Somebody is writing: the tail moves, so there is nothing to judge.
    InFlight(RecoveryPlan),
    /// What [`RecoveryPlan::refusal`], [`RecoveryPlan::cut`] and [`RecoveryPlan::leftovers`] say.
    Planned(RecoveryPlan),
    /// Nothing: the last holder of the lock left in order, and its word is taken. Recovery would say what the plan says.
    Trusted(RecoveryPlan),
    /// It would fail: before it came to the tail, or when it read what leads up to it.
    Refused(Error),
}

/// A store as a whole.
#[derive(Clone, Debug)]
pub struct StoreInfo {
    /// Its segments.
    pub listing: Listing,
    /// The newest segment header that could be read: the log's id, its format, how it was synced.
    pub header: Option<SegmentHeader>,
    /// Who may be writing.
    pub owner: Owner,
    /// What opening it for writing would do.
    pub opening: Opening,
}

impl StoreInfo {
    /// How far apart two looks at a tail have to be to count as two.
    const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
    /// How often a tail is looked at before it counts as moving.
    const MOST_LOOKS: usize = 4;

    /// Looks at a store: reads only, takes no lock.
    ///
    /// # Errors
    /// `NotFound` where there is no store; `Io` where its directory cannot be listed.
    pub fn read(storage: &dyn Storage) -> Result<StoreInfo> {
        let listing = Listing::read(storage)?;
        let opening = foreseen(storage, opening(storage)?);
        let owner = Owner::of(LockState::read(storage)?, storage);
        let numbers = listing.segments.iter().rev().map(|(number, _)| *number);
        let header = numbers
            .filter_map(|number| Segment::open(storage, number, OpenMode::Read).ok())
            .map(|segment| segment.header)
            .next();
        Ok(StoreInfo { listing, header, owner, opening })
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn segments_len_bytes(&self) -> u64 {
        self.listing.segments.iter().map(|(_, len_bytes)| len_bytes).sum()
    }
}

/// A good tail is not all: whoever opens the store reads the newest segment, or hints that stand for it.
fn foreseen(storage: &dyn Storage, opening: Opening) -> Opening {
    let Opening::Planned(plan) = opening else { return opening };
    match foresee(storage, &plan) {
        Ok(false) => Opening::Planned(plan),
        Ok(true) if plan.tail.verdict == Verdict::End => Opening::Planned(plan),
        Ok(true) => Opening::Trusted(plan),
        // What the plan itself refuses is told with the plan.
        Err(_) if plan.refusal().is_some() => Opening::Planned(plan),
        // Beside a writer one look may fall into a rotation.
        Err(error) => match RecoveryPlan::make(storage).map(|again| foresee(storage, &again)) {
            Ok(Ok(_)) => Opening::Planned(plan),
            Ok(Err(_)) | Err(_) => Opening::Refused(error),
        },
    }
}

/// Beside a writer only a tail that two looks find the same is judged: between them it cannot have been half written.
fn opening(storage: &dyn Storage) -> Result<Opening> {
    let mut before = None;
    for _ in 0..StoreInfo::MOST_LOOKS {
        let look = RecoveryPlan::make(storage);
        let quiet = match &look {
            Ok(plan) => plan.tail.verdict == Verdict::End || !is_alive(Owner::of(plan.lock, storage)),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(error.clone()),
            Err(_) => !is_alive(Owner::of(LockState::read(storage)?, storage)),
        };
        let seen = fingerprint(&look);
        // A rotation between two reads of one look can look like a missing segment, so what is bad is looked at twice.
        let judged = match &look {
            Ok(_) => quiet || before.as_ref() == Some(&seen),
            Err(_) => before.as_ref() == Some(&seen),
        };
        if judged {
            return Ok(look.map_or_else(Opening::Refused, Opening::Planned));
        }
        before = Some(seen);
        storage.sleep(StoreInfo::BETWEEN_LOOKS);
    }
    Ok(RecoveryPlan::make(storage).map_or_else(Opening::Refused, Opening::InFlight))
}

fn is_alive(owner: Owner) -> bool {
    matches!(owner, Owner::Alive { .. })
}

/// What has to be equal for two looks to be the same.
fn fingerprint(look: &Result<RecoveryPlan>) -> String {
    match look {
        Ok(plan) => {
            let tail = &plan.tail;
            format!("{} {:?} {} {} {}", plan.segment, tail.verdict, tail.bad_at, tail.data_end, tail.durable)
        }
        Err(error) => error.to_string(),
    }
}
