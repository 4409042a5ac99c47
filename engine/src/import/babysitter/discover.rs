//! Finding runs below a directory.
//!
//! A directory is a run where it has `run.json` or `journal/`, with two exceptions, since both names are common ones:
//! a directory whose `journal/` holds no event is only a run if no run lies below it and it has no `.a5c/`. Nothing below
//! a run is looked into, nor are `.git` and `node_modules`; links are never followed.

use super::event_name::EventName;
use super::walk::{Listing, join};
use super::{Limits, Oddity, OddityCode, Place, SourceError};
use crate::storage::{EntryKind, Storage};

/// Where a run lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunLocation {
    /// Its directory, relative to the storage's root; empty where the root itself is the run.
    pub directory: String,
}

impl RunLocation {
    /// The directory's own name; `None` for the root.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.directory.rsplit('/').next().filter(|name| !name.is_empty())
    }
}

/// What [`discover`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The runs, by directory.
    pub runs: Vec<RunLocation>,
    /// Links and the like beside a run, and what was not looked into.
    pub oddities: Vec<Oddity>,
}

/// Finds the runs at or below the storage's root.
///
/// # Errors
/// [`SourceError`] where a directory can not be listed.
pub fn discover(storage: &dyn Storage, limits: &Limits) -> Result<Discovery, SourceError> {
    let mut search =
        Search { storage, limits, found: Discovery::default(), directories_left: limits.directories, cut: None };
    search.visit("", 0)?;
    let mut found = search.found;
    found.runs.sort();
    if let Some((count, directory)) = search.cut {
        let reason = format!("{count} directories not looked into, the first one is {directory:?}");
        found.oddities.push(Oddity::new(&directory, OddityCode::DepthLimit, Place::File, reason));
    }
    Ok(found)
}

struct Search<'storage> {
    storage: &'storage dyn Storage,
    limits: &'storage Limits,
    found: Discovery,
    directories_left: usize,
    cut: Option<(usize, String)>,
}

impl Search<'_> {
    fn visit(&mut self, directory: &str, depth: usize) -> Result<(), SourceError> {
        if depth > self.limits.depth_directories || self.directories_left == 0 {
            self.cut.get_or_insert_with(|| (0, directory.to_owned())).0 += 1;
            return Ok(());
        }
        self.directories_left -= 1;
        let listing = Listing::of(self.storage, directory)?;
        let has_journal = listing.has("journal", EntryKind::Directory);
        let has_run_json = listing.has("run.json", EntryKind::File);
        let is_project = listing.has(".a5c", EntryKind::Directory);
        let run = RunLocation { directory: directory.to_owned() };
        if (has_run_json && !is_project) || (has_journal && self.holds_events(&join(directory, "journal"))?) {
            self.found.runs.push(run);
            return Ok(());
        }
        let runs_before = self.found.runs.len();
        let mut below: Vec<&str> = Vec::new();
        for (name, entry) in &listing.entries {
            if entry.kind == EntryKind::Directory && name != ".git" && name != "node_modules" {
                below.push(name);
            }
        }
        for name in below {
            self.visit(&join(directory, name), depth + 1)?;
        }
        let found_below = self.found.runs[runs_before..].iter().any(|run| parent(&run.directory) == directory);
        if found_below {
            self.found.oddities.extend(listing.oddities);
        }
        if (has_journal || has_run_json) && self.found.runs.len() == runs_before {
            self.found.runs.push(run);
        }
        Ok(())
    }

    fn holds_events(&self, journal: &str) -> Result<bool, SourceError> {
        let listing = Listing::of(self.storage, journal)?;
        let is_event = |name: &String| EventName::parse(name).is_some_and(|name| name.seq.is_some());
        Ok(listing.entries.keys().any(is_event))
    }
}

fn parent(directory: &str) -> &str {
    directory.rsplit_once('/').map_or("", |(parent, _)| parent)
}
