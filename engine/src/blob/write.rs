use super::{Blobs, DIRECTORY, Digest, MOST_REMEMBERED, TEMPORARY, directory_of, name_of, read};
use crate::error::{Error, Result};
use crate::storage::{EntryKind, OpenMode, StorageFile, write_all_at};
use std::io;

/// A blob that has been put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its digest, which is its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// Why a blob could not be put.
#[derive(Debug, thiserror::Error)]
pub enum PutError<E> {
    /// The source failed, or held more than the limit.
    #[error("{0}")]
    Source(E),
    /// The store refused.
    #[error("{0}")]
    Store(Error),
}

/// A blob that is being written.
struct Draft {
    name: String,
    file: Box<dyn StorageFile>,
}

impl Blobs {
    /// Keeps bytes.
    ///
    /// # Errors
    /// `Io`.
    pub fn put(&mut self, bytes: &[u8]) -> Result<Kept> {
        let digest = Digest::of(bytes);
        let len_bytes = bytes.len() as u64;
        if self.is_there(&digest)? {
            return Ok(Kept { digest, len_bytes, is_new: false });
        }
        let draft = self.draft()?;
        let written = write_all_at(&*draft.file, 0, bytes);
        self.finish_or_remove(&draft, written, digest)?;
        Ok(Kept { digest, len_bytes, is_new: true })
    }

    /// Keeps what `fill` hands to its sink, chunk by chunk, and returns what `fill` returned.
    ///
    /// # Errors
    /// What `fill` returns, and `Io`. An error of the sink is that of the store.
    pub fn put_from<T, E>(
        &mut self,
        fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> std::result::Result<T, E>,
    ) -> std::result::Result<(Kept, T), PutError<E>> {
        let draft = self.draft().map_err(PutError::Store)?;
        let mut hasher = blake3::Hasher::new();
        let mut len_bytes = 0;
        let mut refused = None;
        let filled = fill(&mut |chunk| {
            hasher.update(chunk);
            let written = write_all_at(&*draft.file, len_bytes, chunk);
            len_bytes += chunk.len() as u64;
            written.map_err(|error| {
                let kind = error.kind();
                refused = Some(error);
                io::Error::new(kind, "the store refused the blob")
            })
        });
        if let Some(error) = refused {
            self.discard(&draft.name);
            return Err(PutError::Store(Error::io("cannot write a blob", error)));
        }
        let told = match filled {
            Ok(told) => told,
            Err(error) => {
                self.discard(&draft.name);
                return Err(PutError::Source(error));
            }
        };
        let digest = Digest(*hasher.finalize().as_bytes());
        let is_new = match self.is_there(&digest) {
            Ok(true) => {
                self.discard(&draft.name);
                false
            }
            Ok(false) => {
                self.finish_or_remove(&draft, Ok(()), digest).map_err(PutError::Store)?;
                true
            }
            Err(error) => {
                self.discard(&draft.name);
                return Err(PutError::Store(error));
            }
        };
        Ok((Kept { digest, len_bytes, is_new }, told))
    }

    /// Whether a blob is there and whole; then it is as durable after [`Blobs::settle`] as one that was just written. One
    /// whose content is not what its name says counts as missing, and will be written over.
    fn is_there(&mut self, digest: &Digest) -> Result<bool> {
        if self.known.contains(digest) {
            return Ok(true);
        }
        let Some(file) = read::open(&*self.storage, digest)? else { return Ok(false) };
        let checked = read::digest_of(&*file, &mut |_| Ok(()));
        let (found, _) = checked.map_err(|error| Error::io(format_args!("cannot read blob {digest}"), error))?;
        if found != *digest {
            return Ok(false);
        }
        file.sync_all().map_err(|error| Error::io(format_args!("cannot sync blob {digest}"), error))?;
        self.make_directories(digest)?;
        self.remember(*digest);
        Ok(true)
    }

    fn remember(&mut self, digest: Digest) {
        if self.known.len() >= MOST_REMEMBERED {
            self.known.clear();
        }
        self.known.insert(digest);
        self.unsettled.insert(directory_of(&digest));
    }

    /// Makes the directories of a blob. Their own entries are durable after the next [`Blobs::settle`], whoever made them.
    fn make_directories(&mut self, digest: &Digest) -> Result<()> {
        for (directory, parent) in [(DIRECTORY.to_owned(), ""), (directory_of(digest), DIRECTORY)] {
            self.make_directory(directory, parent)?;
        }
        Ok(())
    }

    fn make_directory(&mut self, directory: String, parent: &str) -> Result<()> {
        if self.directories.contains(&directory) {
            return Ok(());
        }
        let made = self.storage.create_dir(&directory);
        made.map_err(|error| Error::io("cannot make the blobs' directory", error))?;
        self.unsettled.insert(parent.to_owned());
        self.directories.insert(directory);
        Ok(())
    }

    /// A new file under a temporary name that nobody else has.
    fn draft(&mut self) -> Result<Draft> {
        if !self.directories.contains(DIRECTORY) {
            self.make_directory(DIRECTORY.to_owned(), "")?;
            self.sweep()?;
        }
        loop {
            let name = format!("{DIRECTORY}/{}-{}{TEMPORARY}", self.storage.process_id(), self.next_temporary);
            self.next_temporary += 1;
            match self.storage.open(&name, OpenMode::CreateNew) {
                Ok(file) => return Ok(Draft { name, file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("cannot make a blob", error)),
            }
        }
    }

    /// Removes what writers have left behind that are no more.
    fn sweep(&self) -> Result<()> {
        let entries = self.storage.list(DIRECTORY).map_err(|error| Error::io("cannot list the blobs", error))?;
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
            let Some((process, _)) = entry.name.strip_suffix(TEMPORARY).and_then(|name| name.split_once('-')) else {
                continue;
            };
            if process.parse().is_ok_and(|process| !self.storage.process_alive(process)) {
                self.discard(&format!("{DIRECTORY}/{}", entry.name));
            }
        }
        Ok(())
    }

    /// Syncs a draft and gives it its name, or removes it.
    fn finish_or_remove(&mut self, draft: &Draft, written: io::Result<()>, digest: Digest) -> Result<()> {
        let finished = written
            .map_err(|error| Error::io("cannot write a blob", error))
            .and_then(|()| draft.file.sync_all().map_err(|error| Error::io("cannot sync a blob", error)))
            .and_then(|()| self.make_directories(&digest))
            .and_then(|()| {
                let renamed = self.storage.rename(&draft.name, &name_of(&digest));
                renamed.map_err(|error| Error::io("cannot name a blob", error))
            });
        match finished {
            Ok(()) => {
                self.remember(digest);
                Ok(())
            }
            Err(error) => {
                self.discard(&draft.name);
                Err(error)
            }
        }
    }

    fn discard(&self, name: &str) {
        // What is left of it is swept away by a later writer.
        let _left_for_later = self.storage.remove(name);
    }
}
