use crate::error::{Error, Result};
use crate::log::damage::lost_between;
use crate::log::listing::Listing;
use crate::log::loss::{EventOrLoss, Loss};
use crate::log::open_segment::{Found, OpenSegment};
use crate::log::piece::SeqRange;
use crate::log::query::Query;
use crate::log::reader::Reader;
use crate::log::record::Record;
use crate::log::segment::Segment;
use crate::{ErrorKind, Gaps, IndexEntry, SegmentHeader, SegmentNumber, Seq, TypeEntry};
use std::borrow::Cow;
use std::sync::Arc;

/// Events of a log, one after the other: a cursor that lends each record until the next call.
#[derive(Debug)]
pub struct Events<'a> {
    reader: &'a Reader,
    query: Query,
    order: Order,
    durable: u64,
}

#[derive(Debug)]
enum Order {
    Forward(Forward),
    Backward(Box<Backward>),
}

/// Reading on in order.
#[derive(Debug)]
pub(crate) struct Forward {
    current: Option<Box<OpenSegment>>,
    /// Position in the reader's list of segments.
    position: usize,
    /// The segment that was left last.
    left: Option<SegmentNumber>,
    /// The seq with which the next segment must begin.
    expected: Option<Seq>,
    /// Nothing more for now.
    paused: bool,
    /// Nothing more is wanted.
    finished: bool,
    /// Whether what can not be read is passed over.
    past_damage: bool,
    /// Threads that read and prove ahead.
    threads: usize,
    /// What was read into in the segments that were left: fresh memory is dearer than the reading itself on some machines.
    buffers: Vec<Vec<u8>>,
}

/// What was found next.
enum Next {
    /// [`Forward::record`] shows it.
    Event,
    Loss(Box<Loss>),
}

/// Reading backwards: blocks of a segment, the last one first; each is read in order and given out backwards.
#[derive(Debug)]
struct Backward {
    /// How many segments of the reader's list are left.
    left: usize,
    /// The segment that the blocks are of, and whether none follows: it stays open, since a compaction may replace its file.
    segment: Option<(Segment, bool)>,
    /// Events from this one on have been read.
    before: Option<Seq>,
    /// The types of the segment that the blocks are of.
    types: Vec<Arc<TypeEntry>>,
    blocks: Vec<(IndexEntry, Option<Seq>)>,
    records: Vec<EventOrLoss<'static>>,
    lent: Option<Record<'static>>,
    past_damage: bool,
    /// Whether it was told what is missing before the lowest segment.
    has_begun: bool,
}

/// What a query asks for that stood before the lowest segment there is: its file is missing, and nothing records what it held
/// as absent. (A compacted log records that, and an archive that is read holds what there is.)
fn lost_before(reader: &Reader, lowest: &SegmentHeader, query: &Query) -> Result<Option<Box<Loss>>> {
    let (Some(missing), Some(storage)) = (lowest.covers_from.previous(), reader.storage()) else { return Ok(None) };
    if reader.is_elsewhere() {
        return Ok(None);
    }
    // Absences are recorded in ascending order.
    let gaps = Gaps::new(reader.known_gaps()?).unwrap_or_default();
    let lost = lost_between(&gaps, Seq::FIRST, lowest.first_seq);
    let (Some(first), Some(last)) = (lost.first(), lost.last()) else { return Ok(None) };
    let seqs = SeqRange { first: first.first, last: last.last };
    let error = Listing::read(&**storage)?.missing(missing).seq(seqs.first);
    let loss = Loss::new(error, Some(seqs));
    Ok(loss.concerns(query).then(|| Box::new(loss)))
}

impl<'a> Events<'a> {
    pub(crate) fn new(reader: &'a Reader, query: Query) -> Result<Events<'a>> {
        let order = if query.reverse {
            let left = match query.until {
                Some(until) => reader.segment_of(until)? + 1,
                None => reader.segments.len(),
            };
            let left = left.min(reader.segments.len());
            Order::Backward(Box::new(Backward::start(left)))
        } else {
            Order::Forward(Forward::start(reader, &query)?)
        };
        Ok(Events { reader, query, order, durable: reader.durable })
    }

    /// The highest seq known to be durable so far; 0 for none.
    #[must_use]
    pub fn durable(&self) -> u64 {
        match &self.order {
            Order::Forward(Forward { current: Some(open), .. }) => self.durable.max(open.durable),
            _ => self.durable,
        }
    }

    /// Lets other threads read and prove what comes next, up to 384 KiB ahead (more where events are longer than 64 KiB) and
    /// for each segment anew: for reading much in order, which then takes about two thirds of the time with one such thread
    /// where events are small, and up to nine tenths of it where they are large. What is found, and what is refused, stays
    /// the same. Without effect where nothing large is left to be read, and when reading backwards.
    #[must_use]
    pub fn prove_ahead(mut self, threads: usize) -> Events<'a> {
        if let Order::Forward(forward) = &mut self.order {
            forward.threads = threads;
        }
        self
    }

