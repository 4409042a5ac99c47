//! All runs of a log at a glance.

use crate::error::Result;
use crate::fold::bases::is_compacted;
use crate::fold::{Folding, FromSnapshot, Losses, Missing, Replay, doubt_text};
use crate::run::notes::{Notes, RunNotes};
use crate::run::state::{Parent, RunState};
use crate::run::status::{Status, WaitKind};
use crate::run::{Choice, Finding, Problem, Runs};
use crate::{Error, GapRange, Reader, Seq, SeqRange, Standing};
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
    /// The snapshot that its state begins at, where the log lacks events of it: the event after which it was taken.
    pub snapshot: Option<u64>,
    /// How many findings there are: of the fold, of the import, of events that are missing or unreadable. What the
    /// source's files say otherwise is found by [`crate::run::show`] alone.
    pub findings: u64,
    /// Events that were compacted away, and that no snapshot makes up for: what is said here comes from what is left.
    pub compacted: u64,
}

/// Every run of the log.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The runs, by number.
    pub runs: Vec<RunOverview>,
    /// What could not be read: there may be more runs.
    pub losses: Losses,
}

/// Every run of the log, in one pass over it, and past what can not be read: that is a finding of the runs that it belongs to,
/// or may belong to.
///
/// # Errors
/// As reading. What is wrong with one run is a finding of that run.
pub fn overview(reader: &Reader) -> Result<Overview> {
    let (mut folding, mut notes, mut losses) = (Folding::<Runs>::over(reader)?, Notes::default(), Losses::default());
    Replay::of(reader).past_damage().go(&mut [&mut folding, &mut notes, &mut losses])?;
    folding.begin_at_snapshots(reader, None)?;
    let absences = reader.known_gaps()?;
    let line = |(run, notes): (&Seq, &RunNotes)| line(&Known::of(*run, notes, &folding, &absences));
    Ok(Overview { runs: notes.runs.iter().map(line).collect(), losses })
}

/// What is known of one run.
pub(super) struct Known<'k> {
    run: Seq,
    notes: &'k RunNotes,
    standing: Option<&'k Standing<Runs>>,
    failure: Option<&'k Error>,
    /// What may have been lost of it.
    doubt: Option<SeqRange>,
    /// Where its state began, if that was not its first event.
    begun: Option<FromSnapshot>,
    absences: &'k [GapRange],
}

impl<'k> Known<'k> {
    pub(super) fn of(run: Seq, notes: &'k RunNotes, folding: &'k Folding<Runs>, absences: &'k [GapRange]) -> Known<'k> {
        let (standing, failure) = (folding.standing(Some(run)), folding.failure(Some(run)));
        let (doubt, begun) = (folding.doubt(Some(run)), folding.begun(Some(run)));
        Known { run, notes, standing, failure, doubt, begun, absences }
    }

    fn missing(&self, compacted: bool) -> impl Iterator<Item = &Missing> {
        let missing = self.standing.into_iter().flat_map(|standing| &standing.missing);
        missing.filter(move |missing| is_compacted(self.absences, missing) == compacted)
    }

    /// What is wrong beside what the fold has found. That events were compacted away is not.
    fn lacks(&self) -> impl Iterator<Item = Finding> {
        let lacks = self.missing(false).map(ToString::to_string);
        let absent = self.begun.filter(|begun| begun.absent > 0).map(|begun| {
            let events = if begun.absent == 1 { "event is" } else { "events are" };
            format!("{} {events} absent, and the state is that of the snapshot of seq {}", begun.absent, begun.seq)
        });
        let texts = lacks.chain(self.doubt.map(doubt_text)).chain(absent);
        let missing = texts.map(|text| Finding::new(Problem::EventsMissing, None, "", text));
        missing.chain(self.failure.map(|error| Finding::new(Problem::Unreadable, None, "", error.to_string())))
    }
}

/// One run's line.
pub(super) fn line(known: &Known<'_>) -> RunOverview {
    let lacks = known.lacks().count() as u64;
    let compacted = known.missing(true).map(|missing| missing.count).sum();
    let (run, notes, begun) = (known.run, known.notes, known.begun);
    let known = known.standing.filter(|standing| standing.events > 0);
    let state = known.map(|standing| &standing.state);
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
        snapshot: begun.map(|begun| begun.seq.get()),
        findings: of_fold + notes.oddity_count + lacks,
        compacted,
    }
}

/// Everything that [`RunOverview::findings`] counts; long lists are cut.
pub(super) fn findings(known: &Known<'_>) -> Vec<Finding> {
    let mut findings = known.standing.map_or_else(Vec::new, |standing| standing.state.findings.clone());
    findings.extend(known.lacks());
    findings.extend(known.notes.findings());
    findings
}
