//! The fold over runs.

use crate::fold::{Decide, Fold, Inherited, Recorded, Rejection};
use crate::run::event::{Change, RunEvent};
use crate::run::finding::Problem;
use crate::run::judge::{Objection, judge};
use crate::run::state::RunState;
use crate::run::text::Text;

/// The built-in fold: one [`RunState`] for each run.
///
/// Events of other types pass by: the schema is closed, so nothing that is not of it changes a run. An event of the schema
/// that this build does not know (another version, or another variant) ends the fold, as always.
#[derive(Clone, Copy, Debug)]
pub struct Runs;

impl Fold for Runs {
    const NAME: &'static str = "taffrail.run";
    const VERSION: u32 = 1;
    const INHERITS: bool = true;
    type Event = RunEvent;
    type State = RunState;

    fn apply(state: &mut RunState, event: &Recorded<RunEvent>) {
        if !event.data.change.is_hint() {
            state.take(event);
        }
    }

    fn ignores(_event_type: &str) -> bool {
        true
    }

    fn inherit(parent: &RunState, first: &Recorded<RunEvent>) -> Inherited<RunState> {
        match &first.data.change {
            Change::Forked(forked) => parent.inherited(forked).map_or(Inherited::Unknown, Inherited::State),
            _ => Inherited::Nothing,
        }
    }
}

/// What is to be appended to a run, if it is legal: one event, or several that belong together (an approval's use, and
/// what it is used for).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCommand {
    /// Who asks for it, as far as the evidence goes.
    pub actor: Text,
    /// What.
    pub changes: Vec<Change>,
}

impl RunCommand {
    /// A command of one change.
    #[must_use]
    pub fn one(actor: impl Into<Text>, change: Change) -> RunCommand {
        RunCommand { actor: actor.into(), changes: vec![change] }
    }
}

impl Decide for Runs {
    type Command = RunCommand;

    /// Decides exactly what [`Fold::apply`] would take without a finding: both ask the same judge.
    fn decide(state: &RunState, command: RunCommand) -> Result<Vec<RunEvent>, Rejection> {
        let RunCommand { actor, changes } = command;
        let mut ahead: Option<RunState> = None;
        let last = changes.len().saturating_sub(1);
        for (place, change) in changes.iter().enumerate() {
            let now = ahead.as_ref().unwrap_or(state);
            allowed(now, change).map_err(|objection| rejection(&objection))?;
            if place < last {
                // What follows is judged behind what came before. Its time does not matter to the judge.
                let mut next = ahead.take().unwrap_or_else(|| state.clone());
                let data = change.clone().by(&actor);
                let event = Recorded { seq: crate::Seq::FIRST, run: None, revision: 0, time_ns: 0, data };
                Runs::apply(&mut next, &event);
                ahead = Some(next);
            }
        }
        Ok(changes.into_iter().map(|change| change.by(&actor)).collect())
    }
}

fn allowed(state: &RunState, change: &Change) -> Result<(), Objection> {
    if change.is_hint() {
        return Ok(());
    }
    let begins = matches!(change, Change::Created { .. } | Change::Forked(_));
    if state.created.is_none() && state.events == 0 && !begins {
        return Err(Objection::new(Problem::NotCreated, change.kind(), ""));
    }
    judge(state, change)
}

fn rejection(objection: &Objection) -> Rejection {
    let Objection { problem, subject, detail } = objection;
    let about = if subject.is_empty() { String::new() } else { format!(" {subject:?}") };
    let why = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    Rejection::new(format!("{problem}{about}{why}"))
}
