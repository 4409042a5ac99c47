//! Runs that began as others, of which something was compacted away.

use super::basics::fork;
use super::kit::{change, compact, finished, options, reader, ticks};
use crate::compact::Originals;
use crate::fold::Start;
use crate::run::{Change, Content, Runs};
use crate::storage::{Memory, Storage};
use std::sync::Arc;

/// Folded from the first event on, a fork whose parent had been compacted began as nothing, and was said to be complete: what
/// came before the fork was not missed, since the parent's next event, whose revision tells of it, stands behind that.
#[test]
fn a_fork_of_what_was_compacted_is_folded_from_the_archive_or_not_at_all() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    change(&journal, "parent", Change::Created { process: "p".into(), process_digest: None, inputs: Content::None });
    for step in ["a", "b"] {
        change(&journal, "parent", Change::Noted { label: step.into(), message: "said".into() });
    }
    journal.close().unwrap();
    fork(&storage, "parent", 2, "fork").unwrap();
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    change(&journal, "parent", Change::Completed { output: Content::None });
    ticks(&journal, "open", 0..24);
    let origin = |name: &str| {
        let run = reader(&storage).find_run(name).unwrap().run;
        let loaded = reader(&storage).state::<Runs>(Some(run), None, Start::Origin);
        loaded.map(|it| (it.standing.state, it.standing.missing.len())).map_err(|error| error.code())
    };
    let (state, lines) = (origin("fork").unwrap(), timeline(&storage, "fork"));
    assert_eq!((state.0.events, state.1, lines.len()), (3, 0, 3), "Created, Noted, Forked: {lines:?}");
    journal.run("fork").unwrap().snapshot::<Runs>().unwrap();
    journal.close().unwrap();
    let (plan, applied) = compact(&storage, &finished(), Originals::Archived);
    assert!(plan.runs.iter().any(|run| run.name.as_deref() == Some("parent")), "{plan:#?}");
    assert_eq!((origin("fork").unwrap(), timeline(&storage, "fork")), (state, lines));
    let manifest = format!("{}/manifest.json", applied.kept_in.unwrap());
    storage.remove(&manifest).unwrap();
    assert_eq!(origin("fork").unwrap_err(), "T0508", "what it began as is nowhere");
}

fn timeline(storage: &Arc<dyn Storage>, name: &str) -> Vec<u64> {
    let run = reader(storage).find_run(name).unwrap().run;
    let shown = crate::run::Shown { most_events: 100, with_given_up: true };
    let (_, report) = crate::run::show(&reader(storage), run, shown).unwrap();
    report.timeline.iter().map(|line| line.seq).collect()
}
