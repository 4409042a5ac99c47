//! Bundles: a log with its snapshots and blobs in one file, for backups and for passing a run on.
//!
//! A bundle holds a *consistent cut*: sealed segments whole, the newest one up to the durable head, taken beside writers and
//! without the lock. Its members are compressed in blocks of their own, so a bundle is read in place ([`Bundle`] is a
//! [`crate::storage::Storage`]), and segments go into it and out of it without an event being decoded. The manifest stands
//! at the end, with the length and the BLAKE3 digest of each member; `docs/format.md` has the bytes.
//!
//! Restoring a bundle of a whole store into an empty one gives the same log again, and a bundle of that has the same bytes.

mod copying;
mod cut;
mod export;
mod import;
mod manifest;
mod member;
mod open;
mod part;
mod restore;
#[cfg(test)]
mod tests;

pub use export::{BundleReport, export};
pub use import::import;
pub use manifest::{Manifest, Member};
pub(crate) use member::as_damage;
pub use open::Bundle;

use std::ops::ControlFlow;

/// The first bytes of a bundle.
pub const MAGIC: [u8; 16] = *b"taffrail bundle\n";
/// The first bytes of a bundle's trailer.
pub const TRAILER_MAGIC: [u8; 8] = *b"tfbundle";
/// Length of the trailer, which ends the file.
pub const TRAILER_LEN_BYTES: usize = 64;
/// Members are compressed in blocks of so many bytes; the last one is shorter.
pub const BLOCK_LEN_BYTES: usize = 256 << 10;
/// What the table behind a member's blocks says of each.
pub const BLOCK_ENTRY_LEN_BYTES: u64 = 8;
/// Longest manifest.
pub const MAX_MANIFEST_LEN_BYTES: u64 = 64 << 20;
/// Each member begins at a multiple of this.
pub const MEMBER_ALIGN_BYTES: u64 = 8;

/// How far some work on a bundle is: what is done (`"checking"`, `"copying"`), how many bytes of it, and of how many.
/// Breaking ends the work.
pub type Progress<'a> = &'a mut dyn FnMut(&'static str, u64, u64) -> ControlFlow<()>;

/// What ends work that somebody has stopped.
fn stopped() -> crate::Error {
    crate::Error::io("the work on the bundle was stopped", std::io::ErrorKind::Interrupted.into())
}
