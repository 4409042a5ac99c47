//! The configuration's grammar, its errors and its layers.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    CONFIG_LEN_BYTES_MAX, Setting, Source, StoreConfig, SyncPolicy, format_byte_size, format_duration, parse_byte_size,
    parse_duration,
};

#[test]
fn a_full_file_and_an_empty_one_read() {
    assert_eq!(StoreConfig::parse(b""), Ok(StoreConfig::default()));
    assert_eq!(StoreConfig::parse(b"# nothing\n\n"), Ok(StoreConfig::default()));
    let text = b"sync = \"interval:50ms\" # fast\nsegment_size = '64MiB'\nlock_timeout = \"5s\"\n";
    let expected = StoreConfig {
        sync: Some(SyncPolicy::Interval(Duration::from_millis(50))),
        segment_size_bytes: Some(64 << 20),
        lock_timeout: Some(Duration::from_secs(5)),
        retention: None,
        redaction: None,
    };
    assert_eq!(StoreConfig::parse(text), Ok(expected));
    for (text, policy) in [("always", SyncPolicy::Always), ("never", SyncPolicy::Never)] {
        let config = StoreConfig::parse(format!("sync = {text:?}").as_bytes()).expect("a policy");
        assert_eq!(config.sync, Some(policy));
    }
    for edge in
        ["segment_size = \"64KiB\"", "segment_size = \"1GiB\"", "lock_timeout = \"0ms\"", "lock_timeout = \"1h\""]
    {
        assert!(StoreConfig::parse(edge.as_bytes()).is_ok(), "{edge}");
    }
}

#[test]
fn errors_name_line_column_and_what_was_expected() {
    let sync =
        r#"sync: expected "always", "never" or "interval:" and a duration up to 1m (such as "interval:50ms"), found"#;
    let table: &[(&[u8], &str)] = &[
        (b"snyc = \"always\"", "line 1, column 1: unknown key \"snyc\"; did you mean \"sync\"?"),
        (
            b"\n\n  segmentsize = \"1MiB\"",
            "line 3, column 3: unknown key \"segmentsize\"; did you mean \"segment_size\"?",
        ),
        (
            b"colour = 1",
            "line 1, column 1: unknown key \"colour\"; known keys: lock_timeout, redaction, retention, segment_size, sync",
        ),
        (
            b"sync = \"never\"\n[redactions]\nkeep = \"7d\"\n",
            "line 2, column 2: unknown table \"redactions\"; did you mean \"redaction\"?",
        ),
        (
            b"zzz = 1\naaa = 1",
            "line 1, column 1: unknown key \"zzz\"; known keys: lock_timeout, redaction, retention, segment_size, sync",
        ),
        (b"sync = \"sometimes\"", &format!("line 1, column 8: {sync} \"sometimes\"")),
        (b"sync = \"interval:\"", &format!("line 1, column 8: {sync} \"interval:\"")),
        (b"sync = \"interval:0ms\"", &format!("line 1, column 8: {sync} \"interval:0ms\"")),
        (b"sync = \"interval:61s\"", &format!("line 1, column 8: {sync} \"interval:61s\"")),
        (b"sync = true", "line 1, column 8: sync: expected a string, found a boolean"),
        (b"segment_size = 64", "line 1, column 16: segment_size: expected a string, found an integer"),
        (
            b"segment_size = \"64MB\"",
            "line 1, column 16: segment_size: expected a whole number and one of B, KiB, MiB, GiB, TiB \
             (such as \"64MiB\"), found \"64MB\"",
        ),
        (
            b"segment_size = \"1KiB\"",
            "line 1, column 16: segment_size: expected a size from 64KiB to 1GiB, found \"1KiB\"",
        ),
        (b"lock_timeout = \"2h\"", "line 1, column 16: lock_timeout: expected a duration of at most 1h, found \"2h\""),
        ("# größe\nsync = \"ö\"; x".as_bytes(), "line 2, column 11: not TOML: "),
        (b"sync = \"always\"\nsync = \"never\"", "line 2, column 1: not TOML: duplicate key"),
        (b"sync = \"always\"\nx\xff", "line 2, column 2: not UTF-8"),
    ];
    for (text, message) in table {
        let error = StoreConfig::parse(text).expect_err(message).to_string();
        let matches = if message.ends_with(": ") { error.starts_with(message) } else { error == *message };
        assert!(matches, "{error}\nis not\n{message}");
    }
    let long = vec![b'\n'; CONFIG_LEN_BYTES_MAX + 1];
    assert!(StoreConfig::parse(&long[1..]).is_ok());
    assert_eq!(
        StoreConfig::parse(&long).expect_err("too long").to_string(),
        "line 1, column 1: longer than 65536 bytes"
    );
    assert!(StoreConfig::parse("a=[".repeat(20_000).as_bytes()).is_err(), "deep nesting is refused, not followed");
    assert!(StoreConfig::parse(format!("a={}", "[".repeat(60_000)).as_bytes()).is_err());
}

