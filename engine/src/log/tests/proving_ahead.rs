//! Reading with threads that prove ahead: the same events, losses and errors as without, whatever is in the files.

use super::crash_workload::Random;
use super::damage_kit::{Files, files_of, store_of};
use crate::storage::{Memory, Storage, Transfer, Watched};
use crate::{Batch, Expect, Journal, Query, Reader, Seq, TypeEntry};
use std::sync::Arc;

/// Three segments and an unsealed one, of frames that are much shorter and much longer than a piece.
fn write(storage: Arc<dyn Storage>) {
    let journal = Journal::options().create(true).segment_len_bytes(256 << 10).open_on(storage).unwrap();
    let entry = Arc::new(TypeEntry::json("step.done"));
    let mut random = Random(7);
    for number in 0..2_000 {
        let mut batch = Batch::new();
        let run = batch.run_or_create(["a", "b", "c"][random.index(3)], Expect::Any);
        for _ in 0..1 + random.index(3) {
            let len = match random.below(100) {
                0 => 5_000 + random.index(30_000),
                1..=5 => 1_000 + random.index(4_000),
                _ => random.index(300),
            };
            let filler = [b'x', b'y', 0][random.index(3)];
            batch.event(Some(run), &entry, &vec![filler; len]);
        }
        if number == 1_000 {
            batch.event(None, &Arc::new(TypeEntry::json("later.type")), b"{}");
        }
        journal.append(batch).unwrap();
    }
    std::mem::forget(journal);
}

/// All that a reader is told, to the first error or past damage.
fn told(storage: &Arc<dyn Storage>, query: &Query, threads: usize, past_damage: bool) -> Vec<String> {
    let read = || -> crate::Result<Vec<String>> {
        let reader = Reader::open_on(Arc::clone(storage))?;
        let mut events = reader.events(query.clone())?.prove_ahead(threads);
        let mut told = Vec::new();
        loop {
            let next = match past_damage {
                true => events.next_or_loss().map(|next| next.map(|next| format!("{next:?}"))),
                false => events.next().map(|next| next.map(|record| format!("{record:?}"))),
            };
            match next {
                Ok(Some(next)) => told.push(next),
                Ok(None) => break,
                Err(error) => {
                    told.push(format!("{error:?}"));
                    break;
                }
            }
        }
        told.push(format!("durable {}", events.durable()));
        Ok(told)
    };
    read().unwrap_or_else(|error| vec![format!("{error:?}")])
}

fn written() -> Files {
    let memory = Arc::new(Memory::new());
    write(Arc::clone(&memory) as Arc<dyn Storage>);
    files_of(&*memory)
}

#[test]
fn what_is_read_is_the_same_with_threads_from_anywhere() {
    let storage: Arc<dyn Storage> = Arc::new(store_of(&written()));
    let all = told(&storage, &Query::all(), 0, false);
    assert!(all.len() > 3_000);
    for threads in [1, 3] {
        assert_eq!(told(&storage, &Query::all(), threads, false), all);
        assert_eq!(told(&storage, &Query::all(), threads, true).len(), all.len());
    }
    let seq = |number: u64| Seq::new(number).unwrap();
    for from in [2, 700, 1_999, 3_500] {
        let queries = [
            Query::all().from(seq(from)),
            Query::all().from(seq(from)).until(seq(from + 400)),
            Query::all().run(seq(3)).from(seq(from)),
            Query::all().from(seq(from)).reverse(),
        ];
        for query in queries {
            assert_eq!(told(&storage, &query, 2, false), told(&storage, &query, 0, false), "{query:?}");
        }
    }
}

#[test]
fn damage_is_told_the_same_with_threads() {
    let files = written();
    let segments: Vec<&String> = files.keys().filter(|name| name.starts_with("segments/")).collect();
    assert!(segments.len() >= 3, "{segments:?}");
    let mut random = Random(9);
    let mut differing = 0;
    let intact = told(&(Arc::new(store_of(&files)) as Arc<dyn Storage>), &Query::all(), 0, true);
    for case in 0..120 {
        let mut damaged = files.clone();
        for _ in 0..=random.index(3) {
            let bytes = damaged.get_mut(segments[random.index(segments.len())]).unwrap();
            let at = random.index(bytes.len());
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes.truncate(at),
                2 => {
                    let end = (at + random.index(9_000)).min(bytes.len());
                    bytes[at..end].fill(0);
                }
                _ => {
                    let end = (at + 512).min(bytes.len());
                    let from = random.index(bytes.len() - (end - at));
                    bytes.copy_within(from..from + (end - at), at);
                }
            }
        }
        let storage: Arc<dyn Storage> = Arc::new(store_of(&damaged));
        for past_damage in [false, true] {
            let alone = told(&storage, &Query::all(), 0, past_damage);
            assert_eq!(told(&storage, &Query::all(), 2, past_damage), alone, "case {case}, past damage: {past_damage}");
            differing += usize::from(alone != intact);
        }
    }
    assert!(differing > 120, "{differing}: nothing was damaged");
}

/// A thread that dies takes its piece with it, and the reader waited for that piece for ever.
#[test]
fn threads_that_die_or_fail_to_read_cost_nothing() {
    let storage: Arc<dyn Storage> = Arc::new(store_of(&written()));
    let all = told(&storage, &Query::all(), 0, false);
    let panicking: Arc<dyn Storage> = Arc::new(Watched::new(storage, |transfer, _| {
        let is_helper = std::thread::current().name() == Some("taffrail-ahead");
        assert!(!is_helper || transfer != Transfer::Read, "as the test wants it");
    }));
    assert_eq!(told(&panicking, &Query::all(), 2, false), all);
}
