//! What has to hold of a store after whatever was done to a command that changed it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use taffrail::storage::Disk;
use taffrail::{Batch, Expect, Journal, Query, Reader, Severity, TypeEntry, VerifyOptions, verify};

/// An event, as far as it must not change: run, type, payload.
pub(crate) type Event = (Option<u64>, String, Vec<u8>);

/// Every event that can be read, by its seq. An error says where reading ends.
pub(crate) fn events(store: &Path) -> Result<BTreeMap<u64, Event>, String> {
    let reader = Reader::open(store).map_err(|error| error.to_string())?;
    let mut events = reader.events(Query::all()).map_err(|error| error.to_string())?;
    let mut found = BTreeMap::new();
    while let Some(record) = events.next().map_err(|error| error.to_string())? {
        let event = (record.run.map(taffrail::Seq::get), record.type_name(), record.payload.to_vec());
        found.insert(record.seq.get(), event);
    }
    Ok(found)
}

/// What `log verify` would answer.
pub(crate) fn severity(store: &Path) -> Result<(Severity, String), String> {
    let report =
        verify(&Disk::new(store), &VerifyOptions::default(), &mut |_, _| {}).map_err(|error| error.to_string())?;
    Ok((report.severity, format!("{:?}", report.findings)))
}

/// Verification finds a torn tail at most: exit 0 or 3.
pub(crate) fn is_sound(store: &Path) -> Result<(), String> {
    match severity(store)? {
        (Severity::Clean | Severity::TornTail, _) => Ok(()),
        (_, findings) => Err(format!("verify finds damage: {findings}")),
    }
}

/// A batch of one event, in a run that is made for it.
pub(crate) fn probe() -> Batch {
    let mut batch = Batch::new();
    let run = batch.run_or_create("after-it-all", Expect::Any);
    batch.event(Some(run), &Arc::new(TypeEntry::json("probe")), b"{\"after\":true}");
    batch
}

/// The store opens for writing, takes an event, and is in order behind it.
pub(crate) fn goes_on(store: &Path) -> Result<(), String> {
    let journal =
        Journal::options().create(true).open(store).map_err(|error| format!("does not open again: {error}"))?;
    let appended = journal.append(probe()).map_err(|failed| format!("does not append again: {}", failed.error))?;
    journal.close().map_err(|error| format!("does not close: {error}"))?;
    let last = events(store)?.pop_last().map(|(seq, event)| (seq, event.2));
    if last != Some((appended.last.get(), b"{\"after\":true}".to_vec())) {
        return Err(format!("the event that was appended afterwards is not the last: {last:?}"));
    }
    match severity(store)? {
        (Severity::Clean, _) => Ok(()),
        (severity, findings) => Err(format!("not clean behind a new append: {severity:?} {findings}")),
    }
}

/// Every event that was there before still is, as it was.
pub(crate) fn keeps(store: &Path, before: &BTreeMap<u64, Event>) -> Result<BTreeMap<u64, Event>, String> {
    let now = events(store)?;
    match before.iter().find(|(seq, event)| now.get(seq) != Some(event)) {
        None => Ok(now),
        Some((seq, event)) => Err(format!("seq {seq} was {event:?} and is {:?}", now.get(seq))),
    }
}

/// The `n` of every event of the type `tick`, in order.
pub(crate) fn ticks(events: &BTreeMap<u64, Event>) -> Vec<u64> {
    let of_ticks = events.values().filter(|event| event.1 == "tick");
    of_ticks
        .map(|event| {
            let value: serde_json::Value = serde_json::from_slice(&event.2).expect("what was appended is JSON");
            value["n"].as_u64().expect("a number")
        })
        .collect()
}

/// An answer for which there is an entry in the book of codes: no panic, no bug.
pub(crate) fn is_coded(exit: Option<i32>, notes: &str) -> Result<(), String> {
    let has_code = ["error[T0", "\"code\":\"T0", ": T0"].iter().any(|start| notes.contains(start));
    match exit {
        None | Some(0) => Ok(()),
        Some(70 | 101 | 134) => Err(format!("a bug: exit {exit:?}: {notes}")),
        Some(_) if has_code => Ok(()),
        Some(_) => Err(format!("exit {exit:?} without a code: {notes:?}")),
    }
}
