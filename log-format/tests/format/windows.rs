//! The scanner sees the same frames through windows of every size, and tells truly what it needs.

use crate::image::{FIRST, Image};
use taffrail_log_format::{DefectKind, Scanner, Seq, Step, Verdict, scan_tail};

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
