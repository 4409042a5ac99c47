//! The names of the simulated machine: what processes see, what the medium holds, and the changes in between.

use std::sync::Arc;

use crate::storage::tree::{Move, OUTSIDE, Slot, Tree};

/// A change of names that a power cut may or may not keep.
#[derive(Clone)]
pub(super) struct PendingMove {
    pub(super) change: Move,
    pub(super) written_at: u64,
    /// Synced already, and kept here only because an earlier change that it builds on is not.
    pub(super) is_durable: bool,
    /// The name it is about, for people to read.
    pub(super) name: Arc<str>,
}

/// Cached and durable names.
#[derive(Clone)]
pub(super) struct Names {
    cached: Arc<Tree>,
    durable: Arc<Tree>,
    pending: Vec<PendingMove>,
}

impl Names {
    /// Settled names.
    pub(super) fn from_tree(tree: Tree) -> Names {
        let tree = Arc::new(tree);
        Names { cached: Arc::clone(&tree), durable: tree, pending: Vec::new() }
    }

    /// What processes see.
    pub(super) fn cached(&self) -> &Tree {
        &self.cached
    }

    /// For a change that [`Names::record`] is told of.
    pub(super) fn cached_mut(&mut self) -> &mut Tree {
        Arc::make_mut(&mut self.cached)
    }

    /// Notes a change that was just made to the cached names.
    pub(super) fn record(&mut self, change: Move, name: &Arc<str>, written_at: u64) {
        self.pending.push(PendingMove { change, written_at, is_durable: false, name: Arc::clone(name) });
    }

    /// Makes the entry changes of a directory durable. A rename between two directories is one unit: the sync of either
    /// makes it durable.
    pub(super) fn sync_directory(&mut self, directory: u64) {
        self.mark_durable(|change| change.touches(directory));
        let (mut durable, mut kept) = (Tree::clone(&self.durable), Vec::<PendingMove>::new());
        for pending in self.pending.drain(..) {
            if pending.is_durable && !kept.iter().any(|earlier| earlier.change.concerns(&pending.change)) {
                survive(&mut durable, &pending.change, &self.cached);
            } else {
                kept.push(pending);
            }
        }
        (self.durable, self.pending) = (Arc::new(durable), kept);
    }

    /// Marks changes, and with them whatever they can not survive without: the changes inside a directory that goes away,
    /// and the departure of the file whose name another one has taken.
    fn mark_durable(&mut self, is_synced: impl Fn(&Move) -> bool) {
        let mut needed: Vec<bool> = self.pending.iter().map(|pending| is_synced(&pending.change)).collect();
        // Only ever towards older changes, so one pass from the newest reaches everything.
        for index in (0..self.pending.len()).rev() {
            if !needed[index] && !self.pending[index].is_durable {
                continue;
            }
            self.pending[index].is_durable = true;
            let change = self.pending[index].change.clone();
            for (earlier, is_needed) in self.pending[..index].iter().zip(&mut needed) {
                let earlier = &earlier.change;
                *is_needed |= change.removed_directory().is_some_and(|directory| earlier.touches(directory));
                *is_needed |= earlier.to.is_some() && earlier.from.is_some() && earlier.from == change.to;
            }
        }
    }

    /// Makes all names durable.
    pub(super) fn settle(&mut self) {
        self.pending.clear();
        self.durable = Arc::clone(&self.cached);
    }

    /// Whether a power cut, or a process, could still come upon this node.
    pub(super) fn mentions(&self, number: u64) -> bool {
        self.cached.place_of(number).is_some()
            || self.durable.place_of(number).is_some()
            || self.pending.iter().any(|pending| pending.change.node.number == number)
    }

    /// The names after a power cut that keeps the changes chosen.
    pub(super) fn survivor(&self, mut choose: impl FnMut(&PendingMove) -> bool) -> Tree {
        let mut tree = Tree::clone(&self.durable);
        tree.reserve_numbers_of(&self.cached);
        for pending in &self.pending {
            if pending.is_durable || choose(pending) {
                survive(&mut tree, &pending.change, &self.cached);
            }
        }
        tree
    }
}

/// Carries out a surviving change on names among which earlier ones may be missing.
///
/// It moves the node from wherever it is by now, so no file ever has two names. It is left out where it would take the
/// name of a file that lives under another name in the cache: that file's own move did not survive, so it is still
/// here, and a journaling file system does not lose it.
fn survive(tree: &mut Tree, change: &Move, cached: &Tree) {
    let node = change.node;
    if let Some(slot) = &change.to
        && let Some(occupant) = tree.get(slot)
        && occupant != node
        && (cached.place_of(occupant.number).is_some() || !tree.is_empty(occupant.number))
    {
        return;
    }
    if change.to.is_none() && !tree.is_empty(node.number) {
        return;
    }
    let from = tree.place_of(node.number).cloned();
    tree.apply(&Move { from, ..change.clone() });
}

impl Move {
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.from.iter().chain(&self.to)
    }

    /// Whether it changes the entries of a directory.
    fn touches(&self, directory: u64) -> bool {
        self.slots().any(|slot| slot.directory == directory)
    }

    /// The directory that it takes away, whose own entries are settled by that.
    fn removed_directory(&self) -> Option<u64> {
        let removed = if self.to.is_none() { Some(self.node) } else { self.replaced };
        removed.filter(|node| node.is_directory && node.number != OUTSIDE).map(|node| node.number)
    }

    /// Whether the order of two changes matters.
    fn concerns(&self, other: &Move) -> bool {
        self.node == other.node
            || self.replaced == Some(other.node)
            || other.replaced == Some(self.node)
            || self.slots().any(|slot| slot.directory == other.node.number)
            || other.slots().any(|slot| slot.directory == self.node.number)
            || self.slots().any(|slot| other.slots().any(|theirs| slot == theirs))
    }
}
