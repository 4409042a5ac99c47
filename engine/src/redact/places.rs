//! Other files of a store where redacted bytes live.

use super::needles::Cause;
use serde::Serialize;

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceAction {
    /// It is removed.
    Forget,
    /// It is left to the operator, who has to see to it.
    ByHand,
}

/// A file that holds, or may hold, what is redacted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Its name, relative to the store.
    pub path: String,
    /// Why it is here.
    pub why: String,
    /// What was found in it, the first few.
    pub because: Vec<Cause>,
    /// What happens to it.
    pub action: PlaceAction,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub digest: String,
}
