mod places;

use crate::error::{Error, Result};
use crate::log::cursor::Cursor;
use crate::log::damage::lost_between;
use crate::log::loss::Loss;
use crate::log::piece::SeqRange;
use crate::log::query::Query;
use crate::log::record::Record;
use crate::log::segment::Segment;
use crate::{
    DefectKind, ErrorKind, Footer, Header, IndexEntry, Kind, SegmentNumber, Seq, TypeEntry, TypeRegistered, TypeTable,
};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use taffrail_log_format::{Frame, Step, apply_mask, layout};

/// What reading a segment came to.
#[derive(Debug)]
pub(crate) enum Found {
    /// A wanted event, until the next call: [`OpenSegment::record`] shows it.
    Wanted,
    /// The segment is complete; the next one begins with the seq that is due.
    Sealed,
    /// Nothing more is wanted, here or later.
    Over,
    /// No complete frame or batch follows for now: the log ends here, or somebody is writing.
    InFlight,
    /// Something wanted may have been here, and can not be read: only where reading goes on past damage.
    Lost(Box<Loss>),
}

/// A segment that is being read in order.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) segment: Segment,
    pub(crate) footer: Option<Footer>,
    footer_at: Option<u64>,
    cursor: Cursor,
    /// The event that was found last. Kept here, and not handed from call to call, because copying it is a good part of
    /// what reading a small event costs.
    last: Option<Seen>,
    /// Its payload, where that is stored under a mask.
    unmasked: Vec<u8>,
    types: Vec<Arc<TypeEntry>>,
    time_max_ns: i64,
    /// The highest seq that a frame read so far tells to be durable.
    pub(crate) durable: u64,
    /// Batches that end before this offset are known to be there to their end.
    complete_until: u64,
    sealed: bool,
    /// Whether what can not be read is passed over.
    pub(crate) past_damage: bool,
    /// Nothing that could be read follows.
    ended: bool,
    /// The runs that the footer knows, with the last event of each.
    runs: Option<Arc<BTreeMap<Seq, Seq>>>,
    /// Events before this one were read elsewhere.
    read_before: Option<Seq>,
    /// Places that the run index has for a segment without a footer, from its first event on, and the types up to there.
    hint: Option<(TypeTable, Vec<IndexEntry>)>,
    /// Up to this seq, every event that comes next without ado is wanted and may be shown: [`OpenSegment::pass_plain`].
    plain_until: u64,
}

impl OpenSegment {
    /// A segment, at the last place before which nothing can be wanted.
    pub(crate) fn of(segment: Segment, query: &Query) -> Result<OpenSegment> {
        let (footer_at, footer) = segment.footer()?.unzip();
        let header = &segment.header;
        let mut opened = OpenSegment {
            cursor: Cursor::new(&segment, layout::FIRST_FRAME, Some(header.first_seq)),
            last: None,
            unmasked: Vec::new(),
            types: Vec::new(),
            time_max_ns: header.time_floor_ns,
            durable: header.first_seq.count_before(),
            footer: None,
            footer_at,
            complete_until: 0,
            sealed: false,
            past_damage: false,
            ended: false,
            runs: None,
            read_before: None,
            hint: None,
            plain_until: 0,
            segment,
        };
        if let Some(footer) = footer {
            opened.seek(&footer, query)?;
            opened.footer = Some(footer);
        }
        Ok(opened)
    }

    /// The same segment from an event on: what stands before it was read when it was in other files.
    pub(crate) fn behind(self, seq: Seq) -> Result<OpenSegment> {
        let mut opened = OpenSegment::of(self.segment, &Query::all().from(seq))?;
        opened.read_before = Some(seq);
        Ok(opened)
    }

    pub(crate) fn number(&self) -> SegmentNumber {
        self.segment.header.number
    }

    /// The seq that is due.
    pub(crate) fn expected(&self) -> Seq {
        self.cursor.scanner.expected().unwrap_or(self.segment.header.first_seq)
    }

