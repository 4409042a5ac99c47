use crate::compact::choice::Choice;
use crate::compact::chooser::{Chooser, most, wanted};
use crate::compact::folds::Folds;
use crate::compact::sums::{runs, segments, unmoved};
use crate::compact::survey::{Limits, Survey};
use crate::error::Result;
use crate::fold::{Pass, Replay, Scope};
use crate::import::record::{self, Note as _, Oddities};
use crate::log::compact::going::Going;
use crate::log::compact::work;
use crate::plan::{plan_id, plan_name};
use crate::storage::Storage;
use crate::{Kind, Listing, Reader, SegmentNumber, Seq, StateDigest};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What becomes of the segments that are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Originals {
    /// They are kept in the store, below `archive/`.
    #[default]
    Archived,
    /// They are removed. Only events whose effect a snapshot of every fold holds can go so.
    Dropped,
}

/// Segments that a compaction replaces by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentCompaction {
    /// Their numbers, ascending. The new segment bears the last one.
    pub segments: Vec<u32>,
    /// How often each of them has been rewritten.
    pub generations: Vec<u32>,
    /// Lengths of their files, in bytes.
    pub lens_bytes: Vec<u64>,
    /// Events that go.
    pub events: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Length of the new file, in bytes, at most.
    pub len_after_at_most_bytes: u64,
}

/// A run that loses events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunCompaction {
    /// Its number.
    pub run: u64,
    /// Its name; `None` where the event that told it is not in the log.
    pub name: Option<String>,
    /// Its revision: if it changes, the plan does not hold any more.
    pub revision: u32,
    /// Its events before this seq go, but the first one.
    pub before: u64,
    /// How many.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether a snapshot of each fold that reads the run makes up for them: then its state can be had without the originals.
    pub is_covered: bool,
}

/// A run that was to lose events, and does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunStays {
    /// Its number.
    pub run: u64,
    /// Its name; `None` where the event that told it is not in the log.
    pub name: Option<String>,
    /// Why.
    pub why: String,
    /// The command after which it can go; `None` where there is none.
    pub remedy: Option<String>,
}

/// Events of the store that were to be dropped, and stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreStays {
    /// Their type.
    pub type_name: String,
    /// How many.
    pub events: u64,
}

/// What a compaction would do. Made by one pass over the log; carried out by [`CompactionPlan::apply`].
///
/// The id covers what is taken away: the segments as they are, and the runs as they stand. Events that are appended
/// elsewhere do not change it.
#[derive(Clone, Debug, Serialize)]
pub struct CompactionPlan {
    /// BLAKE3 over the plan, in hexadecimal; the first six digits are its name.
    pub id: String,
    /// The log.
    pub log_id: String,
    /// What was asked for.
    pub choice: Choice,
    /// The last segment that was looked at for events to take; 0 for none. The newest one is never compacted.
    pub through: u32,
    /// What becomes of the originals.
    pub originals: Originals,
    /// What is replaced.
    pub segments: Vec<SegmentCompaction>,
    /// The runs that lose events, by number.
    pub runs: Vec<RunCompaction>,
    /// Applications' events of the store before this seq go; `None` for none.
    pub store_before: Option<u64>,
    /// Events that go.
    pub events: u64,
    /// Events that are lost by it, to be accepted by number: none, if the originals are archived.
    pub lost: u64,
    /// Runs that were to lose events, and stay whole.
    pub stays: Vec<RunStays>,
    /// Events of no run that were to be dropped, and stay, since no fold of the program reads their type.
    pub store_stays: Vec<StoreStays>,
    /// Bytes of the log's segments now.
    pub bytes_now: u64,
    /// Bytes of the log's segments afterwards, at most.
    pub bytes_after_at_most: u64,
    /// Bytes of segments and archive while it is carried out, at most. Originals are kept by a second name; where the file
    /// system has no such thing, they are copied, which takes [`CompactionPlan::bytes_archived`] more.
    pub bytes_peak: u64,
    /// Bytes of originals that are kept in the archive afterwards.
    pub bytes_archived: u64,
    /// How many states of folds were worked out, to be compared with those afterwards.
    pub states: u64,
    /// BLAKE3 over those states, in hexadecimal.
    pub states_digest: String,
    /// The states before, for the proof.
    #[serde(skip)]
    pub(super) proof: Proof,
    /// Types whose events stay.
    #[serde(skip)]
    going: Going,
}

/// By fold and run: the state's digest, where it could be worked out, and how many events were applied.
pub(super) type States = BTreeMap<(&'static str, Option<Seq>), (Option<StateDigest>, u64)>;

/// What the folds came to before.
#[derive(Clone, Debug, Default)]
pub(super) struct Proof {
    pub(super) folds: Folds,
    /// The event before which the folds stopped.
    pub(super) until: Option<Seq>,
    /// By fold and run.
    pub(super) states: States,
    /// Runs that go without a snapshot: their states are in the archive alone.
    pub(super) uncovered: BTreeSet<Seq>,
}

impl Proof {
    /// How many states, and a digest over them.
    fn summary(&self) -> (u64, String) {
        let mut hasher = blake3::Hasher::new();
        for ((fold, run), (digest, events)) in &self.states {
            let run = run.map_or(0, Seq::get);
            let digest = digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
            hasher.update(format!("{fold}\0{run}\0{digest}\0{events}\n").as_bytes());
        }
        (self.states.len() as u64, hasher.finalize().to_hex().to_string())
    }
}

/// The part of a plan that its id covers: what is taken away, not in which words that was asked for.
#[derive(Serialize)]
struct Covered<'a>(&'a str, Originals, &'a [SegmentCompaction], &'a [RunCompaction], Option<u64>);

