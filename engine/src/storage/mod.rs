//! The I/O seam: everything the engine asks of the machine, at the size of one system call.
//!
//! The log, its recovery and its readers know this module's three traits and nothing else of files, clocks or locks.
//! Three implementations stand behind it:
//!
//! - `Disk`: a directory of a real file system. The only module that names `std::fs`.
//! - `Memory`: the same, in memory, never failing. For tests that are not about storage, and for scratch stores.
//! - `SimDisk` (feature `testkit`): a seeded machine whose unsynced sectors, sizes and directory entries can vanish in any
//!   combination, whose calls can fail at any point, and on which several processes can live and die.
//!
//! # Names
//! A storage is rooted at one directory. Names are relative to it, `/`-separated and made of plain components
//! ([`check_name`]); a name that is absolute, empty or contains `..`, `.`, `\0` or an empty component is refused with
//! [`std::io::ErrorKind::InvalidInput`] before anything is touched. Symbolic links are never followed below the root:
//! meeting one is an error.
//!
//! # What the implementations must agree on
//! One conformance suite (`storage/conformance.rs`) runs over all of them.

use std::fmt::{self, Debug};
use std::io;
use std::time::Duration;

mod clock;
#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod counted;
#[cfg(unix)]
mod disk;
mod memory;
mod rooted;
#[cfg(any(test, feature = "testkit"))]
mod sim;
mod tree;
mod watched;
mod wrong_kind;

#[cfg(unix)]
pub use disk::Disk;
pub use memory::Memory;
pub use rooted::Rooted;
#[cfg(any(test, feature = "testkit"))]
pub use sim::{Failure, Fault, Operation, OperationKind, PendingKind, PendingUnit, SimDisk, SimProcess, Stopped};

pub use watched::{Transfer, Watched};
pub use wrong_kind::WrongKind;

/// What a directory entry is. The engine opens files and directories, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, which is never followed.
    Link,
    /// A named pipe (FIFO).
    Pipe,
    /// A socket.
    Socket,
    /// A device, or what else the platform has.
    Device,
}

impl EntryKind {
    /// What is neither a file nor a directory.
    pub const SPECIAL: [EntryKind; 4] = [EntryKind::Link, EntryKind::Pipe, EntryKind::Socket, EntryKind::Device];

    /// Whether it is neither a file nor a directory.
    #[must_use]
    pub fn is_special(self) -> bool {
        !matches!(self, EntryKind::File | EntryKind::Directory)
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            EntryKind::File => "a regular file",
            EntryKind::Directory => "a directory",
            EntryKind::Link => "a symbolic link",
            EntryKind::Pipe => "a named pipe",
            EntryKind::Socket => "a socket",
            EntryKind::Device => "a device",
        })
    }
}

/// One entry of a directory listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The entry's own name, without its directory; invalid UTF-8 is replaced, and such an entry can not be opened.
    pub name: String,
    /// What it is; links are not followed.
    pub kind: EntryKind,
    /// Length in bytes, for files.
    pub len_bytes: u64,
}

/// How [`Storage::open`] opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing file, for reading only. Never changes the file's times as far as the platform allows (`O_NOATIME` where permitted).
    Read,
    /// Existing file, for reading and writing.
    Write,
    /// New file, for reading and writing, mode 0600; fails with `AlreadyExists` where the name is taken.
    CreateNew,
}

/// The machine that a process runs on: its clocks, its boots, its processes.
///
/// [`Storage`] has the same methods, which ask the storage's own host: whoever is handed a storage needs nothing else.
pub trait Host: Debug + Send + Sync {
    /// The wall clock: nanoseconds since 1970-01-01T00:00:00Z. May step backwards.
    fn now_ns(&self) -> i64;

    /// A clock that never steps back: nanoseconds since an arbitrary start. For timeouts.
    fn monotonic_ns(&self) -> u64;

    /// Waits.
    fn sleep(&self, duration: Duration);

    /// A value that differs between boots of the machine and is the same for all processes of one boot.
    fn boot_id(&self) -> [u8; 16];

    /// Sixteen random bytes, for a new log's id.
    fn random_id(&self) -> io::Result<[u8; 16]>;

    /// The number of the calling process; recorded in `LOCK` for people to read.
    fn process_id(&self) -> u32;

    /// Whether a process of that number is alive on this machine, as far as can be told.
    fn process_alive(&self, process_id: u32) -> bool;
}

/// A directory, a clock, and what else the engine needs of a machine.
///
/// Errors are `std::io::Error`s with the platform's kind; the engine adds the location. No method retries: loops over
/// `Interrupted` and short transfers are written once, in [`read_full_at`] and [`write_all_at`].
pub trait Storage: Debug + Send + Sync {
    /// Opens a file below the root.
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>>;

    /// Entries of a directory (`""` is the root), sorted by name.
    fn list(&self, directory: &str) -> io::Result<Vec<Entry>>;

    /// The same without lengths, each of which costs a call on most systems.
    fn names(&self, directory: &str) -> io::Result<Vec<(String, EntryKind)>> {
        Ok(self.list(directory)?.into_iter().map(|entry| (entry.name, entry.kind)).collect())
    }

    /// One entry without opening it; `Ok(None)` where the name is free.
    fn entry(&self, name: &str) -> io::Result<Option<Entry>>;

    /// Creates a directory, mode 0700 whatever the umask. `Ok(false)` where it exists already. `""` creates the root
    /// (not its parents).
    fn create_dir(&self, directory: &str) -> io::Result<bool>;

