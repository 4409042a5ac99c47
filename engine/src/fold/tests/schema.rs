//! Schemas: traced, described, told apart, and used to read what nobody knows the type of.

use super::{Job, open, queued, read, store};
use crate::fold::codec::encode;
use crate::fold::{Schemas, schema};
use crate::{Event, Expect};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Makes an event type of a serde type.
macro_rules! event {
    ($type:ty, $name:literal) => {
        impl Event for $type {
            const TYPE: &'static str = $name;
            const VERSION: u16 = 1;
        }
    };
}

#[derive(Serialize, Deserialize)]
struct Skips {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    exit: i32,
}
event!(Skips, "t.skips");

#[derive(Serialize, Deserialize)]
struct Inner {
    a: u8,
}
#[derive(Serialize, Deserialize)]
struct Flattens {
    #[serde(flatten)]
    inner: Inner,
}
event!(Flattens, "t.flattens");

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Text(String),
    Number(u8),
}
event!(Untagged, "t.untagged");

#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    A { a: u8 },
    B { b: u8 },
}
event!(Tagged, "t.tagged");

#[test]
fn fold_attributes_that_lose_data_are_refused_without_samples() {
    let refused = |result: crate::Result<crate::fold::Schema>, what: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.code(), "T0505", "{error}");
        assert!(error.to_string().contains(what), "{error}");
    };
    refused(schema::<Skips>(), "Skips without options does not survive");
    refused(schema::<Flattens>(), "can not be traced");
    refused(schema::<Untagged>(), "can not be traced");
    refused(schema::<Tagged>(), "can not be traced");
}

#[derive(Serialize, Deserialize)]
enum Level {
    Low,
    High,
}
#[derive(Serialize, Deserialize)]
struct Lists {
    levels: Vec<Level>,
}
event!(Lists, "t.lists");

#[derive(Serialize, Deserialize)]
struct ListsShown(Vec<Level>);
impl Event for ListsShown {
    const TYPE: &'static str = "t.lists-shown";
    const VERSION: u16 = 1;
    fn samples() -> Vec<ListsShown> {
        vec![ListsShown(vec![Level::Low, Level::High])]
    }
}

#[test]
fn fold_what_can_not_be_guessed_is_learned_from_samples() {
    assert!(schema::<ListsShown>().is_ok());
    let error = schema::<Lists>().unwrap_err();
    assert!(error.hint_text().unwrap().contains("Event::samples"), "{error}");
}

