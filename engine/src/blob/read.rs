use super::{Blobs, DIRECTORY, Digest, directory_of, name_of};
use crate::ErrorKind;
use crate::error::{Error, Result};
use crate::log::forgotten::Forgotten;
use crate::storage::{EntryKind, OpenMode, Storage, StorageFile, WrongKind, read_full_at};
use std::io;

/// Bytes read at a time.
const CHUNK_LEN_BYTES: usize = 64 << 10;

/// Hands a file's content to a sink, in chunks; returns its digest and length in bytes.
pub(super) fn digest_of(
    file: &dyn StorageFile,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(Digest, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK_LEN_BYTES];
    let mut len_bytes = 0;
    loop {
        let count = read_full_at(file, len_bytes, &mut chunk)?;
        hasher.update(&chunk[..count]);
        sink(&chunk[..count])?;
        len_bytes += count as u64;
        if count < CHUNK_LEN_BYTES {
            return Ok((Digest(*hasher.finalize().as_bytes()), len_bytes));
        }
    }
}

/// A blob's file; `None` where there is none.
pub(super) fn open(storage: &dyn Storage, digest: &Digest) -> Result<Option<Box<dyn StorageFile>>> {
    match storage.open(&name_of(digest), OpenMode::Read) {
        Ok(file) => Ok(Some(file)),
        Err(error) if WrongKind::of(&error).is_some() => {
            Err(Error::io(format_args!("cannot open blob {digest}"), error))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io(format_args!("cannot open blob {digest}"), error)),
    }
}

/// [`Blobs::copy_to`], of the store in a storage.
pub(crate) fn copy(
    storage: &dyn Storage,
    digest: &Digest,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<u64> {
    let file = open(storage, digest)?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "T0159", format!("there is no blob {digest}")).hint("taffrail log verify")
    })?;
    let copied = digest_of(&*file, sink);
    let (found, len_bytes) = copied.map_err(|error| Error::io(format_args!("cannot read blob {digest}"), error))?;
    if found == *digest {
        return Ok(len_bytes);
    }
    let message = format!("blob {digest} is damaged: its content's digest is {found}");
    Err(Error::new(ErrorKind::Damaged, "T0160", message).hint("taffrail log verify"))
}

impl Blobs {
    /// Whether there is a blob of this name. Its content is not looked at.
    ///
    /// # Errors
    /// `Io`.
    pub fn has(&self, digest: &Digest) -> Result<bool> {
        match self.storage.entry(&name_of(digest)) {
            Ok(entry) => Ok(entry.is_some_and(|entry| entry.kind == EntryKind::File)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(Error::io(format_args!("cannot look for blob {digest}"), error)),
        }
    }

    /// Hands a blob to a sink, in chunks of at most 64 KiB, and checks its digest at the end. Returns its length in bytes.
    ///
    /// # Errors
    /// `NotFound`; `Damaged` where the content is not what its name says (the sink has had it by then); `Io`.
    pub fn copy_to(&self, digest: &Digest, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<u64> {
        match copy(&*self.storage, digest, sink) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.redacted_at(digest).unwrap_or(error)),
            other => other,
        }
    }

    /// Says of a blob that is not there that a redaction has taken it away, if one has.
    fn redacted_at(&self, digest: &Digest) -> Option<Error> {
        let seq = Forgotten::read(&*self.storage).ok()?.seq_of(&name_of(digest))?;
        let message = format!("there is no blob {digest} any more: it was redacted at seq {seq}");
        Some(Error::new(ErrorKind::NotFound, "T0159", message).seq(seq))
    }

    /// A blob's content, where it takes at most `limit_bytes`.
    ///
    /// # Errors
    /// As [`Blobs::copy_to`]; `Io` for one that is longer.
    pub fn get(&self, digest: &Digest, limit_bytes: usize) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        self.copy_to(digest, &mut |chunk| {
            if content.len() + chunk.len() > limit_bytes {
                return Err(io::Error::other(format!("longer than {limit_bytes} bytes")));
            }
            content.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(content)
    }

    /// Calls `take` with the digest and length in bytes of every blob, in the order of the digests, until it says `false`.
    ///
    /// # Errors
    /// `Io`.
    pub fn list(&self, mut take: impl FnMut(Digest, u64) -> bool) -> Result<()> {
        let listed = |directory: &str| match self.storage.list(directory) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(vec![]),
            listed => listed.map_err(|error| Error::io("cannot list the blobs", error)),
        };
        for directory in listed(DIRECTORY)?.iter().filter(|entry| entry.kind == EntryKind::Directory) {
            let directory = format!("{DIRECTORY}/{}", directory.name);
            for entry in listed(&directory)?.iter().filter(|entry| entry.kind == EntryKind::File) {
                let digest = Digest::parse(&entry.name).filter(|digest| directory_of(digest) == directory);
                if digest.is_some_and(|digest| !take(digest, entry.len_bytes)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
