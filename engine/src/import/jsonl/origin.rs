//! Where renumbered events came from.

use super::super::record::{Note, TYPE};
use crate::error::{Error, Result};
use crate::export::line::{Exported, Line};
use crate::{ErrorKind, Kind, OperatorAction, Query, Reader, RunSummary, TypeEntry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Events of another log were imported: those that stand before this event in its batch, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The other log.
    pub(super) log_id: String,
    /// Their seqs there: first and last of each range.
    pub(super) seqs: Vec<(u64, u64)>,
    /// Runs that were opened for it: their number there, their name here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) runs: BTreeMap<u64, String>,
    /// When: nanoseconds since 1970.
    pub(super) imported_at_ns: i64,
}

/// An event that means something only in its own log: a mark, a recovery, a checkpoint. Kept as its line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Foreign {
    pub(super) line: serde_json::Value,
}

/// The payload of a record of another log's own that an import has kept; `None` for any other event.
pub(crate) fn own_payload_of(entry: &TypeEntry, payload: &[u8]) -> Option<Vec<u8>> {
    foreign(entry, payload)?.payload().ok()
}

/// An operator event of another log that an import has kept.
pub(crate) fn operator_action_of(entry: &TypeEntry, payload: &[u8]) -> Option<OperatorAction> {
    let line = foreign(entry, payload)?;
    let is_one = line.own_kind().ok().flatten() == Some(Kind::OPERATOR_ACTION);
    OperatorAction::decode(&line.payload().ok().filter(|_| is_one)?).ok()
}

/// Whether events of a type keep events of another log's own.
pub(crate) fn may_be_of_another_log(entry: &TypeEntry) -> bool {
    entry.name == TYPE && entry.variant == Foreign::VARIANT
}

fn foreign(entry: &TypeEntry, payload: &[u8]) -> Option<Exported> {
    if !may_be_of_another_log(entry) {
        return None;
    }
    let foreign: Foreign = serde_json::from_slice(payload).ok()?;
    match serde_json::from_value(foreign.line).ok()? {
        Line::Event(line) => Some(*line),
        Line::Header(_) | Line::Type(_) | Line::End(_) => None,
    }
}

impl Note for Origin {
    const VARIANT: &'static str = "Origin";
}

impl Note for Foreign {
    const VARIANT: &'static str = "Foreign";
}

impl Origin {
    /// Adds a seq behind the others.
    pub(super) fn add(&mut self, seq: u64) {
        match self.seqs.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => self.seqs.push((seq, seq)),
        }
    }
}

/// What earlier imports of one log have brought.
#[derive(Debug, Default)]
pub(super) struct Imported {
    /// Ranges of seqs, by their first.
    ranges: BTreeMap<u64, u64>,
    /// The names that its runs have here.
    pub(super) runs: BTreeMap<u64, String>,
}

impl Imported {
    /// Reads what a control run says.
    pub(super) fn read(reader: &Reader, control: &RunSummary) -> Result<Imported> {
        let mut imported = Imported::default();
        let query = Query::all().from(control.run).run(control.run).event_type(format!("{TYPE}.{}", Origin::VARIANT));
        reader.events(query)?.for_each(|record| {
            let origin: Origin = serde_json::from_slice(&record.payload).map_err(|error| {
                let message = format!("an event of an earlier import can not be read: {error}");
                Error::new(ErrorKind::Incompatible, "T0166", message).seq(record.seq.get())
            })?;
            imported.learn(&origin);
            Ok(true)
        })?;
        Ok(imported)
    }

    /// Takes what was appended.
    pub(super) fn learn(&mut self, origin: &Origin) {
        for (first, last) in &origin.seqs {
            let before = self.ranges.range(..=*first).next_back().filter(|(_, end)| **end + 1 >= *first);
            let first = before.map_or(*first, |(start, _)| *start);
            let end = self.ranges.entry(first).or_insert(*last);
            *end = (*end).max(*last);
        }
        self.runs.extend(origin.runs.clone());
    }

    /// Whether an event was imported.
    pub(super) fn has(&self, seq: u64) -> bool {
        self.ranges.range(..=seq).next_back().is_some_and(|(_, last)| seq <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_together() {
        let mut imported = Imported::default();
        let mut origin = Origin::default();
        for seq in [5, 6, 7, 9, 20] {
            origin.add(seq);
        }
        assert_eq!(origin.seqs, [(5, 7), (9, 9), (20, 20)]);
        imported.learn(&origin);
        imported.learn(&Origin { seqs: vec![(8, 8), (10, 12)], ..Origin::default() });
        assert_eq!((4..14).filter(|seq| imported.has(*seq)).collect::<Vec<_>>(), (5..=12).collect::<Vec<_>>());
        assert_eq!(imported.ranges.len(), 3, "8 joins 5 to 7; 9 begins a range of its own");
    }
}
