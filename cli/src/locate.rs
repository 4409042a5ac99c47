//! Which store a command works on.
//!
//! `--store PATH`, else `TAFFRAIL_STORE` (empty is unset), else the nearest `.taffrail` directory from the working
//! directory upwards. The search looks into the home directory but not above it, does not leave the file system it
//! starts on, and ends with an error at a `.taffrail` of another user: who can place a directory above yours must not
//! choose your store. A store that is *named* may be anybody's; a name that leads nowhere is an error, never a reason to
//! search.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The directory that the search looks for.
pub const STORE_DIRECTORY: &str = ".taffrail";
/// The variable that names a store.
pub const STORE_VARIABLE: &str = "TAFFRAIL_STORE";

/// Who named a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreSource {
    /// `--store`
    Flag,
    /// `TAFFRAIL_STORE`
    Environment,
    /// The search.
    Discovery,
}

impl fmt::Display for StoreSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Flag => "--store",
            Self::Environment => STORE_VARIABLE,
            Self::Discovery => "discovery",
        })
    }
}

/// What a location is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A store's directory.
    Directory,
    /// One segment file (`*.seg`), without its store.
    Segment,
    /// Another file: a bundle.
    Bundle,
}

/// A store, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreLocation {
    /// Where it is.
    pub path: PathBuf,
    /// What is there.
    pub kind: StoreKind,
    /// Who said so.
    pub source: StoreSource,
}

/// Why there is no store to work on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LocateError {
    /// Nobody named one, and the search found none.
    #[error("no store: no .taffrail here or above")]
    NoStore {
        /// Where the search began.
        start: PathBuf,
    },
    /// The one that was named is not there.
    #[error("the store named by {named_by} is not there: {reason}")]
    NotThere {
        /// As named.
        path: PathBuf,
        /// Who named it.
        named_by: StoreSource,
        /// What the system says.
        reason: String,
    },
    /// The search met the store of another user.
    #[error("the nearest store belongs to another user (uid {owner}); name it with --store if you trust it")]
    Foreign {
        /// Where it is.
        path: PathBuf,
        /// The uid that owns it.
        owner: u32,
    },
    /// The working directory is gone.
    #[error("the working directory cannot be read: {0}")]
    NoDirectory(String),
}

/// What there is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whether it is a directory; a symbolic link is none unless it is followed.
    pub directory: bool,
    /// The file system it is on.
    pub device: u64,
    /// The uid that owns it.
    pub owner: u32,
}

/// What the search asks of the machine.
pub trait Machine {
    /// What is at a path; links are followed if asked.
    ///
    /// # Errors
    /// What the system says, `NotFound` among it.
    fn place(&self, path: &Path, follow_links: bool) -> io::Result<Place>;
}

/// The machine this runs on.
#[derive(Clone, Copy, Debug)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn place(&self, path: &Path, follow_links: bool) -> io::Result<Place> {
        let metadata = if follow_links { path.metadata() } else { path.symlink_metadata() }?;
        Ok(Place { directory: metadata.is_dir(), device: metadata.dev(), owner: metadata.uid() })
    }
}

/// Where a command runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// `TAFFRAIL_STORE`
    pub variable: Option<OsString>,
    /// The working directory.
    pub directory: PathBuf,
    /// The home directory, where the search ends.
    pub home: Option<PathBuf>,
    /// Whose stores the search accepts.
    pub uid: u32,
}

impl Surroundings {
    /// Those of this process.
    ///
    /// # Errors
    /// [`LocateError::NoDirectory`]
    pub fn of_process() -> Result<Self, LocateError> {
        Ok(Self {
            variable: std::env::var_os(STORE_VARIABLE),
            directory: std::env::current_dir().map_err(|error| LocateError::NoDirectory(error.to_string()))?,
            home: std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
            uid: rustix::process::geteuid().as_raw(),
        })
    }

    /// Who names a store, and which; `None` leaves it to the search.
    fn named(&self, flag: Option<&Path>) -> Option<(PathBuf, StoreSource)> {
        let variable = || self.variable.as_deref().filter(|value| !value.is_empty()).map(PathBuf::from);
        flag.map(|path| (path.to_path_buf(), StoreSource::Flag))
            .or_else(|| variable().map(|path| (path, StoreSource::Environment)))
            .map(|(path, source)| (self.directory.join(path), source))
    }
}

/// Finds the store of a command.
///
/// # Errors
/// [`LocateError`]
pub fn locate(
    flag: Option<&Path>,
    surroundings: &Surroundings,
    machine: &dyn Machine,
) -> Result<StoreLocation, LocateError> {
    match surroundings.named(flag) {
        Some((path, source)) => named(path, source, machine),
        None => discovered(surroundings, machine),
    }
}

