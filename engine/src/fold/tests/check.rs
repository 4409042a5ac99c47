//! D1: divergence is found, classed, and named as closely as it can be.

use super::{AllJobs, Job, Jobs, Tally, nightly, open, queued, read, rewrite, store};
use crate::fold::{
    Cause, CheckOptions, History, Judgement, Place, Recorded, Start, States, check, check_with, each_state,
};
use crate::{Batch, Expect, Fold, Kind, Seq};

/// The fold of "another build": it counts a failure of 3 twice.
struct OtherJobs;
impl Fold for OtherJobs {
    const NAME: &'static str = "acme.jobs";
    const VERSION: u32 = 1;
    type Event = Job;
    type State = Tally;
    fn apply(state: &mut Tally, event: &Recorded<Job>) {
        super::tally(state, event);
        if let Job::Done { exit: 3 } = event.data {
            *state.failed.entry(3).or_default() += 1;
        }
    }
}

/// A fold whose state has the order of a hash map with random keys.
struct HashOrder;
impl Fold for HashOrder {
    const NAME: &'static str = "acme.hash-order";
    const VERSION: u32 = 1;
    type Event = Job;
    type State = Vec<String>;
    #[allow(clippy::disallowed_types, reason = "the mistake that has to be caught")]
    fn apply(state: &mut Vec<String>, event: &Recorded<Job>) {
        let Job::Queued { cmd } = &event.data else { return };
        let seen: std::collections::HashMap<String, ()> =
            state.drain(..).chain([cmd.clone()]).map(|cmd| (cmd, ())).collect();
        state.extend(seen.into_keys());
    }
}

/// A run of single jobs, each with a checkpoint behind it when the number is even.
fn checkpointed<F: Fold>(exits: std::ops::Range<i32>) -> std::sync::Arc<crate::storage::Memory> {
    let storage = store();
    let journal = open(&storage);
    let run = journal.run_or_create("nightly").unwrap();
    for exit in exits {
        run.append(Expect::Any, &[queued(&format!("job {exit}")), Job::Done { exit }]).unwrap();
        if exit % 2 == 0 {
            run.checkpoint::<F>().unwrap();
        }
    }
    journal.close().unwrap();
    storage
}

#[test]
fn fold_nothing_to_compare_is_not_equal() {
    let storage = nightly(2);
    let error = open(&storage).run("nightly").unwrap().check::<Jobs>().unwrap_err();
    assert_eq!((error.kind(), error.code()), (crate::ErrorKind::NotFound, "T0509"));
}

#[test]
fn fold_another_build_is_told_by_the_interval() {
    let storage = checkpointed::<OtherJobs>(0..8);
    let reader = read(&storage);
    let report = check::<Jobs>(&reader, None).unwrap();
    assert_eq!((report.runs[0].checkpoints, report.runs[0].checkpoints_equal), (4, 2));
    let divergence = report.divergences().next().unwrap();
    assert_eq!(divergence.cause, Cause::Code);
    let Place::Interval { after, until, .. } = &divergence.place else { panic!("{divergence}") };
    // Jobs 0 to 2 take revisions 2 to 7 with one checkpoint between; job 3 and 4 lie in the interval.
    assert_eq!((*after, *until), (8, 13));
    let error = report.clone().into_result().unwrap_err();
    assert_eq!((error.kind(), error.code()), (crate::ErrorKind::Diverged, "T0503"));
    assert!(check::<OtherJobs>(&reader, None).unwrap().into_result().is_ok());
}

#[test]
fn fold_with_the_other_builds_states_the_event_and_the_field_are_named() {
    let storage = checkpointed::<OtherJobs>(0..8);
    let reader = read(&storage);
    let mut lines = Vec::new();
    let mut culprit = None;
    each_state::<OtherJobs>(&reader, None, |line| {
        if line.state["last"] == "job 3" && line.state["open"] == 0 {
            culprit = Some(line.seq);
        }
        lines.push(line.to_json::<OtherJobs>().to_string());
        Ok(true)
    })
    .unwrap();
    let states = States::read(lines.iter().map(String::as_str)).unwrap();
    let options = CheckOptions { against: Some(&states), ..CheckOptions::default() };
    let report = check_with::<Jobs>(&reader, &options).unwrap();
    let divergence = report.divergences().next().unwrap();
    let Place::Event { seq, fields, .. } = &divergence.place else { panic!("{divergence}") };
    assert_eq!(Some(*seq), culprit);
    assert_eq!(fields[0].to_string(), " failed.3 2 -> 1");
    assert_eq!(divergence.cause, Cause::Code);
    assert_eq!(States::read(["{}"]).unwrap_err().code(), "T0514");
}

#[test]
fn fold_hash_order_is_caught_with_event_and_field() {
    let storage = store();
    let journal = open(&storage);
    let run = journal.run_or_create("a").unwrap();
    let commands: Vec<Job> = (0..32).map(|number| queued(&format!("c{number}"))).collect();
    run.append(Expect::Any, &commands).unwrap();
    let options = CheckOptions { twice: true, ..CheckOptions::default() };
    let report = check_with::<HashOrder>(&journal.reader().unwrap(), &options).unwrap();
    let divergence = report.divergences().next().unwrap();
    assert_eq!(divergence.cause, Cause::Nondeterminism);
    let Place::Event { fields, .. } = &divergence.place else { panic!("{divergence}") };
    assert!(!fields.is_empty());
    // A checkpoint of such a fold is enough to catch it, too.
    run.checkpoint::<HashOrder>().unwrap();
    let error = run.check::<HashOrder>().unwrap_err();
    assert!(error.at().seq.is_some() && error.to_string().contains("NONDETERMINISM"), "{error}");
    assert!(check_with::<Jobs>(&journal.reader().unwrap(), &options).unwrap().into_result().is_ok());
}

