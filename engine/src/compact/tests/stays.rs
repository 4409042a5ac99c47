//! What a compaction leaves where it is, and what it says of it.

use super::basics::{agreed, fork, is_clean};
use super::kit::{
    authority, change, compact, events, finished, options, plan, prefix, reader, snapshots, ticks, whole_run,
};
use crate::compact::{ForgetPlan, Originals};
use crate::fold::Start;
use crate::run::{Change, Content, overview};
use crate::storage::{Memory, Storage};
use crate::{Expect, Seq};
use std::sync::Arc;

/// Two runs that had both ended, and a parent that stayed because of its fork: the plan said why, and not what to do.
#[test]
fn a_run_that_stays_names_the_command_after_which_it_can_go() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    whole_run(&journal, "parent", 0..12);
    journal.close().unwrap();
    let parent = reader(&storage).find_run("parent").unwrap();
    fork(&storage, "parent", parent.revision as usize - 1, "a fork").unwrap();
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    ticks(&journal, "open", 0..24);
    journal.close().unwrap();
    let held = plan(&storage, &finished(), Originals::Archived);
    let stays = held.stays.iter().find(|stays| stays.name.as_deref() == Some("parent")).unwrap();
    assert_eq!(stays.remedy.as_deref(), Some("taffrail snap create 'a fork'"));
    let open = plan(&storage, &prefix(), Originals::Archived);
    let stays = open.stays.iter().find(|stays| stays.name.as_deref() == Some("open")).unwrap();
    assert_eq!(stays.remedy.as_deref(), Some("taffrail snap create open"));
}

/// Adds up the ticks of the whole store, of whichever run.
#[derive(Debug)]
struct Total;

impl crate::Fold for Total {
    const NAME: &'static str = "acme.total";
    const VERSION: u32 = 1;
    const SCOPE: crate::fold::Scope = crate::fold::Scope::Store;
    type Event = super::kit::Tick;
    type State = u64;

    fn apply(state: &mut u64, tick: &crate::Recorded<super::kit::Tick>) {
        *state += u64::from(tick.data.0);
    }

    fn ignores(_event_type: &str) -> bool {
        true
    }
}

/// With `--drop`, events of the store went whose type no fold reads: nothing made up for them, and nothing named them.
#[test]
fn events_of_the_store_that_no_fold_reads_are_not_dropped() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let note = Arc::new(crate::TypeEntry::json("acme.note"));
    for number in 0..24_u32 {
        let mut batch = crate::Batch::new();
        batch.typed(None, None, &super::kit::Tick(number, "x".repeat(900))).unwrap();
        if number % 8 == 0 {
            batch.event(None, &note, b"{}");
        }
        journal.append(batch).unwrap();
    }
    journal.close().unwrap();
    let folds = super::kit::folds().and::<Total>();
    let loaded = reader(&storage).state::<Total>(None, None, Start::Origin).unwrap();
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    crate::Snapshots::new(Arc::clone(&storage)).create(&journal, None, &loaded.standing).unwrap();
    ticks(&journal, "open", 0..24);
    journal.close().unwrap();
    let make = |originals| {
        crate::compact::CompactionPlan::make(&storage, &folds, &prefix(), originals, None, &mut |_| {}).unwrap()
    };
    let archived = make(Originals::Archived);
    assert!(archived.store_stays.is_empty(), "nothing is lost by it: {archived:#?}");
    let dropped = make(Originals::Dropped);
    let stays: Vec<(&str, u64)> = dropped.store_stays.iter().map(|it| (it.type_name.as_str(), it.events)).collect();
    assert_eq!((stays, archived.events - dropped.events), (vec![("acme.note", 3)], 3), "{dropped:#?}");
    let all = events(&reader(&storage));
    let applied = dropped.apply(&storage, &authority(&dropped), &mut |_| {}).unwrap();
    assert_eq!(applied.lost, dropped.events);
    is_clean(&storage);
    let notes = |all: &[super::kit::Line]| all.iter().filter(|line| line.3 == "acme.note").count();
    let left = events(&reader(&storage));
    assert_eq!((notes(&all), notes(&left)), (3, 3));
}

/// `run list` counted what an import had found odd, and after a compaction it did not; `run show` did until the archive was
/// forgotten.
#[test]
fn what_an_import_found_odd_is_told_after_a_compaction_as_before() {
    use crate::import::record::{Note as _, Oddities};
    for is_dropped in [false, true] {
        let storage: Arc<dyn Storage> = Arc::new(Memory::new());
        let journal = options().open_on(Arc::clone(&storage)).unwrap();
        whole_run(&journal, "imported", 0..12);
        let mut batch = crate::Batch::new();
        let run = batch.run_or_create("imported", Expect::Any);
        let odd = br#"{"oddities":[{"file":"journal/5.json","code":"wrong-checksum","reason":"stored 1"}]}"#;
        batch.event(Some(run), &Oddities::entry(), odd);
        journal.append(batch).unwrap();
        change(&journal, "imported", Change::Completed { output: Content::None });
        ticks(&journal, "open", 0..30);
        journal.close().unwrap();
        if is_dropped {
            snapshots(&storage);
        }
        let found = |what: &str| {
            let overview = overview(&reader(&storage)).unwrap();
            let run = overview.runs.into_iter().find(|run| run.name.as_deref() == Some("imported"));
            let run = run.unwrap_or_else(|| panic!("{what}"));
            let most = crate::run::Shown { most_events: 5, with_given_up: false };
            let shown = crate::run::show(&reader(&storage), Seq::new(run.run).unwrap(), most).unwrap();
            let is_odd = |finding: &&crate::run::Finding| finding.problem == crate::run::Problem::Oddity;
            (run.findings, shown.1.findings.iter().filter(is_odd).count())
        };
        let before = found("before");
        assert!(before.0 >= 1, "{before:?}");
        let originals = if is_dropped { Originals::Dropped } else { Originals::Archived };
        let (plan, applied) = compact(&storage, &finished(), originals);
        assert!(plan.events > 8, "{plan:#?}");
        assert_eq!(found("after"), before, "dropped: {is_dropped}");
        if let Some(directory) = applied.kept_in {
            let forget = ForgetPlan::make(&storage, &[directory].into()).unwrap();
            let authority = crate::plan::Authority { accept_loss: forget.lost, ..agreed(forget.name()) };
            forget.apply(&storage, &authority).unwrap();
            assert_eq!(found("forgotten").1, before.1, "what the log has of it");
        }
    }
}
