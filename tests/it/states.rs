//! States of runs, from the command line: shown, compared, blamed, bisected, snapshotted, replayed.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use taffrail::run::{Change, Content, Runs};
use taffrail::{Batch, Expect, Journal};

use crate::kit::{Answer, Directory, run, snapshot};

#[path = "../src/bin/hash_order.rs"]
#[allow(dead_code, reason = "its main is another process's")]
mod hash_order;
use hash_order::Job;

/// A store with the three runs of the sample.
fn sample(directory: &Directory) -> PathBuf {
    let store = directory.store();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
    let imported = run(&store, &["log", "import", source.to_str().expect("UTF-8")], "");
    assert_eq!(imported.exit, Some(0), "{imported:?}");
    store
}

fn json(store: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let answer = run(store, &[arguments, &["--json"]].concat(), "");
    assert_eq!(answer.notes, "", "{arguments:?}");
    (answer.exit, serde_json::from_str(&answer.data).expect("one document"))
}

fn refused(store: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let answer = run(store, &[arguments, &["--json"]].concat(), "");
    (answer.exit, answer.error()["code"].as_str().expect("a code").to_owned())
}

fn seq_of(store: &Path, kind: &str) -> u64 {
    let dumped = run(store, &["log", "dump", "-o", "jsonl", "--type", kind, "-n", "1"], "");
    dumped.lines()[0]["seq"].as_u64().expect("a seq")
}

#[test]
fn runs_are_listed_with_what_they_wait_for_and_shown_with_what_happened() {
    let directory = Directory::new("runs");
    let store = sample(&directory);
    let (exit, list) = json(&store, &["run", "list"]);
    assert_eq!((exit, &list["schema"]), (Some(0), &json!("taffrail.runs/1")));
    let row = |run: &Value| (run["name"].clone(), run["status"].clone(), run["events"].clone());
    let rows: Vec<_> = list["runs"].as_array().expect("runs").iter().map(row).collect();
    let expected = [("fix-login", "failed", 7), ("nightly-7", "completed", 31), ("release-42", "waiting", 23)];
    assert_eq!(rows, expected.map(|(name, status, events)| (json!(name), json!(status), json!(events))));
    let (exit, waiting) = json(&store, &["run", "list", "--waiting", "approval"]);
    assert_eq!(exit, Some(0));
    assert_eq!(waiting["runs"].as_array().expect("runs").len(), 1);
    assert_eq!(waiting["runs"][0]["waiting"][0]["kind"], "approval");
    assert_eq!(json(&store, &["run", "list", "--waiting", "timer"]).0, Some(1));
    assert_eq!(json(&store, &["run", "list", "--status", "failed"]).1["runs"].as_array().map(Vec::len), Some(1));
    let (exit, shown) = json(&store, &["run", "show", "fix"]);
    assert_eq!((exit, &shown["schema"], &shown["status"]), (Some(0), &json!("taffrail.run/1"), &json!("failed")));
    assert_eq!(shown["timeline"].as_array().map(Vec::len), Some(7));
    assert_eq!(shown["findings"].as_array().map(Vec::len), Some(2));
    let text = run(&store, &["run", "show", "fix", "-n", "2"], "");
    assert!(text.data.contains("oddity") && text.notes.contains("5 events before these"), "{text:?}");
    assert_eq!(refused(&store, &["run", "show", "nothing"]), (Some(1), "T0141".to_owned()));
}

