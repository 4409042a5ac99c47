//! The walk over one segment's file: every byte of it is a header block, a frame, free space or damage.

use crate::error::{Error, Result};
use crate::log::cursor::Cursor;
use crate::log::damage::{free_space, lost_between};
use crate::log::piece::{Damage, FindingKind, LikelyFlip, Piece, Severity, Tail, TailVerdict};
use crate::log::recovery::RecoveryPlan;
use crate::log::segment::Segment;
use crate::storage::{StorageFile, read_full_at};
use crate::{Defect, DefectKind, Header, Kind, SegmentHeader, SegmentNumber, Seq, Verdict};
use std::ops::Range;
use std::sync::Arc;
use taffrail_log_format::{SegmentKey, Step, TailScan, find_header, layout, likely_flipped_bit, padded_len, scan_tail};

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

struct Walk<'w, 'v> {
    task: &'w Task,
    visit: &'w mut Visit<'v>,
    cursor: Cursor,
    accounted: u64,
    durable: u64,
    /// Frames behind this offset are not events of the log.
    limit: u64,
    /// Up to here the rule has judged.
    judged_to: Option<u64>,
    verdict: TailVerdict,
    /// Where the events end, and where the bytes behind them do.
    end: Option<(u64, u64)>,
    footer_seen: bool,
    sealed: bool,
}

