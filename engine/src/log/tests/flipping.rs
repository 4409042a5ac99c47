//! Every bit of a log, flipped.

use super::damage_kit::{Intact, Placed, check, intact, kinds, lost, number, ranges, segment_name, store_of, verified};
use crate::lab_result::tell;
use crate::storage::{OpenMode, Storage};
use crate::{Depth, SegmentNumber, Severity, VerifyReport};
use taffrail_log_format::layout;

/// Flips every bit of a file that has this remainder, verifies, and hands the report to the oracle.
fn flip_all(
    intact: &Intact,
    name: &str,
    remainder: usize,
    store: &dyn Storage,
    oracle: &dyn Fn(u64, u8, &VerifyReport),
) {
    let file = store.open(name, OpenMode::Write).unwrap();
    let bytes = &intact.files[name];
    for (place, byte) in bytes.iter().enumerate().filter(|(place, _)| place % 2 == remainder) {
        let offset = place as u64;
        for bit in 0..8 {
            let flipped = byte ^ 1 << bit;
            file.write_at(offset, &[flipped]).unwrap();
            // The CRCs find it without the decoding; one in sixteen is decoded all the same.
            let depth = if place % 32 < 2 { Depth::Decode } else { Depth::Frames };
            let report = check(store, depth);
            oracle(offset, flipped, &report);
        }
        file.write_at(offset, &[*byte]).unwrap();
    }
}

/// What a flip in a segment's file must come to.
fn judge_segment(intact: &Intact, segment: SegmentNumber, offset: u64, flipped: u8, report: &VerifyReport) {
    let name = format!("segments/{}", segment.file_name());
    let place = usize::try_from(offset).unwrap();
    let frame = |frame: &&Placed| frame.offset <= offset && offset < frame.end;
    let frame = intact.frames[&segment].iter().find(frame);
    let tell = || format!("segment {segment} byte {offset:#x} {flipped:#x}: {report:#?}");
    assert_eq!(report.findings.len(), 1, "{}", tell());
    let finding = &report.findings[0];
    assert_eq!(finding.segment, Some(segment.get()), "{}", tell());
    assert!((finding.start..finding.end).contains(&offset), "{}", tell());
    let flip = finding.likely_flip.unwrap_or_else(|| panic!("no likely flip: {}", tell()));
    assert_eq!((flip.offset, flip.found, flip.restored), (offset, flipped, intact.files[&name][place]), "{}", tell());
    match frame {
        Some(frame) if offset < frame.payload_end => {
            assert_eq!(report.severity, Severity::Damaged, "{}", tell());
            assert_eq!(lost(report), ranges(&[*frame]), "{}", tell());
            assert_eq!((finding.start, finding.end), (frame.offset, frame.end), "{}", tell());
            let event = finding.event.as_ref().map(|event| (event.seq, event.run, event.time_ns));
            let header = frame.header;
            let named = (header.seq.get(), header.run.map(crate::Seq::get), header.time_ns);
            assert_eq!(event, header.kind.takes_seq().then_some(named), "{}", tell());
            if let Some(event) = &finding.event {
                assert!(event.type_name.is_some() && event.run.is_some() == event.run_name.is_some(), "{}", tell());
            }
        }
        Some(_) => {
            assert_eq!((kinds(report), report.severity), (vec!["PADDING"], Severity::Clean), "{}", tell());
            assert_eq!(lost(report), [], "{}", tell());
        }
        None => {
            let in_block = offset < 512 || (layout::SECOND_BLOCK..layout::FIRST_FRAME).contains(&offset);
            let kind = if in_block { "BLOCK_COPY" } else { "FREE_SPACE" };
            // Bytes behind the newest event are a torn tail to whoever opens the store, by the rule; where the last byte
            // of a header would be, they are ambiguous. Bytes between the header blocks mean nothing to anybody.
            let severities: &[Severity] = match (in_block, offset < layout::FIRST_FRAME) {
                (true, _) => &[Severity::Damaged],
                (false, true) => &[Severity::Clean],
                (false, false) => &[Severity::TornTail, Severity::Damaged],
            };
            assert_eq!((kinds(report), lost(report)), (vec![kind], vec![]), "{}", tell());
            assert!(severities.contains(&report.severity), "{}", tell());
        }
    }
}

/// What a flip in another file must come to.
fn judge_other(intact: &VerifyReport, name: &str, offset: u64, report: &VerifyReport) {
    let in_slot = layout::watermark::SLOTS.iter().any(|slot| (*slot..slot + 64).contains(&offset));
    let tell = || format!("{name} byte {offset:#x}: {report:#?}");
    match (name, in_slot) {
        ("watermark", true) => {
            assert_eq!((kinds(report), report.severity), (vec!["WATERMARK_SLOT"], Severity::Damaged), "{}", tell());
        }
        ("watermark", false) => {
            assert_eq!((kinds(report), report.severity), (vec!["FREE_SPACE"], Severity::Clean), "{}", tell());
        }
        // Hints: they are checked where they are used.
        _ => assert_eq!((&report.findings, &report.segments), (&intact.findings, &intact.segments), "{}", tell()),
    }
    assert_eq!(report.totals.lost, 0, "{}", tell());
}

#[test]
fn flip_every_bit() {
    let _flips = flip_every_bit_of(intact(11 << 10, 30), 11 << 10);
}

/// The same at twice the length: half a million flips, for the long run.
#[test]
#[ignore = "takes about a minute; `cargo test -p taffrail --all-features -- --ignored flip_every`"]
fn flip_every_bit_of_64_kib() {
    tell("bit-flips", &["P4", "P5"], || (flip_every_bit_of(intact(20 << 10, 70), 24 << 10), vec![]));
}

/// How many bits were flipped.
fn flip_every_bit_of(mut log: Intact, newest_len_bytes: usize) -> u64 {
    assert_eq!(log.frames.len(), 3);
    // Zeros are written ahead up to 64 KiB; fewer of them serve as well.
    log.files.get_mut(&segment_name(3)).unwrap().truncate(newest_len_bytes);
    let clean = verified(&store_of(&log.files));
    assert_eq!((clean.severity, clean.findings.len()), (Severity::Clean, 0), "{clean:#?}");
    assert_eq!(clean.totals.events, log.last);
    let (log, clean) = (&log, &clean);
    std::thread::scope(|scope| {
        for remainder in 0..2 {
            scope.spawn(move || {
                let store = store_of(&log.files);
                for name in log.files.keys() {
                    let segment = name.strip_prefix("segments/").and_then(SegmentNumber::from_file_name);
                    flip_all(log, name, remainder, &store, &|offset, flipped, report| match segment {
                        Some(segment) => judge_segment(log, segment, offset, flipped, report),
                        None => judge_other(clean, name, offset, report),
                    });
                }
                assert_eq!(&verified(&store), clean);
            });
        }
    });
    assert!(log.frames[&number(1)].len() > 10);
    log.files.values().map(|bytes| bytes.len() as u64 * 8).sum()
}
