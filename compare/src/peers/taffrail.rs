//! Our engine, in its two modes. Shared is the default: the lock is taken and freed for every group of appends, so other
//! processes may append as well. Exclusive keeps it, as every other peer does.

use crate::peer::{Log, Meta, Mode, Peer, Shared};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use taffrail::{Appender, Batch, Expect, Journal, Query, Reader, Record, Seq, SyncPolicy, TypeEntry};

/// The default mode.
pub const SHARED: Taffrail = Taffrail { exclusive: false };
/// The mode that keeps the lock.
pub const EXCLUSIVE: Taffrail = Taffrail { exclusive: true };

pub struct Taffrail {
    exclusive: bool,
}

const RUN: &str = "bench";
/// Threads that read and prove ahead of a replay.
const THREADS: usize = 1;

struct Writer {
    /// Before the journal, which it borrows.
    appender: Option<Appender<'static>>,
    /// Leaked, so that the appender beside it can borrow it; [`Writer::close`] takes it back.
    journal: &'static Journal,
    entry: Arc<TypeEntry>,
    gathered: Gathered,
    directory: PathBuf,
}

/// Payloads that are appended as one batch.
#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Gathered {
    /// Bytes that make a batch: as many as the exclusive mode gathers before it writes.
    const LEN_BYTES: usize = 256 << 10;

    fn add(&mut self, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.ends.push(self.bytes.len());
    }

    fn payloads(&self) -> Vec<&[u8]> {
        let mut start = 0;
        let payload = |end: &usize| &self.bytes[std::mem::replace(&mut start, *end)..*end];
        self.ends.iter().map(payload).collect()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

impl Writer {
    fn appender(&mut self) -> Result<&mut Appender<'static>> {
        Ok(match &mut self.appender {
            Some(appender) => appender,
            none => none.insert(self.journal.run_or_create(RUN)?.appender(&self.entry)),
        })
    }

    fn give(&mut self) -> Result<()> {
        if !self.gathered.ends.is_empty() {
            let gathered = std::mem::take(&mut self.gathered);
            self.appender()?.append_all(Expect::Any, &gathered.payloads())?;
            self.gathered = gathered;
            self.gathered.clear();
        }
        Ok(())
    }
}

impl Log for Writer {
    fn append(&mut self, payload: &[u8]) -> Result<()> {
        self.gathered.add(payload);
        if self.gathered.bytes.len() >= Gathered::LEN_BYTES {
            self.give()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.give()?;
        self.journal.sync()?;
        Ok(())
    }

    fn append_durable(&mut self, payload: &[u8]) -> Result<()> {
        self.appender()?.append(Expect::Any, payload)?;
        Ok(())
    }

    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        Events::open(&self.directory)?.replay(take)
    }

    fn close(self: Box<Self>) -> Result<()> {
        drop(self.appender);
        // SAFETY: it was leaked from a box for this writer alone, and what borrowed it is gone.
        let journal = unsafe { Box::from_raw(std::ptr::from_ref(self.journal).cast_mut()) };
        Ok(journal.close()?)
    }
}

struct Events {
    reader: Reader,
    /// The seq of the first event that is not the log's own.
    first: Option<Seq>,
}

impl Events {
    fn open(directory: &Path) -> Result<Events> {
        Ok(Events { reader: Reader::open(store(directory))?, first: None })
    }
}

fn is_own(record: &Record<'_>) -> bool {
    record.kind.reserved_name().is_some()
}

impl Log for Events {
    fn append(&mut self, _payload: &[u8]) -> Result<()> {
        bail!("opened for reading")
    }

    fn sync(&mut self) -> Result<()> {
        bail!("opened for reading")
    }

    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut events = self.reader.events(Query::all())?.prove_ahead(THREADS);
        events.for_each(|record| {
            if !is_own(&record) {
                take(&record.payload);
            }
            Ok(true)
        })?;
        Ok(())
    }

    fn prepare_get(&mut self) -> Result<()> {
        let mut events = self.reader.events(Query::all())?;
        while let Some(record) = events.next()? {
            if !is_own(&record) {
                self.first = Some(record.seq);
                return Ok(());
            }
        }
        bail!("the log has no event")
    }

    fn get(&mut self, number: u64, take: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let first = self.first.context("prepare_get comes first")?;
        let seq = Seq::new(first.get() + number).context("a seq")?;
        self.reader.get_with(seq, |record| take(&record.payload))?.context("no such event")?;
        Ok(true)
    }
}

struct Group {
    journal: Journal,
    entry: Arc<TypeEntry>,
}

impl Shared for Group {
    fn append_durable(&self, payload: &[u8]) -> Result<()> {
        let mut batch = Batch::new();
        let run = batch.run_or_create(RUN, Expect::Any);
        batch.event(Some(run), &self.entry, payload);
        self.journal.append(batch)?;
        Ok(())
    }
}

fn store(directory: &Path) -> PathBuf {
    directory.join("store")
}

fn entry() -> Arc<TypeEntry> {
    Arc::new(TypeEntry::json("bench.event"))
}

impl Taffrail {
    fn journal(&self, directory: &Path, sync: SyncPolicy) -> Result<Journal> {
        let options = Journal::options().create(true).exclusive(self.exclusive).sync(sync);
        Ok(options.open(store(directory))?)
    }
}

impl Peer for Taffrail {
    fn name(&self) -> &'static str {
        if self.exclusive { "taffrail-exclusive" } else { "taffrail" }
    }

    fn meta(&self) -> Meta {
        Meta {
            version: "0.1.0",
            w1: "append_all of 256 KiB of payloads, each batch atomic, one sync()",
            concurrency: "group commit built in",
            checksum: "crc32c of every header and every payload",
            default_durability: "fdatasync before an append returns",
        }
    }

    fn open(&self, directory: &Path, mode: Mode) -> Result<Box<dyn Log>> {
        let sync = match mode {
            Mode::Read => return Ok(Box::new(Events::open(directory)?)),
            Mode::Buffered => SyncPolicy::Never,
            Mode::Durable => SyncPolicy::Always,
        };
        let journal = Box::leak(Box::new(self.journal(directory, sync)?));
        let directory = directory.to_owned();
        Ok(Box::new(Writer { appender: None, journal, entry: entry(), gathered: Gathered::default(), directory }))
    }

    fn open_shared(&self, directory: &Path) -> Result<(Arc<dyn Shared>, bool)> {
        let journal = self.journal(directory, SyncPolicy::Always)?;
        Ok((Arc::new(Group { journal, entry: entry() }), true))
    }
}
