//! Bytes that leave the log are kept here first.

use crate::SegmentNumber;
use crate::error::{Error, Result};
use crate::log::paths;
use crate::storage::{EntryKind, OpenMode, Storage, StorageFile, WrongKind, read_full_at, write_all_at};
use std::io;

/// Makes sure that a directory below the root exists durably.
pub(crate) fn ensure_dir(storage: &dyn Storage, directory: &str) -> Result<()> {
    let parent = directory.rsplit_once('/').map_or("", |(parent, _)| parent);
    if let Ok(Some(entry)) = storage.entry(directory)
        && entry.kind != EntryKind::Directory
    {
        let wrong = WrongKind { name: directory.to_owned(), found: entry.kind, expected: EntryKind::Directory };
        let error = Error::io(format_args!("cannot use {directory}"), wrong.into_io());
        return Err(error.hint("move it away: the directory is made again"));
    }
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
    let name = format!("{directory}/{}", kept_name(label, digest));
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

/// The directory for what is cut from the end of a segment at an offset.
pub(crate) fn torn(segment: SegmentNumber, offset: u64) -> String {
    format!("{}/{TORN}{:010}-{offset:#x}", paths::QUARANTINE, segment.get())
}

const TORN: &str = "torn-";
/// What a torn tail's file is called, before its digest.
const TAIL: &str = "tail";

/// The file in which a torn tail is kept, by what it was torn from and by its BLAKE3.
pub(crate) fn torn_tail_name(segment: SegmentNumber, offset: u64, digest: [u8; 32]) -> String {
    format!("{}/{}", torn(segment, offset), kept_name(TAIL, digest))
}

/// A torn tail that was cut.
#[derive(Clone, Debug)]
pub(crate) struct TornTail {
    pub(crate) segment: SegmentNumber,
    pub(crate) offset: u64,
    /// Its file, relative to the store.
    pub(crate) kept_in: String,
}

impl TornTail {
    /// Its length in bytes, and its BLAKE3.
    pub(crate) fn digest(&self, storage: &dyn Storage) -> Result<(u64, [u8; 32])> {
        let io_error = |error| Error::io(format_args!("cannot read {}", self.kept_in), error);
        let file = storage.open(&self.kept_in, OpenMode::Read).map_err(io_error)?;
        let len = file.len_bytes().map_err(io_error)?;
        digest_of(&*file, 0..len).map(|digest| (len, digest))
    }
}

/// The torn tails that are kept of a place of the log or behind it. Each one's name is made from its digest.
pub(crate) fn torn_tails(storage: &dyn Storage, from: (SegmentNumber, u64)) -> Result<Vec<TornTail>> {
    let list = |directory: &str| match storage.list(directory) {
        Ok(entries) => Ok(entries),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(Error::io(format_args!("cannot list {directory}"), error)),
    };
    let place = |name: &str| {
        let (segment, offset) = name.strip_prefix(TORN)?.split_once("-0x")?;
        Some((SegmentNumber::new(segment.parse().ok()?)?, u64::from_str_radix(offset, 16).ok()?))
    };
    let mut tails = Vec::new();
    for entry in list(paths::QUARANTINE)? {
        let Some((segment, offset)) = place(&entry.name).filter(|place| *place >= from) else { continue };
        let directory = format!("{}/{}", paths::QUARANTINE, entry.name);
        for file in list(&directory)?.into_iter().filter(|file| file.name.starts_with("tail.")) {
            let tail = TornTail { segment, offset, kept_in: format!("{directory}/{}", file.name) };
            // What a copying that was stopped has left is made again by the next one, or never was cut.
            let (_, digest) = tail.digest(storage)?;
            if file.name == kept_name(TAIL, digest) {
                tails.push(tail);
            }
        }
    }
    Ok(tails)
}

/// The name of what is kept: a label, and the beginning of its digest.
fn kept_name(label: &str, digest: [u8; 32]) -> String {
    format!("{label}.{}.bin", &blake3::Hash::from(digest).to_hex()[..16])
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
