//! `--ack-irreversible`: saying by name what was done for good.

use std::collections::BTreeSet;

use clap::Args;
use taffrail::run::Effect;

use crate::codes;
use crate::exit::Exit;
use crate::plan::{Consent, Proposal};
use crate::problem::{Failure, Problem};
use crate::usage::quoted;

/// The options of what gives up events of a run.
#[derive(Args, Clone, Debug)]
pub struct GivingUp {
    /// Steps that were done for good and are given up, by name: all that the plan lists, and no others
    #[arg(long, value_name = "STEP,...")]
    pub ack_irreversible: Vec<String>,

    /// Events that may be given up: exactly as many as the plan says
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    pub accept_loss: u64,
}

impl GivingUp {
    /// What is acknowledged. A name may hold commas, if it is given alone.
    ///
    /// # Errors
    /// T0421 where that is not what the plan lists, and the plan is to be carried out.
    pub(super) fn acknowledged(
        &self,
        effects: &[Effect],
        consent: &Consent,
        proposal: &Proposal,
    ) -> Result<BTreeSet<String>, Failure> {
        let wanted: BTreeSet<&str> = effects.iter().map(|effect| effect.step.as_str()).collect();
        let mut given: BTreeSet<&str> = BTreeSet::new();
        for text in &self.ack_irreversible {
            match wanted.get(text.as_str()) {
                Some(name) => drop(given.insert(name)),
                None => given.extend(text.split(',').map(str::trim).filter(|name| !name.is_empty())),
            }
        }
        if given == wanted || !(consent.apply || consent.apply_now) {
            return Ok(given.into_iter().map(str::to_owned).collect());
        }
        let list = |names: Vec<&str>| names.join(", ");
        let missing = list(wanted.difference(&given).copied().collect());
        let surplus = list(given.difference(&wanted).copied().collect());
        let message = if missing.is_empty() {
            format!("acknowledged as done for good, and nothing of that is given up: {surplus}")
        } else {
            format!("done for good, given up by this, and not acknowledged: {missing}")
        };
        let wanted: Vec<&str> = wanted.into_iter().collect();
        Err(Problem::new(codes::T0421, Exit::Refused, message)
            .hint(proposal.apply_command())
            .with("irreversible", wanted)
            .into())
    }
}

/// The option that names these effects; nothing for none.
pub(super) fn option(effects: &[Effect]) -> String {
    let names: Vec<&str> = effects.iter().map(|effect| effect.step.as_str()).collect();
    if names.iter().any(|name| name.contains(',') || name.trim() != *name) {
        return names.iter().map(|name| format!(" --ack-irreversible {}", quoted(name))).collect();
    }
    if names.is_empty() { String::new() } else { format!(" --ack-irreversible {}", quoted(&names.join(","))) }
}
