use crate::error::{Error, Result};
use crate::log::cursor::Cursor;
use crate::log::damage::lost_between;
use crate::log::sealed_file::Origin;
use crate::log::segment::Segment;
use crate::{Header, Kind, LogId, SegmentHeader, SegmentNumber, Seq, TypeEntry, TypeRegistered, TypeTable};
use std::ops::Range;
use taffrail_log_format::{GapRange, Step, layout};

/// What is good and what is not in one segment's file.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    /// The header, read or worked out from the neighbours.
    pub(super) header: SegmentHeader,
    /// Good frames, as ranges of bytes: what is kept.
    pub(super) kept: Vec<Range<u64>>,
    /// Bytes that are no good frame, each with the seqs that are missing there.
    pub(super) bad: Vec<Bad>,
    /// Absences that are recorded already.
    pub(super) recorded: Vec<GapRange>,
    /// How many good events there are.
    pub(super) events: u64,
    /// The seq behind the last good frame or recorded absence.
    pub(super) next_seq: Seq,
    /// All types that are known at the end of the segment.
    pub(super) types: TypeTable,
    /// Whether the segment ends with its seal.
    pub(super) sealed: bool,
    /// Length and digest of the first sealed content, where a footer or a later header tells.
    pub(super) origin: Option<(u64, [u8; 32])>,
    /// Where a run of good frames ended that belongs to a batch whose end is not there.
    pub(super) open_batch: Option<(u64, Seq)>,
}

/// A range of bytes that is no good frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) bytes: Range<u64>,
    pub(super) lost: Option<(Seq, Seq)>,
}

impl Survey {
    /// Reads a whole segment, going on behind what is bad. Bounded memory: a window, and the ranges.
    pub(super) fn read(segment: &Segment) -> Result<Survey> {
        Survey::read_behind(segment, &TypeTable::new())
    }

    /// The same, where it is known which types there are at the end of the segment before: those are what a type table that is
    /// no good frame had held.
    pub(super) fn read_behind(segment: &Segment, before: &TypeTable) -> Result<Survey> {
        let header = segment.header.clone();
        let footer = segment.footer()?;
        let len = segment.file.len_bytes().map_err(|error| Error::io("cannot measure a segment", error))?;
        let mut survey = Survey {
            kept: Vec::new(),
            bad: Vec::new(),
            recorded: Vec::new(),
            events: 0,
            next_seq: header.first_seq,
            types: before.clone(),
            sealed: false,
            origin: header.origin.or(footer.as_ref().map(|(_, footer)| footer.origin)),
            open_batch: None,
            header,
        };
        let mut cursor = Cursor::new(segment, layout::FIRST_FRAME, Some(survey.next_seq));
        let mut batch = (layout::FIRST_FRAME, survey.next_seq);
        loop {
            let offset = cursor.scanner.offset();
            let (bad, found) = match cursor.step()? {
                Step::Frame(frame) => {
                    let (header, payload) = (frame.header, frame.payload().into_owned());
                    if header.kind.takes_seq() && header.seq < survey.next_seq {
                        // A frame whose seq has been there already: stale bytes that damage had hidden.
                        survey.bad.push(Bad { bytes: offset..frame.end(), lost: None });
                        continue;
                    }
                    survey.take(&header, offset, frame.end(), &payload);
                    survey.recorded = cursor.scanner.gaps().ranges().to_vec();
                    survey.next_seq = cursor.scanner.expected().unwrap_or(survey.next_seq);
                    if !cursor.scanner.in_batch() {
                        batch = (cursor.scanner.offset(), survey.next_seq);
                    }
                    continue;
                }
                Step::Bad { defect, header } => (true, cursor.skip_bad(defect.kind, header)?),
                Step::Free | Step::End | Step::NeedBytes(_) => (false, cursor.skip_free()?),
            };
            if !found {
                survey.open_batch = (batch.0 != offset).then_some(batch);
                if bad && !survey.sealed {
                    survey.bad.push(Bad { bytes: offset..len.max(offset), lost: None });
                }
                break;
            }
            survey.note_bad(offset, &cursor);
        }
        if let Some((_, footer)) = footer
            && footer.types.len() >= survey.types.len()
        {
            survey.types = footer.types;
        }
        Ok(survey)
    }

