//! The `console` blocks of the README are run, and answer what stands there; its Rust is that of an example, which is run.

use crate::console::{Page, Place};

#[test]
fn the_readme_says_what_the_commands_answer() {
    let mut readme = Page::read("README.md");
    let examples = readme.examples(0..readme.lines().len());
    assert!(examples.len() >= 8, "the README has its tour");
    let of_cargo = examples.iter().filter(|example| readme.command(example).starts_with("cargo run ")).count();
    assert_eq!(of_cargo, 1, "the README begins with the demo");
    readme.check(&examples, &mut Place::new("readme"));
    readme.write();
}

#[test]
fn the_page_of_settings_says_what_the_commands_answer() {
    let mut page = Page::read("docs/config.md");
    let examples = page.examples(0..page.lines().len());
    assert!(examples.len() >= 6, "the page has its examples");
    page.check(&examples, &mut Place::new("settings"));
    page.write();
}

#[test]
fn the_rust_of_the_readme_stands_in_an_example() {
    let readme = Page::read("README.md");
    let example = Page::read("engine/examples/nightly.rs");
    let begin = readme.lines().iter().position(|line| line == "```rust").expect("the README shows how to embed it");
    let shown: Vec<&String> = readme.lines()[begin + 1..].iter().take_while(|line| *line != "```").collect();
    assert!(shown.len() >= 5, "{shown:?}");
    let stands = example.lines().windows(shown.len()).any(|window| window.iter().eq(shown.iter().copied()));
    assert!(stands, "engine/examples/nightly.rs has no lines {shown:#?}");
}
