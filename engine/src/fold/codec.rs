//! The payload codec: the one module that names bincode.
//!
//! Everything is the bincode 2 `standard()` wire format: little-endian, variable-length integers, no field names. Encoding a
//! value twice gives the same bytes, so these bytes are also the canonical form of a state, whose BLAKE3 is its digest.
//!
//! bincode writes. What it has written is read by a [`Decoder`] of this crate's own, which is guarded and faster: bytes are
//! borrowed and never allocated for by an unchecked length, everything must be consumed, nesting and the number of elements
//! that take no bytes are bounded. Tests hold the two against each other, and against a third implementation.

use crate::error::{Error, Result};
use crate::fold::decoder::Decoder;
use crate::{ErrorKind, TypeEntry};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest state, in bytes of its canonical encoding.
pub(crate) const MAX_STATE_LEN_BYTES: usize = 256 << 20;

/// Appends a value's bytes to a buffer.
///
/// # Errors
/// `Invalid` (T0502) where the value's own `Serialize` fails, or it has a shape that bincode can not write.
pub(crate) fn encode_into<T: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &T) -> Result<()> {
    let written = bincode::serde::encode_into_std_write(value, buffer, bincode::config::standard());
    written.map(|_| ()).map_err(|error| {
        Error::new(ErrorKind::Invalid, "T0502", format!("the value can not be encoded: {error}"))
            .hint("serde attributes of self-describing formats (flatten, untagged, tag) do not work with bincode")
    })
}

/// A value's bytes.
///
/// # Errors
/// As [`encode_into`].
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    encode_into(&mut buffer, value)?;
    Ok(buffer)
}

/// Decodes an event's payload. All bytes must be used.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn decode_event<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    decode(bytes)
}

/// Decodes a state. All bytes must be used.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn decode_state<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    if bytes.len() > MAX_STATE_LEN_BYTES {
        return Err(format!("{} bytes; a state has at most {MAX_STATE_LEN_BYTES}", bytes.len()));
    }
    decode(bytes)
}

#[inline]
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    let mut decoder = Decoder::new(bytes);
    let value = T::deserialize(&mut decoder).map_err(|flaw| flaw.to_string())?;
    match decoder.left_len_bytes() {
        0 => Ok(value),
        left => Err(format!("{left} bytes are left over after {}", bytes.len() - left)),
    }
}

/// What bincode itself reads: the decoder is held against it.
#[cfg(test)]
pub(crate) fn decode_by_bincode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let config = bincode::config::standard().with_limit::<{ 16 << 20 }>();
    let (value, consumed) = bincode::serde::decode_from_slice(bytes, config).ok()?;
    (consumed == bytes.len()).then_some(value)
}

/// The error for a payload that does not decode as its type says.
pub(crate) fn undecodable(entry: &TypeEntry, why: &str) -> Error {
    let message = format!("{} version {}: the payload can not be decoded: {why}", entry.full_name(), entry.version);
    Error::new(ErrorKind::Incompatible, "T0501", message)
        .hint("taffrail log dump shows the payload; a build with the type's own schema can read it")
}
