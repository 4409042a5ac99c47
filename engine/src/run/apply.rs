//! What each event does to the state of a run.

use crate::fold::Recorded;
use crate::run::approval::{ApprovalTurn, CountedVote};
use crate::run::event::{ApprovalRequest, Change, EffectRequest, RunEvent, Vote};
use crate::run::finding::Problem;
use crate::run::gate::{Gate, GateStatus};
use crate::run::judge::{Judged, Objection, approved, effect_ended, effect_requested, judge, life};
use crate::run::moment::Moment;
use crate::run::record::{ArtifactVersion, Bundle, Process, RecordedValue, Trust, TrustedPolicy};
use crate::run::state::{Parent, RunState};
use crate::run::status::{Fault, Phase, Turn, WaitKind};
use crate::run::step::{Step, StepEnd, StepStatus, attempt_name};
use crate::run::text::Text;
use crate::run::{Approval, ApprovalStatus, Content, Usage};
use std::collections::btree_map::Entry;

/// An event, its place and who did it.
struct Act<'a> {
    at: Moment,
    by: &'a Text,
    /// The subject whose approval the event before used, if it did.
    consuming: Option<Text>,
}

impl RunState {
    /// Takes an event. One that is no legal one becomes a finding, and changes nothing else.
    pub(super) fn take(&mut self, event: &Recorded<RunEvent>) {
        let RunEvent { actor, change } = &event.data;
        let judged = match change {
            // Nearly every event is one of these: the rest of their judgement is left to what enacts them, so that the step
            // is looked up once.
            Change::EffectRequested(_) | Change::EffectResolved { .. } => life(self, change),
            _ => judge(self, change),
        };
        // A fork's prefix may be said to have any length.
        let at = Moment { event: self.events.saturating_add(1), time_ns: event.time_ns };
        let is_created = self.created.is_some() || self.events > 0;
        self.events = at.event;
        self.last_time_ns = Some(event.time_ns);
        if !is_created && !matches!(change, Change::Created { .. } | Change::Forked(_)) {
            self.find(Problem::NotCreated, Some(at), change.kind(), "");
        }
        let act = Act { at, by: actor, consuming: self.consuming.take() };
        if let Err(objection) = judged.and_then(|()| self.enact(&act, change)) {
            self.find(objection.problem, Some(at), &objection.subject, &objection.detail);
            if let (Change::Forked(forked), Problem::PrefixMissing) = (change, objection.problem) {
                // Positions behind count the parent's events, whether they are there or not.
                self.events = forked.at.saturating_add(1);
                self.parent = Some(Parent { run: forked.parent.clone(), at: forked.at });
            }
        }
        self.settle();
    }

    /// Does what a change does that was judged to be legal, or so far.
    fn enact(&mut self, act: &Act<'_>, change: &Change) -> Judged {
        let at = act.at;
        match change {
            Change::EffectRequested(request) => self.request_effect(act, request)?,
            Change::EffectResolved { step, outcome, result, error, usage } => {
                let status = StepStatus::from(*outcome);
                self.end_effect(at, step, StepEnd { status, result: result.clone(), error: error.clone() })?;
                if !usage.is_nothing() {
                    self.spend(Some(step), None, usage);
                }
            }
            Change::EffectCancelled { step, reason } => self.give_up(at, step, StepStatus::Cancelled, reason)?,
            Change::EffectAbandoned { step, reason } => self.give_up(at, step, StepStatus::Abandoned, reason)?,
            other => self.enact_life(act, other),
        }
        Ok(())
    }

