use crate::error::{Error, Result};
use crate::fold::Snapshots;
use crate::log::compact::{undo, work};
use crate::log::inspector::Inspector;
use crate::log::listing::Listing;
use crate::log::lock::StoreLock;
use crate::log::paths;
use crate::log::piece::Piece;
use crate::log::quarantine::{digest_of, ensure_dir, keep};
use crate::log::recovery::distrust_cache;
use crate::log::repair::apply::remove_if_there;
use crate::log::repair::reseal::reseal;
use crate::log::repair::rewrite::copy_bytes;
use crate::log::segment::Segment;
use crate::plan::{Applied, Authority, other_plan, plan_id, plan_name};
use crate::storage::{OpenMode, Storage, StorageFile, read_full_at};
use crate::{ErrorKind, Journal, Kind, OperatorAction, SegmentNumber, Seq};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A segment's file that an undo puts back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The segment.
    pub segment: u32,
    /// The original, relative to the store.
    pub from: String,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// BLAKE3 of the original, in hexadecimal.
    pub digest: String,
    /// BLAKE3 of the file that it replaces, in hexadecimal; empty where that is not there any more.
    pub replaces: String,
    /// Whether it was the newest one when it was repaired: it comes back with an end, since events follow it now.
    pub is_sealed_anew: bool,
}

/// A segment that was not there, and will not be there again: what records its absence is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingAgain {
    /// The segment.
    pub segment: u32,
    /// BLAKE3 of the file that is removed, in hexadecimal.
    pub digest: String,
}

/// A snapshot's file that an undo puts back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoredSnapshot {
    /// The file, relative to the store.
    pub file: String,
    /// What was kept of it, relative to the store.
    pub from: String,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub digest: String,
}

/// What putting back what a repair or a compaction replaced, or what was dropped, would do. Made by reading only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UndoPlan {
    /// BLAKE3 over the plan, in hexadecimal; the first six digits are its name.
    pub id: String,
    /// Seq of the operator event that is undone.
    pub event: u64,
    /// What it tells of: `repair`, `drop` or `compact`.
    pub verb: String,
    /// The plan that it had carried out.
    pub undoes: String,
    /// Where its originals are.
    pub kept_in: String,
    /// The segments that are put back.
    pub segments: Vec<Restored>,
    /// The segments that were not there, and will not be there again.
    pub missing: Vec<MissingAgain>,
    /// The snapshots that are put back.
    pub snapshots: Vec<RestoredSnapshot>,
}

/// The verb of compactions.
const COMPACT: &str = "compact";

/// Shows the plan.
const COMMAND: &str = "taffrail store undo";

impl UndoPlan {
    /// Plans the undo of a repair, of a compaction, or of a drop: of the operator event with this seq, or of the last one.
    ///
    /// # Errors
    /// `NotFound` where there is nothing to undo; `Rejected` where that event can not be undone; as reading.
    pub fn make(storage: &Arc<dyn Storage>, event: Option<Seq>) -> Result<UndoPlan> {
        let (seq, action) = find(&**storage, event)?;
        let detail: serde_json::Value = serde_json::from_str(&action.detail).unwrap_or_default();
        let kept_in = detail["kept_in"].as_str().unwrap_or_default().to_owned();
        let mut segments = if action.verb == COMPACT { undo::restored(storage, &detail)? } else { Vec::new() };
        let mut missing = Vec::new();
        for repair in detail["segments"].as_array().into_iter().flatten() {
            let number = repair["segment"].as_u64().and_then(|number| u32::try_from(number).ok());
            let Some(number) = number.and_then(SegmentNumber::new) else { continue };
            match repair["action"].as_str() {
                Some("rewrite") => {
                    let was_newest = repair["is_newest"] == true;
                    segments.push(restored(&**storage, &kept_in, number, was_newest)?);
                }
                Some("replace") => missing.push(missing_again(&**storage, &kept_in, number)?),
                _ => {}
            }
        }
        let dropped = detail["snapshots"].as_array().into_iter().flatten();
        let snapshots = dropped.map(|told| restored_snapshot(&**storage, told)).collect::<Result<Vec<_>>>()?;
        if segments.is_empty() && action.verb == COMPACT && work::is_unfinished(&**storage)? {
            let message = format!("what event {seq} tells of was interrupted, and is not finished");
            let hint = "taffrail log compact";
            return Err(Error::new(ErrorKind::Rejected, "T0412", message).hint(hint).seq(seq.get()));
        }
        if segments.is_empty() && missing.is_empty() && snapshots.is_empty() {
            let message = format!("what event {seq} did can not be undone: it replaced nothing");
            return Err(Error::new(ErrorKind::Rejected, "T0403", message).seq(seq.get()));
        }
        let undoes = blake3::Hash::from(action.plan).to_hex().to_string();
        let verb = action.verb;
        let (id, event) = (String::new(), seq.get());
        let mut plan = UndoPlan { id, event, verb, undoes, kept_in, segments, missing, snapshots };
        plan.id = plan_id(&plan)?;
        Ok(plan)
    }

