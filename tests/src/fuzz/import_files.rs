//! A tree of files that an orchestrator is said to have left, taken over. Twice: the second time adds nothing.

use std::ops::ControlFlow;
use std::sync::Arc;

use arbitrary::Unstructured;
use taffrail::import::babysitter::{Source, Target, import};
use taffrail::storage::{Memory, Storage};
use taffrail::{Journal, Reader, VerifyOptions, verify};

use super::edits::{self, Files};

/// Names that mean something, and some that must not.
const NAMES: [&str; 14] = [
    "run.json",
    "inputs.json",
    "run.lock",
    "journal/000001.01K3QJ9GZ8ABCDEFGHJKMNPQRS.json",
    "journal/000002.01K3QJ9GZ8ABCDEFGHJKMNPQRT.json",
    "journal/000002.01K3QJ9GZ8ABCDEFGHJKMNPQRV.json",
    "journal/000004.01K3QJ9GZ8ABCDEFGHJKMNPQRW.json",
    "journal/notes.json",
    "journal.bak.1/000001.01K3QJ9GZ8ABCDEFGHJKMNPQRS.json",
    "tasks/e/task.json",
    "tasks/e/result.json",
    "tasks/e/stdout.log",
    "state/output.json",
    "artifacts/a\u{1b}[2Jb",
];

const EVENT: &str =
    r#"{"type":"RUN_CREATED","recordedAt":"2026-08-19T10:00:00.000Z","data":{"runId":"r","processId":"p"}}"#;

fn tree(input: &mut Unstructured<'_>) -> arbitrary::Result<Files> {
    let mut files = Files::new();
    for run in ["one", "deep/two"] {
        files.insert(
            format!("{run}/run.json"),
            br#"{"runId":"r","processId":"p","createdAt":"2026-08-19T10:00:00.000Z"}"#.to_vec(),
        );
        files.insert(format!("{run}/{}", NAMES[3]), EVENT.as_bytes().to_vec());
    }
    for _ in 0..12 {
        if input.is_empty() {
            break;
        }
        let run = ["one", "deep/two"][usize::from(input.ratio(1, 2)?)];
        let name = input.choose(&NAMES)?;
        let len = input.int_in_range(0..=400_usize)?.min(input.len());
        let mut bytes = input.bytes(len)?.to_vec();
        if input.ratio(1, 3)? {
            // An event but for some bytes.
            let at = bytes.len() % EVENT.len();
            let mut event = EVENT.as_bytes().to_vec();
            event.splice(at..at, bytes.iter().take(20).copied());
            bytes = event;
        }
        files.insert(format!("{run}/{name}"), bytes);
    }
    Ok(files)
}

/// The target.
pub fn run(bytes: &[u8]) {
    let Ok(files) = tree(&mut Unstructured::new(bytes)) else { return };
    let source = edits::storage(&files);
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = Journal::options().create(true).open_on(Arc::clone(&storage)).expect("memory");
    let source = Source { storage: &source, path: "source" };
    let first = import(&Target::Journal(&journal), source, &mut |_| ControlFlow::Continue(()));
    let dry = Reader::open_on(Arc::clone(&storage)).expect("a store");
    let second = import(&Target::DryRun(Some(&dry)), source, &mut |_| ControlFlow::Continue(()));
    if first.is_ok() {
        let second = second.expect("as the first one");
        assert_eq!(second.events_added, 0, "{second:?}");
    }
    journal.close().expect("memory");
    let report = verify(&*storage, &VerifyOptions::default(), &mut |_, _| {}).expect("a store");
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}
