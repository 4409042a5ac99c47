//! What the files of an imported run say: how questions were answered, and where they contradict the journal.
//!
//! The import keeps the files as blobs and notes their names. A fold does not read them; a report may.

use crate::Reader;
use crate::blob::{Blobs, Digest};
use crate::run::content::Content;
use crate::run::finding::{Finding, Problem};
use crate::run::notes::RunNotes;
use crate::run::state::RunState;
use crate::run::status::WaitKind;
use crate::run::step::{Step, StepStatus};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest file that is looked into, in bytes.
const MOST_LEN_BYTES: usize = 16 << 20;
/// The file that an orchestrator keeps its own state in.
const STATE_FILE: &str = "state/state.json";

/// How a question was answered, as the source says: claimed, not proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Yes or no.
    pub approved: bool,
    /// By whom; may be empty.
    pub by: String,
    /// What was said; may be empty.
    pub feedback: String,
}

impl Answer {
    fn read(result: &Value) -> Option<Answer> {
        let text = |keys: &[&str]| keys.iter().find_map(|key| result.get(key)?.as_str()).unwrap_or_default().to_owned();
        Some(Answer {
            approved: result.get("approved")?.as_bool()?,
            by: text(&["respondedBy", "approvedBy"]),
            feedback: text(&["feedback", "response"]),
        })
    }
}

/// What was read of the files.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) answers: BTreeMap<String, Answer>,
    pub(super) findings: Vec<Finding>,
}

/// The files of one run's source.
pub(super) struct SourceFiles<'n> {
    blobs: Option<Blobs>,
    notes: &'n RunNotes,
}

impl<'n> SourceFiles<'n> {
    pub(super) fn of(reader: &Reader, notes: &'n RunNotes) -> SourceFiles<'n> {
        SourceFiles { blobs: reader.storage().map(|storage| Blobs::new(Arc::clone(storage))), notes }
    }

    /// A file's JSON. `None` where the source had no such file.
    fn read(&self, name: &str) -> Option<Result<Value, String>> {
        let (blobs, digest) = (self.blobs.as_ref()?, self.notes.files.get(name)?);
        let digest = Digest::parse(digest)?;
        let bytes = blobs.get(&digest, MOST_LEN_BYTES).map_err(|error| error.to_string());
        Some(bytes.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string())))
    }

    /// Compares what the journal comes to with the results of the steps, and with the orchestrator's own state.
    pub(super) fn check(&self, state: &RunState) -> Checked {
        let mut checked = Checked::default();
        if self.notes.files.is_empty() {
            return checked;
        }
        for (name, step) in &state.steps {
            self.check_step(&mut checked, name, step);
        }
        if let Some(cache) = self.read(STATE_FILE) {
            match cache {
                Ok(cache) => self.check_cache(&mut checked, state, &cache),
                Err(why) => checked.disagrees(STATE_FILE, why),
            }
        }
        checked
    }

    fn check_step(&self, checked: &mut Checked, name: &str, step: &Step) {
        let Some(source_id) = &step.source_id else { return };
        let (file, is_referred_to) = match &step.result {
            Content::File(file) => (file.clone(), true),
            Content::Inline(json) => {
                checked.answer(name, step, &json.value());
                return;
            }
            Content::None | Content::Blob { .. } => (format!("tasks/{source_id}/result.json"), false),
        };
        match self.read(&file) {
            None if is_referred_to => checked.disagrees(&file, format!("{name} refers to it, and it is not there")),
            None => {}
            Some(Err(why)) => checked.disagrees(&file, why),
            Some(Ok(found)) => {
                let status = found.get("status").and_then(Value::as_str).and_then(status_of_result);
                if let Some(status) = status.filter(|status| *status != step.status) {
                    let (says, is) = (status.as_str(), step.status.as_str());
                    checked.disagrees(&file, format!("it says {says}, and by the journal {name} is {is}"));
                }
                let says = found.pointer("/error/message").and_then(Value::as_str);
                let is = step.error.as_deref().unwrap_or_default();
                if let Some(says) = says.filter(|says| !is.contains(says)) {
                    checked.disagrees(&file, format!("it says {says:?}, and by the journal {name} ended with {is:?}"));
                }
                let result = found.get("value").or_else(|| found.get("result"));
                result.into_iter().for_each(|result| checked.answer(name, step, result));
            }
        }
    }

    /// Compares with the orchestrator's own state, if that is of the whole journal: it may lag behind.
    fn check_cache(&self, checked: &mut Checked, state: &RunState, cache: &Value) {
        let head = cache.pointer("/journalHead/seq").and_then(Value::as_u64);
        if head.is_none() || head != self.notes.last_source_seq {
            return;
        }
        let known = cache.get("effectsByInvocation").and_then(Value::as_object);
        for effect in known.into_iter().flat_map(serde_json::Map::values) {
            let text = |key: &str| effect.get(key).and_then(Value::as_str);
            let Some(source_id) = text("effectId") else { continue };
            let Some(step) = state.source_ids.get(source_id).and_then(|name| state.steps.get(name)) else {
                checked.disagrees(STATE_FILE, format!("it knows {source_id}, and the journal does not"));
                continue;
            };
            let says = text("status").unwrap_or_default();
            if status_of_cache(says) != Some(step.status) {
                let is = step.status.as_str();
                checked
                    .disagrees(STATE_FILE, format!("it says {says:?} of {source_id}, and by the journal it is {is}"));
            }
        }
        let mut open: BTreeMap<&str, u64> = BTreeMap::new();
        for step in state.steps.values().filter(|step| step.is_open()) {
            *open.entry(step.kind.as_str()).or_default() += 1;
        }
        let pending = cache.get("pendingEffectsByKind").and_then(Value::as_object);
        let says = pending.into_iter().flatten().filter_map(|(kind, count)| Some((kind.as_str(), count.as_u64()?)));
        let says: BTreeMap<&str, u64> = says.filter(|(_, count)| *count > 0).collect();
        if pending.is_some() && says != open {
            checked.disagrees(STATE_FILE, format!("it waits for {says:?}, and by the journal it is {open:?}"));
        }
    }
}

impl Checked {
    fn disagrees(&mut self, file: &str, why: String) {
        if self.findings.len() < Finding::MOST_LISTED {
            self.findings.push(Finding::new(Problem::SourceDisagrees, None, file, why));
        }
    }

    fn answer(&mut self, name: &str, step: &Step, result: &Value) {
        let answer = Answer::read(result).filter(|_| step.wait() == Some(WaitKind::Approval));
        if let Some(answer) = answer {
            self.answers.insert(name.to_owned(), answer);
        }
    }
}

fn status_of_result(status: &str) -> Option<StepStatus> {
    match status {
        "ok" => Some(StepStatus::Ok),
        "error" => Some(StepStatus::Error),
        "cancelled" => Some(StepStatus::Cancelled),
        _ => None,
    }
}

fn status_of_cache(status: &str) -> Option<StepStatus> {
    match status {
        "requested" => Some(StepStatus::Requested),
        "resolved_ok" => Some(StepStatus::Ok),
        "resolved_error" => Some(StepStatus::Error),
        "cancelled" => Some(StepStatus::Cancelled),
        _ => None,
    }
}
