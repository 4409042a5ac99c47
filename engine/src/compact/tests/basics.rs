//! What is there before a compaction, and what is there after it.

use super::kit::{
    Sum, authority, change, compact, events, finished, options, plan, prefix, reader, snapshots, states, ticks,
    whole_run,
};
use crate::compact::{ForgetPlan, Originals};
use crate::fold::{Start, check};
use crate::log::compact::archive;
use crate::log::paths;
use crate::repair::{RepairMode, RepairPlan};
use crate::run::{Change, Content, Runs, overview};
use crate::storage::{Memory, Storage};
use crate::{
    Depth, ErrorKind, Expect, GapReason, Record, SegmentNumber, SegmentVerdict, Seq, Severity, VerifyOptions, verify,
};
use std::sync::Arc;

/// Three runs that have ended and one that goes on, in many segments.
pub(super) fn store() -> Arc<dyn Storage> {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    for part in 0..4 {
        ticks(&journal, "open", part * 12..part * 12 + 12);
        whole_run(&journal, &format!("ended-{part}"), part * 18..part * 18 + 18);
    }
    ticks(&journal, "open", 200..230);
    journal.close().unwrap();
    storage
}

pub(super) fn is_clean(storage: &Arc<dyn Storage>) {
    let report = verify(&**storage, &VerifyOptions { depth: Depth::Decode }, &mut |_, _| {}).unwrap();
    assert_eq!((report.severity, report.findings.len()), (Severity::Clean, 0), "{report:#?}");
}

#[test]
fn runs_that_have_ended_go_and_everything_else_stays_as_it_is() {
    let storage = store();
    let before = events(&reader(&storage));
    let sums = states::<Sum>(&reader(&storage));
    let files = storage.list("segments").unwrap();
    let planned = plan(&storage, &finished(), Originals::Archived);
    assert_eq!(storage.list("segments").unwrap(), files, "a plan changes nothing");
    assert!(storage.entry("archive").unwrap().is_none());
    assert_eq!(planned.runs.len(), 4);
    assert!(planned.events > 60 && planned.bytes_after_at_most < planned.bytes_now, "{planned:#?}");

    let (plan, applied) = compact(&storage, &finished(), Originals::Archived);
    assert_eq!((plan.id.clone(), applied.lost), (planned.id, 0));
    is_clean(&storage);

    // What is left is what was there, without the events that went, and with the one that tells of it.
    let gone: Vec<u64> = plan.runs.iter().map(|run| run.run).collect();
    let mut after = events(&reader(&storage));
    let told = after.pop().unwrap();
    assert_eq!((told.0, told.3.as_str()), (applied.event, "OperatorAction"));
    assert_eq!(applied.event, before.len() as u64 + 1, "no seq is issued twice");
    let newest = reader(&storage).segments().last().copied();
    let stays = |line: &&super::kit::Line| {
        let is_of_gone = line.1.is_some_and(|run| gone.contains(&run));
        let is_last = before.iter().rev().find(|other| other.1 == line.1).is_some_and(|last| last.0 == line.0);
        let first_of_newest = reader(&storage).head_of(newest.unwrap()).unwrap().0.first_seq.get();
        !is_of_gone || line.1 == Some(line.0) || is_last || line.0 >= first_of_newest
    };
    let expected: Vec<_> = before.iter().filter(stays).cloned().collect();
    assert_eq!(after, expected);
    assert_eq!(before.len() - expected.len(), usize::try_from(plan.events).unwrap());

    // Single events are found between those that are missing, whether places are known already or not.
    let single = reader(&storage);
    for line in before.iter().rev().chain(&before) {
        let found = single.get(Seq::new(line.0).unwrap()).unwrap();
        let same = |record: Record<'_>| (record.seq.get(), record.revision, record.payload.to_vec());
        let stayed = after.iter().find(|stayed| stayed.0 == line.0);
        assert_eq!(found.map(same), stayed.map(|line| (line.0, line.2, line.4.clone())));
    }

    // Absences are recorded with reason, digest and place.
    let gaps = reader(&storage).gaps().unwrap();
    let absent: u64 = gaps.iter().map(|gap| gap.last.get() - gap.first.get() + 1).sum();
    assert_eq!(absent, plan.events);
    assert!(
        gaps.iter().all(|gap| gap.reason == GapReason::Compacted && Some(&gap.kept_in) == applied.kept_in.as_ref())
    );

    // The run that stays folds to what it was; names and revisions go on.
    let open = reader(&storage).find_run("open").unwrap().run;
    assert_eq!(states::<Sum>(&reader(&storage)).get(&Some(open)), sums.get(&Some(open)));
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let ended = journal.run("ended-0").unwrap();
    let revision = before.iter().filter(|line| line.1 == Some(ended.number().get())).count();
    assert_eq!(ended.revision() as usize, revision);
    let conflict = ended.append(Expect::Revision(ended.revision() - 1), &[super::kit::Tick(1, String::new())]);
    assert_eq!(conflict.unwrap_err().kind(), ErrorKind::Conflict);
    ended.append(Expect::Revision(ended.revision()), &[super::kit::Tick(1, String::new())]).unwrap();
    journal.close().unwrap();
    is_clean(&storage);
}

