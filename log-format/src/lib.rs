//! What the bytes of a taffrail log mean.
//!
//! This crate reads and writes the on-disk format and does nothing else: it takes `&[u8]` and gives `&[u8]`, and knows no
//! files, no clock and no threads. Recovery, readers, dump, verify and the fuzzers all go through its one [`Scanner`].
//! The specification is `docs/format.md`; a test compares its byte tables with the constants here.
//!
//! Bytes are hostile until proven: nothing here panics on them, a length is used only after its CRC has been checked, and
//! what is not yet proven has a type of its own ([`RawHeader`] becomes [`Header`], [`RawBlock`] becomes [`SegmentHeader`]).

mod block;
mod bodies;
mod classify;
mod crc;
mod defect;
mod flip;
mod footer;
mod frame;
mod gaps;
mod kind;
mod mask;
#[doc(hidden)]
pub mod sabotage;
mod scan;
mod seq;
mod tail;
mod types;
mod watermark;
pub mod wire;

pub use block::{LogId, RawBlock, SegmentHeader, SegmentKey, SegmentNumber, SyncPolicyTag};
pub use bodies::{Checkpoint, Mark, OperatorAction, Recovered, RunOpened};
pub use classify::{HeaderAt, TailEvidence, Verdict, classify};
pub use crc::{Crc32c, crc32c};
pub use defect::{Defect, DefectKind};
pub use flip::{FlippedBit, likely_flipped_bit};
pub use footer::{Footer, FooterBuilder, IndexEntry, RunEntry};
pub use frame::{
    Flags, Frame, FrameFields, Header, RawHeader, encode_frame, encode_redacted_frame, padded_len, reseal_frame,
};
pub use gaps::{GapRange, GapReason, Gaps};
pub use kind::Kind;
pub use mask::{apply_mask, find_mask};
pub use scan::{ScanMark, Scanner, Step, find_header};
pub use seq::Seq;
pub use tail::{TailScan, scan_tail};
pub use types::{Codec, TypeEntry, TypeRegistered, TypeTable};
pub use watermark::{Watermark, WatermarkSlots};

/// Constants of the layout: every offset and length that `docs/format.md` names.
pub mod layout {
    pub use crate::block::layout as block;
    pub use crate::frame::layout as frame;
    pub use crate::watermark::layout as watermark;

    /// The unit that a disk writes whole or not at all.
    pub const SECTOR_LEN_BYTES: u64 = 512;
    /// Offset of the first header block of a segment.
    pub const FIRST_BLOCK: u64 = 0;
    /// Offset of the second, equal header block: in another 4 KiB page, so that no one page takes both.
    pub const SECOND_BLOCK: u64 = 4096;
    /// Offset of the first frame of a segment (the type table).
    pub const FIRST_FRAME: u64 = SECOND_BLOCK + block::LEN_BYTES as u64;
    /// Frames start at multiples of this.
    pub const FRAME_ALIGN_BYTES: u64 = 8;
    /// Longest payload of one frame.
    pub const MAX_PAYLOAD_LEN_BYTES: usize = (1 << 24) - 1;
    /// Longest batch, with its frame headers and padding.
    pub const MAX_BATCH_LEN_BYTES: u64 = 32 << 20;
    /// Length of the frame that ends a sealed segment: a header and the footer's offset.
    pub const SEAL_LEN_BYTES: u64 = frame::HEADER_LEN_BYTES as u64 + 8;
    /// The format this crate writes.
    pub const FORMAT_VERSION: u16 = 1;
}
