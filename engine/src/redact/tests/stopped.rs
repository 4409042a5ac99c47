//! A redaction that is stopped anywhere.

use super::kit::{SECRET, authority, events, go_on, holders, json_store, of_pattern, verified};
use crate::blob::Blobs;
use crate::redact::{FieldPath, RedactPlan, Selector, unfinished};
use crate::storage::{Fault, SimDisk, Storage};
use crate::{FindingKind, Severity, VerifyOptions, verify};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A redaction of a field, or of an event, that was stopped when the segments were rewritten and a blob was still there could not
/// be finished: repeated, it found no text to look for any more, said that nothing was left, and the secret stayed in the blob.
/// Nothing told that it had not come to its end.
#[test]
fn a_redaction_that_is_stopped_is_told_and_the_same_command_finishes_it() {
    crate::lab_result::tell("redaction-stops", &["P4", "P5"], stop_redactions);
}

fn stop_redactions() -> (u64, Vec<(&'static str, u64)>) {
    let disk = SimDisk::new(47);
    let storage: Arc<dyn Storage> = Arc::new(disk.process(1));
    let token = |n: u32| if n % 4 == 1 { SECRET } else { "other" };
    let fill = "x".repeat(900);
    let payloads: Vec<String> =
        (0..10).map(|n| format!("{{\"token\":\"{}\",\"fill\":\"{fill}\"}}", token(n))).collect();
    json_store(&storage, &payloads);
    let mut blobs = Blobs::new(Arc::clone(&storage));
    let blob = blobs.put(format!("it is {SECRET}").as_bytes()).unwrap().digest;
    blobs.put(b"harmless").unwrap();
    blobs.settle().unwrap();
    let before = events(&storage);
    let seqs = before.iter().filter(|it| it.6.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
    let seqs: BTreeSet<crate::Seq> = seqs.map(|it| crate::Seq::new(it.0).unwrap()).collect();
    let of_field =
        Selector { fields: vec![FieldPath::parse("data.token").unwrap()], events: seqs.clone(), ..Selector::default() };
    let (mut cases, mut told) = (0, 0);
    for selector in [of_pattern(), of_field, Selector { events: seqs.clone(), ..Selector::default() }] {
        let work = |sim: &SimDisk, process| {
            let storage: Arc<dyn Storage> = Arc::new(sim.process(process));
            let plan = RedactPlan::make(&storage, &selector, &mut go_on)?;
            if plan.is_empty() {
                return Ok(());
            }
            plan.apply(&storage, &selector, &authority(&plan), &mut go_on).map(|done| assert!(done.left.is_empty()))
        };
        let start = disk.next_operation();
        let whole = disk.clone();
        work(&whole, 2).unwrap();
        // A prime, so that reads and writes, which alternate, come both.
        for operation in (start..whole.next_operation()).step_by(7) {
            let fault = if operation.is_multiple_of(2) { Fault::CrashBefore } else { Fault::CrashAfter };
            let what = format!("{operation} {fault:?} {selector:?}");
            let sim = disk.clone();
            sim.inject(operation, fault);
            let _stopped_mostly = work(&sim, 2);
            let cut = sim.power_cut(operation);
            let storage: Arc<dyn Storage> = Arc::new(cut.process(3));
            let left = unfinished(&storage).unwrap();
            let report = verify(&*storage, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
            let is_told = report.findings.iter().any(|finding| finding.kind == FindingKind::RedactionUnfinished);
            assert_eq!(left.is_some(), is_told, "{what}: {report:#?}");
            assert!(report.severity <= Severity::TornTail, "{what}: {report:#?}");
            let is_clean = holders(&storage).is_empty();
            let is_blob_there = Blobs::new(Arc::clone(&storage)).has(&blob).unwrap();
            let is_as_before = report.totals.redacted == 0 && is_blob_there;
            assert!(is_told || is_clean || is_as_before, "{what}: a part is done, and nothing tells");
            if !is_clean && report.totals.redacted > 0 {
                let left = left.unwrap_or_else(|| panic!("{what}: a part is done, and nothing tells"));
                assert!(left.event.is_some() && !(left.events.is_empty() && left.files.is_empty()), "{what}: {left:?}");
            }
            work(&cut, 4).unwrap_or_else(|error| panic!("{what}: {error}"));
            let storage: Arc<dyn Storage> = Arc::new(cut.process(5));
            assert_eq!(holders(&storage), Vec::<String>::new(), "{what}");
            assert_eq!(unfinished(&storage).unwrap(), None, "{what}");
            let report = verified(&*storage);
            assert_eq!((report.totals.redacted, report.findings.len()), (seqs.len() as u64, 0), "{what}");
            assert!(Blobs::new(Arc::clone(&storage)).has(&crate::blob::Digest::of(b"harmless")).unwrap(), "{what}");
            for (was, is) in before.iter().zip(&events(&storage)) {
                assert_eq!((was.0, was.1, was.2, was.3), (is.0, is.1, is.2, is.3), "{what}");
                assert!(is.5 || was.6 == is.6, "{what}: another event changed");
            }
            cases += 1;
            told += u64::from(is_told);
        }
    }
    assert!(told > 10 && cases > told, "{told} of {cases}");
    (cases, vec![("told", told)])
}

/// A redaction that was stopped, and another one behind it, which has nothing to do with it: what the first one left is still
/// told, its files go, and naming its events finishes it.
#[test]
fn another_redaction_does_not_hide_one_that_was_stopped() {
    let disk = SimDisk::new(48);
    let storage: Arc<dyn Storage> = Arc::new(disk.process(1));
    json_store(&storage, &[format!("{{\"token\":\"{SECRET}\"}}"), "{\"pin\":\"1234\"}".to_owned()]);
    let of = |path: &str| Selector { fields: vec![FieldPath::parse(path).unwrap()], ..Selector::default() };
    let plan = RedactPlan::make(&storage, &of("data.token"), &mut go_on).unwrap();
    let stop = &mut |what: &'static str, _, _| {
        if what == "rewriting segments" {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    };
    plan.apply(&storage, &of("data.token"), &authority(&plan), stop).unwrap_err();
    let left = unfinished(&storage).unwrap().expect("told");
    let seq = plan.events[0].seq;
    assert_eq!((left.event.is_some(), left.events.as_slice()), (true, &[seq][..]));
    let (plan, done) = super::kit::redacted(&storage, &of("data.pin"));
    assert_eq!((plan.lost, done.left.as_slice()), (1, &[seq][..]));
    assert_eq!(unfinished(&storage).unwrap().expect("still told").events, [seq]);
    let by_seq = Selector { events: BTreeSet::from([crate::Seq::new(seq).unwrap()]), ..Selector::default() };
    let (_, done) = super::kit::redacted(&storage, &by_seq);
    assert!(done.left.is_empty());
    assert_eq!(unfinished(&storage).unwrap(), None);
    assert_eq!(holders(&storage), Vec::<String>::new());
    assert_eq!(verified(&*storage).findings.len(), 0);
}

/// A redaction that did not get the store's lock had changed nothing, and `log verify` said from then on that one was under way,
/// or had been stopped.
#[test]
fn a_redaction_that_does_not_get_the_lock_leaves_nothing_to_be_finished() {
    let disk = SimDisk::new(53);
    let storage: Arc<dyn Storage> = Arc::new(disk.process(1));
    json_store(&storage, &[format!("{{\"token\":\"{SECRET}\"}}")]);
    let plan = RedactPlan::make(&storage, &of_pattern(), &mut go_on).unwrap();
    let journal = super::kit::options().exclusive(true).open_on(Arc::new(disk.process(2))).unwrap();
    let refused = plan.apply(&storage, &of_pattern(), &authority(&plan), &mut go_on).unwrap_err();
    assert_eq!(refused.code(), "T0311", "{refused}");
    assert_eq!(unfinished(&storage).unwrap(), None);
    assert!(!super::kit::files(&*storage).contains(&"redacting".to_owned()));
    journal.close().unwrap();
    assert_eq!(super::kit::redacted(&storage, &of_pattern()).1.lost, 1);
    verified(&*storage);
}
