//! Compactions, their undo, and the removal of archives, by the commands.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use taffrail::run::{Change, Content};
use taffrail::{Expect, Journal};

use crate::kit::{Answer, Directory, answer, dump, run, snapshot, spawn};
use crate::lab_result::tell;

const REASON: &str = "a test: these runs are over";

/// Runs that have ended, and one that has not, in several segments.
pub(crate) fn filled(directory: &Directory, ended: u32) -> PathBuf {
    let store = directory.path().join("store");
    let options = Journal::options().create(true).segment_len_bytes(64 << 10).lock_timeout_ms(10_000);
    let journal = options.open(&store).expect("a store");
    let note = |text: String| Change::Noted { label: "log".into(), message: text };
    for number in 0..ended {
        let run = journal.run_or_create(&format!("job-{number}")).expect("a run");
        let created = Change::Created { process: "nightly".into(), process_digest: None, inputs: Content::None };
        run.append(Expect::Any, &[created.by("uid:1")]).expect("appended");
        for part in 0..10 {
            let notes: Vec<_> =
                (0..4).map(|line| note(format!("{part}.{line} {}", "x".repeat(300))).by("uid:1")).collect();
            run.append(Expect::Any, &notes).expect("appended");
        }
        run.append(Expect::Any, &[Change::Completed { output: Content::None }.by("uid:1")]).expect("appended");
    }
    let open = journal.run_or_create("open").expect("a run");
    for part in 0..60 {
        let notes: Vec<_> = (0..4).map(|line| note(format!("{part}.{line} {}", "y".repeat(300))).by("uid:1")).collect();
        open.append(Expect::Any, &notes).expect("appended");
    }
    journal.close().expect("closed");
    store
}

fn json(answer: &Answer) -> Value {
    assert_eq!((answer.data.lines().count(), answer.notes.as_str()), (1, ""), "{answer:?}");
    serde_json::from_str(&answer.data).expect("one JSON object")
}

fn planned(store: &Path, words: &[&str]) -> Value {
    let answer = run(store, &[words, &["--json"]].concat(), "");
    assert_eq!(answer.exit, Some(0), "{answer:?}");
    json(&answer)
}

/// Plans, and carries that plan out.
fn applied(store: &Path, words: &[&str]) -> Value {
    let plan = planned(store, words);
    let (name, lost) = (plan["name"].as_str().expect("a name"), plan["lost"].as_u64().unwrap_or(0).to_string());
    let mut all = [words, &["--apply", "--plan", name, "--reason", REASON, "--json"]].concat();
    if lost != "0" {
        all.extend(["--accept-loss", &lost]);
    }
    let answer = run(store, &all, "");
    assert_eq!(answer.exit, Some(0), "{answer:?}");
    json(&answer)
}

fn assert_clean(store: &Path) {
    let answer = run(store, &["log", "verify"], "");
    assert_eq!(answer.exit, Some(0), "{answer:?}");
}

/// Seq, type and data of every event that no operator's command has left.
fn told(store: &Path) -> Vec<(u64, Value, Value)> {
    let events = dump(store).into_iter().filter(|event| event["type"] != "OperatorAction");
    events.map(|event| (event["seq"].as_u64().expect("a seq"), event["type"].clone(), event["data"].clone())).collect()
}

#[test]
fn the_examples_of_the_help_are_run() {
    let directory = Directory::new("examples");
    let store = filled(&directory, 1);
    for command in [["log", "compact"], ["store", "forget"]] {
        let help = run(&store, &[&command[..], &["--help"]].concat(), "").data;
        let (_, listed) = help.split_once("Examples:\n").expect("examples");
        let examples: Vec<&str> = listed.lines().take_while(|line| !line.trim().is_empty()).collect();
        assert!(!examples.is_empty(), "{help}");
        for example in examples {
            let words: Vec<&str> = example.split_whitespace().skip(1).collect();
            let answer = run(&store, &words, "");
            assert_eq!(answer.exit, Some(0), "{example}: {answer:?}");
        }
    }
}

