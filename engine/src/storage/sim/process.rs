//! A process of a simulated machine, as the engine sees it: a `Storage`.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fault::OperationKind;
use super::file::SimFile;
use super::machine::{Call, Machine, ProcessKey, lock, run};
use crate::storage::tree::{Node, OUTSIDE};
use crate::storage::{Entry, Host, OpenMode, Storage, StorageFile};

/// One process of a [`super::SimDisk`]. Clones are the same process.
///
/// Once it is killed, or the machine has crashed, every call that can fail does, with [`super::Stopped`] inside.
#[derive(Clone)]
pub struct SimProcess {
    machine: Arc<Mutex<Machine>>,
    key: ProcessKey,
}

impl fmt::Debug for SimProcess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SimProcess").field(&self.key).finish()
    }
}

impl SimProcess {
    /// A process of a machine.
    pub(super) fn new(machine: Arc<Mutex<Machine>>, key: ProcessKey) -> SimProcess {
        SimProcess { machine, key }
    }

    fn run<T>(
        &self,
        kind: OperationKind,
        name: &str,
        body: impl FnOnce(&mut Machine, &Arc<str>) -> io::Result<T>,
    ) -> io::Result<T> {
        let name: Arc<str> = name.into();
        let call = Call { process: self.key, kind, name: Arc::clone(&name), offset: 0, len_bytes: 0 };
        run(&self.machine, call, |machine, _| body(machine, &name))
    }
}

/// What a listing says of a node.
fn entry_of(machine: &Machine, name: &str, node: Node) -> Entry {
    let len_bytes = machine.inode(node.number).map_or(0, |inode| inode.cached().len_bytes());
    Entry { name: name.to_owned(), kind: node.kind(), len_bytes }
}

impl Storage for SimProcess {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let (number, handle, name) = self.run(OperationKind::Open, name, |machine, name| {
            let number = if mode == OpenMode::CreateNew {
                let change = machine.names.cached_mut().create(name, false)?;
                let number = change.node.number;
                machine.renamed(change, name);
                number
            } else {
                machine.names.cached().file(name)?
            };
            Ok((number, machine.open_handle(number), Arc::clone(name)))
        })?;
        let writable = mode != OpenMode::Read;
        Ok(Box::new(SimFile::new(Arc::clone(&self.machine), self.key, number, handle, name, writable)))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        self.run(OperationKind::List, directory, |machine, directory| {
            let tree = machine.names.cached();
            let children = tree.children(tree.directory(directory)?);
            Ok(children.map(|(slot, node)| entry_of(machine, &slot.name, node)).collect())
        })
    }

    fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        self.run(OperationKind::Entry, name, |machine, name| {
            let leaf = name.rsplit_once('/').map_or(name.as_ref(), |(_, leaf)| leaf);
            Ok(machine.names.cached().find(name)?.map(|node| entry_of(machine, leaf, node)))
        })
    }

    fn create_dir(&self, directory: &str) -> io::Result<bool> {
        self.run(OperationKind::CreateDir, directory, |machine, directory| {
            match machine.names.cached_mut().create(directory, true) {
                Ok(change) => {
                    machine.renamed(change, directory);
                    Ok(true)
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    machine.names.cached().directory(directory).map(|_| false).map_err(|_| error)
                }
                Err(error) => Err(error),
            }
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.run(OperationKind::Rename, &format!("{from} -> {to}"), |machine, _| {
            if let Some(change) = machine.names.cached_mut().rename(from, to)? {
                machine.renamed(change, &to.into());
                machine.collect();
            }
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.run(OperationKind::Remove, name, |machine, name| {
            let change = machine.names.cached_mut().remove(name, false)?;
            machine.renamed(change, name);
            machine.collect();
            Ok(())
        })
    }

    fn remove_dir(&self, directory: &str) -> io::Result<()> {
        self.run(OperationKind::RemoveDir, directory, |machine, directory| {
            let change = machine.names.cached_mut().remove(directory, true)?;
            machine.renamed(change, directory);
            Ok(())
        })
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        self.run(OperationKind::SyncDir, directory, |machine, directory| {
            let number = machine.names.cached().directory(directory)?;
            machine.names.sync_directory(number);
            machine.collect();
            Ok(())
        })
    }

    fn sync_parent(&self) -> io::Result<()> {
        self.run(OperationKind::SyncParent, "", |machine, _| {
            machine.names.sync_directory(OUTSIDE);
            Ok(())
        })
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.run(OperationKind::FreeBytes, "", |machine, _| Ok(machine.free_bytes()))
    }

    fn host(&self) -> &dyn Host {
        self
    }
}

impl Host for SimProcess {
    fn now_ns(&self) -> i64 {
        lock(&self.machine).clock.wall_ns()
    }

    fn monotonic_ns(&self) -> u64 {
        let mut machine = lock(&self.machine);
        // A loop that looks at the clock until it is late must come to an end.
        machine.clock.advance_ns(1);
        machine.clock.monotonic_ns()
    }

    fn sleep(&self, duration: Duration) {
        lock(&self.machine).clock.sleep(duration);
        // Whoever is waited for may be another thread of this program.
        std::thread::yield_now();
    }

    fn boot_id(&self) -> [u8; 16] {
        lock(&self.machine).boot_id
    }

    fn random_id(&self) -> io::Result<[u8; 16]> {
        self.run(OperationKind::RandomId, "", |machine, _| Ok(machine.random.bytes_16()))
    }

    fn process_id(&self) -> u32 {
        self.key.number
    }

    fn process_alive(&self, process_id: u32) -> bool {
        lock(&self.machine).is_alive(process_id)
    }
}
