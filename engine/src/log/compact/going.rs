use crate::{Header, Kind, Seq};
use std::collections::{BTreeMap, BTreeSet};

/// Which events go.
///
/// Of a run, the event that opened it and the last one always stay: so its name, its number and its revision stay known to
/// everything that asks the log for them, and no name and no revision is given twice. What the log tells of itself stays
/// too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Going {
    /// By run: its events before this seq go.
    pub(crate) runs: BTreeMap<Seq, Seq>,
    /// Applications' events of the store before this seq go.
    pub(crate) store: Option<Seq>,
    /// Types of which every event stays.
    pub(crate) stays: BTreeSet<Kind>,
    /// Types of which the store's events stay.
    pub(crate) stays_of_store: BTreeSet<Kind>,
}

impl Going {
    /// Whether an event goes.
    pub(crate) fn takes(&self, header: &Header) -> bool {
        self.takes_event(header.kind, header.run, header.seq)
    }

    /// The same, by what counts of the header.
    pub(crate) fn takes_event(&self, kind: Kind, run: Option<Seq>, seq: Seq) -> bool {
        if stays_always(kind) || self.stays.contains(&kind) {
            return false;
        }
        match run {
            Some(run) => seq != run && self.runs.get(&run).is_some_and(|before| seq < *before),
            None if self.stays_of_store.contains(&kind) => false,
            None => !kind.is_reserved() && self.store.is_some_and(|before| seq < before),
        }
    }
}

/// Kinds that tell of the log itself: runs, types, what operators and recoveries did; and checkpoints, which vouch for the
/// snapshots that make up for what goes.
pub(crate) fn stays_always(kind: Kind) -> bool {
    let tells = [Kind::RUN_OPENED, Kind::TYPE_REGISTERED, Kind::CHECKPOINT, Kind::OPERATOR_ACTION, Kind::RECOVERED];
    !kind.takes_seq() || tells.contains(&kind)
}
