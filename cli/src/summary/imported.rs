//! What imports have left in the log: the events of babysitter's runs, and the notes of where they came from.

use serde::Deserialize;
use serde_json::Value;
use taffrail::Record;

use crate::human;

/// Notes of one event that are named; the others are counted.
const NAMED: usize = 3;

/// What people look for in the `data` of an orchestrator's event, in this order.
const TELLING: [&str; 17] = [
    "processId",
    "kind",
    "label",
    "stepId",
    "status",
    "message",
    "error.message",
    "decision",
    "reason",
    "runState",
    "pendingKinds",
    "iteration",
    "model",
    "inputTokens",
    "outputTokens",
    "costUsd",
    "outputRef",
];

#[derive(Deserialize)]
struct RunImported {
    source: String,
    path: String,
    run_id: Option<String>,
    process_id: Option<String>,
}

#[derive(Deserialize)]
struct Events {
    events: Vec<EventNote>,
}

#[derive(Deserialize)]
struct EventNote {
    file: String,
    checksum: String,
}

#[derive(Deserialize)]
struct Oddities {
    oddities: Vec<OddityNote>,
}

#[derive(Deserialize)]
struct OddityNote {
    file: String,
    code: String,
    reason: String,
}

#[derive(Deserialize)]
struct Files {
    files: Vec<FileNote>,
}

#[derive(Deserialize)]
struct FileNote {
    file: String,
    len_bytes: u64,
}

#[derive(Deserialize)]
struct Origin {
    log_id: String,
}

/// The words for an event of an import; `None` for every other one, and for one that is not what its type says.
pub(super) fn summary(record: &Record<'_>) -> Option<String> {
    let entry = record.entry.as_ref()?;
    let payload = &record.payload;
    match (entry.name.as_str(), entry.variant.as_str()) {
        ("babysitter", _) => telling(&serde_json::from_slice(payload).ok()?),
        ("taffrail.import", "RunImported") => serde_json::from_slice(payload).ok().map(|note| run_imported(&note)),
        ("taffrail.import", "Events") => serde_json::from_slice(payload).ok().map(|note| events(&note)),
        ("taffrail.import", "Oddities") => serde_json::from_slice(payload).ok().map(|note| oddities(&note)),
        ("taffrail.import", "Files") => serde_json::from_slice(payload).ok().map(|note| files(&note)),
        ("taffrail.import", "Origin") => {
            let origin: Origin = serde_json::from_slice(payload).ok()?;
            Some(format!("an export of log {}", human::digests_cut(&origin.log_id)))
        }
        _ => None,
    }
}

/// `kind=agent label="find the cause" stepId=agent-step.1`
fn telling(event: &Value) -> Option<String> {
    let data = event.get("data")?.as_object()?;
    let parts: Vec<String> = TELLING
        .iter()
        .filter_map(|path| {
            let (key, inner) = path.split_once('.').unwrap_or((path, ""));
            let value = if inner.is_empty() { data.get(key)? } else { data.get(key)?.get(inner)? };
            word(value).map(|word| format!("{path}={word}"))
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// A plain value, in quotes where it would not be read as one word.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => Some(format!("{text:?}")),
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn run_imported(note: &RunImported) -> String {
    let RunImported { source, path, run_id, process_id } = note;
    let run = run_id.as_ref().map(|run| format!(" {run}")).unwrap_or_default();
    let process = process_id.as_ref().map(|process| format!(", process {process}")).unwrap_or_default();
    format!("{source} run{run}{process}, from {path}")
}

fn events(note: &Events) -> String {
    let count = human::count(note.events.len() as u64, "event");
    let suspect: Vec<String> = note
        .events
        .iter()
        .filter(|event| event.checksum != "valid")
        .map(|event| format!("checksum {} in {}", event.checksum, event.file))
        .collect();
    let range = match (note.events.first(), note.events.last()) {
        (Some(first), Some(last)) if first.file != last.file => format!(" from {} to {}", first.file, last.file),
        (Some(only), _) => format!(" from {}", only.file),
        _ => String::new(),
    };
    if suspect.is_empty() { format!("{count}{range}") } else { format!("{count}{range}; {}", few(&suspect)) }
}

fn oddities(note: &Oddities) -> String {
    let told =
        |oddity: &OddityNote| format!("{} in {}: {}", oddity.code, oddity.file, human::digests_cut(&oddity.reason));
    few(&note.oddities.iter().map(told).collect::<Vec<_>>())
}

fn files(note: &Files) -> String {
    let len_bytes = note.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.len_bytes));
    let names: Vec<String> = note.files.iter().map(|file| file.file.clone()).collect();
    format!("{}, {}: {}", human::count(names.len() as u64, "file"), human::byte_size(len_bytes), few(&names))
}

/// The first few, and how many more.
fn few(parts: &[String]) -> String {
    let named = parts[..parts.len().min(NAMED)].join("; ");
    match parts.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {} more", human::thousands(more as u64)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::{events, few, files, oddities, run_imported, telling};

    #[test]
    fn few_are_named_and_the_others_counted() {
        let names = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        for (count, expected) in [(0, ""), (1, "0"), (3, "0; 1; 2"), (4, "0; 1; 2; and 1 more")] {
            assert_eq!(few(&names(count)), expected);
        }
    }

    #[test]
    fn notes_of_imports_say_which_file_and_why() {
        let note = json!({"oddities": [{"file": "journal/5.json", "code": "wrong-checksum", "reason": "stored 1"}]});
        assert_eq!(oddities(&from_value(note).expect("a note")), "wrong-checksum in journal/5.json: stored 1");
        let note = json!({"files": [{"file": "a", "len_bytes": 5}, {"file": "b", "len_bytes": u64::MAX}]});
        assert!(files(&from_value(note).expect("a note")).ends_with(": a; b"), "lengths of a hostile log may overflow");
        let note = json!({"events": [{"file": "1", "checksum": "valid"}, {"file": "2", "checksum": "invalid"}]});
        assert_eq!(events(&from_value(note).expect("a note")), "2 events from 1 to 2; checksum invalid in 2");
        let note = json!({"events": [{"file": "1", "checksum": "valid"}]});
        assert_eq!(events(&from_value(note).expect("a note")), "1 event from 1");
        let note = json!({"source": "babysitter", "path": "/r/x", "run_id": "x", "process_id": null});
        assert_eq!(run_imported(&from_value(note).expect("a note")), "babysitter run x, from /r/x");
    }

    #[test]
    fn an_orchestrators_event_is_told_by_what_people_look_for() {
        let event = json!({"type": "T", "data": {"effectId": "01", "label": "a b", "kind": "agent", "error": {"message": "exit 1"}, "iteration": 2}});
        let told = telling(&event);
        assert_eq!(told.as_deref(), Some("kind=agent label=\"a b\" error.message=\"exit 1\" iteration=2"));
        for event in [json!(7), json!({}), json!({"data": 7}), json!({"data": {"effectId": "01", "kind": ["x"]}})] {
            assert_eq!(telling(&event), None, "{event}: shown as it is");
        }
    }
}
