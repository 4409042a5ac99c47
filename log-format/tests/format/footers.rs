//! What a segment's footer gathers from its frames, and when it says that there is enough of it.

use crate::image::{FIRST, Image, seq};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use taffrail_log_format::{
    Flags, Footer, FooterBuilder, Header, IndexEntry, Kind, RunEntry, RunOpened, Seq, TypeEntry, TypeRegistered,
};

/// A proven header of an event.
fn event(number: u64, kind: Kind, run: Option<(u64, u32)>) -> Header {
    Header {
        payload_len: 0,
        seq: seq(number),
        run: run.map(|(run, _)| seq(run)),
        time_ns: 1000 - i64::try_from(number).expect("small"),
        lag: NonZeroU32::MIN,
        revision: run.map_or(0, |(_, revision)| revision),
        payload_crc: 0,
        kind,
        mask: 0,
        flags: Flags::default(),
        redacted: false,
    }
}

#[test]
fn an_index_has_a_place_for_every_64_kib_and_the_highest_clock_before_it() {
    let mut builder = FooterBuilder::new(seq(7), i64::MIN);
    let mut observe = |number, offset| builder.observe(&event(number, Kind::FIRST_USER, None), &[0; 48], offset, &[]);
    let first = FIRST as u64;
    for (number, offset) in [(7, 0), (8, 65_528), (9, 65_536), (10, 131_064), (11, 140_000)] {
        observe(number, first + offset);
    }
    let place = |number, offset, time_floor_ns| IndexEntry { seq: seq(number), offset: first + offset, time_floor_ns };
    assert_eq!(builder.index(), [place(7, 0, i64::MIN), place(9, 65_536, 993), place(11, 140_000, 993)]);
    assert_eq!((builder.next_seq(), builder.time_max_ns(), builder.runs().len()), (seq(12), 993, 0));
    let footer = builder.clone().finish(None);
    assert_eq!((footer.index.as_slice(), footer.events, footer.time_max_ns), (builder.index(), 5, 993));
}

#[test]
fn types_and_runs_are_gathered_from_the_frames_that_tell_of_them() {
    let mut builder = FooterBuilder::new(Seq::FIRST, i64::MIN);
    let registered = TypeRegistered { kind: Kind::FIRST_USER, entry: TypeEntry::json("acme.deploy") };
    builder.observe(&event(1, Kind::TYPE_REGISTERED, None), &[0; 48], 4608, &registered.encode());
    // A body that can not be read is somebody else's finding.
    builder.observe(&event(2, Kind::TYPE_REGISTERED, None), &[0; 48], 4656, &[9]);
    let opened = RunOpened { name: "nightly".into(), parent: None };
    builder.observe(&event(3, Kind::RUN_OPENED, Some((3, 1))), &[0; 48], 4704, &opened.encode());
    builder.observe(&event(4, Kind::FIRST_USER, Some((3, 2))), &[0; 48], 4752, b"");
    builder.observe(&event(5, Kind::FIRST_USER, Some((1, 9))), &[0; 48], 4800, b"");
    let entry = |first, first_offset, last, revision, count, name: Option<&str>| RunEntry {
        first: seq(first),
        first_offset,
        last: seq(last),
        revision,
        count,
        name: name.map(str::to_owned),
    };
    let runs =
        BTreeMap::from([(seq(1), entry(5, 4800, 5, 9, 1, None)), (seq(3), entry(3, 4704, 4, 2, 2, Some("nightly")))]);
    assert_eq!(builder.runs(), &runs);
    let footer = builder.finish(None);
    assert_eq!((footer.types.find("acme.deploy", "", 1), footer.types.len()), (Some(Kind::FIRST_USER), 1));
    assert_eq!((footer.runs, footer.origin.0), (Some(runs), 4848));
}

#[test]
fn a_footer_reads_back_without_its_runs() {
    let footer = Image::sample().seal(8);
    let without = Footer { runs: None, ..footer.clone() };
    assert!(footer.runs.is_some());
    assert_eq!(Footer::decode(&without.encode()), Ok(without));
}

/// Opens runs until their entries take so many bytes in the footer: 52 for each, and its name.
fn opened(len_bytes: usize) -> FooterBuilder {
    const LONGEST: usize = RunOpened::MAX_NAME_LEN_BYTES;
    let mut builder = FooterBuilder::new(Seq::FIRST, i64::MIN);
    let mut taken = 0;
    for number in 1.. {
        // Every name has a length from 1 to the longest one, and the last run takes what is left.
        let left = len_bytes - taken;
        let name_len = if left <= 52 + LONGEST { left - 52 } else { (left - 2 * 52 - 1).min(LONGEST) };
        let opened = RunOpened { name: "r".repeat(name_len), parent: None };
        builder.observe(&event(number, Kind::RUN_OPENED, Some((number, 1))), &[0; 48], 4608 + number, &opened.encode());
        taken += 52 + name_len;
        if taken == len_bytes {
            return builder;
        }
    }
    unreachable!("the runs have no end")
}

#[test]
fn runs_that_fill_a_quarter_of_a_frame_end_the_segment_and_half_a_frame_of_them_is_left_out() {
    assert!(!opened(60).is_large());
    let mut quarter = opened(16_777_215 / 4);
    assert!(!quarter.is_large());
    // More of a run that is known takes no more; another run does.
    quarter.observe(&event(99_000, Kind::FIRST_USER, Some((1, 2))), &[0; 48], 9_000_000, &[]);
    assert!(!quarter.is_large());
    quarter.observe(&event(99_001, Kind::FIRST_USER, Some((90_000, 7))), &[0; 48], 9_000_048, &[]);
    assert!(quarter.is_large());
    assert!(opened(16_777_215 / 4 + 1).is_large());
    let half = 16_777_215 / 2;
    let footer = opened(half - 1).finish(None);
    let body = footer.encode();
    assert!(footer.runs.as_ref().is_some_and(|runs| runs.len() > 27_000) && body.len() < half);
    assert_eq!(Footer::decode(&body), Ok(footer));
    assert_eq!(opened(half).finish(None).runs, None);
}
