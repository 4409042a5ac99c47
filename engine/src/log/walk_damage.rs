//! What a walk makes of bytes that are no good frame: how far they reach, and what is lost with them.

use crate::error::Result;
use crate::log::cursor::Cursor;
use crate::log::damage::lost_between;
use crate::log::piece::{Damage, FindingKind, LikelyFlip, SeqRange, Severity, TailVerdict};
use crate::log::walk::{Ending, Walk};
use crate::{Defect, DefectKind, Header, Kind, Seq};
use std::ops::Range;
use taffrail_log_format::{find_header, layout, likely_flipped_bit, padded_len};

impl Walk<'_, '_> {
    /// Where reading goes on, and with which seq.
    pub(crate) fn next_good(&mut self, kind: Option<DefectKind>, header: Option<Header>) -> Result<Option<(u64, Seq)>> {
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
    pub(crate) fn data_end(&self, offset: u64) -> Result<u64> {
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

    pub(crate) fn describe(
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
    fn lost(&self, damage: &Damage, next: Option<Seq>) -> Vec<SeqRange> {
        let Some(due) = self.due() else { return Vec::new() };
        let next = next.or(match self.task.ending {
            Ending::Successor(first) => first,
            Ending::Newest { .. }
                if self.cursor.scanner.offset() == layout::FIRST_FRAME && due.get() > self.durable =>
            {
                None
            }
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
        let broken = matches!(
            kind,
            DefectKind::HeaderCrc
                | DefectKind::PayloadCrc
                | DefectKind::Truncated
                | DefectKind::Hole
                | DefectKind::BelowWatermark
        );
        let name = match frame_kind {
            Some(Kind::FOOTER | Kind::SEAL) if broken => DefectKind::Footer,
            Some(Kind::TYPE_TABLE) if broken => DefectKind::TypeTable,
            None if broken && no_loss && self.cursor.scanner.offset() == layout::FIRST_FRAME => DefectKind::TypeTable,
            None if broken && no_loss && matches!(self.task.ending, Ending::Successor(Some(_))) => DefectKind::Footer,
            None if broken && no_loss && self.footer_seen => DefectKind::Footer,
            _ => kind,
        };
        damage.kind = FindingKind::Defect(name);
    }
}