/// Another plan, no reason, another loss, and arguments that do not go together.
fn assert_refused(store: &Path, words: &[&str], name: &str) {
    for (refused, exit, code) in [
        (run(store, &[words, &["--apply", "--plan", "000000", "--reason", REASON]].concat(), ""), 7, "T0401"),
        (run(store, &[words, &["--apply", "--plan", name]].concat(), ""), 2, "T0104"),
        (
            run(store, &[words, &["--apply", "--plan", name, "--reason", REASON, "--accept-loss", "200"]].concat(), ""),
            7,
            "T0402",
        ),
        (run(store, &["log", "compact", "--finished", "--status", "running"], ""), 2, "T0103"),
        (run(store, &["log", "compact", "--keep-last", "1"], ""), 2, "T0104"),
    ] {
        assert_eq!(refused.exit, Some(exit), "{refused:?}");
        assert!(refused.notes.starts_with(&format!("error[{code}]: ")), "{refused:?}");
    }
}

#[test]
fn runs_that_have_ended_move_to_an_archive_and_come_back() {
    let directory = Directory::new("compaction");
    let store = filled(&directory, 6);
    let before = (snapshot(&store), told(&store));
    let words = ["log", "compact", "--finished", "--keep-last", "1"];
    let shown = run(&store, &words, "");
    assert_eq!(shown.exit, Some(0), "{shown:?}");
    for part in [
        "(nothing written)",
        "take    runs that have ended, but for the last 1",
        "run     job-0: 41 events between seq ",
        "its state is folded from the archive",
        "at the peak",
        "what is left is folded and compared first",
        "nothing is lost: 205 events move from the log to the archive",
        "apply: taffrail log compact --finished --keep-last 1 --plan ",
    ] {
        assert!(shown.data.contains(part), "{part}: {}", shown.data);
    }
    let plan = planned(&store, &words);
    assert_eq!((plan["schema"].as_str(), plan["events"].as_u64()), (Some("taffrail.compaction_plan/1"), Some(205)));
    let name = plan["name"].as_str().expect("a name");
    assert_refused(&store, &words, name);
    assert!(snapshot(&store) == before.0, "a plan, or a refusal, changed the store");

    let states = |run_name: &str| planned(&store, &["state", "show", run_name])["digest"].clone();
    let digests = (states("job-0"), states("open"));
    let done = applied(&store, &words);
    assert_eq!((done["lost"].as_u64(), done["undo"].as_str()), (Some(0), Some("taffrail store undo")), "{done}");
    assert_clean(&store);
    assert_eq!(told(&store).len(), before.1.len() - 205);
    assert_eq!((states("job-0"), states("open")), digests, "states are the same");
    let kept_in = done["kept_in"].as_str().expect("an archive");
    let show = run(&store, &["run", "show", "job-0"], "");
    assert!(show.data.contains("archived 41 events between seq "), "{show:?}");
    assert!(show.data.contains(&format!(": in {kept_in}/")), "{show:?}");
    assert!(show.data.contains("completed"), "its state comes from there: {show:?}");
    let list = run(&store, &["run", "list"], "");
    assert_eq!(list.data.matches("archived").count(), 5, "{list:?}");
    // The archive is a log in itself.
    let archive = store.join(kept_in);
    assert_clean(&archive);
    let list = run(&archive, &["run", "list"], "");
    assert!(list.exit == Some(0) && list.data.matches("completed").count() >= 5, "{list:?}");
    assert!(dump(&archive).len() >= 205);

    let undone = applied(&store, &["store", "undo"]);
    assert_eq!(undone["kept_in"], Value::Null, "{undone}");
    assert_clean(&store);
    assert!(told(&store) == before.1, "every event is back where it was");
    assert_eq!(run(&store, &["store", "undo"], "").exit, Some(1), "there is nothing more to undo");
    let forgotten = planned(&store, &["store", "forget"]);
    assert_eq!((forgotten["lost"].as_u64(), &forgotten["directories"][0]["directory"]), (Some(0), &done["kept_in"]));
    applied(&store, &["store", "forget", kept_in]);
    assert!(!archive.exists());
    let none = run(&store, &["store", "forget", kept_in], "");
    assert!(none.exit == Some(1) && none.notes.starts_with("error[T0411]"), "{none:?}");
    assert!(run(&store, &["store", "forget"], "").data.contains("there is nothing to forget"));
    assert_clean(&store);
}

