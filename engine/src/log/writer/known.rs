//! Events of a run that exists, of a type that is registered: what most appends are. Nothing is allocated for them.

use super::Writer;
use crate::error::Result;
use crate::log::batch::{Appended, Batch, Expect};
use crate::{Flags, Kind, Seq, TypeEntry};
use taffrail_log_format::{FrameFields, encode_frame, layout, padded_len};

/// A type's row, and the head in which it was looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownKind {
    kind: Kind,
    lineage: u64,
}

/// A batch of events whose run and type have been looked up before.
#[derive(Debug)]
pub(crate) struct KnownEvents<'a, P> {
    pub(crate) run: Seq,
    pub(crate) expect: Expect,
    pub(crate) kind: KnownKind,
    pub(crate) hint: bool,
    pub(crate) payloads: &'a [P],
}

impl<P: AsRef<[u8]>> KnownEvents<'_, P> {
    /// Bytes that their frames take; `None` where they can not be appended as one batch.
    fn len_bytes(&self) -> Option<u64> {
        let mut len_bytes = 0;
        for payload in self.payloads {
            let payload_len = payload.as_ref().len();
            if payload_len > layout::MAX_PAYLOAD_LEN_BYTES {
                return None;
            }
            len_bytes += padded_len(payload_len as u64);
        }
        (0 < len_bytes && len_bytes <= Batch::MAX_LEN_BYTES).then_some(len_bytes)
    }
}

impl Writer {
    /// The row of a type that is registered just so.
    pub(crate) fn known_kind(&self, entry: &TypeEntry) -> Option<KnownKind> {
        let kind = self.head.types.find(&entry.name, &entry.variant, entry.version)?;
        let row = self.head.types.get(kind)?;
        let is_same = row.fingerprint == entry.fingerprint && row.codec == entry.codec && row.hint == entry.hint;
        is_same.then_some(KnownKind { kind, lineage: self.lineage })
    }

    /// Appends a batch as [`Writer::place`] would. `None` where it takes more than this, and where it can not be appended:
    /// nothing has been changed then, and `place` does it or tells why not.
    pub(crate) fn place_known<P: AsRef<[u8]>>(&mut self, events: &KnownEvents<'_, P>) -> Result<Option<Appended>> {
        let is_known = events.kind.lineage == self.lineage;
        let Some(tip) = self.head.runs.tip(events.run).filter(|_| is_known) else { return Ok(None) };
        let is_expected = match events.expect {
            Expect::Any => true,
            Expect::Revision(revision) => tip.revision == revision,
            Expect::New => false,
        };
        let last = u32::try_from(events.payloads.len()).ok().and_then(|count| tip.revision.checked_add(count));
        let Some(last) = last.filter(|_| is_expected) else { return Ok(None) };
        let Some(len_bytes) = events.len_bytes() else { return Ok(None) };
        let time_ns = self.storage.now_ns();
        self.mark()?;
        self.make_room(len_bytes)?;
        let start = self.buffer.len();
        let mut fields = FrameFields {
            seq: self.head.position.next_seq,
            run: Some(tip.run),
            revision: tip.revision + 1,
            time_ns,
            durable: self.durable,
            kind: events.kind.kind,
            flags: Flags { more: true, hint: events.hint },
        };
        let first = fields.seq;
        let mut offset = self.head.position.offset;
        let mut headers = std::mem::take(&mut self.headers);
        headers.clear();
        for payload in events.payloads {
            fields.flags.more = fields.revision < last;
            let payload = payload.as_ref();
            let Ok(header) = encode_frame(&mut self.buffer, &self.head.key, offset, &fields, payload) else {
                self.buffer.truncate(start);
                self.headers = headers;
                return Ok(None);
            };
            offset += header.frame_len();
            fields.seq = fields.seq.next();
            fields.revision = fields.revision.wrapping_add(1);
            headers.push(header);
        }
        self.head.accept_all(&headers, &self.buffer[start..], events.payloads);
        self.headers = headers;
        let last_seq = Seq::after(first.count_before() + events.payloads.len() as u64 - 1);
        Ok(Some(Appended { first, last: last_seq, revision: last, durable: self.durable, redacted: 0 }))
    }
}
