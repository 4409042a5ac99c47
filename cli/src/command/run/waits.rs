//! What runs wait for, in words.

use taffrail::run::{RunOverview, Wait, WaitKind};

/// `approval publish (1 of 2)`, `task notes`.
pub(super) fn name(wait: &Wait) -> String {
    let votes = wait.votes.map(|votes| format!(" ({} of {})", votes.have, votes.need)).unwrap_or_default();
    match wait.kind {
        WaitKind::Operator if wait.step.is_empty() => wait.kind.to_string(),
        kind => format!("{kind} {}{votes}", wait.step),
    }
}

/// The first of them, and how many more there are; `-` for none.
pub(super) fn first(run: &RunOverview) -> String {
    match run.waiting.as_slice() {
        [] => "-".to_owned(),
        [only] => name(only),
        [one, more @ ..] => format!("{} and {} more", name(one), more.len()),
    }
}
