//! The bytes of a snapshot file.
//!
//! | offset | size | meaning |
//! |---|---|---|
//! | 0 | 8 | the eight bytes `tfl-snap` |
//! | 8 | 4 | u32: format version, 1 |
//! | 12 | 4 | u32: length of the head |
//! | 16 | head | the head, in the encoding of the log's own bodies |
//! | 16 + head | 4 | u32: CRC-32C of everything before |
//! | 20 + head | the rest | the state's canonical bytes, as long as the head says, with the BLAKE3 that the head says |
//!
//! The head: log id (16 bytes), fold name (string), fold version, run (optional), seq, revision, number of events applied,
//! seq of the voucher, state length, state BLAKE3 (32 bytes).
//!
//! The voucher is the `Checkpoint` in the log that says the same of the state: of the same fold, version, run and digest. A
//! snapshot of a run stands at that event. One of the store stands at the seq that the checkpoint names.

use crate::fold::codec::MAX_STATE_LEN_BYTES;
use crate::fold::state::StateDigest;
use crate::{LogId, Seq};
use taffrail_log_format::crc32c;
use taffrail_log_format::wire::{Malformed, Reader, Writer};

const MAGIC: [u8; 8] = *b"tfl-snap";
const VERSION: u32 = 1;
/// Offset of the head.
const HEAD: usize = 16;
/// Longest head: every field at its longest.
const MAX_HEAD_LEN_BYTES: usize = 512;
/// Where the longest head ends, its CRC included.
pub(crate) const MAX_HEAD_END_BYTES: usize = HEAD + MAX_HEAD_LEN_BYTES + 4;
/// Longest snapshot file.
pub(crate) const MAX_FILE_LEN_BYTES: usize = HEAD + MAX_HEAD_LEN_BYTES + 4 + MAX_STATE_LEN_BYTES;

/// What a snapshot's head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The log.
    pub log_id: LogId,
    /// Name of the fold.
    pub fold: String,
    /// Version of the fold.
    pub version: u32,
    /// The run; `None` for a fold over the store.
    pub run: Option<Seq>,
    /// The last event that the state has seen.
    pub seq: Seq,
    /// Its revision; 0 for a fold over the store.
    pub revision: u32,
    /// How many events were applied.
    pub events: u64,
    /// The checkpoint in the log that vouches for the state.
    pub voucher: Seq,
    /// Length of the state, in bytes.
    pub state_len_bytes: u64,
    /// Digest of the state.
    pub digest: StateDigest,
}

/// The bytes of a snapshot.
pub(crate) fn encode(head: &SnapshotHead, state: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(&head.log_id.0).string(&head.fold).unsigned(u64::from(head.version));
    writer.option(head.run, |w, run| {
        w.unsigned(run.get());
    });
    writer.unsigned(head.seq.get()).unsigned(u64::from(head.revision)).unsigned(head.events);
    writer.unsigned(head.voucher.get());
    writer.unsigned(head.state_len_bytes).array(&head.digest.0);
    let body = writer.into_bytes();
    let body_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEAD + body.len() + 4 + state.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&body_len.to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(&crc32c(&bytes).to_le_bytes());
    bytes.extend_from_slice(state);
    bytes
}

/// Proves a snapshot's bytes, and gives its head and its state's bytes.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn decode(bytes: &[u8]) -> Result<(SnapshotHead, &[u8]), String> {
    let (head, state_at) = decode_start(bytes)?;
    let state = &bytes[state_at..];
    if state.len() as u64 != head.state_len_bytes {
        return Err(format!("its state has {} bytes, and should have {}", state.len(), head.state_len_bytes));
    }
    if StateDigest::of_bytes(state) != head.digest {
        return Err("the digest of its state is wrong".to_owned());
    }
    Ok((head, state))
}

/// Proves a snapshot's head alone: what it says of the log was true when it was written.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn decode_head(bytes: &[u8]) -> Result<SnapshotHead, String> {
    decode_start(bytes).map(|(head, _)| head)
}

/// The head, proven, and where the state begins.
fn decode_start(bytes: &[u8]) -> Result<(SnapshotHead, usize), String> {
    let short = || format!("{} bytes are too few", bytes.len());
    let start: &[u8; HEAD] = bytes.first_chunk().ok_or_else(short)?;
    if start[..8] != MAGIC {
        return Err("it does not begin like a snapshot".to_owned());
    }
    let number = |at: usize| u32::from_le_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]);
    if number(8) != VERSION {
        return Err(format!("format {}; this build reads {VERSION}", number(8)));
    }
    let head_len = usize::try_from(number(12)).ok().filter(|len| *len <= MAX_HEAD_LEN_BYTES);
    let head_end = HEAD + head_len.ok_or_else(|| "its head is longer than any".to_owned())?;
    let crc = bytes.get(head_end..).and_then(<[u8]>::first_chunk).ok_or_else(short)?;
    if crc32c(&bytes[..head_end]) != u32::from_le_bytes(*crc) {
        return Err("the CRC of its head is wrong".to_owned());
    }
    let head = read_head(&bytes[HEAD..head_end]).map_err(|malformed| format!("its head is malformed: {malformed}"))?;
    Ok((head, head_end + 4))
}

fn read_head(body: &[u8]) -> Result<SnapshotHead, Malformed> {
    let mut reader = Reader::new(body);
    let seq = |reader: &mut Reader<'_>| Seq::new(reader.unsigned()?).ok_or(reader.malformed("a seq before here"));
    let head = SnapshotHead {
        log_id: LogId(reader.array()?),
        fold: reader.string()?.to_owned(),
        version: reader.small("a version of 32 bits")?,
        run: reader.option(seq)?,
        seq: seq(&mut reader)?,
        revision: reader.small("a revision")?,
        events: reader.unsigned()?,
        voucher: seq(&mut reader)?,
        state_len_bytes: reader.unsigned()?,
        digest: StateDigest(reader.array()?),
    };
    reader.finish()?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused() {
        let state = b"state bytes".to_vec();
        let seq = Seq::new(300).unwrap();
        let head = SnapshotHead {
            log_id: LogId([7; 16]),
            fold: "acme.jobs".into(),
            version: 3,
            run: Some(Seq::FIRST),
            seq,
            revision: 9,
            events: 7,
            voucher: seq,
            state_len_bytes: state.len() as u64,
            digest: StateDigest::of_bytes(&state),
        };
        let bytes = encode(&head, &state);
        assert_eq!(decode(&bytes), Ok((head, &state[..])));
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "cut at {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
            let in_head = bit / 8 < bytes.len() - state.len();
            assert_eq!(decode_head(&flipped).is_err(), in_head, "bit {bit}");
        }
        assert!(decode(&[&bytes[..], b"!"].concat()).is_err());
    }
}
