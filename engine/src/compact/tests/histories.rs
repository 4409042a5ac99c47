//! Generated histories: runs, forks, rewinds, snapshots, compactions and undos in any order.

use super::kit::{Sum, Tick, authority, change, events, finished, folds, options, prefix, reader, snapshots};
use crate::compact::{CompactionPlan, ForgetPlan, Originals};
use crate::fold::Start;
use crate::lab_result::tell;
use crate::plan::Authority;
use crate::repair::UndoPlan;
use crate::run::{Change, Content, ForkPlan, RewindPlan, RewindRequest, Runs};
use crate::storage::{Memory, Storage};
use crate::{Expect, Fold, Query, Seq, Severity, StateDigest, VerifyOptions, verify};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Step {
    Ticks { run: u8, count: u8 },
    Created { run: u8 },
    Ended { run: u8 },
    Fork { run: u8, at: u8 },
    Rewind { run: u8, at: u8 },
    Snapshots,
    Compact { by_prefix: bool, is_dropped: bool },
    Undo,
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4_u8, 1..12_u8).prop_map(|(run, count)| Step::Ticks { run, count }),
        3 => (0..4_u8).prop_map(|run| Step::Created { run }),
        3 => (0..4_u8).prop_map(|run| Step::Ended { run }),
        2 => (0..4_u8, any::<u8>()).prop_map(|(run, at)| Step::Fork { run, at }),
        2 => (0..4_u8, any::<u8>()).prop_map(|(run, at)| Step::Rewind { run, at }),
        2 => Just(Step::Snapshots),
        4 => (any::<bool>(), any::<bool>()).prop_map(|(by_prefix, is_dropped)| Step::Compact { by_prefix, is_dropped }),
        2 => Just(Step::Undo),
    ]
}

