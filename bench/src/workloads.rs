//! The workloads of the log.

use crate::limits;
use crate::measure::{Settings, Table, median, seconds};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use taffrail::{Batch, Expect, Journal, Query, Reader, SyncPolicy, TypeEntry};

fn entry() -> Arc<TypeEntry> {
    Arc::new(TypeEntry::json("bench.event"))
}

fn payload(len: usize) -> Vec<u8> {
    let mut payload = br#"{"note":""#.to_vec();
    payload.extend((0..len - payload.len() - 2).map(|n| b'a' + (n * 7 % 26) as u8));
    payload.extend_from_slice(br#""}"#);
    payload
}

fn one(entry: &Arc<TypeEntry>, payload: &[u8]) -> Batch {
    let mut batch = Batch::new();
    let run = batch.run_or_create("bench", Expect::Any);
    batch.event(Some(run), entry, payload);
    batch
}

fn fill(directory: &Path, payload: &[u8], count: usize) {
    let options = Journal::options().create(true).exclusive(true).sync(SyncPolicy::Never);
    let journal = options.open(directory.join("store")).expect("a store");
    let entry = entry();
    for _ in 0..count {
        journal.append(one(&entry, payload)).expect("an append");
    }
    journal.close().expect("a close");
}

/// W1: buffered appends in exclusive mode, one sync at the end, beside a bare write loop over the same payloads.
pub fn append(settings: &Settings, table: &mut Table) {
    for (len, count) in [(128, 1_000_000), (1024, 300_000), (16 << 10, 20_000)] {
        let payload = payload(len);
        let (mut ours, mut limit) = (Vec::new(), Vec::new());
        for _ in 0..settings.rounds {
            let directory = settings.fresh("append-limit");
            limit.push(seconds(|| limits::write_loop(&directory, &payload, count)) / count as f64);
            let directory = settings.fresh("append");
            ours.push(seconds(|| fill(&directory, &payload, count)) / count as f64);
        }
        let (ours, limit) = (median(ours), median(limit));
        table.row(
            format!("buffered append, {len} B"),
            format!("{:.2} M/s", 1e-6 / ours),
            format!("{:.2} M/s (bare write loop)", 1e-6 / limit),
            format!("{:.2} of its time", ours / limit),
        );
    }
}

/// W2: durable appends, one writer, in both modes, beside fdatasync over written zeros.
pub fn durable(settings: &Settings, table: &mut Table) {
    let (payload, count) = (payload(1024), 1000);
    let mut limit = Vec::new();
    let mut ours = [Vec::new(), Vec::new()];
    for _ in 0..settings.rounds {
        let directory = settings.fresh("durable-limit");
        let file = limits::zeros(&directory, count * payload.len());
        limit.push(seconds(|| limits::synced_writes(&file, &payload, count)) / count as f64);
        for (exclusive, times) in [true, false].into_iter().zip(&mut ours) {
            let directory = settings.fresh("durable");
            let options = Journal::options().create(true).exclusive(exclusive);
            let journal = options.open(directory.join("store")).expect("a store");
            let entry = entry();
            journal.append(one(&entry, &payload)).expect("an append");
            let appends = || (0..count).for_each(|_| drop(journal.append(one(&entry, &payload)).expect("an append")));
            times.push(seconds(appends) / count as f64);
        }
    }
    let limit = median(limit);
    for (mode, times) in ["exclusive", "shared"].into_iter().zip(ours) {
        let ours = median(times);
        table.row(
            format!("durable append, 1 KiB, {mode}"),
            format!("{:.0}/s", 1.0 / ours),
            format!("{:.0}/s (pwrite + fdatasync over zeros)", 1.0 / limit),
            format!("{:.2} of its rate", limit / ours),
        );
    }
}

/// W3: durable appends from many threads, beside the syncs of one thread.
pub fn group(settings: &Settings, table: &mut Table) {
    let (payload, each) = (payload(1024), 200);
    for threads in [8, 64] {
        for exclusive in [true, false] {
            let (mut ours, mut limit) = (Vec::new(), Vec::new());
            for _ in 0..settings.rounds {
                let directory = settings.fresh("group-limit");
                let file = limits::zeros(&directory, each * payload.len());
                limit.push(seconds(|| limits::synced_writes(&file, &payload, each)) / each as f64);
                let directory = settings.fresh("group");
                let options = Journal::options().create(true).exclusive(exclusive);
                let journal = options.open(directory.join("store")).expect("a store");
                let entry = entry();
                let work = || drop((0..each).for_each(|_| drop(journal.append(one(&entry, &payload)).expect("an append"))));
                let all = || std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
                ours.push(seconds(all) / (threads * each) as f64);
            }
            let (ours, limit) = (median(ours), median(limit));
            table.row(
                format!("durable append, 1 KiB, {threads} threads, {}", if exclusive { "exclusive" } else { "shared" }),
                format!("{:.0}/s", 1.0 / ours),
                format!("{:.0} syncs/s", 1.0 / limit),
                format!("{:.1} appends a sync", limit / ours),
            );
        }
    }
}

/// Opening a store of 1 GiB and reading it to the end, warm.
pub fn open(settings: &Settings, table: &mut Table) {
    let (payload, count) = (payload(1024), 1_000_000);
    let directory = settings.fresh("open");
    fill(&directory, &payload, count);
    let (mut opening, mut reading) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds {
        opening.push(seconds(|| drop(Journal::options().open(directory.join("store")).expect("a store"))));
        reading.push(seconds(|| {
            let reader = Reader::open(directory.join("store")).expect("a store");
            let mut bytes = 0;
            let mut events = reader.events(Query::all()).expect("events");
            while let Some(record) = events.next().expect("an event") {
                bytes += record.payload.len();
            }
            assert!(bytes >= count * payload.len());
        }));
    }
    table.row("open for writing, 1 GiB", format!("{:.2} ms", median(opening) * 1e3), "-".into(), String::new());
    let reading = median(reading);
    let rate = count as f64 * payload.len() as f64 / reading / 1e9;
    table.row("read 1 GiB, every CRC, warm", format!("{:.2} M/s", 1e-6 * count as f64 / reading), "-".into(), format!("{rate:.2} GB/s"));
}

/// One durable `log append` from a cold process, with 1 GiB of sealed segments in the store.
pub fn cold(settings: &Settings, table: &mut Table) {
    let Some(command) = &settings.command else { return eprintln!("cold: skipped, no --command") };
    let directory = settings.fresh("cold");
    fill(&directory, &payload(1024), 1_000_000);
    let store = directory.join("store");
    let (mut ours, mut start) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds * 10 {
        start.push(seconds(|| run(Command::new(command).arg("--version"))));
        ours.push(seconds(|| {
            let mut append = Command::new(command);
            append.arg("--store").arg(&store).args(["log", "append", "--run", "bench", "--type", "bench.event", "{}"]);
            run(&mut append);
        }));
    }
    let (ours, start) = (median(ours), median(start));
    table.row(
        "durable `log append`, cold process, 1 GiB",
        format!("{:.2} ms", ours * 1e3),
        format!("{:.2} ms (the same binary with --version)", start * 1e3),
        format!("{:+.2} ms", (ours - start) * 1e3),
    );
}

/// The most memory that dump and verify take on a log of 4 GiB.
pub fn resident(settings: &Settings, table: &mut Table) {
    let Some(command) = &settings.command else { return eprintln!("resident: skipped, no --command") };
    let directory = settings.fresh("resident");
    fill(&directory, &payload(4096), 1 << 20);
    for arguments in [["log", "dump"], ["log", "verify"]] {
        let mut timed = Command::new("/usr/bin/env");
        timed.args(["time", "-f", "%M"]).arg(command).arg("--store").arg(directory.join("store")).args(arguments);
        let output = timed.stdout(std::process::Stdio::null()).output().expect("GNU time is installed");
        let kib: f64 = String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or("0").parse().unwrap_or(f64::NAN);
        table.row(
            format!("`{}` of 4 GiB, resident", arguments.join(" ")),
            format!("{:.1} MiB", kib / 1024.0),
            "64 MiB".into(),
            String::new(),
        );
    }
    let _removed = std::fs::remove_dir_all(&directory);
}

fn run(command: &mut Command) {
    let output = command.output().expect("the command starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
