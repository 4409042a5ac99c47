//! Changing values within JSON text, with every other byte left as it is.

use serde::de::IgnoredAny;
use std::ops::Range;

/// A step from a value to one within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The member of an object.
    Key(String),
    /// The item of a list, from 0.
    Index(usize),
}

/// Who says what changes.
pub(crate) trait Editor {
    /// What to put in the place of the value at a path, as JSON; `None` to look into it.
    fn value(&mut self, path: &[Step], raw: &str) -> Option<String>;

    /// What to put in the place of a string (also of a key, whose path ends with it), without quotes and escapes.
    fn text(&mut self, path: &[Step], text: &str) -> Option<String>;

    /// What to put in the place of a number, as JSON.
    fn number(&mut self, path: &[Step], raw: &str) -> Option<String>;
}

/// The text with what the editor has changed; `None` where it has changed nothing, an error where the bytes are no JSON.
pub(crate) fn edit(payload: &[u8], editor: &mut dyn Editor) -> Result<Option<Vec<u8>>, NotJson> {
    let text = std::str::from_utf8(payload).map_err(|_| NotJson)?;
    // Read as a whole before: the walk below may then trust its form, and its depth is bounded.
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| NotJson)?;
    if serde_json::from_str::<serde_json::Value>(text).is_err() {
        return Err(NotJson);
    }
    let mut walk = Walk { text, editor, path: Vec::new(), changes: Vec::new() };
    walk.value(walk.blanks(0));
    let changes = walk.changes;
    if changes.is_empty() {
        return Ok(None);
    }
    let mut edited = String::with_capacity(text.len());
    let mut at = 0;
    for (range, replacement) in changes {
        edited.push_str(text.get(at..range.start).unwrap_or_default());
        edited.push_str(&replacement);
        at = range.end;
    }
    edited.push_str(text.get(at..).unwrap_or_default());
    Ok(Some(edited.into_bytes()))
}

/// The bytes are no JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotJson;

struct Walk<'a> {
    text: &'a str,
    editor: &'a mut dyn Editor,
    path: Vec<Step>,
    /// What is replaced, in order.
    changes: Vec<(Range<usize>, String)>,
}

