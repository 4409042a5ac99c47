//! Segments whose files have changed names: each says inside which segment it is, so each can get its name back.
//!
//! Every file gets a second name first, and those are put in their places afterwards: an interruption leaves no file without a
//! name, and the next plan goes on with the second names that are left.

use crate::error::{Error, Result};
use crate::log::compact::archive::{self, exists};
use crate::log::listing::Listing;
use crate::log::paths;
use crate::log::repair::plan::{RepairAction, SegmentRepair};
use crate::log::segment::Segment;
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, LogId, SegmentNumber};
use std::collections::{BTreeMap, BTreeSet};

/// By segment, the file that it is in: of those segments whose file has another name. Empty where some of them would take the
/// place of a file that is where it belongs: which of the two is the right one nobody knows.
pub(super) fn misnamed(
    storage: &dyn Storage,
    listing: &Listing,
    log_id: LogId,
) -> Result<BTreeMap<SegmentNumber, String>> {
    let mut found: BTreeMap<SegmentNumber, String> = BTreeMap::new();
    let mut at_home = BTreeSet::new();
    for (name, _) in &listing.segments {
        let file = paths::segment(*name);
        match held_in(storage, &file, log_id)? {
            Some(held) if held == *name => _ = at_home.insert(held),
            Some(held) => _ = found.insert(held, file),
            None => {}
        }
    }
    for name in &listing.strays {
        let file = format!("{}/{name}", paths::SEGMENTS);
        let Some(number) = paths::second_name_of(name) else { continue };
        if held_in(storage, &file, log_id)? == Some(number) && !at_home.contains(&number) {
            found.insert(number, file);
        }
    }
    // Of what an interruption has left, a file that is about to be replaced by its second name counts for nothing.
    let replaced: Vec<String> = found
        .iter()
        .filter(|(number, file)| **file == paths::second_name(**number))
        .map(|(number, _)| paths::segment(*number))
        .collect();
    found.retain(|held, file| !(at_home.contains(held) && replaced.contains(file)));
    let is_clear = found.keys().all(|held| !at_home.contains(held));
    Ok(if is_clear { found } else { BTreeMap::new() })
}

/// The segment that a file holds, if it is one of this log.
fn held_in(storage: &dyn Storage, file: &str, log_id: LogId) -> Result<Option<SegmentNumber>> {
    let file =
        storage.open(file, OpenMode::Read).map_err(|error| Error::io(format_args!("cannot open {file}"), error))?;
    let header = match Segment::read_any(file.into()) {
        // What could not be read may well be the segment that is looked for.
        Err(error) if error.kind() == ErrorKind::Io => return Err(error),
        read => read.ok().map(|segment| segment.header),
    };
    Ok(header.filter(|header| header.log_id == log_id).map(|header| header.number))
}

/// The plan for one of them.
pub(super) fn renamed(number: SegmentNumber, file: String) -> SegmentRepair {
    SegmentRepair {
        segment: number.get(),
        action: RepairAction::Rename,
        kept_events: 0,
        removed: Vec::new(),
        gaps: Vec::new(),
        lost: 0,
        is_newest: false,
        from: Some(file),
    }
}

/// Gives files the names of the segments that they hold.
pub(super) fn rename(storage: &dyn Storage, repairs: &[SegmentRepair]) -> Result<()> {
    let wanted: Vec<(SegmentNumber, &str)> = repairs
        .iter()
        .filter_map(|repair| Some((SegmentNumber::new(repair.segment)?, repair.from.as_deref()?)))
        .collect();
    for (number, from) in &wanted {
        let second = paths::second_name(*number);
        if *from != second && !archive::link(storage, from, &second)? {
            archive::copy(storage, from, &second)?;
        }
    }
    archive::sync_dir(storage, paths::SEGMENTS)?;
    for (number, from) in &wanted {
        let io_error = |error| Error::io(format_args!("cannot rename {from}"), error).segment(*number);
        let second = paths::second_name(*number);
        storage.rename(&second, &paths::segment(*number)).map_err(io_error)?;
        // Where both names are the same file, a rename leaves both.
        archive::remove_if_there(storage, &second)?;
    }
    archive::sync_dir(storage, paths::SEGMENTS)?;
    for (_, from) in &wanted {
        let is_taken = wanted.iter().any(|(number, _)| paths::segment(*number) == *from);
        if !is_taken && exists(storage, from)? {
            archive::remove_if_there(storage, from)?;
        }
    }
    archive::sync_dir(storage, paths::SEGMENTS)
}
