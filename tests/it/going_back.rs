//! Runs are rewound, forked, closed, and all of that is undone: plans first, as typed on a command line.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::kit::{Answer, Directory, command, dump, run, snapshot};

/// The demo's store.
fn demo(directory: &Directory) -> PathBuf {
    let mut demo = command(Path::new("unused"), &["-q", "demo"]);
    let output = demo.env_remove("TAFFRAIL_STORE").current_dir(directory.path()).output().expect("the demo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    directory.path().join("taffrail-demo/.taffrail")
}

/// Runs a command line as it is printed, with a reason where three points stand for one.
pub(crate) fn typed(store: &Path, line: &str) -> Answer {
    let program = env!("CARGO_BIN_EXE_taffrail-under-test");
    let line = line.replace("\"...\"", "'a test: it went wrong'");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("taffrail() {{ '{program}' \"$@\"; }}; {line}")]);
    let output = shell.env("TAFFRAIL_STORE", store).env("XDG_CONFIG_HOME", "/nonexistent").output().expect("sh runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Answer { exit: output.status.code(), data: text(output.stdout), notes: text(output.stderr) }
}

/// The plan of a command, as JSON; the plan in words has the same name, and neither writes anything.
pub(crate) fn planned(store: &Path, words: &[&str]) -> Value {
    let before = snapshot(store);
    let shown = run(store, words, "");
    let answer = run(store, &[words, &["--json"]].concat(), "");
    assert!(snapshot(store) == before, "a plan has changed the store: {words:?}");
    assert_eq!((answer.exit, answer.notes.as_str()), (Some(0), ""), "{words:?}: {answer:?}");
    let plan: Value = serde_json::from_str(&answer.data).expect("one JSON object");
    let name = plan["name"].as_str().expect("a name");
    assert!(shown.data.starts_with(&format!("plan {name}   (nothing written)\n")), "{shown:?}");
    let apply = plan["apply"].as_str().expect("a command");
    assert!(shown.data.ends_with(&format!("apply: {apply}\n[exit 0]\n")), "{shown:?}");
    plan
}

/// Plans, and carries the plan out by the command that it names.
pub(crate) fn agreed(store: &Path, words: &[&str]) -> Value {
    let plan = planned(store, words);
    let applied = typed(store, plan["apply"].as_str().expect("a command"));
    assert_eq!((applied.exit, applied.notes.as_str()), (Some(0), ""), "{words:?}: {applied:?}");
    assert!(applied.data.starts_with(&format!("applied plan {}", plan["name"].as_str().expect("a name"))));
    let verified = run(store, &["log", "verify"], "");
    assert_eq!(verified.exit, Some(0), "{verified:?}");
    plan
}

/// What a run is now, without what only says how it came about.
fn history(store: &Path, run_name: &str) -> Value {
    let answer = run(store, &["state", "show", run_name, "--json"], "");
    assert_eq!(answer.exit, Some(0), "{answer:?}");
    let report: Value = serde_json::from_str(&answer.data).expect("JSON");
    let state = &report["state"];
    json!({
        "status": state["status"], "waiting": state["waiting"], "steps": state["steps"], "turns": state["turns"],
        "faults": state["faults"], "processes": state["processes"], "inputs": state["inputs"],
        "findings": state["finding_count"], "spent": state["spent"],
    })
}

fn shown(store: &Path, words: &[&str]) -> Value {
    let answer = run(store, &[words, &["--json"]].concat(), "");
    assert_eq!(answer.exit, Some(0), "{answer:?}");
    serde_json::from_str(&answer.data).expect("JSON")
}

/// The events of a run's schema, by seq.
fn timeline(store: &Path, run_name: &str) -> Vec<Value> {
    let report = shown(store, &["run", "show", run_name, "--all", "-n", "1000"]);
    report["timeline"].as_array().expect("a list").clone()
}

