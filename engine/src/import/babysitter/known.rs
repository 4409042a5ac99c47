//! What the log has of a run by earlier imports.

use super::super::record::{Events, Files, Note, Oddities, OddityNote, RunImported, TYPE};
use crate::blob::Digest;
use crate::error::{Error, Result};
use crate::{ErrorKind, Query, Reader, Record, Seq};
use std::collections::{BTreeMap, BTreeSet};

/// See the module. Bounded by the number of files in one run.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Where the run came from; `None` for a run that no import opened.
    pub(super) origin: Option<RunImported>,
    /// The digest that each event file had last, by name relative to the run.
    pub(super) events: BTreeMap<String, Digest>,
    /// The same of other files.
    pub(super) files: BTreeMap<String, Digest>,
    oddities: BTreeSet<Digest>,
}

impl Known {
    /// Reads what imports have recorded in a run whose first and last events are these.
    pub(super) fn read(reader: &Reader, run: Seq, last: Seq) -> Result<Known> {
        let mut known = Known::default();
        let query = Query::all().from(run).until(last.next()).run(run).event_type(TYPE);
        reader.events(query)?.for_each(|record| known.take(&record).map(|()| true))?;
        Ok(known)
    }

    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        match record.entry.as_ref().map(|entry| entry.variant.as_str()) {
            Some(RunImported::VARIANT) => self.origin = Some(decode(record)?),
            Some(Events::VARIANT) => {
                let Events { events } = decode(record)?;
                self.events.extend(events.into_iter().map(|note| (note.file, note.digest)));
            }
            Some(Files::VARIANT) => {
                let Files { files } = decode(record)?;
                self.files.extend(files.into_iter().map(|note| {
                    let digest = note.found_digest();
                    (note.file, digest)
                }));
            }
            Some(Oddities::VARIANT) => {
                let Oddities { oddities } = decode(record)?;
                self.oddities.extend(oddities.iter().map(key_of));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether an oddity is new; from now on it is not.
    pub(super) fn learn(&mut self, oddity: &OddityNote) -> bool {
        self.oddities.insert(key_of(oddity))
    }
}

fn key_of(oddity: &OddityNote) -> Digest {
    Digest::of(format!("{}\0{}\0{}", oddity.file, oddity.code, oddity.reason).as_bytes())
}

fn decode<T: serde::de::DeserializeOwned>(record: &Record<'_>) -> Result<T> {
    serde_json::from_slice(&record.payload).map_err(|error| {
        let message = format!("an event of an earlier import can not be read: {error}");
        Error::new(ErrorKind::Incompatible, "T0166", message).seq(record.seq.get())
    })
}
