//! The names of a store's files. A path is made here or nowhere.

use crate::SegmentNumber;

/// Kernel lock, and the mark of a good release.
pub(crate) const LOCK: &str = "LOCK";
/// The two watermark slots.
pub(crate) const WATERMARK: &str = "watermark";
/// The store's configuration.
pub(crate) const CONFIG: &str = "config.toml";
/// Keeps the store out of version control.
pub(crate) const GITIGNORE: &str = ".gitignore";
/// Hint: runs, types, and up to where they are complete.
pub(crate) const RUNS_INDEX: &str = "runs.idx";
/// The run index while it is being written.
pub(crate) const RUNS_INDEX_TEMPORARY: &str = "runs.idx.tmp";
/// There while a store is being restored.
pub(crate) const RESTORING: &str = "restoring";
/// There while a redaction is under way.
pub(crate) const REDACTING: &str = "redacting";
/// The same while it is being written.
pub(crate) const REDACTING_TEMPORARY: &str = "redacting.tmp";
/// The directory of the segments.
pub(crate) const SEGMENTS: &str = "segments";
/// The directory of the blobs.
pub(crate) const BLOBS: &str = "blobs";
/// The directory of snapshots of states.
pub(crate) const SNAPSHOTS: &str = "snapshots";
/// The directory of bytes that were taken out of the log.
pub(crate) const QUARANTINE: &str = "quarantine";

/// The directory of originals that compactions have replaced.
pub(crate) const ARCHIVE: &str = "archive";
/// Kernel lock of whoever works on the archives.
pub(crate) const ARCHIVE_LOCK: &str = "archive/LOCK";
/// What says, in an archive, what it is.
pub(crate) const MANIFEST: &str = "manifest.json";

/// The note that the last of these segments stands for all of them, if its header says so.
pub(crate) fn stands_for(first: SegmentNumber, last: SegmentNumber) -> String {
    format!("{SEGMENTS}/{:010}-{:010}.stands", first.get(), last.get())
}

/// The segments that the name of such a note tells of.
pub(crate) fn stood_for(name: &str) -> Option<(SegmentNumber, SegmentNumber)> {
    let (first, last) = name.strip_suffix(".stands")?.split_once('-')?;
    let number = |digits: &str| digits.parse().ok().and_then(SegmentNumber::new);
    Some((number(first)?, number(last)?)).filter(|(first, last)| first < last)
}

/// A second name of a segment's file, while files get their names back.
pub(crate) fn second_name(number: SegmentNumber) -> String {
    format!("{SEGMENTS}/{:010}.named", number.get())
}

/// The segment whose second name this is.
pub(crate) fn second_name_of(name: &str) -> Option<SegmentNumber> {
    name.strip_suffix(".named").and_then(|digits| digits.parse().ok()).and_then(SegmentNumber::new)
}

/// A segment's file.
pub(crate) fn segment(number: SegmentNumber) -> String {
    let file_name = number.file_name();
    let mut path = String::with_capacity(SEGMENTS.len() + 1 + file_name.len());
    path.push_str(SEGMENTS);
    path.push('/');
    path.push_str(&file_name);
    path
}

/// A segment's file before it is published.
pub(crate) fn segment_temporary(number: SegmentNumber) -> String {
    format!("{SEGMENTS}/{number:010}.tmp", number = number.get())
}
