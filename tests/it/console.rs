//! Pages whose `console` blocks are run: what stands there is what the commands answer.
//!
//! `TAFFRAIL_BLESS=1` writes what they answer now into the page, where that is something else. A command may then say
//! `??????` for the name of the plan that was shown last.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kit::Directory;

/// What stands in a page for the directory that the commands run in.
const HERE: &str = "/tmp/tour";

/// How a page calls the program before it is built.
const CARGO: &str = "cargo run --release --";

/// A page of the repository, whose examples may be written anew.
pub(crate) struct Page {
    path: PathBuf,
    lines: Vec<String>,
    is_changed: bool,
}

/// A command of a page, by the lines that it and its answer stand in.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    pub(crate) command: usize,
    pub(crate) answer: Range<usize>,
    /// The line that its block begins in.
    block: usize,
}

impl Page {
    pub(crate) fn read(path: &str) -> Page {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        let text = std::fs::read_to_string(&path).expect("the page");
        Page { path, lines: text.lines().map(str::to_owned).collect(), is_changed: false }
    }

    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    pub(crate) fn command(&self, example: &Example) -> &str {
        self.lines[example.command].strip_prefix("$ ").expect("a command")
    }

    /// The examples within some of the page's lines.
    pub(crate) fn examples(&self, within: Range<usize>) -> Vec<Example> {
        let mut found: Vec<Example> = Vec::new();
        let (mut inside, mut block) = (false, 0);
        for at in within {
            let line = &self.lines[at];
            match (inside, line.starts_with("$ ")) {
                (_, _) if line.starts_with("```") => (inside, block) = (line == "```console", at),
                (true, true) => found.push(Example { command: at, answer: at + 1..at + 1, block }),
                (true, false) => found.last_mut().expect("a command comes first").answer.end = at + 1,
                _ => {}
            }
        }
        found
    }

    /// Runs examples in a place, and compares; or writes those blocks anew in which one differs.
    pub(crate) fn check(&mut self, examples: &[Example], place: &mut Place) {
        let is_blessing = std::env::var_os("TAFFRAIL_BLESS").is_some();
        let mut answers = Vec::with_capacity(examples.len());
        let mut differing = BTreeSet::new();
        for example in examples {
            let written = &self.lines[example.answer.clone()];
            let answer = place.answer(self.command(example), written);
            let is_same = place.steady(&answer.lines, &answer.command) == place.steady(written, &answer.command);
            if !is_same && !is_blessing {
                let (path, line) = (self.path.display(), example.command + 1);
                let (said, is) = (written.join("\n"), answer.lines.join("\n"));
                panic!("{path}:{line}: $ {}\n--- the page says\n{said}\n--- it answers\n{is}\n---", answer.command);
            }
            if !is_same || self.command(example) != answer.command {
                differing.insert(example.block);
            }
            answers.push(answer);
        }
        let is_all_named = is_blessing || differing.is_empty();
        assert!(is_all_named, "{}: a plan has no name yet; TAFFRAIL_BLESS=1 writes it", self.path.display());
        for (example, answer) in examples.iter().zip(answers).rev().filter(|(it, _)| differing.contains(&it.block)) {
            self.lines[example.command] = format!("$ {}", answer.command);
            self.lines.splice(example.answer.clone(), answer.lines);
            self.is_changed = true;
        }
    }

    /// Writes the page, if it was changed. Whoever has seen what was found then runs the test again.
    pub(crate) fn write(&self) {
        if self.is_changed {
            std::fs::write(&self.path, self.lines.join("\n") + "\n").expect("the page is written");
        }
    }
}

/// What a command answers, in the words of the page.
struct Answer {
    command: String,
    lines: Vec<String>,
}

/// A directory for the commands of a page.
pub(crate) struct Place {
    _directory: Directory,
    work: PathBuf,
    /// With the program in front of the machine's own.
    path: String,
    /// The names of plans: as they stand in the page, and as they are here.
    plans: BTreeMap<String, String>,
    last_plan: Option<String>,
}

impl Place {
    pub(crate) fn new(name: &str) -> Place {
        let directory = Directory::new(name);
        let (work, programs) = (directory.path().join("work"), directory.path().join("bin"));
        std::fs::create_dir_all(&work).expect("a directory");
        std::fs::create_dir_all(&programs).expect("a directory");
        std::os::unix::fs::symlink(program(), programs.join("taffrail")).expect("a link");
        let path = format!("{}:{}", programs.display(), system_path());
        Place { _directory: directory, work, path, plans: BTreeMap::new(), last_plan: None }
    }

