//! Reading whatever there is of a log, sound or not, without changing a byte.

use crate::error::{Error, Result};
use crate::log::piece::{Damage, Piece, SeqRange, Tail, TailVerdict};
use crate::log::survey::{self, Role, Survey, SurveyedFile};
use crate::log::walk::{Ending, Task, skim, walk};
use crate::storage::{Storage, StorageFile, read_full_at};
use crate::{DefectKind, Footer, SegmentNumber, Seq};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use taffrail_log_format::{Crc32c, SegmentKey, layout};

/// Reads a log as far as it can be read: a whole store, or one segment's file alone. Goes on behind damage.
///
/// Takes no lock and writes nothing. Holds one window of bytes (1 MiB, or the longest frame), and of the newest segment
/// what follows the last event that is known to be durable.
#[derive(Debug)]
pub struct Inspector<'s> {
    source: Source<'s>,
    pub(crate) survey: Survey,
    /// Whether the frames of a sealed segment are passed over, by its footer; `None`: they never are.
    pub(crate) skims: Option<fn(&Footer) -> bool>,
}

#[derive(Debug)]
enum Source<'s> {
    Store(&'s dyn Storage),
    Lone(Arc<dyn StorageFile>),
}

/// What a whole inspection comes to.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Bytes of the segments' files that have been told of.
    pub accounted_bytes: u64,
    /// The seq that is due behind the last event; `None` where nothing could be read.
    pub next: Option<Seq>,
    /// How the newest segment ends.
    pub tail: Option<Tail>,
}

/// State between two segments.
struct Progress {
    due: Option<Seq>,
    /// The number that is due.
    number: SegmentNumber,
    inspected: Inspected,
    /// Files that are no segments of the log and have not been told of.
    others: BTreeMap<SegmentNumber, usize>,
}

impl<'s> Inspector<'s> {
    /// Looks at a store.
    ///
    /// # Errors
    /// `NotFound` where there is none; `Io`.
    pub fn open(storage: &'s dyn Storage) -> Result<Inspector<'s>> {
        Ok(Inspector { source: Source::Store(storage), survey: Survey::of_store(storage)?, skims: None })
    }

    /// Looks at one segment's file, away from its store.
    ///
    /// # Errors
    /// `Io`.
    pub fn lone(file: Arc<dyn StorageFile>) -> Result<Inspector<'static>> {
        let survey = Survey::of_lone(&*file)?;
        Ok(Inspector { source: Source::Lone(file), survey, skims: None })
    }

    /// Bytes of all segments' files.
    #[must_use]
    pub fn bytes_total(&self) -> u64 {
        self.survey.files.iter().map(|file| file.len_bytes).sum()
    }

