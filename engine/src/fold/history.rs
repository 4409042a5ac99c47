//! How a state came to be: differences with their causes, blame, bisection.

use crate::error::{Error, Result};
use crate::fold::fold::Fold;
use crate::fold::folding::{Folding, Pass};
use crate::fold::load::Start;
use crate::fold::state::{Standing, state_json};
use crate::fold::state_difference::{FieldChange, is_start, state_differences, value_at};
use crate::{ErrorKind, Query, Reader, Seq};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The event behind a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseEvent {
    /// Its seq.
    pub seq: Seq,
    /// Its run.
    pub run: Option<Seq>,
    /// Its revision.
    pub revision: u32,
    /// Its clock, in nanoseconds since 1970.
    pub time_ns: i64,
    /// Its type.
    pub type_name: String,
}

/// A change of a field, and the event that made it.
#[derive(Clone, Debug, PartialEq)]
pub struct CausedChange {
    /// The change.
    pub change: FieldChange,
    /// The last event that touched the field; `None` where no event between the two positions did.
    pub cause: Option<CauseEvent>,
}

/// What a bisection is told about a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Nobody can tell.
    Skip,
}

/// What a bisection found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bisection {
    /// The first event after which the state is bad.
    pub first_bad: CauseEvent,
    /// Events that could not be judged and lie directly before it: one of them may be the first bad one.
    pub skipped: Vec<Seq>,
    /// How many states were judged.
    pub probes: u32,
}

/// The past of one state: of a run, or of the store.
#[derive(Debug)]
pub struct History<'r, F: Fold> {
    reader: &'r Reader,
    run: Option<Seq>,
    _fold: std::marker::PhantomData<F>,
}

