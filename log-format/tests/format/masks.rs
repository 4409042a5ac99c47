//! What the mask and the constants promise, on the bytes of real frames.

use crate::image::{FIRST, Image, SECTOR, payload};
use crate::random::Random;
use taffrail_log_format::{Kind, Scanner, Step};

fn set_bits(piece: &[u8]) -> u32 {
    piece.iter().map(|byte| byte.count_ones()).sum()
}

/// The pieces that sector borders cut from `start..end`.
fn pieces(bytes: &[u8], start: usize, end: usize) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = start;
    std::iter::from_fn(move || {
        let to = ((at / SECTOR + 1) * SECTOR).min(end);
        let piece = (at < end).then(|| (at, &bytes[at..to]));
        at = to;
        piece
    })
}

#[test]
fn every_piece_of_every_frame_has_two_set_bits_wherever_sectors_cut_it() {
    let random = &mut Random(11);
    let (mut masked, mut split) = (0, 0);
    for alignment in 0..64 {
        let mut image = Image::first(0);
        // Frames without payload are 48 bytes: as many as it takes bring the next one to the wanted eighth of a sector.
        while image.bytes.len() % SECTOR != alignment * 8 {
            let odd = (image.bytes.len() / 8) % 2 != alignment % 2;
            image.push(Kind::FIRST_USER, if odd { b"filler" } else { b"" }, 0, false);
        }
        let first = image.frames.len();
        let extremes =
            [vec![0; 5000], vec![1; 1], vec![0x80; 600], vec![0; 1], vec![0; 513], [vec![3; 464], vec![1]].concat()];
        for payload in extremes.into_iter().chain((0..120).map(|_| payload(random))) {
            image.push(Kind::FIRST_USER, &payload, 0, false);
        }
        assert_eq!(image.frames[first].start % SECTOR, alignment * 8);
        for frame in &image.frames[first..] {
            let body = frame.start + 48;
            for (at, piece) in pieces(&image.bytes, frame.start, body) {
                assert!(set_bits(piece) >= 2, "header piece at {at}");
                split += usize::from(at != frame.start);
            }
            for (at, piece) in pieces(&image.bytes, body, body + frame.payload.len()) {
                assert!(set_bits(piece) >= 2, "payload piece at {at}");
            }
            assert!(image.bytes[frame.start + 47].count_ones() >= 2);
            if let Some(last) = image.bytes[body..body + frame.payload.len()].last() {
                assert!(last.count_ones() >= 2, "last byte of the frame at {}", frame.start);
            }
            let mut scanner = Scanner::new(image.key, frame.start as u64, None);
            let Step::Frame(read) = scanner.step(&image.bytes[frame.start..frame.end], true) else {
                panic!("the frame at {} does not read back", frame.start)
            };
            assert_eq!(read.payload(), frame.payload.as_slice());
            masked += usize::from(read.header.mask != 0);
        }
        assert_eq!(FIRST % SECTOR, 0);
    }
    println!("{masked} masked payloads, {split} headers across a border");
    assert!(masked > 500 && split > 500);
}
