//! The first minute: what the demo does, and does again.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::kit::{Answer, Directory, command, run};

/// Runs the demo in a directory, with nothing said of stores.
fn demo(place: &Path, arguments: &[&str]) -> Answer {
    let mut command = command(Path::new("unused"), &[&["demo"], arguments].concat());
    command.env_remove("TAFFRAIL_STORE").current_dir(place);
    answered(command)
}

fn answered(mut command: Command) -> Answer {
    let output = command.output().expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Answer { exit: output.status.code(), data: text(output.stdout), notes: text(output.stderr) }
}

fn commands(report: &Value, list: &str) -> Vec<String> {
    let steps = report[list].as_array().expect("a list");
    steps.iter().map(|step| step["command"].as_str().expect("a command").to_owned()).collect()
}

/// Runs a command line of the demo as a user would, in a shell that finds the program.
fn typed(line: &str, place: &Path) -> Option<i32> {
    let program = env!("CARGO_BIN_EXE_taffrail-under-test");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("taffrail() {{ '{program}' \"$@\"; }}; {line}")]).current_dir(place);
    let output = shell.env_remove("TAFFRAIL_STORE").env("XDG_CONFIG_HOME", "/nonexistent").output();
    output.expect("sh runs").status.code()
}

fn copy(from: &Path, into: &Path) {
    let status = Command::new("cp").arg("-r").arg(from).arg(into).status().expect("cp runs");
    assert!(status.success(), "{}", from.display());
}

#[test]
fn the_demo_tells_programs_what_it_did_and_its_commands_do_the_same_again() {
    let directory = Directory::new("demo");
    let [place, other, own] = ["one", "two", "own"].map(|name| directory.path().join(name));
    for place in [&place, &other, &own] {
        std::fs::create_dir(place).expect("a directory");
    }
    let answer = demo(&place, &["--json"]);
    assert_eq!((answer.exit, answer.notes.as_str()), (Some(0), ""), "{answer:?}");
    let report: Value = serde_json::from_str(&answer.data).expect("one document");
    let keys: Vec<&String> = report.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["schema", "directory", "steps", "damage", "alias", "next", "with_own_runs", "own_runs"]);
    assert_eq!((&report["schema"], &report["own_runs"]), (&json!("taffrail.demo/1"), &Value::Null));
    let steps = report["steps"].as_array().expect("steps");
    let step = |part: &str| steps.iter().rfind(|step| step["command"].as_str().is_some_and(|line| line.contains(part)));
    let imported = &step(" log import ").expect("an import")["answer"];
    assert_eq!((&imported["runs_count"], &imported["events_added"]), (&json!(3), &json!(61)));
    assert_eq!(imported["oddities"]["count"], 2);
    let verified = &step(" log verify").expect("a verification")["answer"];
    assert_eq!(verified["totals"]["lost"], 1);
    assert_eq!(verified["findings"][0]["lost"][0]["first"], report["damage"]["seq"]);
    assert_eq!(step(" log repair ").expect("a plan")["answer"]["lost"], 1);

    // Whoever types all of it in another directory comes to the same. Its path is as long: it is part of what is recorded.
    let project = other.join("taffrail-demo");
    std::fs::create_dir(&project).expect("a directory");
    copy(&place.join("taffrail-demo/.a5c"), &project);
    for step in steps {
        let line = step["command"].as_str().expect("a command");
        assert_eq!(typed(line, &other).map(i64::from), step["exit"].as_i64(), "{line}");
    }
    // And so does whoever goes on as it says.
    let next = commands(&report, "next");
    assert!(report["alias"]["command"].as_str().is_some_and(|line| line.starts_with("alias taffrail=")), "{report}");
    assert_eq!(next[0], "cd taffrail-demo");
    for line in &next[1..] {
        assert_eq!(typed(&format!("cd taffrail-demo; {line}"), &place), Some(0), "{line}");
    }
    copy(&project.join(".a5c"), &own);
    for line in commands(&report, "with_own_runs") {
        assert_eq!(typed(&line, &own), Some(0), "{line}");
    }
    let answer = demo(&own, &["--json"]);
    let report: Value = serde_json::from_str(&answer.data).expect("one document");
    assert_eq!(report["own_runs"], json!({"path": ".a5c/runs", "runs": 3, "events": 61, "oddities": 2}));
}

#[test]
fn the_demo_makes_its_own_directory_anew_and_leaves_others_alone() {
    let directory = Directory::new("demo-twice");
    let project = directory.path().join("taffrail-demo");
    let first = demo(directory.path(), &[]);
    assert_eq!((first.exit, first.notes.as_str()), (Some(0), ""), "{first:?}");
    assert!(first.data.contains("\nimported 3 runs, 61 events; 2 oddities kept and reported.\n"), "{}", first.data);
    std::fs::write(project.join("left-behind"), "x").expect("written");
    std::fs::remove_dir_all(project.join(".taffrail/segments")).expect("removed");
    let second = demo(directory.path(), &[]);
    assert_eq!((second.exit, second.notes.as_str()), (Some(0), ""), "{second:?}");
    assert!(!project.join("left-behind").exists());
    let lines = |answer: &Answer| answer.data.lines().count();
    assert_eq!(lines(&first), lines(&second));

    let place = |name: &str| directory.path().join(name);
    std::fs::create_dir(place("empty")).expect("a directory");
    assert_eq!(demo(directory.path(), &["--dir", "empty"]).exit, Some(0), "an empty directory is nobody's");
    std::fs::create_dir(place("full")).expect("a directory");
    std::fs::write(place("full/precious"), "x").expect("written");
    std::fs::create_dir(place("liar")).expect("a directory");
    std::fs::write(place("liar/.made-by-taffrail-demo"), "by somebody else").expect("written");
    std::fs::write(place("file"), "x").expect("written");
    std::os::unix::fs::symlink("taffrail-demo", place("link")).expect("a link");
    for name in ["full", "liar", "file", "link"] {
        let refused = demo(directory.path(), &["--json", "--dir", name]);
        assert_eq!((refused.exit, refused.data.as_str()), (Some(2), ""), "{name}");
        let error = refused.error();
        assert_eq!((&error["code"], &error["hint"]), (&json!("T0114"), &json!("taffrail demo --dir another-demo")));
    }
    assert_eq!(std::fs::read_to_string(place("full/precious")).expect("left alone"), "x");
}

#[test]
fn events_of_imports_are_told_in_words() {
    let directory = Directory::new("demo-words");
    assert_eq!(demo(directory.path(), &[]).exit, Some(0));
    let store = directory.path().join("taffrail-demo/.taffrail");
    let shown = run(&store, &["log", "dump", "--type", "taffrail.import"], "").data;
    for words in [
        "  wrong-checksum in journal/000005.01M0CQH48RNNN782C4YCA7JV33.json: stored \"8111d658...\", computed \"975cbf42...\"; \
         torn-lock in run.lock: 0 bytes, empty",
        "  babysitter run nightly-7, process nightly, from /",
        "; checksum invalid in journal/000005.01M0CQH48RNNN782C4YCA7JV33.json  ",
        "  7 events from journal/000001.01M0CQE6GRV9MEYM0N5WPSQM5E.json to journal/000007.",
        ": inputs.json; run.json; run.lock; and 5 more  ",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    // What the words leave out is found all the same.
    let found = run(&store, &["log", "dump", "--type", "babysitter", "--grep", "01M0CQGCTR0RXR8C5Z3TJ7AF81"], "");
    assert_eq!((found.exit, found.data.lines().count()), (Some(0), 3), "{}", found.data);
}
