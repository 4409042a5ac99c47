use crate::error::{Error, Result};
use crate::log::cursor::Cursor;
use crate::log::paths;
use crate::log::segment::Segment;
use crate::storage::{OpenMode, Storage, StorageFile, write_all_at};
use crate::{DefectKind, ErrorKind, Flags, FooterBuilder, Gaps, Header, Kind, SegmentHeader, Seq, TypeTable};
use std::io;
use std::ops::Range;
use taffrail_log_format::{FrameFields, Step, encode_frame, encode_redacted_frame, layout, reseal_frame};

/// What a rewritten segment is made of.
pub(super) struct Content<'a> {
    /// Its header; the origin is filled in if there is none.
    pub(super) header: SegmentHeader,
    /// The type table that it begins with.
    pub(super) types: &'a TypeTable,
    /// What is absent.
    pub(super) gaps: Gaps,
    /// Good frames of the old file, as ranges of bytes.
    pub(super) kept: &'a [Range<u64>],
    /// The seq at which it ends.
    pub(super) next_seq: Seq,
    /// Length and digest of the first sealed content, where that is known.
    pub(super) origin: Option<(u64, [u8; 32])>,
}

/// Writes a sealed segment under a temporary name, syncs it, and puts it in the place of the old one, durably. Kept frames
/// keep every byte but those of the header CRC, which is bound to the place.
pub(super) fn rewrite(storage: &dyn Storage, old: Option<&Segment>, content: &Content<'_>) -> Result<()> {
    rewrite_changed(storage, old, content, &mut |_, _| None)
}

/// What takes the place of a frame's payload, by its header and the payload; `None` to keep it.
pub(super) type Change<'a> = &'a mut dyn FnMut(&Header, &[u8]) -> Option<Vec<u8>>;

/// The same, with other payloads in the place of some: their frames say so, and keep the rest of their headers.
pub(super) fn rewrite_changed(
    storage: &dyn Storage,
    old: Option<&Segment>,
    content: &Content<'_>,
    change: Change<'_>,
) -> Result<()> {
    let number = content.header.number;
    let temporary = paths::segment_temporary(number);
    let io_error = |error| Error::io("cannot rewrite a segment", error).segment(number);
    match storage.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(error)),
        _ => {}
    }
    let file = storage.open(&temporary, OpenMode::CreateNew).map_err(io_error)?;
    let mut output = Output::new(&*file, content);
    let result = output.write(old, content, change);
    if let Err(error) = result {
        // What is left of it is removed by the next recovery.
        let _left_for_later = storage.remove(&temporary);
        return Err(error);
    }
    file.sync_all()
        .and_then(|()| storage.rename(&temporary, &paths::segment(number)))
        .and_then(|()| storage.sync_dir(paths::SEGMENTS))
        .map_err(io_error)
}

/// The new file while it is being written, front to back.
struct Output<'a> {
    file: &'a dyn StorageFile,
    header: SegmentHeader,
    buffer: Vec<u8>,
    written: u64,
    footer: FooterBuilder,
}

impl<'a> Output<'a> {
    const BUFFER_LEN_BYTES: usize = 1 << 20;

