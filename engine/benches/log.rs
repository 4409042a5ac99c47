//! The parts that the log is made of, one at a time: what a frame costs to make and to prove, and what one event costs to
//! append, to replay and to look up. In memory: a disk would only add itself.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use taffrail::storage::{Memory, Storage};
use taffrail::{Expect, Journal, Kind, LogId, Query, Reader, SegmentNumber, Seq, SyncPolicy, TypeEntry};
use taffrail_log_format::{
    Flags, FrameFields, Scanner, SegmentKey, Step, encode_frame, find_header, layout, scan_tail,
};

const SIZES: [usize; 3] = [128, 1024, 16 << 10];

fn key() -> SegmentKey {
    SegmentKey::new(LogId([7; 16]), SegmentNumber::FIRST)
}

fn payload(len: usize) -> Vec<u8> {
    br#"{"step":"work/17","note":"the quick brown fox"}"#.iter().copied().cycle().take(len).collect()
}

fn fields(number: u64) -> FrameFields {
    let seq = Seq::after(number);
    FrameFields {
        seq,
        run: Some(Seq::FIRST),
        revision: u32::try_from(number + 1).unwrap_or(u32::MAX),
        time_ns: 1_700_000_000_000_000_000,
        durable: 0,
        kind: Kind::FIRST_USER,
        flags: Flags::default(),
    }
}

/// So many frames, one behind the other.
fn frames(count: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..count {
        let offset = layout::FIRST_FRAME + bytes.len() as u64;
        encode_frame(&mut bytes, &key(), offset, &fields(number), payload).expect("a frame");
    }
    bytes
}

fn scan(bytes: &[u8]) -> u64 {
    let mut scanner = Scanner::new(key(), layout::FIRST_FRAME, Some(Seq::FIRST));
    let mut count = 0;
    loop {
        let at = usize::try_from(scanner.offset() - layout::FIRST_FRAME).unwrap_or(usize::MAX);
        match scanner.step(&bytes[at..], true) {
            Step::Frame(_) => count += 1,
            _ => return count,
        }
    }
}

fn format(criterion: &mut Criterion) {
    for size in SIZES {
        let payload = payload(size);
        let mut group = criterion.benchmark_group("frame");
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("crc", size), |bencher| {
            bencher.iter(|| taffrail_log_format::crc32c(black_box(&payload)));
        });
        let mut buffer = Vec::with_capacity(1 << 20);
        group.bench_function(BenchmarkId::new("encode", size), |bencher| {
            bencher.iter(|| {
                buffer.clear();
                encode_frame(&mut buffer, &key(), layout::FIRST_FRAME, &fields(0), black_box(&payload)).map(drop)
            });
        });
        let bytes = frames(100, &payload);
        assert_eq!(scan(&bytes), 100);
        group.throughput(Throughput::Elements(100));
        group.bench_function(BenchmarkId::new("decode", size), |bencher| bencher.iter(|| scan(black_box(&bytes))));
        group.finish();
    }
    let garbage: Vec<u8> = (0..1_u32 << 20).map(|number| number.wrapping_mul(0x9E37_79B9).to_le_bytes()[3]).collect();
    criterion.bench_function("search for a header, 1 MiB", |bencher| {
        bencher.iter(|| find_header(&key(), black_box(&garbage), 8192, 8192));
    });
    let mut torn = frames(100, &payload(1024));
    torn.truncate(torn.len() - 500);
    criterion.bench_function("scan and judge a torn tail of 100 KiB", |bencher| {
        let scanner = Scanner::new(key(), layout::FIRST_FRAME, Some(Seq::FIRST));
        bencher.iter(|| scan_tail(scanner.clone(), black_box(&torn), 0, |_| {}).is_some());
    });
}

fn memory(sync: SyncPolicy, count: u64, payload: &[u8]) -> Arc<dyn Storage> {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let options = Journal::options().create(true).exclusive(true).sync(sync);
    let journal = options.open_on(Arc::clone(&storage)).expect("memory does not fail");
    let entry = Arc::new(TypeEntry::json("bench.event"));
    let mut appender = journal.run_or_create("bench").expect("a run").appender(&entry);
    (0..count).for_each(|_| {
        appender.append(Expect::Any, payload).expect("an append");
    });
    drop(appender);
    journal.close().expect("memory does not fail");
    storage
}

fn log(criterion: &mut Criterion) {
    const COUNT: u64 = 10_000;
    for size in SIZES {
        let payload = payload(size);
        let mut group = criterion.benchmark_group("log");
        group.throughput(Throughput::Elements(COUNT)).sample_size(20);
        group.bench_function(BenchmarkId::new("append", size), |bencher| {
            bencher.iter_batched(|| (), |()| memory(SyncPolicy::Never, COUNT, &payload), BatchSize::LargeInput);
        });
        let reader = Reader::open_on(memory(SyncPolicy::Never, COUNT, &payload)).expect("a store");
        group.bench_function(BenchmarkId::new("replay", size), |bencher| {
            bencher.iter(|| {
                let mut events = reader.events(Query::all()).expect("events");
                let mut bytes = 0;
                while let Some(record) = events.next().expect("an event") {
                    bytes += record.payload.len();
                }
                assert!(bytes as u64 >= COUNT * size as u64);
            });
        });
        group.bench_function(BenchmarkId::new("get", size), |bencher| {
            bencher.iter(|| {
                for number in 0..COUNT {
                    let seq = Seq::after(number * 7919 % COUNT);
                    reader.get_with(seq, |record| black_box(record.payload.len())).expect("an event");
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, format, log);
criterion_main!(benches);
