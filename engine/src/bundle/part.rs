//! One run as a log of its own: its events with their seqs, and everything else recorded as absent.

use super::cut::EVEN_COUNTER;
use super::manifest::Member;
use super::member::{MemberWriter, Sink};
use crate::blob::Digest;
use crate::error::{Error, Result};
use crate::log::forgotten::{Told, blob_of};
use crate::log::paths;
use crate::{
    ErrorKind, EventOrLoss, Events, Flags, FooterBuilder, GapRange, GapReason, Gaps, Kind, LogId, OperatorAction,
    Query, Reader, Record, SegmentHeader, SegmentNumber, Seq, SyncPolicyTag, TypeTable, Watermark,
};
use std::collections::{BTreeMap, BTreeSet};
use taffrail_log_format::{FrameFields, encode_frame, encode_redacted_frame, layout};

/// Length after which a segment of a part is ended, in bytes.
const SEGMENT_LEN_BYTES: u64 = 64 << 20;
/// Most absences of a segment: their record has to fit into a frame.
const MOST_GAPS: usize = 100_000;

/// What belongs to a run.
#[derive(Debug)]
pub(super) struct Part {
    /// Its name.
    pub(super) name: String,
    /// Blobs that its events name.
    pub(super) blobs: BTreeSet<Digest>,
    /// Its number, and those of the runs that it was made by or forked from.
    pub(super) runs: BTreeSet<Seq>,
    /// Operator events that tell of redactions which took blobs away that its events name.
    told: BTreeSet<Seq>,
    /// Those blobs, each with the seq of such an event.
    pub(super) redacted: BTreeMap<Digest, Seq>,
    /// Events of those runs that are nowhere: their revisions jump.
    pub(super) absent: u64,
    until: Seq,
    segments: Vec<Planned>,
    types: TypeTable,
}

/// A segment that will be written.
#[derive(Debug)]
struct Planned {
    first_seq: Seq,
    gaps: Vec<GapRange>,
    events: u64,
    len_bytes: u64,
}

impl Part {
    /// Reads through the run, and plans its segments.
    ///
    /// # Errors
    /// `NotFound` where there is no such run; as reading.
    pub(super) fn find(reader: &Reader, name: &str, durable: u64) -> Result<Part> {
        let run = reader.find_run(name)?;
        let mut runs = BTreeSet::from([run.run]);
        let mut oldest = run.run;
        while let Some(parent) = reader.get(oldest)?.as_ref().and_then(crate::fold::parent_of) {
            runs.insert(parent);
            oldest = parent;
        }
        let mut part = Part {
            name: run.name.unwrap_or_else(|| name.to_owned()),
            blobs: BTreeSet::new(),
            runs,
            told: BTreeSet::new(),
            redacted: BTreeMap::new(),
            absent: 0,
            until: Seq::after(durable),
            segments: Vec::new(),
            types: reader.type_table()?,
        };
        part.lay_out(reader)?;
        part.look_for_redactions(reader)?;
        if !part.told.is_empty() {
            part.lay_out(reader)?;
        }
        Ok(part)
    }

    fn lay_out(&mut self, reader: &Reader) -> Result<()> {
        self.segments = vec![Planned { first_seq: Seq::FIRST, gaps: Vec::new(), events: 0, len_bytes: 0 }];
        let mut due = Seq::FIRST;
        let digests = digests();
        let mut revisions = BTreeMap::new();
        self.absent = 0;
        let mut events = reader.events(self.query())?;
        while let Some(record) = self.next(&mut events)? {
            if let Some(run) = record.run {
                let last = revisions.insert(run, record.revision).unwrap_or(0_u32);
                self.absent += u64::from(record.revision.saturating_sub(last).saturating_sub(1));
            }
            self.plan(&record, &mut due);
            self.blobs.extend(digests(&record.payload));
        }
        Ok(())
    }

    /// Without those events, nobody could tell a blob that was redacted from one that was lost.
    fn look_for_redactions(&mut self, reader: &Reader) -> Result<()> {
        let mut events = reader.events(Query::all().until(self.until).event_type("OperatorAction"))?;
        while let Some(next) = events.next_or_loss()? {
            // What is lost elsewhere in the log is nothing of this run.
            let EventOrLoss::Event(record) = next else { continue };
            let told = OperatorAction::decode(&record.payload).ok().as_ref().and_then(Told::of).unwrap_or_default();
            let blobs: Vec<Digest> = told.files.iter().filter_map(|(file, _)| blob_of(file)).collect();
            for digest in blobs.into_iter().filter(|digest| self.blobs.contains(digest)) {
                self.told.insert(record.seq);
                self.redacted.entry(digest).or_insert(record.seq);
            }
        }
        Ok(())
    }

