//! The machine stops at every call that a workload makes, and the fold is asked what it has.

use crate::error::Result;
use crate::fold::{Fold, Start, StateDigest, check, each_state};
use crate::log::{Expect, Journal};
use crate::storage::{Fault, SimDisk};
use crate::{ErrorKind, Reader};
use std::sync::Arc;

/// The run of the workload.
const RUN: &str = "crashing";
/// Power cuts that are tried for each call: what was not synced survives in as many ways.
const CUTS_PER_CALL: u64 = 3;
/// Events between two checkpoints.
const EVENTS_PER_CHECKPOINT: usize = 3;

/// Checks that a crash loses no acknowledged event of a run and leaves a state that the run has had.
///
/// The events are appended one by one on a simulated disk, with checkpoints, and a snapshot half-way. That is repeated for every
/// call that reaches the disk: the machine stops there, what was not synced survives or not as a seed decides, and the store is
/// opened again. Then the state must be that after at least the acknowledged events, all checkpoints must be equal, and another
/// event can be appended. Returns how many crash states there were.
///
/// # Panics
/// Where one of these does not hold; the message names the call and the seed. Where the events can not be appended at all.
#[track_caller]
pub fn crash_everywhere<F: Fold>(events: &[F::Event]) -> u64 {
    let whole = SimDisk::new(0);
    let mut acknowledged = 0;
    workload::<F>(&whole, events, &mut acknowledged).unwrap_or_else(|error| panic!("without a crash: {error}"));
    let calls = whole.next_operation();
    let mut expected: Vec<StateDigest> = Vec::new();
    Reader::open_on(Arc::new(whole.process(2)))
        .and_then(|reader| {
            each_state::<F>(&reader, None, |line| {
                expected.push(line.digest);
                Ok(true)
            })
        })
        .unwrap_or_else(|error| panic!("without a crash: {error}"));
    let mut states = 0;
    for call in 0..calls {
        let disk = SimDisk::new(0);
        disk.inject(call, Fault::CrashAfter);
        let mut acknowledged = 0;
        let stopped = workload::<F>(&disk, events, &mut acknowledged);
        for seed in 0..CUTS_PER_CALL {
            let what = format!("call {call} of {calls}, power cut {seed}");
            let survivor = disk.power_cut(seed);
            let kept = look_again::<F>(&survivor, events, &what);
            let kept_events = kept.as_ref().map_or(0, |(count, _)| *count);
            assert!(
                kept_events >= acknowledged,
                "{what}: {acknowledged} events were acknowledged, {kept_events} are there"
            );
            assert!(
                stopped.is_err() || kept_events == events.len() as u64,
                "{what}: all was well, and events are missing"
            );
            if let Some((count, digest)) = kept.filter(|(count, _)| *count > 0) {
                let wanted = usize::try_from(count - 1).ok().and_then(|place| expected.get(place));
                assert_eq!(
                    wanted,
                    Some(&digest),
                    "{what}: the state after {count} events is one that the run never had"
                );
            }
            states += 1;
        }
    }
    states
}

fn workload<F: Fold>(disk: &SimDisk, events: &[F::Event], acknowledged: &mut u64) -> Result<()> {
    let journal = Journal::options().create(true).open_on(Arc::new(disk.process(1)))?;
    let run = journal.run_or_create(RUN)?;
    for (place, event) in events.iter().enumerate() {
        run.append(Expect::Any, std::slice::from_ref(event))?;
        *acknowledged += 1;
        if place % EVENTS_PER_CHECKPOINT == EVENTS_PER_CHECKPOINT - 1 {
            run.checkpoint::<F>()?;
        }
        if place == events.len() / 2 {
            run.snapshot::<F>()?;
        }
    }
    journal.close()
}

/// What a store has after a power cut: the count of events, and the digest of the state; `None` without the run.
fn look_again<F: Fold>(survivor: &SimDisk, events: &[F::Event], what: &str) -> Option<(u64, StateDigest)> {
    let look = || -> Result<Option<(u64, StateDigest)>> {
        let journal = Journal::options().create(true).open_on(Arc::new(survivor.process(3)))?;
        let run = match journal.run(RUN) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            run => run?,
        };
        let standing = run.standing::<F>(Start::Snapshot)?.standing;
        let digest = standing.digest()?;
        if let Some(event) = events.first() {
            run.append(Expect::Any, std::slice::from_ref(event))?;
        }
        let number = run.number();
        journal.close()?;
        let report = check::<F>(&Reader::open_on(Arc::new(survivor.process(4)))?, Some(number))?;
        match report.divergences().next() {
            Some(divergence) => panic!("{what}: {divergence}"),
            None => Ok(Some((standing.events, digest))),
        }
    };
    look().unwrap_or_else(|error| panic!("{what}: {error}"))
}
