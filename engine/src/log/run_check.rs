//! The runs of a log while it is verified: their names, whether their revisions follow each other, what they have lost.
//!
//! A lost event whose header is gone belongs to nobody knows whom. Three things tell: the run's next event, whose revision
//! says how many are missing before it; the footer of the segment, which counts each run's events in it; and, if all
//! events of a loss are found so, that nobody else lost any there. A run of which nothing tells may be affected, and is
//! never called unaffected. What `runs.idx` says is added, as a hint.

use crate::error::Result;
use crate::log::piece::{Damage, SeqRange};
use crate::log::run_index_file::IndexFile;
use crate::log::verify_report::{AffectedRun, PossiblyAffectedRun};
use crate::storage::Storage;
use crate::{DefectKind, Footer, Frame, Header, RunOpened, SegmentNumber, Seq};
use std::collections::BTreeMap;
use std::ops::Range;

#[derive(Debug, Default)]
struct RunState {
    name: Option<String>,
    revision: u32,
    events: u64,
    lost: u64,
    /// How many losses the log had when the run was last seen: those behind may have taken events of it.
    passed: usize,
    /// Losses that lie between two of its events and may have taken some: not only they explain what is missing.
    unclear: Option<Range<usize>>,
    /// Events of the log that were passed over unseen, or are absent by record, when the run was last seen.
    unseen: u64,
}

/// Lost events whose headers are unreadable.
#[derive(Debug)]
struct Loss {
    last: u64,
    count: u64,
    /// All such events before it.
    before: u64,
    /// How many of them are known to be of runs.
    told: u64,
    /// A footer counts all events that were there.
    counted: bool,
}

impl Loss {
    fn is_open(&self) -> bool {
        !self.counted && self.told < self.count
    }
}

/// What `runs.idx` says, where it can be read.
#[derive(Debug, Default)]
pub(crate) struct IndexHint {
    /// The seq up to which it is complete.
    next_seq: u64,
    /// The revision of each run.
    revisions: Vec<(Seq, u32)>,
}

impl IndexHint {
    /// # Errors
    /// `Io`.
    pub(crate) fn read(storage: &dyn Storage) -> Result<IndexHint> {
        let (next_seq, records) = IndexFile::hint(storage)?;
        Ok(IndexHint { next_seq, revisions: records.iter().map(|record| (record.run, record.revision)).collect() })
    }
}

/// See the module. Takes memory for each run of the log.
#[derive(Debug)]
pub(crate) struct RunCheck {
    runs: BTreeMap<Seq, RunState>,
    /// Whether runs may begin in the middle, because what comes before is not at hand.
    partial: bool,
    losses: Vec<Loss>,
    /// The losses before the segment that is being read.
    before_segment: usize,
    nameless: u64,
    /// Of all losses together, events that are known to be of runs.
    told: u64,
    absent: u64,
    /// Events of segments that were passed over and do not tell of which runs they are.
    untold: u64,
    lost_of_store: u64,
}

/// What it comes to.
#[derive(Debug)]
pub(crate) struct RunSums {
    pub(crate) affected: Vec<AffectedRun>,
    pub(crate) possibly: Vec<PossiblyAffectedRun>,
    pub(crate) lost_without_run: u64,
    pub(crate) unaffected: u64,
    pub(crate) unaffected_events: u64,
    pub(crate) absent: u64,
}

impl RunCheck {
    /// Most losses that are kept apart; behind them they count as one.
    const MOST_LOSSES: usize = 1 << 16;

    pub(crate) fn new(partial: bool) -> RunCheck {
        RunCheck {
            runs: BTreeMap::new(),
            partial,
            losses: Vec::new(),
            before_segment: 0,
            nameless: 0,
            told: 0,
            absent: 0,
            untold: 0,
            lost_of_store: 0,
        }
    }

