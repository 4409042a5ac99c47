//! Events that are appended as they were, down to their seqs.

use super::Writer;
use super::planned::Planned;
use crate::error::{Error, Result};
use crate::log::batch::Batch;
use crate::log::restore::Exact;
use crate::{ErrorKind, Kind, TypeTable};

impl Writer {
    /// Appends events whose seqs, runs and revisions have been checked to follow: a restore's. Returns their length in bytes.
    pub(crate) fn place_exactly(&mut self, batch: &[Exact], kinds: &[Kind]) -> Result<u64> {
        let planned: Vec<Planned<'_>> = batch
            .iter()
            .zip(kinds)
            .map(|(event, kind)| Planned {
                run: event.run,
                revision: event.revision,
                kind: *kind,
                hint: event.hint,
                redacted: event.redacted,
                time_ns: event.time_ns,
                payload: (&event.payload).into(),
            })
            .collect();
        let len: u64 = planned.iter().map(|frame| taffrail_log_format::padded_len(frame.payload.len() as u64)).sum();
        if len > Batch::MAX_LEN_BYTES {
            let message = format!("the batch takes {len} bytes; {} are the most", Batch::MAX_LEN_BYTES);
            return Err(Error::new(ErrorKind::Invalid, "T0144", message));
        }
        self.mark()?;
        self.make_room(len)?;
        let start = self.buffer.len();
        match self.encode(&planned) {
            Ok(headers) => {
                self.head.accept_all(&headers, &self.buffer[start..], &planned);
                Ok(len)
            }
            Err(error) => {
                self.buffer.truncate(start);
                Err(error)
            }
        }
    }

    pub(crate) fn types(&self) -> &TypeTable {
        &self.head.types
    }
}
