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
/// The directory of the segments.
pub(crate) const SEGMENTS: &str = "segments";
/// The directory of bytes that were taken out of the log.
pub(crate) const QUARANTINE: &str = "quarantine";

/// A segment's file.
pub(crate) fn segment(number: SegmentNumber) -> String {
    format!("{SEGMENTS}/{}", number.file_name())
}

/// A segment's file before it is published.
pub(crate) fn segment_temporary(number: SegmentNumber) -> String {
    format!("{SEGMENTS}/{number:010}.tmp", number = number.get())
}
