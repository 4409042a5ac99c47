//! The lines of an export, read one at a time.

use super::super::report::ImportProgress;
use super::super::stopped;
use crate::ErrorKind;
use crate::error::{Error, Result};
use crate::export::line::{End, Exported, Header, Line};
use std::io::BufRead;
use std::ops::ControlFlow;

/// Longest line, in bytes: the longest payload in its longest form, and room for the rest.
const MOST_LEN_BYTES: usize = 112 << 20;

/// See the module.
pub(super) struct Lines<'a> {
    input: &'a mut dyn BufRead,
    tell: &'a mut dyn FnMut(&ImportProgress) -> ControlFlow<()>,
    progress: ImportProgress,
    /// The number of the line that was read last, from 1.
    number: u64,
    buffer: Vec<u8>,
    last_seq: u64,
}

/// What follows the header.
pub(super) enum Item {
    /// The body of a `TypeRegistered`, in base 64.
    Type(String),
    Event(Box<Exported>),
}

impl<'a> Lines<'a> {
    pub(super) fn new(
        input: &'a mut dyn BufRead,
        tell: &'a mut dyn FnMut(&ImportProgress) -> ControlFlow<()>,
    ) -> Lines<'a> {
        let progress = ImportProgress::default();
        Lines { input, tell, progress, number: 0, buffer: Vec::new(), last_seq: 0 }
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.progress.bytes
    }

    /// The error for the line that was read last.
    pub(super) fn refuse(&self, what: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Invalid, "T0161", format!("line {}: {what}", self.number))
    }

    /// The first line.
    pub(super) fn header(&mut self) -> Result<Header> {
        match self.line()? {
            Some(Line::Header(header)) => Ok(header),
            Some(_) => Err(self.refuse("an export begins with a line of schema taffrail.export/1")),
            None => Err(self.early("it is empty")),
        }
    }

    /// The next type or event; `None` behind the end line.
    pub(super) fn next(&mut self) -> Result<Option<Item>> {
        let item = match self.line()? {
            None => return Err(self.early("there is no line taffrail.export-end/1")),
            Some(Line::Header(_)) => return Err(self.refuse("a second header; import one export at a time")),
            Some(Line::End(end)) => return self.end(end).map(|()| None),
            Some(Line::Type(line)) => Item::Type(line.data_base64),
            Some(Line::Event(event)) => {
                if event.seq <= self.last_seq {
                    return Err(self.refuse(format!("seq {} stands behind {}", event.seq, self.last_seq)));
                }
                self.last_seq = event.seq;
                self.progress.events += 1;
                Item::Event(event)
            }
        };
        match (self.tell)(&self.progress) {
            ControlFlow::Continue(()) => Ok(Some(item)),
            ControlFlow::Break(()) => Err(stopped()),
        }
    }

    fn end(&mut self, end: End) -> Result<()> {
        if (end.events, end.last_seq) != (self.progress.events, self.last_seq) {
            let (events, last) = (self.progress.events, self.last_seq);
            let what = format!("it tells {} events up to {}, and has {events} up to {last}", end.events, end.last_seq);
            return Err(self.early(&what));
        }
        match self.line()? {
            None => Ok(()),
            Some(_) => Err(self.refuse("there is more behind the end of the export")),
        }
    }

    fn early(&self, what: &str) -> Error {
        let message = format!("the export is not whole: {what} (behind line {})", self.number);
        Error::new(ErrorKind::Invalid, "T0162", message)
    }

    /// The next line that is not empty.
    fn line(&mut self) -> Result<Option<Line>> {
        loop {
            self.buffer.clear();
            self.read_line()?;
            if self.buffer.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            if self.buffer.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let parsed = serde_json::from_slice(&self.buffer);
            return parsed.map(Some).map_err(|error| self.refuse(error));
        }
    }

    /// Reads up to and with the next newline.
    fn read_line(&mut self) -> Result<()> {
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("cannot read the export", error)),
            };
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let taken = newline.map_or(chunk.len(), |at| at + 1);
            self.buffer.extend_from_slice(&chunk[..taken]);
            self.input.consume(taken);
            self.progress.bytes += taken as u64;
            if newline.is_some() || taken == 0 {
                return Ok(());
            }
            if self.buffer.len() > MOST_LEN_BYTES {
                let message = format!("line {} has more than {MOST_LEN_BYTES} bytes", self.number + 1);
                return Err(Error::new(ErrorKind::Invalid, "T0164", message));
            }
        }
    }
}
