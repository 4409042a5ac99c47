//! What a bundle says of itself.

use super::{BLOCK_ENTRY_LEN_BYTES, BLOCK_LEN_BYTES, MAGIC, MAX_MANIFEST_LEN_BYTES, MEMBER_ALIGN_BYTES};
use crate::blob::Digest;
use crate::config::{CONFIG_FILE_NAME, CONFIG_LEN_BYTES_MAX};
use crate::error::{Error, Result};
use crate::fold::Snapshots;
use crate::log::paths;
use crate::storage::check_name;
use crate::{ErrorKind, LogId, SegmentNumber};
use serde::{Deserialize, Serialize};
use taffrail_log_format::layout;

/// The schema of a manifest.
const SCHEMA: &str = "taffrail.bundle/1";
/// Longest segment in a bundle, in bytes: a segment of the greatest size, with a batch and a footer behind it.
const MAX_SEGMENT_LEN_BYTES: u64 = (1 << 30) + (64 << 20);

/// The manifest of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `taffrail.bundle/1`
    pub schema: String,
    /// Version of the log's format.
    pub format: u16,
    /// The log's id, 32 hexadecimal digits.
    pub log_id: String,
    /// Whether this is the whole store; otherwise it is one run with the runs that it comes from, the rest recorded as absent.
    pub whole: bool,
    /// That run's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The last seq that was durable when the bundle was made; 0 for none.
    pub durable: u64,
    /// The files, ascending by path.
    pub members: Vec<Member>,
}

/// A file in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name, relative to the store.
    pub path: String,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// Where its blocks begin in the bundle.
    pub offset: u64,
    /// Length of its blocks and of their table, in bytes.
    pub stored_len_bytes: u64,
}

/// What a member is, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Config,
    Watermark,
    Segment(SegmentNumber),
    Snapshot,
    Blob(Digest),
}

impl Kind {
    /// The kind of a path; `None` where a bundle must not have such a member.
    pub(super) fn of(path: &str) -> Option<Kind> {
        check_name(path).ok()?;
        if path == CONFIG_FILE_NAME {
            return Some(Kind::Config);
        }
        if path == paths::WATERMARK {
            return Some(Kind::Watermark);
        }
        if Snapshots::is_file_name(path) {
            return Some(Kind::Snapshot);
        }
        let (directory, name) = path.rsplit_once('/')?;
        if directory == paths::SEGMENTS {
            return SegmentNumber::from_file_name(name).map(Kind::Segment);
        }
        let digest = Digest::parse(name)?;
        (path == crate::blob::name_of(&digest)).then_some(Kind::Blob(digest))
    }

    /// Longest file of this kind, in bytes.
    fn most_bytes(self) -> u64 {
        match self {
            Kind::Config => CONFIG_LEN_BYTES_MAX as u64,
            Kind::Watermark => layout::watermark::FILE_LEN_BYTES as u64,
            Kind::Segment(_) => MAX_SEGMENT_LEN_BYTES,
            Kind::Snapshot => crate::fold::MAX_SNAPSHOT_LEN_BYTES as u64,
            Kind::Blob(_) => u64::MAX,
        }
    }
}

impl Member {
    /// How many blocks the member has.
    pub(super) fn blocks(&self) -> u64 {
        self.len_bytes.div_ceil(BLOCK_LEN_BYTES as u64)
    }
}

impl Manifest {
    /// A manifest of this version.
    pub(super) fn new(log_id: LogId, run: Option<String>, durable: u64, members: Vec<Member>) -> Manifest {
        Manifest {
            schema: SCHEMA.to_owned(),
            format: layout::FORMAT_VERSION,
            log_id: log_id.to_string(),
            whole: run.is_none(),
            run,
            durable,
            members,
        }
    }

