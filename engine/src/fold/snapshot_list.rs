//! The snapshot files of a storage.

use crate::error::{Error, ErrorKind, Result};
use crate::fold::snapshot::{MAX_FILE_LEN_BYTES, SnapshotHead, decode};
use crate::fold::snapshots::{SPOILED, Snapshot, SnapshotFinding, SnapshotList};
use crate::log::paths::SNAPSHOTS;
use crate::storage::{EntryKind, OpenMode, Storage, WrongKind, read_full_at};

/// [`crate::fold::Snapshots::list`], of the store in a storage.
///
/// # Errors
/// `Io` where a directory can not be listed or a file can not be read.
pub(crate) fn list(storage: &dyn Storage) -> Result<SnapshotList> {
    let mut list = SnapshotList::default();
    for directory in entries(storage, SNAPSHOTS, EntryKind::Directory)? {
        let directory = format!("{SNAPSHOTS}/{directory}");
        for kind in EntryKind::SPECIAL {
            let named = entries(storage, &directory, kind)?.into_iter().map(|name| format!("{directory}/{name}"));
            list.findings.extend(named.map(|file| SnapshotFinding {
                file,
                code: SPOILED,
                why: format!("it is {kind}"),
            }));
        }
        for name in entries(storage, &directory, EntryKind::File)? {
            let file = format!("{directory}/{name}");
            match read(storage, &file)? {
                Ok((head, _)) => list.snapshots.push(Snapshot { file, head }),
                Err(why) => list.findings.push(SnapshotFinding { file, code: SPOILED, why }),
            }
        }
    }
    list.snapshots.sort_by(|a, b| {
        let key = |snapshot: &Snapshot| {
            (snapshot.head.fold.clone(), snapshot.head.version, snapshot.head.run, snapshot.head.seq)
        };
        key(a).cmp(&key(b))
    });
    Ok(list)
}

pub(super) fn entries(storage: &dyn Storage, directory: &str, kind: EntryKind) -> Result<Vec<String>> {
    match storage.list(directory) {
        Ok(entries) => {
            let wanted = entries.into_iter().filter(|entry| entry.kind == kind && !entry.name.ends_with(".tmp"));
            Ok(wanted.map(|entry| entry.name).collect())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        // Snapshots are hints: what is no directory holds none. `log verify` tells of it.
        Err(error) if WrongKind::of(&error).is_some() => Ok(Vec::new()),
        Err(error) => Err(Error::io(format_args!("cannot list {directory}"), error)),
    }
}

/// Reads and proves a file; within, what is wrong with it.
///
/// # Errors
/// `Io`.
pub(super) fn read(storage: &dyn Storage, file: &str) -> Result<std::result::Result<(SnapshotHead, Vec<u8>), String>> {
    let mut bytes = match bytes(storage, file) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Err(format!("it is longer than {MAX_FILE_LEN_BYTES} bytes"))),
        // What is not there any more, or is no file, needs nobody to look at the disk.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound || WrongKind::of(&error).is_some() => {
            return Ok(Err(error.to_string()));
        }
        Err(error) => {
            // A bundle's member that is not what was exported is a bad snapshot; anything else is a bad disk.
            let error = Error::io(format_args!("cannot read {file}"), error);
            return if error.kind() == ErrorKind::Damaged { Ok(Err(error.to_string())) } else { Err(error) };
        }
    };
    Ok(decode(&bytes).map(|(head, state)| (head, bytes.len() - state.len())).map(|(head, state_start)| {
        bytes.drain(..state_start);
        (head, bytes)
    }))
}

/// A file's bytes; `None` where it is longer than any snapshot.
fn bytes(storage: &dyn Storage, file: &str) -> std::io::Result<Option<Vec<u8>>> {
    let open = storage.open(file, OpenMode::Read)?;
    let len = usize::try_from(open.len_bytes()?).ok().filter(|len| *len <= MAX_FILE_LEN_BYTES);
    let Some(len) = len else { return Ok(None) };
    let mut bytes = vec![0; len];
    let count = read_full_at(&*open, 0, &mut bytes)?;
    bytes.truncate(count);
    Ok(Some(bytes))
}
