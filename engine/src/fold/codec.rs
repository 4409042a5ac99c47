//! The payload codec: the one module that names bincode.
//!
//! Everything is the bincode 2 `standard()` wire format: little-endian, variable-length integers, no field names. Encoding a
//! value twice gives the same bytes, so these bytes are also the canonical form of a state, whose BLAKE3 is its digest.
//!
//! Decoding is guarded: bytes are borrowed and never allocated for by an unchecked length, everything must be consumed,
//! nesting and the number of elements that take no bytes are bounded ([`Budget`]).

use crate::error::{Error, Result};
use crate::fold::guard::{Budget, Guard};
use crate::{ErrorKind, TypeEntry};
use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::error::DecodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// Longest state, in bytes of its canonical encoding.
pub(crate) const MAX_STATE_LEN_BYTES: usize = 256 << 20;
/// bincode claims the size in memory of every integer, however short it is on disk: at most 16 for 1.
const CLAIM_FACTOR: usize = 16;
const EVENT_CLAIM_BYTES: usize = CLAIM_FACTOR << 24;
const STATE_CLAIM_BYTES: usize = u32::MAX as usize;

type Limited<const CLAIM_BYTES: usize> = Configuration<LittleEndian, Varint, Limit<CLAIM_BYTES>>;

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
    decode::<T, EVENT_CLAIM_BYTES>(bytes)
}

/// Decodes a state. All bytes must be used.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn decode_state<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    if bytes.len() > MAX_STATE_LEN_BYTES {
        return Err(format!("{} bytes; a state has at most {MAX_STATE_LEN_BYTES}", bytes.len()));
    }
    decode::<T, STATE_CLAIM_BYTES>(bytes)
}

fn decode<T: DeserializeOwned, const CLAIM_BYTES: usize>(bytes: &[u8]) -> std::result::Result<T, String> {
    let config: Limited<CLAIM_BYTES> = bincode::config::standard().with_limit::<CLAIM_BYTES>();
    let budget = Budget::for_bytes(bytes.len());
    let seed = Guard::new(PhantomData::<T>, &budget);
    let decoded: std::result::Result<(T, usize), DecodeError> =
        bincode::serde::seed_decode_from_slice(seed, bytes, config);
    match decoded {
        Ok((value, consumed)) if consumed == bytes.len() => Ok(value),
        Ok((_, consumed)) => Err(format!("{} bytes are left over after {consumed}", bytes.len() - consumed)),
        Err(DecodeError::OtherString(message)) => Err(message),
        Err(DecodeError::UnexpectedEnd { additional }) => {
            Err(format!("the bytes end where {additional} more are needed"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The error for a payload that does not decode as its type says.
pub(crate) fn undecodable(entry: &TypeEntry, why: &str) -> Error {
    let message = format!("{} version {}: the payload can not be decoded: {why}", entry.full_name(), entry.version);
    Error::new(ErrorKind::Incompatible, "T0501", message)
        .hint("taffrail log dump shows the payload; a build with the type's own schema can read it")
}
