//! The one place that writes to the standard streams.
//!
//! Standard output is data only. Notes, errors and progress go to standard error; notes and progress are off in the JSON
//! formats, where an error is exactly one JSON object.

use std::fmt::{self, Debug};
use std::io::{self, BufWriter, IsTerminal, LineWriter, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::codes;
use crate::escape;
use crate::exit::Exit;
use crate::line::{Line, Tone};
use crate::problem::{Failure, Problem};
use crate::progress::Progress;

/// `-o`: how a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON document.
    Json,
    /// One JSON document per line.
    #[value(name = "jsonl")]
    JsonLines,
    /// Bytes as a hexadecimal dump.
    Hex,
    /// Bytes as they are, not escaped.
    Raw,
}

impl Format {
    /// What every command can.
    pub const TEXT: [Self; 3] = [Self::Human, Self::Json, Self::JsonLines];

    /// Whether a program reads the output.
    #[must_use]
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::JsonLines)
    }

    /// As written after `-o`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Hex => "hex",
            Self::Raw => "raw",
        }
    }
}

/// `--color`: when text has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR`, `CLICOLOR=0` or `TERM=dumb` say otherwise; `CLICOLOR_FORCE` says so elsewhere too.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the command line says about output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// `-o`, `--json`
    pub format: Format,
    /// `--color`
    pub color: Color,
    /// `-q`: no notes, no progress.
    pub quiet: bool,
    /// `-v`, counted: more notes.
    pub verbosity: u8,
}

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The reader is gone.
    #[error("standard output is closed")]
    Closed,
    /// Anything else.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Io(error) }
    }
}

/// A stream and what it is connected to.
pub struct Stream {
    writer: Box<dyn Write + Send>,
    terminal: bool,
    /// Whether `--color auto` means colours here.
    colorful: bool,
}

impl Stream {
    /// A stream that is no terminal.
    pub fn plain(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Box::new(writer), terminal: false, colorful: false }
    }

    fn color(&self, color: Color) -> bool {
        match color {
            Color::Auto => self.colorful,
            Color::Always => true,
            Color::Never => false,
        }
    }
}

impl Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stream").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

/// Where a command writes.
#[derive(Debug)]
pub struct Output {
    style: Style,
    data: Stream,
    notes: Stream,
}

