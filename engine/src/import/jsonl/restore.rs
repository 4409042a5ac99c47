//! The same log again.

use super::lines::{Item, Lines};
use crate::error::{Error, Result};
use crate::export::line::Exported;
use crate::import::report::ImportReport;
use crate::log::{Exact, ExactKind, Restore};
use crate::storage::Storage;
use crate::{ErrorKind, Kind, LogId, Options, Query, Reader, Record, Seq};
use std::sync::Arc;

/// Brings the store up to the end of the export: compares what it has, and appends what follows.
pub(super) fn run(
    storage: &Arc<dyn Storage>,
    options: &Options,
    log_id: LogId,
    lines: &mut Lines<'_>,
    report: &mut ImportReport,
) -> Result<()> {
    if options.redactor.is_some() {
        // With another payload in the place of one, it would not be the same log.
        report.notes.push(super::super::RESTORED_UNREDACTED.to_owned());
    }
    let mut restore = Restore::open(storage, options, log_id)?;
    let next = restore.next_seq();
    let reader = Reader::open_on(Arc::clone(storage))?;
    let mut present = reader.events(Query::all().until(next))?;
    let mut batch = Vec::new();
    let mut outcome = Ok(());
    loop {
        let item = match lines.next() {
            Ok(None) => break,
            Ok(Some(item)) => item,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        };
        let Item::Event(line) = item else { continue };
        let step = exact(&line).map_err(|what| lines.refuse(what)).and_then(|event| {
            if event.seq < next {
                return compare(&mut present, &event).map(|()| report.events_already_there += 1);
            }
            batch.push(event);
            if line.more {
                return Ok(());
            }
            restore
                .append(&batch)
                .map_err(|error| if error.code() == "T0161" { lines.refuse(error) } else { error })?;
            report.events_added += batch.len() as u64;
            report.runs_count += batch.iter().filter(|event| is_opening(event)).count() as u64;
            batch.clear();
            Ok(())
        });
        if step.is_err() {
            outcome = step;
            break;
        }
    }
    let is_cut = outcome.is_ok() && !batch.is_empty();
    // What stands before a bad line is kept, and the store is in order.
    let closed = restore.close(outcome.is_ok() && !is_cut);
    if is_cut {
        return Err(lines.refuse("the last batch is not whole"));
    }
    outcome.and(closed)
}

fn is_opening(event: &Exact) -> bool {
    event.kind == ExactKind::Own(Kind::RUN_OPENED)
}

/// The event of a line.
fn exact(line: &Exported) -> std::result::Result<Exact, String> {
    let seq = |number: u64| Seq::new(number).ok_or_else(|| "0 is no seq".to_owned());
    let kind = match line.own_kind()? {
        Some(kind) => ExactKind::Own(kind),
        None => ExactKind::User {
            name: line.type_name.clone(),
            variant: line.variant.clone(),
            version: line.version.unwrap_or_default(),
        },
    };
    if line.run.is_some() != line.revision.is_some() {
        return Err("run and revision belong together".to_owned());
    }
    Ok(Exact {
        seq: seq(line.seq)?,
        run: line.run.map(seq).transpose()?,
        revision: line.revision.unwrap_or(0),
        time_ns: line.time_ns,
        kind,
        hint: line.hint,
        redacted: line.redacted,
        payload: line.payload()?,
    })
}

/// Compares an event with the one of the same seq in the store. Not where its batch ends: in a part of a log, a batch with
/// events of other runs falls apart.
fn compare(present: &mut crate::Events<'_>, event: &Exact) -> Result<()> {
    while let Some(record) = present.next()? {
        if record.seq < event.seq {
            continue;
        }
        if is_equal(&record, event) {
            return Ok(());
        }
        break;
    }
    let message = format!("the store and the export are of the same log, and differ at seq {}", event.seq);
    Err(Error::new(ErrorKind::Diverged, "T0163", message).seq(event.seq.get()))
}

fn is_equal(record: &Record<'_>, event: &Exact) -> bool {
    let same_kind = match (&record.entry, &event.kind) {
        (Some(entry), ExactKind::User { name, variant, version }) => {
            (&entry.name, &entry.variant, &entry.version) == (name, variant, version)
        }
        (None, ExactKind::Own(kind)) => record.kind == *kind,
        _ => false,
    };
    let place = (record.seq, record.run, record.revision, record.time_ns, (record.hint, record.redacted));
    same_kind
        && place == (event.seq, event.run, event.revision, event.time_ns, (event.hint, event.redacted))
        && record.payload == event.payload
}
