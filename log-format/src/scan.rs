use crate::block::SegmentKey;
use crate::crc::crc32c;
use crate::defect::{Defect, DefectKind};
use crate::frame::{Frame, Header, RawHeader, layout as frame_layout, padded_len};
use crate::gaps::Gaps;
use crate::kind::Kind;
use crate::layout::FRAME_ALIGN_BYTES;
use crate::sabotage::{self, Sabotage};
use crate::seq::Seq;
use std::borrow::Cow;

/// What the scanner found at its position.
#[derive(Debug)]
pub enum Step<'a> {
    /// A good frame; the scanner has moved behind it.
    Frame(Frame<'a>),
    /// The window ends too early: come again with at least this many bytes from the scanner's offset on.
    NeedBytes(usize),
    /// A header of zeros: free space begins here, or a hole.
    Free,
    /// The bytes end exactly here.
    End,
    /// Something else. The header is there where it was good. The scanner has not moved.
    Bad {
        /// What is wrong.
        defect: Defect,
        /// The header, if it is proven (then the event has a name).
        header: Option<Header>,
    },
}

/// Reads one segment's frames in order. The only reader of frames there is.
///
/// The caller owns the bytes and gives windows of them; the scanner keeps the position, the seq that is due and the
/// recorded absences. It never reads ahead of the window and allocates nothing but error texts.
#[derive(Clone, Debug)]
pub struct Scanner {
    key: SegmentKey,
    offset: u64,
    expected: Option<Seq>,
    gaps: Gaps,
    /// Whether the last good frame said that its batch goes on.
    in_batch: bool,
}

/// A place that a scanner can go back to: [`Scanner::mark`].
#[derive(Clone, Copy, Debug)]
pub struct ScanMark {
    offset: u64,
    expected: Option<Seq>,
    in_batch: bool,
}

impl ScanMark {
    /// Where the next frame was due.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl Scanner {
    /// Starts at an offset of a segment, where the frame of this seq is due; `None` takes whatever seq comes first.
    #[must_use]
    pub fn new(key: SegmentKey, offset: u64, expected: Option<Seq>) -> Scanner {
        Scanner { key, offset, expected, gaps: Gaps::default(), in_batch: false }
    }

    /// Where the next frame is due.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What the frames are bound to.
    #[must_use]
    pub fn key(&self) -> &SegmentKey {
        &self.key
    }

    /// The seq of the next event, recorded absences passed over; `None` before the first frame where it was not given.
    #[must_use]
    pub fn expected(&self) -> Option<Seq> {
        self.expected
    }

    /// Whether the last good frame said that another one of its batch follows.
    #[must_use]
    pub fn in_batch(&self) -> bool {
        self.in_batch
    }

    /// The recorded absences of the segment, as far as read.
    #[must_use]
    pub fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// Tells of absences that are recorded before the place where scanning starts.
    pub fn assume_gaps(&mut self, gaps: Gaps) {
        self.gaps = gaps;
        self.expected = self.expected.map(|seq| self.gaps.skip(seq));
    }

    /// The place where it stands. Unlike a clone, this copies no recorded absences.
    #[must_use]
    pub fn mark(&self) -> ScanMark {
        ScanMark { offset: self.offset, expected: self.expected, in_batch: self.in_batch }
    }

    /// Goes back to where it stood. Absences that were read since then stay known: the frame that records them comes again.
    pub fn go_back(&mut self, mark: ScanMark) {
        (self.offset, self.expected, self.in_batch) = (mark.offset, mark.expected, mark.in_batch);
    }

    /// Goes on at another offset, where the frame of this seq is taken to be due: behind damage.
    pub fn resume_at(&mut self, offset: u64, expected: Option<Seq>) {
        self.offset = offset;
        self.expected = expected;
        self.in_batch = false;
    }

    /// Whether a window is long enough for what its first header claims, proven or not: then [`Scanner::step`] does not
    /// ask for more bytes.
    #[must_use]
    pub fn fits(window: &[u8]) -> bool {
        let Some(claim) = window.get(frame_layout::LEN_MARK..).and_then(<[u8]>::first_chunk) else { return false };
        let payload_len = u64::from(u32::from_le_bytes(*claim) & 0x00FF_FFFF);
        window.len() >= frame_layout::HEADER_LEN_BYTES && window.len() as u64 >= padded_len(payload_len)
    }

