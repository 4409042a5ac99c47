//! What each peer promises where a workload measures it, and so which peers the judgement is about.
//!
//! A workload's promise is what its figure would be better without: a sync that is left out, a checksum that is not
//! looked at. Who does not keep it stays in the tables, with the reason, and out of the judgement.

/// A peer that is left out of the judgement of some workloads.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// Its name.
    pub peer: &'static str,
    /// `W1` to `W6`.
    pub workloads: &'static [&'static str],
    /// What it does not do.
    pub reason: &'static str,
}

/// What a workload's figure stands for.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// `W1` to `W6`.
    pub workload: &'static str,
    /// In words.
    pub promise: &'static str,
}

/// What every workload's figure stands for.
pub const PROMISES: [Promise; 6] = [
    Promise { workload: "W1", promise: "every event is durable when the last sync returns" },
    Promise { workload: "W2", promise: "every event is durable when its append returns" },
    Promise { workload: "W3", promise: "every event is durable when its append returns" },
    Promise { workload: "W4", promise: "every event's checksum is verified before it is given out" },
    Promise { workload: "W5", promise: "opening repairs or refuses a torn tail before anything is given out" },
    Promise { workload: "W6", promise: "an event is found by its number, and its checksum is verified" },
];

/// Who does not keep a promise.
pub const EXCEPTIONS: [Exception; 10] = [
    Exception {
        peer: "floor",
        workloads: &["W1", "W2", "W3", "W4", "W5", "W6"],
        reason: "the harness's own, not a product",
    },
    Exception {
        peer: "floor-park",
        workloads: &["W1", "W2", "W3", "W4", "W5", "W6"],
        reason: "the harness's own, not a product",
    },
    Exception { peer: "commitlog", workloads: &["W1", "W2", "W3"], reason: "flush() does not sync" },
    Exception {
        peer: "rewal",
        workloads: &["W1", "W2"],
        reason: "sync() does not sync: only its writer thread does, in a mode that W3 uses",
    },
    Exception {
        peer: "walrus-rust",
        workloads: &["W1"],
        reason: "has no sync: the harness syncs its files from outside",
    },
    Exception { peer: "sqlite-wal", workloads: &["W4", "W6"], reason: "pages of the database carry no checksum" },
    Exception { peer: "redb", workloads: &["W4", "W6"], reason: "checksums are not looked at when reading" },
    Exception { peer: "seglog", workloads: &["W6"], reason: "reads at an offset, which the harness keeps for it" },
    Exception { peer: "wal-db", workloads: &["W6"], reason: "reads at an offset, which the harness keeps for it" },
    Exception { peer: "okaywal", workloads: &["W6"], reason: "reads at an offset, which the harness keeps for it" },
];

/// Why a peer is not judged against in a workload; `None` where it is.
#[must_use]
pub fn exception(peer: &str, workload: &str) -> Option<&'static str> {
    let found = EXCEPTIONS.iter().find(|one| one.peer == peer && one.workloads.contains(&workload));
    found.map(|exception| exception.reason)
}
