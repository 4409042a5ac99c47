//! Reading files from end to end.

use super::BLOCK_LEN_BYTES;
use super::manifest::{Member, damaged};
use super::member::MemberFile;
use crate::error::{Error, Result};
use crate::storage::{StorageFile, read_full_at};

/// Hands the first so many bytes of a file to a sink, in chunks.
pub(super) fn each_chunk(
    file: &dyn StorageFile,
    len_bytes: u64,
    what: &str,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut chunk = vec![0; BLOCK_LEN_BYTES];
    let mut at = 0;
    while at < len_bytes {
        let len = usize::try_from(len_bytes - at).unwrap_or(usize::MAX).min(chunk.len());
        let read = read_full_at(file, at, &mut chunk[..len]);
        let read = read.map_err(|error| Error::io(format_args!("cannot read {what}"), error))?;
        if read == 0 {
            let ended = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            return Err(Error::io(format_args!("cannot read {what}"), ended));
        }
        sink(&chunk[..read])?;
        at += read as u64;
    }
    Ok(())
}

/// Hands a member's bytes to a sink, in chunks, and proves them at the end: the sink has had them by then.
pub(super) fn copy(file: &MemberFile, member: &Member, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut hasher = blake3::Hasher::new();
    each_chunk(file, member.len_bytes, &member.path, &mut |chunk| {
        hasher.update(chunk);
        sink(chunk)
    })?;
    if *hasher.finalize().as_bytes() == member.digest.0 {
        return Ok(());
    }
    Err(damaged(format_args!("{} has another digest than the manifest says", member.path)))
}
