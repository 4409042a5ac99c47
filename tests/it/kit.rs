//! Stores in temporary directories, and commands on them.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// A directory that is removed in the end.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("taffrail-it-{}-{count}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A new store in it.
    pub(crate) fn store(&self) -> PathBuf {
        let store = self.0.join("store");
        let answer = run(&store, &["store", "init", "--segment-size", "256KiB"], "");
        assert_eq!(answer.exit, Some(0), "{answer:?}");
        store
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) exit: Option<i32>,
    pub(crate) data: String,
    pub(crate) notes: String,
}

impl Answer {
    /// The one JSON error on standard error.
    pub(crate) fn error(&self) -> Value {
        let error: Value = serde_json::from_str(&self.notes).expect(&self.notes);
        let keys: Vec<&String> = error.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["schema", "code", "message", "hint", "context"], "{self:?}");
        assert_eq!(error["schema"], "taffrail.error/1");
        error
    }

    /// The JSON lines on standard output.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.data.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

pub(crate) fn command(store: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taffrail-under-test"));
    for variable in ["TAFFRAIL_SYNC", "TAFFRAIL_SEGMENT_SIZE", "TAFFRAIL_LOCK_TIMEOUT", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("TAFFRAIL_STORE", store).args(arguments);
    command
}

/// Starts a command with pipes.
pub(crate) fn spawn(store: &Path, arguments: &[&str]) -> Child {
    let mut command = command(store, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the command starts")
}

/// Runs a command on a store to its end.
pub(crate) fn run(store: &Path, arguments: &[&str], input: &str) -> Answer {
    let mut child = spawn(store, arguments);
    // A command that refuses its arguments does not read its input.
    let _unread = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    answer(child)
}

pub(crate) fn answer(child: Child) -> Answer {
    let output = child.wait_with_output().expect("the command ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Answer { exit: output.status.code(), data: text(output.stdout), notes: text(output.stderr) }
}

/// Every event of a store, as `-o jsonl` prints them.
pub(crate) fn dump(store: &Path) -> Vec<Value> {
    let answer = run(store, &["log", "dump", "-o", "jsonl"], "");
    assert_eq!((answer.exit, answer.notes.as_str()), (Some(0), ""), "{}", answer.notes);
    answer.lines()
}

/// Everything that a command that only reads must leave as it is: names, contents, times.
pub(crate) fn snapshot(directory: &Path) -> BTreeMap<PathBuf, (i64, i64, u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_path_buf()];
    while let Some(path) = left.pop() {
        let metadata = path.symlink_metadata().expect("it is there");
        let mut bytes = Vec::new();
        if metadata.is_dir() {
            left.extend(path.read_dir().expect("readable").map(|entry| entry.expect("readable").path()));
        } else if metadata.is_symlink() {
            let target = path.read_link().expect("readable");
            bytes = target.into_os_string().into_encoded_bytes();
        } else if metadata.is_file() {
            bytes = std::fs::read(&path).expect("readable");
        }
        found.insert(path, (metadata.mtime(), metadata.mtime_nsec(), metadata.mode(), bytes));
    }
    found
}
