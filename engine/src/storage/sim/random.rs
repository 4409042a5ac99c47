//! The simulated machine's source of chance: splitmix64, so that a seed means the same on every platform.

/// A seeded sequence of numbers.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// The sequence of a seed.
    pub(super) fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// The next number, all 64 bits random.
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound, which must not be 0. The bias is below 2^-32 for the small bounds used here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True in so many of a hundred cases.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Sixteen random bytes.
    pub(super) fn bytes_16(&mut self) -> [u8; 16] {
        let (low, high) = (self.next(), self.next());
        (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
    }
}
