//! Damage is told where it is, costs what lies there, and keeps nobody from the rest.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use taffrail::run::{Change, Content, EffectRequest, Outcome, Runs, Usage};
use taffrail::{Expect, Journal};

use crate::kit::{Directory, dump, run, snapshot};

/// Three runs by turns; the last one ends early.
fn filled(directory: &Directory) -> PathBuf {
    let store = directory.store();
    let journal = Journal::options().open(&store).expect("a store");
    let created = || Change::Created { process: "p".into(), process_digest: None, inputs: Content::None };
    for turn in 0..4 {
        for name in ["one", "two", "three"] {
            if name == "three" && turn > 1 {
                continue;
            }
            let run = journal.run_or_create(name).expect("a run");
            let events = if turn == 0 {
                vec![created().by("engine")]
            } else {
                let step = format!("step/{turn}");
                let request = EffectRequest { step: step.as_str().into(), kind: "task".into(), ..Default::default() };
                let (outcome, result, usage) = (Outcome::Ok, Content::None, Usage::default());
                let resolved = Change::EffectResolved { step: step.into(), outcome, result, error: None, usage };
                vec![Change::EffectRequested(request).by("engine"), resolved.by("engine")]
            };
            run.append(Expect::Any, &events).expect("appended");
        }
    }
    journal.close().expect("closed");
    store
}

/// Flips a bit of an event, so many bytes behind the beginning of its frame.
fn flip(store: &Path, event: &Value, behind: u64) {
    let path = store.join("segments/0000000001.seg");
    let at = usize::try_from(event["offset"].as_u64().expect("an offset") + behind).expect("small");
    let mut bytes = std::fs::read(&path).expect("a segment");
    bytes[at] ^= 4;
    std::fs::write(&path, bytes).expect("written");
}

/// An event's payload.
const PAYLOAD: u64 = 49;
/// The seq in its header.
const HEADER: u64 = 9;

fn json_of(store: &Path, arguments: &[&str], exit: i32) -> Value {
    let answer = run(store, &[arguments, &["--json"]].concat(), "");
    assert_eq!(answer.exit, Some(exit), "{arguments:?}: {answer:?}");
    serde_json::from_str(&answer.data).expect("one document")
}

fn row(rows: &Value, name: &str) -> Value {
    let rows = rows["runs"].as_array().expect("runs");
    rows.iter().find(|row| row["name"] == name).cloned().unwrap_or_default()
}

fn events_of<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["run"] == name).collect()
}

