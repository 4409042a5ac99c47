//! What a log holds, counted.

use crate::error::Result;
use crate::log::inspector::{Inspected, Inspector};
use crate::log::piece::{Piece, Severity};
use crate::storage::{Storage, StorageFile};
use crate::{Frame, Kind, RunOpened, Seq, TypeEntry, TypeRegistered, TypeTable};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Counts of some events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Bytes of their frames.
    pub frame_bytes: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// The first seq; 0 for none.
    pub first_seq: u64,
    /// The last seq; 0 for none.
    pub last_seq: u64,
    /// The lowest clock reading, ns since 1970; `None` without events.
    pub time_min_ns: Option<i64>,
    /// The highest clock reading, ns since 1970; `None` without events.
    pub time_max_ns: Option<i64>,
}

impl Counts {
    fn take(&mut self, frame: &Frame<'_>) {
        let header = &frame.header;
        self.events += 1;
        self.frame_bytes += header.frame_len();
        self.payload_bytes += u64::from(header.payload_len);
        self.last_seq = header.seq.get();
        if self.first_seq == 0 {
            self.first_seq = self.last_seq;
        }
        self.time_min_ns = Some(self.time_min_ns.map_or(header.time_ns, |time| time.min(header.time_ns)));
        self.time_max_ns = Some(self.time_max_ns.map_or(header.time_ns, |time| time.max(header.time_ns)));
    }
}

/// The events of one segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentStat {
    /// Its number.
    pub segment: u32,
    /// Length of its file.
    pub len_bytes: u64,
    /// Its events.
    #[serde(flatten)]
    pub counts: Counts,
}

/// The events of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeStat {
    /// Its name; `kind N` where the log does not tell.
    pub name: String,
    /// Its version; 0 for the log's own types.
    pub version: u16,
    /// Its events.
    #[serde(flatten)]
    pub counts: Counts,
}

/// The events of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunStat {
    /// Its number.
    pub run: u64,
    /// Its name; `None` where its opening is not here.
    pub name: Option<String>,
    /// Its revision.
    pub revision: u32,
    /// Its events.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What a store, or a lone segment, holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatReport {
    /// `taffrail.stat/1`.
    pub schema: &'static str,
    /// The log's id, 32 hexadecimal digits; `None` where nothing tells it.
    pub log_id: Option<String>,
    /// Its short form.
    pub short_id: Option<String>,
    /// All events.
    #[serde(flatten)]
    pub counts: Counts,
    /// Bytes of all segments' files, free space included.
    pub bytes_total: u64,
    /// Bytes that an event takes beyond its payload, on average over everything written but free space, rounded up.
    pub overhead_per_event_bytes: u64,
    /// The highest seq known to be durable; 0 for none.
    pub durable: u64,
    /// Segments, ascending.
    pub segments: Vec<SegmentStat>,
    /// Types, the most events first.
    pub types: Vec<TypeStat>,
    /// How many runs there are.
    pub runs: u64,
    /// The runs with the most events, at most as many as were asked for.
    pub top_runs: Vec<RunStat>,
    /// Events of the store, which belong to no run.
    pub store_events: u64,
    /// Events that are recorded as absent.
    pub absent: u64,
    /// Recorded absences: ranges.
    pub gaps: u64,
    /// Marks.
    pub marks: u64,
    /// Torn tails that have been cut.
    pub recoveries: u64,
    /// Stretches that can not be read, or bytes that should be zero. `verify` tells more.
    pub findings: u64,
    /// The worst of them.
    pub severity: Severity,
}

impl StatReport {
    /// The `schema` of the JSON object.
    pub const SCHEMA: &'static str = "taffrail.stat/1";
}

/// Counts what a store holds, reading only; damage is passed over, counted, and told by the severity. `top_runs` is how many runs to list.
///
/// # Errors
/// `NotFound` where there is no store; `Io`.
pub fn stat(storage: &dyn Storage, top_runs: usize) -> Result<StatReport> {
    Inspector::settled(storage, |inspector| count(inspector, top_runs))
}

/// Counts what one segment's file holds, away from its store.
///
/// # Errors
/// `Io`.
pub fn stat_lone(file: Arc<dyn StorageFile>, top_runs: usize) -> Result<StatReport> {
    Ok(count(&Inspector::lone(file)?, top_runs)?.0)
}

fn count(inspector: &Inspector<'_>, top_runs: usize) -> Result<(StatReport, Inspected)> {
    let mut counter = Counter::default();
    let inspected = inspector.walk(&mut |piece| {
        counter.take(piece);
        Ok(())
    })?;
    Ok((counter.finish(inspector, &inspected, top_runs), inspected))
}