#[test]
fn the_state_of_a_run_that_went_comes_from_the_archive_or_is_a_typed_error() {
    let storage = store();
    let run = reader(&storage).find_run("ended-1").unwrap().run;
    let before = states::<Sum>(&reader(&storage))[&Some(run)].0;
    let (_, applied) = compact(&storage, &finished(), Originals::Archived);
    let state = reader(&storage).state::<Sum>(Some(run), None, Start::Snapshot).unwrap().standing;
    assert_eq!((state.digest().unwrap(), state.is_incomplete()), (before, false));

    // The archive is a store: it can be verified, dumped and folded in place.
    let whole = reader(&storage).with_archives().unwrap().unwrap();
    assert_eq!(states::<Sum>(&whole)[&Some(run)], (before, true));

    let kept_in = applied.kept_in.unwrap();
    // Moved away, it is told what is missing and where it was.
    for entry in storage.list(&format!("{kept_in}/segments")).unwrap() {
        storage.remove(&format!("{kept_in}/segments/{}", entry.name)).unwrap();
    }
    let error = reader(&storage).state::<Sum>(Some(run), None, Start::Snapshot).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Compacted, "T0508"), "{error}");
    assert!(error.message().contains(&kept_in), "{error}");
    is_clean(&storage);
}

#[test]
fn what_lies_before_snapshots_goes_and_every_state_stays() {
    let storage = store();
    snapshots(&storage);
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    ticks(&journal, "open", 300..312);
    change(&journal, "later", Change::Created { process: "p".into(), process_digest: None, inputs: Content::None });
    journal.close().unwrap();
    let (sums, runs) = (states::<Sum>(&reader(&storage)), states::<Runs>(&reader(&storage)));
    let listed = || {
        let mut listed = overview(&reader(&storage)).unwrap().runs;
        // Of a run that is not of the run schema, the events that are there are counted.
        listed.iter_mut().filter(|run| run.status.is_none()).for_each(|run| run.events = 0);
        // That the state begins at a snapshot now is told.
        listed.iter_mut().for_each(|run| run.snapshot = None);
        listed
    };
    let listed_before = listed();
    let (plan, _) = compact(&storage, &prefix(), Originals::Archived);
    assert!(plan.runs.iter().all(|run| run.is_covered) && plan.runs.len() == 5, "{plan:#?}");
    is_clean(&storage);
    let compacted = reader(&storage);
    assert_eq!((states::<Sum>(&compacted), states::<Runs>(&compacted)), (sums.clone(), runs));
    assert_eq!(listed(), listed_before, "run list says the same");
    for (run, (digest, _)) in sums {
        let loaded = compacted.state::<Sum>(run, None, Start::Snapshot).unwrap();
        assert_eq!(loaded.standing.digest().unwrap(), digest);
    }
    let report = check::<Sum>(&compacted, None).unwrap();
    assert!(report.runs.iter().all(|run| run.divergence.is_none() && run.missing.is_empty()), "{report:#?}");
    // Doing it again does nothing.
    assert!(super::kit::plan(&storage, &prefix(), Originals::Archived).is_empty());
}

#[test]
fn without_a_snapshot_a_run_stays_and_the_plan_says_why() {
    let storage = store();
    let planned = plan(&storage, &prefix(), Originals::Archived);
    assert!(planned.is_empty());
    assert_eq!(planned.stays.len(), 5);
    assert!(planned.stays.iter().all(|run| run.why.contains("no snapshot of")), "{:?}", planned.stays);
}

