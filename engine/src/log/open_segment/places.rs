//! Where in a segment reading begins: at a place of its footer's index, or of the run index where it has no footer yet.

use super::{Look, OpenSegment};
use crate::error::Result;
use crate::log::cursor::Cursor;
use crate::log::query::Query;
use crate::{Footer, FooterBuilder, IndexEntry, Seq, TypeTable};

impl OpenSegment {
    /// Uses the footer: its types, and its index.
    pub(super) fn seek(&mut self, footer: &Footer, query: &Query) -> Result<()> {
        self.learn(&footer.types);
        if let Some(entry) = query.begin_in(&footer.index) {
            self.go_to(entry)?;
        }
        Ok(())
    }

    /// Uses what the run index tells of the segment up to an offset, where no footer does yet.
    pub(crate) fn take_hint(&mut self, hint: (TypeTable, Vec<IndexEntry>), until: u64, query: &Query) -> Result<()> {
        let (types, places) = hint;
        let is_whole = places.first().is_some_and(|first| first.seq == self.segment.header.first_seq)
            && places.last().is_some_and(|last| last.offset < until);
        if !is_whole || !places.is_sorted_by(|one, next| one.seq < next.seq && one.offset < next.offset) {
            return Ok(());
        }
        if let Some(entry) = query.begin_in(&places)
            && self.go_to(entry)?
        {
            self.learn(&types);
        }
        self.hint = Some((types, places));
        Ok(())
    }

    /// Whether each of these places leads to its event's header. What an index leads to is read as it stands there, and a hint
    /// must not make damage of it.
    fn are_there(&self, places: &[IndexEntry]) -> Result<bool> {
        for place in places {
            if self.segment.header_at(place.offset)?.is_none_or(|header| header.seq != place.seq) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes to a place of an index, which is a hint. Where it does not lead to its frame, reading begins where it would have:
    /// `false`.
    fn go_to(&mut self, entry: &IndexEntry) -> Result<bool> {
        let is_there = self.segment.frame_at(entry.offset, |frame| frame.header.seq == entry.seq)? == Some(true);
        if is_there {
            self.start_at(entry.offset, entry.seq, entry.time_floor_ns)?;
        }
        Ok(is_there)
    }

    /// Goes to an event's frame.
    pub(crate) fn start_at(&mut self, offset: u64, seq: Seq, time_floor_ns: i64) -> Result<()> {
        self.cursor = Cursor::new(&self.segment, offset, Some(seq));
        self.cursor.scanner.assume_gaps(self.segment.gaps()?);
        self.time_max_ns = time_floor_ns;
        Ok(())
    }

    /// Places in the segment to start reading from, one for about every 64 KiB: from the footer, or by reading what the run
    /// index does not cover.
    pub(crate) fn index(&mut self, durable: u64, is_newest: bool) -> Result<Vec<IndexEntry>> {
        if let Some((_, places)) = &self.hint
            && !self.are_there(places)?
        {
            self.hint = None;
        }
        self.unproven_index(durable, is_newest)
    }

    /// The same, for who proves that a place has its frame when it comes to it.
    pub(crate) fn unproven_index(&mut self, durable: u64, is_newest: bool) -> Result<Vec<IndexEntry>> {
        if let Some(footer) = &self.footer {
            return Ok(footer.index.clone());
        }
        let nothing = Query::nothing();
        let mut index: Vec<IndexEntry> = Vec::new();
        if let Some((types, mut places)) = self.hint.take()
            && let Some(last) = places.pop()
            && self.go_to(&last)?
        {
            self.learn(&types);
            index = places;
        }
        loop {
            let entry = IndexEntry { seq: self.expected(), offset: self.offset(), time_floor_ns: self.time_max_ns };
            let due = FooterBuilder::is_place_due(&index, entry.offset);
            let look = match self.step_plain(durable, is_newest) {
                Some(_) => Look::Pass,
                None => self.look(&nothing, durable, is_newest)?,
            };
            match look {
                Look::Pass if !self.sealed => {
                    if due && self.expected() > entry.seq {
                        index.push(entry);
                    }
                }
                Look::Lost(_) if due => index.push(entry),
                Look::Lost(_) => {}
                Look::Pass | Look::Wanted | Look::End => return Ok(index),
            }
        }
    }
}
