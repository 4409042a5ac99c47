//! Which events are redacted, and what becomes of them.

use super::json::{Editor, Step, edit, strings};
use super::rules::FieldPath;
use crate::error::{Error, Result};
use crate::{Codec, ErrorKind, Query, Reader, Record, Seq, TypeEntry};
use regex::bytes::Regex;
use std::collections::BTreeSet;

/// What stands in the place of what was taken out.
const MARK: &str = "[redacted]";

/// What to redact.
///
/// Events alone: their whole payloads. Fields: those fields, of the events that are named, or of all. A pattern: what it
/// matches, wherever that stands. Run and type narrow fields and pattern down.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// Seqs.
    pub events: BTreeSet<Seq>,
    /// Fields of JSON payloads.
    pub fields: Vec<FieldPath>,
    /// A regular expression.
    pub pattern: Option<Regex>,
    /// Only events of this run, by name.
    pub run: Option<String>,
    /// Only events of this type: its full name, its name, or its variant.
    pub event_type: Option<String>,
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Its new payload.
    pub(super) payload: Vec<u8>,
    /// The fields that were hit; empty for the whole payload.
    pub(super) fields: Vec<String>,
    /// What was taken out.
    pub(super) removed: BTreeSet<Vec<u8>>,
}

impl Selector {
    /// Whether it names whole events.
    fn is_of_whole_events(&self) -> bool {
        self.fields.is_empty() && self.pattern.is_none()
    }

    /// The events that have to be looked at.
    ///
    /// # Errors
    /// `Invalid` (T0407) where it names nothing; `NotFound` (T0141) for an unknown run.
    pub(super) fn query(&self, reader: &Reader) -> Result<Query> {
        if self.events.is_empty() && self.is_of_whole_events() {
            let message = "there is nothing to redact: name events, fields or a pattern";
            return Err(Error::new(ErrorKind::Invalid, "T0407", message).hint("taffrail log redact --help"));
        }
        let mut query = Query::all();
        if let (Some(first), Some(last)) = (self.events.first(), self.events.last()) {
            query = query.from(*first).until(last.next());
        }
        if let Some(run) = &self.run {
            query = query.run(reader.find_run(run)?.run);
        }
        if let Some(event_type) = &self.event_type {
            query = query.event_type(event_type.clone());
        }
        Ok(query)
    }

    /// Whether an event is looked at.
    pub(super) fn takes(&self, seq: Seq) -> bool {
        self.events.is_empty() || self.events.contains(&seq)
    }

    /// What becomes of a record; `None` where it stays as it is.
    pub(super) fn change(&self, record: &Record<'_>) -> Option<Change> {
        let entry = record.entry.as_deref()?;
        self.takes(record.seq).then(|| self.change_of(entry, &record.payload)).flatten()
    }

    /// What becomes of a payload.
    pub(super) fn change_of(&self, entry: &TypeEntry, payload: &[u8]) -> Option<Change> {
        if self.is_of_whole_events() {
            return whole(payload);
        }
        if entry.codec == Codec::Json {
            let mut editing = Editing { selector: self, fields: BTreeSet::new(), removed: BTreeSet::new() };
            if let Ok(edited) = edit(payload, &mut editing) {
                let Editing { fields, removed, .. } = editing;
                let fields = fields.into_iter().collect();
                return edited.map(|payload| Change { payload, fields, removed });
            }
        }
        let pattern = self.pattern.as_ref().filter(|pattern| pattern.is_match(payload))?;
        if entry.codec == Codec::Bincode {
            // Lengths stand before its texts: no part can be replaced.
            return whole(payload);
        }
        let removed = pattern.find_iter(payload).map(|found| found.as_bytes().to_vec()).collect();
        let payload = pattern.replace_all(payload, regex::bytes::NoExpand(MARK.as_bytes())).into_owned();
        Some(Change { payload, fields: vec!["(pattern)".to_owned()], removed })
    }
}

/// Longest piece of a payload that is searched for elsewhere.
const NEEDLE_LEN_BYTES: usize = 4096;

/// The whole payload goes. What stands in its place names what was there by its digest.
fn whole(payload: &[u8]) -> Option<Change> {
    let is_redacted = payload.len() == 79 && payload.starts_with(b"{\"redacted\":\"") && payload.ends_with(b"\"}");
    if is_redacted || payload.is_empty() {
        return None;
    }
    let digest = blake3::hash(payload).to_hex();
    let mut removed: BTreeSet<Vec<u8>> = strings(payload).into_iter().map(String::into_bytes).collect();
    removed.insert(payload[..payload.len().min(NEEDLE_LEN_BYTES)].to_vec());
    Some(Change { payload: format!("{{\"redacted\":\"{digest}\"}}").into_bytes(), fields: Vec::new(), removed })
}

struct Editing<'a> {
    selector: &'a Selector,
    fields: BTreeSet<String>,
    removed: BTreeSet<Vec<u8>>,
}

impl Editing<'_> {
    /// A string that goes, as it is and as JSON writes it.
    fn take(&mut self, text: &str) {
        self.removed.insert(text.as_bytes().to_vec());
        let written = serde_json::Value::String(text.to_owned()).to_string();
        let inner = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
        self.removed.insert(inner.as_bytes().to_vec());
    }

    fn replaced(&mut self, text: &str) -> Option<String> {
        let pattern = self.selector.pattern.as_ref().filter(|pattern| pattern.is_match(text.as_bytes()))?;
        for found in pattern.find_iter(text.as_bytes()) {
            self.take(&String::from_utf8_lossy(found.as_bytes()));
        }
        self.fields.insert("(pattern)".to_owned());
        let replaced = pattern.replace_all(text.as_bytes(), regex::bytes::NoExpand(MARK.as_bytes()));
        Some(String::from_utf8_lossy(&replaced).into_owned()).filter(|replaced| replaced != text)
    }
}

impl Editor for Editing<'_> {
    fn value(&mut self, path: &[Step], raw: &str) -> Option<String> {
        let field = self.selector.fields.iter().find(|field| field.leads_to(path))?;
        let mark = serde_json::Value::String(MARK.to_owned()).to_string();
        if raw == mark {
            return None;
        }
        strings(raw.as_bytes()).iter().for_each(|text| self.take(text));
        self.removed.insert(raw.as_bytes()[..raw.len().min(NEEDLE_LEN_BYTES)].to_vec());
        self.fields.insert(field.as_str().to_owned());
        Some(mark)
    }

    fn text(&mut self, text: &str) -> Option<String> {
        self.replaced(text)
    }

    fn number(&mut self, raw: &str) -> Option<String> {
        self.replaced(raw).map(|replaced| serde_json::Value::String(replaced).to_string())
    }
}
