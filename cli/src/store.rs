//! The store that a command works on, and its errors.

use std::path::Path;
use std::sync::Arc;

use taffrail::config::StoreConfig;
use taffrail::nearest::nearest;
use taffrail::storage::{Disk, OpenMode, Storage, StorageFile, WrongKind};
use taffrail::{Error, Journal, Options, Reader};

use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::locate::{StoreKind, StoreLocation, StoreSource, Surroundings, ThisMachine, locate};
use crate::problem::{Failure, Problem};
use crate::settings::Settings;
use crate::translate;
use crate::usage::quoted;

/// A store that was found.
#[derive(Clone, Debug)]
pub struct Store {
    /// Where, and who said so.
    pub location: StoreLocation,
    /// Its directory; of a lone segment, the segment's.
    pub disk: Arc<Disk>,
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
        Ok(Self { location, disk })
    }

    /// The store of a command that needs a whole one.
    ///
    /// # Errors
    /// As [`Store::locate`], and T0149.
    pub fn locate_directory(context: &Context<'_>, command: &str) -> Result<Self, Failure> {
        let store = Self::locate(context)?;
        if store.location.kind == StoreKind::Directory {
            return Ok(store);
        }
        let message = format!("`{command}` needs a store's directory, and this is a file");
        Err(Problem::new(codes::T0149, Exit::Usage, message)
            .at(store.location.path.display().to_string())
            .hint("taffrail explain T0149")
            .into())
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
        Ok(Settings::load(flags, &self.disk)?.options())
    }

    /// Opens the store, or the lone segment, for reading.
    ///
    /// # Errors
    /// What the engine says; T0149 for a bundle.
    pub fn reader(&self) -> Result<Reader, Failure> {
        let reader = match self.location.kind {
            StoreKind::Directory => Reader::open_on(Arc::clone(&self.disk) as Arc<_>),
            StoreKind::Segment => Reader::lone(self.segment_file()?),
            StoreKind::Bundle => return Err(self.no_bundle()),
        };
        reader.map_err(|error| self.problem(&error).into())
    }

    /// Says that the file is nothing that can be read here.
    #[must_use]
    pub fn no_bundle(&self) -> Failure {
        let message = "this is neither a store's directory nor a segment file (*.seg)";
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
        let message = format!("{}; the nearest: {}", problem.message, near.join(", "));
        Problem { message, ..problem }.with("nearest", near)
    }

    /// A command on this store, as it has to be typed: with `-s` where this one had it.
    #[must_use]
    pub fn command(&self, words: &str) -> String {
        self.naming_store(&format!("taffrail {words}"))
    }

    fn naming_store(&self, hint: &str) -> String {
        match hint.strip_prefix("taffrail ") {
            Some(words) if self.location.source == StoreSource::Flag && !words.starts_with("explain ") => {
                format!("taffrail -s {} {words}", quoted(&self.location.path.to_string_lossy()))
            }
            _ => hint.to_owned(),
        }
    }
}