impl CompactionPlan {
    /// Plans a compaction, reading only. `through` is the last segment to look at for events to take (`None`: the last one
    /// that is sealed). `progress` is told of bytes that have been read.
    ///
    /// # Errors
    /// `NotFound`; `Damaged` where the log is not whole: repair it first; `Io`.
    pub fn make(
        storage: &Arc<dyn Storage>,
        folds: &Folds,
        choice: &Choice,
        originals: Originals,
        through: Option<u32>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<CompactionPlan> {
        let reader = Reader::open_on(Arc::clone(storage))?;
        let listing = Listing::read(&**storage)?;
        let newest = reader.segments().last().copied();
        let sealed = reader.segments().iter().copied().filter(|number| Some(*number) < newest);
        let last = sealed.clone().filter(|number| through.is_none_or(|through| number.get() <= through)).max();
        let wanted = wanted(&reader, folds, choice)?;
        let stays = told_of_imports(&reader)?;
        let limits = match choice {
            Choice::Prefix { .. } => Limits::Known(Going { stays: stays.clone(), ..most(folds, &wanted) }),
            Choice::Runs(_) => Limits::AllRuns(stays.clone()),
        };
        let reads = |entry: &crate::TypeEntry, of_store: bool| {
            folds.iter().any(|fold| (!of_store || fold.scope == Scope::Store) && fold.reads(entry))
        };
        let drops = originals == Originals::Dropped;
        let mut survey = Survey::new(limits, last, drops, reads, progress);
        let mut provers = Vec::new();
        for (fold, wanted) in folds.iter().zip(&wanted) {
            provers.push(fold.begin(&reader, wanted.clone())?);
        }
        let mut passes: Vec<&mut dyn Pass> = vec![&mut survey];
        passes.extend(provers.iter_mut().map(|prover| &mut **prover as &mut dyn Pass));
        Replay::of(&reader).go(&mut passes)?;
        let chooser = Chooser::new(folds, &wanted, &provers, &survey, originals)?;
        let (going, covered, mut runs_stay) = chooser.choose(choice);
        let stays_of_store = survey.foreign_of_store.keys().copied().collect();
        let going = Going { stays, stays_of_store, ..going };
        let segments = segments(&**storage, &listing, &survey, &going, last)?;
        let runs = runs(&survey, &going, &covered, last);
        runs_stay.extend(unmoved(&survey, &going, &runs, last));
        runs_stay.sort_by_key(|stays| stays.run);
        let events = segments.iter().map(|segment| segment.events).sum();
        let bytes_now = listing.segments.iter().map(|(_, len)| len).sum();
        let replaced: u64 = segments.iter().flat_map(|segment| &segment.lens_bytes).sum();
        let new: u64 = segments.iter().map(|segment| segment.len_after_at_most_bytes).sum();
        let mut plan = CompactionPlan {
            id: String::new(),
            log_id: reader.log_id().to_string(),
            choice: choice.clone(),
            through: last.map_or(0, SegmentNumber::get),
            originals,
            segments,
            runs,
            store_before: going.store.map(Seq::get),
            events,
            lost: if originals == Originals::Dropped { events } else { 0 },
            stays: runs_stay,
            store_stays: survey.foreign_of_store.values().cloned().collect(),
            bytes_now,
            bytes_after_at_most: bytes_now - replaced + new,
            bytes_peak: bytes_now + new,
            bytes_archived: if originals == Originals::Archived { replaced } else { 0 },
            states: 0,
            states_digest: String::new(),
            proof: chooser.proof(folds, survey.last, &going, &covered),
            going,
        };
        (plan.states, plan.states_digest) = plan.proof.summary();
        plan.id = plan.covered_id()?;
        Ok(plan)
    }

    fn covered_id(&self) -> Result<String> {
        let CompactionPlan { log_id, originals, segments, runs, store_before, .. } = self;
        let covered = Covered(log_id, *originals, segments, runs, *store_before);
        plan_id(&covered)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The short name: the first six digits of the id.
    #[must_use]
    pub fn name(&self) -> &str {
        plan_name(&self.id)
    }

    /// Whether an earlier compaction, undo or removal was interrupted: the next one that is carried out finishes it first.
    ///
    /// # Errors
    /// `Io`.
    pub fn is_unfinished(storage: &dyn Storage) -> Result<bool> {
        work::is_unfinished(storage)
    }

    /// Which events go.
    pub(super) fn going(&self) -> Going {
        let runs = self.runs.iter().filter_map(|run| Some((Seq::new(run.run)?, Seq::new(run.before)?)));
        Going { runs: runs.collect(), store: self.store_before.and_then(Seq::new), ..self.going.clone() }
    }
}

/// The types that tell what an import has found odd. Those events stay: what is said of a run is the same before and after,
/// whatever becomes of the archive.
fn told_of_imports(reader: &Reader) -> Result<BTreeSet<Kind>> {
    let table = reader.type_table()?;
    let tells = |entry: &crate::TypeEntry| entry.name == record::TYPE && entry.variant == Oddities::VARIANT;
    Ok(table.rows().filter(|(_, entry)| tells(entry)).map(|(kind, _)| kind).collect())
}
