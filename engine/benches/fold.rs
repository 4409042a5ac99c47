//! How fast a log is folded, on one core: a million small events of one run from memory, the run schema over a million
//! events of a thousand runs from a warm disk (tasks that carry nothing but names and usage, so that it is the cost of an
//! event), and over a tenth as many with all that real runs carry (requests, results, gates, values: about 500 bytes each, so
//! that it is the cost of what is kept as well), and how long a bisection over a million events takes. Then what a snapshot saves: the
//! state of a run of a million events from the first one, and from snapshots that lie so many events back. And what a fold takes in
//! memory: the most that was resident while ten times as many events came to a state of the same size.
//!
//! `TAFFRAIL_BENCH_EVENTS` is another number of events than a million, for a quick look.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use taffrail::fold::{History, Judgement, Start};
use taffrail::run::{Change, Content, EffectRequest, Outcome, Runs, Usage, ValueSource, Verdict};
use taffrail::storage::{Memory, Storage};
use taffrail::{Batch, Event, Expect, Fold, Folding, Journal, Reader, Recorded, Replay, Seq, SyncPolicy};

/// That of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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

/// How many events the turn of a run has that carries everything.
const TURN: u64 = 10;

/// What happens in one turn: a task, a value, a check, an artifact and a command that fails.
fn turn(number: u64) -> [Change; 10] {
    let step: taffrail::run::Text = format!("turn/{number}/plan").into();
    let command: taffrail::run::Text = format!("turn/{number}/cmd").into();
    let text = "Read the report of the last check, change what it names, and run the check again.";
    let digest = format!("blake3:{}", "0123456789abcdef".repeat(4));
    let request = Content::inline(
        &serde_json::json!({ "prompt": text, "files": ["src/main.rs", "src/report.rs"], "turn": number }),
    );
    let result =
        Content::inline(&serde_json::json!({ "summary": text, "changed": ["src/report.rs"], "notes": [text, text] }));
    let usage = Usage { input_tokens: 5_100, output_tokens: 420, nano_usd: 31_000_000, ..Usage::default() };
    let gate = format!("check/{number}");
    let asked = |step: &taffrail::run::Text, kind: &str| EffectRequest {
        step: step.clone(),
        kind: kind.into(),
        label: "change what the check named".into(),
        request: request.clone(),
        request_digest: Some(digest.as_str().into()),
        ..EffectRequest::default()
    };
    [
        Change::EffectRequested(asked(&step, "task")),
        Change::EffectResolved { step: step.clone(), outcome: Outcome::Ok, result: result.clone(), error: None, usage },
        Change::UsageRecorded { step: Some(step), model: Some("a-model-of-some-kind".into()), usage },
        Change::ValueRecorded {
            key: format!("now/{number}"),
            source: ValueSource::Time,
            value: taffrail::run::Json::of(&serde_json::json!("2026-11-26T03:00:00Z")),
        },
        Change::GateRequested {
            gate: gate.clone(),
            spec: request.clone(),
            spec_digest: digest.clone(),
            inputs_digest: Some(digest.clone()),
        },
        Change::GateFinished { gate, verdict: Verdict::Passed, result: result.clone() },
        Change::ArtifactPut { name: "report.json".into(), digest: digest.clone(), len_bytes: 4_096 },
        Change::EffectRequested(asked(&command, "command")),
        Change::EffectResolved {
            step: command,
            outcome: Outcome::Error,
            result,
            error: Some("the command ended with 101".into()),
            usage: Usage::default(),
        },
        Change::Noted { label: "report".into(), message: text.into() },
    ]
}

