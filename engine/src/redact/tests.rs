//! A secret is nowhere in the store any more, and everything else is as it was.

use super::*;
use crate::blob::Blobs;
use crate::bundle;
use crate::fold::{CheckOptions, check_with};
use crate::plan::Authority;
use crate::storage::{EntryKind, Fault, Memory, OpenMode, SimDisk, Storage, read_full_at, write_all_at};
use crate::{
    Batch, Codec, Event, Expect, Fold, Journal, Options, Query, Reader, Recorded, Seq, Severity, TypeEntry,
    VerifyOptions, VerifyReport, verify,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What must not be found in the end.
const SECRET: &str = "hunter2-correct-horse";

fn options() -> Options {
    Journal::options().create(true).segment_len_bytes(9 << 10)
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Said(String);

impl Event for Said {
    const TYPE: &'static str = "acme.said";
    const VERSION: u16 = 1;

    fn kind(&self) -> &'static str {
        "Said"
    }
}

/// Remembers what was said last, and how often something was.
struct Talk;

impl Fold for Talk {
    const NAME: &'static str = "acme.talk";
    const VERSION: u32 = 1;
    type Event = Said;
    type State = (u32, String);
    fn apply(state: &mut (u32, String), event: &Recorded<Said>) {
        *state = (state.0 + 1, event.data.0.clone());
    }
}

/// A store with a secret in many places: JSON, bytes, a typed event, under a mask, a snapshot, a blob, the quarantine, an
/// archive, exports.
fn store(storage: &Arc<dyn Storage>) {
    let journal = options().open_on(Arc::clone(storage)).unwrap();
    let (json, bytes) = (Arc::new(TypeEntry::json("acme.json")), entry("acme.bytes", Codec::Bytes));
    for number in 0..40_u32 {
        let mut batch = Batch::new();
        let run = Some(batch.run_or_create(format!("run-{}", number % 3), Expect::Any));
        let payload = match number {
            3 | 31 => format!("{{\"n\":{number},\"auth\":{{\"token\":\"{SECRET}\",\"user\":\"me\"}}}}"),
            _ => format!("{{\"n\":{number},\"auth\":{{\"token\":\"other\"}},\"fill\":\"{}\"}}", "x".repeat(700)),
        };
        batch.event(run, &json, payload.as_bytes());
        let text = if number == 17 { format!("curl -H 'Token: {SECRET}'") } else { "ls".to_owned() };
        // Zeros have the payload stored under a mask.
        batch.event(run, &bytes, &[text.as_bytes(), &[0; 1200]].concat());
        journal.append(batch).unwrap();
    }
    let run = journal.run_or_create("talk").unwrap();
    run.append(Expect::Any, &[Said("hello".to_owned()), Said(format!("it is {SECRET}"))]).unwrap();
    run.checkpoint::<Talk>().unwrap();
    run.snapshot::<Talk>().unwrap();
    run.append(Expect::Any, &[Said("bye".to_owned())]).unwrap();
    run.checkpoint::<Talk>().unwrap();
    journal.close().unwrap();
    let mut blobs = Blobs::new(Arc::clone(storage));
    blobs.put(format!("log: {SECRET}\n").as_bytes()).unwrap();
    blobs.put(b"nothing to see").unwrap();
    blobs.settle().unwrap();
    copies(storage);
}

fn entry(name: &str, codec: Codec) -> Arc<TypeEntry> {
    Arc::new(TypeEntry { codec, ..TypeEntry::json(name) })
}

fn put(storage: &dyn Storage, name: &str, bytes: &[u8]) {
    let mut made = String::new();
    for part in name.rsplit_once('/').map_or("", |(directory, _)| directory).split('/').filter(|part| !part.is_empty())
    {
        made = if made.is_empty() { part.to_owned() } else { format!("{made}/{part}") };
        storage.create_dir(&made).unwrap();
    }
    let file = storage.open(name, OpenMode::CreateNew).unwrap();
    write_all_at(&*file, 0, bytes).unwrap();
    file.sync_all().unwrap();
}

fn read(storage: &dyn Storage, name: &str) -> Vec<u8> {
    let file = storage.open(name, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
    read_full_at(&*file, 0, &mut bytes).unwrap();
    bytes
}

/// Copies as repairs, compactions and people leave them.
fn copies(storage: &Arc<dyn Storage>) {
    let listing = crate::Listing::read(&**storage).unwrap();
    for (number, _) in listing.segments {
        let bytes = read(&**storage, &format!("segments/{}", number.file_name()));
        put(&**storage, &format!("archive/abc123/segments/{}", number.file_name()), &bytes);
        put(&**storage, &format!("quarantine/8c1e44/segment-{:010}.0011.bin", number.get()), &bytes);
    }
    put(&**storage, "spool/export.jsonl", format!("{{\"data\":\"{SECRET}\"}}\n").as_bytes());
    put(&**storage, "spool/harmless", b"nothing");
    put(&**storage, "segments/0000000009.tmp", SECRET.as_bytes());
    bundle::export(storage, None, &**storage, "backup.tfb", &mut |_, _, _| ControlFlow::Continue(())).unwrap();
}

/// Every file of a storage.
fn files(storage: &dyn Storage) -> Vec<String> {
    let (mut found, mut left) = (Vec::new(), vec![String::new()]);
    while let Some(directory) = left.pop() {
        for entry in storage.list(&directory).unwrap() {
            let path = if directory.is_empty() { entry.name } else { format!("{directory}/{}", entry.name) };
            if entry.kind == EntryKind::Directory { left.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Files with the secret in them: as it is, in payloads that readers unmask, and in bundles.
fn holders(storage: &Arc<dyn Storage>) -> Vec<String> {
    let holds = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    let of_log = |reader: &Reader| {
        let mut found = false;
        let mut take = |record: crate::Record<'_>| {
            found |= holds(&record.payload);
            Ok(true)
        };
        reader.events(Query::all()).unwrap().for_each(&mut take).unwrap();
        found
    };
    let mut found: Vec<String> = files(&**storage).into_iter().filter(|path| holds(&read(&**storage, path))).collect();
    if of_log(&Reader::open_on(Arc::clone(storage)).unwrap()) {
        found.push("the log".to_owned());
    }
    for path in files(&**storage).iter().filter(|path| path.ends_with(".tfb")) {
        let bundle: Arc<dyn Storage> = Arc::new(bundle::Bundle::open(Arc::clone(storage), path).unwrap());
        found.extend(of_log(&Reader::open_on(bundle).unwrap()).then(|| path.clone()));
    }
    found
}

fn authority(plan: &RedactPlan) -> Authority {
    Authority {
        plan: plan.id.clone(),
        accept_loss: plan.lost,
        reason: "it leaked".to_owned(),
        actor: "uid:0".to_owned(),
        lock_timeout_ms: 1000,
    }
}

fn go_on(_: &'static str, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn of_pattern() -> Selector {
    Selector { pattern: Some(pattern("hunter2-[a-z-]+").unwrap()), ..Selector::default() }
}

fn verified(storage: &dyn Storage) -> VerifyReport {
    let report = verify(storage, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert_eq!(report.severity, Severity::Clean, "{:?}", report.findings);
    report
}

type Told = (u64, Option<Seq>, u32, i64, String, bool, Vec<u8>);

fn events(storage: &Arc<dyn Storage>) -> Vec<Told> {
    let mut told = Vec::new();
    let reader = Reader::open_on(Arc::clone(storage)).unwrap();
    reader
        .events(Query::all())
        .unwrap()
        .for_each(|record| {
            let (name, payload) = (record.type_name(), record.payload.to_vec());
            told.push((record.seq.get(), record.run, record.revision, record.time_ns, name, record.redacted, payload));
            Ok(true)
        })
        .unwrap();
    told
}

#[test]
fn a_pattern_is_taken_out_of_every_place_and_the_rest_stays() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    store(&storage);
    assert!(holders(&storage).len() > 8, "{:?}", holders(&storage));
    let (before, was) = (events(&storage), files(&*storage));
    let plan = RedactPlan::make(&storage, &of_pattern(), &mut go_on).unwrap();
    assert_eq!(files(&*storage), was, "a plan only reads");
    assert_eq!(plan.lost, 4, "{plan:?}");
    assert_eq!(plan.events.iter().filter(|event| event.archive.is_some()).count(), 4, "the archive's copies too");
    let whole: Vec<u64> = plan.events.iter().filter(|event| event.fields.is_empty()).map(|event| event.seq).collect();
    assert_eq!(whole.len(), 2, "the typed event goes as a whole, in the log and in the archive");
    let wrong = Authority { accept_loss: 3, ..authority(&plan) };
    assert_eq!(plan.apply(&storage, &of_pattern(), &wrong, &mut go_on).unwrap_err().code(), "T0402");
    let other = Authority { plan: "abcdef".to_owned(), ..authority(&plan) };
    assert_eq!(plan.apply(&storage, &of_pattern(), &other, &mut go_on).unwrap_err().code(), "T0401");
    let done = plan.apply(&storage, &of_pattern(), &authority(&plan), &mut go_on).unwrap();
    assert_eq!(holders(&storage), Vec::<String>::new());
    assert_eq!((done.lost, done.by_hand.len()), (4, 0));
    assert!(done.forgotten.iter().any(|path| path.starts_with("snapshots/")), "{done:?}");
    let left = files(&*storage);
    for stays in ["spool/harmless", "archive/abc123/segments/0000000001.seg", "config.toml"] {
        assert_eq!(left.contains(&stays.to_owned()), was.contains(&stays.to_owned()), "{stays}");
    }
    let report = verified(&*storage);
    assert_eq!((report.totals.redacted, report.totals.lost, report.totals.absent), (4, 0, 0));
    assert_eq!(verified(&crate::storage::Rooted::new(Arc::clone(&storage), "archive/abc123")).totals.redacted, 4);
    let after = events(&storage);
    for (was, is) in before.iter().zip(&after) {
        let same = |it: &Told| (it.0, it.1, it.2, it.3, it.4.clone());
        assert_eq!(same(was), same(is), "headers stay");
        let is_hit = plan.events.iter().any(|event| event.seq == was.0);
        assert_eq!((is.5, is.6 == was.6), (is_hit, !is_hit), "{was:?} {is:?}");
    }
    assert_eq!(after.len(), before.len() + 1, "and one event tells of it");
    let told = crate::OperatorAction::decode(&after.last().unwrap().6).unwrap();
    assert_eq!((told.verb.as_str(), told.reason.as_str()), ("redact", "it leaked"));
    for event in &plan.events {
        assert!(told.detail.contains(&event.digest), "the digest of what was there is on record");
    }
    let token = before.iter().find(|event| event.6.windows(SECRET.len()).any(|it| it == SECRET.as_bytes())).unwrap();
    let now = String::from_utf8(after[usize::try_from(token.0 - 1).unwrap()].6.clone()).unwrap();
    assert_eq!(now, "{\"n\":3,\"auth\":{\"token\":\"[redacted]\",\"user\":\"me\"}}");
    assert!(RedactPlan::make(&storage, &of_pattern(), &mut go_on).unwrap().is_empty(), "nothing is left to do");
}

#[test]
fn states_go_on_and_older_checkpoints_are_superseded() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    store(&storage);
    let plan = RedactPlan::make(&storage, &of_pattern(), &mut go_on).unwrap();
    plan.apply(&storage, &of_pattern(), &authority(&plan), &mut go_on).unwrap();
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let run = journal.run("talk").unwrap();
    assert_eq!(run.state::<Talk>().unwrap().0, (2, "bye".to_owned()), "the event that is gone counts as none");
    let options_of_check = CheckOptions { snapshots: true, ..CheckOptions::default() };
    let report = check_with::<Talk>(&journal.reader().unwrap(), &options_of_check).unwrap();
    assert_eq!(report.superseded, 2, "{report}");
    assert!(report.runs.iter().all(|run| run.divergence.is_none()), "{report}");
    journal.run("talk").unwrap().checkpoint::<Talk>().unwrap();
    let report = journal.run("talk").unwrap().check::<Talk>().unwrap();
    assert!(report.runs.iter().all(|run| run.divergence.is_none()), "{report}");
}

#[test]
fn fields_and_whole_events_are_redacted_by_name() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    store(&storage);
    let of_field = Selector {
        fields: vec![FieldPath::parse("data.auth.token").unwrap()],
        run: Some("run-0".to_owned()),
        event_type: Some("acme.json".to_owned()),
        ..Selector::default()
    };
    let plan = RedactPlan::make(&storage, &of_field, &mut go_on).unwrap();
    assert_eq!(plan.lost, 14, "{plan:?}");
    plan.apply(&storage, &of_field, &authority(&plan), &mut go_on).unwrap();
    verified(&*storage);
    let all = events(&storage);
    let tokens = all.iter().filter(|event| event.6.windows(12).any(|it| it == b"\"[redacted]\"")).count();
    assert_eq!(tokens, 14);
    let bytes = all.iter().find(|event| event.4 == "acme.bytes").unwrap();
    let of_event = Selector { events: BTreeSet::from([Seq::new(bytes.0).unwrap()]), ..Selector::default() };
    let plan = RedactPlan::make(&storage, &of_event, &mut go_on).unwrap();
    assert_eq!((plan.lost, plan.events[0].digest.clone()), (1, blake3::hash(&bytes.6).to_hex().to_string()));
    plan.apply(&storage, &of_event, &authority(&plan), &mut go_on).unwrap();
    let now = events(&storage)[usize::try_from(bytes.0 - 1).unwrap()].6.clone();
    assert_eq!(now, format!("{{\"redacted\":\"{}\"}}", blake3::hash(&bytes.6).to_hex()).into_bytes());
    assert!(RedactPlan::make(&storage, &of_event, &mut go_on).unwrap().events.is_empty(), "once is enough");
    let own = Selector { events: BTreeSet::from([Seq::FIRST]), ..Selector::default() };
    assert_eq!(RedactPlan::make(&storage, &own, &mut go_on).unwrap_err().code(), "T0409");
    let none = Selector { events: BTreeSet::from([Seq::new(9999).unwrap()]), ..Selector::default() };
    assert_eq!(RedactPlan::make(&storage, &none, &mut go_on).unwrap_err().code(), "T0409");
    assert_eq!(RedactPlan::make(&storage, &Selector::default(), &mut go_on).unwrap_err().code(), "T0407");
}

#[test]
fn whenever_the_power_goes_the_log_is_whole_and_the_redaction_can_go_on() {
    crate::lab_result::tell("redaction-crashes", &["P1", "P4", "P5"], crash_redactions);
}

fn crash_redactions() -> (u64, Vec<(&'static str, u64)>) {
    let disk = SimDisk::new(31);
    let storage: Arc<dyn Storage> = Arc::new(disk.process(1));
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let json = Arc::new(TypeEntry::json("acme.json"));
    for number in 0..12_u32 {
        let mut batch = Batch::new();
        let run = Some(batch.run_or_create("run", Expect::Any));
        let token = if number.is_multiple_of(5) { SECRET } else { "other" };
        batch.event(run, &json, format!("{{\"token\":\"{token}\",\"fill\":\"{}\"}}", "x".repeat(900)).as_bytes());
        journal.append(batch).unwrap();
    }
    journal.close().unwrap();
    let blob = Blobs::new(Arc::clone(&storage)).put(SECRET.as_bytes()).unwrap();
    assert!(blob.is_new);
    let before = events(&storage);
    let work = |sim: &SimDisk, process| {
        let storage: Arc<dyn Storage> = Arc::new(sim.process(process));
        let plan = RedactPlan::make(&storage, &of_pattern(), &mut go_on)?;
        if plan.is_empty() {
            return Ok(0);
        }
        plan.apply(&storage, &of_pattern(), &authority(&plan), &mut go_on).map(|done| done.lost)
    };
    let start = disk.next_operation();
    let whole = disk.clone();
    assert_eq!(work(&whole, 2).unwrap(), 3);
    let mut stopped = 0;
    for operation in start..whole.next_operation() {
        // Both at every place would be the same state twice: before a call is behind the one before.
        let fault = if operation.is_multiple_of(2) { Fault::CrashBefore } else { Fault::CrashAfter };
        {
            let sim = disk.clone();
            sim.inject(operation, fault);
            stopped += u32::from(work(&sim, 2).is_err());
            let cut = sim.power_cut(operation);
            work(&cut, 3).unwrap_or_else(|error| panic!("{operation} {fault:?}: {error}"));
            let storage: Arc<dyn Storage> = Arc::new(cut.process(4));
            assert_eq!(holders(&storage), Vec::<String>::new(), "{operation} {fault:?}");
            assert_eq!(verified(&*storage).totals.redacted, 3, "{operation} {fault:?}");
            let after = events(&storage);
            for (was, is) in before.iter().zip(&after) {
                assert_eq!((was.0, was.1, was.2, was.3), (is.0, is.1, is.2, is.3), "{operation} {fault:?}");
                assert!(is.5 || was.6 == is.6, "{operation} {fault:?}: another event changed");
            }
            let told = after.iter().filter(|event| event.4 == "OperatorAction").count();
            assert!((1..=2).contains(&told), "{operation} {fault:?}");
        }
    }
    assert!(stopped > 50, "{stopped}");
    (whole.next_operation() - start, vec![("stopped", stopped.into())])
}

/// A value that is too short to be searched for was left in copies of the segments that a repair had kept: a copy of a frame is
/// known by its seq and by the digest of its payload, whatever the value is.
#[test]
fn copies_of_whole_events_are_found_however_short_the_value_is() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let json = Arc::new(TypeEntry::json("acme.json"));
    for number in 0..6_u32 {
        let mut batch = Batch::new();
        let run = Some(batch.run_or_create("run", Expect::Any));
        batch.event(run, &json, format!("{{\"pin\":\"77{number}\",\"n\":{number}}}").as_bytes());
        journal.append(batch).unwrap();
    }
    journal.close().unwrap();
    let segment = read(&*storage, "segments/0000000001.seg");
    put(&*storage, "quarantine/8c1e44/segment.bin", &segment);
    put(&*storage, "quarantine/8c1e44/other.bin", &segment[..64]);
    let pins = Selector { fields: vec![FieldPath::parse("data.pin").unwrap()], ..Selector::default() };
    let plan = RedactPlan::make(&storage, &pins, &mut go_on).unwrap();
    let places: Vec<&str> = plan.places.iter().map(|place| place.path.as_str()).collect();
    assert_eq!((plan.lost, plan.has_short_texts), (6, true));
    assert_eq!(places, ["quarantine/8c1e44/segment.bin"]);
    plan.apply(&storage, &pins, &authority(&plan), &mut go_on).unwrap();
    for path in files(&*storage) {
        assert!(!read(&*storage, &path).windows(5).any(|it| it.starts_with(b"\"77") && it[4] == b'"'), "{path}");
    }
}

/// Whoever appends has the old files open while segments are replaced.
#[test]
fn beside_a_process_that_appends_nothing_is_lost_and_nothing_comes_back() {
    let disk = SimDisk::new(32);
    let storage: Arc<dyn Storage> = Arc::new(disk.process(1));
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let json = Arc::new(TypeEntry::json("acme.json"));
    let append = |text: &str| {
        let mut batch = Batch::new();
        let run = Some(batch.run_or_create("run", Expect::Any));
        batch.event(run, &json, format!("{{\"token\":\"{text}\",\"fill\":\"{}\"}}", "x".repeat(900)).as_bytes());
        journal.append(batch).unwrap().last.get()
    };
    let mut seqs: Vec<u64> = (0..14).map(|n| append(if n % 5 == 3 { SECRET } else { "other" })).collect();
    let (reader, theirs) = (journal.reader().unwrap(), Arc::new(disk.process(2)) as Arc<dyn Storage>);
    let plan = RedactPlan::make(&theirs, &of_pattern(), &mut go_on).unwrap();
    seqs.push(append("between"));
    let done = plan.apply(&theirs, &of_pattern(), &authority(&plan), &mut go_on).unwrap();
    assert_eq!(done.lost, 3);
    seqs.extend((0..14).map(|_| append("after")));
    assert!(seqs.is_sorted_by(|left, right| left < right) && !seqs.contains(&done.event), "no seq twice: {seqs:?}");
    assert_eq!(holders(&theirs), Vec::<String>::new());
    assert_eq!(verified(&*theirs).totals.redacted, 3);
    let all = events(&theirs);
    assert!(seqs.iter().all(|seq| all.iter().any(|event| event.0 == *seq && event.4 == "acme.json")));
    let mut count = 0;
    let mut counting = |_: crate::Record<'_>| {
        count += 1;
        Ok(true)
    };
    reader.events(Query::all()).unwrap().for_each(&mut counting).unwrap();
    assert!(count >= 15, "who has read on from before still can: {count}");
}

#[test]
fn what_a_redactor_names_never_reaches_the_disk() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let redactor = Redactor::new()
        .field(FieldPath::parse("data.password").unwrap())
        .pattern("card", pattern("4[0-9]{15}").unwrap())
        .secret("TOKEN", SECRET)
        .unwrap();
    let journal = options().redact(Arc::new(redactor)).open_on(Arc::clone(&storage)).unwrap();
    let (json, bytes) = (Arc::new(TypeEntry::json("acme.json")), entry("acme.bytes", Codec::Bytes));
    let mut batch = Batch::new();
    let run = Some(batch.run_or_create("run", Expect::Any));
    let password = "pass-word-of-nobody";
    batch.event(
        run,
        &json,
        format!("{{\"password\":\"{password}\",\"text\":\"a {SECRET} b 4111111111111111\"}}").as_bytes(),
    );
    batch.event(run, &bytes, format!("curl {SECRET}").as_bytes());
    batch.event(run, &json, b"{\"harmless\":1e5}");
    let appended = journal.append(batch).unwrap();
    assert_eq!(appended.redacted, 4);
    let refused = |build: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::new();
        build(&mut batch);
        let failed = journal.append(batch).expect_err("it can not be redacted");
        assert_eq!(failed.error.code(), "T0408");
    };
    refused(&|batch| {
        batch.run_or_create(format!("run of {SECRET}"), Expect::Any);
    });
    refused(&|batch| {
        let run = Some(batch.run("run", Expect::Any));
        batch.event(run, &entry("acme.typed", Codec::Bincode), format!("\x15{SECRET}").as_bytes());
    });
    let mark = crate::Mark { name: "m".to_owned(), note: SECRET.to_owned() };
    assert_eq!(journal.mark(None, &mark).unwrap_err().code(), "T0408");
    journal.close().unwrap();
    for path in files(&*storage) {
        let bytes = read(&*storage, &path);
        for secret in [SECRET, password, "4111111111111111"] {
            assert!(!bytes.windows(secret.len()).any(|it| it == secret.as_bytes()), "{path}: {secret}");
        }
    }
    let payloads: Vec<String> = events(&storage)
        .into_iter()
        .filter(|it| it.4.starts_with("acme"))
        .map(|it| String::from_utf8(it.6).unwrap())
        .collect();
    assert_eq!(
        payloads,
        [
            "{\"password\":\"[redacted:data.password]\",\"text\":\"a [redacted:TOKEN] b [redacted:card]\"}",
            "curl [redacted:TOKEN]",
            "{\"harmless\":1e5}",
        ]
    );
}
