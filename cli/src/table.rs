//! Tables: columns two blanks apart, numbers to the right, no borders.

use comfy_table::{CellAlignment, ContentArrangement, TableStyle, presets};

use crate::escape;
use crate::line::{Line, Tone};

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a heading.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells are escaped. Missing cells are empty, and cells beyond the last column are not shown.
    pub fn row<Cell: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<String> = cells.into_iter().map(|cell| escape::text(cell.as_ref()).into_owned()).collect();
        debug_assert_eq!(row.len(), self.columns.len(), "a cell for each column");
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The heading and the rows. No line ends in blanks.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let style: TableStyle = presets::NOTHING;
        let mut table = comfy_table::Table::new();
        table.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(self.columns.iter().map(|(name, _)| *name));
        table.add_rows(&self.rows);
        for (index, (_, align)) in self.columns.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
                column.set_cell_alignment(match align {
                    Align::Left => CellAlignment::Left,
                    Align::Right => CellAlignment::Right,
                });
            }
        }
        table
            .lines()
            .enumerate()
            .map(|(index, line)| {
                Line::new().tone(if index == 0 { Tone::Heading } else { Tone::Plain }, line.trim_end())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Align, Table};

    fn rendered(table: &Table) -> Vec<String> {
        table.lines().iter().map(|line| line.render(false)).collect()
    }

    #[test]
    fn columns_align_as_in_the_manual() {
        let mut table =
            Table::new(&[("RUN", Align::Left), ("STATUS", Align::Left), ("EVENTS", Align::Right), ("AT", Align::Left)]);
        assert!(table.is_empty());
        table.row(["fix-login", "failed", "7", "-"]);
        table.row(["größe\n日本", "", "18,205", "seg 1"]);
        assert!(!table.is_empty());
        assert_eq!(
            rendered(&table),
            [
                "RUN          STATUS  EVENTS  AT",
                "fix-login    failed       7  -",
                "größe\\n日本          18,205  seg 1",
            ]
        );
    }

    #[test]
    fn an_empty_table_is_its_heading_and_long_cells_are_whole() {
        let mut table = Table::new(&[("A", Align::Left)]);
        assert_eq!(rendered(&table), ["A"]);
        let long = "x ".repeat(500) + "x";
        table.row([&long]);
        assert_eq!(rendered(&table), ["A", &long]);
    }
}