#[test]
fn what_is_forgotten_is_gone_and_said_so() {
    let directory = Directory::new("forgotten");
    let store = filled(&directory, 5);
    let again = applied(&store, &["log", "compact", "--finished"]);
    let kept_in = again["kept_in"].as_str().expect("an archive");
    let forgotten = applied(&store, &["store", "forget", kept_in]);
    assert_eq!(forgotten["lost"], 205);
    let show = run(&store, &["run", "show", "job-0"], "");
    assert!(show.data.contains(&format!("were in {kept_in}/, which is not there")), "{show:?}");
    let state = run(&store, &["state", "show", "job-0"], "");
    assert!(state.exit != Some(0) && state.notes.starts_with("error[T0508]"), "{state:?}");
    assert_clean(&store);
}

#[test]
fn a_policy_in_the_configuration_is_applied_and_a_wrong_one_is_told_with_its_line() {
    let directory = Directory::new("policy");
    let store = filled(&directory, 4);
    let none = run(&store, &["log", "compact"], "");
    assert!(none.exit == Some(2) && none.notes.starts_with("error[T0104]"), "{none:?}");
    let config = store.join("config.toml");
    std::fs::write(&config, "[retention]\nstatuses = [\"completed\"]\nkeep_last = 3\n").expect("written");
    let plan = planned(&store, &["log", "compact"]);
    assert_eq!((plan["runs"].as_array().map(Vec::len), plan["runs"][0]["name"].as_str()), (Some(1), Some("job-0")));
    assert!(plan["apply"].as_str().is_some_and(|apply| apply.starts_with("taffrail log compact --policy --plan ")));
    std::fs::write(&config, "[retention]\nstatuses = [\"failed\"]\n").expect("written");
    assert_eq!(planned(&store, &["log", "compact", "--policy"])["events"], 0);
    std::fs::write(&config, "[retention]\nolder_than = \"1d\"\n").expect("written");
    assert_eq!(planned(&store, &["log", "compact"])["events"], 0, "they have just ended");
    std::fs::write(&config, "[retention]\nolder_than = \"1ns\"\n").expect("written");
    let info = run(&store, &["store", "info"], "");
    assert!(info.data.contains("runs that have ended, older than 1ns"), "{info:?}");
    // The plan is the same a moment later: it is what it takes, not when it was asked for.
    assert_eq!(planned(&store, &["log", "compact"])["id"], planned(&store, &["log", "compact"])["id"]);
    assert_eq!(applied(&store, &["log", "compact"])["lost"], 0);
    assert_clean(&store);
    assert_eq!(planned(&store, &["log", "compact"])["events"], 0, "compacting twice is compacting once");
    std::fs::write(&config, "sync = \"never\"\n[retention]\nkeep = 3\n").expect("written");
    let wrong = run(&store, &["log", "compact"], "");
    assert!(
        wrong.exit == Some(2)
            && wrong.notes.contains("unknown key \"keep\"")
            && wrong.notes.contains("config.toml:3:1"),
        "{wrong:?}"
    );
}

