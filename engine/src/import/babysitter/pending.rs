//! What is appended next.

use super::super::record::{EventNote, Events, FileNote, Files, Note, Oddities, OddityNote, RunImported};
use crate::error::Result;
use crate::{Batch, Expect, TypeEntry};
use std::sync::Arc;

/// Most events of a batch, and most notes of a kind.
const MOST_EVENTS: usize = 256;
/// Payloads after which a batch is full, in bytes.
const FULL_LEN_BYTES: usize = 1 << 20;

/// Events, files and oddities of one run that have been read and not yet appended.
#[derive(Debug, Default)]
pub(super) struct Pending {
    events: Vec<(Arc<TypeEntry>, i64, Vec<u8>)>,
    notes: Events,
    files: Files,
    oddities: Oddities,
    len_bytes: usize,
}

impl Pending {
    pub(super) fn event(&mut self, entry: Arc<TypeEntry>, time_ns: i64, payload: Vec<u8>, note: EventNote) {
        self.len_bytes += payload.len();
        self.events.push((entry, time_ns, payload));
        self.notes.events.push(note);
    }

    pub(super) fn file(&mut self, note: FileNote) {
        self.files.files.push(note);
    }

    pub(super) fn oddity(&mut self, note: OddityNote) {
        self.oddities.oddities.push(note);
    }

    pub(super) fn event_count(&self) -> u64 {
        self.events.len() as u64
    }

    pub(super) fn file_count(&self) -> u64 {
        self.files.files.len() as u64
    }

    /// Places that were redacted in files.
    pub(super) fn redacted(&self) -> u64 {
        self.files.files.iter().map(|file| file.redacted).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.files.files.is_empty() && self.oddities.oddities.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        let most = self.events.len().max(self.files.files.len()).max(self.oddities.oddities.len());
        most >= MOST_EVENTS || self.len_bytes >= FULL_LEN_BYTES
    }

    /// One batch: what the run is, where it is new; its events; where they came from.
    pub(super) fn into_batch(
        self,
        name: &str,
        revision: Option<u32>,
        origin: Option<&RunImported>,
        time_ns: i64,
    ) -> Result<Batch> {
        let mut batch = Batch::new();
        // The import's own events stand at the source's times, or they would hide those from questions about a time.
        batch.at_time(self.events.first().map_or(time_ns, |(_, first_ns, _)| *first_ns));
        let run = Some(batch.run_or_create(name, revision.map_or(Expect::New, Expect::Revision)));
        if let Some(origin) = origin {
            batch.event(run, &RunImported::entry(), &origin.payload()?);
        }
        let last_ns = self.events.last().map_or(time_ns, |(_, last_ns, _)| *last_ns);
        for (entry, event_ns, payload) in &self.events {
            batch.event_at(run, entry, *event_ns, payload);
        }
        if !self.notes.events.is_empty() {
            batch.event_at(run, &Events::entry(), last_ns, &self.notes.payload()?);
        }
        if !self.files.files.is_empty() {
            batch.event_at(run, &Files::entry(), last_ns, &self.files.payload()?);
        }
        if !self.oddities.oddities.is_empty() {
            batch.event_at(run, &Oddities::entry(), last_ns, &self.oddities.payload()?);
        }
        Ok(batch)
    }
}
