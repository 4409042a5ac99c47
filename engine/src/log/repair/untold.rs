//! Repairs that the log does not tell of yet.
//!
//! A repair says in its quarantine, before it replaces the first segment, on whose word it is done. Whoever opens the store for
//! writing next, which may be the repair itself, appends the operator event: of what was replaced by then, and no more. So a
//! repair that is stopped in between is told all the same.

use crate::error::{Error, Result};
use crate::log::compact::archive::{remove_if_there, write_file};
use crate::log::cursor::Cursor;
use crate::log::listing::Listing;
use crate::log::paths;
use crate::log::quarantine::digest_of;
use crate::log::segment::Segment;
use crate::plan::{Authority, parse_digest};
use crate::storage::{EntryKind, OpenMode, Storage, read_full_at};
use crate::{ErrorKind, Kind, OperatorAction, SegmentNumber};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use taffrail_log_format::{DefectKind, Step, layout};

/// What an operator event calls it.
pub(super) const VERB: &str = "repair";
/// The file that says that a repair is not told.
const UNTOLD: &str = "untold.json";
/// Longest file of a quarantine that is read here.
const MOST_LEN_BYTES: u64 = 64 << 20;

/// On whose word a repair is done.
#[derive(Debug, Serialize, Deserialize)]
struct Word {
    reason: String,
    actor: String,
}

/// A repair that has something to tell.
#[derive(Clone, Debug)]
pub(crate) struct UntoldRepair {
    directory: String,
    /// What it has done; `None` where that is nothing, or told.
    pub(crate) action: Option<OperatorAction>,
}

impl UntoldRepair {
    /// The log tells of it now, durably.
    pub(crate) fn is_told(&self, storage: &dyn Storage) -> Result<()> {
        remove_if_there(storage, &format!("{}/{UNTOLD}", self.directory))
    }
}

/// Notes, durably, that a repair begins to replace segments.
pub(super) fn begin(storage: &dyn Storage, directory: &str, authority: &Authority) -> Result<()> {
    let word = Word { reason: authority.reason.clone(), actor: authority.actor.clone() };
    let text = serde_json::to_vec(&word)
        .map_err(|error| Error::new(ErrorKind::Invalid, "T0190", format!("the repair can not be noted: {error}")))?;
    write_file(storage, &format!("{directory}/{UNTOLD}"), &text)?;
    storage.sync_dir(directory).map_err(|error| Error::io(format_args!("cannot sync {directory}"), error))
}

/// Repairs that are not known to be told. The caller holds the lock, and the tail is in order.
pub(crate) fn untold(storage: &dyn Storage) -> Result<Vec<UntoldRepair>> {
    let listed = match storage.list(paths::QUARANTINE) {
        Ok(listed) => listed,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Vec::new(),
        Err(error) => return Err(Error::io(format_args!("cannot list {}", paths::QUARANTINE), error)),
    };
    let mut found = Vec::new();
    for entry in listed.iter().filter(|entry| entry.kind == EntryKind::Directory) {
        let directory = format!("{}/{}", paths::QUARANTINE, entry.name);
        if let Some(word) = read(storage, &format!("{directory}/{UNTOLD}"))? {
            // One that was not written to its end stands before anything was replaced.
            let word: Option<Word> = serde_json::from_value(word).ok();
            let action = word.map(|word| action(storage, &directory, word)).transpose()?.flatten();
            found.push(UntoldRepair { directory, action });
        }
    }
    Ok(found)
}

/// What a repair has done, by its manifest and by what is in the segments' places.
fn action(storage: &dyn Storage, directory: &str, word: Word) -> Result<Option<OperatorAction>> {
    let manifest = read(storage, &format!("{directory}/{}", paths::MANIFEST))?.unwrap_or_default();
    let Some(plan) = manifest["id"].as_str().and_then(parse_digest) else { return Ok(None) };
    let mut done = Vec::new();
    let mut has_replaced = false;
    for repair in manifest["segments"].as_array().into_iter().flatten() {
        let number = repair["segment"].as_u64().and_then(|number| u32::try_from(number).ok());
        let Some(number) = number.and_then(SegmentNumber::new) else { continue };
        // What is cut, opening the store cuts.
        let is_cut = repair["action"] == "cut";
        let is_replaced = match repair["action"].as_str() {
            Some("cut") => false,
            Some("rename") => is_at_home(storage, number, &manifest["log_id"])?,
            _ => is_replaced(storage, directory, number)?,
        };
        has_replaced |= is_replaced;
        done.extend((is_cut || is_replaced).then(|| repair.clone()));
    }
    if !has_replaced || is_in_the_log(storage, plan)? {
        return Ok(None);
    }
    let lost: u64 = done.iter().filter_map(|repair| repair["lost"].as_u64()).sum();
    let detail = serde_json::json!({
        "mode": manifest["mode"], "kept_in": directory, "lost": lost, "segments": done,
    });
    let Word { reason, actor } = word;
    Ok(Some(OperatorAction { verb: VERB.to_owned(), plan, reason, actor, detail: detail.to_string() }))
}

