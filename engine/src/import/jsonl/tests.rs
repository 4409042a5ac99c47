//! Export and back: byte for byte into an empty store, with new seqs into another, whatever happens meanwhile.

use super::*;
use crate::export::{Selection, export};
use crate::log::{Exact, ExactKind, Restore};
use crate::storage::{Fault, Memory, SimDisk};
use crate::{Batch, Codec, Expect, Journal, Kind, Mark, OperatorAction, Query, Recovered, RunOpened, TypeEntry};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

fn options() -> Options {
    Journal::options().create(true).segment_len_bytes(16 << 10)
}

/// A storage whose store will have a log id that no other one here has.
fn memory() -> Arc<dyn Storage> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let memory = Memory::new();
    for _ in 0..COUNT.fetch_add(1, Ordering::Relaxed) {
        memory.random_id().unwrap();
    }
    Arc::new(memory)
}

fn exported(storage: &Arc<dyn Storage>, selection: &Selection) -> String {
    let reader = Reader::open_on(Arc::clone(storage)).unwrap();
    let mut text = String::new();
    export(&reader, selection, &mut |line| {
        text.push_str(line);
        Ok(())
    })
    .unwrap();
    text
}

fn all(storage: &Arc<dyn Storage>) -> String {
    exported(storage, &Selection::default())
}

fn import_into(storage: &Arc<dyn Storage>, text: &str) -> std::result::Result<ImportReport, ImportFailure> {
    import(storage, options(), &mut text.as_bytes(), &mut |_| ControlFlow::Continue(()))
}

fn entry(name: &str, codec: Codec, hint: bool) -> Arc<TypeEntry> {
    Arc::new(TypeEntry { variant: "Done".to_owned(), codec, hint, ..TypeEntry::json(name) })
}

/// A log with all of the log's own kinds, runs with and without a parent, batches, and payloads of every sort.
fn log(storage: &Arc<dyn Storage>, events: u32) {
    let journal = options().open_on(Arc::clone(storage)).unwrap();
    let append = |batch: Batch| journal.append(batch).unwrap();
    let described = Arc::new(TypeEntry {
        fingerprint: Some([7; 32]),
        descriptor: b"{\"schema\":1}".to_vec(),
        ..TypeEntry::json("acme.described")
    });
    let (json, bytes) = (entry("acme.json", Codec::Json, false), entry("acme.bytes", Codec::Bytes, true));
    for number in 0..events {
        let mut batch = Batch::new();
        let run = Some(batch.run_or_create(format!("run-{}", number % 5), Expect::Any));
        batch.event(run, &json, format!("{{\"n\":{number},\"t\":\"\u{202e}ä\"}}").as_bytes());
        batch.event_at(run, &bytes, -i64::from(number), &vec![0; number as usize % 700]);
        batch.event(None, &described, [&b"{ \"pretty\": 1 }"[..], b"\xff\xfe", b"", b"null"][number as usize % 4]);
        append(batch);
    }
    journal.mark(None, &Mark { name: "here".to_owned(), note: "a note".to_owned() }).unwrap();
    journal.mark(Some("run-0"), &Mark { name: "there".to_owned(), note: String::new() }).unwrap();
    let mut batch = Batch::new();
    let run = Some(batch.run("run-1", Expect::Any));
    let text = String::from("x");
    let action = OperatorAction {
        verb: text.clone(),
        plan: [1; 32],
        reason: text.clone(),
        actor: text.clone(),
        detail: "{}".into(),
    };
    batch.own(None, Kind::OPERATOR_ACTION, false, &action.encode());
    let recovered =
        Recovered { first: Seq::FIRST, segment: 1, offset: 9, len_bytes: 3, digest: [2; 32], kept_in: text.clone() };
    batch.own(None, Kind::RECOVERED, false, &recovered.encode());
    batch.own(run, Kind::CHECKPOINT, true, b"any bytes");
    append(batch);
    let mut batch = Batch::new();
    batch.open_run(RunOpened { name: "forked".to_owned(), parent: journal.run("run-0").ok().map(|run| run.number()) });
    append(batch);
    journal.close().unwrap();
}

