use crate::peer::*;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus};

pub struct P;
struct L {
    w: Walrus,
    dir: PathBuf,
    mode: Mode,
}
fn open(dir: &Path, s: FsyncSchedule) -> Result<Walrus> {
    unsafe { std::env::set_var("WALRUS_QUIET", "1") };
    unsafe { std::env::set_var("WALRUS_DATA_DIR", dir) };
    // Never persist the read cursor: a second replay must start at the first event again.
    Ok(Walrus::with_consistency_and_schedule(ReadConsistency::AtLeastOnce { persist_every: u32::MAX }, s)?)
}
impl Log for L {
    fn append(&mut self, p: &[u8]) -> Result<()> {
        self.w.append_for_topic("t", p)?;
        Ok(())
    }
    fn sync(&mut self) -> Result<()> {
        if self.mode == Mode::Buffered {
            // The engine has no sync call; the harness syncs its files from outside.
            for e in std::fs::read_dir(&self.dir)? {
                let p = e?.path();
                if p.is_file() {
                    std::fs::OpenOptions::new().write(true).open(p)?.sync_data()?;
                }
            }
        }
        Ok(())
    }
    fn replay(&mut self, f: &mut dyn FnMut(&[u8])) -> Result<()> {
        loop {
            let v = self.w.batch_read_for_topic("t", 1 << 20, true)?;
            if v.is_empty() {
                return Ok(());
            }
            for e in &v {
                f(&e.data);
            }
        }
    }
}
struct S(Walrus);
impl Shared for S {
    fn append_durable(&self, p: &[u8]) -> Result<()> {
        self.0.append_for_topic("t", p)?;
        Ok(())
    }
}
impl Peer for P {
    fn name(&self) -> &'static str {
        "walrus-rust"
    }
    fn meta(&self) -> Meta {
        Meta {
            version: "0.2.0",
            w1: "append per event, NoFsync; files fdatasync'ed by the harness at the end",
            concurrency: "per-topic lock inside, no group commit",
            checksum: "FNV-1a 64 per entry",
            default_durability: "background fsync every 200 ms",
        }
    }
    fn open(&self, dir: &Path, mode: Mode) -> Result<Box<dyn Log>> {
        let s = if mode == Mode::Durable { FsyncSchedule::SyncEach } else { FsyncSchedule::NoFsync };
        Ok(Box::new(L { w: open(dir, s)?, dir: dir.to_owned(), mode }))
    }
    fn open_shared(&self, dir: &Path) -> Result<(Arc<dyn Shared>, bool)> {
        Ok((Arc::new(S(open(dir, FsyncSchedule::SyncEach)?)), true))
    }
}
