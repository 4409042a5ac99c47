//! Events as `log append` takes them: JSON lines, in chunks of what is there.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::AsFd;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use taffrail::{Batch, RunOpened, TypeEntry};

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
        let payload = payload(data).map_err(|refused| match refused {
            Refused::NotJson(column, reason) => not_json(before + column, &reason),
            Refused::TooLong(len_bytes) => {
                Box::new(too_long(len_bytes).at(format!("line {number}")).with("line", number))
            }
        })?;
        let event = Self { run, kind, payload, line: number };
        event.check().map_err(|problem| Box::new(problem.at(format!("line {number}")).with("line", number)))?;
        Ok(event)
    }

    /// The event of a command line.
    ///
    /// # Errors
    /// T0147 with the column; T0142, T0150 for names.
    pub fn of_arguments(run: &str, kind: &str, data: &str) -> Result<Self, Box<Problem>> {
        let payload = payload(data).map_err(|refused| match refused {
            Refused::TooLong(len_bytes) => Box::new(too_long(len_bytes)),
            Refused::NotJson(column, reason) => Box::new(
                Problem::new(codes::T0147, Exit::Usage, format!("the data is not JSON: {reason}"))
                    .at(format!("column {column} of the data"))
                    .hint("taffrail explain T0147")
                    .with("column", column),
            ),
        })?;
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

/// Why data is not stored.
enum Refused {
    /// It is not JSON: the 1-based column and the reason.
    NotJson(usize, String),
    /// It takes so many bytes.
    TooLong(usize),
}

fn too_long(len_bytes: usize) -> Problem {
    let most = Batch::MAX_PAYLOAD_LEN_BYTES;
    let message = format!("an event's payload takes {len_bytes} bytes; {most} are the most");
    Problem::new(codes::T0144, Exit::Usage, message).hint("taffrail explain T0144")
}

/// The bytes of a payload: the JSON as given, numbers digit by digit, without blanks between the values.
fn payload(json: &str) -> Result<Vec<u8>, Refused> {
    let bytes = without_blanks(json);
    // Before it is parsed, which takes a multiple of its length in memory.
    if bytes.len() > Batch::MAX_PAYLOAD_LEN_BYTES {
        return Err(Refused::TooLong(bytes.len()));
    }
    // Read as a whole, not only skipped over: what is stored must be readable, down to its escapes and its depth.
    let parsed: Result<Value, _> = serde_json::from_str(json);
    match parsed {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Refused::NotJson(error.column().max(1), reason(&error))),
    }
}

fn without_blanks(json: &str) -> Vec<u8> {
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
    bytes
}

/// A line, and its number from 1.
pub type NumberedLine = (u64, Vec<u8>);

/// Why there are no more lines, though the input has not ended.
#[derive(Debug)]
pub enum Stopped {
    /// The source can not be read.
    Source(io::Error),
    /// The line of this number is longer than the line of any event.
    LongLine(u64),
}

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(formatter, "cannot read standard input: {error}"),
            Self::LongLine(_) => {
                let (most, payload) = (LINE_LEN_BYTES_MAX, Batch::MAX_PAYLOAD_LEN_BYTES);
                write!(formatter, "the line has more than {most} bytes; an event's payload has at most {payload}")
            }
        }
    }
}

/// Longest line: twice the longest payload, for names, and for blanks between values, which are not stored.
const LINE_LEN_BYTES_MAX: usize = 2 * Batch::MAX_PAYLOAD_LEN_BYTES;

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

    /// Chunks of a source.
    pub fn new(source: Source) -> Self {
        Self { source, rest: Vec::new(), line: 0, ended: false }
    }

    /// The next lines, with their numbers; blank ones are left out. `None` at the end.
    ///
    /// # Errors
    /// What the source says; a line beyond all limits, before the rest of it is read.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<NumberedLine>>, Stopped> {
        loop {
            if self.ended {
                return Ok(None);
            }
            // What is left from before has no end of a line: only what comes now is searched for one, or a long line would
            // be searched again with every piece of it.
            let searched = self.rest.len();
            self.fill().map_err(Stopped::Source)?;
            let newline = self.rest[searched..].iter().rposition(|byte| *byte == b'\n');
            let whole = match newline {
                _ if self.ended => self.rest.len(),
                Some(newline) => searched + newline + 1,
                None if self.rest.len() > LINE_LEN_BYTES_MAX => return Err(Stopped::LongLine(self.line + 1)),
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

    use super::{Chunks, Defaults, Event, Stopped, Waiting};

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

    /// One line without an end, as a pipe gives it: 64 KiB at a time. Counts what was read.
    struct Endless(u64);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = buffer.len().min(64 << 10);
            buffer[..len].fill(b'x');
            self.0 += len as u64;
            Ok(len)
        }
    }

    impl Waiting for Endless {
        fn waiting_bytes(&self) -> u64 {
            0
        }
    }

    /// Bug: a line of 300 MB took more than 20 s to be refused: up to 128 MiB of it were gathered, and searched for its end
    /// anew with every 64 KiB.
    #[test]
    fn a_line_beyond_all_limits_is_refused_before_it_is_read_to_its_end() {
        let mut chunks = Chunks::new(Endless(0));
        let stopped = chunks.next_chunk().expect_err("no event is as long");
        assert!(matches!(stopped, Stopped::LongLine(1)), "{stopped}");
        assert!(chunks.source.0 < 34 << 20, "{} bytes were read", chunks.source.0);
        let mut chunks = Chunks::new(io::Cursor::new(b"a\n".to_vec()).chain(Endless(0)));
        assert_eq!(chunks.next_chunk().expect("what stands before it"), Some(vec![(1, b"a".to_vec())]));
        assert!(matches!(chunks.next_chunk().expect_err("the second line"), Stopped::LongLine(2)));
    }

    impl<First: Read, Second: Read> Waiting for io::Chain<First, Second> {
        fn waiting_bytes(&self) -> u64 {
            0
        }
    }

    #[test]
    fn a_payload_that_is_too_long_is_refused_with_its_line() {
        let long = "x".repeat(17 << 20);
        let error = event(&format!(r#"{{"data":"{long}"}}"#)).expect_err("too long");
        assert_eq!(error, ("T0144".to_owned(), Some("line 7".to_owned())));
        // Blanks between values are not stored, so they do not count.
        let blank = " ".repeat(17 << 20);
        assert_eq!(event(&format!(r#"{{"data":[{blank}1]}}"#)).expect("short").payload, b"[1]");
    }
}
