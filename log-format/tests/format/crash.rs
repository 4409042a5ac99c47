//! Crashes and rot at the end of the last segment, by the hundred thousand, judged by [`scan_tail`].

use crate::image::{FIRST, Image, SECTOR, header, seq};
use crate::lab_result::tell;
use crate::random::Random;
use std::collections::BTreeSet;
use taffrail_log_format::{Gaps, Kind, Scanner, Seq, TailScan, Verdict, scan_tail};

/// A log whose last window of groups was never acknowledged.
struct Case {
    image: Image,
    /// The file with nothing of the window in it.
    before: Vec<u8>,
    /// The file with all of it.
    after: Vec<u8>,
    first: Seq,
    acked: u64,
    acked_end: usize,
    end: usize,
    /// Offsets at which batches of the window end.
    ends: BTreeSet<usize>,
}

/// Acknowledged groups, then 1 to 5 groups that share one durable seq: what a writer leaves that syncs every so often, or
/// one group of a writer that syncs each. Sometimes the window ends with the footer and the seal.
fn case(random: &mut Random) -> Case {
    let first = seq(random.pick(&[1, 1, 900, 5_000_000_000]));
    let number = if first == Seq::FIRST { 1 } else { 3 };
    let mut image = Image::new(&header(number, first), random.below(24), Gaps::default());
    for _ in 0..random.between(1, 6) {
        image.group(random, 6);
    }
    let acked = image.next.count_before();
    let acked_end = image.bytes.len();
    let windows = random.pick(&[1, 1, 1, 2, 3, 4, 5]);
    let before_window = image.frames.len();
    let sealed = random.percent(15);
    if !(sealed && random.percent(50)) {
        (0..windows).for_each(|_| image.batches(random, 6, acked));
    }
    if sealed {
        image.seal(acked);
    }
    let end = image.bytes.len();
    let ends = image.frames[before_window..].iter().filter(|frame| !frame.more).map(|frame| frame.end).collect();
    let mut after = image.bytes.clone();
    after.resize(end + random.below(2000), 0);
    let mut before = image.bytes[..acked_end].to_vec();
    before.resize(after.len(), 0);
    Case { image, before, after, first, acked, acked_end, end, ends }
}

/// Each sector that a write touches is there as it was or as it was to be.
fn sectors(random: &mut Random, before: &[u8], after: &[u8], start: usize, end: usize) -> Vec<u8> {
    let mut bytes = before.to_vec();
    let percent = random.pick(&[10, 50, 90]);
    for sector in start / SECTOR..=(end - 1) / SECTOR {
        if random.percent(percent) {
            let to = ((sector + 1) * SECTOR).min(after.len());
            bytes[sector * SECTOR..to].copy_from_slice(&after[sector * SECTOR..to]);
        }
    }
    bytes
}

fn crash(random: &mut Random, case: &Case) -> Vec<u8> {
    match random.below(10) {
        0..6 => sectors(random, &case.before, &case.after, case.acked_end, case.end),
        6..8 => {
            let cut = random.between(case.acked_end, case.end);
            [&case.after[..cut], &vec![0; case.after.len() - cut]].concat()
        }
        _ => {
            let mut bytes = sectors(random, &case.before, &case.after, case.acked_end, case.end);
            bytes.truncate(random.between(case.acked_end, case.end));
            bytes
        }
    }
}

fn judge(case: &Case, file: &[u8], visit: &mut u64) -> TailScan {
    let scanner = Scanner::new(case.image.key, FIRST as u64, Some(case.first));
    scan_tail(scanner, &file[FIRST..], 0, |_| *visit += 1).expect("the seq is known")
}

fn offset(at: u64) -> usize {
    usize::try_from(at).expect("small")
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    crashes: u32,
    ends: u32,
    torn: u32,
    rot: u32,
    rot_damaged: u32,
    rot_ambiguous: u32,
    rot_in_padding: u32,
}

