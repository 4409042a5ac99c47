//! Payloads as JSON, whoever wrote them: what is JSON already, the log's own records, and the values of programs that this
//! binary does not know, through the schemas that they left in the log.

use std::borrow::Cow;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use taffrail::fold::Schemas;
use taffrail::{Checkpoint, Codec, Kind, Mark, OperatorAction, Reader, Record, Recovered, RunOpened, TypeRegistered};

/// Reads payloads while events go by. The log's schemas are looked up once, when the first event asks for one.
#[derive(Debug, Default)]
pub struct Payloads {
    schemas: Option<Schemas>,
}

impl Payloads {
    /// A payload as JSON; `None` where it is not what its type says, or where nothing says what it is.
    pub fn json<'record>(&mut self, reader: &Reader, record: &'record Record<'_>) -> Option<Cow<'record, RawValue>> {
        let value = match record.codec() {
            Codec::Json => {
                let raw: &RawValue = serde_json::from_slice(&record.payload).ok()?;
                return Some(Cow::Borrowed(raw));
            }
            Codec::Bincode if record.entry.is_some() => self.by_schema(reader, record)?,
            _ => own(record)?,
        };
        to_raw_value(&value).ok().map(Cow::Owned)
    }

    /// Looks the schemas up again when the next event asks: a log that is followed gains types.
    pub fn look_again(&mut self) {
        self.schemas = None;
    }

    fn by_schema(&mut self, reader: &Reader, record: &Record<'_>) -> Option<Value> {
        let fingerprint = record.entry.as_ref()?.fingerprint?;
        // Where the types cannot be read, bytes have to do: the damage itself is told by what is reading.
        let schemas = self
            .schemas
            .get_or_insert_with(|| reader.type_table().map(|types| Schemas::of(&types)).unwrap_or_default());
        schemas.get(&fingerprint)?.decode(&record.payload).ok()
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a codec is called.
#[must_use]
pub fn codec_name(codec: Codec) -> String {
    match codec {
        Codec::Bytes => "bytes".to_owned(),
        Codec::Json => "json".to_owned(),
        Codec::Bincode => "bincode".to_owned(),
        Codec::Other(number) => format!("codec {number}"),
    }
}

/// The bodies of the log's own events.
fn own(record: &Record<'_>) -> Option<Value> {
    let payload = &record.payload;
    match record.kind {
        Kind::RUN_OPENED => {
            let opened = RunOpened::decode(payload).ok()?;
            Some(json!({"name": opened.name, "parent": opened.parent.map(taffrail::Seq::get)}))
        }
        Kind::TYPE_REGISTERED => {
            let entry = TypeRegistered::decode(payload).ok()?.entry;
            let codec = codec_name(entry.codec);
            Some(json!({"type": entry.full_name(), "version": entry.version, "codec": codec, "hint": entry.hint}))
        }
        Kind::MARK => {
            let mark = Mark::decode(payload).ok()?;
            Some(json!({"name": mark.name, "note": mark.note}))
        }
        Kind::OPERATOR_ACTION => {
            let action = OperatorAction::decode(payload).ok()?;
            let plan = hexadecimal(&action.plan);
            let OperatorAction { verb, reason, actor, detail, .. } = action;
            Some(json!({"verb": verb, "plan": plan, "reason": reason, "actor": actor, "detail": detail}))
        }
        Kind::RECOVERED => {
            let Recovered { first, segment, offset, len_bytes, kept_in, .. } = Recovered::decode(payload).ok()?;
            let first = first.get();
            Some(
                json!({"first": first, "segment": segment, "offset": offset, "len_bytes": len_bytes, "kept_in": kept_in}),
            )
        }
        Kind::CHECKPOINT => {
            let Checkpoint { fold, version, run, revision, digest, .. } = Checkpoint::decode(payload).ok()?;
            let (run, digest) = (run.map(taffrail::Seq::get), hexadecimal(&digest));
            Some(json!({"fold": fold, "version": version, "run": run, "revision": revision, "digest": digest}))
        }
        _ => None,
    }
}