/// Bug: one payload that could not be read, in the newest segment, stopped the commands about all runs.
#[test]
fn a_payload_that_can_not_be_read_is_of_one_run_and_the_others_are_as_they_were() {
    let directory = Directory::new("payload");
    let store = filled(&directory);
    let events = dump(&store);
    let (list, replay) = (json_of(&store, &["run", "list"], 0), json_of(&store, &["replay"], 0));
    let bad = events_of(&events, "one")[2];
    let seq = bad["seq"].as_u64().expect("a seq");
    flip(&store, bad, PAYLOAD);
    let before = snapshot(&store);

    let (listed, replayed) = (json_of(&store, &["run", "list"], 4), json_of(&store, &["replay"], 4));
    for name in ["two", "three"] {
        assert_eq!(row(&listed, name), row(&list, name));
        assert_eq!(row(&replayed, name), row(&replay, name));
        let shown = json_of(&store, &["state", "show", name], 0);
        assert_eq!((&shown["digest"], &shown["missing"]), (&row(&replay, name)["digest"], &json!(0)));
        json_of(&store, &["run", "show", name], 0);
        assert_eq!(run(&store, &["state", "blame", name, "status"], "").exit, Some(0));
    }
    assert_eq!(row(&listed, "one")["findings"], json!(row(&list, "one")["findings"].as_u64().unwrap_or(0) + 2));
    assert_eq!(row(&replayed, "one")["missing"], 1);
    let shown = run(&store, &["state", "show", "one"], "");
    assert_eq!(shown.exit, Some(4), "{shown:?}");
    let told = format!("warning: passed over seq {seq} of one: T0308");
    assert!(shown.notes.starts_with(&told) && shown.data.contains("INCOMPLETE"), "{shown:?}");
    assert_eq!(run(&store, &["run", "show", "one"], "").exit, Some(4));
    assert_eq!(run(&store, &["state", "blame", "one", "status"], "").exit, Some(4));

    // The dump goes on as well, forwards and backwards, and tells it in its place.
    for order in [&["log", "dump"][..], &["log", "dump", "--reverse"]] {
        let dumped = run(&store, order, "");
        assert!(dumped.exit == Some(4) && dumped.data.contains("EffectResolved"), "{dumped:?}");
        assert!(dumped.notes.contains(&told) && dumped.notes.contains("segment 1, byte 0x"), "{dumped:?}");
        let dumped = run(&store, &[order, &["-o", "jsonl"]].concat(), "");
        assert_eq!((dumped.exit, dumped.lines().len()), (Some(4), events.len() - 1), "{dumped:?}");
        let error: Value = serde_json::from_str(&dumped.notes).expect("one error");
        let context = &error["context"];
        assert_eq!((&error["code"], &context["passed_over_count"]), (&json!("T0308"), &json!(1)));
        assert_eq!(context["passed_over"][0]["seqs"], json!({ "first": seq, "last": seq }));
    }
    // Nobody who asks for something else is told.
    for asked in [["--run", "two"], ["--type", "Mark,RunOpened"], ["-n", "2"]] {
        let dumped = run(&store, &[&["log", "dump", "-o", "jsonl"][..], &asked].concat(), "");
        assert_eq!((dumped.exit, dumped.notes.as_str()), (Some(0), ""), "{asked:?}: {dumped:?}");
    }
    assert_eq!(snapshot(&store), before, "reading writes nothing");

    // Opening takes nothing away, and `store info` says so.
    let info = json_of(&store, &["store", "info"], 0);
    assert_eq!((&info["opening"]["verdict"], &info["opening"]["does"]), (&json!("clean"), &json!("nothing")));
    let journal = Journal::options().open(&store).expect("a store that can be appended to");
    for name in ["one", "two", "four"] {
        let run = journal.run_or_create(name).expect("a run");
        let revision = run.revision();
        let noted = Change::Noted { label: String::new(), message: "later".into() };
        run.append(Expect::Revision(revision), &[noted.by("engine")]).expect("appended");
        let due = events_of(&events, name).last().map_or(1, |event| event["revision"].as_u64().expect("a number"));
        assert_eq!(u64::from(revision), due, "of {name}");
    }
    assert!(journal.run("two").expect("a run").state::<Runs>().is_ok());
    assert_eq!(journal.run("one").expect("a run").state::<Runs>().expect_err("incomplete").code(), "T0507");
}

#[test]
fn a_header_that_can_not_be_read_leaves_those_in_doubt_that_have_no_event_behind_it() {
    let directory = Directory::new("header");
    let store = filled(&directory);
    let events = dump(&store);
    let list = json_of(&store, &["run", "list"], 0);
    // An event of "one", behind the last one of "three", and before others of "one" and "two".
    let last = events_of(&events, "three").last().expect("events")["seq"].clone();
    let bad = events_of(&events, "one").into_iter().find(|event| event["seq"].as_u64() > last.as_u64());
    let bad = bad.expect("an event");
    flip(&store, bad, HEADER);
    let listed = run(&store, &["run", "list", "--json"], "");
    assert_eq!(listed.exit, Some(4));
    let error: Value = serde_json::from_str(&listed.notes).expect("one error");
    assert!(error["message"].as_str().expect("a text").contains(&format!("seq {} of unknown runs", bad["seq"])));
    let passed_over = &error["context"]["passed_over"][0];
    assert_eq!((&passed_over["seqs"]["first"], &passed_over["run"]), (&bad["seq"], &Value::Null), "{error}");
    let listed: Value = serde_json::from_str(&listed.data).expect("one document");
    let findings = |rows: &Value, name: &str| row(rows, name)["findings"].as_u64().expect("a count");
    assert_eq!(row(&listed, "two"), row(&list, "two"), "its later events prove that none is missing");
    assert_eq!(findings(&listed, "three"), findings(&list, "three") + 1, "in doubt");
    assert!(findings(&listed, "one") > findings(&list, "one"), "its later events prove that one is missing");
    let shown = json_of(&store, &["state", "show", "three"], 4);
    assert_eq!((&shown["missing"], &shown["doubt"]["first"]), (&json!(0), &bad["seq"]));
    let shown = json_of(&store, &["state", "show", "one"], 4);
    assert_eq!((&shown["missing"], &shown["doubt"]), (&json!(1), &Value::Null));
    let text = run(&store, &["state", "show", "three"], "");
    assert!(text.data.contains("IN DOUBT"), "{text:?}");
    let shown = run(&store, &["run", "show", "three"], "");
    assert!(shown.data.contains("can not be read, and may be of it"), "{shown:?}");
}

