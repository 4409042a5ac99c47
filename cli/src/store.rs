//! The store that a command works on, and its errors.

use std::path::Path;
use std::sync::Arc;

use taffrail::bundle::Bundle;
use taffrail::config::StoreConfig;
use taffrail::nearest::nearest;
use taffrail::storage::{Disk, OpenMode, Storage, StorageFile, WrongKind};
use taffrail::{Error, Journal, Listing, Options, Reader};

use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::locate::{StoreKind, StoreLocation, StoreSource, Surroundings, ThisMachine, locate, locate_new};
use crate::problem::{Failure, Problem};
use crate::settings::{self, Settings};
use crate::translate;
use crate::usage::quoted;

/// A store that was found.
#[derive(Clone, Debug)]
pub struct Store {
    /// Where, and who said so.
    pub location: StoreLocation,
    /// Its directory; of a lone segment or a bundle, the one that the file is in.
    pub disk: Arc<Disk>,
    /// The bundle, where it is one.
    pub bundle: Option<Arc<Bundle>>,
}

impl Store {
    /// The store of a command.
    ///
    /// # Errors
    /// T0110, T0111, T0112.
    pub fn locate(context: &Context<'_>) -> Result<Self, Failure> {
        let found = Surroundings::of_process()
            .and_then(|surroundings| locate(context.global.store.as_deref(), &surroundings, &ThisMachine));
        let location = found.map_err(|error| translate::locate(&error))?;
        let directory = match location.kind {
            StoreKind::Directory => location.path.as_path(),
            StoreKind::Segment | StoreKind::Bundle => location.path.parent().unwrap_or(Path::new(".")),
        };
        let disk = Arc::new(Disk::new(directory));
        let mut store = Self { location, disk, bundle: None };
        if store.location.kind == StoreKind::Bundle {
            store.bundle = Some(store.open_bundle()?);
        }
        Ok(store)
    }

