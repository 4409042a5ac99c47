use crate::peer::*;
use anyhow::Result;
use rusqlite::{Connection, params};
use std::path::Path;

pub struct P;
struct L {
    c: Connection,
    n: u64,
    open: u64,
    mode: Mode,
}
impl Log for L {
    fn append(&mut self, p: &[u8]) -> Result<()> {
        if self.open == 0 {
            self.c.execute_batch("BEGIN")?;
        }
        self.n += 1;
        self.c.prepare_cached("INSERT INTO e(seq,p) VALUES(?1,?2)")?.execute(params![self.n as i64, p])?;
        self.open += 1;
        if self.open >= 10_000 {
            self.c.execute_batch("COMMIT")?;
            self.open = 0;
        }
        Ok(())
    }
    fn sync(&mut self) -> Result<()> {
        if self.open > 0 {
            self.c.execute_batch("COMMIT")?;
            self.open = 0;
        }
        if self.mode == Mode::Buffered {
            self.c.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok(())
    }
    fn append_durable(&mut self, p: &[u8]) -> Result<()> {
        self.n += 1;
        self.c.prepare_cached("INSERT INTO e(seq,p) VALUES(?1,?2)")?.execute(params![self.n as i64, p])?;
        Ok(())
    }
    fn replay(&mut self, f: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut s = self.c.prepare_cached("SELECT p FROM e ORDER BY seq")?;
        let mut r = s.query([])?;
        while let Some(row) = r.next()? {
            f(row.get_ref(0)?.as_blob()?);
        }
        Ok(())
    }
    fn get(&mut self, q: u64, f: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let mut s = self.c.prepare_cached("SELECT p FROM e WHERE seq=?1")?;
        let mut r = s.query([q as i64 + 1])?;
        match r.next()? {
            Some(row) => f(row.get_ref(0)?.as_blob()?),
            None => anyhow::bail!("none"),
        }
        Ok(true)
    }
}
impl Peer for P {
    fn name(&self) -> &'static str {
        "sqlite-wal"
    }
    fn meta(&self) -> Meta {
        Meta {
            version: "rusqlite 0.41",
            w1: "transactions of 10,000 rows, WAL synchronous=NORMAL, checkpoint(TRUNCATE) at the end",
            concurrency: "one writer (mutex)",
            checksum: "WAL frames only; database pages unchecked",
            default_durability: "here WAL + synchronous=FULL for durable runs",
        }
    }
    fn open(&self, dir: &Path, mode: Mode) -> Result<Box<dyn Log>> {
        let c = Connection::open(dir.join("db"))?;
        let sync = if mode == Mode::Durable { "FULL" } else { "NORMAL" };
        c.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
        c.execute_batch(&format!(
            "PRAGMA synchronous={sync}; CREATE TABLE IF NOT EXISTS e(seq INTEGER PRIMARY KEY, p BLOB NOT NULL);"
        ))?;
        let n: Option<i64> = c.query_row("SELECT max(seq) FROM e", [], |r| r.get(0))?;
        Ok(Box::new(L { c, n: n.unwrap_or(0) as u64, open: 0, mode }))
    }
}