/// Everything that is refused while the plan stands there, and changes nothing.
fn refusals(store: &Path, words: &[&str], name: &str, steps: &[&str]) {
    let acknowledged = steps.join(",");
    let refused = |more: &[&str]| {
        let sound = snapshot(store);
        let answer = run(store, &[words, &["--apply", "--json"], more].concat(), "");
        assert!(snapshot(store) == sound, "a refusal has changed the store: {more:?}");
        (answer.exit, answer.error()["code"].as_str().expect("a code").to_owned())
    };
    let reason = ["--reason", "why not", "--accept-loss", "11", "--ack-irreversible", &acknowledged];
    let code = |exit: i32, code: &str| (Some(exit), code.to_owned());
    assert_eq!(refused(&reason), code(7, "T0401"));
    assert_eq!(refused(&[&reason[..], &["--plan", "123456"]].concat()), code(7, "T0401"));
    assert_eq!(refused(&[&reason[2..], &["--plan", name]].concat()), code(2, "T0104"));
    assert_eq!(
        refused(&[&reason[..2], &reason[4..], &["--plan", name, "--accept-loss", "10"]].concat()),
        code(7, "T0402")
    );
    assert_eq!(refused(&[&reason[..4], &["--plan", name]].concat()), code(7, "T0421"));
    assert_eq!(refused(&[&reason[..4], &["--plan", name, "--ack-irreversible", steps[0]]].concat()).1, "T0421");
    let surplus = format!("{acknowledged},nothing");
    assert_eq!(refused(&[&reason[..4], &["--plan", name, "--ack-irreversible", &surplus]].concat()).1, "T0421");
    assert_eq!(refused(&["--apply-now"]).0, Some(2), "either, or");
}

