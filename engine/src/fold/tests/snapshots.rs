//! Snapshots: used when they can be trusted, passed over when not, never an error.

use super::{AllJobs, Job, Jobs, Tally, nightly, open, queued, read, store};
use crate::fold::{Event, Recorded, Snapshots, Start};
use crate::storage::{Memory, OpenMode, Storage, read_full_at, write_all_at};
use crate::{Expect, Fold, Journal, SyncPolicy};
use std::sync::Arc;

fn snapshots(storage: &Arc<Memory>) -> Snapshots {
    Snapshots::new(Arc::clone(storage) as Arc<dyn Storage>)
}

/// A run of three parts with a snapshot behind each.
fn three() -> (Arc<Memory>, Vec<crate::fold::Snapshot>) {
    three_in(store())
}

fn three_in(storage: Arc<Memory>) -> (Arc<Memory>, Vec<crate::fold::Snapshot>) {
    let journal = open(&storage);
    let run = journal.run_or_create("nightly").unwrap();
    let made = ["a", "b", "c"].map(|cmd| {
        run.append(Expect::Any, &[queued(cmd), Job::Done { exit: 2 }]).unwrap();
        run.snapshot::<Jobs>().unwrap()
    });
    run.append(Expect::Any, &[queued("tail")]).unwrap();
    journal.close().unwrap();
    (storage, made.to_vec())
}

fn rewrite(storage: &Memory, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let open = storage.open(file, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(open.len_bytes().unwrap()).unwrap()];
    read_full_at(&*open, 0, &mut bytes).unwrap();
    change(&mut bytes);
    storage.remove(file).unwrap();
    write_all_at(&*storage.open(file, OpenMode::CreateNew).unwrap(), 0, &bytes).unwrap();
}

#[test]
fn fold_the_newest_snapshot_is_used_and_gives_what_the_origin_gives() {
    let (storage, made) = three();
    let reader = read(&storage);
    let run = Some(made[0].head.run.unwrap());
    let origin = reader.state::<Jobs>(run, None, Start::Origin).unwrap();
    let loaded = reader.state::<Jobs>(run, None, Start::Snapshot).unwrap();
    assert_eq!((origin.snapshot, loaded.snapshot), (None, Some(made[2].head.seq)));
    assert_eq!((&loaded.standing.state, loaded.standing.events), (&origin.standing.state, 7));
    assert_eq!(loaded.standing.revision, origin.standing.revision);
    let before = reader.state::<Jobs>(run, Some(made[2].head.seq), Start::Snapshot).unwrap();
    assert_eq!((before.snapshot, before.standing.events), (Some(made[1].head.seq), 5));
    assert_eq!(snapshots(&storage).list().unwrap().snapshots, made);
}

#[test]
fn fold_spoiled_and_foreign_snapshots_are_passed_over_with_a_finding() {
    let (storage, made) = three();
    rewrite(&storage, &made[2].file, |bytes| bytes[40] ^= 4);
    rewrite(&storage, &made[1].file, |bytes| bytes.truncate(bytes.len() - 1));
    let run = made[0].head.run;
    let loaded = read(&storage).state::<Jobs>(run, None, Start::Snapshot).unwrap();
    assert_eq!(loaded.snapshot, Some(made[0].head.seq));
    let whys: Vec<&str> = loaded.findings.iter().map(|finding| finding.why.as_str()).collect();
    assert!(whys[0].contains("CRC") && whys[1].contains("bytes, and should have"), "{whys:?}");
    assert_eq!(snapshots(&storage).list().unwrap().findings.len(), 2);
    // The same run in another log: the file is whole, and says whose it is.
    let other = store();
    other.random_id().unwrap();
    let (other, theirs) = three_in(other);
    rewrite(&storage, &made[0].file, |bytes| {
        let open = other.open(&theirs[0].file, OpenMode::Read).unwrap();
        bytes.resize(usize::try_from(open.len_bytes().unwrap()).unwrap(), 0);
        read_full_at(&*open, 0, bytes).unwrap();
    });
    let loaded = read(&storage).state::<Jobs>(run, None, Start::Snapshot).unwrap();
    assert_eq!((loaded.snapshot, loaded.standing.events), (None, 7));
    assert!(loaded.findings[2].why.contains("another log"), "{:?}", loaded.findings);
}