fn check_crash(seed: u64, case: &Case, file: &[u8], counts: &mut Counts) {
    let mut frames = 0;
    let tail = judge(case, file, &mut frames);
    counts.crashes += 1;
    match tail.verdict {
        Verdict::End => counts.ends += 1,
        Verdict::Torn => counts.torn += 1,
        refused => panic!("seed {seed}: a tear was refused as {refused:?}: {tail:?}"),
    }
    assert!(tail.batch_seq.get() > case.acked, "seed {seed}: acknowledged events would be cut: {tail:?}");
    let cut = offset(tail.batch_at);
    assert!(cut == case.acked_end || case.ends.contains(&cut), "seed {seed}: part of a batch would stay: {tail:?}");
    assert_eq!(file[..cut], case.image.bytes[..cut], "seed {seed}: something else than what was written stays");
    assert_eq!(tail.verdict == Verdict::End, tail.data_end == tail.bad_at && cut == offset(tail.bad_at), "seed {seed}");
    assert_eq!(tail.sealed, case.image.frames.iter().any(|f| f.kind == Kind::SEAL) && cut == case.end, "seed {seed}");
    if tail.verdict == Verdict::Torn {
        let mut repaired = file.to_vec();
        repaired[cut..].fill(0);
        let again = judge(case, &repaired, &mut frames);
        assert_eq!(
            (again.verdict, again.batch_at),
            (Verdict::End, tail.batch_at),
            "seed {seed}: recovery is not idempotent"
        );
    }
}

fn check_rot(seed: u64, case: &Case, file: &mut [u8], at: usize, bit: usize, counts: &mut Counts) {
    file[at] ^= 1 << bit;
    let tail = judge(case, file, &mut 0);
    file[at] ^= 1 << bit;
    counts.rot += 1;
    if tail.expected.get() > case.acked {
        let frame = case.image.frames.iter().find(|frame| frame.end > at).expect("a frame");
        assert!(at >= frame.start + 48 + frame.payload.len(), "seed {seed}: a flipped bit at {at} was accepted");
        counts.rot_in_padding += 1;
        return;
    }
    match tail.verdict {
        Verdict::Damaged => counts.rot_damaged += 1,
        Verdict::Ambiguous => counts.rot_ambiguous += 1,
        silent => panic!("seed {seed}: bit {bit} of byte {at} flipped, and that was taken for {silent:?}: {tail:?}"),
    }
}

#[test]
fn no_crash_is_refused_nothing_acknowledged_is_lost_and_no_rot_is_taken_for_a_tear() {
    tell("tail-rule", &["P1", "P4", "P5", "P6"], || {
        let counts = crashes_and_rot();
        let figures = vec![
            ("crash_states", counts.crashes.into()),
            ("acknowledged_lost", 0),
            ("false_truncations", 0),
            ("false_refusals", 0),
            ("torn", counts.torn.into()),
            ("rot", counts.rot.into()),
        ];
        ((counts.crashes + counts.rot).into(), figures)
    });
}

/// Crash images and rotten bits; panics at the first wrong verdict.
fn crashes_and_rot() -> Counts {
    let mut counts = Counts::default();
    for seed in 0..14_000 {
        let random = &mut Random(seed);
        let case = case(random);
        for _ in 0..8 {
            let mut file = crash(random, &case);
            check_crash(seed, &case, &file, &mut counts);
            let at = random.between(FIRST, case.acked_end - 1);
            check_rot(seed, &case, &mut file, at, random.below(8), &mut counts);
        }
    }
    assert_eq!(counts.crashes + counts.rot, 224_000);
    assert!(counts.ends > 5_000 && counts.torn > 50_000, "{counts:?}");
    assert!(counts.rot_damaged > 30_000 && counts.rot_ambiguous > 10_000, "{counts:?}");
    counts
}

#[test]
fn no_single_bit_of_the_last_acknowledged_group_is_taken_for_a_tear() {
    let mut counts = Counts::default();
    for seed in 0..24 {
        let random = &mut Random(1_000_000 + seed);
        let mut image = Image::first(random.below(24));
        (0..random.between(1, 3)).for_each(|_| image.group(random, 3));
        let start = image.frames[image.frames.len().saturating_sub(3)].start;
        let (acked, end) = (image.next.count_before(), image.bytes.len());
        let mut file = image.bytes.clone();
        file.resize(end + 600, 0);
        let (before, after) = (file.clone(), file.clone());
        let ends = BTreeSet::new();
        let case = Case { image, before, after, first: Seq::FIRST, acked, acked_end: end, end, ends };
        for bit in start * 8..end * 8 {
            check_rot(seed, &case, &mut file, bit / 8, bit % 8, &mut counts);
        }
    }
    println!("{counts:?}");
    assert!(counts.rot > 200_000, "{counts:?}");
}

