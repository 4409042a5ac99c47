//! A bundle of a run of which something was compacted away.

use super::kit::{Count, Tick, Told, agreed, bundle_bytes, events, memory, opened, options, severity};
use crate::compact::{Choice, CompactionPlan, Folds, Originals};
use crate::storage::Storage;
use crate::{Expect, Reader, Severity};
use std::sync::Arc;

fn of_run(storage: &Arc<dyn Storage>) -> Vec<Told> {
    let run = Reader::open_on(Arc::clone(storage)).unwrap().find_run("counted").unwrap().run;
    events(storage).into_iter().filter(|event| event.1 == run.get()).collect()
}

/// It lacked what a compaction had moved to an archive, and nothing said so.
#[test]
fn what_an_archive_has_of_a_run_goes_into_its_bundle() {
    let store = memory();
    let journal = options().open_on(Arc::clone(&store)).unwrap();
    let run = journal.run_or_create("counted").unwrap();
    for part in 0..2 {
        for n in 0..200 {
            run.append(Expect::Any, &[Tick(n), Tick(part)]).unwrap();
        }
        run.snapshot::<Count>().unwrap();
    }
    journal.close().unwrap();
    let before = of_run(&store);
    let (folds, choice) = (Folds::built_in().and::<Count>(), Choice::Prefix { until: None });
    let plan = CompactionPlan::make(&store, &folds, &choice, Originals::Archived, None, &mut |_| {}).unwrap();
    let applied = plan.apply(&store, &agreed(&plan.id, plan.lost), &mut |_| {}).unwrap();
    let gone = before.len() - of_run(&store).len();
    assert!(gone > 10, "{plan:#?}");
    let (bytes, report) = bundle_bytes(&store, Some("counted"));
    let bundle: Arc<dyn Storage> = Arc::new(opened(&bytes).unwrap());
    assert_eq!((of_run(&bundle), severity(&*bundle)), (before, Severity::Clean));
    assert!(report.left_out.is_empty(), "{report:?}");

    store.remove(&format!("{}/manifest.json", applied.kept_in.unwrap())).unwrap();
    let (_, report) = bundle_bytes(&store, Some("counted"));
    let said = format!("{gone} events of it, which are neither in the log nor in an archive");
    assert_eq!(report.left_out, [said]);
}
