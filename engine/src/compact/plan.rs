use crate::compact::choice::{Choice, Retention};
use crate::compact::folds::{Folds, Outcome, Proving, Registration, Wanted, statuses};
use crate::compact::survey::{Limits, Span, Survey};
use crate::error::Result;
use crate::fold::{Pass, Replay, Scope, Snapshots};
use crate::log::compact::going::Going;
use crate::log::compact::work;
use crate::plan::{plan_id, plan_name};
use crate::storage::{OpenMode, Storage};
use crate::{Listing, Reader, Segment, SegmentNumber, Seq, StateDigest};
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
    /// Runs that go without a snapshot, and those that go with them although they have nothing to lose: a fork of one of them
    /// that is nothing else. Their states are in the archive alone.
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
        let limits = match choice {
            Choice::Prefix { .. } => Limits::Known(most(folds, &wanted)),
            Choice::Runs(_) => Limits::AllRuns,
        };
        let reads = |entry: &crate::TypeEntry| folds.iter().any(|fold| fold.reads(entry));
        let mut survey = Survey::new(limits, last, reads, progress);
        let mut provers = Vec::new();
        for (fold, wanted) in folds.iter().zip(&wanted) {
            provers.push(fold.begin(&reader, wanted.clone())?);
        }
        let mut passes: Vec<&mut dyn Pass> = vec![&mut survey];
        passes.extend(provers.iter_mut().map(|prover| &mut **prover as &mut dyn Pass));
        Replay::of(&reader).go(&mut passes)?;
        let chooser = Chooser::new(folds, &wanted, &provers, &survey, originals)?;
        let (going, covered, stays) = chooser.choose(choice);
        let segments = segments(&**storage, &listing, &survey, &going, last)?;
        let runs = runs(&survey, &going, &covered, last);
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
            stays,
            bytes_now,
            bytes_after_at_most: bytes_now - replaced + new,
            bytes_peak: bytes_now + new,
            bytes_archived: if originals == Originals::Archived { replaced } else { 0 },
            states: 0,
            states_digest: String::new(),
            proof: chooser.proof(folds, survey.last, &going, &covered),
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
        Going { runs: runs.collect(), store: self.store_before.and_then(Seq::new) }
    }
}

/// For each fold, the newest snapshot of each run that may be used.
fn wanted(reader: &Reader, folds: &Folds, choice: &Choice) -> Result<Vec<Wanted>> {
    let until = match choice {
        Choice::Prefix { until } => *until,
        Choice::Runs(_) => None,
    };
    let list = Snapshots::of(reader).map(|snapshots| snapshots.list()).transpose()?.unwrap_or_default();
    let of_fold = |fold: &Registration| {
        let mut wanted = Wanted::new();
        for snapshot in &list.snapshots {
            let head = &snapshot.head;
            let is_own = (head.fold.as_str(), head.version) == (fold.name, fold.version);
            let fits = head.log_id == reader.log_id() && (fold.scope == Scope::Run) == head.run.is_some();
            if is_own && fits && until.is_none_or(|until| head.seq.get() <= until) {
                // They are listed with the seq ascending.
                wanted.insert(head.run, head.clone());
            }
        }
        wanted
    };
    Ok(folds.iter().map(of_fold).collect())
}

/// What may go at most, if all snapshots hold.
fn most(folds: &Folds, wanted: &[Wanted]) -> Going {
    let of_scope = |scope| folds.iter().zip(wanted).filter(move |(fold, _)| fold.scope == scope).map(|(_, it)| it);
    let store = of_scope(Scope::Store).filter_map(|wanted| wanted.get(&None)).map(|head| head.seq).min();
    let mut runs: BTreeMap<Seq, Seq> = BTreeMap::new();
    for (run, head) in of_scope(Scope::Run).flatten() {
        let Some(run) = run else { continue };
        let before = store.map_or(head.seq, |store| store.min(head.seq));
        runs.entry(*run).and_modify(|seq| *seq = before.min(*seq)).or_insert(before);
    }
    Going { runs, store }
}

/// How much of a run snapshots make up for.
#[derive(Clone, Copy)]
struct Cut {
    /// The events before this one.
    before: Seq,
    /// All but the last one.
    is_whole: bool,
}

/// Decides which runs lose events.
struct Chooser<'a, 's> {
    folds: Vec<&'a Registration>,
    wanted: &'a [Wanted],
    proven: Vec<&'a BTreeSet<Option<Seq>>>,
    outcomes: Vec<BTreeMap<Option<Seq>, Outcome>>,
    statuses: BTreeMap<Seq, crate::run::Status>,
    survey: &'a Survey<'s>,
    originals: Originals,
}

type Chosen = (Going, BTreeSet<Seq>, Vec<RunStays>);

