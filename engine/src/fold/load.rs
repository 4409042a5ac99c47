//! A state on request: the newest snapshot that can be trusted, and the events behind it.

use crate::error::{Error, Result};
use crate::fold::fold::{Fold, Scope};
use crate::fold::folding::Folding;
use crate::fold::replay::Replay;
use crate::fold::snapshots::{SnapshotFinding, Snapshots, check_name};
use crate::fold::state::{Missing, Standing};
use crate::{ErrorKind, GapRange, Query, Reader, Seq};

/// Where a fold may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the newest snapshot that can be trusted, else at the log's first event.
    #[default]
    Snapshot,
    /// At the log's first event.
    Origin,
}

/// A state that was asked for.
#[derive(Clone, Debug)]
pub struct Loaded<F: Fold> {
    /// The state, and where it stands.
    pub standing: Standing<F>,
    /// The event after which the snapshot was taken that the fold began at; `None` for the log's first event.
    pub snapshot: Option<Seq>,
    /// Snapshots that were passed over.
    pub findings: Vec<SnapshotFinding>,
}

impl Reader {
    /// The state of a run (`None`: of the store, for a fold over it) before the event `until`, or at the end of the log.
    ///
    /// # Errors
    /// `Compacted` (T0508) where the first events are no longer there and no snapshot covers them; `Incompatible` (T0501,
    /// T0504, T0506) for an event that can not be read; `Invalid` (T0505, T0513) for the fold's own definition; as reading.
    pub fn state<F: Fold>(&self, run: Option<Seq>, until: Option<Seq>, start: Start) -> Result<Loaded<F>> {
        check_name::<F>()?;
        if (F::SCOPE == Scope::Run) != run.is_some() {
            let message = match run {
                None => format!("fold {} has a state for each run: name the run", F::NAME),
                Some(_) => format!("fold {} has one state for the whole store", F::NAME),
            };
            return Err(Error::new(ErrorKind::Invalid, "T0513", message));
        }
        let (begun, findings) = match (Snapshots::of(self), start) {
            (Some(snapshots), Start::Snapshot) => snapshots.newest::<F>(self, run, until)?,
            _ => (None, Vec::new()),
        };
        let mut folding = Folding::<F>::new()?;
        let snapshot = begun.as_ref().and_then(|standing| standing.seq);
        // A snapshot holds what a run began with; else the runs that it began as have to be read as well.
        let mut query = match (snapshot, run) {
            (Some(seq), Some(run)) => Query::all().run(run).from(seq.next()),
            (Some(seq), None) => Query::all().from(seq.next()),
            (None, run) => self.events_of_fold::<F>(run)?,
        };
        query.until = until;
        if let Some(standing) = begun {
            folding.start_at(run, standing);
        }
        Replay::query(self, query).go(&mut [&mut folding])?;
        let standing = folding.into_standing(run)?;
        if let Some((missing, gap)) = self.compacted_away(&standing)? {
            // The originals may still be there: then it is as if nothing had been compacted.
            if let Some(whole) = self.with_archives()? {
                return Ok(Loaded { findings, ..whole.state::<F>(run, until, Start::Origin)? });
            }
            return Err(is_compacted::<F>(&missing, &gap));
        }
        Ok(Loaded { standing, snapshot, findings })
    }

    /// What a state lacks because a compaction has taken it away, with the absence that says so.
    pub(crate) fn compacted_away<F: Fold>(&self, standing: &Standing<F>) -> Result<Option<(Missing, GapRange)>> {
        for missing in &standing.missing {
            if let Some(gap) = self.compacted_between(missing.after, missing.before)? {
                return Ok(Some((*missing, gap)));
            }
        }
        Ok(None)
    }
}

fn is_compacted<F: Fold>(missing: &Missing, gap: &GapRange) -> Error {
    let (digest, place) = (blake3::Hash::from(gap.digest).to_hex(), gap.kept_in.as_str());
    let place = if place.is_empty() { "dropped".to_owned() } else { format!("moved to {place}, which is not there") };
    let message = format!(
        "{missing}: compacted away, and no snapshot of {} covers them; seqs {} to {} were {place}, BLAKE3 {}",
        F::NAME,
        gap.first,
        gap.last,
        &digest[..16]
    );
    Error::new(ErrorKind::Compacted, "T0508", message)
        .seq(missing.before.get())
        .hint("put the archive back where it was, or read it in place: taffrail -s DIRECTORY state show")
}
