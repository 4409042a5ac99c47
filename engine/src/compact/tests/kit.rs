//! A store with runs in several segments, and ways to look at it.

use crate::compact::{Choice, CompactionPlan, Folds, Originals, Retention};
use crate::plan::{Applied, Authority};
use crate::run::{Change, Content, RunEvent, Runs};
use crate::storage::Storage;
use crate::{Event, Expect, Fold, Folding, Journal, Options, Query, Reader, Recorded, Replay, Seq, StateDigest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Tick(pub(super) u32, pub(super) String);

impl Event for Tick {
    const TYPE: &'static str = "acme.tick";
    const VERSION: u16 = 1;
}

/// A fold to which the order of its events matters.
#[derive(Debug)]
pub(super) struct Sum;

impl Fold for Sum {
    const NAME: &'static str = "acme.sum";
    const VERSION: u32 = 1;
    type Event = Tick;
    type State = (u64, u64);

    fn apply(state: &mut (u64, u64), tick: &Recorded<Tick>) {
        state.0 = state.0.wrapping_mul(31).wrapping_add(u64::from(tick.data.0));
        state.1 += 1;
    }

    fn ignores(_event_type: &str) -> bool {
        true
    }
}

/// Small segments, so that a few hundred events fill several.
pub(super) fn options() -> Options {
    Journal::options().create(true).segment_len_bytes(8 << 10).lock_timeout_ms(500)
}

pub(super) fn folds() -> Folds {
    Folds::built_in().and::<Sum>()
}

pub(super) fn authority(plan: &CompactionPlan) -> Authority {
    let (plan_name, accept_loss) = (plan.name().to_owned(), plan.lost);
    let (reason, actor) = ("a test".to_owned(), "uid:0".to_owned());
    Authority { plan: plan_name, accept_loss, reason, actor, lock_timeout_ms: 500 }
}

pub(super) fn plan(storage: &Arc<dyn Storage>, choice: &Choice, originals: Originals) -> CompactionPlan {
    CompactionPlan::make(storage, &folds(), choice, originals, None, &mut |_| {}).unwrap()
}

/// Plans, and carries it out.
pub(super) fn compact(storage: &Arc<dyn Storage>, choice: &Choice, originals: Originals) -> (CompactionPlan, Applied) {
    let plan = plan(storage, choice, originals);
    let applied = plan.apply(storage, &authority(&plan), &mut |_| {}).unwrap();
    (plan, applied)
}

pub(super) fn prefix() -> Choice {
    Choice::Prefix { until: None }
}

pub(super) fn finished() -> Choice {
    Choice::Runs(Retention::finished())
}

/// Appends ticks to a run, in batches of six.
pub(super) fn ticks(journal: &Journal, run: &str, numbers: std::ops::Range<u32>) {
    let run = journal.run_or_create(run).unwrap();
    let all: Vec<Tick> = numbers.map(|number| Tick(number, "x".repeat(300 + number as usize % 50))).collect();
    for batch in all.chunks(6) {
        run.append(Expect::Any, batch).unwrap();
    }
}

pub(super) fn change(journal: &Journal, run: &str, change: Change) {
    let event: RunEvent = change.by("uid:1000");
    journal.run_or_create(run).unwrap().append(Expect::Any, &[event]).unwrap();
}

/// A run of the run schema from its beginning to its end, with ticks between.
pub(super) fn whole_run(journal: &Journal, run: &str, numbers: std::ops::Range<u32>) {
    let inputs = Content::None;
    change(journal, run, Change::Created { process: "release".into(), process_digest: None, inputs });
    ticks(journal, run, numbers);
    change(journal, run, Change::Completed { output: Content::None });
}

/// All events: seq, run, revision, type, payload.
pub(super) type Line = (u64, Option<u64>, u32, String, Vec<u8>);

pub(super) fn events(reader: &Reader) -> Vec<Line> {
    let mut events = reader.events(Query::all()).unwrap();
    let mut all = Vec::new();
    while let Some(record) = events.next().unwrap() {
        let run = record.run.map(Seq::get);
        all.push((record.seq.get(), run, record.revision, record.type_name(), record.payload.to_vec()));
    }
    all
}

/// The state of every run by one fold, and whether it is complete: by one pass.
pub(super) fn states<F: Fold>(reader: &Reader) -> BTreeMap<Option<Seq>, (StateDigest, bool)> {
    let mut folding = Folding::<F>::over(reader).unwrap();
    Replay::of(reader).go(&mut [&mut folding]).unwrap();
    let standings = folding.into_standings();
    let of_run = |(run, standing): (Option<Seq>, crate::Result<crate::Standing<F>>)| {
        let standing = standing.unwrap();
        (run, (standing.digest().unwrap(), !standing.is_incomplete()))
    };
    standings.map(of_run).collect()
}

/// Snapshots of all runs of both folds, as they stand now.
pub(super) fn snapshots(storage: &Arc<dyn Storage>) {
    let journal = options().open_on(Arc::clone(storage)).unwrap();
    let runs: Vec<String> =
        journal.reader().unwrap().runs().unwrap().into_values().filter_map(|run| run.name).collect();
    for name in runs {
        let run = journal.run(&name).unwrap();
        let _none_where_the_fold_has_no_events = run.snapshot::<Sum>();
        let _none_where_the_fold_has_no_events = run.snapshot::<Runs>();
    }
    journal.close().unwrap();
}

pub(super) fn reader(storage: &Arc<dyn Storage>) -> Reader {
    Reader::open_on(Arc::clone(storage)).unwrap()
}
