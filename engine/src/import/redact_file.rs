//! Files without what must not be written.

use crate::Codec;
use crate::redact::Redactor;

/// Longest file that is redacted, in bytes. It is held in memory as a whole, since what a pattern matches may lie across any
/// two pieces of it; a longer one is not kept.
pub(crate) const MOST_LEN_BYTES: u64 = if cfg!(test) { 2 << 20 } else { 64 << 20 };

/// A file's bytes without what must not be written, and how many places that were; `None` where there are none.
///
/// A file that is one JSON document is redacted as an event's data is, by fields too; so is every line of another text that is
/// JSON by itself. Whatever else matches, wherever it stands, is replaced in the bytes as they are: what is left may be no JSON
/// any more, but nothing that was named is in it.
pub(crate) fn redact_file(redactor: &Redactor, bytes: &[u8]) -> Option<(Vec<u8>, u64)> {
    // Only an event that is bincode is refused.
    let redacted = |codec, bytes: &[u8]| redactor.redact(codec, bytes).ok().flatten();
    let (mut text, mut count) = redacted(Codec::Json, bytes).unwrap_or_else(|| (bytes.to_vec(), 0));
    if let Some((lines, more)) = redact_lines(redactor, &text) {
        (text, count) = (lines, count + more);
    }
    if let Some((plain, more)) = redacted(Codec::Bytes, &text) {
        (text, count) = (plain, count + more);
    }
    (count > 0).then_some((text, count))
}

/// The lines that are JSON objects, as an event's data; `None` where nothing of them changes.
fn redact_lines(redactor: &Redactor, text: &[u8]) -> Option<(Vec<u8>, u64)> {
    let (mut edited, mut count) = (Vec::new(), 0);
    let mut kept = 0;
    let mut start = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.len();
        if line.trim_ascii_start().starts_with(b"{")
            && let Ok(Some((new, places))) = redactor.redact(Codec::Json, line)
        {
            edited.extend_from_slice(&text[kept..start]);
            edited.extend_from_slice(&new);
            count += places;
            kept = end;
        }
        start = end;
    }
    edited.extend_from_slice(&text[kept..]);
    (count > 0).then_some((edited, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::{FieldPath, pattern};

    #[test]
    fn whatever_form_a_file_has_nothing_that_was_named_is_left_in_it() {
        let redactor = Redactor::new()
            .field(FieldPath::parse("data.password").expect("a path"))
            .pattern("key", pattern("\"api\": *\"[^\"]*\"|BEGIN\\n[^-]*END").expect("a pattern"))
            .secret("TOKEN", "hunter\"2")
            .expect("a secret");
        for (before, after, count) in [
            ("{\"password\":\"p\",\n \"n\":1}", "{\"password\":\"[redacted:data.password]\",\n \"n\":1}", 1),
            ("out: hunter\"2\n", "out: [redacted:TOKEN]\n", 1),
            ("log\n{\"a\":\"hunter\\\"2\"}\nend", "log\n{\"a\":\"[redacted:TOKEN]\"}\nend", 1),
            (
                "a\n{\"password\":1}\n{\"password\":2}\nb\n",
                "a\n{\"password\":\"[redacted:data.password]\"}\n{\"password\":\"[redacted:data.password]\"}\nb\n",
                2,
            ),
            ("x BEGIN\nabc\nEND y", "x [redacted:key] y", 1),
            ("{\"api\": \"s\"}", "{[redacted:key]}", 1),
        ] {
            let (text, found) = redact_file(&redactor, before.as_bytes()).expect(before);
            assert_eq!((String::from_utf8(text).expect("text").as_str(), found), (after, count), "{before}");
        }
        let (bytes, _) = redact_file(&redactor, b"\xff\x00hunter\"2\xfe").expect("found");
        assert_eq!(bytes, b"\xff\x00[redacted:TOKEN]\xfe");
        for clean in ["", "hunter", "{\"word\":1}\n", "\u{0}\n{"] {
            assert_eq!(redact_file(&redactor, clean.as_bytes()), None, "{clean}");
        }
    }
}
