//! Taking a bundle over.

use super::manifest::{Kind, Member};
use super::member::MemberFile;
use super::{Bundle, Progress, restore};
use crate::blob::{Blobs, PutError};
use crate::error::{Error, Result};
use crate::export::{Lines, Selection};
use crate::fold::Snapshots;
use crate::import::{ImportFailure, ImportProgress, ImportReport};
use crate::import::{RESTORED_UNREDACTED, jsonl, redact_file};
use crate::log::snapshot_check;
use crate::redact::Redactor;
use crate::storage::Storage;
use crate::{Depth, ErrorKind, LogId, Options, Reader, Seq, Severity, VerifyOptions, VerifyReport, verify};
use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Imports a bundle into the store in a storage, which is made if [`Options::create`] says so.
///
/// Everything is verified before anything is published: each member's digest, and the frames of the log. A snapshot that is
/// damaged is left out, and the report says so. A bundle of a whole
/// store is *restored* into a store without events: the same log, with the same id. Into a store of the same log it brings
/// what is missing there. Any other import *adds* the runs: events get new seqs, keep their origin, and come only once.
///
/// # Errors
/// [`ImportFailure`], with what was done before. `Damaged` T0170 for the bundle, T0174 for the log in it unless
/// `accepts_damage`; `Diverged` (T0163) where both are of one log and differ; as restoring and appending; `Io`, also where
/// `progress` breaks. A restore is whole or did not happen.
pub fn import(
    bundle: &Bundle,
    storage: &Arc<dyn Storage>,
    options: Options,
    accepts_damage: bool,
    progress: Progress<'_>,
) -> std::result::Result<ImportReport, ImportFailure> {
    let mut report = ImportReport::new("bundle", false);
    report.bytes_read = bundle.manifest().len_bytes();
    match run(bundle, storage, options, accepts_damage, progress, &mut report) {
        Ok(()) => Ok(report),
        Err(error) => Err(ImportFailure { error, report: Box::new(report) }),
    }
}

fn run(
    bundle: &Bundle,
    storage: &Arc<dyn Storage>,
    options: Options,
    accepts_damage: bool,
    progress: Progress<'_>,
    report: &mut ImportReport,
) -> Result<()> {
    let is_snapshot = |path: &str| Kind::of(path) == Some(Kind::Snapshot);
    let left_out = bundle.check_but(is_snapshot, progress)?;
    let verified = check_log(bundle, accepts_damage, progress, report)?;
    check_snapshots(bundle, &left_out, accepts_damage, report)?;
    let manifest = bundle.manifest();
    let log_id = manifest.log_id().unwrap_or(LogId([0; 16]));
    let present = match Reader::open_on(Arc::clone(storage)) {
        Ok(reader) => Some((reader.log_id(), reader.next_seq()? == Seq::FIRST)),
        Err(error) if error.kind() == ErrorKind::NotFound && options.create => None,
        Err(error) => return Err(error),
    };
    let is_empty = present.is_none_or(|(_, is_empty)| is_empty);
    let is_same_log = present.is_some_and(|(id, is_empty)| id == log_id && !is_empty);
    if is_empty && manifest.whole {
        report.runs_count = verified.unaffected_runs + verified.affected_runs.len() as u64;
        restore::restore(bundle, storage, &options, (accepts_damage, &left_out), progress, report)?;
        report.events_added = verified.totals.events - verified.totals.lost;
        report.restored = true;
        if options.redactor.is_some() {
            report.notes.push(RESTORED_UNREDACTED.to_owned());
        }
        report.notes.push(format!(
            "this is log {} again: append to this store or to the one that it was made from, and not to both",
            log_id.short()
        ));
        return Ok(());
    }
    if options.create {
        // The store has to be there before its blobs.
        options.clone().open_on(Arc::clone(storage))?.close()?;
    }
    // The same log again has the same blobs, as its events say.
    let redactor = options.redactor.as_deref().filter(|_| !is_same_log);
    blobs(bundle, storage, redactor, progress, report)?;
    if is_same_log {
        snapshots(bundle, storage, &left_out)?;
        report.restored = manifest.whole;
    }
    add(bundle, storage, options, is_same_log, log_id, progress, report)
}

/// Verifies the log in a bundle, in place.
fn check_log(
    bundle: &Bundle,
    accepts_damage: bool,
    progress: Progress<'_>,
    report: &mut ImportReport,
) -> Result<VerifyReport> {
    let mut is_stopped = false;
    let verified = verify(bundle, &VerifyOptions { depth: Depth::Frames }, &mut |done, total| {
        is_stopped |= progress("verifying", done, total).is_break();
    })?;
    if is_stopped {
        return Err(super::stopped());
    }
    if verified.log_id.as_ref() != Some(&bundle.manifest().log_id) {
        let message = "the log in the bundle is another one than its manifest says";
        return Err(Error::new(ErrorKind::Invalid, "T0171", message));
    }
    if verified.severity == Severity::Clean {
        return Ok(verified);
    }
    let finding = verified.findings.iter().find(|finding| finding.severity == verified.severity);
    let first =
        finding.map_or_else(String::new, |finding| format!("; the worst: {} in {}", finding.kind, finding.file));
    let message = format!("the log in the bundle has {} findings{first}", verified.findings.len());
    if verified.severity == Severity::Incompatible {
        return Err(Error::new(ErrorKind::Incompatible, "T0165", message).hint("use a newer build of taffrail"));
    }
    if !accepts_damage {
        return Err(Error::new(ErrorKind::Damaged, "T0174", message).hint("taffrail explain T0174"));
    }
    report.notes.push(message);
    Ok(verified)
}

