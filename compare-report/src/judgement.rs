//! The judgement: the median of each of our modes against the best peer that keeps the same promises.

use crate::number::{part, short};
use crate::promises;
use crate::report::Report;
use std::fmt::Write;

/// Our figure is at least this part of the best peer's.
pub const LEAST_PART: f64 = 0.95;
/// Rounds that a judgement takes.
pub const LEAST_ROUNDS: usize = 5;

/// A mode of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// One process keeps the log, as with nearly every peer: judged against all of them.
    Exclusive,
    /// The default: any process may append at any time, so the lock is taken and freed for every group of appends. Where
    /// logs are written, the peers are those that let several processes write one log.
    Shared,
}

impl Mode {
    fn peer(self) -> &'static str {
        match self {
            Mode::Exclusive => "taffrail-exclusive",
            Mode::Shared => "taffrail",
        }
    }
}

/// Cases that are judged, by workload: the figure, and whether more of it is better.
const JUDGED: [(&str, &[&str], &str, bool); 6] = [
    ("W1", &["128 B", "1 KiB", "16 KiB"], "events_per_s", true),
    ("W2", &["128 B", "1 KiB", "16 KiB"], "events_per_s", true),
    ("W3", &["8 threads", "64 threads"], "events_per_s", true),
    (
        "W4",
        &["128 B, warm", "1 KiB, warm", "16 KiB, warm", "128 B, cold", "1 KiB, cold", "16 KiB, cold"],
        "events_per_s",
        true,
    ),
    ("W5", &["warm", "cold"], "open_s", false),
    ("W6", &[""], "lookups_per_s", true),
];

/// What a case came to.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// `W1` to `W6`.
    pub workload: &'static str,
    /// The case of it.
    pub case: &'static str,
    /// Which of our modes.
    pub mode: &'static str,
    /// Our median.
    pub ours: f64,
    /// The best peer that keeps the same promises.
    pub best_peer: String,
    /// Its median.
    pub best: f64,
    /// Ours as a part of that; above 1 where we are ahead.
    pub part: f64,
    /// Why it does not count, where it does not.
    pub lacks: Option<String>,
    /// Whether ours is good enough.
    pub holds: bool,
}

/// Judges all cases of the workloads that were measured.
#[must_use]
pub fn judge(report: &Report) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (workload, cases, figure, more_is_better) in JUDGED.iter().filter(|judged| report.has(judged.0)) {
        for case in *cases {
            for mode in [Mode::Exclusive, Mode::Shared] {
                verdicts.push(judge_one(report, mode, workload, case, figure, *more_is_better));
            }
        }
    }
    verdicts
}

fn judge_one(
    report: &Report,
    mode: Mode,
    workload: &'static str,
    case: &'static str,
    figure: &str,
    more_is_better: bool,
) -> Verdict {
    let ours = report.figure(workload, mode.peer(), case, figure);
    let rounds = report.rounds(workload, mode.peer(), case, figure);
    let is_written = ["W1", "W2", "W3"].contains(&workload);
    let peers = report.peers.iter().filter(|peer| {
        let keeps = mode == Mode::Exclusive || !is_written || peer.has_many_processes;
        !peer.is_ours && keeps && promises::exception(report, &peer.name, workload).is_none()
    });
    let mut best = ("none", f64::NAN);
    for peer in peers {
        let theirs = report.figure(workload, &peer.name, case, figure);
        let is_better = if more_is_better { theirs > best.1 } else { theirs < best.1 };
        if theirs.is_finite() && (best.1.is_nan() || is_better) {
            best = (&peer.name, theirs);
        }
    }
    let part = if more_is_better { ours / best.1 } else { best.1 / ours };
    let lacks = match rounds {
        _ if best.1.is_nan() => Some("no peer was measured".to_owned()),
        rounds if rounds < LEAST_ROUNDS => Some(format!("{rounds} rounds of {LEAST_ROUNDS}")),
        _ => None,
    };
    let holds = part >= LEAST_PART && lacks.is_none();
    Verdict { workload, case, mode: mode.peer(), ours, best_peer: best.0.to_owned(), best: best.1, part, lacks, holds }
}

/// The judgement, as Markdown.
#[must_use]
pub fn judgement(verdicts: &[Verdict]) -> String {
    let mut text = String::from(
        "| workload | case | mode | ours | best peer of the same promises | its figure | ours / its | |\n|---|---|---|---:|---|---:|---:|---|\n",
    );
    for verdict in verdicts {
        let word = match (&verdict.lacks, verdict.holds) {
            (Some(lack), _) => lack.as_str(),
            (None, true) if verdict.part > 1.0 => "ahead",
            (None, true) => "holds",
            (None, false) => "**behind**",
        };
        let figure = |number: f64| match verdict.workload {
            "W5" => format!("{:.2} ms", number * 1e3),
            _ => format!("{}/s", short(number)),
        };
        let _never_fails = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {word} |",
            verdict.workload,
            verdict.case,
            if verdict.mode == "taffrail" { "shared" } else { "exclusive" },
            figure(verdict.ours),
            verdict.best_peer,
            figure(verdict.best),
            part(verdict.part)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests_support::{machine_row, peers};
    use crate::rows::report_of;
    use serde_json::{Value, json};

    fn judged(ours: [f64; 2], others: &[(&str, f64)], rounds: u64) -> Vec<Verdict> {
        let mut rows = vec![machine_row("a")];
        let row = |peer: &str, rate: f64| -> Value {
            json!({"kind": "run", "w": "W2", "peer": peer, "size": 1024, "events_per_s": rate})
        };
        for _ in 0..rounds {
            rows.extend([row("taffrail-exclusive", ours[0]), row("taffrail", ours[1])]);
            rows.extend(others.iter().map(|(peer, rate)| row(peer, *rate)));
        }
        let verdicts = judge(&report_of(&rows, &peers()).unwrap());
        verdicts.into_iter().filter(|verdict| verdict.case == "1 KiB").collect()
    }

    #[test]
    fn each_mode_is_measured_by_the_best_peer_that_keeps_what_it_promises() {
        let others = [("okaywal", 100.0), ("sqlite-wal", 60.0), ("commitlog", 9000.0), ("floor", 9000.0)];
        let verdicts = judged([96.0, 58.0], &others, 5);
        assert_eq!((verdicts[0].best_peer.as_str(), verdicts[1].best_peer.as_str()), ("okaywal", "sqlite-wal"));
        assert!(verdicts.iter().all(|verdict| verdict.holds && verdict.part < 1.0));
        let verdicts = judged([94.0, 56.0], &others, 5);
        assert!(verdicts.iter().all(|verdict| !verdict.holds));
        assert_eq!(judgement(&verdicts).matches("**behind**").count(), 2);
    }

    #[test]
    fn too_few_rounds_or_no_peer_hold_nothing() {
        assert!(!judged([200.0, 200.0], &[("okaywal", 100.0), ("sqlite-wal", 1.0)], 4)[0].holds);
        assert!(!judged([200.0, 200.0], &[("commitlog", 100.0)], 5)[0].holds);
        assert!(!judged([200.0, 200.0], &[("okaywal", 100.0)], 5)[1].holds, "none that many processes write");
    }
}
