//! One run of a source into the journal.

use super::super::record::{EventNote, FileNote, OddityNote, RunImported};
use super::super::redact_file;
use super::super::report::{OddityLine, RunLine};
use super::super::stopped;
use super::kinds::name_of_kind;
use super::pending::Pending;
use super::store::{Import, Place, relative};
use super::{Checksum, Copied, Oddity, RunLocation, RunReader, SourceError, SourceEvent, SourceFile, SourceItem};
use crate::Journal;
use crate::blob::{Digest, PutError};
use crate::error::{Error, Result};
use crate::redact::Redactor;
use crate::storage::Storage;
use std::collections::BTreeSet;

/// Files up to this length are held in memory while it is found out whether they are there already.
const BUFFER_LEN_BYTES: usize = 1 << 20;
/// The class of an oddity: a file had another content when it was imported before.
const CHANGED: &str = "changed-since-import";
/// The class of an oddity: an event was imported before, and its file is gone.
const GONE: &str = "gone-since-import";
/// The class of an oddity: the machine refused to read a file.
const REFUSED: &str = "read-refused";
/// The class of an oddity: a file is too long to be looked through for what must not be written.
const NOT_REDACTED: &str = "not-redacted";

/// A file's content as it was kept, or would be.
struct Kept {
    digest: Digest,
    len_bytes: u64,
    redacted: u64,
    /// What it was before it was redacted.
    source_digest: Option<Digest>,
}

/// See the module.
pub(super) struct RunImport<'i, 'a> {
    import: &'i mut Import<'a>,
    location: &'i RunLocation,
    place: Place,
    origin: RunImported,
    pending: Pending,
    /// The time of the event before.
    previous_ns: Option<i64>,
    /// Event files that were met and that an earlier import had met as well.
    seen_again: BTreeSet<String>,
    line: RunLine,
    /// Places that were redacted.
    redacted: u64,
    oddities: Vec<OddityLine>,
}

impl<'i, 'a> RunImport<'i, 'a> {
    /// Imports one run. A `Conflict` leaves what was appended by then.
    pub(super) fn run(import: &'i mut Import<'a>, location: &'i RunLocation) -> Result<()> {
        let storage = import.source.storage;
        let opened = RunReader::open(storage, location, Import::limits());
        let reader = opened
            .map_err(|error| Error::io(format_args!("the source can not be listed: {:?}", error.file), error.source))?;
        let header = reader.header().clone();
        let place = import.place(location, header.run_id.as_deref())?;
        let (path, directory) = import.path_of(location);
        let now_ns = import.store.journal.map_or(0, |journal| journal.storage().now_ns());
        let origin = RunImported {
            source: "babysitter".to_owned(),
            path,
            directory,
            run_id: header.run_id,
            process_id: header.process_id,
            layout_version: header.layout_version,
            sdk_version: header.sdk_version,
            imported_at_ns: now_ns,
        };
        let line = RunLine {
            name: place.name.clone(),
            directory: location.directory.clone(),
            is_new: place.revision.is_none(),
            ..RunLine::default()
        };
        let mut run = RunImport {
            import,
            location,
            place,
            origin,
            pending: Pending::default(),
            previous_ns: None,
            seen_again: BTreeSet::new(),
            line,
            redacted: 0,
            oddities: Vec::new(),
        };
        let outcome = run.read(storage, reader);
        run.finish(outcome)
    }

    fn read(&mut self, storage: &dyn Storage, reader: RunReader<'_>) -> Result<()> {
        for item in reader {
            match item {
                Ok(SourceItem::Event(event)) => self.event(event),
                Ok(SourceItem::File(file)) => self.file(storage, &file)?,
                Ok(SourceItem::Oddity(oddity)) => self.oddity(&oddity),
                Err(error) => self.refused(&error),
            }
            if self.import.is_stopped {
                self.flush()?;
                return Err(stopped());
            }
            if self.pending.is_full() {
                self.flush()?;
            }
        }
        let gone: Vec<String> =
            self.place.known.events.keys().filter(|file| !self.seen_again.contains(*file)).cloned().collect();
        for file in gone {
            self.note(file, GONE.to_owned(), "imported before, and no longer there".to_owned());
            if self.pending.is_full() {
                self.flush()?;
            }
        }
        if self.place.revision.is_none() || !self.pending.is_empty() {
            self.flush()?;
        }
        Ok(())
    }

