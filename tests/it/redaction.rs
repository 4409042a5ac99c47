//! Secrets that are taken out of a store, and secrets that never get in.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kit::{Answer, Directory, command, dump, run, snapshot};

const SECRET: &str = "hunter2-correct-horse";

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.data.lines().count(), 1, "{answer:?}");
    serde_json::from_str(&answer.data).expect("one JSON object")
}

/// A store with the secret in two events of two runs, in an export, and in the quarantine.
fn leaked(directory: &Directory) -> PathBuf {
    let store = directory.store();
    let line = |n: u32| {
        let token = if n % 20 == 7 { SECRET } else { "none" };
        format!("{{\"run\":\"job-{}\",\"type\":\"http.call\",\"data\":{{\"n\":{n},\"token\":\"{token}\"}}}}\n", n % 3)
    };
    let lines: String = (0..40).map(line).collect();
    assert_eq!(run(&store, &["log", "append", "--create"], &lines).exit, Some(0));
    std::fs::create_dir_all(store.join("quarantine/abc")).expect("made");
    std::fs::write(store.join("quarantine/abc/x.bin"), format!("...{SECRET}...")).expect("written");
    std::fs::write(store.join("export.jsonl"), run(&store, &["log", "export"], "").data).expect("written");
    store
}

/// Files below a directory that hold the secret.
fn holders(store: &Path) -> Vec<PathBuf> {
    let holds = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    snapshot(store).into_iter().filter(|(_, (.., bytes))| holds(bytes)).map(|(path, _)| path).collect()
}

#[test]
fn a_leaked_secret_is_planned_refused_applied_and_gone() {
    let directory = Directory::new("redact");
    let store = leaked(&directory);
    assert_eq!(holders(&store).len(), 3);
    let before = snapshot(&store);
    let words = ["log", "redact", "--pattern", "hunter2-[a-z-]+"];
    let shown = run(&store, &words, "");
    assert_eq!((shown.exit, shown.notes.as_str()), (Some(0), ""), "{shown:?}");
    assert!(shown.data.contains("this can not be undone: 2 events"), "{shown:?}");
    assert_eq!(shown.data.matches("forget").count(), 2, "{shown:?}");
    assert_eq!(snapshot(&store), before, "a plan changes nothing");
    let plan = json(&run(&store, &[&words[..], &["--json"]].concat(), ""));
    assert_eq!((plan["schema"].as_str(), plan["lost"].as_u64()), (Some("taffrail.redact_plan/1"), Some(2)));
    let name = plan["name"].as_str().expect("a name");
    let apply = |plan: &str, loss: &str| {
        let more = ["--apply", "--plan", plan, "--accept-loss", loss, "--reason", "it leaked", "--json"];
        run(&store, &[&words[..], &more].concat(), "")
    };
    for (plan, loss, code) in [("000000", "2", "T0401"), (name, "1", "T0402"), (name, "0", "T0402")] {
        let refused = apply(plan, loss);
        assert_eq!((refused.exit, refused.error()["code"].as_str()), (Some(7), Some(code)), "{refused:?}");
        assert_eq!(snapshot(&store), before);
    }
    let done = apply(name, "2");
    assert_eq!(done.exit, Some(0), "{done:?}");
    assert_eq!(json(&done)["forgotten"].as_array().map(Vec::len), Some(2));
    assert_eq!(holders(&store), Vec::<PathBuf>::new());
    let verified = run(&store, &["log", "verify"], "");
    assert!(verified.exit == Some(0) && verified.data.contains("2 events redacted by record"), "{verified:?}");
    let tokens: Vec<Value> = dump(&store).iter().map(|event| event["data"]["token"].clone()).collect();
    assert_eq!(tokens.iter().filter(|token| **token == "[redacted]").count(), 2);
    assert_eq!(tokens.iter().filter(|token| **token == "none").count(), 38);
    let again = run(&store, &words, "");
    assert!(again.exit == Some(1) && again.data.starts_with("nothing to redact"), "{again:?}");
    // The log goes on, and a bundle of it is whole.
    assert_eq!(run(&store, &["log", "append", "--run", "job-1", "--type", "http.call", "{}"], "").exit, Some(0));
    let bundle = directory.path().join("b.tfb");
    let bundle = bundle.to_str().expect("UTF-8");
    assert_eq!(run(&store, &["log", "export", "--bundle", bundle], "").exit, Some(0));
    assert_eq!(run(Path::new(bundle), &["log", "verify"], "").exit, Some(0));
}

