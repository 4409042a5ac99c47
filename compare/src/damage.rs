//! The same damage done to every peer: one flipped bit, a file cut short, a block of zeros. What is lost, and who says so?
//!
//! The events are few and all of them durable when the log is closed. Each damaged copy is opened and read in a process of its
//! own, which may fail, die or hang; what it was given is compared with what was written. See `docs/durability.md`.

use crate::arguments::Arguments;
use crate::child::leave;
use crate::peer::{Mode, Peer};
use crate::peers;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use taffrail::plan::Authority;
use taffrail::repair::{RepairMode, RepairPlan};
use taffrail::storage::{Disk, Storage};
use taffrail::{Severity, VerifyOptions, verify};

/// Events of each log.
const EVENTS: usize = 100;
/// Whose logs are damaged if nobody says otherwise: those with checksums whose files hold the log and nothing else.
const PEERS: &str = "taffrail,taffrail-repaired,okaywal,raft-engine,spacetimedb-commitlog,commitlog";
/// Our engine once more: read after a repair.
const REPAIRED: &str = "taffrail-repaired";
/// Damaged copies of each kind, at most.
const CASES: usize = 300;
/// How long opening and reading may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The payload of an event: its number, and letters that depend on it.
fn payload(number: usize) -> Vec<u8> {
    let mut text = format!("{{\"event\":{number},\"text\":\"").into_bytes();
    let mut state = number as u64 + 1;
    for _ in 0..60 + number % 7 * 40 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(b'a' + u8::try_from((state >> 33) % 26).unwrap_or(0));
    }
    text.extend_from_slice(b"\"}");
    text
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Flip,
    Cut,
    Zero,
}

/// What became of a damaged copy.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    cases: usize,
    /// All events are there, and each is what was written.
    whole: usize,
    /// Something is missing, and the engine says so.
    told: usize,
    /// Something is missing, and all seems well.
    silent: usize,
    /// An event that nobody has written.
    wrong: usize,
    /// The process died, or did not end.
    died: usize,
    /// Events that were not given, in all and at most.
    lost: usize,
    most_lost: usize,
}

/// What a reader of a damaged copy was given.
struct Given {
    /// Numbers of the events, as they came; `None` for one that was never written.
    events: Vec<Option<usize>>,
    error: Option<String>,
    /// Events whose loss a repair before the reading told of.
    told: usize,
}

/// Opens a log, reads all of it, and tells the parent: the child's part.
pub fn child(arguments: &Arguments) -> Result<()> {
    let name = arguments.needed("peer")?;
    let peer = peer_of(name)?;
    let directory = PathBuf::from(arguments.needed("dir")?);
    let told = if name == REPAIRED { repair(&directory)? } else { 0 };
    let known: BTreeMap<Vec<u8>, usize> = (0..EVENTS).map(|number| (payload(number), number)).collect();
    let mut events: Vec<Value> = Vec::new();
    let result = peer.open(&directory, Mode::Read).and_then(|mut log| {
        let result = log.replay(&mut |event| {
            // Whoever gives out more than this has gone wrong long before.
            if events.len() < EVENTS * 10 {
                events.push(json!(known.get(event)));
            }
        });
        // Dropping some engines writes, or waits for threads.
        std::mem::forget(log);
        result
    });
    let error = result.err().map(|error| format!("{error:#}"));
    println!("\n@@{}", json!({"events": events, "error": error, "told": told}));
    leave()
}

fn peer_of(name: &str) -> Result<&'static dyn Peer> {
    let name = if name == REPAIRED { peers::taffrail::SHARED.name() } else { name };
    peers::by_name(name).with_context(|| format!("there is no peer {name:?}"))
}

/// `log repair --mode salvage`, with whatever loss it tells of: of how many events. The others have nothing like it.
fn repair(directory: &Path) -> Result<u64> {
    let storage: Arc<dyn Storage> = Arc::new(Disk::new(directory.join("store")));
    if verify(&*storage, &VerifyOptions::default(), &mut |_, _| {})?.severity != Severity::Damaged {
        return Ok(0);
    }
    let plan = RepairPlan::make(&*storage, RepairMode::Salvage)?;
    plan.apply(
        &storage,
        &Authority {
            plan: plan.name().to_owned(),
            accept_loss: plan.lost,
            reason: "compared".to_owned(),
            actor: "compare".to_owned(),
            lock_timeout_ms: 1000,
        },
    )?;
    Ok(plan.lost)
}

/// The same damage to each peer: prints a table.
pub fn damage(arguments: &Arguments) -> Result<()> {
    let wanted = arguments.get("peers").unwrap_or(PEERS);
    let cases = usize::try_from(arguments.number("n", CASES as u64)?)?;
    println!(
        "| engine | damage | copies | all there | loss told | silent loss | wrong data | died | most lost | mean lost |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for name in wanted.split(',') {
        let peer = peer_of(name)?;
        let root = arguments.data().join(format!("damage-{name}"));
        let origin = root.join("origin");
        let _there_may_be_none = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&origin)?;
        write(peer, &origin)?;
        let files = files_of(&origin)?;
        let intact = look(name, &copy(&files, &root.join("copy"), None)?)?;
        if intact.as_ref().is_none_or(|given| !is_whole(given)) {
            bail!("{name}: the undamaged copy is not read back");
        }
        for kind in [Kind::Flip, Kind::Cut, Kind::Zero] {
            let tally = examine(name, &files, kind, cases, &root.join("copy"))?;
            print_row(name, peer, kind, &tally);
        }
        std::fs::remove_dir_all(&root)?;
    }
    Ok(())
}

