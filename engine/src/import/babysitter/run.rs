//! Reading one run, item by item.

use super::content::{Whole, read_whole};
use super::event::{Interpreted, body_oddity, interpret};
use super::event_name::EventName;
use super::javascript_json::{Value, parse};
use super::order::Order;
use super::shape::{BodyError, EventBody};
use super::walk::{Listing, join};
use super::{FileKind, Limits, Oddity, OddityCode, Place, RunLocation};
use super::{SourceError, SourceEvent, SourceFile, SourceItem};
use crate::storage::{Entry, EntryKind, Storage};
use std::collections::{BTreeSet, VecDeque};

/// What `run.json` says of the run; every field `None` where the file is missing or unreadable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunHeader {
    /// The run's id. Not always the directory's name, and not always unique: a copied run keeps it.
    pub run_id: Option<String>,
    /// The process's id.
    pub process_id: Option<String>,
    /// `2026.01-storage-preview` in everything seen.
    pub layout_version: Option<String>,
    /// The version of the orchestrator that made the run; absent before 6.0.0.
    pub sdk_version: Option<String>,
}

/// An iterator over the items of one run.
///
/// Holds the names in two directories at a time, and the content of one event. After an error, reading goes on with the
/// next item.
#[derive(Debug)]
pub struct RunReader<'storage> {
    storage: &'storage dyn Storage,
    limits: Limits,
    location: RunLocation,
    header: RunHeader,
    top: Listing,
    journal: Listing,
    events: VecDeque<(EventName, Entry)>,
    order: Order,
    /// The same for the backup that is being visited.
    backup_order: Order,
    saw_run_id: bool,
    /// Files whose change was reported when they were read; the last listing does not report them again.
    reported: BTreeSet<String>,
    /// Directories and files still to be visited, the next one last; a path relative to the run, and its depth.
    remaining: Vec<(String, Entry, usize)>,
    stage: Stage,
    ready: VecDeque<SourceItem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Events,
    Files,
    ListAgain,
    Done,
}

impl<'storage> RunReader<'storage> {
    /// Lists a run's directory and its journal, and reads `run.json`.
    ///
    /// # Errors
    /// [`SourceError`] where the machine refuses; a missing journal or `run.json` is an oddity.
    pub fn open(storage: &'storage dyn Storage, location: &RunLocation, limits: Limits) -> Result<Self, SourceError> {
        let top = Listing::of(storage, &location.directory)?;
        let has_journal = top.has("journal", EntryKind::Directory);
        let journal_directory = join(&location.directory, "journal");
        let journal = if has_journal { Listing::of(storage, &journal_directory)? } else { Listing::default() };
        let mut reader = Self {
            storage,
            limits,
            location: location.clone(),
            header: RunHeader::default(),
            events: VecDeque::new(),
            remaining: Vec::new(),
            order: Order::default(),
            backup_order: Order::default(),
            saw_run_id: false,
            reported: BTreeSet::new(),
            stage: Stage::Events,
            ready: VecDeque::new(),
            top,
            journal,
        };
        reader.header = reader.read_header()?;
        reader.judge_top();
        reader.plan();
        Ok(reader)
    }

    /// What `run.json` says.
    #[must_use]
    pub fn header(&self) -> &RunHeader {
        &self.header
    }

    fn path(&self, relative: &str) -> String {
        join(&self.location.directory, relative)
    }

    fn odd(&mut self, file: &str, code: OddityCode, reason: &str) {
        self.ready.push_back(SourceItem::Oddity(Oddity::new(file, code, Place::File, reason)));
    }

    fn extend(&mut self, oddities: impl IntoIterator<Item = Oddity>) {
        for oddity in oddities {
            if matches!(oddity.code, OddityCode::Vanished | OddityCode::ChangedWhileRead)
                && !self.reported.insert(oddity.file.clone())
            {
                continue;
            }
            self.ready.push_back(SourceItem::Oddity(oddity));
        }
    }

    fn read_header(&self) -> Result<RunHeader, SourceError> {
        let Some(entry) = self.top.entries.get("run.json").filter(|entry| entry.kind == EntryKind::File) else {
            return Ok(RunHeader::default());
        };
        let path = self.path("run.json");
        let whole = read_whole(self.storage, &path, entry.len_bytes, self.limits.event_len_bytes)?;
        let Whole::Bytes(bytes, _) = whole else { return Ok(RunHeader::default()) };
        let value = parse(&String::from_utf8_lossy(&bytes)).unwrap_or(Value::Null);
        let text = |key: &str| value.get(key).and_then(Value::as_text).map(std::borrow::Cow::into_owned);
        Ok(RunHeader {
            run_id: text("runId"),
            process_id: text("processId"),
            layout_version: text("layoutVersion"),
            sdk_version: text("sdkVersion"),
        })
    }

