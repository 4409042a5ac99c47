//! `taffrail log dump`

use std::borrow::Cow;
use std::cell::OnceCell;
use std::num::NonZeroU64;
use std::time::Duration;

use clap::Args;
use regex::{Regex, RegexBuilder};
use serde_json::value::RawValue;
use taffrail::expr::Expression;
use taffrail::fold::{Losses, Pass as _};
use taffrail::position::{Position, PositionError, PositionErrorKind, PositionRange};
use taffrail::storage::Storage;
use taffrail::{Codec, EventOrLoss, Follow, Query, Reader, Record, Seq};

use crate::codes;
use crate::command::Context;
use crate::escape;
use crate::event::EventReport;
use crate::event_table::EventTable;
use crate::exit::Exit;
use crate::interrupt;
use crate::line::{Line, Tone};
use crate::losses;
use crate::output::{Format, Output};
use crate::payloads::Payloads;
use crate::problem::{Failure, Problem};
use crate::run_names::RunNames;
use crate::store::Store;
use crate::subject::seq_of_position;
use crate::summary::summary;
use crate::translate;
use crate::type_names;

/// How often a followed log is looked at.
const FOLLOW_PAUSE: Duration = Duration::from_millis(50);
/// The most memory a pattern may take.
const PATTERN_LEN_BYTES_MAX: usize = 1 << 20;

/// Arguments of `taffrail log dump`.
#[derive(Args, Clone, Debug)]
pub struct Dump {
    /// A range of positions A..B (half-open, either side may be left out), or one position
    pub range: Option<String>,

    /// Only events of this run; may be repeated
    #[arg(long, value_name = "RUN")]
    pub run: Vec<String>,

    /// Only events of these types
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,

    /// Only events for which this holds, of the object that `-o jsonl` prints: 'data.sha == "ab12"'
    #[arg(long = "where", value_name = "EXPRESSION")]
    pub condition: Option<String>,

    /// Only events whose summary, or whose data as JSON, this regular expression matches
    #[arg(long, value_name = "PATTERN")]
    pub grep: Option<String>,

    /// At most this many events
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub count: Option<u64>,

    /// The last event first
    #[arg(long, conflicts_with = "follow")]
    pub reverse: bool,

    /// The log as it was after this position
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub at: Option<Position>,

    /// Go on with events as they become durable, until interrupted
    #[arg(long)]
    pub follow: bool,
}

/// What filters need besides the query.
struct Filter {
    condition: Option<Expression>,
    /// Whether the condition asks about payloads, which then have to be read for every event.
    asks_for_payload: bool,
    grep: Option<Regex>,
}

