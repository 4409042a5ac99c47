//! `taffrail log verify`

use clap::{Args, ValueEnum};
use taffrail::{
    DefectKind, Depth, Finding, FindingKind, LostEvent, SegmentNumber, SegmentReport, SegmentVerdict, SeqRange,
    Severity, TailVerdict, VerifyOptions, VerifyReport, verify, verify_lone,
};

use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::locate::StoreKind;
use crate::output::{Format, Output};
use crate::problem::Failure;
use crate::progress::Bars;
use crate::store::Store;

/// Arguments of `taffrail log verify`.
#[derive(Args, Clone, Debug)]
pub struct Verify {
    /// How deep to look
    #[arg(long, value_enum, default_value = "decode")]
    pub depth: DepthChoice,
}

/// `--depth`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DepthChoice {
    /// Headers, footers and the links between segments; every frame of the newest segment only.
    Chain,
    /// Every frame: its checksums, its seq, its revision.
    Frames,
    /// Also the payloads: the log's own, and whether JSON is JSON.
    Decode,
}

impl DepthChoice {
    fn name(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Frames => "frames",
            Self::Decode => "decode",
        }
    }
}

impl From<DepthChoice> for Depth {
    fn from(choice: DepthChoice) -> Self {
        match choice {
            DepthChoice::Chain => Self::Chain,
            DepthChoice::Frames => Self::Frames,
            DepthChoice::Decode => Self::Decode,
        }
    }
}

impl Verify {
    /// Verifies the store, or the lone segment. The exit code is the verdict.
    ///
    /// # Errors
    /// T0110 where there is no store, T0309 where something cannot be read.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("log verify", &Format::TEXT)?;
        let store = Store::locate(context)?;
        let options = VerifyOptions { depth: self.depth.into() };
        let mut bars = Bars::new(context.output);
        let mut progress = |done: u64, total: u64| _ = bars.show("verifying", done, total);
        let report = match store.location.kind {
            StoreKind::Directory | StoreKind::Bundle => verify(&*store.storage(), &options, &mut progress),
            StoreKind::Segment => verify_lone(store.segment_file()?, &options, &mut progress),
        };
        drop(bars);
        let report = report.map_err(|error| store.problem(&error))?;
        let exit = exit(report.severity);
        match context.output.format() {
            Format::Human => Text { report: &report, store: &store, exit }.print(self.depth, context.output)?,
            _ => context.output.json(&report)?,
        }
        Ok(exit)
    }
}

pub(super) fn exit(severity: Severity) -> Exit {
    match severity {
        Severity::Clean => Exit::Clean,
        Severity::TornTail => Exit::TornTail,
        Severity::Damaged => Exit::Damage,
        Severity::Incompatible => Exit::UnknownFormat,
    }
}

/// The report for people.
struct Text<'report> {
    report: &'report VerifyReport,
    store: &'report Store,
    exit: Exit,
}

