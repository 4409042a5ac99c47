//! The bytes of `runs.idx`; `docs/format.md` has the table.

use crate::error::{Error, Result};
use crate::log::paths;
use crate::log::position::Position;
use crate::storage::{OpenMode, Storage, StorageFile, WrongKind, read_full_at, write_all_at};
use crate::{IndexEntry, LogId, SegmentNumber, Seq, TypeTable};
use std::io;
use taffrail_log_format::Crc32c;
use taffrail_log_format::layout as format;

/// One run: where its first frame lies, and where it stood when the file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name_hash: u64,
    pub(crate) run: Seq,
    pub(crate) last: Seq,
    pub(crate) opened_at: (SegmentNumber, u64),
    pub(crate) revision: u32,
}

/// The first eight bytes of the name's BLAKE3.
pub(crate) fn name_hash(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

const MAGIC: [u8; 8] = *b"runs.idx";
const HEADER_LEN_BYTES: usize = 96;
const RECORD_LEN_BYTES: usize = 48;
/// What a place of the newest segment takes.
const PLACE_LEN_BYTES: usize = 24;
/// Most places that are read: of a segment four times as long as they are.
const MOST_PLACES: usize = 4096;
/// Records that are read at once when the search has come close.
const BLOCK_RECORDS: u64 = 64;

impl Record {
    fn encode(&self, log_id: LogId) -> [u8; RECORD_LEN_BYTES] {
        let mut bytes = [0; RECORD_LEN_BYTES];
        bytes[0..8].copy_from_slice(&self.name_hash.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.run.get().to_le_bytes());
        bytes[16..24].copy_from_slice(&self.last.get().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.opened_at.1.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.opened_at.0.get().to_le_bytes());
        bytes[36..40].copy_from_slice(&self.revision.to_le_bytes());
        let crc = record_crc(log_id, &bytes[..44]);
        bytes[44..48].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8], log_id: LogId) -> Option<Record> {
        let u64_at = |at: usize| bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk));
        let u32_at = |at: usize| bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk));
        let good = u32_at(44)? == record_crc(log_id, &bytes[..44]);
        good.then_some(Record {
            name_hash: u64_at(0)?,
            run: Seq::new(u64_at(8)?)?,
            last: Seq::new(u64_at(16)?)?,
            opened_at: (SegmentNumber::new(u32_at(32)?)?, u64_at(24)?),
            revision: u32_at(36)?,
        })
    }
}

fn record_crc(log_id: LogId, bytes: &[u8]) -> u32 {
    Crc32c::default().then(&log_id.0).then(bytes).value()
}

fn io_error(error: io::Error) -> Error {
    Error::io("cannot read runs.idx", error)
}

/// An open index file that belongs to this log.
#[derive(Debug)]
pub(crate) struct IndexFile {
    file: Box<dyn StorageFile>,
    log_id: LogId,
    segment: SegmentNumber,
    records_at: u64,
    count: u64,
}

impl IndexFile {
    /// Opens and proves the store's index file. `None` where there is none, or where it is anything but this log's index:
    /// it is a hint, and a bad one is worth no more than a missing one.
    pub(crate) fn open(storage: &dyn Storage) -> Result<Option<(IndexFile, Position, TypeTable)>> {
        let file = match storage.open(paths::RUNS_INDEX, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound || WrongKind::of(&error).is_some() => {
                return Ok(None);
            }
            Err(error) => return Err(io_error(error)),
        };
        let mut header = [0; HEADER_LEN_BYTES];
        let len = read_full_at(&*file, 0, &mut header).map_err(io_error)?;
        let Some((log_id, position, types_len, count)) = decode_header(&header[..len]) else { return Ok(None) };
        // Not synced when it was written: after a power cut it may be anything, so it serves within one boot only.
        if header[76..92] != storage.boot_id() {
            return Ok(None);
        }
        let mut body = vec![0; types_len];
        let len = read_full_at(&*file, HEADER_LEN_BYTES as u64, &mut body).map_err(io_error)?;
        let stored = header.last_chunk().map(|crc| u32::from_le_bytes(*crc));
        let good = len == types_len && stored == Some(header_crc(&header, &body));
        let Some(types) = good.then(|| TypeTable::decode(&body).ok()).flatten() else { return Ok(None) };
        if !ends_with_its_frame(storage, log_id, &position)? {
            return Ok(None);
        }
        let records_at = (HEADER_LEN_BYTES + types_len) as u64;
        let segment = position.segment;
        Ok(Some((IndexFile { file, log_id, segment, records_at, count }, position, types)))
    }

