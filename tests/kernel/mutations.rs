//! Every command that changes a store, with a store to run it on and what it has to have done.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use taffrail::Severity;

use crate::kit::{Answer, Directory, run};
use crate::oracle::{self, Event};
use crate::{leaked, packed};

/// A command that changes a store.
pub(crate) struct Mutation {
    pub(crate) name: &'static str,
    /// Makes the store that it begins with; files beside it go into the directory.
    pub(crate) prepare: fn(&Path, &Path),
    /// The command, on a store prepared so.
    pub(crate) arguments: fn(&Path, &Path) -> Vec<String>,
    /// Lines of its input. Each is given when the answer to the one before has come.
    pub(crate) input: fn() -> Vec<String>,
    /// What has to hold behind it, whatever happened to it.
    pub(crate) judge: fn(&Case<'_>) -> Result<(), String>,
}

/// A command that has been run under bad conditions.
pub(crate) struct Case<'a> {
    pub(crate) mutation: &'a Mutation,
    /// The directory that the files beside the store are in.
    pub(crate) beside: &'a Path,
    pub(crate) store: &'a Path,
    pub(crate) before: &'a BTreeMap<u64, Event>,
    pub(crate) answer: &'a Answer,
}

pub(crate) const MUTATIONS: [Mutation; 13] = [
    Mutation { name: "append", prepare: filled, arguments: append, input: big_ticks, judge: judge_append },
    Mutation { name: "append-atomic", prepare: filled, arguments: atomic, input: small_ticks, judge: judge_atomic },
    Mutation { name: "mark", prepare: filled, arguments: mark, input: none, judge: judge_mark },
    Mutation { name: "import", prepare: filled, arguments: import, input: none, judge: judge_import },
    Mutation { name: "restore", prepare: export, arguments: restore, input: none, judge: judge_restore },
    Mutation {
        name: "restore-bundle",
        prepare: packed::bundle,
        arguments: packed::unpack,
        input: none,
        judge: packed::judge,
    },
    Mutation { name: "redact", prepare: leaked::leak, arguments: leaked::redact, input: none, judge: leaked::judge },
    Mutation { name: "repair-tail", prepare: torn, arguments: repair, input: none, judge: judge_repair },
    Mutation { name: "repair-salvage", prepare: flipped, arguments: salvage, input: none, judge: judge_salvage },
    Mutation { name: "undo", prepare: salvaged, arguments: undo, input: none, judge: judge_undo },
    Mutation { name: "snap-create", prepare: imported, arguments: snap, input: none, judge: judge_snap },
    Mutation { name: "snap-drop", prepare: snapped, arguments: drop_snap, input: none, judge: judge_snap },
    Mutation { name: "init", prepare: nothing, arguments: init, input: none, judge: judge_init },
];

impl Mutation {
    /// Runs it as an argument of `wrapper`, which gets the program and its arguments appended.
    pub(crate) fn run(&self, mut wrapper: Command, store: &Path, beside: &Path) -> Answer {
        for variable in
            ["TAFFRAIL_SYNC", "TAFFRAIL_SEGMENT_SIZE", "TAFFRAIL_LOCK_TIMEOUT", "NO_COLOR", "CLICOLOR_FORCE"]
        {
            wrapper.env_remove(variable);
        }
        wrapper.env("XDG_CONFIG_HOME", "/nonexistent").env("TAFFRAIL_STORE", store);
        wrapper.arg(env!("CARGO_BIN_EXE_taffrail-under-test")).args((self.arguments)(store, beside));
        wrapper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        converse(wrapper.spawn().expect("the wrapper starts"), &(self.input)())
    }
}