    /// What changes the run as a whole, its gates and its history.
    fn enact_life(&mut self, act: &Act<'_>, change: &Change) {
        let at = act.at;
        match change {
            Change::Created { process, process_digest, inputs } => {
                self.created = Some(at);
                self.inputs = inputs.clone();
                self.processes.push(Process { name: process.clone(), digest: process_digest.clone(), since: at });
            }
            Change::ProcessAssigned { process, process_digest } => {
                let same = self.process().map_or("", |process| process.name.as_str());
                let name = if process.is_empty() { same } else { process }.to_owned();
                self.processes.push(Process { name, digest: process_digest.clone(), since: at });
            }
            Change::Paused { reason } => self.turn(at, Phase::Paused { reason: reason.clone() }),
            Change::Resumed => self.turn(at, Phase::Active),
            Change::Faulted { error } => self.faults.push(Fault { at, error: error.clone(), overcome: None }),
            Change::Completed { output } => self.turn(at, Phase::Completed { output: output.clone() }),
            Change::Failed { error } => self.turn(at, Phase::Failed { error: error.clone() }),
            Change::Cancelled { reason } => self.turn(at, Phase::Cancelled { reason: reason.clone() }),
            Change::Closed { reason } => self.turn(at, Phase::Closed { reason: reason.clone() }),
            Change::UsageRecorded { step, model, usage } => {
                self.spend(step.as_ref(), model.as_ref(), usage);
            }
            Change::ValueRecorded { key, source, value } => {
                let value = RecordedValue { source: *source, value: value.clone(), at };
                self.values.insert(key.clone(), value);
            }
            Change::GateRequested { gate, spec, spec_digest, inputs_digest } => {
                let made = new_gate(at, spec, spec_digest, inputs_digest.as_deref());
                self.gates.insert(gate.clone(), made);
                self.overcome(at);
            }
            Change::GateFinished { gate, verdict, result } => {
                if let Some(gate) = self.gates.get_mut(gate) {
                    gate.finish(at, *verdict, result.clone());
                }
            }
            Change::GateWaived { gate, .. } => {
                if let Some(gate) = self.gates.get_mut(gate) {
                    (gate.status, gate.waived) = (GateStatus::Waived, Some(at));
                }
            }
            Change::Forked(forked) => self.fork(at, act.by, forked),
            Change::Rewound(rewound) => self.rewind(at, act.by, rewound),
            Change::Undone(_) => self.undo(at),
            other => self.enact_record(act, other),
        }
    }

    /// Approvals, and the smaller things.
    fn enact_record(&mut self, act: &Act<'_>, change: &Change) {
        let at = act.at;
        match change {
            Change::ApprovalAsked(asked) => {
                self.approvals.insert(asked.step.clone(), new_approval(act, asked));
                self.waiting.begin(Some(WaitKind::Approval), &asked.step);
            }
            Change::ApprovalVoted(vote) => self.vote(at, vote),
            Change::ApprovalDecided { step, decision, reason } => {
                self.turn_approval(act, step, (*decision).into(), reason);
            }
            Change::ApprovalConsumed { step, subject_digest } => {
                self.turn_approval(act, step, ApprovalStatus::Consumed, "");
                self.consumed.insert(subject_digest.clone());
                self.consuming = Some(subject_digest.clone());
            }
            Change::ApprovalRevoked { step, reason } => {
                self.turn_approval(act, step, ApprovalStatus::Revoked, reason);
            }
            Change::ArtifactPut { name, digest, len_bytes } => {
                let version = ArtifactVersion { digest: digest.clone(), len_bytes: *len_bytes, put: at, dropped: None };
                self.artifacts.entry(name.clone()).or_default().versions.push(version);
            }
            Change::ArtifactDropped { name, .. } => {
                if let Some(version) = self.artifacts.get_mut(name).and_then(|artifact| artifact.versions.last_mut()) {
                    version.dropped = Some(at);
                }
            }
            Change::BundleCompiled { name, digest } => {
                let bundle = Bundle { name: name.clone(), compiled: at, trust: None };
                self.bundles.insert(digest.clone(), bundle);
            }
            Change::BundleTrusted { digest, evidence } => {
                if let Some(bundle) = self.bundles.get_mut(digest) {
                    bundle.trust = Some(act.trust(evidence));
                }
            }
            Change::PolicyTrusted { name, digest, evidence } => {
                let policy = TrustedPolicy { name: name.clone(), trust: act.trust(evidence) };
                self.policies.insert(digest.clone(), policy);
            }
            _ => {}
        }
    }

    fn turn(&mut self, at: Moment, phase: Phase) {
        self.turns.push(Turn { at, phase });
    }

    /// The process goes on, whatever broke it down.
    fn overcome(&mut self, at: Moment) {
        if let Some(fault) = self.faults.last_mut().filter(|fault| fault.overcome.is_none()) {
            fault.overcome = Some(at);
        }
    }

    fn request_effect(&mut self, act: &Act<'_>, request: &EffectRequest) -> Judged {
        let (at, consuming) = (act.at, act.consuming.as_ref());
        let is_plain =
            request.source_id.is_none() && !request.step.is_empty() && !request.step.as_bytes().contains(&b'#');
        if !is_plain {
            effect_requested(self, request, consuming)?;
        }
        let name = match &request.source_id {
            None => request.step.clone(),
            Some(source_id) => {
                let name = Text::from(self.free_attempt(&request.step));
                self.source_ids.insert(source_id.clone(), name.clone());
                name
            }
        };
        let step = Box::new(new_step(at, request));
        let wait = step.wait();
        match self.steps.entry(name) {
            Entry::Occupied(taken) => return Err(Objection::new(Problem::NameTaken, taken.key(), "")),
            Entry::Vacant(free) => {
                if is_plain {
                    // A first attempt, of which this is what is left to be judged.
                    approved(&self.approvals, request, consuming)?;
                }
                self.waiting.begin(wait, free.key());
                free.insert(step);
            }
        }
        self.overcome(at);
        Ok(())
    }

