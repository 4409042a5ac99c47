//! The walk over one segment's file: every byte of it is a header block, a frame, free space or damage.

use crate::error::{Error, Result};
use crate::log::cursor::Cursor;
use crate::log::damage::free_space;
use crate::log::piece::{Damage, FindingKind, Piece, Severity, Tail, TailVerdict};
use crate::log::recovery::RecoveryPlan;
use crate::log::segment::Segment;
use crate::storage::{StorageFile, read_full_at};
use crate::{Defect, DefectKind, Footer, Header, Kind, SegmentHeader, SegmentNumber, Seq, Verdict};
use std::ops::Range;
use std::sync::Arc;
use taffrail_log_format::{SegmentKey, Step, TailScan, layout, scan_tail};

/// What follows a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// Another segment, so this one has to be sealed; its first seq, where that is known.
    Successor(Option<Seq>),
    /// Nothing: it is the newest.
    Newest {
        /// The highest seq known from outside to be durable.
        durable: u64,
        /// Whether somebody is writing.
        live: bool,
    },
}

/// One segment to walk over. Nothing else is needed, so segments can be walked over in any order, and at once.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) file: Arc<dyn StorageFile>,
    /// The number in the file's name.
    pub(crate) name: SegmentNumber,
    pub(crate) key: SegmentKey,
    pub(crate) header: Option<SegmentHeader>,
    /// Header blocks that are bad.
    pub(crate) defects: Vec<Defect>,
    pub(crate) len_bytes: u64,
    /// The seq that is due at the start.
    pub(crate) first: Option<Seq>,
    pub(crate) ending: Ending,
}

/// What a walk has found out.
#[derive(Clone, Debug)]
pub(crate) struct Walked {
    /// Bytes that have been looked at and told of.
    pub(crate) accounted_bytes: u64,
    /// The seq that is due behind the segment.
    pub(crate) next: Option<Seq>,
    /// How it ends, if it is the newest.
    pub(crate) tail: Option<Tail>,
}

/// Takes the pieces.
pub(crate) type Visit<'v> = dyn FnMut(&Piece<'_>) -> Result<()> + 'v;

/// What stands at the cursor, free of its borrow.
enum Seen {
    Frame { end: u64, kind: Kind, padding: Option<Range<u64>> },
    Bad(Box<Defect>, Option<Header>),
    Nothing,
}

/// See the module.
pub(crate) struct Walk<'w, 'v> {
    pub(crate) task: &'w Task,
    pub(crate) visit: &'w mut Visit<'v>,
    pub(crate) cursor: Cursor,
    pub(crate) accounted: u64,
    pub(crate) durable: u64,
    /// Frames behind this offset are not events of the log.
    pub(crate) limit: u64,
    /// Up to here the rule has judged.
    pub(crate) judged_to: Option<u64>,
    pub(crate) verdict: TailVerdict,
    /// Where the events end, and where the bytes behind them do.
    pub(crate) end: Option<(u64, u64)>,
    pub(crate) footer_seen: bool,
    pub(crate) sealed: bool,
}

/// Looks at a sealed segment's header and footer only, if the footer says that it may. `None` where it does not, or is not good:
/// then the frames tell.
///
/// # Errors
/// `Io`, and what `visit` returns.
pub(crate) fn skim(task: &Task, may: fn(&Footer) -> bool, visit: &mut Visit<'_>) -> Result<Option<Walked>> {
    let (Ending::Successor(_), Some(header)) = (task.ending, task.header.clone()) else { return Ok(None) };
    let segment = Segment { header, defects: Vec::new(), file: Arc::clone(&task.file) };
    let Some((footer_at, footer)) = segment.footer()?.filter(|(_, footer)| may(footer)) else { return Ok(None) };
    let mut walk = Walk::begin(task, visit)?;
    walk.blocks()?;
    (walk.visit)(&Piece::Skimmed(&footer))?;
    let accounted_bytes = walk.accounted + task.len_bytes.saturating_sub(footer_at);
    Ok(Some(Walked { accounted_bytes, next: Some(footer.next_seq), tail: None }))
}

