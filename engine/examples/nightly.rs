//! A program that records its own events: what embedding taffrail looks like.
//!
//! `cargo run --example nightly` works in `.taffrail`, in the current directory.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use serde::{Deserialize, Serialize};
use taffrail::{Event, Expect, Fold, Journal, Recorded, SyncPolicy};

#[derive(Serialize, Deserialize)]
enum Job {
    Queued { cmd: String },
    Done { exit: i32 },
}

impl Event for Job {
    const TYPE: &'static str = "acme.job"; // registered in the log, with its schema
    const VERSION: u16 = 1;
    fn kind(&self) -> &'static str {
        match self {
            Job::Queued { .. } => "Queued",
            Job::Done { .. } => "Done",
        }
    }
}

#[derive(Default, Clone, PartialEq, Serialize, Deserialize)]
struct Tally {
    open: u32,
    failed: u32,
}

struct Jobs;

impl Fold for Jobs {
    // pure; one state per run
    const NAME: &'static str = "acme.jobs";
    const VERSION: u32 = 1;
    type Event = Job;
    type State = Tally;
    fn apply(t: &mut Tally, e: &Recorded<Job>) {
        match e.data {
            Job::Queued { .. } => t.open += 1,
            Job::Done { exit } => {
                t.open = t.open.saturating_sub(1);
                t.failed += u32::from(exit != 0);
            }
        }
    }
}

pub(crate) fn main() -> taffrail::Result<()> {
    let journal = Journal::options().create(true).sync(SyncPolicy::Always).open(".taffrail")?;
    let run = journal.run_or_create("nightly")?; // journal.run(name) never creates
    run.append(Expect::Any, &[Job::Queued { cmd: "cargo test".into() }])?; // returns when it is durable
    let (tally, revision) = run.state::<Jobs>()?; // newest snapshot + tail
    if tally.open > 0 {
        run.append(Expect::Revision(revision), &[Job::Done { exit: 0 }])?; // Err(Conflict): someone was faster
    }
    run.checkpoint::<Jobs>()?; // the state's digest goes into the log
    println!("{}", run.check::<Jobs>()?); // "2 events, 1 of 1 checkpoints equal"
    Ok(())
}
