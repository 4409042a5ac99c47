//! Bundles: the same bytes again, whatever is in the store; hostile ones refused; a restore whole or not at all.

use super::*;
use crate::blob::{Blobs, Digest};
use crate::error::Result;
use crate::fold::Snapshots;
use crate::import::{ImportFailure, ImportReport};
use crate::storage::{Fault, Memory, OpenMode, SimDisk, Storage, StorageFile, read_full_at, write_all_at};
use crate::{
    Batch, Codec, ErrorKind, Event, Expect, Fold, Journal, Mark, Options, Query, Reader, Recorded, Severity, TypeEntry,
    VerifyOptions, verify,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn options() -> Options {
    Journal::options().create(true).segment_len_bytes(9 << 10)
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

fn go_on(_: &'static str, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn shelf() -> Arc<dyn Storage> {
    let shelf: Arc<dyn Storage> = Arc::new(Memory::new());
    shelf.create_dir("").unwrap();
    shelf
}

fn bytes_of(storage: &dyn Storage, name: &str) -> Vec<u8> {
    let file = storage.open(name, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
    read_full_at(&*file, 0, &mut bytes).unwrap();
    bytes
}

fn put(storage: &dyn Storage, name: &str, bytes: &[u8]) {
    let file = storage.open(name, OpenMode::CreateNew).unwrap();
    write_all_at(&*file, 0, bytes).unwrap();
}

fn bundle_bytes(store: &Arc<dyn Storage>, run: Option<&str>) -> (Vec<u8>, BundleReport) {
    let shelf = shelf();
    let report = export(store, run, &*shelf, "b", &mut go_on).unwrap();
    assert_eq!(shelf.list("").unwrap().len(), 1, "the temporary file is gone");
    (bytes_of(&*shelf, "b"), report)
}

fn opened(bytes: &[u8]) -> Result<Bundle> {
    let shelf = shelf();
    put(&*shelf, "b", bytes);
    Bundle::open(shelf, "b")
}

fn import_into(store: &Arc<dyn Storage>, bytes: &[u8]) -> std::result::Result<ImportReport, Box<ImportFailure>> {
    let bundle = opened(bytes).map_err(|error| ImportFailure { error, report: Box::new(ImportReport::default()) });
    import(&bundle.map_err(Box::new)?, store, options(), false, &mut go_on).map_err(Box::new)
}

/// What a store is filled with.
#[derive(Clone, Debug)]
struct Content {
    batches: Vec<(u8, Vec<(u8, u16)>)>,
    blobs: Vec<u16>,
    snapshots: bool,
    config: bool,
    /// Which segment loses an event to damage and its salvage.
    gap: Option<u8>,
    reopen_after: Option<u8>,
}

fn content() -> impl Strategy<Value = Content> {
    let events = proptest::collection::vec((any::<u8>(), 0_u16..2000), 1..6);
    let batches = proptest::collection::vec((0_u8..4, events), 0..40);
    let blobs = proptest::collection::vec(any::<u16>(), 0..4);
    let rest = (any::<bool>(), any::<bool>(), proptest::option::of(any::<u8>()), proptest::option::of(0_u8..40));
    (batches, blobs, rest).prop_map(|(batches, blobs, (snapshots, config, gap, reopen_after))| Content {
        batches,
        blobs,
        snapshots,
        config,
        gap,
        reopen_after,
    })
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Tick(u32);

impl Event for Tick {
    const TYPE: &'static str = "acme.tick";
    const VERSION: u16 = 1;

    fn kind(&self) -> &'static str {
        "Tick"
    }
}

struct Count;

impl Fold for Count {
    const NAME: &'static str = "acme.count";
    const VERSION: u32 = 1;
    type Event = Tick;
    type State = u32;
    fn apply(state: &mut u32, event: &Recorded<Tick>) {
        *state += event.data.0;
    }
}

/// A batch with payloads of text, and of zeros, which are stored under a mask.
fn batch_of(run: u8, events: &[(u8, u16)], blob: Option<&Digest>) -> Batch {
    let mut batch = Batch::new();
    let place = batch.run_or_create(format!("run-{run}"), Expect::Any);
    for (kind, len) in events {
        let name = if kind.is_multiple_of(3) { "acme.a" } else { "acme.b" };
        let entry = Arc::new(TypeEntry { codec: Codec::Bytes, ..TypeEntry::json(name) });
        let payload = if kind.is_multiple_of(2) { vec![0; usize::from(*len)] } else { vec![*kind; usize::from(*len)] };
        let of_store = kind.is_multiple_of(7);
        batch.event((!of_store).then_some(place), &entry, &payload);
    }
    if let Some(digest) = blob {
        batch.event(
            Some(place),
            &Arc::new(TypeEntry::json("acme.file")),
            format!("{{\"digest\":\"{digest}\"}}").as_bytes(),
        );
    }
    batch
}

fn fill(store: &Arc<dyn Storage>, content: &Content) {
    let mut blobs = Blobs::new(Arc::clone(store));
    let mut journal = options().open_on(Arc::clone(store)).unwrap();
    let mut kept = Vec::new();
    for number in &content.blobs {
        kept.push(blobs.put(&number.to_le_bytes().repeat(usize::from(*number))).unwrap().digest);
    }
    blobs.settle().unwrap();
    for (number, (run, events)) in content.batches.iter().enumerate() {
        let blob = kept.get(number);
        journal.append(batch_of(*run, events, blob)).unwrap();
        if content.reopen_after.is_some_and(|after| usize::from(after) == number) {
            journal.mark(None, &Mark { name: "here".to_owned(), note: String::new() }).unwrap();
            journal.close().unwrap();
            journal = options().open_on(Arc::clone(store)).unwrap();
        }
    }
    if content.snapshots {
        let run = journal.run_or_create("counted").unwrap();
        run.append(Expect::Any, &[Tick(1), Tick(2)]).unwrap();
        run.snapshot::<Count>().unwrap();
    }
    journal.close().unwrap();
    if content.config {
        put(&**store, "config.toml", b"segment_size = \"64KiB\" # ours\n");
    }
    if let Some(gap) = content.gap {
        damage_and_salvage(store, gap);
    }
}

/// Spoils an event of some segment, and takes it out: from then on the log has an absence on record.
fn damage_and_salvage(store: &Arc<dyn Storage>, which: u8) {
    use crate::plan::Authority;
    use crate::repair::{RepairMode, RepairPlan};
    let reader = Reader::open_on(Arc::clone(store)).unwrap();
    let mut places = Vec::new();
    let mut take = |record: crate::Record<'_>| {
        if !record.kind.is_reserved() && record.payload.len() > 8 {
            places.push((record.segment, record.offset));
        }
        Ok(true)
    };
    reader.events(Query::all()).unwrap().for_each(&mut take).unwrap();
    let Some((segment, offset)) = places.get(usize::from(which) % places.len().max(1)) else { return };
    let file = store.open(&format!("segments/{segment:010}.seg", segment = segment.get()), OpenMode::Write).unwrap();
    let mut byte = [0];
    read_full_at(&*file, offset + 50, &mut byte).unwrap();
    write_all_at(&*file, offset + 50, &[byte[0] ^ 0x55]).unwrap();
    let plan = RepairPlan::make(&**store, RepairMode::Salvage).unwrap();
    let authority = Authority {
        plan: plan.id.clone(),
        accept_loss: plan.lost,
        reason: "a test".to_owned(),
        actor: "uid:0".to_owned(),
        lock_timeout_ms: 1000,
    };
    plan.apply(store, &authority).unwrap();
}

fn severity(storage: &dyn Storage) -> Severity {
    verify(storage, &VerifyOptions::default(), &mut |_, _| {}).unwrap().severity
}

/// Seq, run, revision, time, type, payload.
type Told = (u64, u64, u32, i64, String, Vec<u8>);

fn events(storage: &Arc<dyn Storage>) -> Vec<Told> {
    let reader = Reader::open_on(Arc::clone(storage)).unwrap();
    let mut events = Vec::new();
    reader
        .events(Query::all())
        .unwrap()
        .for_each(|record| {
            let run = record.run.map_or(0, crate::Seq::get);
            let (name, payload) = (record.type_name(), record.payload.to_vec());
            events.push((record.seq.get(), run, record.revision, record.time_ns, name, payload));
            Ok(true)
        })
        .unwrap();
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn an_export_restored_and_exported_again_has_the_same_bytes(content in content()) {
        let store = memory();
        fill(&store, &content);
        let (bytes, report) = bundle_bytes(&store, None);
        let there: Arc<dyn Storage> = memory();
        let imported = import_into(&there, &bytes).unwrap();
        prop_assert!(imported.restored);
        prop_assert!(bundle_bytes(&there, None).0 == bytes, "{report:?}");
        prop_assert_eq!(events(&there), events(&store));
        prop_assert_eq!(severity(&*there), Severity::Clean);
        // In place: the same events, and nothing to complain about.
        let bundle: Arc<dyn Storage> = Arc::new(opened(&bytes).unwrap());
        prop_assert_eq!(events(&bundle), events(&store));
        prop_assert_eq!(severity(&*bundle), Severity::Clean);
        let snapshots = Snapshots::new(bundle).list().unwrap();
        prop_assert_eq!(snapshots.snapshots.len() as u64, report.snapshots);
        prop_assert!(snapshots.findings.is_empty());
        // The log goes on where it was.
        let journal = options().open_on(Arc::clone(&there)).unwrap();
        let last = journal.append(batch_of(9, &[(1, 9)], None)).unwrap().last;
        prop_assert!(last.get() > report.durable);
    }

    #[test]
    fn one_run_is_a_log_of_its_own_and_is_added_once(content in content(), which in 0_u8..4) {
        let store = memory();
        fill(&store, &content);
        let name = format!("run-{which}");
        let reader = Reader::open_on(Arc::clone(&store)).unwrap();
        let Ok(run) = reader.find_run(&name) else { return Ok(()) };
        let (bytes, _) = bundle_bytes(&store, Some(&name));
        let bundle: Arc<dyn Storage> = Arc::new(opened(&bytes).unwrap());
        let own: Vec<_> = events(&store).into_iter().filter(|event| event.1 == run.run.get()).collect();
        prop_assert_eq!(events(&bundle), own.clone());
        prop_assert_eq!(severity(&*bundle), Severity::Clean);
        // Twice into a store with a run of that name: it is there once, under another name, with its payloads.
        let there = memory();
        options().open_on(Arc::clone(&there)).unwrap().run_or_create(&name).unwrap();
        import_into(&there, &bytes).unwrap();
        let after = events(&there);
        let again = import_into(&there, &bytes).unwrap();
        prop_assert_eq!((again.events_added, again.restored), (0, false));
        prop_assert_eq!(&events(&there), &after);
        let payloads = |events: &[Told]| -> Vec<(i64, Vec<u8>)> {
            let users = events.iter().filter(|event| event.4.starts_with("acme."));
            users.map(|event| (event.3, event.5.clone())).collect()
        };
        prop_assert_eq!(payloads(&after), payloads(&own));
        prop_assert_eq!(severity(&*there), Severity::Clean);
        for digest in own.iter().filter(|event| event.4 == "acme.file").map(|event| event.5[11..75].to_vec()) {
            let digest = Digest::parse(std::str::from_utf8(&digest).unwrap()).unwrap();
            prop_assert!(Blobs::new(Arc::clone(&there)).has(&digest).unwrap(), "its blobs came along");
        }
    }
}

fn sample() -> Content {
    let batch = |number: u8| (number % 3, vec![(number, 300), (number.wrapping_mul(3), 90)]);
    Content {
        batches: (0..30).map(batch).collect(),
        blobs: vec![700, 40_000],
        snapshots: true,
        config: true,
        gap: None,
        reopen_after: Some(7),
    }
}

/// Every cut and many flipped bits of a bundle: refused, or without effect on what a check covers.
#[test]
fn a_cut_or_flipped_bundle_is_refused_before_anything_is_written() {
    let store = memory();
    fill(&store, &sample());
    let (bytes, _) = bundle_bytes(&store, None);
    let refused = |spoiled: &[u8], what: &str| {
        let there: Arc<dyn Storage> = Arc::new(Memory::new());
        let failure = import_into(&there, spoiled).expect_err(what);
        assert!(matches!(failure.error.code(), "T0170" | "T0171" | "T0165"), "{what}: {failure}");
        assert!(there.list("").is_err(), "{what}: not even a directory was made");
    };
    for len in (0..bytes.len()).step_by(397).chain(bytes.len() - 70..bytes.len()) {
        refused(&bytes[..len], &format!("cut at {len}"));
    }
    let padding: Vec<usize> = {
        let manifest = opened(&bytes).unwrap();
        let ends = manifest.manifest().members.iter().map(|member| member.offset + member.stored_len_bytes);
        ends.flat_map(|end| end..end.next_multiple_of(8)).map(|at| usize::try_from(at).unwrap()).collect()
    };
    for at in (0..bytes.len()).step_by(261).chain(0..16).chain(bytes.len() - 64..bytes.len()) {
        if !padding.contains(&at) {
            let mut spoiled = bytes.clone();
            spoiled[at] ^= 1 << (at % 8);
            refused(&spoiled, &format!("bit {at}"));
        }
    }
}

/// A bundle with this manifest in the place of its own.
fn forged(bytes: &[u8], change: &dyn Fn(&mut serde_json::Value)) -> Vec<u8> {
    let number = |at: usize| usize::try_from(u64::from_le_bytes(*bytes[at..].first_chunk().unwrap())).unwrap();
    let trailer = bytes.len() - 64;
    let offset = number(trailer + 8);
    let mut manifest: serde_json::Value = serde_json::from_slice(&bytes[offset..trailer]).unwrap();
    change(&mut manifest);
    let text = serde_json::to_vec(&manifest).unwrap();
    let mut forged = bytes[..offset].to_vec();
    forged.extend_from_slice(&text);
    let start = forged.len();
    forged.extend_from_slice(&TRAILER_MAGIC);
    forged.extend_from_slice(&(offset as u64).to_le_bytes());
    forged.extend_from_slice(&(text.len() as u64).to_le_bytes());
    forged.extend_from_slice(blake3::hash(&text).as_bytes());
    forged.extend_from_slice(&[0; 4]);
    let crc = crc32fast::hash(&forged[start..]);
    forged.extend_from_slice(&crc.to_le_bytes());
    forged
}

#[test]
fn a_hostile_manifest_is_refused_with_a_code() {
    let store = memory();
    fill(&store, &sample());
    let (bytes, _) = bundle_bytes(&store, None);
    assert!(opened(&forged(&bytes, &|_| {})).is_ok(), "the forgery itself is well made");
    let paths = [
        "../evil",
        "/etc/passwd",
        "segments/../../x",
        "segments/1.seg",
        "segments//0000000001.seg",
        "LOCK",
        "runs.idx",
        "blobs/../x",
        "quarantine/x",
        "snapshots/../../x.snap",
        "snapshots/a/b/c.snap",
        "",
        ".",
        "config.toml\0",
        "segments/0000000000.seg",
        "archive/x/segments/0000000001.seg",
        "snapshots/x\\y.snap",
    ];
    for path in paths {
        let spoiled = forged(&bytes, &|manifest| manifest["members"][0]["path"] = path.into());
        assert_eq!(opened(&spoiled).expect_err(path).code(), "T0171", "{path}");
    }
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, &str, Change); 13] = [
        ("twice", "T0171", |m| m["members"][1] = m["members"][0].clone()),
        ("order", "T0171", |m| m["members"].as_array_mut().unwrap().reverse()),
        ("huge", "T0171", |m| m["members"][0]["len_bytes"] = u64::MAX.into()),
        ("bomb", "T0171", |m| m["members"][0]["len_bytes"] = (1_u64 << 50).into()),
        ("far", "T0171", |m| m["members"][0]["offset"] = (1_u64 << 50).into()),
        ("overlap", "T0171", |m| m["members"][1]["offset"] = m["members"][0]["offset"].clone()),
        ("stored", "T0171", |m| m["members"][0]["stored_len_bytes"] = u64::MAX.into()),
        ("unknown field", "T0170", |m| m["members"][0]["link"] = "x".into()),
        ("log id", "T0171", |m| m["log_id"] = "x".into()),
        ("neither whole nor a run", "T0171", |m| m["whole"] = false.into()),
        ("newer", "T0165", |m| m["format"] = 2.into()),
        ("newer schema", "T0165", |m| m["schema"] = "taffrail.bundle/2".into()),
        ("no members", "T0171", |m| m["members"] = serde_json::json!([])),
    ];
    for (what, code, change) in changes {
        assert_eq!(opened(&forged(&bytes, &change)).expect_err(what).code(), code, "{what}");
    }
    let other_log = forged(&bytes, &|m| m["log_id"] = "00000000000000000000000000000001".into());
    let there: Arc<dyn Storage> = Arc::new(Memory::new());
    assert_eq!(import_into(&there, &other_log).expect_err("another log").error.code(), "T0171");
    let other_digest = forged(&bytes, &|m| {
        let segment =
            m["members"].as_array_mut().unwrap().iter_mut().find(|it| it["path"] == "segments/0000000001.seg");
        segment.unwrap()["digest"] = "0".repeat(64).into();
    });
    assert_eq!(import_into(&there, &other_digest).expect_err("another digest").error.code(), "T0170");
    assert!(there.list("").is_err());
}

