//! An open file of a simulated process.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::fault::{Failure, Fault, OperationKind};
use super::inode::PAGE_BYTES;
use super::machine::{Call, Machine, ProcessKey, lock, run};
use crate::storage::StorageFile;

/// A handle of a file. Dropping it closes it and frees its lock.
pub(super) struct SimFile {
    machine: Arc<Mutex<Machine>>,
    process: ProcessKey,
    number: u64,
    handle: u64,
    name: Arc<str>,
    writable: bool,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimFile").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SimFile {
    /// A handle that the machine has counted.
    pub(super) fn new(
        machine: Arc<Mutex<Machine>>,
        process: ProcessKey,
        number: u64,
        handle: u64,
        name: Arc<str>,
        writable: bool,
    ) -> SimFile {
        SimFile { machine, process, number, handle, name, writable }
    }

    fn run<T>(
        &self,
        kind: OperationKind,
        offset: u64,
        len_bytes: u64,
        body: impl FnOnce(&mut Machine, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let call = Call { process: self.process, kind, name: Arc::clone(&self.name), offset, len_bytes };
        run(&self.machine, call, body)
    }

    fn sync(&self, kind: OperationKind) -> io::Result<()> {
        self.run(kind, 0, 0, |machine, fault| {
            let mut random = machine.random.clone();
            let inode = machine.inode_mut(self.number)?;
            match fault {
                Some(Fault::FailedSync) => inode.fail_sync(None),
                Some(Fault::PartlyFailedSync) => {
                    inode.fail_sync(Some(&mut random));
                    machine.random = random;
                }
                _ => {
                    inode.sync();
                    return Ok(());
                }
            }
            Err(Failure::InputOutput.into())
        })
    }
}

/// The bytes that a fault lets through.
fn allowed_bytes(fault: Option<Fault>, len_bytes: usize) -> usize {
    match fault {
        Some(Fault::Short(most)) => len_bytes.min(most.max(1)),
        Some(Fault::KillAfterPart(most)) => len_bytes.min(most),
        _ => len_bytes,
    }
}

impl StorageFile for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.run(OperationKind::ReadAt, offset, buffer.len() as u64, |machine, fault| {
            let inside = machine.inode(self.number)?.cached().len_bytes().saturating_sub(offset);
            let asked = allowed_bytes(fault, buffer.len()).min(usize::try_from(inside).unwrap_or(usize::MAX));
            let readable = machine.readable(self.number, offset, asked as u64)?;
            let count = asked.min(usize::try_from(readable).unwrap_or(usize::MAX));
            Ok(machine.inode(self.number)?.cached().read(offset, &mut buffer[..count]))
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.run(OperationKind::WriteAt, offset, bytes.len() as u64, |machine, fault| {
            if !self.writable {
                return Err(Errno::BADF.into());
            }
            if offset.checked_add(bytes.len() as u64).is_none_or(|end| i64::try_from(end).is_err()) {
                return Err(Errno::FBIG.into());
            }
            let asked = allowed_bytes(fault, bytes.len());
            let room = machine.room_for(self.number, offset, asked as u64)?;
            let count = asked.min(usize::try_from(room).unwrap_or(usize::MAX));
            if count == 0 {
                return if asked == 0 { Ok(0) } else { Err(Failure::NoSpace.into()) };
            }
            let written_at = machine.current_operation();
            machine.inode_mut(self.number)?.write(offset, &bytes[..count], written_at);
            Ok(count)
        })
    }

    fn len_bytes(&self) -> io::Result<u64> {
        self.run(OperationKind::LenBytes, 0, 0, |machine, _| Ok(machine.inode(self.number)?.cached().len_bytes()))
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.run(OperationKind::SetLen, 0, len_bytes, |machine, _| {
            if !self.writable {
                return Err(Errno::INVAL.into());
            }
            if i64::try_from(len_bytes).is_err() {
                return Err(Errno::FBIG.into());
            }
            let written_at = machine.current_operation();
            machine.inode_mut(self.number)?.set_len(len_bytes, written_at);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(OperationKind::SyncData)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(OperationKind::SyncAll)
    }

    fn drop_cached(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.run(OperationKind::DropCached, offset, len_bytes, |machine, _| {
            let last = if len_bytes == 0 { u64::MAX } else { offset.saturating_add(len_bytes - 1) / PAGE_BYTES };
            machine.inode_mut(self.number)?.drop_cached(offset / PAGE_BYTES..=last);
            Ok(())
        })
    }

    // Advice promises nothing, so the model ignores it: whatever it would write may survive a power cut anyway.
    fn will_read_in_order(&self) {}

    fn start_writeback(&self, _offset: u64, _len_bytes: u64) {}

    fn try_lock(&self) -> io::Result<bool> {
        self.run(OperationKind::TryLock, 0, 0, |machine, _| {
            Ok(machine.try_lock(self.number, self.handle, self.process))
        })
    }

    fn unlock(&self) -> io::Result<()> {
        self.run(OperationKind::Unlock, 0, 0, |machine, _| {
            machine.unlock(self.number, self.handle);
            Ok(())
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        lock(&self.machine).close_handle(self.number, self.handle);
    }
}
