//! What goes into a bundle comes out of it.

use super::kit::{
    Told, batch_of, bundle_bytes, content, events, fill, import_into, memory, opened, options, sample, severity,
};
use crate::blob::{Blobs, Digest};
use crate::fold::Snapshots;
use crate::storage::Storage;
use crate::{Batch, Expect, Reader, Severity, TypeEntry};
use proptest::prelude::*;
use std::sync::Arc;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn an_export_restored_and_exported_again_has_the_same_bytes(content in content()) {
        let store = memory();
        fill(&store, &content);
        let (bytes, report) = bundle_bytes(&store, None);
        let there: Arc<dyn Storage> = memory();
        let imported = import_into(&there, &bytes).unwrap();
        prop_assert!(imported.restored);
        prop_assert!(bundle_bytes(&there, None).0 == bytes, "{report:?}");
        prop_assert_eq!(events(&there), events(&store));
        prop_assert_eq!(severity(&*there), Severity::Clean);
        // In place: the same events, and nothing to complain about.
        let bundle: Arc<dyn Storage> = Arc::new(opened(&bytes).unwrap());
        prop_assert_eq!(events(&bundle), events(&store));
        prop_assert_eq!(severity(&*bundle), Severity::Clean);
        let snapshots = Snapshots::new(bundle).list().unwrap();
        prop_assert_eq!(snapshots.snapshots.len() as u64, report.snapshots);
        prop_assert!(snapshots.findings.is_empty());
        // The log goes on where it was.
        let journal = options().open_on(Arc::clone(&there)).unwrap();
        let last = journal.append(batch_of(9, &[(1, 9)], None)).unwrap().last;
        prop_assert!(last.get() > report.durable);
    }

    #[test]
    fn one_run_is_a_log_of_its_own_and_is_added_once(content in content(), which in 0_u8..4) {
        let store = memory();
        fill(&store, &content);
        let name = format!("run-{which}");
        let reader = Reader::open_on(Arc::clone(&store)).unwrap();
        let Ok(run) = reader.find_run(&name) else { return Ok(()) };
        let (bytes, _) = bundle_bytes(&store, Some(&name));
        let bundle: Arc<dyn Storage> = Arc::new(opened(&bytes).unwrap());
        let own: Vec<_> = events(&store).into_iter().filter(|event| event.1 == run.run.get()).collect();
        prop_assert_eq!(events(&bundle), own.clone());
        prop_assert_eq!(severity(&*bundle), Severity::Clean);
        // Twice into a store with a run of that name: it is there once, under another name, with its payloads.
        let there = memory();
        options().open_on(Arc::clone(&there)).unwrap().run_or_create(&name).unwrap();
        import_into(&there, &bytes).unwrap();
        let after = events(&there);
        let again = import_into(&there, &bytes).unwrap();
        prop_assert_eq!((again.events_added, again.restored), (0, false));
        prop_assert_eq!(&events(&there), &after);
        let payloads = |events: &[Told]| -> Vec<(i64, Vec<u8>)> {
            let users = events.iter().filter(|event| event.4.starts_with("acme."));
            users.map(|event| (event.3, event.5.clone())).collect()
        };
        prop_assert_eq!(payloads(&after), payloads(&own));
        prop_assert_eq!(severity(&*there), Severity::Clean);
        for digest in own.iter().filter(|event| event.4 == "acme.file").map(|event| event.5[11..75].to_vec()) {
            let digest = Digest::parse(std::str::from_utf8(&digest).unwrap()).unwrap();
            prop_assert!(Blobs::new(Arc::clone(&there)).has(&digest).unwrap(), "its blobs came along");
        }
    }
}

#[test]
fn two_copies_that_were_both_written_to_are_told_apart() {
    let store = memory();
    fill(&store, &sample());
    let (bytes, _) = bundle_bytes(&store, None);
    let copy = memory();
    import_into(&copy, &bytes).unwrap();
    let append = |store: &Arc<dyn Storage>, run| {
        options().open_on(Arc::clone(store)).unwrap().append(batch_of(run, &[(1, 50)], None)).unwrap();
    };
    append(&store, 1);
    let (newer, _) = bundle_bytes(&store, None);
    let brought = import_into(&copy, &newer).unwrap();
    assert!(brought.restored && brought.events_added == 1, "what the copy lacks is appended: {brought:?}");
    assert_eq!(events(&copy), events(&store));
    append(&store, 2);
    append(&copy, 1);
    let (newer, _) = bundle_bytes(&store, None);
    assert_eq!(import_into(&copy, &newer).expect_err("they differ").error.code(), "T0163");
}

/// A bundle of one run did not go into the very log that it was made from: where a batch had events of other runs as well, what
/// is left of it in the bundle ends elsewhere, and that was taken for another event (T0163).
#[test]
fn a_bundle_of_one_run_is_known_again_by_the_log_that_it_was_made_from() {
    let store = memory();
    fill(&store, &sample());
    let journal = options().open_on(Arc::clone(&store)).unwrap();
    let mut batch = Batch::new();
    let [one, other] = ["run-1", "run-2"].map(|name| batch.run_or_create(name, Expect::Any));
    for run in [one, other] {
        batch.event(Some(run), &Arc::new(TypeEntry::json("acme.both")), b"{}");
    }
    journal.append(batch).unwrap();
    journal.close().unwrap();
    let (before, (bytes, _)) = (events(&store), bundle_bytes(&store, Some("run-1")));
    let report = import_into(&store, &bytes).unwrap();
    assert_eq!(report.events_added, 0);
    assert!(report.events_already_there > 0);
    assert_eq!(events(&store), before);
}
