use crate::error::{Error, Result};
use crate::log::appender::Appender;
use crate::log::batch::{AppendError, Appended, Batch, Expect};
use crate::log::group::{Group, Lead, Pending, Ticket};
use crate::log::options::{Options, SyncPolicy};
use crate::log::writer::{KnownEvents, KnownKind, Writer, no_run};
use crate::redact::Redactor;
use crate::storage::{Disk, Storage};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::{ErrorKind, Kind, LogId, Mark, RunOpened, Seq, TypeEntry};
use std::path::Path;
use std::sync::Arc;

/// A store, open for appending. Cheap to share: appends from many threads share writes and syncs.
///
/// By default other processes may append to the same store: the lock is taken for each group of appends and released
/// behind it. A failed write or sync poisons the journal for good; open the store again to go on.
#[derive(Debug)]
pub struct Journal {
    writer: Mutex<Writer>,
    group: Group,
    options: Options,
    log_id: LogId,
    durable: AtomicU64,
}

impl Journal {
    /// Options for opening a store.
    #[must_use]
    pub fn options() -> Options {
        Options::default()
    }

    /// The log's id.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.log_id
    }

    /// The highest durable seq that this journal knows of; 0 for none.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Appends a batch, and returns when it is as durable as the policy promises.
    ///
    /// # Errors
    /// Hands the batch back, with: `Conflict` where a run is not as expected; `NotFound` for an unknown run; `Invalid` for a
    /// batch that can not be stored; `Locked` past the timeout; `Io` where the disk is full (nothing was written);
    /// `Poisoned` or `Io` where the write or the sync failed (then it is unknown whether the batch will be there).
    pub fn append(&self, batch: Batch) -> std::result::Result<Appended, AppendError> {
        if self.is_buffering() {
            return self.append_buffered(self.redacted(batch));
        }
        self.submit(batch).wait()
    }

    /// Puts a batch into the queue and returns a ticket. The batch is appended when somebody waits: for this ticket, for
    /// another one, or in [`Journal::append`].
    pub fn submit(&self, batch: Batch) -> Ticket<'_> {
        Ticket::new(self, self.group.push(self.redacted(batch)))
    }

    /// What never reaches the log; `None` where nothing was named.
    pub(crate) fn redactor(&self) -> Option<Arc<Redactor>> {
        self.options.redactor.clone()
    }

    /// The batch without what must not be written.
    fn redacted(&self, mut batch: Batch) -> Batch {
        if let Some(redactor) = &self.options.redactor {
            batch.redact(redactor);
        }
        batch
    }

    fn append_buffered(&self, batch: Batch) -> std::result::Result<Appended, AppendError> {
        let mut writer = self.writer();
        let appended = writer.begin().and_then(|()| writer.place(&batch)).and_then(|appended| {
            writer.settle_buffer()?;
            Ok(Appended { durable: writer.durable(), ..appended })
        });
        self.durable.fetch_max(writer.durable(), Ordering::AcqRel);
        appended.map_err(|error| AppendError { error, batch })
    }

    /// Appends events that are known here. `None` where that takes more than this (and nothing has been changed): they are not
    /// known, can not be appended, might hold what must not be written, or others are waiting, who are appended with them.
    pub(crate) fn append_known<P: AsRef<[u8]>>(&self, events: &KnownEvents<'_, P>) -> Result<Option<Appended>> {
        if self.options.redactor.is_some() {
            return Ok(None);
        }
        if self.is_buffering() {
            let mut writer = self.writer();
            writer.begin()?;
            let Some(appended) = writer.place_known(events)? else { return Ok(None) };
            writer.settle_buffer()?;
            return Ok(Some(self.acknowledged(&writer, appended)));
        }
        let Some(_lead) = self.group.lead_alone() else { return Ok(None) };
        let mut writer = self.writer();
        writer.begin()?;
        let placed = writer.place_known(events);
        let finished = self.finish(&mut writer);
        match placed? {
            None => finished.map(|()| None),
            Some(appended) => finished.map(|()| Some(self.acknowledged(&writer, appended))),
        }
    }

    fn acknowledged(&self, writer: &Writer, appended: Appended) -> Appended {
        let durable = writer.durable();
        // To look costs less than to write, and of many appends few make anything durable.
        if self.durable.load(Ordering::Relaxed) < durable {
            self.durable.fetch_max(durable, Ordering::AcqRel);
        }
        Appended { durable, ..appended }
    }

    pub(crate) fn known_kind(&self, entry: &TypeEntry) -> Option<KnownKind> {
        self.writer().known_kind(entry)
    }

    /// Whether appends gather in memory.
    fn is_buffering(&self) -> bool {
        self.options.exclusive && self.options.sync != SyncPolicy::Always
    }

    /// Appends what is in the queue as one group: one write, one sync. Called by the thread that leads.
    pub(crate) fn lead(&self, lead: Lead<'_>, pending: Vec<Pending>) {
        let mut writer = self.writer();
        let results = self.commit(&mut writer, &pending);
        let durable = writer.durable();
        self.durable.fetch_max(durable, Ordering::AcqRel);
        drop(writer);
        // Before the lead is free: those who are told append again, and the next group has them as well. With many threads the
        // other way round makes small groups, and what their syncs cost the processor is lost to the threads. But where nearly as
        // many wait as were in this group, their sync goes on while the rest of it is told.
        let (mut lead, len) = (Some(lead), pending.len());
        for (number, (pending, result)) in pending.into_iter().zip(results).enumerate() {
            if number % 4 == 0 && lead.is_some() && self.group.is_worth_a_sync(len) {
                lead = None;
            }
            pending.answer(result.map(|appended| Appended { durable, ..appended }));
        }
        drop(lead);
    }

    fn commit(&self, writer: &mut Writer, pending: &[Pending]) -> Vec<Result<Appended>> {
        if let Err(error) = writer.begin() {
            return pending.iter().map(|_| Err(error.clone())).collect();
        }
        let mut results: Vec<Result<Appended>> = Vec::with_capacity(pending.len());
        for item in pending {
            results.push(match writer.poison() {
                None => writer.place(item.batch()),
                Some(poison) => Err(poison.clone()),
            });
        }
        let finished = self.finish(writer);
        if let Err(error) = finished {
            for result in &mut results {
                // Batches before a rotation may be durable all the same; what is reported lost is never assumed kept.
                if result.is_ok() {
                    *result = Err(error.clone());
                }
            }
        }
        results
    }

    /// Ends a group: write, sync if the policy wants it, watermark if nobody waits, lock.
    fn finish(&self, writer: &mut Writer) -> Result<()> {
        if let Some(poison) = writer.poison() {
            return Err(poison.clone());
        }
        writer.flush()?;
        if writer.wants_sync() {
            writer.sync()?;
            if self.group.is_empty() {
                writer.publish();
            }
        }
        // The group is as durable as the policy promises. If LOCK can not be written, it says that somebody writes, and the
        // next holder recovers; to report the group as failed would have callers append it twice.
        let _next_holder_recovers = writer.end();
        Ok(())
    }

    /// Under [`SyncPolicy::Interval`]: syncs if the interval is over. To be called now and then; the async handle does.
    ///
    /// # Errors
    /// `Io`, `Locked`, `Poisoned`.
    pub fn tick(&self) -> Result<()> {
        self.with_writer(|writer| {
            if writer.wants_sync() {
                writer.flush()?;
                writer.sync()?;
                writer.publish();
            }
            Ok(())
        })
    }

    /// Makes everything durable that has been appended, whatever the policy.
    ///
    /// # Errors
    /// `Io`, `Locked`, `Poisoned`.
    pub fn sync(&self) -> Result<u64> {
        self.with_writer(|writer| {
            writer.flush()?;
            if writer.durable() < writer.head_seq() {
                writer.sync()?;
            }
            writer.publish();
            Ok(writer.durable())
        })
    }

    /// Makes everything durable and leaves the store in order. Dropping a journal does the same, but can not tell of a
    /// failure.
    ///
    /// # Errors
    /// `Io`, `Locked`, `Poisoned`.
    pub fn close(self) -> Result<()> {
        self.writer().close()
    }

    fn with_writer<T>(&self, act: impl FnOnce(&mut Writer) -> Result<T>) -> Result<T> {
        let mut writer = self.writer();
        writer.begin()?;
        let value = act(&mut writer);
        self.durable.fetch_max(writer.durable(), Ordering::AcqRel);
        if writer.poison().is_none() {
            let _next_holder_recovers = writer.end();
        }
        value
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic while the writer was at work is a bug of ours; its buffer may hold half a batch.
        self.writer.lock().unwrap_or_else(|poisoned| {
            let mut writer = poisoned.into_inner();
            let message = "another thread panicked while it appended: open the store again";
            writer.fail(Error::new(ErrorKind::Poisoned, "T0310", message));
            writer
        })
    }

    /// Where the store is.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        self.writer().storage()
    }

    /// The store's storage, with everything in its files that has been appended so far: for reading behind an append.
    ///
    /// # Errors
    /// `Io`, `Locked`, `Poisoned`.
    pub(crate) fn flushed_storage(&self) -> Result<Arc<dyn Storage>> {
        let mut writer = self.writer();
        writer.flush()?;
        Ok(writer.storage())
    }

    /// How many types the store had when this journal last looked.
    pub(crate) fn type_count(&self) -> usize {
        self.writer().type_count()
    }

    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    /// A run that exists, by its name.
    ///
    /// # Errors
    /// `NotFound`; `Io`, `Locked`, `Poisoned`.
    pub fn run(&self, name: &str) -> Result<Run<'_>> {
        let tip = self.with_writer(|writer| writer.find_run(name))?.ok_or_else(|| no_run(name))?;
        Ok(Run { journal: self, name: name.to_owned(), number: tip.run, last: tip.last, revision: tip.revision })
    }

    /// A run by its name, made if it does not exist.
    ///
    /// # Errors
    /// `Invalid` for a name that no run can have; `Io`, `Locked`, `Poisoned`.
    pub fn run_or_create(&self, name: &str) -> Result<Run<'_>> {
        if let Some(tip) = self.with_writer(|writer| writer.find_run(name))? {
            return Ok(Run {
                journal: self,
                name: name.to_owned(),
                number: tip.run,
                last: tip.last,
                revision: tip.revision,
            });
        }
        let mut batch = Batch::new();
        let opened = RunOpened { name: name.to_owned(), parent: None };
        batch.open_run(opened);
        match self.append(batch) {
            Ok(appended) => {
                let (number, revision) = (appended.last, appended.revision);
                Ok(Run { journal: self, name: name.to_owned(), number, last: number, revision })
            }
            // Somebody else has made it meanwhile.
            Err(failed) if failed.error.kind() == ErrorKind::Conflict => self.run(name),
            Err(failed) => Err(failed.error),
        }
    }

    /// Records a named position: behind what has been appended so far, of the store or of one run.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn mark(&self, run: Option<&str>, mark: &Mark) -> Result<Appended> {
        let mut batch = Batch::new();
        let run = run.map(|name| batch.run(name, Expect::Any));
        batch.own(run, Kind::MARK, true, &mark.encode());
        Ok(self.append(batch)?)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let Ok(writer) = self.writer.get_mut() else { return };
        // Whoever needs to know calls close; what was acknowledged is durable without it.
        let _unknowable_here = if writer.is_closed() { Ok(()) } else { writer.close() };
    }
}

