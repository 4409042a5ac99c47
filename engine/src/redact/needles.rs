//! Texts that are looked for, each with where it came from.

use serde::Serialize;
use std::collections::BTreeMap;

/// Fewest bytes of a text that is looked for: its start is looked up in a table.
const START: usize = 6;

/// What has a text or a file in a plan. Texts themselves are not shown: their digests are, which confirm a guess and give
/// nothing else away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cause {
    /// What it is, in words: `data.token`, `the pattern`, `a copy of the event`.
    pub what: String,
    /// The event that it was first found in; `None` for a pattern.
    pub seq: Option<u64>,
    /// Length of the text in bytes; 0 where it is none.
    pub len_bytes: u64,
    /// The first twelve hexadecimal digits of the text's BLAKE3; empty where it is none.
    pub digest: String,
}

impl Cause {
    /// Something that is no text.
    pub(super) fn of(what: &str, seq: Option<u64>) -> Cause {
        Cause { what: what.to_owned(), seq, len_bytes: 0, digest: String::new() }
    }

    fn of_text(what: &str, seq: u64, text: &[u8]) -> Cause {
        let digest = blake3::hash(text).to_hex().get(..12).unwrap_or_default().to_owned();
        Cause { what: what.to_owned(), seq: Some(seq), len_bytes: text.len() as u64, digest }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.what)?;
        if let Some(seq) = self.seq {
            write!(formatter, " of seq {seq}")?;
        }
        if self.len_bytes > 0 {
            write!(formatter, ", {} bytes, BLAKE3 {}", self.len_bytes, self.digest)?;
        }
        Ok(())
    }
}

/// A text that is looked for.
#[derive(Clone, Debug)]
pub(super) struct Needle {
    text: Vec<u8>,
    pub(super) cause: Cause,
}

/// Many of them, found in one pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Needles {
    needles: Vec<Needle>,
    known: BTreeMap<Vec<u8>, usize>,
    by_start: BTreeMap<[u8; START], Vec<usize>>,
    /// Whether any needle starts with these two bytes; empty without needles.
    starts: Vec<bool>,
}

impl Needles {
    /// Shortest text that is looked for, in bytes.
    pub(super) const SHORTEST_LEN_BYTES: usize = START;

    /// Takes a text that is not known yet.
    pub(super) fn add(&mut self, text: &[u8], what: &str, seq: u64) {
        let Some(start) = text.first_chunk::<START>().filter(|_| !self.known.contains_key(text)) else { return };
        let place = self.needles.len();
        self.starts.resize(1 << 16, false);
        self.starts[usize::from(u16::from_le_bytes([start[0], start[1]]))] = true;
        self.by_start.entry(*start).or_default().push(place);
        self.known.insert(text.to_vec(), place);
        self.needles.push(Needle { text: text.to_vec(), cause: Cause::of_text(what, seq, text) });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    pub(super) fn get(&self, place: usize) -> &Needle {
        &self.needles[place]
    }

    /// Calls `found` with the place of each needle that is in the bytes, as often as it is there, until it says `false`.
    pub(super) fn find(&self, bytes: &[u8], mut found: impl FnMut(usize) -> bool) {
        if self.is_empty() {
            return;
        }
        for (at, window) in bytes.windows(START).enumerate() {
            if !self.starts[usize::from(u16::from_le_bytes([window[0], window[1]]))] {
                continue;
            }
            let candidates = window.first_chunk().and_then(|window| self.by_start.get(window));
            for place in candidates.into_iter().flatten() {
                if bytes[at..].starts_with(&self.needles[*place].text) && !found(*place) {
                    return;
                }
            }
        }
    }

    /// Those at other places than these.
    pub(super) fn without(&self, dropped: impl Fn(usize) -> bool) -> Needles {
        let mut rest = Needles::default();
        let kept = self.needles.iter().enumerate().filter(|(place, _)| !dropped(*place));
        for needle in kept.map(|(_, needle)| needle) {
            rest.add(&needle.text, &needle.cause.what, needle.cause.seq.unwrap_or_default());
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_needle_is_found_wherever_it_begins_and_none_twice() {
        let mut needles = Needles::default();
        for text in ["secret-1", "secret-2", "secret-1", "tiny", "ret-1x"] {
            needles.add(text.as_bytes(), "data.x", 7);
        }
        let found = |bytes: &str| {
            let mut found = Vec::new();
            needles.find(bytes.as_bytes(), |place| {
                found.push(place);
                true
            });
            found
        };
        assert_eq!(found("secret-1x tiny secret-2"), [0, 2, 1]);
        assert_eq!(found("secret-"), Vec::<usize>::new());
        let rest = needles.without(|place| place == 0);
        let mut left = Vec::new();
        rest.find(b"secret-1x secret-2", |place| {
            left.push(rest.get(place).cause.len_bytes);
            true
        });
        assert_eq!(left, [6, 8]);
        assert_eq!(
            needles.get(0).cause.to_string(),
            format!("data.x of seq 7, 8 bytes, BLAKE3 {}", &blake3::hash(b"secret-1").to_hex()[..12])
        );
    }
}