impl Text<'_> {
    fn print(&self, depth: DepthChoice, output: &mut Output) -> Result<(), Failure> {
        let report = self.report;
        output.line(self.heading(depth).as_str())?;
        let number_width = report.segments.last().map_or(1, |segment| segment.segment.to_string().len());
        let counts: Vec<String> = report.segments.iter().map(events).collect();
        let count_width = counts.iter().map(String::len).max().unwrap_or(0);
        for (segment, count) in report.segments.iter().zip(&counts) {
            let (word, tone) = verdict(segment.verdict);
            let size = human::byte_size(segment.len_bytes);
            output.line(
                Line::new()
                    .plain(&format!("  seg {:<number_width$}  ", segment.segment))
                    .tone(tone, &format!("{word:<9}"))
                    .plain(&format!("  {count:>count_width$}  {size:>11}{}", holds(segment))),
            )?;
        }
        for finding in &report.findings {
            output.lines(self.finding(finding))?;
        }
        if report.findings_not_listed > 0 {
            let count = human::count(report.findings_not_listed, "further finding");
            output.line(format!("{count} not listed; the sums count them").as_str())?;
        }
        output.line(format!("checked {} % of the bytes", report.coverage_percent()).as_str())?;
        output.lines(self.result())?;
        Ok(())
    }

    fn heading(&self, depth: DepthChoice) -> String {
        let report = self.report;
        let id = report.short_id.as_deref().unwrap_or("of an unknown id");
        let format = report.format.map_or_else(|| "unknown".to_owned(), |format| format.to_string());
        let segments = human::count(report.segments.len() as u64, "segment");
        let seqs = match report.last_seq {
            0 => "no events".to_owned(),
            last => format!("seq {}..={last}", report.first_seq),
        };
        let depth = depth.name();
        format!("store {id}  format {format}  {segments}  {seqs}  depth {depth}   (read-only, no lock taken)")
    }

    /// Two lines at most: what and where with what is lost; and what is known of the cause.
    fn finding(&self, finding: &Finding) -> Vec<Line> {
        let tone = match finding.severity {
            Severity::Clean => Tone::Plain,
            Severity::TornTail => Tone::Warning,
            Severity::Damaged | Severity::Incompatible => Tone::Bad,
        };
        let word = if finding.severity == Severity::Clean { "note" } else { "damage" };
        let file = finding.segment.map_or_else(|| finding.file.clone(), |segment| format!("seg {segment}"));
        let mut place = match finding.len_bytes {
            0 => file,
            len => format!("{file} bytes {:#07x}..{:#07x} ({} B)", finding.start, finding.end, human::thousands(len)),
        };
        if finding.kind == FindingKind::TornTail {
            place = format!("{place}  partial frame, no valid frame after it; normal after a crash");
        } else if !finding.lost.is_empty() {
            place = format!("{place}   lost: {}", lost(finding));
        }
        let number = format!("{word} {}", finding.number);
        let mut lines = vec![
            Line::new().tone(tone, &format!("{number:<8}")).plain(&format!("  {:<12}  {place}", finding.kind.name())),
        ];
        let more = |text: &str| Line::new().plain(&format!("{:10}{text}", ""));
        if finding.kind == FindingKind::TornTail {
            lines.push(more(&match self.report.durable {
                0 => "nothing had been acknowledged: no acknowledged event lost".to_owned(),
                durable => format!("durable head is seq {durable}: no acknowledged event lost"),
            }));
            return lines;
        }
        if let Some(event) = finding.event.as_ref().filter(|_| finding.lost.is_empty()) {
            lines.push(more(&format!("named by seq {} ({})", event.seq, named(event))));
        }
        if !finding.expected.is_empty() || !finding.found.is_empty() {
            lines.push(more(&format!("expected {}, found {}", finding.expected, finding.found)));
        }
        if let Some(flip) = finding.likely_flip {
            lines.push(more(&format!(
                "flipping one bit (byte {:#07x}, {:#04x} -> {:#04x}) restores it: likely cause, not proof; never applied by \
                 itself",
                flip.offset, flip.found, flip.restored
            )));
        }
        lines
    }

    fn result(&self) -> Vec<Line> {
        let totals = &self.report.totals;
        let tail = self.report.tail.as_ref().map(|tail| tail.verdict);
        let absent = match totals.absent {
            0 => String::new(),
            absent => {
                format!("; {} absent by record (seq {})", human::count(absent, "event"), ranges(&self.report.absences))
            }
        };
        let redacted = match totals.redacted {
            0 => String::new(),
            redacted => format!("; {} redacted by record", human::count(redacted, "event")),
        };
        let (text, tone) = match (self.exit, totals.lost) {
            (Exit::Clean, _) if tail == Some(TailVerdict::InFlight) => {
                (format!("clean: {}; somebody is writing", human::count(totals.events, "event")), Tone::Good)
            }
            (Exit::Clean, _) => (format!("clean: {}", human::count(totals.events, "event")), Tone::Good),
            (Exit::TornTail, 0) => (
                format!(
                    "torn tail only: {}, none lost; the next open for writing cuts it",
                    human::count(totals.events, "event")
                ),
                Tone::Warning,
            ),
            (Exit::UnknownFormat, _) => {
                ("a newer build wrote this: use one that knows the format".to_owned(), Tone::Bad)
            }
            (_, 0) => (format!("damage, but none of {} lost", human::count(totals.events, "event")), Tone::Bad),
            (_, count) => {
                let lost = format!("{} of {} lost", human::thousands(count), human::count(totals.events, "event"));
                (format!("{lost}; {}", self.affected()), Tone::Bad)
            }
        };
        let result = Line::new().plain("result: ").tone(tone, &format!("{text}{absent}{redacted}"));
        let command = match self.exit {
            Exit::Clean => return vec![result],
            // What lies alone can be read, and not repaired.
            Exit::TornTail | Exit::Damage if self.store.location.kind != StoreKind::Directory => {
                self.store.command("log dump")
            }
            Exit::TornTail => self.store.command("log repair"),
            Exit::Damage => self.after_damage(),
            _ => self.store.command("explain T0307"),
        };
        let hint = Line::new().tone(Tone::Hint, "hint").plain(": ").plain(&command);
        vec![result, hint, self.exit.line()]
    }

    /// The command that goes on from damage. A salvage touches nothing that is somebody else's; and of a blob, only the event
    /// that names it tells what is missing.
    fn after_damage(&self) -> String {
        let report = self.report;
        let is_in_the_way =
            |it: &&SegmentReport| matches!(it.verdict, SegmentVerdict::Foreign | SegmentVerdict::Duplicate);
        if let Some(segment) = report.segments.iter().find(is_in_the_way).and_then(|it| SegmentNumber::new(it.segment))
        {
            return self.store.move_away(&format!("segments/{}", segment.file_name()));
        }
        let is_damage = |finding: &&Finding| finding.severity == Severity::Damaged;
        if let Some(file) = report.findings.iter().filter(is_damage).find_map(in_the_place_of) {
            return self.store.move_away(file);
        }
        let is_blob = |finding: &Finding| matches!(finding.kind, FindingKind::BlobMissing | FindingKind::BlobDigest);
        let mut damage = report.findings.iter().filter(is_damage).peekable();
        let named = damage.peek().and_then(|finding| finding.event.as_ref());
        if let Some(event) = named.filter(|_| report.findings_not_listed == 0 && damage.all(is_blob)) {
            return self.store.command(&format!("log dump {} -o json", event.seq));
        }
        self.store.command("log repair --mode salvage")
    }

    fn affected(&self) -> String {
        const NAMED: usize = 3;
        let report = self.report;
        let name = |number: u64, name: &Option<String>| name.clone().unwrap_or_else(|| format!("#{number}"));
        let some = |mut names: Vec<String>| {
            if names.len() > NAMED {
                names[NAMED] = "...".to_owned();
                names.truncate(NAMED + 1);
            }
            names.join(", ")
        };
        let possibly = &report.possibly_affected_runs;
        let mut parts = Vec::new();
        match report.affected_runs.len() {
            0 if possibly.is_empty() => parts.push("no run affected".to_owned()),
            0 => {}
            count => {
                let names = some(report.affected_runs.iter().map(|run| name(run.run, &run.name)).collect());
                parts.push(format!("{} affected ({names})", human::count(count as u64, "run")));
            }
        }
        if report.lost_without_run > 0 {
            parts.push(format!("{} of no known run", human::count(report.lost_without_run, "lost event")));
        }
        if !possibly.is_empty() {
            let names = some(possibly.iter().map(|run| name(run.run, &run.name)).collect());
            let mut part = format!("{} may be affected ({names})", human::count(possibly.len() as u64, "run"));
            let told: Vec<_> = possibly.iter().filter_map(|run| Some((run, run.index_says_lost?))).collect();
            if !told.is_empty() {
                let of = |(run, lost): &(&taffrail::PossiblyAffectedRun, u64)| {
                    format!("{} of {}", human::thousands(*lost), name(run.run, &run.name))
                };
                let lost = some(told.iter().filter(|(_, lost)| *lost > 0).map(of).collect());
                let lost = if lost.is_empty() { "none".to_owned() } else { lost };
                part = format!("{part}; lost by the hint runs.idx: {lost}");
            }
            parts.push(part);
        }
        if report.unaffected_runs > 0 {
            let events = human::count(report.unaffected_events, "event");
            parts.push(format!("{events} of {} not affected", human::count(report.unaffected_runs, "other run")));
        }
        parts.join("; ")
    }
}

