//! What the judge of a tail tells beside its verdict.

use crate::image::{FIRST, Image, SECTOR};
use crate::random::Random;
use taffrail_log_format::{Kind, Scanner, Seq, TailScan, Verdict, scan_tail};

fn judge(image: &Image, file: &[u8]) -> TailScan {
    let scanner = Scanner::new(image.key, FIRST as u64, Some(Seq::FIRST));
    scan_tail(scanner, &file[FIRST..], 0, |_| {}).expect("the seq is known")
}

#[test]
fn the_end_of_the_events_lies_before_footer_and_seal_and_before_an_open_batch() {
    let mut image = Image::first(1);
    let ends = |image: &Image| {
        let tail = judge(image, &image.bytes);
        (tail.events_end, tail.bad_at)
    };
    let end = |image: &Image| image.bytes.len() as u64;
    // A type table is no event.
    assert_eq!(ends(&image), (FIRST as u64, end(&image)));
    image.open_run("nightly", 0);
    let opened = end(&image);
    assert_eq!(ends(&image), (opened, opened));
    image.push(Kind::FIRST_USER, b"one of two", 1, true);
    assert_eq!(ends(&image), (opened, end(&image)));
    image.push(Kind::FIRST_USER, b"two of two", 1, false);
    let closed = end(&image);
    assert_eq!(ends(&image), (closed, closed));
    image.seal(3);
    assert_eq!(ends(&image), (closed, end(&image)));
}

#[test]
fn data_ends_at_its_last_byte_that_is_not_zero_whatever_the_bytes_are() {
    let image = Image::sample();
    for (len, place) in [(256, 200), (600, 598), (5000, 4000), (5000, 4998), (5000, 0)] {
        // Bytes of one value cancel each other out where they are compared all at once.
        let mut file = image.bytes.clone();
        let end = file.len();
        file.resize(end + len, 0);
        file[end + place..end + place + 2].fill(0x5A);
        let tail = judge(&image, &file);
        assert_eq!((tail.bad_at, tail.data_end), (end as u64, (end + place + 2) as u64), "{place} of {len}");
        assert!(!tail.evidence.only_zeros && tail.defect.is_some());
    }
}

#[test]
fn what_is_not_there_is_no_sector_of_zeros() {
    let mut image = Image::first(1);
    image.push(Kind::FIRST_USER, &Random(3).bytes(2000), 0, false);
    let start = image.frames[1].start;
    for cut in (start / SECTOR + 1)..image.bytes.len() / SECTOR {
        let tail = judge(&image, &image.bytes[..cut * SECTOR]);
        assert_eq!((tail.verdict, tail.bad_at), (Verdict::Torn, start as u64));
        assert!(tail.evidence.runs_past_end && !tail.evidence.zero_sector, "cut at {cut} sectors: {:?}", tail.evidence);
    }
}

#[test]
fn a_seal_behind_a_rotten_footer_tells_what_was_durable() {
    // Bug: frames that take no seq carry the one that is due, so a seal behind a footer that has rotted says n as well; only
    // headers behind n were asked, and reports told of fewer durable events than the log itself did.
    let mut image = Image::first(1);
    image.open_run("nightly", 0);
    image.push(Kind::FIRST_USER, b"second", 0, false);
    image.seal(2);
    let footer = image.frames.iter().find(|frame| frame.kind == Kind::FOOTER).expect("a footer").clone();
    for at in [footer.start + 9, footer.start + 48] {
        let mut file = image.bytes.clone();
        file[at] ^= 0x10;
        let tail = judge(&image, &file);
        assert_eq!((tail.verdict, tail.bad_at), (Verdict::Ambiguous, footer.start as u64));
        assert_eq!((tail.expected.get(), tail.durable), (3, 2), "byte {at}");
    }
}
