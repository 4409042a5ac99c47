//! The name of an imported run in the store.
//!
//! It is a function of the source alone, so that it does not depend on what was imported before: the run's id where the
//! directory is called so too, else the id, `~` and the directory's name. Only a second, different run of the same id and
//! directory name gets `~2`, and so on, in the order in which they are met.

use crate::RunOpened;
use crate::blob::Digest;

/// Longest part of a name that is taken from the source, in bytes; two of them and a number fit into a run's name.
const PART_LEN_BYTES: usize = 96;

/// The first choice.
pub(super) fn name_of(run_id: Option<&str>, directory: &str) -> String {
    match run_id.filter(|run_id| !run_id.is_empty()) {
        Some(run_id) if run_id == directory || directory.is_empty() => part(run_id),
        Some(run_id) => format!("{}~{}", part(run_id), part(directory)),
        None => part(directory),
    }
}

/// The choice of a number, from 1.
pub(super) fn choice(name: &str, number: u64) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}~{number}") }
}

/// A text that can be part of a run's name: what can not stand there is replaced, and eight digits of the text's digest
/// keep it apart from others.
fn part(text: &str) -> String {
    if text.len() <= PART_LEN_BYTES && RunOpened::is_valid_name(text) {
        return text.to_owned();
    }
    let plain: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let plain = plain.trim();
    let end = (0..=(PART_LEN_BYTES - 9).min(plain.len())).rev().find(|end| plain.is_char_boundary(*end)).unwrap_or(0);
    let digest = Digest::of(text.as_bytes()).to_string();
    format!("{}~{}", plain[..end].trim_end(), &digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_source_where_they_can_be() {
        for (run_id, directory, name) in [
            (Some("release-42"), "release-42", "release-42"),
            (Some("release-42"), "", "release-42"),
            (Some("repair-base"), "lock-torn", "repair-base~lock-torn"),
            (None, "lock-torn", "lock-torn"),
            (Some(""), "x", "x"),
            (Some("../../etc"), "../../etc", "../../etc"),
            (Some("läuft"), "läuft", "läuft"),
        ] {
            assert_eq!(name_of(run_id, directory), name);
        }
        assert_eq!([choice("a", 1), choice("a", 2)], ["a", "a~2"]);
    }

    #[test]
    fn hostile_names_become_valid_ones_that_stay_apart() {
        let long = "ä".repeat(4000);
        let hostile = ["\n", "\r", " a", "a ", "\u{1b}[2J", &long, &format!("{long}x"), "\0", ""];
        let mut names = std::collections::BTreeSet::new();
        for run_id in hostile {
            for directory in hostile {
                let name = choice(&name_of(Some(run_id), directory), u64::MAX);
                assert!(RunOpened::is_valid_name(&name), "{run_id:?} {directory:?} {name:?}");
                names.insert(name);
            }
        }
        assert!(names.len() > 8 * 8);
    }
}
