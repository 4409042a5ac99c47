use crate::peer::*;
use anyhow::Result;
use spacetimedb_commitlog::{Commitlog, Decoder, Encode, Options, error};
use spacetimedb_paths::FromPathUnchecked;
use spacetimedb_paths::server::CommitLogDir;
use spacetimedb_sats::buffer::{BufReader, BufWriter, DecodeError};
use std::cell::RefCell;
use std::path::Path;

pub struct P;
/// Borrowed payload; lives only for the duration of one `commit` call.
struct Rec(*const u8, usize);
unsafe impl Send for Rec {}
unsafe impl Sync for Rec {}
impl Encode for Rec {
    fn encode_record<W: BufWriter>(&self, w: &mut W) {
        w.put_u32(self.1 as u32);
        w.put_slice(unsafe { std::slice::from_raw_parts(self.0, self.1) });
    }
}
#[derive(Debug)]
struct E(String);
impl From<DecodeError> for E {
    fn from(e: DecodeError) -> Self {
        E(format!("decode: {e:?}"))
    }
}
impl From<error::Traversal> for E {
    fn from(e: error::Traversal) -> Self {
        E(format!("traversal: {e:?}"))
    }
}
struct D<'f>(RefCell<&'f mut dyn FnMut(u64, &[u8])>);
impl Decoder for D<'_> {
    type Record = Rec;
    type Error = E;
    fn decode_record<'a, R: BufReader<'a>>(&self, _v: u8, o: u64, r: &mut R) -> Result<Rec, E> {
        let n = r.get_u32()? as usize;
        let s = r.get_slice(n)?;
        (self.0.borrow_mut())(o, s);
        Ok(Rec(s.as_ptr(), n))
    }
    fn consume_record<'a, R: BufReader<'a>>(&self, v: u8, o: u64, r: &mut R) -> Result<(), E> {
        self.decode_record(v, o, r).map(drop)
    }
    fn skip_record<'a, R: BufReader<'a>>(&self, _v: u8, _o: u64, r: &mut R) -> Result<(), E> {
        let n = r.get_u32()? as usize;
        r.get_slice(n)?;
        Ok(())
    }
}
struct L {
    log: Commitlog<Rec>,
    next: u64,
}
impl Log for L {
    fn append(&mut self, p: &[u8]) -> Result<()> {
        self.log.commit([(self.next, Rec(p.as_ptr(), p.len()))])?;
        self.next += 1;
        Ok(())
    }
    fn sync(&mut self) -> Result<()> {
        self.log.flush_and_sync()?;
        Ok(())
    }
    fn replay(&mut self, f: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut g = |_o: u64, p: &[u8]| f(p);
        self.log.fold_transactions(D(RefCell::new(&mut g))).map_err(|e| anyhow::anyhow!("{}", e.0))
    }
    fn get(&mut self, s: u64, f: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let mut g = |o: u64, p: &[u8]| {
            if o == s {
                f(p)
            }
        };
        let d = D(RefCell::new(&mut g));
        self.log.fold_transactions_range(s..s + 1, d).map_err(|e| anyhow::anyhow!("{}", e.0))?;
        Ok(true)
    }
}
impl Peer for P {
    fn name(&self) -> &'static str {
        "spacetimedb-commitlog"
    }
    fn meta(&self) -> Meta {
        Meta {
            version: "2.14.0",
            w1: "commit() per event into its 128 KiB buffer, one flush_and_sync",
            concurrency: "RwLock inside; no group commit (mutex)",
            checksum: "crc32c per commit",
            default_durability: "none until sync()",
        }
    }
    fn open(&self, dir: &Path, _m: Mode) -> Result<Box<dyn Log>> {
        let d = dir.join("clog");
        std::fs::create_dir_all(&d)?;
        let log = Commitlog::<Rec>::open(CommitLogDir::from_path_unchecked(d), Options::default(), None)?;
        let next = log.max_committed_offset().map_or(0, |o| o + 1);
        Ok(Box::new(L { log, next }))
    }
}
