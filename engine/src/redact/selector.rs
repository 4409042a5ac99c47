//! Which events are redacted, and what becomes of them.

use super::identify;
use super::json::{Editor, Step, edit, texts};
use super::own;
use super::rules::FieldPath;
use crate::error::{Error, Result};
use crate::{Codec, ErrorKind, Kind, Query, Reader, Record, Seq, TypeEntry};
use regex::bytes::Regex;
use std::collections::BTreeSet;

/// What stands in the place of what was taken out.
pub(super) const MARK: &str = "[redacted]";

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
    pub(super) removed: Vec<Removed>,
}

/// A text that was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Removed {
    /// Where it stood, in words that give nothing of it away.
    pub(super) what: String,
    /// The text.
    pub(super) text: Vec<u8>,
    /// Whether a file that holds it is taken for one that holds what was redacted.
    pub(super) identifies: bool,
    /// Whether a pattern has found it.
    pub(super) is_match: bool,
}

impl Removed {
    pub(super) fn by_pattern(text: &[u8]) -> Removed {
        Removed { what: "the pattern".to_owned(), text: text.to_vec(), identifies: true, is_match: true }
    }

    fn of_field(what: &str, text: &[u8]) -> Removed {
        let identifies = identify::of_field(text);
        Removed { what: what.to_owned(), text: text.to_vec(), identifies, is_match: false }
    }

    fn of_event(what: &str, text: &[u8]) -> Removed {
        let identifies = identify::of_event(text);
        Removed { what: what.to_owned(), text: text.to_vec(), identifies, is_match: false }
    }
}

impl Selector {
    /// Whether it holds for the whole store.
    pub(super) fn is_of_everything(&self) -> bool {
        self.events.is_empty() && self.run.is_none() && self.event_type.is_none()
    }

    /// Whether it names whole events.
    pub(super) fn is_of_whole_events(&self) -> bool {
        self.fields.is_empty() && self.pattern.is_none()
    }

    /// Whether its pattern finds a text by itself in the bytes of any file, as it found it in an event. One that is bound to
    /// the beginning of a text does not, nor does one that knows no escapes.
    pub(super) fn finds_anywhere(&self, text: &[u8]) -> bool {
        let as_written = [b"\"", text, b"\""].concat();
        self.is_of_everything() && self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(&as_written))
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
        let entry = record.entry.as_deref().map(|entry| &**entry);
        self.takes(record.seq).then(|| self.change_at(record.kind, entry, &record.payload)).flatten()
    }

    /// What becomes of a payload: of an application's, or of a remark in a record of the log's own.
    pub(super) fn change_at(&self, kind: Kind, entry: Option<&TypeEntry>, payload: &[u8]) -> Option<Change> {
        match &self.pattern {
            _ if !kind.is_reserved() => self.change_of(entry?, payload),
            Some(pattern) => own::change(pattern, kind, payload),
            None => None,
        }
    }

    /// What becomes of a payload.
    fn change_of(&self, entry: &TypeEntry, payload: &[u8]) -> Option<Change> {
        if self.is_of_whole_events() {
            return whole(payload, texts_of_event(payload));
        }
        let is_hidden = self.pattern.as_ref().is_some_and(|pattern| is_match_in_line(pattern, entry, payload));
        if is_hidden {
            return whole(payload, Vec::new());
        }
        if entry.codec == Codec::Json {
            let mut editing = Editing { selector: self, fields: BTreeSet::new(), removed: Vec::new() };
            if let Ok(edited) = edit(payload, &mut editing) {
                let Editing { fields, removed, .. } = editing;
                let fields = fields.into_iter().collect();
                return edited.map(|payload| Change { payload, fields, removed });
            }
        }
        let pattern = self.pattern.as_ref().filter(|pattern| pattern.is_match(payload))?;
        let removed = pattern.find_iter(payload).map(|found| Removed::by_pattern(found.as_bytes())).collect();
        if entry.codec == Codec::Bincode {
            // Lengths stand before its texts: no part can be replaced.
            return whole(payload, removed);
        }
        let payload = pattern.replace_all(payload, regex::bytes::NoExpand(MARK.as_bytes())).into_owned();
        Some(Change { payload, fields: vec!["(pattern)".to_owned()], removed })
    }
}

