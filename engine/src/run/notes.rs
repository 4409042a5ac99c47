//! What a log says about runs beside the events of their schema: names, and what imports have noted.

use crate::error::Result;
use crate::fold::Pass;
use crate::import::record::{Events, Files, Note as _, Oddities, OddityNote, TYPE};
use crate::run::finding::{Finding, Problem};
use crate::{Kind, Loss, Record, RunOpened, Seq};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// What is noted about one run.
#[derive(Clone, Debug, Default)]
pub(super) struct RunNotes {
    pub(super) name: Option<String>,
    pub(super) revision: u32,
    /// Events of any application's type that are no hints.
    pub(super) events: u64,
    pub(super) last_time_ns: Option<i64>,
    /// Oddities of the source: all are counted, the first ones kept.
    pub(super) oddity_count: u64,
    pub(super) oddities: Vec<OddityNote>,
    /// The digests of the source's files, by name; only where they were asked for.
    pub(super) files: BTreeMap<String, String>,
    /// The highest number of a source event.
    pub(super) last_source_seq: Option<u64>,
}

impl RunNotes {
    pub(super) fn findings(&self) -> impl Iterator<Item = Finding> {
        self.oddities
            .iter()
            .map(|note| Finding::new(Problem::Oddity, None, &note.file, format!("{}: {}", note.code, note.reason)))
    }
}

/// Gathers the notes of all runs, in the pass that folds them.
#[derive(Debug, Default)]
pub(super) struct Notes {
    with_files: bool,
    pub(super) runs: BTreeMap<Seq, RunNotes>,
}

impl Notes {
    /// Notes, with what is needed to look into the source's files.
    pub(super) fn with_files() -> Notes {
        Notes { with_files: true, ..Notes::default() }
    }
}

/// A note, if it can be read: an import of a newer version may write others.
fn read<T: DeserializeOwned + Default>(payload: &[u8]) -> T {
    serde_json::from_slice(payload).unwrap_or_default()
}

impl Pass for Notes {
    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        let Some(run) = record.run else { return Ok(()) };
        let notes = self.runs.entry(run).or_default();
        notes.revision = record.revision;
        if record.kind == Kind::RUN_OPENED {
            notes.name = RunOpened::decode(&record.payload).ok().map(|opened| opened.name);
        }
        let Some(entry) = &record.entry else { return Ok(()) };
        if !record.hint {
            notes.events += 1;
            notes.last_time_ns = Some(record.time_ns);
        }
        if entry.name != TYPE {
            return Ok(());
        }
        if entry.variant == Oddities::VARIANT {
            let Oddities { oddities } = read(&record.payload);
            notes.oddity_count += oddities.len() as u64;
            let room = Finding::MOST_LISTED.saturating_sub(notes.oddities.len());
            notes.oddities.extend(oddities.into_iter().take(room));
        } else if self.with_files && entry.variant == Files::VARIANT {
            let Files { files } = read(&record.payload);
            notes.files.extend(files.into_iter().map(|file| (file.file, file.digest.to_string())));
        } else if self.with_files && entry.variant == Events::VARIANT {
            let Events { events } = read(&record.payload);
            notes.last_source_seq = notes.last_source_seq.max(events.iter().filter_map(|event| event.seq).max());
        }
        Ok(())
    }

    fn lose(&mut self, loss: &Loss) -> Result<()> {
        // A run of which nothing else can be read is a run all the same.
        if let Some((header, run)) = loss.header.and_then(|header| Some((header, header.run?))) {
            self.runs.entry(run).or_default().revision = header.revision;
        }
        Ok(())
    }
}
