//! All runs of a log at a glance.

use crate::error::Result;
use crate::fold::Missing;
use crate::fold::bases::is_compacted;
use crate::fold::{Folding, Replay};
use crate::run::notes::{Notes, RunNotes};
use crate::run::state::{Parent, RunState};
use crate::run::status::{Status, WaitKind};
use crate::run::{Choice, Finding, Problem, Runs};
use crate::{Error, GapRange, Reader, Seq, Standing};
use serde::Serialize;

/// Votes of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Votes {
    /// Votes for it.
    pub have: u32,
    /// Votes that it takes.
    pub need: u32,
}

/// Something that a run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// For whom.
    pub kind: WaitKind,
    /// The step's name; for an operator, the process.
    pub step: String,
    /// What people call it; may be empty.
    pub label: String,
    /// Since when, in nanoseconds since 1970.
    pub since_ns: i64,
    /// Until when, in nanoseconds since 1970.
    pub deadline_ns: Option<i64>,
    /// For an approval that votes decide.
    pub votes: Option<Votes>,
}

impl Wait {
    /// What a run waits for, in the order of [`RunState::waits`]; nothing where the run has ended.
    #[must_use]
    pub fn of(state: &RunState) -> Vec<Wait> {
        if state.status.is_terminal() {
            return Vec::new();
        }
        state.waits().filter_map(|(kind, name)| Wait::named(state, kind, name)).collect()
    }

    fn named(state: &RunState, kind: WaitKind, name: &str) -> Option<Wait> {
        let step = name.to_owned();
        if kind == WaitKind::Operator {
            let fault = state.fault()?;
            let (label, since_ns) = (fault.error.clone(), fault.at.time_ns);
            return Some(Wait { kind, step, label, since_ns, deadline_ns: None, votes: None });
        }
        if let Some(open) = state.steps.get(name).filter(|step| step.is_open()) {
            let (label, since_ns) = (open.label.to_string(), open.requested.time_ns);
            return Some(Wait { kind, step, label, since_ns, deadline_ns: open.due_ns, votes: None });
        }
        let approval = state.approvals.get(name)?;
        let votes = Votes { have: approval.votes_for(Choice::Approve), need: approval.policy.need.max(1) };
        Some(Wait {
            kind,
            step,
            label: approval.prompt.clone(),
            since_ns: approval.asked.time_ns,
            deadline_ns: approval.deadline_ns,
            votes: Some(votes),
        })
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunOverview {
    /// Its number: the seq of its first event.
    pub run: u64,
    /// Its name; `None` where the event that told it is not in the log.
    pub name: Option<String>,
    /// What it is doing; `None` for a run without events of the run schema.
    pub status: Option<Status>,
    /// The process that it runs; may be empty.
    pub process: String,
    /// What it waits for.
    pub waiting: Vec<Wait>,
    /// The run that it began as.
    pub parent: Option<Parent>,
    /// How many rewinds of it were made and not taken back.
    pub rewound: u64,
    /// Its revision.
    pub revision: u32,
    /// Its events: those of the run schema, or of any type where it has none of those; hints are not counted.
    pub events: u64,
    /// The last one's clock, in nanoseconds since 1970.
    pub last_time_ns: Option<i64>,
    /// How many findings there are: of the fold, of the import, of events that are missing or unreadable. What the
    /// source's files say otherwise is found by [`crate::run::show`] alone.
    pub findings: u64,
    /// Events that were compacted away, and that no snapshot makes up for: what is said here comes from what is left.
    pub compacted: u64,
}

/// Every run of the log, by number, in one pass over it.
///
/// # Errors
/// As reading. What is wrong with one run is a finding of that run.
pub fn overview(reader: &Reader) -> Result<Vec<RunOverview>> {
    let (mut folding, mut notes) = (Folding::<Runs>::over(reader)?, Notes::default());
    Replay::of(reader).go(&mut [&mut folding, &mut notes])?;
    let absences = reader.gaps()?;
    let line = |(run, notes): (&Seq, &RunNotes)| {
        let (standing, failure) = (folding.standing(Some(*run)), folding.failure(Some(*run)));
        line(*run, notes, standing, failure, &absences)
    };
    Ok(notes.runs.iter().map(line).collect())
}

/// One run's line.
pub(super) fn line(
    run: Seq,
    notes: &RunNotes,
    standing: Option<&Standing<Runs>>,
    failure: Option<&Error>,
    absences: &[GapRange],
) -> RunOverview {
    let known = standing.filter(|standing| standing.events > 0);
    let state = known.map(|standing| &standing.state);
    let all_missing = standing.map_or(&[][..], |standing| &standing.missing);
    let (compacted, missing): (Vec<&Missing>, Vec<&Missing>) =
        all_missing.iter().partition(|it| is_compacted(absences, it));
    let of_fold = state.map_or(0, |state| state.finding_count);
    RunOverview {
        run: run.get(),
        name: notes.name.clone(),
        status: state.map(|state| state.status),
        process: state.and_then(RunState::process).map_or_else(String::new, |process| process.name.clone()),
        waiting: state.map_or_else(Vec::new, Wait::of),
        parent: state.and_then(|state| state.parent.clone()),
        rewound: state.map_or(0, |state| state.taken.len() as u64),
        revision: notes.revision,
        events: known.map_or(notes.events, |standing| standing.events),
        last_time_ns: state.and_then(|state| state.last_time_ns).or(notes.last_time_ns),
        findings: of_fold + notes.oddity_count + missing.len() as u64 + u64::from(failure.is_some()),
        compacted: compacted.iter().map(|missing| missing.count).sum(),
    }
}

/// Everything that [`RunOverview::findings`] counts; long lists are cut.
pub(super) fn findings(
    notes: &RunNotes,
    standing: &Standing<Runs>,
    failure: Option<&Error>,
    absences: &[GapRange],
) -> Vec<Finding> {
    let mut findings = standing.state.findings.clone();
    let missing = standing.missing.iter().filter(|it| !is_compacted(absences, it));
    let missing = missing.map(|it| Finding::new(Problem::EventsMissing, None, "", it.to_string()));
    findings.extend(missing);
    findings.extend(failure.map(|error| Finding::new(Problem::Unreadable, None, "", error.to_string())));
    findings.extend(notes.findings());
    findings
}
