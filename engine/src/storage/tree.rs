//! A tree of names: the directories of the storages that live in memory.
//!
//! It answers like the kernel: the same refusals with the same error kinds. The root is itself an entry, of a
//! directory outside the storage, so that it can be missing, be created, and be lost.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::{EntryKind, check_name};

/// The directory that holds the root.
pub(super) const OUTSIDE: u64 = 0;
/// The root's name in there.
const ROOT_NAME: &str = "root";

/// A file or a directory, by its number: never used twice in one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) number: u64,
    pub(super) is_directory: bool,
}

impl Node {
    /// What a listing says of it.
    pub(super) fn kind(self) -> EntryKind {
        if self.is_directory { EntryKind::Directory } else { EntryKind::File }
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) directory: u64,
    pub(super) name: Arc<str>,
}

/// One atomic change of the tree: a node leaves a place for another. No old place: it is created; no new one: removed.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) node: Node,
    pub(super) from: Option<Slot>,
    pub(super) to: Option<Slot>,
    /// What bore the new name before.
    pub(super) replaced: Option<Node>,
}

/// Names and the nodes they stand for.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    entries: BTreeMap<Slot, Node>,
    next_number: u64,
}

impl Tree {
    /// A tree without even a root.
    pub(super) fn new() -> Tree {
        Tree { entries: BTreeMap::new(), next_number: OUTSIDE + 1 }
    }

    /// What a name of a directory stands for.
    pub(super) fn get(&self, slot: &Slot) -> Option<Node> {
        self.entries.get(slot).copied()
    }

    /// The number of a directory; `""` is the root.
    pub(super) fn directory(&self, directory: &str) -> io::Result<u64> {
        let mut number = self.step(OUTSIDE, ROOT_NAME)?;
        if directory.is_empty() {
            return Ok(number);
        }
        check_name(directory)?;
        for component in directory.split('/') {
            number = self.step(number, component)?;
        }
        Ok(number)
    }

    fn step(&self, directory: u64, name: &str) -> io::Result<u64> {
        match self.get(&Slot { directory, name: name.into() }) {
            Some(node) if node.is_directory => Ok(node.number),
            Some(_) => Err(Errno::NOTDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }

    /// The place of a name; `""` is the root's own.
    fn slot(&self, name: &str) -> io::Result<Slot> {
        if name.is_empty() {
            return Ok(Slot { directory: OUTSIDE, name: ROOT_NAME.into() });
        }
        check_name(name)?;
        let (directory, leaf) = name.rsplit_once('/').unwrap_or(("", name));
        Ok(Slot { directory: self.directory(directory)?, name: leaf.into() })
    }

    /// What a name stands for, where it is taken.
    pub(super) fn find(&self, name: &str) -> io::Result<Option<Node>> {
        check_name(name)?;
        match self.slot(name) {
            Ok(slot) => Ok(self.get(&slot)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The file of a name.
    pub(super) fn file(&self, name: &str) -> io::Result<u64> {
        match self.find(name)? {
            Some(node) if node.is_directory => Err(Errno::ISDIR.into()),
            Some(node) => Ok(node.number),
            None => Err(Errno::NOENT.into()),
        }
    }

    /// Creates a file or a directory under a free name.
    pub(super) fn create(&mut self, name: &str, is_directory: bool) -> io::Result<Move> {
        if !is_directory {
            check_name(name)?;
        }
        let slot = self.slot(name)?;
        if self.get(&slot).is_some() {
            return Err(Errno::EXIST.into());
        }
        let node = Node { number: self.next_number, is_directory };
        self.next_number += 1;
        let change = Move { node, from: None, to: Some(slot), replaced: None };
        self.apply(&change);
        Ok(change)
    }

    /// Removes a file, or an empty directory.
    pub(super) fn remove(&mut self, name: &str, is_directory: bool) -> io::Result<Move> {
        check_name(name)?;
        let slot = self.slot(name)?;
        let node = self.get(&slot).ok_or(Errno::NOENT)?;
        match (node.is_directory, is_directory) {
            (true, false) => return Err(Errno::ISDIR.into()),
            (false, true) => return Err(Errno::NOTDIR.into()),
            (true, true) if !self.is_empty(node.number) => return Err(Errno::NOTEMPTY.into()),
            _ => {}
        }
        let change = Move { node, from: Some(slot), to: None, replaced: None };
        self.apply(&change);
        Ok(change)
    }

    /// Renames over whatever of the same kind bears the new name; `None` where both names are the same.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<Option<Move>> {
        check_name(from)?;
        check_name(to)?;
        let (from_slot, to_slot) = (self.slot(from)?, self.slot(to)?);
        let node = self.get(&from_slot).ok_or(Errno::NOENT)?;
        if from_slot == to_slot {
            return Ok(None);
        }
        if to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
            return Err(Errno::INVAL.into());
        }
        let replaced = self.get(&to_slot);
        match replaced {
            Some(target) if target.is_directory && !node.is_directory => return Err(Errno::ISDIR.into()),
            Some(target) if !target.is_directory && node.is_directory => return Err(Errno::NOTDIR.into()),
            Some(target) if target.is_directory && !self.is_empty(target.number) => {
                return Err(Errno::NOTEMPTY.into());
            }
            _ => {}
        }
        let change = Move { node, from: Some(from_slot), to: Some(to_slot), replaced };
        self.apply(&change);
        Ok(Some(change))
    }

    /// Carries a change out, without asking whether it fits.
    pub(super) fn apply(&mut self, change: &Move) {
        if let Some(from) = &change.from {
            self.entries.remove(from);
        }
        if let Some(to) = &change.to {
            self.entries.insert(to.clone(), change.node);
        }
    }

    /// Where a node is, if anywhere.
    #[cfg(any(test, feature = "testkit"))]
    pub(super) fn place_of(&self, number: u64) -> Option<&Slot> {
        self.entries.iter().find(|(_, node)| node.number == number).map(|(slot, _)| slot)
    }

    /// Never gives out a number that another tree has given out.
    #[cfg(any(test, feature = "testkit"))]
    pub(super) fn reserve_numbers_of(&mut self, other: &Tree) {
        self.next_number = self.next_number.max(other.next_number);
    }

    /// Whether a directory has no entries.
    pub(super) fn is_empty(&self, directory: u64) -> bool {
        self.children(directory).next().is_none()
    }

    /// The entries of a directory, sorted by name.
    pub(super) fn children(&self, directory: u64) -> impl Iterator<Item = (&Slot, Node)> {
        let first = Slot { directory, name: "".into() };
        let entries = self.entries.range(first..).map(|(slot, node)| (slot, *node));
        entries.take_while(move |(slot, _)| slot.directory == directory)
    }

    /// Every file, with its full name, in the order of a walk.
    #[cfg(any(test, feature = "testkit"))]
    pub(super) fn files(&self) -> Vec<(String, u64)> {
        let mut files = Vec::new();
        let Ok(root) = self.directory("") else { return files };
        let mut pending = vec![(String::new(), root)];
        while let Some((prefix, directory)) = pending.pop() {
            for (slot, node) in self.children(directory) {
                let name = format!("{prefix}{}", slot.name);
                if node.is_directory {
                    pending.push((format!("{name}/"), node.number));
                } else {
                    files.push((name, node.number));
                }
            }
        }
        files
    }
}
