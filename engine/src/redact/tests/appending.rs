//! What never gets in.

use super::kit::{SECRET, entry, events, files, options, read};
use crate::redact::{FieldPath, Redactor, pattern};
use crate::storage::{Memory, Storage};
use crate::{Batch, Codec, Expect, TypeEntry};
use std::sync::Arc;

#[test]
fn what_a_redactor_names_never_reaches_the_disk() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let redactor = Redactor::new()
        .field(FieldPath::parse("data.password").unwrap())
        .pattern("card", pattern("4[0-9]{15}").unwrap())
        .secret("TOKEN", SECRET)
        .unwrap();
    let journal = options().redact(Arc::new(redactor)).open_on(Arc::clone(&storage)).unwrap();
    let (json, bytes) = (Arc::new(TypeEntry::json("acme.json")), entry("acme.bytes", Codec::Bytes));
    let mut batch = Batch::new();
    let run = Some(batch.run_or_create("run", Expect::Any));
    let password = "pass-word-of-nobody";
    batch.event(
        run,
        &json,
        format!("{{\"password\":\"{password}\",\"text\":\"a {SECRET} b 4111111111111111\"}}").as_bytes(),
    );
    batch.event(run, &bytes, format!("curl {SECRET}").as_bytes());
    batch.event(run, &json, b"{\"harmless\":1e5}");
    let appended = journal.append(batch).unwrap();
    assert_eq!(appended.redacted, 4);
    let refused = |build: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::new();
        build(&mut batch);
        let failed = journal.append(batch).expect_err("it can not be redacted");
        assert_eq!(failed.error.code(), "T0408");
    };
    refused(&|batch| {
        batch.run_or_create(format!("run of {SECRET}"), Expect::Any);
    });
    refused(&|batch| {
        let run = Some(batch.run("run", Expect::Any));
        batch.event(run, &entry("acme.typed", Codec::Bincode), format!("\x15{SECRET}").as_bytes());
    });
    let mark = crate::Mark { name: "m".to_owned(), note: SECRET.to_owned() };
    assert_eq!(journal.mark(None, &mark).unwrap_err().code(), "T0408");
    journal.close().unwrap();
    for path in files(&*storage) {
        let bytes = read(&*storage, &path);
        for secret in [SECRET, password, "4111111111111111"] {
            assert!(!bytes.windows(secret.len()).any(|it| it == secret.as_bytes()), "{path}: {secret}");
        }
    }
    let payloads: Vec<String> = events(&storage)
        .into_iter()
        .filter(|it| it.4.starts_with("acme"))
        .map(|it| String::from_utf8(it.6).unwrap())
        .collect();
    assert_eq!(
        payloads,
        [
            "{\"password\":\"[redacted:data.password]\",\"text\":\"a [redacted:TOKEN] b [redacted:card]\"}",
            "curl [redacted:TOKEN]",
            "{\"harmless\":1e5}",
        ]
    );
}