#[test]
fn what_the_settings_name_never_reaches_the_disk() {
    let directory = Directory::new("redact-append");
    let store = directory.store();
    let config = store.join("config.toml");
    let text = std::fs::read_to_string(&config).expect("the settings");
    let table = "[redaction]\nfields = ['data.password']\nsecrets = ['TAFFRAIL_TEST_SECRET', 'TAFFRAIL_TEST_UNSET']\n\
                 patterns = { card = '4[0-9]{15}' }\n";
    std::fs::write(&config, format!("{text}{table}")).expect("written");
    let data = format!("{{\"password\":\"pw-of-nobody\",\"cmd\":\"curl {SECRET}\",\"card\":4111111111111111}}");
    let words = ["log", "append", "--create", "--run", "job", "--type", "http.call", &data];
    let mut appending = command(&store, &words);
    let output = appending.env("TAFFRAIL_TEST_SECRET", SECRET).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let acknowledged: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(acknowledged["redacted"], 3, "{acknowledged}");
    for secret in [SECRET, "pw-of-nobody", "4111111111111111"] {
        let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!snapshot(&store).values().any(|(.., bytes)| holds(bytes)), "{secret}");
    }
    let expected = serde_json::json!({
        "password": "[redacted:data.password]",
        "cmd": "curl [redacted:TAFFRAIL_TEST_SECRET]",
        "card": "[redacted:card]",
    });
    assert_eq!(dump(&store).last().expect("an event")["data"], expected);

    std::fs::write(&config, "sync = \"always\"\n[redaction]\npatterns = { a = '(' }\n").expect("written");
    let refused = run(&store, &["log", "append", "--run", "job", "--type", "x", "1", "--json"], "");
    let error = refused.error();
    assert_eq!(
        (refused.exit, error["code"].as_str(), error["context"]["line"].as_u64()),
        (Some(2), Some("T0130"), Some(3))
    );
}

