//! A value of every event, and of everything inside of one: what the schema is learned from, and what golden bytes keep.

use crate::run::content::{Content, Json};
use crate::run::event::{
    ApprovalRequest, Change, Choice, Decision, EffectRequest, Outcome, Policy, Reversibility, RunEvent, ValueSource,
    Verdict, Vote,
};
use crate::run::rewind::{Forked, Rewound, Undone};
use crate::run::usage::Usage;
use serde_json::json;

/// The samples, each variant of [`Change`] at least once.
pub(super) fn samples() -> Vec<RunEvent> {
    let mut changes = lives();
    changes.extend(effects());
    changes.extend(gates_and_approvals());
    changes.extend(rest());
    changes.into_iter().map(|change| change.by("uid:1000")).collect()
}

fn lives() -> Vec<Change> {
    vec![
        Change::Created {
            process: "release".into(),
            process_digest: Some("blake3:00".into()),
            inputs: Content::inline(&json!({"version": "1.4.0"})),
        },
        Change::ProcessAssigned { process: "release".into(), process_digest: Some("sha256:00".into()) },
        Change::Paused { reason: "lunch".into() },
        Change::Resumed,
        Change::Faulted { error: "TypeError".into() },
        Change::Completed { output: Content::File("state/output.json".into()) },
        Change::Failed { error: "exit 101".into() },
        Change::Cancelled { reason: String::new() },
        Change::Closed { reason: "wrong branch".into() },
    ]
}

fn request(kind: &str, reversibility: Reversibility) -> EffectRequest {
    EffectRequest {
        step: "publish#2".into(),
        source_id: Some("E1".into()),
        kind: kind.into(),
        label: "publish".into(),
        request: Content::Blob { digest: "ab".repeat(32), len_bytes: 7 },
        request_digest: Some("blake3:01".into()),
        reversibility,
        requires: Some("blake3:02".into()),
        due_ns: Some(-1),
    }
}

fn effects() -> Vec<Change> {
    let usage = Usage { input_tokens: 1, output_tokens: 2, cache_read_tokens: 3, cache_write_tokens: 4, nano_usd: 5 };
    let step = || "publish#2".into();
    let mut changes: Vec<Change> = [
        Reversibility::Unstated,
        Reversibility::Pure,
        Reversibility::Idempotent,
        Reversibility::Compensable,
        Reversibility::Irreversible,
    ]
    .into_iter()
    .map(|reversibility| Change::EffectRequested(request("command", reversibility)))
    .collect();
    changes.extend([Outcome::Ok, Outcome::Error, Outcome::TimedOut, Outcome::Interrupted].map(|outcome| {
        Change::EffectResolved { step: step(), outcome, result: Content::None, error: Some("exit 1".into()), usage }
    }));
    let sources = [ValueSource::Time, ValueSource::Random, ValueSource::Uuid, ValueSource::Env, ValueSource::Custom];
    changes.extend(sources.map(|source| Change::ValueRecorded {
        key: "now".into(),
        source,
        value: Json::of(&json!(7)),
    }));
    changes.extend([
        Change::EffectProgress { step: step(), note: "half".into() },
        Change::EffectCancelled { step: step(), reason: String::new() },
        Change::EffectAbandoned { step: step(), reason: String::new() },
        Change::UsageRecorded { step: Some(step()), model: Some("model-a".into()), usage },
    ]);
    changes
}

fn gates_and_approvals() -> Vec<Change> {
    let policy = Policy { name: "two-people".into(), need: 2, eligible: ["key:a".to_owned()].into(), veto: true };
    let asked = ApprovalRequest {
        step: "publish".into(),
        request: Content::None,
        subject_digest: "blake3:02".into(),
        policy,
        prompt: "Publish?".into(),
        deadline_ns: Some(1),
    };
    let vote = |choice| {
        Change::ApprovalVoted(Vote {
            step: "publish".into(),
            principal: "key:a".into(),
            choice,
            subject_digest: "blake3:02".into(),
            reason: "looks ok".into(),
            evidence: String::new(),
        })
    };
    let mut changes = vec![
        Change::GateRequested {
            gate: "test".into(),
            spec: Content::None,
            spec_digest: "blake3:03".into(),
            inputs_digest: Some("blake3:04".into()),
        },
        Change::GateRechecked { gate: "test".into(), verdict: Verdict::Passed, drift: String::new() },
        Change::GateWaived { gate: "test".into(), subject_digest: "blake3:02".into() },
        Change::ApprovalAsked(asked),
        vote(Choice::Approve),
        vote(Choice::Reject),
        Change::ApprovalConsumed { step: "publish".into(), subject_digest: "blake3:02".into() },
        Change::ApprovalRevoked { step: "publish".into(), reason: String::new() },
    ];
    changes.extend([Verdict::Passed, Verdict::Failed, Verdict::Interrupted].map(|verdict| Change::GateFinished {
        gate: "test".into(),
        verdict,
        result: Content::None,
    }));
    let decisions = [Decision::Approved, Decision::Denied, Decision::Expired, Decision::Void];
    changes.extend(decisions.map(|decision| Change::ApprovalDecided {
        step: "publish".into(),
        decision,
        reason: String::new(),
    }));
    changes
}

fn rest() -> Vec<Change> {
    let list = || vec!["a".to_owned()];
    vec![
        Change::ArtifactPut { name: "app".into(), digest: "ab".repeat(32), len_bytes: 1 },
        Change::ArtifactDropped { name: "app".into(), reason: String::new() },
        Change::BundleCompiled { name: "hooks".into(), digest: "blake3:05".into() },
        Change::BundleTrusted { digest: "blake3:05".into(), evidence: String::new() },
        Change::PolicyTrusted { name: "two-people".into(), digest: "blake3:06".into(), evidence: String::new() },
        Change::HookFired { hook: "stop".into(), input: Content::None },
        Change::HookDecided { hook: "stop".into(), decision: "block".into(), reason: String::new() },
        Change::Noted { label: "note".into(), message: "hello".into() },
        Change::Forked(Forked {
            parent: "release-41".into(),
            at: 3,
            grafted: list(),
            abandoned: list(),
            voided: list(),
            reason: String::new(),
        }),
        Change::Rewound(Rewound {
            to: 3,
            kept: list(),
            kept_effects: list(),
            kept_values: list(),
            grafted: list(),
            abandoned: list(),
            voided: list(),
            compensations: list(),
            acknowledged: list(),
            reason: "again".into(),
            plan_digest: Some("blake3:07".into()),
        }),
        Change::Undone(Undone {
            compensations: list(),
            acknowledged: list(),
            reason: String::new(),
            plan_digest: Some("blake3:08".into()),
        }),
        Change::Unrecognized { event_type: "NEW_TYPE".into(), why: "unknown".into() },
    ]
}
