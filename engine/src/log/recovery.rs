//! What opening a store for writing would do to its tail, as a plan; and doing it.

use crate::error::{Error, Result};
use crate::log::compact::publish;
use crate::log::evidence::{AtLeast, Evidence};
use crate::log::listing::{Listing, no_store};
use crate::log::lock::LockState;
use crate::log::position::Position;
use crate::log::run_index_file::frame_is_there;
use crate::log::segment::Segment;
use crate::log::{paths, quarantine};
use crate::storage::{OpenMode, Storage, read_full_at, write_all_at};
use crate::{Defect, DefectKind, ErrorKind, Recovered, SegmentNumber, Seq, Verdict, Watermark};
use std::ops::Range;
use taffrail_log_format::sabotage::{self, Sabotage};
use taffrail_log_format::{Scanner, TailScan, layout, scan_tail};

/// What opening a store for writing would do: pure, made by reading only.
#[derive(Clone, Debug)]
pub struct RecoveryPlan {
    /// The store's segments.
    pub listing: Listing,
    /// What `LOCK` said when the plan was made.
    pub lock: LockState,
    /// The newest segment.
    pub segment: SegmentNumber,
    /// Where in it scanning began.
    pub scanned_from: u64,
    /// The tail, and the verdict of the rule.
    pub tail: TailScan,
    /// Files of an interrupted rotation, which hold nothing acknowledged.
    pub leftovers: Vec<String>,
    /// Findings that do not stop appending.
    pub findings: Vec<Defect>,
}

impl RecoveryPlan {
    /// Longest tail that is judged in one piece.
    pub(crate) const MOST_TAIL_BYTES: u64 = 1 << 30;

    /// Looks at a store's tail, reading only.
    ///
    /// # Errors
    /// `NotFound` where there is no store; `Damaged` where acknowledged data is missing before the tail can be judged (a
    /// segment is not there, or belongs to another log); `Incompatible`; `Io`.
    pub fn make(storage: &dyn Storage) -> Result<RecoveryPlan> {
        // In this order: whoever looks on without the lock must not see evidence that is newer than the listing, for a
        // rotation in between would then look like a missing segment.
        let evidence = Evidence::read(storage)?;
        let listing = Listing::read(storage)?;
        let Some(newest) = listing.newest() else { return Err(nothing_there(storage, &listing, &evidence)) };
        if let Some(mark) = evidence.slots.newest.filter(|mark| mark.segment > newest) {
            return Err(listing.missing(mark.segment).seq(mark.durable));
        }
        if let Some((number, _)) = listing.special.last().filter(|(number, _)| *number > newest) {
            return Err(listing.missing(*number));
        }
        check_listing(storage, &listing)?;
        let segment = Segment::open(storage, newest, OpenMode::Read)?;
        let log_id = segment.header.log_id;
        if let Some(mark) = evidence.slots.newest.filter(|mark| mark.log_id != log_id) {
            let message = format!("segment {newest} belongs to log {log_id}, the watermark to {}", mark.log_id);
            return Err(foreign(message, newest));
        }
        let at_least = evidence.of(storage, log_id);
        if let Some(later) = at_least.segment.filter(|later| *later > newest) {
            return Err(listing.missing(later).seq(at_least.durable));
        }
        let mut findings = segment.defects.clone();
        findings.extend(check_link(storage, &listing, &segment)?);
        let (scanned_from, tail) = scan(&segment, evidence.mark(log_id), at_least)?;
        let Evidence { slots, lock, .. } = evidence;
        findings.extend(slots.defects);
        let leftovers = listing.strays.iter().filter(|name| name.ends_with(".tmp")).cloned().collect();
        Ok(RecoveryPlan { listing, lock, segment: newest, scanned_from, tail, leftovers, findings })
    }

    /// Why the store may not be opened for writing, if it may not.
    #[must_use]
    pub fn refusal(&self) -> Option<Error> {
        let tail = &self.tail;
        let zeros = || format!("from seq {} on there are zeros", tail.expected);
        let what = tail.defect.as_ref().map_or_else(zeros, ToString::to_string);
        let error = match tail.verdict {
            Verdict::End | Verdict::Torn => return None,
            Verdict::Damaged => {
                let message =
                    format!("acknowledged events are damaged: {} were durable, and {what}", up_to(tail.durable));
                Error::new(ErrorKind::Damaged, "T0301", message)
            }
            Verdict::Ambiguous => {
                let message = format!("the last group of events is damaged, and may have been acknowledged: {what}");
                Error::new(ErrorKind::Damaged, "T0302", message)
            }
        };
        Some(error.segment(self.segment).offset(tail.bad_at).seq(tail.expected.get()).hint("taffrail log verify"))
    }

