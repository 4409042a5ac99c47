//! The grammar, table by table, and its properties.

use std::num::{NonZeroU32, NonZeroU64};

use proptest::prelude::*;

use super::{Position, PositionErrorKind as Kind, PositionRange, TimeOfDay};

const NOON_NS: i64 = 1_787_227_200_000_000_000; // 2026-08-20T12:00:00Z

fn seq(seq: u64) -> NonZeroU64 {
    NonZeroU64::new(seq).expect("not zero")
}

fn time_of_day(hour: u64, minute: u64, second: u64, ns: u64) -> Position {
    let seconds = hour * 3600 + minute * 60 + second;
    Position::TimeOfDay(TimeOfDay::from_ns(seconds * 1_000_000_000 + ns).expect("within a day"))
}

fn segment_offset(segment: u32, offset_bytes: u64) -> Position {
    Position::Offset { segment: NonZeroU32::new(segment).expect("not zero"), offset_bytes }
}

#[test]
fn positions_read_and_write() {
    let instant = |time_ns| Position::Instant { time_ns };
    let table = [
        ("1234", Position::Seq(seq(1234)), "1234"),
        ("001", Position::Seq(seq(1)), "1"),
        ("18446744073709551615", Position::Seq(seq(u64::MAX)), "18446744073709551615"),
        ("head", Position::Head { back: 0 }, "head"),
        ("head~0", Position::Head { back: 0 }, "head"),
        ("head~10", Position::Head { back: 10 }, "head~10"),
        ("@2026-08-20T12:00Z", instant(NOON_NS), "@2026-08-20T12:00:00Z"),
        ("@2026-08-20T12:00", instant(NOON_NS), "@2026-08-20T12:00:00Z"),
        ("@2026-08-20 12:00:00.000", instant(NOON_NS), "@2026-08-20T12:00:00Z"),
        ("@2026-08-20T14:00+02:00", instant(NOON_NS), "@2026-08-20T12:00:00Z"),
        ("@2026-08-20", instant(NOON_NS - 43_200_000_000_000), "@2026-08-20T00:00:00Z"),
        ("@2026-08-20 12:00:00.88", instant(NOON_NS + 880_000_000), "@2026-08-20T12:00:00.88Z"),
        ("@1969-12-31T23:59:59.999999999Z", instant(-1), "@1969-12-31T23:59:59.999999999Z"),
        ("@12:31:07", time_of_day(12, 31, 7, 0), "@12:31:07"),
        ("@12:31", time_of_day(12, 31, 0, 0), "@12:31:00"),
        ("@23:59:59.999999999", time_of_day(23, 59, 59, 999_999_999), "@23:59:59.999999999"),
        ("@00:00:00.5", time_of_day(0, 0, 0, 500_000_000), "@00:00:00.5"),
        ("@-15m", Position::Ago { seconds: 900 }, "@-15m"),
        ("@-90s", Position::Ago { seconds: 90 }, "@-90s"),
        ("@-120s", Position::Ago { seconds: 120 }, "@-2m"),
        ("@-24h", Position::Ago { seconds: 86_400 }, "@-1d"),
        ("@-3d", Position::Ago { seconds: 259_200 }, "@-3d"),
        ("@-0s", Position::Ago { seconds: 0 }, "@-0s"),
        ("@-213503982334602d", Position::Ago { seconds: u64::MAX }, "@-18446744073709551615s"),
        ("snap:latest", Position::LatestSnapshot, "snap:latest"),
        ("snap:18000", Position::Snapshot(seq(18_000)), "snap:18000"),
        ("mark:before-deploy", Position::Mark("before-deploy".to_owned()), "mark:before-deploy"),
        ("mark:a:b.c", Position::Mark("a:b.c".to_owned()), "mark:a:b.c"),
        ("seg:3+0x1f40", segment_offset(3, 0x1f40), "seg:3+0x1f40"),
        ("seg:3+0x01F40", segment_offset(3, 0x1f40), "seg:3+0x1f40"),
        ("seg:3+8000", segment_offset(3, 0x1f40), "seg:3+0x1f40"),
        ("seg:4294967295+0", segment_offset(u32::MAX, 0), "seg:4294967295+0x0"),
        ("run:release-42", Position::Run("release-42".to_owned()), "run:release-42"),
        ("before:publish", Position::Before("publish".to_owned()), "before:publish"),
        ("after:publish", Position::After("publish".to_owned()), "after:publish"),
    ];
    for (text, expected, canonical) in table {
        let position: Position = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(position, expected, "{text}");
        assert_eq!(position.to_string(), canonical, "{text}");
    }
}

