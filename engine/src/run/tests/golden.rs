//! Bytes of version 1, kept for ever: what was written once is read for good.

use crate::fold::{Event, schema};
use crate::run::samples::samples;
use crate::run::{Change, RunEvent};
use std::collections::BTreeSet;

const GOLDEN: &str = include_str!("golden_v1.txt");

fn hex(bytes: &[u8]) -> String {
    crate::fold::hex(bytes)
}

/// Lines of the file: the schema's fingerprint, then kind and payload of every sample.
fn lines() -> Vec<String> {
    let mut lines = vec![format!("schema {}", hex(&schema::<RunEvent>().unwrap().fingerprint().unwrap()))];
    let samples = samples().into_iter();
    lines.extend(
        samples.map(|event| format!("{} {}", event.kind(), hex(&crate::fold::canonical_bytes(&event).unwrap()))),
    );
    lines
}

#[test]
fn every_event_of_version_1_has_its_golden_bytes_and_is_read_from_them() {
    assert_eq!(lines(), GOLDEN.lines().collect::<Vec<_>>());
    for (line, sample) in GOLDEN.lines().skip(1).zip(samples()) {
        let digits = line.split_once(' ').unwrap().1;
        let bytes: Vec<u8> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        assert_eq!(crate::fold::decode_canonical::<RunEvent>(&bytes).unwrap(), sample);
        assert!(crate::fold::decode_canonical::<RunEvent>(&bytes[..bytes.len() - 1]).is_err(), "{line}");
    }
}

#[test]
#[ignore = "writes golden_v1.txt, which is never to be edited once it was released"]
#[allow(clippy::disallowed_methods, reason = "the one test that writes")]
fn bless_golden_v1() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run/tests/golden_v1.txt");
    std::fs::write(path, lines().join("\n") + "\n").unwrap();
}

#[test]
fn every_kind_has_a_sample_and_is_named_as_its_variant() {
    let kinds: BTreeSet<&str> = samples().iter().map(RunEvent::kind).collect();
    assert_eq!(kinds, Change::KINDS.iter().copied().collect());
    assert_eq!(RunEvent::TYPE, "run");
}

#[test]
fn a_crash_at_any_call_leaves_a_state_that_the_run_has_had() {
    // Most of the samples do not follow on each other; that is a finding in the state, which survives like the rest.
    let events = super::super::samples::samples();
    assert!(crate::testkit::crash_everywhere::<crate::run::Runs>(&events[..12]) > 200);
}
