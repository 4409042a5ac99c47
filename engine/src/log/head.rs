use crate::error::{Error, Result};
use crate::log::cursor::Cursor;
use crate::log::listing::Listing;
use crate::log::paths;
use crate::log::position::Position;
use crate::log::run_index::RunIndex;
use crate::log::run_index_file::frame_is_there;
use crate::log::segment::Segment;
use crate::storage::{OpenMode, Storage, read_full_at};
use crate::{
    Defect, DefectKind, ErrorKind, Footer, FooterBuilder, Header, IndexEntry, Kind, LogId, SegmentNumber,
    TypeRegistered, TypeTable,
};
use taffrail_log_format::{SegmentKey, Step, layout};

/// What a writer knows of the end of the log: where it is, which types and runs there are.
#[derive(Debug)]
pub(crate) struct Head {
    /// The newest segment, open for writing.
    pub(crate) segment: Segment,
    /// What the newest segment's frames are bound to.
    pub(crate) key: SegmentKey,
    /// How segments are opened.
    mode: OpenMode,
    /// Where the next frame goes.
    pub(crate) position: Position,
    /// All types of the log.
    pub(crate) types: TypeTable,
    /// All runs of the log.
    pub(crate) runs: RunIndex,
    /// The newest segment's footer in the making; `None` where its beginning has not been read.
    pub(crate) footer: Option<FooterBuilder>,
    /// Whether the newest segment ends with its seal: a new one has to be made before the next event.
    pub(crate) sealed: bool,
    /// Bytes of frames that had to be read because no hint covered them.
    pub(crate) read_bytes: u64,
    /// Where the run index ends in the newest segment.
    indexed_until: u64,
    /// Places in the newest segment behind those that the run index has; the footer in the making has all, where there is one.
    places: Vec<IndexEntry>,
}

impl Head {
    /// Opens the newest segment and reads what leads up to its end: from the run index on where that can be trusted, else
    /// from the footers of all segments.
    ///
    /// With [`OpenMode::Read`] it is only found out whether that can be done.
    pub(crate) fn attach(storage: &dyn Storage, end: (SegmentNumber, u64), mode: OpenMode) -> Result<Head> {
        let hint = RunIndex::load(storage)?.filter(|(_, position, _)| position.place() <= end);
        let Some((runs, position, types)) = hint else { return Head::rebuild(storage, end, mode) };
        let segment = Segment::open(storage, position.segment, mode)?;
        let mut head = Head::at(segment, mode, position, types, runs);
        head.sealed = head.ends_with_seal()?;
        head.catch_up(storage, end)?;
        Ok(head)
    }

    /// The last event before the position; 0 for none.
    pub(crate) fn seq(&self) -> u64 {
        self.position.next_seq.count_before()
    }

    /// Whether nothing follows: no frame behind the position, and behind a sealed segment no other one.
    pub(crate) fn is_end(&self, storage: &dyn Storage) -> Result<bool> {
        let number = self.position.segment;
        let io = |error| Error::io("cannot look behind the end of the log", error).segment(number);
        let mut behind = [0; layout::frame::HEADER_LEN_BYTES];
        read_full_at(&*self.segment.file, self.position.offset, &mut behind).map_err(io)?;
        if behind.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        Ok(!self.sealed || storage.entry(&paths::segment(number.next())).map_err(io)?.is_none())
    }

    /// Whether the frame before the position is still the one that was read or written there.
    pub(crate) fn is_still_there(&self) -> Result<bool> {
        frame_is_there(&*self.segment.file, self.log_id(), &self.position)
    }

    /// Throws the run index away and reads the whole log's footers again.
    pub(crate) fn rebuild(storage: &dyn Storage, end: (SegmentNumber, u64), mode: OpenMode) -> Result<Head> {
        let listing = Listing::read(storage)?;
        let lowest = listing.segments.first().map_or(end.0, |(number, _)| *number);
        let mut head = Head::at_start_of(storage, lowest, mode)?;
        // What is not there holds the openings of runs: to go on without it would open them a second time.
        if let Some(missing) = head.segment.header.covers_from.previous() {
            return Err(listing.missing(missing));
        }
        head.catch_up(storage, end)?;
        Ok(head)
    }

    /// Whether the frame before the position is the segment's seal.
    fn ends_with_seal(&self) -> Result<bool> {
        let kind = self.segment.frame_at(self.position.last_frame, |frame| frame.header.kind)?;
        Ok(kind == Some(Kind::SEAL))
    }

