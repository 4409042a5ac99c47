//! The state of a simulated machine, and the path that every call takes through it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::content::{SECTOR_BYTES, sectors_of};
use super::fault::{Failure, Fault, Operation, OperationKind, OperationLog, Stopped};
use super::inode::Inode;
use super::names::Names;
use super::random::Random;
use crate::storage::clock::ManualClock;
use crate::storage::tree::{Move, Tree};

/// What each call costs on the simulated clocks.
const OPERATION_NS: u64 = 1_000;
/// How long the machine is down between a power cut and the next boot.
const REBOOT_NS: u64 = 10_000_000_000;

/// One life of a process: a number may be used again after a kill, the incarnation never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessKey {
    pub(super) number: u32,
    pub(super) incarnation: u64,
}

/// Who holds a file's lock.
#[derive(Clone, Copy)]
struct LockHolder {
    handle: u64,
    process: ProcessKey,
}

/// Everything there is.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) names: Names,
    pub(super) inodes: BTreeMap<u64, Arc<Inode>>,
    /// Files without a cached name, kept for their open handles or because their removal may not survive.
    nameless: BTreeSet<u64>,
    open_handles: BTreeMap<u64, u64>,
    locks: BTreeMap<u64, LockHolder>,
    processes: BTreeMap<u32, ProcessKey>,
    next_incarnation: u64,
    next_handle: u64,
    pub(super) clock: ManualClock,
    pub(super) random: Random,
    pub(super) boot_id: [u8; 16],
    pub(super) operations: OperationLog,
    pub(super) next_operation: u64,
    pub(super) faults: BTreeMap<u64, Fault>,
    pub(super) read_faults: BTreeMap<u64, Vec<Range<u64>>>,
    pub(super) capacity_bytes: Option<u64>,
    pub(super) is_crashed: bool,
}

/// What a call is about.
pub(super) struct Call {
    pub(super) process: ProcessKey,
    pub(super) kind: OperationKind,
    pub(super) name: Arc<str>,
    pub(super) offset: u64,
    pub(super) len_bytes: u64,
}

/// Takes the machine; a test that panicked with it in hand has left it whole, since no call stops half way.
pub(super) fn lock(machine: &Mutex<Machine>) -> MutexGuard<'_, Machine> {
    machine.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries out one call: refused where process or machine is dead, logged, and subject to the schedule of faults.
pub(super) fn run<T>(
    machine: &Mutex<Machine>,
    call: Call,
    body: impl FnOnce(&mut Machine, Option<Fault>) -> io::Result<T>,
) -> io::Result<T> {
    let mut machine = lock(machine);
    machine.check_running(call.process)?;
    let (process, kind) = (call.process, call.kind);
    let fault = machine.note(call);
    match fault {
        Some(Fault::CrashBefore) => {
            machine.is_crashed = true;
            return Err(Stopped::Machine.into());
        }
        Some(Fault::KillBefore) => {
            machine.kill(process.number);
            return Err(Stopped::Process.into());
        }
        Some(Fault::Fail(failure)) => return Err(failure.into()),
        Some(Fault::FailedSync | Fault::PartlyFailedSync) if !kind.syncs_file() => {
            return Err(Failure::InputOutput.into());
        }
        _ => {}
    }
    let outcome = body(&mut machine, fault);
    match fault {
        Some(Fault::CrashAfter) => {
            machine.is_crashed = true;
            Err(Stopped::Machine.into())
        }
        Some(Fault::KillAfter | Fault::KillAfterPart(_)) => {
            machine.kill(process.number);
            Err(Stopped::Process.into())
        }
        _ => outcome,
    }
}

impl Machine {
    /// A machine with an empty disk.
    pub(super) fn new(seed: u64) -> Machine {
        Machine::boot(Random::new(seed), ManualClock::new(), Tree::new(), BTreeMap::new())
    }

    fn boot(mut random: Random, clock: ManualClock, names: Tree, inodes: BTreeMap<u64, Arc<Inode>>) -> Machine {
        Machine {
            names: Names::from_tree(names),
            inodes,
            nameless: BTreeSet::new(),
            open_handles: BTreeMap::new(),
            locks: BTreeMap::new(),
            processes: BTreeMap::new(),
            next_incarnation: 0,
            next_handle: 0,
            clock,
            boot_id: random.bytes_16(),
            random,
            operations: OperationLog::default(),
            next_operation: 0,
            faults: BTreeMap::new(),
            read_faults: BTreeMap::new(),
            capacity_bytes: None,
            is_crashed: false,
        }
    }

    /// The machine after a power cut that left these names and files.
    pub(super) fn reboot(&self, names: Tree, inodes: BTreeMap<u64, Arc<Inode>>) -> Machine {
        let mut clock = self.clock.clone();
        clock.advance_ns(REBOOT_NS);
        Machine {
            read_faults: self.read_faults.clone(),
            capacity_bytes: self.capacity_bytes,
            ..Machine::boot(self.random.clone(), clock, names, inodes)
        }
    }

    /// The same disk and page cache, with every process gone.
    pub(super) fn snapshot(&self) -> Machine {
        Machine { open_handles: BTreeMap::new(), locks: BTreeMap::new(), processes: BTreeMap::new(), ..self.clone() }
    }

    /// The living process of a number; a dead one's number starts a new one.
    pub(super) fn process(&mut self, number: u32) -> ProcessKey {
        self.next_incarnation += 1;
        let new = ProcessKey { number, incarnation: self.next_incarnation };
        *self.processes.entry(number).or_insert(new)
    }

