//! What lies beside the events that are redacted: a torn append, other forms of a text, somebody who reads on.

use super::kit::{SECRET, files, holders, json_store, of_pattern, options, planned, put, read, redacted, verified};
use crate::redact::{FieldPath, Selector, pattern};
use crate::storage::{Memory, OpenMode, Storage, write_all_at};
use crate::{Batch, Expect, Follow, Journal, Query, Reader, TypeEntry};
use std::sync::Arc;

fn memory() -> Arc<dyn Storage> {
    Arc::new(Memory::new())
}

fn of(text: &str) -> Selector {
    Selector { pattern: Some(pattern(text).unwrap()), ..Selector::default() }
}

fn append(journal: &Journal, payload: &str) {
    let mut batch = Batch::new();
    let run = Some(batch.run_or_create("run", Expect::Any));
    batch.event(run, &Arc::new(TypeEntry::json("acme.json")), payload.as_bytes());
    journal.append(batch).unwrap();
}

/// A pattern for the whole store was taken to find everything by itself in other files. It does not where it is bound to the
/// beginning of a text, which in a file stands behind a quote, and where the file has the text as JSON writes it.
#[test]
fn what_a_pattern_found_is_found_in_other_files_in_every_form() {
    let secret = "sk-Zq9\"x7\u{e9}Kd0wm";
    let written = [serde_json::to_string(secret).unwrap(), r#""sk-Zq9\"x7\u00e9Kd0wm""#.to_owned()];
    for text in ["sk-Zq9\"x7.Kd0wm", "^sk-Zq9.*wm$"] {
        for held in [secret, &written[0], &written[1]] {
            let storage = memory();
            json_store(&storage, &[format!("{{\"token\":{}}}", written[0]), "{\"token\":\"none\"}".to_owned()]);
            put(&*storage, "quarantine/abc/x.bin", format!("{{\"copy\": {held}}}").as_bytes());
            let (plan, done) = redacted(&storage, &of(text));
            assert_eq!(
                (plan.lost, done.forgotten.as_slice()),
                (1, &["quarantine/abc/x.bin".to_owned()][..]),
                "{text} {held}"
            );
        }
    }
    // A text that is too short to be looked for is counted as such.
    let storage = memory();
    json_store(&storage, &["{\"pin\":\"4711\"}".to_owned()]);
    let plan = planned(&storage, &Selector { run: Some("run".to_owned()), ..of("4711") });
    assert_eq!((plan.lost, plan.not_identifying), (1, 1), "{plan:#?}");
}

/// Leaves the last event of the only segment as a power cut within its append does.
fn tear(storage: &dyn Storage, before: &[(&str, Vec<u8>)]) {
    for (name, bytes) in before {
        storage.remove(name).unwrap();
        put(storage, name, bytes);
    }
    let segment = "segments/0000000001.seg";
    let bytes = read(storage, segment);
    let at = bytes.windows(SECRET.len()).rposition(|window| window == SECRET.as_bytes()).unwrap();
    let sector = (at + 700) / 512 * 512;
    let file = storage.open(segment, OpenMode::Write).unwrap();
    write_all_at(&*file, sector as u64, &[0; 512]).unwrap();
}

/// "Nothing of it is in the store", said the plan, while a torn append held it; and where events held it too, the redaction
/// opened the log, which moved the torn bytes to the quarantine, and left them there.
#[test]
fn a_torn_append_is_searched_and_what_is_kept_of_it_goes() {
    for also_in_an_event in [false, true] {
        let storage = memory();
        let first = if also_in_an_event { SECRET } else { "none" };
        json_store(&storage, &[format!("{{\"token\":\"{first}\"}}")]);
        let before = ["watermark", "LOCK"].map(|name| (name, read(&*storage, name)));
        let journal = options().open_on(Arc::clone(&storage)).unwrap();
        append(&journal, &format!("{{\"token\":\"{SECRET}\",\"fill\":\"{}\"}}", "x".repeat(2000)));
        journal.close().unwrap();
        tear(&*storage, &before);
        let was = files(&*storage);
        let plan = planned(&storage, &of_pattern());
        assert_eq!((plan.lost, plan.places.len()), (u64::from(also_in_an_event), 1), "{plan:#?}");
        assert_eq!(files(&*storage), was, "a plan only reads");
        let (_, done) = redacted(&storage, &of_pattern());
        assert!(done.forgotten[0].starts_with("quarantine/torn-0000000001-0x"), "{done:?}");
        assert_eq!(holders(&storage), Vec::<String>::new());
        verified(&*storage);
        assert!(planned(&storage, &of_pattern()).is_empty());
    }
}

/// A redaction puts another file in the place of the newest segment, and the log goes on in the next one. Whoever followed the
/// log held the old file, found zeros at its end, and said that acknowledged events were damaged.
#[test]
fn a_follower_goes_on_behind_a_redaction_of_the_newest_segment() {
    let storage = memory();
    json_store(&storage, &[format!("{{\"token\":\"{SECRET}\"}}"), "{\"n\":1}".to_owned()]);
    let reader = Reader::open_on(Arc::clone(&storage)).unwrap();
    let mut follow = Follow::new(reader, Query::all().event_type("acme.json")).unwrap();
    let mut seen = Vec::new();
    let mut read_on = |seen: &mut Vec<u64>| {
        while let Some(record) = follow.next().unwrap() {
            seen.push(record.seq.get());
        }
    };
    read_on(&mut seen);
    assert_eq!(seen.len(), 2);
    for (count, field) in (3..).zip(["data.token", "data.n"]) {
        redacted(&storage, &Selector { fields: vec![FieldPath::parse(field).unwrap()], ..Selector::default() });
        let journal = options().open_on(Arc::clone(&storage)).unwrap();
        append(&journal, "{\"n\":2}");
        journal.close().unwrap();
        read_on(&mut seen);
        assert_eq!(seen.len(), count, "{seen:?}");
    }
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
}