/// Where a new store goes: as named, else `.taffrail` in the working directory. Nothing needs to be there.
#[must_use]
pub fn locate_new(flag: Option<&Path>, surroundings: &Surroundings) -> (PathBuf, StoreSource) {
    let here = || (surroundings.directory.join(STORE_DIRECTORY), StoreSource::Discovery);
    surroundings.named(flag).unwrap_or_else(here)
}

/// The path itself, or the `.taffrail` in it: naming the project is as good as naming its store.
fn named(path: PathBuf, source: StoreSource, machine: &dyn Machine) -> Result<StoreLocation, LocateError> {
    let place = match machine.place(&path, true) {
        Ok(place) => place,
        Err(error) => return Err(LocateError::NotThere { path, named_by: source, reason: error.to_string() }),
    };
    if !place.directory {
        let segment = path.extension().is_some_and(|extension| extension == "seg");
        return Ok(StoreLocation { path, kind: if segment { StoreKind::Segment } else { StoreKind::Bundle }, source });
    }
    let inner = path.join(STORE_DIRECTORY);
    let has_inner = machine.place(&inner, true).is_ok_and(|place| place.directory);
    Ok(StoreLocation { path: if has_inner { inner } else { path }, kind: StoreKind::Directory, source })
}

fn discovered(surroundings: &Surroundings, machine: &dyn Machine) -> Result<StoreLocation, LocateError> {
    let none = || LocateError::NoStore { start: surroundings.directory.clone() };
    let device = machine.place(&surroundings.directory, true).map_err(|_| none())?.device;
    for directory in surroundings.directory.ancestors() {
        if machine.place(directory, true).map_err(|_| none())?.device != device {
            return Err(none());
        }
        let path = directory.join(STORE_DIRECTORY);
        // A link could lead out of the file system and to another owner: it is passed over, like a file.
        if let Some(place) = machine.place(&path, false).ok().filter(|place| place.directory) {
            if place.owner != surroundings.uid {
                return Err(LocateError::Foreign { path, owner: place.owner });
            }
            return Ok(StoreLocation { path, kind: StoreKind::Directory, source: StoreSource::Discovery });
        }
        if surroundings.home.as_deref() == Some(directory) {
            return Err(none());
        }
    }
    Err(none())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::io;
    use std::path::{Path, PathBuf};

    use super::{
        LocateError, Machine, Place, StoreKind, StoreLocation, StoreSource, Surroundings, ThisMachine, locate,
        locate_new,
    };

    const ME: u32 = 1000;

    /// A machine of a few paths. A path with a trailing `@` is a symbolic link to a directory.
    struct Paths(BTreeMap<PathBuf, (Place, bool)>);

    impl Paths {
        fn new(paths: &[(&str, u64, u32)]) -> Self {
            let entry = |(path, device, owner): &(&str, u64, u32)| {
                let link = path.ends_with('@');
                let name = path.trim_end_matches('@');
                let directory = !name.ends_with("seg") && !name.ends_with("bundle");
                (PathBuf::from(name), (Place { directory, device: *device, owner: *owner }, link))
            };
            Self(paths.iter().map(entry).collect())
        }
    }

    impl Machine for Paths {
        fn place(&self, path: &Path, follow_links: bool) -> io::Result<Place> {
            let (place, link) = self.0.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
            Ok(Place { directory: place.directory && (follow_links || !link), ..place })
        }
    }

    fn surroundings(directory: &str) -> Surroundings {
        Surroundings { variable: None, directory: directory.into(), home: Some("/home/me".into()), uid: ME }
    }

    const DIRECTORIES: &[(&str, u64, u32)] =
        &[("/", 1, 0), ("/home", 1, 0), ("/home/me", 1, ME), ("/home/me/a", 1, ME), ("/home/me/a/b", 1, ME)];

    fn search(more: &[(&str, u64, u32)], from: &str) -> Result<PathBuf, LocateError> {
        let machine = Paths::new(&[DIRECTORIES, more].concat());
        let location = locate(None, &surroundings(from), &machine)?;
        assert_eq!((location.kind, location.source), (StoreKind::Directory, StoreSource::Discovery));
        Ok(location.path)
    }

    #[test]
    fn the_nearest_parent_wins() {
        let stores = [("/home/me/.taffrail", 1, ME), ("/home/me/a/.taffrail", 1, ME)];
        assert_eq!(search(&stores, "/home/me/a/b"), Ok("/home/me/a/.taffrail".into()));
        assert_eq!(search(&stores, "/home/me/a"), Ok("/home/me/a/.taffrail".into()));
        assert_eq!(search(&stores, "/home/me"), Ok("/home/me/.taffrail".into()));
    }

    #[test]
    fn the_search_ends_at_home_at_another_file_system_and_at_the_root() {
        let none = |from: &str| Err(LocateError::NoStore { start: from.into() });
        assert_eq!(search(&[("/home/.taffrail", 1, ME)], "/home/me/a"), none("/home/me/a"));
        assert_eq!(search(&[("/home/.taffrail", 1, ME)], "/home"), Ok("/home/.taffrail".into()));
        let mounted = [("/home/me/a/b", 2, ME), ("/home/me/a/.taffrail", 1, ME)];
        assert_eq!(search(&mounted, "/home/me/a/b"), none("/home/me/a/b"));
        assert_eq!(search(&[], "/home"), none("/home"));
        assert_eq!(search(&[], "/gone"), none("/gone"));
    }

    #[test]
    fn the_search_ends_at_a_store_of_somebody_else() {
        for owner in [0, 1001] {
            let stores = [("/home/me/.taffrail", 1, ME), ("/home/me/a/.taffrail", 1, owner)];
            let path = PathBuf::from("/home/me/a/.taffrail");
            assert_eq!(search(&stores, "/home/me/a/b"), Err(LocateError::Foreign { path, owner }));
        }
    }

    #[test]
    fn links_are_passed_over_in_the_search() {
        let stores = [("/home/me/.taffrail", 1, ME), ("/home/me/a/.taffrail@", 1, ME)];
        assert_eq!(search(&stores, "/home/me/a/b"), Ok("/home/me/.taffrail".into()));
    }

    #[test]
    fn flag_beats_environment_beats_search_and_neither_falls_back() {
        let machine = Paths::new(
            &[
                DIRECTORIES,
                &[("/home/me/a/.taffrail", 1, ME), ("/other", 3, 7), ("/flag", 3, 7), ("/flag/.taffrail", 3, 7)],
            ]
            .concat(),
        );
        let mut surroundings = surroundings("/home/me/a");
        let at = |path: &str, source| Ok(StoreLocation { path: path.into(), kind: StoreKind::Directory, source });
        let flag = Some(Path::new("/flag"));
        surroundings.variable = Some(OsString::from("/other"));
        assert_eq!(locate(flag, &surroundings, &machine), at("/flag/.taffrail", StoreSource::Flag));
        assert_eq!(locate(None, &surroundings, &machine), at("/other", StoreSource::Environment));
        surroundings.variable = Some(OsString::new());
        assert_eq!(locate(None, &surroundings, &machine), at("/home/me/a/.taffrail", StoreSource::Discovery));
        surroundings.variable = Some(OsString::from("gone"));
        let error = locate(None, &surroundings, &machine).expect_err("no search");
        let LocateError::NotThere { path, named_by: source, .. } = error else { panic!("{error}") };
        assert_eq!((path.as_path(), source), (Path::new("/home/me/a/gone"), StoreSource::Environment));
    }

    #[test]
    fn segments_and_bundles_are_files() {
        let machine = Paths::new(&[("/x/0000000003.seg", 1, 0), ("/x/case.bundle", 1, 0)]);
        for (path, kind) in [("/x/0000000003.seg", StoreKind::Segment), ("/x/case.bundle", StoreKind::Bundle)] {
            let location = locate(Some(Path::new(path)), &surroundings("/"), &machine).expect("a file");
            assert_eq!((location.path.as_path(), location.kind), (Path::new(path), kind));
        }
    }

    #[test]
    fn a_new_store_goes_where_it_is_named_else_here() {
        let mut surroundings = surroundings("/home/me/a");
        assert_eq!(locate_new(None, &surroundings), ("/home/me/a/.taffrail".into(), StoreSource::Discovery));
        surroundings.variable = Some(OsString::from("/other"));
        assert_eq!(locate_new(None, &surroundings), ("/other".into(), StoreSource::Environment));
        assert_eq!(locate_new(Some(Path::new("n")), &surroundings), ("/home/me/a/n".into(), StoreSource::Flag));
    }

    #[test]
    fn this_machine_tells_directories_files_and_owners() {
        let surroundings = Surroundings::of_process().expect("a working directory");
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let place = ThisMachine.place(source, true).expect("it is there");
        assert!(place.directory);
        assert!(!ThisMachine.place(&source.join("Cargo.toml"), false).expect("it is there").directory);
        let missing = ThisMachine.place(&source.join("nothing here"), true).expect_err("it is not there");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert!(surroundings.directory.is_absolute());
    }
}
