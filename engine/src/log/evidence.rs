//! What is known of the end of a log beside its segments: the watermark, `LOCK`, and the snapshots.
//!
//! None of it is ever synced with the log, and all of it was true when it was written: whatever of it is there tells of events
//! that were durable. So it counts whenever and by whomever it was written, as long as it is of this log.

use crate::error::{Error, Result};
use crate::fold::snapshot::{self, SnapshotHead};
use crate::log::listing::Listing;
use crate::log::lock::{LastKnown, LockState};
use crate::log::segment::Segment;
use crate::log::{paths, watermark};
use crate::storage::{EntryKind, OpenMode, Storage, read_full_at};
use crate::{LogId, SegmentNumber, Watermark};
use std::io;
use taffrail_log_format::WatermarkSlots;
use taffrail_log_format::sabotage::{self, Sabotage};

/// What was found. Readers without the lock gather it before they list the segments: then what it tells of is there.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    /// The watermark's slots.
    pub(crate) slots: WatermarkSlots,
    /// What `LOCK` says.
    pub(crate) lock: LockState,
    /// Snapshot files by the seqs in their names, the highest first.
    snapshots: Vec<(u64, String)>,
}

/// The end of a log, at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AtLeast {
    /// The highest seq that was durable; 0 for none.
    pub(crate) durable: u64,
    /// The highest segment that was there.
    pub(crate) segment: Option<SegmentNumber>,
}

impl Evidence {
    /// Reads what there is.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn read(storage: &dyn Storage) -> Result<Evidence> {
        Evidence::beside(storage, watermark::read(storage)?)
    }

    /// Reads what there is, for a look that goes on whatever is in the place of the watermark.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn read_if_files(storage: &dyn Storage) -> Result<Evidence> {
        Evidence::beside(storage, watermark::read_if_file(storage)?)
    }

    fn beside(storage: &dyn Storage, slots: WatermarkSlots) -> Result<Evidence> {
        let lock = LockState::read(storage)?;
        Ok(Evidence { slots, lock, snapshots: snapshots(storage)? })
    }

    /// The watermark, if it is this log's.
    pub(crate) fn mark(&self, log_id: LogId) -> Option<Watermark> {
        let skipped = sabotage::is(Sabotage::SkipWatermark);
        self.slots.newest.filter(|mark| mark.log_id == log_id && !skipped)
    }

    fn known(&self) -> Option<LastKnown> {
        let skipped = sabotage::is(Sabotage::SkipLockEvidence);
        self.lock.known().filter(|_| !skipped)
    }

    /// The log that it speaks of, where no segment does.
    pub(crate) fn log_id(&self) -> Option<LogId> {
        self.slots.newest.map(|mark| mark.log_id).or(self.known().map(|known| known.log_id))
    }

    /// What it tells of a log. Snapshots are read only where their names say more than the rest; one that can not be read is
    /// passed over, like any hint.
    pub(crate) fn of(&self, storage: &dyn Storage, log_id: LogId) -> AtLeast {
        let mut found = AtLeast::default();
        if let Some(mark) = self.mark(log_id) {
            found = AtLeast { durable: mark.durable, segment: Some(mark.segment) };
        }
        if let Some(known) = self.known().filter(|known| known.log_id == log_id) {
            found.durable = found.durable.max(known.durable);
            found.segment = found.segment.max(Some(known.segment));
        }
        let newer = self.snapshots.iter().take_while(|(seq, _)| *seq > found.durable);
        let mut heads = newer.filter_map(|(_, name)| head(storage, name));
        if let Some(head) = heads.find(|head| head.log_id == log_id) {
            found.durable = found.durable.max(head.seq.get());
            found.segment = found.segment.max(behind_sealed(storage, log_id, found.durable));
        }
        found
    }
}

/// The segment behind the newest one, if that was sealed before a durable seq: a snapshot names no segments, and that event was in
/// one that is not there.
fn behind_sealed(storage: &dyn Storage, log_id: LogId, durable: u64) -> Option<SegmentNumber> {
    let newest = Listing::read(storage).ok()?.newest()?;
    let segment = Segment::open(storage, newest, OpenMode::Read).ok()?;
    let (_, footer) = segment.footer().ok()??;
    let is_missing = segment.header.log_id == log_id && footer.next_seq.get() <= durable;
    is_missing.then(|| newest.next())
}

/// The snapshots by their names, which begin with a seq; the highest first.
fn snapshots(storage: &dyn Storage) -> Result<Vec<(u64, String)>> {
    let list = |directory: &str, kind: EntryKind| -> Result<Vec<String>> {
        match storage.list(directory) {
            Ok(entries) => Ok(entries.into_iter().filter(|entry| entry.kind == kind).map(|entry| entry.name).collect()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Vec::new())
            }
            Err(error) => Err(Error::io(format_args!("cannot list {directory}"), error)),
        }
    };
    let mut found = Vec::new();
    if sabotage::is(Sabotage::SkipLockEvidence) {
        return Ok(found);
    }
    for directory in list(paths::SNAPSHOTS, EntryKind::Directory)? {
        let directory = format!("{}/{directory}", paths::SNAPSHOTS);
        for name in list(&directory, EntryKind::File)? {
            if let Some(seq) = name.strip_suffix(".snap").and_then(|name| name.split('.').next()?.parse().ok()) {
                found.push((seq, format!("{directory}/{name}")));
            }
        }
    }
    found.sort_unstable();
    found.reverse();
    Ok(found)
}

fn head(storage: &dyn Storage, name: &str) -> Option<SnapshotHead> {
    let mut bytes = [0; snapshot::MAX_HEAD_END_BYTES];
    let file = storage.open(name, OpenMode::Read).ok()?;
    let len = read_full_at(&*file, 0, &mut bytes).ok()?;
    snapshot::decode_head(&bytes[..len]).ok()
}
