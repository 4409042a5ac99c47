//! Damage, the plan that takes it out, and the way back.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kit::{Answer, Directory, dump, run, snapshot};

const SALVAGE: [&str; 4] = ["log", "repair", "--mode", "salvage"];
const REASON: &str = "a test: the disk was replaced";

fn filled(directory: &Directory) -> PathBuf {
    let store = directory.store();
    let line = |n: u32| format!("{{\"run\":\"release-42\",\"type\":\"deploy.step\",\"data\":{{\"n\":{n}}}}}\n");
    let lines: String = (0..40).map(line).collect();
    assert_eq!(run(&store, &["log", "append", "--create", "--atomic"], &lines).exit, Some(0));
    store
}

fn segment(store: &Path) -> PathBuf {
    store.join("segments/0000000001.seg")
}

/// Flips a bit of the payload of an event, and returns its seq.
fn flip(store: &Path, place: usize) -> u64 {
    let event = &dump(store)[place];
    let offset = event["offset"].as_u64().expect("an offset") + 49;
    let mut bytes = std::fs::read(segment(store)).expect("a segment");
    bytes[usize::try_from(offset).expect("small")] ^= 4;
    std::fs::write(segment(store), bytes).expect("written");
    event["seq"].as_u64().expect("a seq")
}

/// Bytes of an append that a crash cut short.
fn tear(store: &Path) {
    let mut bytes = std::fs::read(segment(store)).expect("a segment");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("frames") + 1;
    let end = end.next_multiple_of(8) + 8;
    bytes[end..end + 3].copy_from_slice(b"abc");
    std::fs::write(segment(store), bytes).expect("written");
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.data.lines().count(), 1, "{answer:?}");
    serde_json::from_str(&answer.data).expect("one JSON object")
}

fn plan(store: &Path, arguments: &[&str], exit: i32) -> Value {
    let answer = run(store, &[arguments, &["--json"]].concat(), "");
    assert_eq!((answer.exit, answer.notes.as_str()), (Some(exit), ""), "{answer:?}");
    json(&answer)
}

fn name(plan: &Value) -> String {
    plan["name"].as_str().expect("a name").to_owned()
}

fn verify(store: &Path) -> (Option<i32>, Value) {
    let answer = run(store, &["log", "verify", "--json"], "");
    (answer.exit, json(&answer))
}

/// Every command that an answer suggests is one: with `--help` it prints its help.
fn assert_hints_are_commands(store: &Path, answer: &Answer) {
    let mut hints = 0;
    for line in answer.data.lines().chain(answer.notes.lines()) {
        let Some((_, rest)) = line.split_once("taffrail ") else { continue };
        let command = rest.split("   (").next().expect("a part");
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = run(store, &words, "");
        assert_eq!(help.exit, Some(0), "{line}: {help:?}");
        hints += 1;
    }
    assert!(hints > 0, "no hint: {answer:?}");
}

