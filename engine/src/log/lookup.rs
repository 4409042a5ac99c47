//! Where single events lie: what [`Reader::get`](crate::Reader::get) remembers from one call to the next.

mod block;

use crate::error::{Error, Result};
use crate::log::open_segment::OpenSegment;
use crate::log::record::Record;
use crate::log::segment::Segment;
use crate::storage::read_full_at;
use crate::{IndexEntry, Kind, Seq, TypeEntry};
use block::{Block, Place, block_of};
use std::borrow::Cow;
use std::sync::Arc;
use taffrail_log_format::{Frame, Scanner, SegmentKey, Step};

/// Segments that have been opened, and the places of the events of those blocks of them that have been asked for.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    /// Ascending by their first seq.
    segments: Vec<Known>,
    /// Memory that the places of events take.
    places_bytes: usize,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Known {
    segment: Segment,
    key: SegmentKey,
    /// The first seq that is not here, or not durable: the places of those from it on may change.
    end: Seq,
    /// Where the last block ends.
    end_offset: u64,
    types: Vec<Arc<TypeEntry>>,
    blocks: Vec<Block>,
}

impl Lookup {
    /// What places take before all of them are forgotten.
    const MOST_PLACES_BYTES: usize = 16 << 20;

    /// Forgets everything: segments may have been replaced.
    pub(crate) fn forget(&mut self) {
        *self = Lookup::default();
    }

    /// Whether the segment of an event is open here.
    pub(crate) fn knows(&self, seq: Seq) -> bool {
        self.known(seq).is_some()
    }

    fn known(&self, seq: Seq) -> Option<usize> {
        let position = self.segments.partition_point(|known| known.segment.header.first_seq <= seq).checked_sub(1)?;
        (seq < self.segments[position].end).then_some(position)
    }

    /// Takes a segment. `index` are its blocks, and `end` is the first seq whose place may still change.
    pub(crate) fn learn(&mut self, opened: &OpenSegment, index: Vec<IndexEntry>, end: Seq) {
        let segment = opened.segment.clone();
        let first = segment.header.first_seq;
        let position = self.segments.partition_point(|known| known.segment.header.first_seq < first);
        if self.segments.get(position).is_some_and(|known| known.segment.header.first_seq == first) {
            let old = self.segments.remove(position);
            self.places_bytes -= old.blocks.iter().map(Block::memory_bytes).sum::<usize>();
        }
        let known = Known {
            key: segment.header.key(),
            end,
            end_offset: opened.frames_end(),
            types: opened.types().to_vec(),
            blocks: index.into_iter().map(Block::new).collect(),
            segment,
        };
        self.segments.insert(position, known);
    }

    /// Shows an event. `None` where it is not found here: then reading in order tells why.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn find<T>(&mut self, seq: Seq, take: impl FnOnce(&Record<'_>) -> T) -> Result<Option<T>> {
        let Some(position) = self.known(seq) else { return Ok(None) };
        let known = &self.segments[position];
        let Some(number) = block_of(&known.blocks, seq, known.end) else { return Ok(None) };
        let of_block = if known.blocks[number].is_known() { None } else { Some(self.read_block(position, number)?) };
        let known = &self.segments[position];
        let block = &known.blocks[number];
        let Some(place) = block.place(seq) else { return Ok(None) };
        let len = usize::try_from(place.end.unwrap_or_else(|| known.block_end(number)) - place.offset).unwrap_or(0);
        let bytes = match of_block {
            Some(read) => {
                let start = usize::try_from(place.offset - block.start.offset).unwrap_or(read);
                &self.buffer[start..read.min(start + len)]
            }
            None => {
                let read = known.read(place.offset, room(&mut self.buffer, len))?;
                &self.buffer[..read]
            }
        };
        match Scanner::new(known.key, place.offset, Some(seq)).step(bytes, true) {
            Step::Frame(frame) => Ok(Some(take(&known.record(&frame, &place)))),
            _ => Ok(None),
        }
    }

    /// Reads a block into the buffer, and learns the places of its events. Gives how many bytes there are.
    fn read_block(&mut self, position: usize, number: usize) -> Result<usize> {
        if self.places_bytes > Lookup::MOST_PLACES_BYTES {
            self.segments.iter_mut().flat_map(|known| &mut known.blocks).for_each(Block::forget);
            self.places_bytes = 0;
        }
        let known = &mut self.segments[position];
        let (start, end) = (known.blocks[number].start.offset, known.block_end(number));
        let len = usize::try_from(end - start).unwrap_or(0);
        let read = known.read(start, room(&mut self.buffer, len))?;
        let block = &mut known.blocks[number];
        block.learn(&known.key, &self.buffer[..read]);
        self.places_bytes += block.memory_bytes();
        Ok(read)
    }
}

/// So much of a buffer, which only grows: zeros are not written each time.
fn room(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

impl Known {
    fn block_end(&self, number: usize) -> u64 {
        self.blocks.get(number + 1).map_or(self.end_offset, |next| next.start.offset)
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let number = self.segment.header.number;
        read_full_at(&*self.segment.file, offset, buffer)
            .map_err(|error| Error::io("cannot read the log", error).segment(number).offset(offset))
    }

    fn record<'a>(&'a self, frame: &Frame<'a>, place: &Place) -> Record<'a> {
        let header = &frame.header;
        let row = header.kind.get().checked_sub(Kind::FIRST_USER.get());
        Record {
            seq: header.seq,
            run: header.run,
            revision: header.revision,
            time_ns: header.time_ns,
            time_max_ns: place.time_max_ns.unwrap_or(header.time_ns),
            kind: header.kind,
            entry: row.and_then(|row| self.types.get(usize::from(row))).map(Cow::Borrowed),
            hint: header.flags.hint,
            redacted: header.redacted,
            more: header.flags.more,
            payload: frame.payload(),
            segment: self.segment.header.number,
            offset: frame.offset,
            frame_len: header.frame_len(),
            header_crc: frame.header_crc(),
        }
    }
}
