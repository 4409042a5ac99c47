//! States: their canonical bytes, their digest, and what people see of them.

use crate::error::{Error, Result};
use crate::fold::codec;
use crate::fold::fold::Fold;
use crate::{ErrorKind, Seq, SeqRange};
use serde::Serialize;
use serde_json::Value;

/// BLAKE3 of a state's canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateDigest(pub [u8; 32]);

impl StateDigest {
    /// The digest of canonical bytes.
    #[must_use]
    pub fn of_bytes(canonical: &[u8]) -> StateDigest {
        StateDigest(*blake3::hash(canonical).as_bytes())
    }

    /// The digest of a state.
    ///
    /// # Errors
    /// As [`canonical_bytes`].
    pub fn of<S: Serialize>(state: &S) -> Result<StateDigest> {
        Ok(StateDigest::of_bytes(&canonical_bytes(state)?))
    }
}

impl std::fmt::Display for StateDigest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl std::fmt::Debug for StateDigest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

impl std::str::FromStr for StateDigest {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<StateDigest, String> {
        let refused = || "a digest has 64 hexadecimal digits".to_owned();
        let mut digest = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(refused());
        }
        for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| refused())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
        }
        Ok(StateDigest(digest))
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _never_fails = write!(text, "{byte:02x}");
        text
    })
}

/// A state's canonical bytes: bincode 2, standard configuration.
///
/// # Errors
/// `Invalid` (T0502): it has a shape that bincode can not write, or is longer than 256 MiB.
pub fn canonical_bytes<S: Serialize>(state: &S) -> Result<Vec<u8>> {
    let bytes = codec::encode(state)?;
    if bytes.len() > codec::MAX_STATE_LEN_BYTES {
        let message = format!("the state takes {} bytes; {} are the most", bytes.len(), codec::MAX_STATE_LEN_BYTES);
        return Err(Error::new(ErrorKind::Invalid, "T0502", message));
    }
    Ok(bytes)
}

/// A state as JSON, for people and for comparing fields. A state that JSON can not hold (maps with compound keys) is
/// shown as `{"unprintable": why}`.
pub fn state_json<S: Serialize>(state: &S) -> Value {
    serde_json::to_value(state).unwrap_or_else(|error| serde_json::json!({ "unprintable": error.to_string() }))
}

/// A state and where in the log it stands.
pub struct Standing<F: Fold> {
    /// The state.
    pub state: F::State,
    /// The last event that was read for it, a hint or one of the log's own included; `None` before the first.
    pub seq: Option<Seq>,
    /// That event's revision; 0 before the first, and for a fold over the store.
    pub revision: u32,
    /// How many events were applied.
    pub events: u64,
    /// Events that should be there and are not: the state lacks what they did.
    pub missing: Vec<Missing>,
    /// Events that can not be read, behind the last one that was, and of which nobody can tell whether they are of this run:
    /// the state may lack what they did.
    pub doubt: Option<SeqRange>,
}

impl<F: Fold> Clone for Standing<F> {
    fn clone(&self) -> Standing<F> {
        Standing { state: self.state.clone(), missing: self.missing.clone(), ..*self }
    }
}

impl<F: Fold> std::fmt::Debug for Standing<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Standing");
        shown.field("fold", &F::NAME).field("seq", &self.seq).field("revision", &self.revision);
        shown.field("events", &self.events).field("missing", &self.missing).field("doubt", &self.doubt);
        shown.finish_non_exhaustive()
    }
}

impl<F: Fold> Default for Standing<F> {
    fn default() -> Standing<F> {
        Standing { state: F::State::default(), seq: None, revision: 0, events: 0, missing: Vec::new(), doubt: None }
    }
}

impl<F: Fold> Standing<F> {
    /// Whether events are missing, or may be. Such a state is shown as incomplete; it is never written to a snapshot and
    /// never compared.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        !self.missing.is_empty() || self.doubt.is_some()
    }

    /// What the state lacks, or may lack, in words; nothing where it is complete.
    pub fn lacks(&self) -> impl Iterator<Item = String> {
        self.missing.iter().map(Missing::to_string).chain(self.doubt.map(doubt_text))
    }

    /// The state's digest.
    ///
    /// # Errors
    /// As [`canonical_bytes`].
    pub fn digest(&self) -> Result<StateDigest> {
        StateDigest::of(&self.state)
    }
}

/// What is to be said of events that can not be read and may be of a run.
pub(crate) fn doubt_text(doubt: SeqRange) -> String {
    match doubt {
        SeqRange { first, last } if first == last => format!("seq {first} can not be read, and may be of it"),
        SeqRange { first, last } => format!("seqs {first}..={last} can not be read, and may be of it"),
    }
}

/// Events of a run, or of the store, that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The event before them; `None` where they are the first.
    pub after: Option<Seq>,
    /// The event behind them.
    pub before: Seq,
    /// How many.
    pub count: u64,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Missing { after, before, count } = self;
        let events = if *count == 1 { "event is" } else { "events are" };
        match after {
            None => write!(formatter, "{count} {events} missing before seq {before}"),
            Some(after) => write!(formatter, "{count} {events} missing between seq {after} and seq {before}"),
        }
    }
}
