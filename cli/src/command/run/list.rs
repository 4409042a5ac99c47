//! `taffrail run list`

use clap::{Args, ValueEnum};
use serde::Serialize;
use taffrail::run::{Overview, RunOverview, Status, WaitKind, overview};

use super::waits;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::losses;
use crate::output::{Format, Output};
use crate::problem::Failure;
use crate::store::Store;
use crate::table::{Align, Table};

/// Arguments of `taffrail run list`.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// Only runs that wait, for this or for anything: one row for each thing that is waited for
    #[arg(long, value_enum, value_name = "FOR", num_args = 0..=1, default_missing_value = "anything")]
    pub waiting: Option<For>,

    /// Only runs with this status; may be repeated
    #[arg(long, value_enum, value_name = "STATUS")]
    pub status: Vec<StatusChoice>,

    /// At most this many runs: those with the latest events
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub count: Option<usize>,
}

/// `--waiting`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum For {
    /// Whatever it is.
    Anything,
    /// People who decide.
    Approval,
    /// Somebody who does something.
    Task,
    /// The clock.
    Timer,
    /// Somebody who looks at a process that broke down.
    Operator,
}

impl For {
    fn covers(self, kind: WaitKind) -> bool {
        match self {
            Self::Anything => true,
            Self::Approval => kind == WaitKind::Approval,
            Self::Task => kind == WaitKind::Task,
            Self::Timer => kind == WaitKind::Timer,
            Self::Operator => kind == WaitKind::Operator,
        }
    }
}

/// `--status`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusChoice {
    /// It has a name and nothing else.
    Opened,
    /// It was created, and nothing has happened since.
    Created,
    /// It is the run's turn.
    Running,
    /// It is somebody else's turn.
    Waiting,
    /// Nothing new begins.
    Paused,
    /// It ended well.
    Completed,
    /// It failed.
    Failed,
    /// It was given up.
    Cancelled,
    /// An operator closed it.
    Closed,
}

impl From<StatusChoice> for Status {
    fn from(choice: StatusChoice) -> Self {
        match choice {
            StatusChoice::Opened => Self::Opened,
            StatusChoice::Created => Self::Created,
            StatusChoice::Running => Self::Running,
            StatusChoice::Waiting => Self::Waiting,
            StatusChoice::Paused => Self::Paused,
            StatusChoice::Completed => Self::Completed,
            StatusChoice::Failed => Self::Failed,
            StatusChoice::Cancelled => Self::Cancelled,
            StatusChoice::Closed => Self::Closed,
        }
    }
}

/// `taffrail.runs/1`
#[derive(Debug, Serialize)]
struct Report<'shown> {
    schema: &'static str,
    runs: &'shown [RunOverview],
}

impl List {
    /// Lists the runs, those with the latest events last.
    ///
    /// # Errors
    /// T0110 where there is no store; as reading. What is wrong with one run is a finding of that run.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("run list", &Format::TEXT)?;
        let store = Store::locate(context)?;
        let reader = store.reader()?;
        let Overview { mut runs, losses } = overview(&reader).map_err(|error| store.problem(&error))?;
        let damage = losses::tell(&losses, &store, context.output);
        let all = runs.len();
        if let Some(waiting) = self.waiting {
            runs.iter_mut().for_each(|run| run.waiting.retain(|wait| waiting.covers(wait.kind)));
            runs.retain(|run| !run.waiting.is_empty());
        }
        let wanted: Vec<Status> = self.status.iter().copied().map(Status::from).collect();
        runs.retain(|run| wanted.is_empty() || run.status.is_some_and(|status| wanted.contains(&status)));
        runs.sort_by_key(|run| (run.last_time_ns, run.run));
        let surplus = self.count.map_or(0, |count| runs.len().saturating_sub(count));
        runs.drain(..surplus);
        let filtered = self.waiting.is_some() || !wanted.is_empty();
        let exit = damage.combine(if runs.is_empty() && filtered { Exit::Differs } else { Exit::Clean });
        if context.output.format().is_json() {
            context.output.json(&Report { schema: "taffrail.runs/1", runs: &runs })?;
        } else if runs.is_empty() {
            let text = if all == 0 { "no runs" } else { "no run is like that" };
            context.output.note(text);
        } else if self.waiting.is_some() {
            print_waits(&runs, context.output)?;
        } else {
            print(&runs, context.output)?;
        }
        Ok(exit)
    }
}

/// Of a run whose events a compaction has taken, and no snapshot makes up for them, what is left does not tell.
fn status(run: &RunOverview) -> String {
    match run.status {
        _ if run.compacted > 0 => "archived".to_owned(),
        Some(status) => status.to_string(),
        None => "-".to_owned(),
    }
}

fn name(run: &RunOverview) -> String {
    run.name.clone().unwrap_or_else(|| format!("#{}", run.run))
}

/// Where a fork comes from, and what has become of the history: `release-42 at event 12; rewound`.
fn history(run: &RunOverview) -> String {
    let forked = run.parent.as_ref().map(|parent| format!("{} at event {}", parent.run, human::thousands(parent.at)));
    let rewound = match run.rewound {
        0 => None,
        1 => Some("rewound".to_owned()),
        times => Some(format!("rewound {} times", human::thousands(times))),
    };
    let said: Vec<String> = forked.into_iter().chain(rewound).collect();
    if said.is_empty() { "-".to_owned() } else { said.join("; ") }
}

fn print(runs: &[RunOverview], output: &mut Output) -> Result<(), Failure> {
    // Most stores have neither forks nor rewinds.
    let has_history = runs.iter().any(|run| run.parent.is_some() || run.rewound > 0);
    let mut table = Table::new(&[
        ("RUN", Align::Left),
        ("STATUS", Align::Left),
        ("WAITING FOR", Align::Left),
        ("EVENTS", Align::Right),
        ("LAST (UTC)", Align::Left),
        ("FINDINGS", Align::Right),
        (if has_history { "HISTORY" } else { "" }, Align::Left),
    ]);
    for run in runs {
        table.row([
            name(run),
            status(run),
            waits::first(run),
            human::thousands(run.events),
            run.last_time_ns.map_or_else(|| "-".to_owned(), human::time),
            if run.findings == 0 { "-".to_owned() } else { human::thousands(run.findings) },
            if has_history { history(run) } else { String::new() },
        ]);
    }
    output.lines(table.lines())?;
    let compacted: u64 = runs.iter().map(|run| run.compacted).sum();
    if compacted > 0 {
        let events = human::count(compacted, "event");
        output.note(format!("{events} of these runs were compacted away, and are not counted here").as_str());
    }
    Ok(())
}

fn print_waits(runs: &[RunOverview], output: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&[
        ("RUN", Align::Left),
        ("WAITING FOR", Align::Left),
        ("SINCE (UTC)", Align::Left),
        ("DEADLINE (UTC)", Align::Left),
        ("WHAT", Align::Left),
    ]);
    for (run, wait) in runs.iter().flat_map(|run| run.waiting.iter().map(move |wait| (run, wait))) {
        table.row([
            name(run),
            waits::name(wait),
            human::time(wait.since_ns),
            wait.deadline_ns.map_or_else(|| "-".to_owned(), human::time),
            if wait.label.is_empty() { "-".to_owned() } else { wait.label.clone() },
        ]);
    }
    output.lines(table.lines())?;
    Ok(())
}