/// Gives line by line, each when the one before has been answered, until nothing is answered any more. Behind the last
/// one the input ends.
fn converse(mut child: Child, lines: &[String]) -> Answer {
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut data = String::new();
    for (number, line) in lines.iter().enumerate() {
        let is_read = input.write_all(line.as_bytes()).is_ok();
        let is_last = number + 1 == lines.len();
        if !is_read || is_last || output.read_line(&mut data).is_ok_and(|len| len == 0) {
            break;
        }
    }
    drop(input);
    let mut notes = String::new();
    output.read_to_string(&mut data).expect("UTF-8");
    child.stderr.take().expect("a pipe").read_to_string(&mut notes).expect("UTF-8");
    let status = child.wait().expect("it ends");
    Answer { exit: status.code(), data, notes }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

pub(crate) fn none() -> Vec<String> {
    Vec::new()
}

fn tick(run: &str, n: u64, filler: usize) -> String {
    format!("{{\"run\":\"{run}\",\"type\":\"tick\",\"data\":{{\"n\":{n},\"x\":\"{}\"}}}}\n", "x".repeat(filler))
}

pub(crate) fn done(store: &Path, arguments: &[&str], input: &str) -> Answer {
    let answer = run(store, arguments, input);
    assert_eq!(answer.exit, Some(0), "{arguments:?}: {answer:?}");
    answer
}

fn nothing(_: &Path, _: &Path) {}

pub(crate) fn empty(store: &Path) {
    done(store, &["store", "init", "--segment-size", "64KiB"], "");
}

fn filled(store: &Path, _: &Path) {
    empty(store);
    let lines: String = (0..20).map(|n| tick("old", 1_000 + n, 50)).collect();
    done(store, &["log", "append", "--create"], &lines);
}

/// Six appends over two rotations.
fn big_ticks() -> Vec<String> {
    (0..6).map(|n| tick(["new", "old"][usize::from(n % 2 == 1)], n, 22_000)).collect()
}

/// One batch over three runs, of which two are new. The input ends behind them.
fn small_ticks() -> Vec<String> {
    vec![(0..9).map(|n| tick(["new", "old", "newer"][usize::try_from(n % 3).expect("small")], n, 300)).collect()]
}

fn append(_: &Path, _: &Path) -> Vec<String> {
    words("log append --create")
}

/// How many of the lines were acknowledged, by what was printed.
fn acknowledged(data: &str) -> Result<u64, String> {
    let whole = data.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let mut count = 0;
    for line in whole.lines() {
        let ack: Value = serde_json::from_str(line).map_err(|_| format!("no acknowledgement: {line}"))?;
        if ack["schema"] != "taffrail.appended/1" || ack["durable"].as_u64() < ack["last"].as_u64() {
            return Err(format!("no acknowledgement of something durable: {ack}"));
        }
        count += 1;
    }
    Ok(count)
}

fn new_ticks(case: &Case<'_>) -> Result<Vec<u64>, String> {
    Ok(oracle::ticks(&oracle::keeps(case.store, case.before)?).into_iter().filter(|n| *n < 1_000).collect())
}

fn judge_append(case: &Case<'_>) -> Result<(), String> {
    oracle::is_sound(case.store)?;
    let acknowledged = acknowledged(&case.answer.data)?;
    oracle::goes_on(case.store)?;
    let there = new_ticks(case)?;
    let count = there.len() as u64;
    if there != (0..count).collect::<Vec<u64>>() || count < acknowledged || count > acknowledged + 1 {
        return Err(format!("{acknowledged} were acknowledged, and there is {there:?}"));
    }
    if case.answer.exit == Some(0) && count != 6 {
        return Err(format!("exit 0, and there is {there:?}"));
    }
    Ok(())
}

fn atomic(_: &Path, _: &Path) -> Vec<String> {
    words("log append --create --atomic")
}

fn judge_atomic(case: &Case<'_>) -> Result<(), String> {
    oracle::is_sound(case.store)?;
    let acknowledged = acknowledged(&case.answer.data)?;
    oracle::goes_on(case.store)?;
    let there = new_ticks(case)?;
    let is_whole = there == (0..9).collect::<Vec<u64>>();
    if is_whole || (there.is_empty() && acknowledged == 0 && case.answer.exit != Some(0)) {
        return Ok(());
    }
    Err(format!("a batch in part: {acknowledged} acknowledged, {there:?} there"))
}

fn mark(_: &Path, _: &Path) -> Vec<String> {
    words("log mark here")
}

fn judge_mark(case: &Case<'_>) -> Result<(), String> {
    oracle::is_sound(case.store)?;
    oracle::goes_on(case.store)?;
    let now = oracle::keeps(case.store, case.before)?;
    let marks = now.values().filter(|event| event.1 == "Mark" || event.1.contains("mark")).count();
    match (case.answer.exit, marks) {
        (Some(0), 1) | (_, 0 | 1) if marks == 1 || case.answer.exit != Some(0) => Ok(()),
        _ => Err(format!("exit {:?}, and there are {marks} marks", case.answer.exit)),
    }
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo")
}

fn import(_: &Path, _: &Path) -> Vec<String> {
    vec!["--quiet".to_owned(), "log".to_owned(), "import".to_owned(), sample().to_str().expect("UTF-8").to_owned()]
}

fn imported_count(events: &BTreeMap<u64, Event>) -> usize {
    events.values().filter(|event| event.1.starts_with("babysitter")).count()
}

/// An import that was cut short goes on, and takes nothing twice.
fn judge_import(case: &Case<'_>) -> Result<(), String> {
    oracle::is_sound(case.store)?;
    oracle::goes_on(case.store)?;
    let there = imported_count(&oracle::keeps(case.store, case.before)?);
    if case.answer.exit == Some(0) && there != 61 {
        return Err(format!("exit 0, and {there} events of 61"));
    }
    again(case, &import(case.store, case.beside))?;
    let there = imported_count(&oracle::keeps(case.store, case.before)?);
    if there != 61 {
        return Err(format!("imported again, and {there} events of 61"));
    }
    oracle::is_sound(case.store)
}

pub(crate) fn again(case: &Case<'_>, arguments: &[String]) -> Result<(), String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = run(case.store, &arguments, "");
    if answer.exit == Some(0) { Ok(()) } else { Err(format!("{}, again: {answer:?}", case.mutation.name)) }
}

/// An export beside a store that is empty.
fn export(store: &Path, beside: &Path) {
    empty(store);
    let other = beside.join("exported-from");
    filled(&other, beside);
    done(&other, &["log", "append", "--create"], &(0..40).map(|n| tick("more", n, 3_000)).collect::<String>());
    let exported = done(&other, &["log", "export"], "").data;
    std::fs::write(beside.join("export.jsonl"), exported).expect("written");
}

fn restore(_: &Path, beside: &Path) -> Vec<String> {
    let file = beside.join("export.jsonl");
    vec!["--quiet".to_owned(), "log".to_owned(), "import".to_owned(), file.to_str().expect("UTF-8").to_owned()]
}

/// A restore that was cut short is resumed, and ends with the store that was exported.
fn judge_restore(case: &Case<'_>) -> Result<(), String> {
    oracle::is_sound(case.store)?;
    again(case, &restore(case.store, case.beside))?;
    let (there, expected) = (oracle::events(case.store)?, oracle::events(&case.beside.join("exported-from"))?);
    let content = |events: BTreeMap<u64, Event>| -> Vec<Event> {
        events.into_values().filter(|event| event.1 == "tick").map(|event| (None, event.1, event.2)).collect()
    };
    if content(there) != content(expected) {
        return Err("the restored store differs from the exported one".to_owned());
    }
    oracle::goes_on(case.store)
}

fn segment(store: &Path) -> PathBuf {
    store.join("segments/0000000001.seg")
}

/// Bytes of an append that a crash cut short.
fn torn(store: &Path, beside: &Path) {
    filled(store, beside);
    let mut bytes = std::fs::read(segment(store)).expect("a segment");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("frames") + 1;
    let end = end.next_multiple_of(8) + 8;
    bytes[end..end + 3].copy_from_slice(b"abc");
    std::fs::write(segment(store), bytes).expect("written");
}

/// The command that the plan which `show` prints names.
pub(crate) fn planned(store: &Path, show: &[&str]) -> Vec<String> {
    let shown = run(store, &[show, &["--json"]].concat(), "");
    let plan: Value = serde_json::from_str(&shown.data).unwrap_or_default();
    let mut arguments: Vec<String> = show.iter().map(|word| (*word).to_owned()).collect();
    arguments.extend(words("--apply --reason tested --plan"));
    arguments.push(plan["name"].as_str().unwrap_or("none").to_owned());
    if let Some(lost) = plan["lost"].as_u64().filter(|lost| *lost > 0) {
        arguments.extend(["--accept-loss".to_owned(), lost.to_string()]);
    }
    arguments
}

fn repair(store: &Path, _: &Path) -> Vec<String> {
    planned(store, &["log", "repair"])
}

fn judge_repair(case: &Case<'_>) -> Result<(), String> {
    oracle::is_sound(case.store)?;
    oracle::keeps(case.store, case.before)?;
    oracle::goes_on(case.store)?;
    oracle::keeps(case.store, case.before).map(|_| ())
}

const SALVAGE: [&str; 4] = ["log", "repair", "--mode", "salvage"];

/// One bit of one payload is not what it was.
fn flipped(store: &Path, beside: &Path) {
    filled(store, beside);
    let place = {
        let reader = taffrail::Reader::open(store).expect("a store");
        let record = reader.get(taffrail::Seq::new(12).expect("a seq")).expect("readable").expect("an event");
        usize::try_from(record.offset).expect("small") + 49
    };
    let mut bytes = std::fs::read(segment(store)).expect("a segment");
    bytes[place] ^= 4;
    std::fs::write(segment(store), bytes).expect("written");
}

fn salvage(store: &Path, _: &Path) -> Vec<String> {
    planned(store, &SALVAGE)
}

/// Every event but the one with the flipped bit.
fn but_the_lost(case: &Case<'_>) -> Result<(), String> {
    let now = oracle::events(case.store)?;
    let ticks = oracle::ticks(&now).into_iter().filter(|n| *n >= 1_000).collect::<Vec<u64>>();
    let expected: Vec<u64> = (0..20).filter(|n| *n != 9).map(|n| 1_000 + n).collect();
    if ticks == expected { Ok(()) } else { Err(format!("{ticks:?} is left")) }
}

/// Damaged as before, or repaired. Where it is not repaired yet, a new plan repairs it.
fn judge_salvage(case: &Case<'_>) -> Result<(), String> {
    let (severity, _) = oracle::severity(case.store)?;
    if case.answer.exit == Some(0) && severity != Severity::Clean {
        return Err(format!("exit 0, and {severity:?}"));
    }
    if severity == Severity::Damaged {
        again(case, &salvage(case.store, case.beside))?;
    }
    oracle::is_sound(case.store)?;
    oracle::goes_on(case.store)?;
    but_the_lost(case)
}

fn salvaged(store: &Path, beside: &Path) {
    flipped(store, beside);
    let arguments = salvage(store, beside);
    done(store, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), "");
}

