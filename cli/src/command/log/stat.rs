//! `taffrail log stat`

use clap::{Args, ValueEnum};
use taffrail::{Counts, StatReport, stat, stat_lone};

use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::locate::StoreKind;
use crate::output::{Format, Output};
use crate::problem::Failure;
use crate::store::Store;
use crate::table::{Align, Table};

/// Runs that are listed unless more are asked for.
const RUNS_LISTED: usize = 20;

/// Arguments of `taffrail log stat`.
#[derive(Args, Clone, Debug)]
pub struct Stat {
    /// What to count by
    #[arg(long, value_enum, default_value = "type")]
    pub by: By,

    /// Of runs, list this many: those with the most events
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = RUNS_LISTED)]
    pub count: usize,
}

/// `--by`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Types of events.
    Type,
    /// Runs.
    Run,
    /// Segments.
    Segment,
}

impl Stat {
    /// Counts what the store, or the lone segment, holds. The exit code is that of the damage that was passed over.
    ///
    /// # Errors
    /// T0110 where there is no store, T0309 where something cannot be read. Damage is passed over and counted.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("log stat", &Format::TEXT)?;
        let store = Store::locate(context)?;
        let report = match store.location.kind {
            StoreKind::Directory | StoreKind::Bundle => stat(&*store.storage(), self.count),
            StoreKind::Segment => stat_lone(store.segment_file()?, self.count),
        };
        let report = report.map_err(|error| store.problem(&error))?;
        match context.output.format() {
            Format::Human => self.print(&report, &store, context.output)?,
            _ => context.output.json(&report)?,
        }
        Ok(super::verify::exit(report.severity))
    }

    fn print(&self, report: &StatReport, store: &Store, output: &mut Output) -> Result<(), Failure> {
        let id = report.short_id.as_deref().unwrap_or("of an unknown id");
        let segments = human::count(report.segments.len() as u64, "segment");
        let size = human::byte_size(report.bytes_total);
        output.line(Line::new().tone(Tone::Heading, &format!("store {id}")).plain(&format!("  {segments}, {size}")))?;
        let Counts { events, payload_bytes, first_seq, last_seq, .. } = report.counts;
        let seqs = if events == 0 { String::new() } else { format!(", seq {first_seq}..={last_seq}") };
        let runs = human::count(report.runs, "run");
        let payload = human::byte_size(payload_bytes);
        let overhead = human::byte_size(report.overhead_per_event_bytes);
        let counted = human::count(events, "event");
        let text = format!("{counted} of {runs}{seqs}; {payload} of payload, and {overhead} per event beside it");
        output.line(text.as_str())?;
        if let (Some(from), Some(to)) = (report.counts.time_min_ns, report.counts.time_max_ns) {
            output.line(format!("from {} to {} UTC", human::time(from), human::time(to)).as_str())?;
        }
        output.line("")?;
        output.lines(self.table(report).lines())?;
        let listed = report.top_runs.len() as u64;
        if self.by == By::Run && listed < report.runs {
            output.note(format!("{listed} of {runs}; -n lists more").as_str());
        }
        if report.findings > 0 {
            let found = human::count(report.findings, "finding");
            let hint = store.command("log verify");
            output.line(
                Line::new().tone(Tone::Bad, &found).plain("; ").tone(Tone::Hint, "hint").plain(": ").plain(&hint),
            )?;
        }
        Ok(())
    }

    fn table(&self, report: &StatReport) -> Table {
        let name = match self.by {
            By::Type => "TYPE",
            By::Run => "RUN",
            By::Segment => "SEGMENT",
        };
        let mut table = Table::new(&[
            (name, Align::Left),
            ("EVENTS", Align::Right),
            ("PAYLOAD", Align::Right),
            ("ON DISK", Align::Right),
            ("FIRST", Align::Right),
            ("LAST", Align::Right),
            ("LAST (UTC)", Align::Left),
        ]);
        let mut row = |name: &str, counts: &Counts| {
            table.row([
                name,
                &human::thousands(counts.events),
                &human::byte_size(counts.payload_bytes),
                &human::byte_size(counts.frame_bytes),
                &seq(counts.first_seq),
                &seq(counts.last_seq),
                &counts.time_max_ns.map_or_else(|| "-".to_owned(), human::time),
            ]);
        };
        match self.by {
            By::Type => report.types.iter().for_each(|of_type| row(&of_type.name, &of_type.counts)),
            By::Run => report.top_runs.iter().for_each(|of_run| {
                let name = of_run.name.clone().unwrap_or_else(|| format!("#{}", of_run.run));
                row(&name, &of_run.counts);
            }),
            By::Segment => {
                report.segments.iter().for_each(|of_segment| row(&of_segment.segment.to_string(), &of_segment.counts));
            }
        }
        table
    }
}

fn seq(seq: u64) -> String {
    if seq == 0 { "-".to_owned() } else { seq.to_string() }
}
