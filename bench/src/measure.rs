//! Settings, medians, and the table.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

/// What the command line asks for.
pub struct Settings {
    pub rounds: usize,
    pub data: PathBuf,
    pub command: Option<PathBuf>,
}

impl Settings {
    pub fn from_arguments() -> (Settings, Vec<String>) {
        let data = std::env::temp_dir().join("taffrail-bench");
        let mut settings = Settings { rounds: 5, data, command: None };
        let mut wanted = Vec::new();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().expect("the option takes a value");
            match argument.as_str() {
                "--rounds" => settings.rounds = value().parse().expect("a number of rounds"),
                "--data" => settings.data = value().into(),
                "--command" => settings.command = Some(value().into()),
                _ => wanted.push(argument),
            }
        }
        std::fs::create_dir_all(&settings.data).expect("the data directory can be made");
        (settings, wanted)
    }

    /// An empty directory for one measurement.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let directory = self.data.join(name);
        let _nothing_there = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).expect("a directory for the measurement");
        directory
    }
}

/// Seconds that something takes.
pub fn seconds(act: impl FnOnce()) -> f64 {
    let start = Instant::now();
    act();
    start.elapsed().as_secs_f64()
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Rows of what was measured, each with the limit of the same run.
#[derive(Default)]
pub struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    /// A row: what, the figure, the limit it is held against, and the ratio or remark.
    pub fn row(&mut self, what: impl Into<String>, figure: String, limit: String, ratio: String) {
        let row = [what.into(), figure, limit, ratio];
        eprintln!("{}", row.join(" | "));
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "| workload | taffrail | limit in the same run | ratio |\n|---|---|---|---|")?;
        self.rows.iter().try_for_each(|row| writeln!(formatter, "| {} |", row.join(" | ")))
    }
}
