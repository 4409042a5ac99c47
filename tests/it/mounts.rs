//! File systems that are full, and such that nothing can be written to.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::imports::make_run;
use crate::kit::{Directory, dump, run, snapshot};
use crate::reading_only::{READING, filled, tear};

/// A mount of ours, which ends with the test, however that ends.
struct Mount(PathBuf);

impl Mount {
    /// `None`, and a word about it, where this process may not mount.
    #[allow(clippy::print_stderr, reason = "a test that checks nothing has to say so")]
    fn new(arguments: &[&str], at: &Path) -> Option<Mount> {
        let output = Command::new("mount").args(arguments).arg(at).output();
        match output {
            Ok(output) if output.status.success() => Some(Mount(at.to_path_buf())),
            Ok(output) => {
                eprintln!("SKIPPED: no mount here: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                eprintln!("SKIPPED: no mount here: {error}");
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let lazily = || Command::new("umount").arg("-l").arg(&self.0).status();
        if !Command::new("umount").arg(&self.0).status().is_ok_and(|status| status.success()) {
            let _best_effort = lazily();
        }
    }
}

fn lines(count: usize) -> String {
    let filler = "x".repeat(1000);
    let line = |number| format!("{{\"run\":\"r\",\"type\":\"t\",\"data\":{{\"n\":{number},\"x\":\"{filler}\"}}}}\n");
    (0..count).map(line).collect()
}

#[test]
fn a_full_disk_is_told_nothing_acknowledged_is_lost_and_room_is_all_it_needs() {
    let directory = Directory::new("full");
    let place = directory.path().join("tmpfs");
    std::fs::create_dir(&place).expect("a directory");
    let Some(_mount) = Mount::new(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], &place) else { return };
    let store = place.join("store");
    assert_eq!(run(&store, &["store", "init", "--segment-size", "256KiB"], "").exit, Some(0));
    let filler = place.join("filler");
    std::fs::write(&filler, vec![1; 1 << 20]).expect("room for it");

    let mut durable = 0;
    let mut append = || {
        let answer = run(&store, &["--json", "log", "append", "--create"], &lines(100));
        durable = answer.lines().last().and_then(|last| last["durable"].as_u64()).unwrap_or(durable);
        answer
    };
    let full =
        (0..20).map(|_| append()).find(|answer| answer.exit != Some(0)).expect("1 MiB is full after 20 times 100 KiB");
    assert_eq!((full.exit, &full.error()["code"]), (Some(74), &Value::from("T0312")), "{}", full.notes);
    assert!(durable > 100, "some were appended before");
    let events = dump(&store);
    assert_eq!(events.len() as u64, durable, "what was acknowledged, and nothing else");
    let verified = run(&store, &["log", "verify"], "");
    assert_eq!(verified.exit, Some(0), "{}", verified.data);
    let source = directory.path().join("source");
    make_run(&source, "run", 900);
    let import = ["--json", "log", "import", source.to_str().expect("UTF-8")];
    std::fs::write(place.join("rest"), vec![1; 2 << 20]).expect_err("it is full");
    let refused = run(&store, &import, "");
    assert_eq!((refused.exit, &refused.error()["code"]), (Some(74), &Value::from("T0312")));
    assert_eq!(run(&store, &["log", "verify"], "").exit, Some(0));

    std::fs::remove_file(place.join("rest")).expect("removed");
    std::fs::remove_file(&filler).expect("removed");
    let more = run(&store, &["log", "append"], &lines(100));
    assert_eq!(more.exit, Some(0), "{}", more.notes);
    assert_eq!(run(&store, &import, "").exit, Some(0));
    assert_eq!(run(&store, &["log", "verify"], "").exit, Some(0));
}

#[test]
fn on_a_read_only_mount_everything_is_read_and_every_change_is_refused_with_a_code() {
    let directory = Directory::new("read-only");
    let place = directory.path().join("place");
    std::fs::create_dir(&place).expect("a directory");
    let made = filled(&directory);
    let store = place.join("store");
    std::fs::rename(&made, &store).expect("moved");
    let source = directory.path().join("source");
    make_run(&source, "run", 3);
    let bound = place.to_str().expect("UTF-8").to_owned();
    let Some(_mount) = Mount::new(&["--bind", &bound], &place) else { return };
    let remount = |mode: &str| {
        let options = format!("remount,bind,{mode}");
        let status = Command::new("mount").args(["-o", &options]).arg(&place).status().expect("mount runs");
        assert!(status.success(), "{options}");
    };
    let source = source.to_str().expect("UTF-8");
    let new_store = place.join("new");
    let new_store = new_store.to_str().expect("UTF-8");
    for torn in [false, true] {
        if torn {
            remount("rw");
            tear(&store);
        }
        remount("ro");
        let before = snapshot(&store);
        for arguments in READING {
            let judges = ["verify", "info", "stat"].iter().any(|word| arguments.contains(word));
            let answer = run(&store, arguments, "");
            let expected = if torn && judges { 3 } else { 0 };
            assert_eq!(answer.exit, Some(expected), "{arguments:?}: {} {}", answer.data, answer.notes);
        }
        let mut changing = vec![
            vec!["log", "append", "--run", "r", "--type", "t", "1"],
            vec!["log", "mark", "here"],
            vec!["log", "import", source],
            vec!["store", "init", new_store],
        ];
        let plan = run(&store, &["--json", "log", "repair"], "");
        let plan: Value = serde_json::from_str(&plan.data).expect("a plan is only looked at");
        if torn {
            let name = plan["name"].as_str().expect("a name");
            changing.push(vec!["log", "repair", "--apply", "--plan", name, "--reason", "a crash"]);
        }
        for arguments in &changing {
            let answer = run(&store, &[&["--json"], arguments.as_slice()].concat(), "");
            assert_eq!((answer.exit, answer.data.as_str()), (Some(74), ""), "{arguments:?}: {}", answer.notes);
            assert_eq!(answer.error()["code"], "T0309", "{arguments:?}");
        }
        assert!(snapshot(&store) == before);
    }
}