/// Takes memory for each run, type and segment.
#[derive(Debug, Default)]
struct Counter {
    counts: Counts,
    written_bytes: u64,
    segments: Vec<SegmentStat>,
    types: BTreeMap<Kind, Counts>,
    table: TypeTable,
    runs: BTreeMap<Seq, RunStat>,
    absent: u64,
    gaps: u64,
    findings: u64,
    severity: Severity,
}

impl Counter {
    fn take(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Segment { name, len_bytes, .. } => {
                self.written_bytes += taffrail_log_format::layout::FIRST_FRAME.min(*len_bytes);
                let (segment, len_bytes) = (name.get(), *len_bytes);
                self.segments.push(SegmentStat { segment, len_bytes, counts: Counts::default() });
            }
            Piece::Frame(frame) => self.frame(frame),
            Piece::Gap(range) => {
                self.gaps += 1;
                self.absent = self.absent.saturating_add(range.last.get() - range.first.get() + 1);
            }
            Piece::Damage(damage) => {
                self.findings += 1;
                self.severity = self.severity.max(damage.severity);
            }
            Piece::Skimmed(_) | Piece::Tail(_) => {}
        }
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        let header = &frame.header;
        self.written_bytes += header.frame_len();
        match header.kind {
            // Tables only grow, so the longest one names everything.
            Kind::TYPE_TABLE => {
                let table = TypeTable::decode(&frame.payload()).unwrap_or_default();
                if table.len() >= self.table.len() {
                    self.table = table;
                }
            }
            Kind::TYPE_REGISTERED => {
                if let Ok(registered) = TypeRegistered::decode(&frame.payload()) {
                    let _known_already = self.table.register(registered);
                }
            }
            _ => {}
        }
        if !header.kind.takes_seq() {
            return;
        }
        self.counts.take(frame);
        self.types.entry(header.kind).or_default().take(frame);
        if let Some(segment) = self.segments.last_mut() {
            segment.counts.take(frame);
        }
        let Some(run) = header.run else { return };
        let state = self.runs.entry(run).or_insert_with(|| RunStat {
            run: run.get(),
            name: None,
            revision: 0,
            counts: Counts::default(),
        });
        state.counts.take(frame);
        state.revision = header.revision;
        if header.kind == Kind::RUN_OPENED {
            state.name = RunOpened::decode(&frame.payload()).ok().map(|opened| opened.name);
        }
    }

    fn finish(self, inspector: &Inspector<'_>, inspected: &Inspected, top_runs: usize) -> StatReport {
        let events_of = |kind: Kind| self.types.get(&kind).map_or(0, |counts| counts.events);
        let (marks, recoveries) = (events_of(Kind::MARK), events_of(Kind::RECOVERED));
        let name = |kind: Kind| {
            let row: Option<&TypeEntry> = self.table.get(kind);
            let name = row.map_or_else(|| kind.to_string(), TypeEntry::full_name);
            (name, row.map_or(0, |row| row.version))
        };
        let mut types: Vec<TypeStat> = self
            .types
            .iter()
            .map(|(kind, counts)| {
                let (name, version) = name(*kind);
                TypeStat { name, version, counts: *counts }
            })
            .collect();
        types.sort_by_key(|entry| std::cmp::Reverse(entry.counts.events));
        let runs = self.runs.len() as u64;
        let in_runs: u64 = self.runs.values().map(|run| run.counts.events).sum();
        let mut top: Vec<RunStat> = self.runs.into_values().collect();
        top.sort_by_key(|run| std::cmp::Reverse(run.counts.events));
        top.truncate(top_runs);
        let overhead = self.written_bytes.saturating_sub(self.counts.payload_bytes);
        StatReport {
            schema: StatReport::SCHEMA,
            log_id: inspector.survey.log_id.map(|log_id| log_id.to_string()),
            short_id: inspector.survey.log_id.map(crate::LogId::short),
            counts: self.counts,
            bytes_total: inspector.bytes_total(),
            overhead_per_event_bytes: if self.counts.events == 0 { 0 } else { overhead.div_ceil(self.counts.events) },
            durable: inspected.tail.as_ref().map_or(0, |tail| tail.durable).max(inspector.survey.at_least.durable),
            segments: self.segments,
            types,
            runs,
            top_runs: top,
            store_events: self.counts.events - in_runs,
            absent: self.absent,
            gaps: self.gaps,
            marks,
            recoveries,
            findings: self.findings,
            severity: self.severity,
        }
    }
}
