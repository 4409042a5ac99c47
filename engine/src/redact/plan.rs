//! What a redaction would do.

use super::Progress;
use super::needles::{Cause, Needles};
use super::places::{Place, PlaceAction};
use super::search::{Search, digest_of_file};
use super::selector::{Change, Selector};
use super::stays::{Look, Stays};
use super::unfinished::{Unfinished, unfinished};
use crate::blob::{Digest, file_of, named_by};
use crate::error::{Error, Result};
use crate::fold::{Snapshots, needed, parent_of};
use crate::plan::{plan_id, plan_name};
use crate::storage::{EntryKind, Rooted, Storage};
use crate::{ErrorKind, Listing, Query, Reader, Record, Seq};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is redacted of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Redaction {
    /// Its seq.
    pub seq: u64,
    /// The archive that it lies in, relative to the store; `None` for the log itself.
    pub archive: Option<String>,
    /// The segment.
    pub segment: u32,
    /// Its run, by number.
    pub run: Option<u64>,
    /// Its ordinal in the run.
    pub revision: u32,
    /// Its type's full name.
    pub type_name: String,
    /// The fields that are hit, `(pattern)` for what a pattern matches; empty for the whole payload.
    pub fields: Vec<String>,
    /// BLAKE3 of the payload as it is, in hexadecimal.
    pub digest: String,
    /// BLAKE3 of the payload that takes its place.
    pub becomes: String,
}

/// What a redaction would do. Made by reading only; carried out by [`RedactPlan::apply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RedactPlan {
    /// BLAKE3 over the plan, in hexadecimal; the first six digits are its name.
    pub id: String,
    /// The log.
    pub log_id: String,
    /// The events, by archive and seq.
    pub events: Vec<Redaction>,
    /// Other files.
    pub places: Vec<Place>,
    /// Runs whose states have seen what is redacted, with the first revision that has; a run of the store is 0.
    pub runs: BTreeMap<u64, u32>,
    /// Events of types that `--field` can not look into, by type: they are not JSON.
    pub not_looked_into: BTreeMap<String, u64>,
    /// Texts of what goes that are not looked for in other files, since they do not identify anything: numbers, names, short
    /// ones. Copies of whole events are found all the same.
    pub not_identifying: u64,
    /// Where some of it stands that is not taken out.
    pub stays: Vec<Stays>,
    /// Files that could not be looked into.
    pub not_searched: Vec<String>,
    /// Files that were looked into, beside the segments.
    pub files_searched: u64,
    /// What an earlier redaction that was stopped has left. What the selection covers of it is done with the plan, and so is
    /// the removal of its files.
    pub unfinished: Option<Unfinished>,
    /// Events that are changed: to be accepted by number.
    pub lost: u64,
}

impl RedactPlan {
    /// Looks at a store and plans a redaction.
    ///
    /// # Errors
    /// `NotFound` for a run or an event that is not there; `Invalid` (T0407, T0409) for a selector that names nothing, or an
    /// event of the log's own; `Damaged`, `Io` as reading, also where `progress` breaks.
    pub fn make(storage: &Arc<dyn Storage>, selector: &Selector, progress: Progress<'_>) -> Result<RedactPlan> {
        let reader = Reader::open_on(Arc::clone(storage))?;
        let mut found = Found::default();
        found.look(&reader, None, selector, progress)?;
        for archive in archives(&**storage)? {
            let rooted: Arc<dyn Storage> = Arc::new(Rooted::new(Arc::clone(storage), &archive));
            let inner = Reader::open_on(rooted)?;
            found.look(&inner, Some(&archive), selector, progress)?;
        }
        if let Some(missing) = selector.events.iter().find(|seq| !found.seen.contains(seq)) {
            let message = format!("there is no event {missing}");
            return Err(Error::new(ErrorKind::NotFound, "T0409", message).seq(missing.get()));
        }
        let seqs: BTreeSet<u64> = found.events.iter().map(|event| event.seq).collect();
        let runs = affected(&reader, &found.events)?;
        let mut places = Vec::new();
        if !seqs.is_empty() {
            places = snapshots(&reader, &runs, &seqs)?;
            places.extend(superseded(&**storage)?);
        }
        let looked = found.look_again(storage, &reader, selector, progress)?;
        let unfinished = unfinished(storage)?;
        places.extend(left_over(&**storage, unfinished.as_ref())?);
        places.extend(blobs(&**storage, &looked.named)?);
        places.sort();
        places.dedup_by(|later, first| later.path == first.path);
        let skipped = places.iter().map(|place: &Place| place.path.clone()).collect();
        let needles = found.needles.without(|place| looked.is_common(place));
        let pattern = selector.pattern.as_ref().filter(|_| selector.is_of_everything());
        let search = Search::new(&needles, pattern, reader.log_id(), &found.events);
        let files = search.in_store(storage, &skipped, progress)?;
        places.extend(files.places);
        places.extend(search.in_torn_tail(&**storage)?);
        keep_needed(&reader, &mut places)?;
        places.sort();
        let stays = looked.stays(&found.needles);
        let (lost, log_id) = (seqs.len() as u64, reader.log_id().to_string());
        let mut plan = RedactPlan {
            id: String::new(),
            log_id,
            events: found.events,
            places,
            runs,
            not_looked_into: found.not_looked_into,
            not_identifying: found.not_identifying.len() as u64,
            stays,
            not_searched: files.not_searched,
            files_searched: files.count,
            unfinished,
            lost,
        };
        plan.id = plan_id(&plan)?;
        Ok(plan)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.places.is_empty() && self.unfinished.is_none()
    }

