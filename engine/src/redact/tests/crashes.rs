//! Power cuts at every call, and writers beside.

use super::kit::{SECRET, authority, events, go_on, holders, of_pattern, options, verified};
use crate::blob::Blobs;
use crate::redact::RedactPlan;
use crate::storage::{Fault, SimDisk, Storage};
use crate::{Batch, Expect, Query, TypeEntry};
use std::sync::Arc;

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
