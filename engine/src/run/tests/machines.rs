//! The state machines, step by step.

use super::*;
use crate::fold::Decide;
use crate::run::{ApprovalStatus, GateStatus, Problem, RunCommand, Status, WaitKind};

const ONE: &str = "blake3:01";
const TWO: &str = "blake3:02";

/// Checks that a change is taken, or is a finding of this class; and that it is decided alike.
#[track_caller]
fn expect(state: &RunState, change: Change, problem: Option<Problem>) -> RunState {
    let next = after(state, change.clone());
    let found = next.findings[state.findings.len()..].iter().map(|finding| finding.problem).next();
    assert_eq!(found, problem, "{change:?}");
    let rejected = Runs::decide(state, RunCommand::one("uid:1000", change)).err().map(|rejection| rejection.reason);
    let class = rejected.as_deref().map(|reason| reason.split([' ', ':']).next().unwrap());
    assert_eq!(class, problem.map(Problem::as_str));
    next
}

#[track_caller]
fn taken(state: &RunState, change: Change) -> RunState {
    expect(state, change, None)
}

#[track_caller]
fn refused(state: &RunState, change: Change, problem: Problem) {
    let next = expect(state, change, Some(problem));
    let mut same = next.clone();
    (same.events, same.last_time_ns, same.status) = (state.events, state.last_time_ns, state.status);
    (same.findings, same.finding_count, same.consuming) =
        (state.findings.clone(), state.finding_count, state.consuming.clone());
    assert_eq!(same, *state, "a finding changes nothing else");
}

fn closed() -> Change {
    Change::Closed { reason: "over".into() }
}

fn ends() -> [(Change, Status); 4] {
    [
        (Change::Completed { output: Content::None }, Status::Completed),
        (Change::Failed { error: "bad".into() }, Status::Failed),
        (Change::Cancelled { reason: String::new() }, Status::Cancelled),
        (closed(), Status::Closed),
    ]
}

fn undone() -> Change {
    Change::Undone(crate::run::Undone::default())
}

#[test]
fn a_run_runs_waits_pauses_and_ends() {
    let opened = RunState::default();
    assert_eq!(opened.status, Status::Opened);
    let state = taken(&opened, created());
    assert_eq!(state.status, Status::Created);
    refused(&state, created(), Problem::CreatedTwice);
    refused(&state, Change::Resumed, Problem::NotPaused);
    let state = taken(&state, requested("a", "task", Reversibility::Pure));
    assert_eq!((state.status, state.waits().next()), (Status::Waiting, Some((WaitKind::Task, "a"))));
    let paused = taken(&state, Change::Paused { reason: "lunch".into() });
    assert_eq!(paused.status, Status::Paused);
    refused(&paused, requested("b", "task", Reversibility::Pure), Problem::RunPaused);
    refused(&paused, gate("g"), Problem::RunPaused);
    refused(&paused, asked("b", ONE, 1), Problem::RunPaused);
    let paused = taken(&paused, resolved("a", Outcome::Ok));
    let state = taken(&paused, Change::Resumed);
    assert_eq!((state.status, state.spent.steps["a"].nano_usd), (Status::Running, 7));
    assert_eq!(state.steps["a"].ms, Some(2000), "two events behind the request, a second each");
    for (end, status) in ends() {
        let over = taken(&state, end);
        assert_eq!(over.status, status);
        for (other, _) in ends() {
            let may_be_closed = other == closed() && status != Status::Closed;
            expect(&over, other, (!may_be_closed).then_some(Problem::RunEnded));
        }
        refused(&over, requested("b", "task", Reversibility::Pure), Problem::RunEnded);
        refused(&over, Change::Paused { reason: String::new() }, Problem::RunEnded);
        taken(&over, Change::Noted { label: String::new(), message: "bye".into() });
        let back = state.plan_rewind(1);
        let rewound = Change::Rewound(crate::run::Rewound { voided: Vec::new(), ..back });
        let is_open = status != Status::Closed;
        expect(&over, rewound, (!is_open).then_some(Problem::RunEnded));
        let undo = expect(&over, undone(), is_open.then_some(Problem::NothingToUndo));
        assert_eq!(undo.status, if is_open { status } else { Status::Running });
    }
}

