//! The command as a process: what only real streams and a real exit code can show.

use std::fs::OpenOptions;
use std::io::Read;
use std::process::{Command, Output, Stdio};

fn taffrail(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taffrail-under-test"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["TAFFRAIL_STORE", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command
}

fn ran(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn exit_codes_reach_the_shell() {
    for (arguments, code) in [
        (&["explain", "T0110"][..], 0),
        (&["--version"], 0),
        (&["--help"], 0),
        (&["explain", "T9999"], 1),
        (&["explian"], 2),
        (&[], 2),
        (&["man", "/dev/null/x"], 74),
    ] {
        let (exit, _, stderr) = ran(taffrail(arguments));
        assert_eq!(exit, Some(code), "{arguments:?}: {stderr}");
        assert_eq!(stderr.is_empty(), code == 0, "{arguments:?}: {stderr}");
    }
}

/// A reader that stops early (`| head`) once made command lines end with a panic or with 141; both look like failures
/// to `set -o pipefail`.
#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let mut command = taffrail(&["completions", "bash"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    drop(child.stdout.take());
    let status = child.wait().expect("the command ends");
    let mut stderr = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("UTF-8");
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_under_standard_output_is_an_error() {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut command = taffrail(&["--json", "explain"]);
    command.stdout(full);
    let (exit, _, stderr) = ran(command);
    assert_eq!(exit, Some(74));
    let error: serde_json::Value = serde_json::from_str(&stderr).expect("one object");
    assert_eq!(error["code"], "T0180");
}

#[test]
fn colours_follow_flag_and_environment() {
    let colored = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = taffrail(arguments);
        command.envs(variables.iter().copied());
        ran(command).1.contains('\x1b')
    };
    assert!(!colored(&["explain"], &[]), "a pipe is no terminal");
    assert!(colored(&["explain"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&["explain"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(colored(&["explain", "--color", "always"], &[("NO_COLOR", "1")]), "the flag is stronger");
    assert!(!colored(&["explain", "--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}
