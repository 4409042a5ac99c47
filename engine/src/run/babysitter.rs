//! What the events of an imported babysitter run mean as events of a run.
//!
//! | source | here |
//! |---|---|
//! | `RUN_CREATED` | `Created` |
//! | `PROCESS_ASSIGNED`, `PROCESS_CODE_HASH_CHANGED` | `ProcessAssigned` |
//! | `EFFECT_REQUESTED` | `EffectRequested`; the step is the source's step id, or else its effect id; a breakpoint is an effect of that kind |
//! | `EFFECT_RESOLVED` | `EffectResolved`; with `status: cancelled`, `EffectCancelled` |
//! | `EFFECT_CANCELLED` | `EffectCancelled` |
//! | `COST_TRACKED` | `UsageRecorded` |
//! | `STOP_HOOK_INVOKED` | `HookDecided` |
//! | `PROCESS_RUNTIME_ERROR` | `Faulted`: the source leaves the run open |
//! | `RUN_COMPLETED`, `RUN_FAILED` | `Completed`, `Failed` |
//! | `RUN_HALTED` | `Cancelled`: the process gave itself up |
//! | `PROCESS_LOG`, `ITERATION_STARTED`, `RUN_ITERATION`, `EFFECT_PROGRESS` | `Noted` |
//! | anything else, and what lacks a field that it can not do without | `Unrecognized`, which is a finding |
//!
//! One event becomes one event, never a hint: positions count them. Whether a breakpoint was answered with yes or no stands
//! in the result's file alone, which no fold reads: see [`crate::run::show`].

use crate::fold::Foreign;
use crate::import::babysitter::javascript_json::Value;
use crate::import::babysitter::shape::{BodyError, EventBody, EventType, Fact};
use crate::run::content::Content;
use crate::run::event::{Change, EffectRequest, Outcome, Reversibility, RunEvent};
use crate::run::text::Text;
use crate::run::usage::Usage;

/// One event of the source, as an event of a run. What it is no event of is a finding, not an error.
pub(super) fn upcast(foreign: &Foreign<'_>) -> Result<Vec<RunEvent>, String> {
    let event = match EventBody::parse(foreign.payload) {
        Ok(body) => {
            let actor = body.fact(Fact::Harness).unwrap_or("babysitter".into());
            let change = change(&body).unwrap_or_else(|why| unrecognized(&type_of(&body, foreign), why));
            change.by(format!("claimed:{actor}"))
        }
        Err(error) => {
            let why = match error {
                BodyError::Empty => "the file is empty".to_owned(),
                BodyError::NotAnObject => "it is JSON, but no object".to_owned(),
                BodyError::Json(error) => error.to_string(),
            };
            unrecognized(foreign.variant, why).by("claimed:babysitter")
        }
    };
    Ok(vec![event])
}

fn type_of(body: &EventBody, foreign: &Foreign<'_>) -> String {
    body.type_name().map_or_else(|| foreign.variant.to_owned(), std::borrow::Cow::into_owned)
}

fn unrecognized(event_type: &str, why: impl Into<String>) -> Change {
    Change::Unrecognized { event_type: event_type.to_owned(), why: why.into() }
}

