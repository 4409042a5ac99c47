//! Writing at the end of the log: frames, syncs, rotation. One thread at a time; the journal sees to that.

mod buffer;
mod exact;
mod known;
mod planned;
mod rotation;

use crate::error::{Error, Result};
use crate::log::batch::{Appended, Batch};
use crate::log::create;
use crate::log::head::Head;
use crate::log::lock::{LastKnown, LockState, StoreLock};
use crate::log::options::{Options, SyncPolicy};
use crate::log::repair::UntoldRepair;
use crate::log::restore;
use crate::log::run_index::RunTip;
use crate::log::settle::{Settled, settle, settle_new};
use crate::log::watermark::WatermarkFile;
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, Flags, Header, Kind, Recovered, SegmentNumber, Seq, Watermark};
pub(crate) use known::{KnownEvents, KnownKind};
use planned::Planned;
use std::sync::Arc;
use taffrail_log_format::sabotage::{self, Sabotage};
use taffrail_log_format::{FrameFields, encode_frame, encode_redacted_frame};

/// See the module.
#[derive(Debug)]
pub(crate) struct Writer {
    storage: Arc<dyn Storage>,
    options: Options,
    lock: StoreLock,
    watermark: WatermarkFile,
    head: Head,
    /// Frames that are not in the file yet; the last of them ends at the head's position.
    buffer: Vec<u8>,
    /// Headers of the batch at hand, where they can be kept from batch to batch.
    headers: Vec<Header>,
    /// Where the buffer goes.
    written: u64,
    /// Length of the newest segment's file: zeros are written up to here, or space is set aside.
    allocated: u64,
    /// The segment in which this writer has set space aside last, and up to where.
    set_aside: Option<(SegmentNumber, u64)>,
    /// Bytes of the newest segment up to here are on their way to the medium, or there.
    under_way: u64,
    /// The highest durable seq.
    durable: u64,
    /// When the last sync ended, on the clock that never steps back.
    last_sync_ns: u64,
    /// Torn tails that were cut, and no event says so yet.
    recovered: Vec<Recovered>,
    /// Repairs that were stopped before they could tell, and that this writer tells of.
    repaired: Vec<UntoldRepair>,
    /// Whether `LOCK` says that somebody is writing.
    marked: bool,
    /// How often the head has been read anew: what was looked up in an earlier one may be otherwise now.
    lineage: u64,
    /// Whether the head and what goes with it are in step. Not while it is being read on, nor after that has failed.
    attached: bool,
    poison: Option<Error>,
    closed: bool,
}

impl Writer {
    /// Opens the store for writing, running recovery where the last holder did not leave in order. Returns with the lock
    /// released, or held in exclusive mode.
    pub(crate) fn open(storage: Arc<dyn Storage>, options: Options) -> Result<Writer> {
        create::ensure(&*storage, &options)?;
        let mut lock = StoreLock::open(Arc::clone(&storage))?;
        let state = lock.acquire(options.lock_timeout_ms)?;
        let is_new = create::ensure_first_segment(&*storage, &options)?;
        let settled = if is_new { settle_new(&*storage) } else { settle(&*storage, state) };
        let Settled { head, durable, recovered, repaired, clean } = settled?;
        let watermark = WatermarkFile::open(&*storage)?;
        let mut writer = Writer {
            last_sync_ns: storage.monotonic_ns(),
            storage,
            options,
            lock,
            watermark,
            written: head.position.offset,
            under_way: head.position.offset,
            allocated: 0,
            set_aside: None,
            head,
            buffer: Vec::new(),
            headers: Vec::new(),
            durable,
            recovered,
            repaired,
            marked: false,
            lineage: 0,
            attached: true,
            poison: None,
            closed: false,
        };
        writer.allocated = writer.file_len()?;
        if writer.options.log_id.is_some() && restore::is_unfinished(&*writer.storage)? {
            // What an interrupted restore leaves behind is cut, and the restore goes on with the same seqs.
            writer.recovered.clear();
            writer.repaired.clear();
        }
        if !clean {
            writer.mark()?;
            writer.append_recovered()?;
        }
        if writer.options.exclusive {
            writer.mark()?;
        } else {
            writer.end()?;
        }
        Ok(writer)
    }