#[test]
fn a_damaged_log_goes_into_a_bundle_as_it_is_and_comes_out_only_where_that_is_wanted() {
    let store = memory();
    fill(&store, &sample());
    let file = store.open("segments/0000000001.seg", OpenMode::Write).unwrap();
    write_all_at(&*file, 5000, &[0xEE; 3]).unwrap();
    let (bytes, _) = bundle_bytes(&store, None);
    let there = memory();
    assert_eq!(import_into(&there, &bytes).expect_err("damaged").error.code(), "T0174");
    let bundle = opened(&bytes).unwrap();
    let imported = import(&bundle, &there, options(), true, &mut go_on).unwrap();
    assert!(imported.restored && imported.notes.len() == 2, "{imported:?}");
    assert_eq!(bundle_bytes(&there, None).0, bytes);
}

#[test]
fn a_bundle_beside_a_writer_ends_at_the_durable_head() {
    let store = memory();
    fill(&store, &sample());
    let journal = options().sync(crate::SyncPolicy::Never).open_on(Arc::clone(&store)).unwrap();
    let durable = journal.durable();
    journal.append(batch_of(1, &[(1, 9)], None)).unwrap();
    let (bytes, report) = bundle_bytes(&store, None);
    assert_eq!((report.durable, report.events_behind > 0), (durable, true), "{report:?}");
    journal.sync().unwrap();
    let (later, report) = bundle_bytes(&store, None);
    assert_eq!((report.durable, report.events_behind), (journal.durable(), 0));
    assert_ne!(bytes, later);
    assert_eq!(severity(&opened(&bytes).unwrap()), Severity::Clean);
    // A store whose watermark is lost tells less, and nothing that is wrong.
    journal.close().unwrap();
    store.remove("watermark").unwrap();
    let (bytes, report) = bundle_bytes(&store, None);
    assert!(report.durable <= durable + 2 && report.events_behind > 0, "{report:?}");
    assert_eq!(severity(&opened(&bytes).unwrap()), Severity::Clean);
}