#[test]
fn fold_a_description_is_stable_and_reads_back() {
    let traced = schema::<Job>().unwrap();
    let text = traced.to_text().unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"schema":"taffrail.schema/1","root":{"named":"Job"},"types":{"Job":{"enum":["#,
            r#"{"index":0,"name":"Queued","content":{"struct":[{"name":"cmd","format":"string"}]}},"#,
            r#"{"index":1,"name":"Done","content":{"struct":[{"name":"exit","format":"i32"}]}},"#,
            r#"{"index":2,"name":"Progress","content":{"newtype":"u8"}}]}}}"#
        )
    );
    assert_eq!(crate::fold::Schema::from_text(text.as_bytes()).unwrap(), traced);
    assert!(
        crate::fold::Schema::from_text(br#"{"schema":"taffrail.schema/1","root":{"named":"X"},"types":{}}"#).is_err()
    );
}

mod changed {
    use super::*;
    #[derive(Serialize, Deserialize)]
    pub(super) enum Job {
        Queued { cmd: String },
        Done { exit: u8, host: String },
        Progress(u8),
    }
    impl Event for Job {
        const TYPE: &'static str = "acme.job";
        const VERSION: u16 = 1;
        fn kind(&self) -> &'static str {
            "Done"
        }
    }
}

#[test]
fn fold_another_schema_under_the_same_version_is_refused_with_the_difference() {
    let storage = store();
    let journal = open(&storage);
    let run = journal.run_or_create("a").unwrap();
    run.append(Expect::Any, &[queued("x"), Job::Done { exit: 1 }]).unwrap();
    let error = run.append(Expect::Any, &[changed::Job::Done { exit: 1, host: "h".into() }]).unwrap_err();
    assert_eq!(error.code(), "T0143");
    assert!(error.message().ends_with("Job::Done.exit: i32 -> u8; + Job::Done.host: string"), "{error}");
    // The table says each schema once.
    let types = read(&storage).type_table().unwrap();
    let described: Vec<bool> = types.rows().map(|(_, entry)| !entry.descriptor.is_empty()).collect();
    assert_eq!(described, [true, false]);
    let fingerprint = types.rows().nth(1).unwrap().1.fingerprint.unwrap();
    let schemas = Schemas::of(&types);
    let shown = schemas.get(&fingerprint).unwrap().decode(&encode(&Job::Done { exit: -4 }).unwrap()).unwrap();
    assert_eq!(shown, serde_json::json!({"Done": {"exit": -4}}));
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Point(i8, u128);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Everything {
    Unit,
    Numbers { a: u8, b: u16, c: u32, d: u64, e: i16, f: i32, g: i64, h: bool },
    Texts(char, String, Option<Box<str>>),
    Nested { list: Vec<Option<u16>>, map: BTreeMap<String, Vec<i64>>, unit: (), points: [Point; 2] },
}
event!(Everything, "t.everything");

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = any::<(u8, u16, u32, u64, i16, i32, i64, bool)>();
    let nested = any::<(Vec<Option<u16>>, BTreeMap<String, Vec<i64>>, i8, u64)>();
    prop_oneof![
        Just(Everything::Unit),
        numbers.prop_map(|(a, b, c, d, e, f, g, h)| Everything::Numbers { a, b, c, d, e, f, g, h }),
        any::<(char, String, Option<String>)>().prop_map(|(c, s, o)| Everything::Texts(c, s, o.map(String::into))),
        nested.prop_map(|(list, map, x, y)| {
            let points = [Point(x, u128::from(y)), Point(-1, 7)];
            Everything::Nested { list, map, unit: (), points }
        }),
    ]
}

proptest! {
    #[test]
    fn fold_a_schema_alone_shows_a_payload_as_serde_json_would(value in everything()) {
        let schema = schema::<Everything>().unwrap();
        let shown = schema.decode(&encode(&value).unwrap()).unwrap();
        prop_assert_eq!(shown, serde_json::to_value(&value).unwrap());
    }

    #[test]
    fn fold_hostile_payloads_and_descriptions_are_answered(payload: Vec<u8>, flip in 0_usize..2000) {
        let schema = schema::<Everything>().unwrap();
        let _any_answer = schema.decode(&payload);
        let mut text = schema.to_text().unwrap().into_bytes();
        let at = flip % (text.len() * 8);
        text[at / 8] ^= 1 << (at % 8);
        if let Ok(other) = crate::fold::Schema::from_text(&text) {
            let _any_answer = other.decode(&payload);
        }
    }
}

#[test]
fn fold_a_schema_that_makes_much_of_nothing_is_refused() {
    let mut types = String::new();
    for level in 0..60 {
        let next = if level == 59 { r#""unit""#.to_owned() } else { format!(r#"{{"named":"t{}"}}"#, level + 1) };
        types.push_str(&format!(
            r#"{}"t{level}":{{"struct":{{"tuple":[{next},{next}]}}}}"#,
            if level > 0 { "," } else { "" }
        ));
    }
    let text = format!(r#"{{"schema":"taffrail.schema/1","root":{{"named":"t0"}},"types":{{{types}}}}}"#);
    let schema = crate::fold::Schema::from_text(text.as_bytes()).unwrap();
    assert_eq!(schema.decode(&[]).unwrap_err().code(), "T0501");
}