    /// Puts the run's line into the report. An import that begins anew reports the run once.
    fn finish(self, outcome: Result<()>) -> Result<()> {
        let report = &mut self.import.report;
        report.events_added += self.line.events_added;
        report.files_kept += self.line.files_kept;
        report.redacted += self.redacted;
        let is_conflict = outcome.as_ref().is_err_and(|error| error.kind() == crate::ErrorKind::Conflict);
        if !is_conflict {
            report.events_already_there += self.line.events_already_there;
            report.files_already_there += self.line.files_already_there;
            self.oddities.into_iter().for_each(|line| report.oddities.add(line));
            report.list_run(self.line);
        }
        outcome
    }

    fn event(&mut self, event: SourceEvent) {
        let file = relative(self.location, &event.file).to_owned();
        let len_bytes = event.raw.len() as u64;
        self.progressed(1, len_bytes);
        let time_ns = event.recorded_at_ns.or(self.previous_ns);
        self.previous_ns = time_ns;
        let digest = Digest::of(&event.raw);
        let before = self.place.known.events.get(&file).copied();
        if before.is_some() {
            self.seen_again.insert(file.clone());
        }
        if before == Some(digest) {
            self.line.events_already_there += 1;
            return;
        }
        if let Some(before) = before {
            self.note(file.clone(), CHANGED.to_owned(), format!("its digest was {before}, and is {digest} now"));
        }
        let entry = self.import.kinds.of(&event);
        let note = EventNote {
            file,
            seq: event.seq,
            checksum: checksum_name(&event.checksum).to_owned(),
            digest,
            type_name: event.type_name.filter(|name| *name != entry.variant),
            ulid: event.ulid,
            time_is_previous: event.recorded_at_ns.is_none(),
            replaces: before,
        };
        let time_ns = time_ns.unwrap_or(self.origin.imported_at_ns);
        self.pending.event(entry, time_ns, event.raw, note);
    }

    fn oddity(&mut self, oddity: &Oddity) {
        let file = relative(self.location, &oddity.file).to_owned();
        self.note(file, oddity.code.as_str().to_owned(), oddity.reason.clone());
    }

    fn refused(&mut self, error: &SourceError) {
        let file = relative(self.location, &error.file).to_owned();
        // What could not be read may be there all the same.
        self.seen_again.insert(file.clone());
        self.note(file, REFUSED.to_owned(), error.source.to_string());
    }

    fn note(&mut self, file: String, code: String, reason: String) {
        self.line.oddities += 1;
        let note = OddityNote { file, code, reason };
        let is_new = self.place.known.learn(&note);
        self.oddities.push(OddityLine {
            run: Some(self.place.name.clone()),
            file: note.file.clone(),
            code: note.code.clone(),
            reason: note.reason.clone(),
            is_new,
        });
        if is_new {
            self.pending.oddity(note);
        }
    }

    fn progressed(&mut self, events: u64, bytes: u64) {
        self.import.progress.events += events;
        self.import.progress.bytes += bytes;
        self.import.report.bytes_read += bytes;
        self.import.is_stopped |= (self.import.tell)(&self.import.progress).is_break();
    }

    /// Keeps a file as a blob, unless it is there.
    fn file(&mut self, storage: &dyn Storage, file: &SourceFile) -> Result<()> {
        let name = relative(self.location, &file.name).to_owned();
        let before = self.place.known.files.get(&name).copied();
        let redactor = self.import.store.journal.and_then(Journal::redactor);
        let kept = match redactor {
            Some(redactor) => self.keep_redacted(storage, file, before, &redactor)?,
            None => self.keep(storage, file, before)?,
        };
        let Some(kept) = kept else { return Ok(()) };
        let found = kept.source_digest.unwrap_or(kept.digest);
        if before == Some(found) {
            self.line.files_already_there += 1;
            return Ok(());
        }
        if let Some(before) = before {
            self.note(name.clone(), CHANGED.to_owned(), format!("its digest was {before}, and is {found} now"));
        }
        let Kept { digest, len_bytes, redacted, source_digest } = kept;
        let kind = name_of_kind(file.kind).to_owned();
        let note = FileNote { file: name, kind, len_bytes, digest, redacted, source_digest, replaces: before };
        self.pending.file(note);
        Ok(())
    }

    /// Keeps a file as it is. One that is there is read, and not written again.
    fn keep(&mut self, storage: &dyn Storage, file: &SourceFile, before: Option<Digest>) -> Result<Option<Kept>> {
        let is_small = file.len_bytes <= BUFFER_LEN_BYTES as u64;
        if before.is_none() && !is_small && self.import.store.blobs.is_some() {
            return self.stream(storage, file);
        }
        let Some((mut kept, bytes)) = self.read_file(storage, file, BUFFER_LEN_BYTES) else { return Ok(None) };
        if before == Some(kept.digest) {
            return Ok(Some(kept));
        }
        match (&mut self.import.store.blobs, bytes) {
            (None, _) => Ok(Some(kept)),
            (Some(blobs), Some(bytes)) => {
                let put = blobs.put(&bytes)?;
                (kept.digest, kept.len_bytes) = (put.digest, put.len_bytes);
                Ok(Some(kept))
            }
            (Some(_), None) => self.stream(storage, file),
        }
    }

