//! How cost grows: `taffrail-bench scaling --data DIR --pictures DIR` measures every curve and draws it, and
//! `taffrail-bench resident --data DIR --command TAFFRAIL` tells what memory dump and verify take on a log of 4 GiB.
//!
//! Every point is a process of its own, so that the memory beside the time is that of the point.

mod curves;
mod picture;
mod point;
mod resident;

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options with values, by name.
pub struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub fn number(&self, name: &str) -> u64 {
        self.get(name).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("--{name} takes a number"))
    }

    /// Where the stores lie: on the file system that is measured.
    pub fn data(&self) -> PathBuf {
        self.get("data").map_or_else(|| std::env::temp_dir().join("taffrail-scaling"), PathBuf::from)
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let word = arguments.next().unwrap_or_default();
    let mut values = BTreeMap::new();
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{name} takes a value"));
        values.insert(name.trim_start_matches("--").to_owned(), value);
    }
    let settings = Settings { values };
    match word.as_str() {
        "scaling" => curves::measure(&settings),
        "resident" => resident::measure(&settings),
        "point" => point::measure(&settings),
        _ => eprintln!(
            "scaling [--data DIR] [--pictures DIR] [--only CURVE] [--most EXPONENT] | resident --command TAFFRAIL [--data DIR]"
        ),
    }
}
