//! Processes that race: for the lock, and for one store while one of them is killed again and again.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::kit::{Directory, command, dump, run};
use crate::oracle;
use crate::result::{Check, size};

/// Two processes that are started together, each to append one event to one run at the same revision.
fn race(store: &Path, revision: u64) -> Result<(), String> {
    let expect = revision.to_string();
    let start = |data: &'static str| {
        let words = ["--json", "log", "append", "--create", "--run", "race", "--type", "t", "--expect", &expect, data];
        let mut command = command(store, &words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| error.to_string())
    };
    let both = [start("1")?, start("2")?];
    let mut won = 0;
    for child in both {
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        let notes = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => won += 1,
            // The other was first: the run is not at that revision any more.
            Some(7) => {}
            // Waited longer than it may.
            Some(6) if notes.contains("T0311") => {}
            exit => return Err(format!("exit {exit:?}: {notes}")),
        }
    }
    if won == 1 { Ok(()) } else { Err(format!("revision {revision} was won {won} times")) }
}

#[test]
#[ignore = "takes a minute; the lab runs it"]
fn of_two_processes_that_race_for_a_revision_one_wins_every_time() {
    let mut check = Check::new("lock-race", &["P1", "P2"]);
    let directory = Directory::new("race");
    let store = directory.store();
    let mut revision = 0;
    for _ in 0..size("TAFFRAIL_RACES", 1_000) {
        let outcome = race(&store, revision);
        check.case(outcome);
        // The run's opening has a revision too.
        revision = if revision == 0 { 2 } else { revision + 1 };
    }
    check.case(oracle::is_sound(&store));
    let events = dump(&store);
    let dense = events.iter().enumerate().all(|(index, event)| event["seq"] == index + 1);
    check.case(if dense { Ok(()) } else { Err("seqs have gaps".to_owned()) });
    check.end();
}

/// A writer that is stopped while it holds the lock: the other one waits no longer than it was told, and says who holds it.
#[test]
#[ignore = "takes a while; the lab runs it"]
fn who_waits_for_a_stopped_holder_gives_up_in_time_and_goes_on_when_it_is_dead() {
    let mut check = Check::new("stopped-holder", &["P1", "P6"]);
    if let Some(why) = crate::result::missing("strace", &["-V"]) {
        return check.skip(&why);
    }
    for round in 1..=size("TAFFRAIL_STOPPED_HOLDERS", 10) {
        check.case(stopped(round));
    }
    check.end();
}

fn stopped(round: u64) -> Result<(), String> {
    let directory = Directory::new("stopped");
    let store = directory.store();
    // It stops as it enters a sync: it holds the lock then.
    let plain = command(&store, &["log", "append", "--create", "--run", "r", "--type", "t", "1"]);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]);
    traced.args(["-e", "inject=fdatasync:delay_enter=600000000:when=1"]);
    traced
        .arg(plain.get_program())
        .args(plain.get_args())
        .env("TAFFRAIL_STORE", &store)
        .env("XDG_CONFIG_HOME", "/nonexistent");
    std::os::unix::process::CommandExt::process_group(&mut traced, 0);
    let mut holder =
        traced.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())?;
    let outcome = (|| {
        let says_held = || std::fs::read_to_string(store.join("LOCK")).is_ok_and(|line| line.starts_with("held"));
        let waited = (0..5_000).any(|_| {
            let held = says_held();
            if !held {
                std::thread::sleep(Duration::from_millis(2));
            }
            held
        });
        if !waited {
            return Err("the holder does not get to its sync".to_owned());
        }
        let refused = run(
            &store,
            &["--json", "--lock-timeout", "50ms", "log", "append", "--create", "--run", "r", "--type", "t", "2"],
            "",
        );
        let error: Value = serde_json::from_str(&refused.notes).unwrap_or_default();
        if refused.exit != Some(6) || error["code"] != "T0311" {
            return Err(format!("round {round}: {refused:?}"));
        }
        // Reading is not locked out.
        let read = run(&store, &["log", "dump"], "");
        if read.exit == Some(0) { Ok(()) } else { Err(format!("{read:?}")) }
    })();
    let group = format!("-{}", holder.id());
    let _dead_already = Command::new("kill").args(["-KILL", "--", &group]).status();
    let _reaped = holder.wait();
    outcome?;
    oracle::is_sound(&store)?;
    oracle::goes_on(&store)
}
