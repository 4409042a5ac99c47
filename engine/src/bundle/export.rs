//! Making a bundle.

use super::copying::each_chunk;
use super::cut::{Cut, CutSegment};
use super::manifest::{Kind, Manifest, Member};
use super::member::{MemberWriter, Sink};
use super::part::{Part, write_segments};
use super::{MAGIC, Progress, TRAILER_LEN_BYTES, TRAILER_MAGIC};
use crate::blob::{Blobs, Digest};
use crate::config::{CONFIG_FILE_NAME, CONFIG_LEN_BYTES_MAX, StoreConfig};
use crate::error::{Error, Result};
use crate::fold::Snapshots;
use crate::log::forgotten::Forgotten;
use crate::log::paths;
use crate::storage::{EntryKind, OpenMode, Storage};
use crate::{ErrorKind, Reader, Seq, Watermark};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use taffrail_log_format::crc32c;

/// What was written into a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BundleReport {
    /// `taffrail.bundled/1`
    pub schema: &'static str,
    /// The log's id, 32 hexadecimal digits.
    pub log_id: String,
    /// The run, where it is not the whole store.
    pub run: Option<String>,
    /// The last seq that is in it; 0 for none.
    pub durable: u64,
    /// Segments.
    pub segments: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of all files in it.
    pub len_bytes: u64,
    /// Bytes of the bundle.
    pub bundle_len_bytes: u64,
    /// Events that are in the store and not in the bundle, since they are not known to be durable.
    pub events_behind: u64,
    /// What was left out, in words.
    pub left_out: Vec<String>,
}

/// How often a cut is looked for while segments are replaced under it, since somebody compacts.
const MOST_ATTEMPTS: usize = 8;

/// Writes a bundle of a store, or of one run with the runs that it comes from, into a new file of another storage.
///
/// Reads only, without the lock, beside writers; the file has its name when it is whole and durable.
///
/// # Errors
/// `NotFound` for a store or a run that is not there; `Invalid` (T0172) where the name is taken; `Damaged` where the end of
/// the log can not be made out; `Io`, also where `progress` breaks. Nothing is left of the file then.
pub fn export(
    store: &Arc<dyn Storage>,
    run: Option<&str>,
    target: &dyn Storage,
    name: &str,
    progress: Progress<'_>,
) -> Result<BundleReport> {
    let taken = target.entry(name).map_err(|error| Error::io("cannot look for the bundle", error))?;
    if taken.is_some() {
        let message = format!("{name} is there already");
        return Err(Error::new(ErrorKind::Invalid, "T0172", message).hint("choose another name"));
    }
    let temporary = format!("{name}.{}.tmp", target.process_id());
    let io = |error| Error::io("cannot write the bundle", error);
    match target.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let written = write(store, run, target, &temporary, progress).and_then(|report| {
        target.rename(&temporary, name).and_then(|()| target.sync_dir("")).map_err(io)?;
        Ok(report)
    });
    if written.is_err() {
        // Whoever looks finds a file whose name says that it is none.
        let _left_for_later = target.remove(&temporary);
    }
    written
}

fn write(
    store: &Arc<dyn Storage>,
    run: Option<&str>,
    target: &dyn Storage,
    temporary: &str,
    progress: Progress<'_>,
) -> Result<BundleReport> {
    let io = |error| Error::io("cannot write the bundle", error);
    let file = target.open(temporary, OpenMode::CreateNew).map_err(io)?;
    let mut attempt = 1;
    let report = loop {
        let mut packing = Packing {
            store,
            sink: Sink::new(&*file),
            members: Vec::new(),
            report: BundleReport { schema: "taffrail.bundled/1", ..BundleReport::default() },
            progress: &mut *progress,
            total: 0,
        };
        match packing.run(run) {
            // A compaction has taken a segment away that was there a moment ago, or put another one in its place.
            Err(error) if has_moved(&error) && attempt < MOST_ATTEMPTS => attempt += 1,
            other => break other?,
        }
    };
    file.set_len(report.bundle_len_bytes).and_then(|()| file.sync_all()).map_err(io)?;
    Ok(report)
}

fn has_moved(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    let moved = [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof];
    source.is_some_and(|source| moved.contains(&source.kind()))
}

/// A bundle in the making.
struct Packing<'a> {
    store: &'a Arc<dyn Storage>,
    sink: Sink<'a>,
    members: Vec<Member>,
    report: BundleReport,
    progress: Progress<'a>,
    total: u64,
}