fn print_row(name: &str, peer: &dyn Peer, kind: Kind, tally: &Tally) {
    let what = match kind {
        Kind::Flip => "a flipped bit",
        Kind::Cut => "a file cut short",
        Kind::Zero => "512 zeros",
    };
    let mean = tally.lost as f64 / tally.cases.max(1) as f64;
    println!(
        "| {name} {} | {what} | {} | {} | {} | {} | {} | {} | {} | {mean:.1} |",
        peer.meta().version,
        tally.cases,
        tally.whole,
        tally.told,
        tally.silent,
        tally.wrong,
        tally.died,
        tally.most_lost,
    );
}

fn write(peer: &dyn Peer, directory: &Path) -> Result<()> {
    let mut log = peer.open(directory, Mode::Durable)?;
    for number in 0..EVENTS {
        log.append_durable(&payload(number))?;
    }
    log.close()
}

/// A log's files, by their paths in its directory, and in each the bytes that were written: zeros behind are room.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files_of(directory: &Path) -> Result<Files> {
    let mut files = Files::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else {
                files.insert(path.strip_prefix(directory)?.to_owned(), std::fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

/// The file that holds most of what was written: the log.
fn log_of(files: &Files) -> Option<(&PathBuf, usize)> {
    files.iter().map(|(path, bytes)| (path, written_of(bytes))).max_by_key(|(_, written)| *written)
}

fn written_of(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn copy(files: &Files, to: &Path, damaged: Option<(&PathBuf, &[u8])>) -> Result<PathBuf> {
    let _there_may_be_none = std::fs::remove_dir_all(to);
    for (path, bytes) in files {
        let target = to.join(path);
        std::fs::create_dir_all(target.parent().context("a file is in a directory")?)?;
        let bytes = damaged.filter(|(other, _)| *other == path).map_or(bytes.as_slice(), |(_, bytes)| bytes);
        // Some engines write zeros ahead by the megabyte: those stay a hole.
        let mut file = std::fs::File::create(target)?;
        file.write_all(&bytes[..written_of(bytes)])?;
        file.set_len(bytes.len() as u64)?;
    }
    Ok(to.to_owned())
}

/// Damages the log in so many places, evenly spread over the bytes that were written.
fn examine(name: &str, files: &Files, kind: Kind, cases: usize, scratch: &Path) -> Result<Tally> {
    let (path, written) = log_of(files).context("there is no file")?;
    let bytes = &files[path];
    let places = match kind {
        Kind::Flip | Kind::Cut => written,
        Kind::Zero => written.div_ceil(512),
    };
    let mut tally = Tally::default();
    for case in 0..cases.min(places) {
        let place = case * places / cases.min(places);
        let mut damaged = bytes.clone();
        match kind {
            Kind::Flip => damaged[place] ^= 1 << (case % 8),
            // The file keeps its length: what a lost write leaves is zeros or an end, and most of these have room behind.
            Kind::Cut => damaged.truncate(place),
            Kind::Zero => damaged[place * 512..written.min(place * 512 + 512)].fill(0),
        }
        if damaged == *bytes {
            continue;
        }
        let given = look(name, &copy(files, scratch, Some((path, &damaged)))?)?;
        count(&mut tally, given.as_ref());
    }
    Ok(tally)
}

fn is_whole(given: &Given) -> bool {
    given.error.is_none() && given.events.iter().copied().eq((0..EVENTS).map(Some))
}

fn count(tally: &mut Tally, given: Option<&Given>) {
    tally.cases += 1;
    let Some(given) = given else {
        tally.died += 1;
        tally.lost += EVENTS;
        tally.most_lost = EVENTS;
        return;
    };
    let there: std::collections::BTreeSet<usize> = given.events.iter().copied().flatten().collect();
    let lost = EVENTS - there.len();
    tally.lost += lost;
    tally.most_lost = tally.most_lost.max(lost);
    let is_wrong = given.events.iter().any(Option::is_none) || given.events.len() > there.len();
    match (is_wrong, lost, &given.error) {
        (true, ..) => tally.wrong += 1,
        (_, 0, _) => tally.whole += 1,
        (_, _, Some(_)) => tally.told += 1,
        (_, _, None) if lost <= given.told => tally.told += 1,
        (_, _, None) => tally.silent += 1,
    }
}

/// Reads a log in another process; `None` where that one died or did not end.
fn look(name: &str, directory: &Path) -> Result<Option<Given>> {
    let mut process = Command::new(std::env::current_exe()?)
        .args(["damage-child", "--peer", name, "--dir"])
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait()? {
            break status;
        }
        if start.elapsed() > PATIENCE {
            process.kill()?;
            process.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_micros(300));
    };
    let mut output = String::new();
    process.stdout.take().context("it is piped")?.read_to_string(&mut output)?;
    let line = output.lines().find_map(|line| line.strip_prefix("@@"));
    let Some(line) = line.filter(|_| status.success()) else { return Ok(None) };
    let found: Value = serde_json::from_str(line)?;
    let number = |event: &Value| event.as_u64().and_then(|number| usize::try_from(number).ok());
    let events = found["events"].as_array().context("a list")?.iter().map(number).collect();
    let told = number(&found["told"]).context("a number")?;
    Ok(Some(Given { events, error: found["error"].as_str().map(str::to_owned), told }))
}
