//! Bytes of frames copied, moved, swapped, spliced in from another log, inserted and taken out, by the ten thousand.

use super::crash::number_from_environment;
use super::crash_workload::Random;
use super::damage_kit::{
    Intact, Placed, append, described, intact, lost, number, ranges, segment_name, store_of, verified,
};
use crate::lab_result::tell;
use crate::storage::{Memory, Storage};
use crate::{Journal, Severity};
use std::sync::Arc;
use taffrail_log_format::layout;

/// Surgeries if nobody says otherwise.
const SURGERIES: u64 = 2_000;

/// The same events in a log of another id.
fn foreign() -> Intact {
    let memory = Memory::new();
    let _first_id = memory.random_id().unwrap();
    let journal =
        Journal::options().create(true).segment_len_bytes(20 << 10).open_on(Arc::new(memory.clone())).unwrap();
    append(&journal, 0..70);
    journal.close().unwrap();
    described(&memory)
}

fn range_of(frame: &Placed) -> std::ops::Range<usize> {
    usize::try_from(frame.offset).unwrap()..usize::try_from(frame.end).unwrap()
}

/// One surgery on a segment's bytes, and what it was. Lengths stay as they are.
fn operate(random: &mut Random, bytes: &mut [u8], frames: &[Placed], other: &[u8], donor: &[Placed]) -> String {
    let start = usize::try_from(layout::FIRST_FRAME).unwrap();
    let end = usize::try_from(frames[frames.len() - 1].end).unwrap();
    let one = range_of(&frames[random.index(frames.len())]);
    let two = range_of(&frames[random.index(frames.len())]);
    let before = bytes.to_vec();
    let len = bytes.len();
    let mut put = |at: usize, piece: &[u8]| {
        let piece = &piece[..piece.len().min(end - at)];
        bytes[at..at + piece.len()].copy_from_slice(piece);
    };
    match random.below(8) {
        0 => {
            put(one.start, &before[two.clone()]);
            format!("frame {two:x?} copied to {one:x?}")
        }
        1 => {
            put(one.start, &before[two.clone()]);
            put(two.start, &before[one.clone()]);
            format!("frames {one:x?} and {two:x?} swapped")
        }
        2 => {
            let from = range_of(&donor[random.index(donor.len())]);
            put(one.start, &other[from.clone()]);
            format!("frame {from:x?} of another file spliced in at {one:x?}")
        }
        3 => {
            let moved = [&before[one.end..end], &vec![0; one.len()][..]].concat();
            put(one.start, &moved);
            format!("frame {one:x?} taken out, the rest moved up")
        }
        4 => {
            let moved = [&before[two.clone()], &before[one.start..end]].concat();
            put(one.start, &moved);
            format!("frame {two:x?} inserted before {one:x?}")
        }
        5 => {
            // Nested: a whole frame within another one's payload.
            let at = one.start + 48.min(one.len() - 1);
            put(at, &before[two.clone()]);
            format!("frame {two:x?} nested in {one:x?}")
        }
        6 => {
            let at = start + random.index(end - start);
            let from = random.index(len);
            let count = 1 + random.index(200);
            put(at, &before[from..(from + count).min(len)]);
            format!("{count} bytes from {from:#x} copied to {at:#x}")
        }
        _ => {
            let at = start + random.index(end - start);
            let noise: Vec<u8> = (0..1 + random.index(64)).map(|_| random.next().to_le_bytes()[0]).collect();
            put(at, &noise);
            format!("noise at {at:#x}")
        }
    }
}

/// Performs surgeries and compares what is lost with the frames whose bytes have changed.
fn surgeries(count: u64) -> u64 {
    let (log, foreign) = (intact(20 << 10, 70), foreign());
    let segments = u32::try_from(log.frames.len()).unwrap();
    let (log, foreign) = (&log, &foreign);
    let changes: Vec<u64> = std::thread::scope(|scope| {
        let work = |remainder: u64| {
            let mut changed = 0;
            for seed in (0..count).filter(|seed| seed % 2 == remainder) {
                let mut random = Random(seed ^ 0x5046);
                let segment = 1 + u32::try_from(random.below(segments.into())).unwrap();
                let donor = 1 + u32::try_from(random.below(segments.into())).unwrap();
                let from = if random.percent(50) { log } else { foreign };
                let (other, donors) = (&from.files[&segment_name(donor)], &from.frames[&number(donor)]);
                let frames = &log.frames[&number(segment)];
                let mut files = log.files.clone();
                let bytes = files.get_mut(&segment_name(segment)).unwrap();
                let what = operate(&mut random, bytes, frames, other, donors);
                let intact = &log.files[&segment_name(segment)];
                let touched = |frame: &&Placed| {
                    let payload_end = usize::try_from(frame.payload_end).unwrap();
                    let start = usize::try_from(frame.offset).unwrap();
                    bytes[start..payload_end] != intact[start..payload_end]
                };
                let hit: Vec<Placed> = frames.iter().filter(touched).copied().collect();
                if hit.is_empty() {
                    continue;
                }
                changed += 1;
                let report = verified(&store_of(&files));
                let tell = || format!("surgery {seed}, segment {segment}: {what}: {report:#?}");
                assert_eq!(lost(&report), ranges(&hit), "{}", tell());
                assert_eq!(report.severity, Severity::Damaged, "{}", tell());
            }
            changed
        };
        let threads: Vec<_> = (0..2).map(|remainder| scope.spawn(move || work(remainder))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    changes.into_iter().sum()
}

#[test]
fn what_surgery_costs_is_what_it_touches() {
    let count = number_from_environment("TAFFRAIL_SURGERIES").unwrap_or(SURGERIES);
    tell("surgery", &["P4", "P5", "P8"], || (surgeries(count), vec![]));
}
