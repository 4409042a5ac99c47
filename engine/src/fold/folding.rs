//! A fold at work: states of many runs, from one pass over the log.

use crate::error::{Error, Result};
use crate::fold::ancestry::parent_of;
use crate::fold::bases::{Bases, is_compacted};
use crate::fold::codec;
use crate::fold::event::Recorded;
use crate::fold::fold::{Fold, Inherited, Scope};
use crate::fold::load::FromSnapshot;
use crate::fold::pass::Pass;
use crate::fold::reading::{Reading, Readings, decode};
use crate::fold::slot::Slot;
use crate::fold::slots::Slots;
use crate::fold::state::{Missing, Standing};
use crate::{ErrorKind, GapRange, Kind, Loss, Reader, Record, Seq, SeqRange};
use std::collections::BTreeMap;

/// One fold over the runs of a log.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use std::sync::Arc;
/// # use taffrail::{Event, Expect, Fold, Folding, Journal, Reader, Recorded, Replay, storage::Memory};
/// # #[derive(Serialize, Deserialize)] struct Tick(u32);
/// # impl Event for Tick { const TYPE: &'static str = "acme.tick"; const VERSION: u16 = 1; }
/// # struct Sum;
/// # impl Fold for Sum {
/// #     const NAME: &'static str = "acme.sum"; const VERSION: u32 = 1; type Event = Tick; type State = u32;
/// #     fn apply(sum: &mut u32, tick: &Recorded<Tick>) { *sum += tick.data.0; }
/// # }
/// # struct Count;
/// # impl Fold for Count {
/// #     const NAME: &'static str = "acme.count"; const VERSION: u32 = 1; type Event = Tick; type State = u32;
/// #     fn apply(count: &mut u32, _: &Recorded<Tick>) { *count += 1; }
/// # }
/// # let storage = Arc::new(Memory::new());
/// # let journal = Journal::options().create(true).open_on(storage.clone())?;
/// # journal.run_or_create("a")?.append(Expect::Any, &[Tick(4), Tick(5)])?;
/// let reader = Reader::open_on(storage)?;
/// let (mut sums, mut counts) = (Folding::<Sum>::new()?, Folding::<Count>::new()?);
/// Replay::of(&reader).go(&mut [&mut sums, &mut counts])?;
/// for (run, standing) in sums.into_standings() {
///     assert_eq!(standing?.state, 9, "of run {run:?}");
/// }
/// # Ok::<(), taffrail::Error>(())
/// ```
pub struct Folding<F: Fold> {
    readings: Readings<F>,
    bases: Option<Bases<F>>,
    slots: Slots<F>,
    /// What was lost of runs that nobody knows, ascending.
    lost: Vec<Loss>,
}

/// Most losses that are kept apart; what comes behind counts as one with the last.
const MOST_LOST: usize = 4096;

impl<F: Fold> std::fmt::Debug for Folding<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let standings = self.slots.iter().map(|(run, slot)| (run, &slot.standing));
        formatter.debug_map().entries(standings).finish()
    }
}

impl<F: Fold> Folding<F> {
    /// A fold that has seen nothing.
    ///
    /// # Errors
    /// `Invalid` (T0505) where the event type's schema can not be traced.
    pub fn new() -> Result<Folding<F>> {
        Ok(Folding { readings: Readings::new()?, bases: None, slots: Slots::default(), lost: Vec::new() })
    }

    /// A fold that has seen nothing, over a log of which events may have been compacted away: where it comes to such a
    /// place, it goes on from the first snapshot that makes up for them.
    ///
    /// # Errors
    /// As [`Folding::new`]; as reading.
    pub fn over(reader: &Reader) -> Result<Folding<F>> {
        Folding::over_until(reader, None)
    }

    /// The same, for the events before `until` alone: a snapshot behind them is of no use.
    ///
    /// # Errors
    /// As [`Folding::over`].
    pub fn over_until(reader: &Reader, until: Option<Seq>) -> Result<Folding<F>> {
        Ok(Folding { bases: Bases::of(reader, until)?, ..Folding::new()? })
    }

    /// Goes on from a state: the events behind it must follow.
    pub fn start_at(&mut self, run: Option<Seq>, standing: Standing<F>) {
        self.slots.insert(run, Slot::at(standing));
    }

