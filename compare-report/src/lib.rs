//! What a comparison of taffrail with its peers came to: figures, limits of the machine, the judgement, and the pages that
//! are made of them. `compare/` measures, and has all the peers to build; this has none, so that the tests of the
//! workspace hold the pages against `docs/compare.json`.

#![allow(clippy::disallowed_methods, reason = "a tool of this repository: it writes its pages")]

mod cases;
mod judgement;
mod number;
mod pages;
mod promises;
mod report;
mod rows;
mod tables;
mod targets;

pub use judgement::{LEAST_PART, LEAST_ROUNDS, Verdict, judge, judgement};
pub use number::{median, short};
pub use pages::{publish, render};
pub use promises::{APPENDED_BEHIND_FAULT, EXCEPTIONS, Exception, PROMISES, Promise, exception};
pub use report::{Fault, Machine, Measured, PeerFacts, Report};
pub use rows::report_of;
pub use tables::tables;
pub use targets::{Goal, goals, targets};
