//! A bundle, read in place.

use super::copying::copy;
use super::manifest::{Manifest, Member, damaged};
use super::member::MemberFile;
use super::{MAGIC, MAX_MANIFEST_LEN_BYTES, Progress, TRAILER_LEN_BYTES, TRAILER_MAGIC};
use crate::ErrorKind;
use crate::error::{Error, Result};
use crate::storage::{Entry, EntryKind, Host, OpenMode, Storage, StorageFile, read_full_at};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use taffrail_log_format::crc32c;

/// A bundle: the files of a store in one, for reading only.
///
/// Opening it checks the manifest and nothing of the members; a member's blocks are checked when they are read, and
/// [`Bundle::check`] reads them all. Whatever the file holds, no more than a block and a member's table are in memory.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Whose clocks these are.
    storage: Arc<dyn Storage>,
    file: Arc<dyn StorageFile>,
    manifest: Arc<Manifest>,
}

impl Bundle {
    /// Whether a file begins as a bundle does.
    ///
    /// # Errors
    /// `Io`.
    pub fn is_one(file: &dyn StorageFile) -> Result<bool> {
        let mut start = [0; MAGIC.len()];
        let read = read_full_at(file, 0, &mut start);
        read.map_err(|error| Error::io("cannot read the file", error))?;
        Ok(start == MAGIC)
    }

    /// Opens the bundle of this name in a storage, and proves its manifest.
    ///
    /// # Errors
    /// `Damaged` (T0170) where it is cut off, or is not what was written; `Invalid` (T0171) where it holds what no export
    /// writes, or is no bundle at all; `Incompatible` (T0165); `Io`.
    pub fn open(storage: Arc<dyn Storage>, name: &str) -> Result<Bundle> {
        let file = storage.open(name, OpenMode::Read).map_err(|error| Error::io("cannot open the bundle", error))?;
        let io = |error| Error::io("cannot read the bundle", error);
        if !Bundle::is_one(&*file)? {
            let message = "this is no bundle: it does not begin as one";
            return Err(Error::new(ErrorKind::Invalid, "T0171", message).hint("taffrail explain T0171"));
        }
        let len = file.len_bytes().map_err(io)?;
        let mut trailer = [0; TRAILER_LEN_BYTES];
        let start = len.checked_sub(TRAILER_LEN_BYTES as u64).filter(|start| *start >= MAGIC.len() as u64);
        let start = start.ok_or_else(|| damaged("it ends before its trailer"))?;
        read_full_at(&*file, start, &mut trailer).map_err(io)?;
        let (body, crc) = trailer.split_at(60);
        if body[..8] != TRAILER_MAGIC || crc != crc32c(body).to_le_bytes() {
            return Err(damaged("it does not end with a trailer; it may have been cut off"));
        }
        let number = |at: usize| body[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let (offset, manifest_len) = (number(8), number(16));
        if offset.checked_add(manifest_len) != Some(start) || manifest_len > MAX_MANIFEST_LEN_BYTES {
            return Err(damaged("its manifest does not lie before its trailer"));
        }
        let mut manifest = vec![0; usize::try_from(manifest_len).unwrap_or(0)];
        read_full_at(&*file, offset, &mut manifest).map_err(io)?;
        if *blake3::hash(&manifest).as_bytes() != body[24..56] {
            return Err(damaged("the digest of its manifest is wrong"));
        }
        let manifest = Arc::new(Manifest::read(&manifest, offset)?);
        Ok(Bundle { storage, file: file.into(), manifest })
    }

    /// What the bundle says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads every member and holds it against its digest.
    ///
    /// # Errors
    /// `Damaged` (T0170) with the member's path; `Io`, also where `progress` breaks.
    pub fn check(&self, progress: Progress<'_>) -> Result<()> {
        self.check_but(|_| false, progress).map(|_| ())
    }

    /// The same, but for members that one can do without: those of them that are damaged are named.
    pub(super) fn check_but(
        &self,
        is_dispensable: impl Fn(&str) -> bool,
        progress: Progress<'_>,
    ) -> Result<BTreeSet<String>> {
        let total = self.manifest.len_bytes();
        let mut done = 0;
        let mut damaged = BTreeSet::new();
        for member in &self.manifest.members {
            let checked = self.member(member).and_then(|file| {
                copy(&file, member, &mut |chunk| {
                    done += chunk.len() as u64;
                    if progress("checking", done, total).is_break() { Err(super::stopped()) } else { Ok(()) }
                })
            });
            match checked {
                Err(error) if error.kind() == ErrorKind::Damaged && is_dispensable(&member.path) => {
                    damaged.insert(member.path.clone());
                }
                other => other?,
            }
        }
        Ok(damaged)
    }

    pub(super) fn member(&self, member: &Member) -> Result<MemberFile> {
        let opened = MemberFile::open(Arc::clone(&self.file), member);
        opened.map_err(|error| Error::io(format_args!("cannot read {}", member.path), error))
    }

    fn find(&self, path: &str) -> Option<&Member> {
        let members = &self.manifest.members;
        members.binary_search_by(|member| member.path.as_str().cmp(path)).ok().map(|place| &members[place])
    }

    /// Entries whose parent is this directory, ascending.
    fn children(&self, directory: &str) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for member in &self.manifest.members {
            let inner = match directory {
                "" => Some(member.path.as_str()),
                directory => member.path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/')),
            };
            let Some(inner) = inner else { continue };
            let entry = match inner.split_once('/') {
                Some((child, _)) => Entry { name: child.to_owned(), kind: EntryKind::Directory, len_bytes: 0 },
                None => Entry { name: inner.to_owned(), kind: EntryKind::File, len_bytes: member.len_bytes },
            };
            if entries.last().is_none_or(|last| last.name != entry.name) {
                entries.push(entry);
            }
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        entries
    }
}

fn read_only<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "a bundle is only read"))
}

impl Storage for Bundle {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        crate::storage::check_name(name)?;
        let Some(member) = self.find(name) else {
            return if mode == OpenMode::CreateNew { read_only() } else { Err(io::ErrorKind::NotFound.into()) };
        };
        if mode != OpenMode::Read {
            return read_only();
        }
        Ok(Box::new(MemberFile::open(Arc::clone(&self.file), member)?))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        let entries = self.children(directory);
        if entries.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(entries) }
    }

    fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        crate::storage::check_name(name)?;
        let (directory, leaf) = name.rsplit_once('/').unwrap_or(("", name));
        Ok(self.children(directory).into_iter().find(|entry| entry.name == leaf))
    }

    fn create_dir(&self, _directory: &str) -> io::Result<bool> {
        read_only()
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        read_only()
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        read_only()
    }

    fn remove_dir(&self, _directory: &str) -> io::Result<()> {
        read_only()
    }

    fn sync_dir(&self, _directory: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_parent(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(Some(0))
    }

    fn host(&self) -> &dyn Host {
        self.storage.host()
    }
}
