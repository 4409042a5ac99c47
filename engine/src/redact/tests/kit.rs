//! A store with a secret in many places, and ways to find it.

use crate::blob::Blobs;
use crate::bundle;
use crate::plan::Authority;
use crate::redact::{RedactPlan, Redacted, Selector, pattern};
use crate::storage::{EntryKind, OpenMode, Storage, read_full_at, write_all_at};
use crate::{
    Batch, Codec, Event, Expect, Fold, Journal, Options, Query, Reader, Recorded, Seq, Severity, TypeEntry,
    VerifyOptions, VerifyReport, verify,
};
use std::ops::ControlFlow;
use std::sync::Arc;

/// What must not be found in the end.
pub(super) const SECRET: &str = "hunter2-correct-horse";

pub(super) fn options() -> Options {
    Journal::options().create(true).segment_len_bytes(9 << 10)
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Said(pub(super) String);

impl Event for Said {
    const TYPE: &'static str = "acme.said";
    const VERSION: u16 = 1;

    fn kind(&self) -> &'static str {
        "Said"
    }
}

/// Remembers what was said last, and how often something was.
pub(super) struct Talk;

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
pub(super) fn store(storage: &Arc<dyn Storage>) {
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

pub(super) fn entry(name: &str, codec: Codec) -> Arc<TypeEntry> {
    Arc::new(TypeEntry { codec, ..TypeEntry::json(name) })
}

pub(super) fn put(storage: &dyn Storage, name: &str, bytes: &[u8]) {
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

pub(super) fn read(storage: &dyn Storage, name: &str) -> Vec<u8> {
    let file = storage.open(name, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
    read_full_at(&*file, 0, &mut bytes).unwrap();
    bytes
}

/// Copies as repairs, compactions and people leave them.
pub(super) fn copies(storage: &Arc<dyn Storage>) {
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
pub(super) fn files(storage: &dyn Storage) -> Vec<String> {
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
pub(super) fn holders(storage: &Arc<dyn Storage>) -> Vec<String> {
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

pub(super) fn authority(plan: &RedactPlan) -> Authority {
    Authority {
        plan: plan.id.clone(),
        accept_loss: plan.lost,
        reason: "it leaked".to_owned(),
        actor: "uid:0".to_owned(),
        lock_timeout_ms: 1000,
    }
}

pub(super) fn go_on(_: &'static str, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(super) fn of_pattern() -> Selector {
    Selector { pattern: Some(pattern("hunter2-[a-z-]+").unwrap()), ..Selector::default() }
}

pub(super) fn verified(storage: &dyn Storage) -> VerifyReport {
    let report = verify(storage, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert_eq!(report.severity, Severity::Clean, "{:?}", report.findings);
    report
}

pub(super) type Told = (u64, Option<Seq>, u32, i64, String, bool, Vec<u8>);

pub(super) fn events(storage: &Arc<dyn Storage>) -> Vec<Told> {
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

pub(super) fn planned(storage: &Arc<dyn Storage>, selector: &Selector) -> RedactPlan {
    RedactPlan::make(storage, selector, &mut go_on).unwrap()
}

/// Plans and carries out.
pub(super) fn redacted(storage: &Arc<dyn Storage>, selector: &Selector) -> (RedactPlan, Redacted) {
    let plan = planned(storage, selector);
    let done = plan.apply(storage, selector, &authority(&plan), &mut go_on).unwrap();
    (plan, done)
}

/// A run with an event of JSON for each text.
pub(super) fn json_store(storage: &Arc<dyn Storage>, payloads: &[String]) {
    let journal = options().open_on(Arc::clone(storage)).unwrap();
    let json = Arc::new(TypeEntry::json("acme.json"));
    for payload in payloads {
        let mut batch = Batch::new();
        let run = Some(batch.run_or_create("run", Expect::Any));
        batch.event(run, &json, payload.as_bytes());
        journal.append(batch).unwrap();
    }
    journal.close().unwrap();
}
