//! What of it stays: in events that the selection leaves out, and in names.
//!
//! What stays in the log need not be looked for in other files: to remove those would protect nothing. So the plan tells of it
//! instead.

use super::needles::{Cause, Needles};
use super::own::{self, StaysIn};
use super::selector::Selector;
use super::{Progress, json};
use crate::blob::{Digest, named_by};
use crate::error::Result;
use crate::{Codec, Query, Reader, Record};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A text that is taken out somewhere, and stands elsewhere in the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Stays {
    /// In what it stands.
    pub place: StaysIn,
    /// The first event that it stands in.
    pub seq: u64,
    /// How many do.
    pub events: u64,
    /// The text, or the pattern.
    pub cause: Cause,
}

impl Stays {
    /// What can be done about it.
    #[must_use]
    pub fn instead(&self) -> &'static str {
        self.place.instead()
    }
}

/// Events between two words of progress.
const TOLD_EVERY: u64 = 1024;

/// Looking through what stays.
pub(super) struct Look<'a> {
    selector: &'a Selector,
    needles: &'a Needles,
    /// Blobs that nothing has been found to name so far.
    pub(super) named: BTreeMap<Digest, (u64, String)>,
    /// By text (`None` for the pattern) and place: the first event, and which they are.
    found: BTreeMap<(Option<usize>, StaysIn), BTreeSet<u64>>,
}

impl<'a> Look<'a> {
    pub(super) fn new(
        selector: &'a Selector,
        needles: &'a Needles,
        named: BTreeMap<Digest, (u64, String)>,
    ) -> Look<'a> {
        Look { selector, needles, named, found: BTreeMap::new() }
    }

    /// Looks through a log. Where nothing but a pattern for everything is looked for, what it leaves are names.
    pub(super) fn over(&mut self, reader: &Reader, progress: Progress<'_>) -> Result<()> {
        let has_pattern = self.selector.pattern.is_some();
        if !has_pattern && self.needles.is_empty() && self.named.is_empty() {
            return Ok(());
        }
        let mut query = Query::all();
        if self.needles.is_empty() && self.named.is_empty() && self.selector.is_of_everything() {
            query = own::KINDS.iter().fold(query, |query, kind| query.event_type(*kind));
        }
        let run = self.selector.run.as_ref().and_then(|run| reader.find_run(run).ok()).map(|run| run.run);
        let total = reader.durable();
        reader.events(query)?.for_each(|record| {
            let done = record.seq.get();
            if done.is_multiple_of(TOLD_EVERY) && progress("searching what stays", done.min(total), total).is_break() {
                return Err(super::stopped());
            }
            let is_left_out = self.selector.run.is_some() && (run.is_none() || record.run != run)
                || self.selector.event_type.as_ref().is_some_and(|wanted| !is_called(&record, wanted));
            let change = if is_left_out { None } else { self.selector.change(&record) };
            match change {
                Some(change) => self.take(&record, &change.payload, true),
                None => self.take(&record, &record.payload, false),
            }
            Ok(true)
        })
    }

    fn take(&mut self, record: &Record<'_>, payload: &[u8], is_changed: bool) {
        if let Some(entry) = record.entry.as_deref().filter(|_| !self.named.is_empty()) {
            for (_, digest) in named_by(entry, payload) {
                self.named.remove(&digest);
            }
        }
        let seq = record.seq.get();
        if record.kind.is_reserved() {
            for (place, text) in own::names(record.kind, payload) {
                self.look_in(text.as_bytes(), place, seq);
            }
            return;
        }
        let (needles, found) = (self.needles, &mut self.found);
        needles.find(payload, |place| {
            found.entry((Some(place), StaysIn::Event)).or_default().insert(seq);
            true
        });
        let Some(pattern) = self.selector.pattern.as_ref().filter(|_| !is_changed) else { return };
        let matches = match record.codec() {
            Codec::Json => json::texts(payload).iter().any(|(_, text)| pattern.is_match(text.as_bytes())),
            _ => pattern.is_match(payload),
        };
        // What it would put there may match as well, in an event that was redacted before.
        if matches && !record.redacted {
            self.found.entry((None, StaysIn::Event)).or_default().insert(seq);
        }
    }

    fn look_in(&mut self, text: &[u8], place: StaysIn, seq: u64) {
        let (needles, found) = (self.needles, &mut self.found);
        needles.find(text, |needle| {
            found.entry((Some(needle), place)).or_default().insert(seq);
            true
        });
        if self.selector.pattern.as_ref().is_some_and(|pattern| pattern.is_match(text)) {
            self.found.entry((None, place)).or_default().insert(seq);
        }
    }

    /// Whether a text stands in something that stays.
    pub(super) fn is_common(&self, needle: usize) -> bool {
        self.found.range((Some(needle), StaysIn::RunName)..=(Some(needle), StaysIn::Event)).next().is_some()
    }

    /// What was found, by place.
    pub(super) fn stays(&self, needles: &Needles) -> Vec<Stays> {
        let of = |((needle, place), seqs): (&(Option<usize>, StaysIn), &BTreeSet<u64>)| Stays {
            place: *place,
            seq: seqs.first().copied().unwrap_or_default(),
            events: seqs.len() as u64,
            cause: needle.map_or_else(|| Cause::of("the pattern", None), |needle| needles.get(needle).cause.clone()),
        };
        let mut stays: Vec<Stays> = self.found.iter().map(of).collect();
        stays.sort();
        stays
    }
}

fn is_called(record: &Record<'_>, wanted: &str) -> bool {
    match &record.entry {
        Some(entry) => entry.is_called(wanted),
        None => record.kind.reserved_name() == Some(wanted),
    }
}
