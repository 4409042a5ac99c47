//! What this machine can do at most: the denominators of every ratio. Those of a workload are measured in its rounds; the
//! others, [`all`], once.
use crate::payload::{Pool, mix};
use anyhow::Result;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

fn pct(v: &mut [f64], p: f64) -> f64 {
    v.sort_by(|a, b| a.total_cmp(b));
    v[((v.len() - 1) as f64 * p) as usize]
}
fn create(p: &Path, flags: i32) -> Result<File> {
    Ok(OpenOptions::new().read(true).write(true).create(true).truncate(true).custom_flags(flags).open(p)?)
}
pub fn drop_caches() -> bool {
    unsafe { libc::sync() };
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}
/// The same for everything but this program: of the logs that it reads, nothing is in memory.
pub fn drop_caches_of_logs() -> bool {
    let program = || std::env::current_exe().and_then(std::fs::read);
    drop_caches() && program().is_ok()
}
/// Repeats `f` for about 60 ms and returns bytes per second.
fn rate(bytes: usize, mut f: impl FnMut()) -> f64 {
    f();
    let t = Instant::now();
    let mut n = 0u64;
    while t.elapsed().as_millis() < 60 {
        for _ in 0..8 {
            f();
        }
        n += 8;
    }
    n as f64 * bytes as f64 / t.elapsed().as_secs_f64()
}
struct Aligned(*mut u8, usize);
impl Aligned {
    fn new(n: usize) -> Self {
        let p = unsafe { libc::aligned_alloc(4096, n) as *mut u8 };
        unsafe { std::ptr::write_bytes(p, 0x5a, n) };
        Aligned(p, n)
    }
    fn s(&self) -> &[u8] {
        unsafe { std::slice::from_raw_parts(self.0, self.1) }
    }
}

fn sync_latency(out: &mut Vec<Value>, name: &str, n: usize, mut op: impl FnMut(usize) -> Result<()>) -> Result<()> {
    for i in 0..20 {
        op(i)?;
    }
    let mut v = Vec::with_capacity(n);
    let t0 = Instant::now();
    for i in 0..n {
        let t = Instant::now();
        op(20 + i)?;
        v.push(t.elapsed().as_secs_f64() * 1e6);
    }
    let per_s = n as f64 / t0.elapsed().as_secs_f64();
    out.push(json!({"limit": name, "unit": "ops/s", "value": per_s, "p50_us": pct(&mut v, 0.5), "p99_us": pct(&mut v, 0.99)}));
    Ok(())
}

/// W1: the volume of its events (300 MB) into a new file, and one sync; the disk is quiet before.
pub fn writes(dir: &Path) -> Result<Vec<Value>> {
    std::fs::create_dir_all(dir)?;
    let mut out = Vec::new();
    for chunk in [64usize << 10, 256 << 10, 1 << 20] {
        let p = dir.join("seq300");
        let f = create(&p, 0)?;
        let b = vec![0x41u8; chunk];
        unsafe { libc::sync() };
        std::thread::sleep(std::time::Duration::from_millis(200));
        let total = (300usize << 20) / chunk * chunk;
        let t = Instant::now();
        for i in 0..total / chunk {
            f.write_all_at(&b, (i * chunk) as u64)?;
        }
        f.sync_data()?;
        let value = total as f64 / t.elapsed().as_secs_f64();
        out.push(json!({"limit": format!("write_{}k_fdatasync", chunk >> 10), "unit": "B/s", "value": value}));
        std::fs::remove_file(&p)?;
    }
    Ok(out)
}

/// W2 and W3: what so many KiB take that are written over zeros, and synced.
pub fn syncs(dir: &Path, sizes_kib: &[usize]) -> Result<Vec<Value>> {
    std::fs::create_dir_all(dir)?;
    let mut out = Vec::new();
    let (p, page) = (dir.join("syncs"), Aligned::new(64 << 10));
    for kib in sizes_kib {
        let (f, len, places) = (create(&p, 0)?, kib << 10, 1000);
        f.write_all_at(&vec![0u8; len * places], 0)?;
        f.sync_all()?;
        // About a second, as the engines' durable appends take.
        sync_latency(&mut out, &format!("overwrite_{kib}k_fdatasync"), 10_000, |i| {
            f.write_all_at(&page.s()[..len], (i % places * len) as u64)?;
            Ok(f.sync_data()?)
        })?;
    }
    std::fs::remove_file(&p)?;
    Ok(out)
}

