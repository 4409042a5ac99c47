//! Frames as they are written: their bytes, their room in the buffer, and how they are bound to another place.

use crate::image::{FIRST, Image, seq};
use taffrail_log_format::{
    Flags, FrameFields, Header, Kind, RawHeader, Scanner, Seq, Step, encode_frame, encode_redacted_frame, layout,
    reseal_frame,
};

fn fields() -> FrameFields {
    FrameFields {
        seq: seq(3),
        run: Some(seq(2)),
        revision: 2,
        time_ns: -5,
        durable: 2,
        kind: Kind::FIRST_USER,
        flags: Flags { more: true, hint: true },
    }
}

#[test]
fn a_frame_shows_the_header_that_stands_in_the_file() {
    let image = Image::sample();
    let mut scanner = Scanner::new(image.key, FIRST as u64, Some(Seq::FIRST));
    for written in &image.frames {
        let Step::Frame(frame) = scanner.step(&image.bytes[written.start..], true) else { panic!("a good frame") };
        let stands = &image.bytes[written.start..written.start + 48];
        assert_eq!(frame.header_bytes(), stands);
        assert_eq!(frame.header_crc().to_le_bytes(), stands[..4]);
        assert_eq!((frame.offset, frame.end()), (written.start as u64, written.end as u64));
    }
}

#[test]
fn a_frame_reserves_the_room_that_it_takes() {
    let key = Image::sample().key;
    for len in [0, 1, 8, 1001, 70_007] {
        let mut buffer = Vec::new();
        encode_frame(&mut buffer, &key, FIRST as u64, &fields(), &vec![b'x'; len]).expect("a frame");
        assert_eq!(buffer.len(), (48 + len).next_multiple_of(8));
        assert!(buffer.capacity() < buffer.len() + 48, "{} bytes for a payload of {len}", buffer.capacity());
    }
}

#[test]
fn a_redacted_frame_says_so_and_is_good_in_its_place() {
    let key = Image::sample().key;
    let (mut plain, mut redacted) = (b"before: ".to_vec(), b"before: ".to_vec());
    let was = encode_frame(&mut plain, &key, 4680, &fields(), b"gone").expect("a frame");
    let written = encode_redacted_frame(&mut redacted, &key, 4680, &fields(), b"gone").expect("a frame");
    assert_eq!((was.redacted, written), (false, Header { redacted: true, ..was }));
    let Step::Frame(read) = Scanner::new(key, 4680, Some(seq(3))).step(&redacted[8..], true) else {
        panic!("a good frame")
    };
    assert_eq!((read.header, &*read.payload()), (written, &b"gone"[..]));
    // Nothing else is changed but the CRC, and nothing of what stood in the buffer.
    plain[8 + layout::frame::FLAGS] |= layout::frame::FLAG_REDACTED;
    assert_eq!((&redacted[..8], &redacted[12..]), (&plain[..8], &plain[12..]));
}

#[test]
fn a_frame_that_is_moved_is_good_in_its_new_place_and_no_longer_in_the_old_one() {
    let key = Image::sample().key;
    let mut bytes = Vec::new();
    let written = encode_frame(&mut bytes, &key, 4680, &fields(), b"kept").expect("a frame");
    let mut moved = bytes.clone();
    reseal_frame(moved.first_chunk_mut().expect("48 bytes"), &key, 9000);
    let raw = RawHeader::new(&moved).expect("48 bytes");
    assert_eq!((raw.check(&key, 9000), raw.proven(&key, 9000)), (Ok(written), Some(written)));
    assert_eq!(raw.proven(&key, 4680), None);
    assert_eq!(moved[4..], bytes[4..]);
}
