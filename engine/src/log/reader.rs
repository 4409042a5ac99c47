use crate::error::{Error, Result};
use crate::log::events::Events;
use crate::log::listing::Listing;
use crate::log::open_segment::{Found, OpenSegment};
use crate::log::query::Query;
use crate::log::record::Record;
use crate::log::segment::Segment;
use crate::log::watermark;
use crate::storage::{Disk, OpenMode, Storage, StorageFile};
use crate::{ErrorKind, GapRange, Kind, LogId, RunOpened, SegmentNumber, Seq, TypeEntry, TypeRegistered, TypeTable};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// A run as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// Its number: the seq of its first event.
    pub run: Seq,
    /// Its name; `None` where the event that told it is not in the log that is read.
    pub name: Option<String>,
    /// Its last event.
    pub last: Seq,
    /// Its revision.
    pub revision: u32,
    /// How many of its events are there.
    pub events: u64,
}

/// Reads a log, strictly and without touching it: no lock, no byte written, beside writers of other processes.
///
/// Acknowledged events are read, or an error says which can not be; a frame above the durable head that is not complete
/// ends the log for now. Never judges a tail: that is recovery's.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) source: Source,
    pub(crate) segments: Vec<SegmentNumber>,
    pub(crate) durable: u64,
    log_id: LogId,
}

/// Where segments come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A store.
    Store(Arc<dyn Storage>),
    /// A store, some segments of which are read from other files of it.
    Elsewhere(Arc<dyn Storage>, Arc<BTreeMap<SegmentNumber, String>>),
    /// One segment's file, on its own.
    Lone(Segment),
}

impl Source {
    pub(crate) fn open(&self, number: SegmentNumber, query: &Query) -> Result<OpenSegment> {
        match self {
            Source::Lone(segment) => OpenSegment::of(segment.clone(), query),
            Source::Store(_) | Source::Elsewhere(..) => OpenSegment::of(self.segment(number)?, query),
        }
    }

    fn segment(&self, number: SegmentNumber) -> Result<Segment> {
        match self {
            Source::Store(storage) => Segment::open(&**storage, number, OpenMode::Read),
            Source::Elsewhere(storage, files) => match files.get(&number) {
                Some(file) => Segment::open_at(&**storage, file, number, OpenMode::Read),
                None => Segment::open(&**storage, number, OpenMode::Read),
            },
            Source::Lone(segment) => Ok(segment.clone()),
        }
    }

    fn storage(&self) -> Option<&Arc<dyn Storage>> {
        match self {
            Source::Store(storage) | Source::Elsewhere(storage, _) => Some(storage),
            Source::Lone(_) => None,
        }
    }
}

impl Reader {
    /// Opens the store in a directory for reading.
    ///
    /// # Errors
    /// `NotFound` where there is no store; `Damaged` where the newest segment's header is unreadable; `Incompatible`; `Io`.
    pub fn open(path: impl AsRef<Path>) -> Result<Reader> {
        Reader::open_on(Arc::new(Disk::new(path.as_ref())))
    }

