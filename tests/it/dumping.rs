//! What a dump shows of events whose types this binary does not know.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use taffrail::{Batch, Codec, Expect, Journal, Reader, TypeEntry};

use crate::kit::{Directory, run};
use crate::special_files::three_segments;

#[path = "../../engine/examples/nightly.rs"]
mod nightly;

#[test]
#[ignore = "run by other tests, as a process"]
fn nightly_process() {
    nightly::main().expect("the example runs");
}

/// Runs the embedding example, which works in the store `.taffrail` of its directory.
fn run_example(directory: &Path) -> std::path::PathBuf {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--ignored", "--exact", "dumping::nightly_process"]).current_dir(directory);
    let output = command.output().expect("the example runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    directory.join(".taffrail")
}

fn events(store: &Path, arguments: &[&str]) -> Vec<Value> {
    let answer = run(store, &[&["log", "dump", "-o", "jsonl"], arguments].concat(), "");
    assert_eq!(answer.notes, "", "{arguments:?}");
    answer.lines()
}

#[test]
fn events_of_foreign_programs_are_shown_as_json_by_the_schemas_in_the_log() {
    let directory = Directory::new("foreign");
    let store = run_example(directory.path());
    let queued = json!({"Queued": {"cmd": "cargo test"}});
    let found = events(&store, &["--type", "Queued"]);
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["type"], &found[0]["data"]), (&json!("acme.job.Queued"), &queued));
    assert!(found[0].get("bytes").is_none(), "{}", found[0]);
    let document = run(&store, &["log", "dump", "--type", "Queued", "--json"], "");
    let document: Value = serde_json::from_str(&document.data).expect("one document");
    assert_eq!(document["events"][0]["data"], queued);
    let human = run(&store, &["log", "dump", "--type", "Queued,Done"], "").data;
    assert!(human.contains("  {\"Queued\":{\"cmd\":\"cargo test\"}}  "), "{human}");
    assert!(human.contains("  {\"Done\":{\"exit\":0}}  "), "{human}");
    for (filter, count) in [
        (["--where", "data.Queued.cmd =~ '^cargo'"], 1),
        (["--where", "data.Done.exit == 0"], 1),
        (["--where", "data.Done.exit != 0 && type =~ 'Done'"], 0),
        (["--where", "exists(bytes)"], 0),
        (["--where", "type == 'acme.job.Queued'"], 1),
        (["--grep", "cargo.test"], 1),
    ] {
        assert_eq!(events(&store, &filter).len(), count, "{filter:?}");
    }
    // A segment has the schemas of all types in it.
    let alone = directory.path().join("0000000001.seg");
    std::fs::copy(store.join("segments/0000000001.seg"), &alone).expect("copied");
    assert_eq!(events(&alone, &["--type", "Queued"])[0]["data"], queued);
}

/// An export keeps the bytes that were written, not what they mean: only so it comes back the same.
#[test]
fn events_of_foreign_programs_are_exported_byte_for_byte() {
    let directory = Directory::new("foreign-export");
    let store = run_example(directory.path());
    let exported = run(&store, &["log", "export"], "");
    assert_eq!(exported.exit, Some(0), "{}", exported.notes);
    let other_directory = Directory::new("foreign-import");
    let other = other_directory.store();
    assert_eq!(run(&other, &["log", "import", "-"], &exported.data).exit, Some(0));
    assert_eq!(run(&other, &["log", "export"], "").data, exported.data);
    assert_eq!(events(&other, &["--type", "Queued"])[0]["data"], json!({"Queued": {"cmd": "cargo test"}}));
}

#[test]
fn what_no_schema_explains_is_shown_as_bytes() {
    let directory = Directory::new("unexplained");
    let store = run_example(directory.path());
    let types = Reader::open(&store).expect("readable").types().expect("types");
    let queued = types.into_iter().find(|entry| entry.variant == "Queued").expect("registered");
    let journal = Journal::options().open(&store).expect("a store");
    let unknown = Arc::new(TypeEntry { codec: Codec::Bincode, ..TypeEntry::json("acme.unknown") });
    let mut batch = Batch::new();
    let run_number = batch.run_or_create("odd", Expect::Any);
    batch.event(Some(run_number), &unknown, &[1, 2, 255]);
    batch.event(Some(run_number), &queued, &[0, 200, 1]);
    journal.append(batch).map_err(|failed| failed.error).expect("appended");
    journal.close().expect("closed");
    let found = events(&store, &["--run", "odd", "--where", "exists(bytes) && data == null"]);
    let bytes: Vec<&Value> = found.iter().map(|event| &event["bytes"]).collect();
    assert_eq!(bytes, ["0102ff", "00c801"], "no schema, and a payload that does not fit its schema");
    let human = run(&store, &["log", "dump", "--run", "odd"], "").data;
    assert!(human.contains("  3 bytes 0102ff  ") && human.contains("  3 bytes 00c801  "), "{human}");
}

