//! Results: lines of JSON, one a measurement.

use anyhow::{Context, Result};
use serde_json::Value;
use std::io::Write;

/// Gathers rows, and appends them to the file of `--out`.
pub struct Results {
    pub rows: Vec<Value>,
    file: Option<std::fs::File>,
    data: String,
}

impl Results {
    pub fn new(file: Option<&str>, data: &std::path::Path) -> Result<Results> {
        let open = |path: &str| std::fs::OpenOptions::new().create(true).append(true).open(path);
        let file = file.map(open).transpose().context("--out")?;
        Ok(Results { rows: Vec::new(), file, data: data.display().to_string() })
    }

    /// Takes a row. No path of this machine stays in it: neither the data directory nor sources that panics name.
    pub fn put(&mut self, row: &Value) -> Result<()> {
        let mut text = row.to_string().replace(&self.data, "DATA");
        while let Some(found) = text.find("/registry/src/") {
            let from = text[..found].rfind([' ', '"']).map_or(0, |place| place + 1);
            let behind = found + "/registry/src/".len();
            let to = behind + text[behind..].find('/').map_or(0, |place| place + 1);
            text.replace_range(from..to, "");
        }
        eprintln!("{text}");
        if let Some(file) = &mut self.file {
            writeln!(file, "{text}")?;
        }
        self.rows.push(serde_json::from_str(&text)?);
        Ok(())
    }
}

/// The rows of a file.
pub fn read(file: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => f64::NAN,
        (odd, middle) if odd % 2 == 1 => values[middle],
        (_, middle) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The rows of one measurement.
#[derive(Clone, Copy)]
pub struct Select<'a> {
    pub workload: &'a str,
    pub peer: &'a str,
    /// Fields that have to have these values.
    pub fields: &'a [(&'a str, Value)],
}

impl Select<'_> {
    pub fn rows<'r>(&self, rows: &'r [Value]) -> impl Iterator<Item = &'r Value> {
        let is_wanted = |row: &&Value| {
            row["kind"] == "run"
                && row["w"] == self.workload
                && row["peer"] == self.peer
                && self.fields.iter().all(|(field, value)| row[*field] == *value)
        };
        rows.iter().filter(is_wanted)
    }

    pub fn median(&self, rows: &[Value], figure: &str) -> f64 {
        median(self.rows(rows).filter_map(|row| row[figure].as_f64()).collect())
    }

    pub fn rounds(&self, rows: &[Value], figure: &str) -> usize {
        self.rows(rows).filter(|row| row[figure].as_f64().is_some()).count()
    }

    /// Why there is no figure.
    pub fn died(&self, rows: &[Value]) -> Option<String> {
        let died = self.rows(rows).find_map(|row| row["died"].as_str());
        died.map(|why| why.replace('|', "/").chars().take(60).collect())
    }
}