#[test]
fn errors_say_what_was_expected() {
    let table = [
        ("", Kind::Unknown),
        ("latest", Kind::Unknown),
        ("-1", Kind::Unknown),
        ("+1", Kind::Unknown),
        ("1 ", Kind::Unknown),
        ("1_000", Kind::Unknown),
        ("step:publish", Kind::Unknown),
        ("HEAD", Kind::Unknown),
        ("1..2", Kind::Unknown),
        ("0", Kind::Seq),
        ("18446744073709551616", Kind::Seq),
        ("head~", Kind::Head),
        ("head~-1", Kind::Head),
        ("head~+1", Kind::Head),
        ("head^", Kind::Head),
        ("header", Kind::Head),
        ("@", Kind::Time),
        ("@noon", Kind::Time),
        ("@2026-13-20T12:00Z", Kind::Time),
        ("@2026-02-29", Kind::Time),
        ("@2026-08-20T12:00[Europe/Paris]", Kind::Time),
        ("@2026-08-20T12:00+99:00", Kind::Time),
        ("@24:00:00", Kind::Time),
        ("@12:31:07Z", Kind::Time),
        ("@12:31:07x", Kind::Time),
        ("@10000-01-01T00:00Z", Kind::Time),
        ("@9999-12-32", Kind::Time),
        ("@noonZ", Kind::Time),
        ("@-", Kind::Ago),
        ("@-15", Kind::Ago),
        ("@-m", Kind::Ago),
        ("@-1w", Kind::Ago),
        ("@--1m", Kind::Ago),
        ("@-1.5h", Kind::Ago),
        ("@-15ü", Kind::Ago),
        ("snap:", Kind::Snapshot),
        ("snap:0", Kind::Snapshot),
        ("snap:newest", Kind::Snapshot),
        ("seg:3", Kind::Offset),
        ("seg:0+0", Kind::Offset),
        ("seg:3+", Kind::Offset),
        ("seg:3+0x", Kind::Offset),
        ("seg:3+0x+1", Kind::Offset),
        ("seg:3+1f", Kind::Offset),
        ("seg:4294967296+0", Kind::Offset),
        ("seg:3+0x10000000000000000", Kind::Offset),
        ("mark:", Kind::Name),
        ("run:two words", Kind::Name),
        ("run:\u{7}", Kind::Name),
        ("before:a..b", Kind::Name),
        ("after:a.", Kind::Name),
    ];
    for (text, kind) in table {
        let error = text.parse::<Position>().expect_err(text);
        assert_eq!((error.kind, error.text.as_str()), (kind, text));
        assert!(!kind.example().is_empty() && !kind.expected().is_empty());
        if kind != Kind::Range {
            assert!(kind.example().parse::<Position>().is_ok(), "{kind:?}");
        }
    }
    assert!(format!("run:{}", "x".repeat(256)).parse::<Position>().is_ok());
    assert!(format!("run:{}", "x".repeat(257)).parse::<Position>().is_err());
    assert_eq!(
        "head~x".parse::<Position>().expect_err("no number").to_string(),
        r#""head~x" is not a position: expected `head`, or `head~` and a number of events, for example `head~10`"#
    );
}

#[test]
fn ranges_are_open_on_either_side() {
    let range = |start: Option<&str>, end: Option<&str>| PositionRange {
        start: start.map(|text| text.parse().expect("a position")),
        end: end.map(|text| text.parse().expect("a position")),
        includes_end: false,
    };
    let through = |start, end| PositionRange { includes_end: true, ..range(start, Some(end)) };
    for (text, expected) in [
        ("60..62", range(Some("60"), Some("62"))),
        ("60..", range(Some("60"), None)),
        ("..62", range(None, Some("62"))),
        ("..", PositionRange::default()),
        ("mark:a.b..@12:31:07", range(Some("mark:a.b"), Some("@12:31:07"))),
        ("head~10..head", range(Some("head~10"), Some("head"))),
        // As output writes ranges: what is printed can be typed.
        ("124..=243", through(Some("124"), "243")),
        ("..=head", through(None, "head")),
    ] {
        assert_eq!(text.parse::<PositionRange>(), Ok(expected.clone()), "{text}");
        assert_eq!(expected.to_string(), text);
    }
    for (text, kind, part) in [
        ("60", Kind::Range, "60"),
        ("", Kind::Range, ""),
        ("60..=", Kind::Range, "60..="),
        ("60..==62", Kind::Unknown, "=62"),
        ("60...62", Kind::Unknown, ".62"),
        ("0..62", Kind::Seq, "0"),
        ("1..2..3", Kind::Unknown, "2..3"),
    ] {
        let error = text.parse::<PositionRange>().expect_err(text);
        assert_eq!((error.kind, error.text.as_str()), (kind, part), "{text}");
    }
    assert!(Kind::Range.example().parse::<PositionRange>().is_ok());
}

