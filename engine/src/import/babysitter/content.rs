//! Reading files twice: once for their bytes, once to see whether somebody is writing them.

use super::{Oddity, OddityCode, Place, SourceError, SourceFile};
use crate::storage::{EntryKind, OpenMode, Storage, StorageFile, read_full_at};
use std::io;

const CHUNK_LEN_BYTES: usize = 64 << 10;

/// What [`SourceFile::copy_to`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// The sink received the file.
    Content {
        /// Bytes handed to the sink.
        len_bytes: u64,
        /// BLAKE3 of these bytes.
        digest: [u8; 32],
        /// Set where the file changed while it was read: the sink then has what was read first, which may be a mixture.
        oddity: Option<Oddity>,
    },
    /// The file was gone, or had become something else; the sink received nothing.
    Gone(Oddity),
}

impl SourceFile {
    /// Hands the file's bytes to a sink, in chunks of at most 64 KiB, then reads it again and compares.
    ///
    /// # Errors
    /// [`SourceError`] with the file, from the storage or from the sink.
    pub fn copy_to(
        &self,
        storage: &dyn Storage,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Copied, SourceError> {
        let file = match open(storage, &self.name)? {
            Opened::File(file) => file,
            Opened::Gone(oddity) => return Ok(Copied::Gone(oddity)),
        };
        let (len_bytes, digest) = digest_of(&*file, &self.name, sink)?;
        let change = changed_since(storage, &self.name, self.len_bytes, len_bytes, digest)?;
        let oddity = change.map(|reason| changed(&self.name, reason));
        Ok(Copied::Content { len_bytes, digest, oddity })
    }
}

/// What [`read_whole`] found.
pub(super) enum Whole {
    /// The bytes, and what shows that the file changed meanwhile.
    Bytes(Vec<u8>, Option<Oddity>),
    /// Longer than the limit.
    TooLarge(u64),
    /// Not there any more, or not a file any more.
    Gone(Oddity),
}

/// Reads a file of at most `limit_bytes`, whose listing said `listed_len_bytes`.
pub(super) fn read_whole(
    storage: &dyn Storage,
    name: &str,
    listed_len_bytes: u64,
    limit_bytes: u64,
) -> Result<Whole, SourceError> {
    let file = match open(storage, name)? {
        Opened::File(file) => file,
        Opened::Gone(oddity) => return Ok(Whole::Gone(oddity)),
    };
    let len_bytes = file.len_bytes().map_err(|error| SourceError::new(name, error))?;
    if len_bytes > limit_bytes {
        return Ok(Whole::TooLarge(len_bytes));
    }
    let mut bytes = Vec::new();
    let mut too_large = false;
    let (read_len_bytes, digest) = digest_of(&*file, name, &mut |chunk| {
        too_large |= (bytes.len() + chunk.len()) as u64 > limit_bytes;
        if !too_large {
            bytes.extend_from_slice(chunk);
        }
        Ok(())
    })?;
    if too_large {
        return Ok(Whole::TooLarge(read_len_bytes));
    }
    let change = changed_since(storage, name, listed_len_bytes, read_len_bytes, digest)?;
    Ok(Whole::Bytes(bytes, change.map(|reason| changed(name, reason))))
}

fn changed(name: &str, reason: String) -> Oddity {
    Oddity::new(name, OddityCode::ChangedWhileRead, Place::File, reason)
}

enum Opened {
    File(Box<dyn StorageFile>),
    Gone(Oddity),
}

fn open(storage: &dyn Storage, name: &str) -> Result<Opened, SourceError> {
    let error = match storage.open(name, OpenMode::Read) {
        Ok(file) => return Ok(Opened::File(file)),
        Err(error) => error,
    };
    let gone = |code, reason| Ok(Opened::Gone(Oddity::new(name, code, Place::File, reason)));
    match storage.entry(name) {
        _ if error.kind() == io::ErrorKind::NotFound => gone(OddityCode::Vanished, "listed, then gone"),
        Ok(None) => gone(OddityCode::Vanished, "listed, then gone"),
        Ok(Some(entry)) if entry.kind != EntryKind::File => {
            gone(OddityCode::NotARegularFile, "listed as a file, then something else")
        }
        _ => Err(SourceError::new(name, error)),
    }
}

/// Reads to the end, through a sink. Returns the bytes read and their BLAKE3.
fn digest_of(
    file: &dyn StorageFile,
    name: &str,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(u64, [u8; 32]), SourceError> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK_LEN_BYTES];
    let mut offset_bytes = 0;
    loop {
        let count = read_full_at(file, offset_bytes, &mut chunk).map_err(|error| SourceError::new(name, error))?;
        hasher.update(&chunk[..count]);
        sink(&chunk[..count]).map_err(|error| SourceError::new(name, error))?;
        offset_bytes += count as u64;
        if count < CHUNK_LEN_BYTES {
            return Ok((offset_bytes, *hasher.finalize().as_bytes()));
        }
    }
}

/// Opens and reads the file again. Returns how it differs from the listing or from the first reading.
fn changed_since(
    storage: &dyn Storage,
    name: &str,
    listed_len_bytes: u64,
    read_len_bytes: u64,
    digest: [u8; 32],
) -> Result<Option<String>, SourceError> {
    let file = match open(storage, name)? {
        Opened::File(file) => file,
        Opened::Gone(_) => return Ok(Some("read, then gone".to_owned())),
    };
    let (again_len_bytes, again_digest) = digest_of(&*file, name, &mut |_| Ok(()))?;
    if (again_len_bytes, again_digest) != (read_len_bytes, digest) {
        return Ok(Some(format!("{read_len_bytes} bytes at first, then {again_len_bytes} bytes that differ")));
    }
    if read_len_bytes != listed_len_bytes {
        return Ok(Some(format!("listed with {listed_len_bytes} bytes, read {read_len_bytes}")));
    }
    Ok(None)
}
