//! How a state came to be: differences with their causes, blame, bisection.

use crate::error::{Error, Result};
use crate::fold::fold::Fold;
use crate::fold::folding::Folding;
use crate::fold::load::Start;
use crate::fold::pass::{Losses, Pass};
use crate::fold::select::select;
use crate::fold::state::{Standing, state_json};
use crate::fold::state_difference::{FieldChange, differences_by_keys};
use crate::fold::watch::Watch;
use crate::{ErrorKind, EventOrLoss, GapReason, Query, Reader, Record, Seq};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;

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

impl CauseEvent {
    fn of(record: &Record<'_>) -> CauseEvent {
        let (seq, run, revision, time_ns) = (record.seq, record.run, record.revision, record.time_ns);
        CauseEvent { seq, run, revision, time_ns, type_name: record.type_name() }
    }
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
    losses: RefCell<Losses>,
    /// The log with what compactions have moved to archives, once it was asked for.
    whole: RefCell<Option<Reader>>,
    _fold: std::marker::PhantomData<F>,
}

impl<'r, F: Fold> History<'r, F> {
    /// The past of a run (`None`: of the store).
    #[must_use]
    pub fn of(reader: &'r Reader, run: Option<Seq>) -> History<'r, F> {
        History { reader, run, losses: RefCell::default(), whole: RefCell::default(), _fold: std::marker::PhantomData }
    }

    /// What could not be read on the last way through the log, and may be of this run: causes may be missing.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.losses.borrow().clone()
    }

    /// Who asks what each event did needs the events themselves: also those that were compacted away, where they are kept.
    fn whole(&self) -> Result<Reader> {
        if let Some(whole) = &*self.whole.borrow() {
            return Ok(whole.clone());
        }
        let is_compacted = self.reader.known_gaps()?.iter().any(|gap| gap.reason == GapReason::Compacted);
        let archived = if is_compacted { self.reader.with_archives()? } else { None };
        let whole = archived.unwrap_or_else(|| self.reader.clone());
        self.whole.replace(Some(whole.clone()));
        Ok(whole)
    }

    /// The state after an event (`None`: the empty one), from the newest snapshot before it.
    fn at(&self, seq: Option<Seq>) -> Result<Standing<F>> {
        match seq {
            Some(seq) => Ok(self.reader.state::<F>(self.run, Some(seq.next()), Start::Snapshot)?.standing),
            None => Ok(Standing::default()),
        }
    }

