//! Other files of a store where redacted bytes live.

use super::Progress;
use super::plan::Redaction;
use crate::LogId;
use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::log::paths;
use crate::storage::{EntryKind, OpenMode, Storage, StorageFile, read_full_at};
use regex::bytes::Regex;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use taffrail_log_format::{apply_mask, layout};

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceAction {
    /// It is removed.
    Forget,
    /// It is left to the operator, who has to see to it.
    ByHand,
}

/// A file that holds, or may hold, what is redacted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Its name, relative to the store.
    pub path: String,
    /// Why it is here.
    pub why: String,
    /// What happens to it.
    pub action: PlaceAction,
    /// Its length in bytes.
    pub len_bytes: u64,
}

/// Shorter texts are not searched for: they would be found everywhere.
const START: usize = 6;
/// Bytes read at a time.
const CHUNK_LEN_BYTES: usize = 1 << 20;
/// How far chunks overlap: no needle is longer, and no match of a pattern that is found across two.
const OVERLAP_LEN_BYTES: usize = 64 << 10;

/// What is searched for.
pub(super) struct Needles {
    by_start: BTreeMap<[u8; START], Vec<Vec<u8>>>,
    /// Whether any needle starts with these two bytes.
    starts: Vec<bool>,
    pattern: Option<Regex>,
    log_id: LogId,
    /// Digests, in hexadecimal, of the payloads that are redacted, by seq: their frames are known wherever they are met.
    payloads: BTreeMap<u64, BTreeSet<String>>,
}

impl Needles {
    pub(super) fn new(
        removed: &BTreeSet<Vec<u8>>,
        pattern: Option<Regex>,
        log_id: LogId,
        events: &[Redaction],
    ) -> Needles {
        let mut payloads: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for event in events {
            payloads.entry(event.seq).or_default().insert(event.digest.clone());
        }
        let (by_start, starts) = (BTreeMap::new(), vec![false; 1 << 16]);
        let mut needles = Needles { by_start, starts, pattern, log_id, payloads };
        for needle in removed {
            let Some(start) = needle.first_chunk::<START>() else { continue };
            needles.by_start.entry(*start).or_default().push(needle.clone());
            needles.starts[usize::from(u16::from_le_bytes([start[0], start[1]]))] = true;
        }
        needles
    }

    fn in_bytes(&self, bytes: &[u8]) -> bool {
        if self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(bytes)) {
            return true;
        }
        !self.by_start.is_empty()
            && bytes.windows(START).enumerate().any(|(at, window)| {
                let start = usize::from(u16::from_le_bytes([window[0], window[1]]));
                self.starts[start]
                    && window
                        .first_chunk()
                        .and_then(|window| self.by_start.get(window))
                        .is_some_and(|needles| needles.iter().any(|needle| bytes[at..].starts_with(needle)))
            })
    }

    /// Whether a text is too short to be looked for.
    pub(super) fn is_too_short(text: &[u8]) -> bool {
        text.len() < START
    }

    /// Whether a file holds any of it: as it is, in the payload of a frame that is stored under a mask, or in a whole frame
    /// whose payload is redacted, however short the part of it is.
    pub(super) fn in_file(&self, storage: &dyn Storage, path: &str) -> Result<bool> {
        let io = |error| Error::io(format_args!("cannot read {path}"), error);
        let file = storage.open(path, OpenMode::Read).map_err(io)?;
        let mut chunk = vec![0; CHUNK_LEN_BYTES + OVERLAP_LEN_BYTES];
        let mut at = 0;
        loop {
            let read = read_full_at(&*file, at, &mut chunk).map_err(io)?;
            let bytes = &chunk[..read];
            if self.in_bytes(bytes) || self.in_frames(&*file, at, bytes).map_err(io)? {
                return Ok(true);
            }
            if read < chunk.len() {
                return Ok(false);
            }
            at += CHUNK_LEN_BYTES as u64;
        }
    }

    /// Frames by their looks: a copy of a segment's bytes need not say where they were.
    fn in_frames(&self, file: &dyn StorageFile, start: u64, bytes: &[u8]) -> std::io::Result<bool> {
        use layout::frame::{FLAGS, FLAGS_CONSTANT, HEADER_LEN_BYTES, MARK, MASK, SEQ};
        for at in (0..bytes.len().saturating_sub(HEADER_LEN_BYTES)).step_by(8) {
            let header = &bytes[at..at + HEADER_LEN_BYTES];
            if header[7] != MARK || header[FLAGS] & FLAGS_CONSTANT != FLAGS_CONSTANT {
                continue;
            }
            let seq = header[SEQ..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let Some(number) = crate::Seq::new(seq) else { continue };
            let redacted = self.payloads.get(&seq);
            // Other frames are found by what is in them, unless a mask hides it.
            if redacted.is_none() && (self.pattern.is_none() || header[MASK] == 0) {
                continue;
            }
            let len = usize::from(header[4]) | usize::from(header[5]) << 8 | usize::from(header[6]) << 16;
            let mut payload = vec![0; len];
            let read = read_full_at(file, start + (at + HEADER_LEN_BYTES) as u64, &mut payload)?;
            payload.truncate(read);
            apply_mask(self.log_id, number, header[MASK], &mut payload);
            let is_redacted = |digests: &BTreeSet<String>| digests.contains(blake3::hash(&payload).to_hex().as_str());
            if redacted.is_some_and(is_redacted) || self.in_bytes(&payload) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All files of a store that hold any of it, but for the segments of its own log and of archives.
    pub(super) fn in_store(
        &self,
        storage: &Arc<dyn Storage>,
        skipped: &BTreeSet<String>,
        progress: Progress<'_>,
    ) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        let mut files = files(&**storage)?;
        files.retain(|(path, _)| !skipped.contains(path) && !is_log(path));
        let total = files.iter().map(|(_, len_bytes)| len_bytes).sum();
        let mut done = 0;
        for (path, len_bytes) in files {
            done += len_bytes;
            if progress("searching files", done, total).is_break() {
                return Err(super::stopped());
            }
            let why = match self.in_bundle(storage, &path)? {
                true => "a bundle of this log, with events that are redacted",
                false if self.in_file(&**storage, &path)? => "it holds what is redacted",
                false => continue,
            };
            let action = if path == paths::CONFIG { PlaceAction::ByHand } else { PlaceAction::Forget };
            places.push(Place { path, why: why.to_owned(), action, len_bytes });
        }
        Ok(places)
    }

    fn in_bundle(&self, storage: &Arc<dyn Storage>, path: &str) -> Result<bool> {
        let io = |error| Error::io(format_args!("cannot read {path}"), error);
        let is_bundle = Bundle::is_one(&*storage.open(path, OpenMode::Read).map_err(io)?)?;
        if !is_bundle {
            return Ok(false);
        }
        let Ok(bundle) = Bundle::open(Arc::clone(storage), path) else { return Ok(false) };
        let manifest = bundle.manifest();
        let first = self.payloads.keys().next().copied().unwrap_or(u64::MAX);
        Ok(manifest.log_id() == Some(self.log_id) && manifest.durable >= first)
    }
}

/// Whether a file is a segment that is rewritten, or holds nothing of events.
fn is_log(path: &str) -> bool {
    let own = [paths::LOCK, paths::WATERMARK, paths::RUNS_INDEX, paths::GITIGNORE];
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
