use crate::error::{Error, Result};
use crate::log::listing::Listing;
use crate::log::lock::StoreLock;
use crate::log::paths;
use crate::log::quarantine::{ensure_dir, keep};
use crate::log::recovery::distrust_cache;
use crate::log::repair::plan::{RepairAction, RepairPlan, SegmentRepair, neighbours, open_or_guess};
use crate::log::repair::rename::rename;
use crate::log::repair::rewrite::{Content, rewrite};
use crate::log::repair::survey::Survey;
use crate::log::repair::untold;
use crate::plan::{Applied, Authority, other_plan, parse_digest};
use crate::storage::{OpenMode, Storage, write_all_at};
use crate::{
    ErrorKind, GapRange, GapReason, Gaps, Journal, LogId, OperatorAction, Query, SegmentHeader, SegmentNumber, Seq,
};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// Shows the plan.
const COMMAND: &str = "taffrail log repair";

impl RepairPlan {
    /// Carries the plan out: the originals go to quarantine first, each segment is replaced by one rename, and an operator
    /// event tells of it. Safe to be interrupted anywhere: whoever opens the store for writing next tells of what was replaced
    /// by then; plan again and go on.
    ///
    /// # Errors
    /// `Rejected` where the store is no longer what was planned for, or the authority does not cover the loss: nothing was
    /// changed. `Locked`, `Io`.
    pub fn apply(&self, storage: &Arc<dyn Storage>, authority: &Authority) -> Result<Applied> {
        authority.covers(&self.id, self.lost, COMMAND)?;
        let mut lock = StoreLock::open(Arc::clone(storage))?;
        lock.acquire(authority.lock_timeout_ms)?;
        distrust_cache(&**storage)?;
        let again = RepairPlan::make(&**storage, self.mode)?;
        if again.id != self.id {
            return Err(other_plan(&self.id, &again.id, COMMAND));
        }
        // Whoever comes after an interruption judges the tail anew.
        lock.mark_held()?;
        let directory = format!("{}/{}", paths::QUARANTINE, self.name());
        if !self.is_empty() {
            self.keep_originals(&**storage, &directory)?;
            if self.replaces() {
                untold::begin(&**storage, &directory, authority)?;
            }
            rename(&**storage, &self.segments)?;
            let is_written = |action| matches!(action, RepairAction::Rewrite | RepairAction::Replace);
            for repair in self.segments.iter().filter(|repair| is_written(repair.action)) {
                // Read again for each: a segment that was not there is a neighbour once it is recorded as lost.
                let listing = Listing::read(&**storage)?;
                self.rewrite(&**storage, &listing, repair, &directory)?;
            }
            // The index names places in segments that are other files now.
            remove_if_there(&**storage, paths::RUNS_INDEX)?;
        }
        lock.abandon();
        drop(lock);
        let event = self.tell(storage, authority, &directory)?;
        Ok(Applied { plan: self.id.clone(), kept_in: Some(directory), event, lost: self.lost })
    }

    /// Copies every segment that will be changed, whole, and what the plan says of it.
    fn keep_originals(&self, storage: &dyn Storage, directory: &str) -> Result<()> {
        ensure_dir(storage, paths::QUARANTINE)?;
        ensure_dir(storage, directory)?;
        let needed = self.bytes_needed(storage)?;
        let free = storage.free_bytes().map_err(|error| Error::io("cannot ask for free space", error))?;
        if let Some(free) = free.filter(|free| *free < needed) {
            let full = io::Error::new(io::ErrorKind::StorageFull, format!("{needed} bytes needed, {free} free"));
            return Err(Error::io("not enough space for the originals and the new segments", full));
        }
        for repair in self.segments.iter().filter(|repair| repair.action == RepairAction::Rewrite) {
            let number = number_of(repair)?;
            let file = storage
                .open(&paths::segment(number), OpenMode::Read)
                .map_err(|error| Error::io("cannot open a segment", error).segment(number))?;
            let len = file.len_bytes().map_err(|error| Error::io("cannot measure a segment", error))?;
            keep(storage, directory, &format!("segment-{:010}", number.get()), &*file, 0..len)?;
        }
        let manifest = serde_json::to_vec_pretty(self).unwrap_or_default();
        let name = format!("{directory}/manifest.json");
        let written = remove_if_there(storage, &name).map(|()| storage.open(&name, OpenMode::CreateNew))?;
        written
            .and_then(|file| write_all_at(&*file, 0, &manifest).and_then(|()| file.sync_all()))
            .and_then(|()| storage.sync_dir(directory))
            .map_err(|error| Error::io("cannot write the manifest", error))
    }

    fn bytes_needed(&self, storage: &dyn Storage) -> Result<u64> {
        let mut needed = 0;
        for (number, len) in Listing::read(storage)?.segments {
            let changed = self.segments.iter().any(|repair| repair.segment == number.get());
            needed += if changed { 2 * len } else { 0 };
        }
        Ok(needed)
    }