    /// Where the log ends, or will end after the cut.
    #[must_use]
    pub fn end(&self) -> (SegmentNumber, u64) {
        (self.segment, if self.tail.verdict == Verdict::Torn { self.tail.batch_at } else { self.tail.bad_at })
    }

    /// The bytes that will be cut, in the newest segment; `None` where nothing will.
    #[must_use]
    pub fn cut(&self) -> Option<Range<u64>> {
        let tail = &self.tail;
        (tail.verdict == Verdict::Torn).then(|| tail.batch_at..tail.data_end.max(tail.bad_at))
    }

    /// The last event that will be there.
    #[must_use]
    pub fn head(&self) -> u64 {
        let next = if self.tail.verdict == Verdict::Torn { self.tail.batch_seq } else { self.tail.expected };
        next.count_before()
    }

    /// Carries the plan out: a torn tail goes to quarantine and is zeroed; what stays is made durable. The caller holds the
    /// store's lock. Idempotent, and safe to be interrupted anywhere.
    pub(crate) fn apply(&self, storage: &dyn Storage) -> Result<Vec<Recovered>> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        for name in &self.leftovers {
            storage
                .remove(&format!("{}/{name}", paths::SEGMENTS))
                .map_err(|error| Error::io(format_args!("cannot remove {name}"), error))?;
        }
        publish::finish(storage, &self.listing)?;
        let number = self.segment;
        let file = storage
            .open(&paths::segment(number), OpenMode::Write)
            .map_err(|error| Error::io("cannot open the newest segment", error).segment(number))?;
        let cut = self.cut().filter(|cut| !cut.is_empty());
        if let Some(cut) = &cut {
            quarantine::keep(storage, &quarantine::torn(number, cut.start), "tail", &*file, cut.clone())?;
            if !sabotage::is(Sabotage::SkipZeroing) {
                zero(&*file, cut.clone()).map_err(|error| Error::io("cannot clear the torn tail", error))?;
            }
        }
        // Up to the root's own name: whoever made the store may have been stopped before that was durable.
        file.sync_all()
            .and_then(|()| storage.sync_dir(paths::SEGMENTS))
            .and_then(|()| storage.sync_dir(""))
            .and_then(|()| storage.sync_parent())
            .map_err(|error| Error::io("cannot sync the newest segment", error).segment(number))?;
        self.untold(storage)
    }

    /// Tails that were cut, now or by a recovery that was stopped before it could say so: no event has been appended behind
    /// their places, and the first one there is the one that tells of them.
    fn untold(&self, storage: &dyn Storage) -> Result<Vec<Recovered>> {
        let kept = quarantine::torn_tails(storage, self.behind_last_event(storage)?)?.into_iter();
        let tell = |tail: quarantine::TornTail| {
            let (len_bytes, digest) = tail.digest(storage)?;
            let first = Seq::after(self.head());
            let segment = tail.segment.get();
            Ok(Recovered { first, segment, offset: tail.offset, len_bytes, digest, kept_in: tail.kept_in })
        };
        kept.map(tell).collect()
    }
}

impl RecoveryPlan {
    /// The place behind the last event. A footer, a seal and a new segment may stand behind it already; and a footer whose seal
    /// was torn, so that the log's end is no measure.
    fn behind_last_event(&self, storage: &dyn Storage) -> Result<(SegmentNumber, u64)> {
        let here = (self.segment, self.tail.events_end);
        let newest = Segment::open(storage, self.segment, OpenMode::Read)?;
        let is_empty = Seq::after(self.head()) == newest.header.first_seq;
        let Some(before) = self.listing.before(self.segment).filter(|_| is_empty) else { return Ok(here) };
        // Damage in an older segment stops nobody.
        let Some(last) = Segment::open_unless_damaged(storage, before)? else { return Ok(here) };
        let footer = last.footer()?;
        Ok(footer.map_or(here, |(footer_at, _)| (last.header.number, footer_at)))
    }
}

/// Drops what the page cache holds of the newest segment's tail: after a failed sync it serves bytes that the disk has not.
pub(crate) fn distrust_cache(storage: &dyn Storage) -> Result<()> {
    let Some(newest) = Listing::read(storage)?.newest() else { return Ok(()) };
    let dropped = storage.open(&paths::segment(newest), OpenMode::Read).and_then(|file| file.drop_cached(0, 0));
    dropped.map_err(|error| Error::io("cannot drop cached pages", error).segment(newest))
}

fn zero(file: &dyn crate::storage::StorageFile, range: Range<u64>) -> std::io::Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(ZEROS.len());
        write_all_at(file, at, &ZEROS[..len])?;
        at += len as u64;
    }
    Ok(())
}

fn up_to(durable: u64) -> String {
    format!("seqs up to {durable}")
}

