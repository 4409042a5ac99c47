//! `taffrail log redact`

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::redact::{FieldPath, PlaceAction, RedactPlan, Redacted, Redaction, Selector, Unfinished, pattern};
use taffrail::storage::Storage;
use taffrail::{Fold, Scope, Seq};

use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::output::{Format, Output};
use crate::plan::{Consent, Proposal};
use crate::problem::{Failure, Problem};
use crate::progress::Bars;
use crate::run_names::RunNames;
use crate::store::Store;
use crate::type_names;
use crate::usage::quoted;

/// Events and files that are named; the others are counted.
const NAMED: usize = 20;

/// Arguments of `taffrail log redact`.
#[derive(Args, Clone, Debug)]
pub struct Redact {
    /// Events, by seq. Without --field and --pattern, their whole payloads go
    #[arg(long, value_name = "SEQ", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    pub event: Vec<u64>,

    /// A field of JSON data, as --where writes it: data.token, data.items.*.key. May be given several times
    #[arg(long, value_name = "PATH")]
    pub field: Vec<String>,

    /// A regular expression: what it matches in any text is replaced
    #[arg(long, value_name = "RE")]
    pub pattern: Option<String>,

    /// Only events of this run
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,

    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,

    /// The number of events that the plan changes: agreed to
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "Carrying out the plan"
    )]
    pub accept_loss: u64,

    /// Agreeing to the plan.
    #[command(flatten)]
    pub consent: Consent,
}

/// `taffrail.redact_plan/1`
#[derive(Debug, Serialize)]
struct PlanReport<'plan> {
    schema: &'static str,
    name: &'plan str,
    #[serde(flatten)]
    plan: &'plan RedactPlan,
    /// The command that carries it out, but for the reason; null where there is nothing to do.
    apply: Option<String>,
}

/// `taffrail.redacted/1`
#[derive(Debug, Serialize)]
struct DoneReport<'done> {
    schema: &'static str,
    #[serde(flatten)]
    done: &'done Redacted,
    /// Runs whose states got a new checkpoint.
    checkpoints: u64,
}

