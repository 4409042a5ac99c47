//! Putting back what a compaction has taken out of the log: its originals, each by one rename.
//!
//! What they replace holds nothing that they do not hold, so nothing of it is kept.

use crate::error::{Error, Result};
use crate::log::archived::is_archive;
use crate::log::compact::archive::{self, exists};
use crate::log::compact::publish::Replacement;
use crate::log::compact::work::{self, Work};
use crate::log::inspector::Inspector;
use crate::log::piece::Piece;
use crate::log::quarantine::digest_of;
use crate::log::repair::{Restored, UndoPlan};
use crate::log::segment::Segment;
use crate::plan::{Applied, Authority, other_plan};
use crate::storage::{OpenMode, Rooted, Storage};
use crate::{ErrorKind, Journal, Reader, SegmentNumber, Seq};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The originals of the segments that a compaction has replaced, by what its operator event tells.
///
/// # Errors
/// `NotFound` (T0404) where an original is not there any more, `Rejected` (T0403) where it is not what was kept, or where
/// the segment has been rewritten since; `Io`.
pub(crate) fn restored(storage: &Arc<dyn Storage>, detail: &serde_json::Value) -> Result<Vec<Restored>> {
    let kept_in = detail["kept_in"].as_str().unwrap_or_default();
    if kept_in.is_empty() {
        let message = "what that compaction took out was dropped: no originals were kept";
        return Err(Error::new(ErrorKind::Rejected, "T0403", message));
    }
    let mut restored = Vec::new();
    for compacted in detail["compacted"].as_array().into_iter().flatten() {
        let numbers = |field: &str| -> Vec<u32> {
            let listed = compacted[field].as_array().into_iter().flatten();
            listed.filter_map(|number| number.as_u64().and_then(|number| u32::try_from(number).ok())).collect()
        };
        let (segments, generations) = (numbers("segments"), numbers("generations"));
        let segments: Vec<SegmentNumber> = segments.into_iter().filter_map(SegmentNumber::new).collect();
        let Some((segment, generation)) = segments.last().copied().zip(generations.last().copied()) else { continue };
        let present = match Segment::open(&**storage, segment, OpenMode::Read) {
            // Another compaction has put it together with others.
            Err(error) if error.is_absence() => return Err(rewritten(segment)),
            present => present?,
        };
        let first = segments.first().copied().unwrap_or(segment);
        let stands_for_all = present.header.covers_from <= first;
        if present.header.generation == generation && (stands_for_all == (first == segment)) {
            // An interruption came before this one was replaced, or it is back already.
            continue;
        }
        let is_its_own =
            is_archive(kept_in) && stands_for_all && present.gaps()?.ranges().iter().any(|gap| gap.kept_in == kept_in);
        if !is_its_own && is_archive(kept_in) && is_back(&**storage, kept_in, &present)? {
            continue;
        }
        if !is_its_own {
            return Err(rewritten(segment));
        }
        for number in &segments {
            let standing = (*number == segment).then_some(&present);
            restored.push(original(&**storage, kept_in, *number, standing)?);
        }
        let highest = generations.iter().max().copied().unwrap_or(generation);
        if present.header.generation != highest + 1 {
            check_rewritten_since(storage, kept_in, &segments, &present)?;
        }
    }
    Ok(restored)
}

fn rewritten(segment: SegmentNumber) -> Error {
    let message = format!("segment {segment} has been rewritten since: undo what did that first");
    Error::new(ErrorKind::Rejected, "T0403", message).segment(segment)
}

/// Whether what is in place is what the archive kept, or what a redaction has made of that.
fn is_back(storage: &dyn Storage, kept_in: &str, present: &Segment) -> Result<bool> {
    let len = present.file.len_bytes().map_err(|error| Error::io("cannot measure a segment", error))?;
    let digest = blake3::Hash::from(digest_of(&*present.file, 0..len)?).to_hex();
    Ok(archive::has_admitted(&archive::manifest(storage, kept_in)?, present.header.number, &digest))
}

/// What has rewritten a file since may have been a redaction: the archive's own were redacted with it, and to put those back
/// brings nothing to light. It may not have been anything that took events away or put more segments into the file, nor a
/// redaction that the archive was spared from. `segments` are those that `present` stands for.
fn check_rewritten_since(
    storage: &Arc<dyn Storage>,
    kept_in: &str,
    segments: &[SegmentNumber],
    present: &Segment,
) -> Result<()> {
    let segment = present.header.number;
    let archived = Rooted::new(Arc::clone(storage), kept_in);
    let (mut known, mut redacted) = (Vec::new(), BTreeSet::new());
    let mut covers_from = segment;
    for number in segments {
        let original = Segment::open(&archived, *number, OpenMode::Read)?;
        covers_from = covers_from.min(original.header.covers_from);
        known.extend_from_slice(original.gaps()?.ranges());
        redacted.append(&mut redacted_in(&original)?);
    }
    let is_known = |gap: &crate::GapRange| gap.kept_in == kept_in || known.contains(gap);
    if present.header.covers_from != covers_from || !present.gaps()?.ranges().iter().all(is_known) {
        return Err(rewritten(segment));
    }
    if !redacted.is_superset(&redacted_in(present)?) {
        let message = format!("events of segment {segment} are redacted, and those in {kept_in} are not");
        return Err(Error::new(ErrorKind::Rejected, "T0403", message).segment(segment));
    }
    Ok(())
}