    fn judge_top(&mut self) {
        let directory = self.location.directory.clone();
        let oddities = std::mem::take(&mut self.top.oddities);
        self.extend(oddities);
        if !self.top.has("run.json", EntryKind::File) {
            self.odd(&directory, OddityCode::RunJsonMissing, "no run.json");
        }
        if !self.top.has("journal", EntryKind::Directory) {
            self.odd(&directory, OddityCode::JournalMissing, "no journal/");
        }
        if let (Some(name), Some(run_id)) = (self.location.name(), &self.header.run_id)
            && name != run_id
        {
            let (path, reason) = (self.path("run.json"), format!("runId {run_id:?} in a directory {name:?}"));
            self.odd(&path, OddityCode::RunIdDiffers, &reason);
        }
    }

    /// Sorts events from other files, and puts both in line.
    fn plan(&mut self) {
        let oddities = std::mem::take(&mut self.journal.oddities);
        self.extend(oddities);
        let mut events = Vec::new();
        let mut strays = Vec::new();
        for (name, entry) in &self.journal.entries {
            match EventName::parse(name) {
                Some(parsed) if entry.kind == EntryKind::File => events.push((parsed, entry.clone())),
                _ => strays.push((format!("journal/{name}"), entry.clone(), 1)),
            }
        }
        // The entries come sorted by name, and the sort is stable: the name decides last.
        events.sort_by(|left, right| left.0.order_key().cmp(&right.0.order_key()));
        self.events = events.into();
        let mut files: Vec<_> = self.top.entries.iter().map(|(name, entry)| (name.clone(), entry.clone(), 0)).collect();
        files.retain(|(name, entry, _)| name != "journal" || entry.kind != EntryKind::Directory);
        files.extend(strays);
        files.sort_by(|left, right| right.0.cmp(&left.0));
        self.remaining = files;
    }

    /// Does the next piece of work, whose outcome is appended to `ready`.
    fn step(&mut self) -> Result<(), SourceError> {
        match self.stage {
            Stage::Events => match self.events.pop_front() {
                Some((name, entry)) => self.read_event(&name, &entry),
                None => {
                    self.stage = Stage::Files;
                    Ok(())
                }
            },
            Stage::Files => match self.remaining.pop() {
                Some((path, entry, depth)) if entry.kind == EntryKind::Directory => self.enter(&path, depth),
                Some((path, entry, _)) => self.read_file(&path, &entry),
                None => {
                    self.stage = Stage::ListAgain;
                    Ok(())
                }
            },
            Stage::ListAgain => {
                self.stage = Stage::Done;
                self.list_again()
            }
            Stage::Done => Ok(()),
        }
    }

    fn read_event(&mut self, name: &EventName, entry: &Entry) -> Result<(), SourceError> {
        let path = self.path(&format!("journal/{}", entry.name));
        let of_name = self.order.judge_name(&path, &entry.name, name);
        let whole = match read_whole(self.storage, &path, entry.len_bytes, self.limits.event_len_bytes) {
            Ok(whole) => whole,
            Err(error) => {
                self.extend(of_name);
                return Err(error);
            }
        };
        match whole {
            Whole::Bytes(raw, changed) => {
                let Interpreted { event, oddities, run_id } = interpret(&path, name, raw);
                let of_time = self.order.judge_time(&path, name, event.recorded_at_ns);
                let of_run_id = self.judge_run_id(&event, run_id);
                self.ready.push_back(SourceItem::Event(event));
                self.extend(of_name.into_iter().chain(oddities).chain(of_time).chain(of_run_id).chain(changed));
            }
            Whole::TooLarge(len_bytes) => {
                let file = SourceFile { name: path.clone(), kind: FileKind::OversizeEvent, len_bytes };
                self.ready.push_back(SourceItem::File(file));
                self.extend(of_name);
                let reason = format!("{len_bytes} bytes, above {}", self.limits.event_len_bytes);
                self.odd(&path, OddityCode::FileTooLarge, &reason);
            }
            Whole::Gone(gone) => self.extend(of_name.into_iter().chain([gone])),
        }
        Ok(())
    }

    /// Compares the first run id that an event tells with the one in `run.json`.
    fn judge_run_id(&mut self, event: &SourceEvent, run_id: Option<String>) -> Option<Oddity> {
        let told = run_id.filter(|_| !std::mem::replace(&mut self.saw_run_id, true))?;
        let known = self.header.run_id.as_ref().filter(|known| **known != told)?;
        let place = event.seq.map_or(Place::File, Place::Seq);
        let reason = format!("runId {told:?}, in run.json {known:?}");
        Some(Oddity::new(&event.file, OddityCode::RunIdDiffers, place, reason))
    }