    /// Opens a store on any storage for reading.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_on(storage: Arc<dyn Storage>) -> Result<Reader> {
        let segments: Vec<SegmentNumber> =
            Listing::of_store(&*storage)?.segments.into_iter().map(|(number, _)| number).collect();
        let Some(newest) = segments.last().copied() else { return Err(crate::log::listing::no_store()) };
        let header = Segment::open(&*storage, newest, OpenMode::Read)?.header;
        let mut reader = Reader { source: Source::Store(storage), segments, durable: 0, log_id: header.log_id };
        reader.durable = reader.read_durable()?.max(header.first_seq.count_before());
        Ok(reader)
    }

    /// Reads one segment's file on its own: one that was copied off a dead machine.
    ///
    /// # Errors
    /// `Damaged` where its header is unreadable; `Incompatible`; `Io`.
    pub fn lone(file: Arc<dyn StorageFile>) -> Result<Reader> {
        let segment = Segment::read_any(file)?;
        let (number, log_id) = (segment.header.number, segment.header.log_id);
        Ok(Reader { source: Source::Lone(segment), segments: vec![number], durable: 0, log_id })
    }

    /// The log's id.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.log_id
    }

    /// The segments that were there when the store was opened or refreshed.
    #[must_use]
    pub fn segments(&self) -> &[SegmentNumber] {
        &self.segments
    }

    /// The highest seq that is known to be durable; 0 for none. Rises with [`Reader::refresh`] and while reading.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable
    }

    fn read_durable(&self) -> Result<u64> {
        let Some(storage) = self.source.storage() else { return Ok(0) };
        let mark = watermark::read_if_file(&**storage)?.newest.filter(|mark| mark.log_id == self.log_id);
        Ok(mark.map_or(0, |mark| mark.durable))
    }

    /// Looks for new segments, and at the watermark.
    ///
    /// # Errors
    /// `NotFound`, `Io`.
    pub fn refresh(&mut self) -> Result<()> {
        self.durable = self.durable.max(self.read_durable()?);
        if let Source::Store(storage) = &self.source {
            self.segments = Listing::read(&**storage)?.segments.into_iter().map(|(number, _)| number).collect();
        }
        Ok(())
    }

    /// Events, one after the other.
    ///
    /// # Errors
    /// `Io`; `Damaged`, `Incompatible` where the first segment's header can not be used.
    pub fn events(&self, query: Query) -> Result<Events<'_>> {
        Events::new(self, query)
    }

    /// One event.
    ///
    /// # Errors
    /// As reading; `Ok(None)` where the log has no such event.
    pub fn get(&self, seq: Seq) -> Result<Option<Record<'static>>> {
        let mut events = self.events(Query::all().from(seq).until(seq.next()))?;
        Ok(events.next()?.map(Record::into_owned))
    }

    /// The first seq that the log still has the segment of.
    ///
    /// # Errors
    /// As [`Reader::events`].
    pub fn first_seq(&self) -> Result<Seq> {
        match self.segments.first() {
            Some(lowest) => Ok(self.source.segment(*lowest)?.header.first_seq),
            None => Ok(Seq::FIRST),
        }
    }

    /// The seq that follows the last complete event, durable or not.
    ///
    /// # Errors
    /// As reading the newest segment.
    pub fn next_seq(&self) -> Result<Seq> {
        let Some(newest) = self.segments.last() else { return Ok(Seq::FIRST) };
        let nothing = Query::nothing();
        let mut segment = self.source.open(*newest, &nothing)?;
        if let Some(footer) = &segment.footer {
            return Ok(footer.next_seq);
        }
        let _nothing_wanted = segment.find(&nothing, self.durable, true)?;
        Ok(segment.expected())
    }

    /// The store that is read; `None` for a segment's file on its own.
    pub(crate) fn storage(&self) -> Option<&Arc<dyn Storage>> {
        self.source.storage()
    }

    /// Whether some segments are read from other files than their own.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self.source, Source::Elsewhere(..))
    }

    /// The same log, with some segments read from other files of the store; `covered` are not read any more, since one of
    /// those stands for them.
    pub(crate) fn with_files(
        mut self,
        files: BTreeMap<SegmentNumber, String>,
        covered: &BTreeSet<SegmentNumber>,
    ) -> Reader {
        let Some(storage) = self.source.storage().cloned() else { return self };
        self.segments.retain(|number| !covered.contains(number));
        self.segments.extend(files.keys().copied());
        self.segments.sort_unstable();
        self.segments.dedup();
        self.source = Source::Elsewhere(storage, Arc::new(files));
        self
    }

    /// The header of one of the segments, and what it records as absent.
    pub(crate) fn head_of(&self, number: SegmentNumber) -> Result<(crate::SegmentHeader, crate::Gaps)> {
        let segment = self.source.segment(number)?;
        let gaps = if segment.header.generation > 0 { segment.gaps()? } else { crate::Gaps::default() };
        Ok((segment.header, gaps))
    }

    /// The recorded absences of all segments, ascending.
    ///
    /// # Errors
    /// As reading.
    pub fn gaps(&self) -> Result<Vec<GapRange>> {
        let mut ranges = Vec::new();
        for number in &self.segments {
            ranges.extend_from_slice(self.head_of(*number)?.1.ranges());
        }
        Ok(ranges)
    }

    /// The types of the log's applications, in the order of their registration.
    ///
    /// # Errors
    /// As reading the newest segment, whose table has them all.
    pub fn types(&self) -> Result<Vec<Arc<TypeEntry>>> {
        let Some(newest) = self.segments.last() else { return Ok(Vec::new()) };
        let nothing = Query::nothing();
        let mut segment = self.source.open(*newest, &nothing)?;
        if segment.footer.is_none() {
            let _nothing_wanted = segment.find(&nothing, self.durable, true)?;
        }
        Ok(segment.types().to_vec())
    }

    /// The same as a table.
    ///
    /// # Errors
    /// As [`Reader::types`].
    pub fn type_table(&self) -> Result<TypeTable> {
        let mut table = TypeTable::new();
        for entry in self.types()? {
            let Some(kind) = table.next_kind() else { break };
            let _is_next = table.register(TypeRegistered { kind, entry: (*entry).clone() });
        }
        Ok(table)
    }

    /// Whether the log records that events are absent: after compaction, redaction or repair.
    pub(crate) fn has_gaps(&self) -> Result<bool> {
        for number in &self.segments {
            if !self.source.segment(*number)?.gaps()?.ranges().is_empty() {
                return Ok(true);
            }
        }
        Ok(self.first_seq()? != Seq::FIRST)
    }

    /// The segment in which an event lies, if it is there: by the first seqs of the headers.
    pub(crate) fn segment_of(&self, seq: Seq) -> Result<usize> {
        let (mut low, mut high) = (0, self.segments.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.source.segment(self.segments[middle])?.header.first_seq <= seq {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// All runs, by number: from the footers, and from the events of segments that have none.
    ///
    /// # Errors
    /// As reading.
    pub fn runs(&self) -> Result<BTreeMap<Seq, RunSummary>> {
        let mut runs: BTreeMap<Seq, RunSummary> = BTreeMap::new();
        let mut add = |run: Seq, name: Option<String>, last: Seq, revision: u32, events: u64| {
            let summary = runs.entry(run).or_insert(RunSummary { run, name: None, last, revision: 0, events: 0 });
            summary.name = name.or(summary.name.take());
            (summary.last, summary.revision) = (last, revision);
            summary.events += events;
        };
        for (position, number) in self.segments.iter().enumerate() {
            let mut segment = self.source.open(*number, &Query::all())?;
            if let Some(present) = segment.footer.as_ref().and_then(|footer| footer.runs.as_ref()) {
                for (run, entry) in present {
                    add(*run, entry.name.clone(), entry.last, entry.revision, u64::from(entry.count));
                }
                continue;
            }
            let is_newest = position + 1 == self.segments.len();
            while let Found::Wanted(seen) = segment.find(&Query::all(), self.durable, is_newest)? {
                let record = segment.record(&seen);
                let Some(run) = record.run else { continue };
                let opened = (record.kind == Kind::RUN_OPENED).then(|| RunOpened::decode(&record.payload).ok());
                let name = opened.flatten().map(|opened| opened.name);
                add(run, name, record.seq, record.revision, 1);
            }
        }
        Ok(runs)
    }

    /// The run of a name, or of the only name that begins so; `#N` is the run of number N.
    ///
    /// # Errors
    /// `NotFound` where there is no such run, or several begin so; as reading.
    pub fn find_run(&self, name: &str) -> Result<RunSummary> {
        let runs = self.runs()?;
        let number = name.strip_prefix('#').and_then(|digits| digits.parse().ok()).and_then(Seq::new);
        if let Some(summary) = number.and_then(|number| runs.get(&number)) {
            return Ok(summary.clone());
        }
        let named = |wanted: &dyn Fn(&str) -> bool| {
            let matching = runs.values().filter(|run| run.name.as_deref().is_some_and(wanted));
            matching.cloned().collect::<Vec<RunSummary>>()
        };
        if let Some(exact) = named(&|other| other == name).pop() {
            return Ok(exact);
        }
        let mut candidates = named(&|other| other.starts_with(name));
        match (candidates.len(), candidates.pop()) {
            (1, Some(only)) => Ok(only),
            (0, _) | (_, None) => {
                let error = crate::log::writer::no_run(name);
                let names: Vec<&str> = runs.values().filter_map(|run| run.name.as_deref()).collect();
                let near = crate::nearest::nearest(name, names);
                Err(if near.is_empty() { error } else { error.hint(format!("did you mean {}?", near.join(", "))) })
            }
            (count, Some(_)) => {
                let message = format!("{count} runs have names that begin with {name:?}");
                Err(Error::new(ErrorKind::NotFound, "T0141", message).hint("give more of the name"))
            }
        }
    }
}
