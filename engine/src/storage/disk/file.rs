//! An open file of a [`super::Disk`].

use std::fs::{File, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use super::background_sync::BackgroundSync;
use crate::storage::StorageFile;
use std::sync::Arc;

/// The largest page any kernel of today uses, and a multiple of every smaller one.
#[cfg(target_os = "linux")]
const PAGE_BYTES_MAX: u64 = 65_536;

/// A regular file of a real file system. Dropping it closes it and frees its lock.
#[derive(Debug)]
pub(super) struct DiskFile {
    file: Arc<File>,
    background: BackgroundSync,
}

impl DiskFile {
    /// Takes an open regular file.
    pub(super) fn new(file: File) -> DiskFile {
        DiskFile { file: Arc::new(file), background: BackgroundSync::default() }
    }

    /// Advice about a range; a length of 0 means to the end.
    #[cfg(target_os = "linux")]
    fn advise(&self, offset: u64, len_bytes: u64, advice: rustix::fs::Advice) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&*self.file, offset, std::num::NonZeroU64::new(len_bytes), advice)?)
    }
}

impl StorageFile for DiskFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        // Not by its metadata: a kernel that has told a time of change (Linux, from 6.13 on) sees to it that the next write has another
        // one, which the next sync then writes as well: to look at a log would slow down whoever appends to it.
        // Nobody goes by the position that this moves.
        (&*self.file).seek(SeekFrom::End(0))
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }

    // The standard library asks macOS for F_FULLFSYNC here, which plain fsync would not.
    fn sync_data(&self) -> io::Result<()> {
        self.background.finish()?;
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.background.finish()?;
        self.file.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn drop_cached(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        // The kernel keeps a page that the range covers only in part, so the range grows to whole pages. Dropping a
        // clean page too many costs one read.
        let start = offset - offset % PAGE_BYTES_MAX;
        let end = offset.checked_add(len_bytes).and_then(|end| end.checked_next_multiple_of(PAGE_BYTES_MAX));
        let len_bytes = match end {
            Some(end) if len_bytes != 0 => end - start,
            _ => 0,
        };
        self.advise(start, len_bytes, rustix::fs::Advice::DontNeed)
    }

    #[cfg(not(target_os = "linux"))]
    fn drop_cached(&self, _offset: u64, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn will_read_in_order(&self) {
        #[cfg(target_os = "linux")]
        let _advice_may_fail = self.advise(0, 0, rustix::fs::Advice::Sequential);
    }

    fn start_writeback(&self, offset: u64, len_bytes: u64) {
        // A sync, and not advice: the kernel keeps back what it writes on its own account in favour of what somebody waits
        // for, so advice leaves most of the work to the sync at the end.
        let file = Arc::clone(&self.file);
        if !self.background.begin(move || file.sync_data()) {
            #[cfg(target_os = "linux")]
            let _advice_may_fail = self.advise(offset, len_bytes, rustix::fs::Advice::DontNeed);
        }
        #[cfg(not(target_os = "linux"))]
        let _no_such_advice = (offset, len_bytes);
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, from: u64, until: u64) -> io::Result<()> {
        use rustix::io::Errno;
        let len = until.saturating_sub(from);
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(&*self.file, flags, from, len)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => crate::storage::write_zeros(self, from, until),
            other => Ok(other?),
        }
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}
