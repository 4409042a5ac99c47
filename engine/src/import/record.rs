//! The events that an import writes about itself: where each event came from. Hints, so that no fold stumbles over them.

use crate::blob::Digest;
use crate::error::{Error, Result};
use crate::{Codec, ErrorKind, TypeEntry};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The type of all of them.
pub(crate) const TYPE: &str = "taffrail.import";

/// One of them.
pub(crate) trait Note: Serialize {
    /// The variant of [`TYPE`].
    const VARIANT: &'static str;

    /// The row of the type table.
    fn entry() -> Arc<TypeEntry> {
        let variant = Self::VARIANT.to_owned();
        Arc::new(TypeEntry { variant, hint: true, codec: Codec::Json, ..TypeEntry::json(TYPE) })
    }

    /// The payload.
    fn payload(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::new(ErrorKind::Invalid, "T0190", error.to_string()))
    }
}

/// A run of a source was imported: the first event behind its `RunOpened`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunImported {
    /// `babysitter`
    pub(crate) source: String,
    /// The path of the run's directory, as the import was given it: data, never opened.
    pub(crate) path: String,
    /// The last component of that path.
    pub(crate) directory: String,
    /// The run's id in its own words.
    pub(crate) run_id: Option<String>,
    pub(crate) process_id: Option<String>,
    pub(crate) layout_version: Option<String>,
    pub(crate) sdk_version: Option<String>,
    /// When: nanoseconds since 1970. The frames of an import carry the source's times.
    pub(crate) imported_at_ns: i64,
}

/// Where the source events came from that stand before this event in its batch, in their order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Events {
    pub(crate) events: Vec<EventNote>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventNote {
    /// Its file, relative to the run's directory.
    pub(crate) file: String,
    /// The number in the file's name.
    pub(crate) seq: Option<u64>,
    /// What the name has in the ULID's place.
    pub(crate) ulid: Option<String>,
    /// `valid`, `invalid`, `missing` or `unreadable`.
    pub(crate) checksum: String,
    /// Of the file's bytes.
    pub(crate) digest: Digest,
    /// The event's type in its own words, where the frame's variant does not tell.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(crate) type_name: Option<String>,
    /// The frame's time is that of the event before, since this one has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) time_is_previous: bool,
    /// The digest that an earlier import found in this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<Digest>,
}

/// Troubles of the source.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Oddities {
    pub(crate) oddities: Vec<OddityNote>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OddityNote {
    pub(crate) file: String,
    pub(crate) code: String,
    pub(crate) reason: String,
}

/// Files that are no events, kept as blobs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Files {
    pub(crate) files: Vec<FileNote>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileNote {
    /// Its name, relative to the run's directory.
    pub(crate) file: String,
    /// What it is by its place: `stdout`, `result`, ...
    pub(crate) kind: String,
    pub(crate) len_bytes: u64,
    /// Of its content as it was kept: the blob's name.
    pub(crate) digest: Digest,
    /// Places that were redacted before it was kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) redacted: u64,
    /// The digest of the source's file, where it was redacted: by it, a second import knows it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_digest: Option<Digest>,
    /// The digest that an earlier import found in this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<Digest>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl FileNote {
    /// The digest that the file had where it came from.
    pub(crate) fn found_digest(&self) -> Digest {
        self.source_digest.unwrap_or(self.digest)
    }
}

impl Note for RunImported {
    const VARIANT: &'static str = "RunImported";
}

impl Note for Events {
    const VARIANT: &'static str = "Events";
}

impl Note for Oddities {
    const VARIANT: &'static str = "Oddities";
}

impl Note for Files {
    const VARIANT: &'static str = "Files";
}