impl<'r, F: Fold> History<'r, F> {
    /// The past of a run (`None`: of the store).
    #[must_use]
    pub fn of(reader: &'r Reader, run: Option<Seq>) -> History<'r, F> {
        History { reader, run, _fold: std::marker::PhantomData }
    }

    /// Gives each event of the fold behind `from` and up to `to`, with the states before and after it. The state at `from`
    /// comes from the newest snapshot before it. Returns the two ends.
    fn walk(
        &self,
        from: Option<Seq>,
        to: Seq,
        mut step: impl FnMut(CauseEvent, &Standing<F>, &Standing<F>),
    ) -> Result<(Standing<F>, Standing<F>)> {
        let start = match from {
            Some(from) => self.reader.state::<F>(self.run, Some(from.next()), Start::Snapshot)?.standing,
            None => Standing::default(),
        };
        let mut folding = Folding::<F>::new()?;
        folding.start_at(self.run, start.clone());
        let mut before = start.clone();
        let mut query = Query::all().until(to.next());
        query = from.map(Seq::next).or(self.run).map_or(query.clone(), |seq| query.from(seq));
        query = self.run.map_or(query.clone(), |run| query.run(run));
        let mut events = self.reader.events(query)?;
        while let Some(record) = events.next()? {
            folding.take(&record)?;
            let Some(after) = folding.standing(self.run) else { continue };
            if after.events > before.events {
                let (seq, run, revision, time_ns) = (record.seq, record.run, record.revision, record.time_ns);
                step(CauseEvent { seq, run, revision, time_ns, type_name: record.type_name() }, &before, after);
                before = after.clone();
            }
        }
        Ok((start, folding.into_standing(self.run)?))
    }

    /// What changed from the state after `from` (`None`: the empty state) to the state after `to`, each field with the last
    /// event that touched it; and how many events of the fold lie between.
    ///
    /// # Errors
    /// As [`Reader::state`].
    pub fn difference(&self, from: Option<Seq>, to: Seq) -> Result<(Vec<CausedChange>, u64)> {
        let mut touched: Vec<(String, CauseEvent)> = Vec::new();
        let (old, new) = self.walk(from, to, |event, before, after| {
            for change in state_differences(&state_json(&before.state), &state_json(&after.state)) {
                touched.push((change.path, event.clone()));
            }
        })?;
        let changes = state_differences(&state_json(&old.state), &state_json(&new.state)).into_iter().map(|change| {
            let concerns = |path: &str| is_start(path, &change.path) || is_start(&change.path, path);
            let cause = touched.iter().rev().find(|(path, _)| concerns(path)).map(|(_, event)| event.clone());
            CausedChange { change, cause }
        });
        Ok((changes.collect(), new.events - old.events))
    }

    /// Every change of the value at a path, up to the state after `to`, in order.
    ///
    /// # Errors
    /// As [`Reader::state`].
    pub fn blame(&self, path: &str, to: Seq) -> Result<Vec<CausedChange>> {
        let mut changes = Vec::new();
        self.walk(None, to, |event, before, after| {
            let (before, after) = (state_json(&before.state), state_json(&after.state));
            let (old, new) = (value_at(&before, path), value_at(&after, path));
            if old != new {
                let change = FieldChange { path: path.to_owned(), old: old.cloned(), new: new.cloned() };
                changes.push(CausedChange { change, cause: Some(event) });
            }
        })?;
        Ok(changes)
    }

    /// The first event behind `from` and up to `to` after which `judge` calls the state bad, in O(log n) judgements. The
    /// log is read once; states are kept at up to [`KEPT_STATES`] places, and a probe folds from the nearest one.
    ///
    /// # Errors
    /// `Invalid` (T0515) where there is no event in between, the first state is bad, or the last one is not; what `judge`
    /// returns; as [`Reader::state`].
    pub fn bisect<E: From<Error>>(
        &self,
        from: Option<Seq>,
        to: Seq,
        mut judge: impl FnMut(&F::State, &Value) -> std::result::Result<Judgement, E>,
    ) -> std::result::Result<Bisection, E> {
        let mut timeline = Timeline::<F>::default();
        let (start, _) = self.walk(from, to, |event, _, after| timeline.push(event, after))?;
        let refused =
            |why: &str| Err(Error::new(ErrorKind::Invalid, "T0515", format!("nothing to bisect: {why}")).into());
        let mut probes = 0;
        let mut judge_state = |state: &F::State| {
            probes += 1;
            judge(state, &state_json(state))
        };
        let Some(last) = timeline.events.len().checked_sub(1) else { return refused("no event lies in between") };
        if judge_state(&start.state)? == Judgement::Bad {
            return refused("the first state is bad already");
        }
        if judge_state(&self.state_after(&start, &timeline, last)?)? != Judgement::Bad {
            return refused("the last state is not bad");
        }
        // Good, or the start, below `low`; bad at `high`; skipped ones are in the set.
        let (mut low, mut high) = (0, last);
        let mut skipped: BTreeSet<usize> = BTreeSet::new();
        while let Some(probe) = next_probe(low, high, &skipped) {
            match judge_state(&self.state_after(&start, &timeline, probe)?)? {
                Judgement::Good => low = probe + 1,
                Judgement::Bad => high = probe,
                Judgement::Skip => {
                    skipped.insert(probe);
                }
            }
        }
        let skipped = (low..high).map(|place| timeline.events[place].seq).collect();
        Ok(Bisection { first_bad: timeline.events[high].clone(), skipped, probes })
    }

    /// The state after an event, folded from the nearest state that was kept.
    fn state_after(&self, start: &Standing<F>, timeline: &Timeline<F>, place: usize) -> Result<F::State> {
        let kept = timeline.kept.range(..=place).next_back();
        if let Some((exact, standing)) = kept
            && *exact == place
        {
            return Ok(standing.state.clone());
        }
        let nearest = kept.map_or(start, |(_, standing)| standing);
        let mut folding = Folding::<F>::new()?;
        folding.start_at(self.run, nearest.clone());
        let first = nearest.seq.map(Seq::next).or(self.run).unwrap_or(Seq::FIRST);
        let mut query = Query::all().from(first).until(timeline.events[place].seq.next());
        query = self.run.map_or(query.clone(), |run| query.run(run));
        let mut events = self.reader.events(query)?;
        while let Some(record) = events.next()? {
            folding.take(&record)?;
        }
        Ok(folding.into_standing(self.run)?.state)
    }
}

/// The middle of what is not judged yet; `None` where nothing is left.
fn next_probe(low: usize, high: usize, skipped: &BTreeSet<usize>) -> Option<usize> {
    let middle = low + (high - low) / 2;
    let is_open = |place: &usize| !skipped.contains(place);
    (middle..high).find(is_open).or_else(|| (low..middle).rev().find(is_open))
}

/// States kept in memory for a bisection.
pub const KEPT_STATES: usize = 64;

/// The events of a stretch of the log, and states every so many of them.
struct Timeline<F: Fold> {
    events: Vec<CauseEvent>,
    kept: BTreeMap<usize, Standing<F>>,
    stride: usize,
}

impl<F: Fold> Default for Timeline<F> {
    fn default() -> Timeline<F> {
        Timeline { events: Vec::new(), kept: BTreeMap::new(), stride: 1 }
    }
}

impl<F: Fold> Timeline<F> {
    fn push(&mut self, event: CauseEvent, after: &Standing<F>) {
        let place = self.events.len();
        self.events.push(event);
        if place.is_multiple_of(self.stride) {
            self.kept.insert(place, after.clone());
        }
        if self.kept.len() > KEPT_STATES {
            self.stride *= 2;
            let stride = self.stride;
            self.kept.retain(|place, _| place.is_multiple_of(stride));
        }
    }
}
