//! When something happened in a run.

use serde::{Deserialize, Serialize};

/// A place in a run's history.
///
/// Events are counted, not numbered by seq or revision: a run that is exported and imported, or that gets hints and
/// checkpoints in between, keeps its ordinals, so an event may refer to one (`Rewound`, `Forked`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    /// Which event of the run schema, counted from 1; of a fork: its parent's events up to the fork count, too.
    pub event: u64,
    /// Its clock, in nanoseconds since 1970. The clock may step back.
    pub time_ns: i64,
}

impl Moment {
    /// How long after another moment, in milliseconds; `None` where the clock stepped back.
    #[must_use]
    pub fn ms_since(self, earlier: Moment) -> Option<u64> {
        let ns = i128::from(self.time_ns) - i128::from(earlier.time_ns);
        u64::try_from(ns / 1_000_000).ok().filter(|_| ns >= 0)
    }
}

/// What a run gathers in the course of time, and gives up again when it is rewound.
pub(super) trait Rewindable {
    /// Goes back to what it was behind an event; `false` where it was not there yet.
    fn go_back(&mut self, event: u64) -> bool;
}

impl<T: Rewindable> Rewindable for Box<T> {
    fn go_back(&mut self, event: u64) -> bool {
        T::go_back(self, event)
    }
}

/// Goes back to what a map was behind an event.
pub(super) fn map_back<K: Ord, T: Rewindable>(map: &mut std::collections::BTreeMap<K, T>, event: u64) {
    map.retain(|_, entry| entry.go_back(event));
}

/// Whether going back to an event would change something, or take it away.
pub(super) fn is_changed<T: Rewindable + Clone + PartialEq>(entry: &T, event: u64) -> bool {
    let mut back = entry.clone();
    !back.go_back(event) || back != *entry
}

/// The entries of a map that going back to an event would change, or take away: as they are.
pub(super) fn map_changed<K, T>(map: &std::collections::BTreeMap<K, T>, event: u64) -> std::collections::BTreeMap<K, T>
where
    K: Clone + Ord,
    T: Rewindable + Clone + PartialEq,
{
    let changed = map.iter().filter(|(_, entry)| is_changed(*entry, event));
    changed.map(|(key, entry)| (key.clone(), entry.clone())).collect()
}

/// Takes back a moment that is later than an event.
pub(super) fn moment_back(moment: &mut Option<Moment>, event: u64) -> bool {
    let is_later = moment.is_some_and(|moment| moment.event > event);
    if is_later {
        *moment = None;
    }
    is_later
}
