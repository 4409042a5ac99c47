//! Any bytes at all: no panic, no endless loop, and nothing reserved by a length that nobody has proven.

use crate::image::{FIRST, Image};
use proptest::prelude::*;
use taffrail_log_format::Crc32c;
use taffrail_log_format::{
    Checkpoint, Footer, Gaps, Mark, OperatorAction, RawBlock, RawHeader, Recovered, RunOpened, Scanner, SegmentHeader,
    Seq, Step, TypeRegistered, TypeTable, WatermarkSlots, find_header, likely_flipped_bit, scan_tail,
};

/// Reads bytes as a segment's frames until nothing more is found; the number of frames.
fn read_all(scanner: &mut Scanner, base: u64, bytes: &[u8]) -> usize {
    let mut frames = 0;
    for _ in 0..=bytes.len() {
        let at = usize::try_from(scanner.offset() - base).expect("small");
        match scanner.step(bytes.get(at..).unwrap_or_default(), true) {
            Step::Frame(frame) => {
                frames += frame.payload().len().min(1);
            }
            Step::NeedBytes(_) => unreachable!("all bytes are there"),
            Step::Free | Step::End | Step::Bad { .. } => {
                let Some((offset, _)) = find_header(scanner.key(), bytes, base, scanner.offset() + 8) else {
                    return frames;
                };
                scanner.resume_at(offset, None);
            }
        }
    }
    unreachable!("more steps than bytes")
}

/// Every decoder over the same bytes; what is accepted is encoded to the same bytes again.
fn decode_all(bytes: &[u8]) -> usize {
    macro_rules! again {
        ($($body:ty),*) => { [$(<$body>::decode(bytes).map(|body| assert_eq!(body.encode(), bytes)).is_ok()),*] };
    }
    let accepted =
        again!(Checkpoint, Footer, Gaps, Mark, OperatorAction, Recovered, RunOpened, TypeRegistered, TypeTable);
    let _block = RawBlock::new(bytes).check(0);
    let _header = SegmentHeader::read(bytes, bytes);
    let _slots = WatermarkSlots::read(bytes);
    accepted.into_iter().filter(|accepted| *accepted).count()
}

fn attack(image: &Image, bytes: &[u8], offset: u64) {
    let mut scanner = Scanner::new(image.key, offset, Some(Seq::FIRST));
    let _frames = read_all(&mut scanner, offset, bytes);
    for is_last in [false, true] {
        let _step = Scanner::new(image.key, offset, None).step(bytes, is_last);
    }
    let _tail = scan_tail(Scanner::new(image.key, offset, Some(Seq::FIRST)), bytes, 3, |_| {});
    assert!(scan_tail(Scanner::new(image.key, offset, None), bytes, 3, |_| {}).is_none_or(|tail| tail.bad_at > offset));
    let _flip = likely_flipped_bit(&image.key, offset, bytes);
    let _raw = RawHeader::new(bytes).map(|raw| raw.check(&image.key, offset));
    let _accepted = decode_all(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_answered(bytes in prop::collection::vec(any::<u8>(), 0..700), offset in 0_u64..1_000_000) {
        attack(&Image::sample(), &bytes, offset);
    }

    #[test]
    fn sparse_noise_is_answered(bytes in prop::collection::vec(prop::sample::select(vec![0_u8, 0, 0, 1, 2, 16, 0xA6, 0xA0, 251, 252, 253, 255]), 0..700)) {
        attack(&Image::sample(), &bytes, FIRST as u64);
    }

    #[test]
    fn a_changed_segment_is_answered(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
    ) {
        let image = Image::sample();
        let mut bytes = image.bytes.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(image.bytes.len()) + 1);
        let start = from.index(bytes.len()) / 8 * 8;
        attack(&image, &bytes[start..], start as u64);
        let _header = SegmentHeader::read(&bytes, bytes.get(4096..).unwrap_or_default());
    }

    #[test]
    fn changed_bodies_are_refused_or_are_other_bodies(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), value: u8, cut in any::<prop::sample::Index>(),
    ) {
        let image = Image::sample();
        let mut body = image.frames[which.index(image.frames.len())].payload.clone();
        if !body.is_empty() {
            let at = at.index(body.len());
            body[at] = value;
            body.truncate(cut.index(body.len()) + 1);
        }
        let _accepted = decode_all(&body);
    }
}

#[test]
fn lengths_and_counts_that_lie_reserve_nothing() {
    // Each would take gigabytes if the number were believed; the body is a few bytes long.
    for number in
        [[253, 255, 255, 255, 255, 255, 255, 255, 127].as_slice(), &[252, 255, 255, 255, 255], &[251, 255, 255]]
    {
        assert_eq!(decode_all(number), 0);
        for prefix in [&[1_u8][..], &[1, 0, 0], &[1, 0, 0, 0, 0]] {
            assert_eq!(decode_all(&[prefix, number].concat()), 0);
        }
    }
    // A header that is proven and says 16 MiB: the scanner asks for them and reserves nothing.
    let image = Image::sample();
    let mut bytes = image.bytes[image.frames[1].start..].to_vec();
    bytes[4..7].fill(0xFF);
    let offset = image.frames[1].start as u64;
    let crc = Crc32c::default().then(&crate::image::LOG.0).then(&1_u32.to_le_bytes()).then(&offset.to_le_bytes());
    let crc = crc.then(&bytes[4..48]).value();
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    let step = Scanner::new(image.key, offset, None).step(&bytes, false);
    assert!(matches!(step, Step::NeedBytes(len) if len == 48 + (1 << 24)), "{step:?}");
    assert!(matches!(Scanner::new(image.key, offset, None).step(&bytes, true), Step::Bad { .. }));
}