    /// Keeps a file without what must not be written: nothing of it is written before. What is too long to be looked
    /// through is left out, and that is noted.
    fn keep_redacted(
        &mut self,
        storage: &dyn Storage,
        file: &SourceFile,
        before: Option<Digest>,
        redactor: &Redactor,
    ) -> Result<Option<Kept>> {
        let most = usize::try_from(redact_file::MOST_LEN_BYTES).unwrap_or(usize::MAX);
        let Some((mut kept, bytes)) = self.read_file(storage, file, most) else { return Ok(None) };
        if before == Some(kept.digest) {
            return Ok(Some(kept));
        }
        let Some(bytes) = bytes else {
            let name = relative(self.location, &file.name).to_owned();
            let reason = format!("{} bytes are too many to be redacted: it was not kept", kept.len_bytes);
            self.note(name, NOT_REDACTED.to_owned(), reason);
            return Ok(None);
        };
        let redacted = redact_file::redact_file(redactor, &bytes);
        let bytes = match redacted {
            Some((redacted, count)) => {
                (kept.source_digest, kept.redacted) = (Some(kept.digest), count);
                redacted
            }
            None => bytes,
        };
        if let Some(blobs) = &mut self.import.store.blobs {
            let put = blobs.put(&bytes)?;
            (kept.digest, kept.len_bytes) = (put.digest, put.len_bytes);
        }
        Ok(Some(kept))
    }

    /// Reads a file: what it is, and its bytes where they are no more than so many. `None` where it can not be read.
    fn read_file(
        &mut self,
        storage: &dyn Storage,
        file: &SourceFile,
        most_len_bytes: usize,
    ) -> Option<(Kept, Option<Vec<u8>>)> {
        let mut buffer = Some(Vec::new());
        let copied = file.copy_to(storage, &mut |chunk| {
            buffer = buffer.take().filter(|held| held.len() + chunk.len() <= most_len_bytes);
            buffer.iter_mut().for_each(|held| held.extend_from_slice(chunk));
            Ok(())
        });
        self.copied(copied).map(|kept| (kept, buffer))
    }

    /// Copies a file that does not fit into memory.
    fn stream(&mut self, storage: &dyn Storage, file: &SourceFile) -> Result<Option<Kept>> {
        let Some(blobs) = &mut self.import.store.blobs else { return Ok(None) };
        let put = blobs.put_from(|sink| file.copy_to(storage, sink));
        match put {
            Ok((_, copied)) => Ok(self.copied(Ok(copied))),
            Err(PutError::Source(error)) => Ok(self.copied(Err(error))),
            Err(PutError::Store(error)) => Err(error),
        }
    }

    /// What was read of a file; its troubles are noted.
    fn copied(&mut self, copied: std::result::Result<Copied, SourceError>) -> Option<Kept> {
        match copied {
            Ok(Copied::Content { len_bytes, digest, oddity }) => {
                self.progressed(0, len_bytes);
                if let Some(oddity) = oddity {
                    self.oddity(&oddity);
                }
                Some(Kept { digest: Digest(digest), len_bytes, redacted: 0, source_digest: None })
            }
            Ok(Copied::Gone(oddity)) => {
                self.oddity(&oddity);
                None
            }
            Err(error) => {
                self.refused(&error);
                None
            }
        }
    }

    /// Appends what has gathered, as one batch, on the condition that nobody else has appended to the run.
    fn flush(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let (events, files) = (pending.event_count(), pending.file_count());
        let redacted = pending.redacted();
        if let Some(journal) = self.import.store.journal {
            if let Some(blobs) = &mut self.import.store.blobs {
                blobs.settle()?;
            }
            let revision = self.place.revision;
            let origin = revision.is_none().then_some(&self.origin);
            let time_ns = self.previous_ns.unwrap_or(self.origin.imported_at_ns);
            let appended = journal.append(pending.into_batch(&self.place.name, revision, origin, time_ns)?)?;
            self.place.revision = Some(appended.revision);
            self.redacted += redacted + appended.redacted;
        }
        self.line.events_added += events;
        self.line.files_kept += files;
        Ok(())
    }
}

fn checksum_name(checksum: &Checksum) -> &'static str {
    match checksum {
        Checksum::Valid => "valid",
        Checksum::Invalid { .. } => "invalid",
        Checksum::Missing => "missing",
        Checksum::Unreadable => "unreadable",
    }
}
