//! Another log's events, with new seqs.

use super::lines::{Item, Lines};
use super::origin::{Foreign, Imported, Origin};
use crate::error::Result;
use crate::export::base64;
use crate::export::line::{Exported, Line};
use crate::import::record::Note;
use crate::import::report::ImportReport;
use crate::storage::Storage;
use crate::{
    Batch, BatchRun, ErrorKind, Expect, Journal, Kind, LogId, Options, Reader, RunOpened, Seq, TypeEntry,
    TypeRegistered,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most events of a batch, unless the other log has longer ones.
const MOST_EVENTS: usize = 256;
/// Length after which a batch is full, in bytes.
const FULL_LEN_BYTES: u64 = 1 << 20;

/// Runs that are named in a note.
const MOST_NAMED: usize = 10;

/// Appends what no earlier import of this log has brought.
pub(super) fn run(
    storage: &Arc<dyn Storage>,
    options: Options,
    log_id: LogId,
    lines: &mut Lines<'_>,
    report: &mut ImportReport,
) -> Result<()> {
    let journal = options.open_on(Arc::clone(storage))?;
    let control = format!("import:{log_id}");
    let mut renumber = Renumber {
        journal: &journal,
        log_id,
        expect: Expect::New,
        control,
        imported: Imported::default(),
        types: BTreeMap::new(),
        lines: Vec::new(),
        len_bytes: 0,
        seen: BTreeMap::new(),
    };
    renumber.look()?;
    let read = renumber.read(lines, report);
    // What stands before a bad line is kept.
    let appended = renumber.flush(report);
    renumber.tell_absent(report);
    read.and(appended)?;
    journal.close()
}

struct Renumber<'a> {
    journal: &'a Journal,
    log_id: LogId,
    /// The run that tells what was imported of the log: whoever appends to it is the one who imports.
    control: String,
    expect: Expect,
    imported: Imported,
    /// Types by name, variant and version, with descriptors where the export has them.
    types: BTreeMap<(String, String, u16), Arc<TypeEntry>>,
    /// Whole batches that are appended next.
    lines: Vec<Exported>,
    len_bytes: u64,
    /// The other log's runs, by their numbers there.
    seen: BTreeMap<u64, Seen>,
}

/// What has been read of a run.
struct Seen {
    name: String,
    /// Its last revision there.
    revision: u32,
    /// How many of its events are missing.
    absent: u64,
}

/// A batch in the making.
struct Draft {
    batch: Batch,
    control: BatchRun,
    runs: BTreeMap<u64, BatchRun>,
    origin: Origin,
}

