//! Typed appends and states of a run.

use crate::error::{Error, Result};
use crate::fold::check::check;
use crate::fold::checkpoint::append_checkpoint;
use crate::fold::dynamic::Schemas;
use crate::fold::event::Event;
use crate::fold::fold::Fold;
use crate::fold::load::{Loaded, Start};
use crate::fold::registry::registered;
use crate::fold::report::CheckReport;
use crate::fold::schema_difference::schema_differences;
use crate::fold::snapshots::{Snapshot, Snapshots};
use crate::fold::state::{Standing, StateDigest};
use crate::{Appended, Batch, BatchRun, ErrorKind, Expect, Journal, Reader, Run};

impl Batch {
    /// Adds a typed event. `run` is `None` for an event of the store. `time_ns` is in nanoseconds since 1970; `None` is the
    /// time of the append.
    ///
    /// # Errors
    /// `Invalid`: T0502 where the event can not be encoded, T0505 where its type can not be registered. The batch is as
    /// before.
    pub fn typed<E: Event>(&mut self, run: Option<BatchRun>, time_ns: Option<i64>, event: &E) -> Result<&mut Batch> {
        let (entry, payload) = registered::<E>()?.encode(event)?;
        Ok(match time_ns {
            None => self.event(run, &entry, &payload),
            Some(time_ns) => self.event_at(run, &entry, time_ns, &payload),
        })
    }
}

impl Journal {
    /// The storage's wall clock, in nanoseconds since 1970.
    pub(crate) fn now_ns(&self) -> i64 {
        self.storage().now_ns()
    }

    /// A reader of this journal's store that sees everything appended so far, durable or not.
    ///
    /// # Errors
    /// As [`Reader::open`]; `Io` where what is in memory can not be written.
    pub fn reader(&self) -> Result<Reader> {
        Reader::open_on(self.flushed_storage()?)
    }

    /// Adds to the error for a type that is registered with another schema what the difference is.
    pub(crate) fn explain<E: Event>(&self, error: Error) -> Error {
        if error.code() != "T0143" {
            return error;
        }
        match self.schema_difference::<E>() {
            Ok(lines) if !lines.is_empty() => {
                let message = format!("{}: {}", error.message(), lines.join("; "));
                Error::new(ErrorKind::Invalid, "T0143", message).hint(
                    "raise Event::VERSION, and say in Event::upcasts how the recorded version becomes the new one",
                )
            }
            _ => error,
        }
    }

    fn schema_difference<E: Event>(&self) -> Result<Vec<String>> {
        let types = self.reader()?.type_table()?;
        let schemas = Schemas::of(&types);
        let ours = registered::<E>()?;
        let mut rows = types.rows().map(|(_, entry)| entry);
        let known = rows.find(|entry| {
            (entry.name.as_str(), entry.version) == (E::TYPE, E::VERSION) && entry.fingerprint != Some(ours.fingerprint)
        });
        let recorded = known.and_then(|entry| schemas.get(&entry.fingerprint?));
        Ok(recorded.map_or_else(Vec::new, |recorded| schema_differences(recorded, &ours.schema)))
    }
}

impl Run<'_> {
    /// Appends events to the run, all or none, and returns when they are as durable as the policy promises.
    ///
    /// # Errors
    /// `Conflict` where the run is not as expected; `Invalid`: T0143 where the type is registered with another schema (the
    /// differing fields are named), T0502, T0505; as [`Journal::append`].
    pub fn append<E: Event>(&self, expect: Expect, events: &[E]) -> Result<Appended> {
        let mut batch = Batch::new();
        let run = batch.run(self.name(), expect);
        for event in events {
            batch.typed(Some(run), None, event)?;
        }
        self.journal().append(batch).map_err(|failed| self.journal().explain::<E>(failed.error))
    }

    /// The run's state, and the revision that [`Expect::Revision`] wants: from the newest snapshot, and the events behind.
    ///
    /// # Errors
    /// `Damaged` (T0507) where events of the run are missing: [`Run::standing`] gives the incomplete state. As
    /// [`Reader::state`].
    pub fn state<F: Fold>(&self) -> Result<(F::State, u32)> {
        let standing = self.standing::<F>(Start::Snapshot)?.standing;
        complete(&standing)?;
        Ok((standing.state, standing.revision))
    }

    /// The run's state with all that is known about it, complete or not.
    ///
    /// # Errors
    /// As [`Reader::state`].
    pub fn standing<F: Fold>(&self, start: Start) -> Result<Loaded<F>> {
        self.journal().reader()?.state::<F>(Some(self.number()), None, start)
    }

    /// Records the digest of the run's state in the log, for later replays to compare with. Gives it.
    ///
    /// # Errors
    /// As [`Run::state`] and [`Run::append`].
    pub fn checkpoint<F: Fold>(&self) -> Result<StateDigest> {
        for _attempt in 0..ATTEMPTS {
            let standing = self.standing::<F>(Start::Snapshot)?.standing;
            complete(&standing)?;
            match append_checkpoint(self, &standing) {
                // Somebody has appended meanwhile: the state is an older one.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                result => return result.map(|(digest, _)| digest),
            }
        }
        Err(self.too_lively())
    }

    fn too_lively(&self) -> Error {
        let message = format!("run {:?} changed {ATTEMPTS} times while its state was folded", self.name());
        Error::new(ErrorKind::Conflict, "T0145", message).hint("try again when it is quieter")
    }

    /// Writes a snapshot of the run's state, for later states to begin at, and before that, unless it is there already, the
    /// checkpoint in the log that vouches for it. Both are durable then.
    ///
    /// # Errors
    /// As [`Reader::state`] and [`Snapshots::create`].
    pub fn snapshot<F: Fold>(&self) -> Result<Snapshot> {
        let snapshots = Snapshots::new(self.journal().flushed_storage()?);
        for _attempt in 0..ATTEMPTS {
            let standing = self.standing::<F>(Start::Snapshot)?.standing;
            match snapshots.create(self.journal(), Some(self.number()), &standing) {
                // Somebody has appended meanwhile: the state is an older one.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                result => return result,
            }
        }
        Err(self.too_lively())
    }

    /// Folds the run again from its first event, and compares every recorded checkpoint.
    ///
    /// # Errors
    /// `NotFound` (T0509) where no checkpoint could be compared; `Diverged` (T0503) with the first divergence. The whole
    /// report comes from [`check`].
    pub fn check<F: Fold>(&self) -> Result<CheckReport> {
        check::<F>(&self.journal().reader()?, Some(self.number()))?.into_result()
    }
}

/// How often a checkpoint is tried again when others append meanwhile.
const ATTEMPTS: u32 = 8;

/// # Errors
/// `Damaged` (T0507) for a state that lacks events.
pub(crate) fn complete<F: Fold>(standing: &Standing<F>) -> Result<()> {
    let Some(lack) = standing.lacks().next() else { return Ok(()) };
    let message = format!("the state of {} is incomplete: {lack}", F::NAME);
    let seq = standing.missing.first().map(|missing| missing.before.get());
    let seq = seq.or(standing.doubt.map(|doubt| doubt.first)).unwrap_or_default();
    Err(Error::new(ErrorKind::Damaged, "T0507", message)
        .seq(seq)
        .hint("taffrail log verify; the state without them can still be shown"))
}
