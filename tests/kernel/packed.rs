//! A bundle that is restored.

use std::path::Path;

use crate::mutations::{Case, again, done, snapped};
use crate::oracle;

/// A bundle of a store with blobs and snapshots, beside a store that is not there yet.
pub(crate) fn bundle(_: &Path, beside: &Path) {
    let other = beside.join("bundled-from");
    snapped(&other, beside);
    let file = beside.join("b.tfb");
    done(&other, &["log", "export", "--bundle", file.to_str().expect("UTF-8")], "");
}

pub(crate) fn unpack(_: &Path, beside: &Path) -> Vec<String> {
    let file = beside.join("b.tfb");
    vec!["--quiet".to_owned(), "log".to_owned(), "import".to_owned(), file.to_str().expect("UTF-8").to_owned()]
}

/// There is no store, one without events, or the whole one; and the same command ends with the whole one.
pub(crate) fn judge(case: &Case<'_>) -> Result<(), String> {
    let there = oracle::events(case.store).unwrap_or_default();
    let expected = oracle::events(&case.beside.join("bundled-from"))?;
    if !there.is_empty() && there != expected {
        return Err(format!("{} of {} events are there", there.len(), expected.len()));
    }
    if case.answer.exit == Some(0) && there.is_empty() {
        return Err("exit 0, and there are no events".to_owned());
    }
    again(case, &unpack(case.store, case.beside))?;
    if oracle::events(case.store)? != expected {
        return Err("imported again, the store is another one than the bundle was made of".to_owned());
    }
    oracle::is_sound(case.store)?;
    let left: Vec<&str> =
        ["restoring", "segments.restoring"].into_iter().filter(|name| case.store.join(name).exists()).collect();
    if !left.is_empty() {
        return Err(format!("{left:?} is left"));
    }
    oracle::goes_on(case.store)
}
