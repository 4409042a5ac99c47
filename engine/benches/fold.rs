//! How fast a log is folded: a million small events of one run, from memory, on one core.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use taffrail::storage::{Memory, Storage};
use taffrail::{Batch, Event, Expect, Fold, Folding, Journal, Reader, Recorded, Replay, SyncPolicy};

const EVENTS: u64 = 1_000_000;

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
    for _ in 0..EVENTS / 10_000 {
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

fn fold(reader: &Reader) -> taffrail::Result<u64> {
    let mut steps = Folding::<Steps>::new()?;
    Replay::of(reader).go(&mut [&mut steps])?;
    steps.into_standings().map(|(_, standing)| Ok(standing?.events)).sum()
}

fn bench(criterion: &mut Criterion) {
    let reader = log().expect("memory does not fail");
    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    group.bench_function("a million small events", |bencher| {
        bencher.iter(|| assert_eq!(fold(&reader).expect("the log is whole"), EVENTS));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