    /// The records of all runs whose names have this hash.
    pub(crate) fn records_of(&self, hash: u64) -> Result<Vec<Record>> {
        let (mut low, mut high) = (0, self.count);
        while high - low > BLOCK_RECORDS {
            let middle = low + (high - low) / 2;
            match self.read(middle, 1)?.first() {
                Some(record) if record.name_hash >= hash => high = middle,
                Some(_) => low = middle + 1,
                None => return Err(self.spoiled(middle)),
            }
        }
        // Equal hashes may lie behind the block, but not more of them than a block holds.
        let len = (high - low + BLOCK_RECORDS).min(self.count - low);
        let mut found = self.read(low, len)?;
        found.retain(|record| record.name_hash == hash);
        Ok(found)
    }

    /// What the index says, for a report: where each run stood, and the seq up to which that is so. Nothing, where there is
    /// no good index: it is a hint.
    pub(crate) fn hint(storage: &dyn Storage) -> Result<(u64, Vec<Record>)> {
        let Some((file, position, _)) = IndexFile::open(storage)? else { return Ok((0, Vec::new())) };
        match file.all() {
            Ok(records) => Ok((position.next_seq.get(), records)),
            Err(error) if error.kind() == crate::ErrorKind::Damaged => Ok((0, Vec::new())),
            Err(error) => Err(error),
        }
    }

    /// The segment of the place up to which it is complete.
    pub(crate) fn segment(&self) -> SegmentNumber {
        self.segment
    }

    /// The log.
    pub(crate) fn log_id(&self) -> LogId {
        self.log_id
    }

    /// How long it is without the places.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.records_at + self.count.saturating_mul(RECORD_LEN_BYTES as u64)
    }

    /// Places to start reading [`IndexFile::segment`] from, as a footer has them; none where they are not good. Each is a hint.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn places(&self) -> Result<Vec<IndexEntry>> {
        let mut bytes = vec![0; 4 + MOST_PLACES * PLACE_LEN_BYTES + 4];
        let len = read_full_at(&*self.file, self.len_bytes(), &mut bytes).map_err(io_error)?;
        bytes.truncate(len);
        let Some((body, crc)) = bytes.split_last_chunk() else { return Ok(Vec::new()) };
        let Some((count, places)) = body.split_first_chunk() else { return Ok(Vec::new()) };
        let is_whole = places.len() == u32::from_le_bytes(*count) as usize * PLACE_LEN_BYTES;
        if !is_whole || u32::from_le_bytes(*crc) != record_crc(self.log_id, body) {
            return Ok(Vec::new());
        }
        let places = places.chunks_exact(PLACE_LEN_BYTES).map(decode_place);
        Ok(places.collect::<Option<Vec<IndexEntry>>>().unwrap_or_default())
    }

    /// All records.
    pub(crate) fn all(&self) -> Result<Vec<Record>> {
        self.read(0, self.count)
    }

    fn read(&self, first: u64, count: u64) -> Result<Vec<Record>> {
        let len = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(RECORD_LEN_BYTES);
        let mut bytes = vec![0; len];
        let at = self.records_at + first * RECORD_LEN_BYTES as u64;
        read_full_at(&*self.file, at, &mut bytes).map_err(io_error)?;
        let records = bytes.chunks_exact(RECORD_LEN_BYTES).zip(first..);
        records.map(|(chunk, number)| Record::decode(chunk, self.log_id).ok_or_else(|| self.spoiled(number))).collect()
    }

    /// The error for a record that does not lead to its run's opening.
    pub(crate) fn spoiled_run(&self, run: Seq) -> Error {
        Error::new(crate::ErrorKind::Damaged, "T0313", format!("runs.idx does not lead to the opening of run {run}"))
            .seq(run.get())
            .hint("delete runs.idx: it is a hint, and is made again from the log")
    }

    fn spoiled(&self, number: u64) -> Error {
        Error::new(crate::ErrorKind::Damaged, "T0313", format!("record {number} of runs.idx is damaged"))
            .offset(self.records_at + number * RECORD_LEN_BYTES as u64)
            .hint("delete runs.idx: it is a hint, and is made again from the log")
    }
}

fn encode_place(place: &IndexEntry) -> [u8; PLACE_LEN_BYTES] {
    let mut bytes = [0; PLACE_LEN_BYTES];
    bytes[..8].copy_from_slice(&place.seq.get().to_le_bytes());
    bytes[8..16].copy_from_slice(&place.offset.to_le_bytes());
    bytes[16..].copy_from_slice(&place.time_floor_ns.to_le_bytes());
    bytes
}

fn decode_place(bytes: &[u8]) -> Option<IndexEntry> {
    let u64_at = |at: usize| bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk));
    let time_floor_ns = i64::from_le_bytes(*bytes.get(16..)?.first_chunk()?);
    Some(IndexEntry { seq: Seq::new(u64_at(0)?)?, offset: u64_at(8)?, time_floor_ns })
}