    /// The name of the next attempt of an imported step. Attempts are found by doubling and halving: a source may have
    /// any number of them.
    fn free_attempt(&self, key: &str) -> String {
        let is_taken = |attempt: u32| self.steps.contains_key(attempt_name(key, attempt).as_str());
        let (mut taken, mut free) = (0, 1);
        while is_taken(free) && free < u32::MAX / 2 {
            (taken, free) = (free, free * 2);
        }
        while free - taken > 1 {
            let middle = taken + (free - taken) / 2;
            if is_taken(middle) { taken = middle } else { free = middle }
        }
        attempt_name(key, free)
    }

    fn end_effect(&mut self, at: Moment, step: &Text, end: StepEnd) -> Judged {
        let name = self.source_ids.get(step).unwrap_or(step);
        let mut found = self.steps.get_mut(name);
        effect_ended(found.as_deref().map(Box::as_ref), step)?;
        if let Some(step) = &mut found {
            self.waiting.end(step.wait(), name);
            step.end(at, end);
        }
        self.overcome(at);
        Ok(())
    }

    fn give_up(&mut self, at: Moment, step: &Text, status: StepStatus, reason: &str) -> Judged {
        let error = (!reason.is_empty()).then(|| reason.into());
        self.end_effect(at, step, StepEnd { status, result: Content::None, error })
    }

    fn spend(&mut self, step: Option<&Text>, model: Option<&Text>, usage: &Usage) {
        let step = step.map(|step| self.source_ids.get(step).unwrap_or(step));
        self.spent.add(step, model, usage);
    }

    fn vote(&mut self, at: Moment, vote: &Vote) {
        let Some(approval) = self.approvals.get_mut(&vote.step) else { return };
        let Vote { principal, choice, reason, evidence, .. } = vote;
        let counted = CountedVote { choice: *choice, reason: reason.clone(), evidence: evidence.clone(), at };
        approval.votes.insert(principal.clone(), counted);
    }

    fn turn_approval(&mut self, act: &Act<'_>, step: &Text, status: ApprovalStatus, reason: &str) {
        if let Some(approval) = self.approvals.get_mut(step) {
            approval.turn(ApprovalTurn { at: act.at, status, by: act.by.to_string(), reason: reason.to_owned() });
            self.waiting.end(Some(WaitKind::Approval), step);
        }
    }
}

impl Act<'_> {
    fn trust(&self, evidence: &str) -> Trust {
        Trust { by: self.by.to_string(), evidence: evidence.to_owned(), at: self.at }
    }
}

fn new_step(at: Moment, request: &EffectRequest) -> Step {
    Step {
        status: StepStatus::Requested,
        kind: request.kind.clone(),
        label: request.label.clone(),
        source_id: request.source_id.clone(),
        request: request.request.clone(),
        request_digest: request.request_digest.clone(),
        reversibility: request.reversibility,
        requires: request.requires.clone(),
        due_ns: request.due_ns,
        requested: at,
        ended: None,
        ms: None,
        result: Content::None,
        error: None,
    }
}

fn new_gate(at: Moment, spec: &Content, spec_digest: &str, inputs_digest: Option<&str>) -> Gate {
    Gate {
        status: GateStatus::Requested,
        spec: spec.clone(),
        spec_digest: spec_digest.to_owned(),
        inputs_digest: inputs_digest.map(str::to_owned),
        requested: at,
        finished: None,
        verdict: None,
        ms: None,
        result: Content::None,
        waived: None,
    }
}

fn new_approval(act: &Act<'_>, asked: &ApprovalRequest) -> Approval {
    Approval {
        status: ApprovalStatus::Open,
        request: asked.request.clone(),
        subject_digest: asked.subject_digest.clone(),
        policy: asked.policy.clone(),
        prompt: asked.prompt.clone(),
        asked_by: act.by.to_string(),
        deadline_ns: asked.deadline_ns,
        asked: act.at,
        votes: std::collections::BTreeMap::new(),
        turns: Vec::new(),
    }
}