#[test]
fn no_single_bit_of_a_footer_that_was_synced_is_taken_for_a_tear() {
    let mut image = Image::first(9);
    image.group(&mut Random(5), 6);
    let footer_at = image.bytes.len();
    let _footer = image.seal(image.next.count_before());
    for bit in footer_at * 8..image.bytes.len() * 8 {
        let mut file = image.bytes.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        let frame = image.frames.iter().find(|frame| frame.end > bit / 8).expect("a frame");
        let padding = bit / 8 >= frame.start + 48 + frame.payload.len();
        let scanner = Scanner::new(image.key, FIRST as u64, Some(Seq::FIRST));
        let tail = scan_tail(scanner, &file[FIRST..], 0, |_| {}).expect("the seq is known");
        let expected = if padding { (Verdict::End, true) } else { (Verdict::Ambiguous, false) };
        assert_eq!((tail.verdict, tail.sealed), expected, "bit {bit}");
    }
}

#[test]
fn a_group_cut_at_any_byte_is_torn_whether_zeros_or_nothing_follow() {
    let mut counts = Counts::default();
    for seed in 0..16 {
        let random = &mut Random(2_000_000 + seed);
        let case = case(random);
        for cut in case.acked_end..=case.end {
            let mut file = case.after[..cut].to_vec();
            check_crash(seed, &case, &file, &mut counts);
            file.resize(case.after.len(), 0);
            check_crash(seed, &case, &file, &mut counts);
        }
    }
    println!("{counts:?}");
    assert!(counts.torn > 60_000, "{counts:?}");
}

#[test]
fn crashes_within_recovery_and_in_the_first_group_after_it_lose_nothing() {
    let mut counts = Counts::default();
    for seed in 0..4_000 {
        let random = &mut Random(3_000_000 + seed);
        let mut case = case(random);
        let mut file = crash(random, &case);
        file.resize(case.after.len(), 0);
        for _ in 0..3 {
            let tail = judge(&case, &file, &mut 0);
            if tail.verdict != Verdict::Torn {
                break;
            }
            let cut = offset(tail.batch_at);
            let zeroed = [&file[..cut], &vec![0; file.len() - cut]].concat();
            file = sectors(random, &file, &zeroed, cut, offset(tail.data_end));
            check_crash(seed, &case, &file, &mut counts);
        }
        // A whole recovery, then a group of which a crash leaves any part. Frames like the dropped ones are likely.
        let tail = judge(&case, &file, &mut 0);
        let cut = offset(tail.batch_at);
        if tail.sealed {
            continue;
        }
        case.before = [&file[..cut], &vec![0; file.len() - cut]].concat();
        let dropped: Vec<_> = case.image.frames.iter().filter(|frame| frame.start >= cut).cloned().collect();
        case.image.frames.retain(|frame| frame.end <= cut);
        case.image.bytes.truncate(cut);
        case.image.next = tail.batch_seq;
        case.acked = tail.batch_seq.count_before();
        case.acked_end = cut;
        match dropped.first().filter(|frame| frame.kind.takes_seq()) {
            Some(frame) => case.image.push(frame.kind, &frame.payload, case.acked, false),
            None => case.image.group(random, 2),
        }
        case.end = case.image.bytes.len();
        case.after = case.image.bytes.clone();
        case.after.resize(case.before.len().max(case.end), 0);
        case.before.resize(case.after.len(), 0);
        case.ends = case.image.frames.iter().filter(|f| f.end > cut && !f.more).map(|f| f.end).collect();
        for _ in 0..4 {
            let file = crash(random, &case);
            check_crash(seed, &case, &file, &mut counts);
        }
    }
    println!("{counts:?}");
    assert!(counts.crashes > 20_000, "{counts:?}");
}
