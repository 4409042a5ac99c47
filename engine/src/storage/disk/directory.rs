use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::FileType;

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
    /// Shows everything that it lists, but for itself and its parent: name and type, as far as the file system tells.
    pub(super) fn each_name(
        self,
        mut show: impl FnMut(BorrowedFd<'_>, &CStr, FileType) -> io::Result<()>,
    ) -> io::Result<()> {
        let listed = match self {
            // Where a listing stands is the descriptor's, so the root's is opened once more.
            Directory::Root(root) => super::open_directory_at(&root, ".")?,
            Directory::Own(own) => own,
        };
        let mut show =
            |name: &CStr, kind| if name == c"." || name == c".." { Ok(()) } else { show(listed.as_fd(), name, kind) };
        #[cfg(target_os = "linux")]
        {
            let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 8 << 10];
            let mut items = rustix::fs::RawDir::new(&listed, &mut buffer);
            while let Some(item) = items.next() {
                let item = item?;
                show(item.file_name(), item.file_type())?;
            }
        }
        #[cfg(not(target_os = "linux"))]
        for item in rustix::fs::Dir::read_from(&listed)? {
            let item = item?;
            show(item.file_name(), item.file_type())?;
        }
        Ok(())
    }
}