impl Redact {
    /// Shows the plan, or carries it out; then runs whose states have changed get new checkpoints of the fold `F`.
    ///
    /// # Errors
    /// T0407, T0409 for what is named; T0141 for an unknown run, T0148 for an unknown type; what the engine and [`Consent::authority`] say.
    pub fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("log redact", &Format::TEXT)?;
        let store = Store::locate_directory(context, "log redact")?;
        type_names::check(&store.reader()?, self.kind.as_slice(), &store)?;
        let selector = self.selector(&store)?;
        let storage = Arc::clone(&store.disk) as Arc<dyn Storage>;
        let mut bars = Bars::new(context.output);
        let plan = RedactPlan::make(&storage, &selector, &mut |what, done, total| bars.show(what, done, total));
        drop(bars);
        let plan = plan.map_err(|error| match &self.run {
            Some(run) => store.problem_of_run(run, &error),
            None => store.problem(&error),
        })?;
        let proposal = Proposal::new(&plan.id, plan.name(), plan.lost, store.command(&self.words()));
        if plan.is_empty() || self.consent.shows() {
            self.show(&plan, &proposal, &store, context.output)?;
        }
        if plan.is_empty() {
            return Ok(Exit::Differs);
        }
        let Some(authority) = self.consent.authority(&proposal, self.accept_loss, &store, context)? else {
            return Ok(Exit::Clean);
        };
        let mut bars = Bars::new(context.output);
        let done = plan.apply(&storage, &selector, &authority, &mut |what, done, total| bars.show(what, done, total));
        drop(bars);
        let done = done.map_err(|error| store.problem(&error))?;
        let checkpoints = checkpoints::<F>(&plan, &store, context);
        self.tell(&done, checkpoints, &proposal, &store, context.output)?;
        Ok(Exit::Clean)
    }

    fn selector(&self, store: &Store) -> Result<Selector, Failure> {
        let mut selector = Selector {
            events: self.event.iter().filter_map(|seq| Seq::new(*seq)).collect::<BTreeSet<Seq>>(),
            run: self.run.clone(),
            event_type: self.kind.clone(),
            ..Selector::default()
        };
        for field in &self.field {
            selector.fields.push(FieldPath::parse(field).map_err(|error| store.problem(&error))?);
        }
        if let Some(text) = &self.pattern {
            let read = pattern(text).map_err(|why| {
                let problem = Problem::new(codes::T0407, Exit::Usage, format!("--pattern: {why}"));
                problem.hint("taffrail log redact --help")
            });
            selector.pattern = Some(read?);
        }
        Ok(selector)
    }

    /// The command that shows the plan.
    fn words(&self) -> String {
        let mut words = "log redact".to_owned();
        if !self.event.is_empty() {
            let seqs: Vec<String> = self.event.iter().map(u64::to_string).collect();
            words.push_str(&format!(" --event {}", seqs.join(",")));
        }
        let mut option = |name: &str, value: &str| words.push_str(&format!(" {name} {}", quoted(value)));
        self.field.iter().for_each(|field| option("--field", field));
        self.pattern.iter().for_each(|pattern| option("--pattern", pattern));
        self.run.iter().for_each(|run| option("--run", run));
        self.kind.iter().for_each(|kind| option("--type", kind));
        words
    }

    fn show(&self, plan: &RedactPlan, proposal: &Proposal, store: &Store, output: &mut Output) -> Result<(), Failure> {
        if output.format().is_json() {
            let apply = (!plan.is_empty()).then(|| proposal.apply_command());
            output.json(&PlanReport { schema: "taffrail.redact_plan/1", name: &proposal.name, plan, apply })?;
            return Ok(());
        }
        if plan.is_empty() {
            output
                .line(Line::new().tone(Tone::Good, "nothing to redact").plain(&format!(": {}", self.nothing(plan))))?;
            return not_looked_into(plan, output);
        }
        output.line(proposal.heading())?;
        let mut names = RunNames::default();
        let reader = store.reader()?;
        for event in plan.events.iter().take(NAMED) {
            let run = event.run.and_then(Seq::new).map_or_else(|| "-".to_owned(), |run| names.name(&reader, run));
            output.line(row(event, &run).as_str())?;
        }
        more(plan.events.len(), "event", output)?;
        for place in plan.places.iter().take(NAMED) {
            let verb = match place.action {
                PlaceAction::Forget => "forget",
                PlaceAction::ByHand => "by hand",
            };
            let size = human::byte_size(place.len_bytes);
            output.line(format!("  {verb:<8} {}, {size}: {}", place.path, place.why).as_str())?;
            for cause in &place.because {
                output.line(format!("           because of {cause}").as_str())?;
            }
        }
        more(plan.places.len(), "file", output)?;
        output.line("  tell     an OperatorAction event: who, why, and the digest of what each event was")?;
        if let Some(unfinished) = &plan.unfinished {
            output.line(format!("  finish   {}", left_by(unfinished)).as_str())?;
        }
        not_looked_into(plan, output)?;
        let changed = human::count(plan.lost, "event");
        let warning = format!("this can not be undone: {changed} will say something else, and nothing is kept");
        output.line(Line::new().tone(Tone::Bad, &warning))?;
        output.line("copies elsewhere are not reached: backups, exports, other machines, the file system's own")?;
        output.lines(proposal.footing(Exit::Clean))?;
        Ok(())
    }

    /// What is to be said where there is nothing to do: that a store holds nothing of a text can be said of a pattern alone,
    /// and only where everything was looked into.
    fn nothing(&self, plan: &RedactPlan) -> String {
        let is_everything = self.event.is_empty() && self.field.is_empty() && self.run.is_none() && self.kind.is_none();
        let searched = format!("all events and {} were searched", human::count(plan.files_searched, "other file"));
        match (self.pattern.is_some() && is_everything, plan.stays.is_empty() && plan.not_searched.is_empty()) {
            (true, true) => format!("nothing of it is in the store; {searched}"),
            (true, false) => format!("what is left of it can not be taken out; {searched}"),
            (false, _) => "no event that is named holds any of it".to_owned(),
        }
    }

    fn tell(
        &self,
        done: &Redacted,
        checkpoints: u64,
        proposal: &Proposal,
        store: &Store,
        output: &mut Output,
    ) -> Result<(), Failure> {
        if output.format().is_json() {
            output.json(&DoneReport { schema: "taffrail.redacted/1", done, checkpoints })?;
            return Ok(());
        }
        let changed = human::count(done.lost, "event");
        let line =
            Line::new().tone(Tone::Good, "applied").plain(&format!(" plan {}: {changed} redacted", proposal.name));
        output.line(line)?;
        output.line(
            format!("  told   seq {} says who, why, and what each event was by its digest", done.event).as_str(),
        )?;
        if !done.forgotten.is_empty() {
            let files = human::count(done.forgotten.len() as u64, "file");
            output.line(format!("  forgot {files} that held it").as_str())?;
        }
        if checkpoints > 0 {
            let runs = human::count(checkpoints, "run");
            output.line(format!("  states {runs} got new checkpoints; older ones are superseded").as_str())?;
        }
        if !done.left.is_empty() {
            let seqs: Vec<String> = done.left.iter().take(NAMED).map(u64::to_string).collect();
            let what = human::count(done.left.len() as u64, "event");
            let hint = store.command(&format!("log redact --event {}", seqs.join(",")));
            output.warning(&format!("a redaction that was stopped earlier has left {what}: repeat it, or: {hint}"));
        }
        for path in &done.by_hand {
            output.warning(&format!("{path} still holds it: that file is yours to change"));
        }
        output.line(format!("  check  {}", store.command(&self.words())).as_str())?;
        Ok(())
    }
}