    /// Looks at the next frame. `window` holds the bytes from [`Scanner::offset`] on; `is_last` says that none follow it.
    pub fn step<'a>(&mut self, window: &'a [u8], is_last: bool) -> Step<'a> {
        let Some(raw) = RawHeader::new(window) else {
            return match (is_last, window.iter().all(|byte| *byte == 0)) {
                (false, _) => Step::NeedBytes(frame_layout::HEADER_LEN_BYTES),
                (true, true) if window.is_empty() => Step::End,
                (true, true) => Step::Free,
                (true, false) => self.bad(DefectKind::Truncated, "a frame header of 48 bytes", window.len(), None),
            };
        };
        if raw.is_zero() {
            return Step::Free;
        }
        let header = match raw.check(&self.key, self.offset) {
            Ok(header) => header,
            Err(defect) => return Step::Bad { defect, header: None },
        };
        let whole = usize::try_from(header.frame_len()).unwrap_or(usize::MAX);
        let Some(frame) = window.get(..whole) else {
            return match is_last {
                false => Step::NeedBytes(whole),
                true => self.bad(DefectKind::Truncated, "a whole frame", window.len(), Some(header)),
            };
        };
        let payload_end = frame_layout::HEADER_LEN_BYTES + header.payload_len as usize;
        let stored = &frame[frame_layout::HEADER_LEN_BYTES..payload_end];
        let computed = crc32c(stored);
        if computed != header.payload_crc && !sabotage::is(Sabotage::SkipPayloadCrc) {
            let expected = format!("payload CRC {:08x}", header.payload_crc);
            let defect = Defect::new(DefectKind::PayloadCrc, self.offset, expected, format!("{computed:08x}"));
            return Step::Bad { defect, header: Some(header) };
        }
        if let Some(expected) = self.expected.filter(|expected| *expected != header.seq) {
            let expected: Cow<'static, str> = format!("seq {expected}").into();
            let defect = Defect::new(DefectKind::SeqJump, self.offset, expected, format!("seq {}", header.seq));
            return Step::Bad { defect, header: Some(header) };
        }
        let bytes = raw.bytes();
        let frame = Frame { header, offset: self.offset, bytes, stored, padding: &frame[payload_end..], key: self.key };
        match self.advance(&frame) {
            Ok(()) => Step::Frame(frame),
            Err(defect) => Step::Bad { defect, header: Some(header) },
        }
    }

    /// Passes the next frame where nothing about it is out of the ordinary: it is whole in the window and proven, it is an
    /// event of an application, and its seq is due. `None` anywhere else, and then nothing has moved: [`Scanner::step`]
    /// tells what is there. That is what nearly every frame is, so this is short enough to become part of the caller's loop.
    #[inline(always)]
    pub fn step_plain(&mut self, window: &[u8]) -> Option<Header> {
        let header = RawHeader::new(window)?.proven(&self.key, self.offset)?;
        self.pass_plain(window, header, |stored| crc32c(stored) == header.payload_crc)
    }

    /// The same, where another scanner of the same segment has proven these very bytes at this offset before: no checksum is
    /// computed again.
    #[inline(always)]
    pub fn step_proven(&mut self, window: &[u8]) -> Option<Header> {
        let header = RawHeader::new(window)?.decode()?;
        self.pass_plain(window, header, |_| true)
    }

    #[inline(always)]
    fn pass_plain(&mut self, window: &[u8], header: Header, is_proven: impl FnOnce(&[u8]) -> bool) -> Option<Header> {
        let frame = window.get(..usize::try_from(header.frame_len()).ok()?)?;
        let stored = frame.get(frame_layout::HEADER_LEN_BYTES..)?.get(..header.payload_len as usize)?;
        let is_due = header.kind >= Kind::FIRST_USER && self.expected == Some(header.seq);
        if !is_due || !is_proven(stored) {
            return None;
        }
        self.expected = Some(self.gaps.skip(header.seq.next()));
        self.offset += header.frame_len();
        self.in_batch = header.flags.more;
        Some(header)
    }

    fn advance(&mut self, frame: &Frame<'_>) -> Result<(), Defect> {
        let header = &frame.header;
        let mut next = if header.kind.takes_seq() { header.seq.next() } else { header.seq };
        if header.kind == Kind::GAPS {
            self.gaps = Gaps::decode(&frame.payload()).map_err(|malformed| {
                Defect::new(DefectKind::RecordBody, frame.offset, "recorded gaps", malformed.to_string())
            })?;
        }
        next = self.gaps.skip(next);
        self.expected = Some(next);
        self.offset = frame.end();
        self.in_batch = header.flags.more;
        Ok(())
    }

    fn bad<'a>(&self, kind: DefectKind, expected: &'static str, len: usize, header: Option<Header>) -> Step<'a> {
        Step::Bad { defect: Defect::new(kind, self.offset, expected, format!("{len} bytes to the end")), header }
    }
}

/// Looks for the next proven frame header at a multiple of eight bytes from `from` on. `bytes` begin at offset `base` of
/// the segment. This is how reading goes on behind damage: CRCs are bound to their place, so no copied or nested bytes
/// pass for a frame.
#[must_use]
pub fn find_header(key: &SegmentKey, bytes: &[u8], base: u64, from: u64) -> Option<(u64, Header)> {
    let mut offset = from.max(base).checked_next_multiple_of(FRAME_ALIGN_BYTES)?;
    loop {
        let raw = bytes.get(usize::try_from(offset - base).ok()?..).and_then(RawHeader::new)?;
        if let Some(header) = raw.proven(key, offset) {
            return Some((offset, header));
        }
        offset = offset.checked_add(FRAME_ALIGN_BYTES)?;
    }
}
