//! Plan first: whatever takes something away, or replaces it, is a plan that is made by reading only, and is carried out
//! only by whoever names exactly that plan, accepts its loss by number, and says why.
//!
//! A plan is a value that can be written down. Its id is the BLAKE3 digest of what is written; the first six digits are its
//! name. So a plan has to hold all that it depends on: what it takes away, by digest or by seq and revision. Made again when
//! it is carried out, it has the same id, or the plan is another one and is refused (T0401). What is appended elsewhere is
//! not part of it and does not spoil it.

use crate::error::{Error, Result};
use crate::{Batch, ErrorKind, Journal, Kind, OperatorAction};
use serde::Serialize;

/// Digits of a plan's id that are its name: the fewest that whoever agrees to it has to give.
const NAME_DIGITS: usize = 6;

/// On whose word a plan is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The plan's id or name, as it was shown.
    pub plan: String,
    /// The number of events that may be lost: exactly that of the plan.
    pub accept_loss: u64,
    /// Why.
    pub reason: String,
    /// Who, as far as the evidence goes: `uid:1000`.
    pub actor: String,
    /// How long to wait for the store's lock, in milliseconds.
    pub lock_timeout_ms: u64,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The plan's id.
    pub plan: String,
    /// Where the originals are, relative to the store; `None` where nothing was taken out of it.
    pub kept_in: Option<String>,
    /// Seq of the operator event that tells of it.
    pub event: u64,
    /// Events that were lost, or given up.
    pub lost: u64,
}

/// The id of a plan whose own field for it is still empty.
///
/// # Errors
/// `Invalid` (T0190) for a plan that can not be written down: a bug.
pub(crate) fn plan_id(plan: &impl Serialize) -> Result<String> {
    let text = serde_json::to_vec(plan).map_err(|error| {
        Error::new(ErrorKind::Invalid, "T0190", format!("the plan can not be written down: {error}"))
    })?;
    Ok(blake3::hash(&text).to_hex().to_string())
}

/// The short name of a plan.
pub(crate) fn plan_name(id: &str) -> &str {
    id.get(..NAME_DIGITS).unwrap_or(id)
}

impl Authority {
    /// Whether it is this plan that is agreed to, and its loss that is accepted; `command` shows the plan anew.
    ///
    /// # Errors
    /// `Rejected`: T0401 for another plan, T0402 for another loss.
    pub(crate) fn covers(&self, id: &str, lost: u64, command: &str) -> Result<()> {
        let given = self.plan.as_str();
        if given.len() < NAME_DIGITS || !id.starts_with(given) {
            return Err(other_plan(given, id, command));
        }
        if self.accept_loss != lost {
            let message = format!("the plan loses {lost} events, and {} were accepted", self.accept_loss);
            return Err(Error::new(ErrorKind::Rejected, "T0402", message)
                .hint(format!("if that is what you want: --accept-loss {lost}")));
        }
        Ok(())
    }

    /// The operator event that tells of a plan.
    pub(crate) fn action(&self, verb: &str, plan: &str, detail: &serde_json::Value) -> OperatorAction {
        OperatorAction {
            verb: verb.to_owned(),
            plan: parse_digest(plan).unwrap_or_default(),
            reason: self.reason.clone(),
            actor: self.actor.clone(),
            detail: detail.to_string(),
        }
    }

    /// Appends the operator event that tells of a plan, closes the journal, and returns the event's seq.
    pub(crate) fn tell(&self, journal: Journal, verb: &str, plan: &str, detail: &serde_json::Value) -> Result<u64> {
        let mut batch = Batch::new();
        batch.own(None, Kind::OPERATOR_ACTION, false, &self.action(verb, plan, detail).encode());
        let appended = journal.append(batch)?;
        journal.close()?;
        Ok(appended.last.get())
    }
}

/// The plan that was agreed to is not the one that would be made now.
pub(crate) fn other_plan(given: &str, id: &str, command: &str) -> Error {
    let message = format!("plan {} is not the one for what is there now: that is {}", plan_name(given), plan_name(id));
    Error::new(ErrorKind::Rejected, "T0401", message).hint(command)
}

/// A BLAKE3 digest, from its hexadecimal digits.
pub(crate) fn parse_digest(hexadecimal: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(hexadecimal).ok().map(|hash| *hash.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_plan_and_its_very_loss_are_agreed_to() {
        let id = plan_id(&("a plan", 7)).unwrap();
        assert_eq!((id.len(), plan_name(&id)), (64, &id[..6]));
        assert_ne!(id, plan_id(&("a plan", 8)).unwrap());
        let authority = |plan: &str, accept_loss| Authority {
            plan: plan.to_owned(),
            accept_loss,
            reason: "a test".into(),
            actor: "uid:1".into(),
            lock_timeout_ms: 0,
        };
        let code =
            |plan: &str, loss| authority(plan, loss).covers(&id, 2, "taffrail x").err().map(|error| error.code());
        assert_eq!(code(&id, 2), None);
        assert_eq!(code(&id[..6], 2), None);
        for other in [&id[..5], "", "zzzzzz", &id[1..]] {
            assert_eq!(code(other, 2), Some("T0401"), "{other}");
        }
        assert_eq!(code(&id, 0), Some("T0402"));
        assert_eq!(code(&id, 3), Some("T0402"));
    }
}
