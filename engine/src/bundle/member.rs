//! A file in a bundle: blocks that are compressed one by one, and behind them a table of their lengths and CRCs.

use super::manifest::{Member, damaged};
use super::{BLOCK_ENTRY_LEN_BYTES, BLOCK_LEN_BYTES, MEMBER_ALIGN_BYTES};
use crate::blob::Digest;
use crate::error::{Error, Result};
use crate::storage::{StorageFile, read_full_at, write_all_at};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use taffrail_log_format::crc32c;

/// In the table: the block is stored as it is.
const PLAIN: u32 = 1 << 31;

/// The bundle's file while it is being written, front to back.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    file: &'a dyn StorageFile,
    pub(super) at: u64,
}

impl<'a> Sink<'a> {
    pub(super) fn new(file: &'a dyn StorageFile) -> Sink<'a> {
        Sink { file, at: 0 }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        write_all_at(self.file, self.at, bytes).map_err(|error| Error::io("cannot write the bundle", error))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Zeros up to where the next member begins.
    pub(super) fn align(&mut self) -> Result<()> {
        let padding = self.at.next_multiple_of(MEMBER_ALIGN_BYTES) - self.at;
        self.put(&[0; 8][..usize::try_from(padding).unwrap_or(0)])
    }
}

/// Writes a member.
pub(super) struct MemberWriter<'a, 'f> {
    sink: &'a mut Sink<'f>,
    offset: u64,
    len_bytes: u64,
    hasher: blake3::Hasher,
    block: Vec<u8>,
    packed: Vec<u8>,
    table: Vec<u8>,
}

impl<'a, 'f> MemberWriter<'a, 'f> {
    pub(super) fn new(sink: &'a mut Sink<'f>) -> MemberWriter<'a, 'f> {
        let offset = sink.at;
        let packed = vec![0; lz4_flex::block::get_maximum_output_size(BLOCK_LEN_BYTES)];
        let block = Vec::with_capacity(BLOCK_LEN_BYTES);
        MemberWriter { sink, offset, len_bytes: 0, hasher: blake3::Hasher::new(), block, packed, table: Vec::new() }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.len_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let taken = bytes.len().min(BLOCK_LEN_BYTES - self.block.len());
            self.block.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.block.len() == BLOCK_LEN_BYTES {
                self.pack()?;
            }
        }
        Ok(())
    }

    fn pack(&mut self) -> Result<()> {
        let packed = lz4_flex::block::compress_into(&self.block, &mut self.packed);
        let packed = packed.ok().filter(|len| *len < self.block.len());
        let (stored, mark) = match packed {
            Some(len) => (&self.packed[..len], 0),
            None => (&self.block[..], PLAIN),
        };
        let word = u32::try_from(stored.len()).unwrap_or(0) | mark;
        self.table.extend_from_slice(&word.to_le_bytes());
        self.table.extend_from_slice(&crc32c(stored).to_le_bytes());
        self.sink.put(stored)?;
        self.block.clear();
        Ok(())
    }

    /// Ends the member. The sink stands where the next one begins.
    pub(super) fn finish(mut self, path: &str) -> Result<Member> {
        if !self.block.is_empty() {
            self.pack()?;
        }
        let table = std::mem::take(&mut self.table);
        self.sink.put(&table)?;
        let stored_len_bytes = self.sink.at - self.offset;
        self.sink.align()?;
        Ok(Member {
            path: path.to_owned(),
            len_bytes: self.len_bytes,
            digest: Digest(*self.hasher.finalize().as_bytes()),
            offset: self.offset,
            stored_len_bytes,
        })
    }
}

/// A block's place in the bundle.
#[derive(Clone, Copy, Debug)]
struct Block {
    offset: u64,
    stored_len: usize,
    is_plain: bool,
    crc: u32,
}

/// A member, open for reading: any place of it, one block in memory at a time.
#[derive(Debug)]
pub(super) struct MemberFile {
    file: Arc<dyn StorageFile>,
    path: String,
    len_bytes: u64,
    blocks: Vec<Block>,
    /// The block that was decoded last, by its number.
    decoded: Mutex<Option<(usize, Vec<u8>)>>,
}

/// Why a member can not be read: carried through the storage's error to the engine's.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub(crate) struct Spoiled {
    path: String,
    why: String,
}