#[test]
fn dropping_takes_snapshots_of_every_fold_and_the_exact_loss() {
    let storage = store();
    let planned = plan(&storage, &finished(), Originals::Dropped);
    assert!(planned.is_empty() && planned.stays.len() == 4, "nothing makes up for the events: {planned:#?}");
    snapshots(&storage);
    let planned = plan(&storage, &finished(), Originals::Dropped);
    assert_eq!((planned.lost, planned.runs.len()), (planned.events, 4));
    let mut wrong = authority(&planned);
    wrong.accept_loss -= 1;
    let refused = planned.apply(&storage, &wrong, &mut |_| {}).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Rejected, "T0402"));
    let before = states::<Sum>(&reader(&storage));
    let applied = planned.apply(&storage, &authority(&planned), &mut |_| {}).unwrap();
    assert_eq!((applied.lost, applied.kept_in), (planned.events, None));
    is_clean(&storage);
    assert_eq!(states::<Sum>(&reader(&storage)), before);
    assert!(reader(&storage).gaps().unwrap().iter().all(|gap| gap.kept_in.is_empty()));
    assert!(reader(&storage).with_archives().unwrap().is_none());
}

#[test]
fn a_plan_is_stale_when_a_run_that_goes_has_changed_and_not_when_another_has() {
    let storage = store();
    let first = plan(&storage, &finished(), Originals::Archived);
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    ticks(&journal, "open", 400..406);
    journal.close().unwrap();
    assert_eq!(plan(&storage, &finished(), Originals::Archived).id, first.id, "appends elsewhere do not spoil it");
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    ticks(&journal, "ended-2", 1..2);
    journal.close().unwrap();
    let before = storage.list("segments").unwrap();
    let refused = first.apply(&storage, &authority(&first), &mut |_| {}).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Rejected, "T0401"));
    assert_eq!(storage.list("segments").unwrap(), before, "nothing was changed");
    assert_ne!(plan(&storage, &finished(), Originals::Archived).id, first.id);
}

#[test]
fn two_compactions_after_each_other_keep_every_original() {
    let storage = store();
    let original = events(&reader(&storage));
    let (first, _) = compact(&storage, &finished(), Originals::Archived);
    snapshots(&storage);
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    ticks(&journal, "open", 500..530);
    journal.close().unwrap();
    let (second, _) = compact(&storage, &prefix(), Originals::Archived);
    assert!(first.id != second.id && second.runs.iter().any(|run| run.name.as_deref() == Some("open")));
    is_clean(&storage);
    let whole = reader(&storage).with_archives().unwrap().unwrap();
    let all = events(&whole);
    assert_eq!(all[..original.len()], original, "the archives hold what was there at first");
    assert!(all.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0), "and nothing is missing");
}

#[test]
fn a_journal_and_a_reader_that_were_open_all_the_time_go_on() {
    let storage = store();
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let open = journal.run("open").unwrap();
    let ended = journal.run("ended-1").unwrap();
    let (revision, highest) = (ended.revision(), reader(&storage).next_seq().unwrap());
    let before = events(&reader(&storage));
    let beside = reader(&storage);
    let mut half_read = beside.events(crate::Query::all()).unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(half_read.next().unwrap().unwrap().seq);
    }
    compact(&storage, &finished(), Originals::Archived);
    // The journal has places in segments in mind that are other files now.
    let tick = || [super::kit::Tick(1, String::new())];
    let conflict = ended.append(Expect::Revision(revision - 1), &tick()).unwrap_err();
    assert_eq!(conflict.kind(), ErrorKind::Conflict, "{conflict}");
    let appended = ended.append(Expect::Revision(revision), &tick()).unwrap();
    assert!(appended.first > highest, "behind the event that tells of the compaction");
    open.append(Expect::Any, &tick()).unwrap();
    assert!(journal.run("ended-2").unwrap().append(Expect::Any, &tick()).unwrap().first > appended.first);
    journal.close().unwrap();
    is_clean(&storage);
    // What was being read goes on: over originals, or over recorded absences.
    while let Some(record) = half_read.next().unwrap() {
        seen.push(record.seq);
    }
    let left: Vec<u64> = events(&reader(&storage)).iter().map(|line| line.0).collect();
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(left.iter().filter(|seq| **seq <= before.len() as u64).all(|seq| seen.iter().any(|it| it.get() == *seq)));
}

