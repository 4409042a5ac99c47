//! JSON as JavaScript reads and writes it: `JSON.parse` and `JSON.stringify(value, null, 2)`, byte for byte.
//!
//! The orchestrator's checksums are taken over what `JSON.stringify` prints, so verifying them needs its habits, none of
//! which a general JSON library shares:
//!
//! - every number is a double, printed in its shortest form (`1.0` is `1`, `-0` is `0`, `1e21` is `1e+21`, an integer
//!   above 2^53 loses its low digits, an overflow is printed as `null`);
//! - strings are UTF-16: lone surrogates exist, and are printed as `\udXXX` in lower case; U+2028 is printed as it is;
//! - object keys that are array indices (`"0"` to `"4294967294"`) come first, ascending; the others keep their order; of
//!   a repeated key the last value counts, at the first one's place.

mod parse;

pub use parse::{ParseError, ParseReason, parse};

use std::borrow::Cow;
use std::fmt;

/// A JavaScript string: UTF-8, in which a lone surrogate stands as the three bytes that UTF-8 forbids (WTF-8).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Vec<u8>);

impl Text {
    /// The text, each lone surrogate replaced by U+FFFD.
    #[must_use]
    pub fn to_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// This key as an array index (`0` to `4294967294`, no leading zero, no sign), else `None`.
    fn array_index(&self) -> Option<u32> {
        let digits = std::str::from_utf8(&self.0).ok()?;
        let canonical = digits == "0" || (digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0'));
        digits.parse::<u32>().ok().filter(|index| canonical && *index != u32::MAX)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.to_str())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// A parsed JSON value, as JavaScript would hold it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number: a double, possibly infinite (`1e999`).
    Number(f64),
    /// A string.
    String(Text),
    /// An array.
    Array(Vec<Value>),
    /// An object: its members, without repeated keys, in the order in which JavaScript enumerates them.
    Object(Vec<(Text, Value)>),
}

impl Value {
    /// The member of an object; `None` where there is none, and for anything that is no object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Value::Object(members) = self else { return None };
        members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value at a dotted path of object keys (`error.message`).
    #[must_use]
    pub fn at_path(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self, |value, key| value.get(key))
    }

    /// Takes a member out of an object; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let Value::Object(members) = self else { return None };
        let place = members.iter().position(|(name, _)| name == key)?;
        Some(members.remove(place).1)
    }

    /// The text of a string (lone surrogates replaced); `None` for anything else.
    #[must_use]
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        let Value::String(text) = self else { return None };
        Some(text.to_str())
    }

    /// Writes what `JSON.stringify(value, null, 2)` returns, piece by piece, as UTF-8.
    pub fn stringify(&self, sink: &mut dyn FnMut(&[u8])) {
        write_value(self, 0, sink);
    }

    /// What `JSON.stringify(value, null, 2)` returns.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut bytes = Vec::new();
        self.stringify(&mut |piece| bytes.extend_from_slice(piece));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn write_value(value: &Value, depth: usize, sink: &mut dyn FnMut(&[u8])) {
    match value {
        Value::Null => sink(b"null"),
        Value::Bool(true) => sink(b"true"),
        Value::Bool(false) => sink(b"false"),
        Value::Number(number) => sink(number_text(*number).as_bytes()),
        Value::String(text) => write_text(text, sink),
        Value::Array(items) if items.is_empty() => sink(b"[]"),
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                sink(if place == 0 { b"[" } else { b"," });
                write_line_start(depth + 1, sink);
                write_value(item, depth + 1, sink);
            }
            write_line_start(depth, sink);
            sink(b"]");
        }
        Value::Object(members) if members.is_empty() => sink(b"{}"),
        Value::Object(members) => {
            for (place, (key, member)) in members.iter().enumerate() {
                sink(if place == 0 { b"{" } else { b"," });
                write_line_start(depth + 1, sink);
                write_text(key, sink);
                sink(b": ");
                write_value(member, depth + 1, sink);
            }
            write_line_start(depth, sink);
            sink(b"}");
        }
    }
}

fn write_line_start(depth: usize, sink: &mut dyn FnMut(&[u8])) {
    sink(b"\n");
    for _ in 0..depth {
        sink(b"  ");
    }
}

fn write_text(text: &Text, sink: &mut dyn FnMut(&[u8])) {
    let bytes = text.0.as_slice();
    sink(b"\"");
    let mut plain_from = 0;
    let mut at = 0;
    while at < bytes.len() {
        let (escape, taken) = match (bytes[at], bytes.get(at + 1), bytes.get(at + 2)) {
            (b'"', ..) => ("\\\"".to_owned(), 1),
            (b'\\', ..) => ("\\\\".to_owned(), 1),
            (0x08, ..) => ("\\b".to_owned(), 1),
            (0x0c, ..) => ("\\f".to_owned(), 1),
            (b'\n', ..) => ("\\n".to_owned(), 1),
            (b'\r', ..) => ("\\r".to_owned(), 1),
            (b'\t', ..) => ("\\t".to_owned(), 1),
            (control @ 0..0x20, ..) => (format!("\\u{control:04x}"), 1),
            (0xed, Some(second @ 0xa0..=0xbf), Some(third)) => {
                let unit = 0xd000 | (u32::from(second & 0x3f) << 6) | u32::from(third & 0x3f);
                (format!("\\u{unit:04x}"), 3)
            }
            _ => {
                at += 1;
                continue;
            }
        };
        sink(&bytes[plain_from..at]);
        sink(escape.as_bytes());
        at += taken;
        plain_from = at;
    }
    sink(&bytes[plain_from..]);
    sink(b"\"");
}