    fn answer(&mut self, command: &str, written: &[String]) -> Answer {
        let command = command.replace("??????", self.last_plan.as_deref().unwrap_or("??????"));
        let here = self.plans.iter().fold(command.clone(), |line, (written, real)| line.replace(written, real));
        let real = match here.strip_prefix(CARGO) {
            // It is not built again here, and not on the path, just as it is not for whoever has only built it.
            Some(words) => self.run(&format!("{}{words}", program()), &system_path()),
            None => self.run(&here, &self.path),
        };
        if let Some(real) = plan_named(&real) {
            let written = plan_named(written).unwrap_or_else(|| real.clone());
            self.last_plan = Some(written.clone());
            self.plans.insert(written, real);
        }
        let directory = self.work.display().to_string();
        let in_the_pages_words = |line: String| {
            let line = line.replace(&directory, HERE).replace(program(), &format!("{HERE}/target/release/taffrail"));
            self.plans.iter().fold(line, |line, (written, real)| line.replace(real, written))
        };
        Answer { command, lines: real.into_iter().map(in_the_pages_words).collect() }
    }

    /// Runs a command, and returns what it says. What it says of its exit code is so.
    fn run(&self, command: &str, path: &str) -> Vec<String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{{ {command}\n}} 2>&1")]).current_dir(&self.work).env("PATH", path);
        for variable in ["TAFFRAIL_STORE", "TAFFRAIL_SYNC", "TAFFRAIL_SEGMENT_SIZE", "CLICOLOR_FORCE", "TAFFRAIL_BLESS"]
        {
            shell.env_remove(variable);
        }
        let output = shell.env("XDG_CONFIG_HOME", "/nonexistent").output().expect("sh runs");
        let lines: Vec<String> = String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect();
        let is_alone = command.starts_with("taffrail ") && !command.contains(['|', ';']);
        let said = lines.last().and_then(|line| line.strip_prefix("[exit ")?.strip_suffix(']'));
        if let (true, Some(said)) = (is_alone, said) {
            assert_eq!(output.status.code().map(|code| code.to_string()).as_deref(), Some(said), "{command}");
        }
        lines
    }

    /// Hides what differs from run to run.
    fn steady(&self, lines: &[String], command: &str) -> Vec<String> {
        let is_demo = command.contains("taffrail-demo") || command.starts_with(CARGO);
        let is_compaction = command.contains(" log compact") || command.contains(" store forget");
        let hidden = lines.iter().map(|line| steady(line));
        let hidden = hidden.map(|line| if is_demo { without_offsets(&line) } else { line });
        hidden.map(|line| if is_compaction { without_sizes(&line) } else { line }).collect()
    }
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_taffrail-under-test")
}

fn system_path() -> String {
    std::env::var("PATH").expect("a path")
}

/// The name of the plan that an answer shows.
fn plan_named(answer: &[String]) -> Option<String> {
    let names = answer.iter().find_map(|line| line.strip_prefix("plan "));
    names.and_then(|rest| rest.get(..6)).map(str::to_owned)
}

/// Hides what differs from run to run: times, ids, users, digests, checksums that are made with them. Plans keep their names, which
/// are followed.
fn steady(line: &str) -> String {
    let masked: String =
        line.chars().map(|character| if character.is_ascii_digit() { '0' } else { character }).collect();
    let is_time = |at: usize| {
        let shape = masked.get(at..).unwrap_or_default();
        let shapes = ["0000-00-00 00:00:00.000", "0000-00-00T00:00:00.000000000Z", "0000-00-00 00:00:00", "00:00:00"];
        shapes.into_iter().find(|time| shape.starts_with(time))
    };
    let mut steady = String::new();
    let mut at = 0;
    while let Some(character) = line[at..].chars().next() {
        let is_word = !line[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_');
        let digits = line[at..].chars().take_while(|it| it.is_ascii_digit() || ('a'..='f').contains(it)).count();
        let ends = !line[at + digits..].starts_with(|after: char| after.is_ascii_alphanumeric() || after == '_');
        if let Some(time) = is_time(at) {
            steady.push_str("TIME");
            at += time.len();
        } else if is_word && line[at..].starts_with("s_") {
            steady.push_str("s_ID");
            at += 2 + line[at + 2..].chars().take_while(char::is_ascii_hexdigit).count();
        } else if is_word && line[at..].starts_with("uid:") {
            // And how far it is to the next column.
            steady.push_str("uid:ID");
            let rest = line[at + 4..].trim_start_matches(|digit: char| digit.is_ascii_digit()).trim_start();
            at = line.len() - rest.len();
        } else if is_word && ends && digits == 8 {
            steady.push_str("CRC");
            at += digits;
        } else if is_word && ends && digits >= 16 {
            steady.push_str("DIGEST");
            at += digits;
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

/// Imported runs say where they come from, and a path may have any length: so sizes differ where such events are counted.
fn without_sizes(line: &str) -> String {
    let is_unit = |word: &str| ["B", "KiB", "MiB"].contains(&word.trim_end_matches([',', ':', ';']));
    let words: Vec<&str> = line.split(' ').collect();
    let hidden = words.iter().enumerate().map(|(at, word)| {
        let is_size = words.get(at + 1).is_some_and(|next| is_unit(next));
        if is_size {
            "SIZE"
        } else if is_unit(word) {
            "UNIT"
        } else {
            word
        }
    });
    hidden.collect::<Vec<_>>().join(" ")
}
