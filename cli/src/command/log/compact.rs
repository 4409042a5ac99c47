//! `taffrail log compact`

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use taffrail::Fold;
use taffrail::compact::{Choice, CompactionPlan, Folds, Originals, Retention, RunCompaction, finish_interrupted};
use taffrail::config::{RetentionConfig, StoreConfig, format_duration, parse_duration, parse_ended_status};
use taffrail::position::Position;
use taffrail::run::Status;
use taffrail::storage::Storage;

use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::output::{Format, Output};
use crate::plan::{Consent, Proposal, lock_timeout_ms, print_applied};
use crate::problem::{Failure, Problem};
use crate::settings::Settings;
use crate::store::Store;

/// Runs, or segments, that a plan names one by one.
const MOST_NAMED: usize = 20;

/// What the help shows; a test runs them.
const EXAMPLES: &str =
    "Examples:\n  taffrail log compact --prefix\n  taffrail log compact --finished --older-than 90d --keep-last 100";

/// Arguments of `taffrail log compact`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Compact {
    /// Take, of every run, the events before its newest snapshot
    #[arg(long, conflicts_with_all = ["finished", "policy"])]
    pub prefix: bool,

    /// Look at no snapshot behind this position
    #[arg(long, value_name = "POSITION", requires = "prefix", allow_hyphen_values = true)]
    pub at: Option<Position>,

    /// Take the events of runs that have ended, but each run's first and last one
    #[arg(long, conflicts_with = "policy")]
    pub finished: bool,

    /// Only runs that ended so: completed, failed, cancelled, closed
    #[arg(long, value_name = "STATUS", value_delimiter = ',', requires = "finished", value_parser = parse_ended_status)]
    pub status: Vec<Status>,

    /// Only runs whose last event is so old, such as 90d or 12h
    #[arg(long, value_name = "DURATION", requires = "finished", value_parser = parse_duration)]
    pub older_than: Option<Duration>,

    /// Keep the last COUNT of those runs whole
    #[arg(long, value_name = "COUNT", requires = "finished")]
    pub keep_last: Option<u64>,

    /// Take what `[retention]` in the store's config.toml says [default, where it says something]
    #[arg(long)]
    pub policy: bool,

    /// Keep no originals in archive/. Only events that a snapshot of every fold makes up for can go so, and it can not be undone
    #[arg(long)]
    pub drop: bool,

    /// Events that may be lost: exactly as many as the plan says
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    pub accept_loss: u64,

    /// Agreeing to the plan.
    #[command(flatten)]
    pub consent: Consent,
}

/// `taffrail.compaction_plan/1`
#[derive(Debug, Serialize)]
struct Report<'plan> {
    schema: &'static str,
    name: &'plan str,
    #[serde(flatten)]
    plan: &'plan CompactionPlan,
    /// Whether an interrupted compaction, undo or removal is finished first.
    unfinished: bool,
    /// The command that carries it out, but for the reason; null where there is nothing to do.
    apply: Option<String>,
}

/// What was asked for: which events, in words, and as arguments.
struct Asked {
    choice: Choice,
    words: String,
    arguments: String,
}

