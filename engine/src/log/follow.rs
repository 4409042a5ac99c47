use crate::error::{Error, Result};
use crate::log::events::Forward;
use crate::log::query::Query;
use crate::log::reader::Reader;
use crate::log::record::Record;
use crate::{ErrorKind, Seq};

/// Follows a log: gives events as they become durable, those of other processes too.
///
/// Does not wait: [`Follow::next`] returns `None` when there is nothing for now, and the caller asks again a little later.
#[derive(Debug)]
pub struct Follow {
    reader: Reader,
    query: Query,
    forward: Forward,
    durable: u64,
}

impl Follow {
    /// Follows from the query's first seq on. The query's own wish for undurable or backward reading is not heard.
    ///
    /// # Errors
    /// As reading.
    pub fn new(reader: Reader, query: Query) -> Result<Follow> {
        let query = Query { durable_only: true, reverse: false, ..query };
        let forward = Forward::start(&reader, &query)?;
        let durable = reader.durable();
        Ok(Follow { reader, query, forward, durable })
    }

    /// The log that is followed.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The next durable event, if there is one already.
    ///
    /// # Errors
    /// As reading.
    #[allow(clippy::should_implement_trait, reason = "lends its item, which Iterator can not")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        let is_found = match self.find() {
            Err(error) if error.kind() == ErrorKind::Damaged => self.find_anew(error)?,
            found => found?,
        };
        Ok(self.forward.record().filter(|_| is_found))
    }

    fn find(&mut self) -> Result<bool> {
        if self.forward.find(&self.reader, &self.query, &mut self.durable)? {
            return Ok(true);
        }
        self.reader.refresh()?;
        self.durable = self.durable.max(self.reader.durable());
        self.forward.go_on(&self.reader);
        self.forward.find(&self.reader, &self.query, &mut self.durable)
    }

    /// What can not be read may be the end of a file that has none of its name any more: a redaction or a repair has put
    /// another one in the place of the newest segment, and the log goes on in that. So the event that was due is looked for in
    /// the files as they are now; the error stands where it is not there either.
    fn find_anew(&mut self, error: Error) -> Result<bool> {
        let Some(due) = error.at().seq.and_then(Seq::new) else { return Err(error) };
        self.query.from = Some(due);
        self.reader.refresh()?;
        self.forward = Forward::start(&self.reader, &self.query)?;
        self.forward.find(&self.reader, &self.query, &mut self.durable)
    }

    /// Whether the query's end has been reached: nothing will come any more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.forward.is_finished()
    }
}
