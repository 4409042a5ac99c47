//! What has been appended and is not in the file yet.

use super::Writer;
use crate::error::Result;
use crate::log::options::SyncPolicy;
use crate::storage::write_all_at;

impl Writer {
    /// Appends gather up to this many bytes before they are written, where the policy and the mode allow it.
    const BUFFER_LEN_BYTES: usize = 256 << 10;
    /// Where they gather, they are written up to a multiple of this: the page cache takes such pieces as a whole, and begins
    /// none in the middle of another.
    const PIECE_LEN_BYTES: u64 = 128 << 10;
    /// Written bytes after which the medium begins with them, where no sync follows each write.
    const HURRY_LEN_BYTES: u64 = 2 << 20;

    /// Where appends gather in memory: writes what has gathered where it is enough, and syncs where the policy wants it.
    pub(crate) fn settle_buffer(&mut self) -> Result<()> {
        if self.wants_sync() {
            self.flush()?;
            self.sync()?;
            self.publish();
        } else if self.buffer.len() >= Self::BUFFER_LEN_BYTES {
            // What is left of a piece waits for the rest of it.
            let rest = self.head.position.offset % Self::PIECE_LEN_BYTES;
            self.write_buffered(self.buffer.len() - usize::try_from(rest).unwrap_or(0))?;
        }
        Ok(())
    }

    /// Writes the buffer. Any failure poisons: nobody knows how much of it reached the file.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.write_buffered(self.buffer.len()) }
    }

    /// Writes the first bytes of the buffer.
    fn write_buffered(&mut self, len: usize) -> Result<()> {
        let result = write_all_at(&*self.head.segment.file, self.written, &self.buffer[..len]);
        self.or_poison(result, "cannot write to the log")?;
        self.written += len as u64;
        self.buffer.drain(..len);
        let end = self.written + self.buffer.len() as u64;
        debug_assert_eq!(end, self.head.position.offset, "file and buffer end where the head does");
        self.hurry();
        Ok(())
    }

    /// Where no sync follows each write, has the medium begin with what was written, so that the next sync finds little left
    /// to do. Only where nobody else writes: what fails on the way is told to this file's next sync alone, and another process
    /// would take what it syncs itself for whole.
    fn hurry(&mut self) {
        let len = self.written - self.under_way;
        if self.options.exclusive && self.options.sync != SyncPolicy::Always && len >= Self::HURRY_LEN_BYTES {
            self.head.segment.file.start_writeback(self.under_way, len);
            self.under_way = self.written;
        }
    }
}
