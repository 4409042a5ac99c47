//! Importing into a journal: whole, twice, interrupted, and beside others.

use super::test_support::{Tree, event_file};
use super::*;
use crate::blob::{Blobs, Digest};
use crate::import::{ImportFailure, ImportProgress, ImportReport};
use crate::storage::{Fault, Memory, SimDisk, Storage};
use crate::{Codec, ErrorKind, Journal, Options, Query, Reader};
use std::ops::ControlFlow;
use std::sync::Arc;

fn options() -> Options {
    Journal::options().create(true).segment_len_bytes(32 << 10)
}

fn import_into(storage: &Arc<dyn Storage>, tree: &Tree, path: &str) -> Result<ImportReport, ImportFailure> {
    let fail = |error| ImportFailure { error, report: Box::default() };
    let journal = options().open_on(Arc::clone(storage)).map_err(fail)?;
    let report =
        import(&Target::Journal(&journal), Source { storage: tree, path }, &mut |_| ControlFlow::Continue(()))?;
    journal.close().map_err(fail)?;
    Ok(report)
}

/// Type, variant, time and payload of every source event, by run; then what the import says of files.
type Content = Vec<(String, String, i64, Vec<u8>)>;

fn content(storage: &Arc<dyn Storage>) -> Content {
    let reader = Reader::open_on(Arc::clone(storage)).unwrap();
    let runs = reader.runs().unwrap();
    let mut content = Vec::new();
    let mut events = reader.events(Query::all().event_type("babysitter")).unwrap();
    while let Some(record) = events.next().unwrap() {
        let name = runs[&record.run.unwrap()].name.clone().unwrap();
        content.push((name, record.type_name(), record.time_ns, record.payload.to_vec()));
    }
    content.sort();
    content
}

/// What the import's own events say: every file note and oddity, and that every blob is whole.
fn notes(storage: &Arc<dyn Storage>) -> Vec<String> {
    let reader = Reader::open_on(Arc::clone(storage)).unwrap();
    let blobs = Blobs::new(Arc::clone(storage));
    let mut notes = Vec::new();
    let mut events = reader.events(Query::all().event_type("taffrail.import")).unwrap();
    while let Some(record) = events.next().unwrap() {
        assert!(record.hint && record.codec() == Codec::Json);
        let value: serde_json::Value = serde_json::from_slice(&record.payload).unwrap();
        for list in ["events", "files", "oddities"] {
            let items = value.get(list).and_then(|list| list.as_array()).cloned().unwrap_or_default();
            for item in &items {
                if list == "files" {
                    let digest = Digest::parse(item["digest"].as_str().unwrap()).unwrap();
                    assert_eq!(blobs.get(&digest, 1 << 30).unwrap().len() as u64, item["len_bytes"].as_u64().unwrap());
                }
                notes.push(format!("{list} {item}"));
            }
        }
    }
    notes.sort();
    notes
}