#[test]
fn what_is_dropped_is_lost_by_number_and_its_states_stay() {
    let directory = Directory::new("dropping");
    let store = filled(&directory, 3);
    let words = ["log", "compact", "--finished", "--drop"];
    let shown = run(&store, &words, "");
    assert_eq!(shown.data.matches("no snapshot of taffrail.run").count(), 3, "{shown:?}");
    assert!(shown.data.starts_with("there is nothing to compact: "), "{shown:?}");
    assert_eq!(run(&store, &["snap", "create"], "").exit, Some(0));
    let states = |name: &str| planned(&store, &["state", "show", name])["digest"].clone();
    let digests = ["job-0", "job-2", "open"].map(states);
    let plan = planned(&store, &words);
    // Of each run the first event stays, and the last one, which is the checkpoint beside the snapshot.
    assert_eq!(plan["lost"], 126);
    let name = plan["name"].as_str().expect("a name");
    let few = run(
        &store,
        &[&words[..], &["--apply", "--plan", name, "--reason", REASON, "--accept-loss", "125"]].concat(),
        "",
    );
    assert!(few.exit == Some(7) && few.notes.starts_with("error[T0402]"), "{few:?}");
    let done = applied(&store, &words);
    assert_eq!(
        (done["lost"].as_u64(), &done["kept_in"], &done["undo"]),
        (Some(126), &Value::Null, &Value::Null),
        "{done}"
    );
    assert_clean(&store);
    assert_eq!(["job-0", "job-2", "open"].map(states), digests);
    let list = run(&store, &["run", "list"], "");
    assert_eq!(list.data.matches("completed").count(), 3, "snapshots tell: {list:?}");
    let show = run(&store, &["run", "show", "job-0"], "");
    assert!(show.data.contains("archived 42 events between seq ") && show.data.contains(": not kept"), "{show:?}");
    let undo = run(&store, &["store", "undo"], "");
    assert!(undo.exit == Some(7) && undo.notes.starts_with("error[T0403]"), "{undo:?}");
    let needed = run(&store, &["snap", "drop", "--keep", "1"], "");
    assert_eq!(needed.exit, Some(0), "{needed:?}");
    // What lies before snapshots goes by prefix.
    let plan = planned(&store, &["log", "compact", "--prefix"]);
    assert!(plan["runs"].as_array().is_some_and(|runs| runs.iter().all(|run| run["is_covered"] == true)), "{plan}");
}

/// A compaction beside a process that writes, one that follows, and one that is in the middle of a dump.
#[test]
fn beside_writers_followers_and_dumps_nothing_is_missed_and_nothing_issued_twice() {
    tell("compaction-beside", &["P1", "P2", "P9"], || {
        let appended = write_beside_compactions();
        (appended, vec![("appended_meanwhile", appended)])
    });
}

/// How many events were appended and acknowledged meanwhile.
fn write_beside_compactions() -> u64 {
    let directory = Directory::new("beside");
    let store = filled(&directory, 12);
    let ended = told(&store).len();
    let live = ["log", "append", "--run", "live", "--create", "--type", "tick"];
    assert_eq!(run(&store, &[&live[..], &["0"]].concat(), "").exit, Some(0));
    // It stops when the pipe is full, in the middle of the log.
    let dump_in_progress = spawn(&store, &["log", "dump", "-o", "jsonl"]);
    let mut follower = spawn(&store, &["log", "dump", "--run", "live", "--follow", "-o", "jsonl"]);
    let mut writer = spawn(&store, &["log", "append"]);
    let mut lines = writer.stdin.take().expect("a pipe");
    let mut acknowledged = BufReader::new(writer.stdout.take().expect("a pipe")).lines();
    let is_done = AtomicBool::new(false);
    let (mut count, mut ranges) = (0_u64, Vec::new());
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| {
            for keep in [8, 4, 0] {
                let keep = keep.to_string();
                applied(&store, &["log", "compact", "--finished", "--keep-last", &keep]);
            }
            applied(&store, &["store", "undo"]);
            is_done.store(true, Ordering::Relaxed);
        });
        // One line, one acknowledgement: what was acknowledged is there for good.
        while !is_done.load(Ordering::Relaxed) && !compacting.is_finished() {
            count += 1;
            writeln!(lines, "{{\"run\":\"live\",\"type\":\"tick\",\"data\":{count}}}").expect("written");
            let line = acknowledged.next().expect("an acknowledgement").expect("a line");
            let ack: Value = serde_json::from_str(&line).expect("JSON");
            ranges.push((ack["first"].as_u64().expect("a seq"), ack["last"].as_u64().expect("a seq")));
        }
    });
    drop(lines);
    assert_eq!(answer(writer).exit, Some(0));
    assert!(is_done.load(Ordering::Relaxed) && count > 0);
    assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "a seq was issued twice");
    assert_clean(&store);
    let live: Vec<Value> = dump(&store).into_iter().filter(|event| event["type"] == "tick").collect();
    let numbers: Vec<u64> = live.iter().filter_map(|event| event["data"].as_u64()).collect();
    assert_eq!(numbers, (0..=count).collect::<Vec<u64>>(), "everything that was acknowledged is there, in order");
    // The follower has seen all of it.
    let mut followed = BufReader::new(follower.stdout.take().expect("a pipe")).lines();
    let mut seen = Vec::new();
    while seen.last() != Some(&count) {
        let event: Value = serde_json::from_str(&followed.next().expect("an event").expect("a line")).expect("JSON");
        seen.extend(event["data"].as_u64().filter(|_| event["type"] == "tick"));
    }
    assert_eq!(seen, numbers);
    follower.kill().expect("killed");
    let _killed = follower.wait();
    let dumped = answer(dump_in_progress);
    assert_eq!((dumped.exit, dumped.notes.as_str()), (Some(0), ""));
    let seqs: Vec<u64> = dumped.lines().iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]) && seqs.len() > ended / 4, "{} of {ended}", seqs.len());
    count
}

