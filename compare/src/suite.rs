//! The parent: rounds of child processes, interleaved, so that no peer has the machine's better minutes.

use crate::arguments::Arguments;
use crate::limits::{self, drop_caches_of_logs};
use crate::peer::Peer;
use crate::results::Results;
use crate::{faults, peers, runs};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Events of a size, in bytes, that W1 appends and W4 and W6 read.
const SIZES: [(u64, u64); 3] = [(128, 1_000_000), (1024, 300_000), (16 << 10, 20_000)];
/// Seconds after which an engine has appended enough in W1: its rate is that of what it has done until then, and what reads
/// its log reads that. Nothing fast gets there.
const MOST_SECONDS: u64 = 2;
/// The same for the log that W5 opens.
const MOST_SECONDS_OF_LARGE_LOG: &str = "15";
/// Processes of one engine in one round whose middle one is told, where the time of one is as short as what else a machine
/// does now and then: of W5's warm openings and of W6. As many as fit into so many seconds.
const MOST_REPEATS: (usize, Duration) = (15, Duration::from_secs(1));
/// Turns in a round of W2 and W3, each of which lets every engine append once: what a disk takes for a sync changes from second
/// to second by more than engines differ that wait for nothing else.
const TURNS: usize = 3;
/// Events of 1 KiB that W5 opens a log of.
const LARGE_LOG_EVENTS: u64 = 1 << 20;

/// Runs a child of this program; its last line of JSON, or `{"died": why}`.
pub fn spawn(arguments: &[&str], most_seconds: u64) -> Value {
    let program = std::env::current_exe().unwrap_or_default();
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return json!({"died": format!("spawn: {error}")}),
    };
    fn gather(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _what_came = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
    let (output, errors) = (gather(child.stdout.take()), gather(child.stderr.take()));
    let start = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            _ if start.elapsed() > Duration::from_secs(most_seconds) => {
                let _gone = child.kill().and_then(|()| child.wait());
                break None;
            }
            _ => std::thread::sleep(Duration::from_millis(3)),
        }
    };
    let (output, errors) = (output.join().unwrap_or_default(), errors.join().unwrap_or_default());
    if let Some(figures) = output.lines().rev().find_map(|line| serde_json::from_str(line.strip_prefix("@@")?).ok()) {
        return figures;
    }
    let told = errors.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("note:"));
    let why: String = told.take(3).collect::<Vec<_>>().join(" ").chars().take(300).collect();
    match status {
        None => json!({"died": format!("hung (> {most_seconds} s) {why}")}),
        Some(status) if errors.contains("panicked at") => json!({"died": format!("panic ({status}): {why}")}),
        Some(status) => json!({"died": format!("{status}: {why}")}),
    }
}

/// The machine, without its name, and the engine that is measured on it.
fn machine(data: &Path, scale: u64) -> Value {
    let told = |script: &str| {
        let output = Command::new("sh").args(["-c", script]).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let number = |script: &str| told(script).parse::<u64>().unwrap_or(0);
    let root = crate::root().display();
    // What is published of it is no part of it.
    let commit = told(&format!(
        "cd '{root}' && git rev-parse --short=7 HEAD && git status --porcelain engine log-format cli | head -1"
    ));
    let commit = commit
        .lines()
        .next()
        .map_or_else(String::new, |head| if commit.lines().count() > 1 { format!("{head}+") } else { head.to_owned() });
    json!({"kind": "machine", "date": told("date -u +%F"), "commit": commit,
        "processor": told("grep -m1 'model name' /proc/cpuinfo | cut -d: -f2"), "cores": number("nproc"),
        "memory_gib": number("free -g | awk '/Mem/{print $2}'"), "kernel": told("uname -r | cut -d- -f1"),
        "file_system": told(&format!("df -T '{}' | awk 'NR==2{{print $2}}'", data.display())),
        "compiler": told("rustc --version | cut -d' ' -f1,2"), "scale_percent": scale})
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let _nothing_there = std::fs::remove_dir_all(to);
    Command::new("cp").args(["-r", "--sparse=always"]).arg(from).arg(to).status().context("cp")?;
    Ok(())
}

struct Suite<'a> {
    arguments: &'a Arguments,
    results: Results,
    base: PathBuf,
    peers: Vec<&'static dyn Peer>,
    scale: u64,
    limit: String,
    round: u64,
}

/// Measures what the command line asks for.
pub fn measure(arguments: &Arguments) -> Result<Vec<Value>> {
    let base = arguments.data();
    std::fs::create_dir_all(&base)?;
    let mut results = Results::new(arguments.get("out"), &base)?;
    let peers = peers::all().into_iter().filter(|peer| arguments.wants_peer(peer.name())).collect();
    let scale = arguments.number("scale", 100)?;
    results.put(&machine(&base, scale))?;
    let limit = arguments.number("limit", MOST_SECONDS)?.to_string();
    let mut suite = Suite { arguments, results, base, peers, scale, limit, round: 0 };
    for round in 0..arguments.number("rounds", 5)? {
        suite.round = round;
        suite.one_round()?;
    }
    if arguments.wants("5") {
        suite.openings()?;
    }
    if arguments.wants("run") {
        runs::measure(arguments, &mut suite.results)?;
    }
    if arguments.wants("faults") {
        faults::all(arguments, &mut suite.results)?;
    }
    let _left_to_the_user = std::fs::remove_dir_all(&suite.base);
    Ok(suite.results.rows)
}

