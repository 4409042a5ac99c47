//! Checkpoints: digests of states, recorded in the log beside the events.

use crate::error::Result;
use crate::fold::fold::Fold;
use crate::fold::state::{Standing, StateDigest};
use crate::{Appended, Batch, EventOrLoss, Expect, Kind, OperatorAction, Query, Reader, Run, Seq};
use std::collections::BTreeMap;
use taffrail_log_format::Checkpoint;

/// What a checkpoint says about who folded.
pub const BUILD: &str = concat!("taffrail ", env!("CARGO_PKG_VERSION"));

/// A run gets a checkpoint about every so many of its events, from whoever holds its state.
pub const CHECKPOINT_EVERY_EVENTS: u32 = 256;

/// Records a state's digest, if the run is still where the state stands.
///
/// # Errors
/// `Conflict` where it is not; as appending.
pub(crate) fn append_checkpoint<F: Fold>(run: &Run<'_>, standing: &Standing<F>) -> Result<(StateDigest, Appended)> {
    let digest = standing.digest()?;
    let checkpoint = checkpoint_of::<F>(Some(run.number()), u64::from(standing.revision), digest);
    let mut batch = Batch::new();
    let place = batch.run(run.name(), Expect::Revision(standing.revision));
    batch.own(Some(place), Kind::CHECKPOINT, true, &checkpoint.encode());
    Ok((digest, run.journal().append(batch)?))
}

/// What a checkpoint says of a state: of a run at a revision, or of the store at a seq.
pub(crate) fn checkpoint_of<F: Fold>(run: Option<Seq>, revision: u64, digest: StateDigest) -> Checkpoint {
    Checkpoint {
        fold: F::NAME.to_owned(),
        version: F::VERSION,
        build: BUILD.to_owned(),
        run,
        revision,
        digest: digest.0,
    }
}

/// A checkpoint in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCheckpoint {
    /// The checkpoint's own event.
    pub seq: Seq,
    /// The fold's version.
    pub version: u32,
    /// The build that folded.
    pub build: String,
    /// The digest of the state that it saw.
    pub digest: StateDigest,
}

/// The checkpoints of a fold, by run and revision; and, by run, how many there are of other folds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoints {
    pub(crate) of_fold: BTreeMap<(Seq, u32), Vec<RecordedCheckpoint>>,
    pub(crate) of_others: BTreeMap<Seq, u64>,
    /// How many there are that a redaction has superseded: of states that had seen what is not there any more.
    pub(crate) superseded: u64,
}

impl Checkpoints {
    /// All of them, or those of a run. A checkpoint that can not be read, or that names another run than the one it lies in,
    /// is one of another fold.
    pub(crate) fn read<F: Fold>(reader: &Reader, run: Option<Seq>) -> Result<Checkpoints> {
        let mut checkpoints = Checkpoints::default();
        let mut query = Query::all().event_type("Checkpoint");
        query = run.map_or(query.clone(), |run| query.run(run).from(run));
        let redactions = redactions(reader)?;
        let mut events = reader.events(query)?;
        while let Some(next) = events.next_or_loss()? {
            // What can not be read can not be compared with.
            let EventOrLoss::Event(record) = next else { continue };
            let Some(run) = record.run.filter(|_| record.kind == Kind::CHECKPOINT) else { continue };
            let read = Checkpoint::decode(&record.payload).ok().filter(|it| it.fold == F::NAME && it.run == Some(run));
            let revision = read.as_ref().and_then(|checkpoint| u32::try_from(checkpoint.revision).ok());
            let (Some(checkpoint), Some(revision)) = (read, revision) else {
                *checkpoints.of_others.entry(run).or_default() += 1;
                continue;
            };
            let is_superseded = |told: &(Seq, BTreeMap<Seq, u32>)| {
                record.seq < told.0 && told.1.get(&run).is_some_and(|first| revision >= *first)
            };
            if redactions.iter().any(is_superseded) {
                checkpoints.superseded += 1;
                continue;
            }
            checkpoints.of_fold.entry((run, revision)).or_default().push(RecordedCheckpoint {
                seq: record.seq,
                version: checkpoint.version,
                build: checkpoint.build,
                digest: StateDigest(checkpoint.digest),
            });
        }
        Ok(checkpoints)
    }
}

/// The redactions that the log tells of: the seq of each one's event, and the runs whose states had seen what it took away,
/// with the first revision that had.
fn redactions(reader: &Reader) -> Result<Vec<(Seq, BTreeMap<Seq, u32>)>> {
    let mut redactions = Vec::new();
    let mut events = reader.events(Query::all().event_type("OperatorAction"))?;
    while let Some(next) = events.next_or_loss()? {
        // What a lost event superseded is compared with, and differs: nothing is passed over that should not be.
        let EventOrLoss::Event(record) = next else { continue };
        let action =
            OperatorAction::decode(&record.payload).ok().filter(|action| action.verb == crate::log::forgotten::REDACT);
        let Some(action) = action else { continue };
        let detail: serde_json::Value = serde_json::from_str(&action.detail).unwrap_or_default();
        let runs = detail["runs"].as_object().into_iter().flatten().filter_map(|(run, first)| {
            let first = first.as_u64().and_then(|first| u32::try_from(first).ok())?;
            Some((Seq::new(run.parse().ok()?)?, first))
        });
        redactions.push((record.seq, runs.collect()));
    }
    Ok(redactions)
}