/// `  seq 12    release-42  deploy.step  data.token`
fn row(event: &Redaction, run: &str) -> String {
    let what = if event.fields.is_empty() { "the whole payload".to_owned() } else { event.fields.join(", ") };
    let place = event.archive.as_ref().map_or_else(String::new, |archive| format!("   (in {archive})"));
    format!("  redact   seq {}  {run}  {}: {what}{place}", event.seq, event.type_name)
}

fn more(count: usize, noun: &str, output: &mut Output) -> Result<(), Failure> {
    if count > NAMED {
        output.line(format!("           and {} more", human::count((count - NAMED) as u64, noun)).as_str())?;
    }
    Ok(())
}

/// Types whose events have no fields that can be named.
fn not_looked_into(plan: &RedactPlan, output: &mut Output) -> Result<(), Failure> {
    for (name, count) in plan.not_looked_into.iter().take(NAMED) {
        let count = human::count(*count, "event");
        output
            .warning(&format!("{count} of {name} are not JSON: name them with --event, or search them with --pattern"));
    }
    if plan.not_identifying > 0 {
        let texts = human::count(plan.not_identifying, "text");
        output.warning(&format!(
            "{texts} of it (numbers, names, short ones) are not looked for in other files, but for copies of whole events: \
             --pattern finds them"
        ));
    }
    for stays in plan.stays.iter().take(NAMED) {
        let place = match stays.events {
            1 => format!("{} (seq {})", stays.place, stays.seq),
            events => format!("{} (seq {} and {} more)", stays.place, stays.seq, human::thousands(events - 1)),
        };
        output.warning(&format!("{} stays in {place}: {}", stays.cause, stays.instead()));
    }
    more(plan.stays.len(), "place where it stays", output)?;
    for file in plan.not_searched.iter().take(NAMED) {
        output.warning(&format!("{file} could not be looked into: it is damaged"));
    }
    Ok(())
}

/// `a redaction (seq 41) that was stopped: 2 events and 3 files are left`
pub(crate) fn left_by(unfinished: &Unfinished) -> String {
    let Some(seq) = unfinished.event else {
        return "a redaction was stopped before it changed anything".to_owned();
    };
    let events = human::count(unfinished.events.len() as u64, "event");
    let files = human::count(unfinished.files.len() as u64, "file");
    format!("a redaction (seq {seq}) is under way, or was stopped: {events} and {files} are left")
}

/// Gives the runs whose states have changed a new checkpoint each. Where the fold cannot read a run there was none either.
fn checkpoints<F: Fold>(plan: &RedactPlan, store: &Store, context: &Context<'_>) -> u64 {
    if F::SCOPE != Scope::Run {
        return 0;
    }
    let Ok(journal) = store.open(context) else { return 0 };
    let names = store.reader().ok().and_then(|reader| reader.runs().ok()).unwrap_or_default();
    let runs = plan.runs.keys().filter_map(|run| names.get(&Seq::new(*run)?)?.name.clone());
    let written = runs.filter(|name| journal.run(name).is_ok_and(|run| run.checkpoint::<F>().is_ok())).count();
    let _what_was_written_is_durable = journal.close();
    written as u64
}
