//! `Disk`: a directory of a real file system.
//!
//! The one module of the engine that touches files. Every path is walked component by component from the root's
//! descriptor with `O_NOFOLLOW`, so neither `..` nor a symbolic link planted below the root leads outside it; the root's
//! own path is the user's and is resolved as usual. The descriptor of the root is kept: once used, a storage stays with
//! the directory it found, even where somebody renames it.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::{Entry, EntryKind, Host, OpenMode, Storage, StorageFile, WrongKind, check_name};

mod background_sync;
mod directory;
mod file;

use directory::Directory;
use file::DiskFile;

/// Mode of every file the engine creates: the owner alone reads and writes it.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Mode of every directory the engine creates: the owner alone enters it.
const DIRECTORY_MODE: Mode = Mode::RWXU;

/// A directory of a real file system, and the clocks and ids of this machine.
///
/// Creating one touches nothing: the directory may not exist yet, and [`Storage::create_dir`] with `""` makes it.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    root: Mutex<Option<Arc<OwnedFd>>>,
}

impl Disk {
    /// A storage rooted at a directory path, which need not exist yet. A relative path is taken from the current
    /// directory of this moment.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Disk {
        let path = path.as_ref();
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Disk { path, root: Mutex::new(None) }
    }

    /// The root's path, absolute, as given otherwise.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root's descriptor, opened at its first use.
    fn root(&self) -> io::Result<Arc<OwnedFd>> {
        let mut root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(descriptor) = root.as_ref() {
            return Ok(Arc::clone(descriptor));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = Arc::new(rustix::fs::open(&self.path, flags, Mode::empty())?);
        *root = Some(Arc::clone(&descriptor));
        Ok(descriptor)
    }

    /// Creates the root's directory and forgets a descriptor of an earlier one.
    fn create_root(&self) -> io::Result<bool> {
        match rustix::fs::mkdir(&self.path, DIRECTORY_MODE) {
            Ok(()) => {}
            // The user's own path may lead through links, so this look follows them, unlike every other one.
            Err(Errno::EXIST) if is_directory(&rustix::fs::stat(&self.path)?) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let root = self.root()?;
        enforce_mode(&root, DIRECTORY_MODE)?;
        Ok(true)
    }

    /// A directory below the root, without following a link at any component. `""` is the root.
    fn directory(&self, name: &str) -> io::Result<Directory> {
        let mut directory = Directory::Root(self.root()?);
        if name.is_empty() {
            return Ok(directory);
        }
        check_name(name)?;
        let mut rest = name;
        while !rest.is_empty() {
            let component_len = rest.bytes().position(|byte| byte == b'/').unwrap_or(rest.len());
            let (component, behind) = rest.split_at(component_len);
            let opened = open_directory_at(&directory, component);
            let path = &name[..name.len() - behind.len()];
            let say = |error| wrong_kind(&directory, component, path, EntryKind::Directory, error);
            directory = Directory::Own(opened.map_err(say)?);
            rest = behind.get(1..).unwrap_or_default();
        }
        Ok(directory)
    }

    /// The directory that holds a name, and the name's last component.
    fn locate<'name>(&self, name: &'name str) -> io::Result<(Directory, &'name str)> {
        check_name(name)?;
        let slash = name.bytes().rposition(|byte| byte == b'/');
        let (directory, leaf) = slash.map_or(("", name), |slash| (&name[..slash], &name[slash + 1..]));
        Ok((self.directory(directory)?, leaf))
    }

    /// A file for reading by one call, which refuses links on the way as opening one directory after the other does. `None` where
    /// that does not give a file, for whatever reason: the other way tells.
    #[cfg(target_os = "linux")]
    fn open_at_once(&self, name: &str, flags: OFlags) -> io::Result<Option<OwnedFd>> {
        check_name(name)?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = flags | OFlags::RDONLY | OFlags::NOATIME;
        let opened = rustix::fs::openat2(self.root()?, name, flags, Mode::empty(), resolve);
        let is_file = |file: &OwnedFd| rustix::fs::fstat(file).is_ok_and(|stat| kind_of(&stat) == EntryKind::File);
        Ok(opened.ok().filter(is_file))
    }

    #[cfg(not(target_os = "linux"))]
    fn open_at_once(&self, _name: &str, _flags: OFlags) -> io::Result<Option<OwnedFd>> {
        Ok(None)
    }
}

/// Opens one directory of another, refusing links.
fn open_directory_at(descriptor: &impl AsFd, component: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(descriptor, component, flags, Mode::empty())
}