/// Why a store without segments can not be opened.
fn nothing_there(storage: &dyn Storage, listing: &Listing, evidence: &Evidence) -> Error {
    let known = || evidence.log_id().and_then(|log_id| evidence.of(storage, log_id).segment);
    let segment = listing.special.first().map(|(number, _)| *number).or_else(known);
    segment.map_or_else(no_store, |number| listing.missing(number))
}

fn foreign(message: String, number: SegmentNumber) -> Error {
    Error::new(ErrorKind::Damaged, "T0304", message).segment(number).hint("taffrail log verify")
}

/// Every segment has its predecessor in the listing, or stands for it.
fn check_listing(storage: &dyn Storage, listing: &Listing) -> Result<()> {
    for (after, hole) in listing.holes() {
        let covers_from = Segment::open(storage, after, OpenMode::Read)?.header.covers_from;
        if covers_from > hole {
            return Err(listing.missing(hole));
        }
    }
    let Some((lowest, _)) = listing.segments.first() else { return Ok(()) };
    if *lowest == SegmentNumber::FIRST {
        return Ok(());
    }
    match Segment::open(storage, *lowest, OpenMode::Read)?.header.covers_from {
        SegmentNumber::FIRST => Ok(()),
        from => Err(listing.missing(from.previous().unwrap_or(SegmentNumber::FIRST))),
    }
}

/// The newest segment continues the one before it. What can not be compared, because the older one is damaged, is a finding.
fn check_link(storage: &dyn Storage, listing: &Listing, newest: &Segment) -> Result<Option<Defect>> {
    let Some((len, digest)) = newest.header.predecessor else { return Ok(None) };
    let number = newest.header.number;
    let Some(before) = listing.before(number) else { return Ok(None) };
    let predecessor = match Segment::open(storage, before, OpenMode::Read) {
        Ok(segment) => segment,
        Err(error) if error.kind() == ErrorKind::Damaged => {
            let found = error.to_string();
            return Ok(Some(Defect::new(DefectKind::Chain, 0, "a readable predecessor", found)));
        }
        Err(error) => return Err(error),
    };
    if predecessor.header.log_id != newest.header.log_id {
        return Err(foreign(format!("segments {before} and {number} belong to different logs"), number));
    }
    match predecessor.footer()? {
        None => Ok(Some(Defect::new(DefectKind::Footer, 0, "a footer in the predecessor", "none that is good"))),
        Some((_, footer)) if footer.origin == (len, digest) => Ok(None),
        Some(_) => Err(foreign(format!("segment {number} does not continue segment {before}"), number)),
    }
}

/// Scans the newest segment: from the watermark if its frame is there, else from the beginning.
fn scan(segment: &Segment, mark: Option<Watermark>, at_least: AtLeast) -> Result<(u64, TailScan)> {
    let header = &segment.header;
    let number = header.number;
    let durable = header.first_seq.count_before().max(at_least.durable);
    let (mut start, mut expected) = (layout::FIRST_FRAME, header.first_seq);
    if let Some(mark) = mark {
        let position = Position {
            segment: mark.segment,
            offset: mark.offset,
            next_seq: Seq::after(mark.durable),
            time_max_ns: i64::MIN,
            last_frame: mark.last_frame,
            last_frame_crc: mark.last_frame_crc,
        };
        if mark.segment == number && frame_is_there(&*segment.file, header.log_id, &position)? {
            (start, expected) = (mark.offset, position.next_seq);
        }
    }
    let mut scanner = Scanner::new(header.key(), start, Some(expected));
    if start > layout::FIRST_FRAME {
        scanner.assume_gaps(segment.gaps()?);
    }
    let io = |error| Error::io("cannot read the newest segment", error).segment(number);
    let len = segment.file.len_bytes().map_err(io)?.saturating_sub(start);
    if len > RecoveryPlan::MOST_TAIL_BYTES {
        let message = format!("the newest segment has {len} bytes behind {start:#x}: more than any writer leaves");
        return Err(Error::new(ErrorKind::Damaged, "T0305", message).segment(number).hint("taffrail log verify"));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = read_full_at(&*segment.file, start, &mut bytes).map_err(io)?;
    bytes.truncate(read);
    let tail = scan_tail(scanner, &bytes, durable, |_| {});
    let tail = tail.ok_or_else(|| Error::new(ErrorKind::Invalid, "T0190", "scanning began without a seq"))?;
    if tail.bad_at == layout::FIRST_FRAME {
        // A segment has no name before its type table is durable, so this is no tear, whatever it looks like.
        let message = "the segment's type table is damaged";
        let error = Error::new(ErrorKind::Damaged, "T0305", message).segment(number).offset(tail.bad_at);
        return Err(error.hint("taffrail log verify"));
    }
    Ok((start, tail))
}
