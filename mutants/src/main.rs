//! Mutation testing of what may not be wrong: `cargo mutants` lists the changes, this builds all of them into one set of test
//! executables (`weave.rs`) and asks the tests about each, in minutes where a build for each change takes hours. `docs/mutants.md`
//! has what was found; a change that no test notices fails unless it stands there.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool of this repository")]

mod mutant;
mod results;
mod sets;
mod tree;
mod trying;
mod weave;

use clap::Parser;
use mutant::Mutant;
use results::Results;
use sets::{Set, Sets};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tree::{Built, Tree};
use trying::Fate;
use weave::Number;

/// Tries changes of the code: does a test notice each one?
#[derive(Debug, Parser)]
struct Arguments {
    /// Every Nth change, from the Kth on (counted from zero).
    #[arg(default_value = "0/1", value_name = "K/N")]
    shard: String,
    /// Only this set of `sets.toml`.
    #[arg(long)]
    set: Option<String>,
    /// Only changes whose name has this in it.
    #[arg(long, default_value = "")]
    matching: String,
    /// Leave out the changes that need a build of their own.
    #[arg(long)]
    woven_only: bool,
    /// Try nothing: tell what earlier runs have found.
    #[arg(long)]
    report: bool,
}

/// What came of all of them.
#[derive(Debug, Default)]
struct Counts {
    killed: usize,
    endless: usize,
    explained: usize,
    unviable: usize,
    untried: usize,
    missed: Vec<String>,
}

fn main() -> ExitCode {
    match act(&Arguments::parse()) {
        Ok(passed) => ExitCode::from(u8::from(!passed)),
        Err(trouble) => {
            eprintln!("mutants: {trouble}");
            ExitCode::from(2)
        }
    }
}

fn act(arguments: &Arguments) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    let out = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("mutants");
    let page =
        std::fs::read_to_string(root.join("docs/mutants.md")).map_err(|error| format!("docs/mutants.md: {error}"))?;
    let mut counts = Counts::default();
    for set in Sets::read(&root.join("mutants/sets.toml"))?.set {
        if arguments.set.as_ref().is_none_or(|name| *name == set.name) {
            Trial::new(&root, &out, &set, arguments)?.run(&page, &mut counts)?;
        }
    }
    for what in &counts.missed {
        eprintln!("missed and not explained: {what}");
    }
    let killed = counts.killed + counts.endless;
    println!(
        "lab-result {}",
        serde_json::json!({
            "check": "mutants", "promise": ["P1", "P4", "P5", "P6"],
            "cases": killed + counts.explained + counts.missed.len(), "failures": counts.missed.len(), "skipped": null,
            "figures": { "killed": killed, "explained": counts.explained, "unviable": counts.unviable, "untried": counts.untried },
        })
    );
    Ok(counts.missed.is_empty())
}

/// The changes of one set, and where they are tried.
struct Trial<'a> {
    set: &'a Set,
    tree: Tree,
    results: Results,
    mutants: Vec<Mutant>,
    /// The changed files as they are.
    texts: BTreeMap<String, String>,
    chosen: BTreeSet<Number>,
    woven_only: bool,
    report: bool,
}

