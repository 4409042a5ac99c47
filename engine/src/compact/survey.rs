//! What a compaction has to know of a log, from one pass over it.

use crate::compact::plan::StoreStays;
use crate::error::Result;
use crate::fold::Pass;
use crate::log::compact::going::{Going, stays_always};
use crate::{Kind, Record, RunOpened, SegmentNumber, Seq};
use std::collections::{BTreeMap, BTreeSet};

/// A run.
#[derive(Clone, Debug)]
pub(super) struct RunSeen {
    pub(super) name: Option<String>,
    pub(super) revision: u32,
    pub(super) last: Seq,
    pub(super) last_time_ns: i64,
    /// Types of its events that no fold of the program reads, and that are no hints.
    pub(super) foreign: BTreeSet<Kind>,
    /// Where its last event lies, and how much it was counted for.
    pub(super) last_at: SegmentNumber,
    last_counted_bytes: u64,
}

/// Events of a run (`None`: of the store) in one segment that may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// In how many pieces they lie, at most.
    pub(super) pieces: u64,
}

impl Span {
    pub(super) fn add(&mut self, other: Span) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.pieces += other.pieces;
    }
}

/// Whether any fold reads events of a type; or, of the store's own events, any fold of the store.
type Reads<'a> = Box<dyn Fn(&crate::TypeEntry, bool) -> bool + 'a>;

/// See the module. Takes memory for each run of each segment.
pub(super) struct Survey<'a> {
    /// What may go at most.
    limits: Limits,
    /// Whether some fold of the program reads a type; of the store's events, if that is said.
    reads: Reads<'a>,
    known: BTreeMap<(Kind, bool), bool>,
    /// Whether what goes is gone.
    drops: bool,
    /// Events of the store that may not be dropped: by type.
    pub(super) foreign_of_store: BTreeMap<Kind, StoreStays>,
    /// Only up to this segment.
    through: Option<SegmentNumber>,
    pub(super) runs: BTreeMap<Seq, RunSeen>,
    pub(super) spans: BTreeMap<(SegmentNumber, Option<Seq>), Span>,
    previous: Option<(SegmentNumber, Option<Seq>, Seq)>,
    /// The last event that was seen.
    pub(super) last: Option<Seq>,
    pub(super) bytes: u64,
    progress: &'a mut dyn FnMut(u64),
    told: u64,
}

/// What may go at most.
pub(super) enum Limits {
    /// What these say.
    Known(Going),
    /// Anything of any run, but for some types; which runs is known at the end.
    AllRuns(BTreeSet<Kind>),
}

impl<'a> Survey<'a> {
    pub(super) fn new(
        limits: Limits,
        through: Option<SegmentNumber>,
        drops: bool,
        reads: impl Fn(&crate::TypeEntry, bool) -> bool + 'a,
        progress: &'a mut dyn FnMut(u64),
    ) -> Survey<'a> {
        Survey {
            limits,
            reads: Box::new(reads),
            known: BTreeMap::new(),
            drops,
            foreign_of_store: BTreeMap::new(),
            through,
            runs: BTreeMap::new(),
            spans: BTreeMap::new(),
            previous: None,
            last: None,
            bytes: 0,
            progress,
            told: 0,
        }
    }

    /// What may go of the runs that do: of each, the last event stays.
    pub(super) fn span(&self, segment: SegmentNumber, run: Option<Seq>) -> Span {
        let mut span = self.spans.get(&(segment, run)).copied().unwrap_or_default();
        let tip = run.and_then(|run| self.runs.get(&run)).filter(|seen| seen.last_at == segment);
        if let Some(tip) = tip.filter(|tip| tip.last_counted_bytes > 0) {
            span.events -= 1;
            span.bytes -= tip.last_counted_bytes;
        }
        span
    }

    /// Counts an event that may go; gives its length, or 0.
    fn count(&mut self, record: &Record<'_>) -> u64 {
        let may_go = match &self.limits {
            Limits::Known(going) => going.takes_event(record.kind, record.run, record.seq),
            Limits::AllRuns(stays) => {
                let stays = stays_always(record.kind) || stays.contains(&record.kind);
                !stays && record.run.is_some_and(|run| run != record.seq)
            }
        };
        if !may_go || self.through.is_none_or(|through| record.segment > through) {
            return 0;
        }
        if self.drops && record.run.is_none() && self.is_foreign(record) {
            let type_name = record.type_name();
            let foreign = self.foreign_of_store.entry(record.kind);
            foreign.or_insert(StoreStays { type_name, events: 0 }).events += 1;
            return 0;
        }
        let span = self.spans.entry((record.segment, record.run)).or_default();
        span.events += 1;
        span.bytes += record.frame_len;
        let place = (record.segment, record.run, record.seq);
        let goes_on = self.previous.is_some_and(|(segment, run, seq)| (segment, run, seq.next()) == place);
        span.pieces += u64::from(!goes_on);
        self.previous = Some(place);
        record.frame_len
    }

    /// Whether an application's event means something that no fold of the program knows.
    fn is_foreign(&mut self, record: &Record<'_>) -> bool {
        let Some(entry) = record.entry.as_ref().filter(|_| !record.hint && !record.kind.is_reserved()) else {
            return false;
        };
        let of_store = record.run.is_none();
        !*self.known.entry((record.kind, of_store)).or_insert_with(|| (self.reads)(entry, of_store))
    }
}

/// Bytes between two words of progress.
const PROGRESS_STEP_BYTES: u64 = 64 << 10;

impl Pass for Survey<'_> {
    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        self.last = Some(record.seq);
        self.bytes += record.frame_len;
        if self.bytes - self.told >= PROGRESS_STEP_BYTES {
            (self.progress)(self.bytes - self.told);
            self.told = self.bytes;
        }
        let counted = self.count(record);
        let Some(run) = record.run else { return Ok(()) };
        let is_foreign = self.is_foreign(record);
        let seen = self.runs.entry(run).or_insert_with(|| RunSeen {
            name: None,
            revision: 0,
            last: run,
            last_time_ns: record.time_ns,
            foreign: BTreeSet::new(),
            last_at: record.segment,
            last_counted_bytes: 0,
        });
        if record.kind == Kind::RUN_OPENED {
            seen.name = RunOpened::decode(&record.payload).ok().map(|opened| opened.name);
        }
        if is_foreign {
            seen.foreign.insert(record.kind);
        }
        (seen.revision, seen.last, seen.last_time_ns) = (record.revision, record.seq, record.time_ns);
        (seen.last_at, seen.last_counted_bytes) = (record.segment, counted);
        Ok(())
    }
}