#[test]
fn a_difference_names_the_event_behind_every_change() {
    let directory = Directory::new("differences");
    let store = sample(&directory);
    let failed = seq_of(&store, "babysitter.RUN_FAILED");
    let (before, after) = ((failed - 1).to_string(), failed.to_string());
    let (exit, diff) = json(&store, &["state", "diff", "fix-login", &before, &after]);
    assert_eq!((exit, &diff["schema"]), (Some(1), &json!("taffrail.state_diff/1")));
    let changes = diff["changes"].as_array().expect("changes");
    assert!(changes.iter().all(|change| change["cause"]["seq"] == json!(failed)), "{changes:?}");
    let status = changes.iter().find(|change| change["path"] == "status").expect("a new status");
    assert_eq!((&status["old"], &status["new"]), (&json!("waiting"), &json!("failed")));
    // The run of the events is meant; backwards is forwards, read the other way.
    assert_eq!(json(&store, &["state", "diff", &before, &after]), (exit, diff));
    let (_, back) = json(&store, &["state", "diff", &after, &before]);
    let status =
        back["changes"].as_array().and_then(|changes| changes.iter().find(|it| it["path"] == "status").cloned());
    assert_eq!(status.map(|status| status["new"].clone()), Some(json!("waiting")));
    assert_eq!(json(&store, &["state", "diff", "fix-login", &after, &after]).0, Some(0));
    // A step is asked for by one event and ends with another.
    let (_, step) = json(&store, &["state", "diff", "fix-login", "before:shell-step.2", "after:shell-step.2"]);
    assert_eq!((&step["from"], &step["to"]), (&json!(failed - 4), &json!(failed - 2)));
    assert_eq!(
        refused(&store, &["state", "show", "fix-login", "--at", "after:nothing"]),
        (Some(1), "T0146".to_owned())
    );
    let human = run(&store, &["state", "diff", &before, &after], "").data;
    let row = human.lines().find(|line| line.starts_with(" status ")).expect("a new status");
    let words: Vec<&str> = row.split_whitespace().collect();
    let seq = failed.to_string();
    assert_eq!(words, ["status", "\"waiting\"", "->", "\"failed\"", "seq", &seq, "babysitter.RUN_FAILED"]);
    let (exit, blame) = json(&store, &["state", "blame", "fix-login", "status"]);
    let values: Vec<&Value> = blame["changes"].as_array().expect("changes").iter().map(|it| &it["new"]).collect();
    assert_eq!((exit, values.last()), (Some(0), Some(&&json!("failed"))));
    for arguments in [["state", "blame", "fix-login", "nothing"], ["state", "show", "fix-login", "nothing"]] {
        assert_eq!(refused(&store, &arguments), (Some(1), "T0516".to_owned()));
    }
    assert_eq!(refused(&store, &["state", "show"]), (Some(2), "T0104".to_owned()), "which run?");
    assert_eq!(refused(&store, &["state", "show", "fix-login", "--at", "9999"]), (Some(1), "T0146".to_owned()));
}

#[test]
fn a_bisection_finds_the_first_bad_event_by_a_condition_and_by_a_command() {
    let directory = Directory::new("bisection");
    let store = sample(&directory);
    let failed = json!(seq_of(&store, "babysitter.RUN_FAILED"));
    fn bisect<'judge>(judge: &[&'judge str]) -> Vec<&'judge str> {
        [&["state", "bisect", "fix-login"], judge].concat()
    }
    let (exit, found) = json(&store, &bisect(&["--where", "status == 'failed'"]));
    assert_eq!((exit, &found["first_bad"]["seq"]), (Some(0), &failed));
    for (script, exit, answer) in [
        ("! grep -q '\"status\":\"failed\"'", 0, "first bad: seq"),
        ("exit 127", 7, "T0517"),
        ("kill -9 $$", 7, "T0517"),
        ("exit 0", 1, "T0515"),
        ("exit 125", 1, "can not be judged"),
    ] {
        let found = run(&store, &bisect(&["--", "sh", "-c", script]), "");
        assert_eq!(found.exit, Some(exit), "{script}: {found:?}");
        assert!(found.data.contains(answer) || found.notes.contains(answer), "{script}: {found:?}");
    }
    let missing = run(&store, &bisect(&["--", "/nonexistent/judge"]), "");
    assert!(missing.exit == Some(7) && missing.notes.contains("cannot be started"), "{missing:?}");
    assert_eq!(refused(&store, &bisect(&["--where", "status =="])).0, Some(2));
}

