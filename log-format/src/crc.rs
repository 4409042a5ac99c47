//! The checksum of everything: CRC-32C.

/// CRC-32C of some bytes: reflected polynomial `0x82F63B78` (Castagnoli), initial value and final XOR `0xFFFFFFFF`. Processors
/// have an instruction for it.
#[must_use]
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// [`crc32c`] of bytes that are not at hand in one piece.
#[derive(Clone, Debug)]
pub struct Crc32c(crc_fast::Digest);

impl Default for Crc32c {
    fn default() -> Crc32c {
        Crc32c(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }
}

impl Crc32c {
    /// Takes the bytes that follow.
    #[must_use]
    pub fn then(mut self, bytes: &[u8]) -> Crc32c {
        self.0.update(bytes);
        self
    }

    /// The CRC of all bytes that were taken.
    #[must_use]
    pub fn value(&self) -> u32 {
        // The digest is as wide as the widest of its algorithms.
        u32::try_from(self.0.finalize()).unwrap_or_default()
    }
}

/// The CRC of eight bytes and those behind them, where the CRC of what stands before all of them is known: the state of a CRC
/// is XORed with the next four bytes, so it can as well be in them from the start.
#[inline]
pub(crate) fn crc32c_behind<const LEN: usize>(before: u32, first: u64, behind: &[u8; LEN]) -> u32 {
    const LONGEST: usize = 64;
    const { assert!(8 + LEN <= LONGEST) };
    let mut bytes = [0; LONGEST];
    bytes[..8].copy_from_slice(&(first ^ u64::from(before)).to_le_bytes());
    bytes[8..8 + LEN].copy_from_slice(behind);
    crc32c(&bytes[..8 + LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition, a bit at a time.
    fn by_division(bytes: &[u8]) -> u32 {
        let step = |state: u32, _| if state & 1 == 1 { state >> 1 ^ 0x82F6_3B78 } else { state >> 1 };
        !bytes.iter().fold(!0, |state, byte| (0..8).fold(state ^ u32::from(*byte), step))
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..len).map(|_| next()).collect()
    }

    /// The library has a way of its own for each width of vectors and each range of lengths: every one of them has to say the
    /// same, wherever the bytes begin.
    #[test]
    fn every_length_at_every_alignment_has_the_crc_of_its_definition() {
        let most = if cfg!(miri) { 96 } else { 2100 };
        let bytes = noise(most + 64);
        for len in 0..=most {
            let start = (len * 7) % 64;
            let piece = &bytes[start..start + len];
            assert_eq!(crc32c(piece), by_division(piece), "{len} bytes from {start} on");
        }
        for len in [4096, 65_536, 1 << 20].into_iter().filter(|_| !cfg!(miri)) {
            let bytes = noise(len + 3);
            assert_eq!(crc32c(&bytes[3..]), by_division(&bytes[3..]), "{len} bytes");
        }
    }

    #[test]
    fn pieces_have_the_crc_of_the_whole() {
        let bytes = noise(300);
        for cut in 0..=bytes.len() {
            let (before, behind) = bytes.split_at(cut);
            let crc = Crc32c::default().then(before).then(behind);
            assert_eq!((crc.value(), crc.then(b"x").value()), (crc32c(&bytes), crc32c(&[&bytes, &b"x"[..]].concat())));
        }
        let (before, rest) = bytes.split_at(20);
        let first = u64::from_le_bytes(*rest.first_chunk().unwrap());
        let behind: &[u8; 44] = rest[8..].first_chunk().unwrap();
        assert_eq!(crc32c_behind(crc32c(before), first, behind), crc32c(&bytes[..20 + 8 + 44]));
    }
}
