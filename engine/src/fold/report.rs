//! What a check of a fold found, as data and in words.

use crate::error::{Error, Result};
use crate::fold::checkpoint::RecordedCheckpoint;
use crate::fold::pass::Losses;
use crate::fold::snapshots::SnapshotFinding;
use crate::fold::state::{Missing, StateDigest};
use crate::fold::state_difference::FieldChange;
use crate::{ErrorKind, Seq, SeqRange};
use std::fmt;

/// Why a replay gave another state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Two folds of this build agree, and disagree with the record: the fold was another one then.
    Code,
    /// Two folds of this build disagree: the fold looks at something else than the events.
    Nondeterminism,
    /// The recorded state is that of another event nearby: it was recorded at the wrong place.
    Order,
    /// Events are missing: nothing was compared.
    Gap,
    /// A snapshot disagrees, and the checkpoints do not.
    Snapshot,
}

impl Cause {
    /// The class in capitals, as reports show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Cause::Code => "CODE",
            Cause::Nondeterminism => "NONDETERMINISM",
            Cause::Order => "ORDER",
            Cause::Gap => "GAP",
            Cause::Snapshot => "SNAPSHOT",
        }
    }

    /// The class in a sentence.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Cause::Code => "inputs identical, fold build differs; not order, not clock, not a missing event",
            Cause::Nondeterminism => {
                "two folds of this build over the same events disagree: a clock, chance, or hash order"
            }
            Cause::Order => "the recorded state is that of another event nearby",
            Cause::Gap => "events are missing; nothing was compared",
            Cause::Snapshot => "only a snapshot disagrees: drop it",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How exactly the place is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// This event made the states differ.
    Event {
        /// Its seq.
        seq: Seq,
        /// Its revision; 0 for a fold over the store.
        revision: u32,
        /// The fields, recorded -> this build (or one fold -> the other).
        fields: Vec<FieldChange>,
    },
    /// One of these events did.
    Interval {
        /// The last place where the states were equal, as a revision (a seq, for a fold over the store); 0 for the start.
        after: u64,
        /// The first where they were not.
        until: u64,
        /// The fields, where a state was recorded and not only its digest.
        fields: Vec<FieldChange>,
    },
}

/// Where the recorded digest came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A checkpoint in the log.
    Checkpoint(RecordedCheckpoint),
    /// A snapshot's file.
    Snapshot(String),
    /// A file of states that another build has written.
    States,
    /// A second fold of this build.
    Twin,
}

/// The first place where a run's recorded and folded states differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// The run; `None` for a fold over the store.
    pub run: Option<Seq>,
    /// Where the states were compared: a revision (a seq, for a fold over the store).
    pub at: u64,
    /// What the state was compared with.
    pub evidence: Evidence,
    /// The recorded digest.
    pub recorded: StateDigest,
    /// The digest of this build's state.
    pub computed: StateDigest,
    /// Why.
    pub cause: Cause,
    /// Which event, or which interval.
    pub place: Place,
}

impl fmt::Display for Divergence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = self.run.map_or_else(|| "the store".to_owned(), |run| format!("run #{run}"));
        let fields = match &self.place {
            Place::Event { seq, fields, .. } => {
                write!(formatter, "{run} diverged at seq {seq}")?;
                fields
            }
            Place::Interval { after, until, fields } => {
                write!(formatter, "{run} diverged behind {after}, up to {until}")?;
                fields
            }
        };
        write!(formatter, ": {} ({})", self.cause, self.cause.explanation())?;
        fields.iter().try_for_each(|field| write!(formatter, "\n {field}"))
    }
}

/// What was compared for one run, or for the store.
#[derive(Clone, Debug, Default)]
pub struct RunCheck {
    /// The run; `None` for a fold over the store.
    pub run: Option<Seq>,
    /// Events that were applied.
    pub events: u64,
    /// Recorded checkpoints of this fold and version.
    pub checkpoints: u64,
    /// Those of them that are equal.
    pub checkpoints_equal: u64,
    /// Comparisons of any kind: checkpoints, snapshots, states, the twin.
    pub compared: u64,
    /// Those of them that are equal.
    pub equal: u64,
    /// Checkpoints of other versions of this fold: not compared.
    pub other_versions: u64,
    /// Checkpoints of other folds: not compared.
    pub other_folds: u64,
    /// Events that are missing: then nothing behind them was compared.
    pub missing: Vec<Missing>,
    /// Events that can not be read, behind everything that was compared, and that may be of it.
    pub doubt: Option<SeqRange>,
    /// The error that ended the fold.
    pub failure: Option<Error>,
    /// The first divergence.
    pub divergence: Option<Divergence>,
    /// The state's digest at the end.
    pub digest: Option<StateDigest>,
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The fold.
    pub fold: &'static str,
    /// Its version.
    pub version: u32,
    /// By run.
    pub runs: Vec<RunCheck>,
    /// States of the file that another build has written, of events that this log does not have or that its fold does not
    /// reach: they could not be compared.
    pub without_counterpart: u64,
    /// Checkpoints that a redaction has superseded: of states that had seen what is not there any more.
    pub superseded: u64,
    /// Snapshots that could not be used.
    pub findings: Vec<SnapshotFinding>,
    /// What could not be read.
    pub losses: Losses,
}

impl CheckReport {
    fn sum(&self, count: impl Fn(&RunCheck) -> u64) -> u64 {
        self.runs.iter().map(count).sum()
    }

    /// Comparisons of any kind. None: there was nothing to compare, which is not the same as "equal".
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.sum(|run| run.compared)
    }

    /// The divergences, one for each run at most.
    pub fn divergences(&self) -> impl Iterator<Item = &Divergence> {
        self.runs.iter().filter_map(|run| run.divergence.as_ref())
    }

    /// The report, where everything that was compared is equal.
    ///
    /// # Errors
    /// What ended a fold; `Diverged` (T0503) with the first divergence; `NotFound` (T0509) where nothing was compared.
    pub fn into_result(self) -> Result<CheckReport> {
        if let Some(error) = self.runs.iter().find_map(|run| run.failure.clone()) {
            return Err(error);
        }
        if let Some(divergence) = self.divergences().next() {
            let error = Error::new(ErrorKind::Diverged, "T0503", divergence.to_string());
            return Err(match divergence.place {
                Place::Event { seq, .. } => error.seq(seq.get()),
                Place::Interval { .. } => error,
            }
            .hint("taffrail explain T0503"));
        }
        if self.compared() == 0 {
            let message = format!("nothing to compare: no state of {} version {} is recorded", self.fold, self.version);
            return Err(Error::new(ErrorKind::NotFound, "T0509", message)
                .hint("checkpoints are recorded by Run::checkpoint, and by whoever holds a run's state"));
        }
        Ok(self)
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (events, checkpoints) = (self.sum(|run| run.events), self.sum(|run| run.checkpoints));
        let plural = if events == 1 { "event" } else { "events" };
        let equal = self.sum(|run| run.checkpoints_equal);
        write!(formatter, "{events} {plural}, {equal} of {checkpoints} checkpoints equal")?;
        let others = self.sum(|run| run.other_versions);
        if others > 0 {
            write!(formatter, ", {others} of other versions skipped")?;
        }
        let incomplete = self.runs.iter().filter(|run| !run.missing.is_empty() || run.doubt.is_some()).count();
        if incomplete > 0 {
            write!(formatter, ", {incomplete} incomplete")?;
        }
        self.divergences().try_for_each(|divergence| write!(formatter, "\n{divergence}"))
    }
}
