//! A fold at work: states of many runs, from one pass over the log.

use crate::error::{Error, Result};
use crate::fold::ancestry::parent_of;
use crate::fold::bases::Bases;
use crate::fold::codec;
use crate::fold::event::Recorded;
use crate::fold::fold::{Fold, Scope};
use crate::fold::reading::{Reading, Readings, decode};
use crate::fold::state::{Missing, Standing};
use crate::{ErrorKind, Kind, Reader, Record, Seq};
use std::collections::BTreeMap;

/// Takes the events of a log, in order.
pub trait Pass {
    /// Takes the next event. Every event of the runs that matter must come, of whatever kind.
    ///
    /// # Errors
    /// What ends the whole pass; what concerns one run is kept with that run.
    fn take(&mut self, record: &Record<'_>) -> Result<()>;
}

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
    slots: BTreeMap<Option<Seq>, Slot<F>>,
}

/// A run's state in the making.
struct Slot<F: Fold> {
    standing: Standing<F>,
    /// The run that it may begin as.
    parent: Option<Seq>,
    /// The run that it did begin as.
    inherited: Option<Seq>,
    /// The first event that nobody can tell the meaning of.
    foreign: Option<Error>,
    failure: Option<Error>,
}

impl<F: Fold> Default for Slot<F> {
    fn default() -> Slot<F> {
        Slot::at(Standing::default())
    }
}

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
        Ok(Folding { readings: Readings::new()?, bases: None, slots: BTreeMap::new() })
    }

    /// A fold that has seen nothing, over a log of which events may have been compacted away: where it comes to such a
    /// place, it goes on from the first snapshot that makes up for them.
    ///
    /// # Errors
    /// As [`Folding::new`]; as reading.
    pub fn over(reader: &Reader) -> Result<Folding<F>> {
        Ok(Folding { bases: Bases::of(reader)?, ..Folding::new()? })
    }

    /// Goes on from a state: the events behind it must follow.
    pub fn start_at(&mut self, run: Option<Seq>, standing: Standing<F>) {
        self.slots.insert(run, Slot::at(standing));
    }

    /// Where a run stands, or the store for a fold over it (`None`); `None` where nothing of it has been seen.
    #[must_use]
    pub fn standing(&self, run: Option<Seq>) -> Option<&Standing<F>> {
        self.slots.get(&run).map(|slot| &slot.standing)
    }

    /// The state of one run that was asked for.
    ///
    /// # Errors
    /// `Incompatible`: T0501, T0504, T0506 for an event that can not be read or is of an unknown type.
    pub fn into_standing(mut self, run: Option<Seq>) -> Result<Standing<F>> {
        let slot = self.slots.remove(&run).unwrap_or_default();
        match slot.failure.or(slot.foreign) {
            Some(error) => Err(error),
            None => Ok(slot.standing),
        }
    }

    /// The states of all runs that have events of this fold, each a state or the error that ended it: runs do not
    /// influence each other.
    pub fn into_standings(self) -> impl Iterator<Item = (Option<Seq>, Result<Standing<F>>)> {
        let concerned = self.slots.into_iter().filter(|(_, slot)| slot.concerns());
        concerned.map(|(run, slot)| {
            let error = slot.failure.or(slot.foreign);
            (run, error.map_or(Ok(slot.standing), Err))
        })
    }

    /// Whether a run has events of this fold, and what ended it if something did.
    pub(crate) fn failure(&self, run: Option<Seq>) -> Option<&Error> {
        let slot = self.slots.get(&run).filter(|slot| slot.concerns())?;
        slot.failure.as_ref().or(slot.foreign.as_ref())
    }

    /// The run that a run began as, if it did.
    pub(crate) fn inherited(&self, run: Option<Seq>) -> Option<Seq> {
        self.slots.get(&run)?.inherited
    }

    /// The runs that have events of this fold.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Option<Seq>> {
        self.slots.iter().filter(|(_, slot)| slot.concerns()).map(|(run, _)| *run)
    }
}