/// Killed anywhere: the next compaction, or undo, puts the store in order.
#[test]
fn a_killed_compaction_is_finished_or_taken_back_by_the_next() {
    let directory = Directory::new("killed");
    let store = filled(&directory, 8);
    let before = told(&store);
    for round in 0..12_u64 {
        let plan = planned(&store, &["log", "compact", "--finished"]);
        let name = plan["name"].as_str().expect("a name");
        if plan["events"] == 0 {
            applied(&store, &["store", "undo"]);
            continue;
        }
        let words = ["log", "compact", "--finished", "--apply", "--plan", name, "--reason", REASON];
        let mut child = spawn(&store, &words);
        std::thread::sleep(std::time::Duration::from_millis(3 + round * 5));
        let _already_over = child.kill();
        let _killed = child.wait();
        assert_clean(&store);
        let undo = run(&store, &["store", "undo", "--json"], "");
        if undo.exit == Some(0) {
            // Finishing what is left may have made another plan of it.
            let words = |name: &str| {
                let words = ["store", "undo", "--apply", "--plan", name, "--reason", REASON];
                run(&store, &words, "")
            };
            let first = words(json(&undo)["name"].as_str().expect("a name"));
            if first.exit != Some(0) {
                assert!(first.notes.starts_with("error[T0401]"), "{first:?}");
                applied(&store, &["store", "undo"]);
            }
        }
        assert_clean(&store);
        assert!(told(&store) == before, "round {round}: events are missing");
    }
}

/// "There is nothing to compact: runs that have ended", said the plan for a store in which two had ended. They stay since what
/// could go of them lies in the newest segment; now the plan says so, of each of them.
#[test]
fn a_run_of_which_nothing_can_go_yet_is_told_with_the_reason() {
    let directory = Directory::new("stays");
    let store = directory.store();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
    assert_eq!(run(&store, &["log", "import", source.to_str().expect("UTF-8")], "").exit, Some(0));
    for more in [&["--finished"][..], &["--finished", "--drop"], &["--prefix"]] {
        if more.len() > 1 {
            assert_eq!(run(&store, &["snap", "create"], "").exit, Some(0));
        }
        let words = [&["log", "compact"], more].concat();
        let shown = run(&store, &words, "");
        assert_eq!(shown.exit, Some(0), "{shown:?}");
        assert!(shown.data.starts_with("there is nothing to compact: "), "{shown:?}");
        for name in ["fix-login", "nightly-7"] {
            let line = shown.data.lines().find(|line| line.starts_with(&format!("  stays   {name}: ")));
            assert!(line.is_some_and(|line| line.contains("in the newest segment")), "{name} {shown:?}");
        }
    }
    let none = run(&store, &["log", "compact", "--finished", "--status", "closed"], "");
    assert!(none.data.ends_with("\n  no run is one of those\n"), "{none:?}");
}

/// A directory with a blank in its name was two arguments in the command that the plan prints.
#[test]
fn the_command_that_forgets_names_directories_as_a_shell_takes_them() {
    let directory = Directory::new("forget-blank");
    let store = directory.store();
    std::fs::create_dir_all(store.join("quarantine/by hand")).expect("made");
    std::fs::write(store.join("quarantine/by hand/x"), "x").expect("written");
    let plan = planned(&store, &["store", "forget"]);
    let done = crate::going_back::typed(&store, plan["apply"].as_str().expect("a command"));
    assert_eq!(done.exit, Some(0), "{plan}: {done:?}");
    assert!(!store.join("quarantine/by hand").exists());
}
