use crate::error::{Error, Result};
use crate::log::events::Events;
use crate::log::listing::Listing;
use crate::log::lookup::Lookup;
use crate::log::loss::EventOrLoss;
use crate::log::open_segment::{Found, OpenSegment};
use crate::log::query::Query;
use crate::log::record::Record;
use crate::log::run_index_file::IndexFile;
use crate::log::segment::Segment;
use crate::log::watermark;
use crate::storage::{Disk, OpenMode, Storage, StorageFile};
use crate::sync::{Mutex, PoisonError};
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
#[derive(Debug)]
pub struct Reader {
    pub(crate) source: Source,
    pub(crate) segments: Vec<SegmentNumber>,
    pub(crate) durable: u64,
    log_id: LogId,
    lookup: Mutex<Lookup>,
}

impl Clone for Reader {
    /// A reader of the same events; what single lookups have found is remembered by each on its own.
    fn clone(&self) -> Reader {
        let (source, segments) = (self.source.clone(), self.segments.clone());
        Reader { source, segments, durable: self.durable, log_id: self.log_id, lookup: Mutex::default() }
    }
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

    /// The same, with what the run index tells of the newest segment, where it has no footer yet: for who reads from a place in
    /// its midst, or asks for its index.
    pub(crate) fn open_at_places(&self, number: SegmentNumber, query: &Query) -> Result<OpenSegment> {
        let mut opened = self.open(number, query)?;
        if let Source::Store(storage) = self
            && opened.footer.is_none()
            && let Some((hint, position, types)) = IndexFile::open(&**storage)?
            && (hint.log_id(), hint.segment()) == (opened.segment.header.log_id, opened.number())
        {
            opened.take_hint((types, hint.places()?), position.offset, query)?;
        }
        Ok(opened)
    }