impl Suite<'_> {
    fn one_round(&mut self) -> Result<()> {
        self.limits()?;
        if self.arguments.wants("2") {
            // Most of a second each: for the first few hundred syncs after a pause, disks here were a third faster than later.
            for size in [128, 1024, 16 << 10] {
                self.durable("W2", size, "durable", &["--n", &self.scaled(6000), "--limit", "1"], &json!({}))?;
            }
        }
        if self.arguments.wants("3") {
            for threads in [8_u64, 64] {
                let (count, text) = (self.scaled(threads * 1000), threads.to_string());
                let options = ["--threads", &text, "--n", &count, "--limit", "1"];
                self.durable("W3", 1024, "shared", &options, &json!({"threads": threads}))?;
            }
        }
        if ["1", "4", "6"].iter().any(|workload| self.arguments.wants(workload)) {
            for (size, count) in SIZES {
                for peer in self.peers.clone() {
                    self.buffered(peer, size, count)?;
                }
            }
        }
        // None always comes when the disk has no haste left.
        let count = self.peers.len().max(1);
        self.peers.rotate_left(5 % count);
        Ok(())
    }

    /// What bounds the workloads that are measured, in the same round.
    fn limits(&mut self) -> Result<()> {
        let directory = self.base.join("limits");
        let mut put = |workload: &str, limits: Vec<Value>| {
            limits.iter().try_for_each(|limit| self.results.put_limit(workload, self.round, limit))
        };
        if self.arguments.wants("0") && self.round == 0 {
            put("-", limits::all(&directory)?)?;
        }
        if self.arguments.wants("1") {
            put("W1", limits::writes(&directory)?)?;
        }
        if self.arguments.wants("2") {
            put("W2", limits::syncs(&directory, &[1, 16])?)?;
        }
        if self.arguments.wants("3") {
            put("W3", limits::syncs(&directory, &[1, 8, 64])?)?;
        }
        if self.arguments.wants("4") {
            put("W4", limits::reads(&directory)?)?;
        }
        if self.arguments.wants("6") {
            put("W6", limits::lookups(&directory)?)?;
        }
        Ok(())
    }

    fn scaled(&self, count: u64) -> String {
        (count * self.scale / 100).max(1).to_string()
    }

    fn put(&mut self, peer: &dyn Peer, workload: &str, size: u64, extra: &Value, figures: &Value) -> Result<()> {
        let head = json!({"kind": "run", "w": workload, "peer": peer.name(), "version": peer.meta().version,
            "size": size, "round": self.round, "scale": self.scale});
        let mut row = Map::new();
        for part in [&head, extra, figures] {
            row.extend(part.as_object().cloned().unwrap_or_default());
        }
        self.results.put(&Value::Object(row))
    }

    fn child(&self, peer: &dyn Peer, operation: &str, directory: &Path, size: u64, options: &[&str]) -> Value {
        let (place, size) = (directory.display().to_string(), size.to_string());
        let common = ["child", "--op", operation, "--peer", peer.name(), "--dir", &place, "--size", &size];
        spawn(&[&common[..], options].concat(), 150)
    }

    /// Lets every engine append in each of some turns; what is told is its middle turn.
    fn durable(&mut self, workload: &str, size: u64, operation: &str, options: &[&str], extra: &Value) -> Result<()> {
        let directory = self.base.join("durable");
        let mut turns: Vec<Vec<Value>> = vec![Vec::new(); self.peers.len()];
        for _ in 0..TURNS {
            for (peer, figures) in self.peers.iter().zip(&mut turns) {
                let _nothing_there = std::fs::remove_dir_all(&directory);
                figures.push(self.child(*peer, operation, &directory, size, options));
            }
        }
        let _nothing_there = std::fs::remove_dir_all(&directory);
        for (peer, figures) in self.peers.clone().into_iter().zip(turns) {
            self.put(peer, workload, size, extra, &middle(figures, "events_per_s"))?;
        }
        Ok(())
    }

    /// W1, and what reads the log that it leaves behind: W4 and W6.
    fn buffered(&mut self, peer: &dyn Peer, size: u64, count: u64) -> Result<()> {
        let directory = self.base.join("log");
        let _nothing_there = std::fs::remove_dir_all(&directory);
        settle();
        let options = ["--n", &self.scaled(count), "--limit", &self.limit.clone()];
        let figures = self.child(peer, "append", &directory, size, &options);
        let written = figures["events"].as_u64().unwrap_or(0);
        self.put(peer, "W1", size, &json!({}), &figures)?;
        if written == 0 {
            return Ok(());
        }
        if self.arguments.wants("4") {
            self.replays(peer, &directory, size, written)?;
        }
        if self.arguments.wants("6") && size == 1024 {
            let options = ["--n", &written.to_string(), "--limit", "4"];
            let read_all = || Ok(self.child(peer, "get", &self.readable(peer, &directory)?, size, &options));
            let figures = self.repeated("lookups_per_s", read_all)?;
            self.put(peer, "W6", size, &json!({}), &figures)?;
        }
        let _nothing_there = (std::fs::remove_dir_all(&directory), std::fs::remove_dir_all(self.base.join("copy")));
        Ok(())
    }

    /// W4: with nothing of the log in memory, and with all of it. What the disk gives is measured before and behind ours, on the
    /// same files: from one minute to the next it differs by more than engines do.
    fn replays(&mut self, peer: &dyn Peer, directory: &Path, size: u64, written: u64) -> Result<()> {
        let place = self.readable(peer, directory)?;
        if drop_caches_of_logs() {
            let is_beside_the_limit = size == 1024 && peers::is_ours(peer.name());
            if is_beside_the_limit {
                self.results.put_limit("W4", self.round, &limits::read_cold(&place)?)?;
                drop_caches_of_logs();
            }
            self.replay(peer, &place, size, ("cold", written))?;
            if is_beside_the_limit && drop_caches_of_logs() {
                self.results.put_limit("W4", self.round, &limits::read_cold(&place)?)?;
            }
        }
        let place = self.readable(peer, directory)?;
        self.replay(peer, &place, size, ("warm", written))
    }

    fn replay(&mut self, peer: &dyn Peer, place: &Path, size: u64, expected: (&str, u64)) -> Result<()> {
        let (temperature, written) = expected;
        let mut figures = self.child(peer, "replay", place, size, &[]);
        if figures["events"].as_u64().is_some_and(|events| events != written) {
            figures = json!({"died": format!("read {} of {written} events", figures["events"])});
        }
        self.put(peer, "W4", size, &json!({"temp": temperature}), &figures)
    }

    /// Where a peer may read a log: on a copy, if reading consumes it.
    fn readable(&self, peer: &dyn Peer, directory: &Path) -> Result<PathBuf> {
        if !peer.read_destroys() {
            return Ok(directory.to_owned());
        }
        let place = self.base.join("copy");
        copy(directory, &place)?;
        Ok(place)
    }

    /// W5: logs of 1 GiB, each written once; then every round opens each of them, cold and warm.
    fn openings(&mut self) -> Result<()> {
        let base = self.base.join("large");
        let _nothing_there = std::fs::remove_dir_all(&base);
        let mut logs = Vec::new();
        for peer in self.peers.clone() {
            let directory = base.join(peer.name());
            let count = self.scaled(LARGE_LOG_EVENTS.min(peer.big_cap()));
            let written =
                self.child(peer, "append", &directory, 1024, &["--n", &count, "--limit", MOST_SECONDS_OF_LARGE_LOG]);
            logs.push((peer, directory, written["events"].clone()));
        }
        settle();
        for round in 0..self.arguments.number("rounds", 5)? {
            self.round = round;
            for (peer, directory, written) in &logs {
                let extra = |temperature: &str| json!({"temp": temperature, "wrote": written});
                let place = self.readable(*peer, directory)?;
                if drop_caches_of_logs() {
                    let figures = self.child(*peer, "open", &place, 1024, &[]);
                    self.put(*peer, "W5", 1024, &extra("cold"), &figures)?;
                }
                let open_one = || Ok(self.child(*peer, "open", &self.readable(*peer, directory)?, 1024, &[]));
                let figures = self.repeated("open_s", open_one)?;
                self.put(*peer, "W5", 1024, &extra("warm"), &figures)?;
            }
        }
        let _nothing_there = (std::fs::remove_dir_all(&base), std::fs::remove_dir_all(self.base.join("copy")));
        Ok(())
    }

    /// Measures in one process after the other, and gives the figures of the middle one.
    fn repeated(&self, by: &str, mut measure: impl FnMut() -> Result<Value>) -> Result<Value> {
        let start = Instant::now();
        let mut all = Vec::new();
        while all.len() < MOST_REPEATS.0 && (all.is_empty() || start.elapsed() < MOST_REPEATS.1) {
            all.push(measure()?);
        }
        Ok(middle(all, by))
    }
}

/// The figures in the middle by one of them; such as lack it come first.
fn middle(mut all: Vec<Value>, by: &str) -> Value {
    let number = |figures: &Value| figures[by].as_f64().unwrap_or(f64::MIN);
    all.sort_by(|one, other| number(one).total_cmp(&number(other)));
    all.swap_remove(all.len() / 2)
}

/// Lets what the run before has left to write be written.
fn settle() {
    unsafe { libc::sync() };
}
