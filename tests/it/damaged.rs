//! Real journals that something happened to: each is imported, explained, and then closed or taken back, by commands that
//! stand here as they are typed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::going_back::{agreed, planned, typed};
use crate::imports::{data, import};
use crate::kit::{Directory, run};

/// A store with one journal in it.
struct Case {
    _directory: Directory,
    store: PathBuf,
    run_name: String,
}

impl Case {
    fn of(source: &Path) -> Case {
        let directory = Directory::new("damaged");
        let store = directory.store();
        import(&store, source);
        let listed = json(&store, &["run", "list"]);
        assert_eq!(listed["runs"].as_array().map(Vec::len), Some(1), "{listed}");
        let run_name = listed["runs"][0]["name"].as_str().expect("a name").to_owned();
        Case { _directory: directory, store, run_name }
    }

    fn damaged(name: &str) -> Option<Case> {
        data().map(|data| Case::of(&data.join("damaged").join(name)))
    }

    fn show(&self) -> Value {
        json(&self.store, &["run", "show", &self.run_name, "--all", "-n", "1000"])
    }

    fn status(&self) -> String {
        self.show()["status"].as_str().expect("a status").to_owned()
    }

    /// What is wrong with the run, in one line for each finding: the class, and what it is about.
    fn explained(&self) -> Vec<String> {
        let report = self.show();
        let lists = [&report["findings"], &report["source_findings"]];
        let all = lists.into_iter().flat_map(|list| list.as_array().expect("a list"));
        let line = |finding: &Value| {
            let (problem, subject) = (finding["problem"].as_str(), finding["subject"].as_str());
            let detail = finding["detail"].as_str().expect("a detail");
            let code = detail.split(':').next().unwrap_or_default();
            match problem.expect("a problem") {
                "oddity" => format!("oddity {code}"),
                other => format!("{other} {}", subject.expect("a subject")),
            }
        };
        let mut lines: Vec<String> = all.map(line).collect();
        lines.sort();
        lines.dedup();
        lines
    }

    /// The seq of an event, by its ordinal in the run.
    fn seq(&self, event: usize) -> u64 {
        self.show()["timeline"][event - 1]["seq"].as_u64().expect("a seq")
    }

    /// Closes the run, and checks what was typed.
    fn close(&self) {
        let plan = planned(&self.store, &["run", "close", &self.run_name]);
        let (name, plan_name) = (&self.run_name, plan["name"].as_str().expect("a name"));
        let command = format!("taffrail run close {name} --plan {plan_name} --reason \"...\" --apply");
        assert_eq!(plan["apply"], command.as_str());
        assert_eq!(typed(&self.store, &command).exit, Some(0));
        assert_eq!(self.status(), "closed");
    }

    /// Takes the run back to an event by this position, and checks what was typed.
    fn rewind(&self, position: &str, event: usize, lost: u64, acknowledged: &str) {
        let plan = planned(&self.store, &["run", "rewind", &self.run_name, "--to", position]);
        let (name, plan_name) = (&self.run_name, plan["name"].as_str().expect("a name"));
        let seq = self.seq(event);
        let acknowledged =
            if acknowledged.is_empty() { String::new() } else { format!(" --ack-irreversible {acknowledged}") };
        let command = format!(
            "taffrail run rewind {name} --to {seq}{acknowledged} --plan {plan_name} --accept-loss {lost} --reason \"...\" --apply"
        );
        assert_eq!(plan["apply"], command.as_str());
        let applied = typed(&self.store, &command);
        assert_eq!(applied.exit, Some(0), "{applied:?}");
        let checked = run(&self.store, &["replay", "--check", "--twice"], "");
        assert_eq!(checked.exit, Some(0), "{checked:?}");
    }
}

fn json(store: &Path, words: &[&str]) -> Value {
    let answer = run(store, &[words, &["--json"]].concat(), "");
    assert_eq!(answer.exit, Some(0), "{answer:?}");
    serde_json::from_str(&answer.data).expect("JSON")
}

/// The steps of the journals that were made from one.
const STEPS: [&str; 3] = ["work.default.41155eb8b1a7.0", "work.default.41155eb8b1a7.1", "work.default.41155eb8b1a7.2"];

#[test]
fn corrupt_clock_back_is_taken_back_by_the_order_of_its_events_and_not_by_their_times() {
    let Some(case) = Case::damaged("corrupt-clock-back") else { return };
    assert_eq!(case.status(), "completed");
    assert!(case.explained().iter().all(|line| line.starts_with("oddity ")), "{:?}", case.explained());
    assert!(!case.explained().is_empty());
    case.rewind(&format!("after:{}", STEPS[1]), 5, 3, STEPS[2]);
    assert_eq!(case.status(), "running");
    agreed(&case.store, &["run", "undo", &case.run_name]);
    assert_eq!(case.status(), "completed");
}

#[test]
fn corrupt_flip_value_is_taken_back_to_before_the_result_that_was_tampered_with() {
    let Some(case) = Case::damaged("corrupt-flip-value") else { return };
    let explained = case.explained();
    let file = "tasks/01M819JJC6FAVF1BN5AFZ188MB/result.json";
    assert!(explained.contains(&format!("source-disagrees {file}")), "{explained:?}");
    assert!(explained.contains(&"source-disagrees state/state.json".to_owned()), "{explained:?}");
    case.rewind(&case.seq(2).to_string(), 2, 6, &STEPS.join(","));
    // Its request stays, and nobody knows what it came to: so nobody waits for it any more, and the process asks anew.
    assert_eq!(case.status(), "running");
    let state = json(&case.store, &["state", "show", &case.run_name]);
    let steps = state["state"]["steps"].as_object().expect("steps");
    let statuses: Vec<&Value> = steps.values().map(|step| &step["status"]).collect();
    assert_eq!(statuses, ["abandoned"], "{state}");
}

