//! Reading a log back from the bytes of a simulated disk, strictly: whatever is not as the format says is an error.

use crate::storage::SimDisk;
use crate::{Footer, Kind, LogId, SegmentHeader, SegmentNumber, Seq, TypeTable};
use taffrail_log_format::{Frame, Scanner, Step, TypeRegistered, layout};

/// One event as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) run: Option<u64>,
    pub(super) revision: u32,
    pub(super) time_ns: i64,
    pub(super) kind: Kind,
    /// The user type's name; empty for the log's own kinds.
    pub(super) type_name: String,
    pub(super) payload: Vec<u8>,
    /// Whether its batch goes on behind it.
    pub(super) more: bool,
    /// Where it lies, for tests that damage it.
    pub(super) place: (SegmentNumber, u64, u64),
}

/// What is carried from segment to segment.
struct Reading {
    events: Vec<Event>,
    types: TypeTable,
    due: u64,
    log_id: Option<LogId>,
    link: Option<(u64, [u8; 32])>,
}

/// Every event of the log, batches whole, seqs dense, every segment linked to the one before it.
pub(super) fn read_log(disk: &SimDisk) -> Result<Vec<Event>, String> {
    let files = disk.files();
    let numbered = files.iter().filter_map(|(name, bytes)| {
        let leaf = name.strip_prefix("segments/")?;
        SegmentNumber::from_file_name(leaf).map(|number| (number, bytes))
    });
    let segments: Vec<(SegmentNumber, &Vec<u8>)> = numbered.collect();
    let mut reading = Reading { events: Vec::new(), types: TypeTable::new(), due: 1, log_id: None, link: None };
    for (position, (number, bytes)) in segments.iter().enumerate() {
        if usize::try_from(number.get()) != Ok(position + 1) {
            return Err(format!("segment {number} stands at place {position}"));
        }
        let is_last = position + 1 == segments.len();
        reading.segment(*number, bytes, is_last).map_err(|what| format!("segment {number}: {what}"))?;
    }
    Ok(reading.events)
}

impl Reading {
    fn segment(&mut self, number: SegmentNumber, bytes: &[u8], is_last: bool) -> Result<(), String> {
        let blocks = (bytes.get(..512).unwrap_or_default(), bytes.get(4096..4608).unwrap_or_default());
        let (header, defects) = SegmentHeader::read(blocks.0, blocks.1).map_err(|defect| defect.to_string())?;
        let fits = header.number == number
            && defects.is_empty()
            && header.first_seq.get() == self.due
            && self.log_id.is_none_or(|log_id| log_id == header.log_id)
            && header.predecessor == self.link;
        if !fits {
            return Err(format!("header does not fit (due {}): {header:?} {defects:?}", self.due));
        }
        self.log_id = Some(header.log_id);
        let mut scanner = Scanner::new(header.key(), layout::FIRST_FRAME, Some(header.first_seq));
        let (mut footer, mut sealed) = (None, false);
        loop {
            let offset = scanner.offset();
            let at = usize::try_from(offset).map_err(|error| error.to_string())?;
            match scanner.step(bytes.get(at..).unwrap_or_default(), true) {
                Step::Frame(_) if sealed => return Err(format!("a frame behind the seal at {offset:#x}")),
                Step::Frame(frame) => {
                    sealed = frame.header.kind == Kind::SEAL;
                    self.frame(number, &frame, &mut footer)?;
                }
                Step::Free | Step::End => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    if rest.chunks(256).any(|piece| piece.iter().fold(0, |all, byte| all | byte) != 0)
                        || scanner.in_batch()
                    {
                        return Err(format!("the frames end at {offset:#x}, but not the bytes or not the batch"));
                    }
                    break;
                }
                Step::Bad { defect, .. } => return Err(defect.to_string()),
                Step::NeedBytes(count) => return Err(format!("asks for {count} bytes at the end")),
            }
        }
        let trimmed = scanner.offset() == bytes.len() as u64;
        let complete = sealed && trimmed;
        if !(is_last || complete) {
            return Err(format!("another one follows, sealed {sealed}, trimmed {trimmed}"));
        }
        self.link = footer.map(|footer: Footer| footer.origin);
        Ok(())
    }

    fn frame(&mut self, number: SegmentNumber, frame: &Frame<'_>, footer: &mut Option<Footer>) -> Result<(), String> {
        let payload = frame.payload().into_owned();
        let header = frame.header;
        if frame.padding.iter().any(|byte| *byte != 0) {
            return Err(format!("padding that is not zero at {:#x}", frame.offset));
        }
        match header.kind {
            Kind::TYPE_TABLE if frame.offset != layout::FIRST_FRAME => return Err("a second type table".into()),
            Kind::TYPE_TABLE if TypeTable::decode(&payload).as_ref() != Ok(&self.types) => {
                return Err("a type table that is not the one gathered so far".into());
            }
            _ if frame.offset == layout::FIRST_FRAME && header.kind != Kind::TYPE_TABLE => {
                return Err("no type table at its start".into());
            }
            Kind::TYPE_REGISTERED => {
                let registered = TypeRegistered::decode(&payload).map_err(|what| format!("{what:?}"))?;
                self.types.register(registered).map_err(|twice| format!("registered twice: {twice:?}"))?;
            }
            Kind::FOOTER => {
                let decoded = Footer::decode(&payload).map_err(|what| format!("{what:?}"))?;
                if decoded.types != self.types || decoded.next_seq != header.seq {
                    return Err("a footer that does not fit".into());
                }
                *footer = Some(decoded);
            }
            _ => {}
        }
        if !header.kind.takes_seq() {
            return Ok(());
        }
        if header.seq.get() != self.due {
            return Err(format!("seq {} where {} is due", header.seq, self.due));
        }
        self.due += 1;
        let type_name = match self.types.get(header.kind) {
            Some(entry) => entry.name.clone(),
            None if header.kind.is_reserved() => String::new(),
            None => return Err(format!("{} is no type", header.kind)),
        };
        self.events.push(Event {
            seq: header.seq.get(),
            run: header.run.map(Seq::get),
            revision: header.revision,
            time_ns: header.time_ns,
            kind: header.kind,
            type_name,
            payload,
            more: header.flags.more,
            place: (number, frame.offset, frame.end()),
        });
        Ok(())
    }
}
