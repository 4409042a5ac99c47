//! The scanner sees the same frames through windows of every size, and tells truly what it needs.

use crate::image::{FIRST, Image, header, seq};
use taffrail_log_format::{DefectKind, GapRange, GapReason, Gaps, Kind, Scanner, Seq, Step, Verdict, scan_tail};

fn scanner(image: &Image) -> Scanner {
    Scanner::new(image.key, FIRST as u64, Some(Seq::FIRST))
}

#[test]
fn windows_of_every_size_show_the_same_frames_as_the_whole() {
    let image = Image::sample();
    for size in 1..=image.bytes.len() - FIRST {
        let mut scanner = scanner(&image);
        let mut window = size;
        let mut frames = Vec::new();
        loop {
            let start = usize::try_from(scanner.offset()).expect("small");
            let end = (start + window).min(image.bytes.len());
            let is_last = end == image.bytes.len();
            match scanner.step(&image.bytes[start..end], is_last) {
                Step::Frame(frame) => {
                    frames.push((frame.offset, frame.header.seq.get(), frame.payload().into_owned()));
                    window = size;
                }
                Step::NeedBytes(count) => {
                    assert!(
                        !is_last && count > end - start,
                        "{count} bytes are asked for and {} are there",
                        end - start
                    );
                    window = count;
                }
                Step::End => break,
                other => panic!("{other:?} at {start} through {window} bytes"),
            }
        }
        let written: Vec<_> = image.frames.iter().map(|f| (f.start as u64, f.seq, f.payload.clone())).collect();
        assert_eq!(frames, written, "windows of {size} bytes");
    }
}

#[test]
fn what_is_asked_for_is_what_is_needed() {
    let image = Image::sample();
    let mut scanner = scanner(&image);
    for frame in &image.frames {
        let rest = &image.bytes[frame.start..];
        let len = frame.end - frame.start;
        for window in 0..len {
            let expected = if window < 48 { 48 } else { len };
            let before = scanner.offset();
            match scanner.step(&rest[..window], false) {
                Step::NeedBytes(count) => assert_eq!(count, expected, "{window} bytes of the frame at {}", frame.start),
                other => panic!("{other:?} from {window} bytes of the frame at {}", frame.start),
            }
            assert_eq!(scanner.offset(), before);
            assert!(!Scanner::fits(&rest[..window]), "{window} bytes of the frame at {}", frame.start);
        }
        assert!(Scanner::fits(&rest[..len]));
        assert!(matches!(scanner.step(&rest[..len], false), Step::Frame(_)));
    }
    assert!(matches!(scanner.step(&[], false), Step::NeedBytes(48)));
    assert!(matches!(scanner.step(&[], true), Step::End));
}

#[test]
fn a_segment_cut_at_any_byte_keeps_the_frames_before_the_cut() {
    let image = Image::sample();
    for cut in FIRST..=image.bytes.len() {
        let file = &image.bytes[..cut];
        let whole = image.frames.iter().filter(|frame| frame.end <= cut).count();
        let border = image.frames.iter().map(|frame| frame.end).take(whole).next_back().unwrap_or(FIRST);
        let mut scanner = scanner(&image);
        let mut frames = 0;
        let stop = loop {
            let at = usize::try_from(scanner.offset()).expect("small");
            match scanner.step(&file[at..], true) {
                Step::Frame(_) => frames += 1,
                Step::Bad { defect, header } => break Some((defect.kind, defect.offset, header.map(|h| h.seq.get()))),
                Step::End | Step::Free => break None,
                Step::NeedBytes(count) => panic!("{count} bytes are asked for behind the last"),
            }
        };
        assert_eq!(frames, whole, "cut at {cut}");
        let named = (cut >= border + 48).then(|| image.frames[whole].seq);
        let only_zeros = file[border..].iter().all(|byte| *byte == 0);
        let expected = (!only_zeros).then_some((DefectKind::Truncated, border as u64, named));
        assert_eq!(stop, expected, "cut at {cut}");
    }
}

#[test]
fn zeros_from_any_byte_on_are_an_end_or_a_tear_that_keeps_whole_batches() {
    let image = Image::sample();
    for cut in FIRST..image.bytes.len() {
        let mut file = image.bytes.clone();
        file[cut..].fill(0);
        let tail = scan_tail(scanner(&image), &file[FIRST..], 0, |_| {}).expect("the seq is known");
        // A cut within padding takes nothing away.
        let whole: Vec<_> =
            image.frames.iter().filter(|f| f.start + 48 + f.payload.len() <= cut || f.end <= cut).collect();
        let kept = whole.iter().filter(|frame| !frame.more).map(|frame| frame.end).next_back().unwrap_or(FIRST);
        assert_eq!(tail.batch_at, kept as u64, "cut at {cut}");
        assert!([Verdict::End, Verdict::Torn].contains(&tail.verdict), "cut at {cut}: {tail:?}");
        assert_eq!(tail.verdict == Verdict::End, tail.defect.is_none() && !whole.last().is_some_and(|f| f.more));
    }
}

#[test]
fn a_few_zeros_at_the_end_are_free_space_and_nothing_is_the_end() {
    let key = Image::sample().key;
    let step = |bytes: &[u8]| format!("{:?}", Scanner::new(key, FIRST as u64, None).step(bytes, true));
    assert_eq!(step(&[]), "End");
    for len in [1, 8, 47, 48, 300] {
        assert_eq!(step(&vec![0; len]), "Free", "{len} zeros");
    }
}

#[test]
fn a_scanner_knows_the_absences_that_it_has_read_or_been_told_of_and_goes_back_to_a_mark() {
    let absent = |first, last| GapRange {
        first: seq(first),
        last: seq(last),
        reason: GapReason::Compacted,
        digest: [1; 32],
        kept_in: String::new(),
    };
    let gaps = Gaps::new(vec![absent(5, 6), absent(8, 8)]).expect("ascending");
    let mut image = Image::new(&header(2, seq(5)), 1, gaps.clone());
    image.push(Kind::FIRST_USER, b"seventh", 6, true);
    image.push(Kind::FIRST_USER, b"ninth", 6, false);
    let mut scanner = Scanner::new(image.key, FIRST as u64, Some(seq(5)));
    assert_eq!(scanner.gaps(), &Gaps::default());
    let mut marks = Vec::new();
    for frame in &image.frames {
        marks.push((scanner.mark(), scanner.expected(), scanner.in_batch()));
        assert!(matches!(scanner.step(&image.bytes[frame.start..], true), Step::Frame(_)));
    }
    assert_eq!((scanner.gaps(), scanner.expected()), (&gaps, Some(seq(10))));
    for ((mark, expected, in_batch), frame) in marks.iter().zip(&image.frames) {
        scanner.go_back(*mark);
        assert_eq!((mark.offset(), scanner.offset()), (frame.start as u64, frame.start as u64));
        assert_eq!((scanner.expected(), scanner.in_batch(), scanner.gaps()), (*expected, *in_batch, &gaps));
    }
    // One that begins behind the record of them has to be told.
    let behind = image.frames[2].start;
    let mut told = Scanner::new(image.key, behind as u64, Some(seq(5)));
    told.assume_gaps(gaps.clone());
    assert_eq!((told.gaps(), told.expected()), (&gaps, Some(seq(7))));
    assert!(matches!(told.step(&image.bytes[behind..], true), Step::Frame(frame) if frame.header.seq == seq(7)));
    assert_eq!(told.expected(), Some(seq(9)));
    let mut untold = Scanner::new(image.key, behind as u64, None);
    untold.assume_gaps(gaps);
    assert_eq!(untold.expected(), None);
}
