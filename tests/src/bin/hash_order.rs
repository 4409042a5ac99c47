//! The command line with a fold that looks deterministic and is not: its state depends on the order of a hash map, which
//! is the same within a process and differs between processes.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use taffrail::{Event, Fold, Recorded};

/// An event.
#[derive(Serialize, Deserialize)]
pub(crate) enum Job {
    /// Something was asked for.
    Queued(u32),
}

impl Event for Job {
    const TYPE: &'static str = "acme.job";
    const VERSION: u16 = 1;

    fn kind(&self) -> &'static str {
        "Queued"
    }
}

/// The fold.
struct HashOrder;

impl Fold for HashOrder {
    const NAME: &'static str = "acme.hash-order";
    const VERSION: u32 = 1;
    type Event = Job;
    type State = Vec<u32>;

    fn apply(jobs: &mut Vec<u32>, event: &Recorded<Job>) {
        // What `for job in &map` comes to: an order by the process's own seed.
        static SEED: OnceLock<RandomState> = OnceLock::new();
        let seed = SEED.get_or_init(RandomState::new);
        let Job::Queued(job) = event.data;
        jobs.push(job);
        if jobs.len() > 3 {
            jobs.sort_by_key(|job| seed.hash_one(job));
        }
    }
}

fn main() -> std::process::ExitCode {
    taffrail_cli::main_with::<HashOrder>()
}