impl Renumber<'_> {
    /// Reads what is there by now.
    fn look(&mut self) -> Result<()> {
        match self.journal.run(&self.control) {
            Ok(run) => {
                self.journal.sync()?;
                self.expect = Expect::Revision(run.revision());
                let reader = Reader::open_on(self.journal.storage())?;
                self.imported = Imported::read(&reader, &reader.find_run(&self.control)?)?;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, lines: &mut Lines<'_>, report: &mut ImportReport) -> Result<()> {
        let mut batch = Vec::new();
        while let Some(item) = lines.next()? {
            match item {
                Item::Type(text) => {
                    let registered = base64::decode(&text).and_then(|body| TypeRegistered::decode(&body).ok());
                    self.learn_type(registered.ok_or_else(|| lines.refuse("it describes no type"))?);
                }
                Item::Event(line) => {
                    self.check(&line).map_err(|what| lines.refuse(what))?;
                    self.count_absent(&line);
                    if self.begins_as_pending(&line, &batch) {
                        // A run is named as a parent by its number, which it has when it has been appended.
                        self.lines.append(&mut batch);
                        self.flush(report)?;
                    }
                    let more = line.more;
                    batch.push(*line);
                    if more {
                        continue;
                    }
                    self.len_bytes +=
                        batch.iter().map(|line| line.payload().map_or(0, |p| p.len() as u64)).sum::<u64>();
                    self.lines.append(&mut batch);
                    if self.lines.len() >= MOST_EVENTS || self.len_bytes >= FULL_LEN_BYTES {
                        self.flush(report)?;
                    }
                }
            }
        }
        // In a part of a log, the last event of a batch may be missing.
        self.lines.append(&mut batch);
        Ok(())
    }

    /// Whether an event opens a run whose parent is among those that are appended next.
    fn begins_as_pending(&self, line: &Exported, batch: &[Exported]) -> bool {
        let opened = || RunOpened::decode(&line.payload().ok()?).ok()?.parent;
        let is_opening = line.own_kind() == Ok(Some(Kind::RUN_OPENED));
        let parent = is_opening.then(opened).flatten().map(Seq::get);
        parent.is_some() && self.lines.iter().chain(batch).any(|pending| pending.run == parent)
    }

    /// Counts what the export lacks of an event's run: where its revisions jump.
    fn count_absent(&mut self, line: &Exported) {
        let (Some(run), Some(revision)) = (line.run, line.revision) else { return };
        let name = line.run_name.clone().unwrap_or_default();
        let seen = self.seen.entry(run).or_insert_with(|| Seen { name, revision: 0, absent: 0 });
        seen.absent += u64::from(revision.saturating_sub(seen.revision).saturating_sub(1));
        seen.revision = seen.revision.max(revision);
    }

    /// Says which events of which runs are not in the export: here, nothing else tells of them.
    fn tell_absent(&self, report: &mut ImportReport) {
        let absent: Vec<&Seen> = self.seen.values().filter(|seen| seen.absent > 0).collect();
        let named = absent.iter().take(MOST_NAMED).map(|seen| format!("{} of {}", seen.absent, seen.name));
        let names: Vec<String> = named.collect();
        let more = match absent.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(", and more of {more} other runs"),
        };
        if !names.is_empty() {
            let names = names.join(", ");
            report
                .notes
                .push(format!("the export lacks events of its runs, which were compacted away or lost: {names}{more}"));
        }
    }

    fn learn_type(&mut self, registered: TypeRegistered) {
        let entry = registered.entry;
        let key = (entry.name.clone(), entry.variant.clone(), entry.version);
        self.types.entry(key).or_insert_with(|| Arc::new(entry));
    }

    /// Checks a line, and takes what a registration tells.
    fn check(&mut self, line: &Exported) -> std::result::Result<(), String> {
        let payload = line.payload()?;
        match line.own_kind()? {
            Some(Kind::TYPE_REGISTERED) => {
                self.learn_type(TypeRegistered::decode(&payload).map_err(|error| error.to_string())?);
            }
            Some(Kind::RUN_OPENED) => {
                RunOpened::decode(&payload).map_err(|error| error.to_string())?;
            }
            Some(_) => {}
            None if !line.entry().is_valid() => return Err(format!("{:?} is no type", line.entry().full_name())),
            None => {}
        }
        match (&line.run, &line.run_name) {
            (Some(_), Some(name)) if !RunOpened::is_valid_name(name) => Err(format!("{name:?} is no name for a run")),
            (Some(_), None) => Err("the run's name is missing".to_owned()),
            _ => Ok(()),
        }
    }

    /// Appends what has gathered. Where somebody else imports the same log, what they have brought is left out.
    fn flush(&mut self, report: &mut ImportReport) -> Result<()> {
        let lines = std::mem::take(&mut self.lines);
        self.len_bytes = 0;
        loop {
            let (new, old): (Vec<&Exported>, Vec<&Exported>) =
                lines.iter().partition(|line| !self.imported.has(line.seq));
            if new.is_empty() {
                report.events_already_there += old.len() as u64;
                return Ok(());
            }
            let Draft { batch, origin, .. } = self.draft(&new)?;
            match self.journal.append(batch) {
                Ok(appended) => {
                    self.expect = Expect::Revision(appended.revision);
                    self.imported.learn(&origin);
                    report.events_added += new.len() as u64;
                    report.redacted += appended.redacted;
                    report.events_already_there += old.len() as u64;
                    report.runs_count += origin.runs.len() as u64;
                    return Ok(());
                }
                Err(failed) if failed.error.kind() == ErrorKind::Conflict => self.look()?,
                Err(failed) => return Err(failed.error),
            }
        }
    }

    fn draft(&self, lines: &[&Exported]) -> Result<Draft> {
        let mut batch = Batch::new();
        if let Some(first) = lines.first() {
            batch.at_time(first.time_ns);
        }
        let control = batch.run_or_create(self.control.as_str(), self.expect);
        let origin = Origin {
            log_id: self.log_id.to_string(),
            imported_at_ns: self.journal.storage().now_ns(),
            ..Origin::default()
        };
        let mut draft = Draft { batch, control, runs: BTreeMap::new(), origin };
        for line in lines {
            self.add(&mut draft, line)?;
        }
        let last_ns = lines.last().map_or(0, |line| line.time_ns);
        draft.batch.event_at(Some(draft.control), &Origin::entry(), last_ns, &draft.origin.payload()?);
        Ok(draft)
    }

    fn add(&self, draft: &mut Draft, line: &Exported) -> Result<()> {
        draft.origin.add(line.seq);
        let payload = line.payload().unwrap_or_default();
        let kind = line.own_kind().unwrap_or_default();
        let run = match line.run {
            Some(number) => Some(self.run_of(draft, number, line, kind, &payload)?),
            None => None,
        };
        match kind {
            Some(Kind::RUN_OPENED | Kind::TYPE_REGISTERED) => {}
            Some(_) => {
                let line = Line::Event(Box::new(line.clone())).to_json()?;
                let note = Foreign { line: serde_json::from_str(&line).unwrap_or_default() };
                draft.batch.event(Some(draft.control), &Foreign::entry(), &note.payload()?);
            }
            None => {
                let entry = line.entry();
                let known = self.types.get(&(entry.name.clone(), entry.variant.clone(), entry.version)).cloned();
                draft.batch.event_at(run, &known.unwrap_or_else(|| Arc::new(entry)), line.time_ns, &payload);
                if line.redacted {
                    draft.batch.was_redacted();
                }
            }
        }
        Ok(())
    }

    /// The run of the batch that an event's run is here.
    fn run_of(
        &self,
        draft: &mut Draft,
        number: u64,
        line: &Exported,
        kind: Option<Kind>,
        payload: &[u8],
    ) -> Result<BatchRun> {
        if let Some(run) = draft.runs.get(&number) {
            return Ok(*run);
        }
        let run = match self.imported.runs.get(&number) {
            Some(name) => draft.batch.run(name.as_str(), Expect::Any),
            None => {
                let name = self.free_name(draft, line.run_name.as_deref().unwrap_or_default())?;
                let opened = RunOpened::decode(payload).ok().filter(|_| kind == Some(Kind::RUN_OPENED));
                let parent = opened.and_then(|opened| opened.parent).and_then(|parent| self.number_here(parent));
                draft.origin.runs.insert(number, name.clone());
                draft.batch.run_from(name, parent)
            }
        };
        draft.runs.insert(number, run);
        Ok(run)
    }

    /// The number that a run of the other log has here, if it was imported in an earlier batch.
    fn number_here(&self, parent: Seq) -> Option<Seq> {
        let name = self.imported.runs.get(&parent.get())?;
        self.journal.run(name).ok().map(|run| run.number())
    }

    /// The run's own name, or one that tells the log as well where that is taken.
    fn free_name(&self, draft: &Draft, wanted: &str) -> Result<String> {
        let log_id = self.log_id.to_string();
        // A long name leaves no room for what tells it apart.
        let end = (0..=wanted.len().min(200)).rev().find(|end| wanted.is_char_boundary(*end)).unwrap_or(0);
        let mut number = 0_u64;
        loop {
            let name = match number {
                0 => wanted.to_owned(),
                1 => format!("{}~{}", &wanted[..end], &log_id[..8]),
                more => format!("{}~{}~{more}", &wanted[..end], &log_id[..8]),
            };
            let is_taken = draft.origin.runs.values().any(|other| *other == name) || name == self.control;
            match self.journal.run(&name) {
                Err(error) if error.kind() == ErrorKind::NotFound && !is_taken => return Ok(name),
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => number += 1,
            }
        }
    }
}
