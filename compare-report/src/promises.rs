//! What each peer promises where a workload measures it, and so which peers the judgement is about.
//!
//! A workload's promise is what its figure would be better without: a sync that is left out, a checksum that is not
//! looked at. Who does not keep it stays in the tables, with the reason, and out of the judgement.

use crate::report::Report;

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
    Promise {
        workload: "W4",
        promise: "opening repairs or refuses a torn tail, and every event's checksum is verified before it is given out",
    },
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

/// How many events the fault table's harness appends behind a fault.
pub const APPENDED_BEHIND_FAULT: u64 = 10;

/// Of a peer that does not do what W4 and W5 rest on. The fault table shows who.
pub(crate) const TORN_TAIL: Exception = Exception {
    peer: "",
    workloads: &["W4", "W5"],
    reason: "opening leaves a torn tail where it is, and nothing that is appended behind it can be read (see the faults)",
};

/// Why a peer is not judged against in a workload; `None` where it is.
#[must_use]
pub fn exception(report: &Report, peer: &str, workload: &str) -> Option<&'static str> {
    let found = EXCEPTIONS.iter().find(|one| one.peer == peer && one.workloads.contains(&workload));
    let leaves_torn_tails = || TORN_TAIL.workloads.contains(&workload) && leaves_torn_tails(report, peer);
    found.copied().or_else(|| leaves_torn_tails().then_some(TORN_TAIL)).map(|exception| exception.reason)
}

/// Whether appends behind a torn tail were answered with success, and were not there when the log was opened again.
pub(crate) fn leaves_torn_tails(report: &Report, peer: &str) -> bool {
    let events = |told: &str| told.split(" events").next().and_then(|count| count.parse::<u64>().ok());
    report.faults.iter().filter(|fault| fault.peer == peer && fault.appending == "ok").any(|fault| {
        let is_torn = ["cut_tail", "zero_tail", "zero_extend", "garbage_extend"].contains(&fault.fault.as_str());
        is_torn && events(&fault.again).unwrap_or(0) < events(&fault.opening).unwrap_or(0) + APPENDED_BEHIND_FAULT
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests_support::{machine_row, peers};
    use crate::rows::report_of;
    use serde_json::json;

    #[test]
    fn who_loses_what_is_appended_behind_a_torn_tail_is_not_judged_where_logs_are_opened() {
        let fault = |peer: &str, fault: &str, opening: &str, append: Option<&str>, again: &str| {
            json!({"kind": "fault", "w": "faults", "peer": peer, "fault": fault, "verdict": opening, "append": append,
                "verdict_reopened": again})
        };
        let rows = [
            machine_row("a"),
            fault("okaywal", "cut_tail", "299 events, no error", Some("ok"), "309 events (HOLE x1), no error"),
            fault("redb", "cut_tail", "refuses to open: short", None, "refuses to open: short"),
            fault(
                "commitlog",
                "garbage_extend",
                "299 events, then error: bad",
                Some("ok"),
                "299 events, then error: bad",
            ),
            fault("floor", "cut_tail", "300 events, no error", Some("ok"), "refuses to open: bad"),
            // Damage in the middle is another matter.
            fault("sqlite-wal", "flip_payload", "150 events, then error", Some("ok"), "150 events, then error"),
        ];
        let report = report_of(&rows, &peers()).unwrap();
        let leaves = |peer: &&str| leaves_torn_tails(&report, peer);
        let all = ["okaywal", "redb", "commitlog", "floor", "sqlite-wal"];
        assert_eq!(all.iter().copied().filter(leaves).collect::<Vec<_>>(), ["commitlog", "floor"]);
        assert_eq!(exception(&report, "commitlog", "W4"), Some(TORN_TAIL.reason));
        assert_eq!(exception(&report, "commitlog", "W6"), None);
        assert_eq!(exception(&report, "okaywal", "W4"), None);
    }
}
