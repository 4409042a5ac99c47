//! How many bytes some work reads and writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Storage, Transfer, Watched};

/// Bytes that have gone through a storage.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    read: AtomicU64,
    written: AtomicU64,
}

impl Counted {
    /// Bytes read and written by some work.
    pub(crate) fn of<T>(&self, work: impl FnOnce() -> T) -> (T, u64, u64) {
        self.read.store(0, Ordering::Relaxed);
        self.written.store(0, Ordering::Relaxed);
        let result = work();
        (result, self.read.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed))
    }
}

/// A storage whose bytes are counted.
pub(crate) fn counted(storage: Arc<dyn Storage>) -> (Arc<dyn Storage>, Arc<Counted>) {
    let counted = Arc::new(Counted::default());
    let tell = Arc::clone(&counted);
    let watched = Watched::new(storage, move |transfer, len_bytes| {
        let count = if transfer == Transfer::Read { &tell.read } else { &tell.written };
        count.fetch_add(len_bytes, Ordering::Relaxed);
    });
    (Arc::new(watched), counted)
}
