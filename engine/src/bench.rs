//! How fast a store is on somebody's own disk, beside what the disk can do at all: `taffrail bench`.
//!
//! Each of ours has its limit, measured in the same minute by the same clock: the same bytes without a log around them.
//! Figures of two runs, let alone of two machines, do not compare; ratios of one run do.

use crate::error::{Error, Result};
use crate::log::{Appender, Expect, Journal, Options, Query, Reader, SyncPolicy};
use crate::storage::{EntryKind, OpenMode, Storage, StorageFile, read_full_at, write_all_at};
use crate::{ErrorKind, TypeEntry};
use serde::Serialize;
use std::sync::Arc;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct BenchOptions {
    /// About how long all of it takes, in seconds.
    pub seconds: u32,
    /// Length of an event's payload, in bytes.
    pub payload_len_bytes: usize,
}

/// A figure of ours, and the limit of the machine that it is held against.
#[derive(Clone, Debug, Serialize)]
pub struct BenchRow {
    /// Its name, for programs.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Events per second: the median of [`BenchReport::ROUNDS`] rounds.
    pub per_second: f64,
    /// Bytes of payload per second.
    pub bytes_per_second: f64,
    /// Middle and 99th percentile of the time that one event takes, in microseconds; absent where events are not timed
    /// one by one.
    pub p50_us: Option<f64>,
    /// As [`BenchRow::p50_us`].
    pub p99_us: Option<f64>,
    /// What the limit is.
    pub limit: &'static str,
    /// The limit, in events of this length per second.
    pub limit_per_second: f64,
    /// Ours as a part of the limit.
    pub ratio: f64,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Length of an event's payload, in bytes.
    pub payload_len_bytes: usize,
    /// How often each figure was taken, in turns; medians are told.
    pub rounds: usize,
    /// Bare write and sync over zeros that are there already: the time of one, in microseconds.
    pub sync_p50_us: f64,
    /// The same, 99th percentile.
    pub sync_p99_us: f64,
    /// Syncs a second.
    pub syncs_per_second: f64,
    /// The figures.
    pub rows: Vec<BenchRow>,
}

impl BenchReport {
    /// How often each figure is taken.
    pub const ROUNDS: usize = 3;
}

/// Most bytes that a buffered or a reading round handles.
const MOST_BYTES: u64 = 256 << 20;
/// Bytes that are written or read at a time where the limit is measured.
const CHUNK_LEN_BYTES: usize = 1 << 20;

/// What one round came to.
#[derive(Clone, Default)]
struct Sample {
    events: u64,
    taken_ns: u64,
    /// Times of single events, where they were taken.
    times_ns: Vec<u64>,
}

#[derive(Default)]
struct Figure {
    rates: Vec<f64>,
    times_ns: Vec<u64>,
}

impl Figure {
    fn add(&mut self, sample: Sample) {
        self.rates.push(sample.events as f64 * 1e9 / sample.taken_ns.max(1) as f64);
        self.times_ns.extend(sample.times_ns);
    }

    fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or(0.0)
    }

    /// The time below which this part of all events stays, in microseconds.
    fn quantile_us(&mut self, hundredths: usize) -> Option<f64> {
        self.times_ns.sort_unstable();
        let last = self.times_ns.len().checked_sub(1)?;
        self.times_ns.get(last * hundredths / 100).map(|time_ns| *time_ns as f64 / 1e3)
    }
}

/// Measures. `place` gives an empty directory for each name, on the disk that is asked about.
///
/// # Errors
/// `Invalid` for a payload that no event can have; `Io`.
pub fn bench(place: &dyn Fn(&str) -> Arc<dyn Storage>, options: BenchOptions) -> Result<BenchReport> {
    let most = taffrail_log_format::layout::MAX_PAYLOAD_LEN_BYTES;
    if options.payload_len_bytes == 0 || options.payload_len_bytes > most {
        let message = format!("a payload of {} bytes; 1 to {most} are possible", options.payload_len_bytes);
        return Err(Error::new(ErrorKind::Invalid, "T0144", message));
    }
    let slices = BenchReport::ROUNDS as u64 * 7;
    let bench = Bench {
        place,
        slice_ns: u64::from(options.seconds.max(1)) * 1_000_000_000 / slices,
        payload: payload(options.payload_len_bytes),
    };
    bench.run()
}

/// Readable text of a length.
fn payload(len: usize) -> Vec<u8> {
    b"taffrail bench: the quick brown fox jumps over the lazy dog. ".iter().copied().cycle().take(len).collect()
}

struct Bench<'a> {
    place: &'a dyn Fn(&str) -> Arc<dyn Storage>,
    slice_ns: u64,
    payload: Vec<u8>,
}

