use crate::compact::plan::{CompactionPlan, Originals, SegmentCompaction};
use crate::error::{Error, Result};
use crate::fold::{Pass, Replay};
use crate::log::compact::archive;
use crate::log::compact::publish::Replacement;
use crate::log::compact::rewrite::{Rewritten, Sources, rewrite, sync};
use crate::log::compact::work::{self, Work};
use crate::log::paths;
use crate::plan::{Applied, Authority};
use crate::storage::{OpenMode, Storage, StorageFile};
use crate::{ErrorKind, Journal, Reader, Segment, SegmentNumber, Seq};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// Shows the plan.
const COMMAND: &str = "taffrail log compact";

/// What is known of the work when it is told of in the log.
struct Prepared {
    work: Work,
    rewritten: Vec<Rewritten>,
}

impl CompactionPlan {
    /// Carries the plan out. New segments are written beside the old ones, folded, and compared with what the plan's pass
    /// came to; the originals are archived; an operator event tells of it; and only then each new segment is put in its
    /// place, by one rename, under the store's lock. Safe to be interrupted anywhere: without the event nothing was changed,
    /// and with it the next compaction, undo or removal of an archive finishes what is left.
    ///
    /// `progress` is told of bytes of the old segments that have been worked off, and of those of new ones that have been
    /// read back.
    ///
    /// # Errors
    /// `Rejected` where the store is not what was planned for, or the authority does not cover the loss; `Diverged` (T0520)
    /// where what is left does not fold to the same states, and `Io`: nothing was changed then, unless the message says
    /// otherwise. `Locked`.
    pub fn apply(
        &self,
        storage: &Arc<dyn Storage>,
        authority: &Authority,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Applied> {
        authority.covers(&self.id, self.lost, COMMAND)?;
        let lock_timeout_ms = authority.lock_timeout_ms;
        let alone = work::begin(storage, lock_timeout_ms)?;
        let directory = self.directory(&**storage)?;
        let prepared = self.prepare(storage, &directory, progress).inspect_err(|_| {
            // Nothing refers to it yet; what can not be removed now is removed by whoever comes next.
            let _left_for_later = work::roll_back(storage, &directory);
        })?;
        let event = self.tell(storage, authority, &directory, &prepared).inspect_err(|_| {
            let _left_for_later = work::settle(storage, lock_timeout_ms);
        })?;
        prepared
            .work
            .carry_out(storage, &directory, lock_timeout_ms, false)
            .map_err(|error| if error.kind() == ErrorKind::Rejected { error } else { error.hint(COMMAND) })?;
        drop(alone);
        let went: u64 = prepared.rewritten.iter().map(|rewritten| rewritten.events).sum();
        let lost = if self.originals == Originals::Dropped { went } else { 0 };
        let kept_in = (self.originals == Originals::Archived).then_some(directory);
        Ok(Applied { plan: self.id.clone(), kept_in, event, lost })
    }

    fn stale(&self, why: &str) -> Error {
        Error::new(ErrorKind::Rejected, "T0401", format!("{why}: that is another one than {}", self.name()))
            .hint(COMMAND)
    }

    /// The plan's directory below `archive/`: its name, or more digits of its id where another plan has that name.
    fn directory(&self, storage: &dyn Storage) -> Result<String> {
        let short = archive::directory(self.name());
        let manifest = archive::manifest(storage, &short)?;
        let is_taken = !manifest.is_null() && manifest["plan"] != self.id;
        Ok(if is_taken { archive::directory(self.id.get(..16).unwrap_or(&self.id)) } else { short })
    }

    fn kept_in<'d>(&self, directory: &'d str) -> &'d str {
        if self.originals == Originals::Archived { directory } else { "" }
    }

    /// Writes everything that is new, and proves it.
    fn prepare(&self, storage: &Arc<dyn Storage>, directory: &str, progress: &mut dyn FnMut(u64)) -> Result<Prepared> {
        let is_archived = self.originals == Originals::Archived;
        check_space(&**storage, self.bytes_peak.saturating_sub(self.bytes_now))?;
        let after = Reader::open_on(Arc::clone(storage))?.durable();
        let revisions = self.runs.iter().map(|run| (run.run, run.revision)).collect();
        let work = Work { plan: self.id.clone(), after, revisions, ..Work::default() };
        work.check_runs(storage)?;
        archive::make_directories(&**storage, directory, is_archived)?;
        let mut prepared = Prepared { work, rewritten: Vec::new() };
        // While one file goes to the disk the next one is made.
        let mut unsynced: Option<Box<dyn StorageFile>> = None;
        for segment in &self.segments {
            let (replacement, rewritten, file) = self.rewrite(&**storage, directory, segment, progress)?;
            unsynced.replace(file).map_or(Ok(()), |file| sync(&*file))?;
            prepared.work.replacements.push(replacement);
            prepared.rewritten.push(rewritten);
        }
        unsynced.map_or(Ok(()), |file| sync(&*file))?;
        self.prove(storage, &prepared, progress)?;
        if is_archived {
            let reader = Reader::open_on(Arc::clone(storage))?;
            let archived = self.segments.iter().flat_map(|segment| &segment.segments);
            let archived: BTreeSet<SegmentNumber> = archived.filter_map(|number| SegmentNumber::new(*number)).collect();
            archive::stand_ins(&**storage, directory, reader.segments(), &archived)?;
            let manifest = serde_json::to_vec_pretty(&self.manifest(directory, &prepared)).unwrap_or_default();
            archive::write_file(&**storage, &format!("{directory}/{}", paths::MANIFEST), &manifest)?;
            archive::sync_dir(&**storage, &format!("{directory}/{}", paths::SEGMENTS))?;
        }
        prepared.work.note(&**storage, directory)?;
        Ok(prepared)
    }

    /// Writes one new segment; what it gives has still to be synced.
    fn rewrite(
        &self,
        storage: &dyn Storage,
        directory: &str,
        planned: &SegmentCompaction,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Replacement, Rewritten, Box<dyn StorageFile>)> {
        let mut sources = Vec::new();
        let mut present = Vec::new();
        let mut copies: Vec<Option<Box<dyn StorageFile>>> = Vec::new();
        for (place, number) in planned.segments.iter().enumerate() {
            let Some(number) = SegmentNumber::new(*number) else { continue };
            let source = Segment::open(storage, number, OpenMode::Read)?;
            let len = source.file.len_bytes().map_err(|error| Error::io("cannot measure a segment", error))?;
            let expected = (planned.generations.get(place), planned.lens_bytes.get(place));
            if expected != (Some(&source.header.generation), Some(&len)) {
                return Err(self.stale(&format!("segment {number} has been rewritten since the plan was made")));
            }
            copies.push(self.keep(storage, directory, number, len)?);
            present.push((number.get(), source.header.generation, len));
            sources.push(source);
        }
        let Some(number) = sources.last().map(|source: &Segment| source.header.number) else {
            return Err(Error::new(ErrorKind::Invalid, "T0190", "a plan names no segment"));
        };
        let file = format!("{}/{}", archive::prepared(directory), number.file_name());
        let target = archive::create(storage, &file)?;
        let going = self.going();
        let sources = Sources { segments: &sources, going: &going, kept_in: self.kept_in(directory) };
        let rewritten = rewrite(&sources, &*target, &copies, progress)?;
        Ok((Replacement { prepared: file, present, earlier: Vec::new() }, rewritten, target))
    }

    /// Keeps an original: by a second name, or by the file that is returned, into which it is to be copied.
    fn keep(
        &self,
        storage: &dyn Storage,
        directory: &str,
        number: SegmentNumber,
        len_bytes: u64,
    ) -> Result<Option<Box<dyn StorageFile>>> {
        if self.originals == Originals::Dropped {
            return Ok(None);
        }
        let to = archive::segment_in(directory, number);
        if archive::link(storage, &paths::segment(number), &to)? {
            return Ok(None);
        }
        check_space(storage, len_bytes)?;
        archive::create(storage, &to).map(Some)
    }

    /// Folds what there will be, and compares it with what the plan's pass came to.
    fn prove(&self, storage: &Arc<dyn Storage>, prepared: &Prepared, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let mut files = BTreeMap::new();
        let mut covered = BTreeSet::new();
        for replacement in &prepared.work.replacements {
            covered.extend(replacement.numbers());
            files.extend(replacement.numbers().last().map(|number| (number, replacement.prepared.clone())));
        }
        let reader = Reader::open_on(Arc::clone(storage))?.with_files(files, &covered);
        let mut provers = Vec::new();
        for fold in self.proof.folds.iter() {
            provers.push((fold.name, fold.begin(&reader, BTreeMap::new())?));
        }
        let mut counting = Counting { progress };
        let mut passes: Vec<&mut dyn Pass> = vec![&mut counting];
        passes.extend(provers.iter_mut().map(|(_, prover)| &mut **prover as &mut dyn Pass));
        if let Some(until) = self.proof.until {
            Replay::of(&reader).until(until).go(&mut passes)?;
        }
        let is_proven = |run: &Option<Seq>| run.is_none_or(|run| !self.proof.uncovered.contains(&run));
        let mut after = BTreeMap::new();
        for (name, prover) in &provers {
            for (run, outcome) in prover.outcomes()? {
                after.insert((*name, run), (outcome.digest, outcome.events));
            }
        }
        for ((fold, run), state) in self.proof.states.iter().filter(|((_, run), _)| is_proven(run)) {
            if after.get(&(fold, *run)) != Some(state) {
                let whose = run.map_or_else(|| "the store".to_owned(), |run| format!("run #{run}"));
                let message =
                    format!("without these events the state of {fold} of {whose} is another one: nothing was changed");
                return Err(Error::new(ErrorKind::Diverged, "T0520", message).hint("taffrail replay --check"));
            }
        }
        Ok(())
    }

    fn manifest(&self, directory: &str, prepared: &Prepared) -> serde_json::Value {
        let mut originals = Vec::new();
        for (planned, rewritten) in self.segments.iter().zip(&prepared.rewritten) {
            for (place, number) in planned.segments.iter().enumerate() {
                let digest =
                    rewritten.originals.get(place).map(|digest| blake3::Hash::from(*digest).to_hex().to_string());
                originals.push(json!({
                    "segment": number,
                    "generation": planned.generations.get(place),
                    "file": SegmentNumber::new(*number).map(paths::segment),
                    "len_bytes": planned.lens_bytes.get(place),
                    "blake3": digest,
                }));
            }
        }
        json!({
            "schema": "taffrail.archive/1", "plan": self.id, "log_id": self.log_id, "archive": directory,
            "segments": originals,
        })
    }

    /// The operator event. It comes before the first segment is put in its place: an undo of it finds the originals of
    /// whatever has been replaced.
    fn tell(
        &self,
        storage: &Arc<dyn Storage>,
        authority: &Authority,
        directory: &str,
        prepared: &Prepared,
    ) -> Result<u64> {
        let journal = Journal::options().lock_timeout_ms(authority.lock_timeout_ms).open_on(Arc::clone(storage))?;
        let replaced: Vec<serde_json::Value> = self
            .segments
            .iter()
            .zip(&prepared.rewritten)
            .map(|(planned, rewritten)| {
                json!({
                    "segments": planned.segments, "generations": planned.generations,
                    "events": rewritten.events, "bytes": rewritten.bytes, "ranges": rewritten.ranges,
                })
            })
            .collect();
        let detail = json!({
            "choice": self.choice, "originals": self.originals, "kept_in": self.kept_in(directory),
            "compacted": replaced, "runs": self.runs.len(),
        });
        authority.tell(journal, "compact", &self.id, &detail)
    }
}

/// Says that the disk is full before it is.
fn check_space(storage: &dyn Storage, needed: u64) -> Result<()> {
    let free = storage.free_bytes().map_err(|error| Error::io("cannot ask for free space", error))?;
    if let Some(free) = free.filter(|free| *free < needed) {
        let full = io::Error::new(io::ErrorKind::StorageFull, format!("{needed} bytes needed, {free} free"));
        return Err(Error::io("not enough space for the new segments and the archive", full));
    }
    Ok(())
}

/// Tells of bytes that are read back.
struct Counting<'a> {
    progress: &'a mut dyn FnMut(u64),
}

impl Pass for Counting<'_> {
    fn take(&mut self, record: &crate::Record<'_>) -> Result<()> {
        (self.progress)(record.frame_len);
        Ok(())
    }
}
