//! The folds that a program has, as far as a compaction asks them: whom they read, and what they come to.

use crate::error::Result;
use crate::fold::{Fold, Folding, Pass, Scope, SnapshotHead, is_vouched_for};
use crate::run::{Runs, Status};
use crate::{Event, Reader, Record, Seq, StateDigest, TypeEntry};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};

/// The folds of a program. The one over runs is always among them.
#[derive(Clone, Debug)]
pub struct Folds {
    registered: Vec<Registration>,
}

/// One fold, without its type.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) name: &'static str,
    pub(super) version: u32,
    pub(super) scope: Scope,
    begin: fn(&Reader, Wanted) -> Result<Box<dyn Proving>>,
    reads: fn(&TypeEntry) -> bool,
}

impl Folds {
    /// The built-in fold over runs.
    #[must_use]
    pub fn built_in() -> Folds {
        Folds { registered: Vec::new() }.and::<Runs>()
    }

    /// These, and another one.
    #[must_use]
    pub fn and<F: Fold>(mut self) -> Folds {
        let begin = |reader: &Reader, wanted: Wanted| -> Result<Box<dyn Proving>> {
            Ok(Box::new(Prover::<F>::new(reader, wanted)?))
        };
        let reads = |entry: &TypeEntry| {
            entry.name == F::Event::TYPE || F::Event::upcasts().find(&entry.name, entry.version).is_some()
        };
        let is_known = self.registered.iter().any(|known| (known.name, known.version) == (F::NAME, F::VERSION));
        if !is_known {
            self.registered.push(Registration { name: F::NAME, version: F::VERSION, scope: F::SCOPE, begin, reads });
        }
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Registration> {
        self.registered.iter()
    }
}

impl Default for Folds {
    fn default() -> Folds {
        Folds::built_in()
    }
}

impl Registration {
    /// Begins a fold that proves the wanted snapshots on its way.
    pub(super) fn begin(&self, reader: &Reader, wanted: Wanted) -> Result<Box<dyn Proving>> {
        (self.begin)(reader, wanted)
    }
}

impl Registration {
    /// Whether the fold reads events of a type.
    pub(super) fn reads(&self, entry: &TypeEntry) -> bool {
        (self.reads)(entry)
    }
}

/// A snapshot for each run (`None`: of the store) that is to be proven.
pub(super) type Wanted = BTreeMap<Option<Seq>, SnapshotHead>;

/// What a fold came to, of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The state's digest; `None` where an event could not be read.
    pub(super) digest: Option<StateDigest>,
    /// How many events were applied.
    pub(super) events: u64,
    /// Whether events are missing.
    pub(super) is_incomplete: bool,
    /// The run that it began as.
    pub(super) inherited: Option<Seq>,
}

/// A fold at work, without its type.
pub(super) trait Proving: Pass {
    /// What it came to, by run.
    fn outcomes(&self) -> Result<BTreeMap<Option<Seq>, Outcome>>;

    /// The runs whose wanted snapshot holds: its event is in the log, and the state after it is the snapshot's.
    fn proven(&self) -> &BTreeSet<Option<Seq>>;

    /// For [`statuses`].
    fn as_any(&self) -> &dyn Any;
}

/// The statuses of runs, where this is the fold over them.
pub(super) fn statuses(proving: &dyn Proving) -> BTreeMap<Seq, Status> {
    let Some(prover) = proving.as_any().downcast_ref::<Prover<Runs>>() else { return BTreeMap::new() };
    let status = |run: Seq| prover.folding.standing(Some(run)).map(|standing| (run, standing.state.status));
    prover.folding.runs().flatten().filter_map(status).collect()
}

struct Prover<F: Fold> {
    folding: Folding<F>,
    wanted: Wanted,
    proven: BTreeSet<Option<Seq>>,
}

impl<F: Fold> Prover<F> {
    fn new(reader: &Reader, wanted: Wanted) -> Result<Prover<F>> {
        let mut vouched = Wanted::new();
        for (run, head) in wanted {
            if is_vouched_for(reader, &head)?.is_ok() {
                vouched.insert(run, head);
            }
        }
        Ok(Prover { folding: Folding::over(reader)?, wanted: vouched, proven: BTreeSet::new() })
    }
}

impl<F: Fold> Pass for Prover<F> {
    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        self.folding.take(record)?;
        let run = if F::SCOPE == Scope::Run { record.run } else { None };
        let Some(head) = self.wanted.get(&run).filter(|head| head.seq == record.seq) else { return Ok(()) };
        let Some(standing) = self.folding.standing(run) else { return Ok(()) };
        let is_sound =
            standing.seq == Some(head.seq) && !standing.is_incomplete() && self.folding.failure(run).is_none();
        if is_sound && standing.digest()? == head.digest {
            self.proven.insert(run);
        }
        Ok(())
    }
}

impl<F: Fold> Proving for Prover<F> {
    fn outcomes(&self) -> Result<BTreeMap<Option<Seq>, Outcome>> {
        let mut outcomes = BTreeMap::new();
        for run in self.folding.runs() {
            let Some(standing) = self.folding.standing(run) else { continue };
            let digest = if self.folding.failure(run).is_some() { None } else { Some(standing.digest()?) };
            let inherited = self.folding.inherited(run);
            let is_incomplete = standing.is_incomplete();
            outcomes.insert(run, Outcome { digest, events: standing.events, is_incomplete, inherited });
        }
        Ok(outcomes)
    }

    fn proven(&self) -> &BTreeSet<Option<Seq>> {
        &self.proven
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
