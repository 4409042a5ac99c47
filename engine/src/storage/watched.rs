//! A storage that tells of every byte that goes through it: for progress, and to count what some work reads and writes.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::{Entry, Host, OpenMode, Storage, StorageFile};

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// Out of a file.
    Read,
    /// Into a file.
    Written,
}

/// Told of the bytes of one transfer, when it is done. Called by whichever thread reads or writes.
type Tell = dyn Fn(Transfer, u64) + Send + Sync;

/// Another storage, watched.
#[derive(Clone)]
pub struct Watched {
    storage: Arc<dyn Storage>,
    tell: Arc<Tell>,
}

impl Watched {
    /// Watches a storage: the same files, the same answers.
    pub fn new(storage: Arc<dyn Storage>, tell: impl Fn(Transfer, u64) + Send + Sync + 'static) -> Watched {
        Watched { storage, tell: Arc::new(tell) }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Watched").field(&self.storage).finish()
    }
}

impl Storage for Watched {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let file = self.storage.open(name, mode)?;
        Ok(Box::new(WatchedFile { file, tell: Arc::clone(&self.tell) }))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        self.storage.list(directory)
    }

    fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        self.storage.entry(name)
    }

    fn create_dir(&self, directory: &str) -> io::Result<bool> {
        self.storage.create_dir(directory)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.storage.rename(from, to)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.storage.link(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.storage.remove(name)
    }

    fn remove_dir(&self, directory: &str) -> io::Result<()> {
        self.storage.remove_dir(directory)
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        self.storage.sync_dir(directory)
    }

    fn sync_parent(&self) -> io::Result<()> {
        self.storage.sync_parent()
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.storage.free_bytes()
    }

    fn host(&self) -> &dyn Host {
        self.storage.host()
    }
}

struct WatchedFile {
    file: Box<dyn StorageFile>,
    tell: Arc<Tell>,
}

impl WatchedFile {
    fn told(&self, transfer: Transfer, count: usize) -> usize {
        if count > 0 {
            (self.tell)(transfer, count as u64);
        }
        count
    }
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("WatchedFile").field(&self.file).finish()
    }
}

impl StorageFile for WatchedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer).map(|count| self.told(Transfer::Read, count))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(offset, bytes).map(|count| self.told(Transfer::Written, count))
    }

    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn drop_cached(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.file.drop_cached(offset, len_bytes)
    }

    fn will_read_in_order(&self) {
        self.file.will_read_in_order();
    }

    fn start_writeback(&self, offset: u64, len_bytes: u64) {
        self.file.start_writeback(offset, len_bytes);
    }

    fn allocate(&self, from: u64, until: u64) -> io::Result<()> {
        self.file.allocate(from, until)
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::storage::{Memory, read_full_at, write_all_at};

    #[test]
    fn bytes_are_told_as_they_move_and_not_as_they_are_asked_for() {
        let told: Arc<Mutex<Vec<(Transfer, u64)>>> = Arc::default();
        let storage = Watched::new(Arc::new(Memory::new()), {
            let told = Arc::clone(&told);
            move |transfer, count| told.lock().unwrap().push((transfer, count))
        });
        storage.create_dir("").unwrap();
        let file = storage.open("file", OpenMode::CreateNew).unwrap();
        write_all_at(&*file, 0, b"abcde").unwrap();
        assert_eq!(read_full_at(&*file, 2, &mut [0; 100]).unwrap(), 3);
        // At the end there is nothing to tell.
        assert_eq!(file.read_at(5, &mut [0; 100]).unwrap(), 0);
        assert_eq!(*told.lock().unwrap(), [(Transfer::Written, 5), (Transfer::Read, 3)]);
    }
}
