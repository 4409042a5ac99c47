use crate::bodies::{RunOpened, read_seq};
use crate::frame::{Header, layout as frame_layout};
use crate::gaps::Gaps;
use crate::kind::Kind;
use crate::layout as place;
use crate::seq::Seq;
use crate::types::{TypeRegistered, TypeTable};
use crate::wire::{Malformed, Reader, Writer};
use std::collections::BTreeMap;

/// A place from which frames can be read without reading those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The event that begins there.
    pub seq: Seq,
    /// Byte offset of its frame.
    pub offset: u64,
    /// The highest clock reading of all events of the log before it; `i64::MIN` where there are none.
    pub time_floor_ns: i64,
}

/// What a segment holds of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEntry {
    /// The run's first event in the segment.
    pub first: Seq,
    /// Byte offset of that event's frame.
    pub first_offset: u64,
    /// The run's last event in the segment.
    pub last: Seq,
    /// The run's revision after it.
    pub revision: u32,
    /// How many events of the run are here.
    pub count: u32,
    /// The run's name, where it was opened in this segment.
    pub name: Option<String>,
}

/// The body of a [`Kind::FOOTER`] frame: the summary of a sealed segment. A hint that is verified against the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The seq that was due when the segment was sealed.
    pub next_seq: Seq,
    /// How many events the segment holds.
    pub events: u64,
    /// The highest clock reading of all events of the log up to here; `i64::MIN` where there are none.
    pub time_max_ns: i64,
    /// Length and digest of the segment's first sealed content: everything before the footer; the digest is BLAKE3 over
    /// bytes 4..48 of every frame header.
    pub origin: (u64, [u8; 32]),
    /// All types known at the end of the segment.
    pub types: TypeTable,
    /// Places to start reading from, one for about every 64 KiB.
    pub index: Vec<IndexEntry>,
    /// What is here of each run, by run number; `None` where that would not have fitted into a frame.
    pub runs: Option<BTreeMap<Seq, RunEntry>>,
}

impl Footer {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.unsigned(self.next_seq.get()).unsigned(self.events).signed(self.time_max_ns);
        writer.unsigned(self.origin.0).array(&self.origin.1);
        self.types.write(&mut writer);
        writer.unsigned(self.index.len() as u64);
        for entry in &self.index {
            writer.unsigned(entry.seq.get()).unsigned(entry.offset).signed(entry.time_floor_ns);
        }
        let Some(runs) = &self.runs else { return writer.byte(0).take_bytes() };
        writer.byte(1).unsigned(runs.len() as u64);
        for (run, entry) in runs {
            writer.unsigned(run.get()).unsigned(entry.first.get()).unsigned(entry.first_offset);
            writer.unsigned(entry.last.get());
            writer.unsigned(u64::from(entry.revision)).unsigned(u64::from(entry.count));
            writer.option(entry.name.as_deref(), |w, name| {
                w.string(name);
            });
        }
        writer.into_bytes()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// The bytes are no footer, or its index or its runs are out of order.
    pub fn decode(bytes: &[u8]) -> Result<Footer, Malformed> {
        let mut reader = Reader::new(bytes);
        let next_seq = read_seq(&mut reader)?;
        let events = reader.unsigned()?;
        let time_max_ns = reader.signed()?;
        let origin = (reader.unsigned()?, reader.array()?);
        let types = TypeTable::read(&mut reader)?;
        // Nothing is reserved by the counts: an entry in memory is several times as long as its shortest encoding.
        let mut index: Vec<IndexEntry> = Vec::new();
        for _ in 0..reader.count(3)? {
            let seq = read_seq(&mut reader)?;
            let entry = IndexEntry { seq, offset: reader.unsigned()?, time_floor_ns: reader.signed()? };
            if index.last().is_some_and(|last| last.seq >= entry.seq || last.offset >= entry.offset) {
                return Err(reader.malformed("an ascending index before here"));
            }
            index.push(entry);
        }
        let runs = reader.option(Footer::read_runs)?;
        reader.finish()?;
        Ok(Footer { next_seq, events, time_max_ns, origin, types, index, runs })
    }