    /// The short name: the first six digits of the id.
    #[must_use]
    pub fn name(&self) -> &str {
        plan_name(&self.id)
    }

    /// The segments that are rewritten, by archive.
    pub(super) fn segments(&self) -> BTreeSet<(Option<String>, u32)> {
        self.events.iter().map(|event| (event.archive.clone(), event.segment)).collect()
    }
}

/// Archives that are laid out like a store.
pub(super) fn archives(storage: &dyn Storage) -> Result<Vec<String>> {
    let listed = |directory: &str| match storage.list(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|error| Error::io("cannot list the archives", error)),
    };
    let mut archives = Vec::new();
    for entry in listed("archive")?.iter().filter(|entry| entry.kind == EntryKind::Directory) {
        let archive = format!("archive/{}", entry.name);
        let segments = listed(&format!("{archive}/segments"))?;
        if segments.iter().any(|entry| entry.name.ends_with(".seg")) {
            archives.push(archive);
        }
    }
    Ok(archives)
}

/// Events between two words of progress.
const TOLD_EVERY: u64 = 1024;

/// What was found so far.
#[derive(Default)]
struct Found {
    events: Vec<Redaction>,
    /// What is looked for elsewhere.
    needles: Needles,
    /// Digests of texts that are not.
    not_identifying: BTreeSet<[u8; 32]>,
    /// Blobs that events named whose whole payloads go, with the first of those.
    named: BTreeMap<Digest, (u64, String)>,
    not_looked_into: BTreeMap<String, u64>,
    seen: BTreeSet<Seq>,
}

impl Found {
    fn look(
        &mut self,
        reader: &Reader,
        archive: Option<&str>,
        selector: &Selector,
        progress: Progress<'_>,
    ) -> Result<()> {
        let query = match selector.query(reader) {
            // An archive need not have the run.
            Err(error) if archive.is_some() && error.code() == "T0141" => return Ok(()),
            query => query?,
        };
        let has_fields = !selector.fields.is_empty();
        let total = reader.durable();
        reader.events(query)?.for_each(|record| {
            let done = record.seq.get();
            if done.is_multiple_of(TOLD_EVERY) && progress("searching events", done.min(total), total).is_break() {
                return Err(super::stopped());
            }
            if !selector.takes(record.seq) {
                return Ok(true);
            }
            let is_named = selector.events.contains(&record.seq);
            self.seen.extend(is_named.then_some(record.seq));
            if record.kind.is_reserved() && is_named {
                let message =
                    format!("event {} is a {} of the log's own: it can not be redacted", record.seq, record.kind);
                return Err(Error::new(ErrorKind::Invalid, "T0409", message).seq(record.seq.get()));
            }
            if has_fields && !record.kind.is_reserved() && record.codec() != crate::Codec::Json {
                *self.not_looked_into.entry(record.type_name()).or_default() += 1;
            }
            let Some(change) = selector.change(&record) else { return Ok(true) };
            let hexadecimal = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
            self.events.push(Redaction {
                seq: record.seq.get(),
                archive: archive.map(str::to_owned),
                segment: record.segment.get(),
                run: record.run.map(Seq::get),
                revision: record.revision,
                type_name: record.type_name(),
                fields: change.fields.clone(),
                digest: hexadecimal(&record.payload),
                becomes: hexadecimal(&change.payload),
            });
            self.take(&record, &change, selector);
            Ok(true)
        })
    }

    /// Takes what was taken out of an event. What a pattern for the whole store finds by itself need not be looked for.
    fn take(&mut self, record: &Record<'_>, change: &Change, selector: &Selector) {
        let seq = record.seq.get();
        let mut digests = BTreeSet::new();
        if let Some(entry) = record.entry.as_deref().filter(|_| selector.is_of_whole_events()) {
            for (what, digest) in named_by(entry, &record.payload) {
                digests.insert(digest.to_string());
                self.named.entry(digest).or_insert((seq, what));
            }
        }
        for removed in &change.removed {
            // A text that names a blob is in every file that names it too; the blob itself is dealt with by its name.
            let names_blob = digests.iter().any(|digest| removed.text.ends_with(digest.as_bytes()));
            if removed.is_match && selector.finds_anywhere(&removed.text) || names_blob || removed.text.is_empty() {
                continue;
            }
            if removed.identifies && removed.text.len() >= Needles::SHORTEST_LEN_BYTES {
                self.needles.add(&removed.text, &removed.what, seq);
            } else {
                self.not_identifying.insert(*blake3::hash(&removed.text).as_bytes());
            }
        }
    }

