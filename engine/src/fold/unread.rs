//! Runs that a fold says nothing about, since none of their events is of a type that it reads.

use crate::error::{Error, Result};
use crate::fold::fold::Fold;
use crate::run::quoted;
use crate::{ErrorKind, Query, Reader, Seq};
use std::collections::BTreeSet;

/// Types that are named, at most.
const MOST_NAMED: usize = 5;

/// What is to be said of a run, by its number and its name (`None`: of the whole log), in which a fold has met no event: which
/// types its events have, what works all the same, and what to do.
///
/// # Errors
/// As reading.
pub fn unread<F: Fold>(reader: &Reader, run: Option<(Seq, &str)>) -> Result<Error> {
    let types = types(reader, run.map(|(run, _)| run))?;
    let (title, command) = match run {
        Some((_, name)) => (format!("run {name}"), format!("taffrail log dump --run {}", quoted(name))),
        None => ("the log".to_owned(), "taffrail log stat --by type".to_owned()),
    };
    let error = |message: String| Error::new(ErrorKind::Rejected, "T0425", message).hint(command);
    if types.is_empty() {
        return Ok(error(format!("{title} has no event yet that a fold could read")));
    }
    let (noun, more) = (if types.len() == 1 { "type" } else { "types" }, types.len().saturating_sub(MOST_NAMED));
    let mut named: Vec<String> = types.into_iter().take(MOST_NAMED).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    Ok(error(format!(
        "{title} has no event that the fold {} knows: its {noun} {} belong to another program. `log dump` and `log verify` \
         read them; states, snapshots, rewinds and forks are for a binary with a fold of its own \
         (taffrail_cli::main_with)",
        F::NAME,
        named.join(", ")
    )))
}

/// The names of the types of a run's events, or of all events; the log's own and hints left out.
fn types(reader: &Reader, run: Option<Seq>) -> Result<BTreeSet<String>> {
    let Some(run) = run else {
        return Ok(reader.types()?.iter().filter(|entry| !entry.hint).map(|entry| entry.full_name()).collect());
    };
    let mut types = BTreeSet::new();
    reader.events(Query::all().from(run).run(run))?.for_each(|record| {
        if let Some(entry) = record.entry.as_ref().filter(|_| !record.hint) {
            types.insert(entry.full_name());
        }
        Ok(true)
    })?;
    Ok(types)
}
