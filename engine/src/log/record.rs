use crate::{Codec, Kind, SegmentNumber, Seq, TypeEntry};
use std::borrow::Cow;
use std::sync::Arc;

/// An event as the log holds it.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Its number in the log.
    pub seq: Seq,
    /// The run's number: the seq of its first event; `None` for an event of the store.
    pub run: Option<Seq>,
    /// Its ordinal in the run, from 1; 0 without a run.
    pub revision: u32,
    /// The raw clock when it was appended, in nanoseconds since 1970. Order is by seq only.
    pub time_ns: i64,
    /// The highest clock reading up to and including this event: what questions about a time go by.
    pub time_max_ns: i64,
    /// Index into the type table.
    pub kind: Kind,
    /// The type; `None` for the log's own kinds, and where the table is damaged.
    pub entry: Option<Cow<'a, Arc<TypeEntry>>>,
    /// Whether a fold may skip it.
    pub hint: bool,
    /// Whether another event of the same batch follows.
    pub more: bool,
    /// Whether the payload is not the one that was appended: a redaction has replaced it.
    pub redacted: bool,
    /// The payload.
    pub payload: Cow<'a, [u8]>,
    /// The segment.
    pub segment: SegmentNumber,
    /// Byte offset of the frame in the segment.
    pub offset: u64,
    /// Length of the frame in bytes: header, payload, padding.
    pub frame_len: u64,
    /// Header CRC of the frame: with its place, its identity.
    pub header_crc: u32,
}

impl Record<'_> {
    /// What people call its kind: the type's full name, the name of one of the log's own kinds, or `kind N` where the type
    /// table does not tell.
    #[must_use]
    pub fn type_name(&self) -> String {
        match (&self.entry, self.kind.reserved_name()) {
            (Some(entry), _) => entry.full_name(),
            (None, Some(name)) => name.to_owned(),
            (None, None) => self.kind.to_string(),
        }
    }

    /// How the payload is encoded; the log's own kinds are [`Codec::Bytes`].
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.entry.as_ref().map_or(Codec::Bytes, |entry| entry.codec)
    }

    /// The same record with everything it tells of its own.
    #[must_use]
    pub fn into_owned(self) -> Record<'static> {
        Record {
            payload: Cow::Owned(self.payload.into_owned()),
            entry: self.entry.map(|entry| Cow::Owned(entry.into_owned())),
            ..self
        }
    }
}
