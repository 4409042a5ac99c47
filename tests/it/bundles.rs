//! Bundles, as people use them: written beside a store, read in place, restored, and added to another one.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::kit::{Answer, Directory, dump, run, snapshot, spawn};
use crate::lab_result::tell;

fn filled(directory: &Directory) -> PathBuf {
    let store = directory.store();
    let line = |n: u32| {
        format!(
            "{{\"run\":\"release-{}\",\"type\":\"deploy.step\",\"data\":{{\"n\":{n},\"t\":\"{n:0>2000}\"}}}}\n",
            n % 3
        )
    };
    // A batch is as much as the pipe gives at a time, and goes into one segment: so little at a time.
    for from in (0..400).step_by(20) {
        let lines: String = (from..from + 20).map(line).collect();
        assert_eq!(run(&store, &["log", "append", "--create"], &lines).exit, Some(0));
    }
    store
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.data.lines().count(), 1, "{answer:?}");
    serde_json::from_str(&answer.data).expect("one JSON object")
}

fn export(store: &Path, file: &Path, more: &[&str]) -> Value {
    let file = text(file);
    let arguments = [&["log", "export", "--json", "--bundle", &file], more].concat();
    let answer = run(store, &arguments, "");
    assert_eq!((answer.exit, answer.notes.as_str()), (Some(0), ""), "{answer:?}");
    json(&answer)
}

#[test]
fn a_bundle_is_read_in_place_restored_and_exported_again_to_the_same_bytes() {
    let directory = Directory::new("bundle");
    let store = filled(&directory);
    let file = directory.path().join("backup.tfb");
    let before = snapshot(&store);
    let report = export(&store, &file, &[]);
    assert_eq!(snapshot(&store), before, "an export only reads");
    assert_eq!(report["schema"], "taffrail.bundled/1");
    assert!(report["segments"].as_u64() > Some(1) && report["durable"] == 404, "{report}");
    assert!(report["bundle_len_bytes"].as_u64() < report["len_bytes"].as_u64(), "it is compressed: {report}");

    let bytes = std::fs::read(&file).expect("the bundle");
    assert_eq!(dump(&file), dump(&store));
    for words in [
        &["log", "verify"][..],
        &["log", "stat"],
        &["run", "list"],
        &["snap", "list"],
        &["log", "dump", "-n", "3", "--reverse"],
        &["log", "export"],
    ] {
        let (there, here) = (run(&file, words, ""), run(&store, words, ""));
        assert_eq!(there.exit, here.exit, "{words:?}: {there:?}");
        if words != ["log", "verify"] && words != ["log", "stat"] {
            assert_eq!(there.data, here.data, "{words:?}");
        }
    }
    assert_eq!(std::fs::read(&file).expect("the bundle"), bytes);
    let refused = run(&file, &["log", "append", "--run", "x", "--type", "y", "1", "--json"], "");
    assert_eq!(
        (refused.exit, refused.error()["code"].as_str().map(str::to_owned)),
        (Some(2), Some("T0149".to_owned()))
    );

    let there = directory.path().join("restored");
    let restored = run(&there, &["log", "import", &text(&file), "--json"], "");
    assert_eq!(restored.exit, Some(0), "{restored:?}");
    let report = json(&restored);
    assert_eq!((&report["restored"], &report["events_added"]), (&Value::Bool(true), &Value::from(404)), "{report}");
    let again = directory.path().join("again.tfb");
    export(&there, &again, &[]);
    assert_eq!(std::fs::read(&again).expect("the second bundle"), bytes);
    assert_eq!(dump(&there), dump(&store));
    let imported = json(&run(&there, &["log", "import", &text(&file), "--json"], ""));
    assert_eq!((&imported["events_added"], &imported["events_already_there"]), (&Value::from(0), &Value::from(404)));
}

#[test]
fn one_run_is_added_to_another_store_and_only_once() {
    let directory = Directory::new("bundle-run");
    let store = filled(&directory);
    let file = directory.path().join("run.tfb");
    let report = export(&store, &file, &["--run", "release-1"]);
    assert_eq!((report["run"].as_str(), report["segments"].as_u64()), (Some("release-1"), Some(1)), "{report}");
    let verified = run(&file, &["log", "verify"], "");
    assert_eq!(verified.exit, Some(0), "{verified:?}");
    let of_run = |store: &Path| -> Vec<Value> {
        let answer = run(store, &["log", "dump", "-o", "jsonl", "--run", "release-1", "--type", "deploy.step"], "");
        answer.lines().iter().map(|event| event["data"].clone()).collect()
    };
    assert_eq!(of_run(&file), of_run(&store));
    assert_eq!(dump(&file).len(), of_run(&store).len() + 1, "nothing but the run is in it");
    let there = Directory::new("bundle-there");
    let there = there.store();
    for added in [true, false] {
        let report = json(&run(&there, &["log", "import", &text(&file), "--json"], ""));
        assert_eq!(report["restored"], false);
        assert_eq!(report["events_added"].as_u64() > Some(0), added, "{report}");
        assert_eq!(of_run(&there), of_run(&store));
    }
}