impl Dump {
    /// Shows the events.
    ///
    /// # Errors
    /// T0141, T0146, T0148 for names that lead nowhere; T0120, T02 for what is not understood. What can not be read is
    /// passed over and told, and ends with 4.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        let condition = self.condition()?;
        let asks = |condition: &Expression| EventReport::OF_PAYLOAD.iter().any(|member| condition.mentions(member));
        let asks_for_payload = condition.as_ref().is_some_and(asks);
        let filter = Filter { condition, asks_for_payload, grep: self.pattern()? };
        let range = self.range()?;
        let store = Store::locate(context)?;
        let reader = store.reader()?;
        let query = self.query(&store, &reader, range)?;
        let mut sink = Sink::new(context.output, &store, filter, self.count)?;
        // Lines are written whole.
        interrupt::wait_for_me();
        let reading = match self.follow {
            true => follow(reader.clone(), query.clone(), &mut sink),
            false => read(&reader, query.clone(), &mut sink),
        };
        // What was read stands before what went wrong.
        sink.finish()?;
        let shown = sink.shown;
        let damage = reading?;
        if interrupt::is_requested() {
            return Ok(Exit::Interrupted);
        }
        if shown > 0 || self.count == Some(0) {
            return Ok(damage);
        }
        let why = self.nothing(&reader, &query).map_err(|error| store.problem(&error))?;
        context.output.note(why.as_str());
        Ok(damage.combine(if self.filters() { Exit::Differs } else { Exit::Clean }))
    }

    /// Why no event was shown.
    fn nothing(&self, reader: &Reader, query: &Query) -> taffrail::Result<String> {
        let next = reader.next_seq()?;
        let asked = self.range.as_deref().unwrap_or_default();
        Ok(match (query.from, query.until) {
            _ if next == Seq::FIRST => "the log has no event".to_owned(),
            (Some(from), Some(until)) if from >= until && self.at.is_none() => {
                format!("no event: the range {asked} is empty; A..B is from A up to B, and A..=B has B in it")
            }
            (Some(from), _) if from >= next => format!("no event: the log ends with seq {}", next.count_before()),
            _ if self.condition.is_some() || self.grep.is_some() => "no event matches".to_owned(),
            _ => "no event is like that".to_owned(),
        })
    }

    fn filters(&self) -> bool {
        let names = !self.run.is_empty() || !self.types.is_empty() || self.range.is_some();
        names || self.condition.is_some() || self.grep.is_some()
    }

    fn condition(&self) -> Result<Option<Expression>, Failure> {
        let parse =
            |source: &String| Expression::parse(source).map_err(|error| translate::expression(source, &error).into());
        self.condition.as_ref().map(parse).transpose()
    }

    fn pattern(&self) -> Result<Option<Regex>, Failure> {
        let compile = |source: &String| {
            RegexBuilder::new(source).size_limit(PATTERN_LEN_BYTES_MAX).build().map_err(|error| {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                let problem = Problem::new(codes::T0203, Exit::Usage, reason);
                problem.at(format!("--grep {source}")).hint("taffrail explain T0203").into()
            })
        };
        self.grep.as_ref().map(compile).transpose()
    }

    /// The range; one position is the range of that event.
    fn range(&self) -> Result<Option<Result<PositionRange, Position>>, Failure> {
        let Some(text) = &self.range else { return Ok(None) };
        let parsed = if text.contains("..") { text.parse().map(Ok) } else { text.parse().map(Err) };
        // Two numbers with something else between them were meant as a range.
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_meant = |text: &str| text.split_once(['-', ':', ',']).is_some_and(|(a, b)| is_number(a) && is_number(b));
        parsed.map(Some).map_err(|error: PositionError| {
            let kind = if is_meant(text) { PositionErrorKind::Range } else { error.kind };
            translate::position(&PositionError { kind, ..error }).into()
        })
    }

    fn query(
        &self,
        store: &Store,
        reader: &Reader,
        range: Option<Result<PositionRange, Position>>,
    ) -> Result<Query, Failure> {
        let problem = |error: taffrail::Error| Failure::from(store.problem(&error));
        let now_ns = store.disk.now_ns();
        let mut query = Query { reverse: self.reverse, ..Query::all() };
        let mut runs = Vec::new();
        for name in &self.run {
            let run = reader.find_run(name).map_err(|error| store.problem_of_run(name, &error))?.run;
            runs.push((run, name.as_str()));
            query = query.run(run);
        }
        // A step is one of the run that is asked for.
        let of_run = |position: Position| -> Result<Position, Failure> {
            let [run] = runs.as_slice() else { return Ok(position) };
            let seq = seq_of_position(store, reader, *run, &position)?;
            Ok(seq.and_then(|seq| NonZeroU64::new(seq.get())).map_or(position, Position::Seq))
        };
        match range {
            None => {}
            Some(Ok(mut range)) => {
                for side in [&mut range.start, &mut range.end] {
                    *side = side.take().map(of_run).transpose()?;
                }
                (query.from, query.until) = reader.resolve_range(&range, now_ns).map_err(problem)?;
            }
            Some(Err(position)) => {
                let seq = reader.resolve(&of_run(position)?, now_ns).map_err(problem)?;
                (query.from, query.until) = (Some(seq), Some(seq.next()));
            }
        }
        if let Some(position) = &self.at {
            let end = reader.resolve(&of_run(position.clone())?, now_ns).map_err(problem)?.next();
            query.until = Some(query.until.map_or(end, |until| until.min(end)));
        }
        type_names::check(reader, &self.types, store)?;
        for wanted in &self.types {
            query = query.event_type(wanted.as_str());
        }
        Ok(query)
    }
}

fn read(reader: &Reader, query: Query, sink: &mut Sink<'_, '_>) -> Result<Exit, Failure> {
    let mut events = reader.events(query).map_err(|error| sink.store.problem(&error))?;
    let mut losses = Losses::default();
    while !sink.is_full() && !interrupt::is_requested() {
        match events.next_or_loss().map_err(|error| sink.store.problem(&error))? {
            None => break,
            Some(EventOrLoss::Event(record)) => sink.take(reader, &record)?,
            Some(EventOrLoss::Loss(loss)) => {
                // Told where it was met, between what stands before and behind it.
                sink.show()?;
                losses::tell_one(&loss, sink.store, sink.output);
                losses.lose(&loss).map_err(|error| sink.store.problem(&error))?;
            }
        }
    }
    if sink.output.format().is_json() {
        losses::tell_programs(&losses, sink.store, sink.output);
    }
    Ok(if losses.count > 0 { Exit::Damage } else { Exit::Clean })
}

