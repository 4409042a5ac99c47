//! Which files make up a log, read from their names, their headers and the watermark, before a frame is looked at.

use crate::error::{Error, Result};
use crate::log::evidence::{AtLeast, Evidence};
use crate::log::listing::{Listing, no_store};
use crate::log::lock::LockState;
use crate::log::{paths, watermark};
use crate::storage::{EntryKind, OpenMode, Storage, StorageFile, read_full_at};
use crate::{Defect, DefectKind, LogId, SegmentHeader, SegmentNumber, Watermark};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use taffrail_log_format::{WatermarkSlots, layout};

/// What a segment's file is to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The segment of this number: its header says so, or, where that is unreadable, the file's name.
    Member(SegmentNumber),
    /// Another file stands for its events: a compaction was interrupted before it deleted this one.
    Superseded,
    /// The same, and no compaction says that it was interrupted: the file was put back.
    PutBack(SegmentNumber),
    /// A second copy of a segment that is there under its own name.
    Duplicate(SegmentNumber),
    /// A segment of another log.
    Foreign(LogId),
    /// A segment that needs a newer build.
    Newer,
}

/// A segment's file and what its header blocks say.
#[derive(Clone, Debug)]
pub(crate) struct SurveyedFile {
    /// The number in the file's name; in a lone file the one in its header.
    pub(crate) name: SegmentNumber,
    pub(crate) len_bytes: u64,
    pub(crate) header: Option<SegmentHeader>,
    /// Header blocks that are bad.
    pub(crate) defects: Vec<Defect>,
    pub(crate) role: Role,
}

/// The files of a store and what is known of its end.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    pub(crate) lock: LockState,
    /// Slots of the watermark file that are bad.
    pub(crate) slots: WatermarkSlots,
    /// The watermark, if it is this log's.
    pub(crate) mark: Option<Watermark>,
    /// What watermark, `LOCK` and snapshots tell of the log's end.
    pub(crate) at_least: AtLeast,
    /// Ascending by name.
    pub(crate) files: Vec<SurveyedFile>,
    /// `None` where no header and no watermark can be read.
    pub(crate) log_id: Option<LogId>,
    /// What is in the place of a file or a directory of the store and is neither.
    pub(crate) misplaced: Vec<(&'static str, EntryKind)>,
    /// The same of segments, by number.
    pub(crate) special: Vec<(SegmentNumber, EntryKind)>,
    /// Whether somebody is writing.
    pub(crate) live: bool,
}

impl Survey {
    /// Pause between two reads of what may be in motion.
    pub(crate) const PAUSE: Duration = Duration::from_millis(50);

    /// Looks at a store. The watermark is read before the listing, and both before any frame: what it tells of is there.
    ///
    /// # Errors
    /// `NotFound` where there is no store; `Io`.
    pub(crate) fn of_store(storage: &dyn Storage) -> Result<Survey> {
        let evidence = settled(storage)?;
        let listing = Listing::read(storage)?;
        if listing.segments.is_empty() && listing.special.is_empty() && evidence.log_id().is_none() {
            return Err(no_store());
        }
        let noted: Vec<_> = listing.strays.iter().filter_map(|name| paths::stood_for(name)).collect();
        let mut names = [listing.segments, listing.superseded].concat();
        names.sort_unstable();
        let mut files = Vec::with_capacity(names.len());
        for (name, len_bytes) in names {
            let file = open(storage, name)?;
            let (header, defects) = read_header(&*file, name)?;
            files.push(SurveyedFile { name, len_bytes, header, defects, role: Role::Member(name) });
        }
        let log_id = elect(&files, evidence.slots.newest.as_ref()).or_else(|| evidence.log_id());
        assign_roles(&mut files, log_id, &noted);
        let mark = log_id.and_then(|log_id| evidence.mark(log_id));
        let at_least = log_id.map_or_else(AtLeast::default, |log_id| evidence.of(storage, log_id));
        let Evidence { slots, lock, .. } = evidence;
        let live = is_held_by_a_living_process(storage, lock);
        let (special, misplaced) = (listing.special, misplaced(storage)?);
        Ok(Survey { lock, slots, mark, at_least, files, log_id, misplaced, special, live })
    }