#[test]
fn snapshots_are_made_used_dropped_by_a_plan_and_put_back() {
    let directory = Directory::new("snapshots");
    let store = sample(&directory);
    let (exit, made) = json(&store, &["snap", "create"]);
    assert_eq!((exit, made["snapshots"].as_array().map(Vec::len)), (Some(0), Some(3)));
    let shown = json(&store, &["state", "show", "release-42"]).1;
    assert!(shown["snapshot"].is_u64(), "{shown}");
    let origin = json(&store, &["state", "show", "release-42", "--from-origin"]).1;
    assert_eq!((&origin["snapshot"], &origin["state"]), (&Value::Null, &shown["state"]));
    assert_eq!(json(&store, &["state", "show", "release-42", "--at", "snap:latest"]).1["digest"], shown["digest"]);
    let file = made["snapshots"][2]["file"].as_str().expect("a file").to_owned();

    let before = snapshot(&store);
    let drop = ["snap", "drop", file.as_str()];
    let (exit, plan) = json(&store, &drop);
    assert_eq!((exit, &plan["schema"]), (Some(0), &json!("taffrail.drop_plan/1")));
    assert_eq!(snapshot(&store), before, "a plan writes nothing");
    let apply = |plan: &str| run(&store, &[&drop[..], &["--apply", "--plan", plan, "--reason", "a test"]].concat(), "");
    assert_eq!(apply("000000").exit, Some(7));
    let name = plan["name"].as_str().expect("a name");
    assert_eq!(apply(name).exit, Some(0));
    assert_eq!(json(&store, &["snap", "list"]).1["snapshots"].as_array().map(Vec::len), Some(2));
    assert_eq!(refused(&store, &drop), (Some(1), "T0510".to_owned()));
    let undo = json(&store, &["store", "undo"]).1;
    let name = undo["name"].as_str().expect("a name");
    let undone = run(&store, &["store", "undo", "--apply", "--plan", name, "--reason", "a test"], "");
    assert_eq!(undone.exit, Some(0), "{undone:?}");
    assert_eq!(json(&store, &["snap", "list"]).1["snapshots"][2]["file"], json!(file));
    assert_eq!(run(&store, &["log", "verify"], "").exit, Some(0));

    // A snapshot that is no good is passed over, named, and goes with the superfluous ones.
    std::fs::write(store.join(&file), b"nothing").expect("written");
    let answer = run(&store, &["state", "show", "release-42"], "");
    assert!(answer.exit == Some(0) && answer.notes.contains(&file), "{answer:?}");
    assert_eq!(json(&store, &["snap", "list"]).1["findings"][0]["file"], json!(file));
    assert_eq!(json(&store, &["snap", "drop", "--keep", "1"]).1["snapshots"][0]["file"], json!(file));
}