/// An original that somebody had copied back beside the segment that stands for it was "replaced" to verify, which called the
/// store clean; readers missed the segment before it, and a salvage was about to record that one's events as lost.
#[test]
fn an_original_that_was_put_back_is_damage_until_it_is_moved_away() {
    let storage = store();
    let (_, applied) = compact(&storage, &finished(), Originals::Archived);
    let before = events(&reader(&storage));
    let original = paths::segment(SegmentNumber::new(2).unwrap());
    assert!(storage.entry(&original).unwrap().is_none());
    archive::copy(&*storage, &format!("{}/{original}", applied.kept_in.unwrap()), &original).unwrap();

    let report = verify(&*storage, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert_eq!(report.severity, Severity::Damaged, "{report:#?}");
    assert_eq!(report.segments[0].verdict, SegmentVerdict::Duplicate, "{report:#?}");
    let refused = RepairPlan::make(&*storage, RepairMode::Salvage).unwrap_err();
    assert_eq!((refused.code(), refused.at().segment), ("T0304", SegmentNumber::new(2)), "{refused}");

    storage.remove(&original).unwrap();
    is_clean(&storage);
    assert_eq!(events(&reader(&storage)), before);
}

#[test]
fn what_is_forgotten_is_counted_named_and_gone() {
    let storage = store();
    let run = reader(&storage).find_run("ended-1").unwrap().run;
    let (planned, applied) = compact(&storage, &finished(), Originals::Archived);
    let directory = applied.kept_in.unwrap();
    let forget = ForgetPlan::make(&storage, &[directory.clone()].into()).unwrap();
    assert_eq!((forget.lost, forget.runs.len()), (planned.events, 4), "{forget:?}");
    assert_eq!(forget.runs.iter().map(|run| run.events).sum::<u64>(), planned.events);
    let agreed = |plan: &ForgetPlan, accept_loss| crate::plan::Authority {
        plan: plan.name().to_owned(),
        accept_loss,
        reason: "a test".into(),
        actor: "uid:0".into(),
        lock_timeout_ms: 500,
    };
    assert_eq!(forget.apply(&storage, &agreed(&forget, 0)).unwrap_err().code(), "T0402");
    let applied = forget.apply(&storage, &agreed(&forget, forget.lost)).unwrap();
    assert_eq!((applied.lost, applied.kept_in), (planned.events, None));
    assert!(storage.entry(&directory).unwrap().is_none());
    let error = reader(&storage).state::<Sum>(Some(run), None, Start::Snapshot).unwrap_err();
    assert_eq!(error.code(), "T0508", "{error}");
    is_clean(&storage);
    assert_eq!(ForgetPlan::make(&storage, &[directory].into()).unwrap_err().code(), "T0411");
    assert_eq!(crate::repair::UndoPlan::make(&storage, None).unwrap_err().code(), "T0404");
}

/// A writer waits for a compaction as long as for a rotation: in the lock, the compaction reads no segment and no run, and
/// syncs less often than a rotation does.
#[test]
fn in_the_lock_a_compaction_does_less_than_a_rotation() {
    let disk = crate::storage::SimDisk::new(3);
    let storage: Arc<dyn Storage> = Arc::new(disk.process(1));
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    for part in 0..4 {
        whole_run(&journal, &format!("ended-{part}"), part * 18..part * 18 + 18);
    }
    let from = disk.next_operation();
    ticks(&journal, "open", 0..36);
    let rotation = most_in_the_lock(&disk, from);
    journal.close().unwrap();
    let planned = plan(&storage, &finished(), Originals::Archived);
    assert!(planned.segments.iter().map(|it| it.segments.len()).sum::<usize>() > 2, "{planned:#?}");
    let from = disk.next_operation();
    planned.apply(&storage, &authority(&planned), &mut |_| {}).unwrap();
    let compaction = most_in_the_lock(&disk, from);
    assert!(rotation.0 >= 3, "a rotation syncs the old segment, the new one and their directory: {rotation:?}");
    assert!(compaction.0 <= rotation.0, "{compaction:?} syncs and bytes, and of a rotation {rotation:?}");
    assert!(compaction.1 <= rotation.1.max(48 << 10), "{compaction:?} syncs and bytes, and of a rotation {rotation:?}");
}

/// Syncs, and bytes asked for by reads and writes, while somebody held the store's lock: the most of each.
fn most_in_the_lock(disk: &crate::storage::SimDisk, from: u64) -> (u64, u64) {
    use crate::storage::OperationKind as Kind;
    let (mut most, mut now, mut is_held) = ((0, 0), (0, 0), false);
    for call in disk.ops().iter().filter(|call| call.index >= from) {
        match call.kind {
            Kind::TryLock if &*call.name == "LOCK" => (is_held, now) = (true, (0, 0)),
            Kind::Unlock if &*call.name == "LOCK" => is_held = false,
            Kind::SyncAll | Kind::SyncData | Kind::SyncDir if is_held => now.0 += 1,
            Kind::ReadAt | Kind::WriteAt if is_held => now.1 += call.len_bytes,
            _ => {}
        }
        most = (most.0.max(now.0), most.1.max(now.1));
    }
    most
}

pub(super) fn agreed(plan: &str) -> crate::plan::Authority {
    let (plan, reason, actor) = (plan.to_owned(), "a test".to_owned(), "uid:0".to_owned());
    crate::plan::Authority { plan, accept_loss: 0, reason, actor, lock_timeout_ms: 500 }
}

/// Forks a run at one of its events, by its ordinal.
pub(super) fn fork(storage: &Arc<dyn Storage>, parent: &str, at: usize, name: &str) -> crate::Result<()> {
    let run = reader(storage).find_run(parent).unwrap().run;
    let whole = reader(storage).with_archives().unwrap().unwrap_or_else(|| reader(storage));
    let of_run: Vec<u64> = events(&whole).iter().filter(|line| line.1 == Some(run.get())).map(|line| line.0).collect();
    let at = crate::Seq::new(of_run[at]).unwrap();
    let plan = crate::run::ForkPlan::make(&reader(storage), run, at, name)?;
    plan.apply(storage, &agreed(plan.name())).map(|_| ())
}

fn state(storage: &Arc<dyn Storage>, name: &str) -> Result<(crate::StateDigest, bool), &'static str> {
    let run = reader(storage).find_run(name).unwrap().run;
    let loaded = reader(storage).state::<Runs>(Some(run), None, Start::Snapshot).map_err(|error| error.code())?;
    Ok((loaded.standing.digest().unwrap(), loaded.standing.is_incomplete()))
}