/// An import redacted the events and copied every other file as it was: with a pattern that named a token, the segments were
/// clean, and `blobs/` had the token in the output of a command and in the record of a task. Nothing said so.
#[test]
fn an_import_redacts_files_as_it_redacts_events_and_says_how_many_places() {
    let directory = Directory::new("redact-import");
    let store = directory.store();
    let config = store.join("config.toml");
    let text = std::fs::read_to_string(&config).expect("the settings");
    let table = "[redaction]\nsecrets = ['TAFFRAIL_TEST_SECRET']\npatterns = { key = 'AKIA[A-Z]+' }\n";
    std::fs::write(&config, format!("{text}{table}")).expect("written");
    let source = directory.path().join("runs");
    let write = |path: &str, text: &str| {
        let path = source.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    let event = |seq: u32, message: &str| {
        let text = format!(
            "{{\"type\":\"PROCESS_LOG\",\"recordedAt\":\"2026-08-19T10:00:0{seq}.000Z\",\"data\":{{\"message\":\"{message}\"}}}}"
        );
        write(&format!("job/journal/00000{seq}.01M818XSYAT3SDZDYASJG1H9G{seq}.json"), &text);
    };
    write("job/run.json", "{\"runId\":\"job\",\"processId\":\"p\"}");
    event(1, SECRET);
    event(2, "nothing");
    write(
        "job/tasks/a/stdout.log",
        &format!("$ curl\n{SECRET} AKIAXYZ\n{{\"token\":\"\\u0068unter2-correct-horse\"}}\n"),
    );
    write("job/tasks/a/result.json", &format!("{{\"key\": \"AKIAABC\", \"deep\": [\"{SECRET}\"]}}"));
    write("job/artifacts/page.bin", &format!("\u{1}\u{2}{SECRET}\u{3}"));
    write("job/artifacts/clean.txt", "clean");
    let import = |more: &[&str]| {
        let path = source.to_str().expect("UTF-8");
        let mut importing = command(&store, &[&["log", "import", path][..], more].concat());
        let output = importing.env("TAFFRAIL_TEST_SECRET", SECRET).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let report = |more: &[&str]| -> Value {
        serde_json::from_str(&import(&[&["--json"][..], more].concat())).expect("a report")
    };
    let first = report(&[]);
    assert_eq!((&first["files_kept"], &first["redacted"]), (&5.into(), &7.into()), "{first}");
    assert_eq!(holders(&store), Vec::<PathBuf>::new());
    let holds_key = |bytes: &[u8]| bytes.windows(5).any(|window| window == b"AKIAX" || window == b"AKIAA");
    assert!(!snapshot(&store).values().any(|(.., bytes)| holds_key(bytes)));
    assert_eq!(run(&store, &["log", "verify"], "").exit, Some(0), "events name the blobs as they were kept");
    // A second import knows the files again, and so does a dry run; one that has changed is redacted as well.
    for more in [&["--dry-run"][..], &[]] {
        let again = report(more);
        let counts = ["events_added", "files_kept", "files_already_there", "redacted"].map(|key| again[key].clone());
        assert_eq!(counts, [0, 0, 5, 0].map(Value::from), "{again}");
    }
    write("job/tasks/a/stdout.log", &format!("again {SECRET}\n"));
    let changed = import(&[]);
    assert!(changed.contains("1 place redacted.") && changed.contains("changed-since-import"), "{changed}");
    assert_eq!(holders(&store), Vec::<PathBuf>::new());

    // A bundle of another store that has them: its blobs are named by their digests, so those that hold a secret stay out.
    let other = directory.path().join("other");
    assert_eq!(run(&other, &["store", "init"], "").exit, Some(0));
    let path = source.to_str().expect("UTF-8");
    assert_eq!(run(&other, &["log", "import", path], "").exit, Some(0));
    let bundle = directory.path().join("b.tfb");
    let bundle = bundle.to_str().expect("UTF-8");
    assert_eq!(run(&other, &["log", "export", "--bundle", bundle], "").exit, Some(0));
    let mut importing = command(&store, &["log", "import", bundle, "--json"]);
    let output = importing.env("TAFFRAIL_TEST_SECRET", SECRET).output().expect("it runs");
    let added: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert!(output.status.success() && added["notes"][0].as_str().expect("a note").starts_with("blobs left out: "));
    assert_eq!(holders(&store), Vec::<PathBuf>::new());
}

/// `store info` showed every setting but what is redacted, and a secret whose variable was not set redacted nothing, without a word.
#[test]
fn store_info_names_what_is_redacted_and_warns_of_secrets_that_are_not_there() {
    let directory = Directory::new("redact-info");
    let store = directory.store();
    let row = |store: &Path| {
        let info = run(store, &["store", "info"], "");
        assert_eq!(info.exit, Some(0), "{info:?}");
        let line = info.data.lines().find(|line| line.starts_with("redaction ")).expect("a row").to_owned();
        (line.split_whitespace().collect::<Vec<_>>().join(" "), info.notes)
    };
    assert_eq!(row(&store), ("redaction none default".to_owned(), String::new()));
    let config = store.join("config.toml");
    let text = std::fs::read_to_string(&config).expect("the settings");
    let table = "[redaction]\nfields = ['data.password']\nsecrets = ['PATH', 'TAFFRAIL_TEST_UNSET']\n\
                 patterns = { card = '4[0-9]{15}' }\n";
    std::fs::write(&config, format!("{text}{table}")).expect("written");
    let (line, notes) = row(&store);
    let said = "redaction fields data.password; patterns card; secrets PATH, TAFFRAIL_TEST_UNSET (not set) ";
    assert!(line.starts_with(said) && !line.contains("15}"), "{line}");
    assert!(
        notes.contains("the variable TAFFRAIL_TEST_UNSET, which [redaction] names as a secret, is not set"),
        "{notes}"
    );
}

/// The reason for a plan, the name of a fork and the mark that a rewind leaves went into the log as they were given, whatever
/// `[redaction]` said; marks and names of runs that `log append` makes were refused.
#[test]
fn what_a_plan_writes_down_is_held_against_the_settings_too() {
    let directory = Directory::new("redact-reason");
    let store = directory.store();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
    assert_eq!(run(&store, &["log", "import", demo.to_str().expect("UTF-8")], "").exit, Some(0));
    let config = store.join("config.toml");
    let text = std::fs::read_to_string(&config).expect("the settings");
    std::fs::write(&config, format!("{text}[redaction]\npatterns = {{ key = 'hunter2-[a-z-]+' }}\n")).expect("written");
    let plan = json(&run(&store, &["run", "close", "nightly-7", "--json"], ""));
    let name = plan["name"].as_str().expect("a name");
    let close = ["run", "close", "nightly-7", "--apply", "--plan", name, "--json", "--reason"];
    let mark = format!("mark:{SECRET}");
    for words in [
        [&close[..], &[&format!("it used {SECRET}")]].concat(),
        vec!["run", "fork", "nightly-7", "--json", "--name", SECRET],
        vec!["run", "rewind", "nightly-7", "--json", "--to", "30", "--as", &mark],
    ] {
        let refused = run(&store, &words, "");
        assert_eq!((refused.exit, refused.error()["code"].as_str()), (Some(7), Some("T0408")), "{words:?}");
    }
    assert_eq!(holders(&store), Vec::<PathBuf>::new());
    assert_eq!(run(&store, &[&close[..], &["it used a key"]].concat(), "").exit, Some(0));
}

/// A type that was misspelt had no events, and so there was "nothing to redact".
#[test]
fn a_type_that_does_not_exist_is_an_error_and_not_an_answer() {
    let directory = Directory::new("redact-type");
    let store = leaked(&directory);
    let redact = |kind: &str| run(&store, &["log", "redact", "--pattern", SECRET, "--type", kind, "--json"], "");
    let refused = redact("http.cal");
    let error = refused.error();
    assert_eq!((refused.exit, error["code"].as_str()), (Some(2), Some("T0148")), "{refused:?}");
    assert_eq!(error["context"]["nearest"][0], "http.call");
    assert_eq!(json(&redact("http.call"))["lost"], 2);
}
