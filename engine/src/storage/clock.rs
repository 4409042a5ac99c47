//! A clock that a test holds in its hand.

use std::time::Duration;

/// Where the wall clock of a simulated machine starts: 2023-11-14T22:13:20Z.
const WALL_START_NS: i64 = 1_700_000_000_000_000_000;

/// A pair of clocks that move only when told: a monotonic one and a wall clock at a settable distance from it.
#[derive(Clone, Debug)]
pub(super) struct ManualClock {
    monotonic_ns: u64,
    wall_offset_ns: i64,
}

impl ManualClock {
    /// A monotonic clock at zero, a wall clock in November 2023.
    pub(super) fn new() -> ManualClock {
        ManualClock { monotonic_ns: 0, wall_offset_ns: WALL_START_NS }
    }

    /// Moves both clocks on.
    pub(super) fn advance_ns(&mut self, nanoseconds: u64) {
        self.monotonic_ns = self.monotonic_ns.saturating_add(nanoseconds);
    }

    /// Moves both clocks on by a wait.
    pub(super) fn sleep(&mut self, duration: Duration) {
        self.advance_ns(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Nanoseconds since the machine's start.
    pub(super) fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub(super) fn wall_ns(&self) -> i64 {
        i64::try_from(self.monotonic_ns).unwrap_or(i64::MAX).saturating_add(self.wall_offset_ns)
    }

    /// Sets the wall clock, forwards or back; the monotonic one goes on undisturbed.
    pub(super) fn set_wall_ns(&mut self, wall_ns: i64) {
        let elapsed_ns = i64::try_from(self.monotonic_ns).unwrap_or(i64::MAX);
        self.wall_offset_ns = wall_ns.saturating_sub(elapsed_ns);
    }
}
