//! The state of one run, while a fold is at work.

use crate::error::{Error, Result};
use crate::fold::bases::Bases;
use crate::fold::event::Recorded;
use crate::fold::fold::{Fold, Scope};
use crate::fold::load::FromSnapshot;
use crate::fold::state::{Missing, Standing};
use crate::{Header, Record, Seq, SeqRange};

/// A run's state in the making.
pub(super) struct Slot<F: Fold> {
    pub(super) standing: Standing<F>,
    /// The run that it may begin as.
    pub(super) parent: Option<Seq>,
    /// The run that it did begin as.
    pub(super) inherited: Option<Seq>,
    /// The first event that nobody can tell the meaning of.
    pub(super) foreign: Option<Error>,
    pub(super) failure: Option<Error>,
    /// Whether an event that matters was lost.
    pub(super) has_lost: bool,
    /// The snapshot that makes up for events that are absent.
    pub(super) begun: Option<FromSnapshot>,
}

impl<F: Fold> Default for Slot<F> {
    fn default() -> Slot<F> {
        Slot::at(Standing::default())
    }
}

impl<F: Fold> Slot<F> {
    pub(super) fn at(standing: Standing<F>) -> Slot<F> {
        Slot { standing, parent: None, inherited: None, foreign: None, failure: None, has_lost: false, begun: None }
    }

    pub(super) fn concerns(&self) -> bool {
        self.standing.events > 0 || self.failure.is_some() || self.has_lost
    }

    /// Takes events, and tells of each.
    pub(super) fn apply(
        &mut self,
        events: impl Iterator<Item = Recorded<F::Event>>,
        told: &mut impl FnMut(&F::State, &Recorded<F::Event>),
    ) {
        for event in events {
            F::apply(&mut self.standing.state, &event);
            told(&self.standing.state, &event);
        }
    }

    /// Moves behind events that can not be read. What the last of them is, its header tells; `None`: nobody knows.
    pub(super) fn lose(&mut self, lost: SeqRange, header: Option<&Header>, matters: bool) {
        let standing = &mut self.standing;
        let revision = header.map_or(0, |header| header.revision);
        let count = match F::SCOPE {
            Scope::Run => u64::from(revision.saturating_sub(standing.revision)),
            Scope::Store => lost.last.saturating_sub(standing.seq.map_or(0, Seq::get)),
        };
        let count = count.saturating_sub(u64::from(!matters));
        if count > 0 {
            standing.missing.push(Missing { after: standing.seq, before: Seq::after(lost.last), count });
        }
        self.has_lost |= matters;
        standing.seq = standing.seq.max(Seq::new(lost.last));
        standing.revision = if F::SCOPE == Scope::Run { standing.revision.max(revision) } else { 0 };
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

    fn missing_before(&self, record: &Record<'_>) -> Missing {
        Missing { after: self.standing.seq, before: record.seq, count: self.lacks(record) }
    }

    /// Begins at the snapshot that makes up for what is missing before an event, where there is one.
    pub(super) fn begin_before(&mut self, bases: &Bases<F>, key: Option<Seq>, record: &Record<'_>) -> Result<()> {
        if self.lacks(record) > 0
            && let Some(base) = bases.before(key, self.standing.seq, record)?
        {
            let mut missing = std::mem::take(&mut self.standing.missing);
            missing.push(self.missing_before(record));
            *self = Slot { begun: Some(bases.snapshot_of(&base, &missing)), ..Slot::at(base) };
        }
        Ok(())
    }

    /// Moves to an event, noting what should have come before it.
    pub(super) fn move_to(&mut self, record: &Record<'_>) {
        let missing = self.missing_before(record);
        let standing = &mut self.standing;
        if missing.count > 0 {
            standing.missing.push(missing);
        }
        standing.seq = Some(record.seq);
        standing.revision = if F::SCOPE == Scope::Run { record.revision } else { 0 };
    }
}
