//! What a compaction takes out of each segment, and of each run, in events and bytes.

use crate::compact::plan::{RunCompaction, RunStays, SegmentCompaction};
use crate::compact::survey::{Span, Survey};
use crate::error::Result;
use crate::log::compact::going::Going;
use crate::log::compact::rewrite::MOST_GAPS_LEN_BYTES;
use crate::storage::{OpenMode, Storage};
use crate::{Listing, Options, Segment, SegmentNumber, Seq};
use std::collections::{BTreeMap, BTreeSet};

/// The segments that lose events, with those beside them that are small: what follows each other and fits into one file
/// becomes one.
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
    let mut groups: Vec<Group> = Vec::new();
    let mut goes_on = false;
    for (number, len_bytes) in listing.segments.iter().filter(|(number, _)| last.is_some_and(|last| *number <= last)) {
        let sum = sums.get(number).copied().unwrap_or_default();
        if sum.events == 0 && *len_bytes > MOST_SMALL_LEN_BYTES {
            goes_on = false;
            continue;
        }
        let segment = Segment::open(storage, *number, OpenMode::Read)?;
        let member = Member::of(&segment, *len_bytes, sum)?;
        match groups.last_mut().filter(|group| goes_on && group.has_room_for(&member)) {
            Some(group) => group.members.push(member),
            None => groups.push(Group { members: vec![member] }),
        }
        goes_on = true;
    }
    // Moving what stays, and nothing else, is nobody's wish. And a segment that was sealed since must not make it another plan.
    for group in &mut groups {
        let last = group.members.iter().rposition(|member| member.sum.events > 0);
        group.members.truncate(last.map_or(0, |last| last + 1));
    }
    Ok(groups.into_iter().filter(|group| !group.members.is_empty()).map(Group::plan).collect())
}

/// Segments that follow each other and become one.
struct Group {
    members: Vec<Member>,
}

/// One of them.
struct Member {
    number: SegmentNumber,
    generation: u32,
    len_bytes: u64,
    /// What goes.
    sum: Span,
    /// Length of what stays of it, as a file, at most.
    len_after_bytes: u64,
    /// Length of its records of absence afterwards, at most.
    records_len_bytes: u64,
}

impl Member {
    fn of(segment: &Segment, len_bytes: u64, sum: Span) -> Result<Member> {
        let recorded = if segment.header.generation > 0 { segment.gaps()?.ranges().len() as u64 } else { 0 };
        Ok(Member {
            number: segment.header.number,
            generation: segment.header.generation,
            len_bytes,
            sum,
            len_after_bytes: len_bytes - sum.bytes + sum.pieces * MOST_RECORD_LEN_BYTES + 64,
            records_len_bytes: (recorded + sum.pieces) * MOST_RECORD_LEN_BYTES,
        })
    }
}

impl Group {
    fn len_after_bytes(&self) -> u64 {
        self.members.iter().map(|member| member.len_after_bytes).sum()
    }

    fn has_room_for(&self, member: &Member) -> bool {
        let records: u64 = self.members.iter().map(|member| member.records_len_bytes).sum();
        self.len_after_bytes() + member.len_after_bytes <= MOST_MERGED_LEN_BYTES
            && records + member.records_len_bytes <= MOST_RECORDS_LEN_BYTES
    }

    fn plan(self) -> SegmentCompaction {
        let of = |value: fn(&Member) -> u32| self.members.iter().map(value).collect();
        SegmentCompaction {
            segments: of(|member| member.number.get()),
            generations: of(|member| member.generation),
            lens_bytes: self.members.iter().map(|member| member.len_bytes).collect(),
            events: self.members.iter().map(|member| member.sum.events).sum(),
            bytes: self.members.iter().map(|member| member.sum.bytes).sum(),
            len_after_at_most_bytes: self.len_after_bytes(),
        }
    }
}

/// A file that stands for several is no longer than a writer makes one. What stays of it is held in memory meanwhile.
const MOST_MERGED_LEN_BYTES: u64 = Options::SEGMENT_LEN_BYTES;

/// A segment that loses nothing is moved only where that is little work, beside one that loses something.
const MOST_SMALL_LEN_BYTES: u64 = MOST_MERGED_LEN_BYTES / 4;

/// The records of absence of one segment have to fit into a frame.
const MOST_RECORDS_LEN_BYTES: u64 = MOST_GAPS_LEN_BYTES as u64 / 2;

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
        Some(RunStays { run: run.get(), name: seen.name.clone(), why, remedy: None })
    };
    going.runs.iter().filter_map(of_run).collect()
}