    /// Whether somebody is writing: then what lies above the watermark is in flight, and not judged.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.survey.live
    }

    pub(crate) fn file(&self, surveyed: &SurveyedFile) -> Result<Arc<dyn StorageFile>> {
        match &self.source {
            Source::Store(storage) => survey::open(*storage, surveyed.name),
            Source::Lone(file) => Ok(Arc::clone(file)),
        }
    }

    /// Walks over everything, in the order of the log.
    ///
    /// # Errors
    /// `Io`: what can not be read is not taken for damage. And what `visit` returns, at once.
    pub fn walk(&self, visit: &mut dyn FnMut(&Piece<'_>) -> Result<()>) -> Result<Inspected> {
        let members = self.survey.members();
        let is_lone = matches!(self.source, Source::Lone(_));
        let is_other = |(_, file): &(usize, &SurveyedFile)| !matches!(file.role, Role::Member(_));
        let others = self.survey.files.iter().enumerate().filter(is_other).map(|(place, file)| (file.name, place));
        let mut progress = Progress {
            due: (!is_lone).then_some(Seq::FIRST),
            number: SegmentNumber::FIRST,
            inspected: Inspected { accounted_bytes: 0, next: None, tail: None },
            others: others.collect(),
        };
        for (number, place) in &members {
            let file = &self.survey.files[*place];
            if !is_lone {
                self.enter(*number, file, &mut progress, visit)?;
            }
            self.member(*number, file, &members, &mut progress, visit)?;
        }
        self.leave(&mut progress, visit)?;
        progress.inspected.next = progress.due.filter(|_| !members.is_empty());
        Ok(progress.inspected)
    }

    /// Between two segments: what is missing, and whether they fit.
    fn enter(
        &self,
        number: SegmentNumber,
        file: &SurveyedFile,
        progress: &mut Progress,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<()>,
    ) -> Result<()> {
        let covers_from = file.header.as_ref().map_or(number, |header| header.covers_from);
        let first = file.header.as_ref().map(|header| header.first_seq);
        if covers_from > progress.number
            && let Some(last) = covers_from.previous()
        {
            self.missing(progress.number..=last, first, progress, visit)?;
        }
        if let (Some(first), Some(due)) = (first, progress.due)
            && first != due
        {
            let mut damage = Damage::new(DefectKind::Chain, Some(file.name), 0..0)
                .saying(format!("first seq {due}"), format!("{first}"));
            damage.lost.extend(SeqRange::between(due.get(), first.get()));
            visit(&Piece::Damage(&damage))?;
        }
        if number != file.name {
            let damage = Damage::new(DefectKind::Chain, Some(file.name), 0..0)
                .saying(format!("segment {}", file.name), format!("segment {number}"));
            visit(&Piece::Damage(&damage))?;
        }
        progress.due = first.or(progress.due);
        Ok(())
    }

    /// Tells that segments are not there, and which events go with them.
    fn missing(
        &self,
        numbers: RangeInclusive<SegmentNumber>,
        next: Option<Seq>,
        progress: &mut Progress,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<()>,
    ) -> Result<()> {
        let (first, last) = (*numbers.start(), *numbers.end());
        let lost = progress.due.zip(next).and_then(|(due, next)| SeqRange::between(due.get(), next.get()));
        let in_place = progress.others.range(numbers).next().map(|(name, place)| (*name, *place));
        let mut damage = match in_place {
            Some((name, place)) => {
                progress.others.remove(&name);
                let Some(damage) = self.other(place, progress) else { return Ok(()) };
                damage
            }
            None => {
                let what =
                    if first == last { format!("segment {first}") } else { format!("segments {first} to {last}") };
                let instead = self.survey.special.iter().filter(|(number, _)| (first..=last).contains(number));
                let found: Vec<String> = instead.map(|(_, kind)| kind.to_string()).collect();
                let found = if found.is_empty() { "no file".to_owned() } else { found.join(", ") };
                Damage::new(DefectKind::SegmentMissing, Some(first), 0..0).saying(what, found)
            }
        };
        damage.lost.extend(lost);
        progress.due = next.or(progress.due);
        visit(&Piece::Damage(&damage))
    }

    /// A file that is no segment of the log. Its bytes are accounted for as a whole.
    fn other(&self, place: usize, progress: &mut Progress) -> Option<Damage> {
        let file = self.survey.files.get(place)?;
        progress.inspected.accounted_bytes += file.len_bytes;
        let kind = if file.role == Role::Newer { DefectKind::NewerFormat } else { DefectKind::Chain };
        let found = match file.role {
            Role::Superseded | Role::Member(_) => return None,
            Role::Duplicate(number) => format!("another copy of segment {number}"),
            Role::PutBack(standing) => format!("a copy of what segment {standing} stands for"),
            Role::Foreign(log_id) => format!("a segment of log {log_id}"),
            Role::Newer => file.defects.first().map_or_else(String::new, |defect| defect.found.to_string()),
        };
        let expected = match file.role {
            Role::Newer => file.defects.first().map_or_else(String::new, |defect| defect.expected.to_string()),
            Role::PutBack(standing) => format!("no file: segment {standing} stands for segment {}", file.name),
            _ => format!("segment {} of this log", file.name),
        };
        Some(Damage::new(kind, Some(file.name), 0..file.len_bytes).saying(expected, found))
    }

    fn member(
        &self,
        number: SegmentNumber,
        file: &SurveyedFile,
        members: &BTreeMap<SegmentNumber, usize>,
        progress: &mut Progress,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(log_id) = self.survey.log_id else {
            let defect = file.defects.first();
            let (expected, found) = defect.map_or_else(Default::default, |d| (&*d.expected, &*d.found));
            let damage = Damage::new(DefectKind::BlockBoth, Some(file.name), 0..file.len_bytes).saying(expected, found);
            progress.inspected.accounted_bytes += file.len_bytes;
            return visit(&Piece::Damage(&damage));
        };
        let task = Task {
            file: self.file(file)?,
            name: file.name,
            key: SegmentKey::new(log_id, number),
            header: file.header.clone(),
            defects: file.defects.clone(),
            len_bytes: file.len_bytes,
            first: file.header.as_ref().map(|header| header.first_seq).or(progress.due),
            ending: self.ending(number, members),
        };
        let skimmed = match self.skims {
            Some(may) => skim(&task, may, visit)?,
            None => None,
        };
        let walked = match skimmed {
            Some(walked) => walked,
            None => walk(&task, visit)?,
        };
        progress.inspected.accounted_bytes += walked.accounted_bytes;
        progress.inspected.tail = walked.tail;
        progress.due = walked.next.or(progress.due);
        progress.number = number.next();
        Ok(())
    }

    fn ending(&self, number: SegmentNumber, members: &BTreeMap<SegmentNumber, usize>) -> Ending {
        let at_least = self.survey.at_least;
        let after = members.range(number.next()..).next().map(|(after, place)| (*after, &self.survey.files[*place]));
        match after {
            Some((after, file)) => {
                let header = file.header.as_ref();
                let adjoins = header.map_or(after, |header| header.covers_from) <= number.next();
                Ending::Successor(header.filter(|_| adjoins).map(|header| header.first_seq))
            }
            None if at_least.segment > Some(number) => Ending::Successor(None),
            None => Ending::Newest { durable: at_least.durable, live: self.survey.live },
        }
    }

    /// Behind the last segment: what is known to be missing, and files that do not belong here.
    fn leave(&self, progress: &mut Progress, visit: &mut dyn FnMut(&Piece<'_>) -> Result<()>) -> Result<()> {
        let at_least = self.survey.at_least;
        if let Some(segment) = at_least.segment.filter(|segment| *segment >= progress.number) {
            self.missing(progress.number..=segment, Some(Seq::after(at_least.durable)), progress, visit)?;
            progress.number = segment.next();
        }
        if let Some((number, _)) = self.survey.special.last().filter(|(number, _)| *number >= progress.number) {
            // How many events go with it nobody knows: nothing tells.
            self.missing(progress.number..=*number, None, progress, visit)?;
        }
        for place in std::mem::take(&mut progress.others).into_values() {
            if let Some(damage) = self.other(place, progress) {
                visit(&Piece::Damage(&damage))?;
            }
        }
        Ok(())
    }

    /// The newest segment as it is at this moment, from the last durable event on: its length and a checksum.
    pub(crate) fn tail_print(&self) -> Result<Option<(u64, u32)>> {
        let Some((number, place)) = self.survey.members().pop_last() else { return Ok(None) };
        let surveyed = &self.survey.files[place];
        let file = self.file(surveyed)?;
        let io = |error| Error::io("cannot read the newest segment", error).segment(surveyed.name);
        let from =
            self.survey.mark.filter(|mark| mark.segment == number).map_or(layout::FIRST_FRAME, |mark| mark.offset);
        let mut crc = Crc32c::default();
        let mut bytes = [0; 16 << 10];
        let mut at = from;
        loop {
            let len = read_full_at(&*file, at, &mut bytes).map_err(io)?;
            crc = crc.then(&bytes[..len]);
            at += len as u64;
            if len < bytes.len() {
                return Ok(Some((at, crc.value())));
            }
        }
    }

    /// Looks at a store; and a second time where the newest segment's end calls for it, in case somebody is writing: then
    /// what lies above the watermark is in flight. Two looks are 50 ms apart.
    ///
    /// # Errors
    /// `NotFound` where there is none; `Io`; what `look` returns.
    pub(crate) fn settled<T>(
        storage: &'s dyn Storage,
        mut look: impl FnMut(&mut Inspector<'s>) -> Result<(T, Inspected)>,
    ) -> Result<T> {
        let mut looks = 1;
        loop {
            match Inspector::settled_if_whole(storage, &mut look) {
                // A compaction has put segments together between the listing and the look.
                Err(error) if error.is_absence() && looks < MOST_LOOKS => looks += 1,
                settled => return settled,
            }
        }
    }

    fn settled_if_whole<T>(
        storage: &'s dyn Storage,
        look: &mut impl FnMut(&mut Inspector<'s>) -> Result<(T, Inspected)>,
    ) -> Result<T> {
        let mut inspector = Inspector::open(storage)?;
        let print = inspector.tail_print()?;
        let (seen, inspected) = look(&mut inspector)?;
        if !inspector.is_doubtful(inspected.tail.as_ref()) {
            return Ok(seen);
        }
        storage.sleep(Survey::PAUSE);
        if !inspector.survey.has_moved(storage)? && inspector.tail_print()? == print {
            return Ok(seen);
        }
        let mut again = Inspector::open(storage)?;
        again.survey.live = true;
        Ok(look(&mut again)?.0)
    }

    /// Whether the newest segment's end calls for a second look, in case somebody is writing.
    fn is_doubtful(&self, tail: Option<&Tail>) -> bool {
        let settled = |tail: &Tail| matches!(tail.verdict, TailVerdict::End | TailVerdict::InFlight);
        !self.survey.live && matches!(self.source, Source::Store(_)) && !tail.is_some_and(settled)
    }
}

/// How often a store is looked at whose segments go while it is looked at.
const MOST_LOOKS: usize = 8;
