//! A read-only tree of files in memory, with the troubles that a real directory can have while somebody reads it.

use super::*;
use crate::storage::{Entry, EntryKind, Host, OpenMode, Storage, StorageFile, check_name};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>),
    Other,
    /// Listed with a replaced name, and not to be opened.
    Unnameable,
    /// Every opening fails.
    Broken(io::ErrorKind),
}

/// Paths to nodes; directories are implied.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    directories: Vec<String>,
    /// What a path is from its second opening, or a directory from its second listing, on; `None` is gone.
    later: BTreeMap<String, Option<Vec<u8>>>,
    uses: Mutex<BTreeMap<String, u32>>,
}

impl Tree {
    pub(super) fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.nodes.insert(path.to_owned(), Node::File(content.as_ref().to_vec()));
        self
    }

    pub(super) fn directory(mut self, path: &str) -> Self {
        self.directories.push(path.to_owned());
        self
    }

    pub(super) fn other(mut self, path: &str) -> Self {
        self.nodes.insert(path.to_owned(), Node::Other);
        self
    }

    pub(super) fn unnameable(mut self, path: &str) -> Self {
        self.nodes.insert(path.to_owned(), Node::Unnameable);
        self
    }

    pub(super) fn broken(mut self, path: &str, kind: io::ErrorKind) -> Self {
        self.nodes.insert(path.to_owned(), Node::Broken(kind));
        self
    }

    /// From its second opening on, the file has another content, or none at all.
    pub(super) fn later(mut self, path: &str, content: Option<&[u8]>) -> Self {
        self.later.insert(path.to_owned(), content.map(<[u8]>::to_vec));
        self
    }

    /// Loads a directory of the machine.
    #[allow(clippy::disallowed_methods, reason = "tests read real directories; the library goes through the seam")]
    pub(super) fn load(root: &Path) -> Self {
        let mut tree = Self::default();
        let mut remaining = vec![(PathBuf::from(root), String::new())];
        while let Some((path, name)) = remaining.pop() {
            for entry in std::fs::read_dir(&path).expect("a directory") {
                let entry = entry.expect("an entry");
                let child = walk::join(&name, &entry.file_name().to_string_lossy());
                let kind = entry.file_type().expect("a kind");
                if kind.is_dir() {
                    remaining.push((entry.path(), child.clone()));
                    tree.directories.push(child);
                } else if kind.is_file() {
                    let content = std::fs::read(entry.path()).expect("a file");
                    tree.nodes.insert(child, Node::File(content));
                } else {
                    tree.nodes.insert(child, Node::Other);
                }
            }
        }
        tree
    }

    /// Every file with its content, by path.
    pub(super) fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let file = |(name, node): (&String, &Node)| match node {
            Node::File(content) => Some((name.clone(), content.clone())),
            _ => None,
        };
        self.nodes.iter().filter_map(file).collect()
    }

    fn used(&self, name: &str) -> u32 {
        let mut uses = self.uses.lock().expect("no panic elsewhere");
        let count = uses.entry(name.to_owned()).or_default();
        *count += 1;
        *count
    }
}

#[derive(Debug)]
struct Opened(Vec<u8>);

impl Storage for Tree {
    fn open(&self, name: &str, _: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        check_name(name)?;
        let again = self.used(name) > 1;
        match (self.later.get(name).filter(|_| again), self.nodes.get(name)) {
            (Some(Some(later)), _) => Ok(Box::new(Opened(later.clone()))),
            (Some(None), _) | (None, None | Some(Node::Unnameable)) => Err(io::ErrorKind::NotFound.into()),
            (None, Some(Node::File(content))) => Ok(Box::new(Opened(content.clone()))),
            (None, Some(Node::Broken(kind))) => Err((*kind).into()),
            (None, Some(Node::Other)) => panic!("{name} must never be opened"),
        }
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        let again = self.used(&format!("{directory}/")) > 1;
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        let mut add = |path: &str, kind: EntryKind, len_bytes: u64| {
            let Some(rest) = path.strip_prefix(&prefix).filter(|rest| !rest.is_empty()) else { return };
            let (name, kind) = rest.split_once('/').map_or((rest, kind), |(first, _)| (first, EntryKind::Directory));
            entries.insert(name.to_owned(), Entry { name: name.to_owned(), kind, len_bytes });
        };
        for path in &self.directories {
            add(path, EntryKind::Directory, 0);
        }
        for (path, node) in &self.nodes {
            match node {
                Node::File(content) => add(path, EntryKind::File, content.len() as u64),
                Node::Other => add(path, EntryKind::Link, 0),
                Node::Unnameable | Node::Broken(_) => add(path, EntryKind::File, 1),
            }
        }
        for (path, later) in self.later.iter().filter(|_| again) {
            if let Some(later) = later {
                add(path, EntryKind::File, later.len() as u64);
            }
        }
        let gone = |name: &String| again && self.later.get(&walk::join(directory, name)) == Some(&None);
        Ok(entries.into_iter().filter(|(name, _)| !gone(name)).map(|(_, entry)| entry).collect())
    }

    fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        let node = self.nodes.get(name);
        let kind = if matches!(node, Some(Node::Other)) { EntryKind::Link } else { EntryKind::File };
        let found = node.filter(|node| !matches!(node, Node::Unnameable));
        Ok(found.map(|_| Entry { name: name.to_owned(), kind, len_bytes: 0 }))
    }

    fn create_dir(&self, _: &str) -> io::Result<bool> {
        panic!("an import never writes")
    }
    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        panic!("an import never writes")
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        panic!("an import never writes")
    }
    fn remove_dir(&self, _: &str) -> io::Result<()> {
        panic!("an import never writes")
    }
    fn sync_dir(&self, _: &str) -> io::Result<()> {
        panic!("an import never writes")
    }
    fn sync_parent(&self) -> io::Result<()> {
        panic!("an import never writes")
    }
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        panic!("an import never asks")
    }
    fn host(&self) -> &dyn Host {
        panic!("an import knows no clock, no randomness and no process")
    }
}

impl StorageFile for Opened {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).expect("a small file").min(self.0.len());
        // Short reads of an odd length, so that the loops over them are tested everywhere.
        let count = buffer.len().min(self.0.len() - start).min(4093);
        buffer[..count].copy_from_slice(&self.0[start..start + count]);
        Ok(count)
    }
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<usize> {
        panic!("an import never writes")
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        panic!("an import never writes")
    }
    fn sync_data(&self) -> io::Result<()> {
        panic!("an import never writes")
    }
    fn sync_all(&self) -> io::Result<()> {
        panic!("an import never writes")
    }
    fn drop_cached(&self, _: u64, _: u64) -> io::Result<()> {
        panic!("an import drops nothing")
    }
    fn will_read_in_order(&self) {}
    fn start_writeback(&self, _: u64, _: u64) {
        panic!("an import never writes")
    }
    fn try_lock(&self) -> io::Result<bool> {
        panic!("an import takes no lock")
    }
    fn unlock(&self) -> io::Result<()> {
        panic!("an import takes no lock")
    }
}

/// Everything that a run consists of.
#[derive(Debug, Default)]
pub(super) struct Items {
    pub(super) events: Vec<SourceEvent>,
    pub(super) files: Vec<SourceFile>,
    pub(super) oddities: Vec<Oddity>,
    pub(super) errors: Vec<SourceError>,
}

impl Items {
    /// Reads one run to its end.
    pub(super) fn read(storage: &dyn Storage, location: &RunLocation, limits: Limits) -> Self {
        let mut items = Self::default();
        for item in RunReader::open(storage, location, limits).expect("the directory can be listed") {
            match item {
                Ok(SourceItem::Event(event)) => items.events.push(event),
                Ok(SourceItem::File(file)) => items.files.push(file),
                Ok(SourceItem::Oddity(oddity)) => items.oddities.push(oddity),
                Err(error) => items.errors.push(error),
            }
        }
        items
    }

    /// The class and file of every oddity, in order.
    pub(super) fn codes(&self) -> Vec<(&'static str, &str)> {
        self.oddities.iter().map(|oddity| (oddity.code.as_str(), oddity.file.as_str())).collect()
    }
}

/// The bytes of an event file with a valid checksum. `data` is JSON text.
pub(super) fn event_file(type_name: &str, recorded_at: &str, data: &str, sdk_version: Option<&str>) -> String {
    let version = sdk_version.map_or(String::new(), |version| format!(r#","sdkVersion":"{version}""#));
    let text = format!(r#"{{"type":"{type_name}","recordedAt":"{recorded_at}","data":{data}{version}}}"#);
    let value = javascript_json::parse(&text).expect("valid JSON");
    let checksum = event::checksum_of(&value);
    let json = value.to_json();
    let open = json.strip_suffix("\n}").expect("an object with members");
    format!("{open},\n  \"checksum\": \"{checksum}\"\n}}\n")
}
