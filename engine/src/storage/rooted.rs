//! A directory of a storage, as a storage of its own.

use super::{Entry, Host, OpenMode, Storage, StorageFile, check_name};
use std::io;
use std::sync::Arc;

/// A directory below the root of another storage: an archive, which is laid out like a store.
#[derive(Clone, Debug)]
pub struct Rooted {
    storage: Arc<dyn Storage>,
    directory: String,
}

impl Rooted {
    /// A storage rooted at a directory of another one. The directory need not exist.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, directory: &str) -> Rooted {
        Rooted { storage, directory: directory.to_owned() }
    }

    fn name(&self, name: &str) -> io::Result<String> {
        check_name(name)?;
        Ok(format!("{}/{name}", self.directory))
    }

    /// The name of a directory, where `""` is this one.
    fn directory(&self, directory: &str) -> io::Result<String> {
        if directory.is_empty() { Ok(self.directory.clone()) } else { self.name(directory) }
    }
}

impl Storage for Rooted {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        self.storage.open(&self.name(name)?, mode)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        self.storage.list(&self.directory(directory)?)
    }

    fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        self.storage.entry(&self.name(name)?)
    }

    fn create_dir(&self, directory: &str) -> io::Result<bool> {
        self.storage.create_dir(&self.directory(directory)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.storage.rename(&self.name(from)?, &self.name(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.storage.remove(&self.name(name)?)
    }

    fn remove_dir(&self, directory: &str) -> io::Result<()> {
        self.storage.remove_dir(&self.directory(directory)?)
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        self.storage.sync_dir(&self.directory(directory)?)
    }

    fn sync_parent(&self) -> io::Result<()> {
        let parent = self.directory.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.storage.sync_dir(parent)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.storage.free_bytes()
    }

    fn host(&self) -> &dyn Host {
        self.storage.host()
    }
}
