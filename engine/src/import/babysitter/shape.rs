//! Where an event keeps what: the facts that a mapping to run events needs, and how versions differ.
//!
//! [`paths`] is the whole table. A fact has a list of dotted paths below the event's `data`, tried in order; the first one
//! that holds text counts. Nothing is guessed: an absent fact is `None`.
//!
//! # What varies
//! - `sdkVersion` is written since 6.0.0; events that `run:repair` or `run:recover-process-error` rewrote lack it.
//! - `RUN_CREATED`: `entrypoint` is an object `{importPath, exportName}`, in hand-made fixtures a string, in some absent;
//!   `inputs` stand inline in old fixtures, else in the file that `inputsRef` names. A run that was created without a
//!   process gets one by `PROCESS_ASSIGNED`.
//! - `EFFECT_REQUESTED`: `stepId` is positional (`S000001`) in everything before 6.0.0, then made of task, scope, digest
//!   and ordinal (`work.default.41155eb8b1a7.0`), or the key that the process gave; `invocationKey` is
//!   `<process>:<step>:<task>`;
//!   fixtures lack step, key, hash and `taskDefRef`, and say `title` for `label`, `question` for the prompt of a
//!   breakpoint. The effect's id is an ULID, in fixtures any text.
//! - `EFFECT_RESOLVED`: `status` is `ok` or `error`, absent in one fixture that has its `result` inline. With `error`, the
//!   error object stands in the event, before or after the times. `breakpointId` since 6.0.0. A rejected breakpoint is
//!   `ok`: only the result file says `approved: false`, together with `respondedBy`, `option` and `feedback`.
//! - `RUN_COMPLETED`: `outputRef` (6.0.0), earlier `runId` and mostly `status`. `RUN_FAILED`: `runId`, `error`; never
//!   seen from 6.0.0, which appends `PROCESS_RUNTIME_ERROR` instead, and leaves the run open.
//! - After a repair, or a recovery, all events bear new ULIDs and new checksums; the journal before it stands in
//!   `journal.bak.<ms>/` or `journal.process-error.bak.<ms>/`.

use super::javascript_json::{ParseError, Value, parse};
use super::time::parse_ns;
use std::borrow::Cow;

macro_rules! event_types {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// The event types that some version wrote.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum EventType { $($(#[doc = $doc])+ $variant,)+ }

        impl EventType {
            /// Every type, in the order of the declaration.
            pub const ALL: &'static [EventType] = &[$(EventType::$variant),+];

            /// Its name in the source.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(EventType::$variant => $name),+ }
            }
        }
    };
}

event_types! {
    /// The first event of a run.
    RunCreated => "RUN_CREATED",
    /// A run got its process later.
    ProcessAssigned => "PROCESS_ASSIGNED",
    /// The process file was edited between two iterations.
    ProcessCodeHashChanged => "PROCESS_CODE_HASH_CHANGED",
    /// Something is to be done by somebody.
    EffectRequested => "EFFECT_REQUESTED",
    /// It was done, or failed.
    EffectResolved => "EFFECT_RESOLVED",
    /// It is not to be done any more.
    EffectCancelled => "EFFECT_CANCELLED",
    /// Tokens and dollars, of an effect or of the run.
    CostTracked => "COST_TRACKED",
    /// A line of the process's own log; numbered by `logSeq`.
    ProcessLog => "PROCESS_LOG",
    /// The harness wanted to stop, and was let or kept going.
    StopHookInvoked => "STOP_HOOK_INVOKED",
    /// The process function threw.
    ProcessRuntimeError => "PROCESS_RUNTIME_ERROR",
    /// The process function returned.
    RunCompleted => "RUN_COMPLETED",
    /// The process stopped itself (`reason`, `payload`), for example over budget.
    RunHalted => "RUN_HALTED",
    /// The run failed (before 6.0.0).
    RunFailed => "RUN_FAILED",
    /// A hint of an older version; not in any journal seen.
    EffectProgress => "EFFECT_PROGRESS",
    /// An iteration of an older version; not in any journal seen.
    RunIteration => "RUN_ITERATION",
    /// An iteration began (one fixture of 2026-07): `iteration` is a number.
    IterationStarted => "ITERATION_STARTED",
}

impl EventType {
    /// The type of a name; `None` for one that no known version wrote.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event_type| event_type.as_str() == name)
    }
}