    fn new(file: &'a dyn StorageFile, content: &Content<'_>) -> Output<'a> {
        let header = content.header.clone();
        let footer = FooterBuilder::new(header.first_seq, header.time_floor_ns);
        Output { file, header, buffer: Vec::new(), written: layout::FIRST_FRAME, footer }
    }

    fn write(&mut self, old: Option<&Segment>, content: &Content<'_>, change: Change<'_>) -> Result<()> {
        let first = content.header.first_seq;
        self.own(Kind::TYPE_TABLE, first, false, &content.types.encode())?;
        if !content.gaps.ranges().is_empty() {
            self.own(Kind::GAPS, first, false, &content.gaps.encode())?;
        }
        for range in content.kept {
            if let Some(old) = old {
                self.copy(old, range, change)?;
            }
        }
        let footer = self.footer.clone().finish(content.origin);
        let origin = footer.origin;
        let footer_at = self.offset();
        self.own(Kind::FOOTER, content.next_seq, true, &footer.encode())?;
        self.own(Kind::SEAL, content.next_seq, false, &footer_at.to_le_bytes())?;
        self.flush()?;
        let block = SegmentHeader { origin: Some(origin), ..self.header.clone() }.encode();
        let mut front = block.to_vec();
        front.resize(usize::try_from(layout::SECOND_BLOCK).unwrap_or_default(), 0);
        front.extend_from_slice(&block);
        self.put(0, &front)
    }

    fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
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
        let (offset, start) = (self.offset(), self.buffer.len());
        let key = self.header.key();
        let header = encode_frame(&mut self.buffer, &key, offset, &fields, payload).map_err(|len| {
            Error::new(ErrorKind::Invalid, "T0144", format!("a record of {len} bytes does not fit into a frame"))
        })?;
        self.observe(&header, start, offset, payload);
        self.flush_if_large()
    }

    fn observe(&mut self, header: &Header, start: usize, offset: u64, payload: &[u8]) {
        let bytes = &self.buffer[start..start + layout::frame::HEADER_LEN_BYTES];
        self.footer.observe(header, bytes, offset, payload);
    }

    /// Copies good frames of the old file.
    fn copy(&mut self, old: &Segment, range: &Range<u64>, change: Change<'_>) -> Result<()> {
        let mut cursor = Cursor::new(old, range.start, None).limited(range.end);
        let mut last = None;
        loop {
            let (offset, start) = (self.offset(), self.buffer.len());
            match cursor.step()? {
                Step::Frame(frame) => {
                    last = Some(frame.header.seq);
                    if let Some(payload) = change(&frame.header, &frame.payload()) {
                        self.replace(&frame.header, &payload)?;
                        self.flush_if_large()?;
                        continue;
                    }
                    let mut header = *frame.header_bytes();
                    reseal_frame(&mut header, &self.header.key(), offset);
                    self.buffer.extend_from_slice(&header);
                    self.buffer.extend_from_slice(frame.stored);
                    let padded = frame.header.frame_len() - layout::frame::HEADER_LEN_BYTES as u64;
                    let padded = start + layout::frame::HEADER_LEN_BYTES + usize::try_from(padded).unwrap_or(0);
                    self.buffer.resize(padded, 0);
                    let (header, payload) = (frame.header, frame.payload());
                    self.footer.observe(
                        &header,
                        &self.buffer[start..start + layout::frame::HEADER_LEN_BYTES],
                        offset,
                        &payload,
                    );
                }
                // An absence that is recorded already: the record stands at the segment's beginning, which is not read here.
                Step::Bad { defect, header: Some(header) }
                    if defect.kind == DefectKind::SeqJump && Some(header.seq) > last =>
                {
                    let _there_is_a_header = cursor.skip_bad(defect.kind, Some(header))?;
                }
                Step::Bad { defect, .. } => {
                    // It was good when the plan was made a moment ago.
                    return Err(Error::new(ErrorKind::Damaged, "T0308", format!("the segment has changed: {defect}"))
                        .segment(self.header.number)
                        .offset(defect.offset)
                        .hint("plan the repair again"));
                }
                Step::Free | Step::End | Step::NeedBytes(_) => return Ok(()),
            }
            self.flush_if_large()?;
        }
    }

    /// Writes a frame anew, with another payload.
    fn replace(&mut self, old: &Header, payload: &[u8]) -> Result<()> {
        let fields = FrameFields {
            seq: old.seq,
            run: old.run,
            revision: old.revision,
            time_ns: old.time_ns,
            durable: old.durable(),
            kind: old.kind,
            flags: old.flags,
        };
        let (offset, start) = (self.offset(), self.buffer.len());
        let encoded = encode_redacted_frame(&mut self.buffer, &self.header.key(), offset, &fields, payload);
        let header = encoded.map_err(|len| {
            let message = format!("a payload of {len} bytes does not fit into a frame");
            Error::new(ErrorKind::Invalid, "T0144", message).seq(old.seq.get())
        })?;
        self.observe(&header, start, offset, payload);
        Ok(())
    }

    fn flush_if_large(&mut self) -> Result<()> {
        if self.buffer.len() < Self::BUFFER_LEN_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.put(self.written, &buffer)?;
        self.written += buffer.len() as u64;
        Ok(())
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let put = write_all_at(self.file, offset, bytes);
        put.map_err(|error| Error::io("cannot rewrite a segment", error).segment(self.header.number).offset(offset))
    }
}