    /// Looks for what goes among what stays: in all other events, in the rest of those that change, in names.
    fn look_again<'a>(
        &'a self,
        storage: &Arc<dyn Storage>,
        reader: &Reader,
        selector: &'a Selector,
        progress: Progress<'_>,
    ) -> Result<Look<'a>> {
        let mut look = Look::new(selector, &self.needles, self.named.clone());
        look.over(reader, progress)?;
        for archive in archives(&**storage)? {
            let rooted: Arc<dyn Storage> = Arc::new(Rooted::new(Arc::clone(storage), &archive));
            look.over(&Reader::open_on(rooted)?, progress)?;
        }
        Ok(look)
    }
}

/// Files that an interrupted redaction was to remove.
fn left_over(storage: &dyn Storage, unfinished: Option<&Unfinished>) -> Result<Vec<Place>> {
    let Some(unfinished) = unfinished else { return Ok(Vec::new()) };
    let place = |(path, digest): &(String, String)| {
        let because = vec![Cause::of("the redaction that was stopped", unfinished.event)];
        place(storage, path, "a redaction that was stopped was to remove it", because, Some(digest.clone()))
    };
    unfinished.files.iter().map(place).collect()
}

/// Blobs that nothing names any more.
fn blobs(storage: &dyn Storage, named: &BTreeMap<Digest, (u64, String)>) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for (digest, (seq, what)) in named {
        let path = file_of(digest);
        let is_there = storage.entry(&path).map_err(|error| Error::io(format_args!("cannot look at {path}"), error))?;
        if is_there.is_some() {
            let because = vec![Cause::of(what, Some(*seq))];
            places.push(place(storage, &path, "only what is redacted names it", because, None)?);
        }
    }
    Ok(places)
}

/// A file that is removed.
fn place(storage: &dyn Storage, path: &str, why: &str, because: Vec<Cause>, digest: Option<String>) -> Result<Place> {
    let entry = storage.entry(path).map_err(|error| Error::io(format_args!("cannot look at {path}"), error))?;
    let digest = digest.map_or_else(|| digest_of_file(storage, path), Ok)?;
    let len_bytes = entry.map_or(0, |entry| entry.len_bytes);
    Ok(Place { path: path.to_owned(), why: why.to_owned(), because, action: PlaceAction::Forget, len_bytes, digest })
}

/// Runs whose states have seen a redacted event: their own, and those that began as one of them.
fn affected(reader: &Reader, events: &[Redaction]) -> Result<BTreeMap<u64, u32>> {
    let mut runs: BTreeMap<u64, u32> = BTreeMap::new();
    for event in events {
        let first = runs.entry(event.run.unwrap_or(0)).or_insert(event.revision);
        *first = (*first).min(event.revision);
    }
    if runs.is_empty() {
        return Ok(runs);
    }
    reader.events(Query::all().event_type("RunOpened"))?.for_each(|record| {
        if let (Some(run), Some(parent)) = (record.run, parent_of(&record))
            && runs.contains_key(&parent.get())
        {
            runs.insert(run.get(), 1);
        }
        Ok(true)
    })?;
    Ok(runs)
}

/// Segments that a compaction has left behind, which may hold anything.
fn superseded(storage: &dyn Storage) -> Result<Vec<Place>> {
    let superseded = Listing::read(storage)?.superseded.into_iter();
    let of = |(number, _)| {
        place(storage, &crate::log::paths::segment(number), "another segment stands for it", Vec::new(), None)
    };
    superseded.map(of).collect()
}

/// Snapshots of states that have seen a redacted event.
fn snapshots(reader: &Reader, runs: &BTreeMap<u64, u32>, seqs: &BTreeSet<u64>) -> Result<Vec<Place>> {
    let Some(snapshots) = Snapshots::of(reader) else { return Ok(Vec::new()) };
    let first = seqs.first().copied().unwrap_or(u64::MAX);
    let has_seen = |snapshot: &&crate::fold::Snapshot| {
        let head = &snapshot.head;
        head.seq.get() >= first && head.run.is_none_or(|run| runs.contains_key(&run.get()))
    };
    let list = snapshots.list()?;
    let seen =
        list.snapshots.iter().filter(has_seen).map(|it| {
            place(&**snapshots.storage(), &it.file, "a snapshot of a state that has seen it", Vec::new(), None)
        });
    seen.collect()
}

/// A snapshot that is all that is left of compacted events is left to the operator: without it more is lost than the secret.
fn keep_needed(reader: &Reader, places: &mut [Place]) -> Result<()> {
    let files: BTreeSet<String> = places.iter().map(|place| place.path.clone()).collect();
    let needed = needed(reader, &files)?;
    for place in places.iter_mut().filter(|place| needed.contains(&place.path)) {
        place.action = PlaceAction::ByHand;
        place.why.push_str(", and all that is left of events that were compacted away");
    }
    Ok(())
}
