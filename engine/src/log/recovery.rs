//! What opening a store for writing would do to its tail, as a plan; and doing it.

use crate::error::{Error, Result};
use crate::log::compact::publish;
use crate::log::listing::{Listing, no_store};
use crate::log::lock::LockState;
use crate::log::position::Position;
use crate::log::run_index_file::frame_is_there;
use crate::log::segment::Segment;
use crate::log::{paths, quarantine, watermark};
use crate::storage::{OpenMode, Storage, read_full_at, write_all_at};
use crate::{Defect, DefectKind, ErrorKind, Recovered, SegmentNumber, Seq, Verdict, Watermark};
use std::ops::Range;
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
        // In this order: whoever looks on without the lock must not see a watermark that is newer than the listing, for a
        // rotation in between would then look like a missing segment.
        let slots = watermark::read(storage)?;
        let listing = Listing::read(storage)?;
        let lock = LockState::read(storage)?;
        let Some(newest) = listing.newest() else {
            return Err(match (listing.special.first(), slots.newest) {
                (Some((number, _)), _) => listing.missing(*number),
                (None, Some(mark)) => listing.missing(mark.segment),
                (None, None) => no_store(),
            });
        };
        if let Some(mark) = slots.newest.filter(|mark| mark.segment > newest) {
            return Err(listing.missing(mark.segment).seq(mark.durable));
        }
        if let Some((number, _)) = listing.special.last().filter(|(number, _)| *number > newest) {
            return Err(listing.missing(*number));
        }
        check_listing(storage, &listing)?;
        let segment = Segment::open(storage, newest, OpenMode::Read)?;
        if let Some(mark) = slots.newest.filter(|mark| mark.log_id != segment.header.log_id) {
            let message =
                format!("segment {newest} belongs to log {}, the watermark to {}", segment.header.log_id, mark.log_id);
            return Err(foreign(message, newest));
        }
        let mut findings = segment.defects.clone();
        findings.extend(slots.defects);
        findings.extend(check_link(storage, &listing, &segment)?);
        let (scanned_from, tail) = scan(&segment, slots.newest)?;
        let leftovers = listing.strays.iter().filter(|name| name.ends_with(".tmp")).cloned().collect();
        Ok(RecoveryPlan { listing, lock, segment: newest, scanned_from, tail, leftovers, findings })
    }

    /// Why the store may not be opened for writing, if it may not.
    #[must_use]
    pub fn refusal(&self) -> Option<Error> {
        let tail = &self.tail;
        let what = tail.defect.as_ref().map_or_else(|| "zeros".to_owned(), ToString::to_string);
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
    pub(crate) fn apply(&self, storage: &dyn Storage) -> Result<Option<Recovered>> {
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
        let recovered = match self.cut().filter(|cut| !cut.is_empty()) {
            None => None,
            Some(cut) => {
                let directory = format!("{}/torn-{:010}-{:#x}", paths::QUARANTINE, number.get(), cut.start);
                let (kept_in, digest) = quarantine::keep(storage, &directory, "tail", &*file, cut.clone())?;
                zero(&*file, cut.clone()).map_err(|error| Error::io("cannot clear the torn tail", error))?;
                Some(Recovered {
                    first: self.tail.batch_seq,
                    segment: number.get(),
                    offset: cut.start,
                    len_bytes: cut.end - cut.start,
                    digest,
                    kept_in,
                })
            }
        };
        // Up to the root's own name: whoever made the store may have been stopped before that was durable.
        file.sync_all()
            .and_then(|()| storage.sync_dir(paths::SEGMENTS))
            .and_then(|()| storage.sync_dir(""))
            .and_then(|()| storage.sync_parent())
            .map_err(|error| Error::io("cannot sync the newest segment", error).segment(number))?;
        Ok(recovered)
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
fn scan(segment: &Segment, mark: Option<Watermark>) -> Result<(u64, TailScan)> {
    let header = &segment.header;
    let number = header.number;
    let mut durable = header.first_seq.count_before();
    let (mut start, mut expected) = (layout::FIRST_FRAME, header.first_seq);
    if let Some(mark) = mark {
        durable = durable.max(mark.durable);
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