    /// Where reading stands.
    pub(crate) fn offset(&self) -> u64 {
        self.cursor.scanner.offset()
    }

    /// Where the frames end that were read, or that the footer tells of.
    pub(crate) fn frames_end(&self) -> u64 {
        self.footer_at.unwrap_or(self.offset())
    }

    /// Forgets what was read ahead: somebody may have written since.
    pub(crate) fn refresh(&mut self) {
        self.cursor.forget();
    }

    /// Reads into memory that is there, and lets other threads read and prove ahead: [`Cursor::read_into`].
    pub(crate) fn read_into(&mut self, buffers: Vec<Vec<u8>>, threads: usize) {
        self.cursor.read_into(buffers, threads);
    }

    /// What was read into, for the next segment. Nothing of this one can be read any more.
    pub(crate) fn take_buffers(&mut self) -> Vec<Vec<u8>> {
        self.cursor.take_buffers()
    }

    /// The types known here.
    pub(crate) fn types(&self) -> &[Arc<TypeEntry>] {
        &self.types
    }

    /// Sets the types, where they are known from elsewhere.
    pub(crate) fn set_types(&mut self, types: Vec<Arc<TypeEntry>>) {
        self.types = types;
    }

    fn learn(&mut self, table: &TypeTable) {
        self.types = table.rows().map(|(_, entry)| Arc::new(entry.clone())).collect();
    }

    fn entry(&self, kind: Kind) -> Option<&Arc<TypeEntry>> {
        let row = kind.get().checked_sub(Kind::FIRST_USER.get())?;
        self.types.get(usize::from(row))
    }

    /// Reads on to the next wanted event. `durable` is what is known from elsewhere; `is_newest` says that no segment
    /// follows.
    ///
    /// # Errors
    /// `Damaged` where acknowledged events can not be read; `Io`.
    pub(crate) fn find(&mut self, query: &Query, durable: u64, is_newest: bool) -> Result<Found> {
        self.plain_until = self.plain_until(query, durable, is_newest);
        loop {
            if self.sealed {
                return Ok(Found::Sealed);
            }
            if self.find_plain(query, durable, is_newest) {
                self.unmask();
                return Ok(Found::Wanted);
            }
            if query.is_over(self.expected(), self.time_max_ns) {
                return Ok(Found::Over);
            }
            match self.look(query, durable, is_newest)? {
                Look::Pass => {}
                Look::Wanted => {
                    self.unmask();
                    return Ok(Found::Wanted);
                }
                Look::End => return Ok(Found::InFlight),
                Look::Lost(loss) => {
                    let kind = loss.header.map(|header| header.kind);
                    let may_be = kind.is_none_or(|kind| query.wants_kind(kind, self.entry(kind).map(Arc::as_ref)));
                    if may_be && loss.concerns(query) {
                        return Ok(Found::Lost(loss));
                    }
                }
            }
        }
    }

    fn plain_until(&self, query: &Query, durable: u64, is_newest: bool) -> u64 {
        let is_filtered = query.times_ns.is_some() || query.runs.is_some() || query.types.is_some();
        let is_before = |from: &Option<Seq>| from.is_some_and(|from| self.expected() < from);
        if self.sealed || self.ended || is_filtered || is_before(&query.from) || is_before(&self.read_before) {
            return 0;
        }
        let shown = if is_newest { durable.max(self.durable) } else { u64::MAX };
        query.until.map_or(shown, |until| shown.min(until.get() - 1))
    }

    /// Goes to the next event where the last call of [`OpenSegment::find`] has shown that it is wanted, nothing about it is out
    /// of the ordinary, and all of it is in the window: with as few questions as can be, since that is nearly every event that
    /// is read. `false` anywhere else; nothing has been passed then.
    #[inline]
    pub(crate) fn pass_plain(&mut self) -> bool {
        if self.cursor.scanner.expected().is_none_or(|expected| expected.get() > self.plain_until) {
            return false;
        }
        let Some((header, offset, header_crc)) = self.cursor.step_plain() else { return false };
        self.durable = self.durable.max(header.durable());
        self.time_max_ns = self.time_max_ns.max(header.time_ns);
        self.last = Some(Seen { header, offset, header_crc });
        if header.mask != 0 {
            self.unmask();
        }
        true
    }

