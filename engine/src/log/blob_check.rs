//! The blobs that events name, while a log is verified: whether each is there, and is what its name says.
//!
//! Which events name blobs, their own modules tell; here, a payload is bytes.

use crate::blob::Digest;
use crate::error::Result;
use crate::log::forgotten::Forgotten;
use crate::log::piece::{Damage, FindingKind, Severity};
use crate::storage::Storage;
use crate::{ErrorKind, Header, TypeEntry};
use std::collections::{BTreeMap, BTreeSet};

/// See the module. Holds a bounded number of digests: those to be looked at, and those that have been.
#[derive(Debug, Default)]
pub(crate) struct BlobCheck {
    /// The first event that names each, its type, and what the blob is to it.
    pending: BTreeMap<Digest, (Header, String, String)>,
    checked: BTreeSet<Digest>,
    /// What redactions have taken away; read where a blob is missing.
    forgotten: Option<Forgotten>,
}

impl BlobCheck {
    /// Most digests that are held of either sort. Beyond it a blob that is named again is looked at again.
    const MOST_HELD: usize = 1 << 16;

    /// Takes an event of an application's type.
    pub(crate) fn event(&mut self, header: &Header, entry: &TypeEntry, payload: &[u8]) {
        for (what, digest) in crate::blob::named_by(entry, payload) {
            if !self.checked.contains(&digest) {
                self.pending.entry(digest).or_insert_with(|| (*header, entry.full_name(), what));
            }
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= Self::MOST_HELD
    }

    /// Looks at what has gathered: what is not as it should be, each with the event that names it, and that
    /// event's type.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn look(&mut self, storage: &dyn Storage) -> Result<Vec<(Damage, String)>> {
        let mut found = Vec::new();
        for (digest, (header, type_name, what)) in std::mem::take(&mut self.pending) {
            let (kind, text) = match crate::blob::copy(storage, &digest, &mut |_| Ok(())) {
                Ok(_) => {
                    if self.checked.len() < Self::MOST_HELD {
                        self.checked.insert(digest);
                    }
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => match self.redacted_at(storage, &digest)? {
                    Some(seq) => (FindingKind::BlobRedacted, format!("nothing: redacted at seq {seq}")),
                    None => (FindingKind::BlobMissing, "nothing".to_owned()),
                },
                Err(error) if error.code() == "T0314" => (FindingKind::WrongKind, error.message().to_owned()),
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    (FindingKind::BlobDigest, "content with another digest".to_owned())
                }
                Err(error) => return Err(error),
            };
            let is_lost = kind != FindingKind::BlobRedacted;
            let severity = if is_lost { Severity::Damaged } else { Severity::Clean };
            let damage = Damage::of_file(kind, severity, &crate::blob::file_of(&digest));
            found.push((Damage { header: Some(header), ..damage.saying(what, text) }, type_name));
        }
        Ok(found)
    }

    /// The seq of the event that tells that a blob was redacted.
    fn redacted_at(&mut self, storage: &dyn Storage, digest: &Digest) -> Result<Option<u64>> {
        let forgotten = match self.forgotten.take() {
            Some(forgotten) => forgotten,
            None => Forgotten::read(storage)?,
        };
        let seq = forgotten.seq_of(&crate::blob::file_of(digest));
        self.forgotten = Some(forgotten);
        Ok(seq)
    }
}
