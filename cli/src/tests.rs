//! Whole command lines, in process.

use std::ffi::OsString;
use std::io;

use serde_json::Value;
use taffrail::storage::{Disk, Storage};

use crate::codes::CATALOGUE;
use crate::exit::Exit;
use crate::output::capture::{self, Buffer};
use crate::output::{Output, Stream};
use crate::run;

/// Runs a command line: its exit, data and notes.
fn taffrail(line: &str) -> (Exit, String, String) {
    let (mut output, data, notes) = capture::output();
    let words: Vec<OsString> = std::iter::once("taffrail").chain(line.split_whitespace()).map(OsString::from).collect();
    let exit = run(&words, &mut output);
    (exit, data.text(), notes.text())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn explain_explains_every_code_for_people_and_programs() {
    for entry in CATALOGUE {
        let (exit, data, notes) = taffrail(&format!("explain {}", entry.code));
        assert_eq!((exit, notes.as_str()), (Exit::Clean, ""));
        assert!(data.starts_with(&format!("{}  {}\n\n", entry.code, entry.title)), "{data}");
        assert!(data.lines().all(|line| line.chars().count() <= 100), "{data}");
        let report = json(&taffrail(&format!("explain {} --json", entry.code)).1);
        assert_eq!(report["schema"], "taffrail.explanation/1");
        let keys: Vec<&String> = report.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["schema", "code", "title", "explanation", "remedy"]);
        assert_eq!(report["explanation"], entry.explanation);
    }
}

#[test]
fn explain_lists_all_codes_in_every_format() {
    let (exit, data, _) = taffrail("explain");
    assert_eq!((exit, data.lines().count()), (Exit::Clean, CATALOGUE.len() + 1));
    assert!(data.starts_with("CODE   TITLE\nT0101  unknown command\n"), "{data}");
    let report = json(&taffrail("-o json explain").1);
    assert_eq!(report["schema"], "taffrail.explanations/1");
    assert_eq!(report["codes"].as_array().map(Vec::len), Some(CATALOGUE.len()));
    let lines = taffrail("-o jsonl explain").1;
    assert!(lines.lines().all(|line| json(line)["schema"] == "taffrail.explanation/1"));
    assert_eq!(lines.lines().count(), CATALOGUE.len());
}

#[test]
fn explain_of_an_unknown_code_names_the_nearest() {
    let (exit, data, notes) = taffrail("explain T0115");
    assert_eq!((exit, data.as_str()), (Exit::Differs, ""));
    assert_eq!(
        notes,
        "error[T0140]: there is no code \"T0115\"; the nearest: T0105, T0110, T0111\n  hint: taffrail explain T0105\n"
    );
    let (exit, _, notes) = taffrail("explain zebra --json");
    assert_eq!(exit, Exit::Differs);
    assert_eq!(json(&notes)["hint"], "taffrail explain");
}

#[test]
fn usage_errors_are_exit_2_and_one_object_in_the_json_formats() {
    for line in ["explian --json", "-o jsonl explain -x", "--json", "completions --json", "explain -o=json -s"] {
        let (exit, data, notes) = taffrail(line);
        assert_eq!((exit, data.as_str()), (Exit::Usage, ""), "{line}");
        let error = json(&notes);
        assert_eq!(error["schema"], "taffrail.error/1", "{line}");
        let keys: Vec<&String> = error.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["schema", "code", "message", "hint", "context"]);
        assert!(error["code"].as_str().is_some_and(|code| code.starts_with("T01")), "{line}");
    }
    let (exit, data, notes) = taffrail("explian T0101");
    assert_eq!((exit, data.as_str()), (Exit::Usage, ""));
    assert_eq!(notes, "error[T0101]: there is no command `explian`\n  hint: taffrail explain T0101\n");
    assert_eq!(taffrail("explain -o hex").0, Exit::Usage);
    assert_eq!(taffrail("explain T0115 \u{202e}").2.matches('\u{202e}').count(), 0);
}

#[test]
fn help_and_version_are_data_and_clean() {
    let (exit, data, notes) = taffrail("--help");
    assert_eq!((exit, notes.as_str()), (Exit::Clean, ""));
    assert!(data.contains("Exit codes:\n    0  clean\n"), "{data}");
    assert!(!data.contains('\x1b'));
    assert!(taffrail("--help --color always").1.contains('\x1b'));
    assert!(taffrail("explain --help").1.contains("T0110"));
    assert_eq!(taffrail("--version").1, format!("taffrail {}\n", env!("CARGO_PKG_VERSION")));
    let (exit, data, notes) = taffrail("");
    assert_eq!((exit, data.as_str()), (Exit::Usage, ""), "without a command nothing is asked, so nothing is answered");
    assert!(notes.contains("Usage: taffrail") && notes.contains("completions"), "{notes}");
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (exit, script, _) = taffrail(&format!("completions {shell}"));
        assert_eq!(exit, Exit::Clean);
        assert!(script.contains("taffrail") && script.contains("completions"), "{shell}");
        let report = json(&taffrail(&format!("completions {shell} --json")).1);
        assert_eq!(report["schema"], "taffrail.completions/1");
        assert_eq!((report["shell"].as_str(), report["script"].as_str()), (Some(shell), Some(script.as_str())));
    }
}