/// A cut took only the watermark file for evidence of what is durable. That file is not written while appends are queued, so a
/// bundle made beside a busy writer could lack what had been acknowledged long before it was begun. And where the newest
/// segment had no watermark yet, a frame that was half written was called damage.
#[test]
fn a_cut_takes_what_later_frames_say_was_durable_and_leaves_out_what_is_half_written() {
    let store = memory();
    fill(&store, &sample());
    let journal = options().open_on(Arc::clone(&store)).unwrap();
    let old_mark = bytes_of(&*store, "watermark");
    let mut ends = Vec::new();
    for _ in 0..3 {
        journal.append(batch_of(1, &[(1, 40), (2, 40)], None)).unwrap();
        ends.push(journal.durable());
    }
    let file = store.open("watermark", OpenMode::Write).unwrap();
    write_all_at(&*file, 0, &old_mark).unwrap();
    let (bytes, report) = bundle_bytes(&store, None);
    assert_eq!((report.durable, report.events_behind), (ends[1], ends[2] - ends[1]), "{report:?}");
    assert_eq!(severity(&opened(&bytes).unwrap()), Severity::Clean);
    // Half of a frame at the end, and no watermark for this segment.
    store.remove("watermark").unwrap();
    let newest = crate::Listing::read(&*store).unwrap().newest().unwrap();
    let segment = store.open(&format!("segments/{}", newest.file_name()), OpenMode::Write).unwrap();
    let content = bytes_of(&*store, &format!("segments/{}", newest.file_name()));
    let end = content.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(8);
    write_all_at(&*segment, end as u64, &[0xA6; 20]).unwrap();
    let (again, report) = bundle_bytes(&store, None);
    assert_eq!(report.durable, ends[1], "{report:?}");
    assert!(again == bytes, "what is behind the cut is not in the bundle");
}

