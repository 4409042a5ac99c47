//! The writing side: runs of a source into a journal.

use super::super::report::{ImportFailure, ImportProgress, ImportReport, OddityLine};
use super::super::stopped;
use super::kinds::Kinds;
use super::known::Known;
use super::run_import::RunImport;
use super::{Limits, RunLocation, RunReader, SourceItem, discover, naming};
use crate::blob::{Blobs, Digest};
use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::{ErrorKind, Journal, Reader, Seq};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Where an import goes.
#[derive(Debug)]
pub enum Target<'a> {
    /// Into this journal, which appends at once.
    Journal(&'a Journal),
    /// Nowhere: the report tells what would be done. `None` where there is no store yet.
    DryRun(Option<&'a Reader>),
}

/// A directory to import from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The directory; only read from.
    pub storage: &'a dyn Storage,
    /// Its path, recorded as data: two directories of the same name are told apart by it.
    pub path: &'a str,
}

/// Longest event that becomes an event of the log, in bytes; longer ones are kept as blobs.
const EVENT_LEN_BYTES: u64 = 8 << 20;
/// How often the import of a run begins anew because somebody else appends to the run.
const MOST_ATTEMPTS: u32 = 100;

/// Imports every run at or below a directory. What is there already is not appended again; what an interrupted import has
/// left is added. Where `progress` breaks, what has been read by then is appended, and the import ends.
///
/// # Errors
/// [`ImportFailure`], with what was done before: `NotFound` (T0151) where the source holds no run; `Io` where the source
/// can not be listed or the store can not be written, and where `progress` breaks; `Conflict` where somebody else keeps appending to the same runs; what
/// the journal says. Troubles of single files are oddities in the report, never errors.
pub fn import(
    target: &Target<'_>,
    source: Source<'_>,
    progress: &mut dyn FnMut(&ImportProgress) -> ControlFlow<()>,
) -> std::result::Result<ImportReport, ImportFailure> {
    let is_dry = matches!(target, Target::DryRun(_));
    let mut import = Import {
        source,
        store: Store::new(target),
        kinds: Kinds::new(match target {
            Target::Journal(journal) => journal.type_count(),
            Target::DryRun(_) => 0,
        }),
        report: ImportReport::new("babysitter", is_dry),
        progress: ImportProgress::default(),
        tell: progress,
        is_stopped: false,
    };
    match import.all() {
        Ok(()) => Ok(import.report),
        Err(error) => Err(ImportFailure { error, report: Box::new(import.report) }),
    }
}

/// An import at work.
pub(super) struct Import<'a> {
    pub(super) source: Source<'a>,
    pub(super) store: Store<'a>,
    pub(super) kinds: Kinds,
    pub(super) report: ImportReport,
    pub(super) progress: ImportProgress,
    pub(super) tell: &'a mut dyn FnMut(&ImportProgress) -> ControlFlow<()>,
    /// Whether whoever watches wants no more.
    pub(super) is_stopped: bool,
}

/// The store as the import sees it.
pub(super) struct Store<'a> {
    pub(super) journal: Option<&'a Journal>,
    reader: Option<&'a Reader>,
    /// Names of a store that is only looked at, with first event, last event and revision.
    names: Option<BTreeMap<String, Tip>>,
    pub(super) blobs: Option<Blobs>,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug)]
struct Tip {
    number: Seq,
    last: Seq,
    revision: u32,
}

/// The place that a run of the source has in the store, or gets.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    /// The run's revision; `None` for a run that is not there yet.
    pub(super) revision: Option<u32>,
    pub(super) known: Known,
}

impl<'a> Store<'a> {
    fn new(target: &Target<'a>) -> Store<'a> {
        match target {
            Target::Journal(journal) => {
                let blobs = Some(Blobs::new(journal.storage()));
                Store { journal: Some(journal), reader: None, names: None, blobs }
            }
            Target::DryRun(reader) => Store { journal: None, reader: *reader, names: None, blobs: None },
        }
    }

    fn find(&mut self, name: &str) -> Result<Option<Tip>> {
        if let Some(journal) = self.journal {
            return match journal.run(name) {
                Ok(run) => Ok(Some(Tip { number: run.number(), last: run.last(), revision: run.revision() })),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            };
        }
        if self.names.is_none() {
            let runs = self.reader.map(Reader::runs).transpose()?.unwrap_or_default();
            let named = runs.into_values().filter_map(|run| {
                let tip = Tip { number: run.run, last: run.last, revision: run.revision };
                Some((run.name?, tip))
            });
            self.names = Some(named.collect());
        }
        Ok(self.names.as_ref().and_then(|names| names.get(name)).copied())
    }

    fn known(&self, tip: Tip) -> Result<Known> {
        match (self.journal, self.reader) {
            (Some(journal), _) => {
                // A journal that gathers appends in memory has them in the file after this.
                journal.sync()?;
                Known::read(&Reader::open_on(journal.storage())?, tip.number, tip.last)
            }
            (None, Some(reader)) => Known::read(reader, tip.number, tip.last),
            (None, None) => Ok(Known::default()),
        }
    }
}

impl Import<'_> {
    pub(super) fn limits() -> Limits {
        Limits { event_len_bytes: EVENT_LEN_BYTES, ..Limits::default() }
    }