    /// The short name: the first six digits of the id.
    #[must_use]
    pub fn name(&self) -> &str {
        plan_name(&self.id)
    }

    /// Puts the originals back. What they replace goes to quarantine in its turn, but for what a compaction has left: that is
    /// all in the originals.
    ///
    /// # Errors
    /// `Rejected` where the store is no longer what was planned for; `Locked`, `Io`.
    pub fn apply(&self, storage: &Arc<dyn Storage>, authority: &Authority) -> Result<Applied> {
        authority.covers(&self.id, 0, COMMAND)?;
        if self.verb == COMPACT {
            return undo::apply(self, storage, authority);
        }
        let directory = format!("{}/{}", paths::QUARANTINE, self.name());
        for snapshot in &self.snapshots {
            let bytes = snapshot.read(&**storage)?;
            Snapshots::new(Arc::clone(storage)).put_back(&snapshot.file, &bytes)?;
        }
        // The event goes in first: once the damage is back, a damaged newest segment would refuse it.
        let event = self.tell(storage, authority, &directory)?;
        let mut lock = StoreLock::open(Arc::clone(storage))?;
        lock.acquire(authority.lock_timeout_ms)?;
        distrust_cache(&**storage)?;
        lock.mark_held()?;
        ensure_dir(&**storage, paths::QUARANTINE)?;
        ensure_dir(&**storage, &directory)?;
        for restored in &self.segments {
            restored.put_back(&**storage, &directory)?;
        }
        for missing in &self.missing {
            missing.take_away(&**storage, &directory)?;
        }
        remove_if_there(&**storage, paths::RUNS_INDEX)?;
        Ok(Applied { plan: self.id.clone(), kept_in: Some(directory), event, lost: 0 })
    }

    fn tell(&self, storage: &Arc<dyn Storage>, authority: &Authority, directory: &str) -> Result<u64> {
        let journal = Journal::options().lock_timeout_ms(authority.lock_timeout_ms).open_on(Arc::clone(storage))?;
        let again = UndoPlan::make(storage, Seq::new(self.event))?;
        if again.id != self.id {
            return Err(other_plan(&self.id, &again.id, COMMAND));
        }
        let detail = serde_json::json!({
            "event": self.event, "kept_in": directory, "segments": self.segments, "missing": self.missing,
            "snapshots": self.snapshots,
        });
        authority.tell(journal, "undo", &self.id, &detail)
    }
}

impl RestoredSnapshot {
    fn read(&self, storage: &dyn Storage) -> Result<Vec<u8>> {
        let io_error = |error| Error::io("cannot read the quarantine", error);
        let mut bytes = vec![0; usize::try_from(self.len_bytes).unwrap_or(usize::MAX)];
        let read = storage.open(&self.from, OpenMode::Read).and_then(|file| read_full_at(&*file, 0, &mut bytes));
        bytes.truncate(read.map_err(io_error)?);
        Ok(bytes)
    }
}

/// What the log says of a dropped file, held against what is in the quarantine.
fn restored_snapshot(storage: &dyn Storage, told: &serde_json::Value) -> Result<RestoredSnapshot> {
    let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    let (file, from) = (text("file"), text("kept_as"));
    let spoiled = |why: &str| Error::new(ErrorKind::NotFound, "T0404", format!("{file} can not be put back: {why}"));
    if !Snapshots::is_file_name(&file) || !from.starts_with(paths::QUARANTINE) {
        return Err(spoiled("the event that tells of it names other files"));
    }
    let kept = storage.open(&from, OpenMode::Read).map_err(|error| spoiled(&format!("{from}: {error}")))?;
    let len_bytes = kept.len_bytes().map_err(|error| Error::io("cannot read the quarantine", error))?;
    let digest = blake3::Hash::from(digest_of(&*kept, 0..len_bytes)?).to_hex().to_string();
    if digest != text("digest") {
        return Err(spoiled(&format!("{from} is not what was kept")));
    }
    Ok(RestoredSnapshot { file, from, len_bytes, digest })
}