    /// Looks at one segment's file, away from its store.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn of_lone(file: &dyn StorageFile) -> Result<Survey> {
        let number = SegmentNumber::FIRST;
        let (header, defects) = read_header(file, number)?;
        let len_bytes = file.len_bytes().map_err(|error| Error::io("cannot measure the segment", error))?;
        let name = header.as_ref().map_or(number, |header| header.number);
        let log_id = header.as_ref().map(|header| header.log_id);
        let newer = defects.iter().any(|defect| defect.kind == DefectKind::NewerFormat);
        let role = if newer { Role::Newer } else { Role::Member(name) };
        let files = vec![SurveyedFile { name, len_bytes, header, defects, role }];
        let (lock, slots) = (LockState::Unknown, WatermarkSlots::default());
        let (misplaced, special, at_least) = (Vec::new(), Vec::new(), AtLeast::default());
        Ok(Survey { lock, slots, mark: None, at_least, files, log_id, misplaced, special, live: false })
    }

    /// The segments of the log with the places of their files in [`Survey::files`], ascending by number.
    pub(crate) fn members(&self) -> BTreeMap<SegmentNumber, usize> {
        let number = |(place, file): (usize, &SurveyedFile)| match file.role {
            Role::Member(number) => Some((number, place)),
            _ => None,
        };
        self.files.iter().enumerate().filter_map(number).collect()
    }

    /// Whether anything that a writer touches has changed since: the lock, the listing, the watermark.
    pub(crate) fn has_moved(&self, storage: &dyn Storage) -> Result<bool> {
        let again = Survey::of_store(storage)?;
        let lens = |survey: &Survey| -> Vec<(SegmentNumber, u64)> {
            survey.files.iter().map(|file| (file.name, file.len_bytes)).collect()
        };
        Ok(again.live || again.lock != self.lock || again.slots != self.slots || lens(&again) != lens(self))
    }
}

/// Opens a segment's file for reading.
pub(crate) fn open(storage: &dyn Storage, name: SegmentNumber) -> Result<Arc<dyn StorageFile>> {
    match storage.open(&paths::segment(name), OpenMode::Read) {
        Ok(file) => Ok(file.into()),
        Err(error) => Err(Error::io(format_args!("cannot open segment {name}"), error).segment(name)),
    }
}

/// Names of the store that bear something else than they should.
fn misplaced(storage: &dyn Storage) -> Result<Vec<(&'static str, EntryKind)>> {
    let files = [paths::LOCK, paths::WATERMARK, paths::RUNS_INDEX, paths::CONFIG].map(|name| (name, EntryKind::File));
    let directories = [paths::BLOBS, paths::SNAPSHOTS, paths::QUARANTINE].map(|name| (name, EntryKind::Directory));
    let mut misplaced = Vec::new();
    for (name, due) in files.into_iter().chain(directories) {
        let entry = storage.entry(name).map_err(|error| Error::io(format_args!("cannot look at {name}"), error))?;
        misplaced.extend(entry.filter(|entry| entry.kind != due).map(|entry| (name, entry.kind)));
    }
    Ok(misplaced)
}

/// A reader may meet a slot that is being written: then it is whole a moment later.
fn settled(storage: &dyn Storage) -> Result<Evidence> {
    let mut evidence = Evidence::read_if_files(storage)?;
    if !evidence.slots.defects.is_empty() {
        storage.sleep(Survey::PAUSE);
        evidence.slots = watermark::read_if_file(storage)?;
    }
    Ok(evidence)
}

