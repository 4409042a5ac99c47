use crate::error::{Error, Result};
use crate::log::paths;
use crate::storage::{OpenMode, Storage, StorageFile, WrongKind, read_full_at};
use crate::{Defect, DefectKind, ErrorKind, SegmentHeader, SegmentNumber};
use std::sync::Arc;
use taffrail_log_format::layout;
use taffrail_log_format::{Footer, Frame, Gaps, Header, Kind, RawHeader, Scanner, Step};

/// An open segment whose header has been proven.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its header.
    pub header: SegmentHeader,
    /// Header blocks that had to be passed over.
    pub defects: Vec<Defect>,
    pub(crate) file: Arc<dyn StorageFile>,
}

impl Segment {
    /// Opens a segment and proves its header.
    ///
    /// # Errors
    /// `Io`; `Damaged` where both header blocks are bad or belong to another place; `Incompatible`.
    pub(crate) fn open(storage: &dyn Storage, number: SegmentNumber, mode: OpenMode) -> Result<Segment> {
        Segment::open_at(storage, &paths::segment(number), number, mode)
    }

    /// The same for reading, where damage stops nobody: `None` where the segment can not be opened for that.
    ///
    /// # Errors
    /// `Io`, as for a file that is not there; `Incompatible`.
    pub(crate) fn open_unless_damaged(storage: &dyn Storage, number: SegmentNumber) -> Result<Option<Segment>> {
        match Segment::open(storage, number, OpenMode::Read) {
            Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// The same as [`Segment::open`], for a file elsewhere in the store.
    pub(crate) fn open_at(storage: &dyn Storage, path: &str, number: SegmentNumber, mode: OpenMode) -> Result<Segment> {
        let file = match storage.open(path, mode) {
            Ok(file) => file,
            Err(error) if WrongKind::of(&error).is_some() => {
                // Whatever it is, the segment is not there.
                return Err(Error::new(ErrorKind::Damaged, "T0314", format!("cannot open segment {number}: {error}"))
                    .segment(number)
                    .hint("move it away, and put the file back"));
            }
            Err(error) => return Err(Error::io(format_args!("cannot open segment {number}"), error).segment(number)),
        };
        Segment::read(file.into(), number)
    }

    /// Proves the header of an open file, which must be that of this segment.
    pub(crate) fn read(file: Arc<dyn StorageFile>, number: SegmentNumber) -> Result<Segment> {
        let segment = Segment::read_any(file).map_err(|error| error.segment(number))?;
        if segment.header.number != number {
            let message = format!("the file of segment {number} holds segment {}", segment.header.number);
            let hint = "give each file the name of the segment that it holds";
            return Err(Error::new(ErrorKind::Damaged, "T0304", message).segment(number).hint(hint));
        }
        Ok(segment)
    }

    /// Proves the header of an open file, whichever segment it is.
    pub(crate) fn read_any(file: Arc<dyn StorageFile>) -> Result<Segment> {
        let mut blocks = [[0; layout::block::LEN_BYTES]; 2];
        let mut lens = [0; 2];
        for ((block, len), offset) in blocks.iter_mut().zip(&mut lens).zip([layout::FIRST_BLOCK, layout::SECOND_BLOCK])
        {
            *len = read_full_at(&*file, offset, block)
                .map_err(|error| Error::io("cannot read a segment header", error))?;
        }
        let (header, defects) = SegmentHeader::read(&blocks[0][..lens[0]], &blocks[1][..lens[1]])
            .map_err(|defect| header_error(&defect))?;
        Ok(Segment { header, defects, file })
    }

    /// Reads one whole frame at an offset that is known, proving it. `None` where there is none.
    pub(crate) fn frame_at<T>(&self, offset: u64, take: impl FnOnce(&Frame<'_>) -> T) -> Result<Option<T>> {
        let mut window = vec![0; 512];
        loop {
            let len = read_full_at(&*self.file, offset, &mut window)
                .map_err(|error| Error::io("cannot read a frame", error).segment(self.header.number).offset(offset))?;
            let is_last = len < window.len();
            match Scanner::new(self.header.key(), offset, None).step(&window[..len], is_last) {
                Step::Frame(frame) => return Ok(Some(take(&frame))),
                Step::NeedBytes(count) => window.resize(count, 0),
                _ => return Ok(None),
            }
        }
    }

    /// The proven frame header at an offset, if there is one.
    pub(crate) fn header_at(&self, offset: u64) -> Result<Option<Header>> {
        let mut bytes = [0; layout::frame::HEADER_LEN_BYTES];
        read_full_at(&*self.file, offset, &mut bytes)
            .map_err(|error| Error::io("cannot read a header", error).segment(self.header.number).offset(offset))?;
        Ok(RawHeader::new(&bytes).and_then(|raw| raw.proven(&self.header.key(), offset)))
    }

    /// The footer of a sealed segment, found through its seal, with its offset. `None` where the segment is not sealed or
    /// the footer is bad: then the frames tell.
    pub(crate) fn footer(&self) -> Result<Option<(u64, Footer)>> {
        let io = |error| Error::io("cannot read a footer", error).segment(self.header.number);
        let Some(seal) = self.file.len_bytes().map_err(io)?.checked_sub(layout::SEAL_LEN_BYTES) else {
            return Ok(None);
        };
        if !seal.is_multiple_of(layout::FRAME_ALIGN_BYTES) {
            return Ok(None);
        }
        let target = self.frame_at(seal, |frame| {
            let payload = frame.payload();
            let target = payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
            target.filter(|_| frame.header.kind == Kind::SEAL)
        })?;
        let Some(offset) = target.flatten().filter(|offset| offset.is_multiple_of(layout::FRAME_ALIGN_BYTES)) else {
            return Ok(None);
        };
        let footer = self.frame_at(offset, |frame| {
            let is_footer = frame.header.kind == Kind::FOOTER && frame.end() == seal;
            is_footer.then(|| Footer::decode(&frame.payload()).ok()).flatten()
        })?;
        // Its places ascend, and each is one of an event before it.
        let is_within = |footer: &Footer| footer.index.last().is_none_or(|last| last.offset < offset);
        Ok(footer.flatten().filter(is_within).map(|footer| (offset, footer)))
    }

    /// The recorded absences at the start of the segment: needed before reading from the middle of it.
    pub(crate) fn gaps(&self) -> Result<Gaps> {
        let Some(table_end) = self.frame_at(layout::FIRST_FRAME, end_of)? else {
            return Ok(Gaps::default());
        };
        let gaps = self.frame_at(table_end, |frame| {
            (frame.header.kind == Kind::GAPS).then(|| Gaps::decode(&frame.payload()).ok()).flatten()
        })?;
        Ok(gaps.flatten().unwrap_or_default())
    }
}

fn end_of(frame: &Frame<'_>) -> u64 {
    frame.end()
}

/// The error for a segment whose header can not be used.
fn header_error(defect: &Defect) -> Error {
    match defect.kind {
        DefectKind::NewerFormat => {
            let message = format!("the store was written in {}; this build reads {}", defect.found, defect.expected);
            Error::new(ErrorKind::Incompatible, "T0307", message).hint("use a newer build of taffrail")
        }
        _ => Error::new(ErrorKind::Damaged, "T0305", format!("the segment's header is unreadable: {defect}"))
            .hint("taffrail log verify"),
    }
}
