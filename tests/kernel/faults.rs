//! What strace does to a system call of a command.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Calls that change files.
pub(crate) const CALLS: [&str; 13] = [
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "rename",
    "renameat",
    "renameat2",
    "ftruncate",
    "unlink",
    "unlinkat",
    "mkdirat",
    "linkat",
];

/// Errors of a disk that is broken, full, or gone.
pub(crate) const ERRORS: [&str; 6] = ["EIO", "ENOSPC", "EDQUOT", "EFBIG", "EINTR", "EROFS"];

/// One thing that is done to one call, or to it and all later ones.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) call: &'static str,
    /// Which call of that name, from 1.
    pub(crate) number: u64,
    pub(crate) harm: Harm,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    /// The process gets SIGKILL as it enters the call.
    Kill,
    /// The call fails.
    Once(&'static str),
    /// The call fails, and so does every later one of that name.
    FromNowOn(&'static str),
}

impl Fault {
    /// strace, with this to be done; the command is to be appended. `-f`, since a command may write from another thread.
    /// No `-P`: it needs a path that exists before the start, and a store that is made has none.
    pub(crate) fn strace(&self) -> Command {
        let (call, number) = (self.call, self.number);
        let inject = match self.harm {
            Harm::Kill => format!("inject={call}:signal=SIGKILL:when={number}"),
            Harm::Once(error) => format!("inject={call}:error={error}:when={number}"),
            Harm::FromNowOn(error) => format!("inject={call}:error={error}:when={number}+"),
        };
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
        command
    }
}

/// strace that writes down the calls of a run in which nothing is done to them.
pub(crate) fn counting(log: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", &format!("trace={}", CALLS.join(",")), "-o"]).arg(log);
    command
}

/// How often each call was made, by the thread that made it most often: strace counts by threads.
pub(crate) fn counts(log: &str) -> BTreeMap<&'static str, u64> {
    let mut by_thread: BTreeMap<(&'static str, &str), u64> = BTreeMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
        if let Some(call) = CALLS.iter().find(|call| **call == name) {
            *by_thread.entry((call, thread)).or_default() += 1;
        }
    }
    let mut counts = BTreeMap::new();
    for ((call, _), count) in by_thread {
        let most = counts.entry(call).or_insert(0);
        *most = count.max(*most);
    }
    counts
}

/// Everything that is done to a command which makes so many calls: it is killed at each of them, each error hits each of
/// them, and a disk that is full or broken stays so.
pub(crate) fn all(counts: &BTreeMap<&'static str, u64>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (call, count) in counts {
        for number in 1..=*count {
            let mut add = |harm| faults.push(Fault { call, number, harm });
            add(Harm::Kill);
            ERRORS.iter().for_each(|error| add(Harm::Once(error)));
            ["EIO", "ENOSPC"].iter().for_each(|error| add(Harm::FromNowOn(error)));
        }
    }
    faults
}
