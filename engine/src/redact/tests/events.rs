//! What becomes of events, states and copies.

use super::kit::{
    SECRET, Talk, Told, authority, events, files, go_on, holders, of_pattern, options, put, read, store, verified,
};
use crate::fold::{CheckOptions, check_with};
use crate::plan::Authority;
use crate::redact::{FieldPath, RedactPlan, Selector};
use crate::storage::{Memory, Storage};
use crate::{Batch, Expect, Seq, TypeEntry};
use std::collections::BTreeSet;
use std::sync::Arc;

#[test]
fn a_pattern_is_taken_out_of_every_place_and_the_rest_stays() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    store(&storage);
    assert!(holders(&storage).len() > 8, "{:?}", holders(&storage));
    let (before, was) = (events(&storage), files(&*storage));
    let plan = RedactPlan::make(&storage, &of_pattern(), &mut go_on).unwrap();
    assert_eq!(files(&*storage), was, "a plan only reads");
    assert_eq!(plan.lost, 4, "{plan:?}");
    assert_eq!(plan.events.iter().filter(|event| event.archive.is_some()).count(), 4, "the archive's copies too");
    let whole: Vec<u64> = plan.events.iter().filter(|event| event.fields.is_empty()).map(|event| event.seq).collect();
    assert_eq!(whole.len(), 2, "the typed event goes as a whole, in the log and in the archive");
    let wrong = Authority { accept_loss: 3, ..authority(&plan) };
    assert_eq!(plan.apply(&storage, &of_pattern(), &wrong, &mut go_on).unwrap_err().code(), "T0402");
    let other = Authority { plan: "abcdef".to_owned(), ..authority(&plan) };
    assert_eq!(plan.apply(&storage, &of_pattern(), &other, &mut go_on).unwrap_err().code(), "T0401");
    let done = plan.apply(&storage, &of_pattern(), &authority(&plan), &mut go_on).unwrap();
    assert_eq!(holders(&storage), Vec::<String>::new());
    assert_eq!((done.lost, done.by_hand.len()), (4, 0));
    assert!(done.forgotten.iter().any(|path| path.starts_with("snapshots/")), "{done:?}");
    let left = files(&*storage);
    for stays in ["spool/harmless", "archive/abc123/segments/0000000001.seg", "config.toml"] {
        assert_eq!(left.contains(&stays.to_owned()), was.contains(&stays.to_owned()), "{stays}");
    }
    let report = verified(&*storage);
    assert_eq!((report.totals.redacted, report.totals.lost, report.totals.absent), (4, 0, 0));
    assert_eq!(verified(&crate::storage::Rooted::new(Arc::clone(&storage), "archive/abc123")).totals.redacted, 4);
    let after = events(&storage);
    for (was, is) in before.iter().zip(&after) {
        let same = |it: &Told| (it.0, it.1, it.2, it.3, it.4.clone());
        assert_eq!(same(was), same(is), "headers stay");
        let is_hit = plan.events.iter().any(|event| event.seq == was.0);
        assert_eq!((is.5, is.6 == was.6), (is_hit, !is_hit), "{was:?} {is:?}");
    }
    assert_eq!(after.len(), before.len() + 1, "and one event tells of it");
    let told = crate::OperatorAction::decode(&after.last().unwrap().6).unwrap();
    assert_eq!((told.verb.as_str(), told.reason.as_str()), ("redact", "it leaked"));
    for event in &plan.events {
        assert!(told.detail.contains(&event.digest), "the digest of what was there is on record");
    }
    let token = before.iter().find(|event| event.6.windows(SECRET.len()).any(|it| it == SECRET.as_bytes())).unwrap();
    let now = String::from_utf8(after[usize::try_from(token.0 - 1).unwrap()].6.clone()).unwrap();
    assert_eq!(now, "{\"n\":3,\"auth\":{\"token\":\"[redacted]\",\"user\":\"me\"}}");
    assert!(RedactPlan::make(&storage, &of_pattern(), &mut go_on).unwrap().is_empty(), "nothing is left to do");
}