/// What is in a file that has the name of another segment.
fn holds(segment: &SegmentReport) -> String {
    match (segment.verdict, segment.holds) {
        (SegmentVerdict::Misnamed | SegmentVerdict::Duplicate, Some(holds)) if holds != segment.segment => {
            format!("  is segment {holds}")
        }
        _ => String::new(),
    }
}

fn events(segment: &SegmentReport) -> String {
    let is_of_the_log = !matches!(
        segment.verdict,
        SegmentVerdict::Foreign | SegmentVerdict::Duplicate | SegmentVerdict::Incompatible | SegmentVerdict::Superseded
    );
    if !is_of_the_log && segment.events_expected == 0 {
        return "-".to_owned();
    }
    let (good, all) = (human::thousands(segment.events), human::count(segment.events_expected, "event"));
    format!("{good} of {all}")
}

fn verdict(verdict: SegmentVerdict) -> (&'static str, Tone) {
    match verdict {
        SegmentVerdict::Ok => ("ok", Tone::Good),
        SegmentVerdict::Finding => ("ok, noted", Tone::Good),
        SegmentVerdict::TornTail => ("torn tail", Tone::Warning),
        SegmentVerdict::InFlight => ("in flight", Tone::Good),
        SegmentVerdict::Damaged => ("DAMAGED", Tone::Bad),
        SegmentVerdict::Incompatible => ("NEWER", Tone::Bad),
        SegmentVerdict::Misnamed => ("MISNAMED", Tone::Bad),
        SegmentVerdict::Foreign => ("FOREIGN", Tone::Bad),
        SegmentVerdict::Duplicate => ("COPY", Tone::Bad),
        SegmentVerdict::Superseded => ("replaced", Tone::Plain),
    }
}

