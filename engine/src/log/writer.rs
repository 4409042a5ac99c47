//! Writing at the end of the log: frames, syncs, rotation. One thread at a time; the journal sees to that.

use crate::error::{Error, Result};
use crate::log::batch::{Appended, Batch, Draft, Expect, What};
use crate::log::head::Head;
use crate::log::lock::{LockState, StoreLock};
use crate::log::options::{Options, SyncPolicy};
use crate::log::recovery::{RecoveryPlan, distrust_cache};
use crate::log::restore::{self, Exact};
use crate::log::run_index::RunTip;
use crate::log::watermark::WatermarkFile;
use crate::log::{create, paths};
use crate::storage::{Storage, write_all_at};
use crate::{
    ErrorKind, Flags, Header, Kind, Recovered, RunOpened, SegmentNumber, Seq, TypeRegistered, TypeTable, Watermark,
};
use std::sync::Arc;
use taffrail_log_format::{FrameFields, encode_frame, layout};

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
    /// Where the buffer goes.
    written: u64,
    /// Length of the newest segment's file: zeros are written up to here.
    allocated: u64,
    /// The highest durable seq.
    durable: u64,
    /// When the last sync ended, on the clock that never steps back.
    last_sync_ns: u64,
    /// A torn tail was cut, and the event that says so has not been appended yet.
    recovered: Option<Recovered>,
    /// Whether `LOCK` says that somebody is writing.
    marked: bool,
    poison: Option<Error>,
    closed: bool,
}

/// A frame that is about to be encoded.
struct Planned<'a> {
    run: Option<Seq>,
    revision: u32,
    kind: Kind,
    hint: bool,
    time_ns: i64,
    payload: std::borrow::Cow<'a, [u8]>,
}

impl Writer {
    /// Appends gather up to this many bytes before they are written, where the policy and the mode allow it.
    const BUFFER_LEN_BYTES: usize = 256 << 10;
    /// Zeros are written ahead in steps of at most this.
    const MOST_ZEROS_AHEAD_BYTES: u64 = 4 << 20;

