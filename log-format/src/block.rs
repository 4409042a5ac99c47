use crate::crc::{Crc32c, crc32c, crc32c_behind};
use crate::defect::{Defect, DefectKind};
use crate::frame::layout as frame;
use crate::layout as place;
use crate::seq::Seq;
use std::fmt;
use std::num::NonZeroU32;

/// Offsets within a header block. Each is the end of the field before it; the compile-time assert closes the chain.
pub mod layout {
    /// The eight bytes `taffrail`.
    pub const MAGIC: usize = 0;
    /// u16: version of the format.
    pub const FORMAT_VERSION: usize = MAGIC + 8;
    /// u16: the lowest format version a reader must know.
    pub const READER_FLOOR: usize = FORMAT_VERSION + 2;
    /// u32: the segment's number, from 1.
    pub const NUMBER: usize = READER_FLOOR + 2;
    /// 16 bytes: the log's id.
    pub const LOG_ID: usize = NUMBER + 4;
    /// u32: how often this segment has been rewritten.
    pub const GENERATION: usize = LOG_ID + 16;
    /// u32: the lowest segment number whose events this one stands for.
    pub const COVERS_FROM: usize = GENERATION + 4;
    /// u64: the seq that was due when the segment began.
    pub const FIRST_SEQ: usize = COVERS_FROM + 4;
    /// i64: nanoseconds, raw clock.
    pub const CREATED_NS: usize = FIRST_SEQ + 8;
    /// i64: the highest clock reading of all events before this segment.
    pub const TIME_FLOOR_NS: usize = CREATED_NS + 8;
    /// u64: origin length of the predecessor; 0 in the first segment.
    pub const PREDECESSOR_LEN: usize = TIME_FLOOR_NS + 8;
    /// 32 bytes: origin digest of the predecessor; zeros in the first segment.
    pub const PREDECESSOR_DIGEST: usize = PREDECESSOR_LEN + 8;
    /// u64: length of this segment's first sealed content; 0 in generation 0.
    pub const ORIGIN_LEN: usize = PREDECESSOR_DIGEST + 32;
    /// 32 bytes: digest of this segment's first sealed content; zeros in generation 0.
    pub const ORIGIN_DIGEST: usize = ORIGIN_LEN + 8;
    /// u8: 1 always, 2 interval, 3 never.
    pub const SYNC_POLICY: usize = ORIGIN_DIGEST + 32;
    /// Three zeros.
    pub const SYNC_PADDING: usize = SYNC_POLICY + 1;
    /// u32: milliseconds, for the interval policy.
    pub const SYNC_INTERVAL_MS: usize = SYNC_PADDING + 3;
    /// Zeros.
    pub const UNUSED: usize = SYNC_INTERVAL_MS + 4;
    /// u32: CRC-32C of all bytes before it.
    pub const CRC: usize = 508;
    /// One sector.
    pub const LEN_BYTES: usize = 512;
    /// The first eight bytes of every segment.
    pub const MAGIC_BYTES: [u8; 8] = *b"taffrail";
    const _: () = assert!(UNUSED == 152 && UNUSED <= CRC && CRC + 4 == LEN_BYTES);
}

/// The identity of a log: sixteen random bytes, given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub [u8; 16]);

impl LogId {
    /// The two little-endian halves, for the keystream.
    pub(crate) fn halves(self) -> (u64, u64) {
        let wide = u128::from_le_bytes(self.0);
        #[allow(clippy::cast_possible_truncation, reason = "the halves of a u128")]
        (wide as u64, (wide >> 64) as u64)
    }

