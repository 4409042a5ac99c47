//! What a simulated machine can be told to do wrong, and the log of what it was asked.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

/// An error that a call can be made to return, as the platform's own `std::io::Error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `EIO`: the medium.
    InputOutput,
    /// `ENOSPC`: no space left.
    NoSpace,
    /// `EDQUOT`: the user's share is used up.
    QuotaExceeded,
    /// `EFBIG`: beyond the process's file size limit.
    FileTooLarge,
    /// `EINTR`: a signal came; nothing was done, try again.
    Interrupted,
    /// `EROFS`: the file system has become read-only.
    ReadOnly,
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        let errno = match failure {
            Failure::InputOutput => Errno::IO,
            Failure::NoSpace => Errno::NOSPC,
            Failure::QuotaExceeded => Errno::DQUOT,
            Failure::FileTooLarge => Errno::FBIG,
            Failure::Interrupted => Errno::INTR,
            Failure::ReadOnly => Errno::ROFS,
        };
        errno.into()
    }
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call does nothing and returns this error. A sync that fails so leaves its pages dirty.
    Fail(Failure),
    /// A read or write transfers at most so many bytes (but one, where any were asked for).
    Short(usize),
    /// The machine stops before the call: it, and all later calls of all processes, fail with [`Stopped::Machine`].
    CrashBefore,
    /// The call is carried out, then the machine stops; the caller never learns.
    CrashAfter,
    /// The calling process is killed before the call.
    KillBefore,
    /// The call is carried out, then the calling process is killed.
    KillAfter,
    /// A write transfers at most so many bytes, then the calling process is killed.
    KillAfterPart(usize),
    /// A sync returns `EIO`, the medium keeps its old bytes, and the pages count as clean: the cache goes on serving the
    /// new bytes and the next sync returns Ok without writing them. This is what ext4 and XFS do. Writing any byte of
    /// such a page makes the whole page dirty again. Any other call, `sync_dir` included, merely returns `EIO`.
    FailedSync,
    /// As [`Fault::FailedSync`], but the length and about half of the sectors reach the medium.
    PartlyFailedSync,
}

/// Why no call can succeed any more: the inner error of what a dead process's handles return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The machine is down until a power cut makes a new image of it.
    #[error("the simulated machine has crashed")]
    Machine,
    /// The process that owns the handle was killed.
    #[error("the simulated process was killed")]
    Process,
}

impl Stopped {
    /// Why a call stopped, if it is that and no error of the simulated medium.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Stopped> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Stopped> for io::Error {
    fn from(stopped: Stopped) -> io::Error {
        io::Error::other(stopped)
    }
}

/// Which call it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each bears the name of the method of Storage or StorageFile that it is")]
pub enum OperationKind {
    Open,
    List,
    Entry,
    CreateDir,
    Rename,
    Remove,
    RemoveDir,
    SyncDir,
    SyncParent,
    FreeBytes,
    RandomId,
    ReadAt,
    WriteAt,
    LenBytes,
    SetLen,
    SyncData,
    SyncAll,
    DropCached,
    TryLock,
    Unlock,
}

impl OperationKind {
    /// Whether it makes the bytes of a file durable.
    #[must_use]
    pub fn syncs_file(self) -> bool {
        matches!(self, OperationKind::SyncData | OperationKind::SyncAll)
    }
}

/// One call that a process made, in the order of the whole machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Counts the calls of all processes, from 0; faults are scheduled by it.
    pub index: u64,
    /// The number of the process that called.
    pub process: u32,
    /// Which call.
    pub kind: OperationKind,
    /// The name it was about; `old -> new` for a rename.
    pub name: Arc<str>,
    /// Offset in bytes, where the call has one.
    pub offset: u64,
    /// Length in bytes asked for, where the call has one.
    pub len_bytes: u64,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operation { index, process, kind, name, offset, len_bytes } = self;
        write!(formatter, "{index} p{process} {kind:?} {name:?} {offset}+{len_bytes}")
    }
}

/// Entries per shared piece of the log.
const PIECE_OPERATIONS: usize = 256;

/// The calls so far, in shared pieces so that a snapshot does not copy them.
#[derive(Clone, Default)]
pub(super) struct OperationLog {
    pieces: Vec<Arc<Vec<Operation>>>,
}

impl OperationLog {
    /// Adds a call.
    pub(super) fn push(&mut self, operation: Operation) {
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE_OPERATIONS => Arc::make_mut(piece).push(operation),
            _ => self.pieces.push(Arc::new(vec![operation])),
        }
    }

    /// All of them.
    pub(super) fn to_vec(&self) -> Vec<Operation> {
        self.pieces.iter().flat_map(|piece| piece.iter().cloned()).collect()
    }
}
