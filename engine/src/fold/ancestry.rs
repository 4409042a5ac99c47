//! Which events a fold over one run has to read: the run's own, and those of the runs that it began as.

use crate::error::Result;
use crate::fold::fold::Fold;
use crate::{ErrorKind, Kind, Query, Reader, Record, RunOpened, Seq};

/// The run that an event opens says it comes from.
pub(crate) fn parent_of(record: &Record<'_>) -> Option<Seq> {
    let opened = (record.kind == Kind::RUN_OPENED).then(|| RunOpened::decode(&record.payload).ok()).flatten()?;
    // A parent is older than its child; anything else is no parent, and would lead in a circle.
    opened.parent.filter(|parent| Some(*parent) < record.run)
}

impl Reader {
    /// The events that a fold over a run has to read (`None`: all of them).
    ///
    /// # Errors
    /// As reading.
    pub(crate) fn events_of_fold<F: Fold>(&self, run: Option<Seq>) -> Result<Query> {
        let Some(run) = run else { return Ok(Query::all()) };
        let mut query = Query::all().run(run);
        let mut oldest = run;
        while F::INHERITS
            && let Some(parent) = self.opening(oldest)?.as_ref().and_then(parent_of)
        {
            query = query.run(parent);
            oldest = parent;
        }
        Ok(query.from(oldest))
    }

    /// A run's first event; `None` where it is not there, or can not be read.
    pub(crate) fn opening(&self, run: Seq) -> Result<Option<Record<'static>>> {
        match self.get(run) {
            Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
            opening => opening,
        }
    }
}