#[test]
fn the_last_such_time_is_found_on_both_sides_of_midnight_and_of_1970() {
    let nine = TimeOfDay::from_ns(9 * 3_600_000_000_000).expect("within a day");
    let hour_ns = 3_600_000_000_000;
    assert_eq!(nine.last_at_or_before(NOON_NS), Some(NOON_NS - 3 * hour_ns));
    assert_eq!(nine.last_at_or_before(NOON_NS - 3 * hour_ns), Some(NOON_NS - 3 * hour_ns));
    assert_eq!(nine.last_at_or_before(NOON_NS - 3 * hour_ns - 1), Some(NOON_NS - 27 * hour_ns));
    assert_eq!(nine.last_at_or_before(0), Some(-15 * hour_ns));
    assert_eq!(nine.last_at_or_before(i64::MIN), None);
    assert_eq!(TimeOfDay::from_ns(TimeOfDay::DAY_NS), None);
}

fn position() -> impl Strategy<Value = Position> {
    let seq = || (1..=u64::MAX).prop_map(seq);
    let name = || "[a-zA-Z0-9_:~@+-]{1,12}(\\.[a-z0-9ü]{1,4}){0,2}";
    prop_oneof![
        seq().prop_map(Position::Seq),
        any::<u64>().prop_map(|back| Position::Head { back }),
        any::<i64>().prop_map(|time_ns| Position::Instant { time_ns }),
        (0..TimeOfDay::DAY_NS).prop_map(|ns| Position::TimeOfDay(TimeOfDay::from_ns(ns).expect("within a day"))),
        any::<u64>().prop_map(|seconds| Position::Ago { seconds }),
        (0..1000_u64).prop_map(|days| Position::Ago { seconds: days * 86_400 }),
        Just(Position::LatestSnapshot),
        seq().prop_map(Position::Snapshot),
        name().prop_map(Position::Mark),
        (1..=u32::MAX, any::<u64>()).prop_map(|(segment, offset_bytes)| segment_offset(segment, offset_bytes)),
        name().prop_map(Position::Run),
        name().prop_map(Position::Before),
        name().prop_map(Position::After),
    ]
}

proptest! {
    #[test]
    fn what_is_displayed_parses_back(position in position()) {
        prop_assert_eq!(position.to_string().parse::<Position>(), Ok(position));
    }

    #[test]
    fn ranges_displayed_parse_back(start in prop::option::of(position()), end in prop::option::of(position()), is_through: bool) {
        let includes_end = is_through && end.is_some();
        let range = PositionRange { start, end, includes_end };
        prop_assert_eq!(range.to_string().parse::<PositionRange>(), Ok(range));
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), near in "(@|head|seg:|snap:|[0-9a-fx:.~+Tz -]){0,12}") {
        for text in [text, near] {
            if let Ok(position) = text.parse::<Position>() {
                prop_assert_eq!(position.to_string().parse::<Position>(), Ok(position));
            }
            if let Ok(range) = text.parse::<PositionRange>() {
                prop_assert_eq!(range.to_string().parse::<PositionRange>(), Ok(range));
            }
        }
    }
}

/// A time far away was refused as no time at all, though it is the plain way to say "everything": the state after the last
/// event that is not later.
#[test]
fn times_beyond_what_a_log_can_record_stand_for_the_farthest_that_it_can() {
    for (text, time_ns) in [
        ("@9999-12-31", i64::MAX),
        ("@9999-12-31T23:59:59Z", i64::MAX),
        ("@9999-01-01T00:00+02:00", i64::MAX),
        ("@2262-04-11T23:47:16.854775808Z", i64::MAX),
        ("@2262-04-11T23:47:16.854775807Z", i64::MAX),
        ("@2262-04-11T23:47:16.854775806Z", i64::MAX - 1),
        ("@1677-09-21T00:12:43.145224192Z", i64::MIN),
        ("@1677-09-21T00:12:43Z", i64::MIN),
        ("@0001-01-01", i64::MIN),
    ] {
        assert_eq!(text.parse(), Ok(Position::Instant { time_ns }), "{text}");
        let shown = Position::Instant { time_ns }.to_string();
        assert_eq!(shown.parse(), Ok(Position::Instant { time_ns }), "{text}: {shown}");
    }
}