    /// The first four digits: enough for people to tell logs apart.
    #[must_use]
    pub fn short(self) -> String {
        format!("s_{:02x}{:02x}", self.0[0], self.0[1])
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The number of a segment in its log, from 1; also its file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(NonZeroU32);

impl SegmentNumber {
    /// The first segment of a log.
    pub const FIRST: SegmentNumber = SegmentNumber(NonZeroU32::MIN);

    /// A number, or `None` for zero.
    #[must_use]
    pub const fn new(number: u32) -> Option<SegmentNumber> {
        match NonZeroU32::new(number) {
            Some(number) => Some(SegmentNumber(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The segment that follows.
    #[must_use]
    pub const fn next(self) -> SegmentNumber {
        SegmentNumber(self.0.saturating_add(1))
    }

    /// The segment before, if this is not the first.
    #[must_use]
    pub const fn previous(self) -> Option<SegmentNumber> {
        SegmentNumber::new(self.0.get() - 1)
    }

    /// The file's name: ten digits and `.seg`.
    #[must_use]
    pub fn file_name(self) -> String {
        // Without `format!`, whose code nothing else on the way to an open log has to load.
        let mut name = String::with_capacity(14);
        let mut unit = 1_000_000_000;
        while unit > 0 {
            name.push(char::from_digit(self.get() / unit % 10, 10).unwrap_or('0'));
            unit /= 10;
        }
        name.push_str(".seg");
        name
    }

    /// The number that a file's name tells, if it is a segment's.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<SegmentNumber> {
        let digits = name.strip_suffix(".seg")?;
        let is_plain = digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_plain).and_then(SegmentNumber::new)
    }
}

impl fmt::Display for SegmentNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What frame headers are bound to: the log and the segment. A frame copied elsewhere does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentKey {
    log_id: LogId,
    number: SegmentNumber,
    /// CRC-32C of log id and segment number.
    seed: u32,
}

impl SegmentKey {
    /// The key of a segment.
    #[must_use]
    pub fn new(log_id: LogId, number: SegmentNumber) -> SegmentKey {
        let seed = Crc32c::default().then(&log_id.0).then(&number.get().to_le_bytes()).value();
        SegmentKey { log_id, number, seed }
    }

    /// The log.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.log_id
    }

    /// The segment.
    #[must_use]
    pub fn number(&self) -> SegmentNumber {
        self.number
    }

    /// The CRC-32C that a frame header at an offset must carry: over log id, segment number, offset, and the header from
    /// its fifth byte on.
    #[inline]
    pub(crate) fn header_crc(&self, offset: u64, header: &[u8; frame::HEADER_LEN_BYTES]) -> u32 {
        // In one piece: a short one costs nearly as much as a long one, and this is asked of every frame.
        let [_, _, _, _, behind @ ..] = header;
        crc32c_behind(self.seed, offset, behind)
    }
}

/// How the writer of a segment made appends durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicyTag {
    /// Each append returned after its sync.
    Always,
    /// A sync every so many milliseconds.
    Interval(u32),
    /// No sync but at rotation and close.
    Never,
}

/// The header of a segment, proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Version of the format it was written in.
    pub format_version: u16,
    /// The lowest format version that a reader must know.
    pub reader_floor: u16,
    /// The log.
    pub log_id: LogId,
    /// The segment.
    pub number: SegmentNumber,
    /// How often the segment has been rewritten (compaction, redaction, salvage).
    pub generation: u32,
    /// The lowest segment whose events it stands for: its own number, unless a prefix was compacted into it.
    pub covers_from: SegmentNumber,
    /// The seq that was due when the segment (or the lowest one it stands for) began.
    pub first_seq: Seq,
    /// When the segment was made: raw clock, ns.
    pub created_ns: i64,
    /// The highest clock reading of all events before it; `i64::MIN` where there are none.
    pub time_floor_ns: i64,
    /// Origin length and origin digest of the predecessor; `None` in the first segment of a log.
    pub predecessor: Option<(u64, [u8; 32])>,
    /// Origin length and digest of this segment's own first sealed content; `None` in generation 0.
    pub origin: Option<(u64, [u8; 32])>,
    /// How the writer made appends durable.
    pub sync_policy: SyncPolicyTag,
}

impl SegmentHeader {
    /// The 512 bytes of a header block.
    #[must_use]
    pub fn encode(&self) -> [u8; layout::LEN_BYTES] {
        let mut block = [0; layout::LEN_BYTES];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(layout::MAGIC, &layout::MAGIC_BYTES);
        put(layout::FORMAT_VERSION, &self.format_version.to_le_bytes());
        put(layout::READER_FLOOR, &self.reader_floor.to_le_bytes());
        put(layout::NUMBER, &self.number.get().to_le_bytes());
        put(layout::LOG_ID, &self.log_id.0);
        put(layout::GENERATION, &self.generation.to_le_bytes());
        put(layout::COVERS_FROM, &self.covers_from.get().to_le_bytes());
        put(layout::FIRST_SEQ, &self.first_seq.get().to_le_bytes());
        put(layout::CREATED_NS, &self.created_ns.to_le_bytes());
        put(layout::TIME_FLOOR_NS, &self.time_floor_ns.to_le_bytes());
        if let Some((len, digest)) = &self.predecessor {
            put(layout::PREDECESSOR_LEN, &len.to_le_bytes());
            put(layout::PREDECESSOR_DIGEST, digest);
        }
        if let Some((len, digest)) = &self.origin {
            put(layout::ORIGIN_LEN, &len.to_le_bytes());
            put(layout::ORIGIN_DIGEST, digest);
        }
        let (tag, interval_ms) = match self.sync_policy {
            SyncPolicyTag::Always => (1_u8, 0),
            SyncPolicyTag::Interval(ms) => (2, ms),
            SyncPolicyTag::Never => (3, 0),
        };
        put(layout::SYNC_POLICY, &[tag]);
        put(layout::SYNC_INTERVAL_MS, &interval_ms.to_le_bytes());
        let crc = crc32c(&block[..layout::CRC]);
        block[layout::CRC..].copy_from_slice(&crc.to_le_bytes());
        block
    }

