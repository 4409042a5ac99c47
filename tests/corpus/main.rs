//! Every committed input of every fuzz target, run with the ordinary compiler; and others that are made of
//! them, so that a target which a change has broken is noticed where nobody fuzzes.

#![allow(clippy::disallowed_methods, clippy::panic, reason = "this test reads the corpora")]

use std::path::{Path, PathBuf};

use taffrail_tests::fuzz::TARGETS;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let directory = corpora().join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

/// An input with some bytes changed, cut or doubled.
fn mutated(input: &[u8], other: &[u8], random: &mut u64) -> Vec<u8> {
    let mut next = |below: usize| {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*random >> 33).expect("small") % below.max(1)
    };
    let mut bytes = input.to_vec();
    for _ in 0..=next(6) {
        let at = next(bytes.len() + 1);
        match next(5) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(next(256)).expect("a byte"),
            1 => bytes.truncate(at),
            2 => bytes.splice(at..at, other.iter().skip(next(other.len())).take(next(40)).copied()).for_each(drop),
            3 if at < bytes.len() => bytes[at] ^= 1 << next(8),
            _ => bytes.insert(at, u8::try_from(next(256)).expect("a byte")),
        }
    }
    bytes
}

#[test]
fn every_target_takes_its_corpus_and_what_can_be_made_of_it() {
    let more = std::env::var("TAFFRAIL_FUZZ_INPUTS").ok().and_then(|count| count.parse().ok()).unwrap_or(20);
    let mut listed: Vec<String> = std::fs::read_dir(corpora())
        .expect("corpora")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .collect();
    listed.sort();
    assert_eq!(listed, TARGETS.map(|(name, _)| name), "each target has a corpus, and each corpus a target");
    let mut cases = 0;
    for (name, run) in TARGETS {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "{name} has no corpus");
        let mut random = 11;
        let made = (0..more).map(|number: usize| {
            let other = &inputs[(number * 7 + 3) % inputs.len()];
            mutated(&inputs[number % inputs.len()], other, &mut random)
        });
        for input in inputs.iter().cloned().chain(made) {
            cases += 1;
            let outcome = std::panic::catch_unwind(|| run(&input));
            assert!(outcome.is_ok(), "{name} fails on {input:02x?}");
        }
        println!("{name}: {} committed inputs and {more} more", inputs.len());
    }
    println!(
        "lab-result {{\"check\":\"fuzz-corpus\",\"promise\":[\"P4\",\"P8\",\"P9\"],\"cases\":{cases},\"failures\":0,\
         \"skipped\":null,\"figures\":{{\"targets\":{}}}}}",
        TARGETS.len()
    );
}
