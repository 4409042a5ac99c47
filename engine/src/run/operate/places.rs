//! Which events of the log a run's ordinals are.

use crate::error::Result;
use crate::fold::{Event, Pass, parent_of};
use crate::run::timeline::Timelines;
use crate::run::{RunEvent, Usage};
use crate::{Reader, Record, Seq};
use serde::Serialize;
use std::collections::BTreeMap;

/// An event of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Its ordinal, as [`crate::run::Moment::event`].
    pub event: u64,
    /// Its seq in the log.
    pub seq: u64,
    /// Its clock, in nanoseconds since 1970.
    pub time_ns: i64,
}

/// What has been seen of one run.
#[derive(Clone, Debug, Default)]
struct Seen {
    parent: Option<Seq>,
    events: u64,
    places: Vec<Place>,
    /// What was spent in all, behind the events that changed it.
    spent: Vec<(u64, Usage)>,
    is_imported: bool,
}

/// Folds runs, and notes where their events are. A fork's begin with its parent's.
pub(super) struct Places {
    pub(super) timelines: Timelines,
    runs: BTreeMap<Seq, Seen>,
}

impl Places {
    pub(super) fn over(reader: &Reader) -> Result<Places> {
        Ok(Places { timelines: Timelines::over(reader)?, runs: BTreeMap::new() })
    }

    /// The places of a run, ascending; what it had spent behind each event that changed that; and whether events of it came
    /// from an import.
    pub(super) fn of(&mut self, run: Seq) -> (Vec<Place>, Vec<(u64, Usage)>, bool) {
        let seen = self.runs.remove(&run).unwrap_or_default();
        (seen.places, seen.spent, seen.is_imported)
    }
}

impl Pass for Places {
    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        self.timelines.take(record)?;
        let Some(run) = record.run else { return Ok(()) };
        let mut seen = self.runs.remove(&run).unwrap_or_default();
        seen.parent = seen.parent.or_else(|| parent_of(record));
        if let Some(standing) =
            self.timelines.folding.standing(Some(run)).filter(|standing| standing.events > seen.events)
        {
            let state = &standing.state;
            if let (0, Some(parent), Some(forked)) = (seen.events, seen.parent, &state.parent) {
                let inherited = self.runs.get(&parent).map_or(&[][..], |parent| &parent.places);
                seen.places.extend(inherited.iter().filter(|place| place.event <= forked.at));
            }
            seen.events = standing.events;
            seen.is_imported |= record.entry.as_ref().is_some_and(|entry| entry.name != RunEvent::TYPE);
            seen.places.push(Place { event: state.events, seq: record.seq.get(), time_ns: record.time_ns });
            if seen.spent.last().map_or(&Usage::default(), |(_, usage)| usage) != &state.spent.total {
                seen.spent.push((state.events, state.spent.total));
            }
        }
        self.runs.insert(run, seen);
        Ok(())
    }
}
