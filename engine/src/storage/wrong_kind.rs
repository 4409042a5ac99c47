//! The error of an open that met something else than it was to open.

use super::EntryKind;
use std::fmt;
use std::io;

/// Something stands in the place of a file or a directory. It is the inner error of the [`io::Error`] that an open fails
/// with, so that whoever tells of it can say what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongKind {
    /// The name that was to be opened, or the component of it that is of the wrong kind.
    pub name: String,
    /// What is there.
    pub found: EntryKind,
    /// What should be: a file or a directory.
    pub expected: EntryKind,
}

impl WrongKind {
    /// The same as an error of an open.
    #[must_use]
    pub fn into_io(self) -> io::Error {
        let kind = match (self.found, self.expected) {
            (EntryKind::Directory, _) => io::ErrorKind::IsADirectory,
            (_, EntryKind::Directory) => io::ErrorKind::NotADirectory,
            _ => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, self)
    }

    /// What an open says of it, if that is why it failed.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&WrongKind> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

impl fmt::Display for WrongKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is {}, not {}", self.name, self.found, self.expected)
    }
}

impl std::error::Error for WrongKind {}