#[test]
fn a_flipped_bit_is_planned_refused_applied_verified_and_undone() {
    let directory = Directory::new("salvage");
    let store = filled(&directory);
    let sound = dump(&store);
    let lost = flip(&store, 20);
    let damaged = std::fs::read(segment(&store)).expect("a segment");
    let verified = run(&store, &["log", "verify"], "");
    assert_eq!(verified.exit, Some(4), "{verified:?}");
    assert_hints_are_commands(&store, &verified);

    let before = snapshot(&store);
    let shown = run(&store, &SALVAGE, "");
    assert_eq!(shown.exit, Some(4), "{shown:?}");
    for part in ["(nothing written)", "you would lose: 1 event, from ", ", in run release-42", "--accept-loss 1"] {
        assert!(shown.data.contains(part), "{part}: {}", shown.data);
    }
    assert_hints_are_commands(&store, &shown);
    let planned = plan(&store, &SALVAGE, 4);
    assert_eq!((planned["schema"].as_str(), planned["lost"].as_u64()), (Some("taffrail.repair_plan/1"), Some(1)));
    assert_eq!(planned["lost_events"][0]["seq"], lost);
    let name = name(&planned);
    assert!(shown.data.starts_with(&format!("plan {name} ")), "{}", shown.data);
    let tail = run(&store, &["log", "repair"], "");
    assert!(tail.exit == Some(4) && tail.notes.starts_with("error[T0406]"), "{tail:?}");
    assert_hints_are_commands(&store, &tail);

    let apply = |plan: &str, loss: &str, reason: &str| {
        let words = ["--apply", "--plan", plan, "--accept-loss", loss, "--reason", reason];
        run(&store, &[&SALVAGE[..], &words].concat(), "")
    };
    let bare = |words: &[&str]| run(&store, &[&SALVAGE[..], words].concat(), "");
    for (refused, exit, code) in [
        (bare(&["--apply"]), 7, "T0401"),
        (apply("000000", "1", REASON), 7, "T0401"),
        (apply(&name[..5], "1", REASON), 7, "T0401"),
        (apply(&name, "0", REASON), 7, "T0402"),
        (apply(&name, "2", REASON), 7, "T0402"),
        (apply(&name, "1", " "), 2, "T0104"),
        (apply(&name, "1", "..."), 2, "T0104"),
        (bare(&["--apply", "--plan", &name, "--accept-loss", "1"]), 2, "T0104"),
        (bare(&["--apply-now"]), 7, "T0405"),
    ] {
        assert_eq!(refused.exit, Some(exit), "{refused:?}");
        assert!(refused.notes.starts_with(&format!("error[{code}]: ")), "{refused:?}");
        assert_hints_are_commands(&store, &refused);
    }
    assert!(snapshot(&store) == before, "a plan, or a refusal, changed the store");

    let applied = apply(&name, "1", REASON);
    assert_eq!((applied.exit, applied.notes.as_str()), (Some(0), ""), "{applied:?}");
    assert_hints_are_commands(&store, &applied);
    let (exit, report) = verify(&store);
    assert_eq!((exit, report["totals"]["absent"].as_u64()), (Some(0), Some(1)), "{report}");
    let keys = |value: &Value| -> Vec<String> { value.as_object().expect("an object").keys().cloned().collect() };
    assert_eq!(keys(&report)[keys(&report).len() - 2..], ["severity", "totals"], "the sums end the object");
    assert_eq!(keys(&report["totals"]), ["events", "lost", "absent", "redacted", "bytes_checked", "bytes_total"]);
    assert_eq!(report["absences"], serde_json::json!([{"first": lost, "last": lost}]));
    let mut left = dump(&store);
    let told = left.pop().expect("an event that tells of it");
    assert_eq!((told["type"].as_str(), told["data"]["reason"].as_str()), (Some("OperatorAction"), Some(REASON)));
    assert!(told["data"]["actor"].as_str().is_some_and(|actor| actor.starts_with("uid:")), "{told}");
    let seqs = |events: &[Value]| -> Vec<u64> { events.iter().filter_map(|event| event["seq"].as_u64()).collect() };
    let expected: Vec<u64> = seqs(&sound).into_iter().filter(|seq| *seq != lost).collect();
    assert_eq!(seqs(&left), expected);

    let before = snapshot(&store);
    let again = apply(&name, "1", REASON);
    assert_eq!(again.exit, Some(0), "repair twice is repair once: {again:?}");
    assert!(again.data.starts_with("nothing to repair: ") && snapshot(&store) == before, "{again:?}");
    undo(&store, &damaged);
}

/// Where the first frame of a segment begins: before it stand the header blocks, which say that it was put back.
const FIRST_FRAME: usize = 4608;

/// The original is put back, every byte of its frames; an end is added, since it is not the newest segment any more.
fn undo(store: &Path, damaged: &[u8]) {
    let before = snapshot(store);
    let shown = run(store, &["store", "undo"], "");
    assert_eq!(shown.exit, Some(0), "{shown:?}");
    assert_hints_are_commands(store, &shown);
    let planned = plan(store, &["store", "undo"], 0);
    assert_eq!(planned["schema"], "taffrail.undo_plan/1");
    let refused = run(store, &["store", "undo", "--apply", "--plan", "000000", "--reason", REASON], "");
    assert!(refused.exit == Some(7) && refused.notes.starts_with("error[T0401]"), "{refused:?}");
    assert!(snapshot(store) == before, "a plan, or a refusal, changed the store");
    let name = name(&planned);
    let undone = run(store, &["store", "undo", "--apply", "--plan", &name, "--reason", REASON, "--json"], "");
    assert_eq!(undone.exit, Some(0), "{undone:?}");
    assert_eq!(json(&undone)["schema"], "taffrail.applied/1");
    let written = damaged.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let back = std::fs::read(segment(store)).expect("a segment");
    assert!(
        back[FIRST_FRAME..].starts_with(&damaged[FIRST_FRAME..written]) && back.len() > written,
        "every byte is back"
    );
    assert_eq!(verify(store).0, Some(4));
}

