//! Positions of the one grammar, looked up in a log.

use crate::error::{Error, Result};
use crate::fold::Snapshots;
use crate::log::loss::EventOrLoss;
use crate::log::query::Query;
use crate::log::reader::Reader;
use crate::log::record::Record;
use crate::position::{Position, PositionRange};
use crate::{ErrorKind, Kind, Mark, SegmentNumber, Seq};

impl Reader {
    /// The event that a position names: what is asked for is the state after it. `now_ns` is the clock, for positions that
    /// count from now.
    ///
    /// # Errors
    /// `NotFound` where the log has no such position; as reading.
    pub fn resolve(&self, position: &Position, now_ns: i64) -> Result<Seq> {
        self.resolve_for(None, position, now_ns)
    }

    /// The same for a command about a run: then a snapshot is one of that run.
    ///
    /// # Errors
    /// As [`Reader::resolve`].
    pub fn resolve_for(&self, run: Option<Seq>, position: &Position, now_ns: i64) -> Result<Seq> {
        match position {
            Position::Seq(seq) => {
                let seq = Seq::after(seq.get() - 1);
                if seq >= self.next_seq()? { Err(none(position, "the log ends before it")) } else { Ok(seq) }
            }
            Position::Head { back } => {
                let last = self.next_seq()?.count_before();
                let seq = last.checked_sub(*back).and_then(Seq::new);
                seq.ok_or_else(|| none(position, "the log has not as many events"))
            }
            Position::Instant { .. } | Position::TimeOfDay(_) | Position::Ago { .. } => {
                let time_ns = self.instant(position, now_ns)?;
                // The last event at or before a time is the one before the first event after it.
                let behind = self.first_at_or_after(time_ns.saturating_add(1))?;
                let last = behind.map_or_else(|| self.next_seq(), Ok)?.count_before();
                Seq::new(last).ok_or_else(|| none(position, "the log begins after it"))
            }
            Position::Mark(name) => self.mark(name)?.ok_or_else(|| none(position, "there is no such mark")),
            Position::Run(name) => Ok(self.find_run(name)?.last),
            Position::Offset { segment, offset_bytes } => self.event_at(position, segment.get(), *offset_bytes),
            Position::LatestSnapshot => self.snapshot(position, run, |_| true),
            Position::Snapshot(seq) => self.snapshot(position, run, |taken| taken.get() == seq.get()),
            Position::Before(_) | Position::After(_) => {
                Err(none(position, "a step is one of a run's, and no run is named here (--run RUN)"))
            }
        }
    }

    /// The range of seqs that a range of positions names: the first included, the last not. A time stands for the first
    /// event at or after it; as an end that is included, for the last one at or before it.
    ///
    /// # Errors
    /// As [`Reader::resolve`].
    pub fn resolve_range(&self, range: &PositionRange, now_ns: i64) -> Result<(Option<Seq>, Option<Seq>)> {
        let bound = |position: &Option<Position>| match position {
            None => Ok(None),
            Some(position @ (Position::Instant { .. } | Position::TimeOfDay(_) | Position::Ago { .. })) => {
                let time_ns = self.instant(position, now_ns)?;
                self.first_at_or_after(time_ns)?.map_or_else(|| self.next_seq(), Ok).map(Some)
            }
            // A bound may lie behind the end: then the range is what there is.
            Some(Position::Seq(seq)) => Ok(Seq::new(seq.get())),
            Some(position) => self.resolve(position, now_ns).map(Some),
        };
        let end = match (&range.end, range.includes_end) {
            (Some(Position::Seq(seq)), true) => Seq::new(seq.get()).map(Seq::next),
            (Some(position), true) => Some(self.resolve(position, now_ns)?.next()),
            (end, _) => bound(end)?,
        };
        Ok((bound(&range.start)?, end))
    }