impl Bench<'_> {
    fn run(&self) -> Result<BenchReport> {
        let [mut sync, mut write, mut read] = [Figure::default(), Figure::default(), Figure::default()];
        let [mut shared, mut exclusive, mut buffered, mut replay] =
            [Figure::default(), Figure::default(), Figure::default(), Figure::default()];
        for _ in 0..BenchReport::ROUNDS {
            sync.add(self.bare_syncs()?);
            shared.add(self.durable(false)?);
            exclusive.add(self.durable(true)?);
            write.add(self.bare_writes()?);
            let (appended, storage) = self.buffered()?;
            buffered.add(appended);
            read.add(self.bare_reads(&*storage)?);
            replay.add(self.replay(&storage)?);
            clear(&*storage, "")?;
        }
        let syncs = "write and sync over zeros";
        let rows = vec![
            self.row("durable", "durable append, the default mode", &mut shared, syncs, &sync),
            self.row("durable-exclusive", "durable append, exclusive mode", &mut exclusive, syncs, &sync),
            self.row(
                "buffered",
                "buffered append, one sync at the end",
                &mut buffered,
                "writes of 1 MiB, one sync",
                &write,
            ),
            self.row("replay", "replay, every checksum, warm", &mut replay, "reads of 1 MiB", &read),
        ];
        Ok(BenchReport {
            payload_len_bytes: self.payload.len(),
            rounds: BenchReport::ROUNDS,
            sync_p50_us: sync.quantile_us(50).unwrap_or(0.0),
            sync_p99_us: sync.quantile_us(99).unwrap_or(0.0),
            syncs_per_second: sync.rate(),
            rows,
        })
    }

    fn row(
        &self,
        name: &'static str,
        what: &'static str,
        figure: &mut Figure,
        limit: &'static str,
        bound: &Figure,
    ) -> BenchRow {
        let (per_second, limit_per_second) = (figure.rate(), bound.rate());
        BenchRow {
            name,
            what,
            per_second,
            bytes_per_second: per_second * self.payload.len() as f64,
            p50_us: figure.quantile_us(50),
            p99_us: figure.quantile_us(99),
            limit,
            limit_per_second,
            ratio: if limit_per_second > 0.0 { per_second / limit_per_second } else { 0.0 },
        }
    }

    /// Repeats something until its slice of time is over; every one is timed.
    fn timed(&self, storage: &dyn Storage, most: u64, mut act: impl FnMut(u64) -> Result<()>) -> Result<Sample> {
        let mut sample = Sample::default();
        let start = storage.monotonic_ns();
        let mut now = start;
        while sample.events < most && now - start < self.slice_ns {
            act(sample.events)?;
            let after = storage.monotonic_ns();
            sample.times_ns.push(after - now);
            (now, sample.events) = (after, sample.events + 1);
        }
        sample.taken_ns = now - start;
        Ok(sample)
    }

    /// One write and one sync for each payload, over zeros that have been written before.
    fn bare_syncs(&self) -> Result<Sample> {
        let storage = (self.place)("sync");
        let file = new_file(&*storage)?;
        let room = (8 << 20) / self.payload.len().max(1) as u64;
        let zeros = vec![0; CHUNK_LEN_BYTES];
        let mut at = 0;
        while at < room.max(1) * self.payload.len() as u64 {
            write_all_at(&*file, at, &zeros).map_err(io)?;
            at += zeros.len() as u64;
        }
        file.sync_all().map_err(io)?;
        let sample = self.timed(&*storage, u64::MAX, |number| {
            let at = number % room.max(1) * self.payload.len() as u64;
            write_all_at(&*file, at, &self.payload).and_then(|()| file.sync_data()).map_err(io)
        })?;
        clear(&*storage, "")?;
        Ok(sample)
    }

    fn durable(&self, exclusive: bool) -> Result<Sample> {
        let storage = (self.place)("durable");
        let journal = Journal::options().create(true).exclusive(exclusive).open_on(Arc::clone(&storage))?;
        let mut appender = appender(&journal)?;
        let sample = self.timed(&*storage, u64::MAX, |_| appender.append(Expect::Any, &self.payload).map(drop))?;
        drop(appender);
        journal.close()?;
        clear(&*storage, "")?;
        Ok(sample)
    }

    fn most_events(&self) -> u64 {
        (MOST_BYTES / self.payload.len() as u64).max(1)
    }

    /// The same volume as [`Bench::buffered`], in large writes.
    fn bare_writes(&self) -> Result<Sample> {
        let storage = (self.place)("write");
        let file = new_file(&*storage)?;
        let chunk = vec![b't'; CHUNK_LEN_BYTES];
        let start = storage.monotonic_ns();
        let mut written = 0;
        while written < MOST_BYTES && storage.monotonic_ns() - start < self.slice_ns {
            write_all_at(&*file, written, &chunk).map_err(io)?;
            written += chunk.len() as u64;
        }
        file.sync_data().map_err(io)?;
        let taken_ns = storage.monotonic_ns() - start;
        clear(&*storage, "")?;
        Ok(Sample { events: written / self.payload.len() as u64, taken_ns, times_ns: Vec::new() })
    }

    fn buffered(&self) -> Result<(Sample, Arc<dyn Storage>)> {
        let storage = (self.place)("buffered");
        let options: Options = Journal::options().create(true).exclusive(true).sync(SyncPolicy::Never);
        let journal = options.open_on(Arc::clone(&storage))?;
        let mut appender = appender(&journal)?;
        let start = storage.monotonic_ns();
        let mut events = 0;
        while events < self.most_events() && (events % 256 != 0 || storage.monotonic_ns() - start < self.slice_ns) {
            appender.append(Expect::Any, &self.payload)?;
            events += 1;
        }
        journal.sync()?;
        let taken_ns = storage.monotonic_ns() - start;
        drop(appender);
        journal.close()?;
        Ok((Sample { events, taken_ns, times_ns: Vec::new() }, storage))
    }

    /// The files that were just written, read without a look at what is in them.
    fn bare_reads(&self, storage: &dyn Storage) -> Result<Sample> {
        let mut chunk = vec![0; CHUNK_LEN_BYTES];
        let mut bytes = 0;
        let start = storage.monotonic_ns();
        for entry in storage.list(crate::log::paths::SEGMENTS).map_err(io)? {
            let name = format!("{}/{}", crate::log::paths::SEGMENTS, entry.name);
            let file = storage.open(&name, OpenMode::Read).map_err(io)?;
            let mut at = 0;
            loop {
                let read = read_full_at(&*file, at, &mut chunk).map_err(io)?;
                at += read as u64;
                if read < chunk.len() {
                    break;
                }
            }
            bytes += at;
        }
        let taken_ns = storage.monotonic_ns() - start;
        Ok(Sample { events: bytes / self.payload.len() as u64, taken_ns, times_ns: Vec::new() })
    }

    fn replay(&self, storage: &Arc<dyn Storage>) -> Result<Sample> {
        let start = storage.monotonic_ns();
        let reader = Reader::open_on(Arc::clone(storage))?;
        let mut events = reader.events(Query::all())?;
        let (mut count, mut sum) = (0, 0_u64);
        while let Some(record) = events.next()? {
            count += 1;
            sum = sum.wrapping_add(record.payload.first().copied().map_or(0, u64::from));
        }
        std::hint::black_box(sum);
        Ok(Sample { events: count, taken_ns: storage.monotonic_ns() - start, times_ns: Vec::new() })
    }
}

