use crate::{SegmentNumber, Seq};

/// A place between two frames, with what has to be known to go on from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The segment.
    pub(crate) segment: SegmentNumber,
    /// Byte offset behind the last frame.
    pub(crate) offset: u64,
    /// The seq of the next event.
    pub(crate) next_seq: Seq,
    /// The highest clock reading of all events before it.
    pub(crate) time_max_ns: i64,
    /// Byte offset of the frame that ends here.
    pub(crate) last_frame: u64,
    /// Header CRC of that frame.
    pub(crate) last_frame_crc: u32,
}

impl Position {
    /// The order of places in the log.
    pub(crate) fn place(&self) -> (SegmentNumber, u64) {
        (self.segment, self.offset)
    }
}
