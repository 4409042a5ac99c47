//! Snapshots, while a log is verified: whether each is whole, and whether one that is not can be made anew.
//!
//! It can as long as the events are there that its state was folded from. Where a compaction has taken those away and keeps
//! them nowhere, a snapshot is all that is left of them.

use crate::error::Result;
use crate::fold::snapshot_list::list;
use crate::fold::snapshot_name::parse_file_name;
use crate::log::archived::archive_of;
use crate::log::inspector::Inspector;
use crate::log::paths;
use crate::log::piece::{Damage, FindingKind, Piece, Severity};
use crate::storage::Storage;
use crate::{GapReason, Seq};
use std::collections::{BTreeMap, BTreeSet};

/// Looks at all snapshots. One that is not whole is a finding without loss, unless it can not be made anew.
///
/// # Errors
/// `Io`.
pub(crate) fn look(storage: &dyn Storage) -> Result<Vec<Damage>> {
    let findings = list(storage)?.findings;
    let files = findings.iter().map(|finding| finding.file.clone()).collect();
    let needed = needed(storage, &files)?;
    let damage = findings.into_iter().map(|finding| {
        let (severity, expected) = match needed.contains(&finding.file) {
            true => (Severity::Damaged, "a snapshot, which is all that is left of events that were compacted away"),
            false => (Severity::Clean, "a snapshot, which can be made anew"),
        };
        Damage::of_file(FindingKind::SnapshotSpoiled, severity, &finding.file).saying(expected, finding.why)
    });
    Ok(damage.collect())
}

/// Which of these snapshots could not be made anew, if they were gone.
///
/// # Errors
/// `Io`.
pub(crate) fn needed(storage: &dyn Storage, files: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    if files.is_empty() {
        return Ok(BTreeSet::new());
    }
    let gaps = compacted_away(storage)?;
    let good = list(storage)?.snapshots;
    let mut doubtful = Vec::new();
    for file in files {
        let Some((directory, name)) = file.rsplit_once('/') else { continue };
        let Some((seq, run)) = parse_file_name(name) else { continue };
        let Some(last) = gaps.iter().filter(|(first, _)| *first <= seq).map(|(_, last)| *last).max() else { continue };
        // Another one that has seen them does as well.
        let does = |other: &crate::fold::Snapshot| {
            let same = other.file.rsplit_once('/').is_some_and(|(of, _)| of == directory) && other.head.run == run;
            same && other.head.seq >= last.min(seq) && !files.contains(&other.file)
        };
        if !good.iter().any(does) {
            doubtful.push((file, seq, run));
        }
    }
    if doubtful.is_empty() {
        return Ok(BTreeSet::new());
    }
    // Of a run, all events may still be there: by run, how many are up to a seq, and the revision of the last one.
    let mut seen: BTreeMap<(Seq, Seq), (u64, u32)> = BTreeMap::new();
    for (_, seq, run) in &doubtful {
        if let Some(run) = run {
            seen.insert((*run, *seq), (0, 0));
        }
    }
    Inspector::open(storage)?.walk(&mut |piece| {
        if let Piece::Frame(frame) = piece
            && let Some(run) = frame.header.run
        {
            for (_, seen) in seen.range_mut((run, frame.header.seq)..).take_while(|((of, _), _)| *of == run) {
                *seen = (seen.0 + 1, frame.header.revision);
            }
        }
        Ok(())
    })?;
    let is_lost = |(seq, run): (Seq, Option<Seq>)| {
        let counted = run.and_then(|run| seen.get(&(run, seq)));
        counted.is_none_or(|(events, revision)| *events < u64::from(*revision))
    };
    let lost = doubtful.into_iter().filter(|(_, seq, run)| is_lost((*seq, *run)));
    Ok(lost.map(|(file, ..)| file.clone()).collect())
}

/// The ranges that compactions have taken away, and that no archive beside the log has.
fn compacted_away(storage: &dyn Storage) -> Result<Vec<(Seq, Seq)>> {
    let mut gaps = Vec::new();
    Inspector::open(storage)?.walk(&mut |piece| {
        if let Piece::Gap(gap) = piece
            && gap.reason == GapReason::Compacted
        {
            let manifest = archive_of(gap).map(|archive| format!("{archive}/{}", paths::MANIFEST));
            let is_kept = manifest.is_some_and(|name| storage.entry(&name).is_ok_and(|entry| entry.is_some()));
            gaps.extend((!is_kept).then_some((gap.first, gap.last)));
        }
        Ok(())
    })?;
    Ok(gaps)
}