    /// Where a run stands, or the store for a fold over it (`None`); `None` where nothing of it has been seen.
    #[must_use]
    pub fn standing(&self, run: Option<Seq>) -> Option<&Standing<F>> {
        self.slots.get(run).map(|slot| &slot.standing)
    }

    /// The state of one run that was asked for.
    ///
    /// # Errors
    /// `Incompatible`: T0501, T0504, T0506 for an event that can not be read or is of an unknown type.
    pub fn into_standing(mut self, run: Option<Seq>) -> Result<Standing<F>> {
        let doubt = self.doubt(run);
        let mut slot = std::mem::take(self.slots.of(run));
        slot.standing.doubt = doubt;
        match slot.failure.or(slot.foreign) {
            Some(error) => Err(error),
            None => Ok(slot.standing),
        }
    }

    /// The state of one run as far as it was folded, whatever ended it there.
    pub(crate) fn into_partial(mut self, run: Option<Seq>) -> Option<Standing<F>> {
        self.slots.get(run)?;
        Some(std::mem::take(&mut self.slots.of(run).standing))
    }

    /// The states of all runs that have events of this fold, each a state or the error that ended it: runs do not
    /// influence each other.
    pub fn into_standings(self) -> impl Iterator<Item = (Option<Seq>, Result<Standing<F>>)> {
        let doubts: Vec<Option<SeqRange>> = self.slots.iter().map(|(run, _)| self.doubt(run)).collect();
        let concerned = self.slots.into_all().zip(doubts).filter(|((_, slot), _)| slot.concerns());
        concerned.map(|((run, mut slot), doubt)| {
            slot.standing.doubt = doubt;
            let error = slot.failure.or(slot.foreign);
            (run, error.map_or(Ok(slot.standing), Err))
        })
    }

    /// What was lost behind the last event that was read of a run, and may be of it. (What was lost before that event is proven
    /// by the event's revision, to be of it or not.)
    pub(crate) fn doubt(&self, run: Option<Seq>) -> Option<SeqRange> {
        let run = run?;
        let read = self.slots.get(Some(run)).and_then(|slot| slot.standing.seq).map_or(0, Seq::get);
        let behind = self.lost.partition_point(|loss| loss.seqs.is_none_or(|lost| lost.last <= read));
        let mut may = self.lost[behind..].iter().filter(|loss| loss.may_be_of(run)).filter_map(|loss| loss.seqs);
        let first = may.next()?;
        Some(SeqRange { first: first.first, last: may.next_back().unwrap_or(first).last })
    }

    /// The runs whose states lack something, or were ended by it. What was compacted away is left out: a snapshot that makes
    /// up for that has been found on the way, if there is one.
    pub(crate) fn lacking(&self, absences: &[GapRange]) -> Vec<Option<Seq>> {
        let lacks = |run: Option<Seq>, slot: &Slot<F>| {
            let has_failed = slot.failure.is_some() || slot.foreign.is_some();
            let is_missing = slot.standing.missing.iter().any(|missing| !is_compacted(absences, missing));
            has_failed || is_missing || self.doubt(run).is_some()
        };
        let lacking = self.slots.iter().filter(|(run, slot)| slot.concerns() && lacks(*run, slot));
        lacking.map(|(run, _)| run).collect()
    }

    /// Whether a run has events of this fold, and what ended it if something did.
    pub(crate) fn failure(&self, run: Option<Seq>) -> Option<&Error> {
        let slot = self.slots.get(run).filter(|slot| slot.concerns())?;
        slot.failure.as_ref().or(slot.foreign.as_ref())
    }

    /// The snapshot that a run's state began at, because the log lacks events of the run.
    pub(crate) fn begun(&self, run: Option<Seq>) -> Option<FromSnapshot> {
        self.slots.get(run)?.begun
    }

    /// The runs whose states began at snapshots, because the log lacks events of them.
    pub(crate) fn all_begun(&self) -> BTreeMap<Option<Seq>, FromSnapshot> {
        self.slots.iter().filter_map(|(run, slot)| Some((run, slot.begun?))).collect()
    }

