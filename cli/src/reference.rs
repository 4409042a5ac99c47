//! `docs/cli.md`, which is the help of every command, and is compared with it here.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use clap::{Command, CommandFactory};

use crate::arguments::Arguments;

const HEADING: &str = "# The commands\n\nThis is the binary's own help. A test compares the two; `TAFFRAIL_BLESS=1 cargo test -p \
                       taffrail-cli reference` writes it anew.\n";

/// The options of every command are told of once.
fn section(path: &str, command: &Command, text: &mut String) {
    let is_root = !path.contains(' ');
    let hidden =
        |argument: clap::Arg| if argument.is_global_set() && !is_root { argument.hide(true) } else { argument };
    let shown = command.clone().mut_args(hidden).bin_name(path).disable_help_flag(true).disable_version_flag(true);
    let help = shown.term_width(100).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        section(&format!("{path} {}", inner.get_name()), inner, text);
    }
}

#[test]
fn the_reference_is_the_help() {
    let mut definition = Arguments::command();
    definition.build();
    let mut expected = HEADING.to_owned();
    section("taffrail", &definition, &mut expected);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    if std::env::var_os("TAFFRAIL_BLESS").is_some() {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        file.and_then(|mut file| file.write_all(expected.as_bytes())).expect("docs/cli.md is written");
    }
    let file = OpenOptions::new().read(true).open(&path).expect("docs/cli.md");
    assert!(std::io::read_to_string(file).expect("UTF-8") == expected, "docs/cli.md: TAFFRAIL_BLESS=1 writes it anew");
}
