//! A run's events in order, as a fold beside [`crate::run::Runs`]: so that a fork's begin with its parent's.

use crate::fold::{Fold, Inherited, Recorded};
use crate::run::event::{Change, RunEvent};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::VecDeque;

/// An event of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEvent {
    /// Which event of the run schema, as [`crate::run::Moment::event`].
    pub event: u64,
    /// Its seq in the log.
    pub seq: u64,
    /// Its clock, in nanoseconds since 1970.
    pub time_ns: i64,
    /// Its kind.
    pub kind: Cow<'static, str>,
    /// Who, as far as the evidence goes.
    pub actor: String,
    /// The step, gate, approval, artifact or hook that it is about; may be empty.
    pub subject: String,
    /// Whether it is not in the run's history any more: a rewind, or an undo, has given it up.
    pub given_up: bool,
    /// What happened, in a few words; may be empty. Like the subject, it may hold any text of the event: escape it.
    pub summary: String,
}

impl TimelineEvent {
    /// Most events of a run that are kept: the last ones.
    pub const MOST_KEPT: usize = 10_000;
}

/// The events of a run so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Timeline {
    events: u64,
    pub(super) lines: VecDeque<TimelineEvent>,
}

/// The fold. It is used for reports alone, and never snapshotted.
pub(super) struct Timelines;

impl Fold for Timelines {
    const NAME: &'static str = "taffrail.run.timeline";
    const VERSION: u32 = 1;
    const INHERITS: bool = true;
    type Event = RunEvent;
    type State = Timeline;

    fn apply(timeline: &mut Timeline, event: &Recorded<RunEvent>) {
        let RunEvent { actor, change } = &event.data;
        if change.is_hint() {
            return;
        }
        if let Change::Forked(forked) = change {
            timeline.events = timeline.events.max(forked.at);
        }
        timeline.events = timeline.events.saturating_add(1);
        if timeline.lines.len() == TimelineEvent::MOST_KEPT {
            timeline.lines.pop_front();
        }
        timeline.lines.push_back(TimelineEvent {
            event: timeline.events,
            seq: event.seq.get(),
            time_ns: event.time_ns,
            given_up: false,
            kind: change.kind().into(),
            actor: actor.to_string(),
            subject: event.data.subject().to_owned(),
            summary: event.data.summary(),
        });
    }

    fn ignores(_event_type: &str) -> bool {
        true
    }

    fn inherit(parent: &Timeline, first: &Recorded<RunEvent>) -> Inherited<Timeline> {
        let Change::Forked(forked) = &first.data.change else { return Inherited::Nothing };
        let mut lines = parent.lines.clone();
        lines.retain(|line| line.event <= forked.at);
        Inherited::State(Timeline { events: parent.events.min(forked.at), lines })
    }
}
