//! Approvals: questions to people, and what became of them.

use crate::run::content::Content;
use crate::run::event::{Choice, Decision, Policy};
use crate::run::moment::{Moment, Rewindable};
use crate::run::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far an approval is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStatus {
    /// It is being decided.
    Open,
    /// It can be used, once.
    Approved,
    /// It was refused.
    Denied,
    /// It was not decided, or not used, in time.
    Expired,
    /// Its subject changed, or its history was given up.
    Void,
    /// It was used.
    Consumed,
    /// It was taken back before it was used.
    Revoked,
}

impl From<Decision> for ApprovalStatus {
    fn from(decision: Decision) -> ApprovalStatus {
        match decision {
            Decision::Approved => ApprovalStatus::Approved,
            Decision::Denied => ApprovalStatus::Denied,
            Decision::Expired => ApprovalStatus::Expired,
            Decision::Void => ApprovalStatus::Void,
        }
    }
}

/// A vote that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedVote {
    /// For or against.
    pub choice: Choice,
    /// Why; may be empty.
    pub reason: String,
    /// What proves the principal; may be empty.
    pub evidence: String,
    /// When.
    pub at: Moment,
}

impl Rewindable for CountedVote {
    fn go_back(&mut self, event: u64) -> bool {
        self.at.event <= event
    }
}

/// One approval: named by the step that waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// How far it is.
    pub status: ApprovalStatus,
    /// What would be done, in full.
    pub request: Content,
    /// Digest of the subject.
    pub subject_digest: Text,
    /// Who decides.
    pub policy: Policy,
    /// For people; may be empty.
    pub prompt: String,
    /// Who asked.
    pub asked_by: String,
    /// When it expires, in nanoseconds since 1970.
    pub deadline_ns: Option<i64>,
    /// When it was asked.
    pub asked: Moment,
    /// The votes, one for each principal.
    pub votes: BTreeMap<String, CountedVote>,
    /// The changes of its status since, in order.
    pub turns: Vec<ApprovalTurn>,
}

/// A change of an approval's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalTurn {
    /// When.
    pub at: Moment,
    /// To what.
    pub status: ApprovalStatus,
    /// Who decided.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

impl Approval {
    /// Whether it is open, or could still be used.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.status, ApprovalStatus::Open | ApprovalStatus::Approved)
    }

    /// How many votes there are of this kind.
    #[must_use]
    pub fn votes_for(&self, choice: Choice) -> u32 {
        let count = self.votes.values().filter(|vote| vote.choice == choice).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Whether the votes are enough for it.
    #[must_use]
    pub fn is_carried(&self) -> bool {
        let is_vetoed = self.policy.veto && self.votes_for(Choice::Reject) > 0;
        !is_vetoed && self.votes_for(Choice::Approve) >= self.policy.need.max(1)
    }

    pub(super) fn turn(&mut self, turn: ApprovalTurn) {
        self.status = turn.status;
        self.turns.push(turn);
    }
}

impl Rewindable for Approval {
    fn go_back(&mut self, event: u64) -> bool {
        super::moment::map_back(&mut self.votes, event);
        self.turns.retain(|turn| turn.at.event <= event);
        self.status = self.turns.last().map_or(ApprovalStatus::Open, |turn| turn.status);
        self.asked.event <= event
    }
}

/// Whether a vote would count.
pub(super) fn is_eligible(approval: &Approval, principal: &str) -> bool {
    approval.policy.eligible.is_empty() || approval.policy.eligible.contains(principal)
}
