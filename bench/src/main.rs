//! Measures taffrail beside the limits of the machine, in one run: ratios, not seconds, are what to quote.
//!
//! `taffrail-bench [--rounds N] [--data DIR] [--command PATH] [append|durable|group|open|cold|resident]...`
//! `--data` must lie on the file system to be measured; `--command` is the `taffrail` binary, for `cold` and `resident`.

mod limits;
mod measure;
mod workloads;

use measure::{Settings, Table};

fn main() {
    let (settings, wanted) = Settings::from_arguments();
    let all = ["append", "durable", "group", "open", "cold", "resident"];
    let mut table = Table::default();
    for name in all.iter().filter(|name| wanted.is_empty() || wanted.iter().any(|other| other == *name)) {
        match *name {
            "append" => workloads::append(&settings, &mut table),
            "durable" => workloads::durable(&settings, &mut table),
            "group" => workloads::group(&settings, &mut table),
            "open" => workloads::open(&settings, &mut table),
            "cold" => workloads::cold(&settings, &mut table),
            _ => workloads::resident(&settings, &mut table),
        }
    }
    println!("{table}");
}
