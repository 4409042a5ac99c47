use crate::error::{Error, Result};
use crate::log::ahead::{Ahead, Piece};
use crate::log::segment::Segment;
use crate::storage::{StorageFile, read_full_at};
use std::ops::Range;
use std::sync::Arc;
use taffrail_log_format::{DefectKind, Header, Scanner, SegmentKey, Seq, Step, find_header, layout};

/// Reads the frames of a segment's file through a window of bounded size.
///
/// Keeps at most one window of bytes: [`Cursor::WINDOW_LEN_BYTES`], or the longest frame met, in whatever segment it was read into
/// the same memory.
#[derive(Debug)]
pub(crate) struct Cursor {
    file: Arc<dyn StorageFile>,
    pub(crate) scanner: Scanner,
    /// Bytes of the file from `window_at` on.
    window: Vec<u8>,
    window_at: u64,
    filled: usize,
    /// Whether the window reaches the end of the file (or the limit).
    reached_end: bool,
    /// Whether the system was told that the file is read in order.
    is_in_order: bool,
    /// Nothing at or behind this offset is looked at.
    limit: u64,
    /// Who reads and proves before this cursor comes there.
    ahead: Option<Ahead>,
    /// Frames of the window that were proven by those, one behind the other: from the first of them that was not passed yet.
    proven: Range<u64>,
}

impl Cursor {
    /// Bytes read at a time: few enough to be in the processor's cache still when their frames are looked at.
    pub(crate) const WINDOW_LEN_BYTES: usize = 128 << 10;

    /// Starts at an offset of a segment where the frame of this seq is due.
    pub(crate) fn new(segment: &Segment, offset: u64, expected: Option<Seq>) -> Cursor {
        Cursor::over(Arc::clone(&segment.file), segment.header.key(), offset, expected)
    }

    /// The same, for a file whose header may be unreadable: the key is all that its frames are proven by.
    pub(crate) fn over(file: Arc<dyn StorageFile>, key: SegmentKey, offset: u64, expected: Option<Seq>) -> Cursor {
        Cursor {
            file,
            scanner: Scanner::new(key, offset, expected),
            window: Vec::new(),
            window_at: offset,
            filled: 0,
            reached_end: false,
            is_in_order: false,
            limit: u64::MAX,
            ahead: None,
            proven: 0..0,
        }
    }

    /// Another cursor at the same place, with a window of its own.
    pub(crate) fn fork(&self) -> Cursor {
        Cursor {
            file: Arc::clone(&self.file),
            scanner: self.scanner.clone(),
            window: Vec::new(),
            window_at: self.scanner.offset(),
            filled: 0,
            reached_end: false,
            is_in_order: false,
            limit: self.limit,
            ahead: None,
            proven: 0..0,
        }
    }

    /// Bytes of the frame that was read last. Empty for any others.
    pub(crate) fn bytes_at(&self, offset: u64, len: u32) -> &[u8] {
        let start = offset.checked_sub(self.window_at).and_then(|start| usize::try_from(start).ok());
        start.and_then(|start| self.window[..self.filled].get(start..)?.get(..len as usize)).unwrap_or_default()
    }

    /// Forgets what was read ahead, and reads no more so: somebody may be writing.
    pub(crate) fn forget(&mut self) {
        (self.window_at, self.filled, self.reached_end) = (self.scanner.offset(), 0, false);
        (self.ahead, self.proven) = (None, 0..0);
    }

    /// Reads into memory that is there, which others have read into before, and lets other threads read and prove what
    /// comes next, where that is worth a thread.
    pub(crate) fn read_into(&mut self, mut buffers: Vec<Vec<u8>>, threads: usize) {
        self.window = buffers.pop().unwrap_or_default();
        let begin = self.scanner.offset();
        let is_long = || self.file.len_bytes().is_ok_and(|len| len.saturating_sub(begin) >= Ahead::LEAST_LEN_BYTES);
        if threads > 0 && self.limit == u64::MAX && is_long() {
            self.tell_in_order();
            self.ahead = Some(Ahead::new(&self.file, *self.scanner.key(), begin, threads, buffers));
        }
    }