impl<'a, 's> Chooser<'a, 's> {
    fn new(
        folds: &'a Folds,
        wanted: &'a [Wanted],
        provers: &'a [Box<dyn Proving>],
        survey: &'a Survey<'s>,
        originals: Originals,
    ) -> Result<Chooser<'a, 's>> {
        let outcomes = provers.iter().map(|prover| prover.outcomes()).collect::<Result<Vec<_>>>()?;
        let statuses = provers.iter().flat_map(|prover| statuses(&**prover)).collect();
        let proven = provers.iter().map(|prover| prover.proven()).collect();
        Ok(Chooser { folds: folds.iter().collect(), wanted, proven, outcomes, statuses, survey, originals })
    }

    /// Which events go, the runs among those for which snapshots make up for them, and the runs that stay.
    fn choose(&self, choice: &Choice) -> Chosen {
        let mut going: BTreeMap<Seq, Seq> = BTreeMap::new();
        let mut covered = BTreeSet::new();
        let mut stays: BTreeMap<Seq, String> = BTreeMap::new();
        let candidates = match choice {
            Choice::Prefix { .. } => self.survey.runs.keys().copied().collect(),
            Choice::Runs(retention) => self.ended(retention),
        };
        let by_prefix = matches!(choice, Choice::Prefix { .. });
        for run in candidates {
            let Some(seen) = self.survey.runs.get(&run) else { continue };
            match self.cut(run) {
                Ok(cut) if by_prefix => {
                    going.insert(run, cut.before.min(seen.last));
                    covered.insert(run);
                }
                Ok(cut) if cut.is_whole => {
                    going.insert(run, seen.last);
                    covered.insert(run);
                }
                Ok(_) if self.originals == Originals::Dropped => {
                    stays.insert(run, "its snapshot is older than its last events".to_owned());
                }
                Err(why) if by_prefix || self.originals == Originals::Dropped => {
                    stays.insert(run, why);
                }
                Ok(_) | Err(_) => {
                    going.insert(run, seen.last);
                }
            }
        }
        while let Some((parent, why)) = self.held_by_a_fork(&going, &covered) {
            going.remove(&parent);
            covered.remove(&parent);
            stays.insert(parent, why);
        }
        let store = self.store_cut().filter(|_| matches!(choice, Choice::Prefix { .. }));
        let name = |run: &Seq| self.survey.runs.get(run).and_then(|seen| seen.name.clone());
        let stays = stays.into_iter().map(|(run, why)| RunStays { run: run.get(), name: name(&run), why }).collect();
        (Going { runs: going, store }, covered, stays)
    }

    /// The runs that have ended and are not kept.
    fn ended(&self, retention: &Retention) -> Vec<Seq> {
        let has_ended = |run: &Seq| {
            let status = self.statuses.get(run);
            status.is_some_and(|status| status.is_terminal() && retention.statuses.contains(status))
        };
        let mut ended: Vec<(i64, Seq)> = self
            .survey
            .runs
            .iter()
            .filter(|(run, _)| has_ended(run))
            .map(|(run, seen)| (seen.last_time_ns, *run))
            .collect();
        ended.sort_unstable();
        let kept = usize::try_from(retention.keep_last).unwrap_or(usize::MAX);
        ended.truncate(ended.len().saturating_sub(kept));
        ended.retain(|(time_ns, _)| retention.ended_before_ns.is_none_or(|before| *time_ns < before));
        ended.into_iter().map(|(_, run)| run).collect()
    }

    /// How much of a run can go, since every fold that reads the run has a snapshot that makes up for it.
    fn cut(&self, run: Seq) -> std::result::Result<Cut, String> {
        let Some(seen) = self.survey.runs.get(&run) else { return Err("it has no events".to_owned()) };
        let mut cut: Option<Cut> = None;
        for (place, fold) in self.folds.iter().enumerate() {
            let key = (fold.scope == Scope::Run).then_some(run);
            let head = self.wanted[place].get(&key);
            let outcome = self.outcomes[place].get(&key);
            if outcome.is_some_and(|outcome| outcome.digest.is_none() || outcome.is_incomplete) {
                return Err(format!("its state of {} is incomplete", fold.name));
            }
            let head = match (head, outcome) {
                (None, None) => continue,
                (None, Some(_)) => return Err(format!("no snapshot of {}", fold.name)),
                (Some(head), _) if self.proven[place].contains(&key) => head,
                (Some(head), _) => {
                    return Err(format!("its snapshot of {} at seq {} does not hold", fold.name, head.seq));
                }
            };
            let is_whole = match fold.scope {
                Scope::Run => head.revision.saturating_add(1) >= seen.revision,
                Scope::Store => head.seq >= seen.last,
            };
            let so_far = cut.unwrap_or(Cut { before: head.seq, is_whole });
            cut = Some(Cut { before: so_far.before.min(head.seq), is_whole: so_far.is_whole && is_whole });
        }
        if self.originals == Originals::Dropped && !seen.foreign.is_empty() {
            return Err("it has events of types that no fold of this program reads".to_owned());
        }
        cut.ok_or_else(|| "no fold of this program reads it".to_owned())
    }

