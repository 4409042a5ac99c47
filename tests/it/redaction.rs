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
