//! A store, changed in any way: read, verified, planned for, opened, appended to, opened again.
//!
//! Nothing may panic or allocate by a length that nothing proves. What opens for writing keeps everything that a reader was
//! given as durable before, and what is acknowledged then is there when it is opened again.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arbitrary::Unstructured;
use taffrail::fold::{Snapshots, Start};
use taffrail::repair::{RepairMode, RepairPlan, UndoPlan};
use taffrail::run::{Change, Runs};
use taffrail::storage::{Memory, Storage};
use taffrail::{
    Batch, Depth, ErrorKind, Expect, Inspector, Journal, LockState, Mark, Options, Query, Reader, RecoveryPlan,
    Severity, StoreInfo, TypeEntry, VerifyOptions, stat, verify,
};

use super::edits::{self, Files};

fn options() -> Options {
    Journal::options().segment_len_bytes(8 << 10).lock_timeout_ms(1)
}

/// Three segments, runs of the built-in schema among them, a mark and a snapshot.
fn sound() -> &'static Files {
    static SOUND: OnceLock<Files> = OnceLock::new();
    SOUND.get_or_init(|| {
        let memory = Memory::new();
        let storage: Arc<dyn Storage> = Arc::new(memory.clone());
        let journal = options().create(true).open_on(Arc::clone(&storage)).expect("memory");
        let run = journal.run_or_create("nightly").expect("memory");
        let created = Change::Created {
            process: "release".to_owned(),
            process_digest: None,
            inputs: taffrail::run::Content::inline(&serde_json::json!({"n": 1})),
        };
        run.append(Expect::Any, &[created.by("uid:0"), Change::Paused { reason: "lunch".to_owned() }.by("uid:0")])
            .expect("memory");
        run.checkpoint::<Runs>().expect("memory");
        for number in 0..24_usize {
            journal
                .append(batch("other", &vec![b'a' + u8::try_from(number).expect("small"); number * 37]))
                .expect("memory");
        }
        journal.mark(Some("nightly"), &Mark { name: "here".to_owned(), note: String::new() }).expect("memory");
        journal.run("nightly").expect("it is there").snapshot::<Runs>().expect("memory");
        journal.append(batch("nightly", b"{}")).expect("memory");
        journal.close().expect("memory");
        edits::files(&memory)
    })
}

fn batch(run: &str, payload: &[u8]) -> Batch {
    let mut batch = Batch::new();
    let run = batch.run_or_create(run, Expect::Any);
    batch.event(
        Some(run),
        &Arc::new(TypeEntry { codec: taffrail::Codec::Bytes, ..TypeEntry::json("acme.deploy") }),
        payload,
    );
    batch
}

/// Everything that a reader gives as durable, until it says that something is wrong.
fn durable(storage: &Arc<dyn Storage>) -> BTreeMap<u64, Vec<u8>> {
    let mut found = BTreeMap::new();
    let Ok(reader) = Reader::open_on(Arc::clone(storage)) else { return found };
    let Ok(mut events) = reader.events(Query { durable_only: true, ..Query::all() }) else { return found };
    while let Ok(Some(record)) = events.next() {
        found.insert(record.seq.get(), record.payload.to_vec());
    }
    found
}

/// Every question that can be asked without changing anything; of those that come in kinds, one of them.
fn ask(storage: &Arc<dyn Storage>, kind: u8) {
    let before = edits::files(&**storage);
    let depth = [Depth::Decode, Depth::Frames, Depth::Chain, Depth::Decode][usize::from(kind >> 1 & 3)];
    if let Ok(report) = verify(&**storage, &VerifyOptions { depth }, &mut |_, _| {}) {
        assert!(report.totals.bytes_checked <= report.totals.bytes_total, "{report:?}");
        assert!(serde_json::to_string(&report).is_ok());
    }
    let _plan = RecoveryPlan::make(&**storage);
    let _state = LockState::read(&**storage);
    let _stat = stat(&**storage, 5);
    let _info = StoreInfo::read(&**storage);
    let mode = if kind & 8 == 0 { RepairMode::Tail } else { RepairMode::Salvage };
    let _plan = RepairPlan::make(&**storage, mode);
    let _undo = UndoPlan::make(storage, None);
    let _snapshots = Snapshots::new(Arc::clone(storage)).list();
    if let Ok(inspector) = Inspector::open(&**storage) {
        drop(inspector);
    }
    if let Ok(reader) = Reader::open_on(Arc::clone(storage)) {
        let _types = reader.types();
        let _gaps = reader.gaps();
        for run in reader.runs().unwrap_or_default().keys() {
            for start in [Start::Snapshot, Start::Origin] {
                let _state = reader.state::<Runs>(Some(*run), None, start);
            }
        }
        let backwards = reader.events(Query { reverse: true, ..Query::all() });
        if let Ok(mut events) = backwards {
            while let Ok(Some(_)) = events.next() {}
        }
    }
    assert!(edits::files(&**storage) == before, "reading has changed something");
}

/// The target.
pub fn run(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let Ok(rights) = input.arbitrary::<u8>() else { return };
    let mut files = sound().clone();
    if edits::apply(&mut files, &mut input).is_err() {
        return;
    }
    if rights & 1 != 0 {
        files.iter_mut().for_each(|(name, bytes)| edits::put_right(name, bytes));
    }
    let storage: Arc<dyn Storage> = Arc::new(edits::storage(&files));
    ask(&storage, rights);
    let before = durable(&storage);
    let journal = match options().open_on(Arc::clone(&storage)) {
        Ok(journal) => journal,
        Err(error) => {
            assert!(error.kind() != ErrorKind::Poisoned, "{error}");
            return;
        }
    };
    let kept = |what: &str| {
        let now = durable(&storage);
        for (seq, payload) in &before {
            assert!(
                now.get(seq) == Some(payload),
                "{what}: seq {seq} was durable, and is {:?}",
                now.get(seq).map(Vec::len)
            );
        }
    };
    kept("opening");
    let appended =
        journal.append(batch("nightly", b"appended")).or_else(|_| journal.append(batch("brand-new", b"appended")));
    let closed = journal.close();
    kept("appending");
    if let (Ok(appended), Ok(())) = (appended, closed) {
        let again = options().open_on(Arc::clone(&storage)).expect("what was closed in order opens again");
        drop(again);
        let there = durable(&storage).remove(&appended.last.get());
        // Behind damage a reader does not come to the end; but then verification says so.
        let report = verify(&*storage, &VerifyOptions::default(), &mut |_, _| {}).expect("it opened");
        if matches!(report.severity, Severity::Clean | Severity::TornTail) {
            assert_eq!(there.as_deref(), Some(&b"appended"[..]), "acknowledged, and not there: {report:?}");
        }
    }
}
