//! Bundles, as people use them: written beside a store, read in place, restored, and added to another one.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kit::{Answer, Directory, dump, run, snapshot};

fn filled(directory: &Directory) -> PathBuf {
    let store = directory.store();
    let line = |n: u32| {
        format!(
            "{{\"run\":\"release-{}\",\"type\":\"deploy.step\",\"data\":{{\"n\":{n},\"t\":\"{n:0>2000}\"}}}}\n",
            n % 3
        )
    };
    let lines: String = (0..400).map(line).collect();
    assert_eq!(run(&store, &["log", "append", "--create"], &lines).exit, Some(0));
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
