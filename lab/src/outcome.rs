//! What a check says of itself: its `lab-result` lines.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line, `lab-result {...}`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcome {
    pub(crate) check: String,
    pub(crate) promise: Vec<String>,
    pub(crate) cases: u64,
    pub(crate) failures: u64,
    pub(crate) skipped: Option<String>,
    #[serde(default)]
    pub(crate) figures: BTreeMap<String, serde_json::Number>,
}

/// The outcomes in a program's output. The test harness may have written the test's name in front of a line.
///
/// # Errors
/// The first line that is none.
pub(crate) fn outcomes(output: &str) -> Result<Vec<Outcome>, String> {
    let lines = output.lines().filter_map(|line| line.split_once("lab-result ").map(|(_, json)| json));
    lines.map(|json| serde_json::from_str(json).map_err(|error| format!("{error} in: {json}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_behind_what_the_harness_prints() {
        let line =
            r#"lab-result {"check":"a","promise":["P1"],"cases":3,"failures":0,"skipped":null,"figures":{"n":2}}"#;
        let output = format!("running 1 test\ntest x ... {line}\nok\n{line}\n");
        let found = outcomes(&output).unwrap();
        assert_eq!((found.len(), found[0].cases, found[1].figures["n"].as_u64()), (2, 3, Some(2)));
        assert!(outcomes("lab-result {\"check\":\"a\"}").is_err());
        assert!(outcomes("nothing").unwrap().is_empty());
    }
}