fn undo(store: &Path, _: &Path) -> Vec<String> {
    planned(store, &["store", "undo"])
}

/// Repaired as before, or damaged as it was before the repair: and then it can be repaired again.
fn judge_undo(case: &Case<'_>) -> Result<(), String> {
    let (severity, findings) = oracle::severity(case.store)?;
    if case.answer.exit == Some(0) && severity != Severity::Damaged {
        return Err(format!("exit 0, and {severity:?}"));
    }
    if severity == Severity::Damaged {
        again(case, &salvage(case.store, case.beside)).map_err(|error| format!("{error}; {findings}"))?;
    }
    oracle::is_sound(case.store)?;
    oracle::goes_on(case.store)?;
    but_the_lost(case)
}

fn imported(store: &Path, beside: &Path) {
    empty(store);
    let arguments = import(store, beside);
    done(store, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), "");
}

fn snap(_: &Path, _: &Path) -> Vec<String> {
    words("snap create")
}

pub(crate) fn snapped(store: &Path, beside: &Path) {
    imported(store, beside);
    done(store, &["snap", "create"], "");
    done(store, &["log", "mark", "behind-the-snapshots"], "");
}

fn drop_snap(store: &Path, _: &Path) -> Vec<String> {
    let listed = run(store, &["snap", "list", "--json"], "");
    let list: Value = serde_json::from_str(&listed.data).unwrap_or_default();
    let file = list["snapshots"][0]["file"].as_str().unwrap_or("none").to_owned();
    planned(store, &["snap", "drop", &file])
}

