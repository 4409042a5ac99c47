//! What makes recorded data safe to show: text that can neither move the cursor, nor reorder what is read, nor end a line.
//!
//! Escaped are C0, DEL and C1 controls (tabs and newlines among them: a cell is one line), the bidirectional controls
//! U+061C, U+200E, U+200F, U+202A..U+202E and U+2066..U+2069, the separators U+2028 and U+2029, and bytes that are not
//! UTF-8. The backslash itself stays as it is: text is for reading, `-o json` and `-o raw` are for getting data back.
//! Escaping twice is escaping once.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character is never written to a text output as it is.
#[must_use]
pub fn is_escaped(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text without anything that [`is_escaped`]: `\t`, `\n`, `\r`, else `\u{202e}`.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    push(&mut escaped, text);
    Cow::Owned(escaped)
}

/// The same of bytes; what is not UTF-8 becomes `\x9f`, byte by byte.
#[must_use]
pub fn bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(valid) = std::str::from_utf8(bytes) {
        return text(valid);
    }
    let mut escaped = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        push(&mut escaped, chunk.valid());
        for byte in chunk.invalid() {
            push_formatted(&mut escaped, format_args!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(escaped)
}

/// Serialised JSON that says the same without anything that [`is_escaped`], but for the newlines between values.
///
/// Such characters stand only inside the strings of a JSON text, where `\u202e` means the character.
#[must_use]
pub fn json(json: &str) -> Cow<'_, str> {
    if !json.contains(|character| character != '\n' && is_escaped(character)) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if character != '\n' && is_escaped(character) {
            push_formatted(&mut escaped, format_args!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

fn push(escaped: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            hidden if is_escaped(hidden) => push_formatted(escaped, format_args!("\\u{{{:x}}}", u32::from(hidden))),
            shown => escaped.push(shown),
        }
    }
}

fn push_formatted(escaped: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let written = escaped.write_fmt(arguments);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{bytes, is_escaped, json, text};

    #[test]
    fn the_list_of_escaped_characters_is_the_documented_one() {
        let ranges: [(u32, u32); 8] = [
            (0x00, 0x1f),
            (0x7f, 0x7f),
            (0x80, 0x9f),
            (0x61c, 0x61c),
            (0x200e, 0x200f),
            (0x2028, 0x2029),
            (0x202a, 0x202e),
            (0x2066, 0x2069),
        ];
        for character in '\0'..=char::MAX {
            let listed = ranges.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(character)));
            assert_eq!(is_escaped(character), listed, "U+{:04X}", u32::from(character));
        }
    }

    #[test]
    fn escapes_look_as_documented() {
        assert_eq!(text("a\tb\nc\rd"), "a\\tb\\nc\\rd");
        assert_eq!(text("\x1b[31mred\x07\x7f"), "\\u{1b}[31mred\\u{7}\\u{7f}");
        assert_eq!(text("user\u{202e}gpj.exe\u{2066}"), "user\\u{202e}gpj.exe\\u{2066}");
        assert_eq!(text("größe 日本 🦀 \\n"), "größe 日本 🦀 \\n");
        assert_eq!(bytes(b"ok\xff\xc3(\xe2\x82\n"), "ok\\xff\\xc3(\\xe2\\x82\\n");
        assert_eq!(bytes("\u{9b}31m".as_bytes()), "\\u{9b}31m");
        assert_eq!(json("{\"a\":\"\u{202e}\u{7f}\"}\n"), "{\"a\":\"\\u202e\\u007f\"}\n");
    }

    proptest! {
        #[test]
        fn nothing_dangerous_gets_through(input in any::<Vec<u8>>(), valid in any::<String>(), hidden in "[\\x00-\\x9f\u{200e}-\u{2069}]{0,20}") {
            for escaped in [bytes(&input), text(&valid), text(&hidden), bytes(hidden.as_bytes())] {
                prop_assert!(!escaped.contains(is_escaped), "{:?}", escaped);
                prop_assert_eq!(text(&escaped), escaped.as_ref());
            }
            prop_assert_eq!(text(&valid), bytes(valid.as_bytes()));
        }

        #[test]
        fn printable_ascii_is_unchanged(plain in "[ -~]{0,64}") {
            prop_assert_eq!(text(&plain), plain.as_str());
            prop_assert_eq!(bytes(plain.as_bytes()), plain.as_str());
        }

        #[test]
        fn json_keeps_its_meaning(value in any::<String>()) {
            let plain = serde_json::to_string(&value).expect("a string serialises");
            let escaped = json(&plain);
            prop_assert!(!escaped.contains(is_escaped));
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).expect("still JSON"), value);
        }
    }
}
