//! Tests of folds, and what they fold.

mod check;
mod codec;
mod damage;
mod examples;
mod properties;
mod schema;
mod snapshots;
mod typed;

use crate::storage::{Memory, OpenMode, Storage, read_full_at, write_all_at};
use crate::{Event, Expect, Fold, Journal, Reader, Recorded};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the tests' programs record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Job {
    Queued { cmd: String },
    Done { exit: i32 },
    Progress(u8),
}

impl Event for Job {
    const TYPE: &'static str = "acme.job";
    const VERSION: u16 = 1;

    fn kind(&self) -> &'static str {
        match self {
            Job::Queued { .. } => "Queued",
            Job::Done { .. } => "Done",
            Job::Progress(_) => "Progress",
        }
    }

    fn is_hint(&self) -> bool {
        matches!(self, Job::Progress(_))
    }
}

/// A state that the order, the seqs and the revisions of events leave traces in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) open: u32,
    pub(super) failed: BTreeMap<i32, u32>,
    pub(super) last: Option<String>,
    pub(super) trace: u64,
}

pub(super) struct Jobs;

pub(super) fn tally(state: &mut Tally, event: &Recorded<Job>) {
    let place = event.seq.get() ^ u64::from(event.revision) << 32;
    state.trace = state.trace.wrapping_mul(31).wrapping_add(place);
    match &event.data {
        Job::Queued { cmd } => {
            state.open += 1;
            state.last = Some(cmd.clone());
        }
        Job::Done { exit } => {
            state.open = state.open.saturating_sub(1);
            *state.failed.entry(*exit).or_default() += 1;
        }
        Job::Progress(_) => panic!("a hint reached a fold"),
    }
}

impl Fold for Jobs {
    const NAME: &'static str = "acme.jobs";
    const VERSION: u32 = 1;
    type Event = Job;
    type State = Tally;
    fn apply(state: &mut Tally, event: &Recorded<Job>) {
        tally(state, event);
    }
}

/// The same over the whole store.
pub(super) struct AllJobs;

impl Fold for AllJobs {
    const NAME: &'static str = "acme.all-jobs";
    const VERSION: u32 = 1;
    const SCOPE: crate::Scope = crate::Scope::Store;
    type Event = Job;
    type State = Tally;
    fn apply(state: &mut Tally, event: &Recorded<Job>) {
        tally(state, event);
    }
}

pub(super) fn store() -> Arc<Memory> {
    Arc::new(Memory::new())
}

pub(super) fn open(storage: &Arc<Memory>) -> Journal {
    Journal::options().create(true).open_on(Arc::clone(storage) as Arc<dyn Storage>).unwrap()
}

pub(super) fn read(storage: &Arc<Memory>) -> Reader {
    Reader::open_on(Arc::clone(storage) as Arc<dyn Storage>).unwrap()
}

pub(super) fn queued(cmd: &str) -> Job {
    Job::Queued { cmd: cmd.into() }
}

/// A store with a run "nightly" of so many jobs, queued and done in turn.
pub(super) fn nightly(jobs: i32) -> Arc<Memory> {
    let storage = store();
    let journal = open(&storage);
    let run = journal.run_or_create("nightly").unwrap();
    for exit in 0..jobs {
        run.append(Expect::Any, &[queued(&format!("job {exit}")), Job::Progress(1), Job::Done { exit }]).unwrap();
    }
    journal.close().unwrap();
    storage
}

/// Puts other bytes in a file's place.
pub(super) fn rewrite(storage: &Memory, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let open = storage.open(file, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(open.len_bytes().unwrap()).unwrap()];
    read_full_at(&*open, 0, &mut bytes).unwrap();
    change(&mut bytes);
    storage.remove(file).unwrap();
    write_all_at(&*storage.open(file, OpenMode::CreateNew).unwrap(), 0, &bytes).unwrap();
}