    /// Goes on from a snapshot's state, because the log lacks events.
    pub(crate) fn begin_at(&mut self, run: Option<Seq>, standing: Standing<F>, begun: FromSnapshot) {
        self.slots.insert(run, Slot { begun: Some(begun), ..Slot::at(standing) });
    }

    /// The run that a run began as, if it did.
    pub(crate) fn inherited(&self, run: Option<Seq>) -> Option<Seq> {
        self.slots.get(run)?.inherited
    }

    /// The runs that have events of this fold.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Option<Seq>> {
        self.slots.iter().filter(|(_, slot)| slot.concerns()).map(|(run, _)| run)
    }
}

impl<F: Fold> Pass for Folding<F> {
    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        self.take_telling(record, &mut |_, _| {})
    }

    fn lose(&mut self, loss: &Loss) -> Result<()> {
        let Some(lost) = loss.seqs else { return Ok(()) };
        let matters = self.matters(loss);
        let header = loss.header.as_ref();
        match (F::SCOPE, header.map(|header| header.run)) {
            (Scope::Store, _) => self.slots.of(None).lose(lost, header, matters),
            (Scope::Run, Some(None)) => {}
            (Scope::Run, Some(run)) => self.slots.of(run).lose(lost, header, matters),
            (Scope::Run, None) if self.lost.len() < MOST_LOST => self.lost.push(loss.clone()),
            (Scope::Run, None) => {
                if let Some(last) = self.lost.last_mut() {
                    last.runs = None;
                    last.seqs = last.seqs.map(|range| SeqRange { last: lost.last, ..range });
                }
            }
        }
        Ok(())
    }
}

impl<F: Fold> Folding<F> {
    /// Takes the next event, and tells of each one that the state has taken: with the state that it came to.
    ///
    /// # Errors
    /// As [`Pass::take`].
    pub(crate) fn take_telling(
        &mut self,
        record: &Record<'_>,
        told: &mut impl FnMut(&F::State, &Recorded<F::Event>),
    ) -> Result<()> {
        let key = match F::SCOPE {
            Scope::Run if record.run.is_none() => return Ok(()),
            Scope::Run => record.run,
            Scope::Store => None,
        };
        let slot = self.slots.of(key);
        if slot.standing.seq.is_some_and(|seq| record.seq <= seq) {
            // The state was begun at a snapshot that stands behind this event.
            return Ok(());
        }
        if let Some(bases) = &self.bases {
            slot.begin_before(bases, key, record)?;
            if slot.standing.seq.is_some_and(|seq| record.seq <= seq) {
                return Ok(());
            }
        }
        slot.move_to(record);
        if F::INHERITS && record.kind == Kind::RUN_OPENED {
            slot.parent = parent_of(record);
        }
        if slot.failure.is_some() || record.hint || record.kind.reserved_name().is_some() {
            return Ok(());
        }
        let Some(entry) = &record.entry else {
            slot.failure = Some(unknown(record));
            return Ok(());
        };
        let reading = self.readings.of(record.kind, entry);
        match reading {
            Reading::Current | Reading::Older(_) => {}
            Reading::Ignored => return Ok(()),
            Reading::Foreign => {
                slot.foreign.get_or_insert_with(|| unknown(record));
                return Ok(());
            }
            Reading::Unreadable(error) => {
                slot.failure = Some(error.clone().seq(record.seq.get()));
                return Ok(());
            }
        }
        let (seq, run, revision, time_ns) = (record.seq, record.run, record.revision, record.time_ns);
        if let (Reading::Current, None) = (reading, slot.parent) {
            // Nearly every event: it is not moved about on its way, since events of some types are large.
            match codec::decode_event(&record.payload) {
                Ok(data) => {
                    slot.standing.events += 1;
                    let event = Recorded { seq, run, revision, time_ns, data };
                    F::apply(&mut slot.standing.state, &event);
                    told(&slot.standing.state, &event);
                }
                // A redaction has left what no type reads: the state goes on as if the event had changed nothing.
                Err(_) if record.redacted => {}
                Err(why) => slot.failure = Some(located(codec::undecodable(entry, &why), record)),
            }
            return Ok(());
        }
        match decode(reading, entry, &record.payload) {
            Err(_) if record.redacted => {}
            Err(error) => {
                slot.failure = Some(located(error, record));
            }
            Ok(events) => {
                slot.standing.events += 1;
                let events = events.into_iter().map(|data| Recorded { seq, run, revision, time_ns, data });
                match slot.parent.take() {
                    None => slot.apply(events, told),
                    Some(parent) => self.begin(record, parent, events, told)?,
                }
            }
        }
        Ok(())
    }

