//! A state on request: the newest snapshot that can be trusted, and the events behind it.

use crate::error::{Error, Result};
use crate::fold::bases::is_compacted;
use crate::fold::fold::{Fold, Scope};
use crate::fold::folding::Folding;
use crate::fold::pass::Losses;
use crate::fold::replay::Replay;
use crate::fold::snapshots::{SnapshotFinding, Snapshots, check_name};
use crate::fold::state::{Missing, Standing};
use crate::log::archived::compacted_between;
use crate::{ErrorKind, EventOrLoss, GapRange, GapReason, Query, Reader, Seq};
use std::collections::BTreeMap;

/// Where a fold may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the newest snapshot that can be trusted, else at the log's first event.
    #[default]
    Snapshot,
    /// At the log's first event.
    Origin,
}

/// The snapshot that a state began at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromSnapshot {
    /// The event after which it was taken.
    pub seq: Seq,
    /// How many events of the run up to there the log records as absent: the snapshot has seen them, so the state does not
    /// lack what they did.
    pub absent: u64,
}

/// A state that was asked for.
#[derive(Clone, Debug)]
pub struct Loaded<F: Fold> {
    /// The state, and where it stands.
    pub standing: Standing<F>,
    /// The snapshot that the fold began at; `None` for the log's first event.
    pub snapshot: Option<FromSnapshot>,
    /// Snapshots that were passed over.
    pub findings: Vec<SnapshotFinding>,
    /// What could not be read on the way, and may be of this run.
    pub losses: Losses,
}

impl Reader {
    /// The state of a run (`None`: of the store, for a fold over it) before the event `until`, or at the end of the log. What
    /// can not be read is passed over; what the state lacks, or may lack, its standing tells.
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
        let snapshot = match &begun {
            Some(standing) => self.snapshot_of(run, standing)?,
            None => None,
        };
        let mut folding = match (snapshot, start) {
            // A snapshot, or a run that it began as, may make up for what was compacted away.
            (None, Start::Snapshot) => Folding::<F>::over_until(self, until)?,
            _ => Folding::<F>::new()?,
        };
        // A snapshot holds what a run began with; else the runs that it began as have to be read as well.
        let mut query = match (snapshot, run) {
            (Some(from), Some(run)) => Query::all().run(run).from(from.seq.next()),
            (Some(from), None) => Query::all().from(from.seq.next()),
            (None, run) => self.events_of_fold::<F>(run)?,
        };
        query.until = until;
        if let Some(standing) = begun {
            folding.start_at(run, standing);
        }
        let mut losses = Losses::default();
        Replay::query(self, query).past_damage().go(&mut [&mut folding, &mut losses])?;
        let snapshot = snapshot.or(folding.begun(run));
        let standing = folding.into_standing(run)?;
        if let Some(error) = self.compacted_away(&standing)? {
            // The originals may still be there: then it is as if nothing had been compacted.
            let whole = self.with_archives()?.ok_or(error)?;
            let loaded = match whole.state::<F>(run, until, Start::Origin) {
                // Of what was dropped before, no original is anywhere: a snapshot begins behind it.
                Err(error) if error.kind() == ErrorKind::Compacted && start != Start::Origin => {
                    whole.state::<F>(run, until, start)
                }
                loaded => loaded,
            };
            return Ok(Loaded { findings, ..loaded? });
        }
        Ok(Loaded { standing, snapshot, findings, losses })
    }

    /// What to say of the snapshot that a state stands at. Its events are counted only where the log records absences. What was
    /// compacted away is as good as there.
    fn snapshot_of<F: Fold>(&self, run: Option<Seq>, standing: &Standing<F>) -> Result<Option<FromSnapshot>> {
        let Some(seq) = standing.seq else { return Ok(None) };
        let gaps = self.known_gaps()?;
        let is_lost = |gap: &&GapRange| gap.first <= seq && gap.reason != GapReason::Compacted;
        let mut lost = gaps.iter().filter(is_lost).peekable();
        let absent = match run {
            _ if lost.peek().is_none() => 0,
            None => lost.map(|gap| gap.last.min(seq).get() - gap.first.get() + 1).sum(),
            Some(run) => self.absent_before(run, standing.revision, seq, &gaps)?,
        };
        Ok(Some(FromSnapshot { seq, absent }))
    }

    /// How many events of a run, up to one of this revision and seq, are absent and were not compacted away.
    fn absent_before(&self, run: Seq, revision: u32, seq: Seq, gaps: &[GapRange]) -> Result<u64> {
        let (mut absent, mut last) = (0, (None, 0));
        let mut go_to = |seq: Seq, revision: u32| {
            let count = u64::from(revision.saturating_sub(last.1).saturating_sub(1));
            let missing = Missing { after: last.0, before: seq, count };
            absent += if is_compacted(gaps, &missing) { 0 } else { count };
            last = (Some(seq), revision);
        };
        let mut events = self.events(Query::all().run(run).from(run).until(seq.next()))?;
        while let Some(next) = events.next_or_loss()? {
            match next {
                EventOrLoss::Event(record) => go_to(record.seq, record.revision),
                // What can not be read is not absent by record.
                EventOrLoss::Loss(loss) => {
                    loss.header.iter().for_each(|header| go_to(header.seq, header.revision));
                }
            }
        }
        go_to(seq.next(), revision.saturating_add(1));
        Ok(absent)
    }

    /// T0508, where a state lacks what a compaction has taken away.
    pub(crate) fn compacted_away<F: Fold>(&self, standing: &Standing<F>) -> Result<Option<Error>> {
        if standing.missing.is_empty() {
            return Ok(None);
        }
        let gaps = self.known_gaps()?;
        let of = |missing: &Missing| Some((*missing, compacted_between(&gaps, missing.after, missing.before)?));
        let found = standing.missing.iter().find_map(of);
        Ok(found.map(|(missing, gap)| compacted::<F>(&missing, gap)))
    }
}

