//! Each sabotage is the one that is asked for, and no other: what the lab proves with them depends on it.
//!
//! The engine is told once, by its environment, so every one is tried in a process of its own.

use std::process::Command;
use taffrail_log_format::sabotage::{Sabotage, is};
use taffrail_log_format::{HeaderAt, TailEvidence, Verdict, classify};

const TOLD: &str = "sabotage::what_a_process_is_told";

/// What a process says that is told so.
fn told(name: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", TOLD, "--nocapture", "--test-threads", "1"]).env_remove("TAFFRAIL_SABOTAGE");
    command.envs(name.map(|name| ("TAFFRAIL_SABOTAGE", name)));
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = said.lines().find_map(|line| line.split_once("sabotages:")).map(|(_, said)| said.trim().to_owned());
    said.filter(|_| output.status.success()).unwrap_or_default()
}

/// Run in processes of their own, with and without a sabotage; in this one there is none.
#[test]
fn what_a_process_is_told() {
    let chosen: Vec<_> = Sabotage::ALL.iter().filter(|(sabotage, _)| is(*sabotage)).map(|(_, name)| *name).collect();
    println!("\nsabotages: {}.", chosen.join(" "));
    let cuts_all = chosen.contains(&"truncate-on-bad-frame");
    for bits in 0..4 {
        let evidence = TailEvidence {
            acknowledged: true,
            header: HeaderAt::Invalid,
            only_zeros: bits & 1 == 1,
            at_batch_start: bits & 2 == 2,
            runs_past_end: false,
            header_end_zero: false,
            payload_end_zero: false,
            zero_sector: false,
        };
        // A log that ends cleanly is left alone even then.
        let expected = if cuts_all && bits != 3 { Verdict::Torn } else { Verdict::Damaged };
        assert_eq!(classify(&evidence), expected, "{evidence:?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "starts processes")]
fn a_process_is_broken_in_the_way_that_it_is_told_and_in_no_other() {
    assert_eq!(told(None), ".");
    for (_, name) in Sabotage::ALL {
        let expected = if cfg!(feature = "sabotage") { format!("{name}.") } else { ".".to_owned() };
        assert_eq!(told(Some(name)), expected);
    }
    // One that there is not must not pass for one that nobody noticed.
    assert_eq!(told(Some("skip-everything")), if cfg!(feature = "sabotage") { "" } else { "." });
}
