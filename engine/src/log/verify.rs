//! Verifying a log: every byte looked at, every loss named.

use crate::error::Result;
use crate::log::blob_check::BlobCheck;
use crate::log::damage::free_space;
use crate::log::inspector::{Inspected, Inspector};
use crate::log::paths;
use crate::log::piece::{Damage, FindingKind, Piece, SeqRange, Severity, TailVerdict};
use crate::log::run_check::{IndexHint, RunCheck};
use crate::log::segment_check::SegmentCheck;
use crate::log::snapshot_check;
use crate::log::survey::{Role, Survey, SurveyedFile};
use crate::log::verify_report::{Depth, Finding, LostEvent, SegmentReport, SegmentVerdict, Totals, VerifyReport};
use crate::storage::{EntryKind, OpenMode, Storage, StorageFile};
use crate::{DefectKind, Kind, RunOpened, SegmentNumber, TypeTable};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use taffrail_log_format::layout;

/// How to verify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyOptions {
    /// How deep to look.
    pub depth: Depth,
}

/// Verifies a store, reading only and without the lock. `progress` is told now and then how many bytes are done, of how many.
///
/// While somebody writes, what lies above the watermark is in flight and not judged: `LOCK` is held by a living process,
/// or two reads 50 ms apart differ.
///
/// # Errors
/// `NotFound` where there is no store; `Io`. Damage is a finding, not an error.
pub fn verify(
    storage: &dyn Storage,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<VerifyReport> {
    Inspector::settled(storage, |inspector| check(inspector, Some(storage), options, progress))
}

/// Verifies one segment's file, away from its store.
///
/// # Errors
/// `Io`.
pub fn verify_lone(
    file: Arc<dyn StorageFile>,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<VerifyReport> {
    Ok(check(&mut Inspector::lone(file)?, None, options, progress)?.0)
}

fn check(
    inspector: &mut Inspector<'_>,
    storage: Option<&dyn Storage>,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(VerifyReport, Inspected)> {
    inspector.skims = (options.depth == Depth::Chain).then_some(|_| true);
    let total = inspector.bytes_total();
    let mut check = Check::new(inspector, options.depth, storage.is_none());
    if let Some(storage) = storage {
        check.misplaced(&inspector.survey);
        check.watermark(storage, &inspector.survey)?;
        check.redacting(storage)?;
    }
    let mut told = 0;
    let inspected = inspector.walk(&mut |piece| {
        check.take(piece);
        check.blobs(storage, BlobCheck::is_full)?;
        if check.done_bytes() >= told + PROGRESS_STEP_BYTES {
            told = check.done_bytes();
            progress(told, total);
        }
        Ok(())
    })?;
    check.end_segment();
    check.blobs(storage, |_| true)?;
    check.snapshots(storage)?;
    progress(total, total);
    let hint = match storage.filter(|_| check.runs.is_open()) {
        Some(storage) => IndexHint::read(storage)?,
        None => IndexHint::default(),
    };
    let report = check.finish(&inspector.survey, &inspected, total, &hint);
    Ok((report, inspected))
}

const PROGRESS_STEP_BYTES: u64 = 1 << 20;

/// Gathers the report.
struct Check {
    depth: Depth,
    segment: Option<SegmentCheck>,
    segments: BTreeMap<SegmentNumber, SegmentReport>,
    /// What was found of segments before their frames: that a file has another name, or does not follow on the one before.
    ahead: BTreeMap<SegmentNumber, Severity>,
    runs: RunCheck,
    blobs: BlobCheck,
    /// Recorded absences that the walk has not come to yet, ascending: a segment lists all of its own at its front.
    gaps_ahead: VecDeque<SeqRange>,
    absences: Vec<SeqRange>,
    findings: Vec<Finding>,
    not_listed: u64,
    /// Findings of this segment whose type's name is looked up at its end: place, kind.
    unnamed: Vec<(usize, Kind)>,
    /// The segment before: its number, and its origin length and digest. `None` where those could not be worked out.
    before: Option<(SegmentNumber, (u64, [u8; 32]))>,
    /// The types at its end.
    types_before: Option<TypeTable>,
    events: u64,
    redacted: u64,
    lost: u64,
    severity: Severity,
    first_seq: u64,
    closed_bytes: u64,
    offset: u64,
}

impl Check {
    fn new(inspector: &Inspector<'_>, depth: Depth, is_lone: bool) -> Check {
        let reports = inspector.survey.files.iter().map(|file| (file.name, report_of(file)));
        Check {
            depth,
            segment: None,
            segments: reports.collect(),
            ahead: BTreeMap::new(),
            runs: RunCheck::new(is_lone),
            blobs: BlobCheck::default(),
            gaps_ahead: VecDeque::new(),
            absences: Vec::new(),
            findings: Vec::new(),
            not_listed: 0,
            unnamed: Vec::new(),
            before: None,
            types_before: None,
            events: 0,
            redacted: 0,
            lost: 0,
            severity: Severity::Clean,
            first_seq: 0,
            closed_bytes: 0,
            offset: 0,
        }
    }

    fn done_bytes(&self) -> u64 {
        self.closed_bytes + self.offset
    }

    /// Names of the store that bear something else. Hints are passed over; of the rest, nothing is read or written.
    fn misplaced(&mut self, survey: &Survey) {
        for (name, kind) in &survey.misplaced {
            let is_hint = matches!(*name, paths::RUNS_INDEX | paths::SNAPSHOTS);
            let severity = if is_hint { Severity::Clean } else { Severity::Damaged };
            let is_directory = matches!(*name, paths::BLOBS | paths::SNAPSHOTS | paths::QUARANTINE);
            let due = if is_directory { EntryKind::Directory } else { EntryKind::File };
            let damage = Damage::of_file(FindingKind::WrongKind, severity, name);
            self.add(&damage.saying(due.to_string(), kind.to_string()));
        }
    }

    /// The blobs that events name, once enough of them have gathered.
    fn blobs(&mut self, storage: Option<&dyn Storage>, when: impl Fn(&BlobCheck) -> bool) -> Result<()> {
        let Some(storage) = storage.filter(|_| when(&self.blobs)) else { return Ok(()) };
        for (damage, type_name) in self.blobs.look(storage)? {
            let place = self.findings.len();
            self.add(&damage);
            if let Some(event) = self.findings.get_mut(place).and_then(|finding| finding.event.as_mut()) {
                event.type_name = Some(type_name);
            }
        }
        Ok(())
    }

    /// A redaction that has not come to its end.
    fn redacting(&mut self, storage: &dyn Storage) -> Result<()> {
        let entry = storage.entry(paths::REDACTING);
        if entry
            .map_err(|error| crate::Error::io(format_args!("cannot look at {}", paths::REDACTING), error))?
            .is_some()
        {
            let damage = Damage::of_file(FindingKind::RedactionUnfinished, Severity::Clean, paths::REDACTING);
            let found = "one that is under way, or was stopped: the same `log redact` again finishes it";
            self.add(&damage.saying("no redaction", found));
        }
        Ok(())
    }

    /// Snapshots that are not whole.
    fn snapshots(&mut self, storage: Option<&dyn Storage>) -> Result<()> {
        let Some(storage) = storage.filter(|_| self.depth == Depth::Decode) else { return Ok(()) };
        for damage in snapshot_check::look(storage)? {
            self.add(&damage);
        }
        Ok(())
    }

    /// The watermark's file: bad slots, and the space between them.
    fn watermark(&mut self, storage: &dyn Storage, survey: &Survey) -> Result<()> {
        for defect in &survey.slots.defects {
            let range = defect.offset..defect.offset + layout::watermark::LEN_BYTES as u64;
            let damage = Damage::new(defect.kind, None, range).saying(&*defect.expected, &*defect.found);
            self.add(&damage);
        }
        if let (Some(mark), None, Some(log_id)) = (survey.slots.newest, survey.mark, survey.log_id) {
            let damage = Damage::new(DefectKind::Chain, None, 0..layout::watermark::FILE_LEN_BYTES as u64);
            self.add(&damage.saying(format!("a watermark of log {log_id}"), format!("of log {}", mark.log_id)));
        }
        if let Ok(file) = storage.open(paths::WATERMARK, OpenMode::Read) {
            let [first, second] = layout::watermark::SLOTS;
            let between = first + layout::watermark::LEN_BYTES as u64..second;
            if let Some(damage) = free_space(&*file, SegmentNumber::FIRST, between)? {
                self.add(&Damage { segment: None, ..damage });
            }
        }
        Ok(())
    }

    fn take(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Segment { number, name, header, .. } => {
                self.end_segment();
                self.segment = Some(SegmentCheck::new(*name, *number, *header, self.depth));
                self.runs.segment();
                self.begin_segment();
            }
            Piece::Frame(frame) => {
                self.offset = frame.end();
                self.pass_gaps(frame.header.seq.get());
                let Some(segment) = &mut self.segment else { return };
                let found = segment.frame(frame, self.types_before.as_ref());
                let segment_name = segment.name;
                if self.depth == Depth::Decode
                    && let Some(entry) = segment.types.get(frame.header.kind)
                {
                    self.blobs.event(&frame.header, entry, &frame.payload());
                }
                for damage in found {
                    self.add(&damage);
                }
                let opened = (frame.header.kind == Kind::RUN_OPENED).then(|| RunOpened::decode(&frame.payload()).ok());
                if let Some(damage) = self.runs.frame(segment_name, frame, opened.flatten()) {
                    self.add(&damage);
                }
                if frame.header.kind == Kind::FOOTER {
                    self.runs.footer(&frame.payload());
                }
            }
            Piece::Gap(range) => {
                self.gaps_ahead.push_back(SeqRange { first: range.first.get(), last: range.last.get() });
            }
            Piece::Skimmed(footer) => {
                if let Some(segment) = &mut self.segment {
                    (segment.events, segment.sealed) = (footer.events, true);
                    (segment.origin, segment.types) = (Some(footer.origin), footer.types.clone());
                }
                let header = self.segment.as_ref().and_then(|segment| segment.header.as_ref());
                let is_original =
                    header.is_some_and(|header| header.generation == 0 && header.covers_from == header.number);
                self.runs.skimmed(footer, is_original);
            }
            Piece::Damage(damage) => {
                self.offset = self.offset.max(damage.range.end);
                self.add(damage);
            }
            Piece::Tail(tail) => {
                let Some(segment) = &self.segment else { return };
                if let Some(report) = self.segments.get_mut(&segment.name)
                    && tail.verdict == TailVerdict::InFlight
                {
                    report.verdict = SegmentVerdict::InFlight;
                }
            }
        }
    }

    /// Counts the recorded absences before a seq.
    fn pass_gaps(&mut self, seq: u64) {
        while let Some(gap) = self.gaps_ahead.front().copied().filter(|gap| gap.first < seq) {
            self.gaps_ahead.pop_front();
            self.absences.push(gap);
            self.runs.absent(gap.count());
        }
    }

    /// The link to the segment before.
    fn begin_segment(&mut self) {
        let (Some(segment), Some((number, origin))) = (&self.segment, self.before) else { return };
        let Some(header) = &segment.header else { return };
        let adjoins = number.next() >= header.covers_from;
        if adjoins && let Some(link) = header.predecessor.filter(|link| *link != origin) {
            let text = |link: (u64, [u8; 32])| format!("{} bytes, {}", link.0, blake3::Hash::from(link.1).to_hex());
            let damage = Damage::new(DefectKind::Chain, Some(segment.name), 0..0);
            self.add(&damage.saying(format!("segment {number} as it is: {}", text(origin)), text(link)));
        }
    }

    fn end_segment(&mut self) {
        self.pass_gaps(u64::MAX);
        let Some(segment) = self.segment.take() else { return };
        for (place, kind) in std::mem::take(&mut self.unnamed) {
            let name = kind.reserved_name().map(str::to_owned);
            let name = name.or_else(|| segment.types.get(kind).map(crate::TypeEntry::full_name));
            if let Some(event) = self.findings.get_mut(place).and_then(|finding| finding.event.as_mut()) {
                event.type_name = name.or(event.type_name.take());
            }
        }
        self.events += segment.events;
        self.redacted += segment.redacted;
        self.before = segment.origin.map(|origin| (segment.number, origin));
        let first = segment.header.as_ref().map_or(0, |header| header.first_seq.get());
        if self.first_seq == 0 {
            self.first_seq = first;
        }
        if let Some(report) = self.segments.get_mut(&segment.name) {
            report.events = segment.events;
            report.events_expected = segment.events.saturating_add(segment.lost);
            report.is_sealed = segment.sealed;
            let ahead = self.ahead.remove(&segment.name).unwrap_or_default();
            report.verdict = match segment.worst.max(ahead) {
                Severity::Damaged if segment.worst < Severity::Damaged && segment.number != segment.name => {
                    SegmentVerdict::Misnamed
                }
                Severity::Incompatible => SegmentVerdict::Incompatible,
                Severity::Damaged => SegmentVerdict::Damaged,
                Severity::TornTail => SegmentVerdict::TornTail,
                Severity::Clean if report.verdict == SegmentVerdict::InFlight => SegmentVerdict::InFlight,
                Severity::Clean if segment.has_finding => SegmentVerdict::Finding,
                Severity::Clean => SegmentVerdict::Ok,
            };
            self.closed_bytes += report.len_bytes;
        }
        self.types_before = segment.types_complete.then_some(segment.types);
        self.offset = 0;
    }

    /// Takes a finding.
    fn add(&mut self, damage: &Damage) {
        self.severity = self.severity.max(damage.severity);
        self.lost = self.lost.saturating_add(damage.lost_count());
        match (&mut self.segment, damage.segment) {
            (Some(segment), Some(name)) if segment.name == name => segment.note(damage),
            (_, Some(name)) => self.outside(name, damage),
            _ => {}
        }
        let header = damage.header.filter(|header| header.kind.takes_seq());
        let header = header
            .filter(|header| damage.lost.iter().any(|range| (range.first..=range.last).contains(&header.seq.get())));
        self.runs.lost(&damage.lost, header.as_ref());
        // The event that names a blob is whole, and its type is known by now.
        let header = header.or(damage.header.filter(|_| is_blob(damage.kind)));
        if self.findings.len() >= VerifyReport::MOST_FINDINGS {
            self.not_listed += 1;
            return;
        }
        let event = header.map(|header| LostEvent {
            seq: header.seq.get(),
            run: header.run.map(crate::Seq::get),
            run_name: None,
            revision: header.revision,
            type_name: None,
            time_ns: header.time_ns,
            is_likely: damage.is_likely,
        });
        if let Some(header) = header {
            self.unnamed.push((self.findings.len(), header.kind));
        }
        self.findings.push(Finding {
            number: self.findings.len() as u64 + 1,
            kind: damage.kind,
            severity: damage.severity,
            segment: damage.segment.map(SegmentNumber::get),
            file: damage.segment.map_or_else(|| damage.file.clone(), paths::segment),
            start: damage.range.start,
            end: damage.range.end,
            len_bytes: damage.range.end.saturating_sub(damage.range.start),
            expected: damage.expected.clone(),
            found: damage.found.clone(),
            lost: damage.lost.clone(),
            event,
            likely_flip: damage.likely,
        });
    }

    /// Takes what is found of a file before it is walked over, or of one that is not.
    fn outside(&mut self, name: SegmentNumber, damage: &Damage) {
        let Some(report) = self.segments.get_mut(&name) else { return };
        match report.verdict {
            SegmentVerdict::Ok => {
                self.ahead.insert(name, damage.severity);
            }
            SegmentVerdict::Foreign | SegmentVerdict::Duplicate | SegmentVerdict::Incompatible => {
                report.events_expected = report.events_expected.saturating_add(damage.lost_count());
            }
            _ => {}
        }
    }

    fn finish(mut self, survey: &Survey, inspected: &Inspected, bytes_total: u64, hint: &IndexHint) -> VerifyReport {
        for event in self.findings.iter_mut().filter_map(|finding| finding.event.as_mut()) {
            event.run_name = event.run.and_then(|run| self.runs.name(run));
        }
        let runs = self.runs.finish(self.lost, hint);
        let last_seq = inspected.next.map_or(0, crate::Seq::count_before);
        let durable = inspected.tail.as_ref().map_or(0, |tail| tail.durable);
        let durable = durable.max(survey.at_least.durable);
        let header = survey.files.iter().filter_map(|file| file.header.as_ref()).next_back();
        VerifyReport {
            schema: VerifyReport::SCHEMA,
            log_id: survey.log_id.map(|log_id| log_id.to_string()),
            short_id: survey.log_id.map(crate::LogId::short),
            format: header.map(|header| header.format_version),
            depth: self.depth,
            first_seq: if last_seq == 0 { 0 } else { self.first_seq },
            last_seq,
            durable,
            segments: self.segments.into_values().collect(),
            findings: self.findings,
            findings_not_listed: self.not_listed,
            absences: self.absences,
            tail: inspected.tail.clone(),
            affected_runs: runs.affected,
            possibly_affected_runs: runs.possibly,
            lost_without_run: runs.lost_without_run,
            unaffected_runs: runs.unaffected,
            unaffected_events: runs.unaffected_events,
            totals: Totals {
                events: self.events.saturating_add(self.lost),
                lost: self.lost,
                absent: runs.absent,
                redacted: self.redacted,
                bytes_checked: inspected.accounted_bytes,
                bytes_total,
            },
            severity: self.severity,
        }
    }
}

fn is_blob(kind: FindingKind) -> bool {
    use FindingKind::{BlobDigest, BlobMissing, BlobRedacted, WrongKind};
    matches!(kind, BlobMissing | BlobDigest | BlobRedacted | WrongKind)
}

/// What the survey alone says of a file.
fn report_of(file: &SurveyedFile) -> SegmentReport {
    let verdict = match file.role {
        Role::Member(_) => SegmentVerdict::Ok,
        Role::Superseded => SegmentVerdict::Superseded,
        Role::Duplicate(_) | Role::PutBack(_) => SegmentVerdict::Duplicate,
        Role::Foreign(_) => SegmentVerdict::Foreign,
        Role::Newer => SegmentVerdict::Incompatible,
    };
    SegmentReport {
        segment: file.name.get(),
        holds: file.header.as_ref().map(|header| header.number.get()),
        verdict,
        events: 0,
        events_expected: 0,
        first_seq: file.header.as_ref().map(|header| header.first_seq.get()),
        len_bytes: file.len_bytes,
        generation: file.header.as_ref().map_or(0, |header| header.generation),
        is_sealed: false,
    }
}