/// What a mapping wants to know of an event. References are paths relative to the run's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// The run, as the event names it.
    RunId,
    /// The process, by its id.
    ProcessId,
    /// The module of the process.
    Entrypoint,
    /// SHA-256 of the process file.
    ProcessCodeHash,
    /// The file with the run's inputs.
    InputsRef,
    /// The effect that the event is about; names a directory in `tasks/`.
    EffectId,
    /// What the source finds an effect again by: `<process>:<step>:<task>`.
    InvocationKey,
    /// The step.
    StepId,
    /// The definition that the step uses.
    TaskId,
    /// agent, shell, node, skill, breakpoint, sleep, orchestrator_task, subprocess.
    Kind,
    /// What people read.
    Label,
    /// The prompt of a breakpoint, where it stands in the event.
    Question,
    /// The file with the request in full.
    TaskRef,
    /// How it ended.
    Status,
    /// The file with the result.
    ResultRef,
    /// The file with the standard output.
    StdoutRef,
    /// The file with the standard error.
    StderrRef,
    /// The file with the run's output.
    OutputRef,
    /// What a person or a hook gave as the reason.
    Reason,
    /// The name of the error's class.
    ErrorName,
    /// The error, in words.
    ErrorMessage,
    /// A line of a log.
    Message,
    /// The harness that drove the run.
    Harness,
}

impl Fact {
    /// Every fact that is a reference to a file.
    pub const REFERENCES: &'static [Fact] =
        &[Fact::InputsRef, Fact::TaskRef, Fact::ResultRef, Fact::StdoutRef, Fact::StderrRef, Fact::OutputRef];
}

/// Where events of a type keep a fact: dotted paths below `data`, in order of preference; empty where they have none.
#[must_use]
pub fn paths(event_type: EventType, fact: Fact) -> &'static [&'static str] {
    use EventType as T;
    use Fact as F;
    match (event_type, fact) {
        (_, F::Harness) => &["harness"],
        (T::RunCreated | T::ProcessCodeHashChanged | T::ProcessRuntimeError, F::RunId) => &["runId"],
        (T::RunCompleted | T::RunFailed, F::RunId) => &["runId"],
        (T::RunCreated | T::ProcessAssigned, F::ProcessId | F::Entrypoint | F::ProcessCodeHash) => match fact {
            F::ProcessId => &["processId"],
            F::Entrypoint => &["entrypoint.importPath", "entrypoint"],
            _ => &["processCodeHash"],
        },
        (T::ProcessCodeHashChanged | T::ProcessRuntimeError, F::ProcessId) => &["processId"],
        (T::ProcessCodeHashChanged, F::ProcessCodeHash) => &["processCodeHash"],
        (T::RunCreated, F::InputsRef) => &["inputsRef"],
        (T::EffectRequested | T::EffectResolved | T::EffectCancelled | T::EffectProgress, F::EffectId) => &["effectId"],
        (T::CostTracked, F::EffectId) => &["effectId"],
        (T::ProcessRuntimeError, F::EffectId) => &["lastEffect.effectId"],
        (T::EffectRequested, F::InvocationKey) => &["invocationKey"],
        (T::ProcessRuntimeError, F::InvocationKey) => &["lastEffect.invocationKey"],
        (T::EffectRequested, F::StepId) => &["stepId"],
        (T::ProcessRuntimeError, F::StepId) => &["lastEffect.stepId"],
        (T::EffectRequested, F::TaskId) => &["taskId"],
        (T::EffectRequested, F::Kind) => &["kind"],
        (T::CostTracked, F::Kind) => &["taskKind"],
        (T::StopHookInvoked, F::Kind) => &["pendingKinds"],
        (T::EffectRequested, F::Label) => &["label", "title"],
        (T::EffectRequested, F::Question) => &["question"],
        (T::EffectResolved, F::Label) => &["breakpointId"],
        (T::ProcessLog, F::Label) => &["label"],
        (T::EffectRequested, F::TaskRef) => &["taskDefRef"],
        (T::EffectResolved | T::RunCompleted | T::RunFailed, F::Status) => &["status"],
        (T::StopHookInvoked, F::Status) => &["decision"],
        (T::EffectResolved, F::ResultRef) => &["resultRef"],
        (T::EffectResolved, F::StdoutRef) => &["stdoutRef"],
        (T::EffectResolved, F::StderrRef) => &["stderrRef"],
        (T::RunCompleted, F::OutputRef) => &["outputRef"],
        (T::EffectCancelled | T::RunHalted | T::StopHookInvoked, F::Reason) => &["reason"],
        (T::EffectResolved | T::RunFailed | T::ProcessRuntimeError, F::ErrorName) => &["error.name", "error.category"],
        (T::EffectResolved | T::RunFailed | T::ProcessRuntimeError, F::ErrorMessage) => &["error.message", "error"],
        (T::ProcessLog, F::Message) => &["message"],
        _ => &[],
    }
}