impl<F: Fold> Slot<F> {
    fn at(standing: Standing<F>) -> Slot<F> {
        Slot { standing, parent: None, inherited: None, foreign: None, failure: None }
    }

    fn concerns(&self) -> bool {
        self.standing.events > 0 || self.failure.is_some()
    }

    /// How many events should have come before one and have not.
    fn lacks(&self, record: &Record<'_>) -> u64 {
        let standing = &self.standing;
        match F::SCOPE {
            Scope::Run => u64::from(record.revision.saturating_sub(standing.revision.saturating_add(1))),
            Scope::Store => {
                let due = standing.seq.map_or(1, |seq| seq.get() + 1);
                record.seq.get().saturating_sub(due)
            }
        }
    }

    /// Moves to an event, noting what should have come before it.
    fn move_to(&mut self, record: &Record<'_>) {
        let count = self.lacks(record);
        let standing = &mut self.standing;
        if count > 0 {
            standing.missing.push(Missing { after: standing.seq, before: record.seq, count });
        }
        standing.seq = Some(record.seq);
        standing.revision = if F::SCOPE == Scope::Run { record.revision } else { 0 };
    }
}

impl<F: Fold> Pass for Folding<F> {
    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        let key = match F::SCOPE {
            Scope::Run if record.run.is_none() => return Ok(()),
            Scope::Run => record.run,
            Scope::Store => None,
        };
        let slot = self.slots.entry(key).or_default();
        if slot.standing.seq.is_some_and(|seq| record.seq <= seq) {
            // The state was begun at a snapshot that stands behind this event.
            return Ok(());
        }
        if let Some(bases) = &self.bases
            && slot.lacks(record) > 0
            && let Some(base) = bases.before(key, slot.standing.seq, record)?
        {
            *slot = Slot::at(base);
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
        let reading = self.readings.of(record, entry);
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
                    F::apply(&mut slot.standing.state, &Recorded { seq, run, revision, time_ns, data });
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
                    None => events.for_each(|event| F::apply(&mut slot.standing.state, &event)),
                    Some(parent) => self.begin(record, parent, events)?,
                }
            }
        }
        Ok(())
    }
}

impl<F: Fold> Folding<F> {
    /// Takes a run's first events, behind the state of the run that it began as, if it did; what that one lacks, this one
    /// lacks as well.
    fn begin(
        &mut self,
        record: &Record<'_>,
        parent: Seq,
        events: impl Iterator<Item = Recorded<F::Event>>,
    ) -> Result<()> {
        let run = record.run;
        let mut events = events.peekable();
        let from = self.slots.get(&Some(parent));
        // The parent's events may have been compacted away, and its state begun behind the fork, or nowhere.
        let is_past = from.is_some_and(|from| from.standing.seq.is_some_and(|seq| seq > record.seq));
        let is_incomplete = from.is_some_and(|from| from.standing.is_incomplete());
        let begins =
            from.zip(events.peek()).is_some_and(|(from, first)| F::inherit(&from.standing.state, first).is_some());
        if begins
            && (is_past || is_incomplete)
            && let Some(bases) = &self.bases
            && let Some(base) = bases.at_or_behind(run, record.seq)?
        {
            self.slots.insert(run, Slot { inherited: Some(parent), ..Slot::at(base) });
            return Ok(());
        }
        let inherited = from.filter(|_| !is_past).zip(events.peek()).and_then(|(from, first)| {
            let state = F::inherit(&from.standing.state, first)?;
            Some((state, from.standing.missing.clone(), from.failure.clone()))
        });
        let Some(slot) = self.slots.get_mut(&run) else { return Ok(()) };
        if begins && is_past {
            // What the parent was when it was forked, nothing tells any more.
            slot.standing.missing.push(Missing { after: None, before: record.seq, count: 1 });
            slot.inherited = Some(parent);
        }
        if let Some((state, missing, failure)) = inherited {
            slot.inherited = Some(parent);
            slot.standing.state = state;
            slot.standing.missing.extend(missing);
            slot.failure = slot.failure.take().or(failure);
        }
        events.for_each(|event| F::apply(&mut slot.standing.state, &event));
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