#[test]
fn an_undone_close_gives_back_what_the_run_was() {
    let state = all([created(), Change::Failed { error: "bad".into() }, closed()]);
    let state = taken(&state, undone());
    assert_eq!(state.status, Status::Failed);
    refused(&state, undone(), Problem::NothingToUndo);
}

#[test]
fn events_before_the_creation_count_and_are_told_once() {
    let state = expect(&RunState::default(), requested("a", "task", Reversibility::Pure), Some(Problem::NotCreated));
    assert_eq!((state.status, state.finding_count), (Status::Waiting, 1));
    let state = after(&state, created());
    assert_eq!((state.status, state.finding_count), (Status::Waiting, 1));
}

#[test]
fn an_effect_ends_once_and_only_if_it_was_requested() {
    let state = all([created(), requested("a", "timer", Reversibility::Pure)]);
    let ends = || {
        let (step, reason): (crate::run::Text, String) = ("a".into(), String::new());
        let mut ends = vec![
            Change::EffectCancelled { step: step.clone(), reason: reason.clone() },
            Change::EffectAbandoned { step, reason },
        ];
        ends.extend(
            [Outcome::Ok, Outcome::Error, Outcome::TimedOut, Outcome::Interrupted]
                .map(|outcome| resolved("a", outcome)),
        );
        ends
    };
    for end in ends() {
        let over = taken(&state, end);
        assert!(over.waiting.is_empty());
        for again in ends() {
            refused(&over, again, Problem::EndedBefore);
        }
        refused(&over, requested("a", "task", Reversibility::Pure), Problem::NameTaken);
        taken(&over, requested("a#2", "task", Reversibility::Pure));
    }
    refused(&state, resolved("b", Outcome::Ok), Problem::NeverRequested);
    refused(&state, requested("a#2", "task", Reversibility::Pure), Problem::AttemptOpen);
    for bad in ["", "#2", "a#1", "a#02"] {
        refused(&state, requested(bad, "task", Reversibility::Pure), Problem::BadName);
    }
}

#[test]
fn commands_are_the_engines_own_and_nobody_waits_for_them() {
    for (kind, wait) in [
        ("command", None),
        ("task", Some(WaitKind::Task)),
        ("agent", Some(WaitKind::Task)),
        ("sleep", Some(WaitKind::Timer)),
        ("breakpoint", Some(WaitKind::Approval)),
    ] {
        let state = all([created(), requested("a", kind, Reversibility::Pure)]);
        assert_eq!(state.waits().next(), wait.map(|wait| (wait, "a")), "{kind}");
        assert_eq!(state.status, if wait.is_some() { Status::Waiting } else { Status::Running });
    }
}

#[test]
fn a_process_that_breaks_down_waits_for_an_operator_until_something_goes_on() {
    let state = all([created(), Change::Faulted { error: "TypeError".into() }]);
    assert_eq!((state.status, state.waits().next()), (Status::Waiting, Some((WaitKind::Operator, "release"))));
    let state = taken(&state, requested("a", "command", Reversibility::Pure));
    assert_eq!((state.status, state.fault()), (Status::Running, None));
}

#[test]
fn a_gate_passes_fails_or_is_interrupted_and_a_failed_one_is_waived_by_a_consumed_approval() {
    let state = all([created(), gate("g")]);
    refused(&state, gate("g"), Problem::NameTaken);
    refused(&state, gate("g#2"), Problem::AttemptOpen);
    refused(&state, finished("h", Verdict::Passed), Problem::NeverRequested);
    refused(&state, waived("g", ONE), Problem::GateNotFailed);
    for (verdict, status) in [
        (Verdict::Passed, GateStatus::Passed),
        (Verdict::Failed, GateStatus::Failed),
        (Verdict::Interrupted, GateStatus::Interrupted),
    ] {
        let over = taken(&state, finished("g", verdict));
        assert_eq!(over.gates["g"].status, status);
        refused(&over, finished("g", Verdict::Passed), Problem::EndedBefore);
        taken(&over, gate("g#2"));
        let is_failed = verdict == Verdict::Failed;
        let problem = if is_failed { Problem::NotApproved } else { Problem::GateNotFailed };
        refused(&over, waived("g", ONE), problem);
        if is_failed {
            let approved = [asked("waive-g", ONE, 1), voted("waive-g", ONE, "key:a", Choice::Approve)];
            let mut over = approved.into_iter().fold(over, |state, change| taken(&state, change));
            over = taken(&over, decided("waive-g", Decision::Approved));
            over = taken(&over, consumed("waive-g", ONE));
            refused(&over, waived("g", TWO), Problem::NotApproved);
            over = taken(&over, waived("g", ONE));
            assert_eq!(over.gates["g"].status, GateStatus::Waived);
        }
    }
}

