//! What redactions have taken away, as their operator events tell: which payloads, and which files.
//!
//! The event stands in the log before anything is removed. So of a file that is not there any more, and of a payload that is
//! another one, the log can say why.

use crate::blob::Digest;
use crate::error::Result;
use crate::import::jsonl::{may_be_of_another_log, operator_action_of};
use crate::log::inspector::Inspector;
use crate::log::piece::Piece;
use crate::storage::Storage;
use crate::{Footer, Kind, OperatorAction, TypeTable};
use std::collections::BTreeMap;

/// What an operator event calls a redaction.
pub(crate) const REDACT: &str = "redact";

/// What one operator event tells of a redaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Seqs, each with the BLAKE3 of the payload that was there, in hexadecimal.
    pub(crate) events: Vec<(u64, String)>,
    /// Files, relative to the store, each with the BLAKE3 of what it held.
    pub(crate) files: Vec<(String, String)>,
}

impl Told {
    /// What an operator event tells, if it tells of a redaction.
    pub(crate) fn of(action: &OperatorAction) -> Option<Told> {
        if action.verb != REDACT {
            return None;
        }
        let detail: serde_json::Value = serde_json::from_str(&action.detail).ok()?;
        let pairs = |key: &str| detail[key].as_array().cloned().unwrap_or_default().into_iter();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        Some(Told {
            events: pairs("events").filter_map(|pair| Some((pair[0].as_u64()?, text(&pair[1])?))).collect(),
            files: pairs("forgotten").filter_map(|pair| Some((text(&pair[0])?, text(&pair[1])?))).collect(),
        })
    }
}

/// Files that redactions have removed, each with the seq of the first event that tells of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forgotten {
    files: BTreeMap<String, u64>,
}

impl Forgotten {
    /// Reads through a log, over damage. Events that came from another log with an import tell as well.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn read(storage: &dyn Storage) -> Result<Forgotten> {
        let mut forgotten = Forgotten::default();
        let mut types = TypeTable::new();
        let mut inspector = Inspector::open(storage)?;
        inspector.skims = Some(tells_nothing);
        inspector.walk(&mut |piece| {
            let Piece::Frame(frame) = piece else { return Ok(()) };
            let action = match frame.header.kind {
                Kind::OPERATOR_ACTION => OperatorAction::decode(&frame.payload()).ok(),
                Kind::TYPE_TABLE => {
                    types = TypeTable::decode(&frame.payload()).unwrap_or_else(|_| std::mem::take(&mut types));
                    None
                }
                Kind::TYPE_REGISTERED => {
                    if let Ok(registered) = crate::TypeRegistered::decode(&frame.payload()) {
                        let _known_already = types.register(registered);
                    }
                    None
                }
                kind => types.get(kind).and_then(|entry| operator_action_of(entry, &frame.payload())),
            };
            for (file, _) in action.as_ref().and_then(Told::of).unwrap_or_default().files {
                forgotten.files.entry(file).or_insert_with(|| frame.header.seq.get());
            }
            Ok(())
        })?;
        Ok(forgotten)
    }

    /// The blobs among them.
    pub(crate) fn blobs(&self) -> BTreeMap<Digest, u64> {
        self.files.iter().filter_map(|(file, seq)| Some((blob_of(file)?, *seq))).collect()
    }

    /// The seq of the event that tells that a file was removed.
    pub(crate) fn seq_of(&self, file: &str) -> Option<u64> {
        self.files.get(file).copied()
    }
}

/// Whether a footer says that no redaction is told of in its segment: all events are of runs, and a redaction is told of in one
/// that is of none. A segment's own type table stands at its front, so nothing of a segment that is passed over is missed.
fn tells_nothing(footer: &Footer) -> bool {
    let of_runs = footer.runs.as_ref().map(|runs| runs.values().map(|entry| u64::from(entry.count)).sum::<u64>());
    of_runs == Some(footer.events) && !footer.types.rows().any(|(_, entry)| may_be_of_another_log(entry))
}

/// The blob that a file is.
pub(crate) fn blob_of(file: &str) -> Option<Digest> {
    let digest = Digest::parse(file.rsplit_once('/')?.1)?;
    (crate::blob::file_of(&digest) == file).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_redactions_tell_and_what_is_malformed_tells_nothing() {
        let action = |verb: &str, detail: &str| OperatorAction {
            verb: verb.to_owned(),
            plan: [0; 32],
            reason: String::new(),
            actor: String::new(),
            detail: detail.to_owned(),
        };
        let detail = r#"{"events":[[7,"aa"],["x"],[8]],"forgotten":[["blobs/aa/b","bb"],["only"],3]}"#;
        let told = Told::of(&action("redact", detail)).unwrap();
        assert_eq!(told.events, [(7, "aa".to_owned())]);
        assert_eq!(told.files, [("blobs/aa/b".to_owned(), "bb".to_owned())]);
        assert_eq!(Told::of(&action("repair", detail)), None);
        assert_eq!(Told::of(&action("redact", "{")), None);
        assert_eq!(Told::of(&action("redact", "{}")), Some(Told::default()));
    }
}
