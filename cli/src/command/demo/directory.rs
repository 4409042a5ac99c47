//! The directory of the demo: made anew where it is the demo's own, and left alone where it is not.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::codes;
use crate::demo_files::FILES;
use crate::exit::Exit;
use crate::problem::{Failure, Problem};

/// Tells a directory that a demo made from every other.
const MARKER: &str = ".made-by-taffrail-demo";
/// What the marker says.
const MARK: &str = "`taffrail demo` deletes what is here, and makes it anew.\n";

/// The directory with the sample runs, and nothing of an earlier demo.
///
/// # Errors
/// T0114 where something is there and no demo made it; T0181.
pub(super) fn prepare(directory: &Path) -> Result<(), Failure> {
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| unwritten(&path, &error)
    };
    match look(directory).map_err(refused(directory))? {
        Found::Nothing => {}
        Found::Ours => clear(directory).map_err(refused(directory))?,
        Found::Foreign => {
            let message = "this is there already, and no demo made it; it was left as it is";
            return Err(Problem::new(codes::T0114, Exit::Usage, message)
                .at(directory.display().to_string())
                .hint("taffrail demo --dir another-demo")
                .into());
        }
    }
    // The marker comes first: what a demo leaves that was interrupted is recognised as well.
    let marker = directory.join(MARKER);
    write(&marker, MARK.as_bytes()).map_err(refused(&marker))?;
    FILES.iter().try_for_each(|(name, bytes)| {
        let path = directory.join(name);
        write(&path, bytes).map_err(refused(&path))
    })
}

/// Copies a directory with all that is in it.
///
/// # Errors
/// T0181.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    copy_tree(from, to).map_err(|error| unwritten(to, &error))
}

/// What is said of a file that cannot be written.
pub(super) fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Problem::new(codes::T0181, Exit::Io, format!("cannot write {}: {error}", path.display()))
        .hint("taffrail explain T0181")
        .into()
}

enum Found {
    /// Nothing, or an empty directory.
    Nothing,
    /// What a demo made.
    Ours,
    /// Anything else.
    Foreign,
}

fn look(directory: &Path) -> io::Result<Found> {
    match directory.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_dir() => return Ok(Found::Foreign),
        Ok(_) => {}
    }
    let mut is_empty = true;
    for entry in directory.read_dir()? {
        is_empty = false;
        let entry = entry?;
        if entry.file_name() == MARKER && entry.file_type()?.is_file() {
            let mut text = String::new();
            let file = OpenOptions::new().read(true).open(entry.path())?;
            let is_text = file.take(MARK.len() as u64 + 1).read_to_string(&mut text).is_ok();
            return Ok(if is_text && text == MARK { Found::Ours } else { Found::Foreign });
        }
    }
    Ok(if is_empty { Found::Nothing } else { Found::Foreign })
}

/// Deletes what is in it, but for the marker. No link is followed.
fn clear(directory: &Path) -> io::Result<()> {
    for entry in directory.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else if entry.file_name() != MARKER {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the demo's directory is no store, but holds two")]
fn remove_file(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).create(parent)?;
    }
    OpenOptions::new().write(true).create(true).truncate(true).open(path)?.write_all(bytes)
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