/// Whether a segment is another file than the original that was kept; or, where there was none to keep, the one that stands
/// for it.
fn is_replaced(storage: &dyn Storage, directory: &str, number: SegmentNumber) -> Result<bool> {
    let label = format!("segment-{:010}.", number.get());
    let listed = storage.list(directory).map_err(|error| Error::io(format_args!("cannot list {directory}"), error))?;
    let kept = listed.iter().find_map(|entry| entry.name.strip_prefix(&label)?.strip_suffix(".bin"));
    let name = paths::segment(number);
    let io_error = |error| Error::io(format_args!("cannot read {name}"), error);
    let present = match storage.open(&name, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(io_error)?,
    };
    let Some(kept) = kept else {
        let segment = Segment::open(storage, number, OpenMode::Read)?;
        // Where no event is lost it records none, but it never is as a writer begins one.
        let is_own = segment.gaps()?.ranges().iter().all(|gap| gap.kept_in == directory);
        return Ok(is_own && segment.header.generation > 0);
    };
    let len_bytes = present.len_bytes().map_err(io_error)?;
    Ok(!blake3::Hash::from(digest_of(&*present, 0..len_bytes)?).to_hex().starts_with(kept))
}

/// Whether a segment of this log is in the file of its name: where a repair gives it that name, it was not before.
fn is_at_home(storage: &dyn Storage, number: SegmentNumber, log_id: &serde_json::Value) -> Result<bool> {
    match Segment::open(storage, number, OpenMode::Read) {
        Ok(segment) => Ok(*log_id == segment.header.log_id.to_string()),
        Err(error) if error.is_absence() || error.kind() == ErrorKind::Damaged => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an operator event tells of a plan, and none of an undo of it: a repair that was undone finds the same plan again.
/// Damage is passed over.
fn is_in_the_log(storage: &dyn Storage, plan: [u8; 32]) -> Result<bool> {
    let (mut told, mut undone) = (BTreeSet::new(), BTreeSet::new());
    for (number, _) in &Listing::read(storage)?.segments {
        let Some(segment) = Segment::open_unless_damaged(storage, *number)? else { continue };
        let first = segment.header.first_seq;
        let mut cursor = Cursor::new(&segment, layout::FIRST_FRAME, Some(first));
        loop {
            let (kind, header) = match cursor.step()? {
                Step::Frame(frame) => {
                    if frame.header.kind == Kind::OPERATOR_ACTION
                        && let Ok(action) = OperatorAction::decode(&frame.payload())
                    {
                        told.extend((action.plan == plan && action.verb == VERB).then(|| frame.header.seq.get()));
                        undone.extend(undone_by(&action));
                    }
                    continue;
                }
                Step::Bad { defect, header } => (defect.kind, header),
                Step::Free => (DefectKind::HeaderCrc, None),
                Step::End | Step::NeedBytes(_) => break,
            };
            if !cursor.skip_bad(kind, header)? {
                break;
            }
        }
    }
    Ok(!told.is_subset(&undone))
}

/// The seq of the operator event whose work an operator event has undone.
pub(super) fn undone_by(action: &OperatorAction) -> Option<u64> {
    if action.verb != "undo" {
        return None;
    }
    let detail: serde_json::Value = serde_json::from_str(&action.detail).ok()?;
    detail["event"].as_u64()
}

/// A file of JSON; `None` where there is none, null where it is not JSON.
fn read(storage: &dyn Storage, name: &str) -> Result<Option<serde_json::Value>> {
    let io_error = |error| Error::io(format_args!("cannot read {name}"), error);
    let file = match storage.open(name, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(io_error)?,
    };
    let len = file.len_bytes().map_err(io_error)?.min(MOST_LEN_BYTES);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = read_full_at(&*file, 0, &mut bytes).map_err(io_error)?;
    Ok(Some(serde_json::from_slice(&bytes[..read]).unwrap_or_default()))
}