/// Longest piece of a payload that is searched for elsewhere.
const NEEDLE_LEN_BYTES: usize = 4096;

/// The whole payload goes. What stands in its place names what was there by its digest.
fn whole(payload: &[u8], removed: Vec<Removed>) -> Option<Change> {
    let is_redacted = payload.len() == 79 && payload.starts_with(b"{\"redacted\":\"") && payload.ends_with(b"\"}");
    if is_redacted || payload.is_empty() {
        return None;
    }
    let digest = blake3::hash(payload).to_hex();
    Some(Change { payload: format!("{{\"redacted\":\"{digest}\"}}").into_bytes(), fields: Vec::new(), removed })
}

/// The payload's beginning, and the texts of one that is JSON.
fn texts_of_event(payload: &[u8]) -> Vec<Removed> {
    let start = &payload[..payload.len().min(NEEDLE_LEN_BYTES)];
    let mut removed = vec![Removed::of_event("the payload", start)];
    for (path, text) in texts(payload) {
        let what = shown(&path);
        removed.extend(forms(&text).iter().map(|form| Removed::of_event(&what, form)));
    }
    removed
}

/// Whether a pattern matches a record of another log's own, which an import has kept in a form that hides its texts.
fn is_match_in_line(pattern: &Regex, entry: &TypeEntry, payload: &[u8]) -> bool {
    crate::import::jsonl::own_payload_of(entry, payload).is_some_and(|own| pattern.is_match(&own))
}

/// A text as it is, and as JSON writes it where that differs: in UTF-8, and with nothing but ASCII, as many programs do.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let written = serde_json::Value::String(text.to_owned()).to_string();
    let inner = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
    let mut ascii = String::with_capacity(inner.len());
    for character in inner.chars() {
        match character {
            _ if character.is_ascii() => ascii.push(character),
            _ => character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| ascii.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    let mut forms = vec![text.as_bytes().to_vec()];
    for form in [inner, ascii.as_str()].map(str::as_bytes) {
        if !forms.iter().any(|known| known == form) {
            forms.push(form.to_vec());
        }
    }
    forms
}

/// A path as `--field` writes it. Keys may be secrets themselves: one that does not look like a name is not shown.
fn shown(path: &[Step]) -> String {
    let mut shown = "data".to_owned();
    for step in path {
        shown.push('.');
        match step {
            Step::Index(index) => shown.push_str(&index.to_string()),
            Step::Key(key) if key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_') => {
                shown.push_str(key);
            }
            Step::Key(_) => shown.push('*'),
        }
    }
    shown
}

struct Editing<'a> {
    selector: &'a Selector,
    fields: BTreeSet<String>,
    removed: Vec<Removed>,
}

impl Editing<'_> {
    fn replaced(&mut self, text: &str) -> Option<String> {
        let pattern = self.selector.pattern.as_ref().filter(|pattern| pattern.is_match(text.as_bytes()))?;
        for found in pattern.find_iter(text.as_bytes()) {
            let forms = forms(&String::from_utf8_lossy(found.as_bytes()));
            self.removed.extend(forms.iter().map(|form| Removed::by_pattern(form)));
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
        let what = field.as_str();
        for (_, text) in texts(raw.as_bytes()) {
            self.removed.extend(forms(&text).iter().map(|form| Removed::of_field(what, form)));
        }
        if raw.starts_with(['{', '[']) {
            self.removed.push(Removed::of_field(what, &raw.as_bytes()[..raw.len().min(NEEDLE_LEN_BYTES)]));
        }
        self.fields.insert(what.to_owned());
        Some(mark)
    }

    fn text(&mut self, _path: &[Step], text: &str) -> Option<String> {
        self.replaced(text)
    }

    fn number(&mut self, _path: &[Step], raw: &str) -> Option<String> {
        self.replaced(raw).map(|replaced| serde_json::Value::String(replaced).to_string())
    }
}