impl MemberFile {
    /// Reads a member's table. The manifest has been checked: the table lies within the file, and is no longer than the
    /// member.
    pub(super) fn open(file: Arc<dyn StorageFile>, member: &Member) -> io::Result<MemberFile> {
        let spoiled = |why: &str| spoiled(&member.path, why);
        let table_len = member.blocks() * BLOCK_ENTRY_LEN_BYTES;
        let mut table = vec![0; usize::try_from(table_len).map_err(|_| spoiled("its table is too long"))?];
        let mut offset = member.offset;
        let end = member.offset + member.stored_len_bytes - table_len;
        if read_full_at(&*file, end, &mut table)? != table.len() {
            return Err(spoiled("the file ends within its table"));
        }
        let mut blocks = Vec::with_capacity(table.len() / 8);
        for entry in table.chunks_exact(8) {
            let word = u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
            let crc = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            let stored_len = usize::try_from(word & !PLAIN).unwrap_or(usize::MAX);
            if stored_len == 0 || stored_len > BLOCK_LEN_BYTES {
                return Err(spoiled("a block of its table has an impossible length"));
            }
            blocks.push(Block { offset, stored_len, is_plain: word & PLAIN != 0, crc });
            offset += stored_len as u64;
        }
        if offset != end {
            return Err(spoiled("the blocks of its table do not lead up to the table"));
        }
        Ok(MemberFile {
            file,
            path: member.path.clone(),
            len_bytes: member.len_bytes,
            blocks,
            decoded: Mutex::default(),
        })
    }

    fn decode(&self, number: usize) -> io::Result<Vec<u8>> {
        let spoiled = |why: &str| spoiled(&self.path, &format!("block {number}: {why}"));
        let block = self.blocks.get(number).ok_or_else(|| spoiled("there is none"))?;
        let rest = self.len_bytes - number as u64 * BLOCK_LEN_BYTES as u64;
        let len = usize::try_from(rest).unwrap_or(usize::MAX).min(BLOCK_LEN_BYTES);
        let mut stored = vec![0; block.stored_len];
        if read_full_at(&*self.file, block.offset, &mut stored)? != stored.len() {
            return Err(spoiled("the file ends within it"));
        }
        if crc32c(&stored) != block.crc {
            return Err(spoiled("its CRC is wrong"));
        }
        if block.is_plain {
            return if stored.len() == len { Ok(stored) } else { Err(spoiled("it has another length than it should")) };
        }
        // Into a buffer of the length that is due: whatever the block says, nothing longer comes of it.
        let mut decoded = vec![0; len];
        match lz4_flex::block::decompress_into(&stored, &mut decoded) {
            Ok(count) if count == len => Ok(decoded),
            Ok(_) => Err(spoiled("it decodes to fewer bytes than it should")),
            Err(error) => Err(spoiled(&error.to_string())),
        }
    }
}

fn spoiled(path: &str, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Spoiled { path: path.to_owned(), why: why.to_owned() })
}

/// The engine's error for a read that failed since a bundle is damaged.
pub(crate) fn as_damage(error: &io::Error) -> Option<Error> {
    error.get_ref()?.downcast_ref::<Spoiled>().map(damaged)
}

impl StorageFile for MemberFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.len_bytes || buffer.is_empty() {
            return Ok(0);
        }
        let number = usize::try_from(offset / BLOCK_LEN_BYTES as u64).unwrap_or(usize::MAX);
        let within = usize::try_from(offset % BLOCK_LEN_BYTES as u64).unwrap_or(0);
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if decoded.as_ref().is_none_or(|(held, _)| *held != number) {
            *decoded = Some((number, self.decode(number)?));
        }
        let bytes = decoded.as_ref().map_or(&[][..], |(_, bytes)| &bytes[within..]);
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.len_bytes)
    }

    fn set_len(&self, _len_bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
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
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }
}