    fn all(&mut self) -> Result<()> {
        let unreadable = |error: super::SourceError| {
            Error::io(format_args!("the source can not be listed: {:?}", error.file), error.source)
        };
        let found = discover(self.source.storage, &Self::limits()).map_err(unreadable)?;
        if found.runs.is_empty() {
            let message = format!("there is no run in {:?}: no directory with run.json or journal/", self.source.path);
            return Err(Error::new(ErrorKind::NotFound, "T0151", message));
        }
        for oddity in found.oddities {
            let (code, is_new) = (oddity.code.as_str().to_owned(), true);
            self.report.oddities.add(OddityLine { run: None, file: oddity.file, code, reason: oddity.reason, is_new });
        }
        self.progress.runs_total = found.runs.len() as u64;
        for location in &found.runs {
            self.one(location)?;
            self.progress.runs_done += 1;
            if (self.tell)(&self.progress).is_break() {
                return Err(stopped());
            }
        }
        Ok(())
    }

    /// One run, from the beginning again as often as somebody else was faster: what is there by then is passed over.
    fn one(&mut self, location: &RunLocation) -> Result<()> {
        for _ in 1..MOST_ATTEMPTS {
            match RunImport::run(self, location) {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                outcome => return outcome,
            }
        }
        RunImport::run(self, location)
    }

    /// The path of a run's directory as the log records it, and its last component.
    pub(super) fn path_of(&self, location: &RunLocation) -> (String, String) {
        let root = self.source.path.trim_end_matches('/');
        let path =
            if location.directory.is_empty() { root.to_owned() } else { format!("{root}/{}", location.directory) };
        let directory = path.rsplit('/').next().unwrap_or_default().to_owned();
        (path, directory)
    }

    /// The place of a run: that of an earlier import of the same run, or a free name.
    pub(super) fn place(&mut self, location: &RunLocation, run_id: Option<&str>) -> Result<Place> {
        let (path, directory) = self.path_of(location);
        let first = naming::name_of(run_id, &directory);
        for number in 1.. {
            let name = naming::choice(&first, number);
            let Some(tip) = self.store.find(&name)? else {
                return Ok(Place { name, revision: None, known: Known::default() });
            };
            let known = self.store.known(tip)?;
            let Some(origin) = &known.origin else { continue };
            let same_names = origin.run_id.as_deref() == run_id && origin.directory == directory;
            if same_names && (origin.path == path || !self.contradicts(location, &known)) {
                return Ok(Place { name, revision: Some(tip.revision), known });
            }
        }
        Err(Error::new(ErrorKind::Invalid, "T0190", "there are more runs than numbers"))
    }

    /// Whether a run at another path than the imported one is another run: it has an event file of the same name with
    /// another content, or each of the two has event files that the other has not. A copy that has only grown is the same.
    fn contradicts(&self, location: &RunLocation, known: &Known) -> bool {
        let Ok(reader) = RunReader::open(self.source.storage, location, Self::limits()) else { return true };
        let (mut shared, mut more) = (0, false);
        for item in reader {
            let Ok(SourceItem::Event(event)) = item else { continue };
            match known.events.get(relative(location, &event.file)) {
                None => more = true,
                Some(digest) if *digest != Digest::of(&event.raw) => return true,
                Some(_) => shared += 1,
            }
        }
        more && shared < known.events.len()
    }
}

/// A file's name relative to the run's directory.
pub(super) fn relative<'name>(location: &RunLocation, file: &'name str) -> &'name str {
    let rest = file.strip_prefix(&location.directory).unwrap_or(file);
    rest.strip_prefix('/').unwrap_or(rest)
}
