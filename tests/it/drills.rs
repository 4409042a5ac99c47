//! `docs/recovery.md`: every section is run on a store that is really damaged, and answers what stands there.
//!
//! A section begins with an empty directory, in which the section "The store of these drills" was run. A line `<!-- needs:
//! PROGRAM ... -->` below its heading says what it can not be run without: it is skipped then, aloud.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::console::{Page, Place};
use crate::lab_result;

/// The section that makes the store.
const STORE: &str = "The store of these drills";

/// A part of the page below a heading of the second level.
struct Section {
    title: String,
    lines: Range<usize>,
    needs: Vec<String>,
}

fn sections(page: &Page) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    let mut is_console = false;
    for (at, line) in page.lines().iter().enumerate() {
        if line.starts_with("```") {
            is_console = line.len() > 3;
        }
        if let (false, Some(title)) = (is_console, line.strip_prefix("## ")) {
            found.push(Section { title: title.to_owned(), lines: at..at, needs: Vec::new() });
        }
        if let Some(section) = found.last_mut() {
            section.lines.end = at + 1;
            let needs = line.strip_prefix("<!-- needs: ").and_then(|rest| rest.strip_suffix(" -->"));
            section.needs.extend(needs.into_iter().flat_map(str::split_whitespace).map(str::to_owned));
        }
    }
    found
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// The name that a heading has in a link.
fn anchor(title: &str) -> String {
    let kept = title.to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn every_section_is_reached_from_the_first_page() {
    let page = Page::read("docs/recovery.md");
    let sections = sections(&page);
    let first_page = &page.lines()[..sections[1].lines.start];
    let linked: BTreeSet<String> = first_page
        .iter()
        .flat_map(|line| line.split("](#").skip(1))
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link.to_owned())
        .collect();
    let titles: BTreeSet<String> = sections[1..].iter().map(|section| anchor(&section.title)).collect();
    assert_eq!(linked, titles);
}

fn section(page: &Page, title: &str) -> Section {
    sections(page).into_iter().find(|section| section.title == title).expect("the section is there")
}

/// The programs that a section can not be run without and that this machine does not have.
fn missing(page: &Page, title: &str) -> Vec<String> {
    let mut needed = section(page, STORE).needs;
    needed.extend(section(page, title).needs);
    needed.retain(|program| !is_there(program));
    needed
}

/// Runs a section; returns how many commands it has.
fn drill(page: &mut Page, title: &str) -> usize {
    let mut place = Place::new("drill");
    for part in [STORE, title] {
        let examples = page.examples(section(page, part).lines);
        page.check(&examples, &mut place);
    }
    page.write();
    page.examples(section(page, title).lines).len()
}

#[test]
#[allow(clippy::print_stdout, reason = "a line for each section is what `just drills` shows")]
fn every_section_of_the_runbook_is_run_and_answers_what_stands_there() {
    let mut page = Page::read("docs/recovery.md");
    let mut titles: Vec<String> = sections(&page).into_iter().map(|section| section.title).collect();
    titles.retain(|title| title != STORE && !page.examples(section(&page, title).lines).is_empty());
    assert!(titles.len() >= 12, "the runbook has its sections: {titles:?}");
    let lacking = titles.iter().map(|title| missing(&page, title)).find(|missing| !missing.is_empty());
    let mut run = || {
        let (mut run, mut commands) = (0, 0);
        for title in &titles {
            let missing = missing(&page, title);
            if !missing.is_empty() {
                println!("SKIPPED  {title}: this machine has no {}", missing.join(", "));
                continue;
            }
            let count = drill(&mut page, title);
            println!("ok       {title}: {count} commands");
            (run, commands) = (run + 1, commands + count as u64);
        }
        (run, vec![("commands", commands)])
    };
    let promises = ["P4", "P5", "P9"];
    match lacking {
        None => lab_result::tell("recovery-drills", &promises, run),
        Some(programs) => {
            run();
            lab_result::skip("recovery-drills", &promises, &format!("no {}", programs.join(", ")));
        }
    }
}
