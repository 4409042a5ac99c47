//! Appending and replaying allocate nothing for an event: counted by the allocator.
#![allow(unsafe_code, reason = "an allocator can not be written without it; it forwards every call and counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use taffrail::{Expect, Journal, Options, Query, Reader, SyncPolicy, TypeEntry};

struct Counting;

thread_local!(static COUNT: Cell<u64> = const { Cell::new(0) });

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<T>(act: impl FnOnce() -> T) -> (u64, T) {
    let before = COUNT.with(Cell::get);
    let value = act();
    (COUNT.with(Cell::get) - before, value)
}

/// A store's directory, removed with the value.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("taffrail-allocations-{name}-{}", std::process::id()));
        let _nothing_there = std::fs::remove_dir_all(&path);
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _nothing_there = std::fs::remove_dir_all(&self.0);
    }
}

/// What may be allocated beside the events: tables that grow by doubling.
const MOST_BESIDE: u64 = 20;

fn append(options: Options, name: &str, count: u32) -> (u64, Directory) {
    let directory = Directory::new(name);
    let journal = options.create(true).open(&directory.0).expect("a store");
    let entry = Arc::new(TypeEntry::json("step.done"));
    let mut appender = journal.run_or_create("nightly").expect("a run").appender(&entry);
    let mut payload = [b'x'; 128];
    let mut go = |count: u32| {
        for number in 0..count {
            payload[..4].copy_from_slice(&number.to_le_bytes());
            appender.append(Expect::Any, &payload).expect("an append");
        }
    };
    // The first ones register the type, and let the buffers grow to their length.
    go(3000);
    let (mut counted, ()) = allocations(|| go(count));
    let batch = [[b'x'; 128]; 50];
    let mut go = |count: u32| {
        for _ in 0..count / 50 {
            appender.append_all(Expect::Any, &batch).expect("a batch");
        }
    };
    go(100);
    counted += allocations(|| go(count)).0;
    drop(appender);
    journal.close().expect("a close");
    (counted, directory)
}

#[test]
fn a_counter_that_does_not_count_would_prove_nothing() {
    let (counted, boxes) = allocations(|| (0..10).map(Box::new).collect::<Vec<Box<u32>>>());
    assert!(counted >= 10 && boxes.len() == 10);
}

#[test]
fn appending_allocates_nothing_for_an_event_in_any_mode() {
    let buffered = Journal::options().exclusive(true).sync(SyncPolicy::Never);
    let (counted, _directory) = append(buffered, "buffered", 20_000);
    assert!(counted <= MOST_BESIDE, "{counted} allocations for 20,000 buffered appends");
    for (name, exclusive) in [("exclusive", true), ("shared", false)] {
        let (counted, _directory) = append(Journal::options().exclusive(exclusive), name, 200);
        assert!(counted <= MOST_BESIDE, "{counted} allocations for 200 durable appends, {name}");
    }
}

#[test]
fn replaying_allocates_nothing_for_an_event() {
    let (_, directory) = append(Journal::options().exclusive(true).sync(SyncPolicy::Never), "replay", 20_000);
    let reader = Reader::open(&directory.0).expect("a store");
    let mut events = reader.events(Query::all()).expect("events");
    let mut bytes = 0;
    let mut read = |most: u32| {
        let mut count = 0;
        while count < most
            && let Some(record) = events.next().expect("an event")
        {
            bytes += record.payload.len();
            count += 1;
        }
        count
    };
    // The first one opens the segment.
    assert_eq!(read(1), 1);
    let (counted, count) = allocations(|| read(u32::MAX));
    assert!(count > 20_000);
    assert!(counted <= MOST_BESIDE, "{counted} allocations for {count} events");
    assert!(bytes > 20_000 * 128);
}