#[test]
fn an_archive_has_a_bundle_of_its_own_with_all_of_it() {
    let store = memory();
    fill(&store, &sample());
    let archive = shelf();
    archive.create_dir("segments").unwrap();
    let listing = crate::Listing::read(&*store).unwrap().segments;
    for (number, _) in &listing[..listing.len() - 1] {
        let name = format!("segments/{}", number.file_name());
        put(&*archive, &name, &bytes_of(&*store, &name));
    }
    let expected = events(&archive);
    let (bytes, report) = bundle_bytes(&archive, None);
    assert_eq!(expected.last().map(|event| event.0), Some(report.durable));
    let bundle: Arc<dyn Storage> = Arc::new(opened(&bytes).unwrap());
    assert_eq!(events(&bundle), expected);
    assert_eq!(severity(&*bundle), Severity::Clean);
}

/// A segment that was put in another one's place while it was copied went into the bundle with the length of the old one: cut
/// off, and called whole.
#[test]
fn a_segment_that_is_rewritten_while_it_is_copied_is_copied_anew() {
    let store = memory();
    fill(&store, &Content { config: false, ..sample() });
    let expected = events(&store);
    let target = shelf();
    let mut rewritten = 0;
    // After each piece, in turn, another segment is replaced by one that is longer.
    let mut replace = |_: &'static str, _: u64, _: u64| {
        if rewritten < 2 {
            rewritten += 1;
            let number = crate::SegmentNumber::new(rewritten).unwrap();
            crate::repair::redact_segment(&*store, number, &mut |header, _, payload| {
                let is_ours = !header.kind.is_reserved() && payload.len() == 300;
                is_ours.then(|| vec![b'"'; 900])
            })
            .unwrap();
        }
        ControlFlow::Continue(())
    };
    export(&store, None, &*target, "b", &mut replace).unwrap();
    assert_eq!(rewritten, 2);
    let bundle: Arc<dyn Storage> = Arc::new(Bundle::open(target, "b").unwrap());
    assert_eq!(severity(&*bundle), Severity::Clean);
    let there = events(&bundle);
    assert_eq!(there.len(), expected.len());
    assert!(there == events(&store) && there != expected, "as it is after the last of them");
}