/// What `run list` says of the runs, and apart from it the revisions.
fn states(store: &Path) -> Result<(Vec<Value>, Vec<u64>), String> {
    let listed = run(store, &["run", "list", "--json"], "");
    if listed.exit != Some(0) {
        return Err(format!("states can not be read: {listed:?}"));
    }
    let mut list: Value = serde_json::from_str(&listed.data).map_err(|error| error.to_string())?;
    let runs = list["runs"].as_array_mut().ok_or("a list of runs")?;
    let take = |run: &mut Value| run.as_object_mut().and_then(|run| run.remove("revision")?.as_u64());
    let revisions =
        runs.iter_mut().map(|run| take(run).ok_or(format!("no revision: {run}"))).collect::<Result<_, _>>()?;
    Ok((std::mem::take(runs), revisions))
}

/// Snapshots are hints: whatever became of them, states are as they were. That there is one is an event of its run, the checkpoint,
/// so a revision may have grown; what the run is has not.
fn judge_snap(case: &Case<'_>) -> Result<(), String> {
    oracle::is_sound(case.store)?;
    oracle::keeps(case.store, case.before)?;
    let (before, revisions) = states(&case.beside.join("store"))?;
    let (folded, behind) = states(case.store)?;
    let grown = |(old, new): (&u64, &u64)| new == old || *new == old + 1;
    if folded != before || !revisions.iter().zip(&behind).all(grown) {
        return Err(format!("states differ from what they were: {revisions:?} {before:?}, now {behind:?} {folded:?}"));
    }
    again(case, &snap(case.store, case.beside))?;
    if states(case.store)?.0 != folded {
        return Err("states differ behind a snapshot".to_owned());
    }
    oracle::goes_on(case.store)
}

