//! What snapshot files are called.

use crate::Seq;
use crate::log::paths::SNAPSHOTS;

/// The directory of a fold's snapshots of one version.
pub(super) fn directory_of(fold: &str, version: u32) -> String {
    format!("{SNAPSHOTS}/{fold}-{version}")
}

/// `<seq>.snap` for the store, `<seq>.run-<number>.snap` for a run: so that a run's snapshots are found by name alone.
pub(super) fn file_name(seq: Seq, run: Option<Seq>) -> String {
    match run {
        None => format!("{seq}.snap"),
        Some(run) => format!("{seq}.run-{run}.snap"),
    }
}

/// What the name of a snapshot's file tells: after which event, and of which run.
pub(crate) fn parse_file_name(name: &str) -> Option<(Seq, Option<Seq>)> {
    let mut parts = name.strip_suffix(".snap")?.split('.');
    let seq = parts.next()?.parse().ok().and_then(Seq::new)?;
    let run = match parts.next() {
        None => None,
        Some(run) => Some(run.strip_prefix("run-")?.parse().ok().and_then(Seq::new)?),
    };
    (name == file_name(seq, run)).then_some((seq, run))
}
