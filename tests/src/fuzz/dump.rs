//! A log whose names and payloads are the input, printed by the commands that show it: no text output has a control
//! character in it, and JSON output is JSON.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use arbitrary::Unstructured;
use taffrail::{Batch, Codec, Expect, Journal, Mark, SyncPolicy, TypeEntry};
use taffrail_cli::escape::is_escaped;
use taffrail_cli::output::{Output, Stream};

/// Bytes that a command has written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic holds it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The place of this process's store.
fn place() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| std::env::temp_dir().join(format!("taffrail-fuzz-dump-{}", std::process::id())))
}

/// A new store there. Making one syncs a dozen times, so that is done once, and its files are copied from then on.
fn new_store() -> Journal {
    static EMPTY: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    let _none_yet = std::fs::remove_dir_all(place());
    let options = || Journal::options().exclusive(true).sync(SyncPolicy::Never).segment_len_bytes(64 << 10);
    let empty = EMPTY.get_or_init(|| {
        options().create(true).open(place()).and_then(Journal::close).expect("a store");
        let names = ["segments/0000000001.seg", "LOCK", "watermark", ".gitignore"];
        let paths = names.map(|name| place().join(name)).into_iter().filter(|path| path.exists());
        paths.map(|path| (path.clone(), std::fs::read(path).expect("readable"))).collect()
    });
    std::fs::create_dir_all(place().join("segments")).expect("a directory");
    for (path, bytes) in empty {
        std::fs::write(path, bytes).expect("written");
    }
    options().open(place()).expect("a store")
}

fn append(journal: &Journal, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    while !input.is_empty() {
        let codec = [Codec::Json, Codec::Bytes][usize::from(input.ratio(1, 2)?)];
        let run: &str = input.arbitrary()?;
        let entry =
            Arc::new(TypeEntry { codec, ..TypeEntry::json(["t", "acme.deploy"][usize::from(input.ratio(1, 2)?)]) });
        let len = input.int_in_range(0..=200_usize)?.min(input.len());
        let payload = input.bytes(len)?;
        let mut batch = Batch::new();
        let batch_run = batch.run_or_create(run, Expect::Any);
        batch.event(Some(batch_run), &entry, payload);
        // Names that no run can have are refused.
        let _refused = journal.append(batch);
        if input.ratio(1, 8)? {
            let note = String::from_utf8_lossy(payload).into_owned();
            let _refused = journal.mark(None, &Mark { name: run.to_owned(), note });
        }
    }
    Ok(())
}

fn shown(arguments: &[&str]) -> String {
    let (data, notes) = (Written::default(), Written::default());
    let mut output = Output::new(Stream::plain(data.clone()), Stream::plain(notes.clone()));
    let words = [&["taffrail", "--store", place().to_str().expect("UTF-8")], arguments].concat();
    let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    let _exit = taffrail_cli::run(&words, &mut output);
    drop(output);
    let mut text = String::new();
    for written in [data, notes] {
        let bytes = written.0.lock().expect("no panic holds it");
        text += std::str::from_utf8(&bytes).expect("text is UTF-8");
    }
    text
}

/// The target.
pub fn run(bytes: &[u8]) {
    let journal = new_store();
    let _used_up = append(&journal, &mut Unstructured::new(bytes));
    journal.close().expect("closed");
    let commands: [&[&str]; 9] = [
        &["log", "dump"],
        &["log", "dump", "--reverse", "-n", "3"],
        &["log", "dump", "-o", "hex", "-n", "3"],
        &["log", "stat", "--by", "run"],
        &["log", "stat", "--by", "type"],
        &["log", "verify"],
        &["run", "list"],
        &["store", "info"],
        &["log", "dump", "--grep", "a"],
    ];
    for command in commands {
        let text = shown(command);
        let hidden = text.chars().find(|character| *character != '\n' && is_escaped(*character));
        assert_eq!(hidden, None, "{command:?}: {text:?}");
    }
    for line in shown(&["log", "dump", "-o", "jsonl"]).lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
        assert!(!line.contains(is_escaped), "{line:?}");
    }
    std::fs::remove_dir_all(place()).expect("removed");
}
