//! What a test does to a simulated disk by hand: look at its files, and damage them.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::SimDisk;
use super::content::{Content, part_in_sector, sectors_of};
use super::machine::{Machine, lock};
use crate::storage::tree::Tree;

/// None of these counts as an operation, none is subject to faults, and all work on a crashed machine. Those that change
/// something first write the page cache out, so that cache and medium hold the same afterwards.
impl SimDisk {
    /// Writes out everything that is dirty, names included, as a kernel does in its own time. Pages that a failed sync
    /// left lying about being clean are made true as well.
    pub fn write_back_all(&self) {
        lock(&self.machine).settle();
    }

    /// Drops every clean page, as a kernel short of memory does: what a failed sync has lost shows.
    pub fn drop_caches(&self) {
        for inode in lock(&self.machine).inodes.values_mut() {
            if !inode.is_settled() {
                Arc::make_mut(inode).drop_cached(0..=u64::MAX);
            }
        }
    }

    /// Every file and its bytes, as processes see them, by full name.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let machine = lock(&self.machine);
        let bytes = |number| machine.inode(number).map_or_else(|_| Vec::new(), |inode| inode.cached().to_bytes());
        machine.names.cached().files().into_iter().map(|(name, number)| (name, bytes(number))).collect()
    }

    /// A digest of [`SimDisk::files`]: two images with the same one hold the same files.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for (name, bytes) in self.files() {
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(&bytes);
        }
        *hasher.finalize().as_bytes()
    }

    /// A file's bytes as processes see them.
    ///
    /// # Errors
    /// `NotFound`, and those of a wrong name.
    pub fn file_bytes(&self, name: &str) -> io::Result<Vec<u8>> {
        let machine = lock(&self.machine);
        Ok(machine.inode(machine.names.cached().file(name)?)?.cached().to_bytes())
    }

    /// The bytes of a file that the medium surely holds: what a power cut that keeps nothing unsynced leaves of it.
    ///
    /// # Errors
    /// `NotFound` where no process sees such a file, and those of a wrong name.
    pub fn durable_bytes(&self, name: &str) -> io::Result<Vec<u8>> {
        let machine = lock(&self.machine);
        Ok(machine.inode(machine.names.cached().file(name)?)?.durable().to_bytes())
    }

    /// Puts a file in place, with the directories above it, instead of whatever bore the name.
    ///
    /// # Errors
    /// Those of a wrong name, and of a directory in the file's place.
    pub fn put_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut machine = lock(&self.machine);
        machine.settle();
        if machine.names.cached().find(name)?.is_none() {
            let borders = name.match_indices('/').map(|(index, _)| &name[..index]);
            for directory in std::iter::once("").chain(borders) {
                match machine.names.cached_mut().create(directory, true) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
            }
            let change = machine.names.cached_mut().create(name, false)?;
            machine.renamed(change, &name.into());
            machine.settle();
        }
        machine.operate(name, |content| {
            content.set_len(0);
            overwrite(content, 0, bytes);
        })
    }

    /// Inverts one bit; bit 0 is the lowest of the first byte.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` behind the file's end.
    pub fn flip_bit(&self, name: &str, bit: u64) -> io::Result<()> {
        let mut byte = [0];
        let mut machine = lock(&self.machine);
        let number = machine.names.cached().file(name)?;
        if machine.inode(number)?.cached().read(bit / 8, &mut byte) == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        byte[0] ^= 1 << (bit % 8);
        machine.operate(name, |content| overwrite(content, bit / 8, &byte))
    }

    /// Puts bytes at an offset, extending the file where needed.
    ///
    /// # Errors
    /// `NotFound`, and those of a wrong name.
    pub fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        lock(&self.machine).operate(name, |content| overwrite(content, offset, bytes))
    }

    /// Cuts a file, or extends it with zeros.
    ///
    /// # Errors
    /// `NotFound`, and those of a wrong name.
    pub fn truncate(&self, name: &str, len_bytes: u64) -> io::Result<()> {
        lock(&self.machine).operate(name, |content| content.set_len(len_bytes))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`, and those of a wrong name.
    pub fn remove_file(&self, name: &str) -> io::Result<()> {
        let mut machine = lock(&self.machine);
        machine.settle();
        let change = machine.names.cached_mut().remove(name, false)?;
        machine.renamed(change, &name.into());
        machine.settle();
        Ok(())
    }

    /// Makes a range of a file's bytes unreadable (`EIO`), also after a power cut, until [`SimDisk::heal_reads`].
    ///
    /// # Errors
    /// `NotFound`, and those of a wrong name.
    pub fn fail_reads(&self, name: &str, range_bytes: Range<u64>) -> io::Result<()> {
        let mut machine = lock(&self.machine);
        let number = machine.names.cached().file(name)?;
        machine.read_faults.entry(number).or_default().push(range_bytes);
        Ok(())
    }

    /// Makes everything readable again.
    pub fn heal_reads(&self) {
        lock(&self.machine).read_faults.clear();
    }
}

/// Writes without regard to syncs.
fn overwrite(content: &mut Content, offset: u64, bytes: &[u8]) {
    let end = offset + bytes.len() as u64;
    if end > content.len_bytes() {
        content.set_len(end);
    }
    let mut rest = bytes;
    for sector in sectors_of(offset, end) {
        let (skip, count) = part_in_sector(sector, offset, end);
        let (part, behind) = rest.split_at(count);
        rest = behind;
        let merged = content.merged(sector, skip, part);
        content.set_sector(sector, Some(merged));
    }
}

impl Machine {
    /// Makes the medium hold what the cache serves.
    fn settle(&mut self) {
        self.names.settle();
        for inode in self.inodes.values_mut() {
            if !inode.is_settled() {
                Arc::make_mut(inode).settle();
            }
        }
        self.collect();
    }

    /// Changes one file in cache and medium alike.
    fn operate(&mut self, name: &str, change: impl FnOnce(&mut Content)) -> io::Result<()> {
        self.settle();
        let number = Tree::file(self.names.cached(), name)?;
        self.inode_mut(number)?.operate(change);
        Ok(())
    }
}
