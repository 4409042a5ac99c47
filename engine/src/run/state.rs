//! The state of a run.

use crate::run::approval::Approval;
use crate::run::content::Content;
use crate::run::finding::{Finding, Problem};
use crate::run::gate::Gate;
use crate::run::moment::{Moment, Rewindable, is_changed, map_back, map_changed};
use crate::run::record::{Artifact, Bundle, Process, RecordedValue, TrustedPolicy};
use crate::run::status::{Fault, Phase, Status, Turn, WaitKind, Waiting};
use crate::run::step::Step;
use crate::run::text::Text;
use crate::run::usage::Spent;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Events, by their ordinals, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// The run that a fork began as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its name.
    pub run: String,
    /// The last event of its history that is the fork's as well.
    pub at: u64,
}

/// A rewind that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewindMade {
    /// When.
    pub at: Moment,
    /// The last event that stayed.
    pub to: u64,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Effects that have to be made up for, the last one first.
    pub compensations: Vec<String>,
    /// When it was taken back.
    pub undone: Option<Moment>,
}

/// What a run's events come to.
///
/// Two kinds of fields: those of the run's *effective* history, its lineage, which go back when the run is rewound; and
/// those that stay whatever happens, since rewinding does not unspend money, unuse an approval, or unsay a finding
/// (`events` and what follows it).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// What the run is doing.
    pub status: Status,
    /// What it waits for.
    pub waiting: Waiting,
    /// When it was created.
    pub created: Option<Moment>,
    /// The process that it runs, and before it those that it ran.
    pub processes: Vec<Process>,
    /// What it was given.
    pub inputs: Content,
    /// What was decided about the run as a whole, in order.
    pub turns: Vec<Turn>,
    /// Its steps, by name. Boxed, since a map moves its entries about and there may be very many.
    pub steps: BTreeMap<Text, Box<Step>>,
    /// Its gates, by name.
    pub gates: BTreeMap<String, Gate>,
    /// Its approvals, by the names of the steps that wait for them.
    pub approvals: BTreeMap<Text, Approval>,
    /// What was looked up, by key.
    pub values: BTreeMap<String, RecordedValue>,
    /// What was made, by name.
    pub artifacts: BTreeMap<String, Artifact>,
    /// Bundles of plugins, by digest.
    pub bundles: BTreeMap<String, Bundle>,
    /// Trusted policies, by digest.
    pub policies: BTreeMap<String, TrustedPolicy>,
    /// Breakdowns of the process.
    pub faults: Vec<Fault>,
    /// Events that are not in the lineage any more, ascending.
    pub abandoned: Vec<Stretch>,
    /// Steps by the names that an imported run's source has for them.
    pub source_ids: BTreeMap<Text, Text>,

    /// How many events the run has had; with the parent's, up to the fork.
    pub events: u64,
    /// The run that it began as.
    pub parent: Option<Parent>,
    /// The last event's clock, in nanoseconds since 1970.
    pub last_time_ns: Option<i64>,
    /// What it has spent, on every history.
    pub spent: Spent,
    /// Digests of the subjects whose approvals were used, on every history.
    pub consumed: BTreeSet<Text>,
    /// The subject whose approval the last event used, if it did.
    pub consuming: Option<Text>,
    /// The rewinds that were made.
    pub rewinds: Vec<RewindMade>,
    /// What each rewind that was not taken back took away, the last one last, for undos: only what it changed, and no copy
    /// of the rest.
    pub taken: Vec<RunState>,
    /// What is wrong with the history: the first ones.
    pub findings: Vec<Finding>,
    /// How many there are of them.
    pub finding_count: u64,
}

