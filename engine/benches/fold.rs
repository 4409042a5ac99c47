//! How fast a log is folded, on one core: a million small events of one run from memory, the run schema over a million
//! events of a thousand runs from a warm disk, and how long a bisection over a million events takes.
//!
//! `TAFFRAIL_BENCH_EVENTS` is another number of events than a million, for a quick look.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use taffrail::fold::{History, Judgement};
use taffrail::run::{Change, EffectRequest, Outcome, Runs, Usage};
use taffrail::storage::{Memory, Storage};
use taffrail::{Batch, Event, Expect, Fold, Folding, Journal, Reader, Recorded, Replay, SyncPolicy};

/// How many events there are: a multiple of 10,000.
fn event_count() -> u64 {
    let asked = std::env::var("TAFFRAIL_BENCH_EVENTS").ok().and_then(|text| text.parse().ok());
    asked.map_or(1_000_000, |count: u64| count.div_ceil(10_000) * 10_000)
}

#[derive(Serialize, Deserialize)]
enum Step {
    Started { step: u32 },
    Ended { step: u32, exit: i32 },
}

impl Event for Step {
    const TYPE: &'static str = "bench.step";
    const VERSION: u16 = 1;
    fn kind(&self) -> &'static str {
        match self {
            Step::Started { .. } => "Started",
            Step::Ended { .. } => "Ended",
        }
    }
}

struct Steps;

impl Fold for Steps {
    const NAME: &'static str = "bench.steps";
    const VERSION: u32 = 1;
    type Event = Step;
    type State = (u64, i64);
    fn apply(state: &mut (u64, i64), event: &Recorded<Step>) {
        match event.data {
            Step::Started { step } => state.0 += u64::from(step),
            Step::Ended { step, exit } => state.1 += i64::from(exit) + i64::from(step),
        }
    }
}

fn log() -> taffrail::Result<Reader> {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let options = Journal::options().create(true).sync(SyncPolicy::Never).exclusive(true);
    let journal = options.open_on(Arc::clone(&storage))?;
    for _ in 0..event_count() / 10_000 {
        let mut batch = Batch::new();
        let run = batch.run_or_create("bench", Expect::Any);
        for step in 0..5_000 {
            batch.typed(Some(run), None, &Step::Started { step })?.typed(
                Some(run),
                None,
                &Step::Ended { step, exit: 0 },
            )?;
        }
        journal.append(batch)?;
    }
    journal.close()?;
    Reader::open_on(storage)
}

/// Runs of a thousand events each: tasks that are requested and resolved, some of them with usage.
fn runs_on_disk(directory: &std::path::Path) -> taffrail::Result<Reader> {
    let journal = Journal::options().create(true).sync(SyncPolicy::Never).exclusive(true).open(directory)?;
    for run in 0..event_count() / 1000 {
        let mut batch = Batch::new();
        let run = batch.run_or_create(format!("run-{run}"), Expect::New);
        let created =
            Change::Created { process: "bench".into(), process_digest: None, inputs: taffrail::run::Content::None };
        batch.typed(Some(run), None, &created.by("engine"))?;
        for step in 0..499 {
            let step: taffrail::run::Text = format!("work/{step}").into();
            let request = EffectRequest { step: step.clone(), kind: "task".into(), ..EffectRequest::default() };
            let usage = Usage { output_tokens: 7, ..Usage::default() };
            let result = taffrail::run::Content::None;
            let resolved = Change::EffectResolved { step, outcome: Outcome::Ok, result, error: None, usage };
            batch.typed(Some(run), None, &Change::EffectRequested(request).by("engine"))?;
            batch.typed(Some(run), None, &resolved.by("engine"))?;
        }
        let completed = Change::Completed { output: taffrail::run::Content::None };
        batch.typed(Some(run), None, &completed.by("engine"))?;
        journal.append(batch)?;
    }
    journal.close()?;
    Reader::open(directory)
}

fn fold<F: Fold>(reader: &Reader) -> taffrail::Result<u64> {
    let mut folding = Folding::<F>::new()?;
    Replay::of(reader).go(&mut [&mut folding])?;
    folding.into_standings().map(|(_, standing)| Ok(standing?.events)).sum()
}

fn bisect(reader: &Reader) -> taffrail::Result<u64> {
    let run = reader.find_run("bench")?;
    let history = History::<Steps>::of(reader, Some(run.run));
    let judge = |state: &(u64, i64), _: &serde_json::Value| {
        Ok(if state.0 > 1_000_000 { Judgement::Bad } else { Judgement::Good })
    };
    Ok(history.bisect::<taffrail::Error>(None, run.last, judge)?.first_bad.seq.get())
}

fn bench(criterion: &mut Criterion) {
    let reader = log().expect("memory does not fail");
    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(event_count())).sample_size(10);
    group.bench_function("small events of one run", |bencher| {
        bencher.iter(|| assert_eq!(fold::<Steps>(&reader).expect("the log is whole"), event_count()));
    });
    group.bench_function("bisect", |bencher| bencher.iter(|| bisect(&reader).expect("a first bad event")));
    let directory = std::env::temp_dir().join(format!("taffrail-bench-{}", std::process::id()));
    let runs = runs_on_disk(&directory).expect("a store on disk");
    group.bench_function("run schema from a warm disk", |bencher| {
        bencher.iter(|| assert_eq!(fold::<Runs>(&runs).expect("the log is whole"), event_count()));
    });
    group.finish();
    #[allow(clippy::disallowed_methods, reason = "the bench has made the directory itself")]
    std::fs::remove_dir_all(&directory).expect("it is removed");
}

criterion_group!(benches, bench);
criterion_main!(benches);