    /// The next event; `None` at the end of the log or of the query.
    ///
    /// # Errors
    /// `Damaged` where acknowledged events can not be read, with segment, byte offset and seq; `Io`.
    #[allow(clippy::should_implement_trait, reason = "lends its item, which Iterator can not")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        let is_found = match &mut self.order {
            Order::Forward(Forward { current: Some(open), .. }) => open.pass_plain(),
            _ => false,
        };
        if is_found {
            return match &self.order {
                Order::Forward(forward) => Ok(forward.record()),
                Order::Backward(_) => Ok(None),
            };
        }
        self.next_slowly()
    }

    fn next_slowly(&mut self) -> Result<Option<Record<'_>>> {
        match &mut self.order {
            Order::Forward(forward) => match forward.find(self.reader, &self.query, &mut self.durable)? {
                true => Ok(forward.record()),
                false => Ok(None),
            },
            Order::Backward(backward) => match backward.next(self.reader, &self.query, self.durable)? {
                Some(EventOrLoss::Event(record)) => Ok(Some(record)),
                Some(EventOrLoss::Loss(loss)) => Err(loss.error),
                None => Ok(None),
            },
        }
    }

    /// The next event, or the next stretch that can not be read and may have held a wanted one; what follows comes with the
    /// next call.
    ///
    /// # Errors
    /// `Io`; `Damaged` where nothing can be told any more: the newest segment's header, an order of segments that is none.
    pub fn next_or_loss(&mut self) -> Result<Option<EventOrLoss<'_>>> {
        match &mut self.order {
            Order::Forward(forward) => {
                forward.go_past_damage();
                match forward.find_next(self.reader, &self.query, &mut self.durable)? {
                    Some(Next::Event) => Ok(forward.record().map(EventOrLoss::Event)),
                    Some(Next::Loss(loss)) => Ok(Some(EventOrLoss::Loss(loss))),
                    None => Ok(None),
                }
            }
            Order::Backward(backward) => {
                backward.past_damage = true;
                backward.next(self.reader, &self.query, self.durable)
            }
        }
    }

    /// Calls `take` for every event until it says `false`. For small events this takes less time than [`Events::next`].
    ///
    /// # Errors
    /// As [`Events::next`], and what `take` returns.
    #[inline]
    pub fn for_each(&mut self, mut take: impl FnMut(Record<'_>) -> Result<bool>) -> Result<()> {
        loop {
            if let Order::Forward(Forward { current: Some(open), .. }) = &mut self.order
                && !open.each_plain(&mut take)?
            {
                return Ok(());
            }
            let Some(record) = self.next_slowly()? else { return Ok(()) };
            if !take(record)? {
                return Ok(());
            }
        }
    }
}

impl Forward {
    pub(crate) fn start(reader: &Reader, query: &Query) -> Result<Forward> {
        let position = query.from.map_or(Ok(0), |from| reader.segment_of(from))?;
        Ok(Forward {
            current: None,
            position,
            left: None,
            expected: None,
            paused: false,
            finished: false,
            past_damage: false,
            threads: 0,
            buffers: Vec::new(),
        })
    }

    /// From here on, what can not be read is passed over.
    fn go_past_damage(&mut self) {
        self.past_damage = true;
        if let Some(open) = &mut self.current {
            open.past_damage = true;
        }
    }