/// Every status of an approval of step `p`, with how it was reached.
fn approvals() -> Vec<(ApprovalStatus, RunState)> {
    let open = all([created(), asked("p", ONE, 1)]);
    let approved = taken(&taken(&open, voted("p", ONE, "key:a", Choice::Approve)), decided("p", Decision::Approved));
    vec![
        (ApprovalStatus::Denied, taken(&open, decided("p", Decision::Denied))),
        (ApprovalStatus::Expired, taken(&open, decided("p", Decision::Expired))),
        (ApprovalStatus::Void, taken(&open, decided("p", Decision::Void))),
        (ApprovalStatus::Expired, taken(&approved, decided("p", Decision::Expired))),
        (ApprovalStatus::Void, taken(&approved, decided("p", Decision::Void))),
        (ApprovalStatus::Revoked, taken(&approved, revoked("p"))),
        (ApprovalStatus::Consumed, taken(&approved, consumed("p", ONE))),
        (ApprovalStatus::Open, open),
        (ApprovalStatus::Approved, approved),
    ]
}

#[test]
fn an_approval_moves_along_its_machine_and_nothing_leaves_consumed() {
    use ApprovalStatus as S;
    for (status, state) in approvals() {
        assert_eq!(state.approvals["p"].status, status);
        let (is_open, is_approved) = (status == S::Open, status == S::Approved);
        let allowed = |holds: bool, otherwise: Problem| (!holds).then_some(otherwise);
        let denied = allowed(is_open, Problem::ApprovalClosed);
        expect(&state, voted("p", ONE, "key:b", Choice::Approve), denied);
        expect(&state, decided("p", Decision::Denied), denied);
        let carried = if is_open { Some(Problem::VotesMissing) } else { Some(Problem::ApprovalClosed) };
        expect(&state, decided("p", Decision::Approved), carried);
        let pending = allowed(is_open || is_approved, Problem::ApprovalClosed);
        expect(&state, decided("p", Decision::Expired), pending);
        expect(&state, decided("p", Decision::Void), pending);
        expect(&state, revoked("p"), allowed(is_approved, Problem::ApprovalClosed));
        let unusable = if status == S::Consumed { Problem::ConsumedBefore } else { Problem::NotApproved };
        expect(&state, consumed("p", ONE), allowed(is_approved, unusable));
        expect(&state, consumed("p", TWO), Some(Problem::SubjectDiffers));
        let taken = if status == S::Consumed { Problem::ConsumedBefore } else { Problem::NameTaken };
        expect(&state, asked("p", TWO, 1), Some(Problem::NameTaken));
        let again = match status {
            S::Open | S::Approved => Some(Problem::AttemptOpen),
            S::Consumed => Some(taken),
            _ => None,
        };
        expect(&state, asked("p#2", ONE, 1), again);
    }
}