    /// Stands before the first frame of a segment.
    fn at_start_of(storage: &dyn Storage, number: SegmentNumber, mode: OpenMode) -> Result<Head> {
        let segment = Segment::open(storage, number, mode)?;
        let position = start_of(&segment);
        let footer = Some(FooterBuilder::new(position.next_seq, position.time_max_ns));
        let head = Head::at(segment, mode, position, TypeTable::new(), RunIndex::default());
        Ok(Head { footer, ..head })
    }

    /// Stands at a place up to which the runs and types are known.
    fn at(segment: Segment, mode: OpenMode, position: Position, types: TypeTable, runs: RunIndex) -> Head {
        let key = segment.header.key();
        let (indexed_until, places) = (position.offset, Vec::new());
        let (footer, sealed, read_bytes) = (None, false, 0);
        Head { segment, key, mode, position, types, runs, footer, sealed, read_bytes, indexed_until, places }
    }

    /// The log.
    pub(crate) fn log_id(&self) -> LogId {
        self.segment.header.log_id
    }

    /// Reads on to the end of the log, over segments that other processes have begun since.
    pub(crate) fn catch_up(&mut self, storage: &dyn Storage, end: (SegmentNumber, u64)) -> Result<()> {
        while self.position.segment < end.0 {
            self.finish_sealed()?;
            let next = behind(storage, self.position.segment)?;
            self.enter(storage, next)?;
        }
        if self.position.offset < end.1 {
            self.read_frames(end.1, true)?;
        }
        if self.position.place() == end {
            return Ok(());
        }
        let message = format!("the log ends at {:#x}, but was released at {:#x}", self.position.offset, end.1);
        Err(Error::new(ErrorKind::Damaged, "T0308", message)
            .segment(self.position.segment)
            .offset(self.position.offset)
            .hint("taffrail log verify"))
    }

    /// Reads the rest of a sealed segment: its footer, which tells of all of it, or its frames where that is not good.
    fn finish_sealed(&mut self) -> Result<()> {
        if let Some((_, footer)) = self.segment.footer()?
            && let Some(runs) = &footer.runs
        {
            self.runs.absorb(self.position.segment, runs);
            self.position.next_seq = footer.next_seq;
            self.position.time_max_ns = self.position.time_max_ns.max(footer.time_max_ns);
            self.types = footer.types;
            self.sealed = true;
            return Ok(());
        }
        if !self.read_frames(u64::MAX, false)? {
            self.runs.doubt(self.position.segment, self.position.next_seq);
        }
        Ok(())
    }

    fn enter(&mut self, storage: &dyn Storage, number: SegmentNumber) -> Result<()> {
        let segment = Segment::open(storage, number, self.mode)?;
        let mut position = start_of(&segment);
        if segment.header.log_id != self.log_id() || position.next_seq < self.position.next_seq {
            let message = format!("segment {number} does not continue segment {}", self.position.segment);
            return Err(Error::new(ErrorKind::Damaged, "T0304", message).segment(number).hint("taffrail log verify"));
        }
        position.time_max_ns = position.time_max_ns.max(self.position.time_max_ns);
        if !self.sealed && position.next_seq != self.position.next_seq {
            // Its end is not there, and there were events in it.
            self.runs.doubt(self.position.segment, position.next_seq);
        }
        self.footer = Some(FooterBuilder::new(position.next_seq, position.time_max_ns));
        self.places = Vec::new();
        self.indexed_until = position.offset;
        self.key = segment.header.key();
        self.segment = segment;
        self.position = position;
        self.sealed = false;
        Ok(())
    }