    /// A segment's file begins.
    pub(crate) fn segment(&mut self) {
        self.before_segment = self.losses.len();
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
        let due = self.runs.get(&run).map_or(1, |state| state.revision.saturating_add(1));
        let explained = self.reaches(run, header.revision.saturating_sub(1));
        let state = self.runs.entry(run).or_default();
        state.revision = header.revision;
        state.events += 1;
        if let Some(opened) = opened {
            state.name = Some(opened.name);
        }
        let damage = Damage::new(DefectKind::Revision, Some(segment), frame.offset..frame.end());
        let wrong = header.revision < due || !explained;
        wrong.then(|| damage.saying(format!("revision {due} of run {run}"), format!("{}", header.revision)))
    }

    /// The run is known to have had so many events by here. Those that were not seen are lost or absent. `false` where
    /// neither explains them.
    fn reaches(&mut self, run: Seq, revision: u32) -> bool {
        let (passed, unseen) = (self.losses.len(), self.absent + self.untold);
        let is_new_in_the_middle = self.partial && !self.runs.contains_key(&run);
        let state = self.runs.entry(run).or_default();
        let since = std::mem::replace(&mut state.passed, passed)..passed;
        let absent = unseen - std::mem::replace(&mut state.unseen, unseen);
        let nameless = self.nameless - self.losses.get(since.start).map_or(self.nameless, |loss| loss.before);
        let missing = u64::from(revision.saturating_sub(state.revision));
        state.revision = state.revision.max(revision);
        if is_new_in_the_middle {
            state.unclear = (missing > 0).then_some(0..passed);
            return true;
        }
        let lost = missing.saturating_sub(absent).min(nameless);
        state.lost += lost;
        self.told += lost;
        if let [only] = &mut self.losses[since.clone()] {
            only.told += lost;
        }
        if absent > 0 && missing > lost && nameless > lost {
            let from = state.unclear.take().map_or(since.start, |range| range.start);
            state.unclear = Some(from..passed);
        }
        missing <= absent.saturating_add(nameless)
    }

    /// Takes a loss, with the header of one of the events if it is known.
    pub(crate) fn lost(&mut self, ranges: &[SeqRange], header: Option<&Header>) {
        let mut count: u64 = ranges.iter().fold(0, |sum, range| sum.saturating_add(range.count()));
        let named = header.filter(|_| count > 0);
        count = count.saturating_sub(u64::from(named.is_some()));
        if let (Some(last), true) = (ranges.last(), count > 0) {
            self.nameless_loss(last.last, count);
        }
        let Some(header) = named else { return };
        let Some(run) = header.run else {
            self.lost_of_store += 1;
            return;
        };
        self.reaches(run, header.revision.saturating_sub(1));
        let state = self.runs.entry(run).or_default();
        state.lost += 1;
        state.revision = state.revision.max(header.revision);
    }

    fn nameless_loss(&mut self, last: u64, count: u64) {
        let (before, before_count) = (self.nameless, self.losses.len());
        self.nameless = self.nameless.saturating_add(count);
        match self.losses.last_mut().filter(|_| before_count >= Self::MOST_LOSSES) {
            Some(loss) => {
                (loss.last, loss.count) = (last, loss.count.saturating_add(count));
            }
            None => self.losses.push(Loss { last, count, before, told: 0, counted: false }),
        }
    }

    /// Takes recorded absences.
    pub(crate) fn absent(&mut self, count: u64) {
        self.absent = self.absent.saturating_add(count);
    }

    /// Takes the footer behind a segment's frames: it names the runs whose opening is lost, and counts what was there.
    pub(crate) fn footer(&mut self, payload: &[u8]) {
        let Some(runs) = Footer::decode(payload).ok().and_then(|footer| footer.runs) else { return };
        for (run, entry) in runs {
            let is_behind = self.runs.get(&run).is_none_or(|state| state.revision < entry.revision);
            if is_behind && self.losses.len() > self.before_segment {
                self.reaches(run, entry.revision);
            }
            if let Some(state) = self.runs.get_mut(&run)
                && state.name.is_none()
            {
                state.name = entry.name;
            }
        }
        if self.losses.len() < Self::MOST_LOSSES {
            self.losses.iter_mut().skip(self.before_segment).for_each(|loss| loss.counted = true);
        }
    }

