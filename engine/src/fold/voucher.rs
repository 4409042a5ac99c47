//! How the log vouches for a snapshot: by a checkpoint that says the same of the state.
//!
//! A snapshot outlives the log that it was taken of: somebody may put an older copy of the log back beside it, and go on
//! otherwise. The event that a snapshot was taken after may then be there again, byte for byte, since imports carry their
//! times; a checkpoint with the state's digest is there only if the state was the same.

use crate::error::{Error, Result};
use crate::fold::checkpoint::{append_checkpoint, checkpoint_of};
use crate::fold::fold::{Fold, Scope};
use crate::fold::snapshot::SnapshotHead;
use crate::fold::state::{Standing, StateDigest};
use crate::{Batch, Checkpoint, ErrorKind, Journal, Kind, Reader, Record, RunOpened, Seq};

/// Where a snapshot stands, and the checkpoint that vouches for it.
pub(crate) struct Vouched {
    pub(crate) seq: Seq,
    pub(crate) revision: u32,
    pub(crate) voucher: Seq,
}

/// The checkpoint that a state stands at, or else a new one.
///
/// # Errors
/// `Conflict` where the run has gone on; `Rejected` (T0512) where its name is not in the log any more; as appending.
pub(crate) fn find_or_append<F: Fold>(
    journal: &Journal,
    run: Option<Seq>,
    standing: &Standing<F>,
    digest: StateDigest,
) -> Result<Vouched> {
    let reader = journal.reader()?;
    let at = standing.seq.unwrap_or(Seq::FIRST);
    let place = if F::SCOPE == Scope::Run { u64::from(standing.revision) } else { at.get() };
    let wanted = |place| checkpoint_of::<F>(run, place, digest);
    // A state that stands at a checkpoint of itself: nothing has happened since.
    let last = reader.get(at)?;
    let before = last.filter(|last| says(last, &wanted(place.saturating_sub(1)))).and_then(|_| Seq::new(at.get() - 1));
    match (F::SCOPE, before) {
        (Scope::Run, Some(_)) => Ok(Vouched { seq: at, revision: standing.revision, voucher: at }),
        (Scope::Store, Some(before)) => Ok(Vouched { seq: before, revision: 0, voucher: at }),
        (Scope::Run, None) => {
            let name = run.map(|run| name_of(&reader, run)).transpose()?.flatten().ok_or_else(|| {
                Error::new(ErrorKind::Rejected, "T0512", format!("no snapshot of {}: the run's name is lost", F::NAME))
            })?;
            let (_, appended) = append_checkpoint(&journal.run(&name)?, standing)?;
            Ok(Vouched { seq: appended.last, revision: appended.revision, voucher: appended.last })
        }
        (Scope::Store, None) => {
            let mut batch = Batch::new();
            batch.own(None, Kind::CHECKPOINT, true, &wanted(place).encode());
            let appended = journal.append(batch)?;
            Ok(Vouched { seq: at, revision: 0, voucher: appended.last })
        }
    }
}

fn name_of(reader: &Reader, run: Seq) -> Result<Option<String>> {
    let opened = reader.get(run)?.and_then(|record| RunOpened::decode(&record.payload).ok());
    match opened {
        Some(opened) => Ok(Some(opened.name)),
        // The footers may still know it.
        None => Ok(reader.runs()?.remove(&run).and_then(|run| run.name)),
    }
}

/// Whether an event is a checkpoint that says this, whoever folded.
fn says(record: &Record<'_>, wanted: &Checkpoint) -> bool {
    if record.kind != Kind::CHECKPOINT || record.run != wanted.run {
        return false;
    }
    let place = if wanted.run.is_some() { u64::from(record.revision) } else { record.seq.get() };
    let read = Checkpoint::decode(&record.payload).ok();
    let read = read.map(|read| Checkpoint { build: wanted.build.clone(), ..read });
    // One of a run stands directly behind what it is about; so the run has not gone on in between.
    let is_next = wanted.run.is_none() || place == wanted.revision + 1;
    read.as_ref() == Some(wanted) && is_next
}

/// Whether the log says of a snapshot's state what the snapshot says. (A compaction leaves checkpoints where they are.)
pub(crate) fn is_vouched_for(reader: &Reader, head: &SnapshotHead) -> Result<std::result::Result<(), String>> {
    let place = match head.run {
        Some(_) => u64::from(head.revision).saturating_sub(1),
        None => head.seq.get(),
    };
    let wanted = Checkpoint {
        fold: head.fold.clone(),
        version: head.version,
        build: String::new(),
        run: head.run,
        revision: place,
        digest: head.digest.0,
    };
    let is_in_place = head.run.is_none() || head.seq == head.voucher;
    let record = match reader.get(head.voucher) {
        _ if head.voucher < reader.first_seq()? => None,
        Err(error) if error.kind() == ErrorKind::Damaged => return Ok(Err(error.to_string())),
        record => record?,
    };
    Ok(match record {
        Some(record) if is_in_place && says(&record, &wanted) => Ok(()),
        Some(record) => {
            let what = record.type_name();
            Err(format!(
                "it is of another history: event {} of the log is {what}, and does not vouch for it",
                head.voucher
            ))
        }
        None => Err(format!("the log has no event {}, which has to vouch for it", head.voucher)),
    })
}
