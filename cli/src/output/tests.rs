//! What reaches which stream, in which format.

use std::io;

use serde_json::json;

use super::capture::output;
use super::{Color, Format, Output, OutputError, Stream, Style};
use crate::codes;
use crate::exit::Exit;
use crate::line::{Line, Tone};
use crate::problem::{Failure, Problem};

fn style(format: Format) -> Style {
    Style { format, ..Style::default() }
}

#[test]
fn notes_are_off_in_json_and_when_quiet() {
    let loud = Style { verbosity: 1, ..Style::default() };
    let quiet = Style { quiet: true, verbosity: 1, ..Style::default() };
    for (style, expected) in [
        (style(Format::Human), "a note\nwarning: b\n"),
        (loud, "a note\na detail\nwarning: b\n"),
        (quiet, ""),
        (style(Format::Json), ""),
        (style(Format::JsonLines), ""),
        (style(Format::Raw), "a note\nwarning: b\n"),
    ] {
        let (mut output, data, notes) = output();
        output.set_style(style);
        output.note("a note");
        output.detail(1, "a detail");
        output.warning("b");
        assert_eq!((data.text().as_str(), notes.text().as_str()), ("", expected), "{style:?}");
        assert!(!output.progress("reading", 3).is_shown());
    }
}

#[test]
fn hidden_progress_still_counts() {
    let progress = output().0.progress("reading", 3);
    progress.advance(2);
    assert_eq!(progress.done(), 2);
}

#[test]
fn errors_are_one_json_object_or_lines_and_never_data() {
    let problem = Problem::new(codes::T0110, Exit::Usage, "no store \u{202e}").hint("taffrail store init");
    for format in [Format::Human, Format::Json, Format::JsonLines] {
        let (mut output, data, notes) = output();
        output.set_style(style(format));
        output.problem(&problem);
        assert_eq!(data.text(), "");
        let text = notes.text();
        assert!(!text.contains('\u{202e}'), "{text}");
        if format.is_json() {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("one object"), problem.json());
            assert_eq!(text.lines().count(), 1);
        } else {
            assert_eq!(text, "error[T0110]: no store \\u{202e}\n  hint: taffrail store init\n");
        }
    }
}

#[test]
fn data_is_escaped_text_or_json_or_raw_bytes() {
    let (mut output, data, _) = output();
    output.line("a\tb").expect("written");
    output.json(&json!({"schema": "taffrail.test/1", "text": "\u{9b}\u{2028}"})).expect("written");
    output.bytes(b"\x07").expect("written");
    assert_eq!(data.text(), "a\\tb\n{\"schema\":\"taffrail.test/1\",\"text\":\"\\u009b\\u2028\"}\n\x07");
}

#[test]
fn colour_follows_the_flag_where_there_is_no_terminal() {
    for (color, colored) in [(Color::Auto, false), (Color::Never, false), (Color::Always, true)] {
        let (mut output, data, _) = output();
        output.set_style(Style { color, ..Style::default() });
        output.line(Line::new().tone(Tone::Bad, "x")).expect("written");
        assert_eq!(data.text().contains('\x1b'), colored, "{color:?}");
    }
}

#[test]
fn formats_a_command_lacks_are_refused_with_those_it_has() {
    let (mut output, _, _) = output();
    for format in Format::TEXT {
        output.set_style(style(format));
        assert_eq!(output.require("explain", &Format::TEXT), Ok(()));
    }
    output.set_style(style(Format::Hex));
    let refused = output.require("explain", &Format::TEXT).expect_err("no hex");
    let Failure::Problem(problem) = refused else { panic!("{refused:?}") };
    assert_eq!((problem.code, problem.exit), (codes::T0107, Exit::Usage));
    assert_eq!(problem.message, "`explain` does not print as hex; it prints as human, json, jsonl");
}

/// A stream that fails in one way.
struct Failing(io::ErrorKind);

impl io::Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

#[test]
fn a_closed_pipe_is_no_error_and_a_full_disk_is_one() {
    let output = |kind| Output::new(Stream::plain(Failing(kind)), Stream::plain(Failing(kind)));
    let closed = output(io::ErrorKind::BrokenPipe).line("x").expect_err("closed");
    assert!(matches!(&closed, OutputError::Closed), "{closed}");
    assert_eq!(Failure::from(closed), Failure::OutputClosed);
    let full = output(io::ErrorKind::StorageFull).flush().expect_err("full");
    let Failure::Problem(problem) = Failure::from(full) else { panic!("a full disk is a problem") };
    assert_eq!((problem.code, problem.exit), (codes::T0180, Exit::Io));
    // Notes that cannot be written are lost, and nothing else happens.
    output(io::ErrorKind::StorageFull).problem(&problem);
}
