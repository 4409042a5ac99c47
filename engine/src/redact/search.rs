//! Looking through the files of a store.

use super::Progress;
use super::needles::{Cause, Needles};
use super::places::{Place, PlaceAction};
use super::plan::Redaction;
use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::log::paths;
use crate::log::quarantine::{digest_of, torn_tail_name};
use crate::storage::{EntryKind, OpenMode, Storage, StorageFile, read_full_at};
use crate::{LogId, RecoveryPlan};
use regex::bytes::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use taffrail_log_format::{apply_mask, layout};

/// Bytes read at a time.
const CHUNK_LEN_BYTES: usize = 1 << 20;
/// How far chunks overlap: no needle is longer, and no match of a pattern that is found across two.
const OVERLAP_LEN_BYTES: usize = 64 << 10;
/// Causes that are named of a file.
const MOST_CAUSES: usize = 4;

/// What is looked for.
pub(super) struct Search<'a> {
    pub(super) needles: &'a Needles,
    /// A pattern that holds for the whole store.
    pub(super) pattern: Option<&'a Regex>,
    log_id: LogId,
    /// Digests, in hexadecimal, of the payloads that are redacted, by seq: their frames are known wherever they are met.
    payloads: BTreeMap<u64, BTreeSet<String>>,
}

/// What was found in files.
#[derive(Debug, Default)]
pub(super) struct FoundFiles {
    pub(super) places: Vec<Place>,
    /// Files that could not be looked into.
    pub(super) not_searched: Vec<String>,
    /// How many were.
    pub(super) count: u64,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        needles: &'a Needles,
        pattern: Option<&'a Regex>,
        log_id: LogId,
        events: &[Redaction],
    ) -> Search<'a> {
        let mut payloads: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for event in events {
            payloads.entry(event.seq).or_default().insert(event.digest.clone());
        }
        Search { needles, pattern, log_id, payloads }
    }

    fn in_bytes(&self, bytes: &[u8], causes: &mut BTreeSet<Cause>) {
        if self.pattern.is_some_and(|pattern| pattern.is_match(bytes)) {
            causes.insert(Cause::of("the pattern", None));
        }
        self.needles.find(bytes, |place| {
            causes.insert(self.needles.get(place).cause.clone());
            causes.len() < MOST_CAUSES
        });
    }

    /// What a file holds of it: as it is, in the payload of a frame that is stored under a mask, or in a whole frame whose
    /// payload is redacted, however short the part of it is.
    fn in_file(&self, storage: &dyn Storage, path: &str, log_id: LogId) -> Result<BTreeSet<Cause>> {
        let io = |error| Error::io(format_args!("cannot read {path}"), error);
        let file = storage.open(path, OpenMode::Read).map_err(io)?;
        let mut chunk = vec![0; CHUNK_LEN_BYTES + OVERLAP_LEN_BYTES];
        let mut causes = BTreeSet::new();
        let mut at = 0;
        loop {
            let read = read_full_at(&*file, at, &mut chunk).map_err(io)?;
            let bytes = &chunk[..read];
            self.in_bytes(bytes, &mut causes);
            self.in_frames(&*file, at, bytes, log_id, &mut causes).map_err(io)?;
            if read < chunk.len() || causes.len() >= MOST_CAUSES {
                return Ok(causes);
            }
            at += CHUNK_LEN_BYTES as u64;
        }
    }

    /// What a torn append at the end of the log holds of it. Whoever opens the log for writing cuts it and keeps it in the
    /// quarantine, so that is the place; carrying out the plan opens the log first. Where the log may not be opened, nothing is
    /// cut, and what is damaged is told elsewhere.
    pub(super) fn in_torn_tail(&self, storage: &dyn Storage) -> Result<Option<Place>> {
        let Ok(recovery) = RecoveryPlan::make(storage) else { return Ok(None) };
        let Some(cut) = recovery.cut().filter(|cut| !cut.is_empty()) else { return Ok(None) };
        let io = |error| Error::io("cannot read the newest segment", error).segment(recovery.segment);
        let file = storage.open(&paths::segment(recovery.segment), OpenMode::Read).map_err(io)?;
        let len_bytes = cut.end - cut.start;
        let mut bytes = vec![0; usize::try_from(len_bytes).unwrap_or(0)];
        let read = read_full_at(&*file, cut.start, &mut bytes).map_err(io)?;
        bytes.truncate(read);
        let mut causes = BTreeSet::new();
        self.in_bytes(&bytes, &mut causes);
        self.in_frames(&*file, cut.start, &bytes, self.log_id, &mut causes).map_err(io)?;
        if causes.is_empty() {
            return Ok(None);
        }
        let digest = digest_of(&*file, cut.clone())?;
        Ok(Some(Place {
            path: torn_tail_name(recovery.segment, cut.start, digest),
            why: "a torn append, which opening the log puts there".to_owned(),
            because: causes.into_iter().collect(),
            action: PlaceAction::Forget,
            len_bytes,
            digest: blake3::Hash::from(digest).to_hex().to_string(),
        }))
    }

    /// Frames by their looks: a copy of a segment's bytes need not say where they were.
    fn in_frames(
        &self,
        file: &dyn StorageFile,
        start: u64,
        bytes: &[u8],
        log_id: LogId,
        causes: &mut BTreeSet<Cause>,
    ) -> std::io::Result<()> {
        use layout::frame::{FLAGS, FLAGS_CONSTANT, HEADER_LEN_BYTES, MARK, MASK, SEQ};
        for at in (0..bytes.len().saturating_sub(HEADER_LEN_BYTES)).step_by(8) {
            let header = &bytes[at..at + HEADER_LEN_BYTES];
            if header[7] != MARK || header[FLAGS] & FLAGS_CONSTANT != FLAGS_CONSTANT || causes.len() >= MOST_CAUSES {
                continue;
            }
            let seq = header[SEQ..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let Some(number) = crate::Seq::new(seq) else { continue };
            let redacted = self.payloads.get(&seq).filter(|_| log_id == self.log_id);
            let is_hidden = header[MASK] != 0 && (self.pattern.is_some() || !self.needles.is_empty());
            // Other frames are found by what is in them, unless a mask hides it.
            if redacted.is_none() && !is_hidden {
                continue;
            }
            let len = usize::from(header[4]) | usize::from(header[5]) << 8 | usize::from(header[6]) << 16;
            let mut payload = vec![0; len];
            let read = read_full_at(file, start + (at + HEADER_LEN_BYTES) as u64, &mut payload)?;
            payload.truncate(read);
            apply_mask(log_id, number, header[MASK], &mut payload);
            let is_redacted = |digests: &BTreeSet<String>| digests.contains(blake3::hash(&payload).to_hex().as_str());
            if redacted.is_some_and(is_redacted) {
                causes.insert(Cause::of("a copy of the event", Some(seq)));
            }
            self.in_bytes(&payload, causes);
        }
        Ok(())
    }

    /// All files of a store that hold any of it, but for the segments of its own log and of archives.
    pub(super) fn in_store(
        &self,
        storage: &Arc<dyn Storage>,
        skipped: &BTreeSet<String>,
        progress: Progress<'_>,
    ) -> Result<FoundFiles> {
        let mut found = FoundFiles::default();
        let mut files = files(&**storage)?;
        files.retain(|(path, _)| !skipped.contains(path) && !is_log(path));
        let total = files.iter().map(|(_, len_bytes)| len_bytes).sum();
        let mut done = 0;
        for (path, len_bytes) in files {
            done += len_bytes;
            if progress("searching files", done, total).is_break() {
                return Err(super::stopped());
            }
            found.count += 1;
            let (why, because) = match self.in_bundle(storage, &path, &mut found.not_searched)? {
                Some(because) => ("a bundle that holds it", because),
                None => ("it holds what is redacted", self.in_file(&**storage, &path, self.log_id)?),
            };
            let mut add = |why: &str, because: BTreeSet<Cause>, action| -> Result<()> {
                let (path, digest) = (path.clone(), digest_of_file(&**storage, &path)?);
                let because = because.into_iter().collect();
                found.places.push(Place { path, why: why.to_owned(), because, action, len_bytes, digest });
                Ok(())
            };
            if !because.is_empty() {
                add(why, because, action_of(&path))?;
            } else if self.pattern.is_some_and(|pattern| pattern.is_match(path.as_bytes())) {
                add("its name holds it", BTreeSet::from([Cause::of("the pattern", None)]), PlaceAction::ByHand)?;
            }
        }
        Ok(found)
    }

    /// What a bundle holds of it; `None` where the file is none, or can not be read as one: then its bytes alone are looked at.
    fn in_bundle(
        &self,
        storage: &Arc<dyn Storage>,
        path: &str,
        not_searched: &mut Vec<String>,
    ) -> Result<Option<BTreeSet<Cause>>> {
        let io = |error| Error::io(format_args!("cannot read {path}"), error);
        let is_bundle = Bundle::is_one(&*storage.open(path, OpenMode::Read).map_err(io)?)?;
        if !is_bundle {
            return Ok(None);
        }
        let Ok(bundle) = Bundle::open(Arc::clone(storage), path) else {
            not_searched.push(path.to_owned());
            return Ok(None);
        };
        let log_id = bundle.manifest().log_id().unwrap_or(self.log_id);
        let mut causes = BTreeSet::new();
        for member in &bundle.manifest().members {
            match self.in_file(&bundle, &member.path, log_id) {
                Ok(found) => causes.extend(found),
                // A member that is rotten is not given out by anybody either.
                Err(_) => not_searched.push(format!("{path}: {}", member.path)),
            }
            if causes.len() >= MOST_CAUSES {
                break;
            }
        }
        Ok(Some(causes))
    }
}