/// Damaged snapshots are left out, since they can be made anew; those that can not are missed, and that has to be wanted.
fn check_snapshots(
    bundle: &Bundle,
    left_out: &BTreeSet<String>,
    accepts_damage: bool,
    report: &mut ImportReport,
) -> Result<()> {
    let needed = snapshot_check::needed(bundle, left_out)?;
    for file in left_out {
        let is_needed = needed.contains(file);
        let what =
            if is_needed { "it is all that is left of events that were compacted away" } else { "it can be made anew" };
        let message = format!("{file} is damaged, and left out: {what}");
        if is_needed && !accepts_damage {
            return Err(Error::new(ErrorKind::Damaged, "T0174", message).hint("taffrail explain T0174"));
        }
        report.notes.push(message);
    }
    Ok(())
}

/// Keeps the bundle's blobs, durably, before any record names them.
fn blobs(
    bundle: &Bundle,
    storage: &Arc<dyn Storage>,
    redactor: Option<&Redactor>,
    progress: Progress<'_>,
    report: &mut ImportReport,
) -> Result<()> {
    let mut blobs = Blobs::new(Arc::clone(storage));
    let members = &bundle.manifest().members;
    let of_blobs = members.iter().filter(|member| matches!(Kind::of(&member.path), Some(Kind::Blob(_))));
    let total = of_blobs.clone().map(|member| member.len_bytes).sum();
    let mut done = 0;
    let mut left_out = 0;
    for member in of_blobs {
        let file = bundle.member(member)?;
        if redactor.map_or(Ok(false), |redactor| is_left_out(redactor, &file, member))? {
            left_out += 1;
            done += member.len_bytes;
            continue;
        }
        let put = blobs.put_from(|sink| {
            super::copying::copy(&file, member, &mut |chunk| {
                done += chunk.len() as u64;
                if progress("copying blobs", done, total).is_break() {
                    return Err(super::stopped());
                }
                sink(chunk).map_err(|error| Error::io("cannot keep a blob", error))
            })
        });
        match put {
            Ok((kept, ())) if kept.is_new => report.files_kept += 1,
            Ok(_) => report.files_already_there += 1,
            Err(PutError::Source(error) | PutError::Store(error)) => return Err(error),
        }
    }
    if left_out > 0 {
        // Redacted, they would have other names than the events say.
        report.notes.push(format!(
            "blobs left out: {left_out}, since they hold what [redaction] names, or are too long to be looked through; \
             `log verify` tells of events that name them"
        ));
    }
    blobs.settle()
}

/// Whether a blob is not to be kept, since what must not be written is in it, or since nobody can tell.
fn is_left_out(redactor: &Redactor, file: &MemberFile, member: &Member) -> Result<bool> {
    if member.len_bytes > redact_file::MOST_LEN_BYTES {
        return Ok(true);
    }
    let mut bytes = Vec::new();
    super::copying::copy(file, member, &mut |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    })?;
    Ok(redact_file::redact_file(redactor, &bytes).is_some())
}

/// Puts snapshots there that are not: they are of the same log, and are proven before use.
fn snapshots(bundle: &Bundle, storage: &Arc<dyn Storage>, left_out: &BTreeSet<String>) -> Result<()> {
    let snapshots = Snapshots::new(Arc::clone(storage));
    let of_snapshots = bundle.manifest().members.iter().filter(|member| Kind::of(&member.path) == Some(Kind::Snapshot));
    for member in of_snapshots.filter(|member| !left_out.contains(&member.path)) {
        let entry = storage.entry(&member.path).map_err(|error| Error::io("cannot look for a snapshot", error))?;
        if entry.is_none() {
            let mut bytes = Vec::new();
            super::copying::copy(&bundle.member(member)?, member, &mut |chunk| {
                bytes.extend_from_slice(chunk);
                Ok(())
            })?;
            snapshots.put_back(&member.path, &bytes)?;
        }
    }
    Ok(())
}

/// Appends the events, as an import of their lines does.
fn add(
    bundle: &Bundle,
    storage: &Arc<dyn Storage>,
    options: Options,
    is_same_log: bool,
    log_id: LogId,
    progress: Progress<'_>,
    report: &mut ImportReport,
) -> Result<()> {
    let reader = Reader::open_on(Arc::new(bundle.clone()))?;
    let total = bundle.manifest().durable;
    let mut input =
        LineReader { lines: Lines::new(&reader, &Selection::default())?, text: Vec::new(), at: 0, failed: None };
    let mut tell = |told: &ImportProgress| -> ControlFlow<()> { progress("importing", told.events.min(total), total) };
    let outcome = jsonl::import_events(storage, options, is_same_log, log_id, &mut input, &mut tell, report);
    // What ended the lines is the reason for what they lacked.
    match input.failed {
        Some(error) => Err(error),
        None => outcome,
    }
}

/// The lines of an export, as a stream of bytes.
struct LineReader<'a> {
    lines: Lines<'a>,
    text: Vec<u8>,
    at: usize,
    failed: Option<Error>,
}

impl BufRead for LineReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.text.len() && self.failed.is_none() {
            self.text.clear();
            self.at = 0;
            match self.lines.next() {
                Ok(line) => self.text.extend_from_slice(line.unwrap_or_default().as_bytes()),
                Err(error) => self.failed = Some(error),
            }
        }
        Ok(&self.text[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at = (self.at + count).min(self.text.len());
    }
}

impl Read for LineReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }
}