/// The error of an open: what is there, where that is why it failed, else what the system says.
fn wrong_kind(directory: &impl AsFd, leaf: &str, name: &str, expected: EntryKind, error: Errno) -> io::Error {
    let is_of_kind = matches!(error, Errno::NOTDIR | Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::NODEV);
    let stat = rustix::fs::statat(directory, leaf, AtFlags::SYMLINK_NOFOLLOW);
    match stat.map(|stat| kind_of(&stat)) {
        Ok(found) if is_of_kind && found != expected => WrongKind { name: name.to_owned(), found, expected }.into_io(),
        _ => error.into(),
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Gives a new file or directory its exact mode where the umask took bits away.
fn enforce_mode(descriptor: &OwnedFd, mode: Mode) -> io::Result<()> {
    let present = Mode::from_raw_mode(rustix::fs::fstat(descriptor)?.st_mode);
    if present.intersection(Mode::RWXU | Mode::RWXG | Mode::RWXO) != mode {
        rustix::fs::fchmod(descriptor, mode)?;
    }
    Ok(())
}

/// Opens for reading without touching the access time where the kernel lets us (the owner may, others may not).
fn open_for_reading(directory: &impl AsFd, leaf: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        let quiet = flags | OFlags::NOATIME;
        match rustix::fs::openat(directory, leaf, quiet, Mode::empty()) {
            Err(Errno::PERM) => {}
            outcome => return outcome,
        }
    }
    rustix::fs::openat(directory, leaf, flags, Mode::empty())
}

fn kind_of(stat: &Stat) -> EntryKind {
    kind_of_type(FileType::from_raw_mode(stat.st_mode))
}

fn kind_of_type(file_type: FileType) -> EntryKind {
    match file_type {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Link,
        FileType::Fifo => EntryKind::Pipe,
        FileType::Socket => EntryKind::Socket,
        _ => EntryKind::Device,
    }
}

/// `None` where somebody removed it after it was listed: a listing does not promise it.
fn stat_of(directory: impl AsFd, name: &CStr) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn entry_of(name: String, stat: &Stat) -> Entry {
    let kind = kind_of(stat);
    let len_bytes = if kind == EntryKind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
    Entry { name, kind, len_bytes }
}

impl Storage for Disk {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        // O_NONBLOCK: a FIFO put where a file should be must be refused, not waited for. Regular files ignore it.
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        if mode == OpenMode::Read
            && let Some(found) = self.open_at_once(name, flags)?
        {
            return Ok(Box::new(DiskFile::new(File::from(found))));
        }
        let (directory, leaf) = self.locate(name)?;
        let descriptor = match mode {
            OpenMode::Read => open_for_reading(&directory, leaf, flags | OFlags::RDONLY),
            OpenMode::Write => rustix::fs::openat(&directory, leaf, flags | OFlags::RDWR, Mode::empty()),
            OpenMode::CreateNew => {
                let flags = flags | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
                rustix::fs::openat(&directory, leaf, flags, FILE_MODE)
            }
        };
        let say = |error| wrong_kind(&directory, leaf, name, EntryKind::File, error);
        let descriptor = descriptor.map_err(say)?;
        let found = kind_of(&rustix::fs::fstat(&descriptor)?);
        if found != EntryKind::File {
            return Err(WrongKind { name: name.to_owned(), found, expected: EntryKind::File }.into_io());
        }
        if mode == OpenMode::CreateNew {
            enforce_mode(&descriptor, FILE_MODE)?;
        }
        Ok(Box::new(DiskFile::new(File::from(descriptor))))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.directory(directory)?.each_name(|listed, name, _| {
            if let Some(stat) = stat_of(listed, name)? {
                entries.push(entry_of(name.to_string_lossy().into_owned(), &stat));
            }
            Ok(())
        })?;
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    fn names(&self, directory: &str) -> io::Result<Vec<(String, EntryKind)>> {
        let mut names = Vec::new();
        self.directory(directory)?.each_name(|listed, name, told| {
            let kind = match told {
                // Not every file system tells.
                FileType::Unknown => stat_of(listed, name)?.as_ref().map(kind_of),
                told => Some(kind_of_type(told)),
            };
            names.extend(kind.map(|kind| (name.to_string_lossy().into_owned(), kind)));
            Ok(())
        })?;
        names.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(names)
    }

    fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        let (directory, leaf) = match self.locate(name) {
            Ok(place) => place,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match rustix::fs::statat(&directory, leaf, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(entry_of(leaf.to_owned(), &stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn create_dir(&self, directory: &str) -> io::Result<bool> {
        if directory.is_empty() {
            return self.create_root();
        }
        let (parent, leaf) = self.locate(directory)?;
        match rustix::fs::mkdirat(&parent, leaf, DIRECTORY_MODE) {
            Ok(()) => {
                enforce_mode(&open_directory_at(&parent, leaf)?, DIRECTORY_MODE)?;
                Ok(true)
            }
            Err(Errno::EXIST) if is_directory(&rustix::fs::statat(&parent, leaf, AtFlags::SYMLINK_NOFOLLOW)?) => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from_directory, from_leaf) = self.locate(from)?;
        let (to_directory, to_leaf) = self.locate(to)?;
        Ok(rustix::fs::renameat(&from_directory, from_leaf, &to_directory, to_leaf)?)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let (from_directory, from_leaf) = self.locate(from)?;
        let (to_directory, to_leaf) = self.locate(to)?;
        // Without a flag the link itself would be linked, and never what it points at.
        Ok(rustix::fs::linkat(&from_directory, from_leaf, &to_directory, to_leaf, AtFlags::empty())?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (directory, leaf) = self.locate(name)?;
        Ok(rustix::fs::unlinkat(&directory, leaf, AtFlags::empty())?)
    }

    fn remove_dir(&self, directory: &str) -> io::Result<()> {
        let (parent, leaf) = self.locate(directory)?;
        Ok(rustix::fs::unlinkat(&parent, leaf, AtFlags::REMOVEDIR)?)
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.directory(directory)?)?)
    }

    fn sync_parent(&self) -> io::Result<()> {
        let parent = self.path.parent().unwrap_or(&self.path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(parent, flags, Mode::empty())?;
        Ok(rustix::fs::fsync(&descriptor)?)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let stat = rustix::fs::fstatvfs(self.root()?)?;
        Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
    }

    fn host(&self) -> &dyn Host {
        self
    }
}

impl Host for Disk {
    fn now_ns(&self) -> i64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    }

    fn monotonic_ns(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        u64::try_from(time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)).unwrap_or(0)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the waiting that goes through Storage::sleep")]
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn boot_id(&self) -> [u8; 16] {
        static BOOT_ID: OnceLock<[u8; 16]> = OnceLock::new();
        *BOOT_ID.get_or_init(|| kernel_boot_id().unwrap_or_else(boot_id_from_clocks))
    }

    fn random_id(&self) -> io::Result<[u8; 16]> {
        let mut id = [0; 16];
        fill_random(&mut id)?;
        Ok(id)
    }

    fn process_id(&self) -> u32 {
        std::process::id()
    }

    fn process_alive(&self, process_id: u32) -> bool {
        let number = i32::try_from(process_id).ok().and_then(rustix::process::Pid::from_raw);
        // A process of somebody else answers EPERM: it is there.
        number.is_some_and(|number| rustix::process::test_kill_process(number) != Err(Errno::SRCH))
    }
}

#[cfg(target_os = "linux")]
fn fill_random(id: &mut [u8; 16]) -> io::Result<()> {
    // Up to 256 bytes come whole once the pool is initialised, so there is no short read to loop over.
    let count = rustix::rand::getrandom(&mut id[..], rustix::rand::GetRandomFlags::empty())?;
    if count == id.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "the one module that touches files; the kernel's random device is one")]
fn fill_random(id: &mut [u8; 16]) -> io::Result<()> {
    use std::io::Read;
    File::open("/dev/urandom")?.read_exact(id)
}

/// The kernel's own id of this boot, where there is one.
#[expect(clippy::disallowed_methods, reason = "the one module that touches files; /proc is made of them")]
fn kernel_boot_id() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.trim().split('-').collect();
    u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32).map(u128::to_be_bytes)
}

/// A stand-in where the kernel has no boot id: a hash of the moment it started, in steps of ten seconds because the
/// difference of two clocks wobbles. A wrong "another boot" costs one needless recovery, never a missed one.
fn boot_id_from_clocks() -> [u8; 16] {
    let seconds = |clock| rustix::time::clock_gettime(clock).tv_sec;
    let started_s = seconds(rustix::time::ClockId::Realtime) - seconds(rustix::time::ClockId::Monotonic);
    let digest = blake3::hash(&(started_s / 10).to_le_bytes());
    std::array::from_fn(|index| digest.as_bytes()[index])
}

#[cfg(test)]
mod tests;
