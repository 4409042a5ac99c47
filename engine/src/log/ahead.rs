//! Pieces of a segment that are read and proven before its reader comes to them, by other threads as well.
//!
//! Most of what reading costs is fetching bytes and computing their checksums, and none of that depends on what stood before.
//! A frame's header is bound to its place, so the first frame of any piece of a segment is found without knowing the others.
//! The reader still goes from frame to frame and asks everything of them but the checksums: order, batches, what is durable.

use crate::storage::{StorageFile, read_full_at};
use crate::sync::thread::{Builder, JoinHandle};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::collections::BTreeMap;
use std::sync::Arc;
use taffrail_log_format::{DefectKind, Scanner, SegmentKey, Step, find_header, layout};

/// A piece: the frames that begin within [`Ahead::PIECE_LEN_BYTES`] of a segment.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Bytes of the segment, from the piece's begin to the end of its last frame, or further.
    pub(crate) bytes: Vec<u8>,
    /// How many of `bytes` were read.
    pub(crate) filled: usize,
    /// Offset of the first byte in the segment.
    pub(crate) at: u64,
    /// Offset of the first frame that was proven.
    pub(crate) first: u64,
    /// Offset at which the frames end that were proven, one behind the other from `first` on.
    pub(crate) until: u64,
}

/// Threads that prove the pieces of one segment. They end with it.
#[derive(Debug)]
pub(crate) struct Ahead {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// How many threads have not begun yet.
    due: usize,
    /// The piece that the reader is in.
    entered: u64,
    /// A buffer that it needs no more.
    used: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Shared {
    file: Arc<dyn StorageFile>,
    key: SegmentKey,
    state: Mutex<State>,
    /// A piece is done, or was given up.
    done: Condvar,
    /// There is work again, or never any more.
    wanted: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The lowest piece that nobody has begun.
    next: u64,
    /// The piece that the reader is in.
    reader_at: u64,
    /// No piece from this one on is worth beginning: the file ends before it.
    end: u64,
    under_way: Vec<u64>,
    proven: BTreeMap<u64, Piece>,
    /// Buffers to be used again.
    free: Vec<Vec<u8>>,
    /// Threads that wait for work.
    idle: usize,
    is_over: bool,
}

/// A piece that is being proven. It is no longer when this is dropped, whatever has happened.
struct Claim<'a> {
    shared: &'a Shared,
    number: u64,
    piece: Option<Piece>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.under_way.retain(|number| *number != self.number);
        match self.piece.take() {
            Some(piece) if self.number >= state.reader_at => drop(state.proven.insert(self.number, piece)),
            Some(passed) => state.free.push(passed.bytes),
            None => {}
        }
        self.shared.done.notify_all();
    }
}

impl State {
    /// The next piece to begin, if one may be.
    fn claim(&mut self) -> Option<(u64, Vec<u8>)> {
        let number = self.next.max(self.reader_at);
        if number >= self.end || number >= self.reader_at + Ahead::MOST_PIECES {
            return None;
        }
        self.next = number + 1;
        self.under_way.push(number);
        Some((number, self.free.pop().unwrap_or_default()))
    }

    /// The reader comes to a piece: those before it are of no use any more.
    fn enter(&mut self, number: u64) {
        self.reader_at = number;
        while let Some(passed) = self.proven.first_entry().filter(|entry| *entry.key() < number) {
            self.free.push(passed.remove().bytes);
        }
    }

