//! The judgement: our median against the best peer that keeps the same promises.

use crate::results::Select;
use crate::{peers, promises};
use serde_json::{Value, json};
use std::fmt::Write;

/// Our figure is at least this part of the best peer's.
const LEAST_PART: f64 = 0.95;
/// Rounds that a judgement takes.
const LEAST_ROUNDS: usize = 5;

/// A figure that is judged, and the mode of ours that is: the one that promises what the peers do. They all keep a
/// store to one process, as our exclusive mode does; reading has no modes.
struct Judged {
    workload: &'static str,
    what: &'static str,
    ours: &'static str,
    fields: &'static [(&'static str, &'static str)],
    figure: &'static str,
    more_is_better: bool,
}

const fn rate(workload: &'static str, what: &'static str, fields: &'static [(&'static str, &'static str)]) -> Judged {
    Judged { workload, what, ours: "taffrail-exclusive", fields, figure: "events_per_s", more_is_better: true }
}

const fn read(what: &'static str, fields: &'static [(&'static str, &'static str)]) -> Judged {
    Judged { workload: "W4", what, ours: "taffrail", fields, figure: "events_per_s", more_is_better: true }
}

const JUDGED: [Judged; 16] = [
    rate("W1", "128 B", &[("size", "128")]),
    rate("W1", "1 KiB", &[("size", "1024")]),
    rate("W1", "16 KiB", &[("size", "16384")]),
    rate("W2", "128 B", &[("size", "128")]),
    rate("W2", "1 KiB", &[("size", "1024")]),
    rate("W2", "16 KiB", &[("size", "16384")]),
    rate("W3", "8 threads", &[("threads", "8")]),
    rate("W3", "64 threads", &[("threads", "64")]),
    read("128 B, warm", &[("size", "128"), ("temp", "warm")]),
    read("1 KiB, warm", &[("size", "1024"), ("temp", "warm")]),
    read("16 KiB, warm", &[("size", "16384"), ("temp", "warm")]),
    read("128 B, cold", &[("size", "128"), ("temp", "cold")]),
    read("1 KiB, cold", &[("size", "1024"), ("temp", "cold")]),
    read("16 KiB, cold", &[("size", "16384"), ("temp", "cold")]),
    Judged {
        workload: "W5",
        what: "warm",
        ours: "taffrail",
        fields: &[("temp", "warm")],
        figure: "open_s",
        more_is_better: false,
    },
    Judged {
        workload: "W6",
        what: "1 KiB",
        ours: "taffrail",
        fields: &[],
        figure: "lookups_per_s",
        more_is_better: true,
    },
];

/// What a row came to.
pub struct Verdict {
    pub workload: &'static str,
    pub what: &'static str,
    pub ours: f64,
    pub best_peer: String,
    pub best: f64,
    /// Ours as a part of the best peer's; above 1 where we are ahead.
    pub part: f64,
    /// Why it does not count, where it does not.
    pub lacks: Option<String>,
    pub holds: bool,
}

/// Judges every row for which there are results.
pub fn judge(rows: &[Value]) -> Vec<Verdict> {
    JUDGED
        .iter()
        .filter(|judged| rows.iter().any(|row| row["w"] == judged.workload))
        .map(|one| one.judge(rows))
        .collect()
}

impl Judged {
    fn judge(&self, rows: &[Value]) -> Verdict {
        let value = |text: &str| text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number));
        let fields: Vec<(&str, Value)> = self.fields.iter().map(|(name, text)| (*name, value(text))).collect();
        let select = |peer: &'static str| Select { workload: self.workload, peer, fields: &fields };
        let ours = select(self.ours).median(rows, self.figure);
        let rounds = select(self.ours).rounds(rows, self.figure);
        let is_judged = |name: &str| !peers::is_ours(name) && promises::exception(name, self.workload).is_none();
        let others = peers::all().into_iter().map(|peer| peer.name()).filter(|name| is_judged(name));
        let figures = others.map(|name| (name, select(name).median(rows, self.figure)));
        let better = |one: f64, other: f64| if self.more_is_better { one > other } else { one < other };
        let mut best = ("none", f64::NAN);
        for (name, figure) in figures.filter(|(_, figure)| figure.is_finite()) {
            if best.1.is_nan() || better(figure, best.1) {
                best = (name, figure);
            }
        }
        let part = if self.more_is_better { ours / best.1 } else { best.1 / ours };
        let lacks = if best.1.is_nan() {
            Some("no peer was measured".to_owned())
        } else {
            (rounds < LEAST_ROUNDS).then(|| format!("{rounds} rounds of {LEAST_ROUNDS}"))
        };
        let holds = part >= LEAST_PART && lacks.is_none();
        let (workload, what) = (self.workload, self.what);
        Verdict { workload, what, ours, best_peer: best.0.to_owned(), best: best.1, part, lacks, holds }
    }
}

/// The judgement as text.
pub fn report(verdicts: &[Verdict]) -> String {
    let mut text = format!("\n### Judgement: at least {LEAST_PART} of the best peer that keeps the same promises\n\n");
    text.push_str("| workload | | ours | best peer | | part | |\n|---|---|---|---|---|---|---|\n");
    for verdict in verdicts {
        let word = match (&verdict.lacks, verdict.holds) {
            (Some(lack), _) => lack.as_str(),
            (None, true) if verdict.part > 1.0 => "ahead",
            (None, true) => "holds",
            (None, false) => "FAILS",
        };
        let figure =
            |number: f64| if number < 1.0 { format!("{:.2} ms", number * 1e3) } else { crate::table::short(number) };
        let _never_fails = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.2} | {word} |",
            verdict.workload,
            verdict.what,
            figure(verdict.ours),
            verdict.best_peer,
            figure(verdict.best),
            verdict.part
        );
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.holds).count();
    let _never_fails = writeln!(text, "\n{} rows, {failed} fail.", verdicts.len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(peer: &str, rate: f64, round: u64) -> Value {
        json!({"kind": "run", "w": "W2", "peer": peer, "size": 1024, "round": round, "events_per_s": rate})
    }

    fn judged(ours: f64, peers: &[(&str, f64)], rounds: u64) -> Verdict {
        let mut rows = Vec::new();
        for round in 0..rounds {
            rows.push(row("taffrail-exclusive", ours, round));
            rows.extend(peers.iter().map(|(peer, rate)| row(peer, *rate, round)));
        }
        judge(&rows).into_iter().find(|verdict| verdict.what == "1 KiB").expect("W2 is judged")
    }

    #[test]
    fn the_best_peer_that_keeps_the_promise_is_the_measure() {
        let verdict = judged(96.0, &[("okaywal", 100.0), ("redb", 30.0), ("commitlog", 9000.0), ("floor", 9000.0)], 5);
        assert_eq!(verdict.best_peer, "okaywal");
        assert!(verdict.holds && verdict.part < 1.0);
        assert!(!judged(94.0, &[("okaywal", 100.0)], 5).holds);
    }

    #[test]
    fn too_few_rounds_or_no_peer_hold_nothing() {
        assert!(!judged(200.0, &[("okaywal", 100.0)], 4).holds);
        assert!(!judged(200.0, &[("commitlog", 100.0)], 5).holds);
    }

    #[test]
    fn exceptions_name_peers_and_workloads_that_there_are() {
        for exception in &promises::EXCEPTIONS {
            assert!(peers::by_name(exception.peer).is_some(), "{}", exception.peer);
            let is_promised = |workload: &&str| promises::PROMISES.iter().any(|one| one.workload == *workload);
            assert!(exception.workloads.iter().all(|workload| is_promised(&workload)));
        }
    }
}