#[test]
fn two_copies_that_were_both_written_to_are_told_apart() {
    let store = memory();
    fill(&store, &sample());
    let (bytes, _) = bundle_bytes(&store, None);
    let copy = memory();
    import_into(&copy, &bytes).unwrap();
    let append = |store: &Arc<dyn Storage>, run| {
        options().open_on(Arc::clone(store)).unwrap().append(batch_of(run, &[(1, 50)], None)).unwrap();
    };
    append(&store, 1);
    let (newer, _) = bundle_bytes(&store, None);
    let brought = import_into(&copy, &newer).unwrap();
    assert!(brought.restored && brought.events_added == 1, "what the copy lacks is appended: {brought:?}");
    assert_eq!(events(&copy), events(&store));
    append(&store, 2);
    append(&copy, 1);
    let (newer, _) = bundle_bytes(&store, None);
    assert_eq!(import_into(&copy, &newer).expect_err("they differ").error.code(), "T0163");
}

/// The files of a store that tell what it is; hints and locks are nobody's business.
fn told(storage: &dyn Storage) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut left = vec![String::new()];
    while let Some(directory) = left.pop() {
        for entry in storage.list(&directory).unwrap_or_default() {
            let name = if directory.is_empty() { entry.name } else { format!("{directory}/{}", entry.name) };
            if entry.kind == crate::storage::EntryKind::Directory {
                left.push(name);
            } else if !["LOCK", "watermark", "runs.idx"].contains(&name.as_str()) {
                found.insert(name, entry.len_bytes);
            }
        }
    }
    found
}