/// Two runs that had both ended went together, a parent and its fork, although the fork had no snapshot: its state was then
/// begun from a parent that lacked the event which was forked at, and said to be complete.
#[test]
fn a_run_stays_until_its_forks_have_snapshots() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    whole_run(&journal, "parent", 0..12);
    journal.close().unwrap();
    let parent = reader(&storage).find_run("parent").unwrap();
    fork(&storage, "parent", parent.revision as usize - 1, "fork").unwrap();
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    ticks(&journal, "open", 0..24);
    journal.close().unwrap();
    let before = (state(&storage, "parent"), state(&storage, "fork"));
    let planned = plan(&storage, &finished(), Originals::Archived);
    assert!(planned.runs.is_empty(), "{planned:#?}");
    assert!(planned.stays.iter().any(|stays| stays.why.contains("began as it, and has no snapshot")), "{planned:#?}");
    let run = reader(&storage).find_run("fork").unwrap().run;
    let loaded = reader(&storage).state::<Runs>(Some(run), None, Start::Origin).unwrap();
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    crate::Snapshots::new(Arc::clone(&storage)).create(&journal, Some(run), &loaded.standing).unwrap();
    journal.close().unwrap();
    let (plan, _) = compact(&storage, &finished(), Originals::Archived);
    assert!(plan.runs.iter().any(|run| run.name.as_deref() == Some("parent")), "{plan:#?}");
    assert_eq!((state(&storage, "parent"), state(&storage, "fork")), before);
    is_clean(&storage);
}

/// A fork that was made of an archived run began as nothing, and said that it was complete.
#[test]
fn a_fork_of_an_archived_run_begins_as_what_is_in_the_archive() {
    let storage = store();
    compact(&storage, &finished(), Originals::Archived);
    let Ok(()) = fork(&storage, "ended-1", 1, "fork") else { panic!("the archive is read in place") };
    let found = state(&storage, "fork");
    let undo = crate::repair::UndoPlan::make(&storage, None).unwrap();
    undo.apply(&storage, &agreed(undo.name())).unwrap();
    assert_eq!(found, state(&storage, "fork"), "with the events back in the log, it is the same");
    is_clean(&storage);
}

/// What was dropped once is nowhere; the events behind the snapshot that makes up for it went to an archive, from whose first
/// event on the state was asked for, and not found (T0508).
#[test]
fn what_is_archived_behind_what_was_dropped_begins_at_the_snapshot() {
    let storage = store();
    snapshots(&storage);
    compact(&storage, &finished(), Originals::Dropped);
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    ticks(&journal, "ended-1", 0..12);
    change(&journal, "ended-1", Change::Completed { output: Content::None });
    ticks(&journal, "open", 600..630);
    journal.close().unwrap();
    let before = state(&storage, "ended-1");
    let (plan, _) = compact(&storage, &finished(), Originals::Archived);
    assert!(plan.runs.iter().any(|run| run.name.as_deref() == Some("ended-1")), "{plan:#?}");
    assert_eq!(state(&storage, "ended-1"), before);
    is_clean(&storage);
}
