//! Room for what is appended: space ahead, and the next segment.

use super::Writer;
use super::planned::Planned;
use crate::Kind;
use crate::error::{Error, Result};
use crate::log::options::SyncPolicy;
use crate::log::{create, paths};
use crate::storage::write_zeros;
use taffrail_log_format::layout;
use taffrail_log_format::sabotage::{self, Sabotage};

impl Writer {
    /// Zeros are written ahead in steps of at most this.
    const MOST_ZEROS_AHEAD_BYTES: u64 = 4 << 20;
    /// Space is set aside in steps of at most this: to ask for it waits for what the medium is at.
    const MOST_SPACE_AHEAD_BYTES: u64 = 16 << 20;

    /// Makes sure that so many bytes can follow: a segment with room for them, and zeros written in it.
    pub(super) fn make_room(&mut self, len: u64) -> Result<()> {
        let full = self.head.position.offset + len > self.options.segment_len_bytes;
        let large = self.head.footer.as_ref().is_some_and(taffrail_log_format::FooterBuilder::is_large);
        let empty = self.head.position.next_seq == self.head.segment.header.first_seq;
        if self.head.sealed || ((full || large) && !empty) {
            self.flush()?;
            self.rotate()?;
        }
        self.reserve(self.head.position.offset + len)
    }

    /// Writes zeros ahead, or sets space aside. A full disk is told here, before a byte of the batch has been written.
    fn reserve(&mut self, end: u64) -> Result<()> {
        if end <= self.allocated {
            return Ok(());
        }
        let most_ahead =
            if self.has_zeros_ahead() { Self::MOST_ZEROS_AHEAD_BYTES } else { Self::MOST_SPACE_AHEAD_BYTES };
        let ahead = self.allocated.clamp(create::FIRST_SEGMENT_LEN_BYTES, most_ahead);
        let most = self.options.segment_len_bytes.max(end);
        let generous = (self.allocated + ahead).max(end).min(most);
        if self.extend(generous).is_ok() {
            return Ok(());
        }
        self.allocated = self.file_len()?;
        let result = if end <= self.allocated { Ok(()) } else { self.extend(end) };
        self.allocated = self.file_len()?;
        result
    }

    fn extend(&mut self, end: u64) -> Result<()> {
        let file = &*self.head.segment.file;
        let zeros = self.has_zeros_ahead();
        let extended = if zeros { write_zeros(file, self.allocated, end) } else { file.allocate(self.allocated, end) };
        extended.map_err(|error| {
            Error::io("cannot extend the newest segment", error).segment(self.head.position.segment)
        })?;
        self.allocated = end;
        if !zeros {
            self.set_aside = Some((self.head.position.segment, end));
        }
        Ok(())
    }

    /// Zeros that are written make the sync of every append cheap. Where no sync follows each append, each of them would be
    /// written twice for nothing.
    fn has_zeros_ahead(&self) -> bool {
        self.options.sync == SyncPolicy::Always
    }

    /// Gives back what this writer set aside and nobody has used or extended.
    pub(super) fn give_back(&self) {
        let (segment, end) = self.head.position.place();
        if self.set_aside == Some((segment, self.allocated)) && self.allocated > end {
            // Where it fails, the log is longer than what is in it, as it has been until now.
            let _stays_set_aside = self.head.segment.file.set_len(end);
        }
    }

    /// Seals the newest segment, where it is not sealed already, and begins the next one.
    fn rotate(&mut self) -> Result<()> {
        if !self.head.sealed {
            self.seal()?;
        }
        // Whoever wrote the seal may have been stopped before this, or it has not survived a power cut.
        let end = self.head.position.offset;
        if self.allocated != end {
            let cut = self.head.segment.file.set_len(end);
            self.or_poison(cut, "cannot trim a sealed segment")?;
            self.allocated = end;
        }
        let synced = self.head.segment.file.sync_all();
        self.or_poison(synced, "cannot sync a sealed segment")?;
        self.synced();
        let (next, frames_end) = create::next_segment(&*self.storage, &self.head, self.options.sync.into())?;
        if !sabotage::is(Sabotage::SkipDirSync) {
            let result = self.storage.sync_dir(paths::SEGMENTS);
            self.or_poison(result, "cannot sync the directory of segments")?;
        }
        let entered = self.head.catch_up(&*self.storage, (next, frames_end)).and_then(|()| self.moved_by_others());
        if let Err(error) = entered {
            // The head may stand before the new segment's type table, or its offset belong to the old segment.
            return Err(self.fail(error));
        }
        self.save_runs();
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        let footer = self.head.footer()?.encode();
        let footer_at = self.head.position.offset;
        let end = footer_at + taffrail_log_format::padded_len(footer.len() as u64) + layout::SEAL_LEN_BYTES;
        self.reserve(end)?;
        let now_ns = self.storage.now_ns();
        let frame = |kind, payload: Vec<u8>| Planned {
            run: None,
            revision: 0,
            kind,
            hint: false,
            redacted: false,
            time_ns: now_ns,
            payload: payload.into(),
        };
        let planned = [frame(Kind::FOOTER, footer), frame(Kind::SEAL, footer_at.to_le_bytes().to_vec())];
        let headers = self.encode(&planned).inspect_err(|_| self.buffer.clear())?;
        self.head.accept_all(&headers, &self.buffer, &planned);
        self.head.sealed = true;
        self.flush()
    }
}
