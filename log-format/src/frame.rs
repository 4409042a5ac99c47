use crate::block::{SegmentKey, field};
use crate::crc::crc32c;
use crate::defect::{Defect, DefectKind};
use crate::kind::Kind;
use crate::layout as place;
use crate::mask::{apply_mask, find_mask};
use crate::sabotage::{self, Sabotage};
use crate::seq::Seq;
use std::borrow::Cow;
use std::num::NonZeroU32;

/// Offsets within a frame header. Each is the end of the field before it; the compile-time assert closes the chain.
pub mod layout {
    /// u32: CRC-32C over log id, segment number, offset, and the header from byte 4.
    pub const HEADER_CRC: usize = 0;
    /// u32: payload length in the low 24 bits, [`MARK`] in the high byte.
    pub const LEN_MARK: usize = HEADER_CRC + 4;
    /// u64: the event's seq; in frames that take none, the seq of the next event.
    pub const SEQ: usize = LEN_MARK + 4;
    /// u64: seq of the run's first event, or 0.
    pub const RUN: usize = SEQ + 8;
    /// i64: ns, raw clock.
    pub const TIME_NS: usize = RUN + 8;
    /// u32: seq minus the highest seq known durable when this was written; never 0.
    pub const LAG: usize = TIME_NS + 8;
    /// u32: ordinal of the event in its run, from 1; 0 without a run.
    pub const REVISION: usize = LAG + 4;
    /// u32: CRC-32C of the payload as stored.
    pub const PAYLOAD_CRC: usize = REVISION + 4;
    /// u16: index into the segment's type table; never 0.
    pub const KIND: usize = PAYLOAD_CRC + 4;
    /// u8: 0, or the number of the payload's mask.
    pub const MASK: usize = KIND + 2;
    /// u8: flags; bits 7 and 5 are always set.
    pub const FLAGS: usize = MASK + 1;
    /// Length of a frame header.
    pub const HEADER_LEN_BYTES: usize = FLAGS + 1;
    /// The high byte of `LEN_MARK`.
    pub const MARK: u8 = 0xA6;
    /// Flag: another frame of the same batch follows.
    pub const FLAG_MORE: u8 = 1;
    /// Flag: a hint, which a fold may skip without knowing its type.
    pub const FLAG_HINT: u8 = 1 << 1;
    /// Flag: the payload is not the one that was appended; a redaction has replaced it.
    pub const FLAG_REDACTED: u8 = 1 << 6;
    /// Flags that this format does not define and a reader must not pass over.
    pub const FLAGS_CRITICAL_UNKNOWN: u8 = 1 << 2 | 1 << 3 | 1 << 4;
    /// Flags that are always set.
    pub const FLAGS_CONSTANT: u8 = 1 << 7 | 1 << 5;
    const _: () = assert!(HEADER_LEN_BYTES == 48 && HEADER_LEN_BYTES.is_multiple_of(8));
}

/// The flags of a frame that a writer chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Another frame of the same batch follows.
    pub more: bool,
    /// A fold that does not know the type may skip the event.
    pub hint: bool,
}

/// What a writer says about a frame; lengths, CRCs and the mask are worked out by [`encode_frame`].
#[derive(Clone, Copy, Debug)]
pub struct FrameFields {
    /// The event's seq; in frames that take none, the seq of the next event.
    pub seq: Seq,
    /// Seq of the run's first event; `None` for events of the store.
    pub run: Option<Seq>,
    /// Ordinal in the run, from 1; 0 without a run.
    pub revision: u32,
    /// Raw clock, ns.
    pub time_ns: i64,
    /// How many events are durable at this moment.
    pub durable: u64,
    /// Index into the type table.
    pub kind: Kind,
    /// Flags.
    pub flags: Flags,
}

