//! The payload mask: the keystream that makes every piece of a stored payload distinguishable from a lost sector.

use crate::block::LogId;
use crate::layout::SECTOR_LEN_BYTES;
use crate::seq::Seq;

/// The keystream splitmix64(log id, seq, mask), eight bytes at a time (Steele, Lea, Flood: Fast splittable pseudorandom
/// number generators, 2014).
struct Keystream {
    state: u64,
}

impl Keystream {
    const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

    fn new(log_id: LogId, seq: Seq, mask: u8) -> Keystream {
        let (low, high) = log_id.halves();
        let mut stream = Keystream { state: low ^ high.rotate_left(32) ^ u64::from(mask) };
        stream.state = stream.next() ^ seq.get();
        stream
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(Keystream::GOLDEN_GAMMA);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// XORs the keystream of a mask over a payload, in place. Applying it twice gives the payload back; mask 0 changes nothing.
pub fn apply_mask(log_id: LogId, seq: Seq, mask: u8, payload: &mut [u8]) {
    if mask == 0 {
        return;
    }
    let mut stream = Keystream::new(log_id, seq, mask);
    let (words, rest) = payload.as_chunks_mut();
    for word in words {
        *word = (u64::from_le_bytes(*word) ^ stream.next()).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(stream.next().to_le_bytes()) {
        *byte ^= key;
    }
}

/// Whether every piece that sector borders cut from a payload stored at `offset`, and its last byte, have two set bits:
/// then no piece of it is zero, or one flipped bit away from zero.
fn stands_out(offset: u64, payload: &[u8]) -> bool {
    let Some(last) = payload.last() else { return true };
    if last.count_ones() < 2 {
        return false;
    }
    let mut rest = payload;
    let mut at = offset;
    while !rest.is_empty() {
        let to_border = SECTOR_LEN_BYTES - at % SECTOR_LEN_BYTES;
        let len = rest.len().min(usize::try_from(to_border).unwrap_or(usize::MAX));
        let (piece, behind) = rest.split_at(len);
        if !has_two_set_bits(piece) {
            return false;
        }
        at += len as u64;
        rest = behind;
    }
    true
}

fn has_two_set_bits(piece: &[u8]) -> bool {
    let mut set = 0;
    for byte in piece {
        set += byte.count_ones();
        if set >= 2 {
            return true;
        }
    }
    false
}

/// The smallest mask under which the payload, stored at `offset` in its segment, stands out from zeroed sectors.
///
/// 0 for nearly every real payload. `None` if none of the 255 masks will do: the chance is below 2^-1000 for a payload
/// that was not made for it, and a payload that was is refused by the writer.
#[must_use]
pub fn find_mask(log_id: LogId, seq: Seq, offset: u64, payload: &[u8]) -> Option<u8> {
    if stands_out(offset, payload) {
        return Some(0);
    }
    let mut masked = Vec::new();
    (1..=u8::MAX).find(|mask| {
        masked.clear();
        masked.extend_from_slice(payload);
        apply_mask(log_id, seq, *mask, &mut masked);
        stands_out(offset, &masked)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOG: LogId = LogId([7; 16]);

    #[test]
    fn ordinary_text_needs_no_mask_and_zeros_do() {
        let seq = Seq::FIRST;
        assert_eq!(find_mask(LOG, seq, 4656, br#"{"sha":"ab12"}"#), Some(0));
        assert_eq!(find_mask(LOG, seq, 4656, b""), Some(0));
        assert_ne!(find_mask(LOG, seq, 4656, &[0; 2000]), Some(0));
        // A piece of its own in the next sector, of one bit only, is one flip away from a lost sector.
        let mut payload = vec![b'x'; 24];
        payload[16] = 0;
        payload[17..23].fill(0);
        payload[23] = 0b11;
        assert_eq!(find_mask(LOG, seq, 1024 - 16, &payload), Some(0));
        payload[23] = 0b1;
        assert_ne!(find_mask(LOG, seq, 1024 - 16, &payload), Some(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, ..ProptestConfig::default() })]

        #[test]
        fn every_payload_can_be_made_to_stand_out(
            fill in prop::sample::select(vec![0_u8, 1, 0x80, 0xFF]), len in 0_usize..3000, eighth in 0_u64..128, seq in 1_u64..1000,
        ) {
            let payload = vec![fill; len];
            let seq = Seq::new(seq).unwrap();
            let mask = find_mask(LOG, seq, eighth * 8, &payload).expect("a mask");
            let mut stored = payload.clone();
            apply_mask(LOG, seq, mask, &mut stored);
            prop_assert!(stands_out(eighth * 8, &stored));
            apply_mask(LOG, seq, mask, &mut stored);
            prop_assert_eq!(stored, payload);
        }
    }
}
