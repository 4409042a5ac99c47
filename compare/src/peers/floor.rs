//! Not a product: the least a checksummed log can do. Frames are `len u32 | crc32c u32 | payload`,
//! a user-space buffer of 1 MiB, write(), fdatasync; reads fold straight over an mmap. It has no
//! segments, no header, no recovery and no index file, so it marks what the format work costs.
use crate::peer::*;
use anyhow::{Result, bail};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

pub struct Floor;
/// The same with a flusher thread that swaps buffers and unparks each waiter (no shared condvar).
pub struct FloorPark;
const CAP: usize = 1 << 20;

struct L {
    f: File,
    buf: Vec<u8>,
    at: u64,
    durable: bool,
    offs: Vec<u64>,
    map: Option<memmap2::Mmap>,
}

fn frame(buf: &mut Vec<u8>, p: &[u8]) {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, p) as u32;
    buf.extend_from_slice(&(p.len() as u32).to_le_bytes());
    buf.extend_from_slice(&crc.to_le_bytes());
    buf.extend_from_slice(p);
}

fn walk(m: &[u8], f: &mut dyn FnMut(u64, &[u8])) -> Result<usize> {
    let mut o = 0usize;
    while o + 8 <= m.len() {
        let len = u32::from_le_bytes(m[o..o + 4].try_into()?) as usize;
        let crc = u32::from_le_bytes(m[o + 4..o + 8].try_into()?);
        if len == 0 {
            break;
        }
        if o + 8 + len > m.len() {
            bail!("torn at {o}");
        }
        let p = &m[o + 8..o + 8 + len];
        if crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, p) as u32 != crc {
            bail!("crc at {o}");
        }
        f(o as u64, p);
        o += 8 + len;
    }
    Ok(o)
}

impl Log for L {
    fn append(&mut self, p: &[u8]) -> Result<()> {
        if self.buf.len() + p.len() + 8 > CAP {
            self.f.write_all_at(&self.buf, self.at)?;
            self.at += self.buf.len() as u64;
            self.buf.clear();
        }
        frame(&mut self.buf, p);
        Ok(())
    }
    fn sync(&mut self) -> Result<()> {
        self.f.write_all_at(&self.buf, self.at)?;
        self.at += self.buf.len() as u64;
        self.buf.clear();
        self.f.sync_data()?;
        Ok(())
    }
    fn replay(&mut self, f: &mut dyn FnMut(&[u8])) -> Result<()> {
        let m = unsafe { memmap2::Mmap::map(&self.f)? };
        m.advise(memmap2::Advice::Sequential)?;
        walk(&m, &mut |_, p| f(p))?;
        Ok(())
    }
    fn prepare_get(&mut self) -> Result<()> {
        let m = unsafe { memmap2::Mmap::map(&self.f)? };
        let mut offs = vec![];
        walk(&m, &mut |o, _| offs.push(o))?;
        self.offs = offs;
        self.map = Some(m);
        Ok(())
    }
    fn get(&mut self, s: u64, f: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let o = self.offs[s as usize] as usize;
        let m = self.map.as_ref().unwrap();
        let len = u32::from_le_bytes(m[o..o + 4].try_into()?) as usize;
        let crc = u32::from_le_bytes(m[o + 4..o + 8].try_into()?);
        let p = &m[o + 8..o + 8 + len];
        if crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, p) as u32 != crc {
            bail!("crc");
        }
        f(p);
        Ok(true)
    }
    fn close(self: Box<Self>) -> Result<()> {
        if self.durable {
            self.f.set_len(self.at)?;
        }
        Ok(())
    }
}

const PRE: u64 = 64 << 20;
fn prealloc(f: &File) -> Result<()> {
    let z = vec![0u8; 1 << 20];
    for i in 0..PRE >> 20 {
        f.write_all_at(&z, i << 20)?;
    }
    f.sync_all()?;
    Ok(())
}

