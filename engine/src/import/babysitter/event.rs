//! One event file: its bytes, what they say, and what is wrong with them.

use super::event_name::EventName;
use super::javascript_json::{ParseReason, Value};
use super::shape::{BodyError, EventBody, EventType, Fact};
use super::{Checksum, Oddity, OddityCode, Place, SourceEvent};
use crate::storage::check_name;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// An event and its own oddities; those that need other events are found by [`super::order`].
pub(super) struct Interpreted {
    pub(super) event: SourceEvent,
    pub(super) oddities: Vec<Oddity>,
    /// The run's id in the event's own words.
    pub(super) run_id: Option<String>,
}

/// The checksum of an event without its `checksum`: SHA-256 over its `JSON.stringify(event, null, 2)` and a newline.
pub(super) fn checksum_of(event: &Value) -> String {
    let mut hasher = Sha256::new();
    event.stringify(&mut |piece| hasher.update(piece));
    hasher.update(b"\n");
    hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Interprets the bytes of an event file.
pub(super) fn interpret(file: &str, name: &EventName, raw: Vec<u8>) -> Interpreted {
    let mut event = SourceEvent {
        file: file.to_owned(),
        seq: name.seq,
        ulid: name.ulid.clone(),
        type_name: None,
        recorded_at_ns: None,
        checksum: Checksum::Unreadable,
        raw: Vec::new(),
    };
    let mut oddities = Vec::new();
    let mut run_id = None;
    match EventBody::parse(&raw) {
        Ok(body) => {
            event.type_name = body.type_name().map(std::borrow::Cow::into_owned);
            event.recorded_at_ns = body.recorded_at_ns();
            run_id = body.fact(Fact::RunId).map(std::borrow::Cow::into_owned);
            judge_fields(file, name, &body, &mut oddities);
            event.checksum = checksum(file, name, body, &mut oddities);
        }
        Err(error) => oddities.push(body_oddity(file, error)),
    }
    event.raw = raw;
    Interpreted { event, oddities, run_id }
}

/// The oddity of a file that should hold one JSON document.
pub(super) fn body_oddity(file: &str, error: BodyError) -> Oddity {
    match error {
        BodyError::Empty => Oddity::new(file, OddityCode::EmptyFile, Place::File, "no content"),
        BodyError::NotAnObject => {
            Oddity::new(file, OddityCode::MissingField, Place::File, "JSON, but not an object: no field at all")
        }
        BodyError::Json(error) => {
            let code = match error.reason {
                ParseReason::Syntax(_) => OddityCode::UnparsableJson,
                ParseReason::TooDeep | ParseReason::TooManyValues => OddityCode::JsonTooDeep,
            };
            Oddity::new(file, code, Place::Byte(error.offset_bytes), error.to_string())
        }
    }
}

fn place(name: &EventName) -> Place {
    name.seq.map_or(Place::File, Place::Seq)
}

fn judge_fields(file: &str, name: &EventName, body: &EventBody, oddities: &mut Vec<Oddity>) {
    let mut odd = |code, reason: String| oddities.push(Oddity::new(file, code, place(name), reason));
    if !body.is_utf8() {
        odd(OddityCode::ContentNotUtf8, "invalid bytes are read as U+FFFD".to_owned());
    }
    match body.type_name() {
        None => odd(OddityCode::MissingField, "no `type` that is text".to_owned()),
        Some(type_name) if EventType::from_name(&type_name).is_none() => {
            odd(OddityCode::UnknownEventType, format!("type {type_name:?}"));
        }
        Some(_) => {}
    }
    match body.recorded_at() {
        None => odd(OddityCode::MissingField, "no `recordedAt` that is text".to_owned()),
        Some(text) if body.recorded_at_ns().is_none() => {
            odd(OddityCode::MalformedRecordedAt, format!("recordedAt {text:?}"));
        }
        Some(_) => {}
    }
    if body.data().is_none() {
        odd(OddityCode::MissingField, "no `data` that is an object".to_owned());
    }
    for fact in Fact::REFERENCES {
        if let Some(reference) = body.fact(*fact)
            && (check_name(&reference).is_err() || reference.contains(char::is_control))
        {
            odd(OddityCode::ReferenceRefused, format!("{fact:?} {reference:?}"));
        }
    }
}

fn checksum(file: &str, name: &EventName, mut body: EventBody, oddities: &mut Vec<Oddity>) -> Checksum {
    let Some(stored) = body.take_checksum() else {
        oddities.push(Oddity::new(file, OddityCode::MissingChecksum, place(name), "no `checksum`"));
        return Checksum::Missing;
    };
    if !body.is_utf8() {
        return Checksum::Unreadable;
    }
    let computed = checksum_of(body.value());
    let stored_text = stored.as_text();
    if stored_text.as_deref() == Some(computed.as_str()) {
        return Checksum::Valid;
    }
    let stored: String = stored_text.map_or_else(|| stored.to_json(), std::borrow::Cow::into_owned);
    let stored: String = stored.chars().take(128).collect();
    let reason = format!("stored {stored:?}, computed {computed:?}");
    oddities.push(Oddity::new(file, OddityCode::WrongChecksum, place(name), reason));
    Checksum::Invalid { stored, computed }
}
