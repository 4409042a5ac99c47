//! What an import did, as data.

use crate::Error;
use serde::Serialize;
use std::collections::BTreeMap;

/// A trouble of the source. Reported always, recorded once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OddityLine {
    /// The run that it is in; `None` beside the runs.
    pub run: Option<String>,
    /// The file, as the source names it.
    pub file: String,
    /// The class, such as `wrong-checksum`.
    pub code: String,
    /// The particulars.
    pub reason: String,
    /// Whether this import has recorded it; false where an earlier one had.
    pub is_new: bool,
}

/// The oddities of an import: all of them counted, the first ones listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OddityReport {
    /// How many there are.
    pub count: u64,
    /// How many of them no earlier import had recorded.
    pub new: u64,
    /// How many there are of each class.
    pub by_code: BTreeMap<String, u64>,
    /// The first ones, at most [`OddityReport::MOST_LISTED`]; the log has them all.
    pub listed: Vec<OddityLine>,
}

impl OddityReport {
    /// Most oddities that a report lists.
    pub const MOST_LISTED: usize = 1000;

    pub(crate) fn add(&mut self, line: OddityLine) {
        self.count += 1;
        self.new += u64::from(line.is_new);
        *self.by_code.entry(line.code.clone()).or_default() += 1;
        if self.listed.len() < Self::MOST_LISTED {
            self.listed.push(line);
        }
    }
}

/// One run of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunLine {
    /// Its name in the store.
    pub name: String,
    /// Where the source has it.
    pub directory: String,
    /// Whether this import opened it.
    pub is_new: bool,
    /// Source events appended now.
    pub events_added: u64,
    /// Source events that earlier imports had appended.
    pub events_already_there: u64,
    /// Files kept as blobs now.
    pub files_kept: u64,
    /// Files that earlier imports had kept.
    pub files_already_there: u64,
    /// Oddities met.
    pub oddities: u64,
}

/// What an import did. Events and files count once they are durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// `taffrail.imported/1`
    pub schema: &'static str,
    /// What the source is.
    pub from: &'static str,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Runs looked into.
    pub runs_count: u64,
    /// Source events appended now.
    pub events_added: u64,
    /// Source events that were there.
    pub events_already_there: u64,
    /// Files kept as blobs now.
    pub files_kept: u64,
    /// Files that were there.
    pub files_already_there: u64,
    /// Bytes of events and files, new ones and others.
    pub bytes_read: u64,
    /// Places that were redacted before anything was written: in events, and in files that were kept.
    pub redacted: u64,
    /// Whether the store is now the same log again: same id, same seqs.
    pub restored: bool,
    /// What is to be known besides, in words.
    pub notes: Vec<String>,
    /// Troubles of the source.
    pub oddities: OddityReport,
    /// The runs, at most [`ImportReport::MOST_RUNS_LISTED`].
    pub runs: Vec<RunLine>,
}

impl ImportReport {
    /// Most runs that a report lists.
    pub const MOST_RUNS_LISTED: usize = 10_000;

    pub(crate) fn new(from: &'static str, dry_run: bool) -> ImportReport {
        ImportReport { schema: "taffrail.imported/1", from, dry_run, ..ImportReport::default() }
    }

    pub(crate) fn list_run(&mut self, line: RunLine) {
        self.runs_count += 1;
        if self.runs.len() < Self::MOST_RUNS_LISTED {
            self.runs.push(line);
        }
    }
}

/// An import that ended early. What the report counts is durable, and the same import run again goes on from there.
#[derive(Debug)]
pub struct ImportFailure {
    /// Why.
    pub error: Error,
    /// What was done before.
    pub report: Box<ImportReport>,
}

impl std::fmt::Display for ImportFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(formatter)
    }
}

impl std::error::Error for ImportFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Runs done.
    pub runs_done: u64,
    /// Runs there are; 0 where that is not known before the end.
    pub runs_total: u64,
    /// Events read.
    pub events: u64,
    /// Bytes read.
    pub bytes: u64,
}
