//! `taffrail store init [PATH]`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::Listing;
use taffrail::config::{CONFIG_FILE_NAME, StoreConfig, SyncPolicy, parse_segment_size};
use taffrail::storage::Disk;

use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::line::{Line, Tone};
use crate::locate::{Surroundings, locate_new};
use crate::network;
use crate::output::Format;
use crate::problem::{Failure, Problem};
use crate::settings::Settings;
use crate::translate;
use crate::usage::quoted;

/// Arguments of `taffrail store init`.
#[derive(Args, Clone, Debug)]
pub struct Init {
    /// Where; the directory is made if needed [default: --store, then $TAFFRAIL_STORE, then ./.taffrail]
    #[arg(conflicts_with = "store")]
    pub path: Option<PathBuf>,

    /// When appends are made durable: always, never, or interval:50ms; written to config.toml
    #[arg(long, value_name = "POLICY")]
    pub sync: Option<SyncPolicy>,

    /// Length at which a segment is sealed, such as 64MiB; written to config.toml
    #[arg(long, value_name = "SIZE", value_parser = parse_segment_size)]
    pub segment_size: Option<u64>,
}

/// `taffrail.store-init/1`
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    path: String,
    store: String,
    /// What was written to config.toml; null where every setting is left to others.
    config: Option<String>,
    warnings: Vec<String>,
}

impl Init {
    /// Makes the store.
    ///
    /// # Errors
    /// T0113 where there is one already, T0306 where something else is; T0309, T0312.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("store init", &Format::TEXT)?;
        let surroundings = Surroundings::of_process().map_err(|error| translate::locate(&error))?;
        let named = self.path.as_deref().or(context.global.store.as_deref());
        let (path, _) = locate_new(named, &surroundings);
        let report = self.make(context, &path)?;
        if context.output.format().is_json() {
            context.output.json(&report)?;
            return Ok(Exit::Clean);
        }
        let made = Line::new().tone(Tone::Good, "made").plain(&format!(" store {} in {}", report.store, report.path));
        context.output.line(made)?;
        for warning in &report.warnings {
            context.output.warning(warning);
        }
        let store = match named {
            Some(path) => format!("-s {} ", quoted(&path.to_string_lossy())),
            None => String::new(),
        };
        let next = format!("taffrail {store}log append --create --run first --type hello '{{\"world\":1}}'");
        context.output.note(Line::new().tone(Tone::Hint, "next").plain(": ").plain(&next));
        Ok(Exit::Clean)
    }

    fn make(&self, context: &Context<'_>, path: &Path) -> Result<Report, Failure> {
        let disk = Arc::new(Disk::new(path));
        let problem = |error: &taffrail::Error| Failure::from(translate::engine(path, error));
        if let Ok(listing) = Listing::read(&*disk)
            && !listing.segments.is_empty()
        {
            return Err(existing(path));
        }
        let config = StoreConfig { sync: self.sync, segment_size_bytes: self.segment_size, ..StoreConfig::default() };
        let flags = StoreConfig { lock_timeout: context.global.lock_timeout, ..config.clone() };
        let settings = Settings::load(flags, &disk)?;
        let journal = settings.options().create(true).open_on(Arc::clone(&disk) as Arc<_>);
        let journal = journal.map_err(|error| problem(&error))?;
        let store = journal.log_id();
        journal.close().map_err(|error| problem(&error))?;
        let written = config != StoreConfig::default();
        if written {
            config.write_new(&*disk).map_err(|error| {
                let place = path.join(CONFIG_FILE_NAME).display().to_string();
                let message = format!("the store is made, but its configuration cannot be written: {error}");
                Problem::new(codes::T0309, Exit::Io, message).at(place).hint("taffrail explain T0309")
            })?;
        }
        Ok(Report {
            schema: "taffrail.store-init/1",
            path: path.display().to_string(),
            store: store.short(),
            config: written.then(|| config.to_toml()),
            warnings: network::file_system(path).map(network::warning).into_iter().collect(),
        })
    }
}

fn existing(path: &Path) -> Failure {
    Problem::new(codes::T0113, Exit::Usage, "there is a store already; it was left as it is")
        .at(path.display().to_string())
        .hint(format!("taffrail -s {} store info", quoted(&path.to_string_lossy())))
        .into()
}