    /// Renames a file over whatever file bears the new name, or a directory over an empty one. Atomic for every observer; durable after [`Storage::sync_dir`]
    /// of the directories involved.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a file a second name, which must be free: no byte is copied. Durable after [`Storage::sync_dir`] of the
    /// directory of the new name. `Unsupported` where the storage, or the file system, has no such thing; callers copy then.
    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let _names = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a file. Durable after [`Storage::sync_dir`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, directory: &str) -> io::Result<()>;

    /// Makes the entries of a directory (`""` is the root) durable.
    fn sync_dir(&self, directory: &str) -> io::Result<()>;

    /// Makes the root's own entry durable: syncs the directory that holds the root.
    fn sync_parent(&self) -> io::Result<()>;

    /// Bytes that can still be written here, where the platform tells.
    fn free_bytes(&self) -> io::Result<Option<u64>>;

    /// The machine that the storage is on. A storage that lies within another one is on the same machine.
    fn host(&self) -> &dyn Host;

    /// [`Host::now_ns`]
    fn now_ns(&self) -> i64 {
        self.host().now_ns()
    }

    /// [`Host::monotonic_ns`]
    fn monotonic_ns(&self) -> u64 {
        self.host().monotonic_ns()
    }

    /// [`Host::sleep`]
    fn sleep(&self, duration: Duration) {
        self.host().sleep(duration);
    }

    /// [`Host::boot_id`]
    fn boot_id(&self) -> [u8; 16] {
        self.host().boot_id()
    }

    /// [`Host::random_id`]
    fn random_id(&self) -> io::Result<[u8; 16]> {
        self.host().random_id()
    }

    /// [`Host::process_id`]
    fn process_id(&self) -> u32 {
        self.host().process_id()
    }

    /// [`Host::process_alive`]
    fn process_alive(&self, process_id: u32) -> bool {
        self.host().process_alive(process_id)
    }
}

/// An open file. Positions are explicit; there is no cursor, so one file can be read by several threads.
pub trait StorageFile: Debug + Send + Sync {
    /// Reads at an offset. May return fewer bytes than asked; 0 only at or behind the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes at an offset, extending the file where needed. May write fewer bytes than asked.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Length in bytes.
    fn len_bytes(&self) -> io::Result<u64>;

    /// Truncates, or extends with zeros.
    fn set_len(&self, len_bytes: u64) -> io::Result<()>;

    /// Makes the file's bytes durable, with the metadata needed to read them (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the file's bytes and metadata durable (`fsync`).
    fn sync_all(&self) -> io::Result<()>;

    /// Drops clean cached pages of a range, so that the next read comes from the medium (`posix_fadvise DONTNEED`).
    /// The range grows to whole pages; a length of 0 means to the end. Dirty pages stay.
    fn drop_cached(&self, offset: u64, len_bytes: u64) -> io::Result<()>;

    /// Says that the file is read in order from here on: the system may read further ahead. Advice only
    /// (`posix_fadvise SEQUENTIAL`). Asking for ranges one by one (`WILLNEED`) is slower: it gets in the way of what the
    /// kernel reads ahead on its own account.
    fn will_read_in_order(&self);

    /// Starts writing a range to the medium without waiting for it. Says nothing about durability, but what fails on the way is
    /// an error of the next sync.
    fn start_writeback(&self, offset: u64, len_bytes: u64);

    /// Sets space aside from the present end of the file, at `from`, up to `until`: what is there reads as zeros, and writing
    /// over it finds room. Where it fails, some of it may have been set aside.
    ///
    /// Zeros are written, unless the platform can do without (`fallocate`). A sync of what is written over space that was only
    /// set aside costs more than one over written zeros, so this is for files that are not synced after each write.
    fn allocate(&self, from: u64, until: u64) -> io::Result<()> {
        write_zeros(self, from, until)
    }

    /// Takes the exclusive advisory lock of this file, without waiting; `Ok(false)` where somebody else has it.
    /// The kernel frees it when the file is closed or its process dies.
    fn try_lock(&self) -> io::Result<bool>;

    /// Frees the lock taken by [`StorageFile::try_lock`].
    fn unlock(&self) -> io::Result<()>;
}

/// Fills the buffer from an offset, over interruptions and short reads. Returns the bytes read: fewer than asked only
/// where the file ends.
pub fn read_full_at(file: &dyn StorageFile, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(offset + filled as u64, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes the whole buffer at an offset, over interruptions and short writes.
///
/// # Errors
/// The first real error; how much reached the file by then is unknown to the caller.
pub fn write_all_at<F: StorageFile + ?Sized>(file: &F, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write_at(offset + written as u64, &bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes zeros from an offset up to another one.
///
/// # Errors
/// As [`write_all_at`].
pub fn write_zeros<F: StorageFile + ?Sized>(file: &F, from: u64, until: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = from;
    while at < until {
        let len = usize::try_from(until - at).unwrap_or(usize::MAX).min(ZEROS.len());
        write_all_at(file, at, &ZEROS[..len])?;
        at += len as u64;
    }
    Ok(())
}

/// Checks that a name is relative and made of plain components.
///
/// # Errors
/// `InvalidInput`, naming the name.
pub fn check_name(name: &str) -> io::Result<()> {
    let is_odd = |byte: &u8| matches!(byte, 0 | b'\\');
    let is_plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.iter().any(is_odd);
    if name.as_bytes().split(|byte| *byte == b'/').all(is_plain) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a plain relative name: {name:?}")))
}
