//! `SimDisk`: a seeded machine with several processes and one disk, whose power can be cut at any moment.
//!
//! The model, and what it assumes of a real machine:
//!
//! - *Processes* share one page cache. A killed one loses its locks, and nothing that it wrote.
//! - *Bytes* are written to the medium in sectors of 512 bytes, each whole or not at all, its neighbours untouched. Until a
//!   sync, each sector may hold any of the values it took since the last one; space that was never written reads as zeros.
//! - *Lengths* survive or not on their own, and every page border that a write passed is a length that may survive. A
//!   sector beyond the surviving length is gone; a cut that survives takes along what was written before it.
//! - *Names* survive in any combination of the changes since the last sync of their directory. A rename is one unit. A
//!   file whose name does not survive is gone, however often it was synced itself. No file that has a name in the page
//!   cache loses it to another file; a directory that does not survive takes its files with it.
//! - *A failed sync* marks its pages clean although the medium lacks them ([`Fault::FailedSync`]).
//!
//! Nothing here is random beyond the seed: the same seed and the same calls give the same operations and images.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod content;
mod crash;
mod fault;
mod file;
mod inode;
mod machine;
mod names;
mod process;
mod random;
mod surgery;
#[cfg(test)]
mod tests;

pub use crash::{PendingKind, PendingUnit};
pub use fault::{Failure, Fault, Operation, OperationKind, Stopped};
pub use process::SimProcess;

use machine::{Machine, lock};

/// A simulated machine. It starts with an empty disk on which not even the storage's root exists.
///
/// A clone is a snapshot: an independent machine with the same disk and page cache, in which every process has been killed.
/// It shares what it can with the original and costs microseconds.
pub struct SimDisk {
    machine: Arc<Mutex<Machine>>,
}

impl Clone for SimDisk {
    fn clone(&self) -> SimDisk {
        SimDisk::from_machine(lock(&self.machine).snapshot())
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = lock(&self.machine);
        formatter
            .debug_struct("SimDisk")
            .field("next_operation", &machine.next_operation)
            .field("is_crashed", &machine.is_crashed)
            .finish_non_exhaustive()
    }
}

impl SimDisk {
    /// A machine whose every accident is decided by a seed.
    #[must_use]
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::from_machine(Machine::new(seed))
    }

    fn from_machine(machine: Machine) -> SimDisk {
        SimDisk { machine: Arc::new(Mutex::new(machine)) }
    }

    /// The process of a number. Where it was killed, the number is used again for a new process, as a kernel does; the
    /// handles of the old one stay dead.
    #[must_use]
    pub fn process(&self, number: u32) -> SimProcess {
        let key = lock(&self.machine).process(number);
        SimProcess::new(Arc::clone(&self.machine), key)
    }

    /// Kills a process: its locks are free, its calls fail with [`Stopped::Process`], the page cache stays.
    pub fn kill(&self, number: u32) {
        lock(&self.machine).kill(number);
    }

    /// Stops the machine: all calls fail with [`Stopped::Machine`]. What survives is decided by a power cut.
    pub fn crash(&self) {
        lock(&self.machine).is_crashed = true;
    }

    /// Whether the machine has stopped.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        lock(&self.machine).is_crashed
    }

    /// Schedules a fault for the call of an index; the last one scheduled for it counts.
    pub fn inject(&self, operation_index: u64, fault: Fault) {
        lock(&self.machine).faults.insert(operation_index, fault);
    }

    /// Forgets the faults that have not happened yet.
    pub fn clear_faults(&self) {
        lock(&self.machine).faults.clear();
    }

    /// The calls so far, of all processes. The clocks, [`crate::storage::Storage::sleep`], advice and closing do not count.
    #[must_use]
    pub fn ops(&self) -> Vec<Operation> {
        lock(&self.machine).operations.to_vec()
    }

    /// The index of the next call.
    #[must_use]
    pub fn next_operation(&self) -> u64 {
        lock(&self.machine).next_operation
    }

    /// Forgets the log of calls, for runs that are long; the counting goes on.
    pub fn forget_ops(&self) {
        lock(&self.machine).operations = fault::OperationLog::default();
    }

    /// Bounds the disk: writes that would allocate more sectors than this many bytes get `ENOSPC`, or are cut short.
    pub fn set_capacity_bytes(&self, capacity_bytes: Option<u64>) {
        lock(&self.machine).capacity_bytes = capacity_bytes;
    }

    /// Sets the wall clock, forwards or back, in nanoseconds since 1970-01-01T00:00:00Z.
    pub fn set_now_ns(&self, now_ns: i64) {
        lock(&self.machine).clock.set_wall_ns(now_ns);
    }

    /// Moves both clocks on.
    pub fn advance(&self, duration: Duration) {
        lock(&self.machine).clock.sleep(duration);
    }

    /// Everything that a power cut now keeps or loses on its own, in a fixed order.
    #[must_use]
    pub fn pending_units(&self) -> Vec<PendingUnit> {
        lock(&self.machine).pending_units()
    }

    /// Cuts the power: a new machine with a new boot id, no processes, no locks, no faults scheduled, and of the unsynced
    /// units what the seed decides. This machine stays as it is, so one state can be cut many times.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> SimDisk {
        SimDisk::from_machine(lock(&self.machine).power_cut_seeded(seed))
    }

    /// Cuts the power; for each unit the answer tells which version survives: 0 the durable one, 1 the oldest unsynced
    /// one, [`PendingUnit::versions`] or more the newest.
    #[must_use]
    pub fn power_cut_with(&self, mut choose: impl FnMut(&PendingUnit) -> usize) -> SimDisk {
        SimDisk::from_machine(lock(&self.machine).power_cut(&mut |unit, _| choose(unit)))
    }

    /// Cuts the power; of unit i the newest version survives where bit i is set, the durable one where it is not. With k
    /// units, the masks `0..1 << k` are all the subsets. Units from the 64th on are lost.
    #[must_use]
    pub fn power_cut_mask(&self, mask: u64) -> SimDisk {
        self.power_cut_with(|unit| {
            let bit = u32::try_from(unit.index).ok().and_then(|index| mask.checked_shr(index)).unwrap_or(0);
            if bit & 1 == 1 { unit.versions } else { 0 }
        })
    }
}
