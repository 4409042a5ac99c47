//! A file of the simulated machine: what the page cache serves, what the medium holds, and every version in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::content::{Content, SECTOR_BYTES, Sector, ZERO_SECTOR, cut_sector, part_in_sector, same_bytes, sectors_of};
use super::random::Random;

/// The unit in which a kernel tracks what is dirty.
pub(super) const PAGE_BYTES: u64 = 4096;
const PAGE_SECTORS: u64 = PAGE_BYTES / SECTOR_BYTES;

/// Bytes that a sector had at some moment since the last sync.
#[derive(Clone)]
pub(super) struct SectorVersion {
    bytes: Sector,
    /// The operation that wrote it.
    pub(super) written_at: u64,
    /// How many size changes since the last sync came before it; a later cut takes it away.
    sizes_before: usize,
}

/// A length that the file had at some moment since the last sync.
#[derive(Clone)]
pub(super) struct SizeVersion {
    len_bytes: u64,
    /// The operation that made it.
    pub(super) written_at: u64,
}

/// A file: cached and durable content, and what a power cut may or may not keep.
#[derive(Clone)]
pub(super) struct Inode {
    /// The name it was last given, for people to read.
    pub(super) name: Arc<str>,
    cached: Content,
    durable: Content,
    sectors: BTreeMap<u64, Vec<SectorVersion>>,
    sizes: Vec<SizeVersion>,
    /// Pages that a failed sync marked clean although the medium lacks them.
    lying_pages: BTreeSet<u64>,
}

impl Inode {
    /// An empty file.
    pub(super) fn new(name: Arc<str>) -> Inode {
        Inode {
            name,
            cached: Content::default(),
            durable: Content::default(),
            sectors: BTreeMap::new(),
            sizes: Vec::new(),
            lying_pages: BTreeSet::new(),
        }
    }

    /// What reads are served from.
    pub(super) fn cached(&self) -> &Content {
        &self.cached
    }

    /// What the medium surely holds.
    pub(super) fn durable(&self) -> &Content {
        &self.durable
    }

    /// Unsynced lengths, oldest first.
    pub(super) fn pending_sizes(&self) -> &[SizeVersion] {
        &self.sizes
    }

    /// Whether medium and cache hold the same.
    pub(super) fn is_settled(&self) -> bool {
        self.sectors.is_empty() && self.sizes.is_empty() && self.lying_pages.is_empty()
    }

