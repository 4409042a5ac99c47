//! What is redacted: fields by their paths, patterns, and secrets by their values.

use super::json::{Editor, NotJson, Step, edit};
use crate::error::{Error, Result};
use crate::{Codec, ErrorKind};
use regex::bytes::Regex;
use std::fmt;

/// A path to a field of an event's data, as `--where` writes it: `data.headers.token`, `data.items.*.key`.
///
/// A step is a key or the place of an item; `*` is any of them. A key that has a dot in it can not be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    steps: Vec<String>,
}

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    /// `Invalid` (T0407): it does not begin with `data`, or a step is empty.
    pub fn parse(text: &str) -> Result<FieldPath> {
        let mut steps = text.split('.').map(str::to_owned);
        let begins = steps.next().is_some_and(|first| first == "data");
        let steps: Vec<String> = steps.collect();
        if !begins || steps.is_empty() || steps.iter().any(String::is_empty) {
            let message = format!("{text:?} is no path to a field: data.NAME, data.NAME.NAME, data.NAME.*");
            return Err(Error::new(ErrorKind::Invalid, "T0407", message).hint("taffrail log redact --help"));
        }
        Ok(FieldPath { text: text.to_owned(), steps })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn leads_to(&self, path: &[Step]) -> bool {
        self.steps.len() == path.len()
            && self.steps.iter().zip(path).all(|(wanted, step)| match step {
                _ if wanted == "*" => true,
                Step::Key(key) => key == wanted,
                Step::Index(index) => index.to_string() == *wanted,
            })
    }
}

/// Reads a pattern: a regular expression over text.
///
/// # Errors
/// What is wrong with it.
pub fn pattern(text: &str) -> std::result::Result<Regex, String> {
    let built = Regex::new(text).map_err(|error| error.to_string().lines().last().unwrap_or_default().to_owned())?;
    if built.is_match(b"") {
        return Err("it matches the empty text, and so everything".to_owned());
    }
    Ok(built)
}

/// What never reaches a log: applied to each batch before it is appended ([`crate::Options::redact`]).
#[derive(Clone, Default)]
pub struct Redactor {
    pub(super) fields: Vec<FieldPath>,
    pub(super) patterns: Vec<(String, Regex)>,
    /// Names and values.
    secrets: Vec<(String, Vec<u8>)>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.secrets.iter().map(|(name, _)| name.as_str()).collect();
        let patterns: Vec<&str> = self.patterns.iter().map(|(name, _)| name.as_str()).collect();
        formatter
            .debug_struct("Redactor")
            .field("fields", &self.fields)
            .field("patterns", &patterns)
            .field("secrets", &names)
            .finish()
    }
}

impl Redactor {
    /// Shortest secret, in bytes: a shorter one would be found everywhere.
    pub const SECRET_LEN_BYTES_MIN: usize = 4;

    /// Redacts nothing yet.
    #[must_use]
    pub fn new() -> Redactor {
        Redactor::default()
    }

    /// Redacts a field of JSON payloads, as `[redacted:PATH]`.
    #[must_use]
    pub fn field(mut self, path: FieldPath) -> Redactor {
        self.fields.push(path);
        self
    }

    /// Redacts what a pattern matches, as `[redacted:NAME]`.
    #[must_use]
    pub fn pattern(mut self, name: &str, pattern: Regex) -> Redactor {
        self.patterns.push((name.to_owned(), pattern));
        self
    }

    /// Redacts a value wherever it stands, as `[redacted:NAME]`. It is held in memory and nowhere else.
    ///
    /// # Errors
    /// `Invalid` (T0407) for a value of fewer than four bytes.
    pub fn secret(mut self, name: &str, value: &str) -> Result<Redactor> {
        if value.len() < Redactor::SECRET_LEN_BYTES_MIN {
            let message = format!("the value of {name} is too short to be told from other text");
            return Err(Error::new(ErrorKind::Invalid, "T0407", message).hint("taffrail store info"));
        }
        self.secrets.push((name.to_owned(), value.as_bytes().to_vec()));
        // A secret that is part of another one must not leave the rest of that one behind.
        self.secrets.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Ok(self)
    }

    /// Whether there is nothing to redact.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.patterns.is_empty() && self.secrets.is_empty()
    }

    /// Whether a text holds what must not be written, but for fields, which only JSON has.
    #[must_use]
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.secrets.iter().any(|(_, value)| contains(bytes, value))
            || self.patterns.iter().any(|(_, pattern)| pattern.is_match(bytes))
    }

    /// The payload without what must not be written, and how many places that were; `None` where there are none.
    ///
    /// # Errors
    /// `Rejected` (T0408) where the codec leaves no room for another text.
    pub(crate) fn redact(&self, codec: Codec, payload: &[u8]) -> Result<Option<(Vec<u8>, u64)>> {
        let mut editing = Editing { redactor: self, count: 0 };
        if codec == Codec::Json {
            match edit(payload, &mut editing) {
                Ok(edited) => return Ok(edited.map(|edited| (edited, editing.count))),
                Err(NotJson) => editing.count = 0,
            }
        }
        if !self.finds(payload) {
            return Ok(None);
        }
        if codec == Codec::Bincode {
            let message = "an event holds what the store's settings say must not be written, and its codec leaves no \
                           room for another text";
            return Err(Error::new(ErrorKind::Rejected, "T0408", message).hint("taffrail explain T0408"));
        }
        Ok(editing.replace(payload).map(|bytes| (bytes, editing.count)))
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

struct Editing<'a> {
    redactor: &'a Redactor,
    count: u64,
}

