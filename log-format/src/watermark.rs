use crate::block::{LogId, SegmentNumber, field};
use crate::crc::crc32c;
use crate::defect::{Defect, DefectKind};

/// Offsets within a watermark slot, and the places of the slots in their file.
pub mod layout {
    /// The four bytes `wmrk`.
    pub const MAGIC: usize = 0;
    /// u32: the segment that the durable head lies in.
    pub const SEGMENT: usize = MAGIC + 4;
    /// 16 bytes: the log's id.
    pub const LOG_ID: usize = SEGMENT + 4;
    /// u64: counts the writes of the file; the higher slot is the newer one.
    pub const COUNTER: usize = LOG_ID + 16;
    /// u64: byte offset in the segment, behind the last durable frame.
    pub const OFFSET: usize = COUNTER + 8;
    /// u64: the last durable seq; 0 for none.
    pub const DURABLE: usize = OFFSET + 8;
    /// u64: byte offset of the last durable frame: the one that ends at `OFFSET`.
    pub const LAST_FRAME: usize = DURABLE + 8;
    /// u32: header CRC of that frame, so that another file's bytes do not pass for it.
    pub const LAST_FRAME_CRC: usize = LAST_FRAME + 8;
    /// u32: CRC-32C of all bytes before it.
    pub const CRC: usize = LAST_FRAME_CRC + 4;
    /// Length of a slot.
    pub const LEN_BYTES: usize = 64;
    /// The first four bytes of a slot.
    pub const MAGIC_BYTES: [u8; 4] = *b"wmrk";
    /// Offsets of the two slots in the file: different sectors, so that a torn write spoils one at most.
    pub const SLOTS: [u64; 2] = [0, 512];
    /// Length of the file.
    pub const FILE_LEN_BYTES: usize = 576;
    const _: () = assert!(CRC + 4 == LEN_BYTES);
}

/// What was durable at some moment. Written after a sync and never synced itself, so every version of it is true; it is
/// evidence, not a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The log.
    pub log_id: LogId,
    /// Counts the writes of the file.
    pub counter: u64,
    /// The segment in which the durable head lies.
    pub segment: SegmentNumber,
    /// Byte offset behind the last durable frame of that segment.
    pub offset: u64,
    /// The last durable seq; 0 for none.
    pub durable: u64,
    /// Byte offset of the frame that ends at `offset`.
    pub last_frame: u64,
    /// Header CRC of that frame.
    pub last_frame_crc: u32,
}

impl Watermark {
    /// The 64 bytes of a slot.
    #[must_use]
    pub fn encode(&self) -> [u8; layout::LEN_BYTES] {
        let mut slot = [0; layout::LEN_BYTES];
        let mut put = |at: usize, bytes: &[u8]| slot[at..at + bytes.len()].copy_from_slice(bytes);
        put(layout::MAGIC, &layout::MAGIC_BYTES);
        put(layout::SEGMENT, &self.segment.get().to_le_bytes());
        put(layout::LOG_ID, &self.log_id.0);
        put(layout::COUNTER, &self.counter.to_le_bytes());
        put(layout::OFFSET, &self.offset.to_le_bytes());
        put(layout::DURABLE, &self.durable.to_le_bytes());
        put(layout::LAST_FRAME, &self.last_frame.to_le_bytes());
        put(layout::LAST_FRAME_CRC, &self.last_frame_crc.to_le_bytes());
        let crc = crc32c(&slot[..layout::CRC]);
        slot[layout::CRC..].copy_from_slice(&crc.to_le_bytes());
        slot
    }

    /// Where the slot that this version goes into lies in the file.
    #[must_use]
    pub fn slot_offset(&self) -> u64 {
        layout::SLOTS[usize::from(self.counter % 2 == 1)]
    }

    fn decode(slot: &[u8; layout::LEN_BYTES]) -> Option<Watermark> {
        let u64_at = |at| u64::from_le_bytes(field(slot, at));
        let crc = crc32c(&slot[..layout::CRC]);
        let good = slot[..4] == layout::MAGIC_BYTES && u32::from_le_bytes(field(slot, layout::CRC)) == crc;
        let segment = SegmentNumber::new(u32::from_le_bytes(field(slot, layout::SEGMENT)));
        good.then_some(Watermark {
            log_id: LogId(field(slot, layout::LOG_ID)),
            counter: u64_at(layout::COUNTER),
            segment: segment?,
            offset: u64_at(layout::OFFSET),
            durable: u64_at(layout::DURABLE),
            last_frame: u64_at(layout::LAST_FRAME),
            last_frame_crc: u32::from_le_bytes(field(slot, layout::LAST_FRAME_CRC)),
        })
    }
}