    /// The instant that a position about a time names, in nanoseconds since 1970.
    fn instant(&self, position: &Position, now_ns: i64) -> Result<i64> {
        match position {
            Position::Instant { time_ns } => Ok(*time_ns),
            Position::Ago { seconds } => {
                let ns = i64::try_from(seconds.saturating_mul(1_000_000_000)).unwrap_or(i64::MAX);
                Ok(now_ns.saturating_sub(ns))
            }
            Position::TimeOfDay(time) => {
                // The last such time in the log, not on the wall: a log is often read on another day.
                let last = self.next_seq()?.count_before();
                let newest = Seq::new(last).map_or(Ok(None), |seq| self.last_time(seq))?;
                let time_ns = time.last_at_or_before(newest.unwrap_or(now_ns));
                time_ns.ok_or_else(|| none(position, "the calendar has no such time"))
            }
            _ => Err(none(position, "it names no time")),
        }
    }

    fn last_time(&self, seq: Seq) -> Result<Option<i64>> {
        Ok(self.first_of(Query::all().from(seq).until(seq.next()))?.map(|record| record.time_max_ns))
    }

    fn first_at_or_after(&self, time_ns: i64) -> Result<Option<Seq>> {
        let query = Query { times_ns: Some(time_ns..i64::MAX), ..Query::default() };
        Ok(self.first_of(query)?.map(|record| record.seq))
    }

    /// The first event that can be read.
    fn first_of(&self, query: Query) -> Result<Option<Record<'static>>> {
        let mut events = self.events(query)?;
        while let Some(next) = events.next_or_loss()? {
            if let EventOrLoss::Event(record) = next {
                return Ok(Some(record.into_owned()));
            }
        }
        Ok(None)
    }

    /// The newest snapshot that is wanted, of a run or of any.
    fn snapshot(&self, position: &Position, run: Option<Seq>, wanted: impl Fn(Seq) -> bool) -> Result<Seq> {
        let list = Snapshots::of(self).map(|snapshots| snapshots.list()).transpose()?.unwrap_or_default();
        let of_run = list.snapshots.iter().filter(|snapshot| run.is_none() || snapshot.head.run == run);
        let found = of_run.map(|snapshot| snapshot.head.seq).filter(|seq| wanted(*seq)).max();
        found.ok_or_else(|| none(position, "there is no such snapshot").hint("taffrail snap list"))
    }

    fn mark(&self, name: &str) -> Result<Option<Seq>> {
        let mut marks = self.events(Query::all().event_type("Mark").reverse())?;
        while let Some(next) = marks.next_or_loss()? {
            let EventOrLoss::Event(record) = next else { continue };
            if record.kind == Kind::MARK && Mark::decode(&record.payload).is_ok_and(|mark| mark.name == name) {
                return Ok(Some(record.seq));
            }
        }
        Ok(None)
    }

    /// The last event of a segment whose frame begins at or before an offset.
    fn event_at(&self, position: &Position, segment: u32, offset: u64) -> Result<Seq> {
        let number = SegmentNumber::new(segment).filter(|number| self.segments().contains(number));
        let Some(number) = number else { return Err(none(position, "there is no such segment")) };
        let mut open = self.source.open_at_places(number, &Query::all())?;
        let is_newest = self.segments().last() == Some(&number);
        let mut index = open.index(self.durable(), is_newest)?;
        index.retain(|entry| entry.offset <= offset);
        let Some(start) = index.last() else { return Err(none(position, "no event begins there")) };
        open.start_at(start.offset, start.seq, start.time_floor_ns)?;
        let mut last = start.seq;
        while let crate::log::open_segment::Found::Wanted = open.find(&Query::all(), self.durable(), is_newest)? {
            let Some(record) = open.record() else { break };
            if record.offset > offset {
                break;
            }
            last = record.seq;
        }
        Ok(last)
    }
}

fn none(position: &Position, why: &str) -> Error {
    Error::new(ErrorKind::NotFound, "T0146", format!("no position {position}: {why}")).hint("taffrail log stat")
}
