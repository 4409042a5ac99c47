use crate::peer::*;
use anyhow::{Result, bail};
use seglog::read::{ReadHint, Reader};
use seglog::write::Writer;
use std::path::{Path, PathBuf};

pub struct P;
// The crate manages one fixed-size segment; rolling is the caller's work.
const SIZE: usize = 1300 << 20;
struct L {
    w: Option<Writer<0>>,
    path: PathBuf,
    n: u64,
    offs: Vec<u64>,
    r: Option<Reader<0>>,
}
impl Log for L {
    fn append(&mut self, p: &[u8]) -> Result<()> {
        self.n += 1;
        self.w.as_mut().unwrap().append(&[], p)?;
        Ok(())
    }
    fn sync(&mut self) -> Result<()> {
        let n = self.n;
        self.w.as_mut().unwrap().commit(n)?;
        Ok(())
    }
    fn replay(&mut self, f: &mut dyn FnMut(&[u8])) -> Result<()> {
        let fl = self.w.as_ref().map(|w| w.flushed_offset());
        let mut r = Reader::<0>::open(&self.path, fl)?;
        let mut it = r.iter(0);
        while let Some(rec) = it.next_record()? {
            f(rec.data.as_ref());
        }
        Ok(())
    }
    fn prepare_get(&mut self) -> Result<()> {
        let fl = self.w.as_ref().map(|w| w.flushed_offset());
        let mut r = Reader::<0>::open(&self.path, fl.clone())?;
        let mut offs = vec![];
        let mut it = r.iter(0);
        while let Some(rec) = it.next_record()? {
            offs.push(rec.offset);
        }
        self.offs = offs;
        self.r = Some(Reader::<0>::open(&self.path, fl)?);
        Ok(())
    }
    fn get(&mut self, s: u64, f: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let Some(&o) = self.offs.get(s as usize) else { bail!("none") };
        let rec = self.r.as_mut().unwrap().read_record(o, ReadHint::Random)?;
        f(rec.data.as_ref());
        Ok(true)
    }
    fn close(mut self: Box<Self>) -> Result<()> {
        if let Some(w) = self.w.take() {
            w.close()?;
        }
        Ok(())
    }
}
impl Peer for P {
    fn name(&self) -> &'static str {
        "seglog"
    }
    fn meta(&self) -> Meta {
        Meta {
            version: "0.3.6",
            w1: "append per event into its buffer, one commit() (marker + fdatasync)",
            concurrency: "single &mut writer (mutex)",
            checksum: "crc32c per record",
            default_durability: "none until sync()/commit()",
        }
    }
    fn open(&self, dir: &Path, _m: Mode) -> Result<Box<dyn Log>> {
        let path = dir.join("seg");
        let w = if path.exists() { Writer::<0>::open(&path, SIZE, 0)? } else { Writer::<0>::create(&path, SIZE, 0)? };
        Ok(Box::new(L { w: Some(w), path, n: 0, offs: vec![], r: None }))
    }
}