#[test]
fn states_go_on_and_older_checkpoints_are_superseded() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    store(&storage);
    let plan = RedactPlan::make(&storage, &of_pattern(), &mut go_on).unwrap();
    plan.apply(&storage, &of_pattern(), &authority(&plan), &mut go_on).unwrap();
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let run = journal.run("talk").unwrap();
    assert_eq!(run.state::<Talk>().unwrap().0, (2, "bye".to_owned()), "the event that is gone counts as none");
    let options_of_check = CheckOptions { snapshots: true, ..CheckOptions::default() };
    let report = check_with::<Talk>(&journal.reader().unwrap(), &options_of_check).unwrap();
    assert_eq!(report.superseded, 2, "{report}");
    assert!(report.runs.iter().all(|run| run.divergence.is_none()), "{report}");
    journal.run("talk").unwrap().checkpoint::<Talk>().unwrap();
    let report = journal.run("talk").unwrap().check::<Talk>().unwrap();
    assert!(report.runs.iter().all(|run| run.divergence.is_none()), "{report}");
}

#[test]
fn fields_and_whole_events_are_redacted_by_name() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    store(&storage);
    let of_field = Selector {
        fields: vec![FieldPath::parse("data.auth.token").unwrap()],
        run: Some("run-0".to_owned()),
        event_type: Some("acme.json".to_owned()),
        ..Selector::default()
    };
    let plan = RedactPlan::make(&storage, &of_field, &mut go_on).unwrap();
    assert_eq!(plan.lost, 14, "{plan:?}");
    plan.apply(&storage, &of_field, &authority(&plan), &mut go_on).unwrap();
    verified(&*storage);
    let all = events(&storage);
    let tokens = all.iter().filter(|event| event.6.windows(12).any(|it| it == b"\"[redacted]\"")).count();
    assert_eq!(tokens, 14);
    let bytes = all.iter().find(|event| event.4 == "acme.bytes").unwrap();
    let of_event = Selector { events: BTreeSet::from([Seq::new(bytes.0).unwrap()]), ..Selector::default() };
    let plan = RedactPlan::make(&storage, &of_event, &mut go_on).unwrap();
    assert_eq!((plan.lost, plan.events[0].digest.clone()), (1, blake3::hash(&bytes.6).to_hex().to_string()));
    plan.apply(&storage, &of_event, &authority(&plan), &mut go_on).unwrap();
    let now = events(&storage)[usize::try_from(bytes.0 - 1).unwrap()].6.clone();
    assert_eq!(now, format!("{{\"redacted\":\"{}\"}}", blake3::hash(&bytes.6).to_hex()).into_bytes());
    assert!(RedactPlan::make(&storage, &of_event, &mut go_on).unwrap().events.is_empty(), "once is enough");
    let own = Selector { events: BTreeSet::from([Seq::FIRST]), ..Selector::default() };
    assert_eq!(RedactPlan::make(&storage, &own, &mut go_on).unwrap_err().code(), "T0409");
    let none = Selector { events: BTreeSet::from([Seq::new(9999).unwrap()]), ..Selector::default() };
    assert_eq!(RedactPlan::make(&storage, &none, &mut go_on).unwrap_err().code(), "T0409");
    assert_eq!(RedactPlan::make(&storage, &Selector::default(), &mut go_on).unwrap_err().code(), "T0407");
}

/// A value that is too short to be searched for was left in copies of the segments that a repair had kept: a copy of a frame is
/// known by its seq and by the digest of its payload, whatever the value is.
#[test]
fn copies_of_whole_events_are_found_however_short_the_value_is() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    let json = Arc::new(TypeEntry::json("acme.json"));
    for number in 0..6_u32 {
        let mut batch = Batch::new();
        let run = Some(batch.run_or_create("run", Expect::Any));
        batch.event(run, &json, format!("{{\"pin\":\"77{number}\",\"n\":{number}}}").as_bytes());
        journal.append(batch).unwrap();
    }
    journal.close().unwrap();
    let segment = read(&*storage, "segments/0000000001.seg");
    put(&*storage, "quarantine/8c1e44/segment.bin", &segment);
    put(&*storage, "quarantine/8c1e44/other.bin", &segment[..64]);
    let pins = Selector { fields: vec![FieldPath::parse("data.pin").unwrap()], ..Selector::default() };
    let plan = RedactPlan::make(&storage, &pins, &mut go_on).unwrap();
    let places: Vec<&str> = plan.places.iter().map(|place| place.path.as_str()).collect();
    assert_eq!((plan.lost, plan.not_identifying), (6, 6));
    assert_eq!(places, ["quarantine/8c1e44/segment.bin"]);
    plan.apply(&storage, &pins, &authority(&plan), &mut go_on).unwrap();
    for path in files(&*storage) {
        assert!(!read(&*storage, &path).windows(5).any(|it| it.starts_with(b"\"77") && it[4] == b'"'), "{path}");
    }
}
