//! taffrail: an event-sourced engine for orchestration runs.
//!
//! A [`Journal`] appends events to a log of append-only segment files, in a directory. An event belongs to a run, a named
//! stream of events, and has a [`Seq`] in the log and a revision in its run. A [`Fold`] turns the events of a run into its
//! state. What an append acknowledged survives kill -9 and power cuts (see [`SyncPolicy`]), and damage is named and never
//! mistaken for a torn tail.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use std::sync::Arc;
//! use taffrail::storage::Memory;
//! use taffrail::{Event, Expect, Fold, Journal, Recorded};
//!
//! #[derive(Serialize, Deserialize)]
//! enum Job {
//!     Queued { cmd: String },
//!     Done { exit: i32 },
//! }
//!
//! impl Event for Job {
//!     const TYPE: &'static str = "acme.job";
//!     const VERSION: u16 = 1;
//!     fn kind(&self) -> &'static str {
//!         match self {
//!             Job::Queued { .. } => "Queued",
//!             Job::Done { .. } => "Done",
//!         }
//!     }
//! }
//!
//! /// How many jobs are queued and not done.
//! struct Open;
//!
//! impl Fold for Open {
//!     const NAME: &'static str = "acme.open";
//!     const VERSION: u32 = 1;
//!     type Event = Job;
//!     type State = u32;
//!     fn apply(open: &mut u32, event: &Recorded<Job>) {
//!         match event.data {
//!             Job::Queued { .. } => *open += 1,
//!             Job::Done { .. } => *open = open.saturating_sub(1),
//!         }
//!     }
//! }
//!
//! // On disk: `Journal::options().create(true).open(".taffrail")`.
//! let journal = Journal::options().create(true).open_on(Arc::new(Memory::new()))?;
//! let run = journal.run_or_create("nightly")?;
//! run.append(Expect::Any, &[Job::Queued { cmd: "cargo test".into() }])?; // returns when it is durable
//! let (open, revision) = run.state::<Open>()?;
//! assert_eq!(open, 1);
//! // Refused with the kind `Conflict` if somebody else has appended to the run since.
//! run.append(Expect::Revision(revision), &[Job::Done { exit: 0 }])?;
//! assert_eq!(run.state::<Open>()?.0, 0);
//! # Ok::<(), taffrail::Error>(())
//! ```
//!
//! # Where to look
//! - Appending: [`Journal`], its [`Options`], [`Batch`], [`Run`], [`Appender`]. Errors: [`ErrorKind`] answers what to do now.
//! - Reading, beside writers and without the lock: [`Reader`], [`Query`], [`Follow`].
//! - States: [`fold`], [`Replay`], [`Snapshots`]. The built-in schema of orchestration runs: [`run`].
//! - When bytes went bad: [`fn@verify`], [`repair`], [`RecoveryPlan`].
//! - Feature `tokio`: `AsyncJournal`, `AsyncFollow`. Feature `testkit`: `testkit`, for tests of your own folds.
//!
//! [`Options`] are the program's own: the library reads no `config.toml` and no environment by itself. [`config`] has what the
//! command line uses. `docs/` in the repository has the architecture, the format and what survives what.

#[cfg(test)]
extern crate self as taffrail;

pub mod bench;
pub mod blob;
pub mod bundle;
pub mod compact;
pub mod config;
mod error;
pub mod export;
pub mod expr;
pub mod fold;
#[cfg(feature = "tokio")]
mod handle;
pub mod import;
#[cfg(test)]
#[path = "../../lab/lab_result.rs"]
mod lab_result;
mod log;
pub mod nearest;
pub mod plan;
pub mod position;
pub mod redact;
pub mod run;
pub mod storage;
mod sync;

pub use error::{Error, ErrorKind, Location, Result};
#[cfg(any(test, feature = "testkit"))]
pub use fold::testkit;
pub use fold::{
    Decide, Event, Fold, Folding, Inherited, Recorded, Rejection, Replay, Scope, Snapshots, Standing, StateDigest,
    Upcasts,
};
#[cfg(feature = "tokio")]
pub use handle::{AsyncFollow, AsyncJournal};
pub use log::repair;
pub use log::{
    AffectedRun, AppendError, Appended, Appender, Batch, BatchRun, Counts, Damage, Depth, EventOrLoss, Events, Expect,
    Finding, FindingKind, Follow, Inspected, Inspector, Journal, LastKnown, LikelyFlip, Listing, LockState, Loss,
    LostEvent, Opening, Options, Owner, Piece, PossiblyAffectedRun, Query, Reader, Record, RecoveryPlan, Run, RunStat,
    RunSummary, Segment, SegmentReport, SegmentStat, SegmentVerdict, SeqRange, Severity, StatReport, StoreInfo,
    SyncPolicy, Tail, TailVerdict, Ticket, Totals, TypeStat, VerifyOptions, VerifyReport, stat, stat_lone, verify,
    verify_lone,
};
use taffrail_log_format::Flags;
pub use taffrail_log_format::{
    Checkpoint, Codec, Defect, DefectKind, Footer, FooterBuilder, Frame, GapRange, GapReason, Gaps, Header, IndexEntry,
    Kind, LogId, Mark, OperatorAction, Recovered, RunEntry, RunOpened, SegmentHeader, SegmentNumber, Seq,
    SyncPolicyTag, TypeEntry, TypeRegistered, TypeTable, Verdict, Watermark,
};
