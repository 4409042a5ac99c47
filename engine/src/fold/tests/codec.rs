//! The payload codec: frozen bytes, a second implementation, hostile bytes.

use crate::fold::codec::{decode_by_bincode, decode_event, encode};
use crate::fold::state::hex;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wincode::{SchemaRead, SchemaWrite};

#[derive(Debug, PartialEq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
struct Plain {
    small: u8,
    signed_small: i8,
    yes: bool,
    numbers: (u16, u32, u64),
    signed: (i16, i32, i64),
    text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
enum Choice {
    Nothing,
    One(u64),
    Two(u8, Option<String>),
    Named { list: Vec<u16>, map: BTreeMap<String, i64> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
struct Wide {
    unsigned: u128,
    signed: i128,
    float: f64,
    letters: (char, char),
    digest: [u8; 4],
}

type Varint = wincode::config::Configuration<
    true,
    { wincode::config::DEFAULT_PREALLOCATION_SIZE_LIMIT },
    wincode::len::BincodeLen,
    wincode::int_encoding::LittleEndian,
    wincode::int_encoding::VarInt,
>;

/// A value, its frozen bytes, and the same through wincode's variable-length configuration: the tested way out.
macro_rules! golden {
    ($type:ty, $value:expr, $frozen:literal) => {
        let (value, frozen): ($type, &str) = ($value, $frozen);
        let bytes = encode(&value).unwrap();
        assert_eq!(hex(&bytes), frozen, "of {value:?}");
        assert_eq!(decode_event::<$type>(&bytes).unwrap(), value);
        let through: $type = wincode::config::deserialize_exact(&bytes, Varint::new()).unwrap();
        assert_eq!(through, value, "wincode reads");
        assert_eq!(hex(&wincode::config::serialize(&through, Varint::new()).unwrap()), frozen, "wincode writes");
        for len in 0..bytes.len() {
            assert!(decode_event::<$type>(&bytes[..len]).is_err(), "{value:?} cut at {len}");
        }
        assert!(decode_event::<$type>(&[&bytes[..], &[0]].concat()).is_err(), "{value:?} with a byte left over");
    };
}

#[test]
fn fold_golden_bytes_are_frozen_and_wincode_agrees() {
    golden!(
        Plain,
        Plain {
            small: 251,
            signed_small: -1,
            yes: true,
            numbers: (250, 251, 0x1_0000_0000),
            signed: (-1, 1_000, i64::MIN),
            text: "ä".into(),
        },
        "fbff01fafbfb00fd000000000100000001fbd007fdffffffffffffffff02c3a4"
    );
    golden!(Choice, Choice::Nothing, "00");
    golden!(Choice, Choice::One(70_000), "01fc70110100");
    golden!(Choice, Choice::Two(7, Some("x".into())), "0207010178");
    golden!(Choice, Choice::Two(7, None), "020700");
    golden!(
        Choice,
        Choice::Named { list: vec![1, 300], map: BTreeMap::from([("a".into(), -3), ("b".into(), 4)]) },
        "030201fb2c0102016105016208"
    );
    golden!(
        Wide,
        Wide { unsigned: u128::MAX, signed: -2, float: 0.5, letters: ('a', '\u{1F600}'), digest: [1, 2, 3, 255] },
        "feffffffffffffffffffffffffffffffff03000000000000e03f61f09f9880010203ff"
    );
}

/// Everything of serde's model that has a form in the bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    choices: Vec<Choice>,
    numbers: (i8, u16, u32, u64, u128),
    signed: (i16, i32, i64, i128),
    floats: [f32; 2],
    letter: char,
    text: Option<String>,
    map: BTreeMap<u16, Option<bool>>,
    unit: (),
    boxed: Box<Renamed>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Renamed(u8);

fn choices() -> impl Strategy<Value = Choice> {
    let named =
        (prop::collection::vec(any::<u16>(), 0..4), prop::collection::btree_map("[a-zé]{0,3}", any::<i64>(), 0..3));
    prop_oneof![
        Just(Choice::Nothing),
        any::<u64>().prop_map(Choice::One),
        (any::<u8>(), prop::option::of("[a-zé]{0,300}")).prop_map(|(small, text)| Choice::Two(small, text)),
        named.prop_map(|(list, map)| Choice::Named { list, map }),
    ]
}

fn everything() -> impl Strategy<Value = Everything> {
    let map = prop::collection::btree_map(any::<u16>(), any::<Option<bool>>(), 0..4);
    let first = (prop::collection::vec(choices(), 0..4), any::<(i8, u16, u32, u64, u128)>());
    let second = (any::<(i16, i32, i64, i128)>(), any::<char>(), prop::option::of("\\PC{0,9}"), map, any::<u8>());
    (first, second).prop_map(|((choices, numbers), (signed, letter, text, map, small))| {
        let (floats, boxed) = ([0.5, f32::from(small)], Box::new(Renamed(small)));
        Everything { choices, numbers, signed, floats, letter, text, map, unit: (), boxed }
    })
}

/// The decoder says of bytes what bincode says: the same value, or none.
fn agrees<T: PartialEq + std::fmt::Debug + serde::de::DeserializeOwned>(bytes: &[u8]) {
    assert_eq!(decode_event::<T>(bytes).ok(), decode_by_bincode(bytes), "of {}", hex(bytes));
}

proptest! {
    #[test]
    fn fold_the_decoder_reads_what_bincode_reads(value in everything(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encode(&value).unwrap();
        prop_assert_eq!(decode_event::<Everything>(&bytes), Ok(value));
        agrees::<Everything>(&bytes);
        // Lengths, tags and markers that are wrong, and numbers that are written longer than they need to be.
        let at = at.index(bytes.len());
        agrees::<Everything>(&bytes[..at]);
        bytes[at] = byte;
        if decode_event::<Everything>(&bytes).is_ok_and(|value| value.floats.iter().all(|float| !float.is_nan())) {
            agrees::<Everything>(&bytes);
        } else {
            prop_assert_eq!(decode_event::<Everything>(&bytes).is_err(), decode_by_bincode::<Everything>(&bytes).is_none());
        }
    }

    #[test]
    fn fold_the_decoder_refuses_what_bincode_refuses(bytes in prop::collection::vec(prop_oneof![0_u8..6, 240_u8.., any::<u8>()], 0..24)) {
        agrees::<Choice>(&bytes);
        agrees::<Vec<Choice>>(&bytes);
        agrees::<(u16, u32, i16)>(&bytes);
        agrees::<(i128, char, bool)>(&bytes);
        agrees::<BTreeMap<String, Option<char>>>(&bytes);
    }
}

#[test]
fn fold_the_logs_own_bodies_are_bincode() {
    use taffrail_log_format as format;
    let (text, digest) = (String::from("x"), [5_u8; 32]);
    let seq = format::Seq::new(300).unwrap();
    let opened = format::RunOpened { name: "nightly".into(), parent: Some(seq) };
    assert_eq!(opened.encode(), encode(&("nightly", Some(300_u64))).unwrap());
    let mark = format::Mark { name: "before".into(), note: "ä".into() };
    assert_eq!(mark.encode(), encode(&("before", "ä")).unwrap());
    let action = format::OperatorAction {
        verb: "repair".into(),
        plan: digest,
        reason: text.clone(),
        actor: text.clone(),
        detail: "{}".into(),
    };
    assert_eq!(action.encode(), encode(&("repair", digest, "x", "x", "{}")).unwrap());
    let recovered =
        format::Recovered { first: seq, segment: 3, offset: 9, len_bytes: 70_000, digest, kept_in: text.clone() };
    assert_eq!(recovered.encode(), encode(&(300_u64, 3_u32, 9_u64, 70_000_u64, digest, "x")).unwrap());
    let checkpoint =
        format::Checkpoint { fold: text.clone(), version: 1, build: text, run: Some(seq), revision: 1, digest };
    assert_eq!(checkpoint.encode(), encode(&("x", 1_u32, "x", Some(300_u64), 1_u64, digest)).unwrap());
    let entry = crate::TypeEntry { fingerprint: Some(digest), descriptor: vec![1, 2], ..crate::TypeEntry::json("a.b") };
    let row = ("a.b", "", 1_u16, 1_u8, false, Some(digest), vec![1_u8, 2]);
    let registered = format::TypeRegistered { kind: crate::Kind::FIRST_USER, entry: entry.clone() };
    assert_eq!(registered.encode(), encode(&(16_u16, row.clone())).unwrap());
    let mut table = crate::TypeTable::new();
    table.register(registered).unwrap();
    assert_eq!(table.encode(), encode(&vec![row]).unwrap());
    let range = crate::GapRange {
        first: seq,
        last: seq.next(),
        reason: crate::GapReason::Compacted,
        digest,
        kept_in: String::new(),
    };
    let gaps = crate::Gaps::new(vec![range]).unwrap();
    assert_eq!(gaps.encode(), encode(&vec![(300_u64, 301_u64, 2_u8, digest, "")]).unwrap());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Nested {
    End,
    Deeper(Box<Nested>),
}

#[test]
fn fold_hostile_lengths_and_depths_are_refused() {
    // Twenty-five bytes that claim terabytes; a billion elements without bytes; and nesting that would end the stack.
    let claim = [&[253, 0, 0, 0, 0, 0, 1, 0, 0][..], &[0; 16]].concat();
    assert!(decode_event::<Vec<u64>>(&claim).is_err());
    assert!(decode_event::<String>(&claim).is_err());
    assert!(decode_event::<Vec<Vec<u8>>>(&claim).is_err());
    let empty = decode_event::<Vec<()>>(&[252, 0, 0, 0, 64]).unwrap_err();
    assert_eq!(empty, "it has more elements than its bytes can hold");
    assert!(decode_event::<Vec<(u8, ())>>(&[2, 0, 0]).is_ok());
    let deep = decode_event::<Nested>(&[1; 100_000]).unwrap_err();
    assert_eq!(deep, "it is nested more than 128 levels deep");
    let many: Vec<u64> = vec![1; 100_000];
    assert_eq!(decode_event::<Vec<u64>>(&encode(&many).unwrap()), Ok(many));
}