    /// Writes into the cache.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], written_at: u64) {
        let end = offset + bytes.len() as u64;
        self.grow(end, written_at);
        let mut rest = bytes;
        for sector in sectors_of(offset, end) {
            let (skip, count) = part_in_sector(sector, offset, end);
            let (part, behind) = rest.split_at(count);
            rest = behind;
            let merged = self.cached.merged(sector, skip, part);
            self.write_sector(sector, merged, written_at);
        }
        let pages = offset / PAGE_BYTES..=(end - 1) / PAGE_BYTES;
        let exposed: Vec<u64> = self.lying_pages.range(pages).copied().collect();
        for page in exposed {
            self.make_dirty(page, written_at);
        }
    }

    /// Extends the length. A kernel moves the length on the medium as it writes pages back, so every page border on the
    /// way is a length that may survive.
    fn grow(&mut self, end: u64, written_at: u64) {
        if end <= self.cached.len_bytes() {
            return;
        }
        let mut border = (self.cached.len_bytes() / PAGE_BYTES + 1) * PAGE_BYTES;
        while border < end {
            self.sizes.push(SizeVersion { len_bytes: border, written_at });
            border += PAGE_BYTES;
        }
        self.sizes.push(SizeVersion { len_bytes: end, written_at });
        self.cached.set_len(end);
    }

    fn write_sector(&mut self, sector: u64, bytes: Sector, written_at: u64) {
        let unchanged = same_bytes(self.cached.sector(sector), Some(&bytes));
        let pending = self.sectors.contains_key(&sector);
        if unchanged && !pending && self.durable.sector(sector).is_none() {
            // Zeros over a hole: space is taken, no byte changes, and nothing can be lost.
            self.durable.set_sector(sector, Some(Arc::clone(&ZERO_SECTOR)));
        } else if !unchanged || self.cached.sector(sector).is_none() {
            self.remember(sector, Arc::clone(&bytes), written_at);
        }
        self.cached.set_sector(sector, Some(bytes));
    }

    fn remember(&mut self, sector: u64, bytes: Sector, written_at: u64) {
        let version = SectorVersion { bytes, written_at, sizes_before: self.sizes.len() };
        self.sectors.entry(sector).or_default().push(version);
    }

    /// Makes a whole page dirty again that a failed sync had marked clean.
    fn make_dirty(&mut self, page: u64, written_at: u64) {
        self.lying_pages.remove(&page);
        for sector in page * PAGE_SECTORS..(page + 1) * PAGE_SECTORS {
            let cached = self.cached.sector(sector).cloned();
            if same_bytes(cached.as_ref(), self.durable.sector(sector)) || self.sectors.contains_key(&sector) {
                continue;
            }
            self.remember(sector, cached.unwrap_or_else(|| Arc::clone(&ZERO_SECTOR)), written_at);
        }
    }

    /// Cuts or extends the cached content.
    pub(super) fn set_len(&mut self, len_bytes: u64, written_at: u64) {
        if len_bytes != self.cached.len_bytes() {
            self.sizes.push(SizeVersion { len_bytes, written_at });
            self.cached.set_len(len_bytes);
        }
    }

    /// Makes every dirty sector and the length durable. Pages that lie about being clean are not written.
    pub(super) fn sync(&mut self) {
        let changed = std::mem::take(&mut self.sectors);
        self.sync_size();
        for sector in changed.into_keys() {
            self.durable.set_sector(sector, self.cached.sector(sector).cloned());
        }
    }

    fn sync_size(&mut self) {
        if let Some(shortest) = self.sizes.iter().map(|size| size.len_bytes).min()
            && shortest < self.durable.len_bytes()
        {
            self.durable.set_len(shortest);
        }
        self.sizes.clear();
        // A cut may have left versions behind whose sectors are gone from the cache; the loop in `sync` follows it.
        self.durable.set_len(self.cached.len_bytes());
    }

    /// A sync that fails: the medium keeps its old bytes, and the pages count as clean from now on. With a source of
    /// chance, some sectors and the length reach the medium all the same.
    pub(super) fn fail_sync(&mut self, some_written: Option<&mut Random>) {
        let lost = std::mem::take(&mut self.sectors);
        if let Some(random) = some_written {
            self.sync_size();
            for sector in lost.keys().filter(|_| random.percent(50)) {
                self.durable.set_sector(*sector, self.cached.sector(*sector).cloned());
            }
        }
        self.lying_pages.extend(lost.into_keys().map(|sector| sector / PAGE_SECTORS));
    }

    /// Reads a range of clean pages from the medium again, which shows what a failed sync lost.
    pub(super) fn drop_cached(&mut self, pages: RangeInclusive<u64>) {
        let lies: Vec<u64> = self.lying_pages.range(pages).copied().collect();
        for page in &lies {
            self.lying_pages.remove(page);
            for sector in page * PAGE_SECTORS..(page + 1) * PAGE_SECTORS {
                self.cached.set_sector(sector, self.durable.sector(sector).cloned());
            }
        }
        if !lies.is_empty() {
            self.cached.set_len(self.cached.len_bytes());
        }
    }

    /// Makes the medium hold exactly what the cache serves.
    pub(super) fn settle(&mut self) {
        *self = Inode { cached: self.cached.clone(), durable: self.cached.clone(), ..Inode::new(self.name.clone()) };
    }

    /// Changes cache and medium alike, as a test does it by hand.
    pub(super) fn operate(&mut self, change: impl FnOnce(&mut Content)) {
        change(&mut self.cached);
        self.settle();
    }

    /// The file after a power cut. `sizes` is how many size changes survive; `choose` tells for each unsynced sector
    /// which of its versions does, 0 being the durable one.
    pub(super) fn survivor(&self, sizes: usize, mut choose: impl FnMut(u64, &[SectorVersion]) -> usize) -> Inode {
        let applied = self.sizes.get(..sizes).unwrap_or(&self.sizes);
        let mut content = self.durable.clone();
        if let Some(shortest) = shortest(applied)
            && shortest < content.len_bytes()
        {
            content.set_len(shortest);
        }
        let len_bytes = applied.last().map_or(content.len_bytes(), |size| size.len_bytes);
        for (sector, versions) in &self.sectors {
            let chosen = choose(*sector, versions);
            let Some(version) = chosen.checked_sub(1).and_then(|index| versions.get(index)) else { continue };
            let start = sector * SECTOR_BYTES;
            let cut = shortest(applied.get(version.sizes_before..).unwrap_or_default()).unwrap_or(u64::MAX);
            let bytes = match cut.saturating_sub(start) {
                0 => None,
                SECTOR_BYTES.. => Some(Arc::clone(&version.bytes)),
                keep => Some(cut_sector(&version.bytes, usize::try_from(keep).unwrap_or(0))),
            };
            content.set_sector(*sector, bytes);
        }
        // Last: a sector beyond the surviving length is gone with it.
        content.set_len(len_bytes);
        Inode { cached: content.clone(), durable: content, ..Inode::new(self.name.clone()) }
    }
}

fn shortest(sizes: &[SizeVersion]) -> Option<u64> {
    sizes.iter().map(|size| size.len_bytes).min()
}