impl<'a> Trial<'a> {
    fn new(root: &Path, out: &Path, set: &'a Set, arguments: &Arguments) -> Result<Trial<'a>, String> {
        let mutants = mutant::list(root, &set.list)?;
        let (shard, shards) = shard_of(&arguments.shard)?;
        let chosen = mutants
            .iter()
            .enumerate()
            .filter(|(number, mutant)| number % shards == shard && mutant.name.contains(&arguments.matching));
        let chosen = chosen.map(|(number, _)| number).collect();
        let mut texts = BTreeMap::new();
        for mutant in &mutants {
            if !texts.contains_key(&mutant.file) {
                let text = std::fs::read_to_string(root.join(&mutant.file));
                texts.insert(mutant.file.clone(), text.map_err(|error| format!("{}: {error}", mutant.file))?);
            }
        }
        let out = out.join(&set.name);
        // A report is asked for beside a run as well, whose tree has changes in it.
        let tree = if arguments.report { Tree::at(&out) } else { Tree::copy(root, &out)? };
        let results = Results::open(&out.join("results.jsonl"))?;
        Ok(Trial {
            set,
            tree,
            results,
            mutants,
            texts,
            chosen,
            woven_only: arguments.woven_only,
            report: arguments.report,
        })
    }

    fn run(&mut self, page: &str, counts: &mut Counts) -> Result<(), String> {
        let mut fates = BTreeMap::new();
        for number in &self.chosen {
            let mutant = &self.mutants[*number];
            let known = self.results.known(mutant, &self.texts[&mutant.file]);
            // What was missed is tried again: tests may have come.
            if let Some(fate) = known.filter(|fate| self.report || *fate != Fate::Missed) {
                fates.insert(*number, fate);
            }
        }
        let open: BTreeSet<Number> = self.chosen.iter().copied().filter(|number| !fates.contains_key(number)).collect();
        eprintln!("{}: {} changes, {} of them to be tried", self.set.name, self.chosen.len(), open.len());
        if !open.is_empty() && !self.report {
            self.try_all(&open, &mut fates)?;
        }
        let mut explained = Explained::default();
        for number in &self.chosen {
            let what = self.mutants[*number].what();
            match fates.get(number) {
                Some(Fate::Killed) => counts.killed += 1,
                Some(Fate::Endless) => counts.endless += 1,
                Some(Fate::Unviable) => counts.unviable += 1,
                Some(Fate::Missed) if explained.takes(page, what) => counts.explained += 1,
                Some(Fate::Missed) => counts.missed.push(self.mutants[*number].name.clone()),
                None => counts.untried += 1,
            }
        }
        Ok(())
    }

    fn try_all(&mut self, open: &BTreeSet<Number>, fates: &mut BTreeMap<Number, Fate>) -> Result<(), String> {
        let mut left: BTreeSet<Number> = BTreeSet::new();
        let tests = self.build_woven(open, &mut left)?;
        let package = self.tree.root.join(&self.set.package);
        if trying::fate(self.set, &package, &tests, None)? != Fate::Missed {
            return Err(format!("{}: the tests fail without any change", self.set.name));
        }
        // Quick tests first, for all of them: a run that is stopped has done most of the work.
        let mut remaining: Vec<Number> = open.difference(&left).copied().collect();
        for stage in &self.set.stage {
            let mut survivors = Vec::new();
            for number in remaining {
                match trying::asked(stage, &package, &tests, Some(number))? {
                    Fate::Missed => survivors.push(number),
                    noticed => self.found(number, noticed, fates)?,
                }
            }
            remaining = survivors;
            eprintln!("{}: {} changes are left behind {:?}", self.set.name, remaining.len(), stage.target);
        }
        for number in remaining {
            self.found(number, Fate::Missed, fates)?;
        }
        if !self.woven_only {
            for number in left {
                let fate = self.alone(number)?;
                self.found(number, fate, fates)?;
            }
        }
        Ok(())
    }

    fn found(&mut self, number: Number, fate: Fate, fates: &mut BTreeMap<Number, Fate>) -> Result<(), String> {
        let mutant = &self.mutants[number];
        eprintln!("{fate:?}: {}", mutant.name);
        self.results.add(mutant, &self.texts[&mutant.file], fate)?;
        fates.insert(number, fate);
        Ok(())
    }

    /// Builds all of them at once; those that do not compile among the others go to `left`.
    fn build_woven(
        &self,
        open: &BTreeSet<Number>,
        left: &mut BTreeSet<Number>,
    ) -> Result<BTreeMap<String, PathBuf>, String> {
        let root_file = format!("{}/src/lib.rs", self.set.package);
        loop {
            let mut woven = BTreeMap::new();
            for (file, text) in &self.texts {
                let of_file = |number: &Number| self.mutants[*number].file == *file && !left.contains(number);
                let mutants: Vec<(Number, &Mutant)> =
                    open.iter().copied().filter(of_file).map(|number| (number, &self.mutants[number])).collect();
                let result = weave::weave(text, &mutants).map_err(|error| format!("{file}: {error}"))?;
                left.extend(result.left);
                woven.insert(file.clone(), result.text);
            }
            let original = std::fs::read_to_string(self.tree.root.join(&root_file)).unwrap_or_default();
            let root_text = woven.get(&root_file).cloned().unwrap_or(original);
            if !root_text.contains(weave::SWITCH) {
                woven.insert(root_file.clone(), root_text + weave::SWITCH);
            }
            for (file, text) in &woven {
                self.tree.write(file, text)?;
            }
            eprintln!("{}: building {} changes at once", self.set.name, open.len() - left.len());
            match self.tree.build(&self.set.test, self.set.opt_level)? {
                Built::Tests(tests) => return Ok(tests),
                Built::Errors(errors) => {
                    let before = left.len();
                    for (path, range) in errors {
                        let text = std::fs::read_to_string(&path).unwrap_or_default();
                        left.extend(weave::blamed(&text, &range));
                    }
                    if left.len() == before {
                        return Err(format!("{}: does not compile, and no change is to blame", self.set.name));
                    }
                }
            }
        }
    }

    /// One change in a build of its own.
    fn alone(&self, number: Number) -> Result<Fate, String> {
        for (file, text) in &self.texts {
            let changed = Some(&self.mutants[number]).filter(|mutant| mutant.file == *file);
            let changed = changed.map(|mutant| mutant.applied(text).ok_or("a place that is not there".to_owned()));
            self.tree.write(file, &changed.transpose()?.unwrap_or_else(|| text.clone()))?;
        }
        let package = self.tree.root.join(&self.set.package);
        // Only what the next stage asks is built: most are noticed by the first one.
        for stage in &self.set.stage {
            match self.tree.build(&stage.build(&self.set.test), self.set.opt_level)? {
                Built::Errors(_) => return Ok(Fate::Unviable),
                Built::Tests(tests) => match trying::asked(stage, &package, &tests, None)? {
                    Fate::Missed => {}
                    noticed => return Ok(noticed),
                },
            }
        }
        Ok(Fate::Missed)
    }
}

/// Changes that were found on the page. Without their lines several may be called the same, and an explanation is for one of them,
/// or for as many as it says: those that tests notice today are not explained by it.
#[derive(Debug, Default)]
struct Explained(BTreeMap<String, usize>);

impl Explained {
    fn takes(&mut self, page: &str, what: String) -> bool {
        let most = explained_times(page, &what);
        let taken = self.0.entry(what).or_default();
        *taken += 1;
        *taken <= most
    }
}

/// How many changes of this name a page explains: `NAME`, or `NAME` (3 times).
fn explained_times(page: &str, what: &str) -> usize {
    let name = format!("`{what}`");
    let behind = page.split(name.as_str()).skip(1);
    let times = behind.map(|text| {
        let said = text.trim_start().strip_prefix('(').and_then(|text| text.split_once(" times)"));
        said.and_then(|(number, _)| number.parse().ok()).unwrap_or(1)
    });
    times.sum()
}

fn shard_of(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('/').and_then(|(shard, shards)| Some((shard.parse().ok()?, shards.parse().ok()?)));
    parsed.filter(|(shard, shards)| shard < shards).ok_or_else(|| format!("{text:?} is no shard, like 0/8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_is_for_as_many_changes_as_it_says() {
        let page = "- `a.rs: replace > with >=`: a reason.\n- `a.rs: replace | with ^` (2 times): (another).";
        let mut explained = Explained::default();
        let mut takes = |what: &str| explained.takes(page, what.to_owned());
        assert_eq!(["a.rs: replace > with >="; 2].map(&mut takes), [true, false]);
        assert_eq!(["a.rs: replace | with ^"; 3].map(&mut takes), [true, true, false]);
        assert!(!takes("a.rs: replace > with") && !takes("b.rs: replace > with >="));
    }
}
