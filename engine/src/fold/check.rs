//! D1: the same events must give the same states. Folds again, and compares with everything that was recorded.

use crate::error::Result;
use crate::fold::checkpoint::{Checkpoints, RecordedCheckpoint};
use crate::fold::fold::{Fold, Scope};
use crate::fold::folding::Folding;
use crate::fold::locate::{Located, Recorded, locate};
use crate::fold::pass::{Losses, Pass};
use crate::fold::replay::Replay;
use crate::fold::report::{Cause, CheckReport, Divergence, Evidence, Place, RunCheck};
use crate::fold::snapshots::Snapshots;
use crate::fold::state::{Standing, StateDigest};
use crate::fold::states::States;
use crate::{Loss, Reader, Record, Seq};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What to compare besides the recorded checkpoints.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions<'a> {
    /// Only this run.
    pub run: Option<Seq>,
    /// Up to this event, exclusive.
    pub until: Option<Seq>,
    /// Fold twice, and compare the two.
    pub twice: bool,
    /// Compare with every snapshot of this fold and version: does the fold from the origin come to the same?
    pub snapshots: bool,
    /// Compare with the states that another build has written.
    pub against: Option<&'a States>,
}

/// Folds a run (`None`: all of them) again, and compares every recorded checkpoint.
///
/// # Errors
/// As reading; `Invalid` (T0505) for the fold's own definition. Divergence is in the report.
pub fn check<F: Fold>(reader: &Reader, run: Option<Seq>) -> Result<CheckReport> {
    check_with::<F>(reader, &CheckOptions { run, ..CheckOptions::default() })
}

/// Folds again, and compares what the options say.
///
/// # Errors
/// As [`check`].
pub fn check_with<F: Fold>(reader: &Reader, options: &CheckOptions<'_>) -> Result<CheckReport> {
    let mut expected = Expected::default();
    let checkpoints = match F::SCOPE {
        Scope::Run => Checkpoints::read::<F>(reader, options.run)?,
        Scope::Store => Checkpoints::default(),
    };
    let Checkpoints { of_fold, of_others, superseded } = checkpoints;
    for ((run, revision), recorded) in of_fold {
        let points = recorded.into_iter().map(|checkpoint| Point::checkpoint::<F>(checkpoint));
        expected.by_place.entry((Some(run), u64::from(revision))).or_default().extend(points);
    }
    let mut findings = Vec::new();
    if let (true, Some(snapshots)) = (options.snapshots, Snapshots::of(reader)) {
        let list = snapshots.list()?;
        findings = list.findings;
        for snapshot in
            list.snapshots.into_iter().filter(|it| (it.head.fold.as_str(), it.head.version) == (F::NAME, F::VERSION))
        {
            let place =
                if F::SCOPE == Scope::Run { u64::from(snapshot.head.revision) } else { snapshot.head.seq.get() };
            let state = snapshots.state_json::<F>(&snapshot);
            let point =
                Point { recorded: Some(snapshot.head.digest), evidence: Evidence::Snapshot(snapshot.file), state };
            expected.by_place.entry((snapshot.head.run, place)).or_default().push(point);
        }
    }
    if let Some(states) = options.against {
        for (key, line) in states.of::<F>() {
            let point =
                Point { recorded: Some(line.digest), evidence: Evidence::States, state: Some(line.state.clone()) };
            expected.by_place.entry(key).or_default().push(point);
        }
    }
    let mut checking = Checking::<F>::new(reader, expected, options.twice)?;
    let mut query = reader.events_of_fold::<F>(options.run)?;
    query.until = options.until;
    let mut losses = Losses::default();
    Replay::query(reader, query).past_damage().go(&mut [&mut checking, &mut losses])?;
    let without_counterpart = match options.until {
        None => checking.expected.states_of(options.run),
        // Those behind the end that was asked for were not to be compared.
        Some(_) => 0,
    };
    let mut runs = checking.finish()?;
    // The runs that a run began as were read for its sake alone.
    runs.retain(|run| options.run.is_none() || run.run == options.run);
    for run in &mut runs {
        run.other_folds = run.run.and_then(|run| of_others.get(&run).copied()).unwrap_or(0);
        if let Some(divergence) = &mut run.divergence {
            explain::<F>(reader, divergence)?;
        }
    }
    Ok(CheckReport { fold: F::NAME, version: F::VERSION, runs, without_counterpart, superseded, findings, losses })
}