impl Walk<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// The first place from here on that is no blank.
    fn blanks(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
        }
        at
    }

    /// Behind the string that begins here.
    fn string_end(&self, start: usize) -> usize {
        let mut at = start + 1;
        while at < self.text.len() && self.byte(at) != b'"' {
            at += if self.byte(at) == b'\\' { 2 } else { 1 };
        }
        (at + 1).min(self.text.len())
    }

    /// Behind the value that begins here.
    fn value_end(&self, start: usize) -> usize {
        match self.byte(start) {
            b'"' => self.string_end(start),
            b'{' | b'[' => {
                let (mut depth, mut at) = (0_usize, start);
                while at < self.text.len() {
                    match self.byte(at) {
                        b'"' => {
                            at = self.string_end(at);
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                    at += 1;
                    if depth == 0 {
                        break;
                    }
                }
                at
            }
            _ => {
                let rest = self.text.as_bytes().get(start..).unwrap_or_default();
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                start + rest.iter().position(is_end).unwrap_or(rest.len())
            }
        }
    }

    /// Goes over the value that begins here, and returns the place behind it.
    fn value(&mut self, start: usize) -> usize {
        let end = self.value_end(start);
        let raw = self.text.get(start..end).unwrap_or_default();
        if let Some(replacement) = self.editor.value(&self.path, raw) {
            self.changes.push((start..end, replacement));
            return end;
        }
        match self.byte(start) {
            b'"' => self.string(start..end),
            b'{' => self.members(start),
            b'[' => self.items(start),
            b'-' | b'0'..=b'9' => {
                if let Some(replacement) = self.editor.number(&self.path, raw) {
                    self.changes.push((start..end, replacement));
                }
            }
            _ => {}
        }
        end
    }

    fn decoded(&self, range: &Range<usize>) -> String {
        let raw = self.text.get(range.clone()).unwrap_or_default();
        serde_json::from_str(raw).unwrap_or_default()
    }

    fn string(&mut self, range: Range<usize>) {
        let text = self.decoded(&range);
        if let Some(replacement) = self.editor.text(&self.path, &text) {
            self.changes.push((range, serde_json::Value::String(replacement).to_string()));
        }
    }

    fn members(&mut self, start: usize) {
        let mut at = self.blanks(start + 1);
        while self.byte(at) == b'"' {
            let key = at..self.string_end(at);
            self.path.push(Step::Key(self.decoded(&key)));
            let colon = self.blanks(key.end);
            self.string(key);
            at = self.value(self.blanks(colon + 1));
            self.path.pop();
            at = self.blanks(at);
            if self.byte(at) != b',' {
                break;
            }
            at = self.blanks(at + 1);
        }
    }

    fn items(&mut self, start: usize) {
        let mut at = self.blanks(start + 1);
        let mut index = 0;
        while self.byte(at) != b']' && at < self.text.len() {
            self.path.push(Step::Index(index));
            at = self.value(at);
            self.path.pop();
            index += 1;
            at = self.blanks(at);
            if self.byte(at) != b',' {
                break;
            }
            at = self.blanks(at + 1);
        }
    }
}

/// Every string and number in a JSON text, keys too, each with its path; nothing where it is no JSON.
pub(crate) fn texts(payload: &[u8]) -> Vec<(Vec<Step>, String)> {
    struct All(Vec<(Vec<Step>, String)>);
    impl Editor for All {
        fn value(&mut self, _path: &[Step], _raw: &str) -> Option<String> {
            None
        }

        fn text(&mut self, path: &[Step], text: &str) -> Option<String> {
            self.0.push((path.to_vec(), text.to_owned()));
            None
        }

        fn number(&mut self, path: &[Step], raw: &str) -> Option<String> {
            self.0.push((path.to_vec(), raw.to_owned()));
            None
        }
    }
    let mut all = All(Vec::new());
    let _nothing_where_it_is_no_json = edit(payload, &mut all);
    all.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replaces texts that hold an x, numbers of 7, and whatever stands at `a.b`.
    struct Xs;

    impl Editor for Xs {
        fn value(&mut self, path: &[Step], _raw: &str) -> Option<String> {
            let wanted = [Step::Key("a".to_owned()), Step::Key("b".to_owned())];
            (path == wanted).then(|| "\"gone\"".to_owned())
        }

        fn text(&mut self, _path: &[Step], text: &str) -> Option<String> {
            text.contains('x').then(|| text.replace('x', "\"y\""))
        }

        fn number(&mut self, _path: &[Step], raw: &str) -> Option<String> {
            (raw == "7").then(|| "0".to_owned())
        }
    }

    #[test]
    fn only_what_was_asked_for_changes() {
        for (before, after) in [
            (r#"{"a":{"b":[1,{"x":"x"}],"c":1e5}, "n" : 7 }"#, Some(r#"{"a":{"b":"gone","c":1e5}, "n" : 0 }"#)),
            (r#"[ "a\u0078b" , 7.0, -7, "\\\"", [], {} ]"#, Some(r#"[ "a\"y\"b" , 7.0, -7, "\\\"", [], {} ]"#)),
            (r#"{"x":null,"b":true}"#, Some(r#"{"\"y\"":null,"b":true}"#)),
            (r#"{"a":{"b":1}}"#, Some(r#"{"a":{"b":"gone"}}"#)),
            (r#""x""#, Some(r#""\"y\"""#)),
            ("7", Some("0")),
            (r#"{"a":[{"b":1}],"z":"}]{["}"#, None),
            ("[]", None),
        ] {
            let edited = edit(before.as_bytes(), &mut Xs).expect("JSON");
            assert_eq!(edited.as_deref().map(|it| std::str::from_utf8(it).expect("text")), after, "{before}");
        }
        for bad in [&b"{"[..], b"", b"\xff", b"{\"a\":\"\\ud800\"}", b"x"] {
            assert_eq!(edit(bad, &mut Xs), Err(NotJson));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_json_walks_over_every_string_in_it(texts: Vec<String>, deep in 0_usize..100) {
            let mut value = serde_json::json!({ "list": texts.clone(), "map": texts.iter().cloned().map(|text| (text, 1)).collect::<std::collections::BTreeMap<_, _>>() });
            for _ in 0..deep {
                value = serde_json::json!([value]);
            }
            let found = super::texts(value.to_string().as_bytes());
            for text in texts {
                proptest::prop_assert!(found.iter().filter(|(_, it)| *it == text).count() >= 2);
            }
        }
    }
}
