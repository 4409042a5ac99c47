//! Files of earlier days. What a release has written, every later one reads: golden files are added, never edited.
//!
//! `TAFFRAIL_BLESS=1` writes those that are not there yet, and never touches one that is.

use crate::image::{FIRST, Image, LOG, header, seq, types};
use std::collections::BTreeMap;
use std::path::PathBuf;
use taffrail_log_format::{
    Checkpoint, Codec, DefectKind, Footer, GapRange, GapReason, Gaps, IndexEntry, Kind, Mark, OperatorAction,
    Recovered, RunEntry, RunOpened, Scanner, SegmentHeader, SegmentNumber, Seq, Step, SyncPolicyTag, TailScan,
    TypeEntry, TypeRegistered, TypeTable, Verdict, Watermark, WatermarkSlots, layout, scan_tail,
};

/// The golden file's bytes; `today` is what the code of today makes of the same contents.
#[allow(clippy::disallowed_methods, reason = "golden files are files")]
fn golden(name: &str, today: &[u8]) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    if std::env::var_os("TAFFRAIL_BLESS").is_some() && !path.exists() {
        std::fs::write(&path, today).expect("the golden directory is writable");
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}; TAFFRAIL_BLESS=1 makes new golden files"))
}

const DIGEST: [u8; 32] = [0xD1; 32];

fn gaps() -> Gaps {
    let range = |first, last, reason, kept_in: &str| GapRange {
        first: seq(first),
        last: seq(last),
        reason,
        digest: DIGEST,
        kept_in: kept_in.into(),
    };
    let ranges = vec![
        range(5, 6, GapReason::Damaged, "quarantine/8c1e44"),
        range(70_000, 70_000, GapReason::Compacted, "archive/0000000002.seg"),
        range(5_000_000_000, 5_000_000_001, GapReason::Redacted, ""),
    ];
    Gaps::new(ranges).expect("ascending")
}

fn footer(types: &TypeTable) -> Footer {
    let run = |name: Option<&str>| RunEntry {
        first: seq(900),
        first_offset: 4712,
        last: seq(70_000),
        revision: 251,
        count: 250,
        name: name.map(str::to_owned),
    };
    let place = |number, offset, time_floor_ns| IndexEntry { seq: seq(number), offset, time_floor_ns };
    Footer {
        next_seq: seq(70_001),
        events: 69_102,
        time_max_ns: 1_700_000_000_000_000_000,
        origin: (67_108_864, DIGEST),
        types: types.clone(),
        index: vec![place(900, 4712, i64::MIN), place(1900, 70_312, -1)],
        runs: Some(BTreeMap::from([(seq(3), run(None)), (seq(900), run(Some("nightly")))])),
    }
}

fn bodies() -> Vec<(Kind, Vec<u8>)> {
    let digest = DIGEST;
    let entry = TypeEntry {
        name: "acme.deploy".into(),
        variant: "Started".into(),
        version: 300,
        codec: Codec::Bincode,
        hint: true,
        fingerprint: Some(digest),
        descriptor: b"struct Started { sha: String }".to_vec(),
    };
    let mut table = types(2);
    let kind = table.next_kind().expect("room");
    table.register(TypeRegistered { kind, entry: entry.clone() }).expect("a new type");
    let footer = footer(&table);
    let checkpoint = Checkpoint {
        fold: "run".into(),
        version: 2,
        build: "0.1.0".into(),
        run: Some(seq(900)),
        revision: 251,
        digest,
    };
    let action = OperatorAction {
        verb: "repair".into(),
        plan: digest,
        reason: "bit rot in sector 19".into(),
        actor: "uid:1000".into(),
        detail: r#"{"events":2}"#.into(),
    };
    let recovered = Recovered {
        first: seq(70_001),
        segment: 3,
        offset: 70_312,
        len_bytes: 512,
        digest,
        kept_in: "quarantine/tail-3-70312".into(),
    };
    vec![
        (Kind::RUN_OPENED, RunOpened { name: "nightly".into(), parent: Some(seq(3)) }.encode()),
        (Kind::TYPE_REGISTERED, TypeRegistered { kind, entry }.encode()),
        (Kind::CHECKPOINT, checkpoint.encode()),
        (Kind::GAPS, gaps().encode()),
        (Kind::FOOTER, footer.encode()),
        (Kind::MARK, Mark { name: "before".into(), note: "größer".into() }.encode()),
        (Kind::OPERATOR_ACTION, action.encode()),
        (Kind::RECOVERED, recovered.encode()),
        (Kind::TYPE_TABLE, table.encode()),
        (Kind::SEAL, 70_312_u64.to_le_bytes().to_vec()),
    ]
}

/// The body decoded and encoded again, and what it says, for people.
fn read_body(kind: Kind, body: &[u8]) -> Option<(Vec<u8>, String)> {
    macro_rules! read {
        ($body:ty) => {
            <$body>::decode(body).ok().map(|read| (read.encode(), format!("{read:?}")))
        };
    }
    match kind {
        Kind::RUN_OPENED => read!(RunOpened),
        Kind::TYPE_REGISTERED => read!(TypeRegistered),
        Kind::CHECKPOINT => read!(Checkpoint),
        Kind::GAPS => read!(Gaps),
        Kind::FOOTER => read!(Footer),
        Kind::MARK => read!(Mark),
        Kind::OPERATOR_ACTION => read!(OperatorAction),
        Kind::RECOVERED => read!(Recovered),
        Kind::TYPE_TABLE => read!(TypeTable),
        _ => <[u8; 8]>::try_from(body).ok().map(|body| (body.to_vec(), u64::from_le_bytes(body).to_string())),
    }
}