    /// Whether there is enough to do again to wake somebody for it.
    fn has_room(&self) -> bool {
        self.idle > 0 && self.next < self.end && self.next < self.reader_at + Ahead::MOST_PIECES / 2
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does until it is told to end.
    fn work(&self) {
        let mut state = self.lock();
        while !state.is_over {
            if let Some((number, buffer)) = state.claim() {
                drop(state);
                self.prove(number, buffer);
                state = self.lock();
            } else {
                state.idle += 1;
                state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn prove(&self, number: u64, buffer: Vec<u8>) {
        let mut claim = Claim { shared: self, number, piece: None };
        claim.piece = self.read(number, buffer);
    }

    /// Reads a piece and proves its frames, as far as they are good. `None` where there are none, or the file can not be read:
    /// its reader finds out why.
    fn read(&self, number: u64, mut bytes: Vec<u8>) -> Option<Piece> {
        let at = number * Ahead::PIECE_LEN_BYTES;
        let end = at + Ahead::PIECE_LEN_BYTES;
        bytes.resize(Ahead::READ_LEN_BYTES, 0);
        let mut filled = read_full_at(&*self.file, at, &mut bytes).ok()?;
        if filled < bytes.len() {
            self.lock().end = number;
        }
        let base = at.max(layout::FIRST_FRAME);
        let (first, header) = find_header(&self.key, bytes[..filled].get(index(base - at)..)?, base, base)?;
        let mut scanner = Scanner::new(self.key, first, Some(header.seq));
        while scanner.offset() < end {
            let start = index(scanner.offset() - at);
            if scanner.step_plain(&bytes[start..filled]).is_some() {
                continue;
            }
            match scanner.step(&bytes[start..filled], false) {
                Step::Frame(_) => {}
                Step::NeedBytes(count) if filled == bytes.len() && count <= Ahead::LONGEST_LEN_BYTES => {
                    bytes.reserve_exact((start + count).saturating_sub(bytes.len()));
                    bytes.resize(start + count, 0);
                    filled += read_full_at(&*self.file, at + filled as u64, &mut bytes[filled..]).ok()?;
                }
                // In what order seqs may come is the reader's question.
                Step::Bad { defect, header: Some(header) } if defect.kind == DefectKind::SeqJump => {
                    scanner.resume_at(defect.offset, Some(header.seq));
                }
                _ => break,
            }
        }
        Some(Piece { bytes, filled, at, first, until: scanner.offset() })
    }
}

/// A length within a piece, which is small.
#[allow(clippy::cast_possible_truncation, reason = "lengths within a piece are small")]
const fn index(len_bytes: u64) -> usize {
    len_bytes as usize
}

impl Ahead {
    /// Length of a piece. Tests have small ones, so that their logs have many.
    const PIECE_LEN_BYTES: u64 = if cfg!(test) { 4 << 10 } else { 64 << 10 };
    /// Read at once: a piece, and something behind it, so that its last frame is there mostly without another read.
    const READ_LEN_BYTES: usize = index(Self::PIECE_LEN_BYTES + Self::PIECE_LEN_BYTES / 32);
    /// Frames that are longer are left to the reader: with [`Ahead::MOST_PIECES`], this bounds the memory.
    const LONGEST_LEN_BYTES: usize = index(8 * Self::PIECE_LEN_BYTES);
    /// No thread is begun for less than this.
    pub(crate) const LEAST_LEN_BYTES: u64 = 8 * Self::PIECE_LEN_BYTES;
    /// Pieces that are there or under way, the reader's own among them.
    const MOST_PIECES: u64 = 6;

    /// For what comes behind the piece in which an offset lies, by so many threads once they [`begin`](Ahead::begin).
    pub(crate) fn new(
        file: &Arc<dyn StorageFile>,
        key: SegmentKey,
        offset: u64,
        threads: usize,
        buffers: Vec<Vec<u8>>,
    ) -> Ahead {
        let reader_at = offset / Self::PIECE_LEN_BYTES;
        let state = State { next: reader_at + 1, reader_at, end: u64::MAX, free: buffers, ..State::default() };
        let (state, done, wanted) = (Mutex::new(state), Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { file: Arc::clone(file), key, state, done, wanted });
        Ahead { shared, threads: Vec::new(), due: threads, entered: reader_at, used: None }
    }

    /// Begins, where it has not. The reader has read its own first piece by then: where the first bytes that a system is asked
    /// for are not the first ones of the file, it takes long to see that the file is read in order.
    pub(crate) fn begin(&mut self) {
        for _ in 0..std::mem::take(&mut self.due) {
            let shared = Arc::clone(&self.shared);
            let builder = Builder::new().name("taffrail-ahead".to_owned()).stack_size(256 << 10);
            // Where the machine has no thread for it, the reader does what they would have.
            self.threads.extend(builder.spawn(move || shared.work()).ok());
        }
    }

    /// Bytes from an offset to the end of its piece.
    pub(crate) fn left_in_piece(offset: u64) -> usize {
        index(Self::PIECE_LEN_BYTES - offset % Self::PIECE_LEN_BYTES)
    }

    /// Takes back a buffer that came with a piece.
    pub(crate) fn give_back(&mut self, used: Vec<u8>) {
        self.used = Some(used);
    }

    /// The piece whose first frame the reader comes to. `None` within a piece, and where the reader has to look for itself.
    pub(crate) fn piece_at(&mut self, offset: u64) -> Option<Piece> {
        let number = offset / Self::PIECE_LEN_BYTES;
        if number <= self.entered {
            return None;
        }
        self.entered = number;
        let mut state = self.shared.lock();
        state.free.extend(self.used.take());
        state.enter(number);
        if state.has_room() {
            self.shared.wanted.notify_all();
        }
        loop {
            if let Some(piece) = state.proven.remove(&number) {
                if piece.first == offset {
                    return Some(piece);
                }
                state.free.push(piece.bytes);
                return None;
            }
            let is_under_way = state.under_way.contains(&number);
            if !is_under_way && state.next > number {
                return None;
            }
            // Nobody has begun with it; or others are at it, and then one behind it is proven here meanwhile.
            state = match state.claim() {
                Some((number, buffer)) => {
                    drop(state);
                    self.shared.prove(number, buffer);
                    self.shared.lock()
                }
                None if is_under_way => self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner),
                None => return None,
            };
        }
    }
}

impl Ahead {
    /// Ends the threads, and gives back what they have read into.
    pub(crate) fn end(mut self) -> Vec<Vec<u8>> {
        self.join();
        let mut state = self.shared.lock();
        let mut buffers = std::mem::take(&mut state.free);
        buffers.extend(std::mem::take(&mut state.proven).into_values().map(|piece| piece.bytes));
        drop(state);
        buffers.extend(self.used.take());
        buffers
    }

    fn join(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.wanted.notify_all();
        for thread in self.threads.drain(..) {
            // One that has panicked has said so.
            drop(thread.join());
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Memory, OpenMode, Storage, write_all_at};
    use taffrail_log_format::{Flags, FrameFields, Kind, LogId, SegmentNumber, Seq, encode_frame};

    fn frames(key: &SegmentKey, lens: &[usize]) -> (Vec<u8>, Vec<u64>) {
        let mut bytes = vec![0; index(layout::FIRST_FRAME)];
        let mut offsets = Vec::new();
        for (seq, len) in (1..).zip(lens) {
            let offset = bytes.len() as u64;
            offsets.push(offset);
            let seq = Seq::new(seq).unwrap();
            let kind = Kind::FIRST_USER;
            let flags = Flags::default();
            let fields = FrameFields { seq, run: None, revision: 0, time_ns: 0, durable: 0, kind, flags };
            encode_frame(&mut bytes, key, offset, &fields, &vec![b'x'; *len]).unwrap();
        }
        offsets.push(bytes.len() as u64);
        (bytes, offsets)
    }

    fn file(bytes: &[u8]) -> Arc<dyn StorageFile> {
        let memory = Memory::new();
        memory.create_dir("").unwrap();
        let file = memory.open("file", OpenMode::CreateNew).unwrap();
        write_all_at(&*file, 0, bytes).unwrap();
        file.into()
    }

    /// Each piece is given out with exactly its frames, whoever has proven it; but for those with frames that are too long.
    #[test]
    fn pieces_hold_the_frames_that_begin_in_them() {
        let key = SegmentKey::new(LogId([7; 16]), SegmentNumber::FIRST);
        let lens: Vec<usize> = (0..900).map(|number| [0, 100, 333, 40, 1_100, 7][number % 6]).collect();
        let (bytes, offsets) = frames(&key, &lens);
        for threads in [1, 3] {
            let mut ahead = Ahead::new(&file(&bytes), key, layout::FIRST_FRAME, threads, Vec::new());
            ahead.begin();
            let pieces = offsets[offsets.len() - 1] / Ahead::PIECE_LEN_BYTES;
            let first_at =
                |piece: u64| offsets.iter().copied().find(|at| *at >= piece * Ahead::PIECE_LEN_BYTES).unwrap();
            for number in layout::FIRST_FRAME / Ahead::PIECE_LEN_BYTES + 1..=pieces {
                let piece = ahead.piece_at(first_at(number)).unwrap_or_else(|| panic!("piece {number}"));
                let until = if number == pieces { offsets[offsets.len() - 1] } else { first_at(number + 1) };
                assert_eq!((piece.first, piece.until), (first_at(number), until), "piece {number}");
                let (from, to) = (index(piece.first - piece.at), index(piece.until - piece.at));
                assert_eq!(piece.bytes[from..to], bytes[index(piece.first)..index(piece.until)]);
                ahead.give_back(piece.bytes);
            }
        }
    }

    #[test]
    fn a_piece_ends_where_a_frame_is_bad_and_is_not_given_where_its_first_frame_is() {
        let key = SegmentKey::new(LogId([7; 16]), SegmentNumber::FIRST);
        let (mut bytes, offsets) = frames(&key, &[400; 100]);
        let second = offsets.iter().position(|at| *at >= 2 * Ahead::PIECE_LEN_BYTES).unwrap();
        let third = offsets.iter().position(|at| *at >= 3 * Ahead::PIECE_LEN_BYTES).unwrap();
        bytes[index(offsets[second + 3]) + 60] ^= 1;
        bytes[index(offsets[third]) + 9] ^= 1;
        let mut ahead = Ahead::new(&file(&bytes), key, layout::FIRST_FRAME, 1, Vec::new());
        ahead.begin();
        assert_eq!(ahead.piece_at(offsets[second]).unwrap().until, offsets[second + 3]);
        assert!(ahead.piece_at(offsets[third]).is_none(), "it begins with the frame behind the bad header");
        assert!(ahead.piece_at(offsets[second]).is_none(), "nobody goes back");
    }
}
