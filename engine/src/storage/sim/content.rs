//! A file's bytes as shared sectors: cloning is cheap, a clone and its original part ways where they are written.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The unit that a medium writes whole or not at all.
pub(super) const SECTOR_BYTES: u64 = 512;
const SECTOR_LEN: usize = 512;
/// Sectors under one shared pointer: 32 KiB, so that a 64 MiB file clones as 2,048 pointers.
const CHUNK_SECTORS: u64 = 64;

/// The bytes of one sector.
pub(super) type Sector = Arc<[u8; SECTOR_LEN]>;
type Chunk = Vec<Option<Sector>>;

/// The one sector of zeros, so that preallocated space costs nothing.
pub(super) static ZERO_SECTOR: LazyLock<Sector> = LazyLock::new(|| Arc::new([0; SECTOR_LEN]));

/// Bytes with a length. Missing sectors are holes and read as zeros; every byte at or behind the length is zero.
#[derive(Clone, Default)]
pub(super) struct Content {
    chunks: BTreeMap<u64, Arc<Chunk>>,
    len_bytes: u64,
    allocated_sectors: u64,
}

/// The chunk of a sector, and its index in there.
fn split(sector: u64) -> (u64, usize) {
    (sector / CHUNK_SECTORS, usize::try_from(sector % CHUNK_SECTORS).unwrap_or(0))
}

/// The part of a range of bytes that lies in one sector: (offset in the sector, length).
pub(super) fn part_in_sector(sector: u64, offset: u64, end: u64) -> (usize, usize) {
    let start = offset.max(sector * SECTOR_BYTES);
    let stop = end.min((sector + 1) * SECTOR_BYTES);
    let skip = usize::try_from(start % SECTOR_BYTES).unwrap_or(0);
    (skip, usize::try_from(stop.saturating_sub(start)).unwrap_or(0))
}

/// The sectors that a range of bytes touches.
pub(super) fn sectors_of(offset: u64, end: u64) -> std::ops::Range<u64> {
    if offset >= end { 0..0 } else { offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) }
}

/// Whether two sectors, holes included, read the same.
pub(super) fn same_bytes(left: Option<&Sector>, right: Option<&Sector>) -> bool {
    let (left, right) = (left.unwrap_or(&ZERO_SECTOR), right.unwrap_or(&ZERO_SECTOR));
    Arc::ptr_eq(left, right) || left == right
}

/// A sector with the bytes from an index on made zero.
pub(super) fn cut_sector(sector: &Sector, keep_bytes: usize) -> Sector {
    let mut bytes = **sector;
    bytes[keep_bytes.min(SECTOR_LEN)..].fill(0);
    Arc::new(bytes)
}

impl Content {
    /// Length in bytes.
    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Sectors that take space: written ones, of zeros too.
    pub(super) fn allocated_sectors(&self) -> u64 {
        self.allocated_sectors
    }

    /// One sector; `None` is a hole.
    pub(super) fn sector(&self, sector: u64) -> Option<&Sector> {
        let (chunk, index) = split(sector);
        self.chunks.get(&chunk)?.get(index)?.as_ref()
    }

    /// Puts a sector, or a hole, in place. The length stays.
    pub(super) fn set_sector(&mut self, sector: u64, bytes: Option<Sector>) {
        let (chunk, index) = split(sector);
        if bytes.is_none() && !self.chunks.contains_key(&chunk) {
            return;
        }
        let chunk = self.chunks.entry(chunk).or_default();
        let slots = Arc::make_mut(chunk);
        if slots.len() <= index {
            slots.resize(index + 1, None);
        }
        self.allocated_sectors += u64::from(bytes.is_some());
        self.allocated_sectors -= u64::from(slots[index].is_some());
        slots[index] = bytes;
    }

    /// Cuts or extends with zeros.
    pub(super) fn set_len(&mut self, len_bytes: u64) {
        self.len_bytes = len_bytes;
        let first_gone = len_bytes.div_ceil(SECTOR_BYTES);
        let (chunk, index) = split(first_gone);
        let whole = if index == 0 { chunk } else { chunk + 1 };
        for (_, slots) in self.chunks.split_off(&whole) {
            self.allocated_sectors -= slots.iter().flatten().count() as u64;
        }
        if let Some(slots) = self.chunks.get_mut(&chunk)
            && slots.len() > index
        {
            self.allocated_sectors -= slots[index..].iter().flatten().count() as u64;
            Arc::make_mut(slots).truncate(index);
        }
        let keep_bytes = usize::try_from(len_bytes % SECTOR_BYTES).unwrap_or(0);
        let last = len_bytes / SECTOR_BYTES;
        if let Some(sector) = self.sector(last).filter(|sector| sector[keep_bytes..].iter().any(|byte| *byte != 0)) {
            let cut = cut_sector(sector, keep_bytes);
            self.set_sector(last, Some(cut));
        }
    }

    /// Reads at an offset; fewer bytes than asked only where the content ends.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let end = offset.saturating_add(buffer.len() as u64).min(self.len_bytes);
        let mut filled = 0;
        for sector in sectors_of(offset, end) {
            let (skip, count) = part_in_sector(sector, offset, end);
            let target = &mut buffer[filled..filled + count];
            match self.sector(sector) {
                Some(bytes) => target.copy_from_slice(&bytes[skip..skip + count]),
                None => target.fill(0),
            }
            filled += count;
        }
        filled
    }

    /// All bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len_bytes).unwrap_or(0)];
        self.read(0, &mut bytes);
        bytes
    }

    /// A sector as it is after writing a part of it.
    pub(super) fn merged(&self, sector: u64, skip: usize, part: &[u8]) -> Sector {
        let mut bytes = self.sector(sector).map_or([0; SECTOR_LEN], |present| **present);
        bytes[skip..skip + part.len()].copy_from_slice(part);
        if bytes == **ZERO_SECTOR { Arc::clone(&ZERO_SECTOR) } else { Arc::new(bytes) }
    }
}
