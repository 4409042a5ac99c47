//! The power of a real kernel is cut at a random moment, again and again, while a command appends to ext4 and to XFS.
//!
//! Needs `linux.uml`, mkfs.ext4 and mkfs.xfs. `TAFFRAIL_POWER_CUTS` is how often on each file system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::kit::Directory;
use crate::machine::{Machine, format, is_missing};
use crate::oracle;
use crate::result::{Check, size};

/// Numbers of a boot begin at a multiple of this.
const NUMBERS: u64 = 1_000_000;

/// A machine with one disk that survives its cuts.
struct Bench {
    directory: Directory,
    file_system: &'static str,
    /// What each acknowledged seq holds.
    acknowledged: BTreeMap<u64, u64>,
    boots: u64,
    random: u64,
}

impl Bench {
    fn new(file_system: &'static str, seed: u64) -> Result<Bench, String> {
        let directory = Directory::new("power");
        format(&directory.path().join("disk"), file_system)?;
        Ok(Bench { directory, file_system, acknowledged: BTreeMap::new(), boots: 0, random: seed })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn copy(&self) -> PathBuf {
        self.path().join("copy")
    }

    fn random_below(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    /// The disk is mounted, the store copied out as the cut has left it, and, if there is to be another cut, appended to.
    fn script(&self, appends: bool) -> String {
        let (directory, command) = (self.path().display(), env!("CARGO_BIN_EXE_taffrail-under-test"));
        let from = self.boots * NUMBERS;
        let mut script = format!(
            "mount -n -t {} /dev/ubda /mnt/disk || echo failed: mount
             mount -n -t hostfs none /mnt/host -o {directory} || echo failed: hostfs
             export TAFFRAIL_STORE=/mnt/disk/store
             if [ -d $TAFFRAIL_STORE ]; then
                 cp -r $TAFFRAIL_STORE /mnt/host/copy || echo failed: copy
             else
                 {command} store init --segment-size 64KiB && sync
             fi
             echo copied\n",
            self.file_system
        );
        if appends {
            // Lines come one by one, so that groups are of all sizes from one event up.
            let data =
                format!("{{\"run\":\"r&\",\"type\":\"tick\",\"data\":{{\"n\":&,\"x\":\"{}\"}}}}", "x".repeat(150));
            script += &format!(
                "seq {from} {} | sed -u 's/.*/{data}/; s/\"r[0-9]*\\([0-9]\\)\"/\"r\\1\"/' | {command} log append --create
                 echo failed: appending ended with $?\n",
                from + NUMBERS - 1
            );
        }
        script + "finish\n"
    }

    /// One boot: what the last cut has left is judged, and the power cut again at some moment.
    fn cut(&mut self) -> Result<u64, String> {
        let mut machine = Machine::start(self.path(), &self.script(true), &[&self.path().join("disk")]);
        machine.wait_for("copied")?;
        let is_first = self.boots == 0;
        self.judge(is_first)?;
        let mut lines = vec![machine.wait_for("{\"schema\":\"taffrail.appended/1\"")?];
        std::thread::sleep(Duration::from_millis(self.random_below(1_200)));
        lines.extend(machine.cut());
        let from = self.boots * NUMBERS;
        self.boots += 1;
        self.acknowledge(&lines, from)
    }

    /// Takes down what was acknowledged. How many lines that is of is not known: a batch may open runs. But its events are
    /// consecutive seqs, and the lines consecutive numbers, so the end of the last batch is where the store tells it.
    fn acknowledge(&mut self, lines: &[String], from: u64) -> Result<u64, String> {
        let mut count = 0;
        let mut number = from;
        for line in lines {
            if let Some(end) = line.strip_prefix("failed") {
                return Err(format!("appending failed{end}"));
            }
            let Ok(ack) = serde_json::from_str::<Value>(line) else { continue };
            let (Some(first), Some(last)) = (ack["first"].as_u64(), ack["last"].as_u64()) else { continue };
            if ack["durable"].as_u64() < Some(last) {
                return Err(format!("acknowledged before it was durable: {ack}"));
            }
            count += last - first + 1;
            for seq in first..=last {
                self.acknowledged.insert(seq, number);
                number += 1;
            }
        }
        if count == 0 { Err(format!("nothing was acknowledged: {lines:?}")) } else { Ok(count) }
    }

    /// All that was ever acknowledged is there with what it held, in order, and verification finds a torn tail at most.
    fn judge(&self, is_first: bool) -> Result<(), String> {
        let copy = self.copy();
        if is_first {
            return Ok(());
        }
        oracle::is_sound(&copy)?;
        let events = oracle::events(&copy)?;
        for (seq, number) in &self.acknowledged {
            let payload = events.get(seq).map(|event| serde_json::from_slice::<Value>(&event.2).unwrap_or_default());
            if payload.as_ref().map(|payload| &payload["n"]) != Some(&Value::from(*number)) {
                return Err(format!("seq {seq} was acknowledged with number {number}, and holds {payload:?}"));
            }
        }
        let ticks = oracle::ticks(&events);
        let is_dense = |pair: &[u64]| pair[1] == pair[0] + 1 || (pair[1] > pair[0] && pair[1].is_multiple_of(NUMBERS));
        if let Some(pair) = ticks.windows(2).find(|pair| !is_dense(pair)) {
            return Err(format!("out of order or in part: {pair:?}"));
        }
        oracle::goes_on(&copy)?;
        std::fs::remove_dir_all(copy).map_err(|error| error.to_string())
    }

    /// The last cut's state.
    fn last(&mut self) -> Result<(), String> {
        let mut machine = Machine::start(self.path(), &self.script(false), &[&self.path().join("disk")]);
        machine.wait_for("copied")?;
        self.judge(false)
    }
}

/// So many cuts on a file system, on a new disk every few.
fn cuts(check: &mut Check, file_system: &'static str, count: u64) -> Result<(), String> {
    let mut left = count;
    let mut seed = 1;
    while left > 0 {
        let mut bench = Bench::new(file_system, seed)?;
        seed += 1;
        for _ in 0..left.min(10) {
            left -= 1;
            let outcome = bench.cut();
            let failed = outcome.is_err();
            check.count("acknowledged", *outcome.as_ref().unwrap_or(&0));
            check.case(outcome.map(|_| ()).map_err(|error| format!("{file_system}, boot {}: {error}", bench.boots)));
            if failed {
                break;
            }
        }
        check.case(bench.last().map_err(|error| format!("{file_system}, after {} cuts: {error}", bench.boots)));
    }
    Ok(())
}

#[test]
#[ignore = "takes minutes and needs user-mode Linux; the lab runs it"]
fn nothing_that_was_acknowledged_is_lost_when_the_power_of_a_real_kernel_is_cut() {
    let mut check = Check::new("power-cuts", &["P1", "P2", "P4", "P6"]);
    if let Some(why) = is_missing() {
        return check.skip(&why);
    }
    let count = size("TAFFRAIL_POWER_CUTS", 20);
    for file_system in ["ext4", "xfs"] {
        if let Err(why) = cuts(&mut check, file_system, count.div_ceil(2)) {
            return check.skip(&why);
        }
    }
    check.count("cuts", count.div_ceil(2) * 2);
    check.end();
}
