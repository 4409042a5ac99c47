//! What an orchestrator does all day, on our engine alone: nobody else has runs.

use crate::arguments::Arguments;
use crate::child::{disk_usage, emit, leave};
use crate::limits::{self, drop_caches};
use crate::results::Results;
use crate::suite::spawn;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;
use taffrail::run::{Change, Content, EffectRequest, Outcome, RunState, Runs, Shown, Usage};
use taffrail::{Batch, BatchRun, Expect, Journal, Reader, SyncPolicy, TypeEntry};
use taffrail_compare_report::median;

/// Events of the run that is folded and looked at.
const RUN_EVENTS: u32 = 10_000;
/// Runs of the store to which a cold process appends.
const COLD_RUNS: u32 = 10_000;

/// What is measured of a run; the last one is measured only where `--command` names the binary.
const WORKLOADS: [&str; 3] = ["append", "fold", "status"];

fn batch_of(name: &str) -> (Batch, BatchRun) {
    let mut batch = Batch::new();
    let run = batch.run_or_create(name, Expect::Any);
    (batch, run)
}

/// Requests and results of steps; the last one is open, so that the run has something to wait for.
fn make_run(journal: &Journal, name: &str, events: u32) -> Result<()> {
    let (mut batch, run) = batch_of(name);
    let created = Change::Created { process: "compare".into(), process_digest: None, inputs: Content::None };
    batch.typed(Some(run), None, &created.by("engine"))?;
    for number in 1..events {
        let step = format!("work/{}", number / 2);
        let change = match number % 2 {
            1 => Change::EffectRequested(EffectRequest {
                step: step.into(),
                kind: "task".into(),
                ..EffectRequest::default()
            }),
            _ => {
                let step = format!("work/{}", number / 2 - 1);
                let (outcome, usage) = (Outcome::Ok, Usage { output_tokens: 7, ..Usage::default() });
                Change::EffectResolved { step: step.into(), outcome, result: Content::None, error: None, usage }
            }
        };
        batch.typed(Some(run), None, &change.by("engine"))?;
    }
    journal.append(batch)?;
    Ok(())
}

pub fn child(arguments: &Arguments) -> Result<()> {
    let store = PathBuf::from(arguments.needed("dir")?).join("store");
    let milliseconds = match arguments.needed("op")? {
        "make" => return make(&store),
        "make-large" => return make_large(&store, arguments.number("size", 1 << 30)?),
        "append" => append(&store)?,
        "fold" => fold(&store)?,
        "status" => status(&store)?,
        other => bail!("there is no operation {other:?}"),
    };
    emit(&json!({"ms": milliseconds}));
    leave()
}

fn make(store: &Path) -> Result<()> {
    let journal = Journal::options().create(true).open(store)?;
    make_run(&journal, "other", 100)?;
    make_run(&journal, "wanted", RUN_EVENTS)?;
    journal.close()?;
    emit(&json!({"ok": true}));
    leave()
}

/// A store of so many bytes, of [`COLD_RUNS`] runs.
fn make_large(store: &Path, len_bytes: u64) -> Result<()> {
    let journal = Journal::options().create(true).exclusive(true).sync(SyncPolicy::Never).open(store)?;
    let entry = Arc::new(TypeEntry::json("compare.event"));
    let payload = format!("{{\"note\":\"{}\"}}", "taffrail ".repeat(110));
    let each = len_bytes / u64::from(COLD_RUNS) / payload.len() as u64;
    for round in 0..each {
        for first in (0..COLD_RUNS).step_by(100) {
            let mut batch = Batch::new();
            for number in first..(first + 100).min(COLD_RUNS) {
                let expect = if round == 0 { Expect::New } else { Expect::Any };
                let run = batch.run_or_create(format!("run-{number}"), expect);
                batch.event(Some(run), &entry, payload.as_bytes());
            }
            journal.append(batch)?;
        }
    }
    journal.close()?;
    emit(&json!({"ok": true}));
    leave()
}

fn milliseconds<T>(act: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let start = Instant::now();
    let value = act()?;
    Ok((start.elapsed().as_secs_f64() * 1e3, value))
}