/// A file of so many MiB.
fn readable(dir: &Path, mib: usize) -> Result<File> {
    std::fs::create_dir_all(dir)?;
    let p = dir.join("read");
    let f = create(&p, 0)?;
    let b = vec![0x41u8; 1 << 20];
    (0..mib).try_for_each(|i| f.write_all_at(&b, (i << 20) as u64))?;
    f.sync_all()?;
    std::fs::remove_file(&p)?;
    Ok(f)
}

fn read_rate(f: &File, mib: usize) -> Result<f64> {
    let mut b = vec![0u8; 1 << 20];
    let t = Instant::now();
    (0..mib).try_for_each(|i| f.read_exact_at(&mut b, (i << 20) as u64))?;
    Ok((mib << 20) as f64 / t.elapsed().as_secs_f64())
}

/// W4: the volume of its events, in pieces of 1 MiB, from memory.
pub fn reads(dir: &Path) -> Result<Vec<Value>> {
    let mib = 300;
    let f = readable(dir, mib)?;
    read_rate(&f, mib)?;
    Ok(vec![json!({"limit": "read_1m_warm", "unit": "B/s", "value": read_rate(&f, mib)?})])
}

/// W4: the files of a log, one after the other, in pieces of 1 MiB. Nothing of them is in memory.
pub fn read_cold(log: &Path) -> Result<Value> {
    let (mut piece, mut bytes) = (vec![0u8; 1 << 20], 0);
    let t = Instant::now();
    for path in files_of(log)? {
        bytes += read_whole(&File::open(path)?, &mut piece)?;
    }
    Ok(json!({"limit": "read_1m_cold", "unit": "B/s", "value": bytes as f64 / t.elapsed().as_secs_f64()}))
}

