//! A log, or a part of one, as lines of JSON that hold all that is needed to have it back.
//!
//! The first line is the header (`taffrail.export/1`), the last one the end (`taffrail.export-end/1`); between them stands
//! one `taffrail.exported/1` for each event. An export of a part also has a `taffrail.exported-type/1` before the first
//! event of each type. Restoring a whole export into an empty store and exporting that gives the same bytes.
//! Blobs are not part of an export: the end counts those that the events name.
//! An export of a log that lacks events, since it was compacted or repaired, is that of a part.

pub(crate) mod base64;
pub(crate) mod line;

use crate::blob::{Digest, named_by};
use crate::error::{Error, Result};
use crate::log::Reader;
use crate::{Events, Kind, Query, RunSummary, Seq, TypeRegistered};
use line::{End, Exported, Header, Line, TypeLine};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// What to export; the default is everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The first seq.
    pub from: Option<Seq>,
    /// The seq to stop before.
    pub until: Option<Seq>,
    /// Only events of this run.
    pub run: Option<RunSummary>,
}

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ExportReport {
    /// How many events.
    pub events: u64,
    /// The last one's seq; 0 for none.
    pub last_seq: u64,
    /// How many blobs the events name. Their contents are not part of an export.
    pub blobs_not_carried: u64,
}

/// Hands the lines of an export to a sink, each with its newline. Only what is durable is exported.
///
/// # Errors
/// As reading; what the sink says (`Io`).
pub fn export(
    reader: &Reader,
    selection: &Selection,
    sink: &mut dyn FnMut(&str) -> io::Result<()>,
) -> Result<ExportReport> {
    let mut lines = Lines::new(reader, selection)?;
    while let Some(line) = lines.next()? {
        sink(line).map_err(|error| Error::io("cannot write the export", error))?;
    }
    Ok(lines.report)
}

/// The lines of an export, one after the other.
pub(crate) struct Lines<'a> {
    events: Events<'a>,
    header: Option<Header>,
    names: BTreeMap<Seq, Option<String>>,
    /// The types that have been described; `None` where their registrations are events of the export.
    types: Option<BTreeSet<Kind>>,
    /// The blobs that the events name.
    blobs: BTreeSet<Digest>,
    report: ExportReport,
    is_ended: bool,
    text: String,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(reader: &'a Reader, selection: &Selection) -> Result<Lines<'a>> {
        let starts = selection.from.is_none_or(|from| from == Seq::FIRST);
        let complete = starts && selection.until.is_none() && selection.run.is_none() && !reader.has_gaps()?;
        let header = Header {
            log_id: reader.log_id().to_string(),
            format: taffrail_log_format::layout::FORMAT_VERSION,
            complete,
            run: selection.run.as_ref().and_then(|run| run.name.clone()),
            from: selection.from.filter(|_| !complete).map(Seq::get),
            until: selection.until.map(Seq::get),
        };
        let names = reader.runs()?.into_iter().map(|(number, run)| (number, run.name)).collect();
        let mut query = Query { from: selection.from, until: selection.until, durable_only: true, ..Query::all() };
        if let Some(run) = &selection.run {
            query = query.run(run.run);
        }
        Ok(Lines {
            events: reader.events(query)?,
            header: Some(header),
            names,
            types: (!complete).then(BTreeSet::new),
            blobs: BTreeSet::new(),
            report: ExportReport::default(),
            is_ended: false,
            text: String::new(),
        })
    }

    /// The next line, or two lines where a type has to be described first; with newlines. `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<&str>> {
        self.text.clear();
        if let Some(header) = self.header.take() {
            push(&mut self.text, &Line::Header(header))?;
            return Ok(Some(&self.text));
        }
        if self.is_ended {
            return Ok(None);
        }
        let Some(record) = self.events.next()? else {
            self.is_ended = true;
            self.report.blobs_not_carried = self.blobs.len() as u64;
            let ExportReport { events, last_seq, blobs_not_carried } = self.report;
            push(&mut self.text, &Line::End(End { events, last_seq, blobs_not_carried }))?;
            return Ok(Some(&self.text));
        };
        if let (Some(types), Some(entry)) = (&mut self.types, &record.entry)
            && types.insert(record.kind)
        {
            let registered = TypeRegistered { kind: record.kind, entry: (***entry).clone() };
            push(&mut self.text, &Line::Type(TypeLine { data_base64: base64::encode(&registered.encode()) }))?;
        }
        if let Some(entry) = &record.entry {
            self.blobs.extend(named_by(entry, &record.payload).into_iter().map(|(_, digest)| digest));
        }
        let name = record.run.and_then(|run| self.names.get(&run)).cloned().flatten();
        push(&mut self.text, &Line::Event(Box::new(Exported::of(&record, name))))?;
        (self.report.events, self.report.last_seq) = (self.report.events + 1, record.seq.get());
        Ok(Some(&self.text))
    }
}

fn push(text: &mut String, line: &Line) -> Result<()> {
    text.push_str(&line.to_json()?);
    text.push('\n');
    Ok(())
}