/// The seqs of a segment's redacted events.
fn redacted_in(segment: &Segment) -> Result<BTreeSet<Seq>> {
    let mut redacted = BTreeSet::new();
    Inspector::lone(Arc::clone(&segment.file))?.walk(&mut |piece| {
        if let Piece::Frame(frame) = piece
            && frame.header.redacted
        {
            redacted.insert(frame.header.seq);
        }
        Ok(())
    })?;
    Ok(redacted)
}

/// What was kept of a segment. `present` is the file that stands for it, and for those before it, now.
fn original(
    storage: &dyn Storage,
    kept_in: &str,
    segment: SegmentNumber,
    present: Option<&Segment>,
) -> Result<Restored> {
    let from = archive::segment_in(kept_in, segment);
    if !exists(storage, &from)? {
        let message = format!("the original of segment {segment} is not in {kept_in}");
        return Err(Error::new(ErrorKind::NotFound, "T0404", message).segment(segment));
    }
    let io_error = |error| Error::io("cannot read the archive", error);
    let hexadecimal = |digest: [u8; 32]| blake3::Hash::from(digest).to_hex().to_string();
    let file = storage.open(&from, OpenMode::Read).map_err(io_error)?;
    let len_bytes = file.len_bytes().map_err(io_error)?;
    let digest = hexadecimal(digest_of(&*file, 0..len_bytes)?);
    let manifest = archive::manifest(storage, kept_in)?;
    if !archive::has_admitted(&manifest, segment, &digest) {
        let message = format!("{from} is not what was kept: its BLAKE3 is {digest}");
        return Err(Error::new(ErrorKind::Rejected, "T0403", message).segment(segment));
    }
    let replaces = match present {
        Some(present) => hexadecimal(digest_of(&*present.file, 0..present.file.len_bytes().map_err(io_error)?)?),
        None => String::new(),
    };
    Ok(Restored { segment: segment.get(), from, len_bytes, digest, replaces, is_sealed_anew: false })
}

/// Carries the undo of a compaction out. Safe to be interrupted anywhere: [`work`] tells how.
///
/// # Errors
/// `Rejected` where the store is no longer what was planned for; `Locked`, `Io`.
pub(crate) fn apply(plan: &UndoPlan, storage: &Arc<dyn Storage>, authority: &Authority) -> Result<Applied> {
    let alone = work::begin(storage, authority.lock_timeout_ms)?;
    let again = UndoPlan::make(storage, Seq::new(plan.event))?;
    if again.id != plan.id {
        return Err(other_plan(&plan.id, &again.id, "taffrail store undo"));
    }
    let directory = archive::free_directory(&**storage, &plan.id)?;
    let work = prepare(plan, storage, &directory).inspect_err(|_| {
        // Nothing refers to it yet; what can not be removed now is removed by whoever comes next.
        let _left_for_later = work::roll_back(storage, &directory);
    })?;
    let detail = serde_json::json!({
        "event": plan.event, "kept_in": "", "segments": plan.segments, "snapshots": plan.snapshots,
    });
    let told = Journal::options()
        .lock_timeout_ms(authority.lock_timeout_ms)
        .open_on(Arc::clone(storage))
        .and_then(|journal| authority.tell(journal, "undo", &plan.id, &detail));
    let event = told.inspect_err(|_| {
        let _left_for_later = work::settle(storage, authority.lock_timeout_ms);
    })?;
    work.carry_out(storage, &directory, authority.lock_timeout_ms, false)?;
    drop(alone);
    Ok(Applied { plan: plan.id.clone(), kept_in: None, event, lost: 0 })
}

fn prepare(plan: &UndoPlan, storage: &Arc<dyn Storage>, directory: &str) -> Result<Work> {
    archive::make_directories(&**storage, directory, false)?;
    let after = Reader::open_on(Arc::clone(storage))?.durable();
    let mut work = Work { plan: plan.id.clone(), after, ..Work::default() };
    let mut earlier = Vec::new();
    for restored in &plan.segments {
        if restored.replaces.is_empty() {
            // The next one that replaces something stands for it.
            earlier.push((restored.segment, restored.from.clone()));
            continue;
        }
        let Some(number) = SegmentNumber::new(restored.segment) else { continue };
        let present = Segment::open(&**storage, number, OpenMode::Read)?;
        let len = present.file.len_bytes().map_err(|error| Error::io("cannot measure a segment", error))?;
        let prepared = format!("{}/{}", archive::prepared(directory), number.file_name());
        if !archive::link(&**storage, &restored.from, &prepared)? {
            archive::copy(&**storage, &restored.from, &prepared)?;
        }
        let present = vec![(number.get(), present.header.generation, len)];
        let earlier = std::mem::take(&mut earlier);
        work.replacements.push(Replacement { prepared, present, earlier });
    }
    work.note(&**storage, directory)?;
    Ok(work)
}
