use crate::{IndexEntry, Seq};
use taffrail_log_format::{RawHeader, SegmentKey};

/// A block of a segment's index, and where its events lie, once one of them has been asked for.
///
/// As small as a line of the processor's cache: a lookup waits for memory more than for anything else.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) start: IndexEntry,
    /// Bytes from the block's beginning to each event's frame; empty while nobody has asked.
    offsets: Box<[u32]>,
    /// What the events' positions and their own headers do not tell; mostly they tell all.
    uneven: Option<Box<Uneven>>,
}

/// Of each event of a block in which numbers are missing, or a clock went backwards.
#[derive(Debug, Default)]
struct Uneven {
    /// From the block's first seq on.
    seqs: Vec<u32>,
    /// The running maximum of the clock.
    times_max_ns: Vec<i64>,
}

/// Where an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Byte offset of its frame in the segment.
    pub(crate) offset: u64,
    /// Where the next event's frame begins; `None` where the next one is in another block.
    pub(crate) end: Option<u64>,
    /// The running maximum of the clock; `None` where it is the event's own time.
    pub(crate) time_max_ns: Option<i64>,
}

impl Block {
    pub(crate) fn new(start: IndexEntry) -> Block {
        Block { start, offsets: Box::default(), uneven: None }
    }

    /// Whether the places of its events are known.
    pub(crate) fn is_known(&self) -> bool {
        !self.offsets.is_empty()
    }

    /// Learns the places of its events from its bytes, by its frames' headers: payloads are proven when they are asked for.
    /// Ends at the first header that is not proven.
    pub(crate) fn learn(&mut self, key: &SegmentKey, bytes: &[u8]) {
        let (mut offsets, mut uneven) = (Vec::new(), Uneven::default());
        let (mut is_even, mut at, mut time_max_ns) = (true, 0, self.start.time_floor_ns);
        while let Some(raw) = bytes.get(at..).and_then(RawHeader::new) {
            let Some(header) = raw.proven(key, self.start.offset + at as u64) else { break };
            if header.kind.takes_seq() {
                time_max_ns = time_max_ns.max(header.time_ns);
                let seq = header.seq.get().checked_sub(self.start.seq.get()).and_then(|seq| u32::try_from(seq).ok());
                let (Some(seq), Ok(offset)) = (seq, u32::try_from(at)) else { break };
                is_even &= seq as usize == offsets.len() && time_max_ns == header.time_ns;
                offsets.push(offset);
                uneven.seqs.push(seq);
                uneven.times_max_ns.push(time_max_ns);
            }
            at = usize::try_from(header.frame_len()).map_or(bytes.len(), |len| at + len);
        }
        self.offsets = offsets.into();
        self.uneven = (!is_even).then(|| Box::new(uneven));
    }

    /// Forgets where its events lie.
    pub(crate) fn forget(&mut self) {
        *self = Block::new(self.start);
    }

    /// Memory that its events' places take.
    pub(crate) fn memory_bytes(&self) -> usize {
        let uneven = self.uneven.as_ref().map_or(0, |uneven| uneven.seqs.len() * size_of::<(u32, i64)>());
        self.offsets.len() * size_of::<u32>() + uneven
    }

    /// Where an event is; `None` where it is not among those that are known.
    pub(crate) fn place(&self, seq: Seq) -> Option<Place> {
        let from_start = seq.get().checked_sub(self.start.seq.get())?;
        let position = match &self.uneven {
            None => usize::try_from(from_start).ok()?,
            Some(uneven) => uneven.seqs.binary_search(&u32::try_from(from_start).ok()?).ok()?,
        };
        let offset_of = |position: usize| Some(self.start.offset + u64::from(*self.offsets.get(position)?));
        Some(Place {
            offset: offset_of(position)?,
            end: offset_of(position + 1),
            time_max_ns: self.uneven.as_ref().and_then(|uneven| uneven.times_max_ns.get(position).copied()),
        })
    }
}

/// The block that an event is in, if it is there at all: the last one that does not begin behind it. `end` is the first seq
/// behind them.
pub(crate) fn block_of(blocks: &[Block], seq: Seq, end: Seq) -> Option<usize> {
    let begins_behind = |position: usize| blocks.get(position).is_none_or(|block| block.start.seq > seq);
    let first = blocks.first()?.start.seq.get();
    let from_first = seq.get().checked_sub(first)?;
    // Blocks are as long as each other, and events mostly are: an even spread leads to the block or to a neighbour of it.
    let all = u128::from(end.get().saturating_sub(first)).max(1);
    let guess = usize::try_from(u128::from(from_first) * blocks.len() as u128 / all).ok()?.min(blocks.len() - 1);
    let (mut low, mut high, mut step) = (guess, guess + 1, 1);
    while begins_behind(low) {
        (low, high) = (low.saturating_sub(step), low);
        step *= 2;
    }
    while !begins_behind(high) {
        (low, high) = (high, high.saturating_add(step));
        step *= 2;
    }
    let found = blocks[low..high.min(blocks.len())].partition_point(|block| block.start.seq <= seq);
    (low + found).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_takes_no_more_than_a_cache_line() {
        assert!(size_of::<Block>() <= 64);
    }

    proptest! {
        #[test]
        fn the_block_of_an_event_is_the_last_that_does_not_begin_behind_it(
            steps in proptest::collection::vec(prop_oneof![1..3_u64, 1..100_u64, 1..u64::from(u32::MAX)], 1..60),
            behind in 0..1000_u64,
            asked in proptest::collection::vec((0..60_usize, -2..3_i64), 40),
        ) {
            let mut seq = 0;
            let blocks: Vec<Block> = steps.iter().map(|step| {
                seq += step;
                let seq = Seq::new(seq).unwrap();
                Block::new(IndexEntry { seq, offset: 0, time_floor_ns: 0 })
            }).collect();
            let end = Seq::new(seq + behind + 1).unwrap();
            for (near, away) in asked {
                let near = blocks[near.min(blocks.len() - 1)].start.seq.get();
                let Some(seq) = near.checked_add_signed(away).and_then(Seq::new) else { continue };
                let plain = blocks.partition_point(|block| block.start.seq <= seq).checked_sub(1);
                prop_assert_eq!(block_of(&blocks, seq, end), plain);
            }
        }
    }
}