#[test]
fn a_replay_proves_what_was_recorded_or_names_what_differs() {
    let directory = Directory::new("replays");
    let store = sample(&directory);
    assert_eq!(json(&store, &["replay", "--check"]).0, Some(1), "nothing was recorded");
    let (exit, twice) = json(&store, &["replay", "--check", "--twice"]);
    assert_eq!((exit, &twice["diverged"]), (Some(0), &json!(0)));
    assert!(twice["compared"].as_u64() >= Some(6), "{twice}");
    run(&store, &["snap", "create"], "");
    assert_eq!(
        json(&store, &["replay", "--from", "snap:*"]).1["equal"],
        6,
        "three snapshots, and the checkpoints that vouch for them"
    );

    let states = run(&store, &["replay", "--states"], "");
    assert_eq!((states.exit, states.lines().len()), (Some(0), 61));
    let file = directory.path().join("states.jsonl");
    let against = |text: &str| -> Answer {
        std::fs::write(&file, text).expect("written");
        run(&store, &["replay", "--against", file.to_str().expect("UTF-8")], "")
    };
    assert_eq!(against(&states.data).exit, Some(0));
    // Bug: a recorded state that this log has no event for was passed over, and all was said to be equal.
    let mut more = states.lines().pop().expect("a line");
    more["revision"] = json!(99);
    let answer = against(&format!("{}{more}\n", states.data));
    assert!(answer.exit == Some(1) && answer.data.contains("not compared: 1 recorded state"), "{answer:?}");
    assert_eq!(refused(&store, &["replay", "--states"]), (Some(2), "T0107".to_owned()), "lines are no document");
    // Another build, which had seen the failure otherwise.
    let failed = seq_of(&store, "babysitter.RUN_FAILED");
    let other: Vec<String> = states
        .lines()
        .into_iter()
        .map(|mut line| {
            if line["seq"] == json!(failed) {
                line["state"]["status"] = json!("completed");
                line["digest"] = json!("0".repeat(64));
            }
            line.to_string()
        })
        .collect();
    let answer = against(&other.join("\n"));
    assert_eq!(answer.exit, Some(5), "{answer:?}");
    for part in
        [&format!("DIVERGED at seq {failed} (babysitter.RUN_FAILED)"), "\"completed\"", "cause class: CODE", "repro: "]
    {
        assert!(answer.data.contains(part), "{part}: {}", answer.data);
    }
    let repro = answer.data.lines().find_map(|line| line.strip_prefix("repro: taffrail ")).expect("a repro");
    let words: Vec<&str> = repro.split(' ').take_while(|word| *word != ">").collect();
    let exported = run(&store, &words, "");
    assert!(exported.exit == Some(0) && exported.data.contains("RUN_FAILED"), "{exported:?}");
    assert_eq!(against("{}").exit, Some(2));
    let absent = run(&store, &["replay", "--against", "/nonexistent/states", "--json"], "");
    assert_eq!((absent.exit, absent.error()["code"].clone()), (Some(74), json!("T0514")));
}

/// A fork begins with its parent's state, whichever command asks.
#[test]
fn a_replay_of_a_fork_alone_begins_where_its_parent_was() {
    let directory = Directory::new("forks");
    let store = directory.store();
    let journal = Journal::options().open(&store).expect("a store");
    let created = Change::Created { process: "p".into(), process_digest: None, inputs: Content::None };
    let parent = journal.run_or_create("parent").expect("a run");
    parent.append(Expect::Any, &[created.by("engine")]).expect("appended");
    let state = parent.state::<Runs>().expect("a state").0;
    let mut batch = Batch::new();
    let child = batch.run_from("child", Some(parent.number()));
    batch.typed(Some(child), None, &Change::Forked(state.plan_fork("parent", 1)).by("uid:0")).expect("an event");
    journal.append(batch).expect("appended");
    journal.close().expect("closed");
    // Bug: only the fork's own events were folded, and the two processes of --twice were said to disagree.
    let shown = json(&store, &["state", "show", "child"]).1;
    let (exit, alone) = json(&store, &["replay", "--run", "child"]);
    assert_eq!((exit, alone["runs"].as_array().map(Vec::len)), (Some(0), Some(1)));
    assert_eq!(alone["runs"][0]["digest"], shown["digest"]);
    let (exit, twice) = json(&store, &["replay", "--twice", "--run", "child"]);
    assert_eq!((exit, &twice["diverged"]), (Some(0), &json!(0)), "{twice}");
}