impl Compact {
    /// Shows the plan, or carries it out.
    ///
    /// # Errors
    /// T0104 where nothing says what to take; what the engine says; what [`Consent::authority`] says.
    pub fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("log compact", &Format::TEXT)?;
        let store = Store::locate_directory(context, "log compact")?;
        let storage = Arc::clone(&store.disk) as Arc<dyn Storage>;
        let problem = |error: taffrail::Error| Failure::from(store.problem(&error));
        if (self.consent.apply || self.consent.apply_now)
            && finish_interrupted(&storage, lock_timeout_ms(&store, context)?).map_err(problem)?
        {
            context.output.note("what was interrupted is finished, or taken back where the log does not tell of it");
        }
        let asked = self.asked(&store)?;
        let originals = if self.drop { Originals::Dropped } else { Originals::Archived };
        let bar = context.output.progress("reading", store.log_len_bytes());
        let folds = Folds::built_in().and::<F>();
        let made =
            CompactionPlan::make(&storage, &folds, &asked.choice, originals, None, &mut |done| bar.advance(done));
        drop(bar);
        let plan = made.map_err(problem)?;
        let unfinished = CompactionPlan::is_unfinished(&*storage).map_err(problem)?;
        let words = format!("log compact {}{}", asked.arguments, if self.drop { " --drop" } else { "" });
        let proposal = Proposal::new(&plan.id, plan.name(), plan.lost, store.command(&words));
        if self.consent.shows() || plan.is_empty() {
            let shown = Shown { plan: &plan, proposal: &proposal, asked: &asked, store: &store, unfinished };
            shown.print(context.output)?;
        }
        if plan.is_empty() {
            return Ok(Exit::Clean);
        }
        let authority = self.consent.authority(&proposal, self.accept_loss, &store, context)?;
        let Some(authority) = authority else { return Ok(Exit::Clean) };
        let replaced: u64 = plan.segments.iter().flat_map(|segment| &segment.lens_bytes).sum();
        let bar = context.output.progress("compacting", replaced + plan.bytes_after_at_most);
        let applied = plan.apply(&storage, &authority, &mut |done| bar.advance(done));
        drop(bar);
        let applied = applied.map_err(problem)?;
        let undo = (!self.drop).then(|| store.command("store undo"));
        print_applied(&applied, &proposal.name, undo.as_deref(), &store, context)?;
        Ok(Exit::Clean)
    }

    fn asked(&self, store: &Store) -> Result<Asked, Failure> {
        if self.prefix {
            let reader = store.reader()?;
            let resolve = |position: &Position| reader.resolve(position, store.disk.now_ns());
            let until = self.at.as_ref().map(resolve).transpose().map_err(|error| store.problem(&error))?;
            let words = "of every run, the events before its newest snapshot".to_owned();
            let (arguments, words) = match until {
                Some(seq) => (format!("--prefix --at {seq}"), format!("{words} up to seq {seq}")),
                None => ("--prefix".to_owned(), words),
            };
            return Ok(Asked { choice: Choice::Prefix { until: until.map(taffrail::Seq::get) }, words, arguments });
        }
        let now_ns = store.disk.now_ns();
        if self.finished {
            let statuses = (!self.status.is_empty()).then(|| self.status.iter().copied().collect());
            let policy = RetentionConfig { statuses, older_than: self.older_than, keep_last: self.keep_last };
            let choice = Choice::Runs(Retention::of(&policy, now_ns));
            return Ok(Asked { choice, words: policy.to_string(), arguments: self.of_finished() });
        }
        let settings = Settings::load(StoreConfig::default(), &store.disk)?;
        let Some(policy) = settings.retention.value else {
            let message = "nothing says which events to take: there is no [retention] in config.toml";
            let hint = store.command("log compact --prefix");
            return Err(Problem::new(codes::T0104, Exit::Usage, message).hint(hint).into());
        };
        let words = format!("{policy} ([retention], {})", settings.retention.source);
        let choice = Choice::Runs(Retention::of(&policy, now_ns));
        Ok(Asked { choice, words, arguments: "--policy".to_owned() })
    }

    fn of_finished(&self) -> String {
        let mut arguments = "--finished".to_owned();
        if !self.status.is_empty() {
            let names: Vec<&str> = self.status.iter().map(|status| status.as_str()).collect();
            arguments += &format!(" --status {}", names.join(","));
        }
        if let Some(age) = self.older_than {
            arguments += &format!(" --older-than {}", format_duration(age));
        }
        if let Some(count) = self.keep_last {
            arguments += &format!(" --keep-last {count}");
        }
        arguments
    }
}

/// A plan, as it is printed.
struct Shown<'plan> {
    plan: &'plan CompactionPlan,
    proposal: &'plan Proposal,
    asked: &'plan Asked,
    store: &'plan Store,
    unfinished: bool,
}