/// One policy for all commands: where the log lacks events of a run, its state begins at the newest snapshot that has seen
/// them. Bug: `state show` did, and `run list` folded what was left.
#[test]
fn behind_a_salvage_every_command_gives_the_state_of_the_snapshot_that_has_seen_what_was_lost() {
    let directory = Directory::new("policy");
    let store = filled(&directory);
    let events = dump(&store);
    assert_eq!(run(&store, &["snap", "create", "one"], "").exit, Some(0));
    let sound = json_of(&store, &["state", "show", "one", "--from-origin"], 0);
    let sound_two = json_of(&store, &["state", "show", "two"], 0);
    flip(&store, events_of(&events, "one")[2], PAYLOAD);
    flip(&store, events_of(&events, "two")[2], PAYLOAD);
    for is_salvaged in [false, true] {
        let exit = if is_salvaged { 0 } else { 4 };
        if is_salvaged {
            let salvage = ["log", "repair", "--mode", "salvage"];
            let plan = json_of(&store, &salvage, 4);
            let plan = plan["name"].as_str().expect("a name").to_owned();
            let apply = ["--apply", "--plan", &plan, "--accept-loss", "2", "--reason", "a test"];
            let applied = run(&store, &[&salvage[..], &apply].concat(), "");
            assert_eq!(applied.exit, Some(0), "{applied:?}");
        }
        // From the snapshot, what lies before it is not read: absences by record are told all the same.
        let shown = json_of(&store, &["state", "show", "one"], 0);
        assert_eq!((&shown["digest"], &shown["missing"]), (&sound["digest"], &json!(0)));
        assert_eq!(shown["absent"], json!(u64::from(is_salvaged)));
        let replayed = json_of(&store, &["replay"], exit);
        let one = row(&replayed, "one");
        assert_eq!(
            (&one["digest"], &one["missing"], &one["snapshot"]),
            (&sound["digest"], &json!(0), &shown["snapshot"])
        );
        let alone = json_of(&store, &["replay", "--run", "one"], exit);
        assert_eq!(row(&alone, "one")["digest"], sound["digest"]);
        let listed = json_of(&store, &["run", "list"], exit);
        assert_eq!(row(&listed, "one")["snapshot"], shown["snapshot"]);
        assert_eq!(row(&listed, "one")["events"], sound["events"]);
        let report = json_of(&store, &["run", "show", "one"], exit);
        assert_eq!((&report["snapshot"], &report["events"]), (&shown["snapshot"], &sound["events"]));
        if is_salvaged {
            let findings = report["findings"].to_string();
            assert!(findings.contains("1 event is absent, and the state is that of the snapshot"), "{findings}");
        }
        let journal = Journal::options().open(&store).expect("a store");
        let (state, _) = journal.run("one").expect("a run").state::<Runs>().expect("complete");
        assert_eq!(serde_json::to_value(&state).expect("JSON"), sound["state"]);
        // Without a snapshot, the state lacks what was lost, whoever asks.
        let shown = json_of(&store, &["state", "show", "two"], exit);
        assert_eq!((&shown["missing"], &shown["snapshot"]), (&json!(1), &Value::Null));
        let (lost, around) = (&events_of(&events, "two")[2]["seq"], &shown["missing_at"][0]);
        assert!(around["after"].as_u64() < lost.as_u64() && lost.as_u64() < around["before"].as_u64(), "{shown}");
        let text = run(&store, &["state", "show", "two"], "");
        let named = text.data.lines().find(|line| line.starts_with("INCOMPLETE")).expect("a line");
        assert!(named.contains("1 event is missing between seq "), "{named}");
        let report = json_of(&store, &["run", "show", "two"], exit)["findings"].to_string();
        let (place, _) = named.split_once(", and").expect("a place");
        let place = place.trim_start_matches("INCOMPLETE: ");
        assert!(report.contains(place), "run show names the same: {report}");
        assert_ne!(shown["digest"], sound_two["digest"]);
        let two = row(&replayed, "two");
        assert_eq!((&two["digest"], &two["missing"]), (&shown["digest"], &json!(1)));
        assert_eq!(journal.run("two").expect("a run").state::<Runs>().expect_err("incomplete").code(), "T0507");
        let origin = json_of(&store, &["state", "show", "one", "--from-origin"], exit);
        assert_eq!(origin["missing"], 1, "who asks for it is told");
    }
}