impl Restored {
    fn put_back(&self, storage: &dyn Storage, directory: &str) -> Result<()> {
        let io_error = |error| Error::io("cannot put a segment back", error);
        let Some(number) = SegmentNumber::new(self.segment) else { return Ok(()) };
        if let Some(present) = present(storage, number)? {
            let len = present.len_bytes().map_err(io_error)?;
            keep(storage, directory, &format!("segment-{:010}", number.get()), &*present, 0..len)?;
        }
        let original: Arc<dyn StorageFile> = storage.open(&self.from, OpenMode::Read).map_err(io_error)?.into();
        let temporary = paths::segment_temporary(number);
        let _nothing_there = storage.remove(&temporary);
        let file = storage.open(&temporary, OpenMode::CreateNew).map_err(io_error)?;
        match self.is_sealed_anew {
            false => copy_bytes(&*original, &*file, 0..self.len_bytes).map_err(io_error)?,
            true => {
                let present = Segment::open(storage, number, OpenMode::Read)?;
                let next = Listing::read(storage)?.after(number).ok_or_else(|| in_the_way(number))?;
                reseal(&original, &*file, &present, &Segment::open(storage, next, OpenMode::Read)?)?;
            }
        }
        file.sync_all()
            .and_then(|()| storage.rename(&temporary, &paths::segment(number)))
            .and_then(|()| storage.sync_dir(paths::SEGMENTS))
            .map_err(io_error)
    }
}

impl MissingAgain {
    fn take_away(&self, storage: &dyn Storage, directory: &str) -> Result<()> {
        let Some(number) = SegmentNumber::new(self.segment) else { return Ok(()) };
        let Some(present) = present(storage, number)? else { return Ok(()) };
        let len = present.len_bytes().map_err(|error| Error::io("cannot measure a segment", error).segment(number))?;
        keep(storage, directory, &format!("segment-{:010}", number.get()), &*present, 0..len)?;
        remove_if_there(storage, &paths::segment(number))?;
        storage.sync_dir(paths::SEGMENTS).map_err(|error| Error::io("cannot sync the segments", error))
    }
}

/// The operator event to undo: the one asked for, or the last one that has not been undone. Read over damage: what an undo
/// would put back is often wanted because something else is damaged as well.
fn find(storage: &dyn Storage, event: Option<Seq>) -> Result<(Seq, OperatorAction)> {
    let mut undone: BTreeMap<u64, (Seq, serde_json::Value)> = BTreeMap::new();
    let mut repairs = Vec::new();
    Inspector::open(storage)?.walk(&mut |piece| {
        let Piece::Frame(frame) = piece else { return Ok(()) };
        if frame.header.kind != Kind::OPERATOR_ACTION {
            return Ok(());
        }
        let Ok(action) = OperatorAction::decode(&frame.payload()) else { return Ok(()) };
        let detail: serde_json::Value = serde_json::from_str(&action.detail).unwrap_or_default();
        let is_asked_for = event == Some(frame.header.seq);
        match action.verb.as_str() {
            "undo" => {
                let of = detail["event"].as_u64();
                undone.extend(of.map(|of| (of, (frame.header.seq, detail))));
            }
            "repair" | "drop" | COMPACT if is_asked_for || event.is_none() => repairs.push((frame.header.seq, action)),
            "rewind" | "close" if is_asked_for => return Err(of_a_run(frame.header.seq, &action, &detail)),
            _ => {}
        }
        Ok(())
    })?;
    while let Some((seq, action)) = repairs.pop() {
        match undone.get(&seq.get()) {
            Some((by, detail)) if action.verb == COMPACT || has_put_back(storage, detail)? => {
                if event.is_some() {
                    let message = format!("what event {seq} tells of was undone: event {by} tells of that");
                    return Err(Error::new(ErrorKind::Rejected, "T0403", message).seq(seq.get()));
                }
            }
            _ => return Ok((seq, action)),
        }
    }
    Err(Error::new(ErrorKind::NotFound, "T0404", "there is no repair, no drop and no compaction to undo"))
}

