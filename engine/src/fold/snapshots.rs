//! The snapshots of a store: hints that are proven before use, and can be deleted at any time.

use crate::error::{Error, Result};
use crate::fold::codec;
use crate::fold::fold::Fold;
use crate::fold::snapshot::{SnapshotHead, encode};
use crate::fold::snapshot_list::{entries, list, read};
use crate::fold::snapshot_name::{directory_of, file_name, parse_file_name};
use crate::fold::state::{Standing, StateDigest, canonical_bytes};
use crate::fold::voucher::{find_or_append, is_vouched_for};
use crate::log::paths::SNAPSHOTS;
use crate::storage::{EntryKind, OpenMode, Storage, write_all_at};
use crate::{ErrorKind, Journal, Reader, Seq, TypeEntry};
use std::collections::BTreeMap;
use std::sync::Arc;

/// It is not whole.
pub(super) const SPOILED: &str = "T0523";
/// It is of another fold, or of a version of it that is not understood.
const OTHER: &str = "T0521";
/// It is of another log, or of another history of this one.
const ELSEWHERE: &str = "T0522";
/// Snapshot files by run: after which event, of which version of the fold, under which name.
pub(super) type SnapshotFiles = BTreeMap<Option<Seq>, Vec<(Seq, u32, String)>>;

/// A snapshot that is there and good in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its file, relative to the store.
    pub file: String,
    /// What it says.
    pub head: SnapshotHead,
}

/// A snapshot file that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFinding {
    /// Its file, relative to the store.
    pub file: String,
    /// The code that `taffrail explain` knows: T0523 for a file that is not whole, T0521 for one of another fold or version,
    /// T0522 for one of another log or history.
    pub code: &'static str,
    /// Why.
    pub why: String,
}

/// What the directory of snapshots holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotList {
    /// Good ones: by fold, then version, then run, then seq.
    pub snapshots: Vec<Snapshot>,
    /// The others.
    pub findings: Vec<SnapshotFinding>,
}

/// A store's snapshots.
#[derive(Clone, Debug)]
pub struct Snapshots {
    storage: Arc<dyn Storage>,
}

impl Snapshots {
    /// How many snapshots of a fold and run [`Snapshots::prune`] leaves at least.
    pub const KEPT_AT_LEAST: usize = 2;