/// Every event but the import's own, by run and without seqs: what renumbering keeps.
fn kept(storage: &Arc<dyn Storage>, types: &str) -> Vec<(Option<String>, String, i64, Vec<u8>)> {
    let reader = Reader::open_on(Arc::clone(storage)).unwrap();
    let runs = reader.runs().unwrap();
    let mut kept = Vec::new();
    let query =
        ["json", "bytes", "described"].iter().fold(Query::all(), |q, name| q.event_type(format!("{types}.{name}")));
    let mut events = reader.events(query).unwrap();
    while let Some(record) = events.next().unwrap() {
        let name = record.run.and_then(|run| runs[&run].name.clone());
        kept.push((name, record.type_name(), record.time_ns, record.payload.to_vec()));
    }
    kept
}

#[test]
fn a_whole_log_comes_back_byte_for_byte_and_a_second_time_adds_nothing() {
    let source = memory();
    log(&source, 120);
    let text = all(&source);
    let made = memory();
    drop(options().open_on(Arc::clone(&made)).unwrap());
    for target in [memory(), made] {
        let report = import_into(&target, &text).unwrap();
        assert_eq!(
            (report.events_added, report.events_already_there, report.runs_count),
            (text.lines().count() as u64 - 2, 0, 6)
        );
        assert_eq!(all(&target), text);
        let again = import_into(&target, &text).unwrap();
        assert_eq!((again.events_added, again.events_already_there), (0, report.events_added));
        assert_eq!(all(&target), text);
        // The store is an ordinary one: it goes on, and what the export lacks stays.
        let journal = options().create(false).open_on(Arc::clone(&target)).unwrap();
        let mut batch = Batch::new();
        let run = batch.run("run-3", Expect::Any);
        batch.event(Some(run), &entry("acme.json", Codec::Json, false), b"1");
        journal.append(batch).unwrap();
        journal.close().unwrap();
        assert_eq!(import_into(&target, &text).unwrap().events_added, 0);
        let longer = all(&target);
        let older = memory();
        import_into(&older, &text).unwrap();
        assert_eq!(import_into(&older, &longer).unwrap().events_added, 1);
        assert_eq!(all(&older), longer);
    }
}

#[test]
fn a_store_of_the_same_log_that_went_another_way_is_told() {
    let source = memory();
    log(&source, 3);
    let text = all(&source);
    let other = text.replace("\"n\":2", "\"n\":3");
    let target = memory();
    import_into(&target, &text).unwrap();
    let failed = import_into(&target, &other).unwrap_err();
    assert_eq!((failed.error.kind(), failed.error.code()), (ErrorKind::Diverged, "T0163"));
    assert_eq!(all(&target), text);
}

#[test]
fn bad_lines_are_located_and_what_stands_before_them_is_kept() {
    let source = memory();
    log(&source, 10);
    let text = all(&source);
    let lines: Vec<&str> = text.lines().collect();
    let half = lines.len() / 2;
    let with = |line: &str| [&lines[..half], &[line], &lines[half + 1..]].concat().join("\n");
    let field = |from: &str, to: &str| with(&lines[half].replace(from, to));
    let deep = "[".repeat(100_000);
    let bad = [
        (with("{"), "T0161"),
        (with(""), "T0161"),
        (with(&deep), "T0161"),
        (with(lines[half - 1]), "T0161"),
        (with(lines[0]), "T0161"),
        (field("\"seq\":", "\"sequence\":"), "T0161"),
        (field("\"data", "\"other"), "T0161"),
        (field("exported/1", "exported/2"), "T0161"),
        (lines[..half].join("\n"), "T0162"),
        (lines[1..].join("\n"), "T0161"),
        (String::new(), "T0162"),
        (lines[0].replace("\"format\":1", "\"format\":9"), "T0165"),
        (lines[0].replace("\"log_id\":\"", "\"log_id\":\"x"), "T0161"),
        (format!("{text}{text}"), "T0161"),
    ];
    for (bad, code) in bad {
        let target = memory();
        let failed = import_into(&target, &bad).unwrap_err();
        assert_eq!(failed.error.code(), code, "{} {}", failed.error, &bad[..bad.len().min(80)]);
        if failed.report.events_added > 0 {
            assert!(text.starts_with(all(&target).rsplit_once("{\"schema\":\"taffrail.export-end").unwrap().0));
        }
        import_into(&target, &text).unwrap();
        assert_eq!(all(&target), text);
    }
}

#[test]
fn an_export_without_end_of_line_is_bounded() {
    struct Endless(usize);
    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += buffer.len();
            assert!(self.0 < 1 << 28, "it never stops reading");
            buffer.fill(b' ');
            Ok(buffer.len())
        }
    }
    let mut input = std::io::BufReader::new(Endless(0));
    let failed = import(&memory(), options(), &mut input, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(failed.error.code(), "T0164");
}

