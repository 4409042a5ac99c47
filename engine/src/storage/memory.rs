//! `Memory`: a storage that lives in memory and never fails.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use super::clock::ManualClock;
use super::tree::Tree;
use super::{Entry, Host, OpenMode, Storage, StorageFile};

/// How far the clock moves at each look at it, so that a loop that waits for a time gets there.
const TICK_NS: u64 = 1_000;

/// The longest file, 16 GiB: a length that went wrong is an error here, not the end of the program.
const FILE_BYTES_MAX: u64 = 1 << 34;

/// A directory in memory, with a clock that a test controls. For tests that are not about storage, and for scratch
/// stores.
///
/// Clones are handles of the same directory and the same clock; the locks taken through one are seen by the others.
/// Nothing fails for want of hardware: the only errors are those of a wrong call. A new one has no root directory yet:
/// [`Storage::create_dir`] with `""` makes it, as on a disk.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    machine: Arc<Mutex<Machine>>,
}

#[derive(Debug)]
struct Machine {
    tree: Tree,
    files: BTreeMap<u64, Arc<Mutex<MemoryBytes>>>,
    clock: ManualClock,
    next_handle: u64,
    next_random: u64,
}

impl Default for Machine {
    fn default() -> Machine {
        Machine { tree: Tree::new(), files: BTreeMap::new(), clock: ManualClock::new(), next_handle: 0, next_random: 0 }
    }
}

/// A file's content, and the handle that holds its lock.
#[derive(Debug, Default)]
struct MemoryBytes {
    bytes: Vec<u8>,
    locked_by: Option<u64>,
}

/// An open file of a [`Memory`].
#[derive(Debug)]
struct MemoryFile {
    content: Arc<Mutex<MemoryBytes>>,
    handle: u64,
    writable: bool,
}

impl Memory {
    /// An empty storage, without a root directory yet.
    #[must_use]
    pub fn new() -> Memory {
        Memory::default()
    }

    /// Sets the wall clock, in nanoseconds since 1970-01-01T00:00:00Z; it may step back.
    pub fn set_now_ns(&self, now_ns: i64) {
        self.machine().clock.set_wall_ns(now_ns);
    }

    /// Moves both clocks on.
    pub fn advance(&self, duration: Duration) {
        self.machine().clock.sleep(duration);
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    fn entry(&self, name: &str, number: u64, kind: super::EntryKind) -> Entry {
        let len_bytes = self.files.get(&number).map_or(0, |file| lock(file).bytes.len() as u64);
        Entry { name: name.to_owned(), kind, len_bytes }
    }
}

fn lock(content: &Mutex<MemoryBytes>) -> MutexGuard<'_, MemoryBytes> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Storage for Memory {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let mut machine = self.machine();
        let content = if mode == OpenMode::CreateNew {
            let number = machine.tree.create(name, false)?.node.number;
            Arc::clone(machine.files.entry(number).or_default())
        } else {
            let number = machine.tree.file(name)?;
            Arc::clone(machine.files.get(&number).ok_or(Errno::NOENT)?)
        };
        machine.next_handle += 1;
        Ok(Box::new(MemoryFile { content, handle: machine.next_handle, writable: mode != OpenMode::Read }))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        let machine = self.machine();
        let number = machine.tree.directory(directory)?;
        let children = machine.tree.children(number);
        Ok(children.map(|(slot, node)| machine.entry(&slot.name, node.number, node.kind())).collect())
    }

    fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        let machine = self.machine();
        let leaf = name.rsplit_once('/').map_or(name, |(_, leaf)| leaf);
        Ok(machine.tree.find(name)?.map(|node| machine.entry(leaf, node.number, node.kind())))
    }

    fn create_dir(&self, directory: &str) -> io::Result<bool> {
        let mut machine = self.machine();
        match machine.tree.create(directory, true) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                machine.tree.directory(directory).map(|_| false).map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut machine = self.machine();
        if let Some(replaced) = machine.tree.rename(from, to)?.and_then(|change| change.replaced) {
            // An open handle keeps the content of a file that has lost its name.
            machine.files.remove(&replaced.number);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut machine = self.machine();
        let number = machine.tree.remove(name, false)?.node.number;
        machine.files.remove(&number);
        Ok(())
    }

    fn remove_dir(&self, directory: &str) -> io::Result<()> {
        self.machine().tree.remove(directory, true).map(|_| ())
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        self.machine().tree.directory(directory).map(|_| ())
    }

    fn sync_parent(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn host(&self) -> &dyn Host {
        self
    }
}

impl Host for Memory {
    fn now_ns(&self) -> i64 {
        let mut machine = self.machine();
        machine.clock.advance_ns(TICK_NS);
        machine.clock.wall_ns()
    }

    fn monotonic_ns(&self) -> u64 {
        let mut machine = self.machine();
        machine.clock.advance_ns(TICK_NS);
        machine.clock.monotonic_ns()
    }

    fn sleep(&self, duration: Duration) {
        self.machine().clock.sleep(duration);
        // Whoever is waited for may be another thread of this program.
        std::thread::yield_now();
    }

    fn boot_id(&self) -> [u8; 16] {
        *b"taffrail memory "
    }

    fn random_id(&self) -> io::Result<[u8; 16]> {
        let mut machine = self.machine();
        machine.next_random += 1;
        let digest = blake3::hash(&machine.next_random.to_le_bytes());
        Ok(std::array::from_fn(|index| digest.as_bytes()[index]))
    }

    fn process_id(&self) -> u32 {
        std::process::id()
    }

    fn process_alive(&self, process_id: u32) -> bool {
        process_id == std::process::id()
    }
}

impl MemoryFile {
    fn content_to_change(&self) -> io::Result<MutexGuard<'_, MemoryBytes>> {
        if self.writable { Ok(lock(&self.content)) } else { Err(Errno::BADF.into()) }
    }
}

/// A length as the machine counts memory. Beyond [`FILE_BYTES_MAX`] it answers as a file system does.
fn memory_len(len_bytes: u64) -> io::Result<usize> {
    usize::try_from(len_bytes).ok().filter(|_| len_bytes <= FILE_BYTES_MAX).ok_or_else(|| Errno::FBIG.into())
}

impl StorageFile for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let content = lock(&self.content);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = content.bytes.get(start..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut content = self.content_to_change()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let end = memory_len(offset.saturating_add(bytes.len() as u64))?;
        let start = end - bytes.len();
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        content.bytes[start..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(lock(&self.content).bytes.len() as u64)
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        let len_bytes = memory_len(len_bytes)?;
        self.content_to_change()?.bytes.resize(len_bytes, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn drop_cached(&self, _offset: u64, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn will_read_in_order(&self) {}

    fn start_writeback(&self, _offset: u64, _len_bytes: u64) {}

    fn try_lock(&self) -> io::Result<bool> {
        let mut content = lock(&self.content);
        let holder = *content.locked_by.get_or_insert(self.handle);
        Ok(holder == self.handle)
    }

    fn unlock(&self) -> io::Result<()> {
        let mut content = lock(&self.content);
        if content.locked_by == Some(self.handle) {
            content.locked_by = None;
        }
        Ok(())
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let mut content = lock(&self.content);
        if content.locked_by == Some(self.handle) {
            content.locked_by = None;
        }
    }
}