/// Whether an undo was not stopped behind the event that tells of it: no file is still there that it was to replace.
fn has_put_back(storage: &dyn Storage, detail: &serde_json::Value) -> Result<bool> {
    let of = |key: &str| detail[key].as_array().cloned().unwrap_or_default().into_iter();
    let replaced = of("segments").map(|segment| (segment["segment"].as_u64(), segment["replaces"].clone()));
    let removed = of("missing").map(|segment| (segment["segment"].as_u64(), segment["digest"].clone()));
    for (number, digest) in replaced.chain(removed) {
        let number = number.and_then(|number| SegmentNumber::new(u32::try_from(number).ok()?));
        let Some(file) = number.map(|number| present(storage, number)).transpose()?.flatten() else { continue };
        let io_error = |error| Error::io("cannot measure a segment", error);
        let found = digest_of(&*file, 0..file.len_bytes().map_err(io_error)?)?;
        if digest == blake3::Hash::from(found).to_hex().as_str() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What was done to a run's history is undone by another command.
fn of_a_run(seq: Seq, action: &OperatorAction, detail: &serde_json::Value) -> Error {
    let run = detail["run"].as_str().unwrap_or_default();
    let message = format!("event {seq} tells of a {} of run {run}, which changed no file", action.verb);
    let word = crate::run::quoted(run);
    Error::new(ErrorKind::Rejected, "T0403", message).hint(format!("taffrail run undo {word}")).seq(seq.get())
}

/// The segment's file as it is; `None` where it is not there.
fn present(storage: &dyn Storage, number: SegmentNumber) -> Result<Option<Box<dyn StorageFile>>> {
    match storage.open(&paths::segment(number), OpenMode::Read) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("cannot open the segment that is to be replaced", error).segment(number)),
    }
}

/// A segment that is not what the repair has made of it, since it was put together with others.
fn in_the_way(number: SegmentNumber) -> Error {
    let message = format!("segment {number} has been rewritten since: undo what did that first");
    Error::new(ErrorKind::Rejected, "T0403", message).segment(number)
}

/// What records the absence of a segment that a repair had not found.
fn missing_again(storage: &dyn Storage, kept_in: &str, number: SegmentNumber) -> Result<MissingAgain> {
    if present(storage, number)?.is_none() {
        return Err(in_the_way(number));
    }
    let segment = Segment::open(storage, number, OpenMode::Read)?;
    let is_its_own = |gap: &crate::GapRange| gap.kept_in == kept_in;
    if segment.header.generation == 0 || !segment.gaps()?.ranges().iter().all(is_its_own) {
        return Err(in_the_way(number));
    }
    let len = segment.file.len_bytes().map_err(|error| Error::io("cannot measure a segment", error).segment(number))?;
    let digest = blake3::Hash::from(digest_of(&*segment.file, 0..len)?).to_hex().to_string();
    Ok(MissingAgain { segment: number.get(), digest })
}

/// Whether another segment stands for this one: then it has been put together with others since.
fn is_put_together(storage: &dyn Storage, number: SegmentNumber) -> Result<bool> {
    let Some(standing) = Listing::read(storage)?.standing_for(number) else { return Ok(false) };
    let standing_for = Segment::open_unless_damaged(storage, standing)?;
    Ok(standing_for.is_some_and(|segment| segment.header.covers_from <= number && standing != number))
}

fn restored(storage: &dyn Storage, kept_in: &str, number: SegmentNumber, was_newest: bool) -> Result<Restored> {
    if is_put_together(storage, number)? {
        return Err(in_the_way(number));
    }
    let io_error = |error| Error::io("cannot read the quarantine", error);
    let prefix = format!("segment-{:010}.", number.get());
    let entries = storage.list(kept_in).map_err(io_error)?;
    let entry = entries.into_iter().find(|entry| entry.name.starts_with(&prefix)).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "T0404", format!("the original of segment {number} is not in {kept_in}"))
    })?;
    let from = format!("{kept_in}/{}", entry.name);
    let original = storage.open(&from, OpenMode::Read).map_err(io_error)?;
    let present = present(storage, number)?;
    let hexadecimal = |digest: [u8; 32]| blake3::Hash::from(digest).to_hex().to_string();
    let digest = hexadecimal(digest_of(&*original, 0..entry.len_bytes)?);
    // The name of what was kept is made from its digest.
    let named = entry.name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".bin")).unwrap_or_default();
    if named.is_empty() || !digest.starts_with(named) {
        let message = format!("{from} is not what was kept: its BLAKE3 is {digest}");
        return Err(Error::new(ErrorKind::Rejected, "T0403", message).segment(number));
    }
    let replaces = match present {
        Some(file) => hexadecimal(digest_of(&*file, 0..file.len_bytes().map_err(io_error)?)?),
        None => String::new(),
    };
    let is_sealed_anew = was_newest && !is_sealed(original.into())?;
    Ok(Restored { segment: number.get(), digest, replaces, from, len_bytes: entry.len_bytes, is_sealed_anew })
}

/// Whether a segment's file ends with a footer and a seal.
fn is_sealed(file: Arc<dyn StorageFile>) -> Result<bool> {
    match Segment::read_any(file).and_then(|segment| segment.footer()) {
        Ok(footer) => Ok(footer.is_some()),
        Err(error) if error.kind() == ErrorKind::Io => Err(error),
        Err(_) => Ok(false),
    }
}
