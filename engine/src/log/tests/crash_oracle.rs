//! What was submitted and what was promised, and whether a log keeps it.

use super::crash_reader::Event;
use crate::{Appended, Kind, RunOpened};
use std::collections::BTreeMap;

/// How an append ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Acknowledged.
    Acked(Appended),
    /// Failed in a way that leaves open whether the batch is there.
    Unknown,
    /// Refused by a journal that goes on: the batch must never be seen.
    Refused,
}

/// One event of a submitted batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) run: Option<String>,
    pub(super) type_name: String,
    pub(super) payload: Vec<u8>,
}

/// A batch. Its events carry `id * EVENTS_PER_ID + position` as their time: so they are known again whatever they hold.
#[derive(Clone, Debug)]
pub(super) struct Submitted {
    pub(super) id: i64,
    pub(super) events: Vec<Wanted>,
    pub(super) outcome: Outcome,
    /// The seq of its first event where it was acknowledged: of the log's own, which come before the user's, if it has any.
    pub(super) begins: u64,
    /// Whether a journal has called its last event durable.
    pub(super) is_durable: bool,
}

/// More than a batch has events.
pub(super) const EVENTS_PER_ID: i64 = 16;

/// The model: all batches in the order in which they were submitted.
#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    pub(super) submitted: Vec<Submitted>,
    /// The highest seq that any journal called durable.
    pub(super) durable: u64,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// An acknowledged event is not there, or is not what it was.
    Lost(String),
    /// A batch is there in part, twice, out of order, or was refused.
    Partial(String),
    /// The store can not be opened, or its log is not in order.
    Refused(String),
}

/// How much must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// All that was acknowledged: no power cut came in between, or the policy syncs each append.
    All,
    /// What a journal called durable: after a power cut under the other policies.
    Durable,
}

impl Oracle {
    /// Notes that a journal calls a seq durable.
    ///
    /// A failed sync may take batches that were acknowledged without being durable, as the policies other than `Always` allow.
    /// Their seqs are issued again then, to the user's events and to the log's own ones before them, and it is the events that
    /// bear them now that are durable.
    pub(super) fn note_durable(&mut self, durable: u64) {
        self.durable = self.durable.max(durable);
        let mut issued_again_from = u64::MAX;
        for submitted in self.submitted.iter_mut().rev() {
            let Outcome::Acked(appended) = submitted.outcome else { continue };
            let last = appended.last.get();
            submitted.is_durable |= last <= self.durable && last < issued_again_from;
            issued_again_from = issued_again_from.min(submitted.begins);
        }
    }

    /// Compares a log with what was promised, and returns the ids of the batches that are there.
    pub(super) fn check(&self, log: &[Event], promise: Promise) -> Result<Vec<i64>, Violation> {
        let runs = check_runs(log)?;
        let mut present = Vec::new();
        for frames in batches(log)? {
            let own = frames.iter().position(|event| !event.kind.is_reserved()).unwrap_or(frames.len());
            let (prelude, user) = frames.split_at(own);
            let Some(first) = user.first() else {
                if prelude.is_empty() || prelude.iter().any(|event| event.kind != Kind::RECOVERED) {
                    return Err(Violation::Partial(format!("a batch of nothing but {prelude:?}")));
                }
                continue;
            };
            let id = first.time_ns.div_euclid(EVENTS_PER_ID);
            if present.last().is_some_and(|last| *last >= id) {
                return Err(Violation::Partial(format!("batch {id} comes behind {:?}", present.last())));
            }
            let Ok(found) = self.submitted.binary_search_by_key(&id, |submitted| submitted.id) else {
                return Err(Violation::Partial(format!("batch {id} was never submitted")));
            };
            self.submitted[found].check(prelude, user, &runs)?;
            present.push(id);
        }
        for submitted in &self.submitted {
            let Outcome::Acked(appended) = submitted.outcome else { continue };
            let required = promise == Promise::All || submitted.is_durable;
            if required && present.binary_search(&submitted.id).is_err() {
                return Err(Violation::Lost(format!("batch {} with {appended:?}", submitted.id)));
            }
        }
        if promise == Promise::Durable && (log.len() as u64) < self.durable {
            return Err(Violation::Lost(format!("{} was durable, the log ends at {}", self.durable, log.len())));
        }
        Ok(present)
    }

    /// The model of a log in which exactly these batches are: the others will never come any more.
    pub(super) fn rebased(&self, present: &[i64]) -> Oracle {
        let mut rebased = self.clone();
        for submitted in &mut rebased.submitted {
            if present.binary_search(&submitted.id).is_err() {
                submitted.outcome = Outcome::Refused;
            }
        }
        rebased
    }
}

impl Submitted {
    fn check(&self, prelude: &[Event], user: &[Event], runs: &BTreeMap<u64, String>) -> Result<(), Violation> {
        let id = self.id;
        if self.outcome == Outcome::Refused {
            return Err(Violation::Partial(format!("batch {id} was refused or lost before, and is there")));
        }
        if user.len() != self.events.len() {
            return Err(Violation::Partial(format!("batch {id}: {} of {} events", user.len(), self.events.len())));
        }
        if prelude.iter().any(|event| !matches!(event.kind, Kind::TYPE_REGISTERED | Kind::RUN_OPENED)) {
            return Err(Violation::Partial(format!("batch {id} begins with {prelude:?}")));
        }
        for ((event, wanted), position) in user.iter().zip(&self.events).zip(0..) {
            let run = event.run.and_then(|run| runs.get(&run));
            let same = event.time_ns == id * EVENTS_PER_ID + position
                && event.payload == wanted.payload
                && event.type_name == wanted.type_name
                && run == wanted.run.as_ref();
            if !same {
                return Err(Violation::Lost(format!("batch {id} has at {position} {event:?} for {wanted:?}")));
            }
        }
        let (first, last) = (user.first(), user.last());
        if let (Outcome::Acked(appended), Some(first), Some(last)) = (self.outcome, first, last)
            && (appended.first.get(), appended.last.get(), appended.revision) != (first.seq, last.seq, last.revision)
        {
            return Err(Violation::Lost(format!("batch {id}: {appended:?}, but {} to {}", first.seq, last.seq)));
        }
        Ok(())
    }
}

/// The frames of each batch.
fn batches(log: &[Event]) -> Result<Vec<&[Event]>, Violation> {
    let batches: Vec<&[Event]> = log.split_inclusive(|event| !event.more).collect();
    match batches.last().and_then(|last| last.last()) {
        Some(last) if last.more => Err(Violation::Partial(format!("the log ends within a batch at {}", last.seq))),
        _ => Ok(batches),
    }
}

/// The names of the runs by number; each is opened once, and its revisions are dense.
fn check_runs(log: &[Event]) -> Result<BTreeMap<u64, String>, Violation> {
    let mut names = BTreeMap::new();
    let mut revisions: BTreeMap<u64, u32> = BTreeMap::new();
    for event in log {
        let Some(run) = event.run else { continue };
        if event.kind == Kind::RUN_OPENED {
            let opened = RunOpened::decode(&event.payload).map_err(|what| Violation::Refused(format!("{what:?}")))?;
            if names.values().any(|name| *name == opened.name) {
                return Err(Violation::Partial(format!("run {:?} is opened twice", opened.name)));
            }
            names.insert(run, opened.name);
        }
        let revision = revisions.entry(run).or_default();
        *revision += 1;
        if *revision != event.revision {
            let text = format!("run {run} has revision {} where {revision} is due", event.revision);
            return Err(Violation::Partial(text));
        }
    }
    Ok(names)
}