/// The state of each run, or the code of the error that says why there is none.
type Found = BTreeMap<(String, &'static str), Result<StateDigest, &'static str>>;

struct Model {
    storage: Arc<dyn Storage>,
    /// The highest seq that was issued.
    highest: u64,
    forks: u32,
}

impl Model {
    fn agreed(plan: &str, accept_loss: u64) -> Authority {
        let (plan, reason, actor) = (plan.to_owned(), "a test".to_owned(), "uid:0".to_owned());
        Authority { plan, accept_loss, reason, actor, lock_timeout_ms: 500 }
    }

    fn states(&self) -> Found {
        let reader = reader(&self.storage);
        let mut found = Found::new();
        for (run, summary) in reader.runs().unwrap() {
            let name = summary.name.unwrap_or_default();
            found.insert((name.clone(), Sum::NAME), state::<Sum>(&reader, run));
            found.insert((name, Runs::NAME), state::<Runs>(&reader, run));
        }
        found
    }

    fn pick(&self, run: u8, at: u8) -> Option<(Seq, Seq)> {
        let reader = reader(&self.storage);
        let run = reader.find_run(&format!("run-{run}")).ok()?.run;
        let mut seqs = Vec::new();
        let mut events = reader.events(Query::all().run(run)).unwrap();
        while let Some(record) = events.next().unwrap() {
            seqs.push(record.seq);
        }
        Some((run, seqs[usize::from(at) % seqs.len()]))
    }

    fn go(&mut self, step: &Step) {
        let storage = Arc::clone(&self.storage);
        match step {
            Step::Ticks { run, count } => {
                let journal = options().open_on(Arc::clone(&storage)).unwrap();
                let ticks: Vec<Tick> = (0..*count).map(|tick| Tick(tick.into(), "x".repeat(400))).collect();
                let run = journal.run_or_create(&format!("run-{run}")).unwrap();
                let appended = run.append(Expect::Any, &ticks).unwrap();
                assert!(appended.first.get() > self.highest, "a seq is issued twice");
                journal.close().unwrap();
            }
            Step::Created { run } => {
                let created = Change::Created { process: "p".into(), process_digest: None, inputs: Content::None };
                self.change(&format!("run-{run}"), created);
            }
            Step::Ended { run } => self.change(&format!("run-{run}"), Change::Completed { output: Content::None }),
            Step::Fork { run, at } => {
                let Some((run, at)) = self.pick(*run, *at) else { return };
                self.forks += 1;
                let name = format!("fork-{}", self.forks);
                if let Ok(plan) = ForkPlan::make(&reader(&storage), run, at, &name) {
                    plan.apply(&storage, &Self::agreed(plan.name(), 0)).unwrap();
                }
            }
            Step::Rewind { run, at } => {
                let Some((run, to)) = self.pick(*run, *at) else { return };
                let request = RewindRequest { run, to, keep: Vec::new(), mark: None };
                if let Ok(plan) = RewindPlan::make(&reader(&storage), &request) {
                    plan.apply(&storage, &Self::agreed(plan.name(), plan.lost), &BTreeSet::new()).unwrap();
                }
            }
            Step::Snapshots => snapshots(&storage),
            Step::Compact { .. } | Step::Undo | Step::Forget => self.keeps_every_state(step),
        }
    }

    /// Changes a run, if there is one of that name; what is illegal is a finding of the fold, and as good a history.
    fn change(&self, run: &str, wanted: Change) {
        change(&options().open_on(Arc::clone(&self.storage)).unwrap(), run, wanted);
    }

    /// What compactions and undos are about.
    fn keeps_every_state(&mut self, step: &Step) {
        let storage = Arc::clone(&self.storage);
        let before = self.states();
        match step {
            Step::Compact { by_prefix, is_dropped } => {
                let choice = if *by_prefix { prefix() } else { finished() };
                let originals = if *is_dropped { Originals::Dropped } else { Originals::Archived };
                let plan = CompactionPlan::make(&storage, &folds(), &choice, originals, None, &mut |_| {}).unwrap();
                if plan.is_empty() {
                    return;
                }
                let applied = plan.apply(&storage, &authority(&plan), &mut |_| {}).unwrap();
                assert!(applied.event > self.highest);
            }
            Step::Undo => {
                let Ok(plan) = UndoPlan::make(&storage, None) else { return };
                plan.apply(&storage, &Self::agreed(plan.name(), 0)).unwrap();
            }
            _ => {
                let all = ForgetPlan::candidates(&*storage).unwrap().into_iter().collect();
                let plan = ForgetPlan::make(&storage, &all).unwrap();
                assert_eq!(plan.lost, 0, "all is undone");
                plan.apply(&storage, &Self::agreed(plan.name(), 0)).unwrap();
            }
        }
        assert_eq!(self.states(), before, "{step:?} has changed a state");
        let report = verify(&*storage, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert_eq!((report.severity, report.findings.len()), (Severity::Clean, 0), "{report:#?}");
    }

    fn check(&mut self) {
        let highest = reader(&self.storage).next_seq().unwrap().count_before();
        assert!(highest >= self.highest, "the log ends before it did");
        self.highest = highest;
    }
}

fn state<F: Fold>(reader: &crate::Reader, run: Seq) -> Result<StateDigest, &'static str> {
    let loaded = reader.state::<F>(Some(run), None, Start::Snapshot).map_err(|error| error.code())?;
    Ok(loaded.standing.digest().unwrap())
}

/// An empty store, and all steps of a history on it.
fn lived(steps: &[Step], wanted: impl Fn(&Step) -> bool) -> Model {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    options().open_on(Arc::clone(&storage)).unwrap().close().unwrap();
    let mut model = Model { storage, highest: 0, forks: 0 };
    for step in steps.iter().filter(|step| wanted(step)) {
        model.go(step);
        model.check();
    }
    model
}

const CASES: u32 = 32;

fn bounded() -> ProptestConfig {
    ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() }
}

/// Whatever was done before, no compaction and no undo changes the state of any run by any fold, no seq is issued twice, and
/// the log stays clean.
#[test]
fn compaction_keeps_every_state_of_every_history() {
    tell("compaction-histories", &["P3", "P7"], || {
        proptest!(bounded(), |(steps in prop::collection::vec(step(), 10..40))| {
            lived(&steps, |_| true);
        });
        (CASES.into(), vec![])
    });
}

/// What was archived and put back is the log that there was, event by event; then the archives are not needed any more.
#[test]
fn undoing_every_compaction_brings_every_event_back() {
    proptest!(bounded(), |(steps in prop::collection::vec(step(), 10..40))| {
        let kept = |step: &Step| !matches!(step, Step::Compact { is_dropped: true, .. } | Step::Undo);
        let mut model = lived(&steps, kept);
        while let Ok(plan) = UndoPlan::make(&model.storage, None) {
            plan.apply(&model.storage, &Model::agreed(plan.name(), 0)).unwrap();
        }
        let all = events(&reader(&model.storage));
        prop_assert!(all.iter().enumerate().all(|(place, event)| event.0 == place as u64 + 1), "an event is missing");
        prop_assert!(reader(&model.storage).gaps().unwrap().is_empty());
        model.go(&Step::Forget);
        prop_assert_eq!(ForgetPlan::candidates(&*model.storage).unwrap(), Vec::<String>::new());
        let left = events(&reader(&model.storage));
        prop_assert_eq!(&left[..all.len()], &all[..]);
    });
}
