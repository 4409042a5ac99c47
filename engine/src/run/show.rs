//! One run in full.

use crate::error::Result;
use crate::fold::{Losses, Replay, parent_of};
use crate::run::finding::Finding;
use crate::run::notes::Notes;
use crate::run::overview::{Known, RunOverview, findings, line};
use crate::run::source::{Answer, SourceFiles};
use crate::run::state::{RewindMade, RunState, Stretch};
use crate::run::timeline::{TimelineEvent, Timelines};
use crate::run::{Runs, Spent};
use crate::{EventOrLoss, GapReason, Query, Reader, Seq};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Everything about one run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// `taffrail.run/1`
    pub schema: &'static str,
    /// As in the overview.
    #[serde(flatten)]
    pub overview: RunOverview,
    /// When it was created, in nanoseconds since 1970.
    pub created_ns: Option<i64>,
    /// What it has spent.
    pub spent: Spent,
    /// Its events of the run schema, the last ones: at most as many as were asked for.
    pub timeline: Vec<TimelineEvent>,
    /// How many events stand before the first of those.
    pub timeline_skipped: u64,
    /// How many were given up by rewinds, and left out for that.
    pub timeline_hidden: u64,
    /// Events that are not in its history any more, by ordinals.
    pub abandoned: Vec<Stretch>,
    /// Its rewinds.
    pub rewinds: Vec<RewindMade>,
    /// How the questions of an imported run were answered, by step; from the files of the source.
    pub answers: BTreeMap<String, Answer>,
    /// Its events that compactions have taken out of the log.
    pub archived: Vec<ArchivedEvents>,
    /// What is wrong with it, as the overview counts it; long lists are cut.
    pub findings: Vec<Finding>,
    /// What the files of an imported run's source say otherwise than its journal.
    pub source_findings: Vec<Finding>,
    /// What could not be read, and may be of it.
    #[serde(skip)]
    pub losses: Losses,
}

impl RunReport {
    /// The `schema` of the JSON object.
    pub const SCHEMA: &'static str = "taffrail.run/1";
}

/// Events of a run that follow each other and that are not in the log any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArchivedEvents {
    /// How many.
    pub events: u64,
    /// The event of the run before them.
    pub after: u64,
    /// The event of the run behind them.
    pub before: u64,
    /// Where they are, relative to the store; empty where they were dropped.
    pub kept_in: Vec<String>,
    /// Whether all of those archives are still there.
    pub is_there: bool,
}

/// Which events of a run a report has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// At most so many, the last ones; [`TimelineEvent::MOST_KEPT`] is a limit in any case.
    pub most_events: usize,
    /// Those too that rewinds have given up.
    pub with_given_up: bool,
}

/// A run in full: its state, and the report about it.
///
/// # Errors
/// As reading. What is wrong with the run itself is in the report.
pub fn show(reader: &Reader, run: Seq, shown: Shown) -> Result<(RunState, RunReport)> {
    let archived = archived(reader, run)?;
    // What is in an archive is read there, also where it is of a run that this one began as.
    let is_archived = !archived.is_empty() || began_as_archived(reader, run)?;
    let whole = if is_archived { reader.with_archives()? } else { None };
    let source = whole.as_ref().unwrap_or(reader);
    let (mut timelines, mut notes) = (Timelines::over(source)?, Notes::with_files());
    let mut losses = Losses::default();
    let replay = Replay::of_fold::<Runs>(source, Some(run))?.past_damage();
    replay.go(&mut [&mut timelines, &mut notes, &mut losses])?;
    timelines.folding.begin_at_snapshots(source, None)?;
    let notes = notes.runs.remove(&run).unwrap_or_default();
    let mut timeline = timelines.lines_of(run);
    let kept = timeline.len();
    timeline.retain(|line| shown.with_given_up || !line.given_up);
    let hidden = (kept - timeline.len()) as u64;
    let before = timeline.len().saturating_sub(shown.most_events);
    timeline.drain(..before);
    let folding = timelines.folding;
    let nothing = RunState::default();
    let state = folding.standing(Some(run)).map_or(&nothing, |standing| &standing.state);
    let source = SourceFiles::of(reader, &notes);
    let absences = reader.known_gaps()?;
    let known = Known::of(run, &notes, &folding, &absences);
    let report = report(&known, state, timeline, &source);
    let timeline_skipped = state.events.saturating_sub(hidden + report.timeline.len() as u64);
    let state = folding.into_partial(Some(run)).map(|standing| standing.state).unwrap_or_default();
    Ok((state, RunReport { archived, losses, timeline_hidden: hidden, timeline_skipped, ..report }))
}