/// Walks over a segment.
///
/// # Errors
/// `Io`, and what `visit` returns.
pub(crate) fn walk(task: &Task, visit: &mut Visit<'_>) -> Result<Walked> {
    let mut walk = Walk::begin(task, visit)?;
    walk.blocks()?;
    while walk.advance()? {}
    walk.finish()
}

impl<'w, 'v> Walk<'w, 'v> {
    fn begin(task: &'w Task, visit: &'w mut Visit<'v>) -> Result<Walk<'w, 'v>> {
        let cursor =
            Cursor::over(Arc::clone(&task.file), task.key, layout::FIRST_FRAME, task.first).limited(task.len_bytes);
        let durable = match task.ending {
            Ending::Newest { durable, .. } => durable.max(task.first.map_or(0, Seq::count_before)),
            Ending::Successor(_) => 0,
        };
        let (number, header) = (task.key.number(), task.header.as_ref());
        visit(&Piece::Segment { number, name: task.name, header, len_bytes: task.len_bytes })?;
        Ok(Walk {
            task,
            visit,
            cursor,
            accounted: 0,
            durable,
            limit: task.len_bytes,
            judged_to: None,
            verdict: TailVerdict::End,
            end: None,
            footer_seen: false,
            sealed: false,
        })
    }

    fn emit(&mut self, damage: &Damage) -> Result<()> {
        (self.visit)(&Piece::Damage(damage))
    }

    pub(crate) fn damage(&self, kind: DefectKind, range: Range<u64>) -> Damage {
        Damage::new(kind, Some(self.task.name), range)
    }