/// A digest to compare with; `None` for a checkpoint of another version of the fold.
struct Point {
    recorded: Option<StateDigest>,
    evidence: Evidence,
    state: Option<Value>,
}

impl Point {
    fn checkpoint<F: Fold>(checkpoint: RecordedCheckpoint) -> Point {
        let recorded = (checkpoint.version == F::VERSION).then_some(checkpoint.digest);
        Point { recorded, evidence: Evidence::Checkpoint(checkpoint), state: None }
    }
}

/// What to compare, by run and revision (for a fold over the store: by seq).
#[derive(Default)]
struct Expected {
    by_place: BTreeMap<(Option<Seq>, u64), Vec<Point>>,
}

impl Expected {
    /// States of a file that were not compared, of a run or of all.
    fn states_of(&self, run: Option<Seq>) -> u64 {
        let left = self.by_place.iter().filter(|((of, _), _)| run.is_none() || *of == run);
        left.flat_map(|(_, points)| points).filter(|point| point.evidence == Evidence::States).count() as u64
    }
}

/// A fold that compares on its way.
struct Checking<F: Fold> {
    folding: Folding<F>,
    twin: Option<Folding<F>>,
    expected: Expected,
    runs: BTreeMap<Option<Seq>, RunCheck>,
    /// Where each run was equal last.
    equal_at: BTreeMap<Option<Seq>, u64>,
}

impl<F: Fold> Checking<F> {
    fn new(reader: &Reader, expected: Expected, twice: bool) -> Result<Checking<F>> {
        let twin = if twice { Some(Folding::over(reader)?) } else { None };
        Ok(Checking {
            folding: Folding::over(reader)?,
            twin,
            expected,
            runs: BTreeMap::new(),
            equal_at: BTreeMap::new(),
        })
    }

    fn compare(&mut self, run: Option<Seq>, at: u64, points: &[Point]) -> Result<()> {
        let Some(standing) = self.folding.standing(run) else { return Ok(()) };
        let result = self.runs.entry(run).or_insert_with(|| RunCheck { run, ..RunCheck::default() });
        if standing.is_incomplete() || self.folding.failure(run).is_some() {
            return Ok(());
        }
        let computed = standing.digest()?;
        for point in points {
            let Some(recorded) = point.recorded else {
                result.other_versions += 1;
                continue;
            };
            let is_checkpoint = matches!(point.evidence, Evidence::Checkpoint(_));
            let is_equal = recorded == computed;
            result.compared += 1;
            result.equal += u64::from(is_equal);
            result.checkpoints += u64::from(is_checkpoint);
            result.checkpoints_equal += u64::from(is_checkpoint && is_equal);
            if is_equal {
                if result.divergence.is_none() {
                    self.equal_at.insert(run, at);
                }
            } else {
                let after = self.equal_at.get(&run).copied().unwrap_or(0);
                let fields = point.state.as_ref().map_or_else(Vec::new, |state| {
                    crate::fold::state_difference::state_differences(
                        state,
                        &crate::fold::state::state_json(&standing.state),
                    )
                });
                let cause = if let Evidence::Snapshot(_) = point.evidence { Cause::Snapshot } else { Cause::Code };
                result.divergence.get_or_insert(Divergence {
                    run,
                    at,
                    evidence: point.evidence.clone(),
                    recorded,
                    computed,
                    cause,
                    place: Place::Interval { after, until: at, fields },
                });
            }
        }
        Ok(())
    }

