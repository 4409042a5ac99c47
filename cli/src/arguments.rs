//! The command line as a whole: the options that belong to every command, and the commands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::command::{bench, completions, demo, explain, log, man, replay, run, snap, state, store};
use crate::exit;
use crate::output::{Color, Format, Style};

/// Inspect, verify, repair and append to an event-sourced orchestration log.
#[derive(Clone, Debug, Parser)]
#[command(name = "taffrail", version, arg_required_else_help = true, subcommand_required = true, after_long_help = exit::help_table())]
pub struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command; they may stand before or after its name.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The store: a directory, one segment file, or a bundle [default: $TAFFRAIL_STORE, then the nearest parent with
    /// `.taffrail/`]
    #[arg(short, long, global = true, value_name = "PATH")]
    pub store: Option<PathBuf>,

    /// How to print
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value = "human")]
    pub output: Format,

    /// The same as `-o json`
    #[arg(long, global = true)]
    pub json: bool,

    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: Color,

    /// How long to wait for another writer, such as 5s or 200ms
    #[arg(long, global = true, value_name = "DURATION", value_parser = taffrail::config::parse_lock_timeout)]
    pub lock_timeout: Option<Duration>,

    /// Print no notes and no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Print more notes; may be repeated
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// What they say about output.
    #[must_use]
    pub fn style(&self) -> Style {
        let format = if self.json { Format::Json } else { self.output };
        Style { format, color: self.color, quiet: self.quiet, verbosity: self.verbose }
    }
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Append to the log, look into it, verify it
    #[command(subcommand)]
    Log(log::Log),
    /// List runs, show one in full
    #[command(subcommand)]
    Run(run::Run),
    /// Show states, what changed between two of them, and which event caused it
    #[command(subcommand)]
    State(state::State),
    /// Fold the log again; compare the states with everything that was recorded of them
    Replay(replay::Replay),
    /// List, write and drop snapshots
    #[command(subcommand)]
    Snap(snap::Snap),
    /// Make a store, look at one as a whole
    #[command(subcommand)]
    Store(store::Store),
    /// Measure this disk, and the log on it, in a directory of its own
    Bench(bench::Bench),
    /// See it work: sample runs are imported, checked and damaged, in ./taffrail-demo
    Demo(demo::Demo),
    /// Explain an error code, or list them all
    Explain(explain::Explain),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Print the manual page, or write all of them into a directory
    Man(man::Man),
}

/// How an error is to be printed if the command line itself cannot be read: the last `--json`, `-o` and `--color` that
/// can be made out.
#[must_use]
pub fn style_in(arguments: &[OsString]) -> Style {
    let mut style = Style::default();
    let mut json = false;
    let mut words = arguments.iter().skip(1).filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let (name, joined) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => match word.strip_prefix("-o") {
                Some(value) if !value.is_empty() => ("-o", Some(value)),
                _ => (word, None),
            },
        };
        match name {
            "--json" => json = true,
            "-o" | "--output" => {
                let value = joined.or_else(|| words.next()).unwrap_or_default();
                style.format = Format::from_str(value, false).unwrap_or(style.format);
            }
            "--color" => {
                let value = joined.or_else(|| words.next()).unwrap_or_default();
                style.color = Color::from_str(value, false).unwrap_or(style.color);
            }
            _ => {}
        }
    }
    if json {
        style.format = Format::Json;
    }
    style
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::{CommandFactory, Parser};

    use super::{Arguments, style_in};
    use crate::exit::Exit;
    use crate::output::{Color, Format};

    #[test]
    fn the_definition_is_sound_and_help_has_the_exit_codes() {
        let mut command = Arguments::command();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        for exit in Exit::ALL {
            assert!(help.contains(exit.meaning()), "{exit:?}\n{help}");
        }
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for words in [
            ["taffrail", "--json", "-s", "x", "--lock-timeout", "200ms", "explain"],
            ["taffrail", "explain", "--json", "-s", "x", "--lock-timeout", "200ms"],
        ] {
            let global = Arguments::try_parse_from(words).expect("valid").global;
            assert_eq!(global.style().format, Format::Json);
            assert_eq!(global.store.as_deref(), Some(std::path::Path::new("x")));
            assert_eq!(global.lock_timeout, Some(std::time::Duration::from_millis(200)));
        }
    }

    #[test]
    fn the_style_is_made_out_of_a_broken_line_as_of_a_sound_one() {
        for (line, format, color) in [
            ("taffrail explain", Format::Human, Color::Auto),
            ("taffrail --json explain", Format::Json, Color::Auto),
            ("taffrail explain --json", Format::Json, Color::Auto),
            ("taffrail -o json explain", Format::Json, Color::Auto),
            ("taffrail -ojsonl explain", Format::JsonLines, Color::Auto),
            ("taffrail -o=jsonl explain", Format::JsonLines, Color::Auto),
            ("taffrail --output=json --color=never explain", Format::Json, Color::Never),
            ("taffrail explain --output json --color always", Format::Json, Color::Always),
            ("taffrail --json -o human explain", Format::Json, Color::Auto),
            ("taffrail explain -- --json", Format::Human, Color::Auto),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let made_out = style_in(&words);
            assert_eq!((made_out.format, made_out.color), (format, color), "{line}");
            if let Ok(parsed) = Arguments::try_parse_from(&words) {
                assert_eq!((parsed.global.style().format, parsed.global.style().color), (format, color), "{line}");
            }
        }
        let broken: Vec<OsString> = ["taffrail", "-o", "xml", "-o"].map(OsString::from).into();
        assert_eq!(style_in(&broken).format, Format::Human);
    }
}
