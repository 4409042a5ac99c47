use crate::TypeEntry;
use crate::error::Result;
use crate::log::batch::{Appended, Expect};
use crate::log::journal::Run;
use crate::log::writer::{KnownKind, One};
use std::sync::Arc;

/// Appends events of one type to one run, one at a time: what both are is looked up once, and no event takes a batch of its
/// own. For programs that append many small events; nothing is allocated for them.
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
        let journal = self.run.journal();
        if let Some(kind) = self.kind {
            let one = One { run: self.run.number(), expect, kind, hint: self.entry.hint, payload };
            if let Some(appended) = journal.append_one(&one)? {
                return Ok(appended);
            }
        }
        let appended = self.run.append_raw(expect, &self.entry, &[payload])?;
        self.kind = journal.known_kind(&self.entry);
        Ok(appended)
    }
}