impl Options {
    /// Opens the store in a directory.
    ///
    /// # Errors
    /// `NotFound` where there is none and [`Options::create`] was not given; `Damaged` where acknowledged events are damaged
    /// or missing (nothing is changed then); `Incompatible`, `Locked`, `Io`.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Journal> {
        let disk = Disk::new(path.as_ref());
        self.open_on(Arc::new(disk))
    }

    /// Opens the store on any storage.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open_on(self, storage: Arc<dyn Storage>) -> Result<Journal> {
        let writer = Writer::open(storage, self.clone())?;
        let (log_id, durable) = (writer.log_id(), AtomicU64::new(writer.durable()));
        Ok(Journal { writer: Mutex::new(writer), group: Group::default(), options: self, log_id, durable })
    }
}

/// A run of an open journal.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    journal: &'a Journal,
    name: String,
    number: Seq,
    last: Seq,
    revision: u32,
}

impl<'a> Run<'a> {
    /// The journal that the run is of.
    #[must_use]
    pub fn journal(&self) -> &'a Journal {
        self.journal
    }

    /// The run's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The run's number: the seq of its first event.
    #[must_use]
    pub fn number(&self) -> Seq {
        self.number
    }

    /// The last event that the run had when it was looked up.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.last
    }

    /// The revision that the run had when it was looked up.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// Prepares for appending many events of one type.
    #[must_use]
    pub fn appender(&self, entry: &Arc<TypeEntry>) -> Appender<'a> {
        Appender::new(self.clone(), Arc::clone(entry))
    }

    /// Appends events of one type as a batch.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_raw<P: AsRef<[u8]>>(
        &self,
        expect: Expect,
        entry: &Arc<TypeEntry>,
        payloads: &[P],
    ) -> Result<Appended> {
        let mut batch = Batch::new();
        let run = batch.run(self.name.clone(), expect);
        for payload in payloads {
            batch.event(Some(run), entry, payload.as_ref());
        }
        Ok(self.journal.append(batch)?)
    }
}
