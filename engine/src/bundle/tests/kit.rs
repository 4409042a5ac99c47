//! A store with everything that goes into a bundle, and ways to make bundles of it.

use crate::blob::{Blobs, Digest};
use crate::bundle::{Bundle, BundleReport, export, import};
use crate::error::Result;
use crate::import::{ImportFailure, ImportReport};
use crate::plan::Authority;
use crate::storage::{Memory, OpenMode, Storage, read_full_at, write_all_at};
use crate::{
    Batch, Codec, Event, Expect, Fold, Journal, Mark, Options, Query, Reader, Recorded, Severity, TypeEntry,
    VerifyOptions, verify,
};
use proptest::prelude::*;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub(super) fn options() -> Options {
    Journal::options().create(true).segment_len_bytes(9 << 10)
}

/// A storage whose store will have a log id that no other one here has.
pub(super) fn memory() -> Arc<dyn Storage> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let memory = Memory::new();
    for _ in 0..COUNT.fetch_add(1, Ordering::Relaxed) {
        memory.random_id().unwrap();
    }
    Arc::new(memory)
}

pub(super) fn go_on(_: &'static str, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(super) fn shelf() -> Arc<dyn Storage> {
    let shelf: Arc<dyn Storage> = Arc::new(Memory::new());
    shelf.create_dir("").unwrap();
    shelf
}

pub(super) fn bytes_of(storage: &dyn Storage, name: &str) -> Vec<u8> {
    let file = storage.open(name, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
    read_full_at(&*file, 0, &mut bytes).unwrap();
    bytes
}

pub(super) fn put(storage: &dyn Storage, name: &str, bytes: &[u8]) {
    let file = storage.open(name, OpenMode::CreateNew).unwrap();
    write_all_at(&*file, 0, bytes).unwrap();
}

pub(super) fn bundle_bytes(store: &Arc<dyn Storage>, run: Option<&str>) -> (Vec<u8>, BundleReport) {
    let shelf = shelf();
    let report = export(store, run, &*shelf, "b", &mut go_on).unwrap();
    assert_eq!(shelf.list("").unwrap().len(), 1, "the temporary file is gone");
    (bytes_of(&*shelf, "b"), report)
}

pub(super) fn opened(bytes: &[u8]) -> Result<Bundle> {
    let shelf = shelf();
    put(&*shelf, "b", bytes);
    Bundle::open(shelf, "b")
}

pub(super) fn import_into(
    store: &Arc<dyn Storage>,
    bytes: &[u8],
) -> std::result::Result<ImportReport, Box<ImportFailure>> {
    let bundle = opened(bytes).map_err(|error| ImportFailure { error, report: Box::new(ImportReport::default()) });
    import(&bundle.map_err(Box::new)?, store, options(), false, &mut go_on).map_err(Box::new)
}

/// What a store is filled with.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) batches: Vec<(u8, Vec<(u8, u16)>)>,
    pub(super) blobs: Vec<u16>,
    pub(super) snapshots: bool,
    pub(super) config: bool,
    /// Which segment loses an event to damage and its salvage.
    pub(super) gap: Option<u8>,
    pub(super) reopen_after: Option<u8>,
}

pub(super) fn content() -> impl Strategy<Value = Content> {
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
pub(super) struct Tick(pub(super) u32);

impl Event for Tick {
    const TYPE: &'static str = "acme.tick";
    const VERSION: u16 = 1;

    fn kind(&self) -> &'static str {
        "Tick"
    }
}

pub(super) struct Count;

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
pub(super) fn batch_of(run: u8, events: &[(u8, u16)], blob: Option<&Digest>) -> Batch {
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

pub(super) fn fill(store: &Arc<dyn Storage>, content: &Content) {
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
pub(super) fn damage_and_salvage(store: &Arc<dyn Storage>, which: u8) {
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
    plan.apply(store, &agreed(&plan.id, plan.lost)).unwrap();
}

pub(super) fn agreed(plan: &str, accept_loss: u64) -> Authority {
    let (plan, reason, actor) = (plan.to_owned(), "a test".to_owned(), "uid:0".to_owned());
    Authority { plan, accept_loss, reason, actor, lock_timeout_ms: 1000 }
}

pub(super) fn severity(storage: &dyn Storage) -> Severity {
    verify(storage, &VerifyOptions::default(), &mut |_, _| {}).unwrap().severity
}

/// Seq, run, revision, time, type, payload.
pub(super) type Told = (u64, u64, u32, i64, String, Vec<u8>);

pub(super) fn events(storage: &Arc<dyn Storage>) -> Vec<Told> {
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

pub(super) fn sample() -> Content {
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