/// A frame header, proven: it matches its CRC at its place, and its fields are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the payload in bytes.
    pub payload_len: u32,
    /// The event's seq; in frames that take none, the seq of the next event.
    pub seq: Seq,
    /// Seq of the run's first event; `None` for events of the store.
    pub run: Option<Seq>,
    /// Raw clock, ns.
    pub time_ns: i64,
    /// Seq minus the highest seq known durable when this was written.
    pub lag: NonZeroU32,
    /// Ordinal in the run, from 1; 0 without a run.
    pub revision: u32,
    /// CRC-32C of the payload as stored.
    pub payload_crc: u32,
    /// Index into the type table.
    pub kind: Kind,
    /// 0, or the number of the payload's mask.
    pub mask: u8,
    /// Flags.
    pub flags: Flags,
    /// The payload is not the one that was appended: a redaction has replaced it.
    pub redacted: bool,
}

impl Header {
    /// The highest seq known durable when this was written; 0 for none.
    #[must_use]
    #[inline]
    pub fn durable(&self) -> u64 {
        self.seq.get().saturating_sub(u64::from(self.lag.get()))
    }

    /// Length of the whole frame: header, payload, padding.
    #[must_use]
    #[inline]
    pub fn frame_len(&self) -> u64 {
        padded_len(u64::from(self.payload_len))
    }
}

/// Length of a frame with a payload of this length: header, payload, padding to eight bytes.
#[must_use]
pub const fn padded_len(payload_len: u64) -> u64 {
    layout::HEADER_LEN_BYTES as u64 + payload_len.next_multiple_of(place::FRAME_ALIGN_BYTES)
}

/// The 48 bytes of a frame header as they were read, not yet proven.
#[derive(Clone, Copy, Debug)]
pub struct RawHeader<'a>(&'a [u8; layout::HEADER_LEN_BYTES]);

impl<'a> RawHeader<'a> {
    pub(crate) fn bytes(self) -> &'a [u8; layout::HEADER_LEN_BYTES] {
        self.0
    }

    /// The first 48 bytes, if there are as many.
    #[must_use]
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<RawHeader<'a>> {
        bytes.first_chunk().map(RawHeader)
    }

    /// Whether this is free space: nothing has been written here.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// A cheap test that nearly all bytes that are no header fail; the CRC decides.
    #[must_use]
    #[inline]
    pub fn looks_like_header(&self) -> bool {
        self.0[layout::LEN_MARK + 3] == layout::MARK
            && self.0[layout::FLAGS] & layout::FLAGS_CONSTANT == layout::FLAGS_CONSTANT
    }

    /// Proves the header for its place, or says what is wrong.
    ///
    /// # Errors
    /// `HEADER_CRC`, `UNKNOWN_FLAG` or `HEADER_FIELD`.
    pub fn check(&self, key: &SegmentKey, offset: u64) -> Result<Header, Defect> {
        let bytes = self.0;
        let stored = u32::from_le_bytes(field(bytes, layout::HEADER_CRC));
        let computed = key.header_crc(offset, bytes);
        if stored != computed && !sabotage::is(Sabotage::TrustLengthBeforeCrc) {
            return Err(Defect::new(
                DefectKind::HeaderCrc,
                offset,
                format!("header CRC {computed:08x}"),
                format!("{stored:08x}"),
            ));
        }
        let flags = bytes[layout::FLAGS];
        if flags & layout::FLAGS_CRITICAL_UNKNOWN != 0 {
            return Err(Defect::new(
                DefectKind::UnknownFlag,
                offset,
                "flags that this build knows",
                format!("{flags:#010b}"),
            ));
        }
        self.decode().ok_or_else(|| {
            Defect::new(DefectKind::HeaderField, offset, "fields in their ranges", "an impossible value")
        })
    }

    /// The header, if it is proven for its place: [`RawHeader::check`] without the error's texts, for searches that ask
    /// every eight bytes.
    #[must_use]
    #[inline(always)]
    pub fn proven(&self, key: &SegmentKey, offset: u64) -> Option<Header> {
        let bytes = self.0;
        let known = bytes[layout::FLAGS] & layout::FLAGS_CRITICAL_UNKNOWN == 0;
        let plausible = known && self.looks_like_header();
        let stored = u32::from_le_bytes(field(bytes, layout::HEADER_CRC));
        (plausible && stored == key.header_crc(offset, bytes)).then(|| self.decode()).flatten()
    }

    /// The fields, of a header that is known to be proven.
    #[inline(always)]
    pub(crate) fn decode(&self) -> Option<Header> {
        let bytes = self.0;
        let u32_at = |at| u32::from_le_bytes(field(bytes, at));
        let u64_at = |at| u64::from_le_bytes(field(bytes, at));
        let flags = bytes[layout::FLAGS];
        if !self.looks_like_header() {
            return None;
        }
        let header = Header {
            payload_len: u32_at(layout::LEN_MARK) & 0x00FF_FFFF,
            seq: Seq::new(u64_at(layout::SEQ))?,
            run: Seq::new(u64_at(layout::RUN)),
            time_ns: i64::from_le_bytes(field(bytes, layout::TIME_NS)),
            lag: NonZeroU32::new(u32_at(layout::LAG))?,
            revision: u32_at(layout::REVISION),
            payload_crc: u32_at(layout::PAYLOAD_CRC),
            kind: Kind::new(u16::from_le_bytes(field(bytes, layout::KIND)))?,
            mask: bytes[layout::MASK],
            flags: Flags { more: flags & layout::FLAG_MORE != 0, hint: flags & layout::FLAG_HINT != 0 },
            redacted: flags & layout::FLAG_REDACTED != 0,
        };
        let lag_possible = u64::from(header.lag.get()) <= header.seq.get();
        let run_possible = match header.run {
            None => header.revision == 0,
            Some(run) => header.revision >= 1 && run <= header.seq && (header.revision == 1) == (run == header.seq),
        };
        (lag_possible && run_possible).then_some(header)
    }
}

