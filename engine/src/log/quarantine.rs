//! Bytes that leave the log are kept here first.

use crate::error::{Error, Result};
use crate::log::paths;
use crate::storage::{OpenMode, Storage, StorageFile, read_full_at, write_all_at};
use std::io;

/// Makes sure that a directory below the root exists durably.
pub(crate) fn ensure_dir(storage: &dyn Storage, directory: &str) -> Result<()> {
    let parent = directory.rsplit_once('/').map_or("", |(parent, _)| parent);
    storage
        .create_dir(directory)
        .and_then(|_made| storage.sync_dir(parent))
        .map_err(|error| Error::io(format_args!("cannot make {directory}"), error))
}

/// Copies a range of a file into a new file of the quarantine, durably, and returns its name and its BLAKE3 digest.
///
/// Idempotent: the name comes from the digest, and a file that is there already is checked and kept.
pub(crate) fn keep(
    storage: &dyn Storage,
    directory: &str,
    label: &str,
    file: &dyn StorageFile,
    range: std::ops::Range<u64>,
) -> Result<(String, [u8; 32])> {
    ensure_dir(storage, paths::QUARANTINE)?;
    ensure_dir(storage, directory)?;
    let io_error = |error| Error::io("cannot copy to quarantine", error);
    let digest = digest_of(file, range.clone())?;
    let name = format!("{directory}/{label}.{}.bin", &blake3::Hash::from(digest).to_hex()[..16]);
    let target = match storage.open(&name, OpenMode::CreateNew) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => storage.open(&name, OpenMode::Write),
        other => other,
    };
    let target = target.map_err(io_error)?;
    let mut chunk = vec![0; COPY_LEN_BYTES];
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(COPY_LEN_BYTES);
        let read = read_full_at(file, at, &mut chunk[..len]).map_err(io_error)?;
        if read == 0 {
            break;
        }
        write_all_at(&*target, at - range.start, &chunk[..read]).map_err(io_error)?;
        at += read as u64;
    }
    target.sync_all().map_err(io_error)?;
    storage.sync_dir(directory).map_err(io_error)?;
    Ok((name, digest))
}

const COPY_LEN_BYTES: usize = 1 << 20;

/// BLAKE3 of a range of a file.
pub(crate) fn digest_of(file: &dyn StorageFile, range: std::ops::Range<u64>) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; COPY_LEN_BYTES];
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(COPY_LEN_BYTES);
        let read = read_full_at(file, at, &mut chunk[..len]).map_err(|error| Error::io("cannot read", error))?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
        at += read as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}
