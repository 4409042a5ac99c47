//! Steps: what was requested, and what came of it.

use crate::run::content::Content;
use crate::run::event::{Outcome, Reversibility};
use crate::run::moment::{Moment, Rewindable};
use crate::run::status::WaitKind;
use crate::run::text::Text;
use serde::{Deserialize, Serialize};

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// It was requested, and has not ended.
    Requested,
    /// It was done.
    Ok,
    /// It failed.
    Error,
    /// It took too long.
    TimedOut,
    /// Whoever did it died.
    Interrupted,
    /// It was not to be done any more.
    Cancelled,
    /// Nobody waited for it any more.
    Abandoned,
}

impl StepStatus {
    /// Its name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StepStatus::Requested => "requested",
            StepStatus::Ok => "ok",
            StepStatus::Error => "error",
            StepStatus::TimedOut => "timed_out",
            StepStatus::Interrupted => "interrupted",
            StepStatus::Cancelled => "cancelled",
            StepStatus::Abandoned => "abandoned",
        }
    }
}

impl From<Outcome> for StepStatus {
    fn from(outcome: Outcome) -> StepStatus {
        match outcome {
            Outcome::Ok => StepStatus::Ok,
            Outcome::Error => StepStatus::Error,
            Outcome::TimedOut => StepStatus::TimedOut,
            Outcome::Interrupted => StepStatus::Interrupted,
        }
    }
}

/// One attempt of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// How far it is.
    pub status: StepStatus,
    /// `command`, `task`, `timer`, `approval`, or what the source calls it.
    pub kind: Text,
    /// For people; may be empty.
    pub label: Text,
    /// The name that an imported run's source has for it.
    pub source_id: Option<Text>,
    /// What is to be done.
    pub request: Content,
    /// Its digest.
    pub request_digest: Option<Text>,
    /// How often it may happen.
    pub reversibility: Reversibility,
    /// Digest of the approved subject, for what needed an approval.
    pub requires: Option<Text>,
    /// When a timer ends, in nanoseconds since 1970.
    pub due_ns: Option<i64>,
    /// When it was requested.
    pub requested: Moment,
    /// When it ended.
    pub ended: Option<Moment>,
    /// How long it took by the log's clock, in milliseconds; `None` while it is open, and where the clock stepped back.
    pub ms: Option<u64>,
    /// What came of it.
    pub result: Content,
    /// What went wrong, or why it was given up.
    pub error: Option<Text>,
}

/// How a step ended.
#[derive(Clone, Debug)]
pub(super) struct StepEnd {
    pub(super) status: StepStatus,
    pub(super) result: Content,
    pub(super) error: Option<Text>,
}

impl Step {
    /// Whether it has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.status == StepStatus::Requested
    }

    /// Whether something came of it: it was done, or failed, or nobody knows.
    #[must_use]
    pub fn has_result(&self) -> bool {
        matches!(self.status, StepStatus::Ok | StepStatus::Error | StepStatus::TimedOut | StepStatus::Interrupted)
    }

    /// Whether nothing makes up for it once it was requested. What nobody has said anything about is taken for the worst,
    /// but for questions and for the clock: they change nothing.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self.reversibility {
            Reversibility::Irreversible => true,
            Reversibility::Unstated => !matches!(self.wait(), Some(WaitKind::Approval | WaitKind::Timer)),
            Reversibility::Pure | Reversibility::Idempotent | Reversibility::Compensable => false,
        }
    }

    /// What the run waits for while it is open.
    #[must_use]
    pub fn wait(&self) -> Option<WaitKind> {
        WaitKind::of_effect_bytes(self.kind.as_bytes())
    }

    pub(super) fn end(&mut self, at: Moment, end: StepEnd) {
        self.status = end.status;
        self.ended = Some(at);
        self.ms = at.ms_since(self.requested);
        self.result = end.result;
        self.error = end.error;
    }
}

impl Rewindable for Step {
    fn go_back(&mut self, event: u64) -> bool {
        if super::moment::moment_back(&mut self.ended, event) {
            self.status = StepStatus::Requested;
            (self.ms, self.result, self.error) = (None, Content::None, None);
        }
        self.requested.event <= event
    }
}

/// The key and the attempt in a step's name: `publish#2` is the second attempt of `publish`. `None` for a name that this
/// library does not give: empty, an attempt below 2 written out, or with leading zeros.
#[must_use]
pub fn step_name(name: &str) -> Option<(&str, u32)> {
    let Some(mark) = name.bytes().rposition(|byte| byte == b'#') else {
        return (!name.is_empty()).then_some((name, 1));
    };
    let (key, attempt) = (&name[..mark], &name[mark + 1..]);
    let number: u32 = attempt.parse().ok()?;
    let is_plain = !key.is_empty() && !key.contains('#') && number >= 2 && attempt == number.to_string();
    is_plain.then_some((key, number))
}

/// The name of an attempt: the key alone for the first one.
#[must_use]
pub fn attempt_name(key: &str, attempt: u32) -> String {
    if attempt <= 1 { key.to_owned() } else { format!("{key}#{attempt}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_keys_with_attempts() {
        for (name, parts) in [
            ("test", Some(("test", 1))),
            ("publish#2", Some(("publish", 2))),
            ("fan/3/fetch#10", Some(("fan/3/fetch", 10))),
            ("", None),
            ("#2", None),
            ("a#1", None),
            ("a#02", None),
            ("a#+2", None),
            ("a#", None),
            ("a#b", None),
            ("a#2#3", None),
            ("a#4294967296", None),
        ] {
            assert_eq!(step_name(name), parts, "{name:?}");
            if let Some((key, attempt)) = parts {
                assert_eq!(attempt_name(key, attempt), name);
            }
        }
    }
}
