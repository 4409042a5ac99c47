//! Which runs a loss is told to be of.
//!
//! Bug: `verify` named runs by the headers of lost events only. Where a whole segment was gone, or a header, it counted the
//! runs that had events there as "not affected". Here every loss is held against the truth: no affected run is called
//! unaffected, and none is called affected that is not.

use super::damage_kit::{Files, Intact, check, described, lost, number, segment_name, store_of};
use crate::storage::Memory;
use crate::{Batch, Depth, Expect, Journal, Kind, TypeEntry, VerifyReport};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Runs of all lengths: some are over before the second segment, some begin in a later one, one has events everywhere.
fn log(exclusive: bool) -> Intact {
    let memory = Memory::new();
    let options = Journal::options().create(true).segment_len_bytes(16 << 10).exclusive(exclusive);
    let journal = options.open_on(Arc::new(memory.clone())).unwrap();
    let entry = Arc::new(TypeEntry::json("step.done"));
    for event in 0..60_u32 {
        let name = match event % 4 {
            0 => "nightly".to_owned(),
            1 => format!("short-{}", event / 6),
            2 => format!("long-{}", event / 30),
            _ => String::new(),
        };
        let mut batch = Batch::new();
        let text = format!("\"{}\"", "text ".repeat(120 + event as usize * 31 % 90));
        let run = (!name.is_empty()).then(|| batch.run_or_create(&name, Expect::Any));
        batch.event(run, &entry, text.as_bytes());
        journal.append(batch).unwrap();
    }
    journal.close().unwrap();
    described(&memory)
}

/// What a report got right, counted.
#[derive(Debug, Default)]
struct Told {
    exact: usize,
    possibly: usize,
    unaffected: u64,
    by_index: usize,
}

fn hold_against_truth(log: &Intact, report: &VerifyReport, told: &mut Told) {
    let lost: BTreeSet<u64> = lost(report).iter().flat_map(|range| range.first..=range.last).collect();
    let mut truth: BTreeMap<u64, u64> = BTreeMap::new();
    let mut runs: BTreeSet<u64> = BTreeSet::new();
    for frame in log.frames.values().flatten().filter(|frame| frame.header.kind.takes_seq()) {
        let Some(run) = frame.header.run else { continue };
        runs.insert(run.get());
        if lost.contains(&frame.header.seq.get()) {
            *truth.entry(run.get()).or_default() += 1;
        }
    }
    let affected: BTreeMap<u64, u64> = report.affected_runs.iter().map(|run| (run.run, run.lost)).collect();
    let possibly: BTreeSet<u64> = report.possibly_affected_runs.iter().map(|run| run.run).collect();
    for (run, count) in &truth {
        let is_told = affected.contains_key(run) || possibly.contains(run);
        // A run that began and ended among lost events leaves no trace but their number.
        let has_trace = report.lost_without_run >= *count;
        assert!(is_told || has_trace, "run {run} lost {count}: {report:#?}");
    }
    for (run, count) in &affected {
        assert!(truth.get(run).is_some_and(|lost| lost >= count), "run {run} did not lose {count}: {report:#?}");
        assert!(!possibly.contains(run));
        told.exact += usize::from(truth[run] == *count);
    }
    for run in &report.possibly_affected_runs {
        if let Some(says) = run.index_says_lost {
            assert_eq!(says, truth.get(&run.run).copied().unwrap_or(0), "the index is whole: {run:?}");
            told.by_index += 1;
        }
    }
    let untold = usize::try_from(report.unaffected_runs).unwrap() + affected.len() + possibly.len();
    assert!(untold <= runs.len(), "{report:#?}");
    told.possibly += possibly.len();
    told.unaffected += report.unaffected_runs;
}

/// Zeroes frames' headers, so that nothing tells what they were.
fn without_headers(log: &Intact, segment: u32, places: &[usize]) -> Files {
    let mut files = log.files.clone();
    let bytes = files.get_mut(&segment_name(segment)).unwrap();
    for place in places {
        let at = usize::try_from(log.frames[&number(segment)][*place].offset).unwrap();
        bytes[at..at + 48].fill(0);
    }
    files
}

fn tell(check: &str, cases: usize, told: &Told) {
    println!(
        "lab-result {{\"check\":{check:?},\"promise\":[\"P4\",\"P5\"],\"cases\":{cases},\"failures\":0,\"skipped\":null,\
         \"figures\":{{\"runs_with_the_exact_loss\":{},\"runs_possibly_affected\":{},\"runs_unaffected\":{}}}}}",
        told.exact, told.possibly, told.unaffected
    );
}

#[test]
fn no_run_that_lost_an_event_is_called_unaffected_whatever_segments_are_gone() {
    let mut told = Told::default();
    let mut cases = 0;
    for exclusive in [false, true] {
        let log = log(exclusive);
        let segments = u32::try_from(log.frames.len()).unwrap();
        assert!(segments >= 4, "{segments} segments");
        for first in 1..=segments {
            for second in first..=segments {
                let mut files = log.files.clone();
                files.remove(&segment_name(first));
                files.remove(&segment_name(second));
                if files.keys().all(|name| !name.ends_with(".seg")) {
                    continue;
                }
                let storage = store_of(&files);
                for depth in [Depth::Chain, Depth::Frames, Depth::Decode] {
                    hold_against_truth(&log, &check(&storage, depth), &mut told);
                    cases += 1;
                }
            }
        }
    }
    assert!(told.exact > 50 && told.possibly > 50 && told.unaffected > 50 && told.by_index > 20, "{told:?}");
    tell("runs-affected", cases, &told);
}

#[test]
fn no_run_that_lost_an_event_is_called_unaffected_whatever_headers_are_gone() {
    let log = log(false);
    let mut told = Told::default();
    let (mut losses, mut examined) = (0, 0);
    for segment in 1..=u32::try_from(log.frames.len()).unwrap() {
        let frames = &log.frames[&number(segment)];
        let footer = frames.iter().position(|frame| frame.header.kind == Kind::FOOTER);
        for place in 0..frames.len() {
            let mut cases = vec![vec![place], vec![place, (place + 5).min(frames.len() - 1)]];
            cases.extend(footer.map(|footer| vec![place, footer]));
            for places in cases {
                let report = check(&store_of(&without_headers(&log, segment, &places)), Depth::Frames);
                losses += report.totals.lost;
                examined += 1;
                hold_against_truth(&log, &report, &mut told);
            }
        }
    }
    assert!(losses > 200 && told.exact > 100 && told.possibly > 20 && told.unaffected > 500, "{losses} {told:?}");
    tell("runs-affected-headers", examined, &told);
}

#[test]
fn a_lost_segment_names_the_runs_whose_later_events_prove_it() {
    let log = log(false);
    let mut files = log.files.clone();
    files.remove(&segment_name(2));
    let report = check(&store_of(&files), Depth::Decode);
    let nightly = report.affected_runs.iter().find(|run| run.name.as_deref() == Some("nightly")).unwrap();
    let gone = log.frames[&number(2)].iter().filter(|frame| frame.header.run.map_or(0, crate::Seq::get) == nightly.run);
    assert_eq!(nightly.lost, gone.count() as u64);
    let ended_before = report.possibly_affected_runs.iter().any(|run| run.name.as_deref() == Some("short-0"));
    assert!(ended_before, "nothing tells that it had no event in the lost segment: {report:#?}");
}