#[test]
fn a_rewind_is_planned_refused_applied_shown_and_undone() {
    let directory = Directory::new("rewind");
    let store = demo(&directory);
    let before = history(&store, "release-42");
    let events = timeline(&store, "release-42");
    let to = events[11]["seq"].to_string();
    let words = ["run", "rewind", "release-42", "--to", &to, "--as", "mark:left"];
    let plan = planned(&store, &words);
    assert_eq!(plan["schema"], "taffrail.rewind_plan/1");
    assert_eq!((&plan["lost"], &plan["to"]["event"], &plan["is_imported"]), (&json!(11), &json!(12), &json!(true)));
    let name = plan["name"].as_str().expect("a name");
    let good = plan["final_effects"].as_array().expect("a list");
    assert!(!good.is_empty(), "nobody said of the demo's steps that they can be taken back: {plan}");
    let steps: Vec<&str> = good.iter().map(|effect| effect["step"].as_str().expect("a name")).collect();
    refusals(&store, &words, name, &steps);

    let log = dump(&store);
    let applied = typed(&store, plan["apply"].as_str().expect("a command"));
    assert_eq!((applied.exit, applied.notes.as_str()), (Some(0), ""), "{applied:?}");
    assert!(applied.data.contains(": 11 events given up, all of them still readable\n"), "{}", applied.data);
    let now = dump(&store);
    assert_eq!(now[..log.len()], log[..], "nothing that was there has moved");
    let types: Vec<&str> = now[log.len()..].iter().map(|event| event["type"].as_str().expect("a type")).collect();
    assert_eq!(types, ["TypeRegistered", "Mark", "run.Rewound", "OperatorAction"]);
    for hint in applied.data.lines().filter_map(|line| line.split_once(" taffrail ")).map(|(_, words)| words) {
        assert_eq!(typed(&store, &format!("taffrail {hint}")).exit, Some(0), "{hint}");
    }

    let report = shown(&store, &["run", "show", "release-42"]);
    assert_eq!((&report["rewound"], &report["timeline_hidden"]), (&json!(1), &json!(11)), "{report}");
    let listed = run(&store, &["run", "list"], "").data;
    assert!(listed.lines().next().is_some_and(|line| line.ends_with("  HISTORY")), "{listed}");
    assert!(listed.lines().any(|line| line.starts_with("release-42 ") && line.ends_with("  rewound")), "{listed}");
    let all = run(&store, &["run", "show", "release-42", "--all", "-n", "100"], "").data;
    assert_eq!(all.lines().filter(|line| line.ends_with("  given up")).count(), 11, "{all}");
    let hidden = run(&store, &["run", "show", "release-42"], "");
    assert!(hidden.notes.contains("11 events given up by rewinds; taffrail run show release-42 --all shows them"));
    let left = shown(&store, &["state", "show", "release-42", "--at", "mark:left"]);
    assert_eq!(left["state"]["steps"], before["steps"]);
    assert_eq!(run(&store, &["replay", "--check", "--twice"], "").exit, Some(0));

    // What was given up is no place to go to; the plan that was carried out is not carried out again.
    let gone = run(&store, &["run", "rewind", "release-42", "--to", &events[14]["seq"].to_string(), "--json"], "");
    assert_eq!((gone.exit, &gone.error()["code"]), (Some(1), &json!("T0422")));
    let hint = gone.error()["hint"].as_str().expect("a hint").to_owned();
    assert_eq!(typed(&store, &hint).exit, Some(0), "{hint}");
    assert_eq!(typed(&store, plan["apply"].as_str().expect("a command")).exit, Some(7));

    let undo = agreed(&store, &["run", "undo", "release-42"]);
    assert_eq!((&undo["schema"], &undo["put_back"]), (&json!("taffrail.run_undo_plan/1"), &json!(11)));
    assert_eq!(history(&store, "release-42"), before, "a rewind and its undo are nothing");
    let nothing = run(&store, &["run", "undo", "release-42", "--json"], "");
    assert_eq!((nothing.exit, &nothing.error()["code"]), (Some(1), &json!("T0404")));
    let operator = now.last().expect("an event")["seq"].to_string();
    let other = run(&store, &["store", "undo", &operator, "--json"], "");
    assert_eq!((other.exit, &other.error()["code"]), (Some(7), &json!("T0403")));
    assert_eq!(other.error()["hint"], "taffrail run undo release-42");
    let told = run(&store, &["log", "dump", "--type", "OperatorAction", "--grep", "a test: it went wrong"], "").data;
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[test]
fn every_way_to_say_where_means_an_event_of_this_run() {
    let directory = Directory::new("rewind-to");
    let store = demo(&directory);
    let events = timeline(&store, "release-42");
    let seq = |at: usize| events[at]["seq"].as_u64().expect("a seq");
    let requested = |event: &&Value| event["kind"] == "EffectRequested";
    let step = events.iter().filter(requested).nth(2).expect("steps");
    let (name, asked) = (step["subject"].as_str().expect("a name"), step["seq"].as_u64().expect("a seq"));
    let ended = |event: &&Value| event["kind"] == "EffectResolved" && event["subject"] == name;
    let ended = events.iter().find(ended).expect("it ended")["seq"].as_u64().expect("a seq");
    assert_eq!(run(&store, &["log", "mark", "here"], "").exit, Some(0));
    let head = dump(&store).len() as u64;
    let back = format!("head~{}", head - seq(9));
    let log = dump(&store);
    let event = log.iter().find(|event| event["seq"] == seq(9)).expect("the event");
    let instant = format!("@{}", event["time"].as_str().expect("a time"));
    let offset = format!("seg:{}+{}", event["segment"], event["offset"]);
    let before_step = timeline_before(&events, asked);
    for (position, expected) in [
        (seq(9).to_string(), seq(9)),
        (back, seq(9)),
        (instant, seq(9)),
        (offset, seq(9)),
        (format!("before:{name}"), before_step),
        (format!("after:{name}"), ended),
    ] {
        let plan = planned(&store, &["run", "rewind", "release-42", "--to", &position]);
        assert_eq!(plan["to"]["seq"], expected, "{position}: {plan}");
        assert!(plan["apply"].as_str().is_some_and(|line| line.contains(&format!("--to {expected} "))), "{plan}");
    }
    for position in ["mark:here", "head", "run:release-42"] {
        let nothing = run(&store, &["run", "rewind", "release-42", "--to", position, "--json"], "");
        assert_eq!((nothing.exit, &nothing.error()["code"]), (Some(1), &json!("T0423")), "{position}");
    }
    // On an event of another run, the run's own last event before it: the plan says which.
    agreed(&store, &["run", "fork", "release-42", "--at", &seq(9).to_string(), "--name", "other"]);
    agreed(&store, &["run", "close", "release-42"]);
    agreed(&store, &["run", "undo", "release-42"]);
    let other = timeline(&store, "other").last().expect("it was forked")["seq"].to_string();
    let words = ["run", "rewind", "release-42", "--to", &other];
    let plan = planned(&store, &words);
    assert_eq!(
        (&plan["to"]["seq"], &plan["asked_run"], &plan["lost"]),
        (&events[22]["seq"], &json!("other"), &json!(2))
    );
    let said = format!("(seq {other}, an event of other; the run's last event of its schema before it counts)");
    assert!(run(&store, &words, "").data.contains(&said), "{said}");
}

#[test]
fn what_is_not_there_is_refused_with_a_code_and_the_nearest_names() {
    let directory = Directory::new("rewind-nowhere");
    let store = demo(&directory);
    for (words, exit, code) in [
        (&["run", "rewind", "release-42", "--to", "1"][..], 1, "T0146"),
        (&["run", "rewind", "release-42", "--to", "99999"], 1, "T0146"),
        (&["run", "rewind", "release-42", "--to", "before:nothing"], 1, "T0146"),
        (&["run", "rewind", "release-42", "--to", "nowhere"], 2, "T0103"),
        (&["run", "rewind", "release-42", "--to", "70", "--as", "head"], 2, "T0142"),
        (&["run", "rewind", "release-42"], 2, "T0104"),
        (&["run", "rewind", "release-43", "--to", "70"], 1, "T0141"),
        (&["run", "fork", "release-24", "--name", "x"], 1, "T0141"),
        (&["run", "fork", "release-42", "--name", "nightly-7"], 7, "T0145"),
        (&["run", "fork", "release-42", "--name", "a\nb"], 2, "T0142"),
        (&["run", "close", "release-43"], 1, "T0141"),
        (&["run", "undo", "release-43"], 1, "T0141"),
        (&["run", "undo", "release-42"], 1, "T0404"),
    ] {
        let answer = run(&store, &[words, &["--json"]].concat(), "");
        let error = answer.error();
        assert_eq!((answer.exit, error["code"].as_str()), (Some(exit), Some(code)), "{words:?}: {answer:?}");
        if code == "T0141" {
            assert!(error["message"].as_str().is_some_and(|text| text.contains("the nearest: release-42")), "{error}");
        }
    }
}

/// The run's event before the one with this seq.
fn timeline_before(events: &[Value], seq: u64) -> u64 {
    let before = events.iter().filter_map(|event| event["seq"].as_u64()).filter(|other| *other < seq);
    before.max().expect("it is not the first")
}

#[test]
fn a_fork_of_an_imported_run_goes_its_own_way_and_names_where_it_comes_from() {
    let directory = Directory::new("fork");
    let store = demo(&directory);
    let parent = history(&store, "nightly-7");
    let events = timeline(&store, "nightly-7");
    let at = events[14]["seq"].to_string();
    let plan = agreed(&store, &["run", "fork", "nightly-7", "--at", &at, "--name", "nightly-7 again"]);
    assert_eq!((&plan["schema"], &plan["new_name"]), (&json!("taffrail.fork_plan/1"), &json!("nightly-7 again")));
    assert_eq!(history(&store, "nightly-7"), parent, "the parent is as it was");
    let fork = shown(&store, &["run", "show", "nightly-7 again"]);
    assert_eq!(fork["parent"], json!({"run": "nightly-7", "at": 15}));
    assert_eq!(fork["status"], plan["then"]["status"]);
    let listed = run(&store, &["run", "list"], "").data;
    assert!(listed.contains("  nightly-7 at event 15\n"), "{listed}");
    // The fork is rewound into what it has of its parent, and its parent is rewound beneath it: neither notices.
    let before = history(&store, "nightly-7 again");
    let parents = agreed(&store, &["run", "rewind", "nightly-7", "--to", &events[4]["seq"].to_string()]);
    assert_eq!(parents["hanging"][0]["name"], "nightly-7 again");
    assert_eq!(history(&store, "nightly-7 again"), before);
    let rewound = history(&store, "nightly-7");
    agreed(&store, &["run", "rewind", "nightly-7 again", "--to", &events[2]["seq"].to_string()]);
    assert_eq!(history(&store, "nightly-7"), rewound);
    agreed(&store, &["run", "undo", "nightly-7 again"]);
    assert_eq!(history(&store, "nightly-7 again"), before);
    assert_eq!(run(&store, &["replay", "--check", "--twice"], "").exit, Some(0));
}

#[test]
fn a_close_ends_any_run_and_an_undo_opens_it_again() {
    let directory = Directory::new("close");
    let store = demo(&directory);
    for run_name in ["fix-login", "nightly-7", "release-42"] {
        let before = shown(&store, &["run", "show", run_name]);
        let plan = agreed(&store, &["run", "close", run_name]);
        assert_eq!((&plan["schema"], &plan["then"]["status"]), (&json!("taffrail.close_plan/1"), &json!("closed")));
        let closed = run(&store, &["run", "show", run_name, "-n", "1"], "").data;
        assert!(closed.starts_with(&format!("{run_name}  closed  ")), "{closed}");
        assert!(closed.contains("a test: it went wrong"), "{closed}");
        let again = run(&store, &["run", "close", run_name, "--json"], "");
        assert_eq!((again.exit, &again.error()["code"]), (Some(7), &json!("T0511")));
        agreed(&store, &["run", "undo", run_name]);
        let after = shown(&store, &["run", "show", run_name]);
        assert_eq!((&after["status"], &after["waiting"]), (&before["status"], &before["waiting"]));
    }
    // The source may be imported again: it has nothing new.
    agreed(&store, &["run", "close", "release-42"]);
    let source = directory.path().join("taffrail-demo/.a5c/runs");
    let imported = run(&store, &["log", "import", "--json", source.to_str().expect("UTF-8")], "");
    assert_eq!(imported.exit, Some(0), "{imported:?}");
    assert_eq!(shown(&store, &["run", "show", "release-42"])["status"], "closed");
}

#[test]
fn a_second_rewind_leaves_the_undo_of_the_first() {
    let directory = Directory::new("undo-twice");
    let store = demo(&directory);
    let events = timeline(&store, "release-42");
    let mut states = vec![history(&store, "release-42")];
    for at in [15, 9, 3] {
        agreed(&store, &["run", "rewind", "release-42", "--to", &events[at]["seq"].to_string()]);
        states.push(history(&store, "release-42"));
    }
    let listed = run(&store, &["run", "list"], "").data;
    assert!(listed.contains("  rewound 3 times\n"), "{listed}");
    while let Some(state) = states.pop() {
        assert_eq!(history(&store, "release-42"), state, "{} left", states.len());
        if !states.is_empty() {
            agreed(&store, &["run", "undo", "release-42"]);
        }
    }
    assert_eq!(run(&store, &["replay", "--check", "--twice"], "").exit, Some(0));
}

#[test]
fn the_examples_of_the_help_work_on_the_demo() {
    let directory = Directory::new("examples");
    let store = demo(&directory);
    let mut examples = 0;
    for name in ["rewind", "fork", "close", "undo"] {
        let help = run(&store, &["run", name, "--help"], "").data;
        let (_, listed) = help.split_once("Examples:\n").expect("examples");
        for line in listed.lines().map(str::trim).filter(|line| line.starts_with("taffrail ")) {
            let answer = typed(&store, line);
            let is_nothing = answer.notes.starts_with("error[T0404]");
            assert!(answer.exit == Some(0) || is_nothing, "{line}: {answer:?}");
            examples += 1;
        }
    }
    assert!(examples >= 5, "{examples}");
}

/// A fork counts its own events, and shows its parent's as well: "12 events before these; -n 1 shows all", it said.
#[test]
fn the_command_that_shows_all_events_of_a_fork_does() {
    let directory = Directory::new("fork-show");
    let store = demo(&directory);
    agreed(&store, &["run", "fork", "nightly-7", "--name", "again"]);
    let short = run(&store, &["run", "show", "again"], "");
    let note = short.notes.lines().find(|line| line.contains(" shows all")).expect("a note");
    let (_, command) = note.split_once("; ").expect("a command");
    let all = typed(&store, command.strip_suffix(" shows all").expect("a command"));
    assert!(all.exit == Some(0) && !all.notes.contains("before these"), "{all:?}");
    assert_eq!(all.data.matches(" Created ").count(), 1, "from the first one on: {all:?}");
}