    fn read_runs(reader: &mut Reader<'_>) -> Result<BTreeMap<Seq, RunEntry>, Malformed> {
        let mut runs: BTreeMap<Seq, RunEntry> = BTreeMap::new();
        for _ in 0..reader.count(7)? {
            let run = read_seq(reader)?;
            let entry = RunEntry {
                first: read_seq(reader)?,
                first_offset: reader.unsigned()?,
                last: read_seq(reader)?,
                revision: reader.small("a revision of 32 bits")?,
                count: reader.small("a count of 32 bits")?,
                name: reader.option(Reader::string)?.map(str::to_owned),
            };
            let ascending = runs.last_key_value().is_none_or(|(last, _)| *last < run);
            if !ascending || run > entry.first || entry.first > entry.last || entry.count == 0 {
                return Err(reader.malformed("ascending runs with possible values before here"));
            }
            runs.insert(run, entry);
        }
        Ok(runs)
    }
}

/// Gathers a segment's footer from its frames, in order, from the first one on.
#[derive(Clone, Debug)]
pub struct FooterBuilder {
    events: u64,
    next_seq: Seq,
    time_max_ns: i64,
    end: u64,
    digest: blake3::Hasher,
    /// Header bytes not yet hashed: BLAKE3 is several times faster on long inputs.
    staged: Vec<u8>,
    types: TypeTable,
    gaps: Gaps,
    index: Vec<IndexEntry>,
    runs: BTreeMap<Seq, RunEntry>,
    /// Bytes that the run entries will take in the footer, at most.
    runs_len_bytes: usize,
}

impl FooterBuilder {
    /// Bytes between two index entries, at least.
    pub const INDEX_STRIDE_BYTES: u64 = 64 << 10;
    const STAGE_LEN_BYTES: usize = 32 << 10;
    /// Bytes that a run takes in the footer without its name, at most.
    const RUN_LEN_BYTES: usize = 52;
    /// Bytes of run entries above which the segment has to be sealed.
    const LARGE_LEN_BYTES: usize = place::MAX_PAYLOAD_LEN_BYTES / 4;
    /// Bytes of run entries from which on the footer leaves them out.
    const MOST_LEN_BYTES: usize = place::MAX_PAYLOAD_LEN_BYTES / 2;
    // The largest footer: the type table, the runs, an index of a segment and a half, and the fixed fields.
    const _FITS: () =
        assert!(TypeTable::MAX_LEN_BYTES + Self::MOST_LEN_BYTES + 2048 * 27 + 128 <= place::MAX_PAYLOAD_LEN_BYTES);

    /// Begins a segment: the seq that is due and the highest clock reading before it.
    #[must_use]
    pub fn new(first_seq: Seq, time_floor_ns: i64) -> FooterBuilder {
        FooterBuilder {
            events: 0,
            next_seq: first_seq,
            time_max_ns: time_floor_ns,
            end: place::FIRST_FRAME,
            digest: blake3::Hasher::new(),
            staged: Vec::with_capacity(Self::STAGE_LEN_BYTES + frame_layout::HEADER_LEN_BYTES),
            types: TypeTable::new(),
            gaps: Gaps::default(),
            index: Vec::new(),
            runs: BTreeMap::new(),
            runs_len_bytes: 0,
        }
    }

