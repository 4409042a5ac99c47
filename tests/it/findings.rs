//! What the reports say, and end with, where something is wrong.

use std::path::Path;

use crate::imports::make_run;
use crate::kit::{Directory, run};
use crate::reading_only::{filled, tear};

fn flip(segment: &Path, from_end: usize) {
    let mut bytes = std::fs::read(segment).expect("a segment");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("frames");
    bytes[end - from_end] ^= 1;
    std::fs::write(segment, bytes).expect("written");
}

/// Appends lines, ten at a time: a batch is as much as the pipe gives at once, and goes into one segment.
fn append_in_parts(store: &Path, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    for part in lines.chunks(10) {
        assert_eq!(run(store, &["log", "append", "--create"], &part.concat()).exit, Some(0));
    }
}

/// Bug: `log stat` passed damage over, said so in a line, and exited with 0.
#[test]
fn stat_exits_with_the_damage_that_it_passed_over() {
    let directory = Directory::new("stat");
    let store = filled(&directory);
    assert_eq!(run(&store, &["log", "stat"], "").exit, Some(0));
    tear(&store);
    let torn = run(&store, &["log", "stat", "--json"], "");
    assert_eq!((torn.exit, &torn.lines()[0]["severity"]), (Some(3), &serde_json::json!("torn_tail")));
    let directory = Directory::new("stat-damaged");
    let store = filled(&directory);
    flip(&store.join("segments/0000000001.seg"), 300);
    let damaged = run(&store, &["log", "stat", "--json"], "");
    assert_eq!((damaged.exit, &damaged.lines()[0]["severity"]), (Some(4), &serde_json::json!("damaged")));
    assert!(damaged.lines()[0]["findings"].as_u64() > Some(0));
}

/// Bug: `@9999-12-31` was refused as no time at all.
#[test]
fn a_far_time_is_everything_or_nothing() {
    let directory = Directory::new("far");
    let store = filled(&directory);
    let count = |range: &str| {
        let answer = run(&store, &["log", "dump", "-o", "jsonl", range], "");
        let count = answer.lines().len();
        assert_eq!(answer.exit, Some(i32::from(count == 0)), "{range}: {}", answer.notes);
        count
    };
    let all = count("..");
    assert!(all > 50);
    for everything in ["..@9999-12-31", "..@9999-12-31T23:59:59Z", "@0001-01-01..", "@1600-01-01.."] {
        assert_eq!(count(everything), all, "{everything}");
    }
    assert_eq!(count("@9999-12-31.."), 0);
    let before = run(&store, &["state", "show", "r", "--at", "@1600-01-01", "--json"], "");
    assert_eq!((before.exit, before.error()["code"].as_str()), (Some(1), Some("T0146")), "{}", before.notes);
    let at = run(&store, &["state", "show", "r", "--at", "@9999-12-31", "--json"], "");
    let head = run(&store, &["state", "show", "r", "--at", "head", "--json"], "");
    assert_eq!((at.exit, at.data), (head.exit, head.data), "{}", at.notes);
}

/// Bug: `log verify` looked at no blob, so that a store whose imported files were gone or rotten was called clean.
#[test]
fn verify_tells_of_blobs_that_are_missing_or_rotten_and_whose_they_are() {
    let directory = Directory::new("blobs");
    let store = directory.store();
    let source = directory.path().join("source");
    make_run(&source, "run", 3);
    std::fs::write(source.join("run/notes.txt"), "kept as a blob").expect("written");
    let imported = run(&store, &["log", "import", source.to_str().expect("UTF-8")], "");
    assert_eq!(imported.exit, Some(0), "{}", imported.notes);
    assert_eq!(run(&store, &["log", "verify"], "").exit, Some(0));
    let digest = blake3_of(&store, "notes.txt");
    let blob = store.join("blobs").join(&digest[..2]).join(&digest);
    let bytes = std::fs::read(&blob).expect("the blob of notes.txt");

    std::fs::write(&blob, "kept as a bl0b").expect("written");
    for (kind, found) in [("BLOB_DIGEST", "content with another digest"), ("BLOB_MISSING", "nothing")] {
        let verified = run(&store, &["log", "verify", "--json"], "");
        assert_eq!(verified.exit, Some(4), "{}", verified.data);
        let report = &verified.lines()[0];
        let finding = &report["findings"][0];
        assert_eq!((&finding["kind"], &finding["found"]), (&kind.into(), &found.into()), "{finding}");
        assert_eq!(finding["file"], format!("blobs/{}/{digest}", &digest[..2]));
        assert!(finding["expected"].as_str().expect("text").contains("notes.txt"), "{finding}");
        assert_eq!(finding["event"]["type_name"], "taffrail.import.Files");
        assert_eq!(finding["event"]["run_name"], "run");
        assert_eq!(report["totals"]["lost"], 0);
        let text = run(&store, &["log", "verify"], "").data;
        assert!(text.contains("named by seq ") && text.contains("(run, taffrail.import.Files, "), "{text}");
        assert_eq!(
            run(&store, &["log", "verify", "--depth", "frames"], "").exit,
            Some(0),
            "blobs are looked at deeper"
        );
        let _gone = std::fs::remove_file(&blob);
    }
    std::fs::write(&blob, bytes).expect("written");
    assert_eq!(run(&store, &["log", "verify"], "").exit, Some(0));
}

/// The digest that the import has noted for a file.
fn blake3_of(store: &Path, file: &str) -> String {
    let notes = run(store, &["log", "dump", "-o", "jsonl", "--type", "taffrail.import.Files"], "");
    let lines = notes.lines();
    let mut files = lines.iter().flat_map(|line| line["data"]["files"].as_array().cloned().unwrap_or_default());
    let found = files.find(|note| note["file"] == file).unwrap_or_else(|| panic!("{file}: {}", notes.data));
    found["digest"].as_str().expect("text").to_owned()
}

