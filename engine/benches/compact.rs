//! How fast events are taken out of a log: 10,000 runs that have ended, in 1 GiB, all but the last 100 moved to the archive and
//! put back. Beside it, how long copying the same segments takes on the same disk.
//!
//! `TAFFRAIL_BENCH_RUNS` is another number of runs, each of about 105 KB; `TAFFRAIL_BENCH_DIR` another directory than that for
//! temporary files.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::panic,
    reason = "a measurement, run by hand"
)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use taffrail::compact::{Choice, CompactionPlan, Folds, Originals, Retention};
use taffrail::plan::Authority;
use taffrail::repair::UndoPlan;
use taffrail::run::{Change, Content};
use taffrail::storage::{Disk, Storage};
use taffrail::{Batch, Expect, Journal, SyncPolicy};

const NOTES: usize = 25;
const NOTE_LEN_BYTES: usize = 4 << 10;

fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Runs that lie side by side, sixteen at a time, as those of a real store do.
fn fill(directory: &Path, runs: u32) -> taffrail::Result<()> {
    let options = Journal::options().create(true).sync(SyncPolicy::Never).exclusive(true);
    let journal = options.open(directory)?;
    let text = "compaction ".repeat(NOTE_LEN_BYTES / 11);
    let append = |run: u32, change: Change| -> taffrail::Result<()> {
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
            append(run, Change::Completed { output: Content::None })?;
        }
    }
    journal.close()
}

/// Bytes that this process has asked to be read and written so far.
fn transferred() -> (u64, u64) {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let field = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0);
    (field("rchar:"), field("wchar:"))
}

struct Measured {
    name: &'static str,
    took: Duration,
    read: u64,
    written: u64,
}

fn measure<T>(name: &'static str, all: &mut Vec<Measured>, work: impl FnOnce() -> T) -> T {
    let (before, start) = (transferred(), Instant::now());
    let result = work();
    let (took, after) = (start.elapsed(), transferred());
    all.push(Measured { name, took, read: after.0 - before.0, written: after.1 - before.1 });
    result
}

/// Copies every segment and syncs the copies: the least that moving those bytes takes.
fn copy(segments: &Path, to: &Path) -> std::io::Result<u64> {
    fs::create_dir_all(to)?;
    let mut copied = 0;
    for entry in fs::read_dir(segments)? {
        let entry = entry?;
        let mut source = fs::File::open(entry.path())?;
        let mut target = fs::File::create(to.join(entry.file_name()))?;
        let mut chunk = vec![0; 1 << 20];
        loop {
            let len = std::io::Read::read(&mut source, &mut chunk)?;
            if len == 0 {
                break;
            }
            std::io::Write::write_all(&mut target, &chunk[..len])?;
            copied += len as u64;
        }
        target.sync_all()?;
    }
    fs::remove_dir_all(to)?;
    Ok(copied)
}

fn agreed(plan: &str) -> Authority {
    let (plan, reason, actor) = (plan.to_owned(), "a measurement".to_owned(), "uid:1000".to_owned());
    Authority { plan, accept_loss: 0, reason, actor, lock_timeout_ms: 1_000 }
}

fn main() -> Result<(), Box<dyn Error>> {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` runs it too, and measures nothing.
        return Ok(());
    }
    let runs = number("TAFFRAIL_BENCH_RUNS", 10_000);
    let base = std::env::var_os("TAFFRAIL_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = base.join(format!("taffrail-compact-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let store = directory.join("store");
    fill(&store, runs)?;
    let storage: Arc<dyn Storage> = Arc::new(Disk::new(&store));
    let mut all = Vec::new();
    let len =
        measure("copy of the segments, synced", &mut all, || copy(&store.join("segments"), &directory.join("copy")))?;
    let choice = Choice::Runs(Retention { keep_last: 100, ..Retention::finished() });
    let folds = Folds::built_in();
    let plan = measure("plan: which runs go", &mut all, || {
        CompactionPlan::make(&storage, &folds, &choice, Originals::Archived, None, &mut |_| {})
    })?;
    measure("apply: rewrite, fold, compare, publish", &mut all, || {
        plan.apply(&storage, &agreed(plan.name()), &mut |_| {})
    })?;
    let files = |store: &Path| fs::read_dir(store.join("segments")).map(Iterator::count);
    let left = files(&store)?;
    let undo = measure("plan of the undo", &mut all, || UndoPlan::make(&storage, None))?;
    measure("undo", &mut all, || undo.apply(&storage, &agreed(undo.name())))?;
    let (events, gone, back) = (plan.events, plan.runs.len(), files(&store)?);
    println!("{runs} runs, {len} bytes; {events} events of {gone} runs go; {back} segments become {left}");
    println!("{:<40} {:>8}  {:>7}  {:>11}  {:>14}", "", "seconds", "x copy", "x log read", "x log written");
    let copied = all.first().map_or(Duration::ZERO, |copy| copy.took).as_secs_f64();
    for Measured { name, took, read, written } in &all {
        let (seconds, log) = (took.as_secs_f64(), len as f64);
        let (read, written) = (*read as f64 / log, *written as f64 / log);
        println!("{name:<40} {seconds:>8.3}  {:>7.2}  {read:>11.2}  {written:>14.2}", seconds / copied);
    }
    fs::remove_dir_all(&directory)?;
    Ok(())
}
