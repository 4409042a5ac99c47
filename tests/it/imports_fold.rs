//! Every real journal, imported and folded: what the fold says of a run against what the source's own files say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use taffrail::fold::{CheckOptions, check_with};
use taffrail::run::{
    Problem, RunOverview, RunReport, RunState, Runs, Shown, Status, StepStatus, WaitKind, overview, show,
};
use taffrail::{Reader, Seq};

use crate::imports::{data, import};
use crate::kit::Directory;

/// A run of the source, and what became of it.
struct Folded {
    source: PathBuf,
    line: RunOverview,
    state: RunState,
    report: RunReport,
}

fn json(path: &Path) -> Option<Value> {
    std::fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok())
}

/// The directories of runs below a directory, by path.
fn run_directories(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut left) = (BTreeSet::new(), vec![root.to_path_buf()]);
    while let Some(directory) = left.pop() {
        if directory.join("journal").is_dir() {
            found.insert(directory);
            continue;
        }
        let entries = directory.read_dir().expect("readable").map(|entry| entry.expect("readable").path());
        left.extend(entries.filter(|path| path.is_dir()));
    }
    found.into_iter().collect()
}

/// Imports each run by itself, so that no two of them share a name.
fn fold_all(root: &Path) -> BTreeMap<String, Folded> {
    let mut folded = BTreeMap::new();
    for source in run_directories(root) {
        let directory = Directory::new("fold");
        let store = directory.store();
        import(&store, &source);
        let reader = Reader::open(&store).expect("a store");
        let mut lines = overview(&reader).expect("an overview").runs;
        assert_eq!(lines.len(), 1, "{}", source.display());
        let line = lines.remove(0);
        let run = Seq::new(line.run).expect("a number");
        let (state, report) =
            show(&reader, run, Shown { most_events: usize::MAX, with_given_up: true }).expect("a report");
        for only in [None, Some(run)] {
            let options = CheckOptions { run: only, twice: true, ..CheckOptions::default() };
            let checked = check_with::<Runs>(&reader, &options).expect("a check");
            assert_eq!((checked.compared(), checked.divergences().count()), (1, 0), "{}", source.display());
        }
        assert_eq!(report.overview, line);
        let name = source.strip_prefix(root).expect("below the root").to_str().expect("UTF-8").to_owned();
        folded.insert(name, Folded { source, line, state, report });
    }
    folded
}

/// The source's own journal, by number and name, as far as it is JSON.
fn journal(source: &Path) -> Vec<Value> {
    let entries = source.join("journal").read_dir().expect("a journal").map(|entry| entry.expect("readable").path());
    let paths: BTreeSet<PathBuf> = entries.collect();
    paths.iter().filter_map(|path| json(path)).collect()
}

/// The status that the source's journal ends with. The source has no other word for it.
fn status(events: &[Value], pending: usize) -> Status {
    let is_last = |kind: &str| events.iter().any(|event| event["type"] == kind);
    match () {
        () if is_last("RUN_COMPLETED") => Status::Completed,
        () if is_last("RUN_FAILED") => Status::Failed,
        () if is_last("RUN_HALTED") => Status::Cancelled,
        () if pending > 0 || events.last().is_some_and(|event| event["type"] == "PROCESS_RUNTIME_ERROR") => {
            Status::Waiting
        }
        () => Status::Running,
    }
}

/// Compares a well-formed run with every file of its source that says something about it.
fn compare(name: &str, folded: &Folded) {
    let Folded { source, line, state, report } = folded;
    let events = journal(source);
    assert_eq!(line.events, events.len() as u64, "{name}");
    // Pending effects, from the journal by itself.
    let mut pending: BTreeMap<&str, &str> = BTreeMap::new();
    for event in &events {
        let effect = event["data"]["effectId"].as_str().unwrap_or_default();
        match event["type"].as_str() {
            Some("EFFECT_REQUESTED") => {
                pending.insert(effect, event["data"]["kind"].as_str().expect("a kind"));
            }
            Some("EFFECT_RESOLVED" | "EFFECT_CANCELLED") => {
                pending.remove(effect);
            }
            _ => {}
        }
    }
    let open = state.steps.values().filter(|step| step.is_open());
    let open: BTreeMap<&str, &str> =
        open.map(|step| (step.source_id.as_deref().expect("an id"), step.kind.as_str())).collect();
    assert_eq!(open, pending, "{name}");
    assert_eq!(line.status, Some(status(&events, pending.len())), "{name}");
    let waits = line.waiting.iter().filter(|wait| wait.kind != WaitKind::Operator).count();
    assert_eq!(waits, if state.status.is_terminal() { 0 } else { pending.len() }, "{name}");
    let run = json(&source.join("run.json")).expect("run.json");
    assert_eq!(Some(line.process.as_str()), run["processId"].as_str(), "{name}");
    compare_results(name, folded);
    compare_cache(name, folded, events.len());
    assert_eq!(report.source_findings, [], "{name}");
    assert_eq!(state.findings, [], "{name}");
}