impl RunState {
    /// The process that it runs.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.processes.last()
    }

    /// What was decided last about the run as a whole.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        self.turns.last().map_or(&Phase::Active, |turn| &turn.phase)
    }

    /// Whether an event is in the run's effective history.
    #[must_use]
    pub fn is_in_lineage(&self, event: u64) -> bool {
        let is_abandoned = |stretch: &Stretch| (stretch.first..=stretch.last).contains(&event);
        (1..=self.events).contains(&event) && !self.abandoned.iter().any(is_abandoned)
    }

    /// The name of a step that an event of an imported run names by the source's name for it.
    #[must_use]
    pub fn step_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.source_ids.get(name).map_or(name, Text::as_str)
    }

    /// The breakdown of the process that nobody has overcome.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.faults.last().filter(|fault| fault.overcome.is_none())
    }

    /// Everything that is waited for, by kind and name; for a process that broke down, the name is that of the process.
    pub fn waits(&self) -> impl Iterator<Item = (WaitKind, &str)> {
        let fault =
            self.fault().map(|_| (WaitKind::Operator, self.process().map_or("", |process| process.name.as_str())));
        let Waiting { approval, task, timer } = &self.waiting;
        fault
            .into_iter()
            .chain(approval.iter().map(|name| (WaitKind::Approval, name.as_str())))
            .chain(task.iter().map(|name| (WaitKind::Task, name.as_str())))
            .chain(timer.iter().map(|name| (WaitKind::Timer, name.as_str())))
    }

    pub(super) fn find(&mut self, problem: Problem, at: Option<Moment>, subject: &str, detail: &str) {
        self.finding_count += 1;
        if self.findings.len() < Finding::MOST_LISTED {
            self.findings.push(Finding::new(problem, at, subject, detail));
        }
    }

    /// What the other fields come to. To be called whenever they have changed.
    pub(super) fn settle(&mut self) {
        self.status = match self.phase() {
            Phase::Paused { .. } => Status::Paused,
            Phase::Completed { .. } => Status::Completed,
            Phase::Failed { .. } => Status::Failed,
            Phase::Cancelled { .. } => Status::Cancelled,
            Phase::Closed { .. } => Status::Closed,
            Phase::Active if self.events == 0 => Status::Opened,
            Phase::Active if !self.waiting.is_empty() || self.fault().is_some() => Status::Waiting,
            Phase::Active if self.created.is_some_and(|created| created.event == self.events) => Status::Created,
            Phase::Active => Status::Running,
        };
    }

    /// The effective history alone.
    pub(super) fn effective(&self) -> RunState {
        RunState {
            events: 0,
            parent: None,
            last_time_ns: None,
            spent: Spent::default(),
            consumed: BTreeSet::new(),
            consuming: None,
            rewinds: Vec::new(),
            taken: Vec::new(),
            findings: Vec::new(),
            finding_count: 0,
            ..self.clone()
        }
    }

    /// What going back to an event of the lineage takes away from the effective history, or changes in it: as it is now.
    pub(super) fn taken_behind(&self, event: u64) -> RunState {
        let created = self.created.filter(|created| created.event > event);
        let is_later = |step: &str| self.steps.get(step).is_none_or(|step| step.requested.event > event);
        RunState {
            created,
            inputs: if created.is_some() { self.inputs.clone() } else { Content::None },
            processes: self.processes.iter().filter(|process| process.since.event > event).cloned().collect(),
            turns: self.turns.iter().filter(|turn| turn.at.event > event).cloned().collect(),
            faults: self.faults.iter().filter(|fault| is_changed(*fault, event)).cloned().collect(),
            steps: map_changed(&self.steps, event),
            gates: map_changed(&self.gates, event),
            approvals: map_changed(&self.approvals, event),
            values: map_changed(&self.values, event),
            artifacts: map_changed(&self.artifacts, event),
            bundles: map_changed(&self.bundles, event),
            policies: map_changed(&self.policies, event),
            abandoned: self.abandoned.iter().filter(|stretch| stretch.last > event).copied().collect(),
            source_ids: {
                let later = self.source_ids.iter().filter(|(_, step)| is_later(step.as_str()));
                later.map(|(source_id, step)| (source_id.clone(), step.clone())).collect()
            },
            ..RunState::default()
        }
    }

    /// Puts back what going back to an event took away, on a state that has gone back to that event.
    pub(super) fn put_back(&mut self, taken: RunState) {
        if taken.created.is_some() {
            (self.created, self.inputs) = (taken.created, taken.inputs);
        }
        self.processes.extend(taken.processes);
        self.turns.extend(taken.turns);
        if let Some(first) = taken.faults.first().map(|fault| fault.at) {
            self.faults.retain(|fault| fault.at < first);
        }
        self.faults.extend(taken.faults);
        self.steps.extend(taken.steps);
        self.gates.extend(taken.gates);
        self.approvals.extend(taken.approvals);
        self.values.extend(taken.values);
        self.artifacts.extend(taken.artifacts);
        self.bundles.extend(taken.bundles);
        self.policies.extend(taken.policies);
        self.abandoned.extend(taken.abandoned);
        self.source_ids.extend(taken.source_ids);
    }

    /// Takes the effective history back to what it was behind an event of it.
    pub(super) fn go_back(&mut self, event: u64) {
        super::moment::moment_back(&mut self.created, event);
        if self.created.is_none() {
            self.inputs = Content::None;
        }
        self.processes.retain(|process| process.since.event <= event);
        self.turns.retain(|turn| turn.at.event <= event);
        self.faults.retain_mut(|fault| fault.go_back(event));
        map_back(&mut self.steps, event);
        map_back(&mut self.gates, event);
        map_back(&mut self.approvals, event);
        map_back(&mut self.values, event);
        map_back(&mut self.artifacts, event);
        map_back(&mut self.bundles, event);
        map_back(&mut self.policies, event);
        self.source_ids.retain(|_, step| self.steps.contains_key(step));
        self.abandoned.retain(|stretch| stretch.last < event);
        self.wait_again();
    }

    /// Finds out again what is waited for.
    pub(super) fn wait_again(&mut self) {
        let mut waiting = Waiting::default();
        for (name, step) in self.steps.iter().filter(|(_, step)| step.is_open()) {
            waiting.begin(step.wait(), name);
        }
        for (name, _) in self.approvals.iter().filter(|(_, it)| it.status == super::ApprovalStatus::Open) {
            waiting.begin(Some(WaitKind::Approval), name);
        }
        self.waiting = waiting;
    }
}
