//! `taffrail store info`

use clap::Args;
use serde::Serialize;
use taffrail::config::StoreConfig;
use taffrail::redact::{Unfinished, unfinished};
use taffrail::{ErrorKind, Opening, Owner, RecoveryPlan, StoreInfo, SyncPolicyTag, Verdict};

use crate::command::Context;
use crate::command::log::redact::left_by;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::network;
use crate::output::{Format, Output};
use crate::problem::Failure;
use crate::settings::Settings;
use crate::store::Store;
use crate::table::{Align, Table};
use crate::translate;

/// Arguments of `taffrail store info`.
#[derive(Args, Clone, Debug)]
pub struct Info {}

/// `taffrail.store-info/1`
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    path: String,
    store: Option<String>,
    log_id: Option<String>,
    format: Option<u16>,
    segments: u64,
    bytes: u64,
    /// The last event; null where the tail cannot be read.
    head: Option<u64>,
    durable: Option<u64>,
    opening: OpeningReport,
    owner: OwnerReport,
    /// The sync policy of whoever made the newest segment.
    written_with: Option<String>,
    findings: Vec<String>,
    /// What a redaction that is under way, or was stopped, has left to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    redaction: Option<Unfinished>,
    configuration: Vec<SettingReport>,
    warnings: Vec<String>,
}

/// What opening the store for writing would do.
#[derive(Debug, Serialize)]
struct OpeningReport {
    /// `clean`, `torn`, `in_flight`, `damaged`, `ambiguous`, `newer_format` or `error`.
    verdict: &'static str,
    does: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<CutReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    leftovers: Vec<String>,
}

#[derive(Debug, Serialize)]
struct CutReport {
    segment: u32,
    from: u64,
    to: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct OwnerReport {
    /// `nobody`, `alive`, `gone` or `unknown`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_id: Option<u32>,
}

#[derive(Debug, Serialize)]
struct SettingReport {
    key: &'static str,
    value: String,
    source: String,
}

impl Info {
    /// Shows the store; the exit code is the verdict on its tail.
    ///
    /// # Errors
    /// T0110 where there is no store, T0130 where its configuration does not hold, T0309.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("store info", &Format::TEXT)?;
        let store = Store::locate_directory(context, "store info")?;
        let info = StoreInfo::read(&*store.disk).map_err(|error| store.problem(&error))?;
        let flags = StoreConfig { lock_timeout: context.global.lock_timeout, ..StoreConfig::default() };
        let settings = Settings::load(flags, &store.disk)?;
        let exit = exit(&info.opening);
        let mut report = report(&store, &info, &settings);
        // Where the log can not be read, that is told already.
        report.redaction = unfinished(&store.storage()).ok().flatten();
        if context.output.format().is_json() {
            context.output.json(&report)?;
        } else {
            print(&report, exit, &store, context.output)?;
        }
        Ok(exit)
    }
}

/// 0, 3, 4 or 8, or what a failure to look would end with.
fn exit(opening: &Opening) -> Exit {
    match opening {
        Opening::InFlight(_) => Exit::Clean,
        Opening::Trusted(plan) if plan.tail.verdict == Verdict::Torn => Exit::TornTail,
        Opening::Trusted(_) => Exit::Damage,
        Opening::Refused(error) => translate::exit_of(error),
        Opening::Planned(plan) => match plan.tail.verdict {
            Verdict::End => Exit::Clean,
            Verdict::Torn => Exit::TornTail,
            Verdict::Damaged | Verdict::Ambiguous => Exit::Damage,
        },
    }
}

fn report(store: &Store, info: &StoreInfo, settings: &Settings) -> Report {
    let plan = match &info.opening {
        Opening::InFlight(plan) | Opening::Planned(plan) | Opening::Trusted(plan) => Some(plan),
        Opening::Refused(_) => None,
    };
    let header = info.header.as_ref();
    let (state, process_id) = match info.owner {
        Owner::Nobody => ("nobody", None),
        Owner::Alive { process_id } => ("alive", Some(process_id)),
        Owner::Gone { process_id } => ("gone", Some(process_id)),
        Owner::Unknown => ("unknown", None),
    };
    let configuration = settings.rows().into_iter();
    Report {
        schema: "taffrail.store-info/1",
        path: store.location.path.display().to_string(),
        store: header.map(|header| header.log_id.short()),
        log_id: header.map(|header| header.log_id.to_string()),
        format: header.map(|header| header.format_version),
        segments: info.listing.segments.len() as u64,
        bytes: info.segments_len_bytes(),
        head: plan.map(RecoveryPlan::head),
        durable: plan.map(|plan| plan.tail.durable),
        opening: opening(&info.opening),
        owner: OwnerReport { state, process_id },
        written_with: header.map(|header| policy(header.sync_policy)),
        findings: plan.map(|plan| plan.findings.iter().map(ToString::to_string).collect()).unwrap_or_default(),
        redaction: None,
        configuration: configuration
            .map(|(key, value, source)| SettingReport { key, value, source: source.to_string() })
            .collect(),
        warnings: network::file_system(&store.location.path)
            .map(network::warning)
            .into_iter()
            .chain(unset(settings))
            .collect(),
    }
}

/// Secrets that are named and not there are not redacted: whoever appends without them appends what they stand for.
fn unset(settings: &Settings) -> Option<String> {
    let names = settings.unset_secrets();
    let said = match names.as_slice() {
        [] => return None,
        [name] => format!("the variable {name}, which"),
        names => format!("the variables {}, which", names.join(", ")),
    };
    let verb = if names.len() == 1 { "is" } else { "are" };
    Some(format!(
        "{said} [redaction] names as a secret, {verb} not set here: what is appended now is not redacted by it"
    ))
}

