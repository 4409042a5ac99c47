//! A run's state, held and kept up with: for programs that decide and append in turn.

use crate::error::Result;
use crate::fold::checkpoint::{CHECKPOINT_EVERY_EVENTS, append_checkpoint};
use crate::fold::codec;
use crate::fold::event::{Event, Recorded};
use crate::fold::fold::{Decide, Fold};
use crate::fold::folding::Folding;
use crate::fold::load::Start;
use crate::fold::registry::registered;
use crate::fold::replay::Replay;
use crate::fold::run_api::complete;
use crate::fold::state::{Standing, StateDigest};
use crate::{Appended, Batch, ErrorKind, Expect, Run, Seq};

/// A run and its state. Whoever holds a state records a checkpoint about every [`CHECKPOINT_EVERY_EVENTS`] events of the run.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use std::sync::Arc;
/// # use taffrail::{Event, Fold, Decide, Journal, Recorded, Rejection, storage::Memory};
/// # #[derive(Serialize, Deserialize)] struct Paid(u32);
/// # impl Event for Paid { const TYPE: &'static str = "acme.paid"; const VERSION: u16 = 1; }
/// # struct Budget;
/// # impl Fold for Budget {
/// #     const NAME: &'static str = "acme.budget"; const VERSION: u32 = 1; type Event = Paid; type State = u32;
/// #     fn apply(spent: &mut u32, paid: &Recorded<Paid>) { *spent += paid.data.0; }
/// # }
/// impl Decide for Budget {
///     type Command = u32;
///     fn decide(spent: &u32, amount: u32) -> Result<Vec<Paid>, Rejection> {
///         if spent + amount > 100 { Err(Rejection::new("over the budget")) } else { Ok(vec![Paid(amount)]) }
///     }
/// }
/// # let journal = Journal::options().create(true).open_on(Arc::new(Memory::new()))?;
/// let run = journal.run_or_create("july")?;
/// let mut budget = run.hold::<Budget>()?;
/// budget.decide(70)?;
/// assert!(budget.decide(40).is_err());
/// assert_eq!(*budget.state(), 70);
/// # Ok::<(), taffrail::Error>(())
/// ```
#[derive(Debug)]
pub struct Held<'a, F: Fold> {
    run: Run<'a>,
    standing: Standing<F>,
    checkpoint_at: u32,
}

impl<'a> Run<'a> {
    /// Folds the run's state, and holds on to it.
    ///
    /// # Errors
    /// As [`Run::state`].
    pub fn hold<F: Fold>(&self) -> Result<Held<'a, F>> {
        let standing = self.standing::<F>(Start::Snapshot)?.standing;
        complete(&standing)?;
        Ok(Held { run: self.clone(), checkpoint_at: standing.revision, standing })
    }
}

impl<F: Fold> Held<'_, F> {
    /// The state, as of the last append or refresh.
    #[must_use]
    pub fn state(&self) -> &F::State {
        &self.standing.state
    }

    /// The run's revision at which the state stands.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.standing.revision
    }

    /// Reads what others have appended.
    ///
    /// # Errors
    /// As [`Run::state`].
    pub fn refresh(&mut self) -> Result<()> {
        let reader = self.run.journal().reader()?;
        let number = self.run.number();
        let mut folding = Folding::<F>::new()?;
        folding.start_at(Some(number), self.standing.clone());
        let next = self.standing.seq.map_or(number, crate::Seq::next);
        Replay::of(&reader).run(number).from(next).go(&mut [&mut folding])?;
        let standing = folding.into_standing(Some(number))?;
        complete(&standing)?;
        self.standing = standing;
        Ok(())
    }

    /// Appends events if the run is where the state stands, and takes them into the state.
    ///
    /// # Errors
    /// `Conflict` where somebody was faster: [`Held::refresh`], and decide again. As [`Run::append`].
    pub fn append(&mut self, events: &[F::Event]) -> Result<Appended> {
        let registered = registered::<F::Event>()?;
        let time_ns = self.run.journal().now_ns();
        let mut batch = Batch::new();
        let run = batch.run(self.run.name(), Expect::Revision(self.standing.revision));
        let mut decoded = Vec::with_capacity(events.len());
        for event in events {
            let (entry, payload) = registered.encode(event)?;
            batch.event_at(Some(run), &entry, time_ns, &payload);
            // The state sees what a replay will see: the event as it comes back from its bytes.
            let event: F::Event = codec::decode_event(&payload).map_err(|why| codec::undecodable(&entry, &why))?;
            decoded.push(event);
        }
        let appended =
            self.run.journal().append(batch).map_err(|failed| self.run.journal().explain::<F::Event>(failed.error))?;
        if F::INHERITS && self.standing.events == 0 {
            // The first event of a run may make another run's state its own; only the log tells which.
            self.standing = self.run.standing::<F>(Start::Origin)?.standing;
            complete(&self.standing)?;
            return Ok(appended);
        }
        for (data, seq) in decoded.into_iter().zip(appended.first.count_before()..) {
            self.take(Seq::after(seq), time_ns, data);
        }
        if self.standing.revision - self.checkpoint_at >= CHECKPOINT_EVERY_EVENTS {
            self.checkpoint()?;
        }
        Ok(appended)
    }

    fn take(&mut self, seq: Seq, time_ns: i64, data: F::Event) {
        let standing = &mut self.standing;
        standing.seq = Some(seq);
        standing.revision += 1;
        if !data.is_hint() {
            let run = Some(self.run.number());
            F::apply(&mut standing.state, &Recorded { seq, run, revision: standing.revision, time_ns, data });
            standing.events += 1;
        }
    }

    /// Records the state's digest in the log. `None`: somebody has appended meanwhile, and will see to it.
    ///
    /// # Errors
    /// As appending.
    pub fn checkpoint(&mut self) -> Result<Option<StateDigest>> {
        match append_checkpoint(&self.run, &self.standing) {
            Ok((digest, appended)) => {
                self.standing.seq = Some(appended.last);
                self.standing.revision = appended.revision;
                self.checkpoint_at = appended.revision;
                Ok(Some(digest))
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<F: Decide> Held<'_, F> {
    /// Decides a command against the state, and appends what follows from it; `None` where nothing does.
    ///
    /// # Errors
    /// `Rejected` (T0511) with the fold's reason; as [`Held::append`].
    pub fn decide(&mut self, command: F::Command) -> Result<Option<Appended>> {
        let events = F::decide(&self.standing.state, command)?;
        if events.is_empty() { Ok(None) } else { self.append(&events).map(Some) }
    }
}
