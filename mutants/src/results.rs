//! What was found, a line for each change, written as it is found: a run that was stopped goes on where it was.

use crate::mutant::Mutant;
use crate::trying::Fate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

#[derive(Deserialize, Serialize)]
struct Line {
    name: String,
    /// A checksum of the file that is changed: another file's results are no longer those of this one.
    source: u64,
    fate: Fate,
}

/// Results of a set.
pub(crate) struct Results {
    file: File,
    known: BTreeMap<(String, u64), Fate>,
}

impl Results {
    pub(crate) fn open(path: &Path) -> Result<Results, String> {
        let trouble = |error: std::io::Error| format!("{}: {error}", path.display());
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(trouble)?;
        let text = std::fs::read_to_string(path).unwrap_or_default();
        // A last line that was cut off is found again.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let known = lines.map(|line| ((line.name, line.source), line.fate)).collect();
        let file = File::options().create(true).append(true).open(path).map_err(trouble)?;
        Ok(Results { file, known })
    }

    /// What is known of a change to a file that has not changed since.
    pub(crate) fn known(&self, mutant: &Mutant, text: &str) -> Option<Fate> {
        self.known.get(&(mutant.name.clone(), checksum(text))).copied()
    }

    pub(crate) fn add(&mut self, mutant: &Mutant, text: &str, fate: Fate) -> Result<(), String> {
        let line = Line { name: mutant.name.clone(), source: checksum(text), fate };
        let json = serde_json::to_string(&line).map_err(|error| error.to_string())?;
        writeln!(self.file, "{json}").map_err(|error| format!("the results: {error}"))
    }
}

/// FNV-1a: enough to tell that a file was edited.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
