//! What `verify` tells. The command line's text and JSON are two renderings of these.

use crate::log::piece::{FindingKind, LikelyFlip, SeqRange, Severity, Tail};
use serde::Serialize;

/// How deep to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// Headers, footers, and the links between the segments; frames of the newest segment only.
    Chain,
    /// Every frame: its CRCs, its seq, its revision.
    Frames,
    /// Also the bodies of the log's own records, whether JSON payloads are JSON, the blobs that events name, and the snapshots.
    #[default]
    Decode,
}

/// What is to be said of one segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentVerdict {
    /// In order.
    Ok,
    /// In order but for bytes that never meant anything.
    Finding,
    /// Its end was never acknowledged.
    TornTail,
    /// Somebody is writing to it.
    InFlight,
    /// Damaged.
    Damaged,
    /// Needs a newer build.
    Incompatible,
    /// In order, but another segment than the file's name says.
    Misnamed,
    /// A segment of another log.
    Foreign,
    /// A second copy of a segment that is there under its own name.
    Duplicate,
    /// Another segment stands for its events.
    Superseded,
}

/// One segment's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentReport {
    /// The number in the file's name.
    pub segment: u32,
    /// The segment that is in it, by its header; `None` where that is unreadable.
    pub holds: Option<u32>,
    /// The verdict.
    pub verdict: SegmentVerdict,
    /// Good events.
    pub events: u64,
    /// Events that should be there: the good ones and the lost ones. In a file that is no segment of this log, those that are
    /// lost since the segment of its name is not there.
    pub events_expected: u64,
    /// The first seq; `None` where the header is unreadable.
    pub first_seq: Option<u64>,
    /// Length of the file.
    pub len_bytes: u64,
    /// How often it has been rewritten.
    pub generation: u32,
    /// Whether it ends with its seal.
    pub is_sealed: bool,
}

/// The name of a lost event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostEvent {
    /// Its seq.
    pub seq: u64,
    /// The number of its run; `None` for an event of the store.
    pub run: Option<u64>,
    /// The run's name, where that is known.
    pub run_name: Option<String>,
    /// Its revision; 0 without a run.
    pub revision: u32,
    /// The name of its type, where that is known.
    pub type_name: Option<String>,
    /// When it happened: raw clock, ns since 1970.
    pub time_ns: i64,
    /// Whether all this is only likely: it is read from a header with one bit flipped back.
    pub is_likely: bool,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// From 1, in the order of the log.
    pub number: u64,
    /// What kind of trouble.
    pub kind: FindingKind,
    /// How much it calls for action.
    pub severity: Severity,
    /// The number in the file's name; `None` for another file.
    pub segment: Option<u32>,
    /// The file, relative to the store.
    pub file: String,
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
    /// How many bytes.
    pub len_bytes: u64,
    /// What should have been there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// The seqs that are lost, ascending.
    pub lost: Vec<SeqRange>,
    /// The lost event, if it is one and its header tells; of a blob, the first event that names it.
    pub event: Option<LostEvent>,
    /// The likely cause, where it is one flipped bit; never applied by itself.
    pub likely_flip: Option<LikelyFlip>,
}

/// A run that has lost events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AffectedRun {
    /// Its number.
    pub run: u64,
    /// Its name, where that is known.
    pub name: Option<String>,
    /// Good events.
    pub events: u64,
    /// Events that are known to be lost: by their headers, or by the revisions that are missing.
    pub lost: u64,
}

/// A run that may have lost events: some are lost, and nothing in the log tells whose they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PossiblyAffectedRun {
    /// Its number.
    pub run: u64,
    /// Its name, where that is known.
    pub name: Option<String>,
    /// Good events.
    pub events: u64,
    /// How many of its events are lost if `runs.idx` is right, which is a hint. `None` where that does not tell.
    pub index_says_lost: Option<u64>,
}

/// The sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Events that should be there: the good ones and the lost ones. Recorded absences are not among them.
    pub events: u64,
    /// Events that are lost.
    pub lost: u64,
    /// Events that are absent, and recorded as such.
    pub absent: u64,
    /// Events that have another payload than they were appended with, and say so: they were redacted.
    pub redacted: u64,
    /// Bytes of segment files that have been looked at.
    pub bytes_checked: u64,
    /// Bytes of all segment files.
    pub bytes_total: u64,
}

/// What verifying a store, or a lone segment, has found.
///
/// A flipped bit in `LOCK` or in `runs.idx` is no finding: both are hints that are checked whenever they are used, and
/// thrown away if they are bad. The watermark is evidence, and a bad slot of it is a finding without loss. Something else
/// than a file in the place of one is a finding, whatever the file was for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// `taffrail.verify/1`.
    pub schema: &'static str,
    /// The log's id, 32 hexadecimal digits; `None` where nothing tells it.
    pub log_id: Option<String>,
    /// Its short form.
    pub short_id: Option<String>,
    /// The format version that the store is written in; `None` where no header is readable.
    pub format: Option<u16>,
    /// How deep the look was.
    pub depth: Depth,
    /// The lowest seq; 0 for none.
    pub first_seq: u64,
    /// The highest seq that is, or should be, there; 0 for none.
    pub last_seq: u64,
    /// The highest seq known to be durable; 0 for none.
    pub durable: u64,
    /// The segments' files, ascending by name.
    pub segments: Vec<SegmentReport>,
    /// The findings, in the order of the log.
    pub findings: Vec<Finding>,
    /// Findings beyond the most that are listed. The sums count them.
    pub findings_not_listed: u64,
    /// The seqs that are absent, and recorded as such, ascending.
    pub absences: Vec<SeqRange>,
    /// How the newest segment ends; `None` where it is missing.
    pub tail: Option<Tail>,
    /// Runs that have lost events, ascending by number.
    pub affected_runs: Vec<AffectedRun>,
    /// Runs that may have lost events, ascending by number; and runs that may have begun and ended among the lost events.
    pub possibly_affected_runs: Vec<PossiblyAffectedRun>,
    /// Lost events whose run nothing tells.
    pub lost_without_run: u64,
    /// Runs that have lost nothing: each later event of theirs follows on the one before, or a footer counts them.
    pub unaffected_runs: u64,
    /// Their events.
    pub unaffected_events: u64,
    /// The worst of the findings.
    pub severity: Severity,
    /// The sums, which end the JSON object: its last bytes tell the outcome, however many findings there are.
    pub totals: Totals,
}

impl VerifyReport {
    /// The `schema` of the JSON object.
    pub const SCHEMA: &'static str = "taffrail.verify/1";
    /// Most findings that are listed.
    pub const MOST_FINDINGS: usize = 10_000;

    /// How much of the segments' bytes has been looked at, in whole percent, rounded down.
    #[must_use]
    pub fn coverage_percent(&self) -> u64 {
        let total = u128::from(self.totals.bytes_total);
        let share = (u128::from(self.totals.bytes_checked) * 100).checked_div(total).unwrap_or(100);
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}
