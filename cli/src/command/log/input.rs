//! Events as `log append` takes them: JSON lines, in chunks of what is there.

use std::io::{self, Read};
use std::os::fd::AsFd;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use taffrail::{RunOpened, TypeEntry};

use crate::codes;
use crate::exit::Exit;
use crate::problem::Problem;

/// An event to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its run.
    pub run: String,
    /// Its type.
    pub kind: String,
    /// Its payload: JSON without insignificant blanks.
    pub payload: Vec<u8>,
    /// The line that it stood on, from 1.
    pub line: u64,
}

/// A line of the input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'line> {
    run: Option<String>,
    r#type: Option<String>,
    #[serde(borrow)]
    data: Option<&'line RawValue>,
}

/// What lines need not say because the command line does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defaults<'command> {
    /// `--run`
    pub run: Option<&'command str>,
    /// `--type`
    pub kind: Option<&'command str>,
}

impl Event {
    /// The event of a line.
    ///
    /// # Errors
    /// T0147 with the column; T0142, T0150 for names.
    pub fn of_line(line: &[u8], number: u64, defaults: Defaults<'_>) -> Result<Self, Box<Problem>> {
        let not_json = |column: usize, reason: &str| {
            let problem = Problem::new(codes::T0147, Exit::Usage, reason)
                .at(format!("line {number}, column {column}"))
                .hint("taffrail explain T0147")
                .with("line", number)
                .with("column", column);
            Box::new(problem)
        };
        let text = std::str::from_utf8(line).map_err(|error| not_json(error.valid_up_to() + 1, "not UTF-8"))?;
        let document: Document<'_> = serde_json::from_str(text).map_err(|error| {
            not_json(error.column(), &format!("not a JSON line {{run, type, data}}: {}", reason(&error)))
        })?;
        let missing = |what: &str| {
            not_json(1, &format!("the line names no {what}, and neither does the command line (--{what})"))
        };
        let run = document.run.or_else(|| defaults.run.map(str::to_owned)).ok_or_else(|| missing("run"))?;
        let kind = document.r#type.or_else(|| defaults.kind.map(str::to_owned)).ok_or_else(|| missing("type"))?;
        let data = document.data.map_or("null", RawValue::get);
        // Where in the line the data stands: it is a piece of it.
        let before = (data.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let payload = payload(data).map_err(|(column, reason)| not_json(before + column, &reason))?;
        let event = Self { run, kind, payload, line: number };
        event.check().map_err(|problem| Box::new(problem.at(format!("line {number}")).with("line", number)))?;
        Ok(event)
    }

    /// The event of a command line.
    ///
    /// # Errors
    /// T0147 with the column; T0142, T0150 for names.
    pub fn of_arguments(run: &str, kind: &str, data: &str) -> Result<Self, Box<Problem>> {
        let payload = payload(data).map_err(|(column, reason)| {
            Problem::new(codes::T0147, Exit::Usage, format!("the data is not JSON: {reason}"))
                .at(format!("column {column} of the data"))
                .hint("taffrail explain T0147")
                .with("column", column)
        });
        let payload = payload.map_err(Box::new)?;
        let event = Self { run: run.to_owned(), kind: kind.to_owned(), payload, line: 1 };
        event.check().map(|()| event)
    }

    /// Names that no run and no type can have, and types that are not for anybody to append.
    fn check(&self) -> Result<(), Box<Problem>> {
        let Self { run, kind, .. } = self;
        if kind == "taffrail" || kind.starts_with("taffrail.") {
            let message = format!("the type {kind:?} is reserved: its events pass the rules of runs");
            return Err(Box::new(Problem::new(codes::T0150, Exit::Refused, message).hint("taffrail explain T0150")));
        }
        let message = if !TypeEntry::json(kind).is_valid() {
            format!("{kind:?} is no name for a type: 1 to 64 of a-z 0-9 _ . -")
        } else if !RunOpened::is_valid_name(run) {
            format!("{run:?} is no name for a run: 1 to 255 bytes, no control characters, no blanks at the ends")
        } else {
            return Ok(());
        };
        Err(Box::new(Problem::new(codes::T0142, Exit::Usage, message).hint("taffrail explain T0142")))
    }
}

/// What a JSON error says, without its place.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// The bytes of a payload: the JSON as given, numbers digit by digit, without blanks between the values. On error the
/// 1-based column and the reason.
fn payload(json: &str) -> Result<Vec<u8>, (usize, String)> {
    // Read as a whole, not only skipped over: what is stored must be readable, down to its escapes and its depth.
    let parsed: Result<Value, _> = serde_json::from_str(json);
    parsed.map_err(|error| (error.column().max(1), reason(&error)))?;
    let mut bytes = Vec::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for byte in json.bytes() {
        if quoted || !byte.is_ascii_whitespace() {
            bytes.push(byte);
        }
        if byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && byte == b'\\' && !escaped;
    }
    Ok(bytes)
}

/// A line, and its number from 1.
pub type NumberedLine = (u64, Vec<u8>);

/// Lines of a stream, in chunks of what is there.
#[derive(Debug)]
pub struct Chunks<Source> {
    source: Source,
    /// Bytes behind the last whole line.
    rest: Vec<u8>,
    /// The number of the last line that was handed out.
    line: u64,
    ended: bool,
}

impl<Source: Read + Waiting> Chunks<Source> {
    /// A chunk is handed out when this much is there, or when nothing more is.
    const LEN_BYTES: usize = 1 << 20;
    /// Longest line: a payload of 16 MiB, with every character escaped, and names.
    const LINE_LEN_BYTES_MAX: usize = 128 << 20;

