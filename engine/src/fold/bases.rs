//! Snapshots that stand for events which were compacted away, as a fold meets them on its way through a log.

use crate::error::Result;
use crate::fold::fold::{Fold, Scope};
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
    _fold: PhantomData<F>,
}

impl<F: Fold> Bases<F> {
    /// Those of the log that a reader reads; `None` where nothing of it was compacted away.
    pub(crate) fn of(reader: &Reader) -> Result<Option<Bases<F>>> {
        let Some(snapshots) = Snapshots::of(reader) else { return Ok(None) };
        let mut absences = reader.gaps()?;
        absences.retain(|gap| gap.reason == GapReason::Compacted);
        if absences.is_empty() {
            return Ok(None);
        }
        let files = snapshots.by_run::<F>()?;
        Ok(Some(Bases { reader: reader.clone(), snapshots, files, absences, _fold: PhantomData }))
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

    fn first(
        &self,
        run: Option<Seq>,
        after: Option<Seq>,
        wanted: impl Fn(&Standing<F>) -> bool,
    ) -> Result<Option<Standing<F>>> {
        let candidates = self.files.get(&run).into_iter().flatten();
        for (_, version, file) in candidates.filter(|(seq, ..)| after.is_none_or(|after| *seq > after)) {
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