    /// Reads a manifest that ends the members at `end`, and checks all that it says of them.
    pub(super) fn read(bytes: &[u8], end: u64) -> Result<Manifest> {
        /// What tells whether the rest can be understood.
        #[derive(Deserialize)]
        struct Version {
            schema: String,
            format: u16,
        }
        let spoiled = |error: serde_json::Error| damaged(format!("its manifest can not be read: {error}"));
        let version: Version = serde_json::from_slice(bytes).map_err(spoiled)?;
        if version.schema != SCHEMA || version.format > layout::FORMAT_VERSION {
            let (found, format) = (version.schema, version.format);
            let message = format!("the bundle is {found:?} of format {format}; this build knows {SCHEMA} and format 1");
            return Err(Error::new(ErrorKind::Incompatible, "T0165", message).hint("use a newer build of taffrail"));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(spoiled)?;
        manifest.check(end)?;
        Ok(manifest)
    }

    fn check(&self, end: u64) -> Result<()> {
        if self.log_id().is_none() {
            return Err(refused("its log id is not 32 hexadecimal digits"));
        }
        if self.whole == self.run.is_some() {
            return Err(refused("it says that it is whole and of one run, or neither"));
        }
        let mut before: Option<&Member> = None;
        let mut offset = MAGIC.len() as u64;
        for member in &self.members {
            let path = &member.path;
            let kind = Kind::of(path).ok_or_else(|| refused(&format!("{path:?} is no file of a store")))?;
            if before.is_some_and(|before| before.path >= *path) {
                return Err(refused(&format!("{path:?} stands there twice, or out of order")));
            }
            // One place for each member, so that nothing overlaps and nothing is hidden between them.
            let table = member.blocks().checked_mul(BLOCK_ENTRY_LEN_BYTES);
            let most = table.and_then(|table| table.checked_add(member.len_bytes));
            let fits = most.is_some_and(|most| member.stored_len_bytes <= most)
                && table.is_some_and(|table| member.stored_len_bytes >= table);
            let limit = kind.most_bytes();
            if member.len_bytes > limit || !fits {
                return Err(refused(&format!("{path:?} can not have {} bytes", member.len_bytes)));
            }
            if let Kind::Blob(digest) = kind
                && digest != member.digest
            {
                return Err(refused(&format!("{path:?} has another digest than its name")));
            }
            let next = member.offset.checked_add(member.stored_len_bytes).filter(|next| *next <= end);
            let next = next.and_then(|next| next.checked_next_multiple_of(MEMBER_ALIGN_BYTES));
            let Some(next) = next.filter(|_| member.offset == offset) else {
                return Err(refused(&format!("{path:?} lies where it can not be")));
            };
            offset = next;
            before = Some(member);
        }
        if offset != end {
            return Err(refused("there is something else between its members and its manifest"));
        }
        let has = |wanted: fn(Kind) -> bool| self.members.iter().filter_map(|it| Kind::of(&it.path)).any(wanted);
        if !has(|kind| matches!(kind, Kind::Segment(_))) || !has(|kind| kind == Kind::Watermark) {
            return Err(refused("it has no segment, or no watermark"));
        }
        Ok(())
    }

    /// The log's id; `None` where it is none.
    #[must_use]
    pub fn log_id(&self) -> Option<LogId> {
        let is_plain = self.log_id.len() == 32 && self.log_id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let wide = u128::from_str_radix(&self.log_id, 16).ok().filter(|_| is_plain)?;
        Some(LogId(wide.to_be_bytes()))
    }

    /// Bytes of all members.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.members.iter().fold(0, |sum, member| sum.saturating_add(member.len_bytes))
    }

    /// The manifest's bytes.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_vec(self);
        let text = text.map_err(|error| Error::new(ErrorKind::Invalid, "T0190", error.to_string()))?;
        if text.len() as u64 > MAX_MANIFEST_LEN_BYTES {
            let message = format!("{} files are more than a bundle holds", self.members.len());
            return Err(Error::new(ErrorKind::Invalid, "T0171", message).hint("copy the store's directory instead"));
        }
        Ok(text)
    }
}

/// The bundle is not what was written.
pub(super) fn damaged(what: impl std::fmt::Display) -> Error {
    let message = format!("the bundle is damaged: {what}");
    Error::new(ErrorKind::Damaged, "T0170", message).hint("taffrail explain T0170")
}

/// The bundle says something that no export writes.
fn refused(what: &str) -> Error {
    let message = format!("the bundle is refused: {what}");
    Error::new(ErrorKind::Invalid, "T0171", message).hint("taffrail explain T0171")
}