    /// Reads the segment's frames up to an offset. `strict` stops at damage, unless it is one event's payload and nothing else;
    /// otherwise reading goes on behind it, since damage in an older segment does not stop appending. `false` where events were passed over, and nobody knows of which
    /// runs.
    fn read_frames(&mut self, limit: u64, strict: bool) -> Result<bool> {
        let mut cursor = Cursor::new(&self.segment, self.position.offset, Some(self.position.next_seq)).limited(limit);
        if self.position.offset > layout::FIRST_FRAME {
            cursor.scanner.assume_gaps(self.segment.gaps()?);
        }
        let mut complete = true;
        loop {
            let number = self.position.segment;
            match cursor.step()? {
                Step::Frame(frame) => {
                    let payload = frame.payload();
                    let header = frame.header;
                    if header.kind == Kind::TYPE_TABLE
                        && let Ok(table) = TypeTable::decode(&payload)
                    {
                        self.types = table;
                    }
                    self.position.offset = frame.offset;
                    self.sealed = header.kind == Kind::SEAL;
                    self.read_bytes += header.frame_len();
                    self.accept(&header, frame.header_bytes(), &payload, false);
                    // Recorded absences are passed over: their seqs have been issued.
                    self.position.next_seq = cursor.scanner.expected().unwrap_or(self.position.next_seq);
                }
                Step::Bad { defect, header: Some(header) } if strict && self.is_payload_alone(&defect, &header) => {
                    self.accept_header(&header, defect.offset)?;
                    let _there_is_a_header = cursor.skip_bad(defect.kind, Some(header))?;
                    self.position.next_seq = cursor.scanner.expected().unwrap_or(self.position.next_seq);
                }
                Step::Bad { defect, .. } if strict => {
                    return Err(Error::new(ErrorKind::Damaged, "T0308", format!("the log is damaged: {defect}"))
                        .segment(number)
                        .offset(defect.offset)
                        .hint("taffrail log verify"));
                }
                Step::End | Step::NeedBytes(_) => return Ok(complete),
                Step::Free if strict => return Ok(complete),
                // Where zeros are met, it is a hole: a sealed segment has no free space.
                bad @ (Step::Bad { .. } | Step::Free) => {
                    let (kind, header) = match bad {
                        Step::Bad { defect, header } => (defect.kind, header),
                        _ => (DefectKind::HeaderCrc, None),
                    };
                    self.footer = None;
                    let is_told_of = match header.filter(|_| kind != DefectKind::SeqJump) {
                        Some(header) => self.runs.observe_header(&header),
                        None => false,
                    };
                    let due = self.position.next_seq;
                    if !cursor.skip_bad(kind, header)? {
                        return Ok(complete);
                    }
                    self.position.next_seq = cursor.scanner.expected().unwrap_or(due);
                    complete &= is_told_of || self.position.next_seq == due;
                }
            }
        }
    }

    /// Remembers a place to start reading from, about every 64 KiB.
    fn note_place(&mut self, header: &Header, offset: u64) {
        if header.kind.takes_seq() && FooterBuilder::is_place_due(&self.places, offset) {
            self.places.push(IndexEntry { seq: header.seq, offset, time_floor_ns: self.position.time_max_ns });
        }
    }

    /// How much of the newest segment the run index does not cover, in bytes.
    pub(crate) fn unindexed_bytes(&self) -> u64 {
        self.position.offset.saturating_sub(self.indexed_until)
    }

    /// Writes the run index, up to here. The caller holds the store's lock.
    ///
    /// # Errors
    /// `Io`. The index is a hint: a caller may pass over it.
    pub(crate) fn save_index(&mut self, storage: &dyn Storage) -> Result<()> {
        // Tried once is enough, until as much is there again.
        (self.read_bytes, self.indexed_until) = (0, self.position.offset);
        let places = self.footer.as_ref().map_or(&*self.places, FooterBuilder::index);
        if self.runs.save(storage, self.segment.header.log_id, &self.position, &self.types, places)? {
            self.places = Vec::new();
        }
        Ok(())
    }

    /// Whether nothing but the payload of the event that is due is lost, and whoever appends does not need to know it: that
    /// one event can not be read, and everything else is as it was.
    fn is_payload_alone(&self, defect: &Defect, header: &Header) -> bool {
        let is_payload = matches!(defect.kind, DefectKind::PayloadCrc | DefectKind::RecordBody);
        is_payload
            && header.seq == self.position.next_seq
            && header.kind.takes_seq()
            && header.kind != Kind::TYPE_REGISTERED
    }

    /// Takes an event whose payload is lost.
    fn accept_header(&mut self, header: &Header, offset: u64) -> Result<()> {
        let bytes = header_at(&self.segment, offset)?;
        self.position.offset = offset;
        self.accept(header, &bytes, &[], false);
        if header.kind == Kind::RUN_OPENED {
            // Any name that is not known may be this run's.
            self.runs.doubt(self.position.segment, self.position.next_seq);
        }
        Ok(())
    }

    /// Moves behind a frame that was written or read.
    fn moved(&mut self, header: &Header, offset: u64, header_crc: u32) {
        let position = &mut self.position;
        position.offset = offset + header.frame_len();
        position.last_frame = offset;
        position.last_frame_crc = header_crc;
        if header.kind.takes_seq() {
            position.next_seq = header.seq.next();
            position.time_max_ns = position.time_max_ns.max(header.time_ns);
        }
    }

