//! Redactions of what a compaction has taken out of the log.

use super::kit::{Sum, compact, finished, options, reader, states, ticks, whole_run};
use crate::compact::Originals;
use crate::plan::Authority;
use crate::redact::{RedactPlan, Selector, unfinished};
use crate::repair::UndoPlan;
use crate::storage::{Fault, Memory, SimDisk, Storage};
use crate::{Query, Reader, Seq, Severity, VerifyOptions, verify};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

/// By seq: whether it is redacted, and the payload.
type Payloads = BTreeMap<u64, (bool, Vec<u8>)>;

fn payloads(reader: &Reader) -> Payloads {
    let mut all = Payloads::new();
    let mut take = |record: crate::Record<'_>| {
        all.insert(record.seq.get(), (record.redacted, record.payload.to_vec()));
        Ok(true)
    };
    reader.events(Query::all()).unwrap().for_each(&mut take).unwrap();
    all
}

/// Segments in which events of runs that have ended lie beside those of one that goes on.
fn fill(storage: &Arc<dyn Storage>) {
    let journal = options().segment_len_bytes(16 << 10).open_on(Arc::clone(storage)).unwrap();
    for part in 0..2 {
        ticks(&journal, "open", part * 12..part * 12 + 12);
        whole_run(&journal, &format!("ended-{part}"), part * 18..part * 18 + 18);
    }
    ticks(&journal, "open", 200..224);
    journal.close().unwrap();
}

fn agreed(plan: &str, accept_loss: u64) -> Authority {
    let (plan, reason, actor) = (plan.to_owned(), "a test".to_owned(), "uid:0".to_owned());
    Authority { plan, accept_loss, reason, actor, lock_timeout_ms: 500 }
}

fn go_on(_: &'static str, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn redact(storage: &Arc<dyn Storage>, seqs: &BTreeSet<Seq>) -> crate::Result<()> {
    let selector = Selector { events: seqs.clone(), ..Selector::default() };
    let plan = RedactPlan::make(storage, &selector, &mut go_on)?;
    if plan.is_empty() {
        return Ok(());
    }
    plan.apply(storage, &selector, &agreed(&plan.id, plan.lost), &mut go_on).map(|_| ())
}

fn undo(storage: &Arc<dyn Storage>) -> crate::Result<()> {
    let plan = UndoPlan::make(storage, None)?;
    plan.apply(storage, &agreed(&plan.id, 0)).map(|_| ())
}

fn is_clean(storage: &dyn Storage) {
    let report = verify(storage, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert_eq!((report.severity, report.findings.len()), (Severity::Clean, 0), "{report:#?}");
}

/// One event that only the archive has, and one that stayed in a segment that was compacted.
fn chosen(storage: &Arc<dyn Storage>, segments: &BTreeSet<u32>) -> BTreeSet<Seq> {
    let (mut left, mut chosen) = (BTreeSet::new(), BTreeSet::new());
    let mut staying = None;
    reader(storage)
        .events(Query::all())
        .unwrap()
        .for_each(|record| {
            left.insert(record.seq);
            if !record.kind.is_reserved() && segments.contains(&record.segment.get()) {
                staying = Some(record.seq);
            }
            Ok(true)
        })
        .unwrap();
    chosen.extend(staying);
    assert_eq!(chosen.len(), 1, "of {segments:?}: {left:?} are left");
    let whole = reader(storage).with_archives().unwrap().unwrap();
    whole
        .events(Query::all())
        .unwrap()
        .for_each(|record| {
            let is_archived = !record.kind.is_reserved() && !left.contains(&record.seq);
            chosen.extend(is_archived.then_some(record.seq));
            Ok(!is_archived)
        })
        .unwrap();
    assert_eq!(chosen.len(), 2, "{chosen:?}");
    chosen
}

/// A redaction changed segments in an archive, and left the archive's manifest as it was: the undo of that compaction refused
/// what it found, and states that need the archive could not be folded any more.
#[test]
fn an_undo_behind_a_redaction_gives_back_the_archives_redacted_form() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    fill(&storage);
    let before = payloads(&reader(&storage));
    let (plan, applied) = compact(&storage, &finished(), Originals::Archived);
    let segments = plan.segments.iter().flat_map(|planned| planned.segments.clone()).collect();
    let seqs = chosen(&storage, &segments);
    redact(&storage, &seqs).unwrap();
    is_clean(&*storage);
    let of = |all: &Payloads| -> BTreeSet<Seq> {
        all.iter().filter(|(_, (redacted, _))| *redacted).map(|(seq, _)| Seq::new(*seq).unwrap()).collect()
    };
    let whole = reader(&storage).with_archives().unwrap().expect("the archive still is one of this log");
    assert_eq!(of(&payloads(&whole)), seqs);
    let folded = states::<Sum>(&whole);
    undo(&storage).unwrap();
    is_clean(&*storage);
    let after = payloads(&reader(&storage));
    assert_eq!(of(&after), seqs);
    for (seq, (_, payload)) in &before {
        let is_redacted = seqs.contains(&Seq::new(*seq).unwrap());
        assert_eq!(after[seq].1 != *payload, is_redacted, "seq {seq}");
    }
    assert_eq!(states::<Sum>(&reader(&storage)), folded);
    assert!(reader(&storage).gaps().unwrap().is_empty(), "everything is back");
    assert!(UndoPlan::make(&storage, None).is_err(), "there is nothing more to undo");
    let told = Seq::new(applied.event).unwrap();
    assert_eq!(UndoPlan::make(&storage, Some(told)).unwrap_err().code(), "T0403", "nor a second time");
}

