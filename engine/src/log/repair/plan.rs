use crate::error::{Error, Result};
use crate::log::cursor::Cursor;
use crate::log::evidence::Evidence;
use crate::log::listing::Listing;
use crate::log::quarantine::digest_of;
use crate::log::recovery::RecoveryPlan;
use crate::log::repair::rename::{misnamed, renamed};
use crate::log::repair::survey::{Bad, Neighbours, Survey};
use crate::log::segment::Segment;
use crate::plan::{plan_id, plan_name};
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, LogId, SegmentNumber, Seq, Verdict};
use serde::Serialize;
use taffrail_log_format::{SegmentKey, Step, layout};

/// How far a repair goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairMode {
    /// The end of the newest segment only: what opening would cut, or damage in the last group of events.
    Tail,
    /// Every damaged place of the log.
    Salvage,
}

/// What a repair does to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairAction {
    /// Cut the tail, as opening would.
    Cut,
    /// Write it anew: good frames, and a record of what is absent.
    Rewrite,
    /// It is not there: put a segment in its place that records the absence.
    Replace,
    /// Its file has another name: give it its own.
    Rename,
}

/// Bytes that a repair takes out of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// First byte.
    pub start: u64,
    /// How many bytes.
    pub len_bytes: u64,
    /// BLAKE3, in hexadecimal.
    pub digest: String,
    /// The first and the last seq that are lost there; `None` where none is.
    pub lost: Option<(u64, u64)>,
}

/// What a repair does to one segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentRepair {
    /// The segment.
    pub segment: u32,
    /// What is done.
    pub action: RepairAction,
    /// Good events that are kept.
    pub kept_events: u64,
    /// Bytes that go to quarantine.
    pub removed: Vec<Removed>,
    /// Ranges of seqs that will be recorded as absent, first and last.
    pub gaps: Vec<(u64, u64)>,
    /// Events that are lost.
    pub lost: u64,
    /// Whether it is the newest segment: it is sealed then, and what is appended later goes into the next one.
    pub is_newest: bool,
    /// The file that it is in, where that has another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What a repair would do. Made by reading only; carried out by [`RepairPlan::apply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepairPlan {
    /// BLAKE3 over the plan and the bytes that it would take away, in hexadecimal; the first six digits are its name.
    pub id: String,
    /// The log.
    pub log_id: String,
    /// How far it goes.
    pub mode: RepairMode,
    /// The segments that it changes.
    pub segments: Vec<SegmentRepair>,
    /// Events that are lost: to be accepted by number.
    pub lost: u64,
    /// Bytes that are removed without loss: they were never acknowledged, or never meant anything.
    pub torn_bytes: u64,
}

