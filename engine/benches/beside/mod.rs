//! Work on whole stores, measured beside what the machine takes to read and to copy the same files in the same minute.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use taffrail::storage::{Disk, OpenMode, Storage};

/// How often everything is done, in turns; medians are told.
const ROUNDS: u64 = 3;

/// A number that the environment says otherwise.
pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A directory for the files of a bench: `TAFFRAIL_BENCH_DIR`, or that for temporary files. Removed with everything in it.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> std::io::Result<Place> {
        let base = std::env::var_os("TAFFRAIL_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = base.join(format!("taffrail-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Place(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

/// What one kind of work took, in every round.
struct Row {
    name: &'static str,
    took: Vec<Duration>,
    /// Bytes that the process has asked to be read and written.
    read: u64,
    written: u64,
}

/// Measures, by turns.
pub(crate) struct Bench {
    store: PathBuf,
    scratch: PathBuf,
    /// Bytes of the log's segments.
    pub(crate) len_bytes: u64,
    rows: Vec<Row>,
}

impl Bench {
    /// Beside the files of a store; `scratch` is a directory for copies of them.
    pub(crate) fn new(store: &Path, scratch: &Path) -> std::io::Result<Bench> {
        let mut len_bytes = 0;
        for entry in fs::read_dir(store.join("segments"))? {
            len_bytes += entry?.metadata()?.len();
        }
        Ok(Bench { store: store.to_owned(), scratch: scratch.join("copy"), len_bytes, rows: Vec::new() })
    }

    /// Runs all rounds; each begins with what the machine takes.
    pub(crate) fn rounds(
        &mut self,
        mut round: impl FnMut(&mut Bench) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        for _ in 0..number("TAFFRAIL_BENCH_ROUNDS", ROUNDS) {
            let (store, scratch) = (self.store.join("segments"), self.scratch.clone());
            self.measure("a plain read of the segments", &store, || read(&store))?;
            self.measure("a plain copy of the segments, synced", &store, || copy(&store, &scratch))?;
            round(self)?;
        }
        Ok(())
    }

    /// Measures some work that reads the files below a directory: from the disk, as far as the system can be told to forget them.
    pub(crate) fn measure<T, E: Into<Box<dyn Error>>>(
        &mut self,
        name: &'static str,
        reads: &Path,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, Box<dyn Error>> {
        forget_cached(reads)?;
        let (before, start) = (transferred(), Instant::now());
        let result = work().map_err(Into::into)?;
        let (took, after) = (start.elapsed(), transferred());
        let known = self.rows.iter().position(|row| row.name == name);
        let place = known.unwrap_or_else(|| {
            self.rows.push(Row { name, took: Vec::new(), read: 0, written: 0 });
            self.rows.len() - 1
        });
        let row = &mut self.rows[place];
        row.took.push(took);
        (row.read, row.written) = (after.0 - before.0, after.1 - before.1);
        Ok(result)
    }

    /// The median of what the work took, in seconds.
    fn seconds(row: &Row) -> f64 {
        let mut took = row.took.clone();
        took.sort();
        took.get(took.len() / 2).map_or(0.0, Duration::as_secs_f64)
    }

    /// Prints all of it.
    pub(crate) fn print(&self) {
        let log = self.len_bytes as f64;
        let of = |place: usize| self.rows.get(place).map_or(1.0, Bench::seconds);
        let (read, copied) = (of(0), of(1));
        println!(
            "{:<44} {:>8} {:>8} {:>7} {:>7} {:>11} {:>14}",
            "", "seconds", "MB/s", "x read", "x copy", "x log read", "x log written"
        );
        for row in &self.rows {
            let seconds = Bench::seconds(row);
            println!(
                "{:<44} {seconds:>8.3} {:>8.0} {:>7.2} {:>7.2} {:>11.2} {:>14.2}",
                row.name,
                log / 1e6 / seconds,
                seconds / read,
                seconds / copied,
                row.read as f64 / log,
                row.written as f64 / log
            );
        }
    }
}

/// Bytes that this process has asked to be read and written so far. Only Linux tells.
fn transferred() -> (u64, u64) {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let field = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0);
    (field("rchar:"), field("wchar:"))
}

/// Makes everything below a directory durable, and has the system forget what it holds of it in memory.
fn forget_cached(directory: &Path) -> std::io::Result<()> {
    let disk = Disk::new(directory);
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget_cached(&entry.path())?;
        } else {
            let file = disk.open(&entry.file_name().to_string_lossy(), OpenMode::Read)?;
            file.sync_all()?;
            file.drop_cached(0, 0)?;
        }
    }
    Ok(())
}

/// Hands every file of a directory to a sink, a MiB at a time, with its name.
fn each_chunk(
    directory: &Path,
    mut begin: impl FnMut(&Path) -> std::io::Result<Option<fs::File>>,
) -> std::io::Result<u64> {
    let mut count = 0;
    let mut chunk = vec![0; 1 << 20];
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let mut source = fs::File::open(entry.path())?;
        let mut target = begin(Path::new(&entry.file_name()))?;
        loop {
            let len = std::io::Read::read(&mut source, &mut chunk)?;
            if len == 0 {
                break;
            }
            if let Some(target) = &mut target {
                std::io::Write::write_all(target, &chunk[..len])?;
            }
            count += len as u64;
        }
        if let Some(target) = target {
            target.sync_all()?;
        }
    }
    Ok(count)
}

/// Reads every file: the least that looking at those bytes takes.
fn read(directory: &Path) -> std::io::Result<u64> {
    each_chunk(directory, |_| Ok(None))
}

/// Copies every file and syncs the copies: the least that moving those bytes takes. The copies are removed.
fn copy(directory: &Path, to: &Path) -> std::io::Result<u64> {
    fs::create_dir_all(to)?;
    let copied = each_chunk(directory, |name| fs::File::create(to.join(name)).map(Some));
    fs::remove_dir_all(to)?;
    copied
}