impl Editing<'_> {
    /// Bytes with everything replaced; `None` where nothing is.
    fn replace(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let before = self.count;
        let mut text = bytes.to_vec();
        for (name, value) in &self.redactor.secrets {
            let mark = format!("[redacted:{name}]");
            let mut at = 0;
            while let Some(found) = text[at..].windows(value.len()).position(|window| window == value.as_slice()) {
                text.splice(at + found..at + found + value.len(), mark.bytes());
                at += found + mark.len();
                self.count += 1;
            }
        }
        for (name, pattern) in &self.redactor.patterns {
            let mark = format!("[redacted:{name}]");
            let found = pattern.find_iter(&text).count() as u64;
            if found > 0 {
                text = pattern.replace_all(&text, regex::bytes::NoExpand(mark.as_bytes())).into_owned();
                self.count += found;
            }
        }
        (self.count > before).then_some(text)
    }
}

impl Editor for Editing<'_> {
    fn value(&mut self, path: &[Step], raw: &str) -> Option<String> {
        let field = self.redactor.fields.iter().find(|field| field.leads_to(path))?;
        let mark = serde_json::Value::String(format!("[redacted:{}]", field.as_str())).to_string();
        // One that was redacted before counts no more.
        let is_new = raw != mark;
        self.count += u64::from(is_new);
        is_new.then_some(mark)
    }

    fn text(&mut self, _path: &[Step], text: &str) -> Option<String> {
        let bytes = self.replace(text.as_bytes())?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn number(&mut self, _path: &[Step], raw: &str) -> Option<String> {
        let bytes = self.replace(raw.as_bytes())?;
        Some(serde_json::Value::String(String::from_utf8_lossy(&bytes).into_owned()).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let path = |text| FieldPath::parse(text).expect("a path");
        let new = Redactor::new().field(path("data.password")).field(path("data.list.*.key")).field(path("data.at.1"));
        let new = new.pattern("aws", pattern("AKIA[0-9A-Z]{4}").expect("a pattern"));
        new.secret("SHORT", "tokn").and_then(|it| it.secret("LONG", "tokn-and-more")).expect("secrets")
    }

    fn redacted(text: &str) -> Option<(String, u64)> {
        let found = redactor().redact(Codec::Json, text.as_bytes()).expect("no bincode");
        found.map(|(bytes, count)| (String::from_utf8(bytes).expect("text"), count))
    }

    #[test]
    fn fields_patterns_and_secrets_are_replaced_by_their_names() {
        for (before, after, count) in [
            (r#"{"password":{"a":[1,2]},"n":1}"#, r#"{"password":"[redacted:data.password]","n":1}"#, 1),
            (
                r#"{"list":[{"key":1},{"key":null,"x":2}]}"#,
                r#"{"list":[{"key":"[redacted:data.list.*.key]"},{"key":"[redacted:data.list.*.key]","x":2}]}"#,
                2,
            ),
            (r#"{"at":["a","b"]}"#, r#"{"at":["a","[redacted:data.at.1]"]}"#, 1),
            (r#"{"t":"id AKIA12AB, AKIAZZZZ"}"#, r#"{"t":"id [redacted:aws], [redacted:aws]"}"#, 2),
            (r#"["tokn-and-more tokn"]"#, r#"["[redacted:LONG] [redacted:SHORT]"]"#, 2),
            (r#"{"tokn":"\u0074okn"}"#, r#"{"[redacted:SHORT]":"[redacted:SHORT]"}"#, 2),
        ] {
            assert_eq!(redacted(before), Some((after.to_owned(), count)), "{before}");
            assert_eq!(redacted(after), None, "{after}: what is left has nothing to redact");
        }
        assert_eq!(redacted(r#"{"passwort":"tok n","at":["a"]}"#), None);
    }

    #[test]
    fn bytes_are_redacted_too_and_what_can_not_be_is_refused() {
        let (bytes, count) = redactor().redact(Codec::Bytes, b"\xff tokn \xff").expect("bytes").expect("found");
        assert_eq!((bytes.as_slice(), count), (&b"\xff [redacted:SHORT] \xff"[..], 1));
        assert_eq!(redactor().redact(Codec::Bincode, b"\x04tokn").expect_err("bincode").code(), "T0408");
        assert_eq!(redactor().redact(Codec::Bincode, b"\x04tok").expect("nothing there"), None);
        assert!(Redactor::new().secret("X", "abc").is_err());
        for bad in ["", "data", "x.y", "data.", "data..x"] {
            assert_eq!(FieldPath::parse(bad).expect_err(bad).code(), "T0407");
        }
        assert!(pattern("a*").is_err() && pattern("(").is_err());
        assert!(!format!("{:?}", redactor()).contains("tokn"), "a secret is not printed");
    }
}
