use crate::error::{Error, Result};
use crate::redact::Redactor;
use crate::{ErrorKind, RunOpened, Seq, TypeEntry};
use std::ops::Range;
use std::sync::Arc;
use taffrail_log_format::{layout, padded_len};

/// What a run must look like for an append to happen: compare-and-set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Whatever it looks like.
    #[default]
    Any,
    /// The run's last event has this revision.
    Revision(u32),
    /// There is no such run yet; it is made.
    New,
}

/// A run that a batch appends to.
#[derive(Clone, Debug)]
pub(crate) struct RunRef {
    pub(crate) name: String,
    pub(crate) expect: Expect,
    pub(crate) create: bool,
    pub(crate) parent: Option<Seq>,
}

/// One event of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// Index into the batch's runs; `None` for an event of the store.
    pub(crate) run: Option<usize>,
    pub(crate) what: What,
    pub(crate) time_ns: Option<i64>,
    /// It comes from a log where its payload was redacted.
    pub(crate) redacted: bool,
    payload: Range<usize>,
}

/// What kind of event a draft is.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// An application's event.
    User(Arc<TypeEntry>),
    /// One of the log's own.
    Own(crate::Kind, bool),
}

/// Events that are appended together: all of them or none.
///
/// A batch names its runs first ([`Batch::run`]) and then takes events for them. It owns the payloads' bytes, in one piece.
#[derive(Clone, Default)]
pub struct Batch {
    pub(crate) runs: Vec<RunRef>,
    pub(crate) drafts: Vec<Draft>,
    /// The clock of what has no time of its own; `None` for now.
    pub(crate) time_ns: Option<i64>,
    payloads: Vec<u8>,
    len_bytes: u64,
    /// Places that were redacted.
    pub(crate) redacted: u64,
    /// Why it must not be appended: it holds what can not be redacted.
    refused: Option<Error>,
}

/// Without the payloads, which may be megabytes, and of which a log of a program that failed is not the place.
impl std::fmt::Debug for Batch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Batch");
        let runs: Vec<&str> = self.runs.iter().map(|run| run.name.as_str()).collect();
        shown.field("runs", &runs).field("events", &self.drafts.len()).field("len_bytes", &self.len_bytes);
        shown.field("refused", &self.refused).finish_non_exhaustive()
    }
}

/// A run of a batch, as [`Batch::run`] returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRun(usize);

impl Batch {
    /// Longest payload of one event, in bytes.
    pub const MAX_PAYLOAD_LEN_BYTES: usize = layout::MAX_PAYLOAD_LEN_BYTES;
    /// Longest batch, in bytes on disk.
    pub const MAX_LEN_BYTES: u64 = layout::MAX_BATCH_LEN_BYTES;

    /// An empty batch.
    #[must_use]
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Names a run that must exist.
    pub fn run(&mut self, name: impl Into<String>, expect: Expect) -> BatchRun {
        self.add_run(RunRef { name: name.into(), expect, create: false, parent: None })
    }

    /// Names a run that is made if it does not exist.
    pub fn run_or_create(&mut self, name: impl Into<String>, expect: Expect) -> BatchRun {
        self.add_run(RunRef { name: name.into(), expect, create: true, parent: None })
    }

    /// Names a run that must not exist yet, and is made; `parent` is the run that it was made by or forked from.
    pub fn run_from(&mut self, name: impl Into<String>, parent: Option<Seq>) -> BatchRun {
        self.add_run(RunRef { name: name.into(), expect: Expect::New, create: true, parent })
    }

    fn add_run(&mut self, run: RunRef) -> BatchRun {
        self.len_bytes += padded_len(run.name.len() as u64 + 16);
        self.runs.push(run);
        BatchRun(self.runs.len() - 1)
    }

    /// Adds an event of an application's type. `run` is `None` for an event of the store.
    pub fn event(&mut self, run: Option<BatchRun>, entry: &Arc<TypeEntry>, payload: &[u8]) -> &mut Batch {
        self.add(run, What::User(Arc::clone(entry)), None, payload)
    }

    /// Adds an event that happened at another time than now: an import's. `time_ns` is in nanoseconds since 1970.
    pub fn event_at(
        &mut self,
        run: Option<BatchRun>,
        entry: &Arc<TypeEntry>,
        time_ns: i64,
        payload: &[u8],
    ) -> &mut Batch {
        self.add(run, What::User(Arc::clone(entry)), Some(time_ns), payload)
    }

    /// Gives the batch another time than now: for its events without one of their own, and for the runs and types that
    /// it brings along. For imports, whose past would else be hidden from questions about a time. In nanoseconds since 1970.
    pub fn at_time(&mut self, time_ns: i64) -> &mut Batch {
        self.time_ns = Some(time_ns);
        self
    }

    /// A batch that only opens a run: its `RunOpened` is the event.
    pub(crate) fn open_run(&mut self, opened: RunOpened) {
        self.add_run(RunRef { name: opened.name, expect: Expect::New, create: true, parent: opened.parent });
    }