/// Bug: with the first segment gone, a dump began with the lowest one that was left, said nothing and ended with 0: the whole
/// beginning of the log was missing, and no script that reads dumps could know.
#[test]
fn a_dump_tells_that_the_first_segment_is_missing() {
    let directory = Directory::new("first-gone");
    let store = three_segments(&directory);
    let whole = events(&store, &[]);
    std::fs::remove_file(store.join("segments/0000000001.seg")).expect("removed");
    let dumped = run(&store, &["log", "dump", "-o", "jsonl"], "");
    let left = dumped.lines();
    let first = left[0]["seq"].as_u64().expect("a seq");
    assert!(first > 1 && left.len() as u64 == whole.len() as u64 - (first - 1), "{first} {}", left.len());
    let error = dumped.error();
    assert_eq!((dumped.exit, &error["code"]), (Some(4), &json!("T0303")), "{error}");
    assert_eq!(error["context"]["passed_over"][0]["seqs"], json!({"first": 1, "last": first - 1}), "{error}");
    let human = run(&store, &["log", "dump", "-n", "1"], "");
    let told = format!("passed over seqs 1..={} of unknown runs: T0303: segment 1 is missing", first - 1);
    assert!(human.exit == Some(4) && human.notes.contains(&told), "{}", human.notes);
    let back = run(&store, &["log", "dump", "-o", "jsonl", "--reverse"], "");
    assert_eq!((back.exit, back.lines().len()), (Some(4), left.len()), "{}", back.notes);
    // What asks for nothing of it is whole.
    for asked in [&[&*format!("{first}..")][..], &["--reverse", "-n", "3"]] {
        let dumped = run(&store, &[&["log", "dump", "-o", "jsonl"], asked].concat(), "");
        assert_eq!((dumped.exit, dumped.notes.as_str()), (Some(0), ""), "{asked:?}");
    }
}

/// What the log's own reports call `124..=243` could not be typed, a step needed a run although `--run` named one, and a dump that
/// showed nothing said nothing either.
#[test]
fn ranges_are_typed_as_they_are_printed_and_an_empty_dump_says_why() {
    let directory = Directory::new("ranges");
    let store = directory.store();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
    assert_eq!(run(&store, &["log", "import", source.to_str().expect("UTF-8")], "").exit, Some(0));
    let seqs = |words: &[&str]| -> Vec<u64> {
        events(&store, words).iter().map(|event| event["seq"].as_u64().expect("a seq")).collect()
    };
    assert_eq!(seqs(&["5..=7"]), [5, 6, 7]);
    assert_eq!(seqs(&["..=2"]), [1, 2]);
    assert_eq!(seqs(&["5..7"]), [5, 6]);
    let printed = run(&store, &["log", "verify"], "").data;
    let range = printed.split("seq ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a range");
    assert_eq!(seqs(&[range]), seqs(&[]), "{range}: what verify prints is everything");
    let shown = run(&store, &["state", "show", "release-42", "steps", "--at", "before:shell-step.3"], "");
    assert_eq!(shown.exit, Some(0), "{shown:?}");
    let before = seqs(&["--run", "release-42", "--at", "before:shell-step.3"]);
    let after = seqs(&["--run", "release-42", "before:shell-step.3..=after:shell-step.3"]);
    assert!(!before.is_empty() && !after.is_empty() && before.last() <= after.first(), "{before:?} {after:?}");
    let none = run(&store, &["log", "dump", "--run", "release-42", "before:nothing"], "");
    assert!(none.exit == Some(1) && none.notes.contains("release-42 has no such step"), "{none:?}");
    for (words, said) in [
        (&["5..2"][..], "no event: the range 5..2 is empty; A..B is from A up to B, and A..=B has B in it"),
        (&["999.."], "no event: the log ends with seq "),
        (&["--where", "seq == 0"], "no event matches"),
        (&["--run", "release-42", "1..=2"], "no event is like that"),
    ] {
        let answer = run(&store, &[&["log", "dump"], words].concat(), "");
        assert_eq!((answer.exit, answer.data.as_str()), (Some(1), ""), "{words:?} {answer:?}");
        assert!(answer.notes.starts_with(said) && answer.notes.lines().count() == 1, "{words:?} {answer:?}");
    }
    for words in ["3-5", "3:5"] {
        let answer = run(&store, &["log", "dump", words], "");
        assert!(answer.exit == Some(2) && answer.notes.contains("two positions around `..`"), "{answer:?}");
    }
}