#[test]
fn fold_a_snapshot_of_an_event_that_the_log_does_not_have_is_not_used() {
    let (storage, made) = three();
    let file = &made[2].file;
    let longer = file.replace(&format!("/{}.", made[2].head.seq), "/900.");
    rewrite(&storage, file, |bytes| {
        let (head, state) = crate::fold::snapshot::decode(bytes).unwrap();
        let head = crate::fold::SnapshotHead { seq: crate::Seq::new(900).unwrap(), ..head };
        *bytes = crate::fold::snapshot::encode(&head, state);
    });
    storage.rename(file, &longer).unwrap();
    let loaded = read(&storage).state::<Jobs>(made[0].head.run, None, Start::Snapshot).unwrap();
    assert_eq!(loaded.snapshot, Some(made[1].head.seq));
    assert!(loaded.findings[0].why.contains("no event 900"), "{:?}", loaded.findings);
}

struct JobsTwo;
impl Fold for JobsTwo {
    const NAME: &'static str = "acme.jobs";
    const VERSION: u32 = 2;
    type Event = Job;
    type State = (u64, Tally);
    fn apply(state: &mut (u64, Tally), event: &Recorded<Job>) {
        state.0 += 1;
        super::tally(&mut state.1, event);
    }
    fn migrate(version: u32, state: &[u8]) -> Option<(u64, Tally)> {
        let tally = crate::fold::codec::decode_state(state).ok()?;
        (version == 1).then_some((1_000, tally))
    }
}

#[test]
fn fold_snapshots_of_an_older_version_are_migrated() {
    let (storage, made) = three();
    let loaded = read(&storage).state::<JobsTwo>(made[0].head.run, None, Start::Snapshot).unwrap();
    assert_eq!((loaded.snapshot, loaded.standing.state.0), (Some(made[2].head.seq), 1_001));
    let older = read(&storage).state::<Jobs>(made[0].head.run, None, Start::Origin).unwrap();
    assert_eq!(loaded.standing.state.1, older.standing.state);
}

#[test]
fn fold_pruning_keeps_two_and_dropping_takes_one() {
    let (storage, made) = three();
    let run = made[0].head.run;
    assert_eq!(snapshots(&storage).prune::<Jobs>(run, 0).unwrap(), made[..1]);
    snapshots(&storage).drop(&made[2]).unwrap();
    assert_eq!(snapshots(&storage).drop(&made[2]).unwrap_err().code(), "T0510");
    assert_eq!(snapshots(&storage).list().unwrap().snapshots, made[1..2]);
}

#[test]
fn fold_only_durable_and_whole_states_get_a_snapshot() {
    let storage = store();
    let options = Journal::options().create(true).sync(SyncPolicy::Never);
    let journal = options.open_on(Arc::clone(&storage) as Arc<dyn Storage>).unwrap();
    let run = journal.run_or_create("a").unwrap();
    run.append(Expect::Any, &[queued("x")]).unwrap();
    let reader = journal.reader().unwrap();
    let standing = reader.state::<Jobs>(Some(run.number()), None, Start::Origin).unwrap().standing;
    let refused = snapshots(&storage).create(&reader, Some(run.number()), &standing).unwrap_err();
    assert_eq!(refused.code(), "T0512");
    assert!(run.snapshot::<Jobs>().is_ok(), "after a sync");
    let nothing = crate::Standing::<Jobs>::default();
    assert_eq!(snapshots(&storage).create(&reader, None, &nothing).unwrap_err().code(), "T0512");
}

#[test]
fn fold_projections_over_the_store_have_snapshots_too() {
    let storage = nightly(2);
    let reader = read(&storage);
    let standing = reader.state::<AllJobs>(None, None, Start::Origin).unwrap().standing;
    snapshots(&storage).create(&reader, None, &standing).unwrap();
    open(&storage).run_or_create("b").unwrap().append(Expect::Any, &[queued("y")]).unwrap();
    let reader = read(&storage);
    let loaded = reader.state::<AllJobs>(None, None, Start::Snapshot).unwrap();
    assert_eq!((loaded.snapshot, loaded.standing.events), (standing.seq, 5));
    let origin = reader.state::<AllJobs>(None, None, Start::Origin).unwrap();
    assert_eq!(loaded.standing.state, origin.standing.state);
    assert_eq!(Job::TYPE, "acme.job");
}