/// Why an event file has no [`EventBody`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The file has no bytes, or white space alone.
    Empty,
    /// It is no JSON.
    Json(ParseError),
    /// It is JSON, but no object.
    NotAnObject,
}

/// An event file's content, parsed. Invalid UTF-8 is read as the orchestrator reads it, with U+FFFD in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct EventBody {
    value: Value,
    is_utf8: bool,
}

impl EventBody {
    /// Parses the bytes of an event file ([`super::SourceEvent::raw`]).
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn parse(raw: &[u8]) -> Result<Self, BodyError> {
        let text = String::from_utf8_lossy(raw);
        if text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            return Err(BodyError::Empty);
        }
        let value = parse(&text).map_err(BodyError::Json)?;
        let Value::Object(_) = value else { return Err(BodyError::NotAnObject) };
        Ok(Self { value, is_utf8: matches!(text, Cow::Borrowed(_)) })
    }

    /// The whole event.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Whether the file was valid UTF-8.
    #[must_use]
    pub fn is_utf8(&self) -> bool {
        self.is_utf8
    }

    /// The event's `type`, where it is text.
    #[must_use]
    pub fn type_name(&self) -> Option<Cow<'_, str>> {
        self.value.get("type").and_then(Value::as_text)
    }

    /// The event's type, where it is a known one.
    #[must_use]
    pub fn event_type(&self) -> Option<EventType> {
        self.type_name().and_then(|name| EventType::from_name(&name))
    }

    /// The event's `recordedAt`, where it is text.
    #[must_use]
    pub fn recorded_at(&self) -> Option<Cow<'_, str>> {
        self.value.get("recordedAt").and_then(Value::as_text)
    }

    /// The event's `recordedAt`, in nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn recorded_at_ns(&self) -> Option<i64> {
        self.recorded_at().and_then(|text| parse_ns(&text))
    }

    /// The event's `data`, where it is an object.
    #[must_use]
    pub fn data(&self) -> Option<&Value> {
        self.value.get("data").filter(|data| matches!(data, Value::Object(_)))
    }

    /// A fact, by the table of [`paths`]; `None` for an unknown event type.
    #[must_use]
    pub fn fact(&self, fact: Fact) -> Option<Cow<'_, str>> {
        let data = self.data()?;
        paths(self.event_type()?, fact).iter().find_map(|path| data.at_path(path).and_then(Value::as_text))
    }

    /// Takes the checksum out, and returns it; what is left is what the checksum is over.
    pub(super) fn take_checksum(&mut self) -> Option<Value> {
        self.value.remove("checksum")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_every_version() {
        let table = [
            (
                r#"{"type":"RUN_CREATED","data":{"runId":"r","entrypoint":"process.js"}}"#,
                Fact::Entrypoint,
                Some("process.js"),
            ),
            (r#"{"type":"RUN_CREATED","data":{"entrypoint":{"importPath":"a.mjs"}}}"#, Fact::Entrypoint, Some("a.mjs")),
            (r#"{"type":"EFFECT_REQUESTED","data":{"title":"T","label":"L"}}"#, Fact::Label, Some("L")),
            (r#"{"type":"EFFECT_REQUESTED","data":{"title":"T"}}"#, Fact::Label, Some("T")),
            (r#"{"type":"EFFECT_REQUESTED","data":{"title":7}}"#, Fact::Label, None),
            (r#"{"type":"RUN_FAILED","data":{"error":"bad"}}"#, Fact::ErrorMessage, Some("bad")),
            (r#"{"type":"RUN_FAILED","data":{"error":{"message":"worse"}}}"#, Fact::ErrorMessage, Some("worse")),
            (r#"{"type":"COST_TRACKED","data":{"taskKind":"agent"}}"#, Fact::Kind, Some("agent")),
            (r#"{"type":"COST_TRACKED","data":[]}"#, Fact::Kind, None),
            (r#"{"type":"NEW_TYPE","data":{"effectId":"e"}}"#, Fact::EffectId, None),
        ];
        for (json, fact, expected) in table {
            let body = EventBody::parse(json.as_bytes()).expect("an object");
            assert_eq!(body.fact(fact).as_deref(), expected, "{json}");
        }
    }
}