impl Output {
    /// The process's own streams. Data is written line by line on a terminal, in blocks elsewhere.
    #[must_use]
    pub fn of_process() -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let colorful = |choice| choice != anstream::ColorChoice::Never;
        let data = Stream {
            terminal: stdout.is_terminal(),
            colorful: colorful(anstream::AutoStream::choice(&stdout)),
            writer: if stdout.is_terminal() {
                Box::new(LineWriter::new(stdout))
            } else {
                Box::new(BufWriter::with_capacity(1 << 16, stdout))
            },
        };
        let notes = Stream {
            terminal: stderr.is_terminal(),
            colorful: colorful(anstream::AutoStream::choice(&stderr)),
            writer: Box::new(stderr),
        };
        Self::new(data, notes)
    }

    /// Any two streams.
    #[must_use]
    pub fn new(data: Stream, notes: Stream) -> Self {
        Self { style: Style::default(), data, notes }
    }

    /// Follows the command line.
    pub fn set_style(&mut self, style: Style) {
        self.style = style;
    }

    /// What the command line says.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// What was asked for.
    #[must_use]
    pub fn format(&self) -> Format {
        self.style.format
    }

    /// Whether a person watches the data: where text may be cut to the terminal's width.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.data.terminal
    }

    /// How many characters a line of data may have: the terminal's, or what `COLUMNS` says of it. `None` elsewhere: text that
    /// is not for a person's eyes is never cut.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        if !self.data.terminal {
            return None;
        }
        let said =
            std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
        let measured = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
        said.or_else(measured).filter(|width| *width > 0)
    }

    /// Refuses a format that a command does not have.
    ///
    /// # Errors
    /// T0107, which lists the formats there are.
    pub fn require(&self, command: &str, formats: &[Format]) -> Result<(), Failure> {
        if formats.contains(&self.style.format) {
            return Ok(());
        }
        let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
        let (asked, names) = (self.style.format.name(), names.join(", "));
        let message = format!("`{command}` does not print as {asked}; it prints as {names}");
        Err(Problem::new(codes::T0107, Exit::Usage, message).hint(format!("taffrail {command} --help")).into())
    }

    /// Writes a line of data.
    ///
    /// # Errors
    /// [`OutputError`], as everything that writes data.
    pub fn line(&mut self, line: impl Into<Line>) -> Result<(), OutputError> {
        let mut text = line.into().render(self.data.color(self.style.color));
        text.push('\n');
        self.bytes(text.as_bytes())
    }

    /// Writes lines of data.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn lines(&mut self, lines: impl IntoIterator<Item = Line>) -> Result<(), OutputError> {
        lines.into_iter().try_for_each(|line| self.line(line))
    }

    /// Writes a report as one line of JSON, with control characters escaped.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn json<Report: Serialize>(&mut self, report: &Report) -> Result<(), OutputError> {
        let text = serde_json::to_string(report).map_err(|error| OutputError::Io(error.into()))?;
        self.bytes(escape::json(&text).as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes bytes as they are: for `-o raw`, and for text that this program made itself.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        Ok(self.data.writer.write_all(bytes)?)
    }

    /// Writes help: with its own colours where there are colours.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn help(&mut self, text: &clap::builder::StyledStr) -> Result<(), OutputError> {
        let colored = self.data.color(self.style.color);
        let text = if colored { text.ansi().to_string() } else { text.to_string() };
        self.bytes(text.as_bytes())
    }

    /// Writes help to standard error: it was not asked for, so it is no data.
    pub fn help_as_note(&mut self, text: &clap::builder::StyledStr) {
        let colored = self.notes.color(self.style.color);
        let text = if colored { text.ansi().to_string() } else { text.to_string() };
        // Nobody is left to tell that standard error is gone.
        let _ = self.notes.writer.write_all(text.as_bytes());
    }

    /// Makes everything written so far visible to its reader: an acknowledgement is none while it is in a buffer.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn flush(&mut self) -> Result<(), OutputError> {
        Ok(self.data.writer.flush()?)
    }

    /// Writes a note for people; not in the JSON formats, not with `-q`.
    pub fn note(&mut self, line: impl Into<Line>) {
        self.detail(0, line);
    }

    /// Writes a note that needs at least that many `-v`.
    pub fn detail(&mut self, verbosity: u8, line: impl Into<Line>) {
        if !self.style.format.is_json() && !self.style.quiet && self.style.verbosity >= verbosity {
            self.write_note(&line.into());
        }
    }

    /// Asks a person, on standard error, and returns the answer without the blanks around it. `None` where nobody is there to
    /// answer: no terminal, or a format for programs.
    ///
    /// # Errors
    /// [`OutputError`]: what was written so far is shown before the question.
    pub fn ask(&mut self, question: &str) -> Result<Option<String>, OutputError> {
        if self.style.format != Format::Human || !self.notes.terminal || !io::stdin().is_terminal() {
            return Ok(None);
        }
        self.flush()?;
        let text = Line::new().tone(Tone::Hint, question).render(self.notes.color(self.style.color));
        self.notes.writer.write_all(text.as_bytes())?;
        self.notes.writer.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(Some(answer.trim().to_owned()))
    }

    /// Writes `warning: ...` as a note.
    pub fn warning(&mut self, text: &str) {
        self.note(Line::new().tone(Tone::Warning, "warning").plain(": ").plain(text));
    }

    /// Writes an error, as the format asks.
    pub fn problem(&mut self, problem: &Problem) {
        if self.style.format.is_json() {
            let json = problem.json().to_string();
            // Nobody is left to tell that standard error is gone.
            let _ = writeln!(self.notes.writer, "{}", escape::json(&json));
            return;
        }
        for line in problem.lines() {
            self.write_note(&line);
        }
    }

    /// A progress bar where a person watches: on a terminal, in human format, without `-q`.
    #[must_use]
    pub fn progress(&self, label: &'static str, total: u64) -> Progress {
        let shown = self.notes.terminal && self.style.format == Format::Human && !self.style.quiet;
        Progress::new(shown, label, total)
    }

    fn write_note(&mut self, line: &Line) {
        let text = line.render(self.notes.color(self.style.color));
        // Nobody is left to tell that standard error is gone.
        let _ = writeln!(self.notes.writer, "{text}");
    }
}

pub(crate) mod capture;
#[cfg(test)]
mod tests;
