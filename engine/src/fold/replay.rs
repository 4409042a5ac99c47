//! One pass over a log for any number of folds.

use crate::error::Result;
use crate::fold::fold::Fold;
use crate::fold::pass::Pass;
use crate::{EventOrLoss, Query, Reader, Seq};

/// Which part of a log to fold. The default is all of it.
#[derive(Clone, Debug)]
pub struct Replay<'r> {
    reader: &'r Reader,
    query: Query,
    past_damage: bool,
}

impl<'r> Replay<'r> {
    /// The whole log.
    #[must_use]
    pub fn of(reader: &'r Reader) -> Replay<'r> {
        Replay::query(reader, Query::all())
    }

    /// What a fold of one run needs (`None`: of all): with the events of the runs that it began as.
    ///
    /// # Errors
    /// As reading.
    pub fn of_fold<F: Fold>(reader: &'r Reader, run: Option<Seq>) -> Result<Replay<'r>> {
        Ok(Replay::query(reader, reader.events_of_fold::<F>(run)?))
    }

    /// The events that a query wants.
    pub(crate) fn query(reader: &'r Reader, query: Query) -> Replay<'r> {
        Replay { reader, query, past_damage: false }
    }

    /// Only this run, in addition to others named before.
    #[must_use]
    pub fn run(mut self, run: Seq) -> Replay<'r> {
        self.query = self.query.run(run);
        self
    }

    /// From this event on.
    #[must_use]
    pub fn from(mut self, seq: Seq) -> Replay<'r> {
        self.query = self.query.from(seq);
        self
    }

    /// Up to this event, exclusive.
    #[must_use]
    pub fn until(mut self, seq: Seq) -> Replay<'r> {
        self.query = self.query.until(seq);
        self
    }

    /// Only what is durable.
    #[must_use]
    pub fn durable_only(mut self) -> Replay<'r> {
        self.query.durable_only = true;
        self
    }

    /// Goes on behind what can not be read: the passes are told of it, and it is no error. [`Losses`] gathers it.
    ///
    /// [`Losses`]: crate::fold::Losses
    #[must_use]
    pub fn past_damage(mut self) -> Replay<'r> {
        self.past_damage = true;
        self
    }

    /// Reads the events once and hands each to every pass.
    ///
    /// # Errors
    /// As reading; what a pass returns.
    pub fn go(&self, passes: &mut [&mut dyn Pass]) -> Result<()> {
        let mut events = self.reader.events(self.query.clone())?;
        loop {
            let next = match self.past_damage {
                true => events.next_or_loss()?,
                false => events.next()?.map(EventOrLoss::Event),
            };
            match next {
                None => return Ok(()),
                Some(EventOrLoss::Event(record)) => {
                    passes.iter_mut().try_for_each(|pass| pass.take(&record))?;
                }
                Some(EventOrLoss::Loss(loss)) => passes.iter_mut().try_for_each(|pass| pass.lose(&loss))?,
            }
        }
    }
}