    /// Shows every event that [`OpenSegment::pass_plain`] would go to, until `take` says `false`, which is then the answer. What
    /// is known of an event is handed over where it is found, and what `take` does not look at is not worked out: a third of
    /// what reading a small event costs else.
    #[inline]
    pub(crate) fn each_plain(&mut self, take: &mut impl FnMut(Record<'_>) -> Result<bool>) -> Result<bool> {
        while self.cursor.scanner.expected().is_some_and(|expected| expected.get() <= self.plain_until) {
            let Some((header, offset, header_crc)) = self.cursor.step_plain() else { break };
            self.durable = self.durable.max(header.durable());
            self.time_max_ns = self.time_max_ns.max(header.time_ns);
            if header.mask != 0 {
                self.last = Some(Seen { header, offset, header_crc });
                self.unmask();
            }
            if !take(self.record_of(&header, offset, header_crc))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes to the next wanted event, as long as nothing on the way is out of the ordinary and all of it is in the window.
    /// `false` where what comes next takes a closer look; it has not been passed then.
    fn find_plain(&mut self, query: &Query, durable: u64, is_newest: bool) -> bool {
        loop {
            if query.is_over(self.expected(), self.time_max_ns) {
                return false;
            }
            let Some((header, offset, header_crc)) = self.step_plain(durable, is_newest) else { return false };
            if self.wants(query, &header) {
                self.last = Some(Seen { header, offset, header_crc });
                return true;
            }
        }
    }

    /// Goes behind the next event, where nothing about it is out of the ordinary and all of it is in the window.
    #[inline]
    fn step_plain(&mut self, durable: u64, is_newest: bool) -> Option<(Header, u64, u32)> {
        // What is passed here carries the seq that is due, past damage as well.
        let may_be_above = is_newest && self.expected().get() > durable.max(self.durable);
        if self.ended || may_be_above {
            return None;
        }
        let stepped = self.cursor.step_plain()?;
        self.durable = self.durable.max(stepped.0.durable());
        self.time_max_ns = self.time_max_ns.max(stepped.0.time_ns);
        Some(stepped)
    }

    fn wants(&self, query: &Query, header: &Header) -> bool {
        self.read_before.is_none_or(|seq| header.seq >= seq)
            && query.wants_header(header, self.time_max_ns)
            && (query.types.is_none() || query.wants_kind(header.kind, self.entry(header.kind).map(Arc::as_ref)))
    }

    /// Reads the next frame. Where it may not be shown yet, the position stays before it.
    fn look(&mut self, query: &Query, durable: u64, is_newest: bool) -> Result<Look> {
        if self.ended {
            return Ok(Look::End);
        }
        let known = durable.max(self.durable);
        // The frame that follows carries the seq that is due, or reading stops here, unless it goes on past damage: so this
        // is known before the frame is read.
        let may_be_above = is_newest && (self.past_damage || self.expected().get() > known);
        let before = may_be_above.then(|| self.cursor.scanner.mark());
        let (seen, bad) = match self.cursor.step()? {
            Step::Frame(frame) => (Some((Seen::of(&frame), change_of(&frame))), None),
            Step::Bad { defect, header } => (None, Some(Bad { what: defect.to_string(), kind: defect.kind, header })),
            Step::Free | Step::End | Step::NeedBytes(_) => (None, None),
        };
        let Some((seen, change)) = seen else { return self.stop(bad, known, is_newest) };
        let header = seen.header;
        if let Some(before) = before
            && header.seq.get() > known
            && !self.may_show(before.offset(), &header, query.durable_only)?
        {
            self.cursor.scanner.go_back(before);
            return Ok(Look::End);
        }
        self.durable = self.durable.max(header.durable());
        if let Some(change) = change {
            self.register(*change);
        }
        self.sealed = header.kind == Kind::SEAL;
        if !header.kind.takes_seq() {
            return Ok(Look::Pass);
        }
        self.time_max_ns = self.time_max_ns.max(header.time_ns);
        if !self.wants(query, &header) {
            return Ok(Look::Pass);
        }
        self.last = Some(seen);
        Ok(Look::Wanted)
    }

    /// Whether a frame above the durable head may be shown: only if its batch is there to the end.
    fn may_show(&mut self, before: u64, header: &Header, durable_only: bool) -> Result<bool> {
        if before < self.complete_until {
            return Ok(true);
        }
        if durable_only && header.kind.takes_seq() {
            return Ok(false);
        }
        let mut ahead = self.cursor.fork();
        loop {
            if !ahead.scanner.in_batch() {
                self.complete_until = ahead.scanner.offset();
            }
            if !matches!(ahead.step()?, Step::Frame(_)) {
                return Ok(before < self.complete_until);
            }
        }
    }

    /// An event's payload as it is stored.
    #[inline]
    fn stored(&self, header: &Header, offset: u64) -> &[u8] {
        self.cursor.bytes_at(offset + layout::frame::HEADER_LEN_BYTES as u64, header.payload_len)
    }

    /// Takes the mask off the payload of the event that was found last, if it has one. Payloads that end with a zero do, and
    /// with bincode that is what a last field of nothing is: so this allocates nothing.
    fn unmask(&mut self) {
        let Some(seen) = self.last.as_ref().filter(|seen| seen.header.mask != 0) else { return };
        let mut unmasked = std::mem::take(&mut self.unmasked);
        unmasked.clear();
        unmasked.extend_from_slice(self.stored(&seen.header, seen.offset));
        apply_mask(self.segment.header.log_id, seen.header.seq, seen.header.mask, &mut unmasked);
        self.unmasked = unmasked;
    }

    /// The event that was found last.
    #[inline]
    pub(crate) fn record(&self) -> Option<Record<'_>> {
        self.last.as_ref().map(|seen| self.record_of(&seen.header, seen.offset, seen.header_crc))
    }

    /// An event that has just been found. Where its payload is stored under a mask, it has been taken off.
    #[inline(always)]
    fn record_of(&self, header: &Header, offset: u64, header_crc: u32) -> Record<'_> {
        let payload = Cow::Borrowed(if header.mask == 0 { self.stored(header, offset) } else { &self.unmasked });
        Record {
            seq: header.seq,
            run: header.run,
            revision: header.revision,
            time_ns: header.time_ns,
            time_max_ns: self.time_max_ns,
            kind: header.kind,
            entry: self.entry(header.kind).map(Cow::Borrowed),
            hint: header.flags.hint,
            more: header.flags.more,
            redacted: header.redacted,
            payload,
            segment: self.number(),
            offset,
            frame_len: header.frame_len(),
            header_crc,
        }
    }

    fn register(&mut self, change: Change) {
        match change {
            Change::Table(table) => self.learn(&table),
            Change::Row(row) => {
                let position = usize::from(row.kind.get() - Kind::FIRST_USER.get());
                if position == self.types.len() {
                    self.types.push(Arc::new(row.entry));
                }
            }
        }
    }

    /// No good frame follows. Above the durable head that is the end of the log for now; below it, and in a segment that
    /// others follow, it is damage.
    fn stop(&mut self, bad: Option<Bad>, known: u64, is_newest: bool) -> Result<Look> {
        let expected = self.expected();
        let acknowledged = expected.get() <= known || !is_newest;
        let tells_of_later = bad.is_some() && !acknowledged && self.later_frame_proves(expected)?;
        if !acknowledged && !tells_of_later {
            return Ok(Look::End);
        }
        if is_newest && self.good_after_all()? {
            return Ok(Look::Pass);
        }
        let what = bad.as_ref().map_or("zeros where a frame is due", |bad| bad.what.as_str());
        let error = Error::new(ErrorKind::Damaged, "T0308", format!("acknowledged events can not be read: {what}"))
            .segment(self.number())
            .offset(self.offset())
            .seq(expected.get())
            .hint("taffrail log verify");
        if self.past_damage { self.pass_over(error, bad, known, is_newest) } else { Err(error) }
    }

    /// Goes on behind what can not be read, and tells what is lost.
    fn pass_over(&mut self, error: Error, bad: Option<Bad>, known: u64, is_newest: bool) -> Result<Look> {
        let due = self.expected();
        let is_payload = |bad: &Bad| matches!(bad.kind, DefectKind::PayloadCrc | DefectKind::RecordBody);
        let in_place = bad.as_ref().filter(|bad| is_payload(bad)).and_then(|bad| bad.header);
        let header = in_place.filter(|header| header.seq == due && header.kind.takes_seq());
        let mut goes_on = match bad {
            Some(bad) => self.cursor.skip_bad(bad.kind, bad.header)?,
            None => self.cursor.skip_free()?,
        };
        // What is numbered below what is due was read before, or is no part of this history.
        while goes_on && self.expected() < due {
            goes_on = self.cursor.skip_free()?;
        }
        let mut loss = Loss::new(error, None);
        if goes_on {
            let lost = lost_between(self.cursor.scanner.gaps(), due, self.expected());
            let (first, last) = (lost.first(), lost.last());
            loss.seqs = first.zip(last).map(|(first, last)| SeqRange { first: first.first, last: last.last });
        } else if is_newest {
            self.ended = true;
            loss.seqs = SeqRange::between(due.get(), known.saturating_add(1));
        } else {
            // Where the next segment begins tells how many.
            self.sealed = true;
        }
        loss.header = header;
        loss.entry = header.and_then(|header| self.entry(header.kind).cloned());
        if header.is_none()
            && let Some(runs) = self.footer.as_ref().and_then(|footer| footer.runs.as_ref())
        {
            let known =
                self.runs.get_or_insert_with(|| Arc::new(runs.iter().map(|(run, entry)| (*run, entry.last)).collect()));
            loss.runs = Some(Arc::clone(known));
        }
        Ok(Look::Lost(Box::new(loss)))
    }

    /// Whether a proven frame behind the bad one was written after that one had been acknowledged.
    fn later_frame_proves(&mut self, expected: Seq) -> Result<bool> {
        let mut ahead = self.cursor.fork();
        while let Some((offset, header)) = ahead.find_next()? {
            if header.durable() >= expected.get() {
                return Ok(true);
            }
            ahead.scanner.resume_at(offset, Some(header.seq));
        }
        Ok(false)
    }

    /// Reads the frame again, fresh: a writer may have been in the middle of it.
    fn good_after_all(&mut self) -> Result<bool> {
        self.cursor.forget();
        let mut again = self.cursor.fork();
        Ok(matches!(again.step()?, Step::Frame(_)))
    }
}

enum Look {
    Pass,
    Wanted,
    End,
    Lost(Box<Loss>),
}

/// Something that is no good frame.
struct Bad {
    what: String,
    kind: DefectKind,
    /// The header, where it is proven.
    header: Option<Header>,
}

#[derive(Debug)]
enum Change {
    Table(TypeTable),
    Row(TypeRegistered),
}

/// What a frame changes about the types that are known.
fn change_of(frame: &Frame<'_>) -> Option<Box<Change>> {
    let change = match frame.header.kind {
        Kind::TYPE_TABLE => Change::Table(TypeTable::decode(&frame.payload()).ok()?),
        Kind::TYPE_REGISTERED => Change::Row(TypeRegistered::decode(&frame.payload()).ok()?),
        _ => return None,
    };
    Some(Box::new(change))
}

/// What is kept of a frame that was looked at.
#[derive(Debug)]
struct Seen {
    header: Header,
    offset: u64,
    header_crc: u32,
}

impl Seen {
    fn of(frame: &Frame<'_>) -> Seen {
        Seen { header: frame.header, offset: frame.offset, header_crc: frame.header_crc() }
    }
}