impl Packing<'_> {
    fn run(&mut self, run: Option<&str>) -> Result<BundleReport> {
        let cut = Cut::find(&**self.store)?;
        let reader = Reader::open_on(Arc::clone(self.store))?;
        self.report.events_behind = reader.next_seq()?.count_before().saturating_sub(cut.end.durable);
        // What compactions have moved to archives of a run goes with it: nobody gives the run's part of an archive out.
        let whole = if run.is_some() { reader.with_archives()? } else { None };
        let source = whole.as_ref().unwrap_or(&reader);
        let part = run.map(|name| Part::find(source, name, cut.end.durable)).transpose()?;
        if let Some(part) = part.as_ref().filter(|part| part.absent > 0) {
            let events = if part.absent == 1 { "event of it, which is" } else { "events of it, which are" };
            self.report.left_out.push(format!("{} {events} neither in the log nor in an archive", part.absent));
        }
        // Blobs are there before the records that name them, so those of this moment are all that the cut needs.
        let blobs = self.blobs(part.as_ref())?;
        let snapshots = self.snapshots(&cut.end, part.as_ref())?;
        self.redactions(part.as_ref())?;
        let of_segments = cut.segments.iter().map(|segment| segment.len_bytes);
        self.total = of_segments.chain(blobs.iter().map(|(_, len)| *len)).sum();
        self.sink.put(&MAGIC)?;
        for (digest, _) in &blobs {
            self.blob(digest)?;
        }
        self.config()?;
        let end = match &part {
            None => {
                for segment in &cut.segments {
                    self.segment(segment)?;
                }
                self.archives()?;
                cut.end
            }
            Some(part) => {
                let (members, end) = write_segments(source, part, &mut self.sink, &mut |done| {
                    let told = (self.progress)("copying", done, self.total);
                    if told.is_break() { Err(super::stopped()) } else { Ok(()) }
                })?;
                self.members.extend(members);
                end
            }
        };
        for file in &snapshots {
            self.file(file, None)?;
        }
        let mut member = MemberWriter::new(&mut self.sink);
        member.push(&Cut::watermark(&end))?;
        self.members.push(member.finish(paths::WATERMARK)?);
        self.finish(&end, part.map(|part| part.name))
    }

    /// The manifest and the trailer.
    fn finish(&mut self, end: &Watermark, run: Option<String>) -> Result<BundleReport> {
        let count = |is: fn(&Kind) -> bool| -> u64 {
            self.members.iter().filter_map(|member| Kind::of(&member.path)).filter(is).count() as u64
        };
        let report = &mut self.report;
        report.segments = count(|kind| matches!(kind, Kind::Segment(_)));
        report.snapshots = count(|kind| *kind == Kind::Snapshot);
        report.blobs = count(|kind| matches!(kind, Kind::Blob(_)));
        (report.log_id, report.durable, report.run) = (end.log_id.to_string(), end.durable, run.clone());
        let manifest = Manifest::new(end.log_id, run, end.durable, std::mem::take(&mut self.members));
        report.len_bytes = manifest.len_bytes();
        let text = manifest.encode()?;
        let offset = self.sink.at;
        self.sink.put(&text)?;
        let mut trailer = Vec::with_capacity(TRAILER_LEN_BYTES);
        trailer.extend_from_slice(&TRAILER_MAGIC);
        trailer.extend_from_slice(&offset.to_le_bytes());
        trailer.extend_from_slice(&(text.len() as u64).to_le_bytes());
        trailer.extend_from_slice(blake3::hash(&text).as_bytes());
        trailer.extend_from_slice(&[0; 4]);
        trailer.extend_from_slice(&crc32c(&trailer).to_le_bytes());
        self.sink.put(&trailer)?;
        report.bundle_len_bytes = self.sink.at;
        Ok(report.clone())
    }

    fn blobs(&self, part: Option<&Part>) -> Result<Vec<(Digest, u64)>> {
        let mut blobs = Vec::new();
        Blobs::new(Arc::clone(self.store)).list(|digest, len_bytes| {
            if part.is_none_or(|part| part.blobs.contains(&digest)) {
                blobs.push((digest, len_bytes));
            }
            true
        })?;
        Ok(blobs)
    }

    /// Blobs that a redaction took away, and a redaction that has not come to its end.
    fn redactions(&mut self, part: Option<&Part>) -> Result<()> {
        let redacted = match part {
            Some(part) => part.redacted.iter().map(|(digest, seq)| (*digest, seq.get())).collect(),
            None => Forgotten::read(&**self.store)?.blobs(),
        };
        let blobs = Blobs::new(Arc::clone(self.store));
        for (digest, seq) in redacted {
            if !blobs.has(&digest)? {
                self.report.left_out.push(format!("{}: redacted at seq {seq}", crate::blob::name_of(&digest)));
            }
        }
        let under_way =
            self.store.entry(paths::REDACTING).map_err(|error| Error::io("cannot look at the store", error))?;
        if under_way.is_some() {
            let what =
                "what a redaction that is under way, or was stopped, has not reached yet is in the bundle as it was";
            self.report.left_out.push(format!("{}: {what}", paths::REDACTING));
        }
        Ok(())
    }

    /// Files of good snapshots that were taken within the cut.
    fn snapshots(&mut self, end: &Watermark, part: Option<&Part>) -> Result<BTreeSet<String>> {
        let of_part = |run: Option<Seq>| part.is_none_or(|part| run.is_some_and(|run| part.runs.contains(&run)));
        let list = Snapshots::new(Arc::clone(self.store)).list()?;
        let left_out = list.findings.iter().map(|finding| format!("{}: {}", finding.file, finding.why));
        self.report.left_out.extend(left_out);
        let within = list
            .snapshots
            .into_iter()
            .filter(|snapshot| snapshot.head.log_id == end.log_id && of_part(snapshot.head.run))
            .filter(|snapshot| snapshot.head.seq.get() <= end.durable);
        Ok(within.map(|snapshot| snapshot.file).collect())
    }

    /// The store's settings, where they can be read. They hold no secrets: those are named by variables of the environment.
    fn config(&mut self) -> Result<()> {
        let len_bytes = match self.store.entry(CONFIG_FILE_NAME) {
            Ok(Some(entry)) => entry.len_bytes,
            Ok(None) => return Ok(()),
            Err(error) => return Err(Error::io("cannot look at the settings", error)),
        };
        if len_bytes > CONFIG_LEN_BYTES_MAX as u64 || StoreConfig::read(&**self.store).is_err() {
            self.report.left_out.push(format!("{CONFIG_FILE_NAME}: it can not be read"));
            return Ok(());
        }
        self.file(CONFIG_FILE_NAME, Some(len_bytes))
    }

    /// Copies a segment. What has been put in its place meanwhile is another file, of another length.
    fn segment(&mut self, segment: &CutSegment) -> Result<()> {
        let path = paths::segment(segment.number);
        self.file(&path, Some(segment.len_bytes))?;
        if segment.is(&**self.store) {
            return Ok(());
        }
        let moved = format!("segment {} was rewritten meanwhile", segment.number);
        Err(Error::io("cannot make a bundle", io::Error::new(io::ErrorKind::NotFound, moved)))
    }

    /// What compactions have taken out of the log is not of it any more.
    fn archives(&mut self) -> Result<()> {
        let entries = match self.store.list(paths::ARCHIVE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|error| Error::io("cannot list the archives", error))?,
        };
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Directory) {
            let path = format!("{}/{}", paths::ARCHIVE, entry.name);
            self.report.left_out.push(format!("{path}: an archive is a log of its own, with a bundle of its own"));
        }
        Ok(())
    }

    /// Copies a file, up to a length or whole.
    fn file(&mut self, path: &str, len_bytes: Option<u64>) -> Result<()> {
        let io = |error| Error::io(format_args!("cannot read {path}"), error);
        let file = self.store.open(path, OpenMode::Read).map_err(io)?;
        let len_bytes = match len_bytes {
            Some(len_bytes) => len_bytes,
            None => file.len_bytes().map_err(io)?,
        };
        let mut member = MemberWriter::new(&mut self.sink);
        let (progress, total) = (&mut self.progress, self.total);
        let mut done: u64 = self.members.iter().map(|member| member.len_bytes).sum();
        each_chunk(&*file, len_bytes, path, &mut |chunk| {
            member.push(chunk)?;
            done += chunk.len() as u64;
            if progress("copying", done.min(total), total).is_break() { Err(super::stopped()) } else { Ok(()) }
        })?;
        self.members.push(member.finish(path)?);
        Ok(())
    }

    /// Copies a blob; one that is not what its name says is left out.
    fn blob(&mut self, digest: &Digest) -> Result<()> {
        let path = crate::blob::name_of(digest);
        let start = self.sink.at;
        self.file(&path, None)?;
        if self.members.last().is_some_and(|member| member.digest != *digest) {
            self.members.pop();
            self.sink.at = start;
            self.report.left_out.push(format!("{path}: it is damaged"));
        }
        Ok(())
    }
}
