//! What a compaction takes out of each segment, and of each run, in events and bytes.

use crate::compact::plan::{RunCompaction, RunStays, SegmentCompaction};
use crate::compact::survey::{Span, Survey};
use crate::error::Result;
use crate::log::compact::going::Going;
use crate::storage::{OpenMode, Storage};
use crate::{Listing, Segment, SegmentNumber, Seq};
use std::collections::{BTreeMap, BTreeSet};

/// The segments that lose events.
pub(super) fn segments(
    storage: &dyn Storage,
    listing: &Listing,
    survey: &Survey<'_>,
    going: &Going,
    last: Option<SegmentNumber>,
) -> Result<Vec<SegmentCompaction>> {
    let mut sums: BTreeMap<SegmentNumber, Span> = BTreeMap::new();
    for (segment, run) in survey.spans.keys() {
        if run.map_or(going.store.is_some(), |run| going.runs.contains_key(&run)) {
            sums.entry(*segment).or_default().add(survey.span(*segment, *run));
        }
    }
    let mut segments = Vec::new();
    for (number, len_bytes) in &listing.segments {
        let Some(sum) = sums.get(number).filter(|sum| sum.events > 0 && last.is_some_and(|last| *number <= last))
        else {
            continue;
        };
        let header = Segment::open(storage, *number, OpenMode::Read)?.header;
        segments.push(SegmentCompaction {
            segments: vec![number.get()],
            generations: vec![header.generation],
            lens_bytes: vec![*len_bytes],
            events: sum.events,
            bytes: sum.bytes,
            len_after_at_most_bytes: len_bytes - sum.bytes + sum.pieces * MOST_RECORD_LEN_BYTES + 64,
        });
    }
    Ok(segments)
}

/// Bytes that a record of absence takes at most: two seqs, a reason, a digest, and where the bytes are.
const MOST_RECORD_LEN_BYTES: u64 = 9 + 9 + 1 + 32 + 1 + 20;

pub(super) fn runs(
    survey: &Survey<'_>,
    going: &Going,
    covered: &BTreeSet<Seq>,
    last: Option<SegmentNumber>,
) -> Vec<RunCompaction> {
    let mut sums: BTreeMap<Seq, Span> = BTreeMap::new();
    for (segment, run) in survey.spans.keys().filter(|(segment, _)| last.is_some_and(|last| *segment <= last)) {
        let Some(run) = run.filter(|run| going.runs.contains_key(run)) else { continue };
        let span = survey.span(*segment, Some(run));
        sums.entry(run).or_default().add(span);
    }
    let of_run = |(run, sum): (Seq, Span)| {
        let seen = survey.runs.get(&run)?;
        Some(RunCompaction {
            run: run.get(),
            name: seen.name.clone(),
            revision: seen.revision,
            before: going.runs.get(&run)?.get(),
            events: sum.events,
            bytes: sum.bytes,
            is_covered: covered.contains(&run),
        })
    };
    sums.into_iter().filter(|(_, sum)| sum.events > 0).filter_map(of_run).collect()
}

/// The runs that may go, and of which there is nothing to take, each with the reason.
pub(super) fn unmoved(
    survey: &Survey<'_>,
    going: &Going,
    runs: &[RunCompaction],
    last: Option<SegmentNumber>,
) -> Vec<RunStays> {
    let moved: BTreeSet<u64> = runs.iter().map(|run| run.run).collect();
    let of_run = |(run, before): (&Seq, &Seq)| {
        let seen = survey.runs.get(run).filter(|_| !moved.contains(&run.get()))?;
        let why = match last {
            None => {
                "what could go of it lies in the newest segment, which is not compacted before it is full".to_owned()
            }
            Some(last) if seen.last_at > last => {
                format!("what could go of it lies behind segment {last}, the last one that can be compacted now")
            }
            Some(_) => format!("nothing of it before seq {before} is left in the log that could go"),
        };
        Some(RunStays { run: run.get(), name: seen.name.clone(), why })
    };
    going.runs.iter().filter_map(of_run).collect()
}