/// A frame whose header and payload have been proven.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The header.
    pub header: Header,
    /// Byte offset of the header in its segment.
    pub offset: u64,
    pub(crate) bytes: &'a [u8; layout::HEADER_LEN_BYTES],
    /// The payload as it is stored: masked where the header says so.
    pub stored: &'a [u8],
    /// The padding behind it: zero, unless a bit has been flipped there.
    pub padding: &'a [u8],
    pub(crate) key: SegmentKey,
}

impl<'a> Frame<'a> {
    /// The payload. Borrowed, unless it was stored under a mask.
    #[must_use]
    pub fn payload(&self) -> Cow<'a, [u8]> {
        if self.header.mask == 0 {
            return Cow::Borrowed(self.stored);
        }
        let mut payload = self.stored.to_vec();
        apply_mask(self.key.log_id(), self.header.seq, self.header.mask, &mut payload);
        Cow::Owned(payload)
    }

    /// The header's 48 bytes.
    #[must_use]
    pub fn header_bytes(&self) -> &'a [u8; layout::HEADER_LEN_BYTES] {
        self.bytes
    }

    /// The header's CRC: with its place, the identity of the frame.
    #[must_use]
    pub fn header_crc(&self) -> u32 {
        u32::from_le_bytes(field(self.bytes, layout::HEADER_CRC))
    }

    /// Offset of the first byte behind the frame.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.header.frame_len()
    }
}