/// A tenth of the events, in runs of five hundred that carry everything; and how many there are.
fn full_runs_on_disk(directory: &std::path::Path) -> taffrail::Result<(Reader, u64)> {
    let journal = Journal::options().create(true).sync(SyncPolicy::Never).exclusive(true).open(directory)?;
    let (runs, turns) = (event_count() / 10 / 500, 49);
    for run in 0..runs {
        let mut batch = Batch::new();
        let run = batch.run_or_create(format!("run-{run}"), Expect::New);
        let created = Change::Created { process: "bench".into(), process_digest: None, inputs: Content::None };
        batch.typed(Some(run), None, &created.by("engine"))?;
        for change in (0..turns).flat_map(turn) {
            batch.typed(Some(run), None, &change.by("claimed:somebody@example.org"))?;
        }
        batch.typed(Some(run), None, &Change::Completed { output: Content::None }.by("engine"))?;
        journal.append(batch)?;
    }
    journal.close()?;
    Ok((Reader::open(directory)?, runs * (turns * TURN + 2)))
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

/// The segments of the store whose states begin at snapshots: what lies in the newest one is read from its start.
const SEGMENT_LEN_BYTES: u64 = 4 << 20;
/// How many events lie behind the snapshots of that store.
const TAILS: [u64; 3] = [100_000, 1_000, 0];

/// A run of small events with snapshots on the way; the seqs that they were taken at.
fn snapshotted(directory: &std::path::Path) -> taffrail::Result<(Reader, Vec<Seq>)> {
    let options = Journal::options().create(true).sync(SyncPolicy::Never).exclusive(true);
    let journal = options.segment_len_bytes(SEGMENT_LEN_BYTES).open(directory)?;
    let run = journal.run_or_create("bench")?;
    let (mut done, mut taken) = (0, Vec::new());
    for tail in TAILS {
        let until = event_count().saturating_sub(tail).max(done + 1);
        while done < until {
            let steps =
                (done..until.min(done + 10_000)).map(|step| Step::Started { step: u32::try_from(step).unwrap_or(0) });
            let steps: Vec<Step> = steps.collect();
            done += steps.len() as u64;
            run.append(Expect::Any, &steps)?;
        }
        taken.push(run.snapshot::<Steps>()?.head.seq);
    }
    journal.close()?;
    Ok((Reader::open(directory)?, taken))
}

fn bench_snapshots(criterion: &mut Criterion, directory: &std::path::Path) -> taffrail::Result<()> {
    let (reader, taken) = snapshotted(directory)?;
    let run = reader.find_run("bench")?.run;
    let mut group = criterion.benchmark_group("state");
    group.sample_size(10);
    let state = |until: Option<Seq>, start| reader.state::<Steps>(Some(run), until, start).expect("a state");
    group.bench_function("from the first event", |bencher| bencher.iter(|| state(None, Start::Origin)));
    // Up to a snapshot, the newest one before it is the next older one: so far back it lies.
    for (from, until) in [(0, Some(1)), (1, Some(2)), (2, None)] {
        let until = until.map(|place: usize| taken[place]);
        let begun = state(until, Start::Snapshot).snapshot.map(|snapshot| snapshot.seq);
        assert_eq!(begun, Some(taken[from]), "it begins at the nearest snapshot");
        let back = until.map_or(0, |until| until.get() - taken[from].get());
        let name = format!("from a snapshot {back} events back");
        group.bench_function(&name, |bencher| bencher.iter(|| state(until, Start::Snapshot)));
    }
    group.finish();
    Ok(())
}

/// The most that was resident while something ran, in KiB; `None` where the kernel does not tell.
#[allow(clippy::disallowed_methods, reason = "what the kernel says of this process stands in files")]
fn most_resident_kib(work: impl FnOnce()) -> Option<u64> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    work();
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Prints what a fold takes over a tenth of the events, and over all of them: the state is two numbers in both.
#[allow(clippy::print_stdout, reason = "what criterion does not measure is told like what it does")]
fn print_memory(directory: &std::path::Path) -> taffrail::Result<()> {
    for part in [10, 1] {
        let directory = directory.join(format!("part-{part}"));
        let journal = Journal::options().create(true).sync(SyncPolicy::Never).exclusive(true).open(&directory)?;
        let run = journal.run_or_create("bench")?;
        let count = event_count() / part;
        for _ in 0..count / 1_000 {
            let steps: Vec<Step> = (0..1_000).map(|step| Step::Ended { step, exit: 0 }).collect();
            run.append(Expect::Any, &steps)?;
        }
        journal.close()?;
        let reader = Reader::open(&directory)?;
        let most = most_resident_kib(|| assert_eq!(fold::<Steps>(&reader).expect("the log is whole"), count));
        println!("memory/{count} small events of one run, from disk: {most:?} KiB resident at most");
    }
    Ok(())
}

fn bench(criterion: &mut Criterion) {
    let directory = std::env::temp_dir().join(format!("taffrail-bench-{}", std::process::id()));
    for part in ["memory", "snapshots", "runs", "full"] {
        #[allow(clippy::disallowed_methods, reason = "the bench makes the directory itself")]
        std::fs::create_dir_all(directory.join(part)).expect("a directory");
    }
    print_memory(&directory.join("memory")).expect("a store on disk");
    bench_snapshots(criterion, &directory.join("snapshots")).expect("a store on disk");
    let reader = log().expect("memory does not fail");
    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(event_count())).sample_size(10);
    group.bench_function("small events of one run", |bencher| {
        bencher.iter(|| assert_eq!(fold::<Steps>(&reader).expect("the log is whole"), event_count()));
    });
    group.bench_function("bisect", |bencher| bencher.iter(|| bisect(&reader).expect("a first bad event")));
    let runs = runs_on_disk(&directory.join("runs")).expect("a store on disk");
    group.bench_function("run schema from a warm disk", |bencher| {
        bencher.iter(|| assert_eq!(fold::<Runs>(&runs).expect("the log is whole"), event_count()));
    });
    let (full, count) = full_runs_on_disk(&directory.join("full")).expect("a store on disk");
    group.throughput(Throughput::Elements(count));
    group.bench_function("run schema with everything that runs carry", |bencher| {
        bencher.iter(|| assert_eq!(fold::<Runs>(&full).expect("the log is whole"), count));
    });
    group.finish();
    #[allow(clippy::disallowed_methods, reason = "the bench has made the directory itself")]
    std::fs::remove_dir_all(&directory).expect("it is removed");
}

criterion_group!(benches, bench);
criterion_main!(benches);
