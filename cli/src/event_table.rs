//! Events in columns, written as they come: a log is longer than what memory holds.

use taffrail::Record;

use crate::human;
use crate::line::{Line, Tone};
use crate::output::{Output, OutputError};

/// Rows that are gathered before the widths of their columns are settled.
const ROWS_GATHERED: usize = 500;
/// Without a terminal's width: longer summaries push the last column out instead of all rows.
const SUMMARY_WIDTH_MAX: usize = 100;
/// The least that a narrow terminal leaves of a summary.
const SUMMARY_WIDTH_MIN: usize = 16;

const HEADING: [&str; 6] = ["SEQ", "TIME (UTC)", "RUN", "TYPE", "SUMMARY", "AT"];
const SUMMARY: usize = 4;

/// The table of `log dump`.
#[derive(Debug)]
pub struct EventTable {
    /// The terminal's, where summaries are cut to fit.
    width: Option<usize>,
    rows: Vec<[String; 6]>,
    widths: [usize; 6],
    headed: bool,
}

impl EventTable {
    /// A table for an output.
    #[must_use]
    pub fn new(output: &Output) -> Self {
        Self { width: output.width(), rows: Vec::new(), widths: HEADING.map(str::len), headed: false }
    }

    /// Adds an event; its summary is one line, escaped.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn row(
        &mut self,
        output: &mut Output,
        record: &Record<'_>,
        run: Option<&str>,
        summary: String,
    ) -> Result<(), OutputError> {
        let at = format!("seg {}+{:#07x}  {} B", record.segment, record.offset, human::thousands(record.frame_len));
        let escaped = |text: &str| crate::escape::text(text).into_owned();
        self.rows.push([
            record.seq.to_string(),
            human::time(record.time_ns),
            run.map_or_else(|| "-".to_owned(), escaped),
            escaped(&record.type_name()),
            summary,
            at,
        ]);
        if self.rows.len() >= ROWS_GATHERED { self.flush(output) } else { Ok(()) }
    }

    /// Writes what has been gathered. Columns only grow, so what follows stands below what is there.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn flush(&mut self, output: &mut Output) -> Result<(), OutputError> {
        for row in &self.rows {
            for (column, (width, cell)) in self.widths.iter_mut().zip(row).enumerate() {
                let len = cell.chars().count();
                let counts = column != SUMMARY || len <= SUMMARY_WIDTH_MAX;
                *width = if counts { len.max(*width) } else { SUMMARY_WIDTH_MAX };
            }
        }
        let others: usize =
            self.widths.iter().enumerate().filter(|(column, _)| *column != SUMMARY).map(|(_, w)| w + 2).sum();
        let room = self.width.map(|width| width.saturating_sub(others).max(SUMMARY_WIDTH_MIN));
        if let Some(room) = room {
            self.widths[SUMMARY] = self.widths[SUMMARY].min(room);
        }
        if !self.headed && !self.rows.is_empty() {
            self.headed = true;
            let heading = self.line(&HEADING.map(str::to_owned));
            output.line(Line::new().tone(Tone::Heading, &heading))?;
        }
        for mut row in std::mem::take(&mut self.rows) {
            if let Some(room) = room {
                cut(&mut row[SUMMARY], room);
            }
            output.line(self.line(&row).as_str())?;
        }
        Ok(())
    }

    fn line(&self, row: &[String; 6]) -> String {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(self.widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Cuts a text to so many characters, showing that it was.
fn cut(text: &mut String, width: usize) {
    if text.chars().count() > width {
        *text = text.chars().take(width.saturating_sub(3)).chain("...".chars()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn cut_texts_show_it_and_fit() {
        for (text, width, expected) in [("größer", 6, "größer"), ("größer", 5, "gr..."), ("abc", 2, "...")] {
            let mut text = text.to_owned();
            cut(&mut text, width);
            assert_eq!(text, expected);
        }
    }
}