/// Appends a frame to a buffer whose next byte will lie at `offset` in the segment, and returns its header.
///
/// # Errors
/// Hands the payload's length back if it is over [`place::MAX_PAYLOAD_LEN_BYTES`], or if no mask makes it stand out
/// (which takes a payload made for that purpose).
///
/// # Panics
/// If `offset` is not a multiple of eight, or the fields contradict each other: errors of the caller.
#[inline]
pub fn encode_frame(
    buffer: &mut Vec<u8>,
    key: &SegmentKey,
    offset: u64,
    fields: &FrameFields,
    payload: &[u8],
) -> Result<Header, usize> {
    assert!(offset.is_multiple_of(place::FRAME_ALIGN_BYTES), "frames are aligned");
    assert!(fields.durable < fields.seq.get(), "a frame is written before it is durable");
    // A lag that is cut to 32 bits would tell of more durable events than there are: a reader takes what lies behind for
    // damage. No writer comes near: a segment is synced when it is sealed.
    let lag = u32::try_from(fields.seq.get() - fields.durable);
    assert!(lag.is_ok(), "at most 2^32 - 1 events are not durable");
    let lag = lag.unwrap_or(u32::MAX);
    let Some(payload_len) = u32::try_from(payload.len()).ok().filter(|len| *len >> 24 == 0) else {
        return Err(payload.len());
    };
    let payload_offset = offset + layout::HEADER_LEN_BYTES as u64;
    let mask = find_mask(key.log_id(), fields.seq, payload_offset, payload).ok_or(payload.len())?;
    let start = buffer.len();
    let padding = payload.len().next_multiple_of(8) - payload.len();
    buffer.reserve(layout::HEADER_LEN_BYTES + payload.len() + padding);
    buffer.extend_from_slice(&[0; layout::HEADER_LEN_BYTES]);
    buffer.extend_from_slice(payload);
    apply_mask(key.log_id(), fields.seq, mask, &mut buffer[start + layout::HEADER_LEN_BYTES..]);
    let payload_crc = crc32c(&buffer[start + layout::HEADER_LEN_BYTES..]);
    buffer.extend_from_slice(&[0; 8][..padding]);

    let mut flags = layout::FLAGS_CONSTANT;
    flags |= if fields.flags.more { layout::FLAG_MORE } else { 0 };
    flags |= if fields.flags.hint { layout::FLAG_HINT } else { 0 };
    // On the stack, since the compiler knows its length there.
    let mut header = [0; layout::HEADER_LEN_BYTES];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(layout::LEN_MARK, &(payload_len | u32::from(layout::MARK) << 24).to_le_bytes());
    put(layout::SEQ, &fields.seq.get().to_le_bytes());
    put(layout::RUN, &fields.run.map_or(0, Seq::get).to_le_bytes());
    put(layout::TIME_NS, &fields.time_ns.to_le_bytes());
    put(layout::LAG, &lag.to_le_bytes());
    put(layout::REVISION, &fields.revision.to_le_bytes());
    put(layout::PAYLOAD_CRC, &payload_crc.to_le_bytes());
    put(layout::KIND, &fields.kind.get().to_le_bytes());
    put(layout::MASK, &[mask]);
    put(layout::FLAGS, &[flags]);
    let crc = key.header_crc(offset, &header);
    header[layout::HEADER_CRC..layout::LEN_MARK].copy_from_slice(&crc.to_le_bytes());
    buffer[start..start + layout::HEADER_LEN_BYTES].copy_from_slice(&header);
    let written = Header {
        payload_len,
        seq: fields.seq,
        run: fields.run,
        time_ns: fields.time_ns,
        lag: NonZeroU32::new(lag).unwrap_or(NonZeroU32::MAX),
        revision: fields.revision,
        payload_crc,
        kind: fields.kind,
        mask,
        flags: fields.flags,
        redacted: false,
    };
    debug_assert!(RawHeader::new(&header).is_some_and(|raw| raw.check(key, offset) == Ok(written)), "written as read");
    Ok(written)
}

/// Appends a frame whose payload is not the one that the event was appended with, and says so in its flags.
///
/// # Errors
/// As [`encode_frame`].
///
/// # Panics
/// As [`encode_frame`].
pub fn encode_redacted_frame(
    buffer: &mut Vec<u8>,
    key: &SegmentKey,
    offset: u64,
    fields: &FrameFields,
    payload: &[u8],
) -> Result<Header, usize> {
    let start = buffer.len();
    let written = encode_frame(buffer, key, offset, fields, payload)?;
    if let Some(header) = buffer[start..].first_chunk_mut() {
        header[layout::FLAGS] |= layout::FLAG_REDACTED;
        reseal_frame(header, key, offset);
    }
    Ok(Header { redacted: true, ..written })
}

/// Binds a proven frame header to another offset of the same segment: every byte stays but those of its CRC.
///
/// # Panics
/// If `offset` is not a multiple of eight.
pub fn reseal_frame(header: &mut [u8; layout::HEADER_LEN_BYTES], key: &SegmentKey, offset: u64) {
    assert!(offset.is_multiple_of(place::FRAME_ALIGN_BYTES), "frames are aligned");
    let crc = key.header_crc(offset, header);
    header[layout::HEADER_CRC..layout::LEN_MARK].copy_from_slice(&crc.to_le_bytes());
}
