//! Results: lines of JSON, one a measurement.

use anyhow::{Context, Result};
use serde_json::{Value, json};
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

    /// Takes a limit of the machine, measured beside a workload.
    pub fn put_limit(&mut self, workload: &str, round: u64, limit: &Value) -> Result<()> {
        let mut row = limit.clone();
        (row["kind"], row["w"], row["round"]) = (json!("limit"), json!(workload), json!(round));
        self.put(&row)
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
