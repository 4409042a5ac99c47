//! Runs: their events (schema v1), their state, and what commands want to know of them.
//!
//! An ordinary user of [`crate::fold`]: [`RunEvent`] is the event type, [`Runs`] the fold, [`RunState`] its state, and
//! [`RunCommand`] what it decides about. An illegal transition is rejected before it is appended; met in a log (an import,
//! a repaired log, another program's) it is a [`Finding`] in the state, and never an error.
//!
//! Events of imported runs reach the same fold ([`babysitter`]). What a fold can not see, since it is pure (what the
//! import noted, files of the source), is added while reading, by [`overview`] and [`show`].

mod apply;
mod approval;
pub mod babysitter;
mod blobs;
mod content;
mod event;
mod finding;
mod gate;
mod judge;
mod judge_lineage;
mod lineage;
mod moment;
mod notes;
mod operate;
mod overview;
mod plan;
mod record;
mod rewind;
mod runs;
mod samples;
mod show;
mod source;
mod state;
mod status;
mod step;
mod summary;
#[cfg(test)]
mod tests;
mod text;
mod timeline;
mod usage;

pub use approval::{Approval, ApprovalStatus, ApprovalTurn, CountedVote};
pub use content::{Content, Json};
pub use event::{
    ApprovalRequest, Change, Choice, Decision, EffectRequest, Outcome, Policy, Reversibility, RunEvent, ValueSource,
    Verdict, Vote,
};
pub use finding::{Finding, Problem};
pub use gate::{Gate, GateStatus};
pub use moment::Moment;
pub(crate) use operate::quoted;
pub use operate::{
    ApprovalFate, ClosePlan, Effect, EffectFate, Fate, ForkPlan, GateFate, GateTurn, GivenUp, Hanging, Place,
    PlannedRun, RewindPlan, RewindRequest, Then, UndoRunPlan, Undoes,
};
pub use overview::{Overview, RunOverview, Votes, Wait, overview};
pub use plan::Kept;
pub use record::{Artifact, ArtifactVersion, Bundle, Process, RecordedValue, Trust, TrustedPolicy};
pub use rewind::{Forked, Rewound, Undone};
pub use runs::{RunCommand, Runs};
pub use show::{ArchivedEvents, RunReport, Shown, seq_of_step, show};
pub use source::Answer;
pub use state::{Parent, RewindMade, RunState, Stretch};
pub use status::{Fault, Phase, Status, Turn, WaitKind, Waiting};
pub use step::{Step, StepStatus, attempt_name, step_name};
pub use text::Text;
pub use timeline::TimelineEvent;
pub use usage::{Spent, Usage};