    /// The key that the segment's frames are bound to.
    #[must_use]
    pub fn key(&self) -> SegmentKey {
        SegmentKey::new(self.log_id, self.number)
    }

    /// Reads a segment's header from its two blocks: the first good one counts, and a bad twin is reported beside it.
    ///
    /// `first` and `second` are the bytes at [`place::FIRST_BLOCK`] and [`place::SECOND_BLOCK`], as many as there are.
    ///
    /// # Errors
    /// Both blocks are bad (the first one's defect, as `BLOCK_BOTH`), or the segment needs a newer build.
    pub fn read(first: &[u8], second: &[u8]) -> Result<(SegmentHeader, Vec<Defect>), Defect> {
        let one = RawBlock::new(first).check(place::FIRST_BLOCK);
        let two = RawBlock::new(second).check(place::SECOND_BLOCK);
        match (one, two) {
            (Ok(header), Ok(twin)) if header == twin => Ok((header, Vec::new())),
            (Ok(header), Ok(_)) => {
                let defect = Defect::new(
                    DefectKind::BlockCopy,
                    place::SECOND_BLOCK,
                    "a copy of the first header block",
                    "another good block",
                );
                Ok((header, vec![defect]))
            }
            (Err(defect), _) | (_, Err(defect)) if defect.kind == DefectKind::NewerFormat => Err(defect),
            (Ok(header), Err(defect)) | (Err(defect), Ok(header)) => Ok((header, vec![defect])),
            (Err(mut defect), Err(_)) => {
                defect.kind = DefectKind::BlockBoth;
                Err(defect)
            }
        }
    }
}

/// A header block as it was read, not yet proven.
#[derive(Debug)]
pub struct RawBlock<'a>(&'a [u8]);

impl<'a> RawBlock<'a> {
    /// Wraps what was read; may be shorter than a block.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> RawBlock<'a> {
        RawBlock(bytes)
    }

    /// Proves a block, or says what is wrong with it. `at` is the block's offset, for the report.
    ///
    /// # Errors
    /// `BLOCK_COPY` for a bad block, `NEWER_FORMAT` for a good one of a later format.
    pub fn check(&self, at: u64) -> Result<SegmentHeader, Defect> {
        let bad = |expected: &'static str, found: String| Defect::new(DefectKind::BlockCopy, at, expected, found);
        let Some(block) = self.0.first_chunk::<{ layout::LEN_BYTES }>() else {
            return Err(bad("a header block of 512 bytes", format!("{} bytes", self.0.len())));
        };
        if field::<8>(block, layout::MAGIC) != layout::MAGIC_BYTES {
            return Err(bad("the magic bytes \"taffrail\"", format!("{:02x?}", &block[..8])));
        }
        let stored = u32::from_le_bytes(field(block, layout::CRC));
        let computed = crc32c(&block[..layout::CRC]);
        if stored != computed {
            return Err(bad("a block that matches its CRC", format!("{computed:08x} against {stored:08x}")));
        }
        let reader_floor = u16::from_le_bytes(field(block, layout::READER_FLOOR));
        if reader_floor > place::FORMAT_VERSION {
            return Err(Defect::new(
                DefectKind::NewerFormat,
                at,
                format!("format {} or lower", place::FORMAT_VERSION),
                format!("format {reader_floor}"),
            ));
        }
        RawBlock::decode(block, reader_floor).ok_or_else(|| bad("fields in their ranges", "an impossible value".into()))
    }

    fn decode(block: &[u8; layout::LEN_BYTES], reader_floor: u16) -> Option<SegmentHeader> {
        let u32_at = |at| u32::from_le_bytes(field(block, at));
        let u64_at = |at| u64::from_le_bytes(field(block, at));
        let i64_at = |at| i64::from_le_bytes(field(block, at));
        let link = |len_at, digest_at| {
            let len = u64_at(len_at);
            (len > 0).then(|| (len, field::<32>(block, digest_at)))
        };
        let number = SegmentNumber::new(u32_at(layout::NUMBER))?;
        let format_version = u16::from_le_bytes(field(block, layout::FORMAT_VERSION));
        let generation = u32_at(layout::GENERATION);
        let covers_from = SegmentNumber::new(u32_at(layout::COVERS_FROM)).filter(|from| *from <= number)?;
        let predecessor = link(layout::PREDECESSOR_LEN, layout::PREDECESSOR_DIGEST);
        let origin = link(layout::ORIGIN_LEN, layout::ORIGIN_DIGEST);
        let sync_policy = match block[layout::SYNC_POLICY] {
            1 => SyncPolicyTag::Always,
            2 => SyncPolicyTag::Interval(u32_at(layout::SYNC_INTERVAL_MS)),
            3 => SyncPolicyTag::Never,
            _ => return None,
        };
        // The first segment of a log has no predecessor and every other has one; a rewritten one remembers its origin.
        if predecessor.is_none() != (covers_from == SegmentNumber::FIRST) || origin.is_some() != (generation > 0) {
            return None;
        }
        if reader_floor == 0 || reader_floor > format_version {
            return None;
        }
        Some(SegmentHeader {
            format_version,
            reader_floor,
            log_id: LogId(field(block, layout::LOG_ID)),
            number,
            generation,
            covers_from,
            first_seq: Seq::new(u64_at(layout::FIRST_SEQ))?,
            created_ns: i64_at(layout::CREATED_NS),
            time_floor_ns: i64_at(layout::TIME_FLOOR_NS),
            predecessor,
            origin,
            sync_policy,
        })
    }
}