    /// The event that was found last.
    #[inline]
    pub(crate) fn record(&self) -> Option<Record<'_>> {
        self.current.as_ref()?.record()
    }

    /// Goes on where there was nothing for now, with a refreshed reader.
    pub(crate) fn go_on(&mut self, reader: &Reader) {
        self.paused = false;
        if let Some(open) = &mut self.current {
            open.refresh();
            self.position = reader.segments.partition_point(|number| *number < open.number());
        } else if let Some(left) = self.left {
            self.position = reader.segments.partition_point(|number| *number <= left);
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Reads on to the next wanted event; `false` where there is none for now.
    pub(crate) fn find(&mut self, reader: &Reader, query: &Query, durable: &mut u64) -> Result<bool> {
        match self.find_next(reader, query, durable)? {
            Some(Next::Event) => Ok(true),
            Some(Next::Loss(loss)) => Err(loss.error),
            None => Ok(false),
        }
    }

    fn find_next(&mut self, reader: &Reader, query: &Query, durable: &mut u64) -> Result<Option<Next>> {
        while !self.paused && !self.finished {
            let is_newest = self.position + 1 >= reader.segments.len();
            let Some(open) = &mut self.current else {
                if let Some(loss) = self.enter(reader, query, *durable, is_newest)?.filter(|loss| loss.concerns(query))
                {
                    return Ok(Some(Next::Loss(loss)));
                }
                continue;
            };
            let found = open.find(query, *durable, is_newest)?;
            *durable = (*durable).max(open.durable);
            match found {
                Found::Wanted => return Ok(Some(Next::Event)),
                Found::Lost(loss) => return Ok(Some(Next::Loss(loss))),
                Found::Sealed => {
                    let (expected, number) = (open.expected(), open.number());
                    self.buffers = open.take_buffers();
                    self.current = None;
                    self.leave(reader, number, expected);
                }
                Found::Over => self.finished = true,
                Found::InFlight => self.paused = true,
            }
        }
        Ok(None)
    }

    /// Goes on behind a segment. Which one that is, its number tells: the list may be another one than before.
    fn leave(&mut self, reader: &Reader, number: SegmentNumber, expected: Seq) {
        (self.expected, self.left) = (Some(expected), Some(number));
        self.position = reader.segments.partition_point(|other| *other <= number);
    }

    /// Behind the last segment that is listed: if more is known to have been acknowledged, another one has been begun since,
    /// or the newest one is missing.
    fn check_end(&mut self, reader: &Reader, query: &Query, durable: u64) -> Result<Option<Box<Loss>>> {
        let (Some(storage), Some(expected)) = (reader.storage(), self.expected) else { return Ok(None) };
        let is_wanted = query.until.is_none_or(|until| expected < until);
        if expected.get() > durable || !is_wanted {
            return Ok(None);
        }
        let listing = Listing::read(&**storage)?;
        if listing.newest() > reader.segments.last().copied() {
            return Ok(None);
        }
        let next = reader.segments.last().map_or(SegmentNumber::FIRST, |number| number.next());
        let error = listing.missing(next).seq(expected.get());
        if !self.past_damage {
            return Err(error);
        }
        self.expected = None;
        Ok(Some(Box::new(Loss::new(error, SeqRange::between(expected.get(), durable + 1)))))
    }

    /// Opens the next segment, or passes it over where its footer shows that nothing in it is wanted. Gives what is missing
    /// before it, or instead of it, where that is passed over.
    fn enter(&mut self, reader: &Reader, query: &Query, durable: u64, is_newest: bool) -> Result<Option<Box<Loss>>> {
        let Some(number) = reader.segments.get(self.position).copied() else {
            let loss = self.check_end(reader, query, durable)?;
            self.paused = true;
            return Ok(loss);
        };
        let opened = match query.from.is_some() || query.times_ns.is_some() {
            true => reader.source.open_at_places(number, query),
            false => reader.source.open(number, query),
        };
        let mut opened = match opened {
            Err(error) if self.past_damage && !is_newest && error.kind() == ErrorKind::Damaged => {
                // What is lost with it is told where the next one begins.
                self.expected.get_or_insert(query.from.unwrap_or(Seq::FIRST));
                self.left = Some(number);
                self.position += 1;
                return Ok(Some(Box::new(Loss::new(error, None))));
            }
            opened => opened?,
        };
        if let (Some(expected), Some(left)) = (self.expected, self.left)
            && opened.segment.header.covers_from <= left
            && opened.segment.header.first_seq < expected
        {
            // A compaction has put it together meanwhile with what was read already.
            opened = opened.behind(expected)?;
            self.expected = Some(opened.segment.header.first_seq);
        }
        opened.past_damage = self.past_damage;
        let first = opened.segment.header.first_seq;
        if self.position == 0
            && self.expected.is_none()
            && let Some(loss) = lost_before(reader, &opened.segment.header, query)?
        {
            if !self.past_damage {
                return Err(loss.error);
            }
            self.expected = Some(first);
            return Ok(Some(loss));
        }
        if let Some(expected) = self.expected.filter(|expected| *expected != first) {
            let message = format!("segment {number} begins with seq {first}, and seq {expected} is due");
            let error = Error::new(ErrorKind::Damaged, "T0303", message);
            let error = error.segment(number).seq(expected.get()).hint("taffrail log verify");
            let lost = SeqRange::between(expected.get(), first.get()).filter(|_| self.past_damage);
            let Some(lost) = lost else { return Err(error) };
            self.expected = None;
            return Ok(Some(Box::new(Loss::new(error, Some(lost)))));
        }
        match &opened.footer {
            Some(footer) if !is_newest && !query.may_be_in(footer.runs.as_ref()) => {
                let next_seq = footer.next_seq;
                self.leave(reader, opened.number(), next_seq);
            }
            _ => {
                opened.read_into(std::mem::take(&mut self.buffers), self.threads);
                self.current = Some(Box::new(opened));
            }
        }
        Ok(None)
    }
}

impl Backward {
    fn start(left: usize) -> Backward {
        let (types, blocks, records) = (Vec::new(), Vec::new(), Vec::new());
        let (segment, before) = (None, None);
        Backward { left, segment, before, types, blocks, records, lent: None, past_damage: false, has_begun: false }
    }

    fn next(&mut self, reader: &Reader, query: &Query, durable: u64) -> Result<Option<EventOrLoss<'_>>> {
        loop {
            match self.records.pop() {
                Some(EventOrLoss::Event(record)) => {
                    self.lent = Some(record);
                    return Ok(self.lent.as_ref().map(|record| EventOrLoss::Event(lend(record))));
                }
                Some(EventOrLoss::Loss(loss)) => return Ok(Some(EventOrLoss::Loss(loss))),
                None => {}
            }
            if let Some((start, end)) = self.blocks.pop() {
                self.read(query, durable, start, end)?;
            } else if !self.list_blocks(reader, query, durable)? {
                return Ok(self.begin(reader, query)?.map(EventOrLoss::Loss));
            }
        }
    }

    /// What is missing before the lowest segment, once reading has come there.
    fn begin(&mut self, reader: &Reader, query: &Query) -> Result<Option<Box<Loss>>> {
        if self.left > 0 || std::mem::replace(&mut self.has_begun, true) {
            return Ok(None);
        }
        let Some(lowest) = reader.segments.first() else { return Ok(None) };
        match reader.head_of(*lowest) {
            Ok((header, _)) => lost_before(reader, &header, query),
            // That was told where the segment should have been read.
            Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds the blocks of the segment before. `false` where there is none that can hold anything wanted.
    fn list_blocks(&mut self, reader: &Reader, query: &Query, durable: u64) -> Result<bool> {
        let Some(position) = self.left.checked_sub(1) else { return Ok(false) };
        let mut open = reader.source.open_at_places(reader.segments[position], &Query::all())?;
        open.past_damage = self.past_damage;
        let number = reader.segments[position];
        let is_newest = position + 1 == reader.segments.len() && open.number() == number;
        let end = match (self.before, reader.segments.get(position + 1)) {
            (Some(before), _) => Some(before),
            (None, Some(next)) => {
                let next = reader.source.open(*next, &Query::all())?.segment.header;
                // Where it stands for this one as well, it begins before what is wanted.
                (next.covers_from > number).then_some(next.first_seq)
            }
            (None, None) => None,
        };
        let is_before = |seq: Option<Seq>| seq.is_some_and(|seq| query.from.is_some_and(|from| seq <= from));
        if is_before(end) {
            return Ok(false);
        }
        let header = &open.segment.header;
        self.left = reader.segments.partition_point(|other| *other < header.covers_from.min(number));
        self.before = Some(header.first_seq);
        if !query.may_be_in(open.footer.as_ref().and_then(|footer| footer.runs.as_ref())) {
            return Ok(true);
        }
        let mut index = open.index(durable, is_newest)?;
        index.retain(|entry| end.is_none_or(|end| entry.seq < end));
        self.types = open.types().to_vec();
        let ends = index.iter().skip(1).map(|entry| Some(entry.seq)).chain([end]);
        self.blocks = index.iter().copied().zip(ends).filter(|(_, end)| !is_before(*end)).collect();
        self.segment = Some((open.segment, is_newest));
        Ok(true)
    }

    fn read(&mut self, query: &Query, durable: u64, start: IndexEntry, end: Option<Seq>) -> Result<()> {
        let Some((segment, is_newest)) = self.segment.clone() else { return Ok(()) };
        let mut open = OpenSegment::of(segment, &Query::all())?;
        open.past_damage = self.past_damage;
        open.set_types(self.types.clone());
        open.start_at(start.offset, start.seq, start.time_floor_ns)?;
        let until = match (query.until, end) {
            (Some(until), Some(end)) => Some(until.min(end)),
            (until, end) => until.or(end),
        };
        let block = Query { until, reverse: false, ..query.clone() };
        loop {
            match open.find(&block, durable, is_newest)? {
                Found::Wanted => {
                    self.records.extend(open.record().map(|record| EventOrLoss::Event(record.into_owned())));
                }
                Found::Lost(loss) => self.records.push(EventOrLoss::Loss(loss)),
                Found::Sealed | Found::Over | Found::InFlight => return Ok(()),
            }
        }
    }
}

/// The same record with its payload borrowed.
fn lend<'a>(record: &'a Record<'static>) -> Record<'a> {
    Record { payload: Cow::Borrowed(&record.payload), entry: record.entry.as_deref().map(Cow::Borrowed), ..*record }
}
