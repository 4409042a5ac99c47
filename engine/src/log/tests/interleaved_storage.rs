//! A storage that lets the other threads in before each call, and that can be told to fail or to panic at one of them.

use crate::storage::{Entry, Host, Memory, OpenMode, Storage, StorageFile};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What happens at the call that [`Trouble::at`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// `EIO`.
    Error,
    /// The thread unwinds, as from a bug of ours.
    Panic,
}

/// When something happens: counted in writes and syncs from when it was armed.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    left: Arc<AtomicU64>,
    panics: Arc<AtomicU64>,
}

impl Trouble {
    /// Arms: the call after `calls` others is harmed.
    pub(super) fn at(&self, calls: u64, harm: Harm) {
        self.panics.store(u64::from(harm == Harm::Panic), Ordering::Relaxed);
        self.left.store(calls + 1, Ordering::Relaxed);
    }

    /// Nothing happens any more. Whether it had.
    pub(super) fn end(&self) -> bool {
        self.left.swap(0, Ordering::Relaxed) == 0
    }

    /// Whether it has happened.
    fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    fn pass(&self) -> io::Result<()> {
        match self.left.load(Ordering::Relaxed) {
            0 => return Ok(()),
            left => self.left.store(left - 1, Ordering::Relaxed),
        }
        if !self.is_over() {
            return Ok(());
        }
        if self.panics.load(Ordering::Relaxed) != 0 {
            // Past the panic hook, which would print thousands of these.
            std::panic::resume_unwind(Box::new("the storage panics, as it was told"));
        }
        Err(io::Error::from_raw_os_error(5))
    }
}

/// One machine's memory, as one process sees it.
#[derive(Clone, Debug)]
pub(super) struct Interleaved {
    memory: Memory,
    pub(super) trouble: Trouble,
}

/// Any thread may run before what follows. The scheduler decides at each operation on one of its atomics.
fn let_others_in() {
    let point = shuttle::sync::atomic::AtomicBool::new(false);
    point.load(Ordering::SeqCst);
}

impl Interleaved {
    pub(super) fn new() -> Interleaved {
        Interleaved { memory: Memory::new(), trouble: Trouble::default() }
    }
}

#[derive(Debug)]
struct InterleavedFile {
    file: Box<dyn StorageFile>,
    trouble: Trouble,
}

impl Storage for Interleaved {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let_others_in();
        let file = self.memory.open(name, mode)?;
        Ok(Box::new(InterleavedFile { file, trouble: self.trouble.clone() }))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        let_others_in();
        self.memory.list(directory)
    }

    fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        let_others_in();
        self.memory.entry(name)
    }

    fn create_dir(&self, directory: &str) -> io::Result<bool> {
        let_others_in();
        self.memory.create_dir(directory)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let_others_in();
        self.memory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let_others_in();
        self.memory.remove(name)
    }

    fn remove_dir(&self, directory: &str) -> io::Result<()> {
        let_others_in();
        self.memory.remove_dir(directory)
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        let_others_in();
        self.memory.sync_dir(directory)
    }

    fn sync_parent(&self) -> io::Result<()> {
        self.memory.sync_parent()
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.memory.free_bytes()
    }

    fn host(&self) -> &dyn Host {
        &self.memory
    }

    fn sleep(&self, duration: Duration) {
        Storage::sleep(&self.memory, duration);
        shuttle::thread::yield_now();
    }
}

impl StorageFile for InterleavedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let_others_in();
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let_others_in();
        self.trouble.pass()?;
        // A write is not atomic for who reads beside it: half of it can be seen, in units of a sector.
        let half = bytes.len() / 2 / 512 * 512;
        if half > 0 {
            self.file.write_at(offset, &bytes[..half])?;
            let_others_in();
            self.file.write_at(offset + half as u64, &bytes[half..])?;
            return Ok(bytes.len());
        }
        self.file.write_at(offset, bytes)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        let_others_in();
        self.file.len_bytes()
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        let_others_in();
        self.file.set_len(len_bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        let_others_in();
        self.trouble.pass()?;
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        let_others_in();
        self.trouble.pass()?;
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

    fn try_lock(&self) -> io::Result<bool> {
        let_others_in();
        self.file.try_lock()
    }

    fn unlock(&self) -> io::Result<()> {
        let_others_in();
        self.file.unlock()
    }
}