/// Every result file against its step.
fn compare_results(name: &str, folded: &Folded) {
    let Ok(tasks) = folded.source.join("tasks").read_dir() else { return };
    for task in tasks.map(|entry| entry.expect("readable").path()) {
        let Some(result) = json(&task.join("result.json")) else { continue };
        let id = task.file_name().expect("a name").to_str().expect("UTF-8");
        let step = &folded.state.steps[&folded.state.source_ids[id]];
        let expected = match result["status"].as_str() {
            Some("ok") | None => StepStatus::Ok,
            Some("error") => StepStatus::Error,
            Some("cancelled") => StepStatus::Cancelled,
            other => panic!("{name} {id} {other:?}"),
        };
        assert_eq!(step.status, expected, "{name} {id}");
        let message = result["error"]["message"].as_str();
        let told = step.error.as_deref().unwrap_or_default();
        assert!(message.is_none_or(|message| told.contains(message)), "{name} {id}: {told:?}");
        let answer = folded.report.answers.get(folded.state.source_ids[id].as_str());
        let approved = result["value"]["approved"].as_bool().filter(|_| step.kind == "breakpoint");
        assert_eq!(answer.map(|answer| answer.approved), approved, "{name} {id}");
    }
}

/// The orchestrator's own state against the steps, where it is of the whole journal.
fn compare_cache(name: &str, folded: &Folded, events: usize) {
    let Some(cache) = json(&folded.source.join("state/state.json")) else { return };
    if cache["journalHead"]["seq"] != events {
        return;
    }
    let effects = cache["effectsByInvocation"].as_object().expect("effects");
    assert_eq!(effects.len(), folded.state.steps.len(), "{name}");
    for effect in effects.values() {
        let step = &folded.state.steps[&folded.state.source_ids[effect["effectId"].as_str().expect("an id")]];
        let expected = match effect["status"].as_str().expect("a status") {
            "requested" => StepStatus::Requested,
            "resolved_ok" => StepStatus::Ok,
            "resolved_error" => StepStatus::Error,
            "cancelled" => StepStatus::Cancelled,
            other => panic!("{name} {other}"),
        };
        assert_eq!((step.status, Some(step.label.as_str())), (expected, effect["label"].as_str()), "{name}");
    }
}

#[test]
fn every_well_formed_run_folds_to_what_its_source_says() {
    let Some(data) = data() else { return };
    let runs = fold_all(&data.join("sdk-6.0.0"));
    assert_eq!(runs.len(), 15);
    runs.iter().for_each(|(name, folded)| compare(name, folded));
    let of_status = |status: Status| {
        let of = runs.iter().filter(|(_, folded)| folded.line.status == Some(status));
        of.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of_status(Status::Cancelled), ["halted-budget"]);
    assert_eq!(
        of_status(Status::Running),
        ["quality-convergence-long"],
        "nothing is pending: it is the process's turn"
    );
    assert_eq!(
        of_status(Status::Waiting),
        ["code-changed", "effect-cancelled", "process-error-recovered", "process-error-unrecovered", "release-gate-6"]
    );
    let answers = |name: &str| runs[name].report.answers.values().map(|answer| answer.approved).collect::<Vec<_>>();
    assert_eq!(answers("release-gate-1"), [true, true]);
    assert_eq!(answers("release-gate-2").iter().filter(|approved| !**approved).count(), 3, "revised three times");
    let gate = &runs["release-gate-6"].line.waiting[0];
    assert_eq!((gate.kind, gate.label.as_str()), (WaitKind::Approval, "ship"));
    let spent = &runs["release-gate-1"].report.spent.total;
    assert_eq!((spent.nano_usd, spent.input_tokens), (176_886_000, 19_176), "as RUN_COMPLETED sums it up");
    let errors = |name: &str| runs[name].line.waiting[0].label.clone();
    assert!(errors("process-error-recovered").starts_with("TypeError: "));
}

#[test]
fn older_runs_fold_as_well_and_only_their_checksums_are_odd() {
    let Some(data) = data() else { return };
    let runs = fold_all(&data.join("repo-history"));
    assert_eq!(runs.len(), 36);
    for (name, folded) in &runs {
        compare(name, folded);
        let odd = folded.report.findings.iter().filter(|finding| finding.problem != Problem::Oddity);
        assert_eq!(odd.count(), 0, "{name}");
    }
    let resumed = &runs["2026-07-15-fixtures/resume-run"];
    assert_eq!(resumed.line.waiting[0].step, "E009", "without step ids, effects go by their own");
    let inline = &runs["2026-03-17-vscode-fixtures/test-run-completed"].state.steps["S000001"];
    let shown = serde_json::to_value(&inline.result).expect("JSON");
    assert_eq!(shown["output"], "Task completed successfully");
}

fn damaged() -> Option<BTreeMap<String, Folded>> {
    data().map(|data| fold_all(&data.join("damaged")))
}

fn problems(folded: &Folded) -> Vec<(Problem, &str)> {
    let found = folded.report.findings.iter().filter(|finding| finding.problem != Problem::Oddity);
    found.chain(&folded.report.source_findings).map(|finding| (finding.problem, finding.subject.as_str())).collect()
}