impl RepairPlan {
    /// Looks at a store and plans its repair. A healthy store gets an empty plan.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`; `Damaged` where this mode can not help, with the command that can; `Io`.
    pub fn make(storage: &dyn Storage, mode: RepairMode) -> Result<RepairPlan> {
        let listing = Listing::read(storage)?;
        let log_id = log_id(storage, &listing)?;
        let segments = match mode {
            RepairMode::Tail => tail(storage)?.into_iter().collect(),
            RepairMode::Salvage => salvage(storage, &listing, log_id)?,
        };
        let lost = segments.iter().map(|segment| segment.lost).sum();
        let torn = |segment: &SegmentRepair| -> u64 {
            let without_loss = segment.removed.iter().filter(|removed| removed.lost.is_none());
            without_loss.map(|removed| removed.len_bytes).sum()
        };
        let torn_bytes = segments.iter().map(torn).sum();
        let mut plan = RepairPlan { id: String::new(), log_id: log_id.to_string(), mode, segments, lost, torn_bytes };
        plan.id = plan_id(&plan)?;
        Ok(plan)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The short name: the first six digits of the id.
    #[must_use]
    pub fn name(&self) -> &str {
        plan_name(&self.id)
    }
}

/// The log's id: from the newest readable segment, or from what else tells of the log.
fn log_id(storage: &dyn Storage, listing: &Listing) -> Result<LogId> {
    for (number, _) in listing.segments.iter().rev() {
        if let Some(segment) = Segment::open_unless_damaged(storage, *number)? {
            return Ok(segment.header.log_id);
        }
    }
    Evidence::read(storage)?.log_id().ok_or_else(crate::log::listing::no_store)
}

fn removed(segment: &Segment, start: u64, end: u64, lost: Option<(Seq, Seq)>) -> Result<Removed> {
    let digest = blake3::Hash::from(digest_of(&*segment.file, start..end)?).to_hex().to_string();
    let lost = lost.map(|(first, last)| (first.get(), last.get()));
    Ok(Removed { start, len_bytes: end - start, digest, lost })
}

/// The end of the newest segment.
fn tail(storage: &dyn Storage) -> Result<Option<SegmentRepair>> {
    let plan = RecoveryPlan::make(storage)?;
    let tail = &plan.tail;
    let segment = Segment::open(storage, plan.segment, OpenMode::Read)?;
    let kept_events = tail.batch_seq.count_before() + 1 - segment.header.first_seq.get();
    let (bytes, lost) = match tail.verdict {
        Verdict::End => return Ok(None),
        Verdict::Damaged => {
            return Err(plan
                .refusal()
                .unwrap_or_else(crate::log::listing::no_store)
                .hint("taffrail log repair --mode salvage"));
        }
        Verdict::Torn => (plan.cut().unwrap_or(tail.batch_at..tail.batch_at), None),
        // What can be seen of the group may have been acknowledged, so it counts as lost.
        Verdict::Ambiguous => (tail.batch_at..tail.data_end.max(tail.bad_at), Some((tail.batch_seq, tail.expected))),
    };
    let removed = removed(&segment, bytes.start, bytes.end, lost)?;
    let lost_count = removed.lost.map_or(0, |(first, last)| last - first + 1);
    let (action, gaps) = match removed.lost {
        None => (RepairAction::Cut, Vec::new()),
        Some(range) => (RepairAction::Rewrite, vec![range]),
    };
    let number = plan.segment.get();
    let removed = vec![removed];
    let (lost, is_newest) = (lost_count, true);
    Ok(Some(SegmentRepair { segment: number, action, kept_events, removed, gaps, lost, is_newest, from: None }))
}

fn salvage(storage: &dyn Storage, listing: &Listing, log_id: LogId) -> Result<Vec<SegmentRepair>> {
    let at_least = Evidence::read(storage)?.of(storage, log_id);
    let newest = listing.newest().into_iter().chain(at_least.segment).max();
    let (false, Some(newest)) = (listing.segments.is_empty(), newest) else { return Ok(Vec::new()) };
    let misnamed = misnamed(storage, listing, log_id)?;
    if !misnamed.is_empty() {
        // What else there is can be judged when each segment is where it belongs.
        return Ok(misnamed.into_iter().map(|(number, file)| renamed(number, file)).collect());
    }
    nothing_was_put_back(storage, listing, log_id)?;
    let mut repairs = Vec::new();
    let mut number = SegmentNumber::FIRST;
    while number <= newest {
        // Where a file stands for several, those are not missing.
        if let Some(standing) = listing.standing_for(number)
            && standing != number
            && covers_from(storage, listing, log_id, standing)? <= number
        {
            number = standing;
        }
        let is_newest = number == newest;
        repairs.extend(salvage_segment(storage, listing, log_id, number, is_newest, at_least.durable)?);
        number = number.next();
    }
    Ok(repairs)
}

/// Whether no file is there beside one that stands for it. Whether that is the better one is not for a repair to say.
fn nothing_was_put_back(storage: &dyn Storage, listing: &Listing, log_id: LogId) -> Result<()> {
    for (number, _) in &listing.segments {
        let Some(Segment { header, .. }) = Segment::open_unless_damaged(storage, *number)? else { continue };
        let put_back = listing.standing_for(header.covers_from).filter(|put_back| put_back < number);
        if let Some(put_back) = put_back.filter(|_| header.log_id == log_id) {
            let message = format!("segment {put_back} has a file, and segment {number} stands for it");
            return Err(Error::new(ErrorKind::Damaged, "T0304", message)
                .segment(put_back)
                .hint("move the file away, then plan again: its events are in the other one, or in an archive"));
        }
    }
    Ok(())
}

fn salvage_segment(
    storage: &dyn Storage,
    listing: &Listing,
    log_id: LogId,
    number: SegmentNumber,
    is_newest: bool,
    durable: u64,
) -> Result<Option<SegmentRepair>> {
    if !listing.has(number) {
        return missing(storage, listing, log_id, number, durable, is_newest).map(Some);
    }
    let opened = open_or_guess(storage, listing, log_id, number)?;
    if is_newest && opened.is_read {
        let plan = tail_of(storage)?;
        if let Some(plan) = plan.filter(|plan| matches!(plan.tail.verdict, Verdict::End | Verdict::Torn)) {
            let survey = Survey::read(&opened.segment)?;
            // Of a torn batch, frames behind the first torn one may be whole: nothing of it had been acknowledged.
            let is_torn = |bad: &Bad| plan.tail.verdict == Verdict::Torn && bad.bytes.start >= plan.tail.batch_at;
            let is_damage = |bad: &Bad| bad.lost.is_some() || bad.bytes.end <= plan.tail.batch_at;
            let damaged = survey.bad.iter().any(|bad| !is_torn(bad) && is_damage(bad));
            if !damaged && opened.segment.defects.is_empty() {
                return tail(storage);
            }
        }
    }
    let survey = Survey::read(&opened.segment)?;
    let end = end_of(&survey, storage, listing, number, is_newest, durable)?;
    let is_header_whole = opened.is_read && opened.segment.defects.is_empty();
    if is_header_whole && survey.bad.is_empty() && end == survey.next_seq && (survey.sealed || is_newest) {
        return Ok(None);
    }
    let mut repair = SegmentRepair {
        segment: number.get(),
        action: RepairAction::Rewrite,
        kept_events: survey.events,
        removed: Vec::new(),
        gaps: survey.bad.iter().filter_map(|bad| bad.lost).map(|(a, b)| (a.get(), b.get())).collect(),
        lost: 0,
        is_newest,
        from: None,
    };
    for bad in &survey.bad {
        repair.removed.push(removed(&opened.segment, bad.bytes.start, bad.bytes.end, bad.lost)?);
    }
    if end > survey.next_seq {
        repair.gaps.push((survey.next_seq.get(), end.count_before()));
    }
    repair.lost = repair.gaps.iter().map(|(first, last)| last - first + 1).sum();
    Ok(Some(repair))
}

/// The recovery plan, where the tail can be judged at all.
fn tail_of(storage: &dyn Storage) -> Result<Option<RecoveryPlan>> {
    match RecoveryPlan::make(storage) {
        Ok(plan) => Ok(Some(plan)),
        Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
        Err(error) => Err(error),
    }
}

/// The seq at which a segment has to end: where the next one begins; in the newest one, behind what was acknowledged.
fn end_of(
    survey: &Survey,
    storage: &dyn Storage,
    listing: &Listing,
    number: SegmentNumber,
    is_newest: bool,
    durable: u64,
) -> Result<Seq> {
    if is_newest {
        let judged = tail_of(storage)?.map_or(0, |plan| plan.tail.durable);
        return Ok(survey.next_seq.max(Seq::after(durable.max(judged))));
    }
    let behind = neighbours(storage, listing, survey.header.log_id, number)?.behind;
    Ok(behind.map_or(survey.next_seq, |(first, _)| survey.next_seq.max(first)))
}

/// A segment that is not there: everything between its neighbours is absent.
fn missing(
    storage: &dyn Storage,
    listing: &Listing,
    log_id: LogId,
    number: SegmentNumber,
    durable: u64,
    is_newest: bool,
) -> Result<SegmentRepair> {
    let around = neighbours(storage, listing, log_id, number)?;
    let first = around.header_of(number, 1)?.first_seq;
    let next = around.behind.map_or_else(|| Seq::after(durable), |(next, _)| next).max(first);
    let gaps = if next > first { vec![(first.get(), next.count_before())] } else { Vec::new() };
    let lost = gaps.iter().map(|(first, last)| last - first + 1).sum();
    let action = RepairAction::Replace;
    let (segment, kept_events, removed) = (number.get(), 0, Vec::new());
    Ok(SegmentRepair { segment, action, kept_events, removed, gaps, lost, is_newest, from: None })
}

/// An open segment, with a header that was read, or worked out where it can not be.
pub(super) struct Opened {
    pub(super) segment: Segment,
    pub(super) is_read: bool,
}

const MOVE_AWAY: &str = "move the file away, then plan again: the segment is then repaired as a missing one";

pub(super) fn open_or_guess(
    storage: &dyn Storage,
    listing: &Listing,
    log_id: LogId,
    number: SegmentNumber,
) -> Result<Opened> {
    match Segment::open(storage, number, OpenMode::Read) {
        Ok(segment) if segment.header.log_id == log_id => Ok(Opened { segment, is_read: true }),
        Ok(_) => Err(Error::new(ErrorKind::Damaged, "T0304", format!("segment {number} belongs to another log"))
            .segment(number)
            .hint(MOVE_AWAY)),
        Err(error) if error.code() == "T0304" => Err(error.hint(MOVE_AWAY)),
        Err(error) if error.kind() == ErrorKind::Damaged && error.code() == "T0305" => {
            let header = neighbours(storage, listing, log_id, number)?.header_of(number, 0)?;
            let file = storage
                .open(&crate::log::paths::segment(number), OpenMode::Read)
                .map_err(|error| Error::io("cannot open a segment", error).segment(number))?;
            let segment = Segment { header, defects: Vec::new(), file: file.into() };
            Ok(Opened { segment, is_read: false })
        }
        Err(error) => Err(error),
    }
}

/// The lowest segment that one stands for. Where its header can not be read, its first frame tells: it says which seq was due.
fn covers_from(
    storage: &dyn Storage,
    listing: &Listing,
    log_id: LogId,
    number: SegmentNumber,
) -> Result<SegmentNumber> {
    if let Some(segment) = Segment::open_unless_damaged(storage, number)? {
        return Ok(segment.header.covers_from);
    }
    if number.previous().is_none_or(|before| listing.has(before)) {
        return Ok(number);
    }
    let before = listing.before(number);
    let due = match before.map(|before| Segment::open_unless_damaged(storage, before)).transpose()? {
        None => Some(Seq::FIRST),
        Some(Some(segment)) => segment.footer()?.map(|(_, footer)| footer.next_seq),
        Some(None) => None,
    };
    let file = storage
        .open(&crate::log::paths::segment(number), OpenMode::Read)
        .map_err(|error| Error::io("cannot open a segment", error).segment(number))?;
    let mut cursor = Cursor::over(file.into(), SegmentKey::new(log_id, number), layout::FIRST_FRAME, None);
    let first = match cursor.step()? {
        Step::Frame(frame) => Some(frame.header.seq),
        _ => None,
    };
    let continues = first.is_some() && first == due;
    Ok(if continues { before.map_or(SegmentNumber::FIRST, SegmentNumber::next) } else { number })
}

/// What the segments before and behind tell.
pub(super) fn neighbours(
    storage: &dyn Storage,
    listing: &Listing,
    log_id: LogId,
    number: SegmentNumber,
) -> Result<Neighbours> {
    let open = |number: SegmentNumber| Segment::open_unless_damaged(storage, number);
    let covers_from = if listing.has(number) { covers_from(storage, listing, log_id, number)? } else { number };
    let adjoins = |before: &SegmentNumber| before.next() >= covers_from;
    let before = listing.before(number).filter(adjoins).map(open).transpose()?.flatten();
    let before = before.map(|segment| segment.footer()).transpose()?.flatten();
    let behind = listing.after(number).map(open).transpose()?.flatten();
    let behind = behind.filter(|segment| segment.header.covers_from <= number.next());
    Ok(Neighbours {
        log_id,
        covers_from,
        before: before.as_ref().map(|(_, footer)| (footer.next_seq, footer.time_max_ns, footer.origin)),
        types: before.map(|(_, footer)| footer.types).unwrap_or_default(),
        behind: behind.map(|segment| (segment.header.first_seq, segment.header.predecessor)),
    })
}
