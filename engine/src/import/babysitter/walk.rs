//! Directory listings that can be trusted: what may be opened is told apart from what may not.

use super::{Oddity, OddityCode, Place, SourceError};
use crate::storage::{Entry, EntryKind, Storage, check_name};
use std::collections::BTreeMap;
use std::io;

/// An entry's path, relative to the storage's root.
pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// A directory's entries, by name; empty where the directory is gone, or is none.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Files and directories that can be opened.
    pub(super) entries: BTreeMap<String, Entry>,
    /// What is wrong with the others, and with some of the names.
    pub(super) oddities: Vec<Oddity>,
}

impl Listing {
    pub(super) fn of(storage: &dyn Storage, directory: &str) -> Result<Self, SourceError> {
        let listed = match storage.list(directory) {
            Ok(listed) => listed,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Vec::new(),
            Err(error) => return Err(SourceError::new(directory, error)),
        };
        let mut listing = Self::default();
        for entry in listed {
            listing.admit(storage, directory, entry)?;
        }
        Ok(listing)
    }

    fn admit(&mut self, storage: &dyn Storage, directory: &str, entry: Entry) -> Result<(), SourceError> {
        let path = join(directory, &entry.name);
        let mut odd = |code, reason| self.oddities.push(Oddity::new(&path, code, Place::File, reason));
        if check_name(&entry.name).is_err() || entry.name.contains('/') {
            odd(OddityCode::NameRefused, "not a plain name");
            return Ok(());
        }
        if entry.name.contains('\u{fffd}') {
            let found = storage.entry(&path).map_err(|error| SourceError::new(&path, error))?;
            if found.is_none() || self.entries.contains_key(&entry.name) {
                odd(OddityCode::NameNotUtf8, "the name is no UTF-8; shown with U+FFFD");
                return Ok(());
            }
        }
        if entry.name.contains(char::is_control) {
            odd(OddityCode::ControlCharacterInName, "the name holds a control character");
        }
        if entry.kind.is_special() {
            odd(OddityCode::NotARegularFile, "a link, FIFO, socket or device");
            return Ok(());
        }
        self.entries.insert(entry.name.clone(), entry);
        Ok(())
    }

    /// Whether there is an entry of this name and kind.
    pub(super) fn has(&self, name: &str, kind: EntryKind) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.kind == kind)
    }

    /// What differs between this listing and a later one of the same directory.
    pub(super) fn changes_to(&self, later: &Self, directory: &str) -> Vec<Oddity> {
        let mut oddities = Vec::new();
        for (name, entry) in &self.entries {
            let path = join(directory, name);
            match later.entries.get(name) {
                None => oddities.push(Oddity::new(&path, OddityCode::Vanished, Place::File, "gone at the end")),
                Some(again) if entry.kind == EntryKind::File && again.len_bytes != entry.len_bytes => {
                    let reason = format!("{} bytes at first, {} at the end", entry.len_bytes, again.len_bytes);
                    oddities.push(Oddity::new(&path, OddityCode::ChangedWhileRead, Place::File, reason));
                }
                Some(_) => {}
            }
        }
        for name in later.entries.keys().filter(|name| !self.entries.contains_key(*name)) {
            let reason = "not there at first: not read";
            oddities.push(Oddity::new(&join(directory, name), OddityCode::Appeared, Place::File, reason));
        }
        oddities
    }
}