#[test]
fn a_restore_is_whole_or_not_at_all_whenever_the_power_goes() {
    crate::lab_result::tell("bundle-restore-crashes", &["P1", "P2", "P5"], crash_restores);
}

fn crash_restores() -> (u64, Vec<(&'static str, u64)>) {
    let store = memory();
    let mut content = sample();
    content.batches.truncate(6);
    content.blobs = vec![300];
    fill(&store, &content);
    let (bytes, _) = bundle_bytes(&store, None);
    let expected = events(&store);
    let restore = |sim: &SimDisk| import_into(&(Arc::new(sim.process(1)) as Arc<dyn Storage>), &bytes).is_ok();
    let empty = SimDisk::new(21);
    let start = empty.next_operation();
    let whole = empty.clone();
    assert!(restore(&whole));
    let (mut before, mut after) = (0, 0);
    for operation in start..whole.next_operation() {
        for (number, fault) in [Fault::CrashBefore, Fault::CrashAfter].into_iter().enumerate() {
            let sim = empty.clone();
            sim.inject(operation, fault);
            restore(&sim);
            let cut = sim.power_cut(operation * 2 + number as u64);
            let storage: Arc<dyn Storage> = Arc::new(cut.process(2));
            match Reader::open_on(Arc::clone(&storage)) {
                Ok(reader) if reader.next_seq().unwrap() != crate::Seq::FIRST => {
                    assert_eq!(events(&storage), expected, "{operation} {fault:?}");
                    after += 1;
                }
                Ok(_) => panic!("{operation} {fault:?}: a store without events of some log"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{operation} {fault:?}: {error}");
                    before += 1;
                }
            }
            // Once more, and it is there.
            assert!(restore(&cut), "{operation} {fault:?}");
            let storage: Arc<dyn Storage> = Arc::new(cut.process(3));
            assert_eq!(events(&storage), expected, "{operation} {fault:?}");
            // A crash between the creation and the content of the settings had left an empty file, which the next restore took
            // for the store's own: the bundle of that lacked them.
            assert!(bundle_bytes(&storage, None).0 == bytes, "{operation} {fault:?}");
            assert!(
                storage.entry("restoring").unwrap().is_none() && storage.entry("segments.restoring").unwrap().is_none()
            );
        }
    }
    assert!(before > 30 && after > 4, "{before} {after}");
    (before + after, vec![("as_before", before), ("restored", after)])
}

#[test]
fn a_disk_that_fills_up_or_fails_takes_a_restore_back() {
    crate::lab_result::tell("bundle-restore-faults", &["P1", "P5"], fail_restores);
}

fn fail_restores() -> (u64, Vec<(&'static str, u64)>) {
    let store = memory();
    let mut content = sample();
    content.batches.truncate(6);
    fill(&store, &content);
    let (bytes, _) = bundle_bytes(&store, None);
    let empty = SimDisk::new(22);
    let process: Arc<dyn Storage> = Arc::new(empty.process(1));
    options().open_on(Arc::clone(&process)).unwrap().close().unwrap();
    let was = told(&*process);
    let start = empty.next_operation();
    let whole = empty.clone();
    import_into(&(Arc::new(whole.process(2)) as Arc<dyn Storage>), &bytes).unwrap();
    let (mut cases, mut failed) = (0, 0);
    for operation in start..whole.next_operation() {
        for failure in [crate::storage::Failure::NoSpace, crate::storage::Failure::InputOutput] {
            let sim = empty.clone();
            cases += 1;
            sim.inject(operation, Fault::Fail(failure));
            let storage: Arc<dyn Storage> = Arc::new(sim.process(2));
            let outcome = import_into(&storage, &bytes);
            let Ok(reader) = Reader::open_on(Arc::clone(&storage)) else {
                assert!(outcome.is_err());
                continue;
            };
            if reader.next_seq().unwrap() == crate::Seq::FIRST {
                let failure = outcome.expect_err("nothing is there");
                assert_eq!(failure.error.kind(), ErrorKind::Io, "{operation}: {failure}");
                failed += 1;
                if failure.error.code() == "T0312" {
                    let left: Vec<String> =
                        told(&*storage).into_keys().filter(|name| !was.contains_key(name)).collect();
                    assert!(left.iter().all(|name| name.ends_with(".tmp")), "{operation}: {left:?}");
                }
            }
        }
    }
    assert!(failed > 30, "{failed}");
    (cases, vec![("taken_back", failed)])
}

/// Where the disk of the bundle fills up or fails, the file has no name that is a bundle's, and the store is as it was.
#[test]
fn a_disk_that_fills_up_or_fails_leaves_no_bundle_in_part() {
    let store = memory();
    let mut content = sample();
    content.batches.truncate(6);
    fill(&store, &content);
    let (bytes, _) = bundle_bytes(&store, None);
    let was = told(&*store);
    let empty = SimDisk::new(23);
    let root = empty.process(1);
    root.create_dir("").and_then(|_| root.sync_dir("")).and_then(|()| root.sync_parent()).unwrap();
    let start = empty.next_operation();
    let whole = empty.clone();
    export(&store, None, &whole.process(1), "b", &mut go_on).unwrap();
    for operation in start..whole.next_operation() {
        let failures = [crate::storage::Failure::NoSpace, crate::storage::Failure::InputOutput].map(Fault::Fail);
        for fault in failures.into_iter().chain([Fault::CrashBefore, Fault::CrashAfter]) {
            let sim = empty.clone();
            sim.inject(operation, fault);
            let outcome = export(&store, None, &sim.process(1), "b", &mut go_on);
            let shelf = if sim.is_crashed() { sim.power_cut(operation).process(2) } else { sim.process(2) };
            let is_there = shelf.entry("b").is_ok_and(|entry| entry.is_some());
            assert!(!is_there || bytes_of(&shelf, "b") == bytes, "{operation} {fault:?}: a bundle in part");
            assert!(is_there || outcome.is_err(), "{operation} {fault:?}");
            assert!(told(&*store) == was, "{operation} {fault:?}: an export only reads");
        }
    }
}

#[test]
fn blocks_of_every_length_read_back_at_every_place() {
    let shelf = shelf();
    let file = shelf.open("x", OpenMode::CreateNew).unwrap_or_else(|_| shelf.open("x", OpenMode::Write).unwrap());
    for len in [0, 1, BLOCK_LEN_BYTES - 1, BLOCK_LEN_BYTES, BLOCK_LEN_BYTES + 1, 2 * BLOCK_LEN_BYTES + 77] {
        let mut state = 7_u32;
        let content: Vec<u8> = (0..len)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at % 5000 < 2500 { state.to_be_bytes()[0] } else { 7 }
            })
            .collect();
        let mut sink = member::Sink::new(&*file);
        let mut writer = member::MemberWriter::new(&mut sink);
        content.chunks(997).for_each(|chunk| writer.push(chunk).unwrap());
        let member = writer.finish("config.toml").unwrap();
        assert_eq!((member.len_bytes, member.digest), (len as u64, Digest::of(&content)));
        let shared: Arc<dyn StorageFile> = shelf.open("x", OpenMode::Read).unwrap().into();
        let read = member::MemberFile::open(shared, &member).unwrap();
        for start in [0, 1, len / 2, len.saturating_sub(3), len, len + 9] {
            let mut buffer = vec![0; 300_000];
            let count = read_full_at(&read, start as u64, &mut buffer).unwrap();
            let expected = content.get(start..).unwrap_or_default();
            assert_eq!(buffer[..count], expected[..expected.len().min(300_000)], "{len} {start}");
        }
    }
}