/// The shortest digits that are read back as this number, `d.ddde±x`. Of two equally near ones ECMAScript wants the even
/// one, the standard library takes the upper one: rounding to as many digits exactly tells.
fn shortest_scientific(number: f64) -> String {
    let shortest = format!("{number:e}");
    let digits = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let nearest = format!("{number:.*e}", digits - 1);
    if nearest.parse::<f64>() == Ok(number) { nearest } else { shortest }
}

/// ECMAScript's `Number::toString`, with `JSON.stringify`'s `null` for what is not finite.
fn number_text(number: f64) -> String {
    if !number.is_finite() {
        return "null".to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let scientific = shortest_scientific(number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(|character| *character != '.').collect();
    let point = exponent.parse::<i64>().unwrap_or(0) + 1;
    let sign = if number < 0.0 { "-" } else { "" };
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let zeros = |length: i64| "0".repeat(usize::try_from(length).unwrap_or(0));
    if count <= point && point <= 21 {
        format!("{sign}{digits}{}", zeros(point - count))
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        format!("{sign}{whole}.{fraction}")
    } else if -6 < point && point <= 0 {
        format!("{sign}0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if point > 0 { '+' } else { '-' };
        format!("{sign}{first}{dot}{rest}e{exponent_sign}{}", (point - 1).abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        parse(text).expect("valid JSON").to_json()
    }

    #[test]
    fn numbers_are_printed_as_javascript_prints_them() {
        let table = [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("1", "1"),
            ("-1", "-1"),
            ("100", "100"),
            ("0.1", "0.1"),
            ("6.300000000000001", "6.300000000000001"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("123456789012345678901", "123456789012345680000"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("1.5e21", "1.5e+21"),
            ("-1e21", "-1e+21"),
            ("123456789e20", "1.23456789e+28"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1.25e-7", "1.25e-7"),
            ("0.00000123", "0.00000123"),
            ("9007199254740993", "9007199254740992"),
            ("9007199254740991", "9007199254740991"),
            ("5e-324", "5e-324"),
            ("4.9406564584124654e-324", "5e-324"),
            ("1e-400", "0"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("1e400", "null"),
            ("-1e400", "null"),
            ("1692169905496840.25", "1692169905496840.2"),
            ("1125899906842624.75", "1125899906842624.8"),
            ("9007199254740992", "9007199254740992"),
            ("123.456", "123.456"),
            ("12345678901234567", "12345678901234568"),
            ("0.1e1", "1"),
            ("25e-1", "2.5"),
        ];
        for (input, expected) in table {
            assert_eq!(rewritten(input), expected, "number {input}");
        }
    }

    #[test]
    fn strings_are_escaped_as_javascript_escapes_them() {
        let table = [
            (r#""a\/b""#, "\"a/b\""),
            (r#""\u0000\u001f\u007f""#, "\"\\u0000\\u001f\u{7f}\""),
            (r#""\b\f\n\r\t\"\\""#, r#""\b\f\n\r\t\"\\""#),
            (r#""\u0041""#, "\"A\""),
            ("\"\u{2028}\u{2029}\"", "\"\u{2028}\u{2029}\""),
            (r#""\u2028""#, "\"\u{2028}\""),
            (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
            (r#""\uD800""#, r#""\ud800""#),
            (r#""\uDFFF x""#, r#""\udfff x""#),
            (r#""\ude00\ud83d""#, r#""\ude00\ud83d""#),
            (r#""\ud83d\ud83d\ude00""#, "\"\\ud83d\u{1f600}\""),
            (r#""\ud83dA""#, r#""\ud83dA""#),
            ("\"\u{d7ff}\u{e000}\"", "\"\u{d7ff}\u{e000}\""),
            ("\"\u{feff}\"", "\"\u{feff}\""),
        ];
        for (input, expected) in table {
            assert_eq!(rewritten(input), expected, "string {input}");
        }
    }

    #[test]
    fn keys_are_ordered_as_javascript_orders_them() {
        let table = [
            ("{}", "{}"),
            ("[]", "[]"),
            ("{\"a\":{},\"b\":[]}", "{\n  \"a\": {},\n  \"b\": []\n}"),
            ("{\"b\":1,\"a\":2}", "{\n  \"b\": 1,\n  \"a\": 2\n}"),
            ("{\"b\":1,\"10\":2,\"9\":3}", "{\n  \"9\": 3,\n  \"10\": 2,\n  \"b\": 1\n}"),
            ("{\"a\":1,\"b\":2,\"a\":3}", "{\n  \"a\": 3,\n  \"b\": 2\n}"),
            ("{\"a\":1,\"a\":2,\"a\":3}", "{\n  \"a\": 3\n}"),
            ("{\"01\":1,\"1\":2,\"-1\":3}", "{\n  \"1\": 2,\n  \"01\": 1,\n  \"-1\": 3\n}"),
            ("{\"4294967295\":1,\"4294967294\":2}", "{\n  \"4294967294\": 2,\n  \"4294967295\": 1\n}"),
            (
                "{\"\":1,\"0\":[1,{\"x\":null}]}",
                "{\n  \"0\": [\n    1,\n    {\n      \"x\": null\n    }\n  ],\n  \"\": 1\n}",
            ),
        ];
        for (input, expected) in table {
            assert_eq!(rewritten(input), expected, "object {input}");
        }
    }
}