    /// Compares the twins at their end, and gathers the results.
    fn finish(mut self) -> Result<Vec<RunCheck>> {
        let runs: BTreeSet<Option<Seq>> = self.folding.runs().collect();
        let concerned: Vec<Option<Seq>> = runs.union(&self.runs.keys().copied().collect()).copied().collect();
        let mut results = Vec::new();
        for run in concerned {
            let mut result = self.runs.remove(&run).unwrap_or_else(|| RunCheck { run, ..RunCheck::default() });
            result.failure = self.folding.failure(run).cloned();
            if let Some(standing) = self.folding.standing(run) {
                result.events = standing.events;
                result.missing.clone_from(&standing.missing);
                result.doubt = self.folding.doubt(run);
                let digest = standing.digest()?;
                result.digest = Some(digest);
                if let Some(twin) = self.twin.as_ref().and_then(|twin| twin.standing(run)) {
                    compare_twin(&mut result, standing, twin, digest)?;
                }
            }
            results.push(result);
        }
        Ok(results)
    }
}

fn compare_twin<F: Fold>(
    result: &mut RunCheck,
    standing: &Standing<F>,
    twin: &Standing<F>,
    computed: StateDigest,
) -> Result<()> {
    let recorded = twin.digest()?;
    result.compared += 1;
    result.equal += u64::from(recorded == computed);
    if recorded != computed {
        let at = place_of(standing);
        result.divergence = Some(Divergence {
            run: result.run,
            at,
            evidence: Evidence::Twin,
            recorded,
            computed,
            cause: Cause::Nondeterminism,
            place: Place::Interval { after: 0, until: at, fields: Vec::new() },
        });
    }
    Ok(())
}

/// The revision at which a state stands, or for a fold over the store the seq.
fn place_of<F: Fold>(standing: &Standing<F>) -> u64 {
    match F::SCOPE {
        Scope::Run => u64::from(standing.revision),
        Scope::Store => standing.seq.map_or(0, Seq::get),
    }
}

impl<F: Fold> Pass for Checking<F> {
    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        self.folding.take(record)?;
        if let Some(twin) = &mut self.twin {
            twin.take(record)?;
        }
        let key = match F::SCOPE {
            Scope::Run => (record.run, u64::from(record.revision)),
            Scope::Store => (None, record.seq.get()),
        };
        // Where events are compacted away, a state may stand at a snapshot behind this event.
        let stands_here = self.folding.standing(key.0).is_none_or(|standing| standing.seq == Some(record.seq));
        match self.expected.by_place.remove(&key).filter(|_| stands_here) {
            Some(points) => self.compare(key.0, key.1, &points),
            None => Ok(()),
        }
    }

    fn lose(&mut self, loss: &Loss) -> Result<()> {
        self.folding.lose(loss)?;
        self.twin.iter_mut().try_for_each(|twin| twin.lose(loss))
    }
}

/// Looks closer: folds the run twice, event by event, up to where the states differ.
fn explain<F: Fold>(reader: &Reader, divergence: &mut Divergence) -> Result<()> {
    let Place::Interval { after, until, fields } = &divergence.place else { return Ok(()) };
    let recorded = Recorded { digest: divergence.recorded, after: *after, until: *until };
    match locate::<F>(reader, divergence.run, &recorded)? {
        Located::Disagree { seq, revision, fields } => {
            divergence.cause = Cause::Nondeterminism;
            divergence.place = Place::Event { seq, revision, fields };
        }
        Located::Elsewhere if divergence.evidence != Evidence::States => divergence.cause = Cause::Order,
        Located::Only { seq, revision } => {
            // A single event lies in the interval.
            divergence.place = Place::Event { seq, revision, fields: fields.clone() };
        }
        Located::Elsewhere | Located::Nothing => {}
    }
    Ok(())
}