#[test]
fn what_is_no_bundle_a_spoiled_one_and_a_taken_name_are_refused() {
    let directory = Directory::new("bundle-bad");
    let store = filled(&directory);
    let file = directory.path().join("backup.tfb");
    export(&store, &file, &[]);
    let code = |answer: &Answer| answer.error()["code"].as_str().expect("a code").to_owned();
    let taken = run(&store, &["log", "export", "--json", "--bundle", &text(&file)], "");
    assert_eq!((taken.exit, code(&taken)), (Some(2), "T0172".to_owned()));
    let nobody =
        run(&store, &["log", "export", "--json", "--run", "nobody", "--bundle", &text(&file.with_extension("2"))], "");
    assert_eq!((nobody.exit, code(&nobody)), (Some(1), "T0141".to_owned()));
    let names: Vec<_> =
        directory.path().read_dir().expect("readable").map(|it| it.expect("an entry").file_name()).collect();
    assert_eq!(names.len(), 2, "no part of a file is left: {names:?}");

    let garbage = directory.path().join("garbage");
    std::fs::write(&garbage, b"no bundle at all").expect("written");
    let answer = run(&garbage, &["log", "dump", "--json"], "");
    assert_eq!((answer.exit, code(&answer)), (Some(2), "T0149".to_owned()));
    let mut bytes = std::fs::read(&file).expect("the bundle");
    bytes[9000] ^= 1;
    std::fs::write(&garbage, &bytes).expect("written");
    let there = directory.path().join("there");
    let answer = run(&there, &["log", "import", &text(&garbage), "--json"], "");
    assert_eq!((answer.exit, code(&answer)), (Some(4), "T0170".to_owned()));
    assert!(!there.exists(), "nothing is made before everything is verified");
    let answer = run(&garbage, &["log", "verify", "--json"], "");
    assert_eq!((answer.exit, code(&answer)), (Some(4), "T0170".to_owned()));
    bytes.truncate(bytes.len() - 1);
    std::fs::write(&garbage, &bytes).expect("written");
    let answer = run(&garbage, &["log", "dump", "--json"], "");
    assert_eq!((answer.exit, code(&answer)), (Some(4), "T0170".to_owned()));
}

#[test]
fn bundles_beside_a_process_that_appends_are_whole_and_hold_what_was_acknowledged() {
    tell("bundle-beside-a-writer", &["P1", "P9"], || (bundle_beside_a_writer(), vec![]));
}

/// What a process has acknowledged so far.
#[derive(Default)]
struct Acknowledged {
    last: AtomicU64,
    /// The one before that: every later bundle has it, since the frames of the last one say that it was durable.
    before: AtomicU64,
    is_over: AtomicBool,
}

impl Acknowledged {
    /// Gives lines to the process until it is over.
    fn feed(&self, mut input: ChildStdin) {
        let line =
            |n: u64| format!("{{\"run\":\"busy\",\"type\":\"tick\",\"data\":{{\"n\":{n},\"t\":\"{n:0>900}\"}}}}\n");
        for n in (0..).step_by(5) {
            let lines: String = (n..n + 5).map(line).collect();
            if self.is_over.load(Ordering::Acquire) || input.write_all(lines.as_bytes()).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn listen(&self, output: ChildStdout) {
        for ack in BufReader::new(output).lines() {
            let ack: Value = serde_json::from_str(&ack.expect("UTF-8")).expect("JSON");
            let last = self.last.swap(ack["durable"].as_u64().expect("a seq"), Ordering::AcqRel);
            self.before.store(last, Ordering::Release);
        }
    }
}

/// Ends the input, also where an assertion fails.
struct End<'a>(&'a Acknowledged);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

/// How many bundles were made while the other process appended.
fn bundle_beside_a_writer() -> u64 {
    let directory = Directory::new("bundle-beside");
    let store = filled(&directory);
    let mut writer = spawn(&store, &["log", "append", "--create"]);
    let (input, output) = (writer.stdin.take().expect("a pipe"), writer.stdout.take().expect("a pipe"));
    let told = Acknowledged::default();
    let made: Vec<(u64, Value, PathBuf)> = std::thread::scope(|scope| {
        scope.spawn(|| told.feed(input));
        scope.spawn(|| told.listen(output));
        let _end = End(&told);
        while told.before.load(Ordering::Acquire) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let make = |number: u32| {
            let file = directory.path().join(format!("{number}.tfb"));
            (told.before.load(Ordering::Acquire), export(&store, &file, &[]), file)
        };
        (0..6).map(make).collect()
    });
    assert!(writer.wait().expect("it ends").success());
    let all = dump(&store);
    for (acknowledged, report, file) in &made {
        let durable = report["durable"].as_u64().expect("a seq");
        assert!(durable >= *acknowledged, "{acknowledged} were acknowledged, and {report}");
        let there = dump(file);
        assert_eq!(there.len() as u64, durable);
        assert!(
            there
                .iter()
                .zip(&all)
                .all(|(left, right)| (&left["seq"], &left["data"]) == (&right["seq"], &right["data"]))
        );
        let verified = run(file, &["log", "verify"], "");
        assert_eq!(verified.exit, Some(0), "{verified:?}");
    }
    let (first, last) = (made.first().expect("some"), made.last().expect("some"));
    assert!(first.1["durable"].as_u64() < last.1["durable"].as_u64(), "the other process was at work");
    let there = directory.path().join("there");
    assert_eq!(run(&there, &["log", "import", &text(&last.2)], "").exit, Some(0));
    assert_eq!(dump(&there), dump(&last.2));
    made.len() as u64
}
