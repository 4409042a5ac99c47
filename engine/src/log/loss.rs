use crate::error::Error;
use crate::log::piece::SeqRange;
use crate::log::query::Query;
use crate::log::record::Record;
use crate::{Header, Seq, TypeEntry};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A stretch of a log that can not be read, and that a reading has passed over.
#[derive(Clone, Debug)]
pub struct Loss {
    /// What is wrong, and where: what a reading that passes over nothing ends with.
    pub error: Error,
    /// The events that are lost; `None` where none is, or where the next stretch tells.
    pub seqs: Option<SeqRange>,
    /// The header of the lost event, where one is lost and its header is proven: whose it was, and of which kind.
    pub header: Option<Header>,
    /// The lost event's type, where the header tells.
    pub entry: Option<Arc<TypeEntry>>,
    /// The runs that the segment's footer knows, with the last event of each; `None`: there may be any.
    pub(crate) runs: Option<Arc<BTreeMap<Seq, Seq>>>,
}

impl Loss {
    pub(crate) fn new(error: Error, seqs: Option<SeqRange>) -> Loss {
        Loss { error, seqs, header: None, entry: None, runs: None }
    }

    /// Whether the loss may hold events of a run. A header, where it is known, decides; else the segment's footer does, and
    /// where there is none, every run may be concerned that was there already.
    #[must_use]
    pub fn may_be_of(&self, run: Seq) -> bool {
        let Some(seqs) = self.seqs else { return false };
        match (&self.header, &self.runs) {
            (Some(header), _) => header.run == Some(run),
            (None, Some(runs)) => runs.get(&run).is_some_and(|last| last.get() >= seqs.first),
            (None, None) => run.get() <= seqs.last,
        }
    }

    /// Whether a query asks for anything that may be lost here.
    pub(crate) fn concerns(&self, query: &Query) -> bool {
        let Some(seqs) = self.seqs else { return true };
        let is_inside = query.from.is_none_or(|from| seqs.last >= from.get())
            && query.until.is_none_or(|until| seqs.first < until.get());
        is_inside && query.runs.as_ref().is_none_or(|runs| runs.iter().any(|run| self.may_be_of(*run)))
    }
}

/// What is lost, in words: `seq 7 of run #2`, `seqs 7..=9 of unknown runs`.
impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(SeqRange { first, last }) = self.seqs else { return formatter.write_str("no event that is known") };
        if first == last {
            write!(formatter, "seq {first}")?;
        } else {
            write!(formatter, "seqs {first}..={last}")?;
        }
        match self.header.map(|header| header.run) {
            Some(Some(run)) => write!(formatter, " of run #{run}"),
            Some(None) => formatter.write_str(" of the store"),
            None => formatter.write_str(" of unknown runs"),
        }
    }
}

/// What comes next in a log that is read past damage.
#[derive(Debug)]
pub enum EventOrLoss<'a> {
    /// An event.
    Event(Record<'a>),
    /// Something that was passed over.
    Loss(Box<Loss>),
}
