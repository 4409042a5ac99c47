use crate::TypeEntry;
use crate::error::Result;
use crate::log::batch::{Appended, Expect};
use crate::log::journal::Run;
use crate::log::writer::{KnownEvents, KnownKind};
use std::sync::Arc;

/// Appends events of one type to one run: what both are is looked up once, and no [`Batch`](crate::Batch) is filled with copies
/// of them. For programs that append many small events; nothing is allocated for them.
///
/// Many threads may append to the same run, each with its appender.
#[derive(Clone, Debug)]
pub struct Appender<'a> {
    run: Run<'a>,
    entry: Arc<TypeEntry>,
    kind: Option<KnownKind>,
}

impl<'a> Appender<'a> {
    pub(crate) fn new(run: Run<'a>, entry: Arc<TypeEntry>) -> Appender<'a> {
        Appender { run, entry, kind: None }
    }

    /// The run, as it was when it was looked up.
    #[must_use]
    pub fn run(&self) -> &Run<'a> {
        &self.run
    }

    /// Appends an event, and returns when it is as durable as the policy promises.
    ///
    /// # Errors
    /// As [`Journal::append`](crate::Journal::append).
    pub fn append(&mut self, expect: Expect, payload: &[u8]) -> Result<Appended> {
        self.append_all(expect, &[payload])
    }

    /// Appends events as one batch, which is there as a whole or not at all, and returns when it is as durable as the policy
    /// promises. What an append costs beside its bytes (the lock, the clock, a look at the policy) is paid once for all of
    /// them.
    ///
    /// # Errors
    /// As [`Journal::append`](crate::Journal::append); `Invalid` where there are no payloads, or more bytes than
    /// [`Batch::MAX_LEN_BYTES`](crate::Batch::MAX_LEN_BYTES).
    pub fn append_all<P: AsRef<[u8]>>(&mut self, expect: Expect, payloads: &[P]) -> Result<Appended> {
        let journal = self.run.journal();
        if let Some(kind) = self.kind {
            let events = KnownEvents { run: self.run.number(), expect, kind, hint: self.entry.hint, payloads };
            if let Some(appended) = journal.append_known(&events)? {
                return Ok(appended);
            }
        }
        let appended = self.run.append_raw(expect, &self.entry, payloads)?;
        self.kind = journal.known_kind(&self.entry);
        Ok(appended)
    }
}
