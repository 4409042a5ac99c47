//! An event's payload in one line, for people.

mod imported;

use serde_json::value::RawValue;
use taffrail::{Checkpoint, Codec, Kind, Mark, OperatorAction, Record, Recovered, RunOpened, TypeRegistered};

use crate::escape;
use crate::payloads::{codec_name, hexadecimal};

/// A payload in one line, escaped: words for the log's own events and for those of imports, the JSON of an application's
/// event, digits for bytes. `data` is the payload as JSON; it is asked for only where the payload itself is no JSON.
#[must_use]
pub fn summary<'data>(record: &Record<'_>, data: impl FnOnce() -> Option<&'data RawValue>) -> String {
    if record.codec() == Codec::Json {
        return match imported::summary(record) {
            Some(words) => escape::text(&words).into_owned(),
            None => escape::bytes(&record.payload).into_owned(),
        };
    }
    let text = own(record).or_else(|| data().map(|json| json.get().to_owned())).unwrap_or_else(|| {
        const SHOWN: usize = 16;
        let more = if record.payload.len() > SHOWN { "..." } else { "" };
        let shown = hexadecimal(&record.payload[..record.payload.len().min(SHOWN)]);
        format!("{} bytes {shown}{more}", record.payload.len())
    });
    escape::text(&text).into_owned()
}

/// The log's own events.
fn own(record: &Record<'_>) -> Option<String> {
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
