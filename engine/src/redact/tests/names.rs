//! Texts that are no payloads.

use super::kit::{SECRET, events, of_pattern, options, planned, put, redacted, verified};
use crate::plan::Authority;
use crate::redact::{PlaceAction, Selector, StaysIn};
use crate::storage::{Memory, Storage};
use crate::{Batch, Expect, Mark, OperatorAction, TypeEntry};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A secret in a run's name, in marks, in an operator's reason and in the name of a file was passed over, and "nothing of it is
/// in the store" was said. What can be rewritten is; what can not is named, with what to do instead.
#[test]
fn names_marks_and_reasons_are_searched_and_what_can_not_be_rewritten_is_told() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let named = format!("run of {SECRET}");
    let json = Arc::new(TypeEntry::json("acme.json"));
    let mut batch = Batch::new();
    let run = Some(batch.run_or_create(named.as_str(), Expect::Any));
    batch.event(run, &json, b"{\"n\":1}");
    journal.append(batch).unwrap();
    let marks = [("plain", format!("before {SECRET} was known")), (SECRET, "nothing".to_owned())];
    for (name, note) in marks {
        journal.mark(None, &Mark { name: name.to_owned(), note }).unwrap();
    }
    let authority = Authority {
        plan: String::new(),
        accept_loss: 0,
        reason: format!("since {SECRET} leaked"),
        actor: "uid:0".to_owned(),
        lock_timeout_ms: 100,
    };
    let plan = blake3::hash(b"x").to_hex().to_string();
    let detail = serde_json::json!({ "run": named });
    let told = authority.tell(journal, "close", &plan, &detail).unwrap();
    put(&*storage, &format!("spool/{SECRET}.txt"), b"harmless");
    put(&*storage, "archive/abc123/manifest.json", format!("{{\"x\":\"{SECRET}\"}}").as_bytes());

    let plan = planned(&storage, &of_pattern());
    let changed: Vec<(&str, &[String])> =
        plan.events.iter().map(|event| (event.type_name.as_str(), event.fields.as_slice())).collect();
    assert_eq!(changed, [("Mark", &["note".to_owned()][..]), ("OperatorAction", &["reason".to_owned()][..])]);
    let stays: Vec<StaysIn> = plan.stays.iter().map(|stays| stays.place).collect();
    assert_eq!(stays, [StaysIn::RunName, StaysIn::MarkName, StaysIn::OperatorDetail], "{plan:#?}");
    assert!(plan.stays.iter().all(|stays| !stays.instead().is_empty()));
    let by_hand: Vec<&str> = plan.places.iter().map(|place| place.path.as_str()).collect();
    assert_eq!(by_hand, ["archive/abc123/manifest.json", &format!("spool/{SECRET}.txt")], "{plan:#?}");
    assert!(
        plan.places.iter().all(|place| place.action == PlaceAction::ByHand),
        "without a manifest an archive is none"
    );

    let (_, done) = redacted(&storage, &of_pattern());
    assert_eq!((done.lost, done.by_hand.len()), (2, 2));
    assert_eq!(verified(&*storage).totals.redacted, 2);
    let all = events(&storage);
    let notes: Vec<Mark> = all.iter().filter(|it| it.4 == "Mark").map(|it| Mark::decode(&it.6).unwrap()).collect();
    assert_eq!((notes[0].name.as_str(), notes[0].note.as_str()), ("plain", "before [redacted] was known"));
    assert_eq!((notes[1].name.as_str(), notes[1].note.as_str()), (SECRET, "nothing"));
    let action = all.iter().find(|it| it.0 == told).map(|it| OperatorAction::decode(&it.6).unwrap()).unwrap();
    assert_eq!((action.reason.as_str(), action.verb.as_str()), ("since [redacted] leaked", "close"));
    let again = planned(&storage, &of_pattern());
    assert!(again.events.is_empty() && again.stays.len() == 3, "what stays is told every time: {again:#?}");
}

/// A reason that holds what is redacted would be written down by the very redaction.
#[test]
fn a_reason_that_holds_it_is_refused_before_anything_is_written() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    super::kit::json_store(&storage, &[format!("{{\"token\":\"{SECRET}\"}}")]);
    let plan = planned(&storage, &of_pattern());
    let before = events(&storage);
    let authority = Authority { reason: format!("{SECRET} leaked"), ..super::kit::authority(&plan) };
    let refused = plan.apply(&storage, &of_pattern(), &authority, &mut super::kit::go_on).unwrap_err();
    assert_eq!(refused.code(), "T0407");
    assert_eq!(events(&storage), before);
    assert!(storage.entry("redacting").unwrap().is_none());
}

/// An import keeps the marks and operator events of another log as lines, their bodies in base 64: a pattern did not find what
/// was in them.
#[test]
fn records_that_an_import_has_kept_are_looked_into() {
    let other: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&other)).unwrap();
    journal.run_or_create("run").unwrap();
    journal.mark(None, &Mark { name: "m".to_owned(), note: format!("it was {SECRET}") }).unwrap();
    journal.close().unwrap();
    let (shelf, there) = (Memory::new(), Memory::new());
    shelf.create_dir("").unwrap();
    for _ in 0..3 {
        there.random_id().unwrap();
    }
    let there: Arc<dyn Storage> = Arc::new(there);
    options().open_on(Arc::clone(&there)).unwrap().run_or_create("own").unwrap();
    crate::bundle::export(&other, None, &shelf, "b", &mut super::kit::go_on).unwrap();
    let bundle = crate::bundle::Bundle::open(Arc::new(shelf), "b").unwrap();
    crate::bundle::import(&bundle, &there, options(), false, &mut super::kit::go_on).unwrap();
    let (plan, _) = redacted(&there, &of_pattern());
    let types: BTreeSet<&str> = plan.events.iter().map(|event| event.type_name.as_str()).collect();
    assert_eq!((plan.lost, types), (1, BTreeSet::from(["taffrail.import.Foreign"])), "{plan:#?}");
    verified(&*there);
}

/// Where only one run is looked at, what other runs have of it is told.
#[test]
fn what_the_selection_leaves_out_is_told() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let json = Arc::new(TypeEntry::json("acme.json"));
    for name in ["one", "two"] {
        let mut batch = Batch::new();
        let run = Some(batch.run_or_create(name, Expect::Any));
        batch.event(run, &json, format!("{{\"token\":\"{SECRET}\"}}").as_bytes());
        journal.append(batch).unwrap();
    }
    journal.close().unwrap();
    let selector = Selector { run: Some("one".to_owned()), ..of_pattern() };
    let plan = planned(&storage, &selector);
    assert_eq!(plan.lost, 1);
    let stays: BTreeSet<(StaysIn, u64)> = plan.stays.iter().map(|stays| (stays.place, stays.events)).collect();
    assert_eq!(stays, BTreeSet::from([(StaysIn::Event, 1)]), "{plan:#?}");
}