#[test]
fn one_vote_of_a_principal_counts_and_only_for_what_was_shown() {
    let policy = Policy { name: "two".into(), need: 2, eligible: ["key:a".into(), "key:b".into()].into(), veto: true };
    let request =
        ApprovalRequest { step: "p".into(), subject_digest: ONE.into(), policy, ..ApprovalRequest::default() };
    let open = all([created(), Change::ApprovalAsked(request)]);
    refused(&open, voted("p", TWO, "key:a", Choice::Approve), Problem::SubjectDiffers);
    refused(&open, voted("p", ONE, "key:c", Choice::Approve), Problem::NotEligible);
    refused(&open, voted("q", ONE, "key:a", Choice::Approve), Problem::NeverRequested);
    let one = taken(&open, voted("p", ONE, "key:a", Choice::Approve));
    refused(&one, voted("p", ONE, "key:a", Choice::Reject), Problem::VotedTwice);
    refused(&one, decided("p", Decision::Approved), Problem::VotesMissing);
    assert_eq!(crate::run::Wait::of(&one)[0].votes, Some(crate::run::Votes { have: 1, need: 2 }));
    taken(&taken(&one, voted("p", ONE, "key:b", Choice::Approve)), decided("p", Decision::Approved));
    let vetoed = taken(&one, voted("p", ONE, "key:b", Choice::Reject));
    refused(&vetoed, decided("p", Decision::Approved), Problem::VotesMissing);
    taken(&vetoed, decided("p", Decision::Denied));
}

#[test]
fn what_needs_an_approval_starts_directly_behind_its_use() {
    let open = all([created(), asked("p", ONE, 1), voted("p", ONE, "key:a", Choice::Approve)]);
    refused(&open, requires("p", ONE), Problem::NotApproved);
    refused(&open, requested("p", "command", Reversibility::Pure), Problem::ApprovalOpen);
    let approved = taken(&open, decided("p", Decision::Approved));
    refused(&approved, requires("p", ONE), Problem::NotApproved);
    refused(&approved, requested("p", "command", Reversibility::Pure), Problem::ApprovalOpen);
    let used = taken(&approved, consumed("p", ONE));
    refused(&used, requires("p", TWO), Problem::NotApproved);
    let late = taken(&used, Change::Noted { label: String::new(), message: "later".into() });
    refused(&late, requires("p", ONE), Problem::NotApproved);
    let started = taken(&used, requires("p", ONE));
    assert!(started.steps["p"].is_open());
    let both = RunCommand { actor: "engine".into(), changes: vec![consumed("p", ONE), requires("p", ONE)] };
    assert_eq!(Runs::decide(&approved, both.clone()).unwrap().len(), 2);
    let twice = RunCommand { changes: [both.changes.clone(), both.changes].concat(), actor: "engine".into() };
    assert_eq!(Runs::decide(&approved, twice).unwrap_err().reason, "consumed-before \"p\"");
}

#[test]
fn smaller_things_are_kept_once() {
    let value = || Change::ValueRecorded {
        key: "now".into(),
        source: crate::run::ValueSource::Time,
        value: crate::run::Json::of(&serde_json::json!(7)),
    };
    let put = |digest: &str| Change::ArtifactPut { name: "app".into(), digest: digest.into(), len_bytes: 1 };
    let drop = || Change::ArtifactDropped { name: "app".into(), reason: String::new() };
    let trusted = || Change::BundleTrusted { digest: "d".into(), evidence: "sig".into() };
    let state = taken(&all([created()]), value());
    refused(&state, value(), Problem::NameTaken);
    refused(&state, drop(), Problem::NoSuchArtifact);
    let state = taken(&taken(&state, put("1")), put("2"));
    assert_eq!(state.artifacts["app"].current().unwrap().digest, "2");
    let state = taken(&state, drop());
    assert_eq!(state.artifacts["app"].current(), None);
    refused(&state, drop(), Problem::NoSuchArtifact);
    refused(&state, trusted(), Problem::NotCompiled);
    let state = taken(&state, Change::BundleCompiled { name: "hooks".into(), digest: "d".into() });
    let state = taken(&state, trusted());
    refused(&state, trusted(), Problem::NameTaken);
    let policy = || Change::PolicyTrusted { name: "p".into(), digest: "e".into(), evidence: String::new() };
    let state = taken(&state, policy());
    refused(&state, policy(), Problem::NameTaken);
    refused(&state, Change::Unrecognized { event_type: "X".into(), why: "new".into() }, Problem::Unrecognized);
}

#[test]
fn findings_are_counted_beyond_those_that_are_listed() {
    let mut state = all([created()]);
    for _ in 0..300 {
        state = after(&state, resolved(&"x".repeat(1000), Outcome::Ok));
    }
    assert_eq!((state.finding_count, state.findings.len()), (300, crate::run::Finding::MOST_LISTED));
    assert_eq!(state.findings[0].subject.len(), 300);
}