/// A fixed-size field; the callers' offsets are constants within the block.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample() -> SegmentHeader {
        SegmentHeader {
            format_version: place::FORMAT_VERSION,
            reader_floor: place::FORMAT_VERSION,
            log_id: LogId(*b"0123456789abcdef"),
            number: SegmentNumber::new(7).unwrap(),
            generation: 0,
            covers_from: SegmentNumber::new(7).unwrap(),
            first_seq: Seq::new(991).unwrap(),
            created_ns: 1_755_000_000_000_000_000,
            time_floor_ns: -5,
            predecessor: Some((4096, [3; 32])),
            origin: None,
            sync_policy: SyncPolicyTag::Interval(50),
        }
    }

    #[test]
    fn a_block_reads_back_and_any_flipped_bit_is_refused() {
        let header = sample();
        let block = header.encode();
        assert_eq!(RawBlock::new(&block).check(0), Ok(header));
        for bit in (0..block.len() * 8).step_by(if cfg!(miri) { 37 } else { 1 }) {
            let mut twin = block;
            twin[bit / 8] ^= 1 << (bit % 8);
            assert!(RawBlock::new(&twin).check(0).is_err(), "bit {bit} accepted");
        }
        for len in 0..block.len() {
            assert!(RawBlock::new(&block[..len]).check(0).is_err());
        }
    }

    #[test]
    fn one_good_block_serves_and_two_bad_ones_do_not() {
        let header = sample();
        let good = header.encode();
        let mut bad = good;
        bad[100] ^= 1;
        assert_eq!(SegmentHeader::read(&good, &good), Ok((header.clone(), vec![])));
        let (read, defects) = SegmentHeader::read(&bad, &good).unwrap();
        assert_eq!((read, defects[0].kind, defects[0].offset), (header.clone(), DefectKind::BlockCopy, 0));
        let (read, defects) = SegmentHeader::read(&good, &bad).unwrap();
        assert_eq!((read, defects[0].offset), (header, place::SECOND_BLOCK));
        assert_eq!(SegmentHeader::read(&bad, &bad).unwrap_err().kind, DefectKind::BlockBoth);
    }

    #[test]
    fn a_newer_reader_floor_is_named_and_never_guessed_at() {
        let mut header = sample();
        header.reader_floor = place::FORMAT_VERSION + 1;
        header.format_version = place::FORMAT_VERSION + 1;
        let block = header.encode();
        assert_eq!(SegmentHeader::read(&block, &block).unwrap_err().kind, DefectKind::NewerFormat);
        // Versions that contradict each other are no header.
        let floorless = SegmentHeader { reader_floor: 0, ..sample() }.encode();
        assert!(RawBlock::new(&floorless).check(0).is_err());
        let floor_above = SegmentHeader { format_version: 0, ..sample() }.encode();
        assert!(RawBlock::new(&floor_above).check(0).is_err());
        // A newer version that this reader is told it can read is read.
        header.reader_floor = place::FORMAT_VERSION;
        let block = header.encode();
        assert!(SegmentHeader::read(&block, &block).is_ok());
    }

    #[test]
    fn file_names_are_ten_digits_and_nothing_else() {
        let number = SegmentNumber::new(12).unwrap();
        assert_eq!(number.file_name(), "0000000012.seg");
        assert_eq!(SegmentNumber::from_file_name("0000000012.seg"), Some(number));
        for name in ["12.seg", "0000000000.seg", "+000000012.seg", "0000000012.tmp", "00000000012.seg", ".seg"] {
            assert_eq!(SegmentNumber::from_file_name(name), None, "{name}");
        }
    }
}
