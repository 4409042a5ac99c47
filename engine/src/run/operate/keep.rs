//! Results behind a position that an operator wants to keep: what that can mean, and what it can not.

use crate::error::{Error, Result};
use crate::run::Kept;
use crate::run::operate::Ground;
use crate::{ErrorKind, Seq};

/// The results that the events with these seqs brought, as far as they can stand without what came before them.
///
/// # Errors
/// `Rejected` (T0424) for an event that can not be kept, with the reason.
pub(super) fn kept(ground: &Ground, to: u64, seqs: &[Seq]) -> Result<Kept> {
    let mut kept = Kept::default();
    for seq in seqs {
        keep(ground, to, *seq, &mut kept).map_err(|why| {
            let message = format!("seq {seq} can not be kept: {why}");
            let show = format!("taffrail run show {} --all", super::quoted(&ground.run.run_name));
            Error::new(ErrorKind::Rejected, "T0424", message).hint(show).seq(seq.get())
        })?;
    }
    Ok(kept)
}

fn keep(ground: &Ground, to: u64, seq: Seq, kept: &mut Kept) -> std::result::Result<(), String> {
    let state = &ground.state;
    let place = ground.place_at(seq).filter(|place| place.seq == seq.get());
    let place = place.ok_or("it is no event of the run's schema")?;
    if place.event <= to {
        return Err("it stays anyway: it does not lie behind the position".into());
    }
    if !state.is_in_lineage(place.event) {
        return Err("it was given up before; only what is history now can be kept".into());
    }
    let line = ground.line_of(place.event).ok_or("it lies too far back to be read again here")?;
    let subject = line.subject.as_str();
    match &*line.kind {
        "EffectResolved" => {
            let step = state.steps.get(subject).filter(|step| step.ended.is_some_and(|at| at.event == place.event));
            let step = step.ok_or("it changed nothing: no request of this history was open for it")?;
            if step.requested.event > to {
                return Err(format!("{subject} was requested behind the position, so no result of it can stand"));
            }
            kept.effects.insert(subject.to_owned());
        }
        "GateFinished" => {
            let gate = state.gates.get(subject).filter(|gate| gate.finished.is_some_and(|at| at.event == place.event));
            let gate = gate.ok_or("it changed nothing: no such gate was running")?;
            if gate.requested.event > to {
                return Err(format!(
                    "gate {subject} was asked for behind the position; whether its inputs are the same then shows when it runs again"
                ));
            }
            kept.gates.insert(subject.to_owned());
        }
        "ValueRecorded" => {
            let is_current = state.values.get(subject).is_some_and(|value| value.at.event == place.event);
            if !is_current {
                return Err("it changed nothing: the value was there already".into());
            }
            kept.values.insert(subject.to_owned());
        }
        kind => return Err(format!("{kind} is none of EffectResolved, GateFinished, ValueRecorded: {}", reason(kind))),
    }
    Ok(())
}

/// Why an event of another kind can not be kept.
fn reason(kind: &str) -> &'static str {
    match kind {
        "EffectRequested" | "GateRequested" | "ApprovalAsked" => "it asks for something that the process decides anew",
        "ApprovalVoted" | "ApprovalDecided" | "ApprovalRevoked" => {
            "approvals that were not used are void behind a rewind"
        }
        "ApprovalConsumed" => "an approval that was used stays used, and is not used twice",
        "UsageRecorded" => "what was spent stays spent anyway",
        "EffectCancelled" | "EffectAbandoned" => "it has no result",
        _ => "it is no result of something that was asked for before",
    }
}
