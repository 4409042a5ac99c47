//! How fast a store goes into a bundle and comes out of one: 1 GiB of events with JSON payloads. Beside it, how long copying the
//! same segments takes on the same disk.
//!
//! `TAFFRAIL_BENCH_MIB` is another size; `TAFFRAIL_BENCH_DIR` another directory than that for temporary files.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::panic,
    reason = "a measurement, run by hand"
)]

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use taffrail::bundle::{Bundle, export, import};
use taffrail::storage::{Disk, Storage};
use taffrail::{Batch, Expect, Journal, SyncPolicy, TypeEntry};

/// Events of about 2 KiB: names that come again and again, and digests that never do.
fn fill(directory: &Path, len_bytes: u64) -> taffrail::Result<()> {
    let options = Journal::options().create(true).sync(SyncPolicy::Never).exclusive(true);
    let journal = options.open(directory)?;
    let entry = Arc::new(TypeEntry::json("bench.step"));
    let mut written = 0;
    for number in 0_u64.. {
        if written >= len_bytes {
            break;
        }
        let mut batch = Batch::new();
        let run = batch.run_or_create(format!("job-{}", number % 64), Expect::Any);
        let digests: Vec<String> = (0..8_u64)
            .map(|place| {
                let digest = blake3::hash(&[number.to_le_bytes(), place.to_le_bytes()].concat()).to_hex();
                let path = "out/debug/build/object";
                format!("{{\"path\":\"{path}-{place}.o\",\"digest\":\"{digest}\",\"status\":\"unchanged since the last build\"}}")
            })
            .collect();
        let payload = format!("{{\"step\":{number},\"artifacts\":[{}]}}", digests.join(","));
        written += payload.len() as u64;
        batch.event(Some(run), &entry, payload.as_bytes());
        journal.append(batch)?;
    }
    journal.close()
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

fn go_on(_: &'static str, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn main() -> Result<(), Box<dyn Error>> {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` runs it too, and measures nothing.
        return Ok(());
    }
    let asked = std::env::var("TAFFRAIL_BENCH_MIB").ok().and_then(|text| text.parse().ok());
    let len_bytes = asked.unwrap_or(1024_u64) << 20;
    let base = std::env::var_os("TAFFRAIL_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = base.join(format!("taffrail-bundle-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let store = directory.join("store");
    fill(&store, len_bytes)?;
    let shelf: Arc<dyn Storage> = Arc::new(Disk::new(&directory));
    let storage: Arc<dyn Storage> = Arc::new(Disk::new(&store));
    let there: Arc<dyn Storage> = Arc::new(Disk::new(directory.join("there")));
    let mut took = Vec::new();
    let start = Instant::now();
    let copied = copy(&store.join("segments"), &directory.join("copy"))?;
    took.push(("copy of the segments, synced", start.elapsed()));
    let start = Instant::now();
    let report = export(&storage, None, &*shelf, "bundle", &mut go_on)?;
    took.push(("export", start.elapsed()));
    let bundle = Bundle::open(Arc::clone(&shelf), "bundle")?;
    let start = Instant::now();
    bundle.check(&mut go_on)?;
    took.push(("check of every digest, alone", start.elapsed()));
    let start = Instant::now();
    import(&bundle, &there, Journal::options().create(true), false, &mut go_on).map_err(|failure| failure.error)?;
    took.push(("restore: check, verify, write", start.elapsed()));
    println!("{copied} bytes, {} in the bundle, {} events", report.bundle_len_bytes, report.durable);
    println!("{:<32} {:>8}  {:>7}  {:>7}", "", "seconds", "MB/s", "x copy");
    let of_copy = took.first().map_or(0.0, |(_, took)| took.as_secs_f64());
    for (name, took) in &took {
        let seconds = took.as_secs_f64();
        println!("{name:<32} {seconds:>8.3}  {:>7.0}  {:>7.2}", copied as f64 / 1e6 / seconds, seconds / of_copy);
    }
    fs::remove_dir_all(&directory)?;
    Ok(())
}