    /// What was read into. Ends all reading here.
    pub(crate) fn take_buffers(&mut self) -> Vec<Vec<u8>> {
        let mut buffers = self.ahead.take().map(Ahead::end).unwrap_or_default();
        self.forget();
        buffers.push(std::mem::take(&mut self.window));
        buffers
    }

    /// Looks at nothing at or behind an offset.
    pub(crate) fn limited(mut self, limit: u64) -> Cursor {
        self.limit = limit;
        self
    }

    /// Passes the next frame where it is in the window and nothing about it is out of the ordinary, as
    /// [`Scanner::step_plain`] does. Gives its header, its offset and its header's CRC.
    #[inline(always)]
    pub(crate) fn step_plain(&mut self) -> Option<(Header, u64, u32)> {
        let offset = self.scanner.offset();
        let start = usize::try_from(offset.checked_sub(self.window_at)?).ok()?;
        let window = self.window[..self.filled].get(start..)?;
        let header = if self.proven.start == offset && offset < self.proven.end {
            let header = self.scanner.step_proven(window)?;
            self.proven.start = self.scanner.offset();
            header
        } else {
            self.scanner.step_plain(window)?
        };
        let crc = window.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        Some((header, offset, crc))
    }

    /// The next frame, or what stands in its place. Never [`Step::NeedBytes`].
    ///
    /// # Errors
    /// `Io`: an unreadable file is never taken for the end of the log.
    pub(crate) fn step(&mut self) -> Result<Step<'_>> {
        // Nearly always the frame is in the window already.
        let start = self.scanner.offset().checked_sub(self.window_at).and_then(|start| usize::try_from(start).ok());
        if let Some(start) = start
            && self.window[..self.filled].get(start..).is_some_and(Scanner::fits)
        {
            return Ok(self.step_in_window(start));
        }
        let mut wanted = 1;
        loop {
            let start = self.prepare(wanted)?;
            let available = &self.window[start..self.filled];
            if self.reached_end || Scanner::fits(available) {
                break;
            }
            // A probe, since the borrow of the final answer has to outlive the loop. Only at the end of a window.
            match self.scanner.clone().step(available, false) {
                Step::NeedBytes(count) => wanted = count,
                _ => break,
            }
        }
        let start = self.prepare(0)?;
        Ok(self.step_in_window(start))
    }

    fn step_in_window(&mut self, start: usize) -> Step<'_> {
        let offset = self.scanner.offset();
        let step = self.scanner.step(&self.window[start..self.filled], self.reached_end);
        if self.proven.start == offset {
            // Those behind it are still what they were proven to be.
            self.proven.start = self.scanner.offset();
        }
        step
    }

    /// Goes on behind what [`Step::Bad`] told of: behind the frame where its header is proven, else at the next proven
    /// header. `false` where there is none.
    pub(crate) fn skip_bad(&mut self, kind: DefectKind, header: Option<Header>) -> Result<bool> {
        let offset = self.scanner.offset();
        let (offset, seq) = match (kind, header) {
            (DefectKind::SeqJump, Some(header)) => (offset, header.seq),
            (DefectKind::PayloadCrc | DefectKind::RecordBody, Some(header)) => {
                let next = if header.kind.takes_seq() { header.seq.next() } else { header.seq };
                (offset + header.frame_len(), self.scanner.gaps().skip(next))
            }
            _ => match self.find_next()? {
                Some((offset, header)) => (offset, header.seq),
                None => return Ok(false),
            },
        };
        self.scanner.resume_at(offset, Some(seq));
        Ok(true)
    }

    /// Goes on behind zeros at the next proven header. `false` where there is none.
    pub(crate) fn skip_free(&mut self) -> Result<bool> {
        let Some((offset, header)) = self.find_next()? else { return Ok(false) };
        self.scanner.resume_at(offset, Some(header.seq));
        Ok(true)
    }

    /// Looks for the next proven header behind the scanner's position, without moving the scanner.
    pub(crate) fn find_next(&mut self) -> Result<Option<(u64, Header)>> {
        let key = *self.scanner.key();
        let mut from = self.scanner.offset() + layout::FRAME_ALIGN_BYTES;
        let mut bytes = vec![0; Self::WINDOW_LEN_BYTES];
        while from < self.limit {
            let left = usize::try_from(self.limit - from).unwrap_or(usize::MAX);
            let wanted = bytes.len().min(left);
            let len = read_full_at(&*self.file, from, &mut bytes[..wanted])
                .map_err(|error| Error::io("cannot read the log", error).segment(key.number()).offset(from))?;
            if let Some(found) = find_header(&key, &bytes[..len], from, from) {
                return Ok(Some(found));
            }
            if len < Self::WINDOW_LEN_BYTES {
                return Ok(None);
            }
            // The next window begins where a header could not be looked at whole.
            from += (Self::WINDOW_LEN_BYTES - layout::frame::HEADER_LEN_BYTES) as u64;
            from = from / layout::FRAME_ALIGN_BYTES * layout::FRAME_ALIGN_BYTES;
        }
        Ok(None)
    }

    /// Makes sure that the window holds `wanted` bytes from the scanner's offset on (or all there are), and returns where
    /// in the window they start.
    fn prepare(&mut self, wanted: usize) -> Result<usize> {
        let offset = self.scanner.offset();
        if let Some(piece) = self.ahead.as_mut().filter(|_| wanted > 0).and_then(|ahead| ahead.piece_at(offset)) {
            self.adopt(piece);
        }
        let covered = offset >= self.window_at && offset <= self.window_at + self.filled as u64;
        let start = if covered { usize::try_from(offset - self.window_at).unwrap_or(0) } else { self.filled };
        if !covered {
            (self.window_at, self.filled, self.reached_end) = (offset, 0, false);
            return self.fill(0, wanted.max(1)).map(|()| 0);
        }
        if self.filled - start >= wanted || self.reached_end {
            return Ok(start);
        }
        self.window.copy_within(start..self.filled, 0);
        self.filled -= start;
        self.window_at = offset;
        self.fill(self.filled, wanted)?;
        if !self.reached_end {
            self.tell_in_order();
        }
        Ok(0)
    }

    /// Tells the system, once, that somebody reads on: the disk gets what comes next while this is looked at.
    fn tell_in_order(&mut self) {
        if !self.is_in_order {
            self.file.will_read_in_order();
            self.is_in_order = true;
        }
    }

    /// Takes what was read and proven for the window. It ends with the proven frames, so that the next piece is asked for
    /// where its first frame begins.
    fn adopt(&mut self, piece: Piece) {
        self.filled = usize::try_from(piece.until - piece.at).unwrap_or(piece.filled).min(piece.filled);
        (self.window_at, self.reached_end) = (piece.at, false);
        self.proven = piece.first..piece.until;
        let used = std::mem::replace(&mut self.window, piece.bytes);
        if let Some(ahead) = &mut self.ahead {
            ahead.give_back(used);
        }
    }

    fn fill(&mut self, from: usize, wanted: usize) -> Result<()> {
        let len = match &self.ahead {
            Some(_) => Ahead::left_in_piece(self.window_at).min(Self::WINDOW_LEN_BYTES).max(wanted),
            None => Self::WINDOW_LEN_BYTES.max(wanted),
        };
        let left = self.limit.saturating_sub(self.window_at);
        let len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
        if self.window.len() < len {
            self.window.resize(len, 0);
        }
        let at = self.window_at + from as u64;
        let number = self.scanner.key().number();
        let read = read_full_at(&*self.file, at, &mut self.window[from..len])
            .map_err(|error| Error::io("cannot read the log", error).segment(number).offset(at))?;
        self.filled = from + read;
        self.reached_end = self.filled < len || len as u64 == left;
        if let Some(ahead) = &mut self.ahead {
            ahead.begin();
        }
        Ok(())
    }
}
