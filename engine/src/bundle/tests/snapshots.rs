//! Snapshots that have gone bad in a bundle.

use super::kit::{
    Count, Tick, agreed, bundle_bytes, bytes_of, events, fill, go_on, memory, opened, options, sample, severity,
};
use crate::bundle::import;
use crate::compact::{Choice, CompactionPlan, Folds, Originals};
use crate::fold::Snapshots;
use crate::storage::Storage;
use crate::{Expect, FindingKind, Severity, VerifyOptions, verify};
use std::sync::Arc;

/// The bundle with a bit of each of its snapshots flipped, and their paths.
fn spoiled(bytes: &[u8]) -> (Vec<u8>, Vec<String>) {
    let mut spoiled = bytes.to_vec();
    let bundle = opened(bytes).unwrap();
    let members = bundle.manifest().members.iter().filter(|member| member.path.starts_with("snapshots/"));
    let mut paths = Vec::new();
    for member in members {
        spoiled[usize::try_from(member.offset + member.stored_len_bytes / 2).unwrap()] ^= 4;
        paths.push(member.path.clone());
    }
    assert!(!paths.is_empty());
    (spoiled, paths)
}

/// `log verify` of a bundle passed over its snapshots, and an import refused everything for a bad one, though a snapshot can be
/// made anew at any time.
#[test]
fn a_bad_snapshot_is_found_left_out_and_told_and_everything_else_comes() {
    let store = memory();
    fill(&store, &sample());
    let (bytes, _) = bundle_bytes(&store, None);
    let (spoiled, paths) = spoiled(&bytes);
    let bundle = opened(&spoiled).unwrap();
    let report = verify(&bundle, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    let found: Vec<&str> = report.findings.iter().map(|finding| finding.file.as_str()).collect();
    assert_eq!(found, paths);
    assert!(report.findings.iter().all(|finding| finding.kind == FindingKind::SnapshotSpoiled));
    assert_eq!((report.severity, report.totals.lost), (Severity::Clean, 0), "it can be made anew");
    let there = memory();
    let imported = import(&bundle, &there, options(), false, &mut go_on).unwrap();
    assert!(imported.restored && imported.notes.iter().any(|note| note.contains(&paths[0])), "{imported:?}");
    assert_eq!(events(&there), events(&store));
    assert_eq!(severity(&*there), Severity::Clean);
    assert!(Snapshots::new(Arc::clone(&there)).list().unwrap().snapshots.is_empty());
    assert_eq!(bytes_of(&*there, "config.toml"), bytes_of(&*store, "config.toml"));
    // Made anew, the store has again what its bundle should have had.
    let journal = options().open_on(Arc::clone(&there)).unwrap();
    journal.run("counted").unwrap().snapshot::<Count>().unwrap();
    journal.close().unwrap();
    assert_eq!(bytes_of(&*there, &paths[0]), bytes_of(&*store, &paths[0]));
}

/// Where compacted events are kept nowhere, a snapshot is all that is left of them: then it is damage, and whoever imports the
/// bundle all the same has to say so.
#[test]
fn a_bad_snapshot_that_can_not_be_made_anew_is_damage() {
    let store = memory();
    let journal = options().open_on(Arc::clone(&store)).unwrap();
    let run = journal.run_or_create("counted").unwrap();
    for n in 0..40 {
        run.append(Expect::Any, &[Tick(n), Tick(1)]).unwrap();
    }
    run.snapshot::<Count>().unwrap();
    for n in 0..400 {
        run.append(Expect::Any, &[Tick(n)]).unwrap();
    }
    journal.close().unwrap();
    compact_dropping(&store);
    let (bytes, _) = bundle_bytes(&store, None);
    assert_eq!(severity(&opened(&bytes).unwrap()), Severity::Clean);
    let (spoiled, paths) = spoiled(&bytes);
    let bundle = opened(&spoiled).unwrap();
    let report = verify(&bundle, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert_eq!(report.severity, Severity::Damaged, "{report:#?}");
    assert!(report.findings.iter().all(|finding| finding.expected.contains("all that is left")), "{report:#?}");
    let there = memory();
    let refused = import(&bundle, &there, options(), false, &mut go_on).unwrap_err();
    assert_eq!(refused.error.code(), "T0174", "{refused}");
    assert!(there.list("").is_err(), "nothing was written");
    let imported = import(&bundle, &there, options(), true, &mut go_on).unwrap();
    assert!(imported.notes.iter().any(|note| note.contains(&paths[0])), "{imported:?}");
    assert_eq!(events(&there), events(&store));
}

/// Takes everything before the snapshots away, and keeps it nowhere.
fn compact_dropping(store: &Arc<dyn Storage>) {
    let folds = Folds::built_in().and::<Count>();
    let choice = Choice::Prefix { until: None };
    let plan = CompactionPlan::make(store, &folds, &choice, Originals::Dropped, None, &mut |_| {}).unwrap();
    assert!(plan.lost > 10, "{plan:#?}");
    plan.apply(store, &agreed(&plan.id, plan.lost), &mut |_| {}).unwrap();
}
