//! A line of text output: spans that are escaped when they are added, coloured when they are written.

use anstyle::{AnsiColor, Style};

use crate::escape;

/// What a span says, whatever colour that gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// A heading.
    Heading,
    /// All is well.
    Good,
    /// Something is to be looked at.
    Warning,
    /// An error, damage.
    Bad,
    /// What to do next.
    Hint,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Hint => AnsiColor::Cyan.on_default(),
        }
    }
}

/// A line, without its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    spans: Vec<(Tone, String)>,
}

impl Line {
    /// An empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text, escaped.
    #[must_use]
    pub fn plain(self, text: &str) -> Self {
        self.tone(Tone::Plain, text)
    }

    /// Adds text with a tone, escaped.
    #[must_use]
    pub fn tone(mut self, tone: Tone, text: &str) -> Self {
        self.spans.push((tone, escape::text(text).into_owned()));
        self
    }

    /// The line as it is written.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let mut text = String::new();
        for (tone, span) in &self.spans {
            if color && *tone != Tone::Plain {
                let style = tone.style();
                text.push_str(&format!("{style}{span}{style:#}"));
            } else {
                text.push_str(span);
            }
        }
        text
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::new().plain(text)
    }
}

/// Breaks a paragraph at blanks into lines of at most `width` characters; longer words stand alone.
#[must_use]
pub fn wrapped(paragraph: &str, width: usize) -> Vec<Line> {
    let mut lines: Vec<String> = Vec::new();
    for word in paragraph.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| Line::from(line.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::{Line, Tone, wrapped};

    #[test]
    fn colour_is_ours_and_data_has_none() {
        let line = Line::new().plain("a\x1b[31m ").tone(Tone::Bad, "b\nc").plain(" d");
        assert_eq!(line.render(false), "a\\u{1b}[31m b\\nc d");
        let colored = line.render(true);
        assert!(colored.starts_with("a\\u{1b}[31m \x1b["), "{colored:?}");
        assert!(colored.ends_with("b\\nc\x1b[0m d"), "{colored:?}");
        for tone in [Tone::Heading, Tone::Good, Tone::Warning, Tone::Bad, Tone::Hint] {
            let text = Line::new().tone(tone, "x").render(true);
            assert!(text.starts_with("\x1b[") && text.ends_with("x\x1b[0m"), "{tone:?} {text:?}");
        }
        assert_eq!(Line::new().tone(Tone::Plain, "x").render(true), "x");
    }

    #[test]
    fn paragraphs_wrap_at_words() {
        let lines: Vec<String> =
            wrapped("one two  three\nfourfourfour", 8).iter().map(|line| line.render(false)).collect();
        assert_eq!(lines, ["one two", "three", "fourfourfour"]);
        assert!(wrapped(" ", 8).is_empty());
    }
}
