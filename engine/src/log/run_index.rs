//! Which runs there are, and where each of them stands.
//!
//! Two levels: a sorted file (`runs.idx`) that is complete up to some place of the log, and in memory what has been seen
//! behind that place. The file is a hint: it names the frame that it ends with, each of its records has a CRC, the name of
//! a run is compared with its `RunOpened` frame, and anything wrong makes it be thrown away and built again from the footers.

use crate::error::{Error, Result};
use crate::log::paths;
use crate::log::position::Position;
use crate::log::run_index_file::{IndexFile, Record, name_hash, write_index_file};
use crate::log::segment::Segment;
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, Header, IndexEntry, Kind, LogId, RunEntry, RunOpened, SegmentNumber, Seq, TypeTable};
use std::collections::BTreeMap;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunTip {
    /// The run's number: the seq of its first event.
    pub(crate) run: Seq,
    /// Its revision.
    pub(crate) revision: u32,
    /// Its last event.
    pub(crate) last: Seq,
}

#[derive(Clone, Debug)]
struct Opened {
    run: Seq,
    at: (SegmentNumber, u64),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct RunIndex {
    base: Option<IndexFile>,
    names: BTreeMap<String, Opened>,
    tips: BTreeMap<Seq, RunTip>,
    /// The last segment of which neither the footer nor all frames could be read, and the first seq behind it: which runs
    /// have events in it, or begin there, nobody knows.
    unsure: Option<(SegmentNumber, Seq)>,
}

impl RunIndex {
    /// Most runs that are kept in memory before they are merged into the file.
    const MOST_IN_MEMORY: usize = 1 << 16;

    /// The index file of a store if it can be trusted, with the place up to which it is complete and the types up to there.
    pub(crate) fn load(storage: &dyn Storage) -> Result<Option<(RunIndex, Position, TypeTable)>> {
        let Some((file, position, types)) = IndexFile::open(storage)? else { return Ok(None) };
        let index = RunIndex { base: Some(file), ..RunIndex::default() };
        Ok(Some((index, position, types)))
    }

    /// Takes a frame.
    pub(crate) fn observe(&mut self, segment: SegmentNumber, header: &Header, offset: u64, payload: &[u8]) {
        let Some(run) = header.run else { return };
        if header.kind == Kind::RUN_OPENED
            && let Ok(opened) = RunOpened::decode(payload)
        {
            self.names.insert(opened.name, Opened { run, at: (segment, offset) });
        }
        self.tips.insert(run, RunTip { run, revision: header.revision, last: header.seq });
    }

    /// Takes a frame of which only the header is good. `false` where that is too little: it opens a run, and the name is lost.
    pub(crate) fn observe_header(&mut self, header: &Header) -> bool {
        if let Some(run) = header.run {
            self.tips.insert(run, RunTip { run, revision: header.revision, last: header.seq });
        }
        header.kind != Kind::RUN_OPENED
    }

    /// A segment's events are not all known; those of the next one begin with `next`.
    pub(crate) fn doubt(&mut self, segment: SegmentNumber, next: Seq) {
        self.unsure = Some((segment, next));
    }

    /// Takes what a footer tells of a segment.
    pub(crate) fn absorb(&mut self, segment: SegmentNumber, runs: &BTreeMap<Seq, RunEntry>) {
        for (run, entry) in runs {
            self.tips.insert(*run, RunTip { run: *run, revision: entry.revision, last: entry.last });
            if let Some(name) = &entry.name {
                self.names.insert(name.clone(), Opened { run: *run, at: (segment, entry.first_offset) });
            }
        }
    }

    /// The run of a name. What the file tells of it, and the log confirms, is kept in memory: the next question costs no read.
    ///
    /// # Errors
    /// `Io`; `Damaged` where a segment that can not be read may hold the run's opening or its last event: to go on from what
    /// is left would open a run twice, or give a revision twice.
    pub(crate) fn find(&mut self, storage: &dyn Storage, name: &str) -> Result<Option<RunTip>> {
        let found = self.look_up(storage, name)?;
        match self.unsure {
            Some((segment, next)) if found.is_none_or(|tip| tip.last < next) => {
                let message = format!("where run {name:?} stands can not be told: segment {segment} is damaged");
                let error = Error::new(ErrorKind::Damaged, "T0308", message).segment(segment);
                Err(error.hint("taffrail log repair --mode salvage"))
            }
            _ => Ok(found),
        }
    }

