//! The most memory that dump and verify take on a log of 4 GiB.

use crate::Settings;
use std::process::{Command, Stdio};
use std::sync::Arc;
use taffrail::{Expect, Journal, SyncPolicy, TypeEntry};

/// Prints a row for each command.
pub fn measure(settings: &Settings) {
    let command = settings.get("command").expect("--command names the taffrail binary");
    let directory = settings.data();
    let _nothing_there = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory");
    let store = directory.join("store");
    let journal =
        Journal::options().create(true).exclusive(true).sync(SyncPolicy::Never).open(&store).expect("a store");
    let mut appender =
        journal.run_or_create("bench").expect("a run").appender(&Arc::new(TypeEntry::json("bench.event")));
    let payload = br#"{"note":"the quick brown fox"}"#.iter().copied().cycle().take(4096).collect::<Vec<u8>>();
    (0..1 << 20).for_each(|_| {
        appender.append(Expect::Any, &payload).expect("an append");
    });
    drop(appender);
    journal.close().expect("a close");
    println!("| command | peak memory, MiB |\n|---|---|");
    for arguments in [["log", "dump"], ["log", "verify"]] {
        let mut timed = Command::new("/usr/bin/env");
        timed.args(["time", "-f", "%M"]).arg(command).arg("--store").arg(&store).args(arguments);
        let output = timed.stdout(Stdio::null()).output().expect("GNU time is installed");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let kib: f64 = told.trim().lines().last().and_then(|line| line.parse().ok()).unwrap_or(f64::NAN);
        println!("| `{}` of 4 GiB | {:.1} |", arguments.join(" "), kib / 1024.0);
    }
    let _removed = std::fs::remove_dir_all(&directory);
}
