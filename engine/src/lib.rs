//! taffrail: an event-sourced engine for orchestration runs.
//!
//! The log is append-only and segmented; what it acknowledged survives kill -9 and power cuts, and damage is named and never
//! mistaken for a torn tail. See `docs/architecture.md` in the repository.

pub mod blob;
pub mod config;
mod error;
pub mod expr;
pub mod import;
mod log;
pub mod nearest;
pub mod position;
pub mod storage;

pub use error::{Error, ErrorKind, Location, Result};
pub use log::{
    AppendError, Appended, Batch, BatchRun, Events, Expect, Follow, Journal, Listing, LockState, Options, Query,
    Reader, Record, RecoveryPlan, Run, RunSummary, Segment, SyncPolicy, Ticket,
};
use taffrail_log_format::Flags;
pub use taffrail_log_format::{
    Codec, Defect, DefectKind, Footer, FooterBuilder, GapRange, GapReason, Gaps, Header, IndexEntry, Kind, LogId, Mark,
    OperatorAction, Recovered, RunEntry, RunOpened, SegmentHeader, SegmentNumber, Seq, SyncPolicyTag, TypeEntry,
    TypeRegistered, TypeTable, Verdict, Watermark,
};