#[test]
fn a_restore_that_is_killed_anywhere_goes_on_to_the_same_bytes() {
    let source = memory();
    log(&source, 25);
    let text = all(&source);
    let whole = SimDisk::new(3);
    import_into(&(Arc::new(whole.process(1)) as Arc<dyn Storage>), &text).unwrap();
    for operation in (0..whole.next_operation()).step_by(3) {
        let fault = [Fault::KillAfter, Fault::CrashBefore, Fault::CrashAfter][usize::try_from(operation % 3).unwrap()];
        let sim = SimDisk::new(3);
        sim.inject(operation, fault);
        let _killed = import_into(&(Arc::new(sim.process(1)) as Arc<dyn Storage>), &text);
        sim.clear_faults();
        for seed in 0..3 {
            let after = if sim.is_crashed() { sim.power_cut(seed) } else { sim.clone() };
            let storage: Arc<dyn Storage> = Arc::new(after.process(2));
            import_into(&storage, &text).unwrap_or_else(|failed| panic!("{operation} {fault:?} {seed}: {failed}"));
            assert_eq!(all(&storage), text, "{operation} {fault:?} {seed}");
            assert!(storage.entry("restoring").unwrap().is_none());
        }
    }
}

#[test]
fn another_log_is_renumbered_keeps_its_origin_and_is_imported_once() {
    let source = memory();
    log(&source, 120);
    let (text, target) = (all(&source), memory());
    // A store of its own, with a run of a name that is taken then.
    let journal = options().open_on(Arc::clone(&target)).unwrap();
    journal.run_or_create("run-2").unwrap();
    journal.close().unwrap();
    let report = import_into(&target, &text).unwrap();
    assert_eq!(report.events_added, text.lines().count() as u64 - 2);
    let mut expected = kept(&source, "acme");
    let log_id = Reader::open_on(Arc::clone(&source)).unwrap().log_id().to_string();
    let renamed = format!("run-2~{}", &log_id[..8]);
    for event in expected.iter_mut().filter(|event| event.0.as_deref() == Some("run-2")) {
        event.0 = Some(renamed.clone());
    }
    assert_eq!(kept(&target, "acme"), expected);
    let before = all(&target);
    let again = import_into(&target, &text).unwrap();
    assert_eq!((again.events_added, again.events_already_there), (0, report.events_added));
    assert_eq!(all(&target), before);
    // A part of it is there as well, and the whole of the target can be restored.
    let reader = Reader::open_on(Arc::clone(&source)).unwrap();
    let part = Selection { run: Some(reader.find_run("run-4").unwrap()), ..Selection::default() };
    assert_eq!(import_into(&target, &exported(&source, &part)).unwrap().events_added, 0);
    let copy = memory();
    import_into(&copy, &before).unwrap();
    assert_eq!(all(&copy), before);
}

#[test]
fn parts_are_renumbered_into_an_empty_store_and_make_up_the_whole() {
    let source = memory();
    log(&source, 60);
    let target = memory();
    let seq = |number: u64| Seq::new(number);
    for (from, until) in [(seq(100), None), (None, seq(50)), (seq(40), seq(110))] {
        let text = exported(&source, &Selection { from, until, run: None });
        import_into(&target, &text).unwrap();
        assert_eq!(import_into(&target, &text).unwrap().events_added, 0);
    }
    let (mut there, mut expected) = (kept(&target, "acme"), kept(&source, "acme"));
    there.sort();
    expected.sort();
    assert_eq!(there, expected);
}

#[test]
fn imports_of_one_log_at_once_add_it_once() {
    let source = memory();
    log(&source, 400);
    let (text, target) = (all(&source), memory());
    let journal = options().open_on(Arc::clone(&target)).unwrap();
    journal.run_or_create("own").unwrap();
    journal.close().unwrap();
    let added: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..3).map(|_| scope.spawn(|| import_into(&target, &text).unwrap().events_added)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((added, kept(&target, "acme")), (text.lines().count() as u64 - 2, kept(&source, "acme")));
}

