//! Every class of oddity at least once, each in a run that is otherwise in order: what is reported is exactly that.

use super::test_support::{Items, Tree, event_file};
use super::*;
use std::collections::BTreeSet;
use std::io;

const ULIDS: [&str; 5] = [
    "01M818XSYAT3SDZDYASJG1H9GA",
    "01M818XSYAT3SDZDYASJG1H9GB",
    "01M818XSYAT3SDZDYASJG1H9GC",
    "01M818XSYAT3SDZDYASJG1H9GD",
    "01M818XSYAT3SDZDYASJG1H9GE",
];

fn log_line(second: u32) -> String {
    event_file("PROCESS_LOG", &format!("2026-08-19T10:00:{second:02}.000Z"), r#"{"message":"line"}"#, Some("6.0.0"))
}

fn path(seq: usize) -> String {
    format!("r/journal/{seq:06}.{}.json", ULIDS[seq - 1])
}

/// A run `r` of three events with nothing wrong.
fn sound() -> Tree {
    let created = event_file("RUN_CREATED", "2026-08-19T10:00:00.000Z", r#"{"runId":"r"}"#, None);
    Tree::default()
        .file("r/run.json", r#"{"runId":"r","processId":"p","sdkVersion":"6.0.0"}"#)
        .file(&path(1), created)
        .file(&path(2), log_line(1))
        .file(&path(3), log_line(2))
}

fn read(tree: &Tree) -> Items {
    let limits = Limits { event_len_bytes: 4096, ..Limits::default() };
    Items::read(tree, &RunLocation { directory: "r".to_owned() }, limits)
}

/// A tree, with the class and the file of every oddity that it has, in order.
type Fixture = (Tree, Vec<(&'static str, String)>);

/// What can be wrong with an event.
fn event_fixtures() -> Vec<Fixture> {
    let raw = |content: &[u8]| sound().file(&path(2), content);
    let event = |type_name: &str, at: &str, data: &str| raw(event_file(type_name, at, data, None).as_bytes());
    let at = "2026-08-19T10:00:01.000Z";
    let own = |code: &'static str| vec![(code, path(2))];
    let valid = log_line(1);
    let second_of_seq = format!("r/journal/000003.{}.json", ULIDS[3]);
    let low = "r/journal/000004.01AAAAAAAAAAAAAAAAAAAAAAAA.json";
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    let (before, after) = valid.split_once("line").expect("the message");
    let not_utf8 = [before.as_bytes(), b"l\xffne", after.as_bytes()].concat();
    let missing_all = format!("{}\n", r#"{"sdkVersion":"6.0.0"}"#);
    let with = |name: &str| sound().file(name, log_line(3));
    vec![
        (sound(), vec![]),
        (with(&second_of_seq), vec![("duplicate-seq", second_of_seq)]),
        (with(&path(5)), vec![("missing-seqs", path(5))]),
        (raw(b"{\"type\":\"PROCESS_LOG\",\"reco"), own("unparsable-json")),
        (raw(b"\xef\xbb\xbf{}"), own("unparsable-json")),
        (raw(b"\0\0\0\0"), own("unparsable-json")),
        (raw(deep.as_bytes()), own("json-too-deep")),
        (raw(b""), own("empty-file")),
        (raw(valid.replace("line", "lime").as_bytes()), own("wrong-checksum")),
        (raw(valid.replace("\"checksum\": \"", "\"checksum\": \"x").as_bytes()), own("wrong-checksum")),
        (raw(valid.replace("checksum", "check").as_bytes()), own("missing-checksum")),
        (with(low), vec![("ulid-steps-back", low.to_owned())]),
        (with("r/journal/000004.S1.json"), vec![("malformed-ulid", "r/journal/000004.S1.json".to_owned())]),
        (event("PROCESS_LOG", "2026-08-19T09:00:00.000Z", "{}"), own("recorded-at-steps-back")),
        (event("PROCESS_LOG", "yesterday", "{}"), own("malformed-recorded-at")),
        (with("r/journal/notes.json"), vec![("bad-event-name", "r/journal/notes.json".to_owned())]),
        (event("SOMETHING_NEW", at, "{}"), own("unknown-event-type")),
        (event("PROCESS_LOG", at, "[]"), own("missing-field")),
        (raw(b"[1]"), own("missing-field")),
        (raw(missing_all.as_bytes()), [vec![own("missing-field"); 3].concat(), own("missing-checksum")].concat()),
        (event("EFFECT_RESOLVED", at, r#"{"resultRef":"../../etc/passwd"}"#), own("reference-refused")),
        (event("EFFECT_REQUESTED", at, r#"{"taskDefRef":"tasks/a\u001b[2J"}"#), own("reference-refused")),
        (raw(&not_utf8), own("content-not-utf8")),
        (raw(&[b' '; 4097]), own("file-too-large")),
        (sound().later(&path(2), Some(valid.replace('n', "m").as_bytes())), own("changed-while-read")),
        (sound().later(&path(2), None), own("changed-while-read")),
    ]
}

/// What can be wrong with the directories around the events.
fn directory_fixtures() -> Vec<Fixture> {
    let strange = |name: &'static str, code| (sound().file(name, "x"), vec![(code, name.to_owned())]);
    vec![
        (sound().later(&path(4), Some(b"{}")), vec![("appeared", path(4))]),
        (sound().broken(&path(4), io::ErrorKind::NotFound), vec![("vanished", path(4))]),
        (sound().other(&path(4)), vec![("not-a-regular-file", path(4))]),
        (sound().other("r/blobs/pipe"), vec![("not-a-regular-file", "r/blobs/pipe".to_owned())]),
        (sound().unnameable("r/journal/\u{fffd}.json"), vec![("name-not-utf8", "r/journal/\u{fffd}.json".to_owned())]),
        strange("r/journal/000004.X.json.tmp", "stray-file"),
        strange("r/a\\b", "name-refused"),
        strange("r/artifacts/a\u{1b}[2Jb", "control-character-in-name"),
        (sound().file("r/run.lock", ""), vec![("torn-lock", "r/run.lock".to_owned())]),
        (sound().file("r/run.lock", "{\"pid\": 4"), vec![("torn-lock", "r/run.lock".to_owned())]),
        (sound().file("r/run.lock", "{\"pid\": 4}"), vec![]),
        (
            sound().file("r/tasks/e/result.json", "{\"sta"),
            vec![("unparsable-json", "r/tasks/e/result.json".to_owned())],
        ),
        (
            sound()
                .file(&path(2).replace("journal", "journal.bak.1"), "")
                .file(&path(1).replace("journal", "journal.process-error.bak.2"), "{"),
            vec![
                ("backup-beside-journal", "r/journal.bak.1".to_owned()),
                ("missing-seqs", path(2).replace("journal", "journal.bak.1")),
                ("empty-file", path(2).replace("journal", "journal.bak.1")),
                ("backup-beside-journal", "r/journal.process-error.bak.2".to_owned()),
                ("unparsable-json", path(1).replace("journal", "journal.process-error.bak.2")),
            ],
        ),
        (sound().directory("r/journal/old"), vec![("stray-file", "r/journal/old".to_owned())]),
        (
            sound().file("r/run.json", r#"{"runId":"s"}"#),
            vec![("run-id-differs", "r/run.json".to_owned()), ("run-id-differs", path(1))],
        ),
        (
            sound().file("r/artifacts/1/2/3/4/5/6/7/8/9", ""),
            vec![("depth-limit", "r/artifacts/1/2/3/4/5/6/7/8".to_owned())],
        ),
        (Tree::default().file(&path(1), log_line(1)), vec![("run-json-missing", "r".to_owned())]),
        (Tree::default().file("r/run.json", "{}"), vec![("journal-missing", "r".to_owned())]),
    ]
}

#[test]
fn every_class_is_reported_by_code_and_file_and_nothing_else_is() {
    let mut seen = BTreeSet::new();
    for (number, (tree, expected)) in event_fixtures().iter().chain(&directory_fixtures()).enumerate() {
        let items = read(tree);
        let expected: Vec<_> = expected.iter().map(|(code, file)| (*code, file.as_str())).collect();
        assert_eq!(items.codes(), expected, "fixture {number}");
        assert!(items.errors.is_empty(), "fixture {number}: {:?}", items.errors);
        seen.extend(items.oddities.iter().map(|oddity| oddity.code));
    }
    let unseen: Vec<_> = OddityCode::ALL.iter().filter(|code| !seen.contains(code)).collect();
    assert!(unseen.is_empty(), "classes without a fixture: {unseen:?}");
}

#[test]
fn what_can_not_be_read_is_still_an_event_with_its_exact_bytes() {
    for content in [&b""[..], b"{", b"\xff\xfe", b"[1]", b"{}\r\n", b" null"] {
        let items = read(&sound().file(&path(2), content));
        let event = &items.events[1];
        assert_eq!((event.raw.as_slice(), event.seq, event.type_or_unreadable()), (content, Some(2), "unreadable"));
        assert_eq!(event.type_name, None);
    }
}

#[test]
fn events_are_ordered_by_number_then_ulid_then_name() {
    let tree = sound()
        .file(&format!("r/journal/000002.{}.json", ULIDS[0]), log_line(1))
        .file("r/journal/1000000.Z.json", log_line(4))
        .file("r/journal/3.X.json", log_line(4))
        .file("r/journal/b.json", "")
        .file("r/journal/a.json", "");
    let names: Vec<_> = read(&tree).events.into_iter().map(|event| event.file).collect();
    let expected = [
        &path(1),
        &format!("r/journal/000002.{}.json", ULIDS[0]),
        &path(2),
        &path(3),
        "r/journal/3.X.json",
        "r/journal/1000000.Z.json",
        "r/journal/a.json",
        "r/journal/b.json",
    ];
    assert_eq!(names, expected);
}

#[test]
fn an_io_error_names_its_file_and_does_not_end_the_reading() {
    let tree = sound().broken(&path(2), io::ErrorKind::Other).broken("r/run.lock", io::ErrorKind::PermissionDenied);
    let items = read(&tree);
    let failed: Vec<_> = items.errors.iter().map(|error| error.file.as_str()).collect();
    assert_eq!(failed, [path(2).as_str(), "r/run.lock"]);
    assert_eq!(items.events.len(), 2);
    assert_eq!(items.codes(), [], "its number is not missing: the file is there");
}

#[test]
fn a_file_is_copied_in_chunks_with_its_digest() {
    let content: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
    let copy = |tree: &Tree| {
        let file = SourceFile { name: "r/blobs/b".into(), kind: FileKind::Blob, len_bytes: 200_000 };
        let mut bytes = Vec::new();
        let sink = &mut |chunk: &[u8]| {
            assert!(chunk.len() <= 64 << 10);
            bytes.extend_from_slice(chunk);
            Ok(())
        };
        let copied = file.copy_to(tree, sink).expect("readable");
        (copied, bytes)
    };
    let (copied, bytes) = copy(&sound().file("r/blobs/b", &content));
    assert_eq!(bytes, content);
    assert_eq!(
        copied,
        Copied::Content { len_bytes: 200_000, digest: *blake3::hash(&content).as_bytes(), oddity: None }
    );
    let (copied, _) = copy(&sound().file("r/blobs/b", &content).later("r/blobs/b", Some(b"short")));
    let Copied::Content { oddity: Some(oddity), .. } = copied else { panic!("{copied:?}") };
    assert_eq!(oddity.code, OddityCode::ChangedWhileRead);
    let (copied, bytes) = copy(&sound());
    let Copied::Gone(oddity) = copied else { panic!("{copied:?}") };
    assert_eq!((oddity.code, bytes.len()), (OddityCode::Vanished, 0));
    let (copied, _) = copy(&sound().broken("r/blobs/b", io::ErrorKind::NotFound));
    assert!(matches!(copied, Copied::Gone(_)), "{copied:?}");
}

fn found(tree: &Tree) -> (Vec<String>, Vec<&'static str>) {
    let discovery = discover(tree, &Limits::default()).expect("listed");
    let codes = discovery.oddities.iter().map(|oddity| oddity.code.as_str()).collect();
    (discovery.runs.into_iter().map(|run| run.directory).collect(), codes)
}

#[test]
fn runs_are_found_wherever_they_lie_and_nothing_else_is_taken_for_one() {
    let event = "journal/000001.X.json";
    let table: Vec<(Tree, &[&str], &[&str])> = vec![
        (Tree::default(), &[], &[]),
        (Tree::default().file("run.json", "{}"), &[""], &[]),
        (Tree::default().directory("journal"), &[""], &[]),
        (Tree::default().file(event, "{}").file("tasks/e/run.json", "{}"), &[""], &[]),
        (
            Tree::default()
                .file(".a5c/runs/b/run.json", "{}")
                .file(&format!(".a5c/runs/a/{event}"), "")
                .file("src/x", ""),
            &[".a5c/runs/a", ".a5c/runs/b"],
            &[],
        ),
        (Tree::default().file("run.json", "").file(".a5c/runs/a/run.json", ""), &[".a5c/runs/a"], &[]),
        (Tree::default().file("journal/today.md", "").file("runs/a/run.json", ""), &["runs/a"], &[]),
        (Tree::default().file("g/h/a/run.json", "").file("g/b/run.json", ""), &["g/b", "g/h/a"], &[]),
        (Tree::default().file("runs/a/run.json", "").other("runs/latest"), &["runs/a"], &["not-a-regular-file"]),
        (Tree::default().other("run.json").other("journal").other("x"), &[], &[]),
        (Tree::default().file("node_modules/a/run.json", "").file(".git/run.json", ""), &[], &[]),
        (Tree::default().file("1/2/3/4/5/6/7/8/run.json", ""), &["1/2/3/4/5/6/7/8"], &[]),
        (Tree::default().file("1/2/3/4/5/6/7/8/9/run.json", ""), &[], &["depth-limit"]),
    ];
    for (number, (tree, runs, codes)) in table.iter().enumerate() {
        let (found_runs, found_codes) = found(tree);
        assert_eq!(
            (found_runs, found_codes.as_slice()),
            (runs.iter().map(|run| (*run).to_owned()).collect(), *codes),
            "{number}"
        );
    }
}

#[test]
fn a_run_that_is_the_root_itself_is_read() {
    let created = event_file("RUN_CREATED", "2026-08-19T10:00:00.000Z", r#"{"runId":"any"}"#, None);
    let tree = Tree::default()
        .file(&format!("journal/000001.{}.json", ULIDS[0]), created)
        .file("run.json", r#"{"runId":"any"}"#);
    let items = Items::read(&tree, &RunLocation { directory: String::new() }, Limits::default());
    assert_eq!((items.events.len(), items.codes()), (1, vec![]));
    assert_eq!(items.files[0].kind, FileKind::RunJson);
}
