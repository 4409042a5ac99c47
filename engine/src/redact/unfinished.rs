//! A redaction that was stopped in the middle.
//!
//! Before anything is told or changed, the file `redacting` says behind which seq the operator events of a redaction stand that
//! is under way. Those name every payload and every file that goes, by digest. So whoever comes after an interruption can tell
//! what is left: payloads that still have the old digest, and files that are still what they were. Where no such event is in
//! the log, nothing was changed.

use crate::error::{Error, Result};
use crate::log::compact::archive::write_file;
use crate::log::forgotten::Told;
use crate::log::paths;
use crate::redact::plan::archives;
use crate::redact::search::digest_of_file;
use crate::storage::{OpenMode, Rooted, Storage, read_full_at};
use crate::{ErrorKind, OperatorAction, Query, Reader, Seq};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// What a redaction has left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// The last seq that was there when it began.
    pub after: u64,
    /// Seq of the first operator event that tells of it; `None` where it was stopped before it changed anything.
    pub event: Option<u64>,
    /// Seqs of events that still hold what was to be redacted, in the log or in an archive.
    pub events: Vec<u64>,
    /// Files that are still there and were to be removed, each with the BLAKE3 of its bytes, in hexadecimal.
    pub files: Vec<(String, String)>,
}

/// The content of the file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Note {
    after: u64,
}

/// What a redaction that is under way, or was stopped, has not done yet; `None` where there is none. Reads only.
///
/// # Errors
/// As reading.
pub fn unfinished(storage: &Arc<dyn Storage>) -> Result<Option<Unfinished>> {
    let Some(after) = begun_behind(&**storage)? else { return Ok(None) };
    let reader = Reader::open_on(Arc::clone(storage))?;
    let mut found = Unfinished { after, ..Unfinished::default() };
    let mut due: BTreeMap<Seq, BTreeSet<String>> = BTreeMap::new();
    let mut files = BTreeMap::new();
    let told = Query::all().event_type("OperatorAction").from(Seq::after(after));
    reader.events(told)?.for_each(|record| {
        let action = OperatorAction::decode(&record.payload).ok();
        if let Some(told) = action.as_ref().and_then(Told::of) {
            found.event.get_or_insert(record.seq.get());
            files.extend(told.files);
            for (seq, digest) in told.events {
                due.entry(Seq::new(seq).unwrap_or(Seq::FIRST)).or_default().insert(digest);
            }
        }
        Ok(true)
    })?;
    let mut events = BTreeSet::new();
    look(&reader, &due, &mut events)?;
    for archive in archives(&**storage)? {
        let rooted: Arc<dyn Storage> = Arc::new(Rooted::new(Arc::clone(storage), &archive));
        look(&Reader::open_on(rooted)?, &due, &mut events)?;
    }
    found.events = events.into_iter().collect();
    for (path, digest) in files {
        let is_there = storage.entry(&path).map_err(|error| Error::io(format_args!("cannot look at {path}"), error))?;
        // What was made anew under its name meanwhile is another file.
        if is_there.is_some() && digest_of_file(&**storage, &path)? == digest {
            found.files.push((path, digest));
        }
    }
    Ok(Some(found))
}

/// Payloads that are still what they were.
fn look(reader: &Reader, due: &BTreeMap<Seq, BTreeSet<String>>, found: &mut BTreeSet<u64>) -> Result<()> {
    let (Some((first, _)), Some((last, _))) = (due.first_key_value(), due.last_key_value()) else { return Ok(()) };
    reader.events(Query::all().from(*first).until(last.next()))?.for_each(|record| {
        let digests = due.get(&record.seq);
        if digests.is_some_and(|digests| digests.contains(blake3::hash(&record.payload).to_hex().as_str())) {
            found.insert(record.seq.get());
        }
        Ok(true)
    })
}

/// Behind which seq a redaction has begun that is not done; `None` where there is none. Of a note that can not be understood,
/// behind none: then all redactions are looked at.
fn begun_behind(storage: &dyn Storage) -> Result<Option<u64>> {
    let io_error = |error| Error::io(format_args!("cannot read {}", paths::REDACTING), error);
    let file = match storage.open(paths::REDACTING, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(io_error)?,
    };
    let mut bytes = [0; 256];
    let len = read_full_at(&*file, 0, &mut bytes).map_err(io_error)?;
    Ok(Some(serde_json::from_slice(&bytes[..len]).map_or(0, |note: Note| note.after)))
}

/// Says, durably, that a redaction begins.
pub(super) fn begin(storage: &dyn Storage, after: u64) -> Result<()> {
    let text = serde_json::to_vec(&Note { after })
        .map_err(|error| Error::new(ErrorKind::Invalid, "T0190", format!("the redaction can not be noted: {error}")))?;
    let io_error = |error| Error::io(format_args!("cannot write {}", paths::REDACTING), error);
    write_file(storage, paths::REDACTING_TEMPORARY, &text)?;
    storage.rename(paths::REDACTING_TEMPORARY, paths::REDACTING).map_err(io_error)?;
    storage.sync_dir("").map_err(io_error)
}