/// Looks at a sealed segment's header and footer only. `None` where it has no good footer: then the frames tell.
///
/// # Errors
/// `Io`, and what `visit` returns.
pub(crate) fn skim(task: &Task, visit: &mut Visit<'_>) -> Result<Option<Walked>> {
    let (Ending::Successor(_), Some(header)) = (task.ending, task.header.clone()) else { return Ok(None) };
    let segment = Segment { header, defects: Vec::new(), file: Arc::clone(&task.file) };
    let Some((footer_at, footer)) = segment.footer()? else { return Ok(None) };
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

    fn damage(&self, kind: DefectKind, range: Range<u64>) -> Damage {
        Damage::new(kind, Some(self.task.name), range)
    }

    fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)];
        let len = read_full_at(&*self.task.file, range.start, &mut bytes)
            .map_err(|error| Error::io("cannot read the log", error).segment(self.task.name).offset(range.start))?;
        bytes.truncate(len);
        Ok(bytes)
    }

    fn due(&self) -> Option<Seq> {
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
        let Some(tail) = scan_tail(self.cursor.scanner.clone(), &bytes, self.durable, |_| {}) else { return Ok(()) };
        if live {
            // Above the watermark nothing is damage while somebody writes.
            let verdict = if tail.data_end > tail.batch_at { TailVerdict::InFlight } else { TailVerdict::End };
            self.settle(verdict, tail.batch_at, tail.data_end);
            return Ok(());
        }
        match tail.verdict {
            Verdict::End => self.settle(TailVerdict::End, tail.bad_at, tail.bad_at),
            Verdict::Torn => self.torn(&tail)?,
            Verdict::Damaged | Verdict::Ambiguous => {
                self.judged_to = Some(tail.bad_at);
                self.durable = self.durable.max(tail.durable);
                let ambiguous = tail.verdict == Verdict::Ambiguous && self.verdict == TailVerdict::End;
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
    fn lone_bit(&self, range: Range<u64>) -> Result<Option<Damage>> {
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

    /// Where reading goes on, and with which seq.
    fn next_good(&mut self, kind: Option<DefectKind>, header: Option<Header>) -> Result<Option<(u64, Seq)>> {
        let offset = self.cursor.scanner.offset();
        let due = self.due();
        if let (Some(kind), Some(header)) = (kind, header) {
            let behind = offset + header.frame_len();
            let next = if header.kind.takes_seq() { header.seq.next() } else { header.seq };
            let late = due.is_some_and(|due| header.seq < due);
            let early = matches!(self.task.ending, Ending::Successor(Some(first)) if header.seq > first);
            match kind {
                DefectKind::SeqJump if late || early => return Ok(Some((behind, due.unwrap_or(next)))),
                DefectKind::SeqJump => return Ok(Some((offset, header.seq))),
                DefectKind::PayloadCrc | DefectKind::RecordBody if late || early => {
                    return Ok(Some((behind, due.unwrap_or(next))));
                }
                DefectKind::PayloadCrc | DefectKind::RecordBody => return Ok(Some((behind, next))),
                _ => {}
            }
        }
        self.find_plausible(offset, due)
    }

    /// The next proven header that can stand there: behind what is due, and with room for what is missing.
    fn find_plausible(&self, offset: u64, due: Option<Seq>) -> Result<Option<(u64, Seq)>> {
        let gaps = self.cursor.scanner.gaps();
        let plausible = |at: u64, header: &Header| {
            due.is_none_or(|due| {
                let missing: u64 = lost_between(gaps, due, header.seq).iter().map(|range| range.count()).sum();
                let room = (at - offset) / layout::frame::HEADER_LEN_BYTES as u64;
                header.seq >= due && missing <= room
            })
        };
        let mut from = offset + layout::FRAME_ALIGN_BYTES;
        while from < self.limit {
            let bytes = self.read(from..self.limit.min(from + Cursor::WINDOW_LEN_BYTES as u64))?;
            let mut at = from;
            while let Some((found, header)) = find_header(&self.task.key, &bytes, from, at) {
                if plausible(found, &header) {
                    return Ok(Some((found, header.seq)));
                }
                at = found + layout::FRAME_ALIGN_BYTES;
            }
            if from + bytes.len() as u64 >= self.limit || bytes.len() < layout::frame::HEADER_LEN_BYTES {
                break;
            }
            let step = bytes.len() as u64 - layout::frame::HEADER_LEN_BYTES as u64;
            from += step / layout::FRAME_ALIGN_BYTES * layout::FRAME_ALIGN_BYTES;
        }
        Ok(None)
    }

    /// Behind the last byte from here on that is not zero; the end of the file, where the segment has to be full.
    fn data_end(&self, offset: u64) -> Result<u64> {
        if matches!(self.task.ending, Ending::Successor(_)) {
            return Ok(self.task.len_bytes);
        }
        let (mut end, mut from) = (offset, offset);
        while from < self.task.len_bytes {
            let bytes = self.read(from..self.task.len_bytes.min(from + Cursor::WINDOW_LEN_BYTES as u64))?;
            if bytes.is_empty() {
                break;
            }
            end = bytes.iter().rposition(|byte| *byte != 0).map_or(end, |last| from + last as u64 + 1);
            from += bytes.len() as u64;
        }
        Ok(end.next_multiple_of(layout::FRAME_ALIGN_BYTES).min(self.task.len_bytes))
    }

    fn describe(
        &self,
        defect: Option<&Defect>,
        header: Option<Header>,
        range: Range<u64>,
        next: Option<Seq>,
    ) -> Result<Damage> {
        let only_zeros = defect.is_none() && next.is_none();
        let kind = match (defect, self.task.ending) {
            (Some(defect), _) => defect.kind,
            (None, Ending::Newest { .. }) if only_zeros => DefectKind::BelowWatermark,
            (None, Ending::Successor(_)) if only_zeros => DefectKind::Truncated,
            (None, _) => DefectKind::Hole,
        };
        let mut damage = self.damage(kind, range.clone());
        damage = match defect {
            Some(defect) => damage.saying(&*defect.expected, &*defect.found),
            None => damage.saying(self.due().map_or_else(String::new, |due| format!("seq {due}")), "zeros"),
        };
        damage.header = header;
        if matches!(kind, DefectKind::HeaderCrc | DefectKind::PayloadCrc) {
            let longest = padded_len(layout::MAX_PAYLOAD_LEN_BYTES as u64);
            let bytes = self.read(range.start..range.end.min(range.start + longest).max(range.start + 48))?;
            if let Some(flip) = likely_flipped_bit(&self.task.key, range.start, &bytes) {
                damage.is_likely = header.is_none();
                damage.header = Some(flip.header);
                damage.likely = Some(LikelyFlip { offset: flip.offset, found: flip.found, restored: flip.restored });
            }
        }
        damage.lost = self.lost(&damage, next);
        self.rename(&mut damage);
        if self.verdict == TailVerdict::Ambiguous
            && next.is_none()
            && let Some(spot) = self.lone_bit(range)?
        {
            return Ok(Damage { severity: Severity::Damaged, ..spot });
        }
        Ok(damage)
    }

    /// The events that are lost between the one that is due and the next good one.
    fn lost(&self, damage: &Damage, next: Option<Seq>) -> Vec<crate::log::piece::SeqRange> {
        let Some(due) = self.due() else { return Vec::new() };
        let next = next.or(match self.task.ending {
            Ending::Successor(first) => first,
            Ending::Newest { .. } if damage.range.start == layout::FIRST_FRAME && due.get() > self.durable => None,
            Ending::Newest { .. } => {
                let is_event = damage.header.is_none_or(|header| header.kind.takes_seq());
                let at_least = if is_event && due.get() > self.durable && !self.footer_seen { due.get() } else { 0 };
                Some(Seq::after(self.durable.max(at_least)))
            }
        });
        next.map_or_else(Vec::new, |next| lost_between(self.cursor.scanner.gaps(), due, next))
    }

    /// Frames that are no events have names of their own.
    fn rename(&self, damage: &mut Damage) {
        let FindingKind::Defect(kind) = damage.kind else { return };
        let frame_kind = damage.header.map(|header| header.kind);
        let no_loss = damage.lost.is_empty();
        let broken =
            matches!(kind, DefectKind::HeaderCrc | DefectKind::PayloadCrc | DefectKind::Truncated | DefectKind::Hole);
        let name = match frame_kind {
            Some(Kind::FOOTER | Kind::SEAL) if broken => DefectKind::Footer,
            Some(Kind::TYPE_TABLE) if broken => DefectKind::TypeTable,
            None if broken && no_loss && damage.range.start == layout::FIRST_FRAME => DefectKind::TypeTable,
            None if broken && no_loss && matches!(self.task.ending, Ending::Successor(Some(_))) => DefectKind::Footer,
            None if broken && no_loss && self.footer_seen => DefectKind::Footer,
            _ => kind,
        };
        damage.kind = FindingKind::Defect(name);
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