    /// Where a run stands, if it is in memory and beyond doubt; else [`RunIndex::find`] tells, by the name.
    pub(crate) fn tip(&self, run: Seq) -> Option<RunTip> {
        self.tips.get(&run).copied().filter(|_| self.unsure.is_none())
    }

    fn look_up(&mut self, storage: &dyn Storage, name: &str) -> Result<Option<RunTip>> {
        if let Some(opened) = self.names.get(name) {
            return Ok(self.tips.get(&opened.run).copied());
        }
        let Some(base) = &self.base else { return Ok(None) };
        for record in base.records_of(name_hash(name))? {
            // An opening that can not be read may be this one: the footers tell. To take it for another run's would open the
            // run a second time.
            let Some(opened) = name_of(storage, &record)? else { return Err(base.spoiled_run(record.run)) };
            if opened == name {
                let told = RunTip { run: record.run, revision: record.revision, last: record.last };
                self.names.insert(opened, Opened { run: record.run, at: record.opened_at });
                return Ok(Some(*self.tips.entry(record.run).or_insert(told)));
            }
        }
        Ok(None)
    }

    /// Whether it is time to merge memory into the file.
    pub(crate) fn is_large(&self) -> bool {
        self.tips.len() > Self::MOST_IN_MEMORY
    }

    /// How long the file is.
    pub(crate) fn file_len_bytes(&self) -> u64 {
        self.base.as_ref().map_or(0, IndexFile::len_bytes)
    }

    /// Merges memory into a new file that is complete up to `position`. The caller holds the store's lock. `places` are of the
    /// segment of that position: all of them, or those behind the ones that the present file has. Tells whether the file can
    /// be trusted.
    ///
    /// # Errors
    /// `Io`; the index in memory stays as it was, so a caller may pass over it.
    pub(crate) fn save(
        &mut self,
        storage: &dyn Storage,
        log_id: LogId,
        position: &Position,
        types: &TypeTable,
        places: &[IndexEntry],
    ) -> Result<bool> {
        if self.unsure.is_some() {
            // The file could not say so, and would be believed.
            return Ok(false);
        }
        let mut records = match &self.base {
            Some(base) => base.all()?,
            None => Vec::new(),
        };
        records.extend(self.names.iter().map(|(name, opened)| Record {
            name_hash: name_hash(name),
            run: opened.run,
            last: opened.run,
            opened_at: opened.at,
            revision: 1,
        }));
        for record in &mut records {
            if let Some(tip) = self.tips.get(&record.run) {
                (record.last, record.revision) = (tip.last, tip.revision);
            }
        }
        records.sort_unstable_by_key(|record| (record.name_hash, record.run));
        records.dedup_by_key(|record| record.run);
        let mut before = match self.base.as_ref().filter(|base| base.segment() == position.segment) {
            Some(base) => base.places()?,
            None => Vec::new(),
        };
        before.retain(|place| places.first().is_none_or(|first| place.offset < first.offset));
        before.extend_from_slice(places);
        write_index_file(storage, log_id, position, types, &records, &before)?;
        let Some((file, _, _)) = IndexFile::open(storage)? else { return Ok(false) };
        self.base = Some(file);
        // What is in memory is found without a read.
        if self.tips.len() > Self::MOST_IN_MEMORY / 4 {
            (self.names, self.tips) = (BTreeMap::new(), BTreeMap::new());
        }
        Ok(true)
    }
}

/// The name in the `RunOpened` frame that a record points at; `None` if there is no such frame, for the record is a hint.
fn name_of(storage: &dyn Storage, record: &Record) -> Result<Option<String>> {
    let (number, offset) = record.opened_at;
    let file = match storage.open(&paths::segment(number), OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("cannot open a segment", error).segment(number)),
    };
    let segment = Segment::read(file.into(), number)?;
    let name = segment.frame_at(offset, |frame| {
        let is_opening = frame.header.kind == Kind::RUN_OPENED && frame.header.run == Some(record.run);
        is_opening.then(|| RunOpened::decode(&frame.payload()).ok().map(|opened| opened.name)).flatten()
    })?;
    Ok(name.flatten())
}