    /// The store that a bundle is restored into: it need not be there yet, if it was named.
    ///
    /// # Errors
    /// As [`Store::locate_directory`].
    pub fn locate_or_new(context: &Context<'_>, command: &str) -> Result<Self, Failure> {
        let surroundings = Surroundings::of_process().map_err(|error| translate::locate(&error))?;
        let (path, source) = locate_new(context.global.store.as_deref(), &surroundings);
        let is_missing = matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound);
        if source == StoreSource::Discovery || !is_missing {
            return Self::locate_directory(context, command);
        }
        let disk = Arc::new(Disk::new(&path));
        Ok(Self { location: StoreLocation { path, kind: StoreKind::Directory, source }, disk, bundle: None })
    }

    /// Opens the file as a bundle.
    fn open_bundle(&self) -> Result<Arc<Bundle>, Failure> {
        let name = self.location.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let problem = |error: &Error| Failure::from(self.problem(error));
        let begins_as_one = match self.disk.open(&name, OpenMode::Read) {
            Ok(file) => Bundle::is_one(&*file).map_err(|error| problem(&error))?,
            Err(error) => {
                return Err(Problem::new(codes::T0309, Exit::Io, format!("cannot open the file: {error}"))
                    .at(self.location.path.display().to_string())
                    .hint("taffrail explain T0309")
                    .into());
            }
        };
        if !begins_as_one {
            return Err(self.no_bundle());
        }
        let bundle = Bundle::open(Arc::clone(&self.disk) as Arc<_>, &name);
        bundle.map(Arc::new).map_err(|error| problem(&error))
    }

    /// Where the store's files are: its directory, or the bundle.
    #[must_use]
    pub fn storage(&self) -> Arc<dyn Storage> {
        match &self.bundle {
            Some(bundle) => Arc::clone(bundle) as Arc<dyn Storage>,
            None => Arc::clone(&self.disk) as Arc<dyn Storage>,
        }
    }

    /// Bytes of the log, for a bar: none where it can not be listed, which the command itself tells of.
    #[must_use]
    pub fn log_len_bytes(&self) -> u64 {
        Listing::read(&*self.storage()).map_or(0, |listing| listing.segments.iter().map(|(_, len)| len).sum())
    }

    /// The store of a command that reads a whole one, be it a directory or a bundle.
    ///
    /// # Errors
    /// As [`Store::locate`], and T0149 for a lone segment.
    pub fn locate_whole(context: &Context<'_>, command: &str) -> Result<Self, Failure> {
        let store = Self::locate(context)?;
        if store.location.kind == StoreKind::Segment { Err(store.needs_directory(command)) } else { Ok(store) }
    }

    fn needs_directory(&self, command: &str) -> Failure {
        let message = format!("`{command}` needs a store's directory, and this is a file");
        Problem::new(codes::T0149, Exit::Usage, message)
            .at(self.location.path.display().to_string())
            .hint("taffrail explain T0149")
            .into()
    }

    /// The store of a command that needs a whole one.
    ///
    /// # Errors
    /// As [`Store::locate`], and T0149.
    pub fn locate_directory(context: &Context<'_>, command: &str) -> Result<Self, Failure> {
        let store = Self::locate(context)?;
        if store.location.kind == StoreKind::Directory { Ok(store) } else { Err(store.needs_directory(command)) }
    }

    /// Opens the store for appending, by its settings.
    ///
    /// # Errors
    /// What the settings or the engine say.
    pub fn open(&self, context: &Context<'_>) -> Result<Journal, Failure> {
        let options = self.options(context)?;
        options.open_on(Arc::clone(&self.disk) as Arc<_>).map_err(|error| self.problem(&error).into())
    }

    /// How to open the store, by its settings.
    ///
    /// # Errors
    /// What the settings say.
    pub fn options(&self, context: &Context<'_>) -> Result<Options, Failure> {
        let flags = StoreConfig { lock_timeout: context.global.lock_timeout, ..StoreConfig::default() };
        let options = Settings::load(flags, &self.disk)?.options();
        Ok(options.redact(Arc::new(settings::redactor(&self.disk)?)))
    }

    /// Opens the store, the bundle, or the lone segment, for reading.
    ///
    /// # Errors
    /// What the engine says.
    pub fn reader(&self) -> Result<Reader, Failure> {
        let reader = match self.location.kind {
            StoreKind::Directory | StoreKind::Bundle => Reader::open_on(self.storage()),
            StoreKind::Segment => Reader::lone(self.segment_file()?),
        };
        reader.map_err(|error| self.problem(&error).into())
    }

    /// Says that the file is nothing that can be read here.
    fn no_bundle(&self) -> Failure {
        let message = "this is neither a store's directory, nor a segment file (*.seg), nor a bundle";
        Problem::new(codes::T0149, Exit::Usage, message)
            .at(self.location.path.display().to_string())
            .hint("taffrail explain T0149")
            .into()
    }

    /// The file of a lone segment.
    ///
    /// # Errors
    /// T0309.
    pub fn segment_file(&self) -> Result<Arc<dyn StorageFile>, Failure> {
        let name = self.location.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let file = self.disk.open(&name, OpenMode::Read).map_err(|error| {
            let code = if WrongKind::of(&error).is_some() { codes::T0314 } else { codes::T0309 };
            Problem::new(code, Exit::Io, format!("cannot open the segment: {error}"))
                .at(self.location.path.display().to_string())
                .hint(format!("taffrail explain {code}"))
        })?;
        Ok(file.into())
    }

    /// An error of the engine on this store.
    #[must_use]
    pub fn problem(&self, error: &Error) -> Problem {
        let problem = translate::engine(&self.location.path, error);
        let hint = problem.hint.as_deref().map(|hint| self.naming_store(hint));
        Problem { hint, ..problem }
    }

    /// An error of the engine about a run; where there is no such run, with the names that are near.
    #[must_use]
    pub fn problem_of_run(&self, run: &str, error: &Error) -> Problem {
        let problem = self.problem(error);
        if error.code() != codes::T0141.as_str() {
            return problem;
        }
        // The names are an extra: where they cannot be read, the error is told without them.
        let runs = self.reader().ok().and_then(|reader| reader.runs().ok()).unwrap_or_default();
        let names: Vec<&str> = runs.values().filter_map(|run| run.name.as_deref()).collect();
        let near = nearest(run, names);
        if near.is_empty() {
            return problem;
        }
        // The engine's own guess at the name would say the same twice.
        let is_guess = error.hint_text().is_some_and(|hint| hint.starts_with("did you mean"));
        let said = if is_guess { error.message() } else { problem.message.as_str() };
        let message = format!("{said}; the nearest: {}", near.join(", "));
        Problem { message, ..problem }.with("nearest", near)
    }

    /// A command on this store, as it has to be typed: with `-s` where this one had it.
    #[must_use]
    pub fn command(&self, words: &str) -> String {
        self.naming_store(&format!("taffrail {words}"))
    }

    /// The command that moves a file of the store out of it.
    #[must_use]
    pub fn move_away(&self, file: &str) -> String {
        translate::move_away(&self.location.path, file)
    }

    /// The same of a whole command.
    #[must_use]
    pub fn naming_store(&self, hint: &str) -> String {
        match hint.strip_prefix("taffrail ") {
            Some(words) if self.location.source == StoreSource::Flag && !words.starts_with("explain ") => {
                format!("taffrail -s {} {words}", quoted(&self.location.path.to_string_lossy()))
            }
            _ => hint.to_owned(),
        }
    }
}