#[test]
fn the_manual_page_has_the_exit_codes_and_can_be_written_to_a_directory() {
    let (exit, page, _) = taffrail("man");
    assert_eq!(exit, Exit::Clean);
    let (_, status) = page.split_once(".SH \"EXIT STATUS\"\n").expect("a section of exit codes");
    for exit in Exit::ALL {
        let entry = format!(".TP\n\\fB{}\\fR\n{}", exit.number(), exit.meaning().split('-').next().unwrap_or_default());
        assert_eq!(status.matches(&entry).count(), 1, "{entry}");
    }
    assert!(!page.contains("EXTRA"), "the table stands there once");
    let report = json(&taffrail("man --json").1);
    assert_eq!(
        (report["schema"].as_str(), report["pages"][0]["text"].as_str()),
        (Some("taffrail.man/1"), Some(page.as_str()))
    );

    let directory = std::env::temp_dir().join(format!("taffrail-man-{}", std::process::id()));
    let (exit, paths, notes) = taffrail(&format!("man {}", directory.display()));
    let names: Vec<&str> = paths.lines().filter_map(|path| path.rsplit('/').next()).collect();
    assert_eq!((exit, notes), (Exit::Clean, format!("{} pages\n", names.len())));
    assert_eq!(names[..3], ["taffrail.1", "taffrail-log.1", "taffrail-log-append.1"]);
    for page in ["taffrail-store-info.1", "taffrail-explain.1", "taffrail-completions.1", "taffrail-man.1"] {
        assert!(names.contains(&page), "{page}");
    }
    for path in paths.lines() {
        assert!(std::path::Path::new(path).metadata().expect("written").len() > 100, "{path}");
    }
    std::fs::remove_dir_all(&directory).expect("removed");
    let (exit, _, notes) = taffrail("man /dev/null/x");
    assert_eq!(exit, Exit::Io);
    assert!(notes.starts_with("error[T0181]: cannot write /dev/null/x: "), "{notes}");
}

#[test]
fn bench_measures_in_a_directory_of_its_own_and_leaves_none() {
    let directory = std::env::temp_dir().join(format!("taffrail-bench-test-{}", std::process::id()));
    assert!(Disk::new(&directory).create_dir("").expect("a directory"));
    let (exit, data, notes) = taffrail(&format!("bench --dir {} --seconds 1 --size 300 --json", directory.display()));
    assert_eq!((exit, notes.as_str()), (Exit::Clean, ""));
    let report = json(&data);
    assert_eq!(
        (report["schema"].as_str(), report["payload_len_bytes"].as_u64()),
        (Some("taffrail.bench/1"), Some(300))
    );
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert!(row["per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{row}");
        assert!(row["limit_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{row}");
    }
    std::fs::remove_dir(&directory).expect("it is empty again");
    assert_eq!(taffrail(&format!("bench --dir {}", directory.display())).0, Exit::Io, "and not made");
    assert_eq!(taffrail("bench --size 0 --dir /tmp --seconds 1").0, Exit::Usage);
}

/// Fails like a pipe whose reader is gone, or like a full disk: at the first write or at the flush.
struct Failing(io::ErrorKind, bool);

impl io::Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1 { Ok(bytes.len()) } else { Err(self.0.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

#[test]
fn a_closed_pipe_is_silent_success_and_a_full_disk_is_74() {
    let words = ["taffrail", "explain"].map(OsString::from);
    for at_flush in [false, true] {
        for (kind, expected, prefix) in [
            (io::ErrorKind::BrokenPipe, Exit::Clean, ""),
            (io::ErrorKind::StorageFull, Exit::Io, "error[T0180]: cannot write to standard output: "),
        ] {
            let notes = Buffer::default();
            let mut output = Output::new(Stream::plain(Failing(kind, at_flush)), Stream::plain(notes.clone()));
            assert_eq!(run(&words, &mut output), expected);
            let text = notes.text();
            assert!(text.starts_with(prefix) && text.is_empty() == prefix.is_empty(), "{text}");
        }
    }
}

#[test]
fn what_was_answered_comes_before_the_error_that_ended_it() {
    let both = Buffer::default();
    let data = Stream::plain(io::BufWriter::new(both.clone()));
    let mut output = Output::new(data, Stream::plain(both.clone()));
    output.line("the answer so far").expect("buffered");
    let words = ["taffrail", "explain", "zebra"].map(OsString::from);
    assert_eq!(run(&words, &mut output), Exit::Differs);
    assert!(both.text().starts_with("the answer so far\nerror[T0140]: "), "{}", both.text());
}