fn policy(tag: SyncPolicyTag) -> String {
    match tag {
        SyncPolicyTag::Always => "always".to_owned(),
        SyncPolicyTag::Interval(interval_ms) => format!("interval:{interval_ms}ms"),
        SyncPolicyTag::Never => "never".to_owned(),
    }
}

fn opening(opening: &Opening) -> OpeningReport {
    let (plan, in_flight) = match opening {
        Opening::InFlight(plan) => (plan, true),
        Opening::Planned(plan) | Opening::Trusted(plan) => (plan, false),
        Opening::Refused(error) => {
            let verdict = match error.kind() {
                ErrorKind::Damaged => "damaged",
                ErrorKind::Incompatible => "newer_format",
                _ => "error",
            };
            let code = Some(error.code().to_owned());
            return OpeningReport { verdict, does: format!("refuse: {error}"), cut: None, code, leftovers: Vec::new() };
        }
    };
    let leftovers = plan.leftovers.clone();
    let cut = plan.cut().filter(|cut| !cut.is_empty()).map(|cut| CutReport {
        segment: plan.segment.get(),
        from: cut.start,
        to: cut.end,
        bytes: cut.end - cut.start,
    });
    if in_flight {
        let does = "not judged: somebody is writing at this moment".to_owned();
        return OpeningReport { verdict: "in_flight", does, cut: None, code: None, leftovers };
    }
    let refusal = plan.refusal();
    let verdict = match plan.tail.verdict {
        Verdict::End => "clean",
        Verdict::Torn => "torn",
        Verdict::Damaged => "damaged",
        Verdict::Ambiguous => "ambiguous",
    };
    let mut does = match (&refusal, &cut) {
        (Some(error), _) => format!("refuse: {error}"),
        (None, Some(cut)) => format!(
            "cut {} torn bytes from segment {}, byte {:#x} (kept in quarantine; nothing acknowledged)",
            human::thousands(cut.bytes),
            cut.segment,
            cut.from
        ),
        (None, None) => "nothing".to_owned(),
    };
    if matches!(opening, Opening::Trusted(_)) {
        does = format!("nothing, since LOCK says that the log was left in order; without it: {does}");
    }
    if refusal.is_none() && !leftovers.is_empty() {
        let files = human::count(leftovers.len() as u64, "file");
        does = format!("{does}; remove {files} of an interrupted rotation");
    }
    OpeningReport { verdict, does, cut, code: refusal.map(|error| error.code().to_owned()), leftovers }
}

fn print(report: &Report, exit: Exit, store: &Store, output: &mut Output) -> Result<(), Failure> {
    let id = report.store.as_deref().unwrap_or("of an unknown id");
    let format = report.format.map(|format| format!("  format {format}")).unwrap_or_default();
    output
        .line(Line::new().tone(Tone::Heading, &format!("store {id}")).plain(&format!("{format}  {}", report.path)))?;
    let seq = |seq: Option<u64>| match seq {
        Some(0) => "no event yet".to_owned(),
        Some(seq) => format!("seq {seq}"),
        None => "not known".to_owned(),
    };
    let owner = match (report.owner.state, report.owner.process_id) {
        ("alive", Some(process_id)) => format!("process {process_id} is writing, or was a moment ago"),
        ("gone", Some(process_id)) => {
            format!("process {process_id} ended while writing; the next open looks at the tail")
        }
        ("nobody", _) => "nobody; released in order".to_owned(),
        _ => "not known; the next open looks at the tail".to_owned(),
    };
    let tone = match exit {
        Exit::Clean => Tone::Good,
        Exit::TornTail => Tone::Warning,
        _ => Tone::Bad,
    };
    let rows = [
        ("segments", format!("{}, {}", human::thousands(report.segments), human::byte_size(report.bytes)), Tone::Plain),
        ("head", seq(report.head), Tone::Plain),
        ("durable", seq(report.durable), Tone::Plain),
        (
            "sync",
            report.written_with.as_deref().unwrap_or("not known").to_owned() + " (of the newest segment)",
            Tone::Plain,
        ),
        ("owner", owner, Tone::Plain),
        ("opening", format!("would do: {}", report.opening.does), tone),
    ];
    for (name, value, tone) in rows {
        output.line(Line::new().plain(&format!("  {name:<10}")).tone(tone, &value))?;
    }
    if let Some(unfinished) = &report.redaction {
        output.line(Line::new().tone(Tone::Warning, "  redaction ").plain(&left_by(unfinished)))?;
        let seqs: Vec<String> = unfinished.events.iter().take(20).map(u64::to_string).collect();
        let or = match seqs.is_empty() {
            true => String::new(),
            false => format!(", or {}", store.command(&format!("log redact --event {}", seqs.join(",")))),
        };
        output.line(format!("            the same `log redact` again finishes it{or}").as_str())?;
    }
    for finding in &report.findings {
        output.line(Line::new().tone(Tone::Warning, "  finding   ").plain(finding))?;
    }
    output.line("")?;
    let mut table = Table::new(&[("SETTING", Align::Left), ("VALUE", Align::Left), ("SOURCE", Align::Left)]);
    for SettingReport { key, value, source } in &report.configuration {
        table.row([*key, value, source]);
    }
    output.lines(table.lines())?;
    for warning in &report.warnings {
        output.warning(warning);
    }
    if exit != Exit::Clean {
        let hint = store.command("log verify");
        output.line(Line::new().tone(Tone::Hint, "hint").plain(": ").plain(&hint))?;
        output.line(exit.line())?;
    }
    Ok(())
}