    /// Takes a segment whose frames are passed over. `is_original`: it has not been rewritten, so that no event is absent.
    pub(crate) fn skimmed(&mut self, footer: &Footer, is_original: bool) {
        let Some(runs) = &footer.runs else {
            self.untold = self.untold.saturating_add(footer.events);
            return;
        };
        for (run, entry) in runs {
            if is_original {
                self.reaches(*run, entry.revision.saturating_sub(entry.count));
            }
            let passed = self.losses.len();
            let state = self.runs.entry(*run).or_default();
            if !is_original && state.passed < passed {
                state.unclear = Some(state.unclear.take().map_or(state.passed, |range| range.start)..passed);
            }
            (state.passed, state.unseen) = (passed, self.absent + self.untold);
            state.revision = state.revision.max(entry.revision);
            state.events += u64::from(entry.count);
            state.name = state.name.take().or_else(|| entry.name.clone());
        }
    }

    pub(crate) fn name(&self, run: u64) -> Option<String> {
        self.runs.get(&Seq::new(run)?)?.name.clone()
    }

    /// Whether some event's run is not known, so that a hint could help.
    pub(crate) fn is_open(&self) -> bool {
        self.told < self.nameless && self.losses.iter().any(Loss::is_open)
    }

    /// The sums, given how many events are lost in all.
    pub(crate) fn finish(mut self, lost: u64, hint: &IndexHint) -> RunSums {
        let all_told = !self.is_open();
        let open: Vec<bool> = self.losses.iter().map(|loss| !all_told && loss.is_open()).collect();
        let is_cut_short = self.losses.len() >= Self::MOST_LOSSES;
        let last_open = open.iter().rposition(|open| *open);
        let reaches_all = last_open.is_some_and(|last| self.losses[last].last < hint.next_seq);
        let tips: BTreeMap<Seq, u32> = hint.revisions.iter().copied().filter(|_| reaches_all).collect();
        let mut sums = RunSums {
            affected: Vec::new(),
            possibly: Vec::new(),
            lost_without_run: 0,
            unaffected: 0,
            unaffected_events: 0,
            absent: self.absent,
        };
        let mut known = self.lost_of_store;
        for (run, revision) in &tips {
            // Opened within a loss: nothing else tells of it.
            if last_open.is_some() && !self.runs.contains_key(run) {
                let lost = Some(u64::from(*revision));
                let unknown = PossiblyAffectedRun { run: run.get(), name: None, events: 0, index_says_lost: lost };
                sums.possibly.push(unknown);
            }
        }
        for (run, state) in std::mem::take(&mut self.runs) {
            let is_behind = last_open.is_some_and(|last| last >= state.passed || is_cut_short);
            let is_unclear = state.unclear.clone().is_some_and(|range| open[range].contains(&true));
            if state.lost > 0 {
                known += state.lost;
                sums.affected.push(AffectedRun {
                    run: run.get(),
                    name: state.name,
                    events: state.events,
                    lost: state.lost,
                });
            } else if is_behind || is_unclear {
                let says = tips.get(&run).map(|revision| u64::from(revision.saturating_sub(state.revision)));
                sums.possibly.push(PossiblyAffectedRun {
                    run: run.get(),
                    name: state.name,
                    events: state.events,
                    index_says_lost: says,
                });
            } else {
                sums.unaffected += 1;
                sums.unaffected_events += state.events;
            }
        }
        sums.possibly.sort_by_key(|run| run.run);
        sums.lost_without_run = lost.saturating_sub(known);
        sums
    }
}