#[test]
fn corrupt_truncated_requested_is_taken_back_to_before_the_result_that_was_never_requested() {
    let Some(case) = Case::damaged("corrupt-truncated-requested") else { return };
    let explained = case.explained();
    assert!(explained.contains(&"never-requested 01M819JK1ZMB4ZWDJNTQXAQKDM".to_owned()), "{explained:?}");
    case.rewind(&format!("after:{}", STEPS[0]), 3, 4, STEPS[2]);
    assert_eq!(case.status(), "running");
    // What was found stays found: the journal had it, whatever is history now.
    assert_eq!(case.explained(), explained);
    case.close();
}

#[test]
fn lock_torn_has_a_sound_history_and_is_closed() {
    let Some(case) = Case::damaged("lock-torn") else { return };
    assert!(case.explained().contains(&"oddity torn-lock".to_owned()), "{:?}", case.explained());
    assert_eq!(case.status(), "completed");
    case.close();
    agreed(&case.store, &["run", "undo", &case.run_name]);
    assert_eq!(case.status(), "completed");
}

#[test]
fn race_two_writers_broken_is_closed_with_what_both_of_them_wrote() {
    let Some(case) = Case::damaged("race-two-writers-broken") else { return };
    assert!(case.explained().contains(&"oddity duplicate-seq".to_owned()), "{:?}", case.explained());
    let before = case.show();
    assert_eq!((before["status"].as_str(), before["events"].as_u64()), (Some("waiting"), Some(82)));
    case.close();
    let after = case.show();
    assert_eq!(after["spent"], before["spent"]);
    assert_eq!(after["waiting"], serde_json::json!([]));
    // Or it is taken back to where only one of them had begun.
    agreed(&case.store, &["run", "undo", &case.run_name]);
    case.rewind(&case.seq(2).to_string(), 2, 82, "");
    let after = case.show();
    assert_eq!(after["spent"], before["spent"], "money does not come back");
    assert_eq!(after["status"], "waiting");
}

#[test]
fn every_run_of_the_repositorys_history_has_odd_checksums_at_most_and_can_be_closed() {
    let Some(data) = data() else { return };
    let mut closed = 0;
    for kind in data.join("repo-history").read_dir().expect("readable").map(|entry| entry.expect("readable").path()) {
        for source in kind.read_dir().expect("readable").map(|entry| entry.expect("readable").path()) {
            if !source.join("journal").is_dir() || !source.join("run.json").is_file() {
                continue;
            }
            let case = Case::of(&source);
            let explained = case.explained();
            assert!(explained.iter().all(|line| line.starts_with("oddity ")), "{}: {explained:?}", source.display());
            if closed % 6 == 0 || source.ends_with("failed-run") {
                case.close();
            }
            closed += 1;
        }
    }
    assert!(closed >= 20, "{closed}");
}

/// A journal that its orchestrator would never write.
fn illegal(name: &str, events: &[(&str, &str)]) -> Case {
    let directory = Directory::new("illegal");
    let source = directory.path().join(name);
    let journal = source.join("journal");
    std::fs::create_dir_all(&journal).expect("a directory");
    std::fs::write(source.join("run.json"), format!("{{\"runId\":\"{name}\"}}")).expect("written");
    for (place, (kind, data)) in events.iter().enumerate() {
        let number = place + 1;
        let text =
            format!("{{\"type\":\"{kind}\",\"recordedAt\":\"2026-08-19T10:00:{number:02}.000Z\",\"data\":{data}}}");
        std::fs::write(journal.join(format!("{number:06}.01M818XSYAT3SDZDYASJ{number:06}.json")), text)
            .expect("written");
    }
    Case::of(&source)
}

#[test]
fn a_failure_after_completion_is_closed_with_a_reason() {
    let case = illegal("ended-twice", &[("RUN_CREATED", "{}"), ("RUN_COMPLETED", "{}"), ("RUN_FAILED", "{}")]);
    assert!(case.explained().contains(&"run-ended Failed".to_owned()), "{:?}", case.explained());
    assert_eq!(case.status(), "completed");
    case.close();
    agreed(&case.store, &["run", "undo", &case.run_name]);
    case.rewind(&case.seq(1).to_string(), 1, 4, "");
}

#[test]
fn an_effect_that_was_resolved_twice_is_taken_back_to_before_it_was() {
    let request = "{\"effectId\":\"e1\",\"stepId\":\"mail\",\"kind\":\"shell\"}";
    let resolved = "{\"effectId\":\"e1\",\"status\":\"ok\"}";
    let events = [
        ("RUN_CREATED", "{}"),
        ("EFFECT_REQUESTED", request),
        ("EFFECT_RESOLVED", resolved),
        ("EFFECT_RESOLVED", resolved),
        ("RUN_FAILED", "{\"error\":{\"name\":\"E\",\"message\":\"resolved twice\"}}"),
    ];
    let case = illegal("resolved-twice", &events);
    assert!(case.explained().contains(&"ended-before e1".to_owned()), "{:?}", case.explained());
    assert_eq!(case.status(), "failed");
    case.rewind(&case.seq(3).to_string(), 3, 2, "");
    assert_eq!(case.status(), "running");
    case.rewind("before:mail", 1, 3, "mail");
    assert_eq!(case.status(), "running");
    case.close();
}