    /// The footer of the newest segment, for sealing it: from what has been gathered, or by reading the segment again.
    pub(crate) fn footer(&mut self) -> Result<Footer> {
        let origin = self.segment.header.origin;
        if let Some(footer) = self.footer.take() {
            return Ok(footer.finish(origin));
        }
        let start = start_of(&self.segment);
        let mut footer = FooterBuilder::new(start.next_seq, start.time_max_ns);
        let mut cursor = Cursor::new(&self.segment, start.offset, Some(start.next_seq)).limited(self.position.offset);
        loop {
            match cursor.step()? {
                Step::Frame(frame) => {
                    footer.observe(&frame.header, frame.header_bytes(), frame.offset, &frame.payload());
                }
                Step::Bad { defect, header } => {
                    // Whose it was and which revision it had stays known.
                    let proven =
                        header.filter(|_| matches!(defect.kind, DefectKind::PayloadCrc | DefectKind::RecordBody));
                    if let Some(header) = proven {
                        let bytes = header_at(&self.segment, defect.offset)?;
                        footer.observe(&header, &bytes, defect.offset, &[]);
                    }
                    if !cursor.skip_bad(defect.kind, header)? {
                        break;
                    }
                }
                Step::Free | Step::End | Step::NeedBytes(_) => break,
            }
        }
        let mut footer = footer.finish(origin);
        // What is lost of the segment may have told of a type.
        footer.types = self.types.clone();
        Ok(footer)
    }

    /// Takes frames that have been encoded for the present position, one behind the other in `bytes`, and moves behind them.
    pub(crate) fn accept_all<P: AsRef<[u8]>>(&mut self, headers: &[Header], mut bytes: &[u8], payloads: &[P]) {
        for (number, (header, payload)) in headers.iter().zip(payloads).enumerate() {
            let len = usize::try_from(header.frame_len()).unwrap_or(usize::MAX);
            let Some((frame, behind)) = bytes.split_at_checked(len) else { return };
            let goes_on = headers.get(number + 1).is_some_and(|next| next.run == header.run);
            self.accept(header, frame, payload.as_ref(), goes_on);
            bytes = behind;
        }
    }

    /// Takes a frame that stands at the present position, and moves behind it. `goes_on` says that a frame of the same run is
    /// taken directly behind it: where the run stands is told by the last one.
    fn accept(&mut self, header: &Header, bytes: &[u8], payload: &[u8], goes_on: bool) {
        let offset = self.position.offset;
        if header.kind == Kind::TYPE_REGISTERED
            && let Ok(registered) = TypeRegistered::decode(payload)
        {
            let _known_already = self.types.register(registered);
        }
        if !goes_on || header.kind == Kind::RUN_OPENED {
            self.runs.observe(self.position.segment, header, offset, payload);
        }
        match &mut self.footer {
            Some(footer) => footer.observe(header, bytes, offset, payload),
            None => self.note_place(header, offset),
        }
        let crc = bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        self.moved(header, offset, crc);
    }
}

fn header_at(segment: &Segment, offset: u64) -> Result<[u8; layout::frame::HEADER_LEN_BYTES]> {
    let mut bytes = [0; layout::frame::HEADER_LEN_BYTES];
    let read = read_full_at(&*segment.file, offset, &mut bytes);
    read.map_err(|error| Error::io("cannot read a header", error).segment(segment.header.number).offset(offset))?;
    Ok(bytes)
}

/// The segment behind another one: the next number, or a higher one that stands for it as well.
fn behind(storage: &dyn Storage, number: SegmentNumber) -> Result<SegmentNumber> {
    let next = number.next();
    let entry = storage.entry(&paths::segment(next));
    if entry.map_err(|error| Error::io("cannot look for the next segment", error).segment(next))?.is_some() {
        return Ok(next);
    }
    let listing = Listing::read(storage)?;
    let behind = listing.segments.iter().map(|(other, _)| *other).find(|other| *other > number);
    Ok(behind.unwrap_or(next))
}

/// The place before the first frame of a segment.
fn start_of(segment: &Segment) -> Position {
    Position {
        segment: segment.header.number,
        offset: layout::FIRST_FRAME,
        next_seq: segment.header.first_seq,
        time_max_ns: segment.header.time_floor_ns,
        last_frame: layout::FIRST_FRAME,
        last_frame_crc: 0,
    }
}