#[test]
fn units_are_exact() {
    for (text, ns) in [("0s", 0), ("1ns", 1), ("2us", 2_000), ("50ms", 50_000_000), ("5s", 5_000_000_000)] {
        assert_eq!(parse_duration(text), Ok(Duration::from_nanos(ns)), "{text}");
        assert_eq!(format_duration(Duration::from_nanos(ns)), text);
    }
    for (text, seconds) in [("2m", 120), ("3h", 10_800), ("1d", 86_400), ("90s", 90)] {
        assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        assert_eq!(format_duration(Duration::from_secs(seconds)), text);
    }
    for (text, bytes) in
        [("0B", 0), ("1B", 1), ("1025B", 1025), ("64KiB", 65_536), ("3MiB", 3 << 20), ("1TiB", 1 << 40)]
    {
        assert_eq!(parse_byte_size(text), Ok(bytes), "{text}");
        assert_eq!(format_byte_size(bytes), text);
    }
    for text in ["", "5", "s", "-5s", "+5s", "5 s", "1.5s", "5S", "5sec", "1h30m", "18446744073709551616ns", "300000d"]
    {
        assert!(parse_duration(text).is_err(), "{text}");
    }
    for text in ["", "64", "64M", "64MB", "64mib", "16777216TiB", "0x10B", "1_000B"] {
        assert!(parse_byte_size(text).is_err(), "{text}");
    }
}

#[test]
fn the_strongest_layer_wins_whatever_the_order() {
    let sources = [Source::Flag, Source::Environment, Source::Store, Source::User];
    for present in 0..16_u32 {
        let layers =
            || sources.iter().enumerate().map(|(bit, source)| (*source, (present & (1 << bit) != 0).then_some(bit)));
        let expected = match sources.get(present.trailing_zeros() as usize) {
            Some(source) => Setting { value: present.trailing_zeros() as usize, source: *source },
            None => Setting { value: 99, source: Source::Default },
        };
        assert_eq!(Setting::layered(layers(), 99), expected);
        assert_eq!(Setting::layered(layers().rev(), 99), expected);
    }
    assert_eq!(format!("{:>8}", Source::Store), "   store");
}

proptest! {
    #[test]
    fn sizes_and_durations_round_trip(value in any::<u64>(), shift in 0..64_u32) {
        let value = value >> shift;
        prop_assert_eq!(parse_byte_size(&format_byte_size(value)), Ok(value));
        let duration = Duration::from_nanos(value);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        if value > 0 && value < 60_000_000_000 {
            let policy = SyncPolicy::Interval(duration);
            prop_assert_eq!(policy.to_string().parse::<SyncPolicy>(), Ok(policy));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), near in "(sync|segment_size| = |\"|\n|\\[|\\]|always|[0-9]{1,3}MiB|\\.){0,12}") {
        for bytes in [bytes.as_slice(), near.as_bytes()] {
            if let Err(error) = StoreConfig::parse(bytes) {
                prop_assert!(error.line >= 1 && error.column >= 1);
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
