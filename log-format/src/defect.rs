use std::borrow::Cow;
use std::fmt;

/// What kind of trouble a piece of a log is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DefectKind {
    /// A frame header does not match its CRC.
    HeaderCrc,
    /// A frame header matches its CRC and says something impossible.
    HeaderField,
    /// A frame header has a critical flag that this build does not know.
    UnknownFlag,
    /// A payload does not match its CRC; the header is good and names the event.
    PayloadCrc,
    /// A good frame with another seq than the one that is due, and no record of an absence.
    SeqJump,
    /// The file ends within a frame.
    Truncated,
    /// Zeros where a frame is due, and data behind them.
    Hole,
    /// The segment ends within a batch.
    BatchOpen,
    /// A padding byte behind a payload is not zero. Nothing is lost.
    Padding,
    /// A byte of the free space is not zero, or one of a header block's unused bytes. Nothing is lost.
    FreeSpace,
    /// One of the two header blocks of a segment is bad; the other one serves.
    BlockCopy,
    /// Both header blocks of a segment are bad.
    BlockBoth,
    /// The segment needs a newer build.
    NewerFormat,
    /// The type table, a registration, or a kind outside of it.
    TypeTable,
    /// The body of one of the log's own records.
    RecordBody,
    /// The footer or the seal is bad; what it summarises is read from the frames.
    Footer,
    /// The footer says something else than the frames.
    FooterMismatch,
    /// The file's name, its number, its log id or the link to its predecessor do not agree.
    Chain,
    /// A segment is not there.
    SegmentMissing,
    /// An event's revision does not follow the one before it in its run.
    Revision,
    /// One of the two watermark slots. Nothing is lost.
    WatermarkSlot,
    /// The watermark tells of acknowledged events that are not there.
    BelowWatermark,
    /// A payload that its own codec can not read, although its CRC is good.
    PayloadCodec,
}

impl DefectKind {
    /// Every kind, in order.
    pub const ALL: [DefectKind; 23] = [
        DefectKind::HeaderCrc,
        DefectKind::HeaderField,
        DefectKind::UnknownFlag,
        DefectKind::PayloadCrc,
        DefectKind::SeqJump,
        DefectKind::Truncated,
        DefectKind::Hole,
        DefectKind::BatchOpen,
        DefectKind::Padding,
        DefectKind::FreeSpace,
        DefectKind::BlockCopy,
        DefectKind::BlockBoth,
        DefectKind::NewerFormat,
        DefectKind::TypeTable,
        DefectKind::RecordBody,
        DefectKind::Footer,
        DefectKind::FooterMismatch,
        DefectKind::Chain,
        DefectKind::SegmentMissing,
        DefectKind::Revision,
        DefectKind::WatermarkSlot,
        DefectKind::BelowWatermark,
        DefectKind::PayloadCodec,
    ];

    /// The name that reports and the manual use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DefectKind::HeaderCrc => "HEADER_CRC",
            DefectKind::HeaderField => "HEADER_FIELD",
            DefectKind::UnknownFlag => "UNKNOWN_FLAG",
            DefectKind::PayloadCrc => "PAYLOAD_CRC",
            DefectKind::SeqJump => "SEQ_JUMP",
            DefectKind::Truncated => "TRUNCATED",
            DefectKind::Hole => "HOLE",
            DefectKind::BatchOpen => "BATCH_OPEN",
            DefectKind::Padding => "PADDING",
            DefectKind::FreeSpace => "FREE_SPACE",
            DefectKind::BlockCopy => "BLOCK_COPY",
            DefectKind::BlockBoth => "BLOCK_BOTH",
            DefectKind::NewerFormat => "NEWER_FORMAT",
            DefectKind::TypeTable => "TYPE_TABLE",
            DefectKind::RecordBody => "RECORD_BODY",
            DefectKind::Footer => "FOOTER",
            DefectKind::FooterMismatch => "FOOTER_MISMATCH",
            DefectKind::Chain => "CHAIN",
            DefectKind::SegmentMissing => "SEGMENT_MISSING",
            DefectKind::Revision => "REVISION",
            DefectKind::WatermarkSlot => "WATERMARK_SLOT",
            DefectKind::BelowWatermark => "BELOW_WATERMARK",
            DefectKind::PayloadCodec => "PAYLOAD_CODEC",
        }
    }
}

impl fmt::Display for DefectKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A piece of a log that is not as it should be: where, what was expected, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// What kind of trouble.
    pub kind: DefectKind,
    /// Byte offset in the segment (or file).
    pub offset: u64,
    /// What should have been there.
    pub expected: Cow<'static, str>,
    /// What is there.
    pub found: Cow<'static, str>,
}

impl Defect {
    /// A defect at an offset.
    pub fn new(
        kind: DefectKind,
        offset: u64,
        expected: impl Into<Cow<'static, str>>,
        found: impl Into<Cow<'static, str>>,
    ) -> Defect {
        Defect { kind, offset, expected: expected.into(), found: found.into() }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {:#x}: expected {}, found {}", self.kind, self.offset, self.expected, self.found)
    }
}

impl std::error::Error for Defect {}