    fn query(&self) -> Query {
        let all = Query::all().until(self.until);
        // Events of the store are none of any run.
        if self.told.is_empty() { Query { runs: Some(self.runs.clone()), ..all } } else { all }
    }

    fn holds(&self, record: &Record<'_>) -> bool {
        record.run.is_some_and(|run| self.runs.contains(&run)) || self.told.contains(&record.seq)
    }

    /// The next event of the part. Where all events are read, those of the run have been before: what is lost is of others.
    fn next(&self, events: &mut Events) -> Result<Option<Record<'static>>> {
        if self.told.is_empty() {
            return Ok(events.next()?.map(Record::into_owned));
        }
        while let Some(next) = events.next_or_loss()? {
            if let EventOrLoss::Event(record) = next
                && self.holds(&record)
            {
                return Ok(Some(record.into_owned()));
            }
        }
        Ok(None)
    }

    fn plan(&mut self, record: &Record<'_>, due: &mut Seq) {
        let is_full = self.segments.last().is_none_or(|last| {
            last.events > 0 && (last.len_bytes + record.frame_len > SEGMENT_LEN_BYTES || last.gaps.len() >= MOST_GAPS)
        });
        if is_full {
            self.segments.push(Planned { first_seq: *due, gaps: Vec::new(), events: 0, len_bytes: 0 });
        }
        let Some(segment) = self.segments.last_mut() else { return };
        if record.seq > *due {
            segment.gaps.push(GapRange {
                first: *due,
                last: Seq::after(record.seq.count_before() - 1),
                reason: GapReason::Compacted,
                digest: [0; 32],
                kept_in: String::new(),
            });
        }
        segment.events += 1;
        segment.len_bytes += record.frame_len;
        *due = record.seq.next();
    }
}

/// Finds the digests that a payload names: 64 hexadecimal digits in a row.
fn digests() -> impl Fn(&[u8]) -> Vec<Digest> {
    |payload| {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let words = payload.split(|byte| !is_digit(byte)).filter(|word| word.len() == 64);
        words.filter_map(|word| Digest::parse(std::str::from_utf8(word).ok()?)).collect()
    }
}

