//! The `console` blocks of the README are run, and answer what stands there.

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