impl<F: Fold> Folding<F> {
    /// Behind a pass over the log up to `until`: where that lacks events of a run, the run's state becomes the one that
    /// [`Reader::state`] gives, from the newest snapshot that can be trusted. So whatever asks for the state of a run, the
    /// answer is the same: without absences, a snapshot and the events before it agree. Gives the runs whose states begin at
    /// a snapshot now. (A fold [`Folding::over`] a log needs no second look where events were compacted away.)
    ///
    /// # Errors
    /// As reading the log.
    pub fn begin_at_snapshots(
        &mut self,
        reader: &Reader,
        until: Option<Seq>,
    ) -> Result<BTreeMap<Option<Seq>, FromSnapshot>> {
        for run in self.lacking(&reader.known_gaps()?) {
            match reader.state::<F>(run, until, Start::Snapshot) {
                Ok(Loaded { standing, snapshot: Some(snapshot), .. }) => self.begin_at(run, standing, snapshot),
                Err(error) if error.kind() == ErrorKind::Io => return Err(error),
                // What is known of it from the log stays.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(self.all_begun())
    }
}

fn compacted<F: Fold>(missing: &Missing, gap: &GapRange) -> Error {
    let (digest, place) = (blake3::Hash::from(gap.digest).to_hex(), gap.kept_in.as_str());
    let place = if place.is_empty() { "dropped".to_owned() } else { format!("moved to {place}, which is not there") };
    let message = format!(
        "{missing}: compacted away, and no snapshot of {} covers them; seqs {}..={} were {place}, BLAKE3 {}",
        F::NAME,
        gap.first,
        gap.last,
        &digest[..16]
    );
    Error::new(ErrorKind::Compacted, "T0508", message)
        .seq(missing.before.get())
        .hint("put the archive back where it was, or read it in place: taffrail -s DIRECTORY state show")
}