#[test]
fn a_healthy_store_has_nothing_to_repair_and_nothing_to_undo() {
    let directory = Directory::new("healthy");
    let store = filled(&directory);
    let before = snapshot(&store);
    for arguments in [&["log", "repair"][..], &SALVAGE, &["log", "repair", "--mode", "tail", "--apply"]] {
        let answer = run(&store, arguments, "");
        assert_eq!(answer.exit, Some(0), "{answer:?}");
        assert!(answer.data.starts_with("nothing to repair: "), "{answer:?}");
    }
    assert_eq!(plan(&store, &SALVAGE, 0)["apply"], Value::Null);
    for (arguments, code) in [(&["store", "undo"][..], "T0404"), (&["store", "undo", "1"], "T0404")] {
        let answer = run(&store, arguments, "");
        assert_eq!(answer.exit, Some(1), "{answer:?}");
        assert!(answer.notes.starts_with(&format!("error[{code}]")), "{answer:?}");
        assert_hints_are_commands(&store, &answer);
    }
    assert!(snapshot(&store) == before);
}

#[test]
fn a_torn_tail_is_cut_without_loss_and_that_cannot_be_undone() {
    let directory = Directory::new("torn");
    let store = filled(&directory);
    let sound = dump(&store);
    tear(&store);
    let before = snapshot(&store);
    let shown = run(&store, &["log", "repair"], "");
    assert_eq!(shown.exit, Some(3), "{shown:?}");
    assert!(shown.data.contains("you would lose: nothing that was acknowledged"), "{}", shown.data);
    assert_hints_are_commands(&store, &shown);
    let planned = plan(&store, &["log", "repair"], 3);
    assert_eq!((planned["lost"].as_u64(), planned["mode"].as_str()), (Some(0), Some("tail")));
    assert!(snapshot(&store) == before, "a plan changed the store");
    let name = name(&planned);
    let applied = run(&store, &["log", "repair", "--apply", "--plan", &name, "--reason", REASON, "--json"], "");
    assert_eq!(applied.exit, Some(0), "{applied:?}");
    assert_eq!((json(&applied)["lost"].as_u64(), &json(&applied)["undo"]), (Some(0), &Value::Null));
    let left = dump(&store);
    assert_eq!(left[..sound.len()], sound[..], "nothing is lost");
    assert_eq!(verify(&store).0, Some(0));
    let undo = run(&store, &["store", "undo"], "");
    assert!(undo.exit == Some(7) && undo.notes.starts_with("error[T0403]"), "{undo:?}");
    assert_hints_are_commands(&store, &undo);
}

#[test]
fn an_original_that_has_gone_bad_in_quarantine_is_not_put_back() {
    // Bug: whatever lay in the quarantine was put back as the original, and nothing was said to be lost by it.
    let directory = Directory::new("spoiled-original");
    let store = filled(&directory);
    flip(&store, 20);
    let name = name(&plan(&store, &SALVAGE, 4));
    let words = ["--apply", "--plan", &name, "--accept-loss", "1", "--reason", REASON];
    assert_eq!(run(&store, &[&SALVAGE[..], &words].concat(), "").exit, Some(0));
    let kept = store.join("quarantine").join(&name);
    let original = kept.read_dir().expect("the quarantine").map(|entry| entry.expect("readable").path());
    let original =
        original.into_iter().find(|path| path.extension().is_some_and(|it| it == "bin")).expect("an original");
    let bytes = std::fs::read(&original).expect("the original");
    let mut spoiled = bytes.clone();
    spoiled[20_000] ^= 1;
    for bad in [&spoiled[..], &bytes[..bytes.len() / 2], b""] {
        std::fs::write(&original, bad).expect("written");
        let before = snapshot(&store);
        let undo = run(&store, &["store", "undo"], "");
        assert!(undo.exit != Some(0) && undo.notes.contains("is not what was kept"), "{undo:?}");
        assert!(snapshot(&store) == before, "a refusal changed the store");
    }
    std::fs::write(&original, bytes).expect("written");
    assert_eq!(run(&store, &["store", "undo"], "").exit, Some(0));
}