/// Bug: an export said nothing of the blobs that its events name, so that it looked like all that there is.
#[test]
fn an_export_tells_how_many_blobs_it_leaves_out() {
    let directory = Directory::new("export");
    let store = directory.store();
    let source = directory.path().join("source");
    make_run(&source, "run", 3);
    std::fs::write(source.join("run/notes.txt"), "kept as a blob").expect("written");
    assert_eq!(run(&store, &["log", "import", source.to_str().expect("UTF-8")], "").exit, Some(0));
    let exported = run(&store, &["log", "export"], "");
    let named = run(&store, &["log", "dump", "-o", "jsonl", "--type", "taffrail.import.Files"], "");
    let digests: std::collections::BTreeSet<String> = named
        .lines()
        .iter()
        .flat_map(|line| line["data"]["files"].as_array().cloned().unwrap_or_default())
        .map(|note| note["digest"].to_string())
        .collect();
    let lines = exported.lines();
    let end = lines.last().expect("an end");
    assert_eq!((end["schema"].as_str(), digests.is_empty()), (Some("taffrail.export-end/1"), false));
    assert_eq!(end["blobs_not_carried"], digests.len());
}

/// Bug: the undo of a repair was looked for with a reader that stops at damage, so that an undo could not even be planned
/// while anything else was damaged.
#[test]
fn an_undo_is_planned_and_applied_beside_other_damage() {
    let directory = Directory::new("undo");
    let store = directory.path().join("store");
    assert_eq!(run(&store, &["store", "init", "--segment-size", "64KiB"], "").exit, Some(0));
    let text = "x".repeat(2000);
    append_in_parts(&store, (0..70).map(|n| format!("{{\"run\":\"r\",\"type\":\"t\",\"data\":[{n},\"{text}\"]}}\n")));
    let spoil = |segment: u32| {
        let path = store.join(format!("segments/{segment:010}.seg"));
        let mut bytes = std::fs::read(&path).expect("a segment");
        bytes[20_000] ^= 1;
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let first = spoil(1);
    let damaged = std::fs::read(&first).expect("a segment");
    let name = |words: &[&str]| {
        let planned = run(&store, words, "");
        planned.lines()[0]["name"].as_str().unwrap_or_else(|| panic!("{} {}", planned.data, planned.notes)).to_owned()
    };
    let plan = name(&["log", "repair", "--mode", "salvage", "--json"]);
    let apply =
        ["log", "repair", "--mode", "salvage", "--plan", &plan, "--accept-loss", "1", "--reason", "test", "--apply"];
    let repaired = run(&store, &apply, "");
    assert_eq!(repaired.exit, Some(0), "{} {}", repaired.data, repaired.notes);
    spoil(2);
    let id = name(&["store", "undo", "--json"]);
    let applied = run(&store, &["store", "undo", "--plan", &id, "--reason", "test", "--apply"], "");
    assert_eq!(applied.exit, Some(0), "{} {}", applied.data, applied.notes);
    assert!(std::fs::read(&first).expect("a segment") == damaged, "the original is back");
}

/// Bug: with a segment gone, the runs that had events in it were counted as "not affected".
#[test]
fn a_lost_segment_is_told_with_the_runs_that_lost_events_and_those_that_may_have() {
    let directory = Directory::new("lost");
    let store = directory.path().join("store");
    assert_eq!(run(&store, &["store", "init", "--segment-size", "64KiB"], "").exit, Some(0));
    let text = "x".repeat(2000);
    let early = "{\"run\":\"early\",\"type\":\"t\",\"data\":1}\n".to_owned();
    let nightly = (0..80).map(|n| format!("{{\"run\":\"nightly\",\"type\":\"t\",\"data\":[{n},\"{text}\"]}}\n"));
    let late = "{\"run\":\"late\",\"type\":\"t\",\"data\":1}\n".to_owned();
    append_in_parts(&store, std::iter::once(early).chain(nightly).chain([late]));
    std::fs::remove_file(store.join("segments/0000000002.seg")).expect("removed");
    let verified = run(&store, &["log", "verify"], "");
    assert_eq!(verified.exit, Some(4), "{}", verified.data);
    let result = verified.data.lines().find(|line| line.starts_with("result: ")).expect("a result").to_owned();
    assert!(result.contains("1 run affected (nightly)"), "{result}");
    let report = run(&store, &["log", "verify", "--json"], "").lines()[0].clone();
    let (lost, of_nightly) = (&report["totals"]["lost"], &report["affected_runs"][0]["lost"]);
    assert!(lost.as_u64() > Some(0), "{report}");
    if lost == of_nightly {
        // All of the loss is proven to be of one run, so nobody else lost anything.
        assert!(report["possibly_affected_runs"].as_array().is_some_and(Vec::is_empty), "{report}");
        assert!(result.contains("2 other runs not affected"), "{result}");
    } else {
        assert!(result.contains("may be affected"), "{result}");
    }
    // The newest segment takes events along of which nothing behind it tells.
    let last = std::fs::read_dir(store.join("segments")).expect("a directory").count() + 1;
    std::fs::remove_file(store.join(format!("segments/{last:010}.seg"))).expect("removed");
    let verified = run(&store, &["log", "verify"], "");
    let result = verified.data.lines().find(|line| line.starts_with("result: ")).expect("a result").to_owned();
    assert!(result.contains("may be affected (early"), "{result}");
    assert!(!result.contains("not affected"), "nothing tells that: {result}");
}
