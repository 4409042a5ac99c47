use crate::peer::*;
use anyhow::Result;
use batpak::prelude::*;
use batpak::store::{AppendOptions, DurabilityGate, Store, StoreConfig, SyncMode, WatermarkKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub struct P;
/// MessagePack `bin`, so that a raw payload costs what it should.
struct Raw<'a>(&'a [u8]);
impl serde::Serialize for Raw<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(self.0)
    }
}
fn bin(m: &[u8]) -> &[u8] {
    match m.first() {
        Some(0xc4) => &m[2..],
        Some(0xc5) => &m[3..],
        Some(0xc6) => &m[5..],
        _ => m,
    }
}
struct L {
    s: Store,
    c: Coordinate,
    ids: Vec<EventId>,
    pend: std::collections::VecDeque<batpak::store::AppendTicket>,
}
const KIND: EventKind = EventKind::custom(0xF, 1);
impl L {
    fn drain(&mut self, keep: usize) -> Result<()> {
        while self.pend.len() > keep {
            let _ = self.pend.pop_front().unwrap().wait()?;
        }
        Ok(())
    }
}
impl Log for L {
    fn append(&mut self, p: &[u8]) -> Result<()> {
        // Pipelined: the writer is a thread, so waiting for every receipt would time the channel.
        let t = self.s.submit(&self.c, KIND, &Raw(p))?;
        self.pend.push_back(t);
        if self.pend.len() >= 1024 {
            self.drain(512)?;
        }
        Ok(())
    }
    fn sync(&mut self) -> Result<()> {
        self.drain(0)?;
        self.s.sync()?;
        Ok(())
    }
    fn append_durable(&mut self, p: &[u8]) -> Result<()> {
        let _ = self.s.append_with_options(&self.c, KIND, &Raw(p), AppendOptions::default().with_gate(durable()))?;
        Ok(())
    }
    fn replay(&mut self, f: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.s.query_entries_after(&Region::all(), after, 4096);
            if page.is_empty() {
                return Ok(());
            }
            for e in &page {
                if e.event_kind() != KIND {
                    continue;
                }
                let ev = self.s.read_raw(e.event_id())?;
                f(bin(&ev.event.payload));
            }
            after = Some(page.last().unwrap().global_sequence());
        }
    }
    fn prepare_get(&mut self) -> Result<()> {
        let mut v: Vec<_> = self.s.query(&Region::all());
        v.retain(|e| e.event_kind() == KIND);
        v.sort_by_key(|e| e.global_sequence());
        self.ids = v.iter().map(|e| e.event_id()).collect();
        Ok(())
    }
    fn get(&mut self, s: u64, f: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let ev = self.s.read_raw(self.ids[s as usize])?;
        f(bin(&ev.event.payload));
        Ok(true)
    }
    fn close(self: Box<Self>) -> Result<()> {
        self.s.close()?;
        Ok(())
    }
}
struct S {
    s: Store,
    n: AtomicU64,
}
thread_local!(static C: std::cell::RefCell<Option<Coordinate>> = const { std::cell::RefCell::new(None) });
impl Shared for S {
    fn append_durable(&self, p: &[u8]) -> Result<()> {
        C.with(|c| {
            let mut c = c.borrow_mut();
            let n = self.n.fetch_add(1, Ordering::Relaxed);
            let c = c.get_or_insert_with(|| Coordinate::new(format!("run:{n}"), "bench").unwrap());
            // Group commit demands an idempotency key on every append.
            let o = AppendOptions::default().with_idempotency(batpak::id::IdempotencyKey::from_u128(n as u128 + 1));
            let o = o.with_gate(durable());
            let _ = self.s.append_with_options(c, KIND, &Raw(p), o)?;
            Ok(())
        })
    }
}
/// Its receipts are sent before the sync ("committed-not-durable, by design"): whoever wants more says so with each append.
fn durable() -> DurabilityGate {
    DurabilityGate::new(WatermarkKind::Durable, Duration::from_secs(10))
}
fn cfg(dir: &Path, mode: Mode) -> StoreConfig {
    let c = StoreConfig::new(dir.join("bat")).with_sync_mode(SyncMode::SyncData);
    match mode {
        Mode::Durable => c.with_sync_every_n_events(1),
        _ => c.with_sync_every_n_events(u32::MAX / 2),
    }
}
impl Peer for P {
    fn name(&self) -> &'static str {
        "batpak"
    }
    fn meta(&self) -> Meta {
        Meta {
            version: "0.10.0",
            w1: "submit() per event pipelined 512-1024 deep, no periodic fsync, one sync()",
            concurrency: "one writer thread; group_commit_max_batch=64 with idempotency keys, and a DurabilityGate",
            checksum: "crc32 per frame + blake3 hash chain",
            default_durability: "fsync every 1,000 events",
        }
    }
    fn open(&self, dir: &Path, mode: Mode) -> Result<Box<dyn Log>> {
        let s = Store::open(cfg(dir, mode))?;
        let c = Coordinate::new("run:1", "bench")?;
        Ok(Box::new(L { s, c, ids: vec![], pend: Default::default() }))
    }
    fn open_shared(&self, dir: &Path) -> Result<(Arc<dyn Shared>, bool)> {
        let s = Store::open(cfg(dir, Mode::Durable).with_group_commit_max_batch(64))?;
        Ok((Arc::new(S { s, n: AtomicU64::new(0) }), true))
    }
}