    /// The event before which applications' events of the store can go.
    fn store_cut(&self) -> Option<Seq> {
        let of_store = self.folds.iter().enumerate().filter(|(_, fold)| fold.scope == Scope::Store);
        let mut cut = None;
        for (place, _) in of_store.filter(|(place, _)| self.outcomes[*place].contains_key(&None)) {
            let head = self.wanted[place].get(&None).filter(|_| self.proven[place].contains(&None))?;
            cut = Some(cut.map_or(head.seq, |cut: Seq| cut.min(head.seq)));
        }
        cut
    }

    /// A run that loses events and that another one begins with, which stays and has no snapshot of its own.
    fn held_by_a_fork(&self, going: &BTreeMap<Seq, Seq>, covered: &BTreeSet<Seq>) -> Option<(Seq, String)> {
        for (place, outcomes) in self.outcomes.iter().enumerate() {
            for (child, outcome) in outcomes {
                let (Some(child), Some(parent)) = (child, outcome.inherited) else { continue };
                let goes_whole = going.contains_key(child) && !covered.contains(child);
                let has_base = self.proven[place].contains(&Some(*child));
                if going.contains_key(&parent) && !goes_whole && !has_base {
                    let name = self.survey.runs.get(child).and_then(|seen| seen.name.clone());
                    let name = name.unwrap_or_else(|| format!("#{child}"));
                    let why = format!("run {name:?} began as it, and has no snapshot of {}", self.folds[place].name);
                    return Some((parent, why));
                }
            }
        }
        None
    }

    /// The states before.
    fn proof(&self, folds: &Folds, last: Option<Seq>, going: &Going, covered: &BTreeSet<Seq>) -> Proof {
        let mut states = BTreeMap::new();
        for (fold, outcomes) in self.folds.iter().zip(&self.outcomes) {
            for (run, outcome) in outcomes {
                states.insert((fold.name, *run), (outcome.digest, outcome.events));
            }
        }
        let uncovered = going.runs.keys().filter(|run| !covered.contains(run)).copied().collect();
        Proof { folds: folds.clone(), until: last.map(Seq::next), states, uncovered }
    }
}

/// The segments that lose events.
fn segments(
    storage: &dyn Storage,
    listing: &Listing,
    survey: &Survey<'_>,
    going: &Going,
    last: Option<SegmentNumber>,
) -> Result<Vec<SegmentCompaction>> {
    let mut sums: BTreeMap<SegmentNumber, Span> = BTreeMap::new();
    for (segment, run) in survey.spans.keys() {
        if run.map_or(going.store.is_some(), |run| going.runs.contains_key(&run)) {
            sums.entry(*segment).or_default().add(survey.span(*segment, *run));
        }
    }
    let mut segments = Vec::new();
    for (number, len_bytes) in &listing.segments {
        let Some(sum) = sums.get(number).filter(|sum| sum.events > 0 && last.is_some_and(|last| *number <= last))
        else {
            continue;
        };
        let header = Segment::open(storage, *number, OpenMode::Read)?.header;
        segments.push(SegmentCompaction {
            segments: vec![number.get()],
            generations: vec![header.generation],
            lens_bytes: vec![*len_bytes],
            events: sum.events,
            bytes: sum.bytes,
            len_after_at_most_bytes: len_bytes - sum.bytes + sum.pieces * MOST_RECORD_LEN_BYTES + 64,
        });
    }
    Ok(segments)
}

/// Bytes that a record of absence takes at most: two seqs, a reason, a digest, and where the bytes are.
const MOST_RECORD_LEN_BYTES: u64 = 9 + 9 + 1 + 32 + 1 + 20;

fn runs(
    survey: &Survey<'_>,
    going: &Going,
    covered: &BTreeSet<Seq>,
    last: Option<SegmentNumber>,
) -> Vec<RunCompaction> {
    let mut sums: BTreeMap<Seq, Span> = BTreeMap::new();
    for (segment, run) in survey.spans.keys().filter(|(segment, _)| last.is_some_and(|last| *segment <= last)) {
        let Some(run) = run.filter(|run| going.runs.contains_key(run)) else { continue };
        let span = survey.span(*segment, Some(run));
        sums.entry(run).or_default().add(span);
    }
    let of_run = |(run, sum): (Seq, Span)| {
        let seen = survey.runs.get(&run)?;
        Some(RunCompaction {
            run: run.get(),
            name: seen.name.clone(),
            revision: seen.revision,
            before: going.runs.get(&run)?.get(),
            events: sum.events,
            bytes: sum.bytes,
            is_covered: covered.contains(&run),
        })
    };
    sums.into_iter().filter(|(_, sum)| sum.events > 0).filter_map(of_run).collect()
}
