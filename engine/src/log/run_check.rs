//! The runs of a log while it is verified: their names, whether their revisions follow each other, what they have lost.

use crate::log::piece::Damage;
use crate::log::verify_report::AffectedRun;
use crate::{DefectKind, Footer, Frame, Header, RunOpened, SegmentNumber, Seq};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct RunState {
    name: Option<String>,
    revision: u32,
    events: u64,
    lost: u64,
    /// Nameless losses of the log when the run was last seen.
    nameless: u64,
    /// Recorded absences of the log when the run was last seen.
    absent: u64,
}

/// See the module. Takes memory for each run of the log.
#[derive(Debug)]
pub(crate) struct RunCheck {
    runs: BTreeMap<Seq, RunState>,
    /// Whether runs may begin in the middle, because what comes before is not at hand.
    partial: bool,
    /// Lost events whose headers are unreadable.
    nameless: u64,
    absent: u64,
    lost_of_store: u64,
}

/// What it comes to.
#[derive(Debug)]
pub(crate) struct RunSums {
    pub(crate) affected: Vec<AffectedRun>,
    pub(crate) lost_without_run: u64,
    pub(crate) unaffected: u64,
    pub(crate) unaffected_events: u64,
    pub(crate) absent: u64,
}

impl RunCheck {
    pub(crate) fn new(partial: bool) -> RunCheck {
        RunCheck { runs: BTreeMap::new(), partial, nameless: 0, absent: 0, lost_of_store: 0 }
    }

    /// Takes a good frame. Revisions that are missing without a loss or an absence that explains them are a finding.
    pub(crate) fn frame(
        &mut self,
        segment: SegmentNumber,
        frame: &Frame<'_>,
        opened: Option<RunOpened>,
    ) -> Option<Damage> {
        let header = &frame.header;
        let run = header.run.filter(|_| header.kind.takes_seq())?;
        let is_new = !self.runs.contains_key(&run);
        let state = self.runs.entry(run).or_default();
        let due = state.revision.saturating_add(1);
        let missing = u64::from(header.revision.saturating_sub(due));
        let absent = self.absent - state.absent;
        let nameless = self.nameless - state.nameless;
        let explained = missing <= absent.saturating_add(nameless) || (is_new && self.partial);
        if missing > 0 && explained && !(is_new && self.partial) {
            state.lost += missing.saturating_sub(absent);
        }
        let wrong = header.revision < due || !explained;
        (state.revision, state.nameless, state.absent) = (header.revision, self.nameless, self.absent);
        state.events += 1;
        if let Some(opened) = opened {
            state.name = Some(opened.name);
        }
        let damage = Damage::new(DefectKind::Revision, Some(segment), frame.offset..frame.end());
        wrong.then(|| damage.saying(format!("revision {due} of run {run}"), format!("{}", header.revision)))
    }

    /// Takes a loss, with the header of the event if it is known.
    pub(crate) fn lost(&mut self, count: u64, header: Option<&Header>) {
        let Some(header) = header else {
            self.nameless = self.nameless.saturating_add(count);
            return;
        };
        self.nameless = self.nameless.saturating_add(count.saturating_sub(1));
        let Some(run) = header.run else {
            self.lost_of_store += 1;
            return;
        };
        let state = self.runs.entry(run).or_default();
        state.lost += 1;
        state.revision = state.revision.max(header.revision);
    }

    /// Takes recorded absences.
    pub(crate) fn absent(&mut self, count: u64) {
        self.absent = self.absent.saturating_add(count);
    }

    /// Takes names from a footer, for runs whose opening is lost.
    pub(crate) fn footer(&mut self, payload: &[u8]) {
        let runs = Footer::decode(payload).ok().and_then(|footer| footer.runs);
        for (run, entry) in runs.into_iter().flatten() {
            if let Some(state) = self.runs.get_mut(&run)
                && state.name.is_none()
            {
                state.name = entry.name;
            }
        }
    }

    /// Takes a segment whose frames are passed over.
    pub(crate) fn skimmed(&mut self, footer: &Footer) {
        for (run, entry) in footer.runs.iter().flatten() {
            let state = self.runs.entry(*run).or_default();
            state.revision = entry.revision;
            state.events += u64::from(entry.count);
            state.name = state.name.take().or_else(|| entry.name.clone());
        }
    }

    pub(crate) fn name(&self, run: u64) -> Option<String> {
        self.runs.get(&Seq::new(run)?)?.name.clone()
    }

    /// The sums, given how many events are lost in all.
    pub(crate) fn finish(self, lost: u64) -> RunSums {
        let mut sums = RunSums {
            affected: Vec::new(),
            lost_without_run: 0,
            unaffected: 0,
            unaffected_events: 0,
            absent: self.absent,
        };
        let mut known = self.lost_of_store;
        for (run, state) in self.runs {
            if state.lost == 0 {
                sums.unaffected += 1;
                sums.unaffected_events += state.events;
                continue;
            }
            known += state.lost;
            sums.affected.push(AffectedRun {
                run: run.get(),
                name: state.name,
                events: state.events,
                lost: state.lost,
            });
        }
        sums.lost_without_run = lost.saturating_sub(known);
        sums
    }
}
