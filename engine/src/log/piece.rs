//! What an inspection of a log finds, in the order of the bytes.

use crate::log::paths;
use crate::{DefectKind, Footer, Frame, GapRange, Header, SegmentHeader, SegmentNumber};
use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Range;

/// A stretch of a log.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A segment's file begins.
    Segment {
        /// The segment: the number in its header, as far as that is readable.
        number: SegmentNumber,
        /// The number in the file's name.
        name: SegmentNumber,
        /// Its header; `None` where both blocks are bad.
        header: Option<&'a SegmentHeader>,
        /// Length of the file.
        len_bytes: u64,
    },
    /// A good frame.
    Frame(&'a Frame<'a>),
    /// Events that are absent, and recorded as such.
    Gap(&'a GapRange),
    /// Something that is not as it should be.
    Damage(&'a Damage),
    /// The footer of a sealed segment whose frames are passed over.
    Skimmed(&'a Footer),
    /// How the newest segment ends.
    Tail(&'a Tail),
}

/// A range of seqs, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SeqRange {
    /// The first seq.
    pub first: u64,
    /// The last seq.
    pub last: u64,
}

impl SeqRange {
    /// How many seqs there are.
    #[must_use]
    pub fn count(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// The seqs from one on up to, but without, another; `None` if there are none.
    pub(crate) fn between(first: u64, end: u64) -> Option<SeqRange> {
        (first < end).then(|| SeqRange { first, last: end - 1 })
    }
}

/// What kind of finding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// A defect of the log.
    Defect(DefectKind),
    /// An append that was never acknowledged: normal after a crash.
    TornTail,
    /// Something else is in the place of a file or a directory of the store.
    WrongKind,
    /// An event names a blob that is not there.
    BlobMissing,
    /// A blob's content is not what its name says.
    BlobDigest,
    /// An event names a blob that a redaction has taken away.
    BlobRedacted,
    /// A snapshot is not whole.
    SnapshotSpoiled,
    /// A redaction is under way, or was stopped before it had done everything.
    RedactionUnfinished,
}

impl FindingKind {
    /// The name that reports and the manual use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::Defect(kind) => kind.name(),
            FindingKind::TornTail => "TORN_TAIL",
            FindingKind::WrongKind => "WRONG_KIND",
            FindingKind::BlobMissing => "BLOB_MISSING",
            FindingKind::BlobDigest => "BLOB_DIGEST",
            FindingKind::BlobRedacted => "BLOB_REDACTED",
            FindingKind::SnapshotSpoiled => "SNAPSHOT_SPOILED",
            FindingKind::RedactionUnfinished => "REDACTION_UNFINISHED",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How much a finding, or a whole store, calls for action. In ascending order; the command line's exit code follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing, or a spoiled byte that never meant anything: padding and free space. Exit code 0.
    #[default]
    Clean,
    /// Opening the store for writing would put it in order, and nothing that was acknowledged is lost. Exit code 3.
    TornTail,
    /// Something is damaged, events or what protects them. Exit code 4.
    Damaged,
    /// A newer build wrote it. Exit code 8.
    Incompatible,
}

/// The one bit whose flipping makes a piece good again: a likely cause, no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LikelyFlip {
    /// Byte offset in the file.
    pub offset: u64,
    /// The byte as it is.
    pub found: u8,
    /// The byte with the bit flipped back.
    pub restored: u8,
}

/// A stretch of bytes, or a file, that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What kind of trouble.
    pub kind: FindingKind,
    /// How much it calls for action.
    pub severity: Severity,
    /// The segment: the number in the file's name. `None` for another file.
    pub segment: Option<SegmentNumber>,
    /// Another file, relative to the store; empty for a segment.
    pub file: String,
    /// The bytes; empty where nothing is there.
    pub range: Range<u64>,
    /// What should have been there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Events that are lost by it, ascending.
    pub lost: Vec<SeqRange>,
    /// The header that belongs to the lost event or frame, where it is known.
    pub header: Option<Header>,
    /// Whether that header is only likely: it takes a flipped bit.
    pub is_likely: bool,
    /// The likely cause.
    pub likely: Option<LikelyFlip>,
}

impl Damage {
    pub(crate) fn new(kind: DefectKind, segment: Option<SegmentNumber>, range: Range<u64>) -> Damage {
        let severity = match kind {
            DefectKind::Padding | DefectKind::FreeSpace => Severity::Clean,
            DefectKind::NewerFormat | DefectKind::UnknownFlag => Severity::Incompatible,
            _ => Severity::Damaged,
        };
        Damage {
            kind: FindingKind::Defect(kind),
            severity,
            segment,
            file: if segment.is_none() { paths::WATERMARK.to_owned() } else { String::new() },
            range,
            expected: String::new(),
            found: String::new(),
            lost: Vec::new(),
            header: None,
            is_likely: false,
            likely: None,
        }
    }

    /// A finding about a file that is no segment.
    pub(crate) fn of_file(kind: FindingKind, severity: Severity, file: &str) -> Damage {
        let file = file.to_owned();
        Damage { kind, severity, file, ..Damage::new(DefectKind::Chain, None, 0..0) }
    }

    pub(crate) fn saying(mut self, expected: impl Into<String>, found: impl Into<String>) -> Damage {
        (self.expected, self.found) = (expected.into(), found.into());
        self
    }

    /// How many events are lost.
    #[must_use]
    pub fn lost_count(&self) -> u64 {
        self.lost.iter().fold(0, |sum: u64, range| sum.saturating_add(range.count()))
    }
}

/// How the newest segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TailVerdict {
    /// In order.
    End,
    /// With an append that was never acknowledged.
    Torn,
    /// With damage to what was acknowledged.
    Damaged,
    /// With rot in the last group, which may or may not have been acknowledged.
    Ambiguous,
    /// Somebody is writing: no verdict.
    InFlight,
}

/// The end of the newest segment, judged by the one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tail {
    /// The verdict.
    pub verdict: TailVerdict,
    /// The number of the segment.
    pub segment: u32,
    /// Where the events end.
    pub end: u64,
    /// Bytes behind that end up to the last one that is not zero: torn off, or in flight.
    pub len_bytes: u64,
    /// The highest seq known to be durable; 0 for none.
    pub durable: u64,
    /// Whether the segment is sealed: the next event begins another one.
    pub is_sealed: bool,
}

#[cfg(test)]
mod tests {
    use super::FindingKind;

    #[test]
    fn the_findings_that_are_no_defects_are_those_of_the_manual() {
        let page = include_str!("../../../docs/format.md");
        let (_, table) = page.split_once("<!-- table: findings -->\n").expect("the table");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let names: Vec<&str> = rows.filter_map(|row| row.split('|').nth(1)).map(str::trim).collect();
        let kinds = [
            FindingKind::TornTail,
            FindingKind::WrongKind,
            FindingKind::BlobMissing,
            FindingKind::BlobDigest,
            FindingKind::BlobRedacted,
            FindingKind::SnapshotSpoiled,
            FindingKind::RedactionUnfinished,
        ];
        // A kind that is added has to be named here, since this does not compile without it.
        for kind in kinds {
            match kind {
                FindingKind::Defect(_) => panic!("those have a table of their own"),
                FindingKind::TornTail
                | FindingKind::WrongKind
                | FindingKind::BlobMissing
                | FindingKind::BlobDigest
                | FindingKind::BlobRedacted
                | FindingKind::SnapshotSpoiled
                | FindingKind::RedactionUnfinished => assert!(names.contains(&kind.name()), "{kind}"),
            }
        }
        assert_eq!(names.len(), kinds.len());
    }
}
