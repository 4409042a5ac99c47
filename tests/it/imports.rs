//! Importing and exporting, as commands on real directories.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use taffrail::blob::{Blobs, Digest};
use taffrail::storage::Disk;
use taffrail::{Query, Reader};

use crate::kit::{Directory, answer, run, snapshot, spawn};

#[allow(clippy::print_stderr, reason = "a test that checks nothing has to say so")]
pub(crate) fn data() -> Option<PathBuf> {
    let root = std::env::var_os("TAFFRAIL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let directory = root.join("babysitter");
    if !directory.is_dir() {
        eprintln!("SKIPPED: no journals at {} (set TAFFRAIL_DATA)", directory.display());
        return None;
    }
    Some(directory)
}

pub(crate) fn import(store: &Path, source: &Path) -> Value {
    let answer = run(store, &["log", "import", "--json", source.to_str().expect("UTF-8")], "");
    assert_eq!((answer.exit, answer.notes.as_str()), (Some(0), ""), "{}", source.display());
    serde_json::from_str(&answer.data).expect("a report")
}

fn export(store: &Path) -> String {
    let answer = run(store, &["log", "export"], "");
    assert_eq!((answer.exit, answer.notes.as_str()), (Some(0), ""));
    answer.data
}

/// The payloads of all source events, sorted.
fn payloads(store: &Path) -> Vec<Vec<u8>> {
    let reader = Reader::open(store).expect("a store");
    let mut events = reader.events(Query::all().event_type("babysitter")).expect("events");
    let mut found = Vec::new();
    while let Some(record) = events.next().expect("an event") {
        found.push(record.payload.to_vec());
    }
    found.sort();
    found
}

/// Run, type, time and payload of all source events, sorted: what an import is about.
pub(crate) fn content(store: &Path) -> Vec<(Option<String>, String, i64, Vec<u8>)> {
    let reader = Reader::open(store).expect("a store");
    let runs = reader.runs().expect("runs");
    let mut events = reader.events(Query::all().event_type("babysitter")).expect("events");
    let mut found = Vec::new();
    while let Some(record) = events.next().expect("an event") {
        let name = record.run.and_then(|run| runs[&run].name.clone());
        found.push((name, record.type_name(), record.time_ns, record.payload.to_vec()));
    }
    found.sort();
    found
}

/// The notes of one kind that the imports have left, by file.
fn notes(store: &Path, kind: &str) -> Vec<Value> {
    let reader = Reader::open(store).expect("a store");
    let mut events = reader.events(Query::all().event_type("taffrail.import")).expect("events");
    let mut found = Vec::new();
    while let Some(record) = events.next().expect("an event") {
        let mut value: Value = serde_json::from_slice(&record.payload).expect("JSON");
        found.extend(value.get_mut(kind).and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default());
    }
    found
}

/// Every file of a tree, by path; links are none.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let is_file = |path: &PathBuf| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    snapshot(directory).into_iter().filter(|(path, _)| is_file(path)).map(|(path, (.., bytes))| (path, bytes)).collect()
}

/// Every entry of a tree with its length and times; nothing is opened, and no link followed.
fn times(directory: &Path) -> BTreeMap<PathBuf, [i64; 5]> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_path_buf()];
    while let Some(path) = left.pop() {
        let metadata = path.symlink_metadata().expect("it is there");
        if metadata.is_dir() {
            left.extend(path.read_dir().expect("readable").map(|entry| entry.expect("readable").path()));
        }
        let len = i64::try_from(metadata.len()).expect("no giant");
        let entry = [len, metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
        found.insert(path, entry);
    }
    found
}

fn is_event(path: &Path) -> bool {
    let parent = path.parent().and_then(Path::file_name);
    parent == Some(OsStr::new("journal")) && path.extension() == Some(OsStr::new("json"))
}