    fn enter(&mut self, relative: &str, depth: usize) -> Result<(), SourceError> {
        let path = self.path(relative);
        if relative.starts_with("journal.") && depth == 0 {
            self.backup_order = Order::default();
            self.odd(&path, OddityCode::BackupBesideJournal, "the run was repaired or recovered; kept as files");
        }
        if relative.starts_with("journal/") && depth == 1 {
            self.odd(&path, OddityCode::StrayFile, "a directory in the journal");
        }
        if depth >= self.limits.depth_directories {
            self.odd(&path, OddityCode::DepthLimit, "not looked into");
            return Ok(());
        }
        let listing = Listing::of(self.storage, &path)?;
        self.extend(listing.oddities);
        let inside = listing.entries.into_iter().rev();
        self.remaining.extend(inside.map(|(name, entry)| (join(relative, &name), entry, depth + 1)));
        Ok(())
    }

    fn read_file(&mut self, relative: &str, entry: &Entry) -> Result<(), SourceError> {
        let name = self.path(relative);
        let kind = FileKind::of(relative);
        self.ready.push_back(SourceItem::File(SourceFile { name: name.clone(), kind, len_bytes: entry.len_bytes }));
        if relative.starts_with("journal/") {
            self.odd(&name, OddityCode::StrayFile, "not an event");
        }
        if kind == FileKind::JournalBackup
            && let Some(event_name) = EventName::parse(&entry.name)
        {
            return self.judge_backup_event(&name, &event_name, entry);
        }
        if !(kind.is_json() || kind == FileKind::Lock) || entry.len_bytes > self.limits.event_len_bytes {
            return Ok(());
        }
        match read_whole(self.storage, &name, entry.len_bytes, self.limits.event_len_bytes)? {
            Whole::Bytes(bytes, changed) => {
                self.extend(changed);
                self.extend(document_oddity(&name, kind, &bytes));
            }
            Whole::TooLarge(_) => self.odd(&name, OddityCode::ChangedWhileRead, "grew above the limit"),
            Whole::Gone(gone) => self.extend([gone]),
        }
        Ok(())
    }

    /// Judges an event of a backup, which stays a file: what a repair did away with is often seen there alone.
    fn judge_backup_event(&mut self, path: &str, name: &EventName, entry: &Entry) -> Result<(), SourceError> {
        let of_name = self.backup_order.judge_name(path, &entry.name, name);
        self.extend(of_name);
        match read_whole(self.storage, path, entry.len_bytes, self.limits.event_len_bytes)? {
            Whole::Bytes(raw, changed) => {
                let Interpreted { event, oddities, .. } = interpret(path, name, raw);
                let of_time = self.backup_order.judge_time(path, name, event.recorded_at_ns);
                self.extend(oddities.into_iter().chain(of_time).chain(changed));
            }
            Whole::TooLarge(len_bytes) => {
                self.odd(path, OddityCode::FileTooLarge, &format!("{len_bytes} bytes: not looked into"));
            }
            Whole::Gone(gone) => self.extend([gone]),
        }
        Ok(())
    }

    /// Lists the run's directory and its journal once more.
    fn list_again(&mut self) -> Result<(), SourceError> {
        let directory = self.location.directory.clone();
        let top = Listing::of(self.storage, &directory)?;
        self.extend(self.top.changes_to(&top, &directory));
        if self.top.has("journal", EntryKind::Directory) {
            let directory = self.path("journal");
            let journal = Listing::of(self.storage, &directory)?;
            self.extend(self.journal.changes_to(&journal, &directory));
        }
        Ok(())
    }
}

/// What is wrong with a file that should hold one JSON document. `inputs.json` and the output may hold any value.
fn document_oddity(name: &str, kind: FileKind, bytes: &[u8]) -> Option<Oddity> {
    let error = EventBody::parse(bytes).err()?;
    match (kind, error) {
        (FileKind::Lock, BodyError::Empty) => {
            Some(Oddity::new(name, OddityCode::TornLock, Place::File, format!("{} bytes, empty", bytes.len())))
        }
        (FileKind::Lock, _) if bytes.starts_with(b"{") || bytes.iter().all(|byte| *byte == 0) => {
            Some(Oddity::new(name, OddityCode::TornLock, Place::File, "not whole"))
        }
        (FileKind::Lock, _) => None,
        (FileKind::Inputs | FileKind::Output, BodyError::NotAnObject) => None,
        (_, error) => Some(body_oddity(name, error)),
    }
}

impl Iterator for RunReader<'_> {
    type Item = Result<SourceItem, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            if self.stage == Stage::Done {
                return None;
            }
            if let Err(error) = self.step() {
                return Some(Err(error));
            }
        }
    }
}