    /// Takes the next frame: its proven header, the header's bytes, its offset, and its unmasked payload.
    ///
    /// Bodies of the log's own kinds that can not be read are passed over: they are findings of whoever checks them.
    pub fn observe(&mut self, header: &Header, header_bytes: &[u8], offset: u64, payload: &[u8]) {
        self.staged.extend_from_slice(&header_bytes[frame_layout::LEN_MARK..frame_layout::HEADER_LEN_BYTES]);
        if self.staged.len() >= Self::STAGE_LEN_BYTES {
            // In pieces of one length, which is a multiple of BLAKE3's chunk: whole chunks are hashed side by side.
            let (piece, rest) = self.staged.split_at(Self::STAGE_LEN_BYTES);
            self.digest.update(piece);
            let rest_len = rest.len();
            self.staged.copy_within(Self::STAGE_LEN_BYTES.., 0);
            self.staged.truncate(rest_len);
        }
        self.end = offset + header.frame_len();
        match header.kind {
            Kind::TYPE_TABLE => self.types = TypeTable::decode(payload).unwrap_or_default(),
            Kind::TYPE_REGISTERED => {
                if let Ok(registered) = TypeRegistered::decode(payload) {
                    let _known_already = self.types.register(registered);
                }
            }
            Kind::GAPS => {
                if let Ok(gaps) = Gaps::decode(payload) {
                    self.gaps = gaps;
                    self.next_seq = self.gaps.skip(self.next_seq);
                }
            }
            _ => {}
        }
        if !header.kind.takes_seq() {
            return;
        }
        if Self::is_place_due(&self.index, offset) {
            self.index.push(IndexEntry { seq: header.seq, offset, time_floor_ns: self.time_max_ns });
        }
        self.events += 1;
        self.next_seq = self.gaps.skip(header.seq.next());
        self.time_max_ns = self.time_max_ns.max(header.time_ns);
        let Some(run) = header.run else { return };
        let entry = self.runs.entry(run).or_insert_with(|| {
            self.runs_len_bytes += Self::RUN_LEN_BYTES;
            RunEntry { first: header.seq, first_offset: offset, last: header.seq, revision: 0, count: 0, name: None }
        });
        entry.last = header.seq;
        entry.revision = header.revision;
        entry.count = entry.count.saturating_add(1);
        if header.kind == Kind::RUN_OPENED {
            entry.name = RunOpened::decode(payload).ok().map(|opened| opened.name);
            self.runs_len_bytes += entry.name.as_ref().map_or(0, String::len);
        }
    }

    /// Whether an index takes the place of the event that begins at this offset, in bytes.
    #[must_use]
    pub fn is_place_due(index: &[IndexEntry], offset: u64) -> bool {
        index.last().is_none_or(|last| offset - last.offset >= Self::INDEX_STRIDE_BYTES)
    }