/// What an event means; what it lacks to mean anything.
fn change(body: &EventBody) -> Result<Change, &'static str> {
    use EventType as T;
    if body.type_name().is_none() {
        return Err("it has no type");
    }
    let event_type = body.event_type().ok_or("no known version has such events")?;
    if body.data().is_none() {
        return Err("it has no data");
    }
    let text = |fact| body.fact(fact).map(std::borrow::Cow::into_owned);
    let plain = |fact| text(fact).unwrap_or_default();
    let effect = || text(Fact::EffectId).filter(|id| !id.is_empty()).ok_or("it names no effect");
    let digest = || text(Fact::ProcessCodeHash).map(|hash| format!("sha256:{hash}"));
    Ok(match event_type {
        T::RunCreated => Change::Created {
            process: plain(Fact::ProcessId),
            process_digest: digest(),
            inputs: content(body, "inputs", Fact::InputsRef),
        },
        T::ProcessAssigned | T::ProcessCodeHashChanged => {
            Change::ProcessAssigned { process: plain(Fact::ProcessId), process_digest: digest() }
        }
        T::EffectRequested => Change::EffectRequested(requested(body, effect()?)),
        T::EffectResolved => resolved(body, effect()?),
        T::EffectCancelled => Change::EffectCancelled { step: effect()?.into(), reason: plain(Fact::Reason) },
        T::CostTracked => Change::UsageRecorded {
            step: text(Fact::EffectId).map(Text::from),
            model: member(body, "model").and_then(Value::as_text).map(|model| Text::from(&*model)),
            usage: usage(body),
        },
        T::ProcessLog => Change::Noted { label: plain(Fact::Label), message: plain(Fact::Message) },
        T::IterationStarted | T::RunIteration => {
            Change::Noted { label: "iteration".into(), message: count(body, &["iteration"]).to_string() }
        }
        T::EffectProgress => Change::Noted { label: effect()?, message: plain(Fact::Message) },
        T::StopHookInvoked => {
            Change::HookDecided { hook: "stop".into(), decision: plain(Fact::Status), reason: plain(Fact::Reason) }
        }
        T::ProcessRuntimeError => Change::Faulted { error: error(body).unwrap_or_default() },
        T::RunCompleted => Change::Completed { output: content(body, "output", Fact::OutputRef) },
        T::RunHalted => Change::Cancelled { reason: plain(Fact::Reason) },
        T::RunFailed => Change::Failed { error: error(body).unwrap_or_default() },
    })
}

fn requested(body: &EventBody, effect: String) -> EffectRequest {
    let text = |fact| body.fact(fact).filter(|text| !text.is_empty());
    let name = |fact| text(fact).map(|text| Text::from(&*text));
    let hash = member(body, "invocationHash").and_then(Value::as_text);
    EffectRequest {
        step: name(Fact::StepId).unwrap_or_else(|| Text::from(&effect)),
        source_id: Some(effect.into()),
        kind: name(Fact::Kind).unwrap_or_else(|| "task".into()),
        label: name(Fact::Label).unwrap_or_default(),
        request: match (text(Fact::TaskRef), text(Fact::Question)) {
            (Some(name), _) => Content::File(name.into_owned()),
            (None, Some(question)) => Content::inline(&serde_json::json!({ "question": question })),
            (None, None) => Content::None,
        },
        request_digest: hash.map(|hash| format!("sha256:{hash}").into()),
        reversibility: Reversibility::Unstated,
        requires: None,
        due_ns: None,
    }
}

fn resolved(body: &EventBody, effect: String) -> Change {
    let step = Text::from(effect);
    let status = body.fact(Fact::Status);
    let mut error = error(body);
    let outcome = match status.as_deref() {
        Some("ok") => Outcome::Ok,
        Some("error") => Outcome::Error,
        Some("timeout" | "timed_out") => Outcome::TimedOut,
        Some("cancelled") => return Change::EffectCancelled { step, reason: error.unwrap_or_default() },
        None if error.is_none() => Outcome::Ok,
        None => Outcome::Error,
        Some(other) => {
            error = Some(format!("status {other:?}"));
            Outcome::Error
        }
    };
    let result = content(body, "result", Fact::ResultRef);
    Change::EffectResolved { step, outcome, result, error: error.map(Text::from), usage: Usage::default() }
}

fn member<'b>(body: &'b EventBody, key: &str) -> Option<&'b Value> {
    body.data().and_then(|data| data.get(key))
}

/// What stands in the event, or else the file that it refers to.
fn content(body: &EventBody, key: &str, reference: Fact) -> Content {
    let inline = member(body, key).and_then(|value| serde_json::from_str(&value.to_json()).ok());
    match (inline, body.fact(reference)) {
        (Some(value), _) => Content::inline(&value),
        (None, Some(name)) => Content::File(name.into_owned()),
        (None, None) => Content::None,
    }
}

fn error(body: &EventBody) -> Option<String> {
    let (name, message) = (body.fact(Fact::ErrorName), body.fact(Fact::ErrorMessage));
    match (name, message) {
        (Some(name), Some(message)) => Some(format!("{name}: {message}")),
        (one, other) => one.or(other).map(std::borrow::Cow::into_owned),
    }
}