    /// The events of a record, as far as this fold can read them; no state takes them.
    pub(crate) fn events_of(&mut self, record: &Record<'_>) -> impl Iterator<Item = F::Event> {
        let entry = record.entry.as_ref().filter(|_| !record.hint && record.kind.reserved_name().is_none());
        let decoded = entry.and_then(|entry| decode(self.readings.of(record.kind, entry), entry, &record.payload).ok());
        decoded.into_iter().flatten()
    }

    /// Whether an event of such a header would have changed a state, as far as that can be told.
    fn matters(&mut self, loss: &Loss) -> bool {
        let Some(header) = &loss.header else { return true };
        if header.flags.hint || header.kind.reserved_name().is_some() {
            return F::INHERITS && header.kind == Kind::RUN_OPENED;
        }
        let reading = loss.entry.as_ref().map(|entry| self.readings.of(header.kind, entry));
        !matches!(reading, Some(Reading::Ignored))
    }

    /// Takes a run's first events, behind the state of the run that it began as, if it did; what that one lacks, this one
    /// lacks as well.
    fn begin(
        &mut self,
        record: &Record<'_>,
        parent: Seq,
        events: impl Iterator<Item = Recorded<F::Event>>,
        told: &mut impl FnMut(&F::State, &Recorded<F::Event>),
    ) -> Result<()> {
        let run = record.run;
        let mut events = events.peekable();
        let from = self.slots.get(Some(parent));
        let nothing = F::State::default();
        let state = from.map_or(&nothing, |from| &from.standing.state);
        let inherited = events.peek().map_or(Inherited::Nothing, |first| F::inherit(state, first));
        // The parent's events may have been compacted away, and its state begun behind the fork, or nowhere: then it may not
        // know the event that was forked at.
        let is_past = from.is_some_and(|from| from.standing.seq.is_some_and(|seq| seq > record.seq));
        let is_incomplete = from.is_none_or(|from| from.standing.is_incomplete() || from.standing.events == 0);
        let is_whole = !is_incomplete && matches!(inherited, Inherited::State(_)) && !is_past;
        let is_fork = inherited != Inherited::Nothing;
        if is_fork
            && !is_whole
            && let Some(bases) = &self.bases
            && let Some(base) = bases.at_or_behind(run, record.seq)?
        {
            let begun = Some(bases.snapshot_of(&base, &[]));
            self.slots.insert(run, Slot { inherited: Some(parent), begun, ..Slot::at(base) });
            return Ok(());
        }
        // The state that the run begins with, what that lacks, and what has ended it. What the parent was when it was forked,
        // nothing tells where its state stands behind that, or before the event that was forked at.
        let behind = from.and_then(|from| from.standing.seq).filter(|seq| *seq < record.seq);
        let is_unknown = inherited == Inherited::Unknown || is_past;
        let mut missing = from.map(|from| from.standing.missing.clone()).unwrap_or_default();
        if is_unknown && (is_past || missing.is_empty()) {
            missing = vec![Missing { after: behind, before: record.seq, count: 1 }];
        }
        let failure = from.filter(|_| !is_unknown).and_then(|from| from.failure.clone());
        let slot = self.slots.of(run);
        if is_fork {
            slot.inherited = Some(parent);
            slot.standing.missing.extend(missing);
            slot.failure = slot.failure.take().or(failure);
        }
        if let Inherited::State(state) = inherited
            && !is_unknown
        {
            slot.standing.state = state;
        }
        slot.apply(events, told);
        Ok(())
    }
}

fn located(error: Error, record: &Record<'_>) -> Error {
    error.segment(record.segment).offset(record.offset).seq(record.seq.get())
}

fn unknown(record: &Record<'_>) -> Error {
    let message =
        format!("event {} is of an unknown type, and no hint: nobody can tell what it changed", record.type_name());
    located(Error::new(ErrorKind::Incompatible, "T0504", message), record)
        .hint("use a build that knows the type; a fold that it does not concern can say so in Fold::ignores")
}
