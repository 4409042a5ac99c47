//! The likely cause of small damage: one flipped bit.

use crate::block::SegmentKey;
use crate::crc::crc32c;
use crate::frame::{Header, RawHeader, layout as frame_layout};

/// A bit whose flipping makes a bad frame good again: a likely cause, no proof, and never applied by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlippedBit {
    /// Byte offset in the segment.
    pub offset: u64,
    /// The byte as it is.
    pub found: u8,
    /// The byte with the bit flipped back.
    pub restored: u8,
    /// The frame's header with the bit flipped back.
    pub header: Header,
}

/// Looks for the one bit that makes the frame at `offset` good: any bit of a header that fails its CRC (whose payload must
/// then be good), or any bit of the payload behind a good header. `bytes` begin at the frame.
#[must_use]
pub fn likely_flipped_bit(key: &SegmentKey, offset: u64, bytes: &[u8]) -> Option<FlippedBit> {
    let raw = RawHeader::new(bytes)?;
    match raw.check(key, offset) {
        Ok(header) => {
            let stored = payload_of(bytes, &header)?;
            let (at, bit) = flipped_in_payload(stored, crc32c(stored) ^ header.payload_crc)?;
            let offset = offset + (frame_layout::HEADER_LEN_BYTES + at) as u64;
            Some(FlippedBit { offset, found: stored[at], restored: stored[at] ^ 1 << bit, header })
        }
        Err(_) => flipped_in_header(key, offset, bytes),
    }
}

fn flipped_in_header(key: &SegmentKey, offset: u64, bytes: &[u8]) -> Option<FlippedBit> {
    let mut twin: [u8; frame_layout::HEADER_LEN_BYTES] = *bytes.first_chunk()?;
    for at in 0..twin.len() {
        for bit in 0..8 {
            twin[at] ^= 1 << bit;
            let header = RawHeader::new(&twin).and_then(|raw| raw.proven(key, offset));
            if let Some(header) = header
                && payload_of(bytes, &header).is_some_and(|stored| crc32c(stored) == header.payload_crc)
            {
                return Some(FlippedBit { offset: offset + at as u64, found: bytes[at], restored: twin[at], header });
            }
            twin[at] ^= 1 << bit;
        }
    }
    None
}

fn payload_of<'a>(bytes: &'a [u8], header: &Header) -> Option<&'a [u8]> {
    bytes.get(frame_layout::HEADER_LEN_BYTES..)?.get(..header.payload_len as usize)
}

/// The byte and bit whose flipping changes a CRC-32C by `difference`. CRCs are linear: the difference that a bit makes
/// depends only on its distance from the end, and is one division step away from that of the bit behind it.
fn flipped_in_payload(payload: &[u8], difference: u32) -> Option<(usize, u32)> {
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    let mut effect = POLYNOMIAL;
    for at in (0..payload.len()).rev() {
        for bit in (0..8).rev() {
            if effect == difference {
                return Some((at, bit));
            }
            effect = effect >> 1 ^ if effect & 1 == 1 { POLYNOMIAL } else { 0 };
        }
    }
    None
}
