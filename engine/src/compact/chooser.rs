//! Which runs lose events, and how much of each: what snapshots make up for, and what is not needed for another run.

use crate::compact::choice::{Choice, Retention};
use crate::compact::folds::{Folds, Outcome, Proving, Registration, Wanted, statuses};
use crate::compact::plan::{Originals, Proof, RunStays};
use crate::compact::survey::Survey;
use crate::error::Result;
use crate::fold::{Scope, Snapshots};
use crate::log::compact::going::Going;
use crate::run::quoted;
use crate::{Reader, Seq};
use std::collections::{BTreeMap, BTreeSet};

/// For each fold, the newest snapshot of each run that may be used.
pub(super) fn wanted(reader: &Reader, folds: &Folds, choice: &Choice) -> Result<Vec<Wanted>> {
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
pub(super) fn most(folds: &Folds, wanted: &[Wanted]) -> Going {
    let of_scope = |scope| folds.iter().zip(wanted).filter(move |(fold, _)| fold.scope == scope).map(|(_, it)| it);
    let store = of_scope(Scope::Store).filter_map(|wanted| wanted.get(&None)).map(|head| head.seq).min();
    let mut runs: BTreeMap<Seq, Seq> = BTreeMap::new();
    for (run, head) in of_scope(Scope::Run).flatten() {
        let Some(run) = run else { continue };
        let before = store.map_or(head.seq, |store| store.min(head.seq));
        runs.entry(*run).and_modify(|seq| *seq = before.min(*seq)).or_insert(before);
    }
    Going { runs, store, ..Going::default() }
}

/// How much of a run snapshots make up for.
#[derive(Clone, Copy)]
struct Cut {
    /// The events before this one.
    before: Seq,
    /// All but the last one.
    is_whole: bool,
}

/// Why a run stays, and the run whose snapshot would let it go.
struct Stays {
    why: String,
    snapshot_of: Option<Seq>,
}

/// Decides which runs lose events.
pub(super) struct Chooser<'a, 's> {
    folds: Vec<&'a Registration>,
    wanted: &'a [Wanted],
    proven: Vec<&'a BTreeSet<Option<Seq>>>,
    outcomes: Vec<BTreeMap<Option<Seq>, Outcome>>,
    statuses: BTreeMap<Seq, crate::run::Status>,
    survey: &'a Survey<'s>,
    originals: Originals,
}

pub(super) type Chosen = (Going, BTreeSet<Seq>, Vec<RunStays>);

impl<'a, 's> Chooser<'a, 's> {
    pub(super) fn new(
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
    pub(super) fn choose(&self, choice: &Choice) -> Chosen {
        let mut going: BTreeMap<Seq, Seq> = BTreeMap::new();
        let mut covered = BTreeSet::new();
        let mut stays: BTreeMap<Seq, Stays> = BTreeMap::new();
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
                    let why = "its snapshot is older than its last events".to_owned();
                    stays.insert(run, Stays { why, snapshot_of: Some(run) });
                }
                Err(why) if by_prefix || self.originals == Originals::Dropped => {
                    stays.insert(run, why);
                }
                Ok(_) | Err(_) => {
                    going.insert(run, seen.last);
                }
            }
        }
        while let Some((parent, held)) = self.held_by_a_fork(&going) {
            going.remove(&parent);
            covered.remove(&parent);
            stays.insert(parent, held);
        }
        let store = self.store_cut().filter(|_| matches!(choice, Choice::Prefix { .. }));
        let name = |run: &Seq| self.survey.runs.get(run).and_then(|seen| seen.name.clone());
        let stays = stays.into_iter().map(|(run, Stays { why, snapshot_of })| {
            let of = snapshot_of.map(|of| name(&of).map_or_else(|| format!("#{of}"), |name| quoted(&name)));
            let remedy = of.map(|of| format!("taffrail snap create {of}"));
            RunStays { run: run.get(), name: name(&run), why, remedy }
        });
        let stays = stays.collect();
        (Going { runs: going, store, ..Going::default() }, covered, stays)
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
    fn cut(&self, run: Seq) -> std::result::Result<Cut, Stays> {
        let for_good = |why: String| Stays { why, snapshot_of: None };
        let Some(seen) = self.survey.runs.get(&run) else { return Err(for_good("it has no events".to_owned())) };
        let mut cut: Option<Cut> = None;
        for (place, fold) in self.folds.iter().enumerate() {
            let key = (fold.scope == Scope::Run).then_some(run);
            let head = self.wanted[place].get(&key);
            let outcome = self.outcomes[place].get(&key);
            if outcome.is_some_and(|outcome| outcome.digest.is_none() || outcome.is_incomplete) {
                return Err(for_good(format!("its state of {} is incomplete", fold.name)));
            }
            let head = match (head, outcome) {
                (None, None) => continue,
                (None, Some(_)) => {
                    return Err(Stays { why: format!("no snapshot of {}", fold.name), snapshot_of: Some(run) });
                }
                (Some(head), _) if self.proven[place].contains(&key) => head,
                (Some(head), _) => {
                    let why = format!("its snapshot of {} at seq {} does not hold", fold.name, head.seq);
                    return Err(for_good(why));
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
            return Err(for_good("it has events of types that no fold of this program reads".to_owned()));
        }
        cut.ok_or_else(|| for_good("no fold of this program reads it".to_owned()))
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

    /// A run that loses events and that another one begins with, which has no snapshot of its own.
    fn held_by_a_fork(&self, going: &BTreeMap<Seq, Seq>) -> Option<(Seq, Stays)> {
        for (place, outcomes) in self.outcomes.iter().enumerate() {
            for (child, outcome) in outcomes {
                let (Some(child), Some(parent)) = (child, outcome.inherited) else { continue };
                let has_base = self.proven[place].contains(&Some(*child));
                if going.contains_key(&parent) && !has_base {
                    let name = self.survey.runs.get(child).and_then(|seen| seen.name.clone());
                    let name = name.unwrap_or_else(|| format!("#{child}"));
                    let why = format!("run {name:?} began as it, and has no snapshot of {}", self.folds[place].name);
                    return Some((parent, Stays { why, snapshot_of: Some(*child) }));
                }
            }
        }
        None
    }

    /// The states before.
    pub(super) fn proof(&self, folds: &Folds, last: Option<Seq>, going: &Going, covered: &BTreeSet<Seq>) -> Proof {
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