fn init(_: &Path, _: &Path) -> Vec<String> {
    words("store init --segment-size 64KiB")
}

/// No store yet, or a whole one; and making it again goes well.
fn judge_init(case: &Case<'_>) -> Result<(), String> {
    let answer = run(case.store, &["store", "init", "--segment-size", "64KiB"], "");
    oracle::is_coded(answer.exit, &answer.notes)?;
    if answer.exit != Some(0) && oracle::is_sound(case.store).is_err() {
        return Err(format!("can not be made again, and is no store: {answer:?}"));
    }
    oracle::goes_on(case.store)?;
    let keeps_settings = std::fs::read_to_string(case.store.join("config.toml")).is_ok();
    if case.answer.exit == Some(0) && !keeps_settings { Err("no settings".to_owned()) } else { Ok(()) }
}

/// A prepared store, with what is beside it and what is in it.
pub(crate) struct Prepared {
    directory: Directory,
    pub(crate) before: BTreeMap<u64, Event>,
}

impl Prepared {
    pub(crate) fn new(mutation: &Mutation) -> Prepared {
        let directory = Directory::new(mutation.name);
        let store = directory.path().join("store");
        (mutation.prepare)(&store, directory.path());
        let before = oracle::events(&store).unwrap_or_default();
        Prepared { directory, before }
    }

    pub(crate) fn beside(&self) -> &Path {
        self.directory.path()
    }

    /// A copy of the store, if there is one, at a place that is free.
    pub(crate) fn copy_to(&self, store: &Path) {
        let prepared = self.directory.path().join("store");
        if prepared.exists() {
            copy(&prepared, store);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("room for a copy");
    for entry in from.read_dir().expect("readable") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("room for a copy");
        }
    }
}