impl Shown<'_> {
    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let Shown { plan, proposal, unfinished, .. } = *self;
        if output.format().is_json() {
            let apply = (!plan.is_empty()).then(|| proposal.apply_command());
            let schema = "taffrail.compaction_plan/1";
            output.json(&Report { schema, name: &proposal.name, plan, unfinished, apply })?;
            return Ok(());
        }
        if unfinished {
            output.note(
                "an earlier compaction, undo or removal was interrupted: `log compact --apply` finishes it first",
            );
        }
        if plan.is_empty() {
            output.line(format!("there is nothing to compact: {}", self.asked.words).as_str())?;
            if plan.stays.is_empty() {
                output.line("  no run is one of those")?;
            }
            return self.stays(output);
        }
        output.line(proposal.heading())?;
        output.line(format!("  take    {}", self.asked.words).as_str())?;
        self.segments(output)?;
        self.runs(output)?;
        self.stays(output)?;
        self.sums(output)?;
        output.lines(proposal.footing(Exit::Clean))?;
        Ok(())
    }

    fn segments(&self, output: &mut Output) -> Result<(), Failure> {
        for segment in self.plan.segments.iter().take(MOST_NAMED) {
            let number = match segment.segments.as_slice() {
                [first, .., last] => format!("{first}-{last}"),
                [one] => one.to_string(),
                [] => String::new(),
            };
            let (events, bytes) = (human::count(segment.events, "event"), human::byte_size(segment.bytes));
            let now = human::byte_size(segment.lens_bytes.iter().sum());
            let after = human::byte_size(segment.len_after_at_most_bytes);
            let files = match segment.segments.len() {
                1 => String::new(),
                count => format!(" in {count} files"),
            };
            let one = if files.is_empty() { "" } else { " in one" };
            let text = format!("  seg {number:<3} {events} go, {bytes}: {now}{files} become {after}{one} at most");
            output.line(text.as_str())?;
        }
        more(self.plan.segments.len(), "segment", output)
    }

    fn runs(&self, output: &mut Output) -> Result<(), Failure> {
        for run in self.plan.runs.iter().take(MOST_NAMED) {
            let name = named(run.run, run.name.as_ref());
            let (events, bytes) = (human::count(run.events, "event"), human::byte_size(run.bytes));
            let (after, before) = (human::thousands(run.run), human::thousands(run.before));
            let text = format!("  run     {name}: {events} between seq {after} and {before}, {bytes}; {}", state(run));
            output.line(text.as_str())?;
        }
        more(self.plan.runs.len(), "run", output)?;
        if let Some(before) = self.plan.store_before {
            let before = human::thousands(before);
            output.line(
                format!("  store   events of no run before seq {before}; a snapshot has what they did").as_str(),
            )?;
        }
        Ok(())
    }

    fn stays(&self, output: &mut Output) -> Result<(), Failure> {
        for stays in self.plan.stays.iter().take(MOST_NAMED) {
            let remedy = stays.remedy.as_ref().map(|remedy| format!("; {}", self.store.naming_store(remedy)));
            let remedy = remedy.unwrap_or_default();
            let name = named(stays.run, stays.name.as_ref());
            output.line(format!("  stays   {name}: {}{remedy}", stays.why).as_str())?;
        }
        more(self.plan.stays.len(), "run", output)?;
        for stays in &self.plan.store_stays {
            let (events, name) = (human::count(stays.events, "event"), &stays.type_name);
            let text = format!("  stays   {events} of no run, of type {name}: no fold of this program reads them");
            output.line(text.as_str())?;
        }
        Ok(())
    }

    fn sums(&self, output: &mut Output) -> Result<(), Failure> {
        let plan = self.plan;
        let (now, after) = (human::byte_size(plan.bytes_now), human::byte_size(plan.bytes_after_at_most));
        let peak = human::byte_size(plan.bytes_peak);
        let archived = match plan.bytes_archived {
            0 => String::new(),
            bytes => format!(" and {} in the archive", human::byte_size(bytes)),
        };
        output
            .line(format!("  bytes   {now} now; {after} at most afterwards{archived}; {peak} at the peak").as_str())?;
        let digest: String = plan.states_digest.chars().take(12).collect();
        let states = human::count(plan.states, "state");
        let proof = format!("  proof   {states}, digest {digest}: what is left is folded and compared first");
        output.line(proof.as_str())?;
        if plan.originals == Originals::Archived {
            let keep = format!("  keep    archive/{}/: the original segments, a log in itself", plan.name());
            output.line(keep.as_str())?;
            let count = human::count(plan.events, "event");
            output.line(format!("nothing is lost: {count} move from the log to the archive").as_str())?;
        } else {
            let count = human::count(plan.lost, "event");
            output.line(format!("you would lose: {count}, for good; what they did is in snapshots").as_str())?;
        }
        Ok(())
    }
}

fn named(run: u64, name: Option<&String>) -> String {
    name.cloned().unwrap_or_else(|| format!("#{run}"))
}

fn state(run: &RunCompaction) -> &'static str {
    if run.is_covered { "a snapshot has its state" } else { "its state is folded from the archive" }
}

fn more(count: usize, noun: &str, output: &mut Output) -> Result<(), Failure> {
    if count > MOST_NAMED {
        let more = human::count((count - MOST_NAMED) as u64, noun);
        output.line(format!("          and {more} more").as_str())?;
    }
    Ok(())
}
