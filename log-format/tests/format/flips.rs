//! Every bit of a segment flipped, one at a time: found, named, and the likely bit told.

use crate::image::{FIRST, Image, Written};
use taffrail_log_format::{
    DefectKind, Header, Scanner, SegmentHeader, Seq, Step, find_header, layout, likely_flipped_bit,
};

fn blocks(file: &[u8]) -> (&[u8], &[u8]) {
    (&file[..512], &file[4096..4608])
}

/// A good frame: its offset, its header, and how many bytes of its padding are not zero.
type Good = (u64, Header, usize);
/// What stopped the scanner, where, and the header if it was proven.
type Bad = (u64, DefectKind, Option<Header>);

/// Reads all good frames, and what stopped the scanner. Behind damage it goes on at the next proven header.
fn read(image: &Image, file: &[u8]) -> (Vec<Good>, Vec<Bad>) {
    let mut scanner = Scanner::new(image.key, FIRST as u64, Some(Seq::FIRST));
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    loop {
        let at = usize::try_from(scanner.offset()).expect("small");
        let mut plain = scanner.clone();
        let passed = plain.step_plain(&file[at..]);
        check_plain(&scanner, &plain, passed, &file[at..]);
        match scanner.step(&file[at..], true) {
            Step::Frame(frame) => {
                good.push((frame.offset, frame.header, frame.padding.iter().filter(|byte| **byte != 0).count()));
            }
            Step::Bad { defect, header } => {
                let behind = match header {
                    Some(header) => scanner.offset() + header.frame_len(),
                    None => scanner.offset() + layout::FRAME_ALIGN_BYTES,
                };
                bad.push((defect.offset, defect.kind, header));
                let Some((offset, _)) = find_header(&image.key, file, 0, behind) else { return (good, bad) };
                scanner.resume_at(offset, None);
            }
            Step::End => return (good, bad),
            other => panic!("{other:?} in a whole file"),
        }
    }
}

/// The short way passes just what the long one does, or leaves it to that.
fn check_plain(before: &Scanner, plain: &Scanner, passed: Option<Header>, window: &[u8]) {
    let mut long = before.clone();
    let (frame, is_due) = match long.step(window, true) {
        Step::Frame(frame) => (Some(frame.header), before.expected() == Some(frame.header.seq)),
        _ => (None, false),
    };
    assert_eq!(passed, frame.filter(|header| is_due && !header.kind.is_reserved()));
    let known = |scanner: &Scanner| (scanner.offset(), scanner.expected(), scanner.in_batch());
    assert_eq!(known(plain), known(if passed.is_some() { &long } else { before }));
    let mut short = before.clone();
    let whole = frame.map_or(window.len(), |header| usize::try_from(header.frame_len()).expect("small"));
    assert_eq!(short.step_plain(&window[..whole.min(window.len()).saturating_sub(1)]), None, "not whole in the window");
    // What is known to be proven is passed the same way; what is not due, or no event of an application, is not.
    if frame.is_some() {
        let mut trusting = before.clone();
        assert_eq!(trusting.step_proven(window), passed);
        assert_eq!(known(&trusting), known(plain));
    }
}

fn check_bit(image: &Image, whole: &[Good], file: &[u8], bit: usize) -> &'static str {
    let at = bit / 8;
    let place = image.frames.iter().position(|frame| frame.end > at).expect("a frame");
    let Written { start, seq, kind, payload, .. } = &image.frames[place];
    let (good, bad) = read(image, file);
    if at >= start + 48 + payload.len() {
        assert_eq!((good.len(), bad.len(), good[place].2), (whole.len(), 0, 1), "bit {bit}: padding");
        return "padding";
    }
    // One frame is missing and no other; its neighbours read as before.
    let mut expected = whole.to_vec();
    let (offset, lost, _) = expected.remove(place);
    assert_eq!(good, expected, "bit {bit}");
    assert_eq!((bad.len(), bad[0].0), (1, offset), "bit {bit}");
    let named = if at < start + 48 {
        assert_eq!((bad[0].1, bad[0].2), (DefectKind::HeaderCrc, None), "bit {bit}");
        "header"
    } else {
        assert_eq!((bad[0].1, bad[0].2), (DefectKind::PayloadCrc, Some(lost)), "bit {bit}");
        "payload"
    };
    let flipped = likely_flipped_bit(&image.key, offset, &file[*start..]).expect("a likely bit");
    assert_eq!((flipped.offset, flipped.found, flipped.restored), (at as u64, file[at], file[at] ^ 1 << (bit % 8)));
    assert_eq!((flipped.header, flipped.header.seq.get(), flipped.header.kind), (lost, *seq, *kind), "bit {bit}");
    named
}

#[test]
fn every_flipped_bit_costs_one_frame_at_most_and_is_found_again() {
    let image = Image::sample();
    let (whole, bad) = read(&image, &image.bytes);
    assert_eq!((whole.len(), bad), (image.frames.len(), vec![]));
    let mut counts = [0; 3];
    for bit in FIRST * 8..image.bytes.len() * 8 {
        let mut file = image.bytes.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        counts[match check_bit(&image, &whole, &file, bit) {
            "padding" => 0,
            "header" => 1,
            _ => 2,
        }] += 1;
    }
    println!("padding, header, payload: {counts:?}");
    let headers = image.frames.len() * 48 * 8;
    assert_eq!((counts[1], counts.iter().sum::<usize>()), (headers, (image.bytes.len() - FIRST) * 8));
}

#[test]
fn every_flipped_bit_of_a_header_block_is_survived_by_the_other_block() {
    let image = Image::sample();
    let (first, second) = blocks(&image.bytes);
    let (header, defects) = SegmentHeader::read(first, second).expect("a header");
    assert_eq!(defects, []);
    for start in [0, 4096] {
        for bit in start * 8..(start + 512) * 8 {
            let mut file = image.bytes.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            let (first, second) = blocks(&file);
            let (read, defects) = SegmentHeader::read(first, second).expect("a header");
            assert_eq!(read, header, "bit {bit}");
            let told: Vec<_> = defects.iter().map(|defect| (defect.kind, defect.offset)).collect();
            assert_eq!(told, [(DefectKind::BlockCopy, start as u64)], "bit {bit}");
        }
    }
}

#[test]
fn two_flipped_bits_of_a_header_are_refused_and_never_explained_by_one() {
    let image = Image::sample();
    let frame = &image.frames[2];
    let (start, offset) = (frame.start, frame.start as u64);
    for first in 0..48 * 8 {
        for second in 0..first {
            let mut bytes = image.bytes[start..frame.end].to_vec();
            bytes[first / 8] ^= 1 << (first % 8);
            bytes[second / 8] ^= 1 << (second % 8);
            let raw = taffrail_log_format::RawHeader::new(&bytes).expect("48 bytes");
            assert_eq!(raw.proven(&image.key, offset), None, "bits {first} and {second}");
            if second % 16 == 0 {
                assert_eq!(likely_flipped_bit(&image.key, offset, &bytes), None, "bits {first} and {second}");
            }
        }
    }
}

#[test]
fn a_good_frame_and_noise_have_no_likely_bit() {
    let image = Image::sample();
    for frame in &image.frames {
        assert_eq!(likely_flipped_bit(&image.key, frame.start as u64, &image.bytes[frame.start..]), None);
        assert_eq!(likely_flipped_bit(&image.key, frame.start as u64 + 8, &image.bytes[frame.start..]), None);
    }
}