/// Reads a file to its end, and gives its length.
fn read_whole(f: &File, piece: &mut [u8]) -> Result<u64> {
    let mut at = 0;
    loop {
        let read = f.read_at(piece, at)?;
        if read == 0 {
            return Ok(at);
        }
        at += read as u64;
    }
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_of(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// W6: 1 KiB at random places of what was read just now.
pub fn lookups(dir: &Path) -> Result<Vec<Value>> {
    let mib = 300;
    let f = readable(dir, mib)?;
    read_rate(&f, mib)?;
    let (mut b, count) = ([0u8; 1024], 100_000u64);
    let t = Instant::now();
    for i in 0..count {
        f.read_exact_at(&mut b, mix(i) % ((mib as u64) << 10) << 10)?;
    }
    Ok(vec![json!({"limit": "pread_1k_warm", "unit": "ops/s", "value": count as f64 / t.elapsed().as_secs_f64()})])
}

/// What else is worth knowing of a machine, and of the ways to write and to sum that were chosen among.
pub fn all(dir: &Path) -> Result<Vec<Value>> {
    let mut out = vec![];
    std::fs::create_dir_all(dir)?;
    let gib: usize = 1 << 30;

    // Sequential write of 1 GiB, page cache then fdatasync.
    for chunk in [128usize << 10, 1 << 20] {
        let p = dir.join("seq");
        let f = create(&p, 0)?;
        let b = vec![0x41u8; chunk];
        let t = Instant::now();
        for i in 0..gib / chunk {
            f.write_all_at(&b, (i * chunk) as u64)?;
        }
        let w = t.elapsed().as_secs_f64();
        f.sync_data()?;
        let s = t.elapsed().as_secs_f64();
        out.push(
            json!({"limit": format!("seq_write_{}k_nosync", chunk >> 10), "unit": "B/s", "value": gib as f64 / w}),
        );
        out.push(
            json!({"limit": format!("seq_write_{}k_fdatasync", chunk >> 10), "unit": "B/s", "value": gib as f64 / s}),
        );
        drop(f);
        if chunk < 1 << 20 {
            std::fs::remove_file(&p)?;
        }
    }
    // Reads of that file: cold then warm.
    let p = dir.join("seq");
    let f = File::open(&p)?;
    let mut b = vec![0u8; 1 << 20];
    let cold = drop_caches();
    for pass in [if cold { "cold" } else { "uncontrolled" }, "warm"] {
        let t = Instant::now();
        let at = read_whole(&f, &mut b)?;
        out.push(
            json!({"limit": format!("read_1m_{pass}"), "unit": "B/s", "value": at as f64 / t.elapsed().as_secs_f64()}),
        );
    }
    {
        let sum = |m: &[u8]| {
            let mut x = [0u64; 8];
            for c in m.chunks_exact(64) {
                for i in 0..8 {
                    x[i] ^= u64::from_le_bytes(c[i * 8..i * 8 + 8].try_into().unwrap());
                }
            }
            x.iter().fold(0, |a, b| a ^ b)
        };
        if cold {
            drop_caches();
            let m = unsafe { memmap2::Mmap::map(&f)? };
            m.advise(memmap2::Advice::Sequential)?;
            let t = Instant::now();
            std::hint::black_box(sum(&m));
            out.push(
                json!({"limit": "mmap_read_cold", "unit": "B/s", "value": gib as f64 / t.elapsed().as_secs_f64()}),
            );
        }
        let m = unsafe { memmap2::Mmap::map(&f)? };
        let t = Instant::now();
        std::hint::black_box(sum(&m));
        out.push(json!({"limit": "mmap_read_warm_fresh_map", "unit": "B/s", "value": gib as f64 / t.elapsed().as_secs_f64()}));
        let t = Instant::now();
        std::hint::black_box(sum(&m));
        out.push(
            json!({"limit": "mmap_read_warm_mapped", "unit": "B/s", "value": gib as f64 / t.elapsed().as_secs_f64()}),
        );
        let t = Instant::now();
        let m2 = unsafe { memmap2::MmapOptions::new().populate().map(&f)? };
        std::hint::black_box(sum(&m2));
        out.push(
            json!({"limit": "mmap_read_warm_populate", "unit": "B/s", "value": gib as f64 / t.elapsed().as_secs_f64()}),
        );
    }
    drop(f);
    std::fs::remove_file(&p)?;

    // Durable small writes.
    let page = Aligned::new(4096);
    let n = 1000;
    let p = dir.join("lat");
    let f = create(&p, 0)?;
    sync_latency(&mut out, "append_4k_fdatasync", n, |i| {
        f.write_all_at(page.s(), i as u64 * 4096)?;
        Ok(f.sync_data()?)
    })?;
    let f = create(&p, 0)?;
    sync_latency(&mut out, "append_1k_fdatasync", n, |i| {
        f.write_all_at(&page.s()[..1024], i as u64 * 1024)?;
        Ok(f.sync_data()?)
    })?;
    let f = create(&p, 0)?;
    sync_latency(&mut out, "append_4k_fsync", n, |i| {
        f.write_all_at(page.s(), i as u64 * 4096)?;
        Ok(f.sync_all()?)
    })?;
    let prealloc = |f: &File, written: bool| -> Result<()> {
        if written {
            let z = vec![0u8; 1 << 20];
            for i in 0..8 {
                f.write_all_at(&z, i << 20)?;
            }
        } else {
            use std::os::fd::AsRawFd;
            let r = unsafe { libc::fallocate(f.as_raw_fd(), 0, 0, 8 << 20) };
            if r != 0 {
                return Err(std::io::Error::last_os_error().into());
            }
        }
        Ok(f.sync_all()?)
    };
    let f = create(&p, 0)?;
    prealloc(&f, false)?;
    sync_latency(&mut out, "fallocated_4k_fdatasync", n, |i| {
        f.write_all_at(page.s(), i as u64 * 4096)?;
        Ok(f.sync_data()?)
    })?;
    let f = create(&p, 0)?;
    prealloc(&f, true)?;
    sync_latency(&mut out, "zeroed_overwrite_4k_fdatasync", n, |i| {
        f.write_all_at(page.s(), i as u64 * 4096)?;
        Ok(f.sync_data()?)
    })?;
    sync_latency(&mut out, "zeroed_overwrite_1k_fdatasync", n, |i| {
        f.write_all_at(&page.s()[..1024], i as u64 * 1024)?;
        Ok(f.sync_data()?)
    })?;
    drop(f);
    let f = OpenOptions::new().write(true).custom_flags(libc::O_DSYNC).open(&p)?;
    sync_latency(&mut out, "zeroed_overwrite_4k_o_dsync", n, |i| Ok(f.write_all_at(page.s(), i as u64 * 4096)?))?;
    if let Ok(f) = OpenOptions::new().write(true).custom_flags(libc::O_DSYNC | libc::O_DIRECT).open(&p) {
        sync_latency(&mut out, "zeroed_overwrite_4k_o_direct_dsync", n, |i| {
            Ok(f.write_all_at(page.s(), i as u64 * 4096)?)
        })?;
        let big = Aligned::new(64 << 10);
        sync_latency(&mut out, "zeroed_overwrite_64k_o_direct_dsync", 300, |i| {
            Ok(f.write_all_at(big.s(), (i % 100) as u64 * (64 << 10))?)
        })?;
    }
    // Parallel fdatasync of separate preallocated files: does the device overlap flushes?
    for th in [2usize, 8] {
        let t = Instant::now();
        std::thread::scope(|s| {
            for k in 0..th {
                let p = dir.join(format!("par{k}"));
                let pg = page.s().to_vec();
                s.spawn(move || {
                    let f = create(&p, 0).unwrap();
                    f.write_all_at(&vec![0u8; 4096 * 300], 0).unwrap();
                    f.sync_all().unwrap();
                    for i in 0..300 {
                        f.write_all_at(&pg, i * 4096).unwrap();
                        f.sync_data().unwrap();
                    }
                    std::fs::remove_file(&p).unwrap();
                });
            }
        });
        out.push(json!({"limit": format!("parallel_fdatasync_{th}_files"), "unit": "ops/s", "value": th as f64 * 300.0 / t.elapsed().as_secs_f64()}));
    }
    std::fs::remove_file(&p)?;

    // Memory and checksums.
    let src = Aligned::new(256 << 20);
    let dst = Aligned::new(256 << 20);
    out.push(json!({"limit": "memcpy_256m", "unit": "B/s", "value": rate(256 << 20, || unsafe { std::ptr::copy_nonoverlapping(src.0, dst.0, 256 << 20) })}));
    out.push(json!({"limit": "memcpy_256k", "unit": "B/s", "value": rate(256 << 10, || unsafe { std::ptr::copy_nonoverlapping(src.0, dst.0, 256 << 10); std::hint::black_box(dst.0); })}));
    for (label, n) in [("52", 52usize), ("128", 128), ("1k", 1024), ("16k", 16 << 10), ("1m", 1 << 20)] {
        let s = &src.s()[..n];
        out.push(json!({"limit": format!("crc32fast_{label}"), "unit": "B/s", "value": rate(n, || { std::hint::black_box(crc32fast::hash(std::hint::black_box(s))); })}));
        out.push(json!({"limit": format!("crc32c_{label}"), "unit": "B/s", "value": rate(n, || { std::hint::black_box(crc32c::crc32c(std::hint::black_box(s))); })}));
        out.push(json!({"limit": format!("crc_fast_crc32c_{label}"), "unit": "B/s", "value": rate(n, || { std::hint::black_box(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, std::hint::black_box(s))); })}));
        out.push(json!({"limit": format!("crc_fast_crc32_{label}"), "unit": "B/s", "value": rate(n, || { std::hint::black_box(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, std::hint::black_box(s))); })}));
        out.push(json!({"limit": format!("crc_fast_crc64nvme_{label}"), "unit": "B/s", "value": rate(n, || { std::hint::black_box(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, std::hint::black_box(s))); })}));
        out.push(json!({"limit": format!("sse42_crc32c_{label}"), "unit": "B/s", "value": rate(n, || { std::hint::black_box(sse42(std::hint::black_box(s))); })}));
    }
    // The harness's own cost per event.
    let mut pool = Pool::new(128);
    let mut i = 0;
    let r = rate(128, || {
        std::hint::black_box(pool.event(i));
        i += 1;
    });
    out.push(json!({"limit": "harness_event_128", "unit": "B/s", "value": r}));

    // io_uring.
    let mut params = [0u8; 120];
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 8, params.as_mut_ptr()) };
    let err = std::io::Error::last_os_error();
    if fd >= 0 {
        unsafe { libc::close(fd as i32) };
    }
    out.push(json!({"limit": "io_uring_setup", "unit": "bool", "value": if fd >= 0 { 1.0 } else { 0.0 }, "note": if fd >= 0 { "available".into() } else { err.to_string() }}));
    Ok(out)
}

/// The plain crc32 instruction, one stream, as the naive hardware baseline.
fn sse42(s: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "sse4.2")]
        unsafe fn go(s: &[u8]) -> u32 {
            use std::arch::x86_64::*;
            let mut c = !0u64;
            let mut it = s.chunks_exact(8);
            for w in &mut it {
                c = _mm_crc32_u64(c, u64::from_le_bytes(w.try_into().unwrap()));
            }
            let mut c = c as u32;
            for &b in it.remainder() {
                c = _mm_crc32_u8(c, b);
            }
            !c
        }
        if is_x86_feature_detected!("sse4.2") {
            return unsafe { go(s) };
        }
    }
    crc32c::crc32c(s)
}
