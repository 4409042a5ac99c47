//! A fold that reads the clock, and how a replay catches it: `cargo run --example clock_fold`.
//!
//! With `states` behind it, it prints the digests of an honest fold instead: two processes must print the same.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;
use taffrail::fold::each_state;
use taffrail::storage::Memory;
use taffrail::{Event, Expect, Fold, Journal, Recorded};

#[derive(Serialize, Deserialize)]
enum Door {
    Opened { by: String },
    Closed,
}

impl Event for Door {
    const TYPE: &'static str = "house.door";
    const VERSION: u16 = 1;
    fn kind(&self) -> &'static str {
        match self {
            Door::Opened { .. } => "Opened",
            Door::Closed => "Closed",
        }
    }
}

/// The mistake: when the door was opened is read off the clock, and not taken from the event.
struct Careless;

impl Fold for Careless {
    const NAME: &'static str = "house.careless";
    const VERSION: u32 = 1;
    type Event = Door;
    type State = BTreeMap<String, u128>;
    #[allow(clippy::disallowed_methods, reason = "this is what the example is about")]
    fn apply(opened_at: &mut BTreeMap<String, u128>, event: &Recorded<Door>) {
        if let Door::Opened { by } = &event.data {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            opened_at.insert(by.clone(), now.as_nanos());
        }
    }
}

/// The same, done right.
struct Honest;

impl Fold for Honest {
    const NAME: &'static str = "house.honest";
    const VERSION: u32 = 1;
    type Event = Door;
    type State = BTreeMap<String, (u64, u32)>;
    fn apply(opened: &mut BTreeMap<String, (u64, u32)>, event: &Recorded<Door>) {
        if let Door::Opened { by } = &event.data {
            opened.insert(by.clone(), (event.seq.get(), event.revision));
        }
    }
}

fn front_door() -> taffrail::Result<Journal> {
    let journal = Journal::options().create(true).open_on(Arc::new(Memory::new()))?;
    let run = journal.run_or_create("front door")?;
    run.append(Expect::Any, &[Door::Closed, Door::Opened { by: "tal".into() }, Door::Closed])?;
    Ok(journal)
}

/// Prints the states of the honest fold.
pub(crate) fn states() -> taffrail::Result<()> {
    each_state::<Honest>(&front_door()?.reader()?, None, |line| {
        println!("{} {} {}", line.seq, line.digest, line.state);
        Ok(true)
    })
}

pub(crate) fn main() -> taffrail::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("states") {
        return states();
    }
    let journal = front_door()?;
    let run = journal.run("front door")?;
    run.checkpoint::<Honest>()?;
    println!("honest:   {}", run.check::<Honest>()?);
    run.checkpoint::<Careless>()?;
    match run.check::<Careless>() {
        Ok(report) => println!("careless: {report}"),
        Err(error) => println!("careless: error[{}]: {error}", error.code()),
    }
    Ok(())
}
