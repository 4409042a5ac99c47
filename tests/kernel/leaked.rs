//! A secret that is taken out of a store.

use std::path::{Path, PathBuf};

use crate::kit::run;
use crate::mutations::{Case, again, done, empty, planned};
use crate::oracle;

const SECRET: &str = "hunter2-correct-horse";
const REDACT: [&str; 4] = ["log", "redact", "--field", "data.token"];

/// A secret in events of two segments, in a copy in the quarantine, and in an export.
pub(crate) fn leak(store: &Path, _: &Path) {
    empty(store);
    let line = |n: u64| {
        let (token, x) = (if n % 13 == 5 { SECRET } else { "none" }, "x".repeat(3_000));
        format!(
            "{{\"run\":\"job\",\"type\":\"tick\",\"data\":{{\"n\":{},\"token\":\"{token}\",\"x\":\"{x}\"}}}}\n",
            1_000 + n
        )
    };
    done(store, &["log", "append", "--create"], &(0..30).map(line).collect::<String>());
    std::fs::create_dir_all(store.join("quarantine/abc")).expect("made");
    std::fs::write(store.join("quarantine/abc/x.bin"), format!("...{SECRET}...")).expect("written");
    std::fs::write(store.join("export.jsonl"), run(store, &["log", "export"], "").data).expect("written");
}

pub(crate) fn redact(store: &Path, _: &Path) -> Vec<String> {
    planned(store, &REDACT)
}

/// Every event is there, changed or not; what is not finished is told; and the same command finishes it.
pub(crate) fn judge(case: &Case<'_>) -> Result<(), String> {
    oracle::is_sound(case.store)?;
    let is_told = case.store.join("redacting").exists();
    let held = holders(case.store);
    if case.answer.exit == Some(0) && (is_told || !held.is_empty()) {
        return Err(format!("exit 0, and {held:?} still holds it"));
    }
    if is_told && !run(case.store, &["log", "verify"], "").data.contains("REDACTION_UNFINISHED") {
        return Err("a redaction is not finished, and nothing tells".to_owned());
    }
    let now = oracle::events(case.store)?;
    if !case.before.iter().all(|(seq, event)| now.get(seq).is_some_and(|it| it.1 == event.1)) {
        return Err("an event is gone".to_owned());
    }
    if !held.is_empty() || is_told {
        again(case, &redact(case.store, case.beside))?;
    }
    let held = holders(case.store);
    if !held.is_empty() || case.store.join("redacting").exists() {
        return Err(format!("redacted again, and {held:?} holds it"));
    }
    oracle::is_sound(case.store)?;
    if oracle::ticks(&oracle::events(case.store)?) != (0..30).map(|n| 1_000 + n).collect::<Vec<u64>>() {
        return Err("events have changed in more than the field".to_owned());
    }
    oracle::goes_on(case.store)
}

/// Files below a directory that hold the secret.
fn holders(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in directory.read_dir().into_iter().flatten() {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(holders(&path));
        } else if std::fs::read(&path).is_ok_and(|bytes| bytes.windows(SECRET.len()).any(|it| it == SECRET.as_bytes()))
        {
            found.push(path);
        }
    }
    found
}