    /// The snapshots of a store.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Snapshots {
        Snapshots { storage }
    }

    /// Those of the store that a reader reads; `None` for a segment's file on its own.
    #[must_use]
    pub fn of(reader: &Reader) -> Option<Snapshots> {
        reader.storage().map(|storage| Snapshots::new(Arc::clone(storage)))
    }

    /// All snapshots, each proven in itself, of all folds.
    ///
    /// # Errors
    /// `Io` where a directory can not be listed or a file can not be read: what it holds is not known then.
    pub fn list(&self) -> Result<SnapshotList> {
        list(&*self.storage)
    }

    /// Writes a snapshot of a state, and before that, unless it is there already, the checkpoint in the log that vouches for
    /// it: without it, nobody could tell a snapshot of this history from one of another. (An older copy of a log that was put
    /// back, and gone on with otherwise, may well hold the same event at the same seq.)
    ///
    /// # Errors
    /// `Rejected` (T0512) where the state is incomplete, or has seen no event; `Conflict` where the run has gone on;
    /// `Invalid` (T0502, T0512) where it does not read back as it was; as appending; `Io`.
    pub fn create<F: Fold>(&self, journal: &Journal, run: Option<Seq>, standing: &Standing<F>) -> Result<Snapshot> {
        let refused =
            |why: &str| Error::new(ErrorKind::Rejected, "T0512", format!("no snapshot of {}: {why}", F::NAME));
        check_name::<F>()?;
        if let Some(lack) = standing.lacks().next() {
            return Err(refused(&format!("the state is incomplete, {lack}")));
        }
        if standing.seq.is_none() {
            return Err(refused("there is no event yet"));
        }
        let state = canonical_bytes(&standing.state)?;
        if codec::decode_state::<F::State>(&state).as_ref() != Ok(&standing.state) {
            let message = format!("a state of {} does not read back as it was written", F::NAME);
            return Err(Error::new(ErrorKind::Invalid, "T0512", message)
                .hint("skip, skip_serializing_if, flatten and untagged do not work with bincode"));
        }
        let digest = StateDigest::of_bytes(&state);
        let vouched = find_or_append(journal, run, standing, digest)?;
        // The checkpoint, and with it all that came before.
        journal.sync()?;
        let head = SnapshotHead {
            log_id: journal.log_id(),
            fold: F::NAME.to_owned(),
            version: F::VERSION,
            run,
            seq: vouched.seq,
            revision: vouched.revision,
            events: standing.events,
            voucher: vouched.voucher,
            state_len_bytes: state.len() as u64,
            digest,
        };
        let directory = directory_of(F::NAME, F::VERSION);
        let file = format!("{directory}/{}", file_name(vouched.seq, run));
        self.write(&directory, &file, &encode(&head, &state))
            .map_err(|error| Error::io(format_args!("cannot write {file}"), error))?;
        Ok(Snapshot { file, head })
    }

    /// Temporary file, sync, rename, sync of the directories.
    fn write(&self, directory: &str, file: &str, bytes: &[u8]) -> std::io::Result<()> {
        let storage = &*self.storage;
        if storage.create_dir(SNAPSHOTS)? {
            storage.sync_dir("")?;
        }
        if storage.create_dir(directory)? {
            storage.sync_dir(SNAPSHOTS)?;
        }
        let temporary = format!("{file}.{}.tmp", storage.process_id());
        if storage.entry(&temporary)?.is_some() {
            storage.remove(&temporary)?;
        }
        let written = storage.open(&temporary, OpenMode::CreateNew)?;
        write_all_at(&*written, 0, bytes)?;
        written.sync_all()?;
        drop(written);
        storage.rename(&temporary, file)?;
        storage.sync_dir(directory)
    }

    /// Removes a snapshot.
    ///
    /// # Errors
    /// `NotFound` (T0510); `Io`.
    pub fn drop(&self, snapshot: &Snapshot) -> Result<()> {
        self.remove(&snapshot.file)
    }

    pub(crate) fn remove(&self, file: &str) -> Result<()> {
        let io = |error| Error::io(format_args!("cannot remove {file}"), error);
        if self.storage.entry(file).map_err(io)?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, "T0510", format!("there is no snapshot {file}"))
                .hint("taffrail snap list"));
        }
        self.storage.remove(file).map_err(io)?;
        let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
        self.storage.sync_dir(directory).map_err(io)
    }

    /// The storage that they are in.
    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Puts a file back that was dropped.
    pub(crate) fn put_back(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
        self.write(directory, file, bytes).map_err(|error| Error::io(format_args!("cannot write {file}"), error))
    }

    /// Whether a name is that of a snapshot's file: what the log says of one is not believed further than this.
    pub(crate) fn is_file_name(file: &str) -> bool {
        let mut parts = file.split('/');
        let (top, directory, name) = (parts.next(), parts.next(), parts.next());
        let plain = |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && part != "." && part != "..");
        let is_snapshot = name.is_some_and(|name| name.ends_with(".snap"));
        top == Some(SNAPSHOTS) && plain(directory) && is_snapshot && parts.next().is_none()
    }

    /// Removes all but the newest so many snapshots of a fold and run, and never goes below
    /// [`Snapshots::KEPT_AT_LEAST`]. Gives those that were removed.
    ///
    /// # Errors
    /// `Io`.
    pub fn prune<F: Fold>(&self, run: Option<Seq>, keep: usize) -> Result<Vec<Snapshot>> {
        let mut removed = Vec::new();
        let mut good = 0;
        for (_, file) in self.candidates::<F>(run, F::VERSION)? {
            let Ok((head, _)) = self.read(&file)? else { continue };
            good += 1;
            if good > keep.max(Snapshots::KEPT_AT_LEAST) {
                let snapshot = Snapshot { file, head };
                self.drop(&snapshot)?;
                removed.push(snapshot);
            }
        }
        Ok(removed)
    }

    /// The newest state before `until` that can be trusted: its snapshot is whole, of this log, this fold and this version
    /// (or one that [`Fold::migrate`] takes), and the log vouches for it by a checkpoint. What was passed over is told, and is
    /// no error.
    ///
    /// # Errors
    /// `Io` where the directory can not be listed; as reading the log.
    pub fn newest<F: Fold>(
        &self,
        reader: &Reader,
        run: Option<Seq>,
        until: Option<Seq>,
    ) -> Result<(Option<Standing<F>>, Vec<SnapshotFinding>)> {
        let mut findings = Vec::new();
        for version in self.versions::<F>()? {
            for (seq, file) in self.candidates::<F>(run, version)? {
                if until.is_some_and(|until| seq >= until) {
                    continue;
                }
                match self.usable::<F>(reader, run, version, &file)? {
                    Ok(standing) => return Ok((Some(standing), findings)),
                    Err((code, why)) => findings.push(SnapshotFinding { file, code, why }),
                }
            }
        }
        Ok((None, findings))
    }

    /// All snapshot files of a fold by their names, by run, ascending: after which event, of which version, in which file.
    /// Of two after one event, that of this version comes first.
    pub(super) fn by_run<F: Fold>(&self) -> Result<SnapshotFiles> {
        let mut by_run = SnapshotFiles::new();
        for version in self.versions::<F>()? {
            let directory = directory_of(F::NAME, version);
            for name in self.entries(&directory, EntryKind::File)? {
                let Some((seq, run)) = parse_file_name(&name) else { continue };
                by_run.entry(run).or_default().push((seq, version, format!("{directory}/{name}")));
            }
        }
        by_run.values_mut().for_each(|files| files.sort_by_key(|(seq, version, _)| (*seq, *version != F::VERSION)));
        Ok(by_run)
    }

    pub(super) fn usable<F: Fold>(
        &self,
        reader: &Reader,
        run: Option<Seq>,
        version: u32,
        file: &str,
    ) -> Result<std::result::Result<Standing<F>, (&'static str, String)>> {
        // A failing read is a reason to use another one, too: a state needs none.
        let (head, state) = match self.read(file).unwrap_or_else(|error| Err(error.to_string())) {
            Ok(read) => read,
            Err(why) => return Ok(Err((SPOILED, why))),
        };
        if head.log_id != reader.log_id() {
            return Ok(Err((ELSEWHERE, format!("it is of another log, {}", head.log_id))));
        }
        if (head.fold.as_str(), head.version, head.run) != (F::NAME, version, run) {
            let why = format!("it is of {} version {}, and bears the wrong name", head.fold, head.version);
            return Ok(Err((OTHER, why)));
        }
        if let Err(why) = is_vouched_for(reader, &head)? {
            return Ok(Err((ELSEWHERE, why)));
        }
        let state = if version == F::VERSION {
            codec::decode_state(&state)
                .map_err(|why| (OTHER, format!("it is of version {version} of the fold, and {why}")))
        } else {
            let why = format!("it is of version {version} of the fold, which can not be migrated");
            F::migrate(version, &state).ok_or((OTHER, why))
        };
        Ok(state.map(|state| Standing {
            state,
            seq: Some(head.seq),
            revision: head.revision,
            events: head.events,
            missing: Vec::new(),
            doubt: None,
        }))
    }

    /// A snapshot's state as JSON; `None` where it can not be decoded any more.
    pub(crate) fn state_json<F: Fold>(&self, snapshot: &Snapshot) -> Option<serde_json::Value> {
        let (_, state) = self.read(&snapshot.file).ok()?.ok()?;
        codec::decode_state::<F::State>(&state).ok().map(|state| crate::fold::state::state_json(&state))
    }

    /// Versions of a fold that there are snapshots of: this one, then the others, the highest first.
    fn versions<F: Fold>(&self) -> Result<Vec<u32>> {
        let directories = self.entries(SNAPSHOTS, EntryKind::Directory)?;
        let version = |name: &String| {
            let (fold, version) = name.rsplit_once('-')?;
            version.parse().ok().filter(|_| fold == F::NAME)
        };
        let mut versions: Vec<u32> = directories.iter().filter_map(version).collect();
        versions.sort_by_key(|version| (*version == F::VERSION, *version));
        versions.reverse();
        Ok(versions)
    }

    /// Snapshot files of a fold and run by their names, the newest first.
    fn candidates<F: Fold>(&self, run: Option<Seq>, version: u32) -> Result<Vec<(Seq, String)>> {
        let directory = directory_of(F::NAME, version);
        let names = self.entries(&directory, EntryKind::File)?.into_iter();
        let named = names.filter_map(|name| {
            let seq = name.split('.').next()?.parse().ok().and_then(Seq::new)?;
            (name == file_name(seq, run)).then(|| (seq, format!("{directory}/{name}")))
        });
        let mut files: Vec<(Seq, String)> = named.collect();
        files.sort();
        files.reverse();
        Ok(files)
    }

    fn entries(&self, directory: &str, kind: EntryKind) -> Result<Vec<String>> {
        entries(&*self.storage, directory, kind)
    }

    /// Reads and proves a file; within, what is wrong with it.
    ///
    /// # Errors
    /// `Io`.
    fn read(&self, file: &str) -> Result<std::result::Result<(SnapshotHead, Vec<u8>), String>> {
        read(&*self.storage, file)
    }
}

/// # Errors
/// `Invalid` (T0513) for a fold name that no file can bear.
pub(crate) fn check_name<F: Fold>() -> Result<()> {
    if TypeEntry::json(F::NAME).is_valid() {
        return Ok(());
    }
    let message = format!("{:?} is no name for a fold: 1 to 64 of a-z 0-9 _ . -", F::NAME);
    Err(Error::new(ErrorKind::Invalid, "T0513", message))
}