fn header_crc(header: &[u8; HEADER_LEN_BYTES], body: &[u8]) -> u32 {
    Crc32c::default().then(&header[..HEADER_LEN_BYTES - 4]).then(body).value()
}

fn decode_header(bytes: &[u8]) -> Option<(LogId, Position, usize, u64)> {
    let u64_at = |at: usize| bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk));
    let u32_at = |at: usize| bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk));
    let complete = bytes.len() == HEADER_LEN_BYTES && bytes[..8] == MAGIC;
    let position = Position {
        segment: SegmentNumber::new(u32_at(24)?)?,
        last_frame_crc: u32_at(28)?,
        offset: u64_at(32)?,
        next_seq: Seq::new(u64_at(40)?)?,
        time_max_ns: i64::from_le_bytes(*bytes.get(48..)?.first_chunk()?),
        last_frame: u64_at(56)?,
    };
    let types_len = usize::try_from(u32_at(72)?).ok().filter(|len| *len <= format::MAX_PAYLOAD_LEN_BYTES)?;
    let log_id = LogId(*bytes.get(8..)?.first_chunk()?);
    complete.then_some((log_id, position, types_len, u64_at(64)?))
}

/// Whether the log still has the frame that the index ends with, in its place.
fn ends_with_its_frame(storage: &dyn Storage, log_id: LogId, position: &Position) -> Result<bool> {
    let file = match storage.open(&paths::segment(position.segment), OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io_error(error)),
    };
    frame_is_there(&*file, log_id, position)
}

/// Whether a file has, at a position's last frame, a proven header with the CRC that the position names, ending there.
pub(crate) fn frame_is_there(file: &dyn StorageFile, log_id: LogId, position: &Position) -> Result<bool> {
    let mut bytes = [0; format::frame::HEADER_LEN_BYTES];
    read_full_at(file, position.last_frame, &mut bytes).map_err(io_error)?;
    let key = taffrail_log_format::SegmentKey::new(log_id, position.segment);
    let aligned = position.last_frame.is_multiple_of(format::FRAME_ALIGN_BYTES);
    let header = taffrail_log_format::RawHeader::new(&bytes).filter(|_| aligned);
    let Some(header) = header.and_then(|raw| raw.check(&key, position.last_frame).ok()) else { return Ok(false) };
    let due = if header.kind.takes_seq() { header.seq.next() } else { header.seq };
    Ok(bytes[..4] == position.last_frame_crc.to_le_bytes()
        && position.last_frame + header.frame_len() == position.offset
        && due <= position.next_seq)
}

/// Writes an index file and puts it in the place of the old one. Not synced: a torn one is refused by its CRCs.
pub(crate) fn write_index_file(
    storage: &dyn Storage,
    log_id: LogId,
    position: &Position,
    types: &TypeTable,
    records: &[Record],
    places: &[IndexEntry],
) -> Result<()> {
    let body = types.encode();
    let mut header = [0; HEADER_LEN_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..24].copy_from_slice(&log_id.0);
    header[24..28].copy_from_slice(&position.segment.get().to_le_bytes());
    header[28..32].copy_from_slice(&position.last_frame_crc.to_le_bytes());
    header[32..40].copy_from_slice(&position.offset.to_le_bytes());
    header[40..48].copy_from_slice(&position.next_seq.get().to_le_bytes());
    header[48..56].copy_from_slice(&position.time_max_ns.to_le_bytes());
    header[56..64].copy_from_slice(&position.last_frame.to_le_bytes());
    header[64..72].copy_from_slice(&(records.len() as u64).to_le_bytes());
    header[72..76].copy_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    header[76..92].copy_from_slice(&storage.boot_id());
    let crc = header_crc(&header, &body);
    header[HEADER_LEN_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    let mut bytes = Vec::with_capacity(HEADER_LEN_BYTES + body.len() + records.len() * RECORD_LEN_BYTES);
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(&body);
    records.iter().for_each(|record| bytes.extend_from_slice(&record.encode(log_id)));
    let places_at = bytes.len();
    let places = if places.len() > MOST_PLACES { &[] } else { places };
    bytes.extend_from_slice(&u32::try_from(places.len()).unwrap_or_default().to_le_bytes());
    places.iter().for_each(|place| bytes.extend_from_slice(&encode_place(place)));
    let crc = record_crc(log_id, &bytes[places_at..]);
    bytes.extend_from_slice(&crc.to_le_bytes());
    let write = || {
        match storage.remove(paths::RUNS_INDEX_TEMPORARY) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = storage.open(paths::RUNS_INDEX_TEMPORARY, OpenMode::CreateNew)?;
        write_all_at(&*file, 0, &bytes)?;
        storage.rename(paths::RUNS_INDEX_TEMPORARY, paths::RUNS_INDEX)
    };
    write().map_err(|error| Error::io("cannot write runs.idx", error))
}