/// What a watermark file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatermarkSlots {
    /// The newest good slot.
    pub newest: Option<Watermark>,
    /// Slots that have been written and can not be read.
    pub defects: Vec<Defect>,
}

impl WatermarkSlots {
    /// Reads the file's bytes (as many as there are). A slot of zeros has never been written.
    #[must_use]
    pub fn read(file: &[u8]) -> WatermarkSlots {
        let mut slots = WatermarkSlots::default();
        for offset in layout::SLOTS {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let slot = file.get(start..).and_then(<[u8]>::first_chunk::<{ layout::LEN_BYTES }>);
            match slot.and_then(Watermark::decode) {
                Some(read) if slots.newest.is_none_or(|newest| newest.counter < read.counter) => {
                    slots.newest = Some(read);
                }
                Some(_) => {}
                None if slot.is_none_or(|bytes| bytes.iter().all(|byte| *byte == 0)) => {}
                None => slots.defects.push(Defect::new(
                    DefectKind::WatermarkSlot,
                    offset,
                    "a slot that matches its CRC",
                    "other bytes",
                )),
            }
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watermark(counter: u64) -> Watermark {
        let segment = SegmentNumber::FIRST;
        Watermark {
            log_id: LogId([9; 16]),
            counter,
            segment,
            offset: 4608 + counter,
            durable: counter * 3,
            last_frame: 4608,
            last_frame_crc: 0xC0FF_EE00,
        }
    }

    fn file(marks: &[Watermark]) -> Vec<u8> {
        let mut bytes = vec![0; layout::FILE_LEN_BYTES];
        for mark in marks {
            let at = usize::try_from(mark.slot_offset()).unwrap();
            bytes[at..at + layout::LEN_BYTES].copy_from_slice(&mark.encode());
        }
        bytes
    }

    #[test]
    fn the_newest_good_slot_counts_and_a_bad_one_is_reported() {
        let bytes = file(&[watermark(4), watermark(5)]);
        assert_eq!(WatermarkSlots::read(&bytes), WatermarkSlots { newest: Some(watermark(5)), defects: vec![] });
        for bit in (0..layout::LEN_BYTES * 8).step_by(if cfg!(miri) { 37 } else { 1 }) {
            let mut twin = bytes.clone();
            twin[512 + bit / 8] ^= 1 << (bit % 8);
            let slots = WatermarkSlots::read(&twin);
            assert_eq!(slots.newest, Some(watermark(4)), "bit {bit}");
            assert_eq!((slots.defects[0].kind, slots.defects[0].offset), (DefectKind::WatermarkSlot, 512));
        }
        for len in 0..bytes.len() {
            let newest = WatermarkSlots::read(&bytes[..len]).newest;
            assert_eq!(newest, (len >= 64).then(|| watermark(4)), "{len} bytes");
        }
        assert_eq!(WatermarkSlots::read(&[]), WatermarkSlots::default());
    }

    #[test]
    fn the_higher_counter_is_the_newer_one_in_whichever_slot_it_is() {
        for (older, newer) in [(4, 5), (5, 6)] {
            assert_eq!(
                WatermarkSlots::read(&file(&[watermark(older), watermark(newer)])).newest,
                Some(watermark(newer))
            );
        }
        // The same counter twice, which no writer leaves: the first one, every time.
        let mut bytes = file(&[watermark(4), watermark(5)]);
        bytes[512..].copy_from_slice(&Watermark { offset: 9000, ..watermark(4) }.encode());
        assert_eq!(WatermarkSlots::read(&bytes).newest, Some(watermark(4)));
    }

    #[test]
    fn a_slot_of_zeros_was_never_written_and_anything_else_that_is_no_slot_is_told() {
        for counter in [4, 5] {
            let bytes = file(&[watermark(counter)]);
            let expected = WatermarkSlots { newest: Some(watermark(counter)), defects: vec![] };
            assert_eq!(WatermarkSlots::read(&bytes), expected);
        }
        assert_eq!(WatermarkSlots::read(&[0; layout::FILE_LEN_BYTES]), WatermarkSlots::default());
        let noise = WatermarkSlots::read(&[0xA6; layout::FILE_LEN_BYTES]);
        assert_eq!(noise.defects.iter().map(|defect| defect.offset).collect::<Vec<_>>(), layout::SLOTS);
        assert_eq!(noise.newest, None);
    }
}