fn read_header(file: &dyn StorageFile, name: SegmentNumber) -> Result<(Option<SegmentHeader>, Vec<Defect>)> {
    let mut blocks = [[0; layout::block::LEN_BYTES]; 2];
    let mut lens = [0; 2];
    for ((block, len), offset) in blocks.iter_mut().zip(&mut lens).zip([layout::FIRST_BLOCK, layout::SECOND_BLOCK]) {
        *len = read_full_at(file, offset, block)
            .map_err(|error| Error::io("cannot read a segment header", error).segment(name))?;
    }
    Ok(match SegmentHeader::read(&blocks[0][..lens[0]], &blocks[1][..lens[1]]) {
        Ok((header, defects)) => (Some(header), defects),
        Err(defect) => (None, vec![defect]),
    })
}

/// The log that most of the files belong to; the watermark has a voice too, and the last word.
fn elect(files: &[SurveyedFile], mark: Option<&Watermark>) -> Option<LogId> {
    let mut voices: BTreeMap<LogId, usize> = BTreeMap::new();
    for header in files.iter().filter_map(|file| file.header.as_ref()) {
        *voices.entry(header.log_id).or_default() += 2;
    }
    if let Some(mark) = mark {
        *voices.entry(mark.log_id).or_default() += 3;
    }
    let most = voices.values().copied().max()?;
    let lowest = files.iter().filter_map(|file| file.header.as_ref()).map(|header| header.log_id);
    lowest.chain(mark.map(|mark| mark.log_id)).find(|log_id| voices.get(log_id) == Some(&most))
}

/// `noted` are the segments, first and last, that a compaction is putting together, or was when it was interrupted.
fn assign_roles(files: &mut [SurveyedFile], log_id: Option<LogId>, noted: &[(SegmentNumber, SegmentNumber)]) {
    let mut taken: Vec<SegmentNumber> = Vec::new();
    let own = |file: &SurveyedFile| file.header.as_ref().filter(|header| Some(header.log_id) == log_id).cloned();
    // Files under their right name come first, misnamed ones next, unreadable ones take what is left.
    for pass in 0..3 {
        for file in files.iter_mut() {
            let number = match (own(file), &file.header) {
                (Some(header), _) if (header.number == file.name) == (pass == 0) && pass < 2 => header.number,
                (None, None) if pass == 2 => file.name,
                _ => continue,
            };
            file.role = if taken.contains(&number) { Role::Duplicate(number) } else { Role::Member(number) };
            taken.push(number);
        }
    }
    for file in files.iter_mut() {
        match &file.header {
            Some(header) if Some(header.log_id) != log_id => file.role = Role::Foreign(header.log_id),
            None if file.defects.iter().any(|defect| defect.kind == DefectKind::NewerFormat) => file.role = Role::Newer,
            _ => {}
        }
    }
    let covers: Vec<(SegmentNumber, SegmentNumber)> =
        files.iter().filter_map(own_cover(log_id)).filter(|(from, number)| from < number).collect();
    for file in files.iter_mut() {
        let Role::Member(number) = file.role else { continue };
        if let Some((_, standing)) = covers.iter().find(|(from, to)| (*from..*to).contains(&number)) {
            let is_noted = noted.iter().any(|(first, last)| (first..last).contains(&&number));
            file.role = if is_noted { Role::Superseded } else { Role::PutBack(*standing) };
        }
    }
}

fn own_cover(log_id: Option<LogId>) -> impl Fn(&SurveyedFile) -> Option<(SegmentNumber, SegmentNumber)> {
    move |file| {
        let header = file.header.as_ref().filter(|header| Some(header.log_id) == log_id)?;
        matches!(file.role, Role::Member(_)).then_some((header.covers_from, header.number))
    }
}

fn is_held_by_a_living_process(storage: &dyn Storage, lock: LockState) -> bool {
    match lock {
        LockState::Held { boot_id, process_id, .. } => {
            boot_id == storage.boot_id() && storage.process_alive(process_id)
        }
        _ => false,
    }
}