/// A fold whose state depends on a hash map's order folds the same twice within a process. Only another process tells.
#[test]
fn a_second_process_catches_a_fold_that_depends_on_its_process_and_names_the_event() {
    let directory = Directory::new("hash-order");
    let store = directory.store();
    let journal = Journal::options().open(&store).expect("a store");
    let jobs: Vec<Job> = (0..12).map(Job::Queued).collect();
    journal.run_or_create("jobs").and_then(|run| run.append(Expect::Any, &jobs)).expect("appended");
    journal.close().expect("closed");
    let check = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taffrail-hash-order"));
        command.args(["-s", store.to_str().expect("UTF-8"), "replay", "--check", "--json"]).args(arguments);
        let output = command.output().expect("it runs");
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).expect("a report"))
    };
    assert_eq!(check(&[]).0, Some(1), "nothing was recorded");
    let (exit, report) = check(&["--twice"]);
    assert_eq!(exit, Some(5), "{report}");
    let divergence = &report["runs"][0]["divergence"];
    let facts = [&divergence["cause"], &divergence["place"], &divergence["evidence"], &divergence["type"]];
    assert_eq!(facts, [&json!("NONDETERMINISM"), &json!("event"), &json!("twin"), &json!("acme.job.Queued")]);
    // Registration, opening, and three jobs that keep their order come first.
    assert!(divergence["seq"].as_u64() >= Some(6), "{divergence}");
}

/// A run whose events no fold reads was answered wrongly or in circles: `run rewind` found "no event at or before" the last
/// event, `run close` said `not-created "Closed"`, `snap create` advised `snap create`, and `replay` counted no run.
#[test]
fn a_run_of_foreign_types_is_told_as_such_by_every_command_that_needs_a_fold() {
    let directory = Directory::new("foreign-run");
    let store = directory.store();
    for kind in ["job.begun", "job.done"] {
        let appended = run(&store, &["log", "append", "--create", "--run", "q", "--type", kind, "1"], "");
        assert_eq!(appended.exit, Some(0), "{appended:?}");
    }
    let said =
        "run q has no event that the fold taffrail.run knows: its types job.begun, job.done belong to another program";
    for words in [
        &["run", "rewind", "q", "--to", "head"][..],
        &["run", "fork", "q", "--name", "r"],
        &["run", "close", "q"],
        &["run", "undo", "q"],
        &["snap", "create", "q"],
        &["snap", "create"],
    ] {
        let before = snapshot(&store);
        let answer = run(&store, words, "");
        assert_eq!(answer.exit, Some(7), "{words:?} {answer:?}");
        let said = if words == ["snap", "create"] { said.replacen("run q", "the log", 1) } else { said.to_owned() };
        assert!(answer.notes.starts_with(&format!("error[T0425]: {said}")), "{words:?} {answer:?}");
        assert!(answer.notes.contains("main_with"), "{answer:?}");
        let hint = answer.notes.lines().find_map(|line| line.strip_prefix("  hint: taffrail ")).expect("a hint");
        let words: Vec<&str> = hint.split(' ').collect();
        assert_eq!(run(&store, &words, "").exit, Some(0), "{hint}");
        assert!(answer.data.is_empty() && before.len() == snapshot(&store).len(), "{answer:?}");
    }
    for words in [&["replay"][..], &["replay", "--run", "q"], &["state", "show", "q"]] {
        let answer = run(&store, words, "");
        assert_eq!(answer.exit, Some(0), "{words:?} {answer:?}");
        assert!(answer.notes.contains("knows: its types job.begun, job.done belong"), "{words:?} {answer:?}");
    }
    // Beside a run that the fold reads it is passed over, and an empty store has nothing to be told.
    let empty = Directory::new("foreign-empty");
    let answer = run(&empty.store(), &["snap", "create"], "");
    assert_eq!((answer.exit, answer.notes.as_str()), (Some(0), "the log has no event yet that a fold could read\n"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
    assert_eq!(run(&store, &["log", "import", source.to_str().expect("UTF-8")], "").exit, Some(0));
    let created = run(&store, &["snap", "create"], "");
    assert!(created.exit == Some(0) && created.data.contains("release-42"), "{created:?}");
}