fn usage(body: &EventBody) -> Usage {
    Usage {
        input_tokens: count(body, &["inputTokens"]),
        output_tokens: count(body, &["outputTokens"]),
        cache_read_tokens: count(body, &["cacheReadInputTokens", "cacheReadTokens"]),
        cache_write_tokens: count(body, &["cacheCreationInputTokens", "cacheCreationTokens"]),
        nano_usd: number(body, "costUsd").and_then(|number| decimal(number, 9)).unwrap_or(0),
    }
}

/// The first of these members that is a number, without its fraction; 0 where there is none.
fn count(body: &EventBody, keys: &[&str]) -> u64 {
    keys.iter().find_map(|key| decimal(number(body, key)?, 0)).unwrap_or(0)
}

fn number(body: &EventBody, key: &str) -> Option<f64> {
    match member(body, key)? {
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// A number with so many decimal places, as an integer of the last place; `None` for what is negative or too large.
fn decimal(number: f64, places: usize) -> Option<u64> {
    let text = format!("{number:.places$}");
    text.replace('.', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Codec;

    fn read(json: &str) -> Change {
        let foreign = Foreign { variant: "other", codec: Codec::Json, payload: json.as_bytes() };
        let mut events = upcast(&foreign).unwrap();
        assert_eq!(events.len(), 1, "one event becomes one event");
        let change = events.remove(0).change;
        assert!(!change.is_hint());
        change
    }

    #[test]
    fn money_and_tokens_are_exact_and_hostile_numbers_are_nothing() {
        let read = |data: &str| match read(&format!("{{\"type\":\"COST_TRACKED\",\"data\":{data}}}")) {
            Change::UsageRecorded { usage, .. } => usage,
            other => panic!("{other:?}"),
        };
        let usage = read(r#"{"costUsd":0.041029,"inputTokens":5888,"cacheReadTokens":7}"#);
        assert_eq!((usage.nano_usd, usage.input_tokens, usage.cache_read_tokens), (41_029_000, 5888, 7));
        for hostile in ["-1", "1e300", "null", "\"7\"", "[]", "-0.0"] {
            assert_eq!(read(&format!("{{\"costUsd\":{hostile},\"inputTokens\":{hostile}}}")), Usage::default());
        }
    }

    #[test]
    fn what_means_nothing_is_told_and_never_refused() {
        for (json, kind, why) in [
            ("", "other", "the file is empty"),
            ("[]", "other", "it is JSON, but no object"),
            ("{}", "other", "it has no type"),
            (r#"{"type":7}"#, "other", "it has no type"),
            (r#"{"type":"NEW_TYPE","data":{}}"#, "NEW_TYPE", "no known version has such events"),
            (r#"{"type":"RUN_CREATED"}"#, "RUN_CREATED", "it has no data"),
            (r#"{"type":"EFFECT_REQUESTED","data":{"effectId":""}}"#, "EFFECT_REQUESTED", "it names no effect"),
            (r#"{"type":"EFFECT_RESOLVED","data":{"effectId":[1]}}"#, "EFFECT_RESOLVED", "it names no effect"),
        ] {
            assert_eq!(read(json), unrecognized(kind, why), "{json}");
        }
        assert!(matches!(read("{\"type\":"), Change::Unrecognized { .. }), "half a file");
    }

    #[test]
    fn results_and_their_status_are_read_in_every_version() {
        for (data, expected) in [
            (r#"{"effectId":"e","status":"ok","resultRef":"r"}"#, (Outcome::Ok, Content::File("r".into()), None)),
            (
                r#"{"effectId":"e","result":{"a":1}}"#,
                (Outcome::Ok, Content::inline(&serde_json::json!({"a": 1})), None),
            ),
            (r#"{"effectId":"e","error":{"message":"bad"}}"#, (Outcome::Error, Content::None, Some("bad"))),
            (r#"{"effectId":"e","status":"odd"}"#, (Outcome::Error, Content::None, Some("status \"odd\""))),
            (
                r#"{"effectId":"e","status":"error","error":{"name":"E","message":"m"}}"#,
                (Outcome::Error, Content::None, Some("E: m")),
            ),
        ] {
            match read(&format!("{{\"type\":\"EFFECT_RESOLVED\",\"data\":{data}}}")) {
                Change::EffectResolved { step, outcome, result, error, .. } => {
                    assert_eq!(step, "e");
                    assert_eq!((outcome, result, error.as_deref()), expected, "{data}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
