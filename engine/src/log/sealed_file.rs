//! A sealed segment's file while it is written anew: what compactions, repairs, redactions and undos have in common.

use crate::error::{Error, Result};
use crate::storage::{StorageFile, write_all_at};
use crate::{ErrorKind, Flags, Footer, FooterBuilder, Frame, Gaps, Header, Kind, SegmentHeader, Seq, TypeTable};
use taffrail_log_format::{
    FrameFields, RawHeader, apply_mask, encode_frame, encode_redacted_frame, layout, reseal_frame,
};

/// Length and digest of a segment's first sealed content.
pub(crate) type Origin = (u64, [u8; 32]);

/// See the module. Front to back, but for the header blocks, which come last.
pub(crate) struct SealedFile<'a> {
    file: &'a dyn StorageFile,
    header: SegmentHeader,
    buffer: Vec<u8>,
    written: u64,
    footer: FooterBuilder,
}

impl<'a> SealedFile<'a> {
    const WRITE_LEN_BYTES: usize = 1 << 20;

    /// Begins with the type table, and what is absent, in an empty file.
    pub(crate) fn begin(
        file: &'a dyn StorageFile,
        header: &SegmentHeader,
        types: &TypeTable,
        gaps: &Gaps,
    ) -> Result<SealedFile<'a>> {
        let footer = FooterBuilder::new(header.first_seq, header.time_floor_ns);
        let (buffer, written) = (Vec::new(), layout::FIRST_FRAME);
        let mut sealed = SealedFile { file, header: header.clone(), buffer, written, footer };
        let first = header.first_seq;
        sealed.own(Kind::TYPE_TABLE, first, false, &types.encode())?;
        if !gaps.ranges().is_empty() {
            sealed.own(Kind::GAPS, first, false, &gaps.encode())?;
        }
        Ok(sealed)
    }

    /// Where the next frame will stand.
    pub(crate) fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Writes a frame of the log's own.
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
        let encoded = encode_frame(&mut self.buffer, &self.header.key(), offset, &fields, payload);
        let header = encoded.map_err(|len| self.too_long(len))?;
        self.observe(&header, start, offset, payload);
        self.flush_if_large()
    }

    /// Moves a frame: every byte stays but those of the header's CRC, which is bound to the place.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) -> Result<()> {
        let (offset, start) = (self.offset(), self.buffer.len());
        let mut header = *frame.header_bytes();
        reseal_frame(&mut header, &self.header.key(), offset);
        self.buffer.extend_from_slice(&header);
        self.buffer.extend_from_slice(frame.stored);
        // A set bit in the padding means nothing, and is not moved on.
        self.buffer.resize(self.buffer.len() + frame.padding.len(), 0);
        self.observe(&frame.header, start, offset, &frame.payload());
        self.flush_if_large()
    }

    /// Moves frames that stand one behind the other, as [`SealedFile::frame`] does.
    pub(crate) fn frames(&mut self, mut frames: &mut [u8]) -> Result<()> {
        let key = self.header.key();
        while let Some((bytes, _)) = frames.split_first_chunk_mut() {
            let (offset, start) = (self.offset(), self.buffer.len());
            reseal_frame(bytes, &key, offset);
            let header = RawHeader::new(bytes).and_then(|raw| raw.check(&key, offset).ok());
            let Some(header) = header else {
                return Err(Error::new(ErrorKind::Invalid, "T0190", "a frame that was proven is none any more"));
            };
            let len = usize::try_from(header.frame_len()).unwrap_or(usize::MAX).min(frames.len());
            let (frame, rest) = std::mem::take(&mut frames).split_at_mut(len);
            self.buffer.extend_from_slice(frame);
            let stored = &frame[layout::frame::HEADER_LEN_BYTES..][..header.payload_len as usize];
            // Only the log's own records of runs and types say something to a footer; nothing else is decoded.
            if header.mask != 0 && matches!(header.kind, Kind::RUN_OPENED | Kind::TYPE_REGISTERED) {
                let mut payload = stored.to_vec();
                apply_mask(self.header.log_id, header.seq, header.mask, &mut payload);
                self.observe(&header, start, offset, &payload);
            } else {
                self.observe(&header, start, offset, stored);
            }
            frames = rest;
            self.flush_if_large()?;
        }
        Ok(())
    }

    /// Writes a frame anew, with another payload: it says so, and keeps the rest of its header.
    pub(crate) fn redacted(&mut self, old: &Header, payload: &[u8]) -> Result<()> {
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
        let header = encoded.map_err(|len| self.too_long(len).seq(old.seq.get()))?;
        self.observe(&header, start, offset, payload);
        self.flush_if_large()
    }

    fn too_long(&self, len: usize) -> Error {
        let message = format!("a payload of {len} bytes does not fit into a frame");
        Error::new(ErrorKind::Invalid, "T0144", message).segment(self.header.number)
    }

    fn observe(&mut self, header: &Header, start: usize, offset: u64, payload: &[u8]) {
        let bytes = &self.buffer[start..start + layout::frame::HEADER_LEN_BYTES];
        self.footer.observe(header, bytes, offset, payload);
    }

    /// Ends with footer and seal, and writes the header blocks. `origin` is that of the segment's first sealed content; where
    /// nobody knows it, this is it. `next_seq` is the seq that is due behind the segment, where the frames do not tell.
    pub(crate) fn seal(mut self, next_seq: Option<Seq>, origin: Option<Origin>) -> Result<()> {
        let footer = self.footer.clone().finish(origin);
        self.end(&footer, next_seq.unwrap_or(footer.next_seq))?;
        self.put(0, &front(&SegmentHeader { origin: Some(footer.origin), ..self.header.clone() }))
    }

    /// Begins behind what stands in a file already, header blocks and all.
    pub(crate) fn behind(file: &'a dyn StorageFile, header: &SegmentHeader, end: u64) -> SealedFile<'a> {
        let footer = FooterBuilder::new(header.first_seq, header.time_floor_ns);
        SealedFile { file, header: header.clone(), buffer: Vec::new(), written: end, footer }
    }

    /// Writes footer and seal.
    pub(crate) fn end(&mut self, footer: &Footer, next_seq: Seq) -> Result<()> {
        let footer_at = self.offset();
        self.own(Kind::FOOTER, next_seq, true, &footer.encode())?;
        self.own(Kind::SEAL, next_seq, false, &footer_at.to_le_bytes())?;
        self.flush()
    }

    fn flush_if_large(&mut self) -> Result<()> {
        if self.buffer.len() < Self::WRITE_LEN_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.put(self.written, &buffer)?;
        self.written += buffer.len() as u64;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let put = write_all_at(self.file, offset, bytes);
        put.map_err(|error| Error::io("cannot rewrite a segment", error).segment(self.header.number).offset(offset))
    }
}

/// Everything before the first frame: the header block, twice.
pub(crate) fn front(header: &SegmentHeader) -> Vec<u8> {
    let block = header.encode();
    let mut front = block.to_vec();
    front.resize(usize::try_from(layout::SECOND_BLOCK).unwrap_or_default(), 0);
    front.extend_from_slice(&block);
    debug_assert_eq!(front.len() as u64, layout::FIRST_FRAME, "frames begin behind the second block");
    front
}