    /// Opens the store for writing, running recovery where the last holder did not leave in order. Returns with the lock
    /// released, or held in exclusive mode.
    pub(crate) fn open(storage: Arc<dyn Storage>, options: Options) -> Result<Writer> {
        create::ensure(&*storage, &options)?;
        let mut lock = StoreLock::open(Arc::clone(&storage))?;
        let state = lock.acquire(options.lock_timeout_ms)?;
        create::ensure_first_segment(&*storage, &options)?;
        let (end, durable, recovered) = settle(&*storage, state)?;
        let head = Head::attach(&*storage, end)?;
        let watermark = WatermarkFile::open(&*storage)?;
        let mut writer = Writer {
            last_sync_ns: storage.monotonic_ns(),
            storage,
            options,
            lock,
            watermark,
            written: head.position.offset,
            allocated: 0,
            head,
            buffer: Vec::new(),
            durable,
            recovered,
            marked: false,
            poison: None,
            closed: false,
        };
        writer.allocated = writer.file_len()?;
        if writer.options.log_id.is_some() && restore::is_unfinished(&*writer.storage)? {
            // What an interrupted restore leaves behind is cut, and the restore goes on with the same seqs.
            writer.recovered = None;
        }
        if writer.recovered.is_some() || !matches!(state, LockState::Clean { .. }) {
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
        self.head.position.next_seq.count_before()
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
        if refreshed.is_err() {
            self.marked = false;
            self.lock.abandon();
        }
        refreshed
    }

    fn refresh(&mut self, state: LockState) -> Result<()> {
        let here = self.head.position.place();
        let ours = self.storage.boot_id();
        match state {
            LockState::Clean { boot_id, segment, offset, durable } if boot_id == ours && (segment, offset) >= here => {
                self.durable = self.durable.max(durable);
                if (segment, offset) != here {
                    self.head.catch_up(&*self.storage, (segment, offset))?;
                    self.moved_by_others()?;
                }
            }
            _ => {
                let (end, durable, recovered) = settle(&*self.storage, state)?;
                self.head = Head::attach(&*self.storage, end)?;
                self.durable = durable;
                self.recovered = recovered.or(self.recovered.take());
                self.moved_by_others()?;
                self.mark()?;
                self.append_recovered()?;
            }
        }
        Ok(())
    }

    fn moved_by_others(&mut self) -> Result<()> {
        self.written = self.head.position.offset;
        self.allocated = self.file_len()?;
        Ok(())
    }

    fn file_len(&self) -> Result<u64> {
        let len = self.head.segment.file.len_bytes();
        len.map_err(|error| Error::io("cannot measure the newest segment", error).segment(self.head.position.segment))
    }

    fn mark(&mut self) -> Result<()> {
        if !self.marked {
            self.lock.mark_held()?;
            self.marked = true;
        }
        Ok(())
    }

    /// Releases the lock in order. In exclusive mode it is kept.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.options.exclusive || !self.lock.is_held() {
            return Ok(());
        }
        if self.head.runs.is_large() || self.head.read_bytes > INDEX_AFTER_BYTES {
            self.save_runs();
        }
        self.release()
    }

    fn release(&mut self) -> Result<()> {
        let (segment, offset) = self.head.position.place();
        self.marked = false;
        self.lock.release_clean(segment, offset, self.durable)
    }

    /// The run index is a hint: that it could not be written is no error of the append.
    fn save_runs(&mut self) {
        let (log_id, position) = (self.head.log_id(), self.head.position);
        let _written_next_time = self.head.runs.save(&*self.storage, log_id, &position, &self.head.types);
        self.head.read_bytes = 0;
    }

    fn append_recovered(&mut self) -> Result<()> {
        let Some(recovered) = self.recovered.take() else { return Ok(()) };
        let mut batch = Batch::new();
        batch.own(None, Kind::RECOVERED, false, &recovered.encode());
        let appended = self.place(&batch).and_then(|_| self.flush()).and_then(|()| self.sync());
        if appended.is_err() {
            self.recovered = Some(recovered);
        }
        appended
    }

    /// Appends a batch behind the others of its group: into the buffer, or into the file where that has to be.
    ///
    /// # Errors
    /// What is wrong with this batch; the log is as before. Or `Poisoned`, then [`Writer::poison`] tells.
    pub(crate) fn place(&mut self, batch: &Batch) -> Result<Appended> {
        batch.check()?;
        let now_ns = batch.time_ns.unwrap_or_else(|| self.storage.now_ns());
        let planned = self.plan(batch, now_ns)?;
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

    /// Works out the frames of a batch: registrations, openings, events. Changes nothing.
    fn plan<'a>(&mut self, batch: &'a Batch, now_ns: i64) -> Result<Vec<Planned<'a>>> {
        let mut frames = Vec::with_capacity(batch.drafts.len() + 2);
        let kinds = self.register(batch, now_ns, &mut frames)?;
        let mut tips = self.open_runs(batch, now_ns, &mut frames)?;
        for (draft, kind) in batch.drafts.iter().zip(kinds) {
            let tip = draft.run.and_then(|run| tips.get_mut(run));
            let (run, revision) = match tip {
                None => (None, 0),
                Some(tip) => {
                    let exhausted = || {
                        let message = format!("run {} has reached its last revision", tip.run);
                        Error::new(ErrorKind::Invalid, "T0144", message)
                    };
                    tip.revision = tip.revision.checked_add(1).ok_or_else(exhausted)?;
                    (Some(tip.run), tip.revision)
                }
            };
            let (kind, hint) = kind;
            let payload = batch.payload(draft).into();
            frames.push(Planned { run, revision, kind, hint, time_ns: draft.time_ns.unwrap_or(now_ns), payload });
        }
        Ok(frames)
    }

    /// The kinds of a batch's events, with registrations of those that are new.
    fn register(&self, batch: &Batch, now_ns: i64, frames: &mut Vec<Planned<'_>>) -> Result<Vec<(Kind, bool)>> {
        let mut fresh: Vec<TypeRegistered> = Vec::new();
        let mut kinds = Vec::with_capacity(batch.drafts.len());
        for Draft { what, .. } in &batch.drafts {
            let entry = match what {
                What::Own(kind, hint) => {
                    kinds.push((*kind, *hint));
                    continue;
                }
                What::User(entry) => entry,
            };
            let known = self.head.types.find(&entry.name, &entry.variant, entry.version);
            if let Some(kind) = known {
                check_same_schema(self.head.types.get(kind), entry)?;
            }
            let same = |other: &&TypeRegistered| {
                let other = &other.entry;
                (&other.name, &other.variant, other.version) == (&entry.name, &entry.variant, entry.version)
            };
            let kind = match known.or_else(|| fresh.iter().find(same).map(|registered| registered.kind)) {
                Some(kind) => kind,
                None => {
                    let number = self.head.types.len() + fresh.len();
                    let kind = TypeTable::kind_of_row(number).ok_or_else(|| {
                        Error::new(ErrorKind::Invalid, "T0144", "the store has 4096 types, and can have no more")
                    })?;
                    fresh.push(TypeRegistered { kind, entry: (**entry).clone() });
                    kind
                }
            };
            kinds.push((kind, entry.hint));
        }
        frames.extend(fresh.iter().map(|registered| Planned {
            run: None,
            revision: 0,
            kind: Kind::TYPE_REGISTERED,
            hint: false,
            time_ns: now_ns,
            payload: registered.encode().into(),
        }));
        Ok(kinds)
    }

    /// Where the batch's runs stand, with openings of those that are new.
    fn open_runs(&mut self, batch: &Batch, now_ns: i64, frames: &mut Vec<Planned<'_>>) -> Result<Vec<RunTip>> {
        let mut tips: Vec<RunTip> = Vec::with_capacity(batch.runs.len());
        for (position, run) in batch.runs.iter().enumerate() {
            if let Some(earlier) = batch.runs[..position].iter().position(|other| other.name == run.name) {
                let message = format!("the batch names run {:?} twice (places {earlier} and {position})", run.name);
                return Err(Error::new(ErrorKind::Invalid, "T0144", message));
            }
            let found = self.find_run(&run.name)?;
            match (run.expect, found) {
                (Expect::Revision(wanted), Some(tip)) if tip.revision != wanted => {
                    return Err(conflict(&run.name, &format!("revision {wanted}"), &format!("{}", tip.revision))
                        .seq(tip.last.get()));
                }
                (Expect::New, Some(tip)) => {
                    return Err(conflict(&run.name, "no such run", &format!("revision {}", tip.revision)));
                }
                (Expect::Revision(wanted), None) if wanted > 0 => {
                    return Err(no_run(&run.name));
                }
                (_, Some(tip)) => tips.push(tip),
                (expect, None) => {
                    if !run.create && expect != Expect::New {
                        return Err(no_run(&run.name));
                    }
                    let seq = Seq::after(self.head.position.next_seq.count_before() + frames.len() as u64);
                    let opened = RunOpened { name: run.name.clone(), parent: run.parent };
                    frames.push(Planned {
                        run: Some(seq),
                        revision: 1,
                        kind: Kind::RUN_OPENED,
                        hint: false,
                        time_ns: now_ns,
                        payload: opened.encode().into(),
                    });
                    tips.push(RunTip { run: seq, revision: 1, last: seq });
                }
            }
        }
        Ok(tips)
    }

    /// The run of a name; a spoiled index file is thrown away and the log read again.
    pub(crate) fn find_run(&mut self, name: &str) -> Result<Option<RunTip>> {
        match self.head.runs.find(&*self.storage, name) {
            Err(error) if error.code() == "T0313" => {
                let end = self.head.position.place();
                self.flush()?;
                self.head = Head::rebuild(&*self.storage, end)?;
                self.head.runs.find(&*self.storage, name)
            }
            found => found,
        }
    }

    /// Makes sure that so many bytes can follow: a segment with room for them, and zeros written in it.
    fn make_room(&mut self, len: u64) -> Result<()> {
        let full = self.head.position.offset + len > self.options.segment_len_bytes;
        let large = self.head.footer.as_ref().is_some_and(taffrail_log_format::FooterBuilder::is_large);
        let empty = self.head.position.next_seq == self.head.segment.header.first_seq;
        if self.head.sealed || ((full || large) && !empty) {
            self.flush()?;
            self.rotate()?;
        }
        self.reserve(self.head.position.offset + len)
    }

    /// Writes zeros ahead. A full disk is told here, before a byte of the batch has been written.
    fn reserve(&mut self, end: u64) -> Result<()> {
        if end <= self.allocated {
            return Ok(());
        }
        let ahead = self.allocated.clamp(create::FIRST_SEGMENT_LEN_BYTES, Self::MOST_ZEROS_AHEAD_BYTES);
        let most = self.options.segment_len_bytes.max(end);
        let generous = (self.allocated + ahead).max(end).min(most);
        if self.extend(generous).is_ok() {
            return Ok(());
        }
        self.allocated = self.file_len()?;
        let result = if end <= self.allocated { Ok(()) } else { self.extend(end) };
        self.allocated = self.file_len()?;
        result
    }

    fn extend(&mut self, end: u64) -> Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.allocated < end {
            let len = usize::try_from(end - self.allocated).unwrap_or(usize::MAX).min(ZEROS.len());
            write_all_at(&*self.head.segment.file, self.allocated, &ZEROS[..len]).map_err(|error| {
                Error::io("cannot extend the newest segment", error).segment(self.head.position.segment)
            })?;
            self.allocated += len as u64;
        }
        Ok(())
    }

    fn encode(&mut self, planned: &[Planned<'_>]) -> Result<Vec<Header>> {
        let key = self.head.segment.header.key();
        let mut offset = self.head.position.offset;
        let mut seq = self.head.position.next_seq;
        let mut headers = Vec::with_capacity(planned.len());
        for (number, frame) in planned.iter().enumerate() {
            let fields = FrameFields {
                seq,
                run: frame.run,
                revision: frame.revision,
                time_ns: frame.time_ns,
                durable: self.durable,
                kind: frame.kind,
                flags: Flags { more: number + 1 < planned.len(), hint: frame.hint },
            };
            let header = encode_frame(&mut self.buffer, &key, offset, &fields, &frame.payload).map_err(|len| {
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

    /// Takes encoded frames, which stand in the buffer from `start` on, as part of the log.
    fn take(&mut self, planned: &[Planned<'_>], headers: &[Header], start: usize) {
        let mut at = start;
        for (frame, header) in planned.iter().zip(headers) {
            let bytes = &self.buffer[at..at + layout::frame::HEADER_LEN_BYTES];
            self.head.accept(header, bytes, &frame.payload);
            at += usize::try_from(header.frame_len()).unwrap_or(usize::MAX);
        }
    }

    /// Takes a batch's frames, and tells where they are.
    fn accept(&mut self, batch: &Batch, planned: &[Planned<'_>], headers: &[Header], start: usize) -> Appended {
        self.take(planned, headers, start);
        let own = headers.len() - batch.drafts.len();
        let last = headers.last().map_or(Seq::FIRST, |header| header.seq);
        Appended {
            first: headers.get(own).map_or(last, |header| header.seq),
            last,
            revision: headers.last().map_or(0, |header| header.revision),
            durable: self.durable,
        }
    }

    /// Appends events whose seqs, runs and revisions have been checked to follow: a restore's. Returns their length in bytes.
    pub(crate) fn place_exactly(&mut self, batch: &[Exact], kinds: &[Kind]) -> Result<u64> {
        let planned: Vec<Planned<'_>> = batch
            .iter()
            .zip(kinds)
            .map(|(event, kind)| Planned {
                run: event.run,
                revision: event.revision,
                kind: *kind,
                hint: event.hint,
                time_ns: event.time_ns,
                payload: (&event.payload).into(),
            })
            .collect();
        let len: u64 = planned.iter().map(|frame| taffrail_log_format::padded_len(frame.payload.len() as u64)).sum();
        if len > Batch::MAX_LEN_BYTES {
            let message = format!("the batch takes {len} bytes; {} are the most", Batch::MAX_LEN_BYTES);
            return Err(Error::new(ErrorKind::Invalid, "T0144", message));
        }
        self.mark()?;
        self.make_room(len)?;
        let start = self.buffer.len();
        match self.encode(&planned) {
            Ok(headers) => {
                self.take(&planned, &headers, start);
                Ok(len)
            }
            Err(error) => {
                self.buffer.truncate(start);
                Err(error)
            }
        }
    }

    pub(crate) fn types(&self) -> &TypeTable {
        &self.head.types
    }

    /// Whether appended frames may stay in memory for now.
    pub(crate) fn may_buffer(&self) -> bool {
        self.options.exclusive && self.options.sync != SyncPolicy::Always && self.buffer.len() < Self::BUFFER_LEN_BYTES
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

    /// Writes the buffer. Any failure poisons: nobody knows how much of it reached the file.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let result = write_all_at(&*self.head.segment.file, self.written, &self.buffer);
        self.or_poison(result, "cannot write to the log")?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        debug_assert_eq!(self.written, self.head.position.offset, "the file ends where the head does");
        Ok(())
    }

    /// Makes everything durable that has been written. Any failure poisons: after it the page cache lies.
    pub(crate) fn sync(&mut self) -> Result<()> {
        let result = self.head.segment.file.sync_data();
        self.or_poison(result, "cannot sync the log")?;
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
        let error = Error::io(what, error).segment(self.head.position.segment).offset(self.written);
        self.poison = Some(error.clone());
        self.lock.abandon();
        Err(error)
    }

    /// Seals the newest segment, where it is not sealed already, and begins the next one.
    fn rotate(&mut self) -> Result<()> {
        if !self.head.sealed {
            self.seal()?;
        }
        let synced = self.head.segment.file.sync_all();
        self.or_poison(synced, "cannot sync a sealed segment")?;
        self.synced();
        let (next, frames_end) = create::next_segment(&*self.storage, &self.head, self.options.sync.into())?;
        let result = self.storage.sync_dir(paths::SEGMENTS);
        self.or_poison(result, "cannot sync the directory of segments")?;
        self.head.catch_up(&*self.storage, (next, frames_end))?;
        self.moved_by_others()?;
        self.save_runs();
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        let footer = self.head.footer()?.encode();
        let footer_at = self.head.position.offset;
        let end = footer_at + taffrail_log_format::padded_len(footer.len() as u64) + layout::SEAL_LEN_BYTES;
        self.reserve(end)?;
        let now_ns = self.storage.now_ns();
        let frame = |kind, payload: Vec<u8>| Planned {
            run: None,
            revision: 0,
            kind,
            hint: false,
            time_ns: now_ns,
            payload: payload.into(),
        };
        let planned = [frame(Kind::FOOTER, footer), frame(Kind::SEAL, footer_at.to_le_bytes().to_vec())];
        let headers = self.encode(&planned)?;
        self.take(&planned, &headers, 0);
        self.head.sealed = true;
        self.flush()?;
        let cut = self.head.segment.file.set_len(end);
        self.or_poison(cut, "cannot trim a sealed segment")
    }

    /// Writes and syncs what is left, publishes the watermark and the run index, and frees the lock.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.closed = true;
        self.begin()?;
        self.flush()?;
        if self.durable < self.head_seq() {
            self.sync()?;
        }
        self.publish();
        if self.head.read_bytes > INDEX_AFTER_BYTES / 4 || self.options.exclusive {
            self.save_runs();
        }
        self.release()
    }
}

/// Frames read at opening, in bytes, after which the run index is written again.
const INDEX_AFTER_BYTES: u64 = 1 << 20;

/// Finds the end of the log, running recovery unless the last holder left in order within this boot. Returns the end, the
/// highest durable seq, and what was cut.
fn settle(storage: &dyn Storage, state: LockState) -> Result<((SegmentNumber, u64), u64, Option<Recovered>)> {
    if let LockState::Clean { boot_id, segment, offset, durable } = state
        && boot_id == storage.boot_id()
    {
        return Ok(((segment, offset), durable, None));
    }
    distrust_cache(storage)?;
    let plan = RecoveryPlan::make(storage)?;
    let recovered = plan.apply(storage)?;
    Ok((plan.end(), plan.head(), recovered))
}

fn poisoned(poison: &Error) -> Error {
    Error::new(ErrorKind::Poisoned, "T0310", format!("an earlier failure stopped this journal: {poison}"))
        .hint("open the store again: recovery keeps everything that was acknowledged")
}

fn conflict(name: &str, wanted: &str, found: &str) -> Error {
    Error::new(ErrorKind::Conflict, "T0145", format!("run {name:?}: expected {wanted}, found {found}"))
        .hint("read the run again, decide again, and repeat the append with its new revision")
}

pub(crate) fn no_run(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, "T0141", format!("there is no run {name:?}"))
}

/// Same name and version must mean the same schema: swapped fields of one type would decode to wrong values in silence.
fn check_same_schema(known: Option<&crate::TypeEntry>, wanted: &crate::TypeEntry) -> Result<()> {
    let Some(known) = known else { return Ok(()) };
    if known.fingerprint == wanted.fingerprint && known.codec == wanted.codec && known.hint == wanted.hint {
        return Ok(());
    }
    let message = format!(
        "type {} version {} is registered in this store with another schema, codec or hint flag",
        wanted.full_name(),
        wanted.version
    );
    Err(Error::new(ErrorKind::Invalid, "T0143", message).hint("raise the type's version"))
}
