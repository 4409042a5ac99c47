//! Compactions, undos and removals that are interrupted at any call, on a simulated disk.

use super::kit::{
    Line, Sum, authority, events, finished, folds, options, prefix, reader, snapshots, states, ticks, whole_run,
};
use crate::compact::{CompactionPlan, ForgetPlan, Originals};
use crate::lab_result::tell;
use crate::log::compact::{publish, work};
use crate::log::paths;
use crate::plan::Authority;
use crate::repair::UndoPlan;
use crate::storage::{EntryKind, Failure, Fault, OpenMode, OperationKind, SimDisk, Storage, write_zeros};
use crate::{Listing, Result, Severity, VerifyOptions, verify};
use std::sync::Arc;
use taffrail_log_format::layout;

/// What is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Archive,
    Prefix,
    Drop,
    Undo,
    Forget,
}

impl Act {
    const ALL: [Act; 5] = [Act::Archive, Act::Prefix, Act::Drop, Act::Undo, Act::Forget];

    /// The verb of the operator event that tells of it.
    fn verb(self) -> &'static str {
        match self {
            Act::Archive | Act::Prefix | Act::Drop => "compact",
            Act::Undo => "undo",
            Act::Forget => "forget",
        }
    }

    /// A store on which it can be done.
    fn stage(self) -> SimDisk {
        let disk = SimDisk::new(7);
        let storage: Arc<dyn Storage> = Arc::new(disk.process(1));
        let journal = options().open_on(Arc::clone(&storage)).unwrap();
        for part in 0..2 {
            ticks(&journal, "open", part * 6..part * 6 + 6);
            whole_run(&journal, &format!("ended-{part}"), part * 12..part * 12 + 12);
        }
        ticks(&journal, "open", 100..124);
        journal.close().unwrap();
        if matches!(self, Act::Drop | Act::Prefix) {
            snapshots(&storage);
            let journal = options().open_on(Arc::clone(&storage)).unwrap();
            ticks(&journal, "open", 200..206);
            journal.close().unwrap();
        }
        if matches!(self, Act::Undo | Act::Forget) {
            Act::Archive.go(&storage).unwrap();
        }
        disk.power_cut_with(|unit| unit.versions)
    }

    fn go(self, storage: &Arc<dyn Storage>) -> Result<()> {
        let agreed = |plan: &str, accept_loss| Authority {
            plan: plan.to_owned(),
            accept_loss,
            reason: "a test".into(),
            actor: "uid:0".into(),
            lock_timeout_ms: 500,
        };
        let (choice, originals) = match self {
            Act::Undo => {
                let plan = UndoPlan::make(storage, None)?;
                assert_eq!((plan.verb.as_str(), plan.segments.is_empty()), ("compact", false));
                return plan.apply(storage, &agreed(plan.name(), 0)).map(|_| ());
            }
            Act::Forget => {
                let all = ForgetPlan::candidates(&**storage)?.into_iter().collect();
                let plan = ForgetPlan::make(storage, &all)?;
                assert!(plan.lost > 0 && plan.runs.len() == 2, "{plan:?}");
                return plan.apply(storage, &agreed(plan.name(), plan.lost)).map(|_| ());
            }
            Act::Archive => (finished(), Originals::Archived),
            Act::Prefix => (prefix(), Originals::Archived),
            Act::Drop => (finished(), Originals::Dropped),
        };
        let plan = CompactionPlan::make(storage, &folds(), &choice, originals, None, &mut |_| {})?;
        assert!(!plan.is_empty());
        plan.apply(storage, &authority(&plan), &mut |_| {}).map(|_| ())
    }
}

/// What is there, but for what operators and recoveries have said: events, absences, and the files of archives.
#[derive(Debug, PartialEq, Eq)]
struct View {
    events: Vec<Line>,
    absent: Vec<(u64, u64, String)>,
    archives: Vec<String>,
}

impl View {
    fn of(storage: &Arc<dyn Storage>) -> View {
        let reader = reader(storage);
        let absent = reader.gaps().unwrap().into_iter();
        let absent = absent.map(|gap| (gap.first.get(), gap.last.get(), gap.kept_in)).collect();
        View { events: without_operators(events(&reader)), absent, archives: archives(storage) }
    }
}

fn without_operators(mut events: Vec<Line>) -> Vec<Line> {
    events.retain(|line| !matches!(line.3.as_str(), "OperatorAction" | "Recovered"));
    events
}