#[test]
fn a_torn_lock_and_a_clock_that_steps_back_change_nothing_of_a_run() {
    let Some(runs) = damaged() else { return };
    assert_eq!(runs.len(), 5);
    for name in ["lock-torn", "corrupt-clock-back"] {
        compare(name, &runs[name]);
        assert!(runs[name].line.findings > 0, "the import has noted it");
    }
}

#[test]
fn a_flipped_status_is_told_by_the_result_and_by_the_orchestrators_own_state() {
    let Some(runs) = damaged() else { return };
    let flipped = &runs["corrupt-flip-value"];
    assert_eq!(flipped.line.status, Some(Status::Completed));
    let file = "tasks/01M819JJC6FAVF1BN5AFZ188MB/result.json";
    let expected = [(Problem::SourceDisagrees, file), (Problem::SourceDisagrees, "state/state.json")];
    assert_eq!(problems(flipped), expected);
}

#[test]
fn a_lost_request_leaves_a_result_that_was_never_requested() {
    let Some(runs) = damaged() else { return };
    let lost = &runs["corrupt-truncated-requested"];
    assert_eq!((lost.line.status, lost.line.events), (Some(Status::Completed), 7));
    assert_eq!(problems(lost), [(Problem::NeverRequested, "01M819JK1ZMB4ZWDJNTQXAQKDM")]);
    assert_eq!(lost.state.steps.len(), 2);
}

#[test]
fn events_of_two_writers_that_raced_all_count() {
    let Some(runs) = damaged() else { return };
    let race = &runs["race-two-writers-broken"];
    assert_eq!((race.line.status, race.line.events), (Some(Status::Waiting), 82));
    assert_eq!(race.state.spent.total.input_tokens, spent_by(&race.source));
    assert_eq!(problems(race), []);
    let duplicates = race.report.findings.iter().filter(|finding| finding.detail.starts_with("duplicate-seq"));
    assert_eq!(duplicates.count(), 4);
}

fn spent_by(source: &Path) -> u64 {
    journal(source).iter().filter_map(|event| event["data"]["inputTokens"].as_u64()).sum()
}

#[test]
fn the_sample_of_the_demo_folds_to_what_it_tells() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
    let runs = fold_all(&demo);
    let lines =
        runs.values().map(|folded| (folded.line.status.expect("a status"), folded.line.events, folded.line.findings));
    let told: Vec<_> = lines.collect();
    assert_eq!(told, [(Status::Failed, 7, 2), (Status::Completed, 31, 0), (Status::Waiting, 23, 0)]);
    for name in [".a5c/runs/nightly-7", ".a5c/runs/release-42"] {
        compare(name, &runs[name]);
    }
    let tampered = &runs[".a5c/runs/fix-login"];
    assert_eq!(problems(tampered).len(), 1, "an event whose checksum is wrong says another exit code than the result");
    assert!(tampered.report.source_findings[0].detail.contains("exit 101"));
    let release = &runs[".a5c/runs/release-42"];
    let wait = &release.line.waiting[0];
    assert_eq!((wait.kind, wait.label.as_str()), (WaitKind::Approval, "publish"));
    assert_eq!(release.report.answers.values().next().map(|answer| answer.by.as_str()), Some("tal"));
}

#[test]
fn journals_that_no_orchestrator_wrote_are_findings_and_never_errors() {
    let directory = Directory::new("fold-hostile");
    let journal = directory.path().join("runs/odd/journal");
    std::fs::create_dir_all(&journal).expect("a directory");
    std::fs::write(directory.path().join("runs/odd/run.json"), "{\"runId\":\"odd\"}").expect("written");
    let event = |kind: &str, data: &str| {
        format!("{{\"type\":\"{kind}\",\"recordedAt\":\"2026-08-19T10:00:00.000Z\",\"data\":{data}}}")
    };
    let files = [
        event("RUN_COMPLETED", "{}"),
        event("RUN_CREATED", "{}"),
        event("EFFECT_REQUESTED", "{\"effectId\":\"e\",\"stepId\":\"s\"}"),
        event("NEW_TYPE", "{\"a\":1}"),
        "{\"type\":\"EFFECT_RES".to_owned(),
        String::new(),
        "[1]".to_owned(),
        event("EFFECT_RESOLVED", "{\"status\":\"ok\"}"),
        event("A/b c\\u0000", "{}"),
    ];
    for (number, text) in files.iter().enumerate() {
        let path = journal.join(format!("{:06}.01M818XSYAT3SDZDYASJ{number:06}.json", number * 2 + 1));
        std::fs::write(path, text).expect("written");
    }
    let folded = fold_all(&directory.path().join("runs"));
    let odd = &folded["odd"];
    let found: Vec<Problem> = odd.state.findings.iter().map(|finding| finding.problem).collect();
    let unrecognized = [Problem::Unrecognized; 6];
    assert_eq!(found, [&[Problem::NotCreated][..], &[Problem::RunEnded], &unrecognized].concat());
    assert_eq!((odd.line.status, odd.line.events), (Some(Status::Completed), 9));
}
