//! One measurement in a process of its own.

use crate::arguments::Arguments;
use crate::payload::{Fold, Pool, mix, seq_of};
use crate::peer::{Mode, Peer};
use crate::peers;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

/// Bytes of a directory: as the files' lengths tell, and as the file system has set aside.
pub fn disk_usage(directory: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    let mut sum = (0, 0);
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let (length, allocated) = match metadata.is_dir() {
            true => disk_usage(&entry.path()),
            false => (metadata.len(), metadata.blocks() * 512),
        };
        sum = (sum.0 + length, sum.1 + allocated);
    }
    sum
}

/// The most memory that this process has had, in bytes.
pub fn peak_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn cpu_seconds() -> f64 {
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Tells the parent.
pub fn emit(value: &Value) {
    println!("\n@@{value}");
}

/// Ends at once: some engines join background threads when they are dropped, and the measurement is over.
pub fn leave() -> ! {
    use std::io::Write;
    let _parent_is_gone = std::io::stdout().flush();
    unsafe { libc::_exit(0) }
}

struct Task<'a> {
    peer: &'static dyn Peer,
    directory: PathBuf,
    size: usize,
    count: u64,
    limit: Duration,
    arguments: &'a Arguments,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let peer = peers::by_name(arguments.needed("peer")?).context("there is no such peer")?;
    let task = Task {
        peer,
        directory: arguments.needed("dir")?.into(),
        size: usize::try_from(arguments.number("size", 1024)?)?,
        count: arguments.number("n", 1000)?,
        limit: Duration::from_secs(arguments.number("limit", 60)?),
        arguments,
    };
    std::fs::create_dir_all(&task.directory)?;
    let figures = match arguments.needed("op")? {
        "append" => task.append()?,
        "durable" => task.durable()?,
        "shared" => task.shared()?,
        "replay" => task.replay()?,
        "open" => task.open()?,
        "get" => task.get()?,
        other => bail!("there is no operation {other:?}"),
    };
    emit(&figures);
    leave()
}

impl Task<'_> {
    fn append(&self) -> Result<Value> {
        let mut pool = Pool::new(self.size);
        let mut log = self.peer.open(&self.directory, Mode::Buffered)?;
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let mut done = 0;
        for number in 0..self.count {
            log.append(pool.event(number))?;
            done += 1;
            if number & 1023 == 0 && start.elapsed() > self.limit {
                break;
            }
        }
        let appended = start.elapsed().as_secs_f64();
        log.sync()?;
        let synced = start.elapsed().as_secs_f64();
        let cpu = cpu_seconds() - cpu;
        log.close()?;
        let (length, allocated) = disk_usage(&self.directory);
        let beyond = |bytes: u64| bytes as f64 / done as f64 - self.size as f64;
        Ok(json!({"events": done, "append_s": appended, "total_s": synced, "events_per_s": done as f64 / synced,
            "bytes_per_s": (done as usize * self.size) as f64 / synced, "cpu_s": cpu, "resident": peak_resident(),
            "overhead": beyond(length), "overhead_allocated": beyond(allocated)}))
    }

    fn durable(&self) -> Result<Value> {
        let mut pool = Pool::new(self.size);
        let mut log = self.peer.open(&self.directory, Mode::Durable)?;
        for number in 0..50 {
            log.append_durable(pool.event(number))?;
        }
        let mut times_us = Vec::with_capacity(self.count as usize);
        let start = Instant::now();
        for number in 0..self.count {
            let before = Instant::now();
            log.append_durable(pool.event(50 + number))?;
            times_us.push(before.elapsed().as_secs_f64() * 1e6);
            if start.elapsed() > self.limit {
                break;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        times_us.sort_by(f64::total_cmp);
        let quantile = |part: f64| times_us[((times_us.len() - 1) as f64 * part) as usize];
        Ok(json!({"events": times_us.len(), "events_per_s": times_us.len() as f64 / seconds,
            "p50_us": quantile(0.5), "p99_us": quantile(0.99), "max_us": quantile(1.0)}))
    }

    fn shared(&self) -> Result<Value> {
        let threads = self.arguments.number("threads", 8)?;
        let (log, native) = self.peer.open_shared(&self.directory)?;
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        // Payloads are made before the time begins to count.
        let (all_are_ready, start) = (Barrier::new(threads as usize), OnceLock::new());
        let work = || -> Result<()> {
            let mut pool = Pool::new(self.size);
            all_are_ready.wait();
            let start = *start.get_or_init(Instant::now);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.count {
                    return Ok(());
                }
                if stop.load(Ordering::Relaxed) {
                    next.fetch_sub(1, Ordering::Relaxed);
                    return Ok(());
                }
                log.append_durable(pool.event(number))?;
                if number & 63 == 0 && start.elapsed() > self.limit {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(_) => bail!("a thread panicked"),
            })
        })?;
        let start = start.get().context("there is no thread")?;
        let done = next.load(Ordering::Relaxed).min(self.count);
        let seconds = start.elapsed().as_secs_f64();
        Ok(json!({"events": done, "threads": threads, "native": native, "events_per_s": done as f64 / seconds}))
    }

    fn replay(&self) -> Result<Value> {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let mut log = self.peer.open(&self.directory, Mode::Read)?;
        let opened = start.elapsed().as_secs_f64();
        let mut fold = Fold::default();
        log.replay(&mut |payload| fold.add(payload))?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(json!({"events": fold.count, "open_s": opened, "total_s": seconds,
            "events_per_s": fold.count as f64 / seconds, "bytes_per_s": fold.bytes as f64 / seconds,
            "xor": format!("{:016x}", fold.xor), "cpu_s": cpu_seconds() - cpu, "resident": peak_resident()}))
    }

    fn open(&self) -> Result<Value> {
        let start = Instant::now();
        let log = self.peer.open(&self.directory, Mode::Read)?;
        let seconds = start.elapsed().as_secs_f64();
        let resident = peak_resident();
        std::mem::forget(log);
        Ok(json!({"open_s": seconds, "resident": resident}))
    }

    fn get(&self) -> Result<Value> {
        let mut log = self.peer.open(&self.directory, Mode::Read)?;
        log.prepare_get()?;
        let mut fold = Fold::default();
        let (mut wrong, mut done) = (0_u64, 0_u64);
        let start = Instant::now();
        for number in 0..self.arguments.number("lookups", self.count)? {
            let wanted = mix(number ^ 0x5eed) % self.count;
            let is_supported = log.get(wanted, &mut |payload| {
                fold.add(payload);
                wrong += u64::from(seq_of(payload) != Some(wanted));
            })?;
            if !is_supported {
                return Ok(json!({"supported": false}));
            }
            done += 1;
            if number & 15 == 0 && start.elapsed() > self.limit {
                break;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        if wrong > 0 || fold.count != done {
            bail!("{wrong} of {done} lookups gave another event, {} gave one", fold.count);
        }
        Ok(json!({"supported": true, "lookups": done, "lookups_per_s": done as f64 / seconds,
            "resident": peak_resident()}))
    }
}
