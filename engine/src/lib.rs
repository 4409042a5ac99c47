//! taffrail: an event-sourced engine for orchestration runs.
//!
//! The log is append-only and segmented; what it acknowledged survives kill -9 and power cuts, and damage is named and never
//! mistaken for a torn tail. See `docs/architecture.md` in the repository.

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
    Decide, Event, Fold, Folding, Recorded, Rejection, Replay, Scope, Snapshots, Standing, StateDigest, Upcasts,
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
