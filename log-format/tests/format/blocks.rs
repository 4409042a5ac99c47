//! What a segment's header blocks may say, and what contradicts itself.

use crate::image::{LOG, header, seq};
use taffrail_log_format::crc32c;
use taffrail_log_format::{DefectKind, LogId, RawBlock, SegmentHeader, SegmentNumber, SyncPolicyTag, layout};

fn read(header: &SegmentHeader) -> Option<SegmentHeader> {
    RawBlock::new(&header.encode()).check(0).ok()
}

/// A block with a byte changed, and its CRC made to match.
fn resealed(header: &SegmentHeader, at: usize, value: u8) -> Option<SegmentHeader> {
    let mut block = header.encode();
    block[at] = value;
    let crc = crc32c(&block[..layout::block::CRC]);
    block[layout::block::CRC..].copy_from_slice(&crc.to_le_bytes());
    RawBlock::new(&block).check(0).ok()
}

#[test]
fn two_good_blocks_that_differ_are_told_and_the_first_one_counts() {
    let (first, second) = (header(3, seq(9)), header(3, seq(10)));
    let (read, defects) = SegmentHeader::read(&first.encode(), &second.encode()).expect("both are good");
    assert_eq!(read, first);
    let told: Vec<_> = defects.iter().map(|defect| (defect.kind, defect.offset)).collect();
    assert_eq!(told, [(DefectKind::BlockCopy, layout::SECOND_BLOCK)]);
}

#[test]
fn every_sync_policy_reads_back_and_no_other_is_guessed_at() {
    for sync_policy in [SyncPolicyTag::Always, SyncPolicyTag::Interval(u32::MAX), SyncPolicyTag::Never] {
        let header = SegmentHeader { sync_policy, ..header(1, seq(1)) };
        assert_eq!(read(&header), Some(header));
    }
    for tag in [0, 4, 255] {
        assert_eq!(resealed(&header(1, seq(1)), layout::block::SYNC_POLICY, tag), None, "policy {tag}");
    }
}

#[test]
fn a_header_whose_links_contradict_its_numbers_is_none() {
    let link = Some((70_000, [9; 32]));
    let number = |number| SegmentNumber::new(number).expect("a number");
    let (first, later) = (header(1, seq(1)), header(3, seq(9)));
    assert!(read(&first).is_some() && read(&later).is_some());
    // A rewritten segment that stands for all before it begins the log.
    let rewritten = SegmentHeader { generation: 1, origin: link, ..later.clone() };
    let begins = SegmentHeader { covers_from: SegmentNumber::FIRST, predecessor: None, ..rewritten.clone() };
    assert!(read(&rewritten).is_some() && read(&begins).is_some());
    for bad in [
        SegmentHeader { predecessor: link, ..first },
        SegmentHeader { predecessor: None, ..later.clone() },
        SegmentHeader { origin: link, ..later.clone() },
        SegmentHeader { origin: None, ..rewritten },
        SegmentHeader { predecessor: link, ..begins },
        SegmentHeader { covers_from: number(4), ..later },
    ] {
        assert_eq!(read(&bad), None, "{bad:?}");
    }
}

#[test]
fn segments_are_numbered_one_after_the_other_and_logs_are_told_apart_by_four_digits() {
    let number = |number| SegmentNumber::new(number).expect("a number");
    assert_eq!((number(7).next(), number(7).previous(), number(7).get()), (number(8), Some(number(6)), 7));
    assert_eq!((SegmentNumber::FIRST.previous(), number(u32::MAX).next()), (None, number(u32::MAX)));
    assert_eq!((LOG.short().as_str(), LogId([0; 16]).short().as_str()), ("s_5e0b", "s_0000"));
    assert!(LOG.to_string().starts_with("5e0b"));
}
