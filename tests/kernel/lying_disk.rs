//! A disk that fails writes for a while and then works again, under a real file system: the first sync fails, the next one
//! succeeds, and the cached pages look as if all were well. dm-flakey does it, inside user-mode Linux, on ext4 and XFS.
//!
//! The command that meets the failure must answer it with an error and acknowledge nothing; the next one must believe only
//! what it reads from the disk. Then the power is cut, which shows what is really there.
//!
//! Needs `linux.uml` with its modules, dmsetup, mkfs.ext4 and mkfs.xfs. `TAFFRAIL_DISK_LIES` is how often on each.

use std::path::Path;

use serde_json::Value;

use crate::kit::Directory;
use crate::machine::{Machine, format, is_missing};
use crate::oracle;
use crate::result::{Check, missing, size};

/// Appends before the disk fails, while it does, and behind that.
const APPENDS: u64 = 12;

fn script(directory: &Path, file_system: &str, skipped: u64) -> String {
    // One failure leaves the file system as it was, mostly; more have it give up.
    let failing = 101 + skipped % 2 * 2;
    let command = env!("CARGO_BIN_EXE_taffrail-under-test");
    // What is written behind the failure has to lie over it and beside it, so sizes differ.
    let filler = "x".repeat(700);
    std::format!(
        "module dm-mod; module dm-flakey
         sectors=$(blockdev --getsz /dev/ubda)
         dmsetup create --noudevsync flaky --table \"0 $sectors linear /dev/ubda 0\" || echo failed: dmsetup
         mount -n -t {file_system} /dev/dm-0 /mnt/disk || echo failed: mount
         mount -n -t hostfs none /mnt/host -o {} || echo failed: hostfs
         export TAFFRAIL_STORE=/mnt/disk/store
         {command} store init --segment-size 64KiB || echo failed: init
         sync
         become() {{
             dmsetup suspend --noudevsync --noflush --nolockfs flaky && dmsetup load --noudevsync flaky --table \"$1\" && dmsetup resume --noudevsync flaky || echo failed: become
         }}
         append() {{
             n=$1
             while [ $n -lt $2 ]; do
                 echo answer $n $({command} log append --create --run r --type tick \"{{\\\"n\\\":$n,\\\"x\\\":\\\"{filler}\\\"}}\" 2>&1 | tr '\\n' ' ')
                 n=$((n + 1))
             done
         }}
         append {skipped} {APPENDS}
         become \"0 $sectors flakey /dev/ubda 0 0 3600 1 error_writes\"
         append 100 {failing}
         become \"0 $sectors linear /dev/ubda 0\"
         append 200 206
         {command} log verify > /mnt/host/verified 2>&1; echo verified $?
         echo ready
         sleep 600\n",
        directory.display()
    )
}

/// What was acknowledged, by seq: the number. Answers that are neither an acknowledgement nor a coded error are errors.
fn answers(said: &[String]) -> Result<(Vec<(u64, u64)>, u64), String> {
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for line in said.iter().filter_map(|line| line.strip_prefix("answer ")) {
        let (number, answer) = line.split_once(' ').unwrap_or((line, ""));
        let number: u64 = number.parse().map_err(|_| line.to_owned())?;
        let seq = serde_json::from_str::<Value>(answer.trim()).ok().and_then(|ack| ack["last"].as_u64());
        match seq {
            Some(seq) => acknowledged.push((seq, number)),
            None if answer.contains("error") && answer.contains("T0") => refused += 1,
            None => return Err(std::format!("neither acknowledged nor refused with a code: {line}")),
        }
    }
    Ok((acknowledged, refused))
}

fn one(file_system: &'static str, skipped: u64, check: &mut Check) -> Result<(), String> {
    let directory = Directory::new("lies");
    let (disk, path) = (directory.path().join("disk"), directory.path());
    format(&disk, file_system)?;
    let mut machine = Machine::start(path, &script(path, file_system, skipped), &[&disk]);
    let verified = machine.wait_for("verified")?;
    machine.wait_for("ready")?;
    let said = machine.said.clone();
    machine.cut();
    drop(machine);
    let (acknowledged, refused) = answers(&said)?;
    if refused == 0 {
        return Err(std::format!("the disk failed, and everything was acknowledged: {said:?}"));
    }
    // A file system may give up with its disk (an aborted journal): then nothing more is acknowledged until the next boot.
    let behind = acknowledged.iter().filter(|(_, number)| *number >= 200).count() as u64;
    check.count("refused", refused);
    check.count("acknowledged_behind_a_failed_sync", behind);
    if behind > 0 && !["verified 0", "verified 3"].contains(&verified.as_str()) {
        let report = std::fs::read_to_string(path.join("verified")).unwrap_or_default();
        return Err(std::format!("{verified}: {report}"));
    }
    let again = std::format!(
        "mount -n -t {file_system} /dev/ubda /mnt/disk || echo failed: mount
         mount -n -t hostfs none /mnt/host -o {} || echo failed: hostfs
         cp -r /mnt/disk/store /mnt/host/copy || echo failed: copy
         echo copied\nfinish\n",
        path.display()
    );
    let mut machine = Machine::start(path, &again, &[&disk]);
    machine.wait_for("copied")?;
    drop(machine);
    let copy = path.join("copy");
    oracle::is_sound(&copy)?;
    oracle::goes_on(&copy)?;
    let events = oracle::events(&copy)?;
    for (seq, number) in &acknowledged {
        let payload = events.get(seq).map(|event| serde_json::from_slice::<Value>(&event.2).unwrap_or_default());
        if payload.as_ref().map(|payload| &payload["n"]) != Some(&Value::from(*number)) {
            return Err(std::format!(
                "seq {seq} was acknowledged with number {number}, and holds {payload:?}; {said:?}"
            ));
        }
    }
    Ok(())
}

#[test]
#[ignore = "takes minutes and needs user-mode Linux; the lab runs it"]
fn a_sync_that_failed_and_one_that_succeeds_behind_it_acknowledge_nothing_that_is_not_on_the_disk() {
    let mut check = Check::new("failed-sync-then-success", &["P1", "P2", "P4"]);
    if let Some(why) = is_missing().or_else(|| missing("dmsetup", &["--help"])) {
        return check.skip(&why);
    }
    for file_system in ["ext4", "xfs"] {
        for round in 0..size("TAFFRAIL_DISK_LIES", 3) {
            let outcome = one(file_system, round % APPENDS, &mut check);
            check.case(outcome.map_err(|error| std::format!("{file_system}, round {round}: {error}")));
        }
    }
    let behind = check.figure("acknowledged_behind_a_failed_sync");
    check.case(if behind > 0 { Ok(()) } else { Err("no file system went on behind the failure".to_owned()) });
    check.end();
}