    /// The bytes from `offset` to where the cursor goes on are no good frame. What was recorded as absent before is not lost
    /// again, so what is lost may be several ranges: the bytes go with the first of them.
    fn note_bad(&mut self, offset: u64, cursor: &Cursor) {
        let resumed = cursor.scanner.offset();
        let found = cursor.scanner.expected().unwrap_or(self.next_seq);
        let mut lost = lost_between(cursor.scanner.gaps(), self.next_seq, found)
            .into_iter()
            .filter_map(|range| Seq::new(range.first).zip(Seq::new(range.last)));
        self.bad.push(Bad { bytes: offset..resumed, lost: lost.next() });
        self.bad.extend(lost.map(|lost| Bad { bytes: resumed..resumed, lost: Some(lost) }));
        self.next_seq = self.next_seq.max(found);
    }

    fn take(&mut self, header: &Header, offset: u64, end: u64, payload: &[u8]) {
        match header.kind {
            Kind::TYPE_TABLE => {
                if let Ok(table) = TypeTable::decode(payload) {
                    self.types = table;
                }
            }
            Kind::TYPE_REGISTERED => {
                if let Ok(registered) = TypeRegistered::decode(payload) {
                    self.register(registered);
                }
            }
            Kind::SEAL => self.sealed = true,
            _ => {}
        }
        if !header.kind.takes_seq() {
            return;
        }
        self.events += 1;
        match self.kept.last_mut() {
            Some(last) if last.end == offset => last.end = end,
            _ => self.kept.push(offset..end),
        }
    }

    /// Keeps the numbering of types where a registration is lost: rows that nobody can name any more get a name that says so.
    fn register(&mut self, registered: TypeRegistered) {
        while let Some(kind) = self.types.next_kind().filter(|kind| *kind < registered.kind) {
            let entry = TypeEntry::json(&format!("lost.kind-{}", kind.get()));
            if self.types.register(TypeRegistered { kind, entry }).is_err() {
                break;
            }
        }
        let _known_already = self.types.register(registered);
    }
}

/// What the neighbours of a segment tell about a header that can not be read.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    pub(super) log_id: LogId,
    /// The lowest segment that it stands for.
    pub(super) covers_from: SegmentNumber,
    /// Seq, clock reading and origin at the end of the segment before.
    pub(super) before: Option<(Seq, i64, Origin)>,
    /// The types at the end of the segment before; none where its footer can not be read.
    pub(super) types: TypeTable,
    /// First seq of the segment behind, and what its header says of its predecessor.
    pub(super) behind: Option<(Seq, Option<Origin>)>,
}

impl Neighbours {
    /// The header that a segment must have had, as far as its neighbours tell.
    pub(super) fn header_of(&self, number: SegmentNumber, generation: u32) -> Result<SegmentHeader> {
        let first = self.covers_from == SegmentNumber::FIRST;
        let Some((first_seq, time_floor_ns, origin)) =
            self.before.or(first.then_some((Seq::FIRST, i64::MIN, (0, [0; 32]))))
        else {
            let message = format!("neither segment {number} nor the one before it tells where it begins");
            return Err(Error::new(crate::ErrorKind::Damaged, "T0305", message)
                .segment(number)
                .hint("repair the segment before it first"));
        };
        Ok(SegmentHeader {
            format_version: layout::FORMAT_VERSION,
            reader_floor: layout::FORMAT_VERSION,
            log_id: self.log_id,
            number,
            generation,
            covers_from: self.covers_from,
            first_seq,
            created_ns: time_floor_ns.max(0),
            time_floor_ns,
            predecessor: (!first).then_some(origin),
            origin: None,
            sync_policy: crate::SyncPolicyTag::Always,
        })
    }
}
