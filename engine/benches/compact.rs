//! How fast events are taken out of a log: 10,000 runs that have ended, in 1 GiB. Once all but the last 100 of them go, as a
//! retention policy says; once those that have failed do, so that half of every segment stays and is moved. Each is planned, moved
//! to the archive, put back, and the archive is forgotten. Beside it, what reading and copying the same segments takes on the
//! same disk, in the same round.
//!
//! `TAFFRAIL_BENCH_RUNS` is another number of runs, each of about 110 KB; `TAFFRAIL_BENCH_ROUNDS` another number of rounds than
//! three; `TAFFRAIL_BENCH_DIR` another directory than that for temporary files.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::panic,
    reason = "a measurement, run by hand"
)]

mod beside;

use beside::{Bench, Place, number};
use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use taffrail::compact::{Choice, CompactionPlan, Folds, ForgetPlan, Originals, Retention};
use taffrail::plan::Authority;
use taffrail::repair::UndoPlan;
use taffrail::run::{Change, Content, Status};
use taffrail::storage::{Disk, Storage};
use taffrail::{Batch, Expect, Journal, SyncPolicy};

/// That of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOTES: usize = 26;
const NOTE_LEN_BYTES: usize = 4 << 10;

/// Runs that lie side by side, sixteen at a time, as those of a real store do.
fn fill(directory: &Path, runs: u64) -> taffrail::Result<()> {
    let options = Journal::options().create(true).sync(SyncPolicy::Never).exclusive(true);
    let journal = options.open(directory)?;
    let text = "compaction ".repeat(NOTE_LEN_BYTES / 11);
    let append = |run: u64, change: Change| -> taffrail::Result<()> {
        let mut batch = Batch::new();
        let handle = batch.run_or_create(format!("job-{run}"), Expect::Any);
        batch.typed(Some(handle), None, &change.by("uid:1000"))?;
        journal.append(batch)?;
        Ok(())
    };
    for first in (0..runs).step_by(16) {
        let group = first..runs.min(first + 16);
        for run in group.clone() {
            append(run, Change::Created { process: "nightly".into(), process_digest: None, inputs: Content::None })?;
        }
        for _ in 0..NOTES {
            for run in group.clone() {
                append(run, Change::Noted { label: "log".into(), message: text.clone() })?;
            }
        }
        for run in group {
            append(
                run,
                match run % 2 {
                    0 => Change::Completed { output: Content::None },
                    _ => Change::Failed { error: "it failed".into() },
                },
            )?;
        }
    }
    journal.close()
}

fn agreed(plan: &str) -> Authority {
    let (plan, reason, actor) = (plan.to_owned(), "a measurement".to_owned(), "uid:1000".to_owned());
    Authority { plan, accept_loss: 0, reason, actor, lock_timeout_ms: 1_000 }
}

/// Names of what is measured, of one way to choose.
struct Names {
    plan: &'static str,
    apply: &'static str,
}

/// Takes events out and puts them back: the store is as it was, but for what tells of that.
fn there_and_back(
    bench: &mut Bench,
    store: &Path,
    retention: Retention,
    names: &Names,
) -> Result<CompactionPlan, Box<dyn Error>> {
    let storage: Arc<dyn Storage> = Arc::new(Disk::new(store));
    let (choice, folds) = (Choice::Runs(retention), Folds::built_in());
    let plan = bench.measure(names.plan, store, || {
        CompactionPlan::make(&storage, &folds, &choice, Originals::Archived, None, &mut |_| {})
    })?;
    bench.measure(names.apply, store, || plan.apply(&storage, &agreed(plan.name()), &mut |_| {}))?;
    let undo = bench.measure("plan of the undo", store, || UndoPlan::make(&storage, None))?;
    bench.measure("undo", store, || undo.apply(&storage, &agreed(undo.name())))?;
    let all: BTreeSet<String> = ForgetPlan::candidates(&*storage)?.into_iter().collect();
    let forget = ForgetPlan::make(&storage, &all)?;
    forget.apply(&storage, &agreed(forget.name()))?;
    Ok(plan)
}

fn main() -> Result<(), Box<dyn Error>> {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` runs it too, and measures nothing.
        return Ok(());
    }
    let runs = number("TAFFRAIL_BENCH_RUNS", 10_000);
    let place = Place::new("compact")?;
    let store = place.path().join("store");
    fill(&store, runs)?;
    let mut bench = Bench::new(&store, place.path())?;
    let mut plans = Vec::new();
    bench.rounds(|bench| {
        let most = Names { plan: "all but 100 runs: plan", apply: "all but 100 runs: apply" };
        let half = Names { plan: "the failed half: plan", apply: "the failed half: apply" };
        let failed = Retention { statuses: [Status::Failed].into(), ..Retention::finished() };
        plans = vec![
            there_and_back(bench, &store, Retention { keep_last: 100, ..Retention::finished() }, &most)?,
            there_and_back(bench, &store, failed, &half)?,
        ];
        Ok(())
    })?;
    println!("{runs} runs, {} bytes", bench.len_bytes);
    for plan in &plans {
        let (now, after) = (plan.bytes_now, plan.bytes_after_at_most);
        println!("{} events of {} runs go: {now} bytes become {after} at most", plan.events, plan.runs.len());
    }
    bench.print();
    Ok(())
}
