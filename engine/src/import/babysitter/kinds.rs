//! The types that source events get in the log.

use super::shape::EventType;
use super::source::{FileKind, SourceEvent};
use crate::{Codec, TypeEntry};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The type of imported events.
pub(crate) const TYPE: &str = "babysitter";
/// The variant of JSON events whose own type can not be one.
const OTHER: &str = "other";
/// The variant of what is no JSON text.
const UNREADABLE: &str = "unreadable";
/// With more rows than this in the table, types that no known version wrote get no row of their own.
const ROWS_FOR_UNKNOWN_TYPES: usize = 1024;

/// The rows that have been used.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    rows: BTreeMap<String, Arc<TypeEntry>>,
    rows_in_store: usize,
}

impl Kinds {
    /// For a store whose table has so many rows.
    pub(super) fn new(rows_in_store: usize) -> Kinds {
        Kinds { rows: BTreeMap::new(), rows_in_store }
    }

    /// The row of an event. The log can have 4,096 of them, and a source can make up any number of types.
    pub(super) fn of(&mut self, event: &SourceEvent) -> Arc<TypeEntry> {
        let variant = variant_of(event);
        let is_own = matches!(variant, OTHER | UNREADABLE) || EventType::from_name(variant).is_some();
        let has_room = self.rows_in_store + self.rows.len() < ROWS_FOR_UNKNOWN_TYPES;
        let variant = if is_own || has_room || self.rows.contains_key(variant) { variant } else { OTHER };
        let make = || {
            let codec = if variant == UNREADABLE { Codec::Bytes } else { Codec::Json };
            Arc::new(TypeEntry { variant: variant.to_owned(), codec, ..TypeEntry::json(TYPE) })
        };
        Arc::clone(self.rows.entry(variant.to_owned()).or_insert_with(make))
    }
}

fn variant_of(event: &SourceEvent) -> &str {
    // Nothing is built: JSON text of any depth is told from other bytes in constant memory.
    if serde_json::from_slice::<serde::de::IgnoredAny>(&event.raw).is_err() || std::str::from_utf8(&event.raw).is_err()
    {
        return UNREADABLE;
    }
    let Some(name) = event.type_name.as_deref().filter(|name| !matches!(*name, OTHER | UNREADABLE)) else {
        return OTHER;
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_legal = (1..=TypeEntry::MAX_NAME_LEN_BYTES).contains(&name.len()) && name.bytes().all(legal);
    if is_legal { name } else { OTHER }
}

/// What a file's kind is called in the log.
pub(super) fn name_of_kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::RunJson => "run-json",
        FileKind::Inputs => "inputs",
        FileKind::State => "state",
        FileKind::Output => "output",
        FileKind::Task => "task",
        FileKind::Result => "result",
        FileKind::Stdout => "stdout",
        FileKind::Stderr => "stderr",
        FileKind::Blob => "blob",
        FileKind::Artifact => "artifact",
        FileKind::Lock => "lock",
        FileKind::JournalBackup => "journal-backup",
        FileKind::OversizeEvent => "oversize-event",
        FileKind::Other => "other",
    }
}
