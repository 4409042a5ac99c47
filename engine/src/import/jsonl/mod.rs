//! Exports, read back: as the same log into a store that is empty or already that log's, else as events of another one.
//!
//! A *restore* keeps everything: log id, seqs, times, batches. It needs a whole export, goes on where an earlier one
//! stopped, and says so where the store has another event than the export. Any other import *renumbers*: events get new
//! seqs, and events of type `taffrail.import` in the run `import:<log id>` keep their origin, by which a second import adds
//! nothing.

mod lines;
mod origin;
mod renumber;
mod restore;
#[cfg(test)]
mod tests;

use super::report::{ImportFailure, ImportProgress, ImportReport};
use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::{ErrorKind, LogId, Options, Reader, Seq};
use lines::Lines;
pub(crate) use origin::{may_be_of_another_log, operator_action_of, own_payload_of};
use std::io::BufRead;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Imports an export into the store in a storage, which is made if [`Options::create`] says so.
///
/// # Errors
/// [`ImportFailure`], with what was done before. T0161: a line that is not understood or does not fit, with its number in the
/// message; T0162: the export ends early; T0163: the store has another event of the same log and seq; T0164: a line is too
/// long; T0165: a newer format; `Io` where `progress` breaks. What stands before such a line is imported.
pub fn import(
    storage: &Arc<dyn Storage>,
    options: Options,
    input: &mut dyn BufRead,
    progress: &mut dyn FnMut(&ImportProgress) -> ControlFlow<()>,
) -> std::result::Result<ImportReport, ImportFailure> {
    let mut report = ImportReport::new("jsonl", false);
    let mut lines = Lines::new(input, progress);
    let outcome = run(storage, options, &mut lines, &mut report);
    report.bytes_read = lines.bytes_read();
    match outcome {
        Ok(()) => Ok(report),
        Err(error) => Err(ImportFailure { error, report: Box::new(report) }),
    }
}

fn run(storage: &Arc<dyn Storage>, options: Options, lines: &mut Lines<'_>, report: &mut ImportReport) -> Result<()> {
    let header = lines.header()?;
    let log_id = parse_log_id(&header.log_id).ok_or_else(|| lines.refuse("log_id is not 32 hexadecimal digits"))?;
    if header.format > taffrail_log_format::layout::FORMAT_VERSION {
        let message = format!("the export is of format {}, and this build knows 1", header.format);
        return Err(Error::new(ErrorKind::Incompatible, "T0165", message).hint("use a newer build of taffrail"));
    }
    let present = match Reader::open_on(Arc::clone(storage)) {
        Ok(reader) => Some((reader.log_id(), reader.next_seq()? == Seq::FIRST)),
        Err(error) if error.kind() == ErrorKind::NotFound && options.create => None,
        Err(error) => return Err(error),
    };
    let is_same_log = present.is_some_and(|(id, is_empty)| id == log_id && !is_empty);
    let is_empty = present.is_none_or(|(_, is_empty)| is_empty);
    if is_same_log || (is_empty && header.complete) {
        restore::run(storage, &options, log_id, lines, report)
    } else {
        renumber::run(storage, options, log_id, lines, report)
    }
}

/// Appends the lines of another log's export, or compares and completes where it is the same one.
pub(crate) fn import_events(
    storage: &Arc<dyn Storage>,
    options: Options,
    is_same_log: bool,
    log_id: LogId,
    input: &mut dyn BufRead,
    progress: &mut dyn FnMut(&ImportProgress) -> ControlFlow<()>,
    report: &mut ImportReport,
) -> Result<()> {
    let mut lines = Lines::new(input, progress);
    lines.header()?;
    if is_same_log {
        restore::run(storage, &options, log_id, &mut lines, report)
    } else {
        renumber::run(storage, options, log_id, &mut lines, report)
    }
}

fn parse_log_id(text: &str) -> Option<LogId> {
    let is_plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let wide = u128::from_str_radix(text, 16).ok().filter(|_| is_plain)?;
    Some(LogId(wide.to_be_bytes()))
}