    pub(crate) fn own(&mut self, run: Option<BatchRun>, kind: crate::Kind, hint: bool, payload: &[u8]) -> &mut Batch {
        self.add(run, What::Own(kind, hint), None, payload)
    }

    fn add(&mut self, run: Option<BatchRun>, what: What, time_ns: Option<i64>, payload: &[u8]) -> &mut Batch {
        let start = self.payloads.len();
        self.payloads.extend_from_slice(payload);
        self.len_bytes += padded_len(payload.len() as u64);
        let run = run.map(|run| run.0);
        self.drafts.push(Draft { run, what, time_ns, redacted: false, payload: start..self.payloads.len() });
        self
    }

    /// Says of the event that was added last that its payload had been redacted where it comes from.
    pub(crate) fn was_redacted(&mut self) {
        if let Some(draft) = self.drafts.last_mut() {
            draft.redacted = true;
        }
    }

    /// How many events have been added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.drafts.len()
    }

    /// Whether none has been added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// Bytes on disk, at most, without registrations of new types.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Replaces what must not be written. Where that can not be done, the batch will be refused when it is appended.
    pub(crate) fn redact(&mut self, redactor: &Redactor) {
        if let Err(error) = self.try_redact(redactor) {
            self.refused = Some(error);
        }
    }

    fn try_redact(&mut self, redactor: &Redactor) -> Result<()> {
        let beyond = |what: &str| {
            let message = format!("{what} holds what the store's settings say must not be written");
            Err(Error::new(ErrorKind::Rejected, "T0408", message).hint("taffrail explain T0408"))
        };
        if self.runs.iter().any(|run| redactor.finds(run.name.as_bytes())) {
            return beyond("the name of a run");
        }
        for number in 0..self.drafts.len() {
            let draft = &self.drafts[number];
            let payload = &self.payloads[draft.payload.clone()];
            let What::User(entry) = &draft.what else {
                if redactor.finds(payload) {
                    return beyond("a mark or another event of the log's own");
                }
                continue;
            };
            let Some((redacted, count)) = redactor.redact(entry.codec, payload)? else { continue };
            self.len_bytes = self.len_bytes - padded_len(payload.len() as u64) + padded_len(redacted.len() as u64);
            // Nothing of what it was stays in memory that is written from.
            self.payloads[draft.payload.clone()].fill(0);
            let start = self.payloads.len();
            self.payloads.extend_from_slice(&redacted);
            self.drafts[number].payload = start..self.payloads.len();
            self.redacted += count;
        }
        Ok(())
    }

    pub(crate) fn payload(&self, draft: &Draft) -> &[u8] {
        &self.payloads[draft.payload.clone()]
    }

    /// Checks what can be checked without the log.
    ///
    /// # Errors
    /// `Invalid`: empty, too long, a payload or a name over its limit.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, "T0144", message));
        if self.len_bytes > Batch::MAX_LEN_BYTES {
            let message = format!("the batch takes {} bytes; {} are the most", self.len_bytes, Batch::MAX_LEN_BYTES);
            return invalid(message);
        }
        for draft in &self.drafts {
            if draft.payload.len() > layout::MAX_PAYLOAD_LEN_BYTES {
                let (len, most) = (draft.payload.len(), layout::MAX_PAYLOAD_LEN_BYTES);
                return invalid(format!("an event's payload takes {len} bytes; {most} are the most"));
            }
            if let What::User(entry) = &draft.what
                && !entry.is_valid()
            {
                let message = format!("{:?} is no name for a type: 1 to 64 of a-z 0-9 _ . -", entry.full_name());
                return Err(Error::new(ErrorKind::Invalid, "T0142", message));
            }
        }
        match self.runs.iter().find(|run| !RunOpened::is_valid_name(&run.name)) {
            None => Ok(()),
            Some(run) => {
                let message = format!("{:?} is no name for a run: 1 to 255 bytes, no control characters", run.name);
                Err(Error::new(ErrorKind::Invalid, "T0142", message))
            }
        }
    }
}

/// What an append returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Seq of the batch's first event; a run that was opened or a type that was registered for it comes before.
    pub first: Seq,
    /// Seq of its last event.
    pub last: Seq,
    /// Revision that its last event's run has now; 0 for an event of the store.
    pub revision: u32,
    /// The highest durable seq when the append returned; 0 for none.
    pub durable: u64,
    /// Places of the batch that were redacted before it was written ([`crate::Options::redact`]).
    pub redacted: u64,
}

/// A failed append: the error, and the batch, so that nothing is lost.
#[derive(Debug)]
pub struct AppendError {
    /// What went wrong.
    pub error: Error,
    /// The batch that was not (or, where the journal is poisoned now, not provably) appended.
    pub batch: Batch,
}

impl std::fmt::Display for AppendError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(formatter)
    }
}

impl std::error::Error for AppendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<AppendError> for Error {
    fn from(failed: AppendError) -> Error {
        failed.error
    }
}