#[test]
fn every_kind_has_a_golden_body_that_is_read_and_written_as_ever() {
    let bodies = bodies();
    let named = (1..16).filter_map(Kind::new).filter(|kind| kind.reserved_name().is_some());
    assert_eq!(named.collect::<Vec<_>>(), bodies.iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
    for (kind, today) in bodies {
        let body = golden(&format!("body-{kind}-v1.bin"), &today);
        assert_eq!(body, today, "{kind} is written otherwise than it was");
        let (again, said) = read_body(kind, &body).unwrap_or_else(|| panic!("{kind} is not read"));
        assert_eq!(again, body, "{kind}");
        for len in 0..body.len() {
            assert_eq!(read_body(kind, &body[..len]), None, "{kind} cut to {len} bytes");
        }
        for at in 0..body.len() {
            let mut twin = body.clone();
            twin[at] ^= 0xFF;
            assert_ne!(read_body(kind, &twin).map(|(_, said)| said), Some(said.clone()), "{kind}, byte {at}");
        }
        let mut twin = body.clone();
        // Digits and letters are any text; the frame's CRC tells.
        twin[0] ^= 0x40;
        let mut image = Image::first(0);
        image.push(kind, &body, 0, false);
        let frame = image.frames.last().expect("it");
        image.bytes[frame.start + 48..frame.start + 48 + body.len()].copy_from_slice(&twin);
        let mut scanner = Scanner::new(image.key, frame.start as u64, None);
        let Step::Bad { defect, .. } = scanner.step(&image.bytes[frame.start..], true) else {
            panic!("{kind}: a changed body was accepted")
        };
        assert_eq!(defect.kind, DefectKind::PayloadCrc);
    }
}

/// A segment that was rewritten, with absences, and free space behind its last batch.
fn rewritten() -> Image {
    let mut header = header(3, seq(5));
    header.generation = 1;
    header.covers_from = SegmentNumber::new(2).expect("two");
    header.origin = Some((9000, [0xA5; 32]));
    header.sync_policy = SyncPolicyTag::Interval(50);
    let gap = |first, last| GapRange {
        first: seq(first),
        last: seq(last),
        reason: GapReason::Compacted,
        digest: [0x6A; 32],
        kept_in: "archive/0000000002.seg".into(),
    };
    let mut image = Image::new(&header, 1, Gaps::new(vec![gap(5, 6), gap(8, 8)]).expect("ascending"));
    image.push(Kind::FIRST_USER, br#"{"kept":7}"#, 6, false);
    image.push(Kind::FIRST_USER, &[0; 9], 7, true);
    image.push(Kind::FIRST_USER, b"ten", 7, false);
    image.bytes.resize(5632, 0);
    image
}

/// The scan, the seqs and payloads of the frames, and how many findings there are that cost nothing.
type Tail = (TailScan, Vec<(u64, Vec<u8>)>, usize);

fn tail(file: &[u8], number: u32) -> Option<Tail> {
    let (header, defects) = SegmentHeader::read(file, &file[4096..]).ok()?;
    assert_eq!(header.number.get(), number);
    let mut frames = Vec::new();
    let mut findings = defects.len();
    let scanner = Scanner::new(header.key(), layout::FIRST_FRAME, Some(header.first_seq));
    let scan = scan_tail(scanner, &file[FIRST..], 0, |frame| {
        frames.push((frame.header.seq.get(), frame.payload().into_owned()));
        findings += frame.padding.iter().filter(|byte| **byte != 0).count();
    });
    scan.map(|scan| (scan, frames, findings))
}

fn check_segment(name: &str, image: &Image, number: u32, sealed: bool) {
    let file = golden(name, &image.bytes);
    assert_eq!(file, image.bytes, "{name} is written otherwise than it was");
    let (scan, frames, findings) = tail(&file, number).expect("a header");
    assert_eq!((scan.verdict, scan.sealed, findings), (Verdict::End, sealed, 0), "{name}");
    let written: Vec<_> = image.frames.iter().map(|frame| (frame.seq, frame.payload.clone())).collect();
    assert_eq!(frames, written, "{name}");
    for at in (0..512).chain(4096..file.len()) {
        let mut twin = file.clone();
        twin[at] ^= 0xFF;
        let (read, _, findings) = tail(&twin, number).expect("the other block");
        assert!(findings > 0 || read.defect.is_some(), "{name}: byte {at} was changed and nobody saw it");
    }
}

#[test]
fn golden_segments_are_read_and_written_as_ever() {
    check_segment("segment-sealed-v1.seg", &Image::sample(), 1, true);
    check_segment("segment-rewritten-v1.seg", &rewritten(), 3, false);
}

#[test]
fn the_golden_watermark_is_read_and_written_as_ever() {
    let mark = |counter, offset, durable, last_frame| Watermark {
        log_id: LOG,
        counter,
        segment: SegmentNumber::new(3).expect("three"),
        offset,
        durable,
        last_frame,
        last_frame_crc: 0x1234_5678,
    };
    let (older, newer) = (mark(40, 4800, 900, 4712), mark(41, 70_312, 5_000_000_000, 70_200));
    let mut today = vec![0; layout::watermark::FILE_LEN_BYTES];
    today[..64].copy_from_slice(&older.encode());
    today[512..].copy_from_slice(&newer.encode());
    let file = golden("watermark-v1.bin", &today);
    assert_eq!(file, today);
    assert_eq!(WatermarkSlots::read(&file), WatermarkSlots { newest: Some(newer), defects: vec![] });
    for at in 512..576 {
        let mut twin = file.clone();
        twin[at] ^= 0xFF;
        let slots = WatermarkSlots::read(&twin);
        assert_eq!((slots.newest, slots.defects.len()), (Some(older), 1), "byte {at}");
    }
    assert_eq!(Seq::new(newer.durable).map(Seq::get), Some(5_000_000_000));
}