fn appender(journal: &Journal) -> Result<Appender<'_>> {
    Ok(journal.run_or_create("bench")?.appender(&Arc::new(TypeEntry::json("taffrail.bench"))))
}

fn io(error: std::io::Error) -> Error {
    Error::io("cannot measure the disk", error)
}

fn new_file(storage: &dyn Storage) -> Result<Box<dyn StorageFile>> {
    storage.create_dir("").map_err(io)?;
    storage.open("limit", OpenMode::CreateNew).map_err(io)
}

/// Removes what a directory holds.
fn clear(storage: &dyn Storage, directory: &str) -> Result<()> {
    for entry in storage.list(directory).map_err(io)? {
        let name = if directory.is_empty() { entry.name } else { format!("{directory}/{}", entry.name) };
        if entry.kind == EntryKind::Directory {
            clear(storage, &name)?;
            storage.remove_dir(&name).map_err(io)?;
        } else {
            storage.remove(&name).map_err(io)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Memory;

    #[test]
    fn every_figure_is_taken_and_nothing_is_left_behind() {
        let places = std::sync::Mutex::new(std::collections::BTreeMap::new());
        let place = |name: &str| -> Arc<dyn Storage> {
            let mut places = places.lock().unwrap();
            Arc::clone(places.entry(name.to_owned()).or_insert_with(|| Arc::new(Memory::new()) as Arc<dyn Storage>))
        };
        // Rows are those of the log; a bound on time is kept whatever the payload.
        let report = bench(&place, BenchOptions { seconds: 1, payload_len_bytes: 100 }).unwrap();
        let names: Vec<&str> = report.rows.iter().map(|row| row.name).collect();
        assert_eq!(names, ["durable", "durable-exclusive", "buffered", "replay"]);
        assert!(report.rows.iter().all(|row| row.per_second > 0.0 && row.limit_per_second > 0.0 && row.ratio > 0.0));
        for (name, storage) in &*places.lock().unwrap() {
            assert_eq!(storage.list("").unwrap(), [], "{name}");
        }
        let refused = bench(&place, BenchOptions { seconds: 1, payload_len_bytes: 0 }).unwrap_err();
        assert_eq!(refused.code(), "T0144");
    }
}
