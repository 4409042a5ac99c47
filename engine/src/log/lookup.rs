//! Where single events lie: what [`Reader::get`](crate::Reader::get) remembers from one call to the next.

use crate::error::{Error, Result};
use crate::log::open_segment::OpenSegment;
use crate::log::record::Record;
use crate::log::segment::Segment;
use crate::storage::read_full_at;
use crate::{IndexEntry, Kind, Seq, TypeEntry};
use std::borrow::Cow;
use std::sync::Arc;
use taffrail_log_format::{Frame, RawHeader, Scanner, SegmentKey, Step};

/// Segments that have been opened, and the places of the events of those blocks of them that have been asked for.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    /// Ascending by their first seq.
    segments: Vec<Known>,
    /// How many places are kept.
    places: usize,
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
    index: Vec<IndexEntry>,
    /// The events of each block, where they have been asked for.
    blocks: Vec<Option<Box<[Place]>>>,
}

/// Where an event is, from its block's beginning on.
#[derive(Clone, Copy, Debug)]
struct Place {
    seq_delta: u32,
    offset_delta: u32,
    time_max_ns: i64,
}

impl Lookup {
    /// Places that are kept before all of them are forgotten: 16 MiB.
    const MOST_PLACES: usize = 1 << 20;

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
            self.places -= old.blocks.iter().flatten().map(|places| places.len()).sum::<usize>();
        }
        let known = Known {
            key: segment.header.key(),
            end,
            end_offset: opened.frames_end(),
            types: opened.types().to_vec(),
            blocks: index.iter().map(|_| None).collect(),
            index,
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
        let Some(block) = known.index.partition_point(|entry| entry.seq <= seq).checked_sub(1) else { return Ok(None) };
        let of_block = if known.blocks[block].is_none() { Some(self.read_block(position, block)?) } else { None };
        let known = &self.segments[position];
        let Some((offset, len, time_max_ns)) = known.place(block, seq) else { return Ok(None) };
        let bytes = match of_block {
            Some(read) => {
                let start = usize::try_from(offset - known.index[block].offset).unwrap_or(read);
                &self.buffer[start..read.min(start + len)]
            }
            None => {
                let read = known.read(offset, room(&mut self.buffer, len))?;
                &self.buffer[..read]
            }
        };
        match Scanner::new(known.key, offset, Some(seq)).step(bytes, true) {
            Step::Frame(frame) => Ok(Some(take(&known.record(&frame, time_max_ns)))),
            _ => Ok(None),
        }
    }

    /// Reads a block into the buffer, and learns the places of its events. Gives how many bytes there are.
    fn read_block(&mut self, position: usize, block: usize) -> Result<usize> {
        if self.places > Lookup::MOST_PLACES {
            self.segments.iter_mut().for_each(|known| known.blocks.fill(None));
            self.places = 0;
        }
        let known = &mut self.segments[position];
        let (start, end) = (known.index[block].offset, known.block_end(block));
        let len = usize::try_from(end - start).unwrap_or(0);
        let read = known.read(start, room(&mut self.buffer, len))?;
        let places = places_of(&known.key, known.index[block], &self.buffer[..read]);
        self.places += places.len();
        known.blocks[block] = Some(places.into());
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
    fn block_end(&self, block: usize) -> u64 {
        self.index.get(block + 1).map_or(self.end_offset, |next| next.offset)
    }

    /// Where an event's frame begins, how many bytes it takes at most, and the running maximum of the clock.
    fn place(&self, block: usize, seq: Seq) -> Option<(u64, usize, i64)> {
        let (start, places) = (self.index[block], self.blocks[block].as_ref()?);
        let delta = u32::try_from(seq.get() - start.seq.get()).ok()?;
        // Where none is absent, its number tells where it stands.
        let guess =
            usize::try_from(delta).ok().filter(|guess| places.get(*guess).is_some_and(|at| at.seq_delta == delta));
        let found = guess.or_else(|| places.binary_search_by_key(&delta, |place| place.seq_delta).ok())?;
        let place = places[found];
        let offset = start.offset + u64::from(place.offset_delta);
        let next = places.get(found + 1).map(|next| start.offset + u64::from(next.offset_delta));
        let len = next.unwrap_or_else(|| self.block_end(block)).checked_sub(offset)?;
        Some((offset, usize::try_from(len).ok()?, place.time_max_ns))
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let number = self.segment.header.number;
        read_full_at(&*self.segment.file, offset, buffer)
            .map_err(|error| Error::io("cannot read the log", error).segment(number).offset(offset))
    }

    fn record<'a>(&'a self, frame: &Frame<'a>, time_max_ns: i64) -> Record<'a> {
        let header = &frame.header;
        let row = header.kind.get().checked_sub(Kind::FIRST_USER.get());
        Record {
            seq: header.seq,
            run: header.run,
            revision: header.revision,
            time_ns: header.time_ns,
            time_max_ns,
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

/// The events of a block, by its frames' headers: payloads are proven when they are asked for. Ends at the first header
/// that is not proven.
fn places_of(key: &SegmentKey, start: IndexEntry, bytes: &[u8]) -> Vec<Place> {
    let mut places = Vec::new();
    let (mut at, mut time_max_ns) = (0, start.time_floor_ns);
    while let Some(raw) = bytes.get(at..).and_then(RawHeader::new) {
        let Some(header) = raw.proven(key, start.offset + at as u64) else { break };
        if header.kind.takes_seq() {
            time_max_ns = time_max_ns.max(header.time_ns);
            let seq_delta = header.seq.get().checked_sub(start.seq.get()).and_then(|delta| u32::try_from(delta).ok());
            let (Some(seq_delta), Ok(offset_delta)) = (seq_delta, u32::try_from(at)) else { break };
            places.push(Place { seq_delta, offset_delta, time_max_ns });
        }
        at = usize::try_from(header.frame_len()).map_or(bytes.len(), |len| at + len);
    }
    places
}
