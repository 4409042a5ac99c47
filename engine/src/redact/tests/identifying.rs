//! Which other files go, and what remains to be known of them.

use super::kit::{SECRET, events, json_store, planned, put, redacted, verified};
use crate::blob::{Blobs, Digest, file_of};
use crate::redact::{FieldPath, PlaceAction, Selector, StaysIn, pattern};
use crate::storage::{Memory, Storage};
use crate::{Batch, Expect, FindingKind, Severity, TypeEntry, VerifyOptions, bundle, verify};
use std::collections::BTreeSet;
use std::sync::Arc;

const TOKEN: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

fn memory() -> Arc<dyn Storage> {
    Arc::new(Memory::new())
}

fn blobs(storage: &Arc<dyn Storage>, contents: &[String]) -> Vec<Digest> {
    let mut blobs = Blobs::new(Arc::clone(storage));
    let kept = contents.iter().map(|content| blobs.put(content.as_bytes()).unwrap().digest).collect();
    blobs.settle().unwrap();
    kept
}

fn of_event(seq: u64) -> Selector {
    Selector { events: BTreeSet::from([crate::Seq::new(seq).unwrap()]), ..Selector::default() }
}

fn of_field(path: &str) -> Selector {
    Selector { fields: vec![FieldPath::parse(path).unwrap()], ..Selector::default() }
}

/// Redacting one event with `exit 101` in it took away forty blobs that had nothing to do with it: every string of the event
/// was looked for in every file, however common it was, and the plan did not say which of them had brought a file in.
#[test]
fn a_file_is_not_forgotten_for_a_text_that_is_everywhere() {
    let storage = memory();
    let event = |n: u32, token: &str| {
        format!(
            "{{\"n\":{n},\"status\":\"waiting_for_approval\",\"at\":\"2026-11-26T02:56:00.123Z\",\"out\":\"exit 101\",\
             \"model\":\"claude-3-opus-20240229\",\"token\":\"{token}\"}}"
        )
    };
    json_store(&storage, &[event(1, TOKEN), event(2, "none")]);
    let generic = (0..44).map(|n| {
        format!("log {n}: waiting_for_approval at 2026-11-26T02:56:00.123Z, exit 101 (claude-3-opus-20240229)")
    });
    let contents: Vec<String> = generic.chain([format!("header: {TOKEN}")]).collect();
    let kept = blobs(&storage, &contents);
    let target = events(&storage).iter().find(|event| event.4 == "acme.json").unwrap().0;
    let plan = planned(&storage, &of_event(target));
    let places: Vec<&str> = plan.places.iter().map(|place| place.path.as_str()).collect();
    assert_eq!(places, [file_of(&kept[44])], "{plan:#?}");
    let cause = &plan.places[0].because;
    assert_eq!((cause.len(), cause[0].what.as_str(), cause[0].seq), (1, "data.token", Some(target)), "{cause:?}");
    assert!(!serde_json::to_string(&plan).unwrap().contains(TOKEN), "a plan does not show what it is about");
    assert!(plan.not_identifying >= 4, "{plan:#?}");
    // What other events have as well is told, and not looked for.
    let stays: Vec<(StaysIn, &str)> = plan.stays.iter().map(|it| (it.place, it.cause.what.as_str())).collect();
    assert_eq!(stays, [(StaysIn::Event, "data.model")], "{plan:#?}");
}

/// With `--field` the field's own value is looked for, unless it is a number, a name, or short.
#[test]
fn the_value_of_a_named_field_is_looked_for_and_no_other_text_of_its_event() {
    let storage = memory();
    json_store(&storage, &[format!("{{\"password\":\"tr0ub4dor&3\",\"other\":\"{TOKEN}\"}}")]);
    let contents = ["my tr0ub4dor&3 it is".to_owned(), format!("only {TOKEN}")];
    let kept = blobs(&storage, &contents);
    let (plan, done) = redacted(&storage, &of_field("data.password"));
    assert_eq!(done.forgotten, [file_of(&kept[0])], "{plan:#?}");
    assert_eq!(plan.places[0].because[0].what, "data.password");
}

