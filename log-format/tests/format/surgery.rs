//! Frames in places where they were not written, and headers that say what no writer says.

use crate::image::{FIRST, Image, LOG, header, seq};
use taffrail_log_format::Crc32c;
use taffrail_log_format::{
    DefectKind, FooterBuilder, FrameFields, GapRange, GapReason, Gaps, Kind, LogId, RawHeader, Scanner, SegmentKey,
    SegmentNumber, Seq, Step, Verdict, encode_frame, find_header, layout, scan_tail,
};

/// A key's frame header CRC by the book, for headers that the encoder does not make.
fn reseal(bytes: &mut [u8], log_id: LogId, number: u32, offset: u64) {
    let crc = Crc32c::default().then(&log_id.0).then(&number.to_le_bytes()).then(&offset.to_le_bytes());
    let crc = crc.then(&bytes[4..48]).value();
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_frame_passes_in_its_own_place_only() {
    let image = Image::sample();
    let number = |number| SegmentNumber::new(number).expect("a number");
    for frame in &image.frames {
        let raw = RawHeader::new(&image.bytes[frame.start..]).expect("48 bytes");
        let here = frame.start as u64;
        assert!(raw.proven(&image.key, here).is_some());
        for offset in (0..20_000).step_by(8).chain([here + (1 << 32), here + (1 << 63)]).filter(|at| *at != here) {
            assert_eq!(raw.proven(&image.key, offset), None, "the frame at {here} passes at {offset}");
        }
        for other in 2..2_000 {
            assert_eq!(raw.proven(&SegmentKey::new(LOG, number(other)), here), None, "passes in segment {other}");
        }
        for bit in 0..128 {
            let mut id = LOG;
            id.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(raw.proven(&SegmentKey::new(id, number(1)), here), None, "passes in another log");
        }
    }
}

#[test]
fn log_bytes_within_a_payload_never_pass_for_frames() {
    let nested = Image::sample();
    for shift in 0..16 {
        let mut image = Image::first(1);
        image.open_run("outer", 0);
        let carrier = image.frames.len();
        let user = Kind::FIRST_USER;
        image.push(user, &[vec![0xA6; shift], nested.bytes[FIRST..].to_vec()].concat(), 1, false);
        image.push(user, b"behind", 2, false);
        let mut file = image.bytes.clone();
        let start = image.frames[carrier].start;
        // The carrier's own header is gone: its payload is searched through for the next frame.
        file[start + 9] ^= 0x10;
        let (found, header) = find_header(&image.key, &file, 0, start as u64).expect("the frame behind");
        assert_eq!((found, header.seq.get()), (image.frames[carrier + 1].start as u64, 3), "shift {shift}");
    }
}

#[test]
fn a_forged_header_in_a_torn_payload_can_not_claim_what_could_not_be_there() {
    // The author of a payload knows log id and offset and nests a header that claims a billion durable events. If its
    // carrier is torn, the log must still open.
    let mut image = Image::first(1);
    image.open_run("outer", 0);
    let carrier = image.bytes.len();
    let place = carrier + 48 + 600;
    let mut payload = vec![b'x'; 1500];
    let forge = |claimed: u64| {
        let fields = FrameFields {
            seq: seq(claimed),
            run: None,
            revision: 0,
            time_ns: 0,
            durable: claimed - 1,
            kind: Kind::FIRST_USER,
            flags: taffrail_log_format::Flags::default(),
        };
        let mut frame = Vec::new();
        encode_frame(&mut frame, &image.key, place as u64, &fields, b"").expect("a frame");
        frame
    };
    for (claimed, expected) in [(1_000_000_000, Verdict::Torn), (35, Verdict::Torn), (34, Verdict::Damaged)] {
        payload[600..648].copy_from_slice(&forge(claimed));
        let mut log = image.clone();
        log.push(Kind::FIRST_USER, &payload, 1, false);
        assert_eq!(log.bytes.len() - carrier, 1552);
        // The last sector of the carrier was never written. 1552 bytes hold 32 headers, and 2 is the seq that is due.
        log.bytes[carrier + 1400..].fill(0);
        let scanner = Scanner::new(log.key, FIRST as u64, Some(Seq::FIRST));
        let tail = scan_tail(scanner, &log.bytes[FIRST..], 0, |_| {}).expect("the seq is known");
        assert_eq!((tail.verdict, tail.bad_at), (expected, carrier as u64), "a claim of {claimed}");
    }
}

#[test]
fn duplicated_dropped_and_swapped_frames_are_found() {
    let image = Image::sample();
    let verdict = |file: &[u8]| {
        let scanner = Scanner::new(image.key, FIRST as u64, Some(Seq::FIRST));
        scan_tail(scanner, &file[FIRST..], 0, |_| {}).expect("the seq is known")
    };
    for (place, frame) in image.frames.iter().enumerate().skip(1) {
        let mut doubled = image.bytes.clone();
        doubled.splice(frame.end..frame.end, image.bytes[frame.start..frame.end].iter().copied());
        let tail = verdict(&doubled);
        assert_eq!((tail.bad_at, tail.verdict), (frame.end as u64, Verdict::Ambiguous), "frame {place} doubled");
        let mut dropped = image.bytes.clone();
        dropped.drain(frame.start..frame.end);
        let tail = verdict(&dropped);
        let nothing_behind = place + 1 == image.frames.len();
        let expected = if nothing_behind { Verdict::Torn } else { Verdict::Ambiguous };
        assert_eq!((tail.bad_at, tail.verdict), (frame.start as u64, expected), "frame {place} dropped");
    }
}

#[test]
fn an_acknowledged_event_rewritten_with_another_seq_is_damage() {
    let mut image = Image::first(1);
    image.open_run("nightly", 0);
    let start = image.frames[1].start;
    let mut file = image.bytes.clone();
    file[start + layout::frame::SEQ] = 9;
    file[start + layout::frame::RUN] = 9;
    file[start + layout::frame::LAG] = 1;
    reseal(&mut file[start..], LOG, 1, start as u64);
    let scanner = Scanner::new(image.key, FIRST as u64, Some(Seq::FIRST));
    let tail = scan_tail(scanner, &file[FIRST..], 0, |_| {}).expect("the seq is known");
    assert_eq!((tail.verdict, tail.defect.map(|d| d.kind)), (Verdict::Damaged, Some(DefectKind::SeqJump)));
}

/// What the scanner says about the second frame of the sample after a change to its header, sealed again by the book.
fn changed(change: impl FnOnce(&mut [u8])) -> DefectKind {
    let image = Image::sample();
    let frame = &image.frames[2];
    let mut bytes = image.bytes[frame.start..frame.end].to_vec();
    change(&mut bytes);
    reseal(&mut bytes, LOG, 1, frame.start as u64);
    assert_eq!(RawHeader::new(&bytes).expect("48 bytes").proven(&image.key, frame.start as u64), None);
    match Scanner::new(image.key, frame.start as u64, None).step(&bytes, true) {
        Step::Bad { defect, header: None } => defect.kind,
        other => panic!("{other:?} was accepted"),
    }
}

#[test]
fn headers_that_match_their_crc_and_say_the_impossible_are_refused() {
    use layout::frame as at;
    for flag in [2, 3, 4] {
        assert_eq!(changed(|h| h[at::FLAGS] |= 1 << flag), DefectKind::UnknownFlag, "critical flag {flag}");
    }
    for constant in [5, 7] {
        assert_eq!(changed(|h| h[at::FLAGS] &= !(1 << constant)), DefectKind::HeaderField, "flag {constant}");
    }
    let zeroed = |from: usize, to: usize| changed(|h| h[from..to].fill(0));
    for (from, to) in
        [(at::SEQ, at::RUN), (at::LAG, at::REVISION), (at::REVISION, at::PAYLOAD_CRC), (at::KIND, at::MASK)]
    {
        assert_eq!(zeroed(from, to), DefectKind::HeaderField, "{from}..{to} zero");
    }
    // A lag beyond the seq, a run that opens later than its event, a first event that does not open its run.
    assert_eq!(changed(|h| h[at::LAG] = 200), DefectKind::HeaderField);
    assert_eq!(changed(|h| h[at::RUN] = 200), DefectKind::HeaderField);
    assert_eq!(changed(|h| h[at::REVISION] = 1), DefectKind::HeaderField);
    assert_eq!(changed(|h| h[at::LEN_MARK + 3] = 0xA7), DefectKind::HeaderField);
}

#[test]
fn recorded_absences_are_passed_over_and_the_footer_knows_the_one_at_the_end() {
    // Bug: a footer's next seq was the one behind its last event, also where an absence was recorded behind that event:
    // the next segment began with a seq that had been durable.
    let absent = |first: u64, last: u64| GapRange {
        first: seq(first),
        last: seq(last),
        reason: GapReason::Damaged,
        digest: [1; 32],
        kept_in: String::new(),
    };
    let gaps = Gaps::new(vec![absent(5, 6), absent(8, 8), absent(10, 12)]).expect("ascending");
    let mut image = Image::new(&header(2, seq(5)), 1, gaps);
    for event in [7, 9] {
        assert_eq!(image.next, seq(event));
        image.push(Kind::FIRST_USER, b"kept", event - 1, false);
    }
    let footer = image.seal(12);
    assert_eq!((footer.next_seq, footer.events), (seq(13), 2));
    let scanner = Scanner::new(image.key, FIRST as u64, Some(seq(5)));
    let tail = scan_tail(scanner, &image.bytes[FIRST..], 0, |_| {}).expect("the seq is known");
    assert_eq!((tail.verdict, tail.sealed, tail.expected), (Verdict::End, true, seq(13)));
    // Nothing but an absence.
    let mut image = Image::new(&header(2, seq(5)), 1, Gaps::new(vec![absent(5, 9)]).expect("one"));
    assert_eq!(image.seal(9).next_seq, seq(10));
}

#[test]
fn a_hole_in_the_tail_is_called_one() {
    // Bug: where zeros stood at X and data behind them, the scan had nothing to say about what is wrong.
    let image = Image::sample();
    let frame = &image.frames[3];
    let mut file = image.bytes.clone();
    file[frame.start..frame.start + 48].fill(0);
    let scanner = Scanner::new(image.key, FIRST as u64, Some(Seq::FIRST));
    let tail = scan_tail(scanner, &file[FIRST..], 0, |_| {}).expect("the seq is known");
    let told = tail.defect.map(|defect| (defect.kind, defect.offset));
    assert_eq!((tail.verdict, told), (Verdict::Damaged, Some((DefectKind::Hole, frame.start as u64))));
}

#[test]
fn a_search_at_the_end_of_all_numbers_ends() {
    // Bug: rounding an offset near the last number up to eight overflowed.
    let key = Image::sample().key;
    for from in [u64::MAX, u64::MAX - 7, u64::MAX - 60] {
        assert_eq!(find_header(&key, &[0xA6; 200], 0, from), None);
        assert_eq!(find_header(&key, &[0xA6; 200], u64::MAX - 100, from), None);
    }
}

#[test]
#[should_panic(expected = "not durable")]
fn a_lag_that_does_not_fit_is_an_error_of_the_caller() {
    // Bug: it was cut to 2^32 - 1, and so told of more durable events than there were.
    let fields = FrameFields {
        seq: seq(1 << 33),
        run: None,
        revision: 0,
        time_ns: 0,
        durable: 1,
        kind: Kind::FIRST_USER,
        flags: taffrail_log_format::Flags::default(),
    };
    let _ = encode_frame(&mut Vec::new(), &Image::sample().key, 4608, &fields, b"");
}

#[test]
fn the_origin_digest_is_over_the_header_bytes_of_every_frame_before_the_footer() {
    let mut image = Image::sample();
    let footer_at = image.frames.iter().position(|f| f.kind == Kind::FOOTER).expect("a footer");
    let mut hasher = blake3::Hasher::new();
    for frame in &image.frames[..footer_at] {
        hasher.update(&image.bytes[frame.start + 4..frame.start + 48]);
    }
    let payload = image.frames[footer_at].payload.clone();
    let footer = taffrail_log_format::Footer::decode(&payload).expect("a footer");
    assert_eq!(footer.origin, (image.frames[footer_at].start as u64, *hasher.finalize().as_bytes()));
    let seal = image.frames.pop().expect("the seal");
    assert_eq!((seal.end - seal.start) as u64, layout::SEAL_LEN_BYTES);
    assert_eq!(seal.payload, footer.origin.0.to_le_bytes());
    assert_eq!(FooterBuilder::new(Seq::FIRST, 3).finish(None).time_max_ns, 3);
}