fn follow(reader: Reader, query: Query, sink: &mut Sink<'_, '_>) -> Result<Exit, Failure> {
    let store = sink.store;
    let problem = |error: taffrail::Error| Failure::from(store.problem(&error));
    // Names and schemas are looked up in a reader of their own, since the events of the other one borrow it.
    let mut names = store.reader()?;
    let mut events = Follow::new(reader, query).map_err(problem)?;
    let mut has_waited = false;
    while !sink.is_full() && !events.is_finished() && !interrupt::is_requested() {
        match events.next().map_err(problem)? {
            Some(record) => {
                if std::mem::take(&mut has_waited) {
                    names.refresh().map_err(problem)?;
                    sink.look_again();
                }
                sink.take(&names, &record)?;
            }
            None => {
                sink.show()?;
                store.disk.sleep(FOLLOW_PAUSE);
                has_waited = true;
            }
        }
    }
    Ok(Exit::Clean)
}

/// Where events go.
struct Sink<'output, 'store> {
    output: &'output mut Output,
    store: &'store Store,
    filter: Filter,
    names: RunNames,
    payloads: Payloads,
    table: EventTable,
    left: Option<u64>,
    shown: u64,
}

impl<'output, 'store> Sink<'output, 'store> {
    fn new(
        output: &'output mut Output,
        store: &'store Store,
        filter: Filter,
        left: Option<u64>,
    ) -> Result<Self, Failure> {
        if output.format() == Format::Json {
            output.bytes(b"{\"schema\":\"taffrail.events/1\",\"events\":[")?;
        }
        let table = EventTable::new(output);
        Ok(Self {
            output,
            store,
            filter,
            names: RunNames::default(),
            payloads: Payloads::default(),
            table,
            left,
            shown: 0,
        })
    }

    fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    fn take(&mut self, reader: &Reader, record: &Record<'_>) -> Result<(), Failure> {
        self.names.learn(record);
        let run = record.run.map(|run: Seq| self.names.name(reader, run));
        // Read when it is first asked for, and once.
        let read: OnceCell<Option<Cow<'_, RawValue>>> = OnceCell::new();
        let payloads = &mut self.payloads;
        let mut payload = || read.get_or_init(|| payloads.json(reader, record)).as_deref();
        if let Some(grep) = &self.filter.grep
            && !grep.is_match(&summary(record, &mut payload))
            && !(record.codec() == Codec::Json && grep.is_match(&escape::bytes(&record.payload)))
        {
            return Ok(());
        }
        if let Some(condition) = &self.filter.condition {
            let report = match self.filter.asks_for_payload {
                true => EventReport::new(record, run.clone(), payload()),
                false => EventReport::without_payload(record, run.clone()),
            };
            if !condition.holds(&serde_json::to_value(report).unwrap_or_default()) {
                return Ok(());
            }
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.shown += 1;
        match self.output.format() {
            Format::Human => {
                let summary = summary(record, payload);
                self.table.row(self.output, record, run.as_deref(), summary)?;
            }
            Format::JsonLines => self.output.json(&EventReport::new(record, run, payload()))?,
            Format::Json => {
                let text = serde_json::to_string(&EventReport::new(record, run, payload())).unwrap_or_default();
                self.output.bytes(if self.shown > 1 { b"," } else { b"" })?;
                self.output.bytes(escape::json(&text).as_bytes())?;
            }
            Format::Raw => {
                self.output.bytes(&record.payload)?;
                self.output.bytes(b"\n")?;
            }
            Format::Hex => self.hex(record, run.as_deref())?,
        }
        Ok(())
    }

    fn hex(&mut self, record: &Record<'_>, run: Option<&str>) -> Result<(), Failure> {
        let (kind, run) = (record.type_name(), run.unwrap_or("-"));
        let at = format!("seg {}+{:#07x}", record.segment, record.offset);
        let heading = format!("seq {}  {run}  {kind}  {at}  {} B of payload", record.seq, record.payload.len());
        self.output.line(Line::new().tone(Tone::Heading, &heading))?;
        for (row, bytes) in record.payload.chunks(16).enumerate() {
            let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let shown = |byte: &u8| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' };
            let text: String = bytes.iter().map(shown).collect();
            self.output.line(format!("{:08x}  {:<47}  {text}", row * 16, digits.join(" ")).as_str())?;
        }
        Ok(())
    }

    /// What is not known yet may be by now.
    fn look_again(&mut self) {
        self.names.look_again();
        self.payloads.look_again();
    }

    /// Makes everything so far visible.
    fn show(&mut self) -> Result<(), Failure> {
        self.table.flush(self.output)?;
        Ok(self.output.flush()?)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.output.format() == Format::Json {
            self.output.bytes(b"]}\n")?;
        }
        self.show()
    }
}
