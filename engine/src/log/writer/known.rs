//! One event of a run that exists, of a type that is registered: what most appends are. Nothing is allocated for it.

use super::Writer;
use crate::error::Result;
use crate::log::batch::{Appended, Expect};
use crate::{Flags, Kind, Seq, TypeEntry};
use taffrail_log_format::{FrameFields, encode_frame, layout, padded_len};

/// A type's row, and the head in which it was looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownKind {
    kind: Kind,
    lineage: u64,
}

/// An event whose run and type have been looked up before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct One<'a> {
    pub(crate) run: Seq,
    pub(crate) expect: Expect,
    pub(crate) kind: KnownKind,
    pub(crate) hint: bool,
    pub(crate) payload: &'a [u8],
}

impl Writer {
    /// The row of a type that is registered just so.
    pub(crate) fn known_kind(&self, entry: &TypeEntry) -> Option<KnownKind> {
        let kind = self.head.types.find(&entry.name, &entry.variant, entry.version)?;
        let row = self.head.types.get(kind)?;
        let is_same = row.fingerprint == entry.fingerprint && row.codec == entry.codec && row.hint == entry.hint;
        is_same.then_some(KnownKind { kind, lineage: self.lineage })
    }

    /// Appends an event as [`Writer::place`] would. `None` where it takes more than this, and where it can not be appended:
    /// nothing has been changed then, and `place` does it or tells why not.
    pub(crate) fn place_one(&mut self, one: &One<'_>) -> Result<Option<Appended>> {
        let known = one.kind.lineage == self.lineage && one.payload.len() <= layout::MAX_PAYLOAD_LEN_BYTES;
        let Some(tip) = self.head.runs.tip(one.run).filter(|_| known) else { return Ok(None) };
        let is_expected = match one.expect {
            Expect::Any => true,
            Expect::Revision(revision) => tip.revision == revision,
            Expect::New => false,
        };
        let Some(revision) = tip.revision.checked_add(1).filter(|_| is_expected) else { return Ok(None) };
        let time_ns = self.storage.now_ns();
        self.mark()?;
        self.make_room(padded_len(one.payload.len() as u64))?;
        let start = self.buffer.len();
        let fields = FrameFields {
            seq: self.head.position.next_seq,
            run: Some(tip.run),
            revision,
            time_ns,
            durable: self.durable,
            kind: one.kind.kind,
            flags: Flags { more: false, hint: one.hint },
        };
        let offset = self.head.position.offset;
        let Ok(header) = encode_frame(&mut self.buffer, &self.head.key, offset, &fields, one.payload) else {
            self.buffer.truncate(start);
            return Ok(None);
        };
        let bytes = &self.buffer[start..start + layout::frame::HEADER_LEN_BYTES];
        self.head.accept(&header, bytes, one.payload);
        Ok(Some(Appended { first: header.seq, last: header.seq, revision, durable: self.durable, redacted: 0 }))
    }
}
