//! From rows of results, one a measurement, to the report.

use crate::cases::case_of;
use crate::number::rounded;
use crate::report::{Fault, Machine, Measured, PeerFacts, Report};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Figures that the report keeps.
const KEPT: [&str; 16] = [
    "events_per_s",
    "total_s",
    "cpu_s",
    "p50_us",
    "p99_us",
    "open_s",
    "wrote",
    "lookups_per_s",
    "resident",
    "overhead",
    "overhead_allocated",
    "ms",
    "start_ms",
    "dropped_caches_ms",
    "store_len_bytes",
    "supported",
];

/// Gathers the rows of a run. A run may be made in pieces, one after the other in the same file: each begins with the
/// row of its machine, and what it measures takes the place of what was measured before of the same workload, so that all
/// rounds of a workload are of one piece.
///
/// # Errors
/// Where there is no such row, or the pieces are of different machines or engines.
pub fn report_of(rows: &[Value], peers: &[PeerFacts]) -> Result<Report, String> {
    let machine = machine_of(rows)?;
    let pieces = pieces_of(rows);
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (row, piece) in rows.iter().zip(&pieces) {
        if let Some(workload) = row["w"].as_str() {
            last.insert(workload, *piece);
        }
    }
    let is_last = |row: &Value, piece: usize| row["w"].as_str().is_none_or(|workload| last[workload] == piece);
    let mut report = Report {
        schema: Report::SCHEMA.to_owned(),
        machine,
        peers: Vec::new(),
        limits: BTreeMap::new(),
        measured: Vec::new(),
        faults: Vec::new(),
    };
    for (row, _) in rows.iter().zip(&pieces).filter(|(row, piece)| is_last(row, **piece)) {
        match row["kind"].as_str() {
            Some("limit") => take_limit(&mut report, row),
            Some("run") => take_figures(&mut report, row),
            Some("fault") => report.faults.push(fault_of(row)),
            _ => {}
        }
    }
    let measured: BTreeSet<&str> = report.measured.iter().map(|one| one.peer.as_str()).collect();
    report.peers = peers.iter().filter(|peer| measured.contains(peer.name.as_str())).cloned().collect();
    Ok(report)
}

/// Which piece each row is of.
fn pieces_of(rows: &[Value]) -> Vec<usize> {
    let mut piece = 0;
    let number = |row: &Value| {
        piece += usize::from(row["kind"] == "machine");
        piece
    };
    rows.iter().map(number).collect()
}

fn machine_of(rows: &[Value]) -> Result<Machine, String> {
    let mut machines = rows.iter().filter(|row| row["kind"] == "machine").map(|row| {
        serde_json::from_value::<Machine>(row.clone()).map_err(|error| format!("the row of a machine: {error}"))
    });
    let first = machines.next().ok_or("no row tells of the machine")??;
    for machine in machines {
        let machine = Machine { date: first.date.clone(), ..machine? };
        if machine != first {
            return Err(format!("the pieces are not of one run: {first:?} and {machine:?}"));
        }
    }
    Ok(first)
}

fn take_limit(report: &mut Report, row: &Value) {
    let (Some(workload), Some(name), Some(value)) = (row["w"].as_str(), row["limit"].as_str(), row["value"].as_f64())
    else {
        return;
    };
    let limits = report.limits.entry(workload.to_owned()).or_default();
    limits.entry(name.to_owned()).or_default().push(rounded(value));
}

fn take_figures(report: &mut Report, row: &Value) {
    let (Some(workload), Some(peer)) = (row["w"].as_str(), row["peer"].as_str()) else { return };
    let case = case_of(row);
    let is_same = |one: &Measured| one.workload == workload && one.peer == peer && one.case == case;
    let position = report.measured.iter().position(is_same).unwrap_or_else(|| {
        let (workload, peer) = (workload.to_owned(), peer.to_owned());
        report.measured.push(Measured { workload, peer, case, figures: BTreeMap::new(), lacks: None });
        report.measured.len() - 1
    });
    let measured = &mut report.measured[position];
    for name in KEPT {
        let value = row[name].as_bool().map(|is| f64::from(u8::from(is))).or_else(|| row[name].as_f64());
        if let Some(value) = value {
            measured.figures.entry(name.to_owned()).or_default().push(rounded(value));
        }
    }
    if let Some(why) = row["died"].as_str().or_else(|| row["skipped"].as_str()) {
        measured.lacks.get_or_insert_with(|| why.chars().take(90).collect());
    }
}

fn fault_of(row: &Value) -> Fault {
    let told = |name: &str| row[name].as_str().unwrap_or("-").chars().take(90).collect::<String>();
    let none = row["not_applicable"].as_str().map(|why| format!("not applicable: {why}"));
    Fault {
        peer: told("peer"),
        fault: told("fault"),
        opening: none.unwrap_or_else(|| told("verdict")),
        appending: told("append"),
        again: told("verdict_reopened"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests_support::{machine_row, peers};
    use serde_json::json;

    fn row(workload: &str, rate: f64) -> Value {
        json!({"kind": "run", "w": workload, "peer": "taffrail", "size": 1024, "events_per_s": rate})
    }

    #[test]
    fn a_later_piece_takes_the_place_of_an_earlier_one_workload_by_workload() {
        let rows = [
            machine_row("a"),
            row("W1", 1.0),
            row("W2", 2.0),
            machine_row("a"),
            row("W2", 30.0),
            row("W2", 50.0),
            json!({"kind": "limit", "w": "W2", "limit": "syncs", "value": 60.0}),
        ];
        let report = report_of(&rows, &peers()).unwrap();
        assert_eq!(report.figure("W1", "taffrail", "1 KiB", "events_per_s"), 1.0);
        assert_eq!(report.figure("W2", "taffrail", "1 KiB", "events_per_s"), 40.0);
        assert_eq!(report.rounds("W2", "taffrail", "1 KiB", "events_per_s"), 2);
        assert_eq!(report.limit("W2", "syncs"), 60.0);
        assert_eq!(report.peers.len(), 1, "only those that were measured");
    }

    #[test]
    fn pieces_of_different_engines_are_no_run() {
        assert!(report_of(&[machine_row("a"), machine_row("b")], &peers()).unwrap_err().contains("one run"));
        assert!(report_of(&[row("W1", 1.0)], &peers()).is_err());
    }
}
