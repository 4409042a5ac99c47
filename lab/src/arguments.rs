//! The command line.

use clap::Parser;

/// Runs the checks of the promises, and prints one table of what they found. Exits with 1 if one fails, and with 2 if the lab
/// itself could not do its work.
#[derive(Debug, Parser)]
#[command(name = "lab", version, about)]
pub(crate) struct Arguments {
    /// Print one JSON object, `taffrail.lab/1`, instead of the table (which goes to standard error).
    #[arg(long)]
    pub(crate) json: bool,
    /// List the checks and the sabotages, and run nothing.
    #[arg(long)]
    pub(crate) list: bool,
    /// Run this check only; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Run the checks that fit the continuous integration, at its sizes.
    #[arg(long, conflicts_with = "soak")]
    pub(crate) ci: bool,
    /// Run everything at the long sizes: hours.
    #[arg(long)]
    pub(crate) soak: bool,
    /// Run only the checks of which nothing is published yet.
    #[arg(long)]
    pub(crate) unpublished: bool,
    /// Write what was found into docs/lab.json, README.md and docs/lab.md, as soon as a check is done. Checks that did not run now
    /// stay as they were.
    #[arg(long)]
    pub(crate) publish: bool,
    /// Write README.md and docs/lab.md again from docs/lab.json, and run nothing.
    #[arg(long)]
    pub(crate) render: bool,
    /// Break the engine in this way, and run the check that has to notice: exits with 1 if it does, with 0 if it does not.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["prove", "publish"])]
    pub(crate) sabotage: Option<String>,
    /// Try every sabotage: exits with 0 if each one is noticed.
    #[arg(long)]
    pub(crate) prove: bool,
}

/// How much is done; checks are told by the environment variable `TAFFRAIL_LAB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// What fits the continuous integration.
    Ci,
    /// What a person waits for.
    Lab,
    /// Hours.
    Soak,
}

impl Level {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Ci => "ci",
            Level::Lab => "lab",
            Level::Soak => "soak",
        }
    }
}