    /// Whether the footer is about to outgrow a frame: the segment has to be sealed soon, whatever its length.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.runs_len_bytes > Self::LARGE_LEN_BYTES
    }

    /// The seq that is due.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// The highest clock reading so far.
    #[must_use]
    pub fn time_max_ns(&self) -> i64 {
        self.time_max_ns
    }

    /// Places to start reading from, so far.
    #[must_use]
    pub fn index(&self) -> &[IndexEntry] {
        &self.index
    }

    /// What there is of each run, so far.
    #[must_use]
    pub fn runs(&self) -> &BTreeMap<Seq, RunEntry> {
        &self.runs
    }

    /// Seals: the summary of all frames that were taken. `origin` is that of a rewritten segment's first content;
    /// `None` computes it.
    #[must_use]
    pub fn finish(mut self, origin: Option<(u64, [u8; 32])>) -> Footer {
        self.digest.update(&self.staged);
        let fits = self.runs_len_bytes < Self::MOST_LEN_BYTES;
        Footer {
            next_seq: self.next_seq,
            events: self.events,
            time_max_ns: self.time_max_ns,
            origin: origin.unwrap_or_else(|| (self.end, *self.digest.finalize().as_bytes())),
            types: self.types,
            index: self.index,
            runs: fits.then_some(self.runs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Flags;
    use crate::types::TypeEntry;
    use std::num::NonZeroU32;

    #[test]
    #[cfg_attr(miri, ignore = "hashes for a minute")]
    fn headers_are_hashed_in_long_pieces_and_never_gathered_without_end() {
        let mut builder = FooterBuilder::new(Seq::FIRST, 0);
        let mut whole = blake3::Hasher::new();
        let mut longest = 0;
        for event in 1..=1600_u64 {
            let seq = Seq::new(event).unwrap();
            let header = Header {
                payload_len: 0,
                seq,
                run: None,
                time_ns: 0,
                lag: NonZeroU32::MIN,
                revision: 0,
                payload_crc: 0,
                kind: Kind::FIRST_USER,
                mask: 0,
                flags: Flags::default(),
                redacted: false,
            };
            let mut bytes = [0; frame_layout::HEADER_LEN_BYTES];
            bytes[frame_layout::SEQ..frame_layout::RUN].copy_from_slice(&event.to_le_bytes());
            whole.update(&bytes[frame_layout::LEN_MARK..]);
            builder.observe(&header, &bytes, place::FIRST_FRAME + event * 48, &[]);
            longest = longest.max(builder.staged.len());
        }
        // 44 bytes of each header; the 745th is hashed in part, and 12 bytes of it stay.
        assert_eq!(
            (longest, builder.staged.len(), builder.staged.capacity()),
            (12 + 744 * 44, 1600 * 44 - 2 * 32_768, 32_816)
        );
        let end = place::FIRST_FRAME + 1601 * 48;
        assert_eq!(builder.finish(None).origin, (end, *whole.finalize().as_bytes()));
    }

    #[test]
    fn a_footer_reads_back_and_every_truncation_is_refused() {
        let seq = |number| Seq::new(number).unwrap();
        let mut types = TypeTable::new();
        types.register(TypeRegistered { kind: Kind::FIRST_USER, entry: TypeEntry::json("a") }).unwrap();
        let run = RunEntry {
            first: seq(7),
            first_offset: 4608,
            last: seq(600),
            revision: 9,
            count: 8,
            name: Some("nightly".into()),
        };
        let footer = Footer {
            next_seq: seq(900),
            events: 893,
            time_max_ns: i64::MIN,
            origin: (70_000, [8; 32]),
            types,
            index: vec![IndexEntry { seq: seq(7), offset: 4608, time_floor_ns: -1 }],
            runs: Some(BTreeMap::from([(seq(3), run)])),
        };
        let body = footer.encode();
        assert_eq!(Footer::decode(&body), Ok(footer.clone()));
        assert!((0..body.len()).all(|len| Footer::decode(&body[..len]).is_err()));

        // Bug: runs were read into a map, so a run that stood there twice or out of order was dropped without a word, and
        // the index was taken in any order although readers search in it.
        let place = |number, offset| IndexEntry { seq: seq(number), offset, time_floor_ns: 0 };
        for index in [vec![place(9, 4608), place(7, 9000)], vec![place(7, 4608), place(9, 4608)]] {
            assert!(Footer::decode(&Footer { index, ..footer.clone() }.encode()).is_err());
        }
        let entry = |first, last| RunEntry {
            first: seq(first),
            first_offset: 9,
            last: seq(last),
            revision: 1,
            count: 1,
            name: None,
        };
        let with = |run, entry| Footer { runs: Some(BTreeMap::from([(seq(run), entry)])), ..footer.clone() }.encode();
        for (run, entry) in [(3, entry(9, 8)), (10, entry(9, 9)), (3, RunEntry { count: 0, ..entry(9, 9) })] {
            assert!(Footer::decode(&with(run, entry)).is_err());
        }
        // A run that was opened here and has one event is the shortest that there is.
        assert!(Footer::decode(&with(9, entry(9, 9))).is_ok());
        let mut twice = with(3, entry(7, 7));
        let run = twice.split_off(twice.len() - 7);
        *twice.last_mut().unwrap() = 2;
        assert!(Footer::decode(&[&twice[..], &run, &run].concat()).is_err());
    }
}