/// Leader/follower group commit over two buffers.
struct G {
    m: Mutex<GS>,
    cv: Condvar,
    f: File,
}
struct GS {
    buf: Vec<u8>,
    at: u64,
    appended: u64,
    durable: u64,
    busy: bool,
    spare: Vec<u8>,
}
impl Shared for G {
    fn append_durable(&self, p: &[u8]) -> Result<()> {
        let mut g = self.m.lock().unwrap();
        frame(&mut g.buf, p);
        g.appended += 1;
        let mine = g.appended;
        loop {
            if g.durable >= mine {
                return Ok(());
            }
            if !g.busy {
                g.busy = true;
                let spare = std::mem::take(&mut g.spare);
                let mut b = std::mem::replace(&mut g.buf, spare);
                let (at, upto) = (g.at, g.appended);
                g.at += b.len() as u64;
                drop(g);
                self.f.write_all_at(&b, at)?;
                self.f.sync_data()?;
                g = self.m.lock().unwrap();
                b.clear();
                g.spare = b;
                g.durable = upto;
                g.busy = false;
                self.cv.notify_all();
                continue;
            }
            g = self.cv.wait(g).unwrap();
        }
    }
}

impl Peer for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }
    fn meta(&self) -> Meta {
        Meta {
            version: "0",
            w1: "1 MiB user buffer, write(), one fdatasync",
            concurrency: "leader/follower group commit",
            checksum: "crc32c per record",
            default_durability: "caller",
        }
    }
    fn open(&self, dir: &Path, mode: Mode) -> Result<Box<dyn Log>> {
        let path = dir.join("log");
        let f = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let durable = mode == Mode::Durable;
        let at = if mode == Mode::Read { f.metadata()?.len() } else { 0 };
        if durable {
            prealloc(&f)?;
        }
        let _ = (&f).flush();
        Ok(Box::new(L { f, buf: Vec::with_capacity(CAP + 64), at, durable, offs: vec![], map: None }))
    }
    fn open_shared(&self, dir: &Path) -> Result<(Arc<dyn Shared>, bool)> {
        let f = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join("log"))?;
        prealloc(&f)?;
        let s = GS { buf: vec![], at: 0, appended: 0, durable: 0, busy: false, spare: vec![] };
        Ok((Arc::new(G { m: Mutex::new(s), cv: Condvar::new(), f }), true))
    }
}

/// Flusher thread; appenders park, so no herd fights over one lock after each commit.
struct PG {
    m: Mutex<PS>,
    durable: std::sync::atomic::AtomicU64,
    flusher: std::sync::OnceLock<std::thread::Thread>,
}
#[derive(Default)]
struct PS {
    buf: Vec<u8>,
    appended: u64,
    waiters: Vec<std::thread::Thread>,
    idle: bool,
}
impl Shared for PG {
    fn append_durable(&self, p: &[u8]) -> Result<()> {
        use std::sync::atomic::Ordering::*;
        let me = std::thread::current();
        let (mine, wake) = {
            let mut g = self.m.lock().unwrap();
            frame(&mut g.buf, p);
            g.appended += 1;
            g.waiters.push(me);
            (g.appended, std::mem::replace(&mut g.idle, false))
        };
        if wake {
            self.flusher.get().unwrap().unpark();
        }
        while self.durable.load(Acquire) < mine {
            std::thread::park();
        }
        Ok(())
    }
}
impl Peer for FloorPark {
    fn name(&self) -> &'static str {
        "floor-park"
    }
    fn meta(&self) -> Meta {
        Meta { concurrency: "flusher thread, waiters parked", ..Floor.meta() }
    }
    fn open(&self, dir: &Path, mode: Mode) -> Result<Box<dyn Log>> {
        Floor.open(dir, mode)
    }
    fn open_shared(&self, dir: &Path) -> Result<(Arc<dyn Shared>, bool)> {
        use std::sync::atomic::Ordering::*;
        let f = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join("log"))?;
        prealloc(&f)?;
        let g = Arc::new(PG { m: Default::default(), durable: Default::default(), flusher: Default::default() });
        let h = g.clone();
        let t = std::thread::spawn(move || {
            let (mut b, mut w, mut at) = (Vec::new(), Vec::new(), 0u64);
            loop {
                let upto = {
                    let mut s = h.m.lock().unwrap();
                    if s.buf.is_empty() {
                        s.idle = true;
                        drop(s);
                        std::thread::park();
                        continue;
                    }
                    std::mem::swap(&mut s.buf, &mut b);
                    std::mem::swap(&mut s.waiters, &mut w);
                    s.appended
                };
                f.write_all_at(&b, at).unwrap();
                f.sync_data().unwrap();
                at += b.len() as u64;
                b.clear();
                h.durable.store(upto, Release);
                for t in w.drain(..) {
                    t.unpark();
                }
            }
        });
        g.flusher.set(t.thread().clone()).ok();
        Ok((g, true))
    }
}