    /// Chunks of a source.
    pub fn new(source: Source) -> Self {
        Self { source, rest: Vec::new(), line: 0, ended: false }
    }

    /// The next lines, with their numbers; blank ones are left out. `None` at the end.
    ///
    /// # Errors
    /// What the source says; `InvalidData` for a line beyond all limits.
    pub fn next_chunk(&mut self) -> io::Result<Option<Vec<NumberedLine>>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            self.fill()?;
            let whole = match self.rest.iter().rposition(|byte| *byte == b'\n') {
                _ if self.ended => self.rest.len(),
                Some(newline) => newline + 1,
                None if self.rest.len() > Self::LINE_LEN_BYTES_MAX => {
                    let message = format!("line {} is longer than any event", self.line + 1);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                None => continue,
            };
            let rest = self.rest.split_off(whole);
            let chunk = std::mem::replace(&mut self.rest, rest);
            let mut lines = Vec::new();
            for line in chunk.split_inclusive(|byte| *byte == b'\n') {
                self.line += 1;
                if !line.trim_ascii().is_empty() {
                    lines.push((self.line, line.trim_ascii_end().to_vec()));
                }
            }
            return Ok(Some(lines));
        }
    }

    /// Waits for bytes, and takes what is there with them.
    fn fill(&mut self) -> io::Result<()> {
        let start = self.rest.len();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.source.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.rest.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if self.ended || self.rest.len() - start >= Self::LEN_BYTES || self.source.waiting_bytes() == 0 {
                return Ok(());
            }
        }
    }
}

/// A source that tells how much can be read from it without waiting.
pub trait Waiting {
    /// Bytes; 0 where that is not known.
    fn waiting_bytes(&self) -> u64;
}

impl Waiting for io::StdinLock<'_> {
    fn waiting_bytes(&self) -> u64 {
        rustix::io::ioctl_fionread(self.as_fd()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::{Chunks, Defaults, Event, Waiting};

    fn event(line: &str) -> Result<Event, (String, Option<String>)> {
        let defaults = Defaults { run: Some("r"), kind: Some("t") };
        Event::of_line(line.as_bytes(), 7, defaults).map_err(|problem| (problem.code.to_string(), problem.place))
    }

    #[test]
    fn payloads_keep_every_digit_and_lose_blanks_between_values() {
        for (data, payload) in [
            (
                r#"{ "a b" : [ 1.50 , 12345678901234567890123 ] , "\" \\" : "x\ty" }"#,
                r#"{"a b":[1.50,12345678901234567890123],"\" \\":"x\ty"}"#,
            ),
            ("null", "null"),
            (r#""\u202e\\""#, r#""\u202e\\""#),
        ] {
            let event = event(&format!(r#"{{"run":"a","type":"b","data":{data}}}"#)).expect("an event");
            assert_eq!(String::from_utf8(event.payload).expect("UTF-8"), payload);
        }
        let short = event("{}").expect("everything else is on the command line");
        assert_eq!((short.run.as_str(), short.kind.as_str(), short.line), ("r", "t", 7));
    }

    #[test]
    fn bad_lines_have_a_code_and_a_column() {
        for (line, code, place) in [
            ("{\"run\":}", "T0147", "line 7, column 8"),
            ("[]", "T0147", "line 7, column 2"),
            (r#"{"rum":"a"}"#, "T0147", "line 7, column 6"),
            (r#"{"data":{"a":1e999}}"#, "T0147", "line 7, column 18"),
            (r#"{"data":"\ud800"}"#, "T0147", "line 7, column 16"),
            (r#"{"type":"Deploy"}"#, "T0142", "line 7"),
            (r#"{"run":"a\nb"}"#, "T0142", "line 7"),
            (r#"{"type":"taffrail.run"}"#, "T0150", "line 7"),
        ] {
            assert_eq!(event(line), Err((code.to_owned(), Some(place.to_owned()))), "{line}");
        }
        let deep = format!(r#"{{"data":{}{}}}"#, "[".repeat(500), "]".repeat(500));
        assert_eq!(event(&deep).expect_err("too deep").0, "T0147");
        let error = Event::of_line(b"{\"run\":\"\xff\"}", 1, Defaults::default()).expect_err("not UTF-8");
        assert_eq!(error.place.as_deref(), Some("line 1, column 9"));
    }

    /// Hands out pieces; between them there is nothing waiting.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    impl Waiting for Pieces {
        fn waiting_bytes(&self) -> u64 {
            0
        }
    }

    #[test]
    fn lines_are_whole_however_the_pipe_cuts_them() {
        let mut chunks = Chunks::new(Pieces(vec![b"a\nb", b"", b"c\n\n  \nd"]));
        assert_eq!(chunks.next_chunk().expect("read"), Some(vec![(1, b"a".to_vec())]));
        assert_eq!(chunks.next_chunk().expect("read"), Some(vec![(2, b"b".to_vec())]), "an empty read is the end");
        assert_eq!(chunks.next_chunk().expect("read"), None);
        let mut chunks = Chunks::new(Pieces(vec![b"a\nb", b"c\n\n  \nd"]));
        let mut lines = Vec::new();
        while let Some(chunk) = chunks.next_chunk().expect("read") {
            lines.extend(chunk);
        }
        assert_eq!(lines, [(1, b"a".to_vec()), (2, b"bc".to_vec()), (5, b"d".to_vec())]);
    }
}
