//! A writer that is killed at any moment loses nothing that it acknowledged.

use std::io::Write;
use std::time::Duration;

use crate::kit::{Directory, answer, dump, run, spawn};

const KILLS: u64 = 100;

#[test]
fn what_was_acknowledged_survives_kill_9_at_any_moment() {
    let directory = Directory::new("kill9");
    let store = directory.store();
    let mut acknowledged = Vec::new();
    let mut cut_short = 0;
    for kill in 0..KILLS {
        let mut child = spawn(&store, &["log", "append", "--create", "--run", "r", "--type", "t"]);
        let mut input = child.stdin.take().expect("a pipe");
        let answer = std::thread::scope(|scope| {
            scope.spawn(move || {
                // More than any machine appends before the kill: the pipe breaks first.
                for number in 0..200_000_u64 {
                    let padding = "x".repeat(usize::try_from((kill * 37 + number) % 300).expect("small"));
                    let line = format!("{{\"data\":{{\"id\":\"{kill}-{number}\",\"padding\":\"{padding}\"}}}}\n");
                    if input.write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            });
            std::thread::sleep(Duration::from_micros(2_000 + kill * 7_919 % 40_000));
            let _dead_already = child.kill();
            answer(child)
        });
        cut_short += u64::from(answer.exit.is_none());
        let whole = answer.data.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            let ack: serde_json::Value = serde_json::from_str(line).expect("a whole line");
            acknowledged.push((kill, ack["first"].as_u64().expect("a seq"), ack["last"].as_u64().expect("a seq")));
        }
    }
    assert!(cut_short > KILLS / 2, "only {cut_short} of {KILLS} were at work when they were killed");
    assert!(!acknowledged.is_empty(), "none came to acknowledge anything");
    let events = dump(&store);
    for (kill, first, last) in acknowledged {
        for seq in first..=last {
            let event = &events[usize::try_from(seq).expect("small") - 1];
            assert_eq!(event["seq"], seq);
            let id = event["data"]["id"].as_str().unwrap_or_else(|| panic!("{event}"));
            assert!(id.starts_with(&format!("{kill}-")), "seq {seq} was acknowledged to writer {kill}, and holds {id}");
        }
    }
    let reopened = run(&store, &["log", "append", "--run", "r", "--type", "t", "1"], "");
    assert_eq!(reopened.exit, Some(0), "{}", reopened.notes);
    let verified = run(&store, &["log", "verify"], "");
    assert_eq!(verified.exit, Some(0), "{}", verified.data);
}
