use super::Digest;
use crate::fold::{Event, decode_event};
use crate::import::record::{Files, Note, TYPE as IMPORT};
use crate::run::RunEvent;
use crate::{Codec, TypeEntry};

/// The blobs that an event names, each with what it is to the event, in words: those of the types that this library
/// writes. A payload that is not what its type says names none; that is another finding.
pub(crate) fn named_by(entry: &TypeEntry, payload: &[u8]) -> Vec<(String, Digest)> {
    match (entry.name.as_str(), entry.codec) {
        (IMPORT, Codec::Json) if entry.variant == Files::VARIANT => {
            let files = serde_json::from_slice::<Files>(payload).map(|files| files.files).unwrap_or_default();
            let kept =
                |file: crate::import::record::FileNote| (format!("the imported file {}", file.file), file.digest);
            files.into_iter().map(kept).collect()
        }
        (RunEvent::TYPE, Codec::Bincode) if entry.version == RunEvent::VERSION => {
            let Ok(event) = decode_event::<RunEvent>(payload) else { return Vec::new() };
            let named = event.change.blobs();
            let digests = named.into_iter().filter_map(|(what, text)| {
                let digits = text.strip_prefix("blake3:").unwrap_or(text);
                Digest::parse(digits).map(|digest| (format!("its {what}"), digest))
            });
            digests.collect()
        }
        _ => Vec::new(),
    }
}
