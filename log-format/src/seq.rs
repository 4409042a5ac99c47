use std::fmt;
use std::num::NonZeroU64;

/// The number of an event in its log: dense, 1-based, and once durable never issued again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(NonZeroU64);

impl Seq {
    /// The first event of a log.
    pub const FIRST: Seq = Seq(NonZeroU64::MIN);

    /// A seq, or `None` for zero.
    #[must_use]
    pub const fn new(number: u64) -> Option<Seq> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Seq(number)),
            None => None,
        }
    }

    /// The seq that follows `count` events: `after(0)` is the first.
    #[must_use]
    pub const fn after(count: u64) -> Seq {
        Seq(NonZeroU64::MIN.saturating_add(count))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The seq of the next event. Saturates at `u64::MAX`, which a log of one event per nanosecond reaches in 584 years.
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }

    /// How many events come before this one.
    #[must_use]
    pub const fn count_before(self) -> u64 {
        self.0.get() - 1
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