/// Writes the segments of a part as members, and says where it ends.
pub(super) fn write_segments(
    reader: &Reader,
    part: &Part,
    sink: &mut Sink<'_>,
    told: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<(Vec<Member>, Watermark)> {
    let mut events = reader.events(part.query())?;
    let mut members = Vec::new();
    let mut before: Option<Ended> = None;
    let mut done = 0;
    let mut next = part.next(&mut events)?;
    for (planned, number) in part.segments.iter().zip(1..) {
        let number = SegmentNumber::new(number).unwrap_or(SegmentNumber::FIRST);
        let mut segment = Segment::begin(reader.log_id(), number, planned, part, before.as_ref(), sink)?;
        for count in 1..=planned.events {
            let Some(record) = next.take() else { return Err(changed()) };
            next = part.next(&mut events)?;
            // Of a batch with events of other runs, what is left here falls apart.
            let goes_on = next.as_ref().is_some_and(|next| next.seq == record.seq.next()) && count < planned.events;
            segment.event(&record, record.more && goes_on)?;
            done += record.frame_len;
            told(done)?;
        }
        let (member, ended) = segment.finish()?;
        members.push(member);
        before = Some(ended);
    }
    let end = before.map(|ended| ended.end).ok_or_else(changed)?;
    Ok((members, end))
}

/// The log is not what it was when the part was planned: somebody has repaired or compacted it meanwhile.
fn changed() -> Error {
    let message = "the run was changed while it was exported";
    Error::new(ErrorKind::Conflict, "T0173", message).hint("export it again")
}

/// What a segment hands to the next one.
struct Ended {
    origin: (u64, [u8; 32]),
    next_seq: Seq,
    time_max_ns: i64,
    end: Watermark,
}

/// A segment that is being written.
struct Segment<'a, 'f> {
    header: SegmentHeader,
    member: MemberWriter<'a, 'f>,
    buffer: Vec<u8>,
    offset: u64,
    last_frame: (u64, u32),
    footer: FooterBuilder,
}

impl<'a, 'f> Segment<'a, 'f> {
    fn begin(
        log_id: LogId,
        number: SegmentNumber,
        planned: &Planned,
        part: &Part,
        before: Option<&Ended>,
        sink: &'a mut Sink<'f>,
    ) -> Result<Segment<'a, 'f>> {
        let header = SegmentHeader {
            format_version: layout::FORMAT_VERSION,
            reader_floor: layout::FORMAT_VERSION,
            log_id,
            number,
            generation: 0,
            covers_from: number,
            first_seq: before.map_or(planned.first_seq, |before| before.next_seq),
            created_ns: 0,
            time_floor_ns: before.map_or(i64::MIN, |before| before.time_max_ns),
            predecessor: before.map(|before| before.origin),
            origin: None,
            sync_policy: SyncPolicyTag::Always,
        };
        let block = header.encode();
        let mut front = block.to_vec();
        front.resize(usize::try_from(layout::SECOND_BLOCK).unwrap_or(0), 0);
        front.extend_from_slice(&block);
        let mut member = MemberWriter::new(sink);
        member.push(&front)?;
        let footer = FooterBuilder::new(header.first_seq, header.time_floor_ns);
        let mut segment =
            Segment { header, member, buffer: Vec::new(), offset: layout::FIRST_FRAME, last_frame: (0, 0), footer };
        let first = segment.header.first_seq;
        segment.own(Kind::TYPE_TABLE, first, false, &part.types.encode())?;
        if let Some(gaps) = Gaps::new(planned.gaps.clone()).filter(|gaps| !gaps.ranges().is_empty()) {
            segment.own(Kind::GAPS, first, false, &gaps.encode())?;
        }
        Ok(segment)
    }

    fn event(&mut self, record: &Record<'_>, more: bool) -> Result<()> {
        let fields = FrameFields {
            seq: record.seq,
            run: record.run,
            revision: record.revision,
            time_ns: record.time_ns,
            durable: record.seq.count_before(),
            kind: record.kind,
            flags: Flags { more, hint: record.hint },
        };
        self.frame(&fields, &record.payload, record.redacted)
    }

    fn own(&mut self, kind: Kind, seq: Seq, more: bool, payload: &[u8]) -> Result<()> {
        let fields = FrameFields {
            seq,
            run: None,
            revision: 0,
            time_ns: self.header.created_ns,
            durable: seq.count_before(),
            kind,
            flags: Flags { more, hint: false },
        };
        self.frame(&fields, payload, false)
    }

    fn frame(&mut self, fields: &FrameFields, payload: &[u8], redacted: bool) -> Result<()> {
        self.buffer.clear();
        let encode = if redacted { encode_redacted_frame } else { encode_frame };
        let encoded = encode(&mut self.buffer, &self.header.key(), self.offset, fields, payload);
        let header = encoded.map_err(|len| {
            let message = format!("a payload of {len} bytes can not be stored in another place");
            Error::new(ErrorKind::Invalid, "T0144", message).seq(fields.seq.get())
        })?;
        self.footer.observe(&header, &self.buffer[..layout::frame::HEADER_LEN_BYTES], self.offset, payload);
        let crc = self.buffer.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        self.last_frame = (self.offset, crc);
        self.member.push(&self.buffer)?;
        self.offset += self.buffer.len() as u64;
        Ok(())
    }

    fn finish(mut self) -> Result<(Member, Ended)> {
        let footer = self.footer.clone().finish(None);
        let footer_at = self.offset;
        self.own(Kind::FOOTER, footer.next_seq, true, &footer.encode())?;
        self.own(Kind::SEAL, footer.next_seq, false, &footer_at.to_le_bytes())?;
        let end = Watermark {
            log_id: self.header.log_id,
            counter: EVEN_COUNTER,
            segment: self.header.number,
            offset: self.offset,
            durable: footer.next_seq.count_before(),
            last_frame: self.last_frame.0,
            last_frame_crc: self.last_frame.1,
        };
        let member = self.member.finish(&paths::segment(self.header.number))?;
        Ok((member, Ended { origin: footer.origin, next_seq: footer.next_seq, time_max_ns: footer.time_max_ns, end }))
    }
}