/// The name that something else bears than a file or a directory of the store.
fn in_the_place_of(finding: &Finding) -> Option<&str> {
    let is_missing = finding.kind == FindingKind::Defect(DefectKind::SegmentMissing) && finding.found != "no file";
    (finding.kind == FindingKind::WrongKind || is_missing).then_some(finding.file.as_str())
}

/// `seq 60 (release-42, deploy.done, 12:04:19)`, or the ranges.
fn lost(finding: &Finding) -> String {
    let event = finding.event.as_ref().map(|event| format!(" ({})", named(event))).unwrap_or_default();
    format!("seq {}{event}", ranges(&finding.lost))
}

/// `9..=12, 60`, and how many more.
fn ranges(ranges: &[SeqRange]) -> String {
    const NAMED: usize = 20;
    let range = |range: &SeqRange| match range.first == range.last {
        true => range.first.to_string(),
        false => format!("{}..={}", range.first, range.last),
    };
    let mut joined: Vec<SeqRange> = Vec::new();
    for range in ranges {
        match joined.last_mut().filter(|before| before.last.checked_add(1) == Some(range.first)) {
            Some(before) => before.last = range.last,
            None => joined.push(*range),
        }
    }
    let ranges = joined;
    let named: Vec<String> = ranges.iter().take(NAMED).map(range).collect();
    let more = ranges.len().checked_sub(NAMED + 1).map(|more| format!(" and {} more", more + 1));
    format!("{}{}", named.join(", "), more.unwrap_or_default())
}

fn named(event: &LostEvent) -> String {
    let run = match (&event.run_name, event.run) {
        (Some(name), _) => name.clone(),
        (None, Some(number)) => format!("run #{number}"),
        (None, None) => "the store".to_owned(),
    };
    let kind = event.type_name.as_deref().unwrap_or("unknown type");
    let time = human::time(event.time_ns);
    let time = time.get(11..19).unwrap_or(&time);
    let likely = if event.is_likely { "likely " } else { "" };
    format!("{likely}{run}, {kind}, {time}")
}
