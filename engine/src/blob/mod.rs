//! Larger artifacts beside the log: `blobs/<two digits>/<BLAKE3>`, named by what they hold.
//!
//! A blob is there before the record that names it: it is written under a temporary name, synced and renamed by
//! [`Blobs::put`], and its name is made durable by [`Blobs::settle`], which comes before the append. So a digest that the
//! log has recorded always has its whole blob, whenever the power goes. A blob that no record names is harmless.

mod digest;
mod named;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use digest::Digest;
pub(crate) use named::named_by;
pub(crate) use read::copy;
pub use write::{Kept, PutError};

use crate::error::{Error, Result};
use crate::storage::Storage;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The directory of the blobs, below the store.
const DIRECTORY: &str = crate::log::paths::BLOBS;
/// What a blob's name ends with while it is being written.
const TEMPORARY: &str = ".tmp";
/// Most digests that are remembered as written by this process; above it the memory begins anew.
const MOST_REMEMBERED: usize = 1 << 16;

/// The blobs of a store.
#[derive(Debug)]
pub struct Blobs {
    storage: Arc<dyn Storage>,
    /// Written or checked by this process, and durable after the next [`Blobs::settle`].
    known: BTreeSet<Digest>,
    /// Directories that this process has made sure of.
    directories: BTreeSet<String>,
    /// Directories whose entries are not durable yet.
    unsettled: BTreeSet<String>,
    next_temporary: u64,
}

impl Blobs {
    /// The blobs of the store in a storage. Nothing is read or written.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Blobs {
        Blobs {
            storage,
            known: BTreeSet::new(),
            directories: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            next_temporary: 0,
        }
    }

    /// Makes the names of all blobs durable that have been put. To be called before their digests are recorded.
    ///
    /// # Errors
    /// `Io`; then nothing that was put since the last call may be recorded.
    pub fn settle(&mut self) -> Result<()> {
        while let Some(directory) = self.unsettled.first().cloned() {
            self.storage.sync_dir(&directory).map_err(|error| Error::io("cannot sync the blobs' directory", error))?;
            self.unsettled.remove(&directory);
        }
        Ok(())
    }
}

/// The directory of a blob.
fn directory_of(digest: &Digest) -> String {
    format!("{DIRECTORY}/{:02x}", digest.0[0])
}

/// The file of a blob, relative to the store.
pub(crate) fn file_of(digest: &Digest) -> String {
    name_of(digest)
}

/// The name of a blob.
pub(crate) fn name_of(digest: &Digest) -> String {
    format!("{}/{digest}", directory_of(digest))
}
