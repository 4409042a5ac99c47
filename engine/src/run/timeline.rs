//! The events of runs in words, in order.

use crate::error::Result;
use crate::fold::{Folding, Pass, parent_of};
use crate::run::event::RunEvent;
use crate::run::runs::Runs;
use crate::run::text::Text;
use crate::{Kind, Loss, Reader, Record, Seq};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// An event of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEvent {
    /// Which event of the run schema, as [`crate::run::Moment::event`]; 0 where nothing tells it any more, since events
    /// around it were dropped.
    pub event: u64,
    /// Its seq in the log.
    pub seq: u64,
    /// Its clock, in nanoseconds since 1970.
    pub time_ns: i64,
    /// Its kind.
    pub kind: Cow<'static, str>,
    /// Who, as far as the evidence goes.
    pub actor: Text,
    /// The step, gate, approval, artifact or hook that it is about; may be empty.
    pub subject: Text,
    /// Whether it is not in the run's history any more: a rewind, or an undo, has given it up.
    pub given_up: bool,
    /// What happened, in a few words; may be empty. Like the subject, it may hold any text of the event: escape it.
    pub summary: Text,
}

impl TimelineEvent {
    /// Most events of a run that are kept: the last ones.
    pub const MOST_KEPT: usize = 10_000;

    fn of(event: u64, data: &RunEvent, record: &Record<'_>) -> Option<TimelineEvent> {
        let RunEvent { actor, change } = data;
        (!change.is_hint()).then(|| TimelineEvent {
            event,
            seq: record.seq.get(),
            time_ns: record.time_ns,
            given_up: false,
            kind: change.kind().into(),
            actor: actor.clone(),
            subject: data.subject().into(),
            summary: data.summary(),
        })
    }
}

/// The events of a run so far.
#[derive(Debug, Default)]
struct Timeline {
    lines: VecDeque<TimelineEvent>,
    /// The run that it may have begun as, until that is settled.
    parent: Option<Seq>,
    /// How many of the last lines follow each other without a gap, their ordinals not known yet.
    uncounted: usize,
    /// The revision of the last event that the state does not count.
    uncounted_until: u32,
}

impl Timeline {
    fn push(&mut self, line: TimelineEvent) {
        if self.lines.len() == TimelineEvent::MOST_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

/// Folds runs, and puts their events in words on the way, so that each is decoded once. A fork's begin with its parent's.
pub(super) struct Timelines {
    pub(super) folding: Folding<Runs>,
    runs: BTreeMap<Seq, Timeline>,
}

impl Timelines {
    pub(super) fn over(reader: &Reader) -> Result<Timelines> {
        Ok(Timelines { folding: Folding::over(reader)?, runs: BTreeMap::new() })
    }

    /// The last events of a run, at most [`TimelineEvent::MOST_KEPT`], with what its state says of them.
    pub(super) fn lines_of(&mut self, run: Seq) -> VecDeque<TimelineEvent> {
        let mut lines = self.runs.remove(&run).map(|timeline| timeline.lines).unwrap_or_default();
        if let Some(standing) = self.folding.standing(Some(run)) {
            let state = &standing.state;
            for line in &mut lines {
                line.given_up = line.event > 0 && !state.is_in_lineage(line.event);
                // The source's own name for a step means nothing to people.
                if !state.source_ids.is_empty() {
                    line.subject = state.step_name(&line.subject).into();
                }
            }
        }
        lines
    }
}

impl Pass for Timelines {
    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        let Some(run) = record.run else { return Ok(()) };
        let timeline = self.runs.entry(run).or_default();
        if record.kind == Kind::RUN_OPENED {
            timeline.parent = parent_of(record);
        }
        let mut is_told = false;
        self.folding.take_telling(record, &mut |state, event| {
            is_told = true;
            if let Some(line) = TimelineEvent::of(state.events, &event.data, record) {
                timeline.push(line);
            }
        })?;
        if !is_told && self.folding.begun(Some(run)).is_some_and(|begun| record.seq <= begun.seq) {
            self.take_uncounted(run, record);
            is_told = true;
        }
        if is_told {
            self.inherit(run);
        }
        Ok(())
    }

    fn lose(&mut self, loss: &Loss) -> Result<()> {
        self.folding.lose(loss)
    }
}

impl Timelines {
    /// Takes an event before the snapshot that the run's state begins at, events before it having been dropped: the state does not
    /// count it. Where nothing is missing between the two, its ordinal is counted back from the snapshot's.
    fn take_uncounted(&mut self, run: Seq, record: &Record<'_>) {
        let timeline = self.runs.entry(run).or_default();
        if record.revision != timeline.uncounted_until.saturating_add(1) {
            timeline.uncounted = 0;
        }
        timeline.uncounted_until = record.revision;
        for data in self.folding.events_of(record) {
            if let Some(line) = TimelineEvent::of(0, &data, record) {
                timeline.push(line);
                timeline.uncounted += 1;
            }
        }
        let base = self.folding.standing(Some(run)).filter(|base| base.revision == record.revision);
        if let Some(base) = base {
            let uncounted = timeline.lines.iter_mut().rev().take(timeline.uncounted);
            for (line, event) in uncounted.zip((1..=base.state.events).rev()) {
                line.event = event;
            }
        }
    }

    /// Puts the events that a run began with before its first one.
    fn inherit(&mut self, run: Seq) {
        let Some(parent) = self.runs.get_mut(&run).and_then(|timeline| timeline.parent.take()) else { return };
        let state = self.folding.standing(Some(run)).map(|standing| &standing.state);
        let Some(forked) = state.and_then(|state| state.parent.as_ref()) else { return };
        let inherited = self.runs.get(&parent).map(|parent| &parent.lines).into_iter().flatten();
        let mut lines: VecDeque<TimelineEvent> = inherited.filter(|line| line.event <= forked.at).cloned().collect();
        if let Some(timeline) = self.runs.get_mut(&run) {
            lines.append(&mut timeline.lines);
            lines.drain(..lines.len().saturating_sub(TimelineEvent::MOST_KEPT));
            timeline.lines = lines;
        }
    }
}