/// Wherever the redaction is stopped: finished, and the compaction undone, nothing of it is there any more.
#[test]
fn a_redaction_that_is_stopped_in_an_archive_is_finished_before_the_undo() {
    let disk = SimDisk::new(61);
    let storage: Arc<dyn Storage> = Arc::new(disk.process(1));
    fill(&storage);
    let (plan, _) = compact(&storage, &finished(), Originals::Archived);
    let segments = plan.segments.iter().flat_map(|planned| planned.segments.clone()).collect();
    let seqs = chosen(&storage, &segments);
    let whole = disk.clone();
    let start = whole.next_operation();
    redact(&(Arc::new(whole.process(2)) as Arc<dyn Storage>), &seqs).unwrap();
    let mut stopped = 0;
    let step = usize::try_from((whole.next_operation() - start) / 40).unwrap().max(1);
    for operation in (start..whole.next_operation()).step_by(step) {
        let sim = disk.clone();
        sim.inject(operation, Fault::CrashAfter);
        stopped += u32::from(redact(&(Arc::new(sim.process(2)) as Arc<dyn Storage>), &seqs).is_err());
        let storage: Arc<dyn Storage> = Arc::new(sim.power_cut(operation).process(3));
        redact(&storage, &seqs).unwrap_or_else(|error| panic!("{operation}: {error}"));
        assert_eq!(unfinished(&storage).unwrap(), None, "{operation}");
        undo(&storage).unwrap_or_else(|error| panic!("{operation}: {error}"));
        is_clean(&*storage);
        let after = payloads(&reader(&storage));
        assert!(seqs.iter().all(|seq| after[&seq.get()].0), "{operation}");
    }
    assert!(stopped > 10, "{stopped}");
}

/// A redaction removed a snapshot that was all that was left of a run whose events had been dropped, if only the file held what
/// was looked for: the run's state was gone, and no number had been agreed to for it.
#[test]
fn a_redaction_leaves_the_last_that_is_known_of_dropped_events_to_the_operator() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let inputs = crate::run::Content::None;
    let created = crate::run::Change::Created { process: "hunter2".into(), process_digest: None, inputs };
    super::kit::change(&journal, "ended", created);
    super::kit::change(&journal, "ended", crate::run::Change::Completed { output: crate::run::Content::None });
    journal.run("ended").unwrap().snapshot::<crate::run::Runs>().unwrap();
    ticks(&journal, "open", 0..40);
    journal.close().unwrap();
    compact(&storage, &finished(), Originals::Dropped);
    let state = states::<crate::run::Runs>(&reader(&storage));
    let pattern = Some(crate::redact::pattern("hunter2").unwrap());
    let selector = Selector { pattern, ..Selector::default() };
    let plan = RedactPlan::make(&storage, &selector, &mut go_on).unwrap();
    let place = &plan.places[0];
    assert_eq!((plan.places.len(), place.action), (1, crate::redact::PlaceAction::ByHand), "{plan:#?}");
    assert!(place.why.ends_with("all that is left of events that were compacted away"), "{place:?}");
    let done = plan.apply(&storage, &selector, &agreed(&plan.id, plan.lost), &mut go_on).unwrap();
    assert_eq!((done.forgotten.len(), done.by_hand.as_slice()), (0, std::slice::from_ref(&place.path)));
    assert_eq!(states::<crate::run::Runs>(&reader(&storage)), state);
}

/// Once anything had been compacted, no snapshot could go: "all that is left of the events", it said of a run of which nothing
/// was compacted, and of one whose events were in the archive. So nothing could be redacted that a snapshot had seen.
#[test]
fn a_snapshot_is_needed_only_for_what_is_nowhere_else() {
    for originals in [Originals::Archived, Originals::Dropped] {
        let storage: Arc<dyn Storage> = Arc::new(Memory::new());
        fill(&storage);
        super::kit::snapshots(&storage);
        compact(&storage, &finished(), originals);
        let of_run = |name: &str| -> BTreeSet<String> {
            let run = reader(&storage).find_run(name).unwrap().run;
            let list = crate::Snapshots::new(Arc::clone(&storage)).list().unwrap();
            list.snapshots.into_iter().filter(|it| it.head.run == Some(run)).map(|it| it.file).collect()
        };
        let dropped = |name: &str| {
            let plan = crate::fold::DropPlan::make(&reader(&storage), &of_run(name));
            plan.map(|plan| plan.snapshots.len()).map_err(|error| error.code())
        };
        let is_archived = originals == Originals::Archived;
        assert_eq!(dropped("open"), Ok(2), "nothing of it was compacted");
        assert_eq!(dropped("ended-0"), if is_archived { Ok(2) } else { Err("T0518") });
        if !is_archived {
            continue;
        }
        // An event of a run that is compacted, and that its snapshots have seen.
        let whole = reader(&storage).with_archives().unwrap().unwrap();
        let run = whole.find_run("ended-0").unwrap().run;
        let mut ticks = whole.events(Query::all().run(run).event_type("acme.tick")).unwrap();
        let tick = ticks.next().unwrap().unwrap().seq;
        redact(&storage, &BTreeSet::from([tick])).unwrap();
        assert!(of_run("ended-0").is_empty() && of_run("open").len() == 2);
        is_clean(&*storage);
        undo(&storage).unwrap();
        is_clean(&*storage);
        assert!(payloads(&reader(&storage))[&tick.get()].0);
    }
}