    fn rewrite(&self, storage: &dyn Storage, listing: &Listing, repair: &SegmentRepair, directory: &str) -> Result<()> {
        let number = number_of(repair)?;
        let log_id = LogId(parse_id(&self.log_id).unwrap_or_default());
        let around = neighbours(storage, listing, log_id, number)?;
        let behind = around.behind.and_then(|(_, origin)| origin);
        let (old, survey) = match repair.action {
            RepairAction::Replace => (None, None),
            _ => {
                let opened = open_or_guess(storage, listing, log_id, number)?;
                let survey = Survey::read_behind(&opened.segment, &around.types)?;
                (Some(opened.segment), Some(survey))
            }
        };
        let mut header = match &old {
            Some(segment) => segment.header.clone(),
            None => around.header_of(number, 0)?,
        };
        header.generation += 1;
        // What stands for a segment that is gone begins as that one did: with the types at the end of the one before.
        let (mut kept, types) = survey
            .as_ref()
            .map_or_else(|| (Vec::new(), around.types.clone()), |survey| (survey.kept.clone(), survey.types.clone()));
        if self.mode == crate::log::repair::plan::RepairMode::Tail
            && let Some(first) = repair.removed.first()
        {
            kept.retain(|range| range.start < first.start);
            kept.iter_mut().for_each(|range| range.end = range.end.min(first.start));
        }
        let recorded = survey.as_ref().map_or(&[][..], |survey| &survey.recorded);
        let gaps = gaps(repair, recorded, directory)?;
        let next_seq = next_seq(&header, survey.as_ref(), repair);
        let origin = survey.as_ref().and_then(|survey| survey.origin).or(behind);
        let content = Content { header, types: &types, gaps, kept: &kept, next_seq, origin };
        rewrite(storage, old.as_ref(), &content)
    }

    /// Whether it puts other files in the places of segments.
    fn replaces(&self) -> bool {
        self.segments.iter().any(|repair| repair.action != RepairAction::Cut)
    }

    /// Opens the store, which recovers its tail and tells of segments that were replaced; otherwise appends the operator event.
    /// Gives the seq of that.
    fn tell(&self, storage: &Arc<dyn Storage>, authority: &Authority, directory: &str) -> Result<u64> {
        let journal = Journal::options().lock_timeout_ms(authority.lock_timeout_ms).open_on(Arc::clone(storage))?;
        if self.replaces()
            && let Some(told) = self.told(&journal)?
        {
            journal.close()?;
            return Ok(told);
        }
        let detail = serde_json::json!({
            "mode": self.mode, "kept_in": directory, "lost": self.lost, "segments": self.segments,
        });
        authority.tell(journal, untold::VERB, &self.id, &detail)
    }
}

impl RepairPlan {
    /// The seq of the newest operator event that tells of this plan, but for those of which an undo has followed.
    fn told(&self, journal: &Journal) -> Result<Option<u64>> {
        let query = Query::all().event_type("OperatorAction").reverse();
        let mut undone = BTreeSet::new();
        let mut told = None;
        journal.reader()?.events(query)?.for_each(|record| {
            let Ok(action) = OperatorAction::decode(&record.payload) else { return Ok(true) };
            let is_this = action.verb == untold::VERB
                && Some(action.plan) == parse_digest(&self.id)
                && !undone.contains(&record.seq.get());
            undone.extend(untold::undone_by(&action));
            told = is_this.then(|| record.seq.get());
            Ok(!is_this)
        })?;
        Ok(told)
    }
}

pub(super) fn remove_if_there(storage: &dyn Storage, name: &str) -> Result<()> {
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format_args!("cannot remove {name}"), error))
        }
        _ => Ok(()),
    }
}

fn number_of(repair: &SegmentRepair) -> Result<SegmentNumber> {
    SegmentNumber::new(repair.segment).ok_or_else(|| Error::new(ErrorKind::Invalid, "T0190", "a plan names segment 0"))
}

fn next_seq(header: &SegmentHeader, survey: Option<&Survey>, repair: &SegmentRepair) -> Seq {
    let gap_end = repair.gaps.last().map_or(header.first_seq, |(_, last)| Seq::after(*last));
    match (survey, repair.removed.first()) {
        // What follows a cut in the last group is gone, whether its frames were good or not.
        (Some(_), Some(_)) if !repair.gaps.is_empty() => gap_end.max(survey.map_or(gap_end, |survey| survey.next_seq)),
        (Some(survey), _) => survey.next_seq.max(gap_end),
        (None, _) => gap_end,
    }
}

/// What was recorded as absent before, and what is now.
fn gaps(repair: &SegmentRepair, recorded: &[GapRange], directory: &str) -> Result<Gaps> {
    let mut ranges = recorded.to_vec();
    for (first, last) in &repair.gaps {
        let removed = repair.removed.iter().find(|removed| removed.lost == Some((*first, *last)));
        let digest = removed.and_then(|removed| parse_digest(&removed.digest)).unwrap_or_default();
        ranges.push(GapRange {
            first: Seq::new(*first).unwrap_or(Seq::FIRST),
            last: Seq::new(*last).unwrap_or(Seq::FIRST),
            reason: GapReason::Damaged,
            digest,
            kept_in: directory.to_owned(),
        });
    }
    ranges.sort_by_key(|range| range.first);
    Gaps::new(ranges).ok_or_else(|| Error::new(ErrorKind::Damaged, "T0308", "the absences of a segment overlap"))
}

fn parse_id(hexadecimal: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(hexadecimal, 16).ok().map(u128::to_be_bytes)
}