fn event(second: u32, text: &str) -> String {
    let data = format!(r#"{{"message":"{text}"}}"#);
    event_file("PROCESS_LOG", &format!("2026-08-19T10:00:{second:02}.000Z"), &data, Some("6.0.0"))
}

fn event_path(run: &str, seq: u32, letter: char) -> String {
    format!("{run}/journal/{seq:06}.01M818XSYAT3SDZDYASJG1H9G{letter}.json")
}

/// Two runs: one in order, one with every kind of trouble that an import can meet in bytes.
fn two_runs() -> Tree {
    let created = event_file("RUN_CREATED", "2026-08-19T10:00:00.000Z", r#"{"runId":"first"}"#, None);
    Tree::default()
        .file("first/run.json", r#"{"runId":"first","processId":"p"}"#)
        .file("first/tasks/e1/stdout.log", "out\n")
        .file("first/tasks/e1/stderr.log", "")
        .file(&event_path("first", 1, 'A'), created)
        .file(&event_path("first", 2, 'B'), event(1, "one"))
        .file(&event_path("first", 3, 'C'), event(2, "two"))
        .file("second/run.json", r#"{"runId":"first"}"#)
        .file("second/artifacts/big.bin", vec![7; (1 << 20) + 5])
        .file(&event_path("second", 1, 'A'), event(1, "one"))
        .file(&event_path("second", 2, 'B'), "")
        .file(&event_path("second", 2, 'C'), b"{\"type\":\"PROC")
        .file(&event_path("second", 4, 'D'), event_file("a new/type", "never", "{}", None))
        .file(&event_path("second", 5, 'E'), b"[1]")
        .file(&event_path("second", 6, 'F'), [event(3, "").as_bytes(), b"\xff"].concat())
        .other("second/link")
}

#[test]
fn every_byte_and_every_oddity_is_kept_and_a_second_import_adds_nothing() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let tree = two_runs();
    let report = import_into(&storage, &tree, "/src").unwrap();
    assert_eq!((report.runs_count, report.events_added, report.files_kept), (2, 9, 5));
    let names: Vec<&str> = report.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["first", "first~second"]);
    let first = content(&storage);
    let types: Vec<&str> =
        first.iter().filter(|event| event.0 == "first~second").map(|event| event.1.as_str()).collect();
    let unreadable = "babysitter.unreadable";
    let expected =
        ["babysitter.PROCESS_LOG", "babysitter.other", "babysitter.other", unreadable, unreadable, unreadable];
    assert_eq!(types, expected);
    let mut payloads: Vec<&[u8]> = first.iter().map(|event| event.3.as_slice()).collect();
    let is_event = |name: &str| name.contains("/journal/");
    let contents = tree.contents();
    let mut sources: Vec<&[u8]> =
        contents.iter().filter(|(name, _)| is_event(name)).map(|(_, content)| content.as_slice()).collect();
    payloads.sort_unstable();
    sources.sort_unstable();
    assert_eq!(payloads, sources);
    let codes: Vec<&str> = report.oddities.by_code.keys().map(String::as_str).collect();
    for code in
        ["empty-file", "unparsable-json", "duplicate-seq", "missing-seqs", "not-a-regular-file", "missing-field"]
    {
        assert!(codes.contains(&code), "{code} {codes:?}");
    }
    assert_eq!(report.oddities.count, report.oddities.new);

    let before = notes(&storage);
    let again = import_into(&storage, &tree, "/src").unwrap();
    assert_eq!((again.events_added, again.files_kept, again.oddities.new), (0, 0, 0));
    assert_eq!((again.events_already_there, again.files_already_there), (9, 5));
    assert_eq!(again.oddities.count, report.oddities.count);
    assert_eq!((content(&storage), notes(&storage)), (first, before));
}

#[test]
fn a_source_that_has_grown_or_changed_adds_what_is_new_and_says_so() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    import_into(&storage, &two_runs(), "/src").unwrap();
    let grown = two_runs()
        .file(&event_path("first", 4, 'D'), event(3, "three"))
        .file("first/tasks/e1/stdout.log", "out\nmore\n")
        .file(&event_path("first", 2, 'B'), event(1, "uno"));
    let report = import_into(&storage, &grown, "/src").unwrap();
    assert_eq!((report.events_added, report.files_kept, report.oddities.by_code["changed-since-import"]), (2, 1, 2));
    assert_eq!(import_into(&storage, &grown, "/src").unwrap().events_added, 0);
    // The older state once more: nothing is silently taken back.
    let older = import_into(&storage, &two_runs(), "/src").unwrap();
    assert_eq!((older.events_added, older.oddities.by_code["gone-since-import"]), (1, 1));
    let ones =
        content(&storage).into_iter().filter(|event| event.0 == "first" && event.2 % 60_000_000_000 == 1_000_000_000);
    assert_eq!(ones.count(), 3);
}

#[test]
fn copies_are_the_same_run_until_they_differ_whatever_comes_first() {
    let moved = |path: &str, tree: &Tree, storage| import_into(storage, tree, path).unwrap();
    let plain = || {
        Tree::default()
            .file("r/run.json", r#"{"runId":"r"}"#)
            .file(&event_path("r", 1, 'A'), event(1, "one"))
            .file(&event_path("r", 2, 'B'), event(2, "two"))
    };
    let tampered = || plain().file(&event_path("r", 2, 'B'), event(2, "TWO"));
    let forked = || {
        Tree::default()
            .file("r/run.json", r#"{"runId":"r"}"#)
            .file(&event_path("r", 1, 'A'), event(1, "one"))
            .file(&event_path("r", 2, 'C'), event(2, "two"))
    };
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    assert_eq!(moved("/a", &plain(), &storage).events_added, 2);
    assert_eq!(moved("/moved", &plain(), &storage).events_added, 0);
    let grown = plain().file(&event_path("r", 3, 'C'), event(3, "three"));
    assert_eq!(moved("/moved", &grown, &storage).events_added, 1);
    for (path, tree, name) in [("/b", tampered(), "r~2"), ("/c", forked(), "r~3")] {
        let report = moved(path, &tree, &storage);
        assert_eq!((report.events_added, report.runs[0].name.as_str()), (2, name));
        assert_eq!(moved(path, &tree, &storage).events_added, 0);
    }
    assert_eq!(moved("/a", &grown, &storage).events_added, 0);
    // A directory that is not called like its run has the same name in whatever order it comes.
    let other =
        || Tree::default().file("x/run.json", r#"{"runId":"r"}"#).file(&event_path("x", 1, 'A'), event(1, "one"));
    assert_eq!(moved("/a", &other(), &storage).runs[0].name, "r~x");
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    assert_eq!(moved("/a", &other(), &storage).runs[0].name, "r~x");
    assert_eq!(moved("/a", &plain(), &storage).runs[0].name, "r");
}

#[test]
fn a_source_can_not_fill_the_type_table() {
    let mut tree = Tree::default().file("r/run.json", r#"{"runId":"r"}"#);
    for number in 0..5000_u32 {
        let name = format!("r/journal/{:06}.{number}.json", number + 1);
        let type_name = match number {
            0 => "unreadable".to_owned(),
            1 => "other".to_owned(),
            2 => "../../x".to_owned(),
            number => format!("TYPE_{number}"),
        };
        tree = tree.file(&name, event_file(&type_name, "2026-08-19T10:00:00.000Z", "{}", None));
    }
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    assert_eq!(import_into(&storage, &tree, "/src").unwrap().events_added, 5000);
    assert_eq!(import_into(&storage, &tree, "/src").unwrap().events_added, 0);
    let others = content(&storage).iter().filter(|event| event.1 == "babysitter.other").count();
    assert!((4000 - 100..4100).contains(&others), "{others}");
}

#[test]
fn a_dry_run_tells_the_same_and_writes_nothing() {
    let tree = two_runs();
    let source = Source { storage: &tree, path: "/src" };
    let dry = import(&Target::DryRun(None), source, &mut |_| ControlFlow::Continue(())).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let real = import_into(&storage, &tree, "/src").unwrap();
    assert_eq!(ImportReport { dry_run: false, ..dry }, real);
    let before = storage.list("segments").unwrap();
    let reader = Reader::open_on(Arc::clone(&storage)).unwrap();
    let dry = import(&Target::DryRun(Some(&reader)), source, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((dry.events_added, dry.events_already_there, dry.files_already_there), (0, 9, 5));
    assert_eq!(storage.list("segments").unwrap(), before);
}

/// What has been read by then is there, and the same import again brings the rest.
#[test]
fn an_import_that_is_stopped_keeps_what_it_has_read_and_is_resumed() {
    let tree = two_runs();
    let source = Source { storage: &tree, path: "/src" };
    let whole: Arc<dyn Storage> = Arc::new(Memory::new());
    import_into(&whole, &tree, "/src").unwrap();
    for events in 0..9 {
        let storage: Arc<dyn Storage> = Arc::new(Memory::new());
        let journal = options().open_on(Arc::clone(&storage)).unwrap();
        let mut stop = |progress: &ImportProgress| match progress.events > events {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let failed = import(&Target::Journal(&journal), source, &mut stop).unwrap_err();
        assert_eq!((failed.error.kind(), failed.report.events_added), (ErrorKind::Io, events + 1));
        journal.close().unwrap();
        let rest = import_into(&storage, &tree, "/src").unwrap();
        assert_eq!((rest.events_added, rest.events_already_there), (8 - events, events + 1));
        assert_eq!(content(&storage), content(&whole), "stopped behind event {events}");
    }
}

#[test]
fn a_source_without_runs_is_not_found() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let failed = import_into(&storage, &Tree::default().file("a/b", ""), "/src").unwrap_err();
    assert_eq!((failed.error.kind(), failed.error.code()), (ErrorKind::NotFound, "T0151"));
}

/// After each interruption the import is run again; what is there then is what an import in one go brings.
#[test]
fn an_import_killed_at_any_operation_goes_on_where_it_stopped() {
    let tree = two_runs();
    let whole = SimDisk::new(21);
    let storage: Arc<dyn Storage> = Arc::new(whole.process(1));
    import_into(&storage, &tree, "/src").unwrap();
    let end = whole.next_operation();
    let (events, said) = (content(&storage), notes(&storage));
    for operation in 0..end {
        let fault = [Fault::KillBefore, Fault::KillAfter, Fault::CrashAfter][usize::try_from(operation % 3).unwrap()];
        let sim = SimDisk::new(21);
        sim.inject(operation, fault);
        let killed: Arc<dyn Storage> = Arc::new(sim.process(1));
        let failed = import_into(&killed, &tree, "/src").is_err();
        sim.clear_faults();
        let sim = if sim.is_crashed() { sim.power_cut(operation) } else { sim };
        let storage: Arc<dyn Storage> = Arc::new(sim.process(2));
        let again = import_into(&storage, &tree, "/src").unwrap();
        assert!(failed || again.events_added == 0, "{operation} {fault:?}");
        assert_eq!((content(&storage), notes(&storage)), (events.clone(), said.clone()), "{operation} {fault:?}");
    }
}

#[test]
fn a_disk_that_fills_ends_the_import_with_a_valid_store_and_the_next_one_resumes() {
    let tree = two_runs();
    let whole: Arc<dyn Storage> = Arc::new(SimDisk::new(4).process(1));
    import_into(&whole, &tree, "/src").unwrap();
    let mut full = 0;
    for capacity_bytes in (0..40).map(|step| step * (40 << 10)) {
        let sim = SimDisk::new(4);
        sim.set_capacity_bytes(Some(capacity_bytes));
        let storage: Arc<dyn Storage> = Arc::new(sim.process(1));
        if let Err(failed) = import_into(&storage, &tree, "/src") {
            assert_eq!((failed.error.kind(), failed.error.code()), (ErrorKind::Io, "T0312"), "{}", failed.error);
            full += 1;
        }
        sim.set_capacity_bytes(None);
        import_into(&storage, &tree, "/src").unwrap();
        assert_eq!(content(&storage), content(&whole), "{capacity_bytes}");
        assert_eq!(notes(&storage), notes(&whole), "{capacity_bytes}");
    }
    assert!(full > 10, "{full}");
}

#[test]
fn several_imports_of_one_source_at_once_add_it_once() {
    let mut tree = two_runs();
    for number in 7..1500 {
        tree = tree.file(&format!("first/journal/{number:06}.{number}.json"), event(number % 60, "many"));
    }
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    drop(options().open_on(Arc::clone(&storage)).unwrap());
    let added: u64 = std::thread::scope(|scope| {
        let one = || import_into(&storage, &tree, "/src").unwrap().events_added;
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((added, content(&storage).len()), (1502, 1502));
}