/// Where a redaction had taken a blob away that an event names, `log verify` ended with 4 forever after: nothing said why the
/// blob was gone. The operator event does, also in a bundle of the run, and where that is added to another store.
#[test]
fn a_blob_that_was_redacted_is_told_as_such_wherever_its_event_goes() {
    let storage = memory();
    let content = format!("the output has {SECRET} in it");
    let journal = super::kit::options().open_on(Arc::clone(&storage)).unwrap();
    let kept = blobs(&storage, std::slice::from_ref(&content))[0];
    let mut batch = Batch::new();
    let run = Some(batch.run_or_create("run", Expect::Any));
    let files = Arc::new(TypeEntry { variant: "Files".into(), hint: true, ..TypeEntry::json("taffrail.import") });
    let note = format!(
        "{{\"files\":[{{\"file\":\"a\",\"kind\":\"stdout\",\"len_bytes\":{},\"digest\":\"{kept}\"}}]}}",
        content.len()
    );
    batch.event(run, &files, note.as_bytes());
    journal.append(batch).unwrap();
    journal.close().unwrap();
    let selector = Selector { pattern: Some(pattern("hunter2-[a-z-]+").unwrap()), ..Selector::default() };
    let (_, done) = redacted(&storage, &selector);
    assert_eq!((done.lost, done.forgotten.as_slice()), (0, &[file_of(&kept)][..]));
    let is_told = |storage: &dyn Storage| {
        let report = verify(storage, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        let finding = &report.findings[0];
        assert_eq!((report.severity, report.findings.len()), (Severity::Clean, 1), "{report:#?}");
        assert_eq!((finding.kind, finding.severity), (FindingKind::BlobRedacted, Severity::Clean));
        assert!(finding.found.contains("redacted at seq"), "{finding:?}");
        assert!(finding.event.is_some(), "{finding:?}");
    };
    is_told(&*storage);
    let error = Blobs::new(Arc::clone(&storage)).get(&kept, 1000).unwrap_err();
    assert!(error.to_string().contains(&format!("redacted at seq {}", done.event)), "{error}");
    for run in [None, Some("run")] {
        let shelf = memory();
        shelf.create_dir("").unwrap();
        let report = bundle::export(&storage, run, &*shelf, "b", &mut super::kit::go_on).unwrap();
        let left_out = format!("{}: redacted at seq {}", file_of(&kept), done.event);
        assert_eq!(report.left_out, [left_out]);
        let opened = bundle::Bundle::open(shelf, "b").unwrap();
        is_told(&opened);
        // Into the same log again, and among the events of another one.
        let there = Memory::new();
        there.random_id().unwrap();
        let there: Arc<dyn Storage> = Arc::new(there);
        if run.is_some() {
            super::kit::options().open_on(Arc::clone(&there)).unwrap().run_or_create("another").unwrap();
        }
        bundle::import(&opened, &there, super::kit::options(), false, &mut super::kit::go_on).unwrap();
        is_told(&*there);
    }
}

/// A blob that nothing but a redacted event named stayed, with the event's content in it.
#[test]
fn a_blob_goes_with_the_last_event_that_names_it() {
    let storage = memory();
    let journal = super::kit::options().open_on(Arc::clone(&storage)).unwrap();
    let kept = blobs(&storage, &["of one event".to_owned(), "of two events".to_owned()]);
    let files = Arc::new(TypeEntry { variant: "Files".into(), hint: true, ..TypeEntry::json("taffrail.import") });
    let note = |digests: &[Digest]| {
        let file =
            |digest: &Digest| format!("{{\"file\":\"a\",\"kind\":\"x\",\"len_bytes\":9,\"digest\":\"{digest}\"}}");
        format!("{{\"files\":[{}]}}", digests.iter().map(file).collect::<Vec<_>>().join(","))
    };
    let mut last = 0;
    for digests in [&kept[1..], &kept[..]] {
        let mut batch = Batch::new();
        let run = Some(batch.run_or_create("run", Expect::Any));
        batch.event(run, &files, note(digests).as_bytes());
        last = journal.append(batch).unwrap().last.get();
    }
    journal.close().unwrap();
    let (plan, done) = redacted(&storage, &of_event(last));
    assert_eq!(done.forgotten, [file_of(&kept[0])], "{plan:#?}");
    assert_eq!(verified(&*storage).findings.len(), 0, "and nothing names it any more");
}

/// A bundle of another log was searched as it lies in its file, compressed: nothing was ever found in it.
#[test]
fn a_bundle_of_another_log_is_looked_into() {
    let storage = memory();
    json_store(&storage, &[format!("{{\"token\":\"{SECRET}\"}}")]);
    let other: Arc<dyn Storage> = {
        let memory = Memory::new();
        memory.random_id().unwrap();
        Arc::new(memory)
    };
    let fill = "z".repeat(3000);
    json_store(&other, &[format!("{{\"a\":\"{fill}\",\"token\":\"{SECRET}\",\"b\":\"{fill}\"}}")]);
    storage.create_dir("spool").unwrap();
    bundle::export(&other, None, &*storage, "spool.tfb", &mut super::kit::go_on).unwrap();
    put(&*storage, "spool/rotten.tfb", b"taffrail bundle\n and no more");
    let plan = planned(&storage, &super::kit::of_pattern());
    let place = plan.places.iter().find(|place| place.path == "spool.tfb").expect("it is found");
    assert_eq!(place.action, PlaceAction::Forget);
    assert_eq!(plan.not_searched, ["spool/rotten.tfb"], "what can not be looked into is told");
}
