//! Folds: pure functions from events to state.

use crate::error::{Error, ErrorKind};
use crate::fold::event::{Event, Recorded};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Over what a fold runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One state for each run, from that run's events alone.
    Run,
    /// One state for the store: a projection over all runs. It has snapshots, and no checkpoints.
    Store,
}

/// What a run begins with, before its first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inherited<State> {
    /// Nothing, as any other run.
    Nothing,
    /// A state of its parent.
    State(State),
    /// A state of its parent that the parent's events, as far as they are there, do not come to: some are missing.
    Unknown,
}

/// A pure function from events to state: no clock, no randomness, no files, nothing whose order differs from process to
/// process. What it needs of the world is in the events.
///
/// # The state
/// Its canonical encoding is what is compared, so it must be the same for equal states: `BTreeMap` and not `HashMap`, no
/// `usize`, no floats. Everything that serde knows to write and bincode to read back is allowed.
///
/// # What reaches [`Fold::apply`]
/// Every event of [`Fold::Event`]'s type that is no hint, in the order of the log; older versions through
/// [`Event::upcasts`]. Hints, and the log's own events, never do. An event of another type that is no hint stops a fold over
/// a run, because nobody can tell what it would have changed, unless [`Fold::ignores`] says otherwise; a fold over the store
/// passes over other types.
pub trait Fold: 'static {
    /// Name: 1 to 64 of `[a-z0-9_.-]`.
    const NAME: &'static str;
    /// Version: to be raised whenever equal events may give another state. Checkpoints of other versions are not compared.
    const VERSION: u32;
    /// Over what the fold runs.
    const SCOPE: Scope = Scope::Run;
    /// Whether a run may begin with a state of the run that its `RunOpened` names as its parent: [`Fold::inherit`]. Then the
    /// parent's events are read as well.
    const INHERITS: bool = false;
    /// The events that are folded.
    type Event: Event;
    /// The result.
    type State: Default + Clone + PartialEq + Serialize + DeserializeOwned + 'static;

    /// What an event does to the state.
    fn apply(state: &mut Self::State, event: &Recorded<Self::Event>);

    /// What a run begins with whose parent stands at `parent` when `first`, the run's first event of this fold, is reached.
    /// That event is applied next.
    #[must_use]
    fn inherit(parent: &Self::State, first: &Recorded<Self::Event>) -> Inherited<Self::State> {
        let _not_used = (parent, first);
        Inherited::Nothing
    }

    /// Whether events of another type do not matter to this fold.
    #[must_use]
    fn ignores(event_type: &str) -> bool {
        let _matters = event_type;
        false
    }

    /// A state from a snapshot of another version of this fold: its canonical bytes. `None`: fold from the start.
    #[must_use]
    fn migrate(version: u32, state: &[u8]) -> Option<Self::State> {
        let _not_understood = (version, state);
        None
    }
}

/// A fold that also decides: from a state and a command to the events that follow from it.
pub trait Decide: Fold {
    /// What is asked for.
    type Command;

    /// The events that the command leads to. Pure, like [`Fold::apply`].
    ///
    /// # Errors
    /// Why the command can not be carried out in this state.
    fn decide(state: &Self::State, command: Self::Command) -> Result<Vec<Self::Event>, Rejection>;
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// For the person who asked.
    pub reason: String,
}

impl Rejection {
    /// A rejection.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Rejection {
        Rejection { reason: reason.into() }
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl std::error::Error for Rejection {}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Error {
        Error::new(ErrorKind::Rejected, "T0511", rejection.reason)
    }
}
