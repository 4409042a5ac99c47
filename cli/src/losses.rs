//! What a reading has passed over, as warnings.

use serde_json::{Value, json};
use taffrail::fold::Losses;
use taffrail::{Loss, SegmentNumber, Seq};

use crate::exit::Exit;
use crate::human;
use crate::output::Output;
use crate::problem::Problem;
use crate::run_names::RunNames;
use crate::store::Store;

/// Losses that are told one by one.
const MOST_TOLD: usize = 20;

/// Tells one: what is lost, why, and where.
pub fn tell_one(loss: &Loss, store: &Store, output: &mut Output) {
    let problem = store.problem(&loss.error);
    let place = problem.place.map(|place| format!(" ({place})")).unwrap_or_default();
    output.warning(&format!("passed over {}: {}: {}{place}", named(loss, store), problem.code, problem.message));
}

/// What is lost, with the name of its run where something tells it.
fn named(loss: &Loss, store: &Store) -> String {
    let said = loss.to_string();
    let Some(run) = loss.header.and_then(|header| header.run) else { return said };
    // The name is an extra: where it can not be read, the number stays.
    let Ok(reader) = store.reader() else { return said };
    let name = RunNames::default().name(&reader, run);
    if name.starts_with('#') { said } else { said.replace(&format!("run #{run}"), &name) }
}

/// Tells them, and gives the exit code that they ask for. For programs they are one error, of the first one, which lists them.
pub fn tell(losses: &Losses, store: &Store, output: &mut Output) -> Exit {
    if losses.count == 0 {
        return Exit::Clean;
    }
    if output.format().is_json() {
        tell_programs(losses, store, output);
        return Exit::Damage;
    }
    for loss in losses.listed.iter().take(MOST_TOLD) {
        tell_one(loss, store, output);
    }
    let told = losses.listed.len().min(MOST_TOLD) as u64;
    if losses.count > told {
        let more = human::count(losses.count - told, "more place");
        output.warning(&format!("{more} passed over; {}", store.command("log verify")));
    }
    Exit::Damage
}

/// The error that stands beside data from which something is missing.
pub fn tell_programs(losses: &Losses, store: &Store, output: &mut Output) {
    let Some(first) = losses.listed.first() else { return };
    let passed_over: Vec<Value> = losses.listed.iter().map(document).collect();
    let problem = store.problem(&first.error);
    let message = format!("passed over {first}: {}", problem.message);
    let problem = Problem { message, ..problem };
    output.problem(&problem.with("passed_over", passed_over).with("passed_over_count", losses.count));
}

fn document(loss: &Loss) -> Value {
    let at = loss.error.at();
    json!({
        "code": loss.error.code(),
        "seqs": loss.seqs,
        "run": loss.header.and_then(|header| header.run).map(Seq::get),
        "segment": at.segment.map(SegmentNumber::get),
        "offset": at.offset,
    })
}
