use crate::{Header, IndexEntry, Kind, RunEntry, Seq, TypeEntry};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Which events to read. The default is all of them, in order.
///
/// Filters look at headers and type tables only; payloads are never decoded for them.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The first seq.
    pub from: Option<Seq>,
    /// The seq to stop before.
    pub until: Option<Seq>,
    /// Times from..until in nanoseconds since 1970, by the running maximum of the clock.
    pub times_ns: Option<Range<i64>>,
    /// Only events of these runs, by number.
    pub runs: Option<BTreeSet<Seq>>,
    /// Only events of these types: full names, type names, variants, or names of the log's own kinds.
    pub types: Option<Vec<String>>,
    /// Only events that are durable.
    pub durable_only: bool,
    /// The last one first.
    pub reverse: bool,
}

impl Query {
    /// Everything.
    #[must_use]
    pub fn all() -> Query {
        Query::default()
    }

    /// No event at all: for reading past everything.
    pub(crate) fn nothing() -> Query {
        Query { runs: Some(BTreeSet::new()), ..Query::default() }
    }

    /// From this seq on.
    #[must_use]
    pub fn from(mut self, seq: Seq) -> Query {
        self.from = Some(seq);
        self
    }

    /// Up to this seq, exclusive.
    #[must_use]
    pub fn until(mut self, seq: Seq) -> Query {
        self.until = Some(seq);
        self
    }

    /// Only events of this run, in addition to others named before.
    #[must_use]
    pub fn run(mut self, run: Seq) -> Query {
        self.runs.get_or_insert_default().insert(run);
        self
    }

    /// Only events of this type, in addition to others named before.
    #[must_use]
    pub fn event_type(mut self, name: impl Into<String>) -> Query {
        self.types.get_or_insert_default().push(name.into());
        self
    }

    /// The last event first.
    #[must_use]
    pub fn reverse(mut self) -> Query {
        self.reverse = true;
        self
    }

    pub(crate) fn wants_header(&self, header: &Header, time_max_ns: i64) -> bool {
        self.from.is_none_or(|from| header.seq >= from)
            && self.until.is_none_or(|until| header.seq < until)
            && self.times_ns.as_ref().is_none_or(|times| times.contains(&time_max_ns))
            && self.runs.as_ref().is_none_or(|runs| header.run.is_some_and(|run| runs.contains(&run)))
    }

    pub(crate) fn wants_kind(&self, kind: Kind, entry: Option<&TypeEntry>) -> bool {
        let Some(types) = &self.types else { return true };
        types.iter().any(|wanted| match entry {
            Some(entry) => entry.is_called(wanted),
            None => kind.reserved_name() == Some(wanted.as_str()),
        })
    }

    /// Whether no event from this seq and clock reading on can be wanted.
    pub(crate) fn is_over(&self, seq: Seq, time_max_ns: i64) -> bool {
        self.until.is_some_and(|until| seq >= until)
            || self.times_ns.as_ref().is_some_and(|times| time_max_ns >= times.end)
    }

    /// The last place of an index before which nothing is wanted.
    pub(crate) fn begin_in<'a>(&self, index: &'a [IndexEntry]) -> Option<&'a IndexEntry> {
        let by_seq = self.from.map_or(0, |from| index.partition_point(|entry| entry.seq <= from));
        let by_time = |times: &Range<i64>| index.partition_point(|entry| entry.time_floor_ns < times.start);
        let by_time = self.times_ns.as_ref().map_or(0, by_time);
        by_seq.max(by_time).checked_sub(1).and_then(|last| index.get(last))
    }

    /// Whether a sealed segment with these runs can hold anything wanted.
    pub(crate) fn may_be_in(&self, runs: Option<&BTreeMap<Seq, RunEntry>>) -> bool {
        match (&self.runs, runs) {
            (Some(wanted), Some(present)) => wanted.iter().any(|run| present.contains_key(run)),
            _ => true,
        }
    }
}