#[test]
fn a_restore_refuses_what_does_not_follow() {
    let storage = memory();
    let mut restore = Restore::open(&storage, &options(), LogId([9; 16])).unwrap();
    let seq = |number| Seq::new(number).unwrap();
    let opened = RunOpened { name: "a".to_owned(), parent: None }.encode();
    let event = |number, run: Option<u64>, revision, kind, payload: &[u8]| Exact {
        seq: seq(number),
        run: run.map(seq),
        revision,
        time_ns: 0,
        kind: ExactKind::Own(kind),
        redacted: false,
        hint: false,
        payload: payload.to_vec(),
    };
    let unknown = Exact {
        kind: ExactKind::User { name: "x".to_owned(), variant: String::new(), version: 1 },
        ..event(1, None, 0, Kind::MARK, b"")
    };
    for wrong in [
        event(2, None, 0, Kind::MARK, b""),
        event(1, Some(1), 1, Kind::MARK, b""),
        event(1, Some(1), 2, Kind::RUN_OPENED, &opened),
        event(1, Some(1), 1, Kind::RUN_OPENED, b"\xff"),
        event(1, None, 0, Kind::RUN_OPENED, &opened),
        event(1, None, 0, Kind::TYPE_REGISTERED, b"\xff"),
        unknown,
    ] {
        assert_eq!(restore.append(std::slice::from_ref(&wrong)).unwrap_err().code(), "T0161", "{wrong:?}");
    }
    restore.append(&[event(1, Some(1), 1, Kind::RUN_OPENED, &opened), event(2, Some(1), 2, Kind::MARK, b"m")]).unwrap();
    assert_eq!(restore.append(&[event(3, Some(1), 4, Kind::MARK, b"")]).unwrap_err().code(), "T0161");
    restore.close(true).unwrap();
    let refused = Restore::open(&storage, &options(), LogId([8; 16])).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, "T0153"));
}

/// A run that was imported in one batch with its parent lost its parent: only those of earlier batches were looked up. A fork
/// began as nothing then.
#[test]
fn a_run_keeps_its_parent_also_where_both_are_new() {
    let source = memory();
    log(&source, 30);
    let target = memory();
    let journal = options().open_on(Arc::clone(&target)).unwrap();
    journal.run_or_create("other").unwrap();
    journal.close().unwrap();
    import_into(&target, &all(&source)).unwrap();
    let reader = Reader::open_on(Arc::clone(&target)).unwrap();
    let opened = reader.get(reader.find_run("forked").unwrap().run).unwrap().unwrap();
    let parent = RunOpened::decode(&opened.payload).unwrap().parent;
    assert_eq!(parent, Some(reader.find_run("run-0").unwrap().run));
    assert_eq!(import_into(&target, &all(&source)).unwrap().events_added, 0);
}

/// An export of a log of which events were compacted away, or lost by record, was added to another log as if its runs had
/// never had more: there, no record tells of them.
#[test]
fn what_an_export_lacks_of_its_runs_is_told() {
    let source = memory();
    log(&source, 30);
    let text = all(&source);
    let of_run_0 = |line: &str| line.contains("\"run_name\":\"run-0\"") && line.contains("acme.json");
    let gone: Vec<&str> = text.lines().filter(|line| of_run_0(line)).take(2).collect();
    let kept = text.lines().filter(|line| !gone.contains(line)).map(|line| {
        let events = text.lines().count() - 2;
        line.replace(&format!("\"events\":{events}"), &format!("\"events\":{}", events - 2))
    });
    let text: String = kept.map(|line| line.replace("\"complete\":true", "\"complete\":false") + "\n").collect();
    let report = import_into(&memory(), &text).unwrap();
    assert_eq!(gone.len(), 2);
    assert!(report.notes.iter().any(|note| note.ends_with("compacted away or lost: 2 of run-0")), "{:?}", report.notes);
    assert!(import_into(&memory(), &all(&source)).unwrap().notes.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_log_comes_back(
        batches in proptest::collection::vec(
            proptest::collection::vec((0..4_u8, any::<i64>(), proptest::collection::vec(any::<u8>(), 0..300)), 1..6),
            0..30,
        )
    ) {
        let source = memory();
        let journal = options().open_on(Arc::clone(&source)).unwrap();
        for events in &batches {
            let mut batch = Batch::new();
            let runs = [batch.run_or_create("a", Expect::Any), batch.run_or_create("b", Expect::Any)];
            for (place, time_ns, payload) in events {
                let run = runs.get(usize::from(*place)).copied();
                batch.event_at(run, &entry("acme.bytes", Codec::Bytes, *place == 3), *time_ns, payload);
            }
            // The same type with another hint flag is another type's registration: refused, and nothing of it is there.
            let _refused = journal.append(batch);
        }
        journal.close().unwrap();
        let (text, target) = (all(&source), memory());
        import_into(&target, &text).unwrap();
        prop_assert_eq!(all(&target), text);
    }
}