    /// Opens a segment; the one that stands for it, where a compaction has put it together with others meanwhile.
    fn segment(&self, number: SegmentNumber) -> Result<Segment> {
        let (storage, opened) = match self {
            Source::Store(storage) => (storage, Segment::open(&**storage, number, OpenMode::Read)),
            Source::Elsewhere(storage, files) => match files.get(&number) {
                Some(file) => return Segment::open_at(&**storage, file, number, OpenMode::Read),
                None => (storage, Segment::open(&**storage, number, OpenMode::Read)),
            },
            Source::Lone(segment) => return Ok(segment.clone()),
        };
        match opened {
            Err(error) if error.is_absence() => {
                let standing = Listing::read(&**storage)?.standing_for(number).filter(|standing| *standing != number);
                let standing = standing.map(|standing| Segment::open(&**storage, standing, OpenMode::Read));
                standing.and_then(Result::ok).filter(|standing| standing.header.covers_from <= number).ok_or(error)
            }
            opened => opened,
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
        let segments = Listing::numbers_of_store(&*storage)?;
        let Some(newest) = segments.last().copied() else { return Err(crate::log::listing::no_store()) };
        let header = Segment::open(&*storage, newest, OpenMode::Read)?.header;
        let mut reader = Reader {
            source: Source::Store(storage),
            segments,
            durable: 0,
            log_id: header.log_id,
            lookup: Mutex::default(),
        };
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
        Ok(Reader {
            source: Source::Lone(segment),
            segments: vec![number],
            durable: 0,
            log_id,
            lookup: Mutex::default(),
        })
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
        self.lookup.get_mut().unwrap_or_else(PoisonError::into_inner).forget();
        self.durable = self.durable.max(self.read_durable()?);
        if let Source::Store(storage) = &self.source {
            self.segments = Listing::numbers(&**storage)?;
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
    /// `Damaged` where it can not be read; as reading. `Ok(None)` where the log has no such event.
    pub fn get(&self, seq: Seq) -> Result<Option<Record<'static>>> {
        self.get_with(seq, |record| record.clone().into_owned())
    }

    /// Shows one event, without a copy of its own.
    ///
    /// The reader remembers what it has opened and where the events around those lie that were asked for, up to 16 MiB of
    /// it, so that the next question costs one read; [`Reader::refresh`] forgets it.
    ///
    /// # Errors
    /// As reading; `Ok(None)` where the log has no such event.
    pub fn get_with<T>(&self, seq: Seq, take: impl FnOnce(&Record<'_>) -> T) -> Result<Option<T>> {
        let mut lookup = self.lookup.lock().unwrap_or_else(PoisonError::into_inner);
        if !lookup.knows(seq) {
            match self.learn(&mut lookup, seq) {
                // Damage elsewhere in the segment does not matter; reading on tells whether this event is lost.
                Err(error) if error.kind() == ErrorKind::Damaged => {}
                other => other?,
            }
        }
        let mut take = Some(take);
        let found = lookup.find(seq, |record| take.take().map(|take| take(record)))?;
        drop(lookup);
        if let Some(shown) = found.flatten() {
            return Ok(Some(shown));
        }
        let mut events = self.events(Query::all().from(seq).until(seq.next()))?;
        // What else can not be read does not matter.
        while let Some(next) = events.next_or_loss()? {
            match next {
                EventOrLoss::Event(record) => return Ok(take.map(|take| take(&record))),
                EventOrLoss::Loss(loss) if loss.seqs.is_some() => return Err(loss.error),
                EventOrLoss::Loss(_) => {}
            }
        }
        Ok(None)
    }

    /// Opens the segment of an event for [`Reader::get_with`]: where it is sealed its footer tells of blocks, and else the
    /// durable part of it is read once.
    fn learn(&self, lookup: &mut Lookup, seq: Seq) -> Result<()> {
        if seq.get() > self.durable && self.segments.len() < 2 {
            return Ok(());
        }
        let position = self.segment_of(seq)?;
        let Some(number) = self.segments.get(position) else { return Ok(()) };
        let is_newest = position + 1 == self.segments.len();
        let mut opened = self.source.open_at_places(*number, &Query::nothing())?;
        if let Some(footer) = &opened.footer {
            let (index, end) = (footer.index.clone(), footer.next_seq);
            lookup.learn(&opened, index, end);
        } else if seq.get() <= self.durable {
            let index = opened.unproven_index(self.durable, is_newest)?;
            let end = opened.expected().min(Seq::after(self.durable));
            lookup.learn(&opened, index, end);
        }
        Ok(())
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
        segment.past_damage = true;
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

    /// The recorded absences of the segments whose headers can be read, ascending.
    pub(crate) fn known_gaps(&self) -> Result<Vec<GapRange>> {
        let mut ranges = Vec::new();
        for number in &self.segments {
            match self.head_of(*number) {
                Ok((_, gaps)) => ranges.extend_from_slice(gaps.ranges()),
                Err(error) if error.kind() == ErrorKind::Damaged => {}
                Err(error) => return Err(error),
            }
        }
        Ok(told_once(ranges))
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
        Ok(told_once(ranges))
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
            segment.past_damage = true;
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
            match self.source.segment(self.segments[middle]) {
                Ok(segment) if segment.header.first_seq <= seq => low = middle,
                Ok(_) => high = middle,
                // Nobody knows where it begins: all of them are looked at.
                Err(error) if error.kind() == ErrorKind::Damaged => return Ok(0),
                Err(error) => return Err(error),
            }
        }
        Ok(low)
    }

    /// All runs, by number: from the footers, and from the events of segments that have none. What can not be read is passed
    /// over; an event whose header is proven still tells of its run, and is not counted.
    ///
    /// # Errors
    /// As reading.
    pub fn runs(&self) -> Result<BTreeMap<Seq, RunSummary>> {
        let mut segments = self.segments.clone();
        let mut may_move = matches!(self.source, Source::Store(_));
        loop {
            if let Some(runs) = self.runs_of(&segments, may_move)? {
                return Ok(runs);
            }
            let Source::Store(storage) = &self.source else { return Ok(BTreeMap::new()) };
            let now = Listing::numbers(&**storage)?;
            // Those that there are now overlap: then there is nothing to wait for.
            may_move = now != segments;
            segments = now;
        }
    }

    /// The runs of these segments. `None` where a compaction has put some of them together meanwhile, and `may_move`: what was
    /// counted already would be counted again.
    fn runs_of(&self, segments: &[SegmentNumber], may_move: bool) -> Result<Option<BTreeMap<Seq, RunSummary>>> {
        let mut runs: BTreeMap<Seq, RunSummary> = BTreeMap::new();
        let mut add = |run: Seq, name: Option<String>, last: Seq, revision: u32, events: u64| {
            let summary = runs.entry(run).or_insert(RunSummary { run, name: None, last, revision: 0, events: 0 });
            summary.name = name.or(summary.name.take());
            (summary.last, summary.revision) = (last, revision);
            summary.events += events;
        };
        for (position, number) in segments.iter().enumerate() {
            let is_newest = position + 1 == segments.len();
            let mut segment = match self.source.open(*number, &Query::all()) {
                // Its events are lost; the others are not.
                Err(error) if !is_newest && error.kind() == ErrorKind::Damaged => continue,
                opened => opened?,
            };
            let counted = position.checked_sub(1).and_then(|before| segments.get(before));
            let stands_for_others = counted.is_some_and(|counted| segment.segment.header.covers_from <= *counted);
            if may_move && (segment.number() != *number || stands_for_others) {
                return Ok(None);
            }
            if let Some(present) = segment.footer.as_ref().and_then(|footer| footer.runs.as_ref()) {
                for (run, entry) in present {
                    add(*run, entry.name.clone(), entry.last, entry.revision, u64::from(entry.count));
                }
                continue;
            }
            segment.past_damage = true;
            loop {
                match segment.find(&Query::all(), self.durable, is_newest)? {
                    Found::Wanted => {}
                    Found::Lost(loss) => {
                        // Whose it was, its header tells; it is not there.
                        if let Some((header, run)) = loss.header.and_then(|header| Some((header, header.run?))) {
                            add(run, None, header.seq, header.revision, 0);
                        }
                        continue;
                    }
                    Found::Sealed | Found::Over | Found::InFlight => break,
                }
                let Some(record) = segment.record() else { continue };
                let Some(run) = record.run else { continue };
                let opened = (record.kind == Kind::RUN_OPENED).then(|| RunOpened::decode(&record.payload).ok());
                let name = opened.flatten().map(|opened| opened.name);
                add(run, name, record.seq, record.revision, 1);
            }
        }
        Ok(Some(runs))
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

/// Absences, ascending; those that two files told of, since one has taken the place of the other meanwhile, only once.
fn told_once(mut ranges: Vec<GapRange>) -> Vec<GapRange> {
    ranges.sort_by_key(|range| range.first);
    ranges.dedup();
    ranges
}