    pub(crate) fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)];
        let len = read_full_at(&*self.task.file, range.start, &mut bytes)
            .map_err(|error| Error::io("cannot read the log", error).segment(self.task.name).offset(range.start))?;
        bytes.truncate(len);
        Ok(bytes)
    }

    pub(crate) fn due(&self) -> Option<Seq> {
        self.cursor.scanner.expected()
    }

    /// The two header blocks and the free space between them.
    fn blocks(&mut self) -> Result<()> {
        let end = self.task.len_bytes.min(layout::FIRST_FRAME);
        self.accounted += end;
        for defect in &self.task.defects {
            let range = match defect.kind {
                DefectKind::BlockBoth => 0..end,
                _ => defect.offset.min(end)..(defect.offset + layout::block::LEN_BYTES as u64).min(end),
            };
            let damage = self.damage(defect.kind, range).saying(&*defect.expected, &*defect.found);
            let bytes = self.read(0..end)?;
            let damage = crate::log::damage::likely_block_flip(damage, &bytes);
            self.emit(&damage)?;
        }
        self.free(layout::block::LEN_BYTES as u64..layout::SECOND_BLOCK.min(end))
    }

    /// Space that should be zero.
    fn free(&mut self, range: Range<u64>) -> Result<()> {
        if let Some(damage) = free_space(&*self.task.file, self.task.name, range)? {
            self.emit(&damage)?;
        }
        Ok(())
    }

    /// One step on. `false` at the end.
    fn advance(&mut self) -> Result<bool> {
        self.judge(false)?;
        let offset = self.cursor.scanner.offset();
        if self.end.is_some() && offset >= self.limit {
            return Ok(false);
        }
        let seen = match self.cursor.step()? {
            Step::Frame(frame) => {
                let end = frame.end();
                let bad = frame.padding.iter().any(|byte| *byte != 0);
                let padding = bad.then(|| end - frame.padding.len() as u64..end);
                (self.visit)(&Piece::Frame(&frame))?;
                Seen::Frame { end, kind: frame.header.kind, padding }
            }
            Step::Bad { defect, header } => Seen::Bad(Box::new(defect), header),
            Step::Free | Step::End | Step::NeedBytes(_) => Seen::Nothing,
        };
        match seen {
            Seen::Frame { end, kind, padding } => {
                self.accounted += end - offset;
                self.footer_seen |= kind == Kind::FOOTER;
                self.sealed = kind == Kind::SEAL;
                if kind == Kind::GAPS {
                    let gaps = self.cursor.scanner.gaps().clone();
                    gaps.ranges().iter().try_for_each(|range| (self.visit)(&Piece::Gap(range)))?;
                }
                if let Some(range) = padding {
                    self.free_padding(range)?;
                }
                let ends_here = self.sealed && matches!(self.task.ending, Ending::Successor(_));
                Ok(!ends_here)
            }
            Seen::Bad(defect, header) => self.pass(Some(&defect), header),
            Seen::Nothing => self.pass(None, None),
        }
    }

    fn free_padding(&mut self, range: Range<u64>) -> Result<()> {
        if let Some(mut damage) = free_space(&*self.task.file, self.task.name, range)? {
            damage.kind = FindingKind::Defect(DefectKind::Padding);
            self.emit(&damage)?;
        }
        Ok(())
    }

    /// Asks the rule how the newest segment ends, wherever what follows is not known to have been acknowledged.
    fn judge(&mut self, here: bool) -> Result<()> {
        let Ending::Newest { live, .. } = self.task.ending else { return Ok(()) };
        let (offset, Some(due)) = (self.cursor.scanner.offset(), self.due()) else { return Ok(()) };
        let judged = self.end.is_some() || self.judged_to.is_some_and(|to| offset <= to);
        if judged || due.get() <= self.durable || (self.cursor.scanner.in_batch() && !here) {
            return Ok(());
        }
        if self.task.len_bytes.saturating_sub(offset) > RecoveryPlan::MOST_TAIL_BYTES {
            self.judged_to = Some(self.task.len_bytes);
            self.verdict = TailVerdict::Damaged;
            return Ok(());
        }
        let bytes = self.read(offset..self.task.len_bytes)?;
        // The window may be older than these bytes: frames that a writer has completed since would look like holes in it.
        self.cursor.forget();
        let Some(tail) = scan_tail(self.cursor.scanner.clone(), &bytes, self.durable, |_| {}) else { return Ok(()) };
        if live {
            // Above the watermark nothing is damage while somebody writes.
            let verdict = if tail.data_end > tail.batch_at { TailVerdict::InFlight } else { TailVerdict::End };
            self.settle(verdict, tail.batch_at, tail.data_end);
            return Ok(());
        }
        // A segment has no name before its type table is durable: without one it is neither at its end nor torn.
        let verdict = if tail.bad_at == layout::FIRST_FRAME { Verdict::Damaged } else { tail.verdict };
        match verdict {
            Verdict::End => self.settle(TailVerdict::End, tail.bad_at, tail.bad_at),
            Verdict::Torn => self.torn(&tail)?,
            Verdict::Damaged | Verdict::Ambiguous => {
                self.judged_to = Some(tail.bad_at);
                self.durable = self.durable.max(tail.durable);
                let ambiguous = verdict == Verdict::Ambiguous && self.verdict == TailVerdict::End;
                self.verdict = if ambiguous { TailVerdict::Ambiguous } else { TailVerdict::Damaged };
            }
        }
        Ok(())
    }

    fn settle(&mut self, verdict: TailVerdict, end: u64, data_end: u64) {
        if self.verdict == TailVerdict::End {
            self.verdict = verdict;
        }
        self.limit = end;
        self.end = Some((end, data_end));
    }

    fn torn(&mut self, tail: &TailScan) -> Result<()> {
        let (start, end) = (tail.batch_at, tail.data_end.max(tail.bad_at));
        self.settle(TailVerdict::Torn, start, end);
        let what = tail.defect.as_ref().map_or_else(|| "a batch without its end".to_owned(), |d| d.found.to_string());
        let mut damage = self.damage(DefectKind::Truncated, start..end).saying("whole batches", what);
        damage.kind = FindingKind::TornTail;
        if let Some(spot) = self.lone_bit(tail.bad_at..end)?.filter(|_| tail.batch_at == tail.bad_at) {
            damage = spot;
        }
        damage.severity = Severity::TornTail;
        // The frames of the open batch come behind the limit, so the walk ends before it meets this.
        (self.visit)(&Piece::Damage(&damage))
    }

    /// One set bit and nothing else: no remnant of a frame has fewer than two, so it was free space.
    pub(crate) fn lone_bit(&self, range: Range<u64>) -> Result<Option<Damage>> {
        let spot = free_space(&*self.task.file, self.task.name, range)?;
        Ok(spot.filter(|damage| damage.likely.is_some()))
    }

    /// Tells of what is bad at the cursor and goes on behind it. `false` where nothing follows.
    fn pass(&mut self, defect: Option<&Defect>, header: Option<Header>) -> Result<bool> {
        let offset = self.cursor.scanner.offset();
        if self.sealed && matches!(self.task.ending, Ending::Successor(_)) {
            return Ok(false);
        }
        if self.judged_to != Some(offset) {
            self.judge(true)?;
            if self.end.is_some() && offset >= self.limit {
                return Ok(false);
            }
        }
        if matches!(self.task.ending, Ending::Newest { .. }) {
            self.verdict = self.verdict.max_damage();
        }
        let kind = defect.map(|defect| defect.kind);
        let next = self.next_good(kind, header)?;
        let data_end = match next {
            Some((next, _)) => next,
            None => self.data_end(offset)?.max(offset),
        };
        let range = offset.min(self.task.len_bytes)..data_end.min(self.task.len_bytes);
        let damage = self.describe(defect, header, range, next.map(|(_, seq)| seq))?;
        self.emit(&damage)?;
        let gaps = self.cursor.scanner.gaps();
        let due = damage.lost.last().map(|range| gaps.skip(Seq::after(range.last))).or(self.due());
        self.accounted += data_end - offset;
        // A seal whose header is good ends the segment, whatever became of its payload.
        self.sealed |= header.is_some_and(|header| header.kind == Kind::SEAL);
        match next {
            Some((next, seq)) => {
                self.cursor.scanner.resume_at(next, Some(self.cursor.scanner.gaps().skip(seq)));
                Ok(true)
            }
            None => {
                self.cursor.scanner.resume_at(data_end, due);
                self.end = Some((offset, data_end));
                self.limit = data_end;
                Ok(false)
            }
        }
    }

    fn finish(mut self) -> Result<Walked> {
        let offset = self.cursor.scanner.offset();
        let (end, data_end) = self.end.unwrap_or((offset, offset));
        // Behind the seal or the last event comes what has been told of as torn or in flight, and then free space.
        let behind = data_end.max(offset);
        self.accounted += behind - offset;
        self.free(behind..self.task.len_bytes)?;
        self.accounted += self.task.len_bytes.saturating_sub(behind);
        let tail = match self.task.ending {
            Ending::Successor(_) => None,
            Ending::Newest { .. } => Some(Tail {
                verdict: self.verdict,
                segment: self.task.name.get(),
                end,
                len_bytes: data_end.saturating_sub(end),
                durable: self.durable,
                is_sealed: self.sealed,
            }),
        };
        if let Some(tail) = &tail {
            (self.visit)(&Piece::Tail(tail))?;
        }
        Ok(Walked { accounted_bytes: self.accounted, next: self.due(), tail })
    }
}

impl TailVerdict {
    /// At damage, what was thought to be in order is damaged.
    fn max_damage(self) -> TailVerdict {
        if self == TailVerdict::Ambiguous { self } else { TailVerdict::Damaged }
    }
}