#[test]
fn fold_a_checkpoint_at_the_wrong_place_is_an_order_of_its_own() {
    let storage = nightly(3);
    let journal = open(&storage);
    let run = journal.run("nightly").unwrap();
    let reader = read(&storage);
    let early = reader.state::<Jobs>(Some(run.number()), Seq::new(9), Start::Origin).unwrap().standing;
    let late = reader.state::<Jobs>(Some(run.number()), None, Start::Origin).unwrap().standing;
    let mut batch = Batch::new();
    let place = batch.run("nightly", Expect::Any);
    let checkpoint = taffrail_log_format::Checkpoint {
        fold: "acme.jobs".into(),
        version: 1,
        build: "test".into(),
        run: Some(run.number()),
        revision: u64::from(late.revision),
        digest: early.digest().unwrap().0,
    };
    let other = taffrail_log_format::Checkpoint { version: 7, ..checkpoint.clone() };
    let foreign = taffrail_log_format::Checkpoint { fold: "acme.else".into(), ..checkpoint.clone() };
    for body in [checkpoint, other, foreign] {
        batch.own(Some(place), Kind::CHECKPOINT, true, &body.encode());
    }
    journal.append(batch).unwrap();
    let report = check::<Jobs>(&read(&storage), None).unwrap();
    assert_eq!(report.divergences().next().unwrap().cause, Cause::Order);
    assert_eq!((report.runs[0].other_versions, report.runs[0].other_folds), (1, 1));
}

#[test]
fn fold_a_snapshot_that_lies_is_told_from_a_fold_that_changed() {
    let storage = checkpointed::<Jobs>(0..4);
    let journal = open(&storage);
    let run = journal.run("nightly").unwrap();
    let made = run.snapshot::<Jobs>().unwrap();
    rewrite(&storage, &made.file, |bytes| {
        let (head, state) = crate::fold::snapshot::decode(bytes).unwrap();
        let mut lying: super::Tally = crate::fold::codec::decode_state(state).unwrap();
        lying.open = 77;
        let state = crate::fold::canonical_bytes(&lying).unwrap();
        let digest = crate::StateDigest::of_bytes(&state);
        let head = crate::fold::SnapshotHead { digest, state_len_bytes: state.len() as u64, ..head };
        *bytes = crate::fold::snapshot::encode(&head, &state);
    });
    let reader = read(&storage);
    let options = CheckOptions { snapshots: true, ..CheckOptions::default() };
    let report = check_with::<Jobs>(&reader, &options).unwrap();
    let divergence = report.divergences().next().unwrap();
    assert_eq!(divergence.cause, Cause::Snapshot);
    let (Place::Interval { fields, .. } | Place::Event { fields, .. }) = &divergence.place;
    assert_eq!(fields[0].to_string(), " open 77 -> 0");
}

#[test]
fn fold_differences_have_their_causes_and_blame_lists_them() {
    let storage = nightly(4);
    let reader = read(&storage);
    let run = reader.find_run("nightly").unwrap();
    let history = History::<Jobs>::of(&reader, Some(run.run));
    let (changes, events) = history.difference(None, run.last).unwrap();
    assert_eq!(events, 8);
    let failed = changes.iter().find(|change| change.change.path == "failed.2").unwrap();
    assert_eq!(failed.cause.as_ref().unwrap().type_name, "acme.job.Done");
    let (changes, _) = history.difference(Some(failed.cause.as_ref().unwrap().seq), run.last).unwrap();
    assert!(!changes.iter().any(|change| change.change.path == "failed.2"));
    let blamed = history.blame("last", run.last).unwrap();
    let lines: Vec<String> = blamed.iter().map(|change| change.change.to_string()).collect();
    assert_eq!(lines[..2], [" last null -> \"job 0\"", " last \"job 0\" -> \"job 1\""]);
    let all = History::<AllJobs>::of(&reader, None).blame("open", run.last).unwrap();
    assert_eq!(all.len(), 8);
}

#[test]
fn fold_bisection_finds_the_first_bad_event_with_few_probes() {
    let storage = nightly(500);
    let reader = read(&storage);
    let run = reader.find_run("nightly").unwrap();
    let history = History::<Jobs>::of(&reader, Some(run.run));
    let bad = |state: &Tally| state.failed.contains_key(&333);
    let verdict = |is_bad: bool| if is_bad { Judgement::Bad } else { Judgement::Good };
    let found = history.bisect::<crate::Error>(None, run.last, |state, _| Ok(verdict(bad(state)))).unwrap();
    let before = reader.state::<Jobs>(Some(run.run), Some(found.first_bad.seq), Start::Origin).unwrap();
    let after = reader.state::<Jobs>(Some(run.run), Some(found.first_bad.seq.next()), Start::Origin).unwrap();
    assert!(!bad(&before.standing.state) && bad(&after.standing.state));
    assert!(found.probes <= 13, "{} probes for 1000 events", found.probes);
    let skipping = |state: &Tally, _: &serde_json::Value| {
        Ok(if state.failed.len() == 333 { Judgement::Skip } else { verdict(bad(state)) })
    };
    let found = history.bisect::<crate::Error>(None, run.last, skipping).unwrap();
    assert!(!found.skipped.is_empty());
    let refused = history.bisect::<crate::Error>(None, run.last, |_, _| Ok(Judgement::Good)).unwrap_err();
    assert_eq!(refused.code(), "T0515");
}
