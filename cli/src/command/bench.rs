//! `taffrail bench`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::bench::{BenchOptions, BenchReport, bench};
use taffrail::storage::{Disk, Storage};

use super::Context;
use crate::codes;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::output::{Format, Output};
use crate::problem::{Failure, Problem};
use crate::store::Store;
use crate::table::{Align, Table};
use crate::translate;

const EXAMPLES: &str = "Examples:
  taffrail bench
      The disk that the nearest store lies on, or else the working directory's
  taffrail bench --dir . --size 4096 --seconds 5 --json
      Another disk, with events of 4 KiB, for a program";

/// Arguments of `taffrail bench`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Bench {
    /// On the disk of this directory [default: the one that holds the store, else the working directory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// About how long it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,

    /// Length of an event's payload, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    pub size: usize,
}

/// `taffrail.bench/1`
#[derive(Debug, Serialize)]
struct Document {
    schema: &'static str,
    #[serde(flatten)]
    report: BenchReport,
}

impl Bench {
    /// Measures the disk and the log on it, in a directory of its own that is removed behind it.
    ///
    /// # Errors
    /// T0181 where the directory cannot be made; what the engine says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("bench", &Format::TEXT)?;
        let parent = self.parent(context);
        let scratch = Scratch::make(&parent)?;
        let place = |name: &str| Arc::new(Disk::new(scratch.0.join(name))) as Arc<dyn Storage>;
        let options = BenchOptions { seconds: self.seconds, payload_len_bytes: self.size };
        let shown =
            if parent == Path::new(".") { "the working directory".into() } else { parent.display().to_string() };
        context.output.note(format!("measuring in {shown} for about {} s", self.seconds).as_str());
        let report = bench(&place, options).map_err(|error| translate::engine(&parent, &error))?;
        drop(scratch);
        match context.output.format() {
            Format::Human => print(&report, context.output)?,
            _ => context.output.json(&Document { schema: "taffrail.bench/1", report })?,
        }
        Ok(Exit::Clean)
    }

    fn parent(&self, context: &Context<'_>) -> PathBuf {
        let beside = || Store::locate(context).ok()?.location.path.parent().map(Path::to_owned);
        let named = self.dir.clone().or_else(beside);
        named.filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| PathBuf::from("."))
    }
}

/// A directory that is removed behind the measurement, also where that fails.
struct Scratch(PathBuf);

impl Scratch {
    fn make(parent: &Path) -> Result<Self, Failure> {
        let path = parent.join(format!(".taffrail-bench-{}", std::process::id()));
        match Disk::new(&path).create_dir("") {
            Ok(_) => Ok(Self(path)),
            Err(error) => {
                let message = format!("cannot write {}: {error}", path.display());
                Err(Problem::new(codes::T0181, Exit::Io, message).hint("taffrail explain T0181").into())
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _the_user_sees_it = std::fs::remove_dir_all(&self.0);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates, to be shown; casts of floats saturate"
)]
fn whole(rate: f64) -> u64 {
    rate as u64
}

fn print(report: &BenchReport, output: &mut Output) -> Result<(), Failure> {
    let syncs = format!(
        "  {} syncs/s, half of them within {} us, 99 of 100 within {} us",
        human::thousands(whole(report.syncs_per_second)),
        human::thousands(whole(report.sync_p50_us)),
        human::thousands(whole(report.sync_p99_us))
    );
    output.line(Line::new().tone(Tone::Heading, "this disk").plain(&syncs))?;
    output.line("")?;
    let mut table = Table::new(&[
        ("WHAT", Align::Left),
        ("EVENTS/S", Align::Right),
        ("PAYLOAD/S", Align::Right),
        ("P50 US", Align::Right),
        ("P99 US", Align::Right),
        ("LIMIT/S", Align::Right),
        ("RATIO", Align::Right),
        ("THE LIMIT", Align::Left),
    ]);
    let us = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"));
    for row in &report.rows {
        table.row([
            row.what,
            &human::thousands(whole(row.per_second)),
            &human::byte_size(whole(row.bytes_per_second)),
            &us(row.p50_us),
            &us(row.p99_us),
            &human::thousands(whole(row.limit_per_second)),
            &format!("{:.2}", row.ratio),
            row.limit,
        ]);
    }
    output.lines(table.lines())?;
    let payload = human::byte_size(report.payload_len_bytes as u64);
    let rounds = report.rounds;
    output.note(
        format!("events of {payload}, medians of {rounds} rounds; RATIO is the part of the limit that is reached")
            .as_str(),
    );
    output.note("ratios compare between runs and machines, rates do not");
    Ok(())
}
