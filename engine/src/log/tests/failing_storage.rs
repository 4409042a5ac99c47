//! A storage that does as it is told for the next calls, in front of one in memory.

use crate::storage::{Entry, EntryKind, Host, Memory, OpenMode, Storage, StorageFile, WrongKind};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a call is to fail with; `None` lets it pass.
type Answers = VecDeque<Option<io::ErrorKind>>;

#[derive(Debug, Default)]
struct Script {
    /// For the next openings of files of this name.
    opens: Vec<(String, Answers)>,
    /// Names of the files that were opened.
    opened: Vec<String>,
    /// Files that somebody else has open as well, as a process does that was forked while they were open.
    inherited: Option<Vec<Arc<dyn StorageFile>>>,
    /// For the next attempts to take a lock.
    locks: Answers,
    /// For the next listings of this directory.
    lists: Vec<(String, Answers)>,
    /// How long was waited.
    sleeps: Vec<Duration>,
    /// What a file is said to have for its length.
    len_bytes: Option<(String, u64)>,
    /// Lengths of what was written into files of segments.
    segment_writes: Vec<usize>,
}

/// The storage.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    pub(super) memory: Memory,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug)]
struct FailingFile {
    file: Arc<dyn StorageFile>,
    name: String,
    script: Arc<Mutex<Script>>,
}

fn next_of(answers: &mut [(String, Answers)], name: &str) -> io::Result<()> {
    let answer = answers.iter_mut().find(|(of, _)| of == name).and_then(|(_, answers)| answers.pop_front());
    answer.flatten().map_or(Ok(()), |kind| Err(kind.into()))
}

impl Failing {
    pub(super) fn new(memory: Memory) -> Failing {
        Failing { memory, script: Arc::default() }
    }

    /// The next openings of a file.
    pub(super) fn opens(self, name: &str, answers: &[Option<io::ErrorKind>]) -> Failing {
        self.script.lock().unwrap().opens.push((name.to_owned(), answers.iter().copied().collect()));
        self
    }

    /// Another process holds open whatever is opened from now on, and goes on when it is closed here.
    pub(super) fn inherited(self) -> Failing {
        self.script.lock().unwrap().inherited = Some(Vec::new());
        self
    }

    /// The next listings of a directory.
    pub(super) fn lists(self, name: &str, answers: &[Option<io::ErrorKind>]) -> Failing {
        self.script.lock().unwrap().lists.push((name.to_owned(), answers.iter().copied().collect()));
        self
    }

    /// The next attempts to take a lock.
    pub(super) fn locks(self, answers: &[Option<io::ErrorKind>]) -> Failing {
        self.script.lock().unwrap().locks = answers.iter().copied().collect();
        self
    }

    /// What a file is said to have for its length, whatever is in it.
    pub(super) fn segment_len(self, name: &str, len_bytes: u64) -> Failing {
        self.script.lock().unwrap().len_bytes = Some((name.to_owned(), len_bytes));
        self
    }

    pub(super) fn sleeps(&self) -> Vec<Duration> {
        self.script.lock().unwrap().sleeps.clone()
    }

    pub(super) fn opened(&self) -> Vec<String> {
        self.script.lock().unwrap().opened.clone()
    }

    pub(super) fn segment_writes(&self) -> Vec<usize> {
        self.script.lock().unwrap().segment_writes.clone()
    }

    pub(super) fn shared(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }
}

impl Storage for Failing {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        next_of(&mut self.script.lock().unwrap().opens, name)?;
        // As a file system says it.
        if let Some(entry) = self.memory.entry(name)?.filter(|entry| entry.kind != EntryKind::File) {
            return Err(WrongKind { name: entry.name, found: entry.kind, expected: EntryKind::File }.into_io());
        }
        let file: Arc<dyn StorageFile> = Arc::from(self.memory.open(name, mode)?);
        let mut script = self.script.lock().unwrap();
        script.opened.push(name.to_owned());
        if let Some(inherited) = &mut script.inherited {
            inherited.push(Arc::clone(&file));
        }
        Ok(Box::new(FailingFile { file, name: name.to_owned(), script: Arc::clone(&self.script) }))
    }
    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        next_of(&mut self.script.lock().unwrap().lists, directory)?;
        self.memory.list(directory)
    }
    fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        self.memory.entry(name)
    }
    fn create_dir(&self, directory: &str) -> io::Result<bool> {
        self.memory.create_dir(directory)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.memory.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.memory.remove(name)
    }
    fn remove_dir(&self, directory: &str) -> io::Result<()> {
        self.memory.remove_dir(directory)
    }
    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        self.memory.sync_dir(directory)
    }
    fn sync_parent(&self) -> io::Result<()> {
        self.memory.sync_parent()
    }
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.memory.free_bytes()
    }
    fn host(&self) -> &dyn Host {
        self.memory.host()
    }
    fn sleep(&self, duration: Duration) {
        self.script.lock().unwrap().sleeps.push(duration);
        self.host().sleep(duration);
    }
}

impl StorageFile for FailingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        if self.name.starts_with("segments/") {
            self.script.lock().unwrap().segment_writes.push(bytes.len());
        }
        self.file.write_at(offset, bytes)
    }
    fn len_bytes(&self) -> io::Result<u64> {
        let script = self.script.lock().unwrap();
        let said = script.len_bytes.as_ref().filter(|(name, _)| *name == self.name);
        said.map_or_else(|| self.file.len_bytes(), |(_, len_bytes)| Ok(*len_bytes))
    }
    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
    fn drop_cached(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.file.drop_cached(offset, len_bytes)
    }
    fn will_read_in_order(&self) {
        self.file.will_read_in_order();
    }
    fn start_writeback(&self, offset: u64, len_bytes: u64) {
        self.file.start_writeback(offset, len_bytes);
    }
    fn try_lock(&self) -> io::Result<bool> {
        let answer = self.script.lock().unwrap().locks.pop_front().flatten();
        answer.map_or_else(|| self.file.try_lock(), |kind| Err(kind.into()))
    }
    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}