    /// The last event of the log, durable or not.
    pub(crate) fn head_seq(&self) -> u64 {
        self.head.seq()
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.storage)
    }

    /// Rows of the type table.
    pub(crate) fn type_count(&self) -> usize {
        self.head.types.len()
    }

    pub(crate) fn log_id(&self) -> crate::LogId {
        self.head.log_id()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed || self.poison.is_some()
    }

    pub(crate) fn poison(&self) -> Option<&Error> {
        self.poison.as_ref()
    }

    /// Takes the lock and reads what others have appended. In exclusive mode there is nothing to do.
    pub(crate) fn begin(&mut self) -> Result<()> {
        if let Some(poison) = &self.poison {
            return Err(poisoned(poison));
        }
        if self.lock.is_held() {
            return Ok(());
        }
        let state = self.lock.acquire(self.options.lock_timeout_ms)?;
        let refreshed = self.refresh(state);
        self.attached = refreshed.is_ok();
        if refreshed.is_err() {
            self.marked = false;
            self.lock.abandon();
        }
        refreshed
    }

    fn refresh(&mut self, state: LockState) -> Result<()> {
        if std::mem::take(&mut self.attached) && self.follow(state)? {
            return Ok(());
        }
        let settled = settle(&*self.storage, state)?;
        self.replace_head(settled.head);
        self.durable = settled.durable.max(self.durable.min(self.head_seq()));
        // Those that this writer has not told of yet are among them: they are found in the quarantine again.
        if !settled.clean {
            (self.recovered, self.repaired) = (settled.recovered, settled.repaired);
        }
        self.moved_by_others()?;
        if !settled.clean {
            self.mark()?;
            self.append_recovered()?;
        }
        Ok(())
    }

    /// Reads on from the known end to the one that `LOCK` names. `false` where the two do not go together: where `LOCK` is
    /// not in order, or where the end that is known here was not durable and has been cut meanwhile.
    fn follow(&mut self, state: LockState) -> Result<bool> {
        let LockState::Clean { boot_id, known, offset } = state else { return Ok(false) };
        let (here, there) = (self.head.position.place(), (known.segment, offset));
        let may_be_cut = self.durable < self.head_seq();
        let is_other = boot_id != self.storage.boot_id() || known.log_id != self.log_id();
        if is_other || there < here || (may_be_cut && !self.head.is_still_there()?) {
            return Ok(false);
        }
        if there != here {
            match self.head.catch_up(&*self.storage, there) {
                Err(error) if error.kind() == ErrorKind::Damaged => return Ok(false),
                other => other?,
            }
        }
        // Also where no event has come: they may have given space back.
        self.moved_by_others()?;
        if !self.head.is_end(&*self.storage)? {
            return Ok(false);
        }
        self.durable = self.durable.max(known.durable.min(self.head_seq()));
        Ok(true)
    }

    fn replace_head(&mut self, head: Head) {
        self.head = head;
        self.lineage += 1;
    }

    fn moved_by_others(&mut self) -> Result<()> {
        self.written = self.head.position.offset;
        self.under_way = self.written;
        self.allocated = self.file_len()?;
        Ok(())
    }

    fn file_len(&self) -> Result<u64> {
        let len = self.head.segment.file.len_bytes();
        len.map_err(|error| Error::io("cannot measure the newest segment", error).segment(self.head.position.segment))
    }

    fn mark(&mut self) -> Result<()> {
        if !self.marked {
            self.lock.know(self.known());
            self.lock.mark_held()?;
            self.marked = true;
        }
        Ok(())
    }

    /// Releases the lock in order. In exclusive mode it is kept.
    pub(crate) fn end(&mut self) -> Result<()> {
        if !self.lock.is_held() {
            return Ok(());
        }
        // What is written anew each time is to stay a small part of what was appended since.
        let is_long = || self.head.unindexed_bytes() > self.head.runs.file_len_bytes().saturating_mul(4);
        let is_due = self.head.unindexed_bytes() > 16 * INDEX_AFTER_BYTES && is_long() && self.buffer.is_empty();
        let exclusive = self.options.exclusive;
        if is_due || (!exclusive && (self.head.runs.is_large() || self.head.read_bytes > INDEX_AFTER_BYTES)) {
            self.save_runs();
        }
        if exclusive { Ok(()) } else { self.release() }
    }

    fn release(&mut self) -> Result<()> {
        self.marked = false;
        self.lock.release_clean(self.known(), self.head.position.offset)
    }

    /// What `LOCK` may say of the log.
    fn known(&self) -> LastKnown {
        LastKnown { log_id: self.log_id(), segment: self.head.position.segment, durable: self.durable }
    }

    /// The run index is a hint: that it could not be written is no error of the append.
    fn save_runs(&mut self) {
        let _written_next_time = self.head.save_index(&*self.storage);
    }

    fn append_recovered(&mut self) -> Result<()> {
        let (recovered, repaired) = (std::mem::take(&mut self.recovered), std::mem::take(&mut self.repaired));
        let mut batch = Batch::new();
        for tail in &recovered {
            batch.own(None, Kind::RECOVERED, false, &tail.encode());
        }
        for action in repaired.iter().filter_map(|repair| repair.action.as_ref()) {
            batch.own(None, Kind::OPERATOR_ACTION, false, &action.encode());
        }
        if !batch.is_empty() {
            let appended = self.place(&batch).and_then(|_| self.flush()).and_then(|()| self.sync());
            if appended.is_err() {
                (self.recovered, self.repaired) = (recovered, repaired);
                return appended;
            }
        }
        // Where one of these fails, the next recovery finds the event in the log.
        repaired.iter().try_for_each(|repair| repair.is_told(&*self.storage))
    }

    /// Appends a batch behind the others of its group: into the buffer, or into the file where that has to be.
    ///
    /// # Errors
    /// What is wrong with this batch; the log is as before. Or `Poisoned`, then [`Writer::poison`] tells.
    pub(crate) fn place(&mut self, batch: &Batch) -> Result<Appended> {
        batch.check()?;
        let now_ns = batch.time_ns.unwrap_or_else(|| self.storage.now_ns());
        let planned = self.plan(batch, now_ns)?;
        if planned.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "T0144", "the batch has no event"));
        }
        let len: u64 = planned.iter().map(|frame| taffrail_log_format::padded_len(frame.payload.len() as u64)).sum();
        self.mark()?;
        self.make_room(len)?;
        let start = self.buffer.len();
        match self.encode(&planned) {
            Ok(headers) => Ok(self.accept(batch, &planned, &headers, start)),
            Err(error) => {
                self.buffer.truncate(start);
                Err(error)
            }
        }
    }

    /// The run of a name; a spoiled index file is thrown away and the log read again.
    pub(crate) fn find_run(&mut self, name: &str) -> Result<Option<RunTip>> {
        match self.head.runs.find(&*self.storage, name) {
            Err(error) if error.code() == "T0313" => {
                let end = self.head.position.place();
                self.flush()?;
                let head = Head::rebuild(&*self.storage, end, OpenMode::Write)?;
                self.replace_head(head);
                self.head.runs.find(&*self.storage, name)
            }
            found => found,
        }
    }

    fn encode(&mut self, planned: &[Planned<'_>]) -> Result<Vec<Header>> {
        let key = self.head.key;
        let mut offset = self.head.position.offset;
        let mut seq = self.head.position.next_seq;
        let mut headers = Vec::with_capacity(planned.len());
        for (number, frame) in planned.iter().enumerate() {
            let fields = FrameFields {
                seq,
                run: frame.run,
                revision: frame.revision,
                time_ns: frame.time_ns,
                durable: if sabotage::is(Sabotage::ForgetLag) { 0 } else { self.durable },
                kind: frame.kind,
                flags: Flags {
                    more: number + 1 < planned.len() && !sabotage::is(Sabotage::SplitBatches),
                    hint: frame.hint,
                },
            };
            let encode = if frame.redacted { encode_redacted_frame } else { encode_frame };
            let header = encode(&mut self.buffer, &key, offset, &fields, &frame.payload).map_err(|len| {
                let message =
                    format!("a payload of {len} bytes can not be stored so that it stands out from lost sectors");
                Error::new(ErrorKind::Invalid, "T0144", message).seq(seq.get())
            })?;
            offset += header.frame_len();
            seq = if frame.kind.takes_seq() { seq.next() } else { seq };
            headers.push(header);
        }
        Ok(headers)
    }

    /// Takes a batch's frames, and tells where they are.
    fn accept(&mut self, batch: &Batch, planned: &[Planned<'_>], headers: &[Header], start: usize) -> Appended {
        self.head.accept_all(headers, &self.buffer[start..], planned);
        let own = headers.len() - batch.drafts.len();
        let last = headers.last().map_or(Seq::FIRST, |header| header.seq);
        Appended {
            first: headers.get(own).map_or(last, |header| header.seq),
            last,
            revision: headers.last().map_or(0, |header| header.revision),
            durable: self.durable,
            redacted: batch.redacted,
        }
    }

    /// Whether the policy wants a sync now.
    pub(crate) fn wants_sync(&self) -> bool {
        match self.options.sync {
            SyncPolicy::Always => self.durable < self.head_seq(),
            SyncPolicy::Never => false,
            SyncPolicy::Interval(interval) => {
                let elapsed = self.storage.monotonic_ns().saturating_sub(self.last_sync_ns);
                self.durable < self.head_seq() && u128::from(elapsed) >= interval.as_nanos()
            }
        }
    }

    /// Makes everything durable that has been written. Any failure poisons: after it the page cache lies.
    pub(crate) fn sync(&mut self) -> Result<()> {
        // Also where nothing has been written since the lock was taken: if it fails, LOCK must not say that all is well.
        self.mark()?;
        if !sabotage::is(Sabotage::AckBeforeSync) {
            let result = self.head.segment.file.sync_data();
            self.or_poison(result.or_else(ignored), "cannot sync the log")?;
        }
        self.synced();
        Ok(())
    }

    fn synced(&mut self) {
        self.durable = self.head_seq();
        self.last_sync_ns = self.storage.monotonic_ns();
    }

    /// Tells other processes, and the next open, what is durable.
    pub(crate) fn publish(&mut self) {
        let position = &self.head.position;
        if self.durable != self.head_seq() || !self.buffer.is_empty() {
            return;
        }
        let watermark = Watermark {
            log_id: self.head.log_id(),
            counter: 0,
            segment: position.segment,
            offset: position.offset,
            durable: self.durable,
            last_frame: position.last_frame,
            last_frame_crc: position.last_frame_crc,
        };
        // An older version is as true as this one, so failing to write it loses nothing.
        let _older_one_stays = self.watermark.write(watermark);
    }

    fn or_poison(&mut self, result: std::io::Result<()>, what: &str) -> Result<()> {
        let Err(error) = result else { return Ok(()) };
        Err(self.fail(Error::io(what, error).segment(self.head.position.segment).offset(self.written)))
    }

    /// Ends this writer's work for good: what it knows and what the files hold may differ from now on. `LOCK` stays as it
    /// is, which is not clean, and the next holder recovers.
    pub(crate) fn fail(&mut self, error: Error) -> Error {
        if self.poison.is_none() && !sabotage::is(Sabotage::NoPoison) {
            self.poison = Some(error.clone());
        }
        self.lock.abandon();
        error
    }

    /// Writes and syncs what is left, publishes the watermark and the run index, and frees the lock.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.closed = true;
        self.begin()?;
        self.flush()?;
        if self.durable < self.head_seq() {
            self.sync()?;
        }
        self.give_back();
        self.publish();
        let is_due = self.head.read_bytes > INDEX_AFTER_BYTES / 4 || self.head.unindexed_bytes() > INDEX_AFTER_BYTES;
        if is_due || (self.options.exclusive && self.head.unindexed_bytes() > 0) {
            self.save_runs();
        }
        self.release()
    }
}

/// Frames read at opening, in bytes, after which the run index is written again; of frames that this writer has appended
/// itself, sixteen times as many.
const INDEX_AFTER_BYTES: u64 = 1 << 20;

/// A sync that failed has failed.
fn ignored(error: std::io::Error) -> std::io::Result<()> {
    if sabotage::is(Sabotage::IgnoreFailedSync) { Ok(()) } else { Err(error) }
}

fn poisoned(poison: &Error) -> Error {
    Error::new(ErrorKind::Poisoned, "T0310", format!("an earlier failure stopped this journal: {poison}"))
        .hint("open the store again: recovery keeps everything that was acknowledged")
}

pub(crate) fn no_run(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, "T0141", format!("there is no run {name:?}"))
}