/// Whether compactions have taken something out of the runs that a run began as.
fn began_as_archived(reader: &Reader, run: Seq) -> Result<bool> {
    let mut youngest = run;
    while let Some(parent) = reader.opening(youngest)?.as_ref().and_then(parent_of) {
        if !archived(reader, parent)?.is_empty() {
            return Ok(true);
        }
        youngest = parent;
    }
    Ok(false)
}

/// What compactions have taken out of a run: where its revisions jump.
fn archived(reader: &Reader, run: Seq) -> Result<Vec<ArchivedEvents>> {
    let gaps = reader.known_gaps()?;
    if !gaps.iter().any(|gap| gap.reason == GapReason::Compacted && gap.last > run) {
        return Ok(Vec::new());
    }
    let mut archived = Vec::new();
    let mut events = reader.events(Query::all().from(run).run(run))?;
    let mut before: Option<(Seq, u32)> = None;
    while let Some(next) = events.next_or_loss()? {
        let EventOrLoss::Event(record) = next else { continue };
        let (seq, revision) = (record.seq, record.revision);
        let jump = before.map(|(after, last)| (after, revision.saturating_sub(last).saturating_sub(1)));
        if let Some((after, missing)) = jump.filter(|(_, missing)| *missing > 0) {
            let between = gaps.iter().filter(|gap| gap.first > after && gap.last < seq);
            let places: BTreeSet<&str> = between
                .filter(|gap| gap.reason == GapReason::Compacted)
                .map(|gap| gap.kept_in.as_str())
                .filter(|place| !place.is_empty())
                .collect();
            let kept_in: Vec<String> = places.into_iter().map(str::to_owned).collect();
            let is_there = !kept_in.is_empty() && kept_in.iter().all(|place| reader.has_archive(place));
            let (events, after, before) = (missing.into(), after.get(), seq.get());
            archived.push(ArchivedEvents { events, after, before, kept_in, is_there });
        }
        before = Some((seq, revision));
    }
    Ok(archived)
}

fn report(
    known: &Known<'_>,
    state: &RunState,
    timeline: VecDeque<TimelineEvent>,
    source: &SourceFiles<'_>,
) -> RunReport {
    let checked = source.check(state);
    RunReport {
        schema: RunReport::SCHEMA,
        overview: line(known),
        created_ns: state.created.map(|created| created.time_ns),
        spent: state.spent.clone(),
        timeline: timeline.into(),
        timeline_skipped: 0,
        timeline_hidden: 0,
        abandoned: state.abandoned.clone(),
        rewinds: state.rewinds.clone(),
        answers: checked.answers,
        archived: Vec::new(),
        findings: findings(known),
        source_findings: checked.findings,
        losses: Losses::default(),
    }
}

/// The event after which a run's step was about to begin (`before:STEP`), or had ended (`after:STEP`): the one before its
/// first request, or the last one that ended it, in the history that the run has now. `None` where the run has no such step, where it has not ended, and where
/// it lies further back than [`TimelineEvent::MOST_KEPT`] events.
///
/// # Errors
/// As reading.
pub fn seq_of_step(reader: &Reader, run: Seq, step: &str, after: bool) -> Result<Option<Seq>> {
    let shown = Shown { most_events: TimelineEvent::MOST_KEPT, with_given_up: false };
    let (_, report) = show(reader, run, shown)?;
    let mut of_step = report.timeline.iter().filter(|event| event.subject == step);
    let ends = ["EffectResolved", "EffectCancelled", "EffectAbandoned", "GateFinished"];
    let found = if after {
        of_step.rfind(|event| ends.contains(&&*event.kind)).map(|event| event.seq)
    } else {
        of_step.next().map(|event| event.seq - 1)
    };
    Ok(found.and_then(Seq::new))
}
