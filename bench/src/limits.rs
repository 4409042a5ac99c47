//! What the machine can do: the same bytes without a log around them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

fn new_file(directory: &Path) -> File {
    let options = OpenOptions::new().read(true).write(true).create_new(true).open(directory.join("limit"));
    options.expect("a file for the limit")
}

/// A bare `write` loop over the payloads, one call each, and one sync at the end.
pub fn write_loop(directory: &Path, payload: &[u8], count: usize) {
    let mut file = new_file(directory);
    for _ in 0..count {
        file.write_all(payload).expect("a write");
    }
    file.sync_data().expect("a sync");
}

/// One `pwrite` and one `fdatasync` for each payload, over zeros that have been written before.
pub fn synced_writes(file: &File, payload: &[u8], count: usize) {
    for number in 0..count {
        file.write_all_at(payload, (number * payload.len()) as u64).expect("a write");
        file.sync_data().expect("a sync");
    }
}

/// A file of written zeros.
pub fn zeros(directory: &Path, len: usize) -> File {
    let file = new_file(directory);
    file.write_all_at(&vec![0; len], 0).expect("zeros");
    file.sync_all().expect("a sync");
    file
}
