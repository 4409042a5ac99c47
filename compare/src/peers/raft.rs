use crate::peer::*;
use anyhow::Result;
use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub struct P;
#[derive(Clone)]
struct M;
impl MessageExt for M {
    type Entry = BytesValue;
    /// The engine asserts on reads that the entry carries its own index: 8 bytes in front.
    fn index(e: &BytesValue) -> u64 {
        u64::from_le_bytes(e.get_value()[..8].try_into().unwrap())
    }
}
struct L {
    e: Engine,
    next: u64,
    b: LogBatch,
}
fn put(b: &mut LogBatch, region: u64, idx: u64, p: &[u8]) -> Result<()> {
    let mut v = BytesValue::new();
    let mut d = Vec::with_capacity(p.len() + 8);
    d.extend_from_slice(&idx.to_le_bytes());
    d.extend_from_slice(p);
    v.set_value(d);
    b.add_entries::<M>(region, std::slice::from_ref(&v))?;
    Ok(())
}
impl Log for L {
    fn append(&mut self, p: &[u8]) -> Result<()> {
        put(&mut self.b, 1, self.next, p)?;
        self.next += 1;
        self.e.write(&mut self.b, false)?;
        Ok(())
    }
    fn sync(&mut self) -> Result<()> {
        self.e.sync()?;
        Ok(())
    }
    fn append_durable(&mut self, p: &[u8]) -> Result<()> {
        put(&mut self.b, 1, self.next, p)?;
        self.next += 1;
        self.e.write(&mut self.b, true)?;
        Ok(())
    }
    fn replay(&mut self, f: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut at = match self.e.first_index(1) {
            Some(a) => a,
            None => return Ok(()),
        };
        let end = self.e.last_index(1).unwrap() + 1;
        let mut v: Vec<BytesValue> = Vec::new();
        while at < end {
            let to = (at + 32).min(end);
            v.clear();
            self.e.fetch_entries_to::<M>(1, at, to, None, &mut v)?;
            for e in &v {
                f(&e.get_value()[8..]);
            }
            at = to;
        }
        Ok(())
    }
    fn get(&mut self, s: u64, f: &mut dyn FnMut(&[u8])) -> Result<bool> {
        match self.e.get_entry::<M>(1, s)? {
            Some(e) => f(&e.get_value()[8..]),
            None => anyhow::bail!("no entry {s}"),
        }
        Ok(true)
    }
}
struct S {
    e: Engine,
    r: AtomicU64,
}
thread_local!(static MINE: std::cell::Cell<(u64, u64)> = const { std::cell::Cell::new((0, 0)) });
impl Shared for S {
    fn append_durable(&self, p: &[u8]) -> Result<()> {
        // One raft group per thread: indexes must be dense inside a group.
        let (mut g, i) = MINE.get();
        if g == 0 {
            g = self.r.fetch_add(1, Ordering::Relaxed);
        }
        MINE.set((g, i + 1));
        let mut b = LogBatch::with_capacity(1);
        put(&mut b, g, i, p)?;
        self.e.write(&mut b, true)?;
        Ok(())
    }
}
fn cfg(dir: &Path) -> Config {
    Config {
        dir: dir.join("raft").to_str().unwrap().to_owned(),
        purge_threshold: ReadableSize::gb(16),
        ..Default::default()
    }
}
impl Peer for P {
    fn name(&self) -> &'static str {
        "raft-engine"
    }
    fn meta(&self) -> Meta {
        Meta {
            version: "0.4.2",
            w1: "write(batch of 1, sync=false) per event, one sync()",
            concurrency: "group commit built in",
            checksum: "crc32 per entries block and per footer; LZ4 over 8 KiB",
            default_durability: "per write() argument",
        }
    }
    fn open(&self, dir: &Path, _m: Mode) -> Result<Box<dyn Log>> {
        let e = Engine::open(cfg(dir))?;
        let next = e.last_index(1).map_or(0, |i| i + 1);
        Ok(Box::new(L { e, next, b: LogBatch::with_capacity(1) }))
    }
    fn open_shared(&self, dir: &Path) -> Result<(Arc<dyn Shared>, bool)> {
        Ok((Arc::new(S { e: Engine::open(cfg(dir))?, r: AtomicU64::new(1) }), true))
    }
}
