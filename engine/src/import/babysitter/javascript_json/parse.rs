//! `JSON.parse`, with limits on depth and on the number of values.

use super::{Text, Value};
use std::fmt;

/// Objects and arrays may be nested this deep.
const DEPTH_MAX: usize = 128;

/// A document may hold this many values, keys included: a bound on memory that the text's own length is not, since two
/// bytes of text (`1,`) become some forty bytes of value.
const VALUES_MAX: usize = 1_000_000;

/// Why a text is no JSON that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseReason {
    /// Not JSON; what was expected.
    Syntax(&'static str),
    /// Nested deeper than 128 objects and arrays.
    TooDeep,
    /// More than 1,000,000 values.
    TooManyValues,
}

/// A text that [`parse`] refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where in the text, in bytes.
    pub offset_bytes: u64,
    /// Why.
    pub reason: ParseReason,
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            ParseReason::Syntax(expected) => write!(formatter, "expected {expected} at byte {}", self.offset_bytes),
            ParseReason::TooDeep => write!(formatter, "nested deeper than {DEPTH_MAX} at byte {}", self.offset_bytes),
            ParseReason::TooManyValues => write!(formatter, "more than {VALUES_MAX} values"),
        }
    }
}

impl std::error::Error for ParseError {}

/// Parses one JSON document as `JSON.parse` does.
///
/// # Errors
/// [`ParseError`] with the first offending byte.
pub fn parse(text: &str) -> Result<Value, ParseError> {
    let mut parser = Parser { text: text.as_bytes(), at: 0, depth: 0, values: 0 };
    let value = parser.value()?;
    parser.skip_space();
    if parser.at < parser.text.len() {
        return Err(parser.expected("the end of the file"));
    }
    Ok(value)
}

struct Parser<'text> {
    text: &'text [u8],
    at: usize,
    depth: usize,
    values: usize,
}

impl Parser<'_> {
    fn expected(&self, what: &'static str) -> ParseError {
        self.error(ParseReason::Syntax(what))
    }

    fn error(&self, reason: ParseReason) -> ParseError {
        ParseError { offset_bytes: self.at as u64, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn count_value(&mut self) -> Result<(), ParseError> {
        self.values += 1;
        if self.values > VALUES_MAX { Err(self.error(ParseReason::TooManyValues)) } else { Ok(()) }
    }

    fn value(&mut self) -> Result<Value, ParseError> {
        self.count_value()?;
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true", Value::Bool(true)),
            Some(b'f') => self.literal(b"false", Value::Bool(false)),
            Some(b'n') => self.literal(b"null", Value::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, ParseError>) -> Result<Value, ParseError> {
        if self.depth == DEPTH_MAX {
            return Err(self.error(ParseReason::TooDeep));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn literal(&mut self, word: &'static [u8], value: Value) -> Result<Value, ParseError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.expected("true, false or null"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn array(&mut self) -> Result<Value, ParseError> {
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    fn object(&mut self) -> Result<Value, ParseError> {
        let mut members = Vec::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key in quotes"));
            }
            self.count_value()?;
            let key = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return Err(self.expected("`:`"));
            }
            let value = self.value()?;
            members.push((key, value));
            self.skip_space();
            if self.take(b'}') {
                return Ok(Value::Object(in_javascript_order(members)));
            }
            if !self.take(b',') {
                return Err(self.expected("`,` or `}`"));
            }
        }
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.expected("a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let number = std::str::from_utf8(&self.text[start..self.at]).ok().and_then(|text| text.parse::<f64>().ok());
        number.map(Value::Number).ok_or_else(|| self.expected("a number"))
    }

    fn string(&mut self) -> Result<Text, ParseError> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let start = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..0x20)) {
                self.at += 1;
            }
            bytes.extend_from_slice(&self.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text(bytes));
                }
                Some(b'\\') => self.escape(&mut bytes)?,
                Some(_) => return Err(self.expected("no control character in a string")),
                None => return Err(self.expected("the end of a string")),
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), ParseError> {
        let letter = self.text.get(self.at + 1).copied();
        let plain = match letter {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unicode_escape(bytes),
            _ => return Err(self.expected("an escape")),
        };
        self.at += 2;
        bytes.push(plain);
        Ok(())
    }

    /// `\uXXXX`, or two of them that make a pair; a surrogate without its partner is kept as its own three bytes.
    fn unicode_escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), ParseError> {
        let first = self.unit_at(self.at).ok_or_else(|| self.expected("four hexadecimal digits"))?;
        self.at += 6;
        let second = if (0xd800..0xdc00).contains(&first) { self.unit_at(self.at) } else { None };
        let pair = second.filter(|low| (0xdc00..0xe000).contains(low));
        let code = match pair {
            Some(low) => {
                self.at += 6;
                0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00)
            }
            None => first,
        };
        if let Some(character) = char::from_u32(code) {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            let [_, _, high, low] = code.to_be_bytes();
            bytes.extend_from_slice(&[
                0xe0 | (high >> 4),
                0x80 | ((high & 0x0f) << 2) | (low >> 6),
                0x80 | (low & 0x3f),
            ]);
        }
        Ok(())
    }

    /// The code unit of a `\uXXXX` that starts at an offset.
    fn unit_at(&self, offset: usize) -> Option<u32> {
        let escape = self.text.get(offset..offset + 6)?;
        let digits = escape.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    }
}

