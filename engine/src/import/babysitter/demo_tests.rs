//! The sample of `taffrail demo`: three runs of our own making in the layout of the orchestrator, in `cli/demo`.
//!
//! Invented and generated, so that it can be made again after a change below:
//! `cargo test -p taffrail --lib bless_demo -- --ignored`, then look at the difference and commit it.
//! Two things are wrong on purpose: a result whose checksum is not its own, and a `run.lock` of no bytes; both in `fix-login`.

use super::test_support::{Items, Tree, event_file};
use super::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type Files = BTreeMap<String, String>;

/// A run under construction; times are milliseconds of its day.
struct Draft {
    files: Files,
    name: &'static str,
    process: &'static str,
    date: &'static str,
    clock_ms: i64,
    step_ms: i64,
    seq: usize,
    effects: usize,
    logs: usize,
}

fn clock(date: &str, ms: i64) -> String {
    let (seconds, minutes, hours) = (ms / 1000 % 60, ms / 60_000 % 60, ms / 3_600_000);
    format!("{date}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1000)
}

/// An ULID: the time, then 80 bits that depend on the seed alone.
fn ulid(recorded_at: &str, seed: &str) -> String {
    let ms = u128::try_from(time::parse_ns(recorded_at).expect("a time") / 1_000_000).expect("after 1970");
    let digest = Sha256::digest(seed.as_bytes());
    let bits = digest[..10].iter().fold(ms, |bits, byte| (bits << 8) | u128::from(*byte));
    let letter = |place: u32| {
        char::from(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"[usize::try_from(bits >> (5 * place) & 31).expect("5 bits")])
    };
    (0..26).rev().map(letter).collect()
}

impl Draft {
    fn new(
        name: &'static str,
        process: &'static str,
        date: &'static str,
        [from_ms, step_ms]: [i64; 2],
        inputs: &str,
    ) -> Self {
        let mut draft =
            Self { files: Files::new(), name, process, date, clock_ms: from_ms, step_ms, seq: 0, effects: 0, logs: 0 };
        let created_at = clock(date, from_ms);
        draft.json("run.json", &format!(
            r#"{{"runId":"{name}","request":"{process}","processId":"{process}","harness":"claude-code","entrypoint":{{"importPath":"processes/{process}.mjs","exportName":"process"}},"layoutVersion":"2026.01-storage-preview","createdAt":"{created_at}","sdkVersion":"6.0.0"}}"#
        ));
        draft.json("inputs.json", inputs);
        draft.event("RUN_CREATED", &format!(
            r#"{{"runId":"{name}","processId":"{process}","entrypoint":{{"importPath":"processes/{process}.mjs","exportName":"process"}},"harness":"claude-code","inputsRef":"inputs.json"}}"#
        ));
        draft
    }

    fn json(&mut self, path: &str, text: &str) {
        let value = javascript_json::parse(text).expect("valid JSON");
        self.text(path, format!("{}\n", value.to_json()));
    }

    fn text(&mut self, path: &str, text: String) {
        self.files.insert(format!(".a5c/runs/{}/{path}", self.name), text);
    }

    fn event(&mut self, type_name: &str, data: &str) {
        let recorded_at = clock(self.date, self.clock_ms);
        self.clock_ms += self.step_ms;
        self.seq += 1;
        let ulid = ulid(&recorded_at, &format!("{} event {}", self.name, self.seq));
        let path = format!("journal/{:06}.{ulid}.json", self.seq);
        self.text(&path, event_file(type_name, &recorded_at, data, Some("6.0.0")));
    }

    /// Requests an effect, and returns its id.
    fn request(&mut self, kind: &str, task: &str, label: &str, request: &str) -> String {
        self.effects += 1;
        let now = clock(self.date, self.clock_ms);
        let effect = ulid(&now, &format!("{} effect {}", self.name, self.effects));
        let step = if kind == "breakpoint" { format!("{task}.{label}") } else { format!("{task}.{}", self.effects) };
        let key = format!("{}:{step}:{task}", self.process);
        let hash: String = Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        self.json(&format!("tasks/{effect}/task.json"), &format!(
            r#"{{"kind":"{kind}","title":"{label}","schemaVersion":"2026.01.tasks-v1","effectId":"{effect}","taskId":"{task}","invocationKey":"{key}","stepId":"{step}","inputs":{request}}}"#
        ));
        self.event("EFFECT_REQUESTED", &format!(
            r#"{{"effectId":"{effect}","invocationKey":"{key}","invocationHash":"{hash}","stepId":"{step}","taskId":"{task}","kind":"{kind}","label":"{label}","taskDefRef":"tasks/{effect}/task.json","harness":"claude-code"}}"#
        ));
        effect
    }

    fn resolve(&mut self, effect: &str, result: Result<&str, &str>, stdout: Option<&str>) {
        let (from, to) = (clock(self.date, self.clock_ms - self.step_ms), clock(self.date, self.clock_ms - 40));
        let (status, outcome) = match result {
            Ok(value) => ("ok", format!(r#""result":{value},"value":{value}"#)),
            Err(message) => ("error", format!(r#""error":{{"name":"ShellError","message":"{message}"}}"#)),
        };
        let error = result
            .err()
            .map_or(String::new(), |message| format!(r#""error":{{"name":"ShellError","message":"{message}"}},"#));
        let stdout_ref = stdout.map_or(String::new(), |_| format!(r#""stdoutRef":"tasks/{effect}/stdout.log","#));
        self.json(&format!("tasks/{effect}/result.json"), &format!(
            r#"{{"schemaVersion":"2026.01.results-v1","effectId":"{effect}","status":"{status}",{outcome},"startedAt":"{from}","finishedAt":"{to}"}}"#
        ));
        if let Some(stdout) = stdout {
            self.text(&format!("tasks/{effect}/stdout.log"), stdout.to_owned());
        }
        self.event("EFFECT_RESOLVED", &format!(
            r#"{{"effectId":"{effect}","status":"{status}","resultRef":"tasks/{effect}/result.json",{error}{stdout_ref}"startedAt":"{from}","finishedAt":"{to}","harness":"claude-code"}}"#
        ));
    }

    fn shell(&mut self, label: &str, command: &str, result: Result<&str, &str>, stdout: &str) {
        let effect = self.request("shell", "shell-step", label, &format!(r#"{{"command":"{command}"}}"#));
        self.resolve(&effect, result, Some(stdout));
    }

    fn agent(&mut self, label: &str, prompt: &str, result: &str, tokens: u32) {
        let effect = self.request("agent", "agent-step", label, &format!(r#"{{"prompt":"{prompt}"}}"#));
        self.event("COST_TRACKED", &format!(
            r#"{{"effectId":"{effect}","model":"model-a","inputTokens":{},"outputTokens":{tokens},"taskKind":"agent","source":"transcript","costUsd":0.0{tokens},"harness":"claude-code"}}"#,
            tokens * 9
        ));
        self.resolve(&effect, Ok(result), None);
    }

    fn log(&mut self, message: &str) {
        self.logs += 1;
        let data =
            format!(r#"{{"logSeq":{},"label":"note","message":"{message}","harness":"claude-code"}}"#, self.logs);
        self.event("PROCESS_LOG", &data);
    }
}

fn fix_login() -> Files {
    let mut run = Draft::new(
        "fix-login",
        "fix-bug",
        "2026-08-19",
        [36_031_000, 24_000],
        r#"{"issue":"login loops after a password reset"}"#,
    );
    let effect =
        run.request("agent", "agent-step", "find the cause", r#"{"prompt":"Why does login loop after a reset?"}"#);
    run.resolve(&effect, Ok(r#"{"cause":"the session cookie keeps the old epoch","file":"src/session.rs"}"#), None);
    run.shell("test", "cargo test --locked login", Err("exit 101"), "test login::after_reset ... FAILED\n");
    let damaged = run.files.iter_mut().find(|(path, _)| path.contains("/journal/000005.")).expect("the fifth event");
    *damaged.1 = damaged.1.replace("exit 101", "exit 100");
    run.event("PROCESS_RUNTIME_ERROR", r#"{"error":{"name":"ShellError","message":"exit 101"},"iteration":2,"runId":"fix-login","processId":"fix-bug","recovery":{"command":"run:recover-process-error","recoverable":true},"harness":"claude-code"}"#);
    run.clock_ms = 36_175_000;
    run.event("RUN_FAILED", r#"{"runId":"fix-login","error":{"name":"ShellError","message":"exit 101"}}"#);
    run.text("run.lock", String::new());
    run.files
}

fn nightly() -> Files {
    let mut run =
        Draft::new("nightly-7", "nightly", "2026-08-19", [84_600_000, 22_000], r#"{"branch":"main","night":7}"#);
    run.log("seven nights in a row");
    for (label, command, stdout) in [
        ("format", "cargo fmt --check", ""),
        ("lint", "cargo clippy --all-targets", "Finished in 41 s\n"),
        ("unit", "cargo test --lib", "412 passed\n"),
        ("integration", "cargo test --test it", "96 passed\n"),
        ("bench", "cargo bench append", "append 212 ns\n"),
    ] {
        run.shell(label, command, Ok(r#"{"exitCode":0}"#), stdout);
    }
    run.log("checks are green");
    run.agent("compare the bench", "Is append slower than last night?", r#"{"slower":false}"#, 211);
    run.agent("sort the flaky tests", "Which tests failed once this week?", r#"{"flaky":["follow_live"]}"#, 384);
    run.agent("read the changelog", "Is every change listed?", r#"{"missing":[]}"#, 120);
    run.log("one flaky test, known");
    run.agent("write the report", "Write the nightly report.", r#"{"lines":14}"#, 655);
    run.agent("check the report", "Does the report agree with the results?", r#"{"agrees":true}"#, 98);
    run.log("report is written");
    run.json("state/output.json", r#"{"ok":true,"report":"artifacts/report.md"}"#);
    run.text(
        "artifacts/report.md",
        "# Night 7\n\n508 tests passed, none failed. `follow_live` was repeated once.\n".to_owned(),
    );
    run.clock_ms = 85_270_000;
    run.event("RUN_COMPLETED", r#"{"outputRef":"state/output.json","harness":"claude-code"}"#);
    run.files
}

fn release() -> Files {
    let mut run = Draft::new("release-42", "release", "2026-08-20", [42_063_250, 61_870], r#"{"version":"1.4.0"}"#);
    run.agent("plan", "Plan the release of 1.4.0.", r#"{"steps":["test","notes","build","publish"]}"#, 342);
    let review =
        run.request("breakpoint", "__sdk.breakpoint", "plan-review", r#"{"payload":{"question":"Is the plan good?"}}"#);
    run.resolve(&review, Ok(r#"{"approved":true,"option":"Approve","respondedBy":"tal"}"#), None);
    run.shell("test", "cargo test --locked", Ok(r#"{"exitCode":0}"#), "508 passed\n");
    run.agent("notes", "Write release notes for 1.4.0.", r#"{"format":"markdown","lines":31}"#, 871);
    run.agent("notes-check", "Is every change in the notes?", r#"{"missing":[]}"#, 140);
    run.shell("tag", "git tag --sign v1.4.0", Ok(r#"{"exitCode":0}"#), "");
    run.shell("build", "cargo build --release --locked", Ok(r#"{"exitCode":0}"#), "Finished in 74 s\n");
    run.shell("package", "./package.sh 1.4.0", Ok(r#"{"exitCode":0}"#), "app-1.4.0.tar.gz 4.1 MiB\n");
    run.log("everything is ready; nothing has left the machine");
    run.clock_ms = 43_459_880;
    run.request(
        "breakpoint",
        "__sdk.breakpoint",
        "publish",
        r#"{"payload":{"question":"Run ./publish.sh 1.4.0 ?","title":"Publish 1.4.0"}}"#,
    );
    run.clock_ms = 43_742_110;
    run.event("STOP_HOOK_INVOKED", r#"{"sessionId":"s-42","iteration":9,"decision":"approve","reason":"waiting_for_breakpoint","runState":"waiting","pendingKinds":"breakpoint","hasPromise":false,"harness":"claude-code"}"#);
    run.files
}

fn demo() -> Files {
    [fix_login(), nightly(), release()].into_iter().flatten().collect()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo")
}

#[test]
#[ignore = "writes cli/demo"]
#[allow(clippy::disallowed_methods, reason = "this is the one test that writes: it makes the sample again")]
fn bless_demo() {
    let root = directory();
    if root.join(".a5c").exists() {
        std::fs::remove_dir_all(root.join(".a5c")).expect("removed");
    }
    for (name, content) in demo() {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("created");
        std::fs::write(path, content).expect("written");
    }
}

#[test]
fn the_sample_is_the_generated_one_and_small() {
    let tree = Tree::load(&directory());
    let expected: Vec<_> = demo().into_iter().map(|(name, content)| (name, content.into_bytes())).collect();
    assert_eq!(tree.contents(), expected);
    assert!(expected.iter().map(|(_, content)| content.len()).sum::<usize>() < 150 << 10);
}

#[test]
fn the_sample_holds_three_runs_sixty_one_events_and_two_oddities() {
    let tree = Tree::load(&directory());
    let discovery = discover(&tree, &Limits::default()).expect("listed");
    let mut summary = Vec::new();
    let mut codes = Vec::new();
    for run in &discovery.runs {
        let items = Items::read(&tree, run, Limits::default());
        assert!(items.errors.is_empty());
        let last = items.events.last().expect("an event");
        summary.push((
            run.name().expect("a name").to_owned(),
            items.events.len(),
            last.type_or_unreadable().to_owned(),
        ));
        codes.extend(items.oddities.iter().map(|oddity| (run.name() == Some("fix-login"), oddity.code)));
    }
    let expected =
        [("fix-login", 7, "RUN_FAILED"), ("nightly-7", 31, "RUN_COMPLETED"), ("release-42", 23, "STOP_HOOK_INVOKED")];
    assert_eq!(summary, expected.map(|(name, events, last)| (name.to_owned(), events, last.to_owned())));
    assert_eq!(codes, [(true, OddityCode::WrongChecksum), (true, OddityCode::TornLock)]);
    assert_eq!(discovery.oddities, []);
}
