use crate::error::{Error, Result};
use crate::log::paths;
use crate::log::segment::Segment;
use crate::storage::{EntryKind, OpenMode, Storage, WrongKind};
use crate::{ErrorKind, SegmentNumber};
use std::io;

/// The segments of a store as its directory lists them: the listing is the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Segment numbers with file lengths, ascending.
    pub segments: Vec<(SegmentNumber, u64)>,
    /// Files of segments that another one stands for: a compaction was interrupted before it removed them.
    pub superseded: Vec<(SegmentNumber, u64)>,
    /// Names of segments that bear something else than a file, ascending: nothing of it is read.
    pub special: Vec<(SegmentNumber, EntryKind)>,
    /// Other files in the directory of segments.
    pub strays: Vec<String>,
    /// Those of the strays that say which segments one file stands for, where the header of that file is bad: nobody can tell
    /// yet, and they have to stay.
    pub undecided: Vec<String>,
}

impl Listing {
    /// Lists a store's segments.
    ///
    /// # Errors
    /// `NotFound` where there is no store; `Io`.
    pub fn read(storage: &dyn Storage) -> Result<Listing> {
        let entries = or_no_store(storage.list(paths::SEGMENTS))?;
        Listing::of(storage, entries.into_iter().map(|entry| (entry.name, entry.kind, entry.len_bytes)))
    }

    /// The numbers of a store's segments, ascending: the listing of somebody who needs no lengths.
    ///
    /// # Errors
    /// As [`Listing::read`].
    pub(crate) fn numbers(storage: &dyn Storage) -> Result<Vec<SegmentNumber>> {
        Listing::without_lengths(storage).map(Listing::into_numbers)
    }

    /// The same of a store that there is: with a segment, or something in the place of one.
    ///
    /// # Errors
    /// `NotFound` where there is no store; `Damaged` where every segment is missing; `Io`.
    pub(crate) fn numbers_of_store(storage: &dyn Storage) -> Result<Vec<SegmentNumber>> {
        Listing::without_lengths(storage)?.of_a_store().map(Listing::into_numbers)
    }

    /// Every length is 0.
    fn without_lengths(storage: &dyn Storage) -> Result<Listing> {
        let names = or_no_store(storage.names(paths::SEGMENTS))?;
        Listing::of(storage, names.into_iter().map(|(name, kind)| (name, kind, 0)))
    }

    fn into_numbers(self) -> Vec<SegmentNumber> {
        self.segments.into_iter().map(|(number, _)| number).collect()
    }

    fn of(storage: &dyn Storage, entries: impl Iterator<Item = (String, EntryKind, u64)>) -> Result<Listing> {
        let mut listing = Listing::default();
        for (name, kind, len_bytes) in entries {
            match SegmentNumber::from_file_name(&name) {
                Some(number) if kind == EntryKind::File => listing.segments.push((number, len_bytes)),
                Some(number) => listing.special.push((number, kind)),
                _ => listing.strays.push(name),
            }
        }
        listing.segments.sort_unstable();
        listing.special.sort_unstable_by_key(|(number, _)| *number);
        listing.set_superseded_aside(storage)?;
        Ok(listing)
    }

    /// Where a note says that a segment may stand for others, its header decides. One that can not be read now may be read
    /// later, and decides nothing before that.
    fn set_superseded_aside(&mut self, storage: &dyn Storage) -> Result<()> {
        for name in &self.strays {
            let Some((first, last)) = paths::stood_for(name) else { continue };
            match Segment::open(storage, last, OpenMode::Read) {
                Ok(segment) if segment.header.covers_from <= first => {
                    let is_covered = |entry: &mut (SegmentNumber, u64)| (first..last).contains(&entry.0);
                    self.superseded.extend(self.segments.extract_if(.., is_covered));
                }
                Ok(_) => {}
                Err(error) if error.is_absence() => {}
                Err(error) if error.kind() == ErrorKind::Io => return Err(error),
                Err(_) => self.undecided.push(name.clone()),
            }
        }
        Ok(())
    }

    fn of_a_store(self) -> Result<Listing> {
        match (self.segments.first(), self.special.first()) {
            (None, Some((number, _))) => Err(self.missing(*number)),
            (None, None) => Err(no_store()),
            _ => Ok(self),
        }
    }

    /// What is in a segment's place, if it is no file.
    #[must_use]
    pub fn special_at(&self, number: SegmentNumber) -> Option<EntryKind> {
        self.special.iter().find(|(other, _)| *other == number).map(|(_, kind)| *kind)
    }

    /// The error for a segment that is not there.
    pub(crate) fn missing(&self, number: SegmentNumber) -> Error {
        let instead = self.special_at(number).map_or_else(String::new, |kind| format!(": {kind} is in its place"));
        Error::new(ErrorKind::Damaged, "T0303", format!("segment {number} is missing{instead}"))
            .segment(number)
            .hint("put the file back; taffrail log verify tells what is lost without it")
    }

    /// The newest segment.
    #[must_use]
    pub fn newest(&self) -> Option<SegmentNumber> {
        self.segments.last().map(|(number, _)| *number)
    }

    /// The segment before another one in the listing.
    #[must_use]
    pub fn before(&self, number: SegmentNumber) -> Option<SegmentNumber> {
        let position = self.segments.partition_point(|(other, _)| *other < number);
        self.segments[..position].last().map(|(other, _)| *other)
    }

    /// The segment behind another one in the listing.
    pub(crate) fn after(&self, number: SegmentNumber) -> Option<SegmentNumber> {
        self.standing_for(number.next())
    }

    /// The lowest segment of this number or a higher one: where its own file is not there, the one that may stand for it.
    pub(crate) fn standing_for(&self, number: SegmentNumber) -> Option<SegmentNumber> {
        let position = self.segments.partition_point(|(other, _)| *other < number);
        self.segments.get(position).map(|(other, _)| *other)
    }

    /// Whether a segment's file is there.
    #[must_use]
    pub fn has(&self, number: SegmentNumber) -> bool {
        self.segments.binary_search_by_key(&number, |(other, _)| *other).is_ok()
    }

    /// The segments whose predecessor's file is not there, with that predecessor's number; the lowest one excepted.
    pub fn holes(&self) -> impl Iterator<Item = (SegmentNumber, SegmentNumber)> {
        self.segments.windows(2).filter_map(|pair| {
            let (before, after) = (pair[0].0, pair[1].0);
            (before.next() != after).then_some((after, before.next()))
        })
    }
}

/// Entries of the directory of segments.
fn or_no_store<T>(listed: io::Result<T>) -> Result<T> {
    listed.map_err(|error| {
        let is_absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        if is_absent && WrongKind::of(&error).is_none() {
            return no_store();
        }
        Error::io("cannot list the segments", error)
    })
}

pub(crate) fn no_store() -> Error {
    Error::new(ErrorKind::NotFound, "T0110", "there is no store here").hint("taffrail store init")
}