/// Array indices first, ascending; of a repeated key the last value, at the first one's place.
fn in_javascript_order(members: Vec<(Text, Value)>) -> Vec<(Text, Value)> {
    let mut by_key: Vec<usize> = (0..members.len()).collect();
    by_key.sort_by(|left, right| members[*left].0.cmp(&members[*right].0).then(left.cmp(right)));
    let repeated: Vec<Vec<usize>> = by_key
        .chunk_by(|left, right| members[*left].0 == members[*right].0)
        .filter(|places| places.len() > 1)
        .map(<[usize]>::to_vec)
        .collect();
    let mut slots: Vec<Option<(Text, Value)>> = members.into_iter().map(Some).collect();
    for places in repeated {
        let last = places.last().and_then(|place| slots[*place].take());
        for place in &places {
            slots[*place] = None;
        }
        slots[places[0]] = last;
    }
    let mut ordered: Vec<(Text, Value)> = slots.into_iter().flatten().collect();
    ordered.sort_by_key(|(key, _)| key.array_index().map_or((true, 0), |index| (false, index)));
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_javascript_refuses_is_refused_with_its_place() {
        let table = [
            ("", 0),
            (" ", 1),
            ("\u{feff}{}", 0),
            ("{", 1),
            ("[1,]", 3),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("01", 1),
            ("1.", 2),
            (".5", 0),
            ("+1", 0),
            ("-", 1),
            ("1e", 2),
            ("NaN", 0),
            ("nul", 0),
            ("\"\n\"", 1),
            ("\"\\x\"", 1),
            ("\"\\u12g4\"", 1),
            ("\"abc", 4),
            ("{} {}", 3),
            ("[1 2]", 3),
            ("{\"a\" 1}", 5),
            ("'a'", 0),
            ("\"\\u12", 1),
        ];
        for (text, offset_bytes) in table {
            let error = parse(text).expect_err(text);
            assert_eq!(error.offset_bytes, offset_bytes, "{text:?}: {error}");
            assert!(matches!(error.reason, ParseReason::Syntax(_)), "{text:?}: {error}");
        }
    }

    #[test]
    fn depth_and_count_are_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(parse(&nested(DEPTH_MAX + 1)).expect_err("too deep").reason, ParseReason::TooDeep);
        assert_eq!(parse(&"[".repeat(1_000_000)).expect_err("too deep").reason, ParseReason::TooDeep);
        let many = format!("[{}1]", "1,".repeat(VALUES_MAX));
        assert_eq!(parse(&many).expect_err("too many").reason, ParseReason::TooManyValues);
    }
}
