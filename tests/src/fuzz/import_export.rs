//! Any bytes as an export, and an export with changes: taken over into an empty store and into one that has events.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use arbitrary::Unstructured;
use taffrail::export::Selection;
use taffrail::import::jsonl::import;
use taffrail::storage::{Memory, Storage};
use taffrail::{Batch, Expect, Journal, Reader, Severity, TypeEntry, VerifyOptions, verify};

use super::edits::{self, Files};

fn batch(number: usize) -> Batch {
    let mut batch = Batch::new();
    let run = batch.run_or_create(["a", "b"][number % 2], Expect::Any);
    let payload = format!("{{\"n\":{number}}}");
    batch.event(Some(run), &Arc::new(TypeEntry::json("acme.deploy")), payload.as_bytes());
    batch
}

fn filled() -> Arc<dyn Storage> {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal =
        Journal::options().create(true).segment_len_bytes(8 << 10).open_on(Arc::clone(&storage)).expect("memory");
    (0..8).for_each(|number| assert!(journal.append(batch(number)).is_ok()));
    journal.close().expect("memory");
    storage
}

fn exported() -> &'static Vec<u8> {
    static EXPORTED: OnceLock<Vec<u8>> = OnceLock::new();
    EXPORTED.get_or_init(|| {
        let reader = Reader::open_on(filled()).expect("a store");
        let mut bytes = Vec::new();
        let mut sink = |line: &str| {
            bytes.extend_from_slice(line.as_bytes());
            Ok(())
        };
        taffrail::export::export(&reader, &Selection::default(), &mut sink).expect("exported");
        bytes
    })
}

/// The target.
pub fn run(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let Ok(is_raw) = input.ratio(1, 3) else { return };
    let export = if is_raw {
        input.take_rest().to_vec()
    } else {
        let mut files = Files::from([("export".to_owned(), exported().clone())]);
        if edits::apply(&mut files, &mut input).is_err() {
            return;
        }
        files.remove("export").unwrap_or_default()
    };
    for storage in [Arc::new(Memory::new()) as Arc<dyn Storage>, filled()] {
        let options = || Journal::options().create(true).segment_len_bytes(8 << 10);
        let imported = import(&storage, options(), &mut Cursor::new(&export), &mut |_| ControlFlow::Continue(()));
        let Ok(report) = verify(&*storage, &VerifyOptions::default(), &mut |_, _| {}) else {
            assert!(imported.is_err(), "imported, and no store");
            continue;
        };
        assert!(report.severity == Severity::Clean && report.totals.lost == 0, "{report:?}");
        let _again = import(&storage, options(), &mut Cursor::new(&export), &mut |_| ControlFlow::Continue(()));
        let journal = options().open_on(Arc::clone(&storage)).expect("it opens behind any import");
        if let Err(refused) = journal.append(batch(99)) {
            // An edited export may bring the type that is appended here with another schema or hint flag.
            assert_eq!(refused.error.code(), "T0143", "{}", refused.error);
        }
        journal.close().expect("memory");
    }
}