    /// Folds on from a state to the one after `to`, which it returns, and gives each event of the fold with the state
    /// behind it.
    fn walk(
        &self,
        start: Standing<F>,
        to: Seq,
        mut step: impl FnMut(&Record<'_>, &Standing<F>),
    ) -> Result<Standing<F>> {
        let reader = self.whole()?;
        let mut folding = Folding::<F>::new()?;
        let mut applied = start.events;
        // A run's first event may need the events of the run that it began as.
        let mut query = match (start.seq, self.run) {
            (Some(seq), Some(run)) if start.events > 0 => Query::all().run(run).from(seq.next()),
            (Some(seq), None) => Query::all().from(seq.next()),
            _ => reader.events_of_fold::<F>(self.run)?,
        };
        if applied > 0 || self.run.is_none() {
            folding.start_at(self.run, start);
        }
        query.until = Some(to.next());
        let mut events = reader.events(query)?;
        let mut losses = Losses::default();
        while let Some(next) = events.next_or_loss()? {
            let record = match next {
                EventOrLoss::Event(record) => record,
                EventOrLoss::Loss(loss) => {
                    folding.lose(&loss)?;
                    losses.lose(&loss)?;
                    continue;
                }
            };
            folding.take(&record)?;
            let Some(after) = folding.standing(self.run).filter(|after| after.events > applied) else { continue };
            applied = after.events;
            step(&record, after);
        }
        self.losses.replace(losses);
        let standing = folding.into_standing(self.run)?;
        // What a compaction took away has no cause to be named.
        reader.compacted_away(&standing)?.map_or(Ok(standing), Err)
    }

    /// What changed from the state after `from` (`None`: the empty state) to the state after `to`, each field with the last
    /// event that touched it; and how many events of the fold lie between. The log is read twice: once for what changed,
    /// once for the causes.
    ///
    /// # Errors
    /// As [`Reader::state`].
    pub fn difference(&self, from: Option<Seq>, to: Seq) -> Result<(Vec<CausedChange>, u64)> {
        let start = self.at(from)?;
        let before = start.events;
        let old = state_json(&start.state);
        let end = self.walk(start.clone(), to, |_, _| {})?;
        let changes = differences_by_keys(&old, &state_json(&end.state));
        let (places, changes): (Vec<Vec<String>>, Vec<FieldChange>) = changes.into_iter().unzip();
        let mut watch = Watch::new(&places, &start.state);
        let mut causes: Vec<Option<CauseEvent>> = vec![None; changes.len()];
        if !changes.is_empty() {
            self.walk(start, to, |record, after| {
                for place in watch.changed(&after.state) {
                    causes[*place] = Some(CauseEvent::of(record));
                }
            })?;
        }
        let changes = changes.into_iter().zip(causes).map(|(change, cause)| CausedChange { change, cause });
        Ok((changes.collect(), end.events - before))
    }

    /// Every change of the value at a path, up to the state after `to`, in order.
    ///
    /// # Errors
    /// As [`Reader::state`].
    pub fn blame(&self, path: &str, to: Seq) -> Result<Vec<CausedChange>> {
        let mut changes = Vec::new();
        let start = Standing::default();
        let mut old = select(&start.state, path);
        self.walk(start, to, |record, after| {
            let new = select(&after.state, path);
            if old != new {
                let old = std::mem::replace(&mut old, new.clone());
                let change = FieldChange { path: path.to_owned(), old, new };
                changes.push(CausedChange { change, cause: Some(CauseEvent::of(record)) });
            }
        })?;
        Ok(changes)
    }

    /// The first event behind `from` and up to `to` after which `judge` calls the state bad, in O(log n) judgements. The
    /// log is read twice at most: each probe folds on from the last state that was good, and no other is kept.
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
        let refused =
            |why: &str| Err(Error::new(ErrorKind::Invalid, "T0515", format!("nothing to bisect: {why}")).into());
        let mut probes = 0;
        let mut judge_state = |state: &F::State| {
            probes += 1;
            judge(state, &state_json(state))
        };
        let mut good = self.at(from)?;
        let mut seqs = Vec::new();
        let end = self.walk(good.clone(), to, |record, _| seqs.push(record.seq))?;
        let Some(last) = seqs.len().checked_sub(1) else { return refused("no event lies in between") };
        if judge_state(&good.state)? == Judgement::Bad {
            return refused("the first state is bad already");
        }
        match judge_state(&end.state)? {
            Judgement::Bad => {}
            Judgement::Good => return refused("the last state is not bad"),
            Judgement::Skip => return refused("the last state can not be judged"),
        }
        // Good below `low`, where `good` stands or skipped ones follow it; bad at `high`; skipped ones are in the set.
        let (mut low, mut high) = (0, last);
        let mut skipped: BTreeSet<usize> = BTreeSet::new();
        while let Some(probe) = next_probe(low, high, &skipped) {
            let standing = self.walk(good.clone(), seqs[probe], |_, _| {})?;
            match judge_state(&standing.state)? {
                Judgement::Good => (low, good) = (probe + 1, standing),
                Judgement::Bad => high = probe,
                Judgement::Skip => {
                    skipped.insert(probe);
                }
            }
        }
        let skipped = seqs[low..high].to_vec();
        let first_bad = self.whole()?.get(seqs[high])?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "T0515", "nothing to bisect: the event is not there any more")
        })?;
        Ok(Bisection { first_bad: CauseEvent::of(&first_bad), skipped, probes })
    }
}

/// The middle of what is not judged yet; `None` where nothing is left.
fn next_probe(low: usize, high: usize, skipped: &BTreeSet<usize>) -> Option<usize> {
    let middle = low + (high - low) / 2;
    let is_open = |place: &usize| !skipped.contains(place);
    (middle..high).find(is_open).or_else(|| (low..middle).rev().find(is_open))
}
