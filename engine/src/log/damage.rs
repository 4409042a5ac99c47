//! Helpers that measure damage.

use crate::error::{Error, Result};
use crate::log::piece::{Damage, LikelyFlip, SeqRange};
use crate::storage::{StorageFile, read_full_at};
use crate::{DefectKind, Gaps, SegmentHeader, SegmentNumber, Seq};
use std::ops::Range;
use taffrail_log_format::layout;

/// The seqs from `due` up to `next` that no record tells to be absent.
pub(crate) fn lost_between(gaps: &Gaps, due: Seq, next: Seq) -> Vec<SeqRange> {
    let mut lost = Vec::new();
    let mut from = due.get();
    for range in gaps.ranges() {
        let (first, last) = (range.first.get(), range.last.get());
        if last < from || first >= next.get() {
            continue;
        }
        lost.extend(SeqRange::between(from, first));
        from = last.saturating_add(1);
    }
    lost.extend(SeqRange::between(from, next.get()));
    lost
}

const PIECE_LEN_BYTES: usize = 256;

/// What is wrong with a range that should be zero: a finding without loss; `None` where nothing is.
pub(crate) fn free_space(file: &dyn StorageFile, segment: SegmentNumber, range: Range<u64>) -> Result<Option<Damage>> {
    let mut bytes = [0; 16 << 10];
    let mut at = range.start;
    let mut spoiled: Option<Range<u64>> = None;
    let mut bits = 0_u64;
    let mut spot = None;
    while at < range.end {
        let len = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(bytes.len());
        let read = read_full_at(file, at, &mut bytes[..len])
            .map_err(|error| Error::io("cannot read the log", error).segment(segment).offset(at))?;
        if read == 0 {
            break;
        }
        // Zeros are the rule, so they are passed over in pieces.
        let pieces = bytes[..read].chunks(PIECE_LEN_BYTES).zip((at..).step_by(PIECE_LEN_BYTES));
        let spoiled_pieces = pieces.filter(|(piece, _)| piece.iter().fold(0, |all, byte| all | byte) != 0);
        let spots = spoiled_pieces.flat_map(|(piece, from)| piece.iter().zip(from..));
        for (byte, offset) in spots.filter(|(byte, _)| **byte != 0) {
            spoiled = Some(spoiled.map_or(offset, |spoiled| spoiled.start)..offset + 1);
            bits += u64::from(byte.count_ones());
            spot = Some(LikelyFlip { offset, found: *byte, restored: 0 });
        }
        at += read as u64;
    }
    Ok(spoiled.map(|spoiled| {
        let mut damage = Damage::new(DefectKind::FreeSpace, Some(segment), spoiled);
        damage = damage.saying("zeros", format!("{bits} set bits"));
        damage.likely = spot.filter(|_| bits == 1);
        damage
    }))
}

/// Names the one bit in which a header block differs from its good twin. `bytes` begin at the file's start.
pub(crate) fn likely_block_flip(mut damage: Damage, bytes: &[u8]) -> Damage {
    const LEN: usize = layout::block::LEN_BYTES;
    let second = usize::try_from(layout::SECOND_BLOCK).unwrap_or(usize::MAX);
    let (Some(one), Some(two)) = (bytes.get(..LEN), bytes.get(second..second + LEN)) else { return damage };
    let (bad, good, base) = match damage.range.start {
        layout::FIRST_BLOCK => (one, two, layout::FIRST_BLOCK),
        _ => (two, one, layout::SECOND_BLOCK),
    };
    let differing = |(place, (bad, good)): (usize, (&u8, &u8))| (bad != good).then_some((place, *bad, *good));
    let mut all = bad.iter().zip(good).enumerate().filter_map(differing);
    if let (Some((place, found, restored)), None) = (all.next(), all.next())
        && (found ^ restored).count_ones() == 1
        && SegmentHeader::read(good, good).is_ok()
    {
        damage.likely = Some(LikelyFlip { offset: base + place as u64, found, restored });
    }
    damage
}
