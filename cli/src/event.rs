//! An event as programs and people see it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use taffrail::{Checkpoint, Codec, Kind, Mark, OperatorAction, Record, Recovered, RunOpened, TypeRegistered};

use crate::escape;

/// `taffrail.event/1`: also what `--where` asks about.
#[derive(Debug, Serialize)]
pub struct EventReport<'record> {
    schema: &'static str,
    seq: u64,
    /// RFC 3339, UTC.
    time: String,
    run: Option<String>,
    /// Its ordinal in the run; 0 for an event of the store.
    revision: u32,
    r#type: String,
    version: Option<u16>,
    hint: bool,
    /// The payload, where it is JSON or the log's own.
    data: Option<Cow<'record, RawValue>>,
    /// Else its bytes, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    segment: u32,
    offset: u64,
    len_bytes: u64,
}

impl<'record> EventReport<'record> {
    /// The report of a record; `run` is the name of its run.
    #[must_use]
    pub fn new(record: &'record Record<'_>, run: Option<String>) -> Self {
        let data = data(record);
        let time_ns = i128::from(record.time_ns);
        let bytes = data.is_none().then(|| hexadecimal(&record.payload));
        Self {
            schema: "taffrail.event/1",
            seq: record.seq.get(),
            time: Timestamp::from_nanosecond(time_ns).map(|time| time.to_string()).unwrap_or_default(),
            run,
            revision: record.revision,
            r#type: record.type_name(),
            version: record.entry.as_ref().map(|entry| entry.version),
            hint: record.hint,
            data,
            bytes,
            segment: record.segment.get(),
            offset: record.offset,
            len_bytes: record.frame_len,
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A payload as JSON; `None` where it is not, whatever its type says.
fn data<'record>(record: &'record Record<'_>) -> Option<Cow<'record, RawValue>> {
    if record.codec() == Codec::Json {
        let raw: &RawValue = serde_json::from_slice(&record.payload).ok()?;
        return Some(Cow::Borrowed(raw));
    }
    let own = own_data(record)?;
    serde_json::value::to_raw_value(&own).ok().map(Cow::Owned)
}

/// The bodies of the log's own events.
fn own_data(record: &Record<'_>) -> Option<Value> {
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

fn codec_name(codec: Codec) -> String {
    match codec {
        Codec::Bytes => "bytes".to_owned(),
        Codec::Json => "json".to_owned(),
        Codec::Bincode => "bincode".to_owned(),
        Codec::Other(number) => format!("codec {number}"),
    }
}

/// A payload in one line, escaped: the JSON of an application's event, words for the log's own, digits for bytes.
#[must_use]
pub fn summary(record: &Record<'_>) -> String {
    if record.codec() == Codec::Json {
        return escape::bytes(&record.payload).into_owned();
    }
    let text = own_summary(record).unwrap_or_else(|| {
        const SHOWN: usize = 16;
        let more = if record.payload.len() > SHOWN { "..." } else { "" };
        let shown = hexadecimal(&record.payload[..record.payload.len().min(SHOWN)]);
        format!("{} bytes {shown}{more}", record.payload.len())
    });
    escape::text(&text).into_owned()
}

fn own_summary(record: &Record<'_>) -> Option<String> {
    let payload = &record.payload;
    Some(match record.kind {
        Kind::RUN_OPENED => {
            let opened = RunOpened::decode(payload).ok()?;
            let parent = opened.parent.map(|parent| format!(", made by run #{parent}")).unwrap_or_default();
            format!("{}{parent}", opened.name)
        }
        Kind::TYPE_REGISTERED => {
            let entry = TypeRegistered::decode(payload).ok()?.entry;
            format!("{} version {}, {}", entry.full_name(), entry.version, codec_name(entry.codec))
        }
        Kind::MARK => {
            let mark = Mark::decode(payload).ok()?;
            if mark.note.is_empty() { mark.name } else { format!("{}: {:?}", mark.name, mark.note) }
        }
        Kind::OPERATOR_ACTION => {
            let action = OperatorAction::decode(payload).ok()?;
            format!("{} by {}: {:?}", action.verb, action.actor, action.reason)
        }
        Kind::RECOVERED => {
            let cut = Recovered::decode(payload).ok()?;
            format!(
                "cut {} torn bytes at seg {}+{:#x}, kept in {}",
                cut.len_bytes, cut.segment, cut.offset, cut.kept_in
            )
        }
        Kind::CHECKPOINT => {
            let point = Checkpoint::decode(payload).ok()?;
            let digest = hexadecimal(&point.digest[..4]);
            format!("{} version {} at revision {}: {digest}...", point.fold, point.version, point.revision)
        }
        _ => return None,
    })
}