fn append(store: &Path) -> Result<f64> {
    let journal = Journal::options().open(store)?;
    let mut times = Vec::new();
    for number in 0..200 {
        let (mut batch, run) = batch_of("wanted");
        let note = Change::EffectRequested(EffectRequest {
            step: format!("more/{number}").into(),
            kind: "task".into(),
            ..EffectRequest::default()
        });
        batch.typed(Some(run), None, &note.by("engine"))?;
        times.push(milliseconds(|| Ok(journal.append(batch)?))?.0);
    }
    Ok(median(&times))
}

fn state(store: &Path) -> Result<RunState> {
    let reader = Reader::open(store)?;
    let run = reader.find_run("wanted")?;
    let shown = Shown { most_events: 20, with_given_up: false };
    let (state, _report) = taffrail::run::show(&reader, run.run, shown)?;
    Ok(state)
}

fn fold(store: &Path) -> Result<f64> {
    let reader = Reader::open(store)?;
    let run = reader.find_run("wanted")?.run;
    let folded = milliseconds(|| {
        let mut folding = taffrail::Folding::<Runs>::new()?;
        taffrail::Replay::of(&reader).run(run).go(&mut [&mut folding])?;
        Ok(folding.into_standing(Some(run))?)
    })?;
    if folded.1.events < u64::from(RUN_EVENTS) {
        bail!("{} events were folded", folded.1.events);
    }
    Ok(folded.0)
}

fn status(store: &Path) -> Result<f64> {
    let (taken, state) = milliseconds(|| state(store))?;
    if state.waits().next().is_none() {
        bail!("the run waits for nothing");
    }
    Ok(taken)
}

/// The run-level rows.
pub fn measure(arguments: &Arguments, results: &mut Results) -> Result<()> {
    let directory = arguments.data().join("runs");
    let place = directory.display().to_string();
    let child = |operation: &str, more: &[&str]| {
        spawn(&[&["run-child", "--dir", place.as_str(), "--op", operation][..], more].concat(), 300)
    };
    let row = |workload: &str, round: u64, figures: &Value| {
        let mut row = json!({"kind": "run", "w": workload, "peer": "taffrail", "round": round});
        for (name, value) in figures.as_object().into_iter().flatten() {
            row[name] = value.clone();
        }
        row
    };
    for round in 0..arguments.number("rounds", 5)? {
        let _nothing_there = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory)?;
        let made = child("make", &[]);
        if made.get("died").is_some() {
            bail!("the store of the run-level rows could not be made: {made}");
        }
        for limit in limits::syncs(&arguments.data().join("limits"), &[1])? {
            results.put_limit("append", round, &limit)?;
        }
        for operation in WORKLOADS {
            results.put(&row(operation, round, &child(operation, &[])))?;
        }
    }
    let Some(command) = arguments.get("command") else {
        return results.put(&row("cold", 0, &json!({"skipped": "no --command: the taffrail binary is measured"})));
    };
    let _nothing_there = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)?;
    let len_bytes = ((1_u64 << 30) * arguments.number("scale", 100)? / 100).to_string();
    child("make-large", &["--size", &len_bytes]);
    let (_, allocated) = disk_usage(&directory);
    for round in 0..arguments.number("rounds", 5)? {
        let figures = cold(Path::new(command), &directory.join("store"), allocated)?;
        results.put(&row("cold", round, &figures))?;
    }
    let _nothing_there = std::fs::remove_dir_all(&directory);
    Ok(())
}

/// One durable `log append` of a new process, beside the same binary that only tells its version.
fn cold(command: &Path, store: &Path, store_len_bytes: u64) -> Result<Value> {
    let run = |arguments: &[&str]| {
        milliseconds(|| {
            let output = Command::new(command).arg("--store").arg(store).args(arguments).output()?;
            match output.status.success() {
                true => Ok(()),
                false => bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)),
            }
        })
    };
    let append = ["log", "append", "--run", "run-77", "--type", "compare.event", "{}"];
    let (mut warm, mut start) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        start.push(run(&["--version"]).context("the taffrail binary")?.0);
        warm.push(run(&append)?.0);
    }
    let mut figures = json!({"ms": median(&warm), "start_ms": median(&start), "store_len_bytes": store_len_bytes});
    if drop_caches() {
        figures["dropped_caches_ms"] = json!(run(&append)?.0);
    }
    Ok(figures)
}
