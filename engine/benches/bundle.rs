//! How fast a store goes into a bundle and comes out of one: 1 GiB of events with JSON payloads. Beside it, what reading and copying
//! the same segments takes on the same disk, in the same round.
//!
//! `TAFFRAIL_BENCH_MIB` is another size; `TAFFRAIL_BENCH_ROUNDS` another number of rounds than three; `TAFFRAIL_BENCH_DIR` another
//! directory than that for temporary files.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::panic,
    reason = "a measurement, run by hand"
)]

mod beside;

use beside::{Bench, Place, number};
use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use taffrail::bundle::{Bundle, export, import};
use taffrail::storage::{Disk, Storage};
use taffrail::{Batch, Expect, Journal, SyncPolicy, TypeEntry};

/// That of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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

fn go_on(_: &'static str, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn main() -> Result<(), Box<dyn Error>> {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` runs it too, and measures nothing.
        return Ok(());
    }
    let place = Place::new("bundle")?;
    let (store, shelf) = (place.path().join("store"), place.path().join("shelf"));
    fill(&store, number("TAFFRAIL_BENCH_MIB", 1024) << 20)?;
    let mut bench = Bench::new(&store, place.path())?;
    let mut written = None;
    bench.rounds(|bench| {
        fs::create_dir_all(&shelf)?;
        let (from, to): (Arc<dyn Storage>, Arc<dyn Storage>) =
            (Arc::new(Disk::new(&store)), Arc::new(Disk::new(&shelf)));
        let report = bench.measure("export", &store, || export(&from, None, &*to, "bundle", &mut go_on))?;
        let bundle = Bundle::open(Arc::clone(&to), "bundle")?;
        bench.measure("check of every digest, alone", &shelf, || bundle.check(&mut go_on))?;
        let there: Arc<dyn Storage> = Arc::new(Disk::new(place.path().join("there")));
        bench.measure("import: check, verify, restore", &shelf, || {
            let imported = import(&bundle, &there, Journal::options().create(true), false, &mut go_on);
            imported.map_err(|failure| failure.error)
        })?;
        fs::remove_dir_all(place.path().join("there"))?;
        fs::remove_dir_all(&shelf)?;
        written = Some(report);
        Ok(())
    })?;
    let (len_bytes, events) = written.map_or((0, 0), |report| (report.bundle_len_bytes, report.durable));
    println!("{} bytes, {len_bytes} in the bundle, {events} events", bench.len_bytes);
    bench.print();
    Ok(())
}
