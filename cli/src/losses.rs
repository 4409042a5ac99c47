//! What a reading has passed over, as warnings.

use taffrail::Loss;
use taffrail::fold::Losses;

use crate::exit::Exit;
use crate::human;
use crate::output::Output;
use crate::store::Store;

/// Losses that are told one by one.
const MOST_TOLD: usize = 20;

/// Tells one: what is lost, why, and where.
pub fn tell_one(loss: &Loss, store: &Store, output: &mut Output) {
    let problem = store.problem(&loss.error);
    let place = problem.place.map(|place| format!(" ({place})")).unwrap_or_default();
    output.warning(&format!("passed over {loss}: {}: {}{place}", problem.code, problem.message));
}

/// Tells them, and gives the exit code that they ask for.
pub fn tell(losses: &Losses, store: &Store, output: &mut Output) -> Exit {
    for loss in losses.listed.iter().take(MOST_TOLD) {
        tell_one(loss, store, output);
    }
    let told = losses.listed.len().min(MOST_TOLD) as u64;
    if losses.count > told {
        let more = human::count(losses.count - told, "more place");
        output.warning(&format!("{more} passed over; {}", store.command("log verify")));
    }
    if losses.count == 0 { Exit::Clean } else { Exit::Damage }
}