/// Every file and directory below `archive/`, but for the lock.
fn archives(storage: &Arc<dyn Storage>) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec!["archive".to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in storage.list(&directory).unwrap_or_default() {
            let name = format!("{directory}/{}", entry.name);
            if entry.kind == EntryKind::Directory {
                pending.push(name.clone());
            }
            if name != "archive/LOCK" {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// How many operator events of a verb there are.
fn told(storage: &Arc<dyn Storage>, verb: &str) -> usize {
    let mut query = reader(storage);
    query.refresh().unwrap();
    let mut events = query.events(crate::Query::all().event_type("OperatorAction")).unwrap();
    let mut count = 0;
    while let Some(record) = events.next().unwrap() {
        count += usize::from(crate::OperatorAction::decode(&record.payload).unwrap().verb == verb);
    }
    count
}

/// An act, the store before it, and what is there before and after.
struct Case {
    act: Act,
    stage: SimDisk,
    before: View,
    after: View,
    told_before: usize,
    /// Everything that the log and its archives hold together.
    whole: Vec<Line>,
}

impl Case {
    fn new(act: Act) -> Case {
        let stage = act.stage();
        let before: Arc<dyn Storage> = Arc::new(stage.clone().process(1));
        let disk = stage.clone();
        let after: Arc<dyn Storage> = Arc::new(disk.process(1));
        act.go(&after).unwrap();
        let case = Case {
            act,
            before: View::of(&before),
            after: View::of(&after),
            told_before: told(&before, act.verb()),
            whole: whole(&before),
            stage,
        };
        assert_ne!(case.before, case.after, "{act:?} does something");
        case
    }

    /// What a reader sees of a store that was interrupted, before anybody has put it in order.
    fn check_unsettled(&self, storage: &Arc<dyn Storage>, what: &str) {
        let report = verify(&**storage, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert!(report.severity <= Severity::TornTail && report.totals.lost == 0, "{what}: {report:#?}");
        match self.act {
            Act::Archive | Act::Prefix | Act::Undo => {
                assert!(whole(storage) == self.whole, "{what}: an event is nowhere");
            }
            Act::Drop => self.check_states(storage, what),
            Act::Forget => {
                assert!(
                    without_operators(events(&reader(storage))) == self.before.events,
                    "{what}: the log has changed"
                );
            }
        }
    }

    fn check_states(&self, storage: &Arc<dyn Storage>, what: &str) {
        let before: Arc<dyn Storage> = Arc::new(self.stage.clone().process(1));
        assert_eq!(states::<Sum>(&reader(storage)), states::<Sum>(&reader(&before)), "{what}");
    }

    /// Puts a store in order, as whoever works on it next does, and looks whether it is as before or as after, as the log
    /// tells. Then appends to it.
    fn check_settled(&self, storage: &Arc<dyn Storage>, what: &str) -> bool {
        drop(work::begin(storage, 500).unwrap_or_else(|error| panic!("{what}: {error}")));
        let is_told = told(storage, self.act.verb()) > self.told_before;
        let expected = if is_told { &self.after } else { &self.before };
        let found = View::of(storage);
        assert!(found == *expected, "{what}, told {is_told}: {}\nis not\n{}", summary(&found), summary(expected));
        let journal = options().open_on(Arc::clone(storage)).unwrap();
        let highest = journal.reader().unwrap().next_seq().unwrap();
        let appended =
            journal.run("open").unwrap().append(crate::Expect::Any, &[super::kit::Tick(1, String::new())]).unwrap();
        assert!(appended.first >= highest && highest.get() > self.whole.len() as u64, "{what}: a seq is issued twice");
        journal.close().unwrap();
        let report = verify(&**storage, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert_eq!((report.severity, report.findings.len()), (Severity::Clean, 0), "{what}: {report:#?}");
        is_told
    }
}

fn summary(view: &View) -> String {
    format!("{} events, {:?}, {:?}", view.events.len(), view.absent, view.archives)
}

/// The events of the log and its archives together.
fn whole(storage: &Arc<dyn Storage>) -> Vec<Line> {
    let reader = reader(storage);
    let whole = reader.with_archives().unwrap().unwrap_or(reader);
    without_operators(events(&whole))
}

fn changes(kind: OperationKind) -> bool {
    use OperationKind as Kind;
    let reads = [Kind::Open, Kind::List, Kind::Entry, Kind::FreeBytes, Kind::ReadAt, Kind::LenBytes, Kind::DropCached];
    !reads.contains(&kind)
}

/// The calls of an act, from the first one on.
fn calls(case: &Case) -> Vec<(u64, OperationKind)> {
    let disk = case.stage.clone();
    let first = disk.next_operation();
    case.act.go(&(Arc::new(disk.process(1)) as Arc<dyn Storage>)).unwrap();
    disk.ops().iter().filter(|call| call.index >= first).map(|call| (call.index, call.kind)).collect()
}

/// Whether the lab asks for all of it; otherwise what takes seconds.
fn is_exhaustive() -> bool {
    std::env::var_os("TAFFRAIL_SIM_STATES").is_some()
}

/// Does something about every act, on all cores.
fn for_each_act<T: Send>(work: impl Fn(Act) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = Act::ALL
            .into_iter()
            .map(|act| {
                scope.spawn({
                    let work = &work;
                    move || work(act)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn crash_everywhere(act: Act) -> Counts {
    let mut counts = Counts::default();
    let case = Case::new(act);
    let images_per_call = if is_exhaustive() { 24 } else { 2 };
    for (index, _) in calls(&case).into_iter().filter(|(_, kind)| changes(*kind)) {
        let disk = case.stage.clone();
        disk.inject(index, Fault::CrashBefore);
        let _stopped = act.go(&(Arc::new(disk.process(1)) as Arc<dyn Storage>));
        assert!(disk.is_crashed());
        counts.crash_points += 1;
        for number in 0..images_per_call {
            let seed = index * 1_000 + number;
            let image = match number + index % 2 {
                0 => disk.power_cut_with(|_| 0),
                1 => disk.power_cut_with(|unit| unit.versions),
                _ => disk.power_cut(seed),
            };
            let what = format!("{act:?}, crash before call {index}, image {number}");
            let again = image.clone();
            let storage: Arc<dyn Storage> = Arc::new(image.process(1));
            case.check_unsettled(&storage, &what);
            counts.count(case.check_settled(&storage, &what));
            if number % 2 == 1 {
                continue;
            }
            // And once more, where putting it in order is interrupted too.
            again.inject(again.next_operation() + seed % 89, Fault::CrashBefore);
            let _stopped = work::begin(&(Arc::new(again.process(1)) as Arc<dyn Storage>), 500);
            if again.is_crashed() {
                let storage: Arc<dyn Storage> = Arc::new(again.power_cut(seed).process(1));
                let what = format!("{what}, and another crash while it was put in order");
                case.check_unsettled(&storage, &what);
                counts.count(case.check_settled(&storage, &what));
                counts.crashes_in_recovery += 1;
            }
        }
    }
    assert!(counts.told > 0 && counts.told < counts.states, "{act:?}: crashes before and after it was told");
    counts
}

#[derive(Default)]
struct Counts {
    states: u64,
    told: u64,
    crash_points: u64,
    crashes_in_recovery: u64,
}

impl Counts {
    fn count(&mut self, is_told: bool) {
        self.states += 1;
        self.told += u64::from(is_told);
    }
}

#[test]
fn sim_an_interrupted_compaction_undo_or_removal_is_as_before_or_as_after() {
    tell("compaction-crashes", &["P1", "P4", "P5", "P7"], || {
        let mut counts = Counts::default();
        for of_act in for_each_act(crash_everywhere) {
            counts.states += of_act.states;
            counts.told += of_act.told;
            counts.crash_points += of_act.crash_points;
            counts.crashes_in_recovery += of_act.crashes_in_recovery;
        }
        assert!(counts.crashes_in_recovery > 0);
        let figures = vec![
            ("crash_points", counts.crash_points),
            ("states_as_before", counts.states - counts.told),
            ("states_as_after", counts.told),
            ("crashes_in_recovery", counts.crashes_in_recovery),
            ("events_lost", 0),
        ];
        (counts.states, figures)
    });
}

#[test]
fn sim_a_failing_call_or_a_kill_leaves_it_as_before_or_as_after() {
    tell("compaction-faults", &["P1", "P5"], || {
        let cases = for_each_act(fail_everywhere).iter().sum();
        (cases, vec![("events_lost", 0)])
    });
}

/// Every call fails in some way; gives how many did.
fn fail_everywhere(act: Act) -> u64 {
    let faults =
        [Fault::Fail(Failure::InputOutput), Fault::KillAfter, Fault::Fail(Failure::NoSpace), Fault::FailedSync];
    let case = Case::new(act);
    let mut cases = 0;
    let all = calls(&case);
    // A plan that cannot read a snapshot is another plan. So reads fail from the first call on that changes something.
    let first = all.iter().find(|(_, kind)| changes(*kind)).map_or(0, |(index, _)| *index);
    for (index, kind) in all.into_iter().filter(|(index, _)| *index >= first) {
        let of_call = faults.iter().filter(|fault| match fault {
            Fault::FailedSync => kind.syncs_file(),
            Fault::Fail(Failure::InputOutput) => true,
            _ => changes(kind),
        });
        for fault in of_call {
            let what = format!("{act:?}, {fault:?} at call {index}, {kind:?}");
            let disk = case.stage.clone();
            disk.inject(index, *fault);
            let done = act.go(&(Arc::new(disk.process(1)) as Arc<dyn Storage>));
            disk.kill(1);
            disk.clear_faults();
            let storage: Arc<dyn Storage> = Arc::new(disk.process(2));
            case.check_unsettled(&storage, &what);
            let is_told = case.check_settled(&storage, &what);
            assert!(is_told || done.is_err(), "{what}: it said that it was done");
            cases += 1;
        }
    }
    cases
}

/// A segment that could not be opened while the segments were listed was taken for one that stands for no others. So the note
/// that says it does was removed, the files that it stands for were not, and the events that a compaction had taken away were
/// there again, beside the record of their absence.
#[test]
fn sim_a_segment_that_can_not_be_read_is_not_taken_for_one_that_stands_for_no_others() {
    let case = Case::new(Act::Archive);
    let renames = calls(&case).into_iter().filter(|(_, kind)| *kind == OperationKind::Rename);
    let (mut refused, mut undecided) = (0, 0);
    for (index, _) in renames {
        let disk = case.stage.clone();
        disk.inject(index, Fault::KillAfter);
        let _killed = case.act.go(&(Arc::new(disk.process(1)) as Arc<dyn Storage>));
        disk.kill(1);
        disk.clear_faults();
        let whole = Listing::read(&disk.clone().process(2)).unwrap();
        let Some(last) = whole.superseded.last().and_then(|(last, _)| whole.after(*last)) else { continue };
        let first = disk.next_operation();
        let counted = disk.clone();
        Listing::read(&counted.process(2)).unwrap();
        for failing in first..counted.next_operation() {
            let disk = disk.clone();
            disk.inject(failing, Fault::Fail(Failure::InputOutput));
            match Listing::read(&disk.process(2)) {
                Ok(listing) => assert_eq!(listing, whole, "a call failed that was not needed"),
                Err(error) => {
                    assert_eq!(error.kind(), crate::ErrorKind::Io, "{error}");
                    refused += 1;
                }
            }
        }
        // And where its header is bad, the note waits for a repair.
        let storage = disk.process(2);
        let file = storage.open(&paths::segment(last), OpenMode::Write).unwrap();
        write_zeros(&*file, 0, layout::FIRST_FRAME).unwrap();
        let listing = Listing::read(&storage).unwrap();
        publish::finish(&storage, &listing).unwrap();
        assert_eq!((listing.undecided.len(), &listing), (1, &Listing::read(&storage).unwrap()));
        undecided += 1;
    }
    assert!(refused > 1 && undecided > 0, "{refused}, {undecided}");
}

#[test]
fn sim_a_full_disk_takes_a_compaction_back() {
    let case = Case::new(Act::Archive);
    let mut refused = 0;
    let mut was_done = false;
    for kib in (64..1024).step_by(32) {
        let disk = case.stage.clone();
        disk.set_capacity_bytes(Some(kib << 10));
        let done = Act::Archive.go(&(Arc::new(disk.process(1)) as Arc<dyn Storage>));
        disk.set_capacity_bytes(None);
        let storage: Arc<dyn Storage> = Arc::new(disk.process(2));
        let found = View::of(&storage);
        match done {
            Ok(()) => {
                was_done = true;
                assert!(found == case.after);
            }
            Err(error) => {
                assert!(!was_done, "{error}");
                refused += 1;
                assert_eq!(error.kind(), crate::ErrorKind::Io, "{error}");
                assert!(found == case.before, "{kib} KiB: {error}: {}", summary(&found));
                assert!(!case.check_settled(&storage, "a full disk"));
            }
        }
    }
    assert!(was_done && refused > 3, "{refused}");
}
