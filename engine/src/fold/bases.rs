//! Snapshots that stand for events which were compacted away, as a fold meets them on its way through a log.

use crate::error::Result;
use crate::fold::fold::{Fold, Scope};
use crate::fold::load::FromSnapshot;
use crate::fold::snapshots::{SnapshotFiles, Snapshots};
use crate::fold::state::{Missing, Standing};
use crate::log::archived::compacted_between;
use crate::{GapRange, GapReason, Reader, Record, Seq};
use std::marker::PhantomData;

/// See the module.
pub(crate) struct Bases<F: Fold> {
    reader: Reader,
    snapshots: Snapshots,
    /// By run, ascending: after which event, of which version of the fold, in which file.
    files: SnapshotFiles,
    absences: Vec<GapRange>,
    /// Events that come before this one are folded.
    until: Option<Seq>,
    _fold: PhantomData<F>,
}

impl<F: Fold> Bases<F> {
    /// Those of the log that a reader reads; `None` where nothing of it was compacted away.
    pub(crate) fn of(reader: &Reader, until: Option<Seq>) -> Result<Option<Bases<F>>> {
        let Some(snapshots) = Snapshots::of(reader) else { return Ok(None) };
        let absences = reader.known_gaps()?;
        if absences.iter().all(|gap| gap.reason != GapReason::Compacted) {
            return Ok(None);
        }
        let files = snapshots.by_run::<F>()?;
        Ok(Some(Bases { reader: reader.clone(), snapshots, files, absences, until, _fold: PhantomData }))
    }

    /// The first snapshot that makes up for what is absent before an event, where a compaction has taken it away. It may
    /// stand behind that event.
    pub(crate) fn before(
        &self,
        run: Option<Seq>,
        after: Option<Seq>,
        record: &Record<'_>,
    ) -> Result<Option<Standing<F>>> {
        if compacted_between(&self.absences, after, record.seq).is_none() {
            return Ok(None);
        }
        self.first(run, after, |standing| match F::SCOPE {
            Scope::Run => standing.revision.saturating_add(1) >= record.revision,
            Scope::Store => standing.seq.is_some_and(|seq| seq.next() >= record.seq),
        })
    }

    /// The first snapshot of a run at or behind an event.
    pub(crate) fn at_or_behind(&self, run: Option<Seq>, seq: Seq) -> Result<Option<Standing<F>>> {
        self.first(run, None, |standing| standing.seq.is_some_and(|at| at >= seq))
    }

    /// What to say of a snapshot that makes up for events: what was compacted away is as good as there.
    pub(crate) fn snapshot_of(&self, standing: &Standing<F>, missing: &[Missing]) -> FromSnapshot {
        let others = missing.iter().filter(|missing| !is_compacted(&self.absences, missing));
        FromSnapshot { seq: standing.seq.unwrap_or(Seq::FIRST), absent: others.map(|missing| missing.count).sum() }
    }

    fn first(
        &self,
        run: Option<Seq>,
        after: Option<Seq>,
        wanted: impl Fn(&Standing<F>) -> bool,
    ) -> Result<Option<Standing<F>>> {
        let is_between = |seq: Seq| after.is_none_or(|after| seq > after) && self.until.is_none_or(|until| seq < until);
        let candidates = self.files.get(&run).into_iter().flatten();
        for (_, version, file) in candidates.filter(|(seq, ..)| is_between(*seq)) {
            if let Ok(standing) = self.snapshots.usable::<F>(&self.reader, run, *version, file)?
                && wanted(&standing)
            {
                return Ok(Some(standing));
            }
        }
        Ok(None)
    }
}

/// Events that are missing by a compaction alone.
pub(crate) fn is_compacted(absences: &[GapRange], missing: &Missing) -> bool {
    let between = |gap: &&GapRange| gap.first < missing.before && missing.after.is_none_or(|after| gap.last > after);
    let mut all = absences.iter().filter(between).peekable();
    all.peek().is_some() && all.all(|gap| gap.reason == GapReason::Compacted)
}
