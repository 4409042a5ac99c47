//! The `console` blocks of the README are run, and answer what stands there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::kit::Directory;

/// A command and what it answers.
struct Example {
    command: String,
    answer: Vec<String>,
}

fn examples(text: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (inside, line.strip_prefix("$ ")) {
            (_, _) if line.starts_with("```") => inside = line == "```console",
            (true, Some(command)) => found.push(Example { command: command.to_owned(), answer: Vec::new() }),
            (true, None) => found.last_mut().expect("a command comes first").answer.push(line.to_owned()),
            _ => {}
        }
    }
    found
}

/// How the README calls the program before it is built.
const CARGO: &str = "cargo run --release --";

/// Hides what differs from run to run: times, the store's id, the directory. Plans keep their names, which are followed.
fn steady(line: &str, directory: &str) -> String {
    let line = line.replace(directory, "/tmp/tour");
    let masked: String =
        line.chars().map(|character| if character.is_ascii_digit() { '0' } else { character }).collect();
    let is_time = |at: usize| {
        let shape = masked.get(at..).unwrap_or_default();
        ["0000-00-00 00:00:00.000", "0000-00-00 00:00:00", "00:00:00"].into_iter().find(|time| shape.starts_with(time))
    };
    let mut steady = String::new();
    let mut at = 0;
    while let Some(character) = line[at..].chars().next() {
        if let Some(time) = is_time(at) {
            steady.push_str("TIME");
            at += time.len();
        } else if line[at..].starts_with(" s_") {
            steady.push_str(" s_ID");
            at += line[at + 1..].find(' ').map_or(line.len() - at, |len| len + 1);
        } else if line[at..].starts_with("segment-0000000001.") && line.ends_with(".bin") {
            steady.push_str("ORIGINAL");
            at = line.len();
        } else {
            steady.push(character);
            at += character.len_utf8();
        }
    }
    steady
}

/// The demo imports from a path, which is part of what is recorded: where that has another length, everything lies elsewhere.
fn without_offsets(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let (name, digits) = word.split_once("0x").or_else(|| word.split_once("seek=")).unwrap_or((word, ""));
        let is_offset = digits.starts_with(|digit: char| digit.is_ascii_hexdigit());
        words.push(if is_offset { format!("{name}OFFSET") } else { word.to_owned() });
    }
    words.join(" ")
}

fn run(command: &str, directory: &Path, path: &str) -> Vec<String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{{ {command}; }} 2>&1")]).current_dir(directory).env("PATH", path);
    for variable in ["TAFFRAIL_STORE", "TAFFRAIL_SYNC", "TAFFRAIL_SEGMENT_SIZE", "CLICOLOR_FORCE"] {
        shell.env_remove(variable);
    }
    let output = shell.env("XDG_CONFIG_HOME", "/nonexistent").output().expect("sh runs");
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

#[test]
fn the_readme_says_what_the_commands_answer() {
    let place = Directory::new("readme");
    let (work, programs) = (place.path().join("work"), place.path().join("bin"));
    std::fs::create_dir_all(&work).expect("a directory");
    std::fs::create_dir_all(&programs).expect("a directory");
    let program = env!("CARGO_BIN_EXE_taffrail-under-test");
    std::os::unix::fs::symlink(program, programs.join("taffrail")).expect("a link");
    let system = std::env::var("PATH").expect("a path");
    let path = format!("{}:{system}", programs.display());
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let examples = examples(&std::fs::read_to_string(readme).expect("the README"));
    assert!(examples.len() >= 8, "the README has its tour");
    // The names of plans: as they stand in the README, and as they are here.
    let mut plans: BTreeMap<String, String> = BTreeMap::new();
    let of_cargo = examples.iter().filter(|example| example.command.starts_with(CARGO)).count();
    assert_eq!(of_cargo, 1, "the README begins with the demo");
    for Example { command, answer } in examples {
        if let Some(words) = command.strip_prefix(CARGO) {
            // It is not built again here, and not on the path, just as it is not for whoever has only built it.
            let real = run(&format!("{program}{words}"), &work, &system);
            let built = |line: &String| line.replace(program, "/tmp/tour/target/release/taffrail");
            let real: Vec<String> = real.iter().map(built).collect();
            let directory = work.display().to_string();
            let steady = |lines: &[String]| -> Vec<String> {
                lines.iter().map(|line| without_offsets(&steady(line, &directory))).collect()
            };
            let named =
                |lines: &[String]| lines.iter().find_map(|line| Some(line.strip_prefix("plan ")?[..6].to_owned()));
            let (written, here) = (named(&answer).expect("a plan"), named(&real).expect("a plan"));
            let real: Vec<String> = real.iter().map(|line| line.replace(&here, &written)).collect();
            assert_eq!(steady(&real), steady(&answer), "{command}");
            continue;
        }
        let here = plans.iter().fold(command.clone(), |line, (written, real)| line.replace(written, real));
        let mut real = run(&here, &work, &path);
        let named = |lines: &[String]| {
            let first = lines.first()?.strip_prefix("plan ")?;
            first.split(' ').next().map(str::to_owned)
        };
        if let (Some(written), Some(real)) = (named(&answer), named(&real)) {
            plans.insert(written, real);
        }
        for (written, name) in &plans {
            real.iter_mut().for_each(|line| *line = line.replace(name, written));
        }
        let directory = work.display().to_string();
        let steady = |lines: &[String]| -> Vec<String> { lines.iter().map(|line| steady(line, &directory)).collect() };
        assert_eq!(steady(&real), steady(&answer), "{command}");
    }
}
