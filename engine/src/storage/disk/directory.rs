use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Dir, DirEntry};

/// A directory of the storage, while something is done in it.
#[derive(Debug)]
pub(super) enum Directory {
    /// The root, which stays open and is everybody's.
    Root(Arc<OwnedFd>),
    /// One that was opened for this.
    Own(OwnedFd),
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Directory::Root(root) => root.as_fd(),
            Directory::Own(own) => own.as_fd(),
        }
    }
}

impl Directory {
    /// Shows everything that it lists, but for itself and its parent.
    pub(super) fn each_name(self, mut show: impl FnMut(BorrowedFd<'_>, &DirEntry) -> io::Result<()>) -> io::Result<()> {
        let mut items = match self {
            // Where a listing stands is the descriptor's, so the root's is opened once more.
            Directory::Root(root) => Dir::read_from(root)?,
            Directory::Own(own) => Dir::new(own)?,
        };
        while let Some(item) = items.read() {
            let item = item?;
            let name = item.file_name();
            if name != c"." && name != c".." {
                show(items.fd()?, &item)?;
            }
        }
        Ok(())
    }
}
