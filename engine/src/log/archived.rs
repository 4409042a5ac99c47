//! Reading a log with what compactions have moved to archives.

use crate::error::Result;
use crate::log::compact::archive;
use crate::log::paths;
use crate::log::reader::Reader;
use crate::log::segment::Segment;
use crate::storage::{OpenMode, Storage};
use crate::{GapRange, GapReason, Gaps, SegmentHeader, SegmentNumber, Seq};
use std::collections::{BTreeMap, BTreeSet};

/// The originals of one segment, or of those that it stands for: their files, and how often they had been rewritten.
struct Originals {
    generation: u32,
    files: BTreeMap<SegmentNumber, String>,
}

impl Reader {
    /// The same log as it was before compactions, as far as the originals are in the store's archives: the segments that
    /// were compacted are read from there. `None` where there is nothing to add.
    ///
    /// # Errors
    /// As reading.
    pub fn with_archives(&self) -> Result<Option<Reader>> {
        let Some(storage) = self.storage() else { return Ok(None) };
        if self.is_elsewhere() || storage.entry(paths::ARCHIVE).ok().flatten().is_none() {
            return Ok(None);
        }
        let mut files = BTreeMap::new();
        let mut covered = BTreeSet::new();
        for number in self.segments() {
            let (header, gaps) = self.head_of(*number)?;
            if let Some(found) = before(&**storage, &header, &gaps)? {
                files.extend(found);
                covered.insert(*number);
            }
        }
        Ok(if files.is_empty() { None } else { Some(self.clone().with_files(files, &covered)) })
    }

    /// Whether an archive is there.
    pub(crate) fn has_archive(&self, archive: &str) -> bool {
        is_archive(archive) && self.storage().is_some_and(|storage| is_whole(&**storage, archive))
    }
}

/// The first of the absences between two events that a compaction has made.
pub(crate) fn compacted_between(gaps: &[GapRange], after: Option<Seq>, before: Seq) -> Option<&GapRange> {
    let lies_between = |gap: &&GapRange| gap.first < before && after.is_none_or(|after| gap.last > after);
    gaps.iter().filter(lies_between).find(|gap| gap.reason == GapReason::Compacted)
}

/// The directory in which an absence says that its bytes are, where it is one that a compaction makes: what a log says of
/// paths is not believed further than this.
pub(crate) fn archive_of(gap: &GapRange) -> Option<&str> {
    (gap.reason == GapReason::Compacted && is_archive(&gap.kept_in)).then_some(gap.kept_in.as_str())
}

/// Whether a directory is named as a compaction's archive is.
pub(crate) fn is_archive(directory: &str) -> bool {
    let name = directory.strip_prefix(paths::ARCHIVE).and_then(|name| name.strip_prefix('/'));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The files that a segment was made of, as far back as the archives go; `None` where they do not have them. One that was
/// compacted before it was put together with others is in an archive of its own.
fn before(
    storage: &dyn Storage,
    header: &SegmentHeader,
    gaps: &Gaps,
) -> Result<Option<BTreeMap<SegmentNumber, String>>> {
    let places: BTreeSet<&str> = gaps.ranges().iter().filter_map(archive_of).collect();
    let found = places.into_iter().filter_map(|place| originals(storage, place, header));
    let Some(best) = found.min_by_key(|found| found.generation) else { return Ok(None) };
    let mut files = BTreeMap::new();
    for (number, file) in best.files {
        let segment = Segment::open_at(storage, &file, number, OpenMode::Read)?;
        let earlier =
            if segment.header.generation > 0 { before(storage, &segment.header, &segment.gaps()?)? } else { None };
        match earlier {
            Some(earlier) => files.extend(earlier),
            None => files.extend([(number, file)]),
        }
    }
    Ok(Some(files))
}

/// The files in an archive that a segment was made of. They have to be all of them, and to begin where it begins.
fn originals(storage: &dyn Storage, directory: &str, header: &SegmentHeader) -> Option<Originals> {
    if !is_whole(storage, directory) {
        return None;
    }
    let manifest = archive::manifest(storage, directory).ok()?;
    let mut files = BTreeMap::new();
    let mut due = header.covers_from;
    let mut generation = 0;
    for entry in storage.list(&format!("{directory}/{}", paths::SEGMENTS)).ok()? {
        let Some(number) = SegmentNumber::from_file_name(&entry.name) else { continue };
        if number < header.covers_from || number > header.number {
            continue;
        }
        let file = format!("{directory}/{}", paths::segment(number));
        let segment = Segment::open_at(storage, &file, number, OpenMode::Read).ok()?;
        if is_stand_in(&segment)? {
            return None;
        }
        let found = segment.header;
        // A redaction in the archive has written the file anew, and it is still older than what has taken its place.
        let age = archive::generation_of(&manifest, number).unwrap_or(found.generation);
        let begins = due != header.covers_from || found.first_seq == header.first_seq;
        if found.log_id != header.log_id || found.covers_from != due || !begins || age >= header.generation {
            return None;
        }
        due = number.next();
        generation = age;
        files.insert(number, file);
    }
    (due == header.number.next()).then_some(Originals { generation, files })
}

/// Whether a file of an archive stands for segments that are not in it.
fn is_stand_in(segment: &Segment) -> Option<bool> {
    let gaps = if segment.header.generation > 0 { segment.gaps().ok()? } else { Gaps::default() };
    Some(gaps.ranges().iter().any(|gap| gap.kept_in == archive::ELSEWHERE))
}

/// Whether an archive says what it is. One that is being removed does not.
fn is_whole(storage: &dyn Storage, archive: &str) -> bool {
    storage.entry(&format!("{archive}/{}", paths::MANIFEST)).is_ok_and(|entry| entry.is_some())
}