    /// Ends a process: its locks are free, its handles dead; the page cache stays.
    pub(super) fn kill(&mut self, number: u32) {
        if let Some(process) = self.processes.remove(&number) {
            self.locks.retain(|_, holder| holder.process != process);
        }
    }

    /// Whether a process of that number lives.
    pub(super) fn is_alive(&self, number: u32) -> bool {
        !self.is_crashed && self.processes.contains_key(&number)
    }

    fn check_running(&self, process: ProcessKey) -> io::Result<()> {
        if self.is_crashed {
            return Err(Stopped::Machine.into());
        }
        if self.processes.get(&process.number) != Some(&process) {
            return Err(Stopped::Process.into());
        }
        Ok(())
    }

    /// Logs a call, moves the clock, and tells which fault is due.
    fn note(&mut self, call: Call) -> Option<Fault> {
        let index = self.next_operation;
        self.next_operation += 1;
        self.clock.advance_ns(OPERATION_NS);
        let Call { process, kind, name, offset, len_bytes } = call;
        self.operations.push(Operation { index, process: process.number, kind, name, offset, len_bytes });
        self.faults.remove(&index)
    }

    /// The index of the call being carried out: the time stamp of what it writes.
    pub(super) fn current_operation(&self) -> u64 {
        self.next_operation.saturating_sub(1)
    }

    /// A file, by number.
    pub(super) fn inode(&self, number: u64) -> io::Result<&Inode> {
        self.inodes.get(&number).map(Arc::as_ref).ok_or_else(|| Errno::NOENT.into())
    }

    /// A file, to be changed.
    pub(super) fn inode_mut(&mut self, number: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&number).map(Arc::make_mut).ok_or_else(|| Errno::NOENT.into())
    }

    /// Notes a change of names, and lets go of what has lost its last one.
    pub(super) fn renamed(&mut self, change: Move, name: &Arc<str>) {
        let gone = if change.to.is_none() { Some(change.node) } else { change.replaced };
        if !change.node.is_directory && change.to.is_some() {
            let inode = self.inodes.entry(change.node.number).or_insert_with(|| Arc::new(Inode::new(name.clone())));
            if inode.name != *name {
                Arc::make_mut(inode).name = name.clone();
            }
        }
        let written_at = self.current_operation();
        self.names.record(change, name, written_at);
        if let Some(gone) = gone.filter(|gone| !gone.is_directory) {
            self.nameless.insert(gone.number);
        }
    }

    /// Forgets files that no name, no handle and no power cut can bring back.
    pub(super) fn collect(&mut self) {
        let (names, open_handles) = (&self.names, &self.open_handles);
        let lost: Vec<u64> = self
            .nameless
            .iter()
            .copied()
            .filter(|number| !open_handles.contains_key(number) && !names.mentions(*number))
            .collect();
        for number in lost {
            self.nameless.remove(&number);
            self.inodes.remove(&number);
        }
    }

    /// Counts a new handle of a file.
    pub(super) fn open_handle(&mut self, number: u64) -> u64 {
        *self.open_handles.entry(number).or_default() += 1;
        self.next_handle += 1;
        self.next_handle
    }

    /// Closes a handle: its lock is free.
    pub(super) fn close_handle(&mut self, number: u64, handle: u64) {
        self.unlock(number, handle);
        if let Some(count) = self.open_handles.get_mut(&number) {
            *count -= 1;
            if *count == 0 {
                self.open_handles.remove(&number);
                self.collect();
            }
        }
    }

    /// Takes a file's lock where it is free or the handle's own.
    pub(super) fn try_lock(&mut self, number: u64, handle: u64, process: ProcessKey) -> bool {
        self.locks.entry(number).or_insert(LockHolder { handle, process }).handle == handle
    }

    /// Frees a file's lock where it is the handle's own.
    pub(super) fn unlock(&mut self, number: u64, handle: u64) {
        if self.locks.get(&number).is_some_and(|holder| holder.handle == handle) {
            self.locks.remove(&number);
        }
    }

    /// Bytes that can still be allocated; `None` where the disk has no bound.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        let gone = |number: &u64| self.nameless.contains(number) && !self.open_handles.contains_key(number);
        let present = self.inodes.iter().filter(|(number, _)| !gone(number));
        let used_sectors: u64 = present.map(|(_, inode)| inode.cached().allocated_sectors()).sum();
        Some(self.capacity_bytes?.saturating_sub(used_sectors * SECTOR_BYTES))
    }

    /// How many bytes of a write find room: all that fall on allocated sectors, and on new ones as far as they last.
    pub(super) fn room_for(&self, number: u64, offset: u64, len_bytes: u64) -> io::Result<u64> {
        let Some(mut free_bytes) = self.free_bytes() else { return Ok(len_bytes) };
        let content = self.inode(number)?.cached();
        for sector in sectors_of(offset, offset + len_bytes) {
            if content.sector(sector).is_some() {
                continue;
            }
            if free_bytes < SECTOR_BYTES {
                return Ok((sector * SECTOR_BYTES).saturating_sub(offset));
            }
            free_bytes -= SECTOR_BYTES;
        }
        Ok(len_bytes)
    }

    /// How many bytes of a read lie before the first bad byte of the medium.
    pub(super) fn readable(&self, number: u64, offset: u64, len_bytes: u64) -> io::Result<u64> {
        let mut end = offset.saturating_add(len_bytes);
        for bad in self.read_faults.get(&number).into_iter().flatten() {
            if bad.start < end && offset < bad.end {
                end = bad.start.max(offset);
            }
        }
        if end == offset && len_bytes > 0 { Err(Failure::InputOutput.into()) } else { Ok(end - offset) }
    }
}