#[test]
fn every_real_journal_is_imported_whole_once_and_comes_back_byte_for_byte() {
    let Some(data) = data() else { return };
    let directory = Directory::new("imports");
    let store = directory.store();
    let mut sources = vec![data.join("sdk-6.0.0"), data.join("damaged")];
    let history = data.join("repo-history").read_dir().expect("readable");
    sources.extend(history.map(|entry| entry.expect("readable").path()));
    let (mut events, mut expected) = (0, Vec::new());
    for source in &sources {
        let before = snapshot(source);
        let report = import(&store, source);
        assert_eq!(snapshot(source), before, "{}", source.display());
        let found = files(source);
        let of_events: Vec<&Vec<u8>> =
            found.iter().filter(|(path, _)| is_event(path)).map(|(_, bytes)| bytes).collect();
        assert_eq!(report["events_added"], of_events.len(), "{}", source.display());
        assert_eq!(report["files_kept"], found.len() - of_events.len(), "{}", source.display());
        events += of_events.len();
        expected.extend(of_events.into_iter().cloned());
        println!("{}: {} events, {} files", source.display(), report["events_added"], report["files_kept"]);
        let disk = Arc::new(Disk::new(&store));
        let blobs = Blobs::new(disk);
        for bytes in found.iter().filter(|(path, _)| !is_event(path)).map(|(_, bytes)| bytes) {
            assert_eq!(blobs.get(&Digest::of(bytes), 1 << 30).expect("a blob"), *bytes);
        }
    }
    expected.sort();
    assert_eq!(payloads(&store).len(), events);
    assert_eq!(payloads(&store), expected);
    let before = export(&store);
    for source in &sources {
        let again = import(&store, source);
        assert_eq!(
            (&again["events_added"], &again["files_kept"], &again["oddities"]["new"]),
            (&0.into(), &0.into(), &0.into())
        );
    }
    assert_eq!(export(&store), before);
    assert_eq!(run(&store, &["log", "verify"], "").exit, Some(0));

    let restored = Directory::new("restored");
    let copy = restored.store();
    let answer = run(&copy, &["log", "import", "--json", "-"], &before);
    assert_eq!((answer.exit, answer.notes.as_str()), (Some(0), ""));
    assert_eq!(export(&copy), before);
    // Lines carry no files: those that the imports kept are missing, and nothing else is. A bundle has them.
    let verified = run(&copy, &["log", "verify"], "");
    assert!(
        verified.exit == Some(4) && verified.data.contains("damage, but none of"),
        "{}",
        verified.exit.unwrap_or(-1)
    );
    let mut damages = verified.data.lines().filter(|line| line.starts_with("damage "));
    assert!(damages.all(|line| line.contains("BLOB_MISSING")));
    let (bundle, whole) = (restored.path().join("all.tfb"), restored.path().join("whole"));
    let bundle = bundle.to_str().expect("UTF-8");
    assert_eq!(run(&store, &["log", "export", "--bundle", bundle], "").exit, Some(0));
    assert_eq!(run(&whole, &["log", "import", bundle], "").exit, Some(0));
    assert_eq!(export(&whole), before);
    assert_eq!(run(&whole, &["log", "verify"], "").exit, Some(0));
    // The whole is the same run by run as each directory on its own, whatever was imported before.
    let directory = Directory::new("together");
    let together = directory.store();
    import(&together, &data);
    let (one, all) = (content(&together), content(&store));
    let sorted = |content: &[(Option<String>, String, i64, Vec<u8>)]| {
        content
            .iter()
            .map(|event| (event.1.clone(), event.2, event.3.clone()))
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((one.len(), sorted(&one)), (all.len(), sorted(&all)));
}

fn event(message: &str, second: u32) -> String {
    format!(
        "{{\"type\":\"PROCESS_LOG\",\"recordedAt\":\"2026-08-19T10:00:{second:02}.000Z\",\"data\":{{\"message\":\"{message}\"}}}}\n"
    )
}

/// A run with so many events.
pub(crate) fn make_run(source: &Path, name: &str, events: u32) {
    let journal = source.join(name).join("journal");
    std::fs::create_dir_all(&journal).expect("a directory");
    std::fs::write(source.join(name).join("run.json"), format!("{{\"runId\":\"{name}\"}}")).expect("written");
    for number in 1..=events {
        let path = journal.join(format!("{number:06}.01M818XSYAT3SDZDYASJ{number:06}.json"));
        std::fs::write(path, event(&format!("event {number} of {name}"), number % 60)).expect("written");
    }
}

#[test]
fn a_hostile_source_is_data_and_nothing_outside_of_it_is_touched() {
    let directory = Directory::new("hostile");
    let (store, source) = (directory.store(), directory.path().join("source"));
    make_run(&source, "run", 2);
    let run_directory = source.join("run");
    std::fs::write(directory.path().join("secret"), "not to be read").expect("written");
    std::fs::write(run_directory.join("run.json"), "{\"runId\":\"../../../../tmp/\\u001b[2J\"}").expect("written");
    symlink(directory.path().join("secret"), run_directory.join("inputs.json")).expect("a link");
    symlink("/", run_directory.join("tasks")).expect("a link");
    symlink("journal", run_directory.join("journal.bak.1")).expect("a link");
    symlink("/", source.join("elsewhere")).expect("a link");
    std::fs::create_dir(run_directory.join("artifacts")).expect("a directory");
    std::fs::write(run_directory.join("artifacts").join(OsStr::from_bytes(b"\xff\xfe")), "x").expect("written");
    std::fs::write(run_directory.join("artifacts/a\nb\u{202e}c"), "x").expect("written");
    let made = std::process::Command::new("mkfifo").arg(run_directory.join("artifacts/pipe")).status().expect("mkfifo");
    assert!(made.success());
    let journal = run_directory.join("journal");
    std::fs::write(journal.join("000003.deep.json"), "[".repeat(3 << 20)).expect("written");
    std::fs::write(journal.join("000004.bytes.json"), b"{\"type\":\"\xff\xfe\"}").expect("written");
    std::fs::write(
        journal.join("000005.ref.json"),
        event("x", 1)
            .replace("PROCESS_LOG", "EFFECT_RESOLVED")
            .replace("message", "resultRef")
            .replace(":\"x\"", ":\"../../../secret\""),
    )
    .expect("written");
    let large = std::fs::File::create(journal.join("000006.large.json")).expect("a file");
    large.set_len(100 << 20).expect("100 MiB");
    let before = times(&source);
    let answer = run(&store, &["log", "import", source.to_str().expect("UTF-8")], "");
    assert_eq!((answer.exit, answer.notes.as_str()), (Some(0), ""), "{}", answer.data);
    assert!(answer.data.starts_with("imported 1 run, 5 events; "), "{}", answer.data);
    assert!(!answer.data.contains('\u{1b}') && !answer.data.contains('\u{202e}'), "{}", answer.data);
    let report = import(&store, &source);
    assert_eq!(report["events_added"], 0);
    let codes = report["oddities"]["by_code"].as_object().expect("codes");
    for code in [
        "not-a-regular-file",
        "name-not-utf8",
        "control-character-in-name",
        "json-too-deep",
        "reference-refused",
        "file-too-large",
    ] {
        assert!(codes.contains_key(code), "{code} {codes:?}");
    }
    assert_eq!(times(&source), before);
    let kept: Vec<u64> = notes(&store, "files").iter().filter_map(|note| note["len_bytes"].as_u64()).collect();
    assert!(kept.contains(&(100 << 20)), "{kept:?}");
    assert!(!payloads(&store).iter().any(|payload| payload == b"not to be read"));
    assert_eq!(run(&store, &["log", "verify"], "").exit, Some(0));
}

#[test]
fn two_processes_import_one_source_at_once_and_it_is_there_once() {
    let directory = Directory::new("twice-at-once");
    let (store, source) = (directory.store(), directory.path().join("source"));
    for number in 0..4 {
        make_run(&source, &format!("run-{number}"), 700);
    }
    let arguments = ["log", "import", "--json", source.to_str().expect("UTF-8")];
    let children = [spawn(&store, &arguments), spawn(&store, &arguments), spawn(&store, &arguments)];
    let mut added = 0;
    for child in children {
        let answer = answer(child);
        assert_eq!((answer.exit, answer.notes.as_str()), (Some(0), ""));
        let report: Value = serde_json::from_str(&answer.data).expect("a report");
        added += report["events_added"].as_u64().expect("a number");
    }
    assert_eq!((added, payloads(&store).len()), (2800, 2800));
    assert_eq!(import(&store, &source)["events_already_there"], 2800);
}

#[test]
fn an_import_that_is_killed_is_resumed() {
    let directory = Directory::new("killed");
    let source = directory.path().join("source");
    for number in 0..3 {
        make_run(&source, &format!("run-{number}"), 900);
    }
    let whole = directory.store();
    import(&whole, &source);
    for delay_ms in [15, 40, 80, 160] {
        let store = Directory::new("killed-store");
        let path = store.store();
        let mut child = spawn(&path, &["log", "import", source.to_str().expect("UTF-8")]);
        std::thread::sleep(Duration::from_millis(delay_ms));
        child.kill().expect("killed");
        child.wait().expect("it ends");
        import(&path, &source);
        assert_eq!(content(&path), content(&whole), "{delay_ms}");
        assert_eq!(run(&path, &["log", "verify"], "").exit, Some(0));
    }
}

#[test]
fn a_source_that_changes_while_it_is_read_is_caught_up_with_later() {
    let directory = Directory::new("changing");
    let (store, source) = (directory.store(), directory.path().join("source"));
    make_run(&source, "run", 300);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 300;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                make_run(&source, "run", number);
                let lock = source.join("run/run.lock");
                std::fs::write(&lock, vec![b'x'; number as usize]).expect("written");
                let _gone = std::fs::remove_file(&lock);
            }
        });
        for _ in 0..3 {
            let answer = run(&store, &["log", "import", source.to_str().expect("UTF-8")], "");
            assert_eq!(answer.exit, Some(0), "{answer:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
    import(&store, &source);
    let kept = payloads(&store);
    for (path, bytes) in files(&source).iter().filter(|(path, _)| is_event(path)) {
        assert!(kept.binary_search(bytes).is_ok(), "{}", path.display());
    }
    assert_eq!(import(&store, &source)["events_added"], 0);
}

#[test]
fn what_can_not_be_imported_is_told_with_its_exit_code() {
    let directory = Directory::new("refused");
    let store = directory.store();
    std::fs::write(directory.path().join("file"), "no export\n").expect("written");
    std::fs::create_dir(directory.path().join("empty")).expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    for (arguments, exit, code) in [
        (vec![path("gone")], 1, "T0151"),
        (vec![path("empty")], 1, "T0151"),
        (vec![path("file")], 2, "T0161"),
        (vec!["--from=babysitter".to_owned(), path("file")], 2, "T0152"),
        (vec!["--from=jsonl".to_owned(), path("empty")], 2, "T0152"),
        (vec!["--dry-run".to_owned(), path("file")], 2, "T0152"),
        (vec!["--from=bundle".to_owned(), path("file")], 2, "T0171"),
    ] {
        let mut line = vec!["--json", "log", "import"];
        line.extend(arguments.iter().map(String::as_str));
        let answer = run(&store, &line, "");
        assert_eq!((answer.exit, answer.data.as_str()), (Some(exit), ""), "{arguments:?} {answer:?}");
        assert_eq!(answer.error()["code"], code, "{arguments:?}");
    }
    assert!(payloads(&store).is_empty());
}

#[test]
fn parts_and_wholes_of_a_log_go_into_other_stores() {
    let directory = Directory::new("parts");
    let (store, source) = (directory.store(), directory.path().join("source"));
    make_run(&source, "first", 40);
    make_run(&source, "second", 40);
    let dry = run(&store, &["log", "import", "--dry-run", source.to_str().expect("UTF-8")], "");
    assert!(dry.data.starts_with("would import 2 runs, 80 events; "), "{}", dry.data);
    assert!(payloads(&store).is_empty());
    import(&store, &source);
    let part = run(&store, &["log", "export", "--run", "second"], "");
    let other_directory = Directory::new("parts-other");
    let other = other_directory.store();
    for added in [40, 0] {
        let answer = run(&other, &["log", "import", "--json", "-"], &part.data);
        let report: Value = serde_json::from_str(&answer.data).unwrap_or_else(|_| panic!("{answer:?}"));
        assert_eq!(report["events_added"].as_u64() > Some(0), added > 0, "{report}");
        assert_eq!(payloads(&other).len(), 40);
    }
    // The rest of it, from the whole.
    let whole = export(&store);
    assert_eq!(run(&other, &["log", "import", "-"], &whole).exit, Some(0));
    assert_eq!(content(&other), content(&store));
    let empty = run(&store, &["log", "export", "..1"], "");
    assert_eq!((empty.exit, empty.data.lines().count()), (Some(0), 2));
    let cut = &whole[..whole.len() / 2];
    let copy_directory = Directory::new("parts-copy");
    let copy = copy_directory.store();
    let answer = run(&copy, &["--json", "log", "import", "-"], cut);
    assert_eq!((answer.exit, answer.error()["code"].as_str()), (Some(2), Some("T0161")));
    assert_eq!(run(&copy, &["log", "import", "-"], &whole).exit, Some(0));
    assert_eq!(export(&copy), whole);
}
