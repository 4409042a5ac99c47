use crate::peer::*;
use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub struct P;
struct L {
    db: Database,
    k: Keyspace,
    n: AtomicU64,
}
impl Log for L {
    fn append(&mut self, p: &[u8]) -> Result<()> {
        let n = self.n.fetch_add(1, Ordering::Relaxed);
        self.k.insert(n.to_be_bytes(), p)?;
        Ok(())
    }
    fn sync(&mut self) -> Result<()> {
        self.db.persist(PersistMode::SyncData)?;
        Ok(())
    }
    fn replay(&mut self, f: &mut dyn FnMut(&[u8])) -> Result<()> {
        for g in self.k.iter() {
            f(&g.value()?);
        }
        Ok(())
    }
    fn get(&mut self, s: u64, f: &mut dyn FnMut(&[u8])) -> Result<bool> {
        match self.k.get(s.to_be_bytes())? {
            Some(v) => f(&v),
            None => anyhow::bail!("none"),
        }
        Ok(true)
    }
}
impl Shared for L {
    fn append_durable(&self, p: &[u8]) -> Result<()> {
        let n = self.n.fetch_add(1, Ordering::Relaxed);
        self.k.insert(n.to_be_bytes(), p)?;
        self.db.persist(PersistMode::SyncData)?;
        Ok(())
    }
}
fn open(dir: &Path) -> Result<L> {
    let db = Database::builder(dir.join("fjall")).open()?;
    let k = db.keyspace("events", KeyspaceCreateOptions::default)?;
    let n = match k.last_key_value() {
        Some(g) => u64::from_be_bytes(g.key()?.as_ref().try_into()?) + 1,
        None => 0,
    };
    Ok(L { db, k, n: AtomicU64::new(n) })
}
impl Peer for P {
    fn name(&self) -> &'static str {
        "fjall"
    }
    fn meta(&self) -> Meta {
        Meta {
            version: "3.1",
            w1: "insert per event, one persist(SyncData)",
            concurrency: "journal lock; persist() per thread",
            checksum: "xxh3 per journal batch / per block",
            default_durability: "OS buffers; no fsync unless persist()",
        }
    }
    fn open(&self, dir: &Path, _m: Mode) -> Result<Box<dyn Log>> {
        Ok(Box::new(open(dir)?))
    }
    fn open_shared(&self, dir: &Path) -> Result<(Arc<dyn Shared>, bool)> {
        Ok((Arc::new(open(dir)?), true))
    }
}
