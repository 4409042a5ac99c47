//! What the report of a run says of events that stand behind dropped ones.

use super::kit::{change, compact, options, prefix, reader, snapshots, ticks};
use crate::Journal;
use crate::compact::Originals;
use crate::fold::Snapshots;
use crate::run::{Change, Content, Rewound, Shown, show};
use crate::storage::{Memory, Storage};
use std::sync::Arc;

/// A store with a run called `work`, of one event.
fn begun() -> (Arc<dyn Storage>, Journal) {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    change(&journal, "work", Change::Created { process: "p".into(), process_digest: None, inputs: Content::None });
    (storage, journal)
}

fn note(journal: &Journal, number: u32) {
    change(journal, "work", Change::Noted { label: "said".into(), message: number.to_string() });
}

/// The lines of a report counted the events that they came to, beginning with one: behind dropped events their ordinals were
/// those of others, and events were left out as given up that stood in the history.
#[test]
fn events_behind_dropped_ones_keep_their_ordinals() {
    let (storage, journal) = begun();
    let note = |number: u32| note(&journal, number);
    (2..=5).for_each(note);
    change(&journal, "work", Change::Rewound(Rewound { to: 2, ..Rewound::default() }));
    note(7);
    snapshots(&storage);
    let seen = |all: bool| seen(&storage, "work", all);
    let before = [(1, false), (2, false), (3, true), (4, true), (5, true), (6, false), (7, false)];
    assert_eq!(seen(true), (before.to_vec(), 0));
    assert_eq!(seen(false).1, 3);
    ticks(&journal, "other", 0..48);
    compact(&storage, &prefix(), Originals::Dropped);
    for number in 8..=13 {
        note(number);
    }
    journal.close().unwrap();
    let behind: Vec<(u64, bool)> = (8..=13).map(|event| (event, false)).collect();
    let (lines, _) = seen(true);
    assert!(lines.ends_with(&behind), "{lines:?}");
    assert_eq!(seen(false).0, lines, "none of those that are left was given up");
}

/// The snapshot that made up for the dropped events can not be read; the state begins at a later one, and does not count what
/// stands before it.
#[test]
fn what_is_left_of_a_run_before_its_snapshot_is_counted_back_from_it() {
    let (storage, journal) = begun();
    let note = |number: u32| note(&journal, number);
    (2..=4).for_each(note);
    snapshots(&storage);
    ticks(&journal, "other", 0..48);
    let (plan, _) = compact(&storage, &prefix(), Originals::Dropped);
    assert!(plan.lost >= 4, "{plan:#?}");
    (5..=8).for_each(note);
    snapshots(&storage);
    note(9);
    journal.close().unwrap();
    let left: Vec<(u64, bool)> = (5..=9).map(|event| (event, false)).collect();
    assert_eq!(seen(&storage, "work", false), (left.clone(), 0));
    let of_runs = Snapshots::new(Arc::clone(&storage)).list().unwrap().snapshots;
    let of_work = of_runs.iter().filter(|it| it.file.contains("taffrail.run-")).min_by_key(|it| it.head.seq).unwrap();
    storage.remove(&of_work.file).unwrap();
    assert_eq!(seen(&storage, "work", false), (left, 0));
}

/// The ordinals in the report of a run, each with whether it was given up, and how many were left out for that.
fn seen(storage: &Arc<dyn Storage>, run: &str, with_given_up: bool) -> (Vec<(u64, bool)>, u64) {
    let run = reader(storage).find_run(run).unwrap().run;
    let (state, report) = show(&reader(storage), run, Shown { most_events: 100, with_given_up }).unwrap();
    let lines: Vec<(u64, bool)> = report.timeline.iter().map(|line| (line.event, line.given_up)).collect();
    assert_eq!(state.events, report.timeline_skipped + report.timeline_hidden + lines.len() as u64, "{lines:?}");
    (lines, report.timeline_hidden)
}
