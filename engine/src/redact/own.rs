//! Texts in records of the log's own: what people have written there, and what can be rewritten of it.
//!
//! A mark's note and an operator's reason are remarks, and nothing refers to them: what a pattern matches there is replaced.
//! Names are what other records, positions and programs refer to: they stay, and the plan says so.

use super::selector::{Change, MARK, Removed};
use crate::{Checkpoint, Kind, Mark, OperatorAction, RunOpened, TypeRegistered};
use regex::bytes::Regex;
use serde::Serialize;

/// Where a text stands that is not taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StaysIn {
    /// A run's name.
    RunName,
    /// A type's name or schema.
    TypeName,
    /// The name of a fold, or of the build that folded.
    FoldName,
    /// A mark's name.
    MarkName,
    /// What an operator event tells of what was done.
    OperatorDetail,
    /// An event that the selection leaves out, or another part of one that it does not.
    Event,
}

impl StaysIn {
    /// What can be done about it.
    #[must_use]
    pub fn instead(self) -> &'static str {
        match self {
            StaysIn::RunName => {
                "names are what runs are known by: export the log as lines, change the name there, and import them into a \
                 new store"
            }
            StaysIn::TypeName | StaysIn::FoldName => {
                "the program that appends gives that name: change it there, and import an export into a new store"
            }
            StaysIn::MarkName | StaysIn::OperatorDetail => "an export of the runs alone leaves it behind",
            StaysIn::Event => "take it out with --pattern, or name those events as well",
        }
    }
}

impl std::fmt::Display for StaysIn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            StaysIn::RunName => "a run's name",
            StaysIn::TypeName => "a type's name",
            StaysIn::FoldName => "a fold's name",
            StaysIn::MarkName => "a mark's name",
            StaysIn::OperatorDetail => "an operator event",
            StaysIn::Event => "an event",
        })
    }
}

/// The kinds that have any of them, as queries name them.
pub(super) const KINDS: [&str; 5] = ["RunOpened", "TypeRegistered", "Checkpoint", "Mark", "OperatorAction"];

/// The texts of a record of the log's own that can not be rewritten.
pub(super) fn names(kind: Kind, payload: &[u8]) -> Vec<(StaysIn, String)> {
    let found = match kind {
        Kind::RUN_OPENED => RunOpened::decode(payload).ok().map(|opened| vec![(StaysIn::RunName, opened.name)]),
        Kind::TYPE_REGISTERED => TypeRegistered::decode(payload).ok().map(|registered| {
            let entry = registered.entry;
            let schema = String::from_utf8_lossy(&entry.descriptor).into_owned();
            [entry.name, entry.variant, schema].map(|text| (StaysIn::TypeName, text)).to_vec()
        }),
        Kind::CHECKPOINT => Checkpoint::decode(payload)
            .ok()
            .map(|checkpoint| [checkpoint.fold, checkpoint.build].map(|text| (StaysIn::FoldName, text)).to_vec()),
        Kind::MARK => Mark::decode(payload).ok().map(|mark| vec![(StaysIn::MarkName, mark.name)]),
        Kind::OPERATOR_ACTION => OperatorAction::decode(payload).ok().map(|action| {
            [action.verb, action.actor, action.detail].map(|text| (StaysIn::OperatorDetail, text)).to_vec()
        }),
        _ => None,
    };
    found.unwrap_or_default()
}

/// What becomes of a record of the log's own where a pattern matches a remark in it.
pub(super) fn change(pattern: &Regex, kind: Kind, payload: &[u8]) -> Option<Change> {
    let mut removed = Vec::new();
    let mut replaced = |text: &str| {
        pattern.is_match(text.as_bytes()).then(|| {
            let found = pattern.find_iter(text.as_bytes()).map(|found| Removed::by_pattern(found.as_bytes()));
            removed.extend(found);
            let bytes = pattern.replace_all(text.as_bytes(), regex::bytes::NoExpand(MARK.as_bytes()));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let (payload, field) = match kind {
        Kind::MARK => {
            let mark = Mark::decode(payload).ok()?;
            let note = replaced(&mark.note).filter(|note| *note != mark.note)?;
            (Mark { note, ..mark }.encode(), "note")
        }
        Kind::OPERATOR_ACTION => {
            let action = OperatorAction::decode(payload).ok()?;
            let reason = replaced(&action.reason).filter(|reason| *reason != action.reason)?;
            (OperatorAction { reason, ..action }.encode(), "reason")
        }
        _ => return None,
    };
    Some(Change { payload, fields: vec![field.to_owned()], removed })
}
