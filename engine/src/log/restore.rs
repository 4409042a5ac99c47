//! Making a store that is another one's copy: same log id, seqs, runs, times, kinds and batches.

use crate::error::{Error, Result};
use crate::log::lock::StoreLock;
use crate::log::options::Options;
use crate::log::reader::Reader;
use crate::log::writer::Writer;
use crate::log::{create, paths};
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, Kind, LogId, RunOpened, Seq, TypeRegistered};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// An event as it was, down to its seq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exact {
    pub(crate) seq: Seq,
    pub(crate) run: Option<Seq>,
    pub(crate) revision: u32,
    pub(crate) time_ns: i64,
    pub(crate) kind: ExactKind,
    pub(crate) hint: bool,
    pub(crate) redacted: bool,
    pub(crate) payload: Vec<u8>,
}

/// What kind of event it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExactKind {
    Own(Kind),
    User { name: String, variant: String, version: u16 },
}

/// A store that is being restored: nobody else can append meanwhile.
#[derive(Debug)]
pub(crate) struct Restore {
    storage: Arc<dyn Storage>,
    writer: Writer,
    /// The revision of each run.
    tips: BTreeMap<Seq, u32>,
    unsynced_bytes: u64,
}

/// Bytes after which what was restored is made durable.
const SYNC_AFTER_BYTES: u64 = 1 << 20;

impl Restore {
    /// Opens the store for restoring: one of this log id, whose events stay, or one without any event, which gets the id.
    ///
    /// # Errors
    /// `Conflict` where the store has events of another log; as opening a journal.
    pub(crate) fn open(storage: &Arc<dyn Storage>, options: &Options, log_id: LogId) -> Result<Restore> {
        let options = Options { create: true, exclusive: true, log_id: Some(log_id), ..options.clone() };
        prepare(storage, &options, log_id)?;
        // Appends gather until they are synced here; the header says what the store's owner asked for.
        let writer = Writer::open(Arc::clone(storage), options)?;
        if writer.log_id() != log_id {
            return Err(not_empty(writer.log_id()));
        }
        let runs = Reader::open_on(Arc::clone(storage))?.runs()?;
        let tips = runs.into_iter().map(|(number, run)| (number, run.revision)).collect();
        Ok(Restore { storage: Arc::clone(storage), writer, tips, unsynced_bytes: 0 })
    }

    /// The seq that is due.
    pub(crate) fn next_seq(&self) -> Seq {
        Seq::after(self.writer.head_seq())
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// `Invalid` (T0161) with the seq, where an event can not stand there; as appending. Nothing of the batch was appended.
    pub(crate) fn append(&mut self, batch: &[Exact]) -> Result<()> {
        let mut tips = BTreeMap::new();
        let mut due = self.next_seq();
        let mut types = self.writer.types().clone();
        let mut kinds = Vec::with_capacity(batch.len());
        for event in batch {
            let refuse = |what: String| Error::new(ErrorKind::Invalid, "T0161", what).seq(event.seq.get());
            if event.seq != due {
                return Err(refuse(format!("seq {} stands where {due} is due", event.seq)));
            }
            due = due.next();
            self.check_run(event, &mut tips).map_err(refuse)?;
            kinds.push(match &event.kind {
                ExactKind::Own(kind) => {
                    if *kind == Kind::TYPE_REGISTERED {
                        let registered = TypeRegistered::decode(&event.payload);
                        let registered = registered.map_err(|error| refuse(error.to_string()))?;
                        let fits = types.register(registered);
                        fits.map_err(|row| refuse(format!("{} can not be {}", row.entry.full_name(), row.kind)))?;
                    }
                    *kind
                }
                ExactKind::User { name, variant, version } => types
                    .find(name, variant, *version)
                    .ok_or_else(|| refuse(format!("type {name}.{variant} version {version} is not registered")))?,
            });
        }
        let len_bytes = self.writer.place_exactly(batch, &kinds)?;
        self.tips.extend(tips);
        self.unsynced_bytes += len_bytes;
        if self.unsynced_bytes >= SYNC_AFTER_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    /// Checks that an event continues its run, or opens it.
    fn check_run(&self, event: &Exact, tips: &mut BTreeMap<Seq, u32>) -> std::result::Result<(), String> {
        let opens = event.kind == ExactKind::Own(Kind::RUN_OPENED);
        let Some(run) = event.run else {
            return if opens || event.revision != 0 { Err("it has a revision and no run".to_owned()) } else { Ok(()) };
        };
        let tip = tips.get(&run).or_else(|| self.tips.get(&run)).copied();
        let fits = if opens {
            run == event.seq && event.revision == 1
        } else {
            tip.is_some_and(|tip| tip + 1 == event.revision)
        };
        if !fits {
            return Err(format!("revision {} does not continue run {run}", event.revision));
        }
        if opens {
            RunOpened::decode(&event.payload).map_err(|error| error.to_string())?;
        }
        tips.insert(run, event.revision);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.unsynced_bytes = 0;
        self.writer.flush()?;
        self.writer.sync()?;
        self.writer.publish();
        Ok(())
    }

    /// Makes everything durable and frees the store; says that it is whole, where it is.
    ///
    /// # Errors
    /// `Io`, `Poisoned`.
    pub(crate) fn close(mut self, is_whole: bool) -> Result<()> {
        self.sync()?;
        let removed = if is_whole { self.storage.remove(paths::RESTORING) } else { Ok(()) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("cannot end the restore", error));
            }
            _ => {}
        }
        self.writer.close()
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        // Whoever needs to know calls close.
        let _unknowable_here = if self.writer.is_closed() { Ok(()) } else { self.writer.close() };
    }
}

/// Gives a store without events this log id, under its lock.
fn prepare(storage: &Arc<dyn Storage>, options: &Options, log_id: LogId) -> Result<()> {
    create::ensure(&**storage, options)?;
    let mut lock = StoreLock::open(Arc::clone(storage))?;
    lock.acquire(options.lock_timeout_ms)?;
    let _is_new = create::ensure_first_segment(&**storage, options)?;
    let reader = Reader::open_on(Arc::clone(storage))?;
    let is_empty = reader.next_seq()? == Seq::FIRST && reader.segments().len() == 1;
    if !is_empty {
        return if reader.log_id() == log_id { Ok(()) } else { Err(not_empty(reader.log_id())) };
    }
    match storage.open(paths::RESTORING, OpenMode::CreateNew) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::io("cannot begin the restore", error));
        }
        _ => {}
    }
    if reader.log_id() == log_id {
        return storage.sync_dir("").map_err(|error| Error::io("cannot begin the restore", error));
    }
    lock.mark_held()?;
    let failed = |error| Error::io("cannot prepare the empty store", error);
    for name in [paths::WATERMARK, paths::RUNS_INDEX] {
        match storage.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    // The old watermark must be gone for good before there is a log that it does not belong to.
    storage.sync_dir("").map_err(failed)?;
    create::first_segment(&**storage, options, log_id)
}

/// Whether a restore of this store has begun and not ended.
pub(crate) fn is_unfinished(storage: &dyn Storage) -> Result<bool> {
    let entry = storage.entry(paths::RESTORING);
    entry.map(|entry| entry.is_some()).map_err(|error| Error::io("cannot look at the store", error))
}

pub(crate) fn not_empty(log_id: LogId) -> Error {
    let message = format!("the store has events of its own, of log {}", log_id.short());
    Error::new(ErrorKind::Conflict, "T0153", message).hint("restore into an empty store")
}