/// BLAKE3 of a file, in hexadecimal.
pub(super) fn digest_of_file(storage: &dyn Storage, path: &str) -> Result<String> {
    let io = |error| Error::io(format_args!("cannot read {path}"), error);
    let file = storage.open(path, OpenMode::Read).map_err(io)?;
    let len_bytes = file.len_bytes().map_err(io)?;
    Ok(blake3::Hash::from(digest_of(&*file, 0..len_bytes)?).to_hex().to_string())
}

/// Settings, and what says what an archive is, are the operator's to change: without them more is lost than the secret.
fn action_of(path: &str) -> PlaceAction {
    let is_archives_own = path.starts_with("archive/") && path.ends_with(paths::MANIFEST);
    // While a repair that gives files their names back is stopped, it may be all that there is of a segment.
    let segments_own = path.strip_prefix(paths::SEGMENTS).and_then(|name| name.strip_prefix('/'));
    let is_second_name = segments_own.is_some_and(|name| paths::second_name_of(name).is_some());
    match path == paths::CONFIG || is_archives_own || is_second_name {
        true => PlaceAction::ByHand,
        false => PlaceAction::Forget,
    }
}

/// Whether a file is a segment that is rewritten, or holds nothing of events.
fn is_log(path: &str) -> bool {
    let own = [paths::LOCK, paths::WATERMARK, paths::RUNS_INDEX, paths::GITIGNORE, paths::REDACTING];
    let is_segment = path.ends_with(".seg")
        && (path.starts_with("segments/") || (path.starts_with("archive/") && path.contains("/segments/")));
    is_segment || own.contains(&path)
}

/// All files below a storage's root, with their lengths.
fn files(storage: &dyn Storage) -> Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    let mut left = vec![String::new()];
    while let Some(directory) = left.pop() {
        let entries = storage.list(&directory);
        let entries = entries.map_err(|error| Error::io(format_args!("cannot list {directory:?}"), error))?;
        for entry in entries {
            let path = if directory.is_empty() { entry.name } else { format!("{directory}/{}", entry.name) };
            match entry.kind {
                EntryKind::Directory => left.push(path),
                EntryKind::File => found.push((path, entry.len_bytes)),
                EntryKind::Link | EntryKind::Pipe | EntryKind::Socket | EntryKind::Device => {}
            }
        }
    }
    found.sort();
    Ok(found)
}
