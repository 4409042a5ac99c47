//! What only a real file system can show: links, pipes, modes and times.

use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::mpsc;
use std::time::Duration;

use crate::storage::conformance::Scratch;
use crate::storage::{Disk, EntryKind, OpenMode, Storage, write_all_at};

fn scratch(test: &str) -> Scratch {
    let scratch = Scratch::new(test);
    scratch.disk.create_dir("").unwrap();
    scratch
}

fn mode_of(disk: &Disk, name: &str) -> u32 {
    std::fs::symlink_metadata(disk.path().join(name)).unwrap().permissions().mode() & 0o7777
}

#[test]
fn symbolic_links_below_the_root_are_refused() {
    let outside = scratch("links-outside");
    outside.disk.open("secret", OpenMode::CreateNew).unwrap();
    let scratch = scratch("links");
    let disk = &scratch.disk;
    symlink(outside.disk.path(), disk.path().join("directory")).unwrap();
    symlink(outside.disk.path().join("secret"), disk.path().join("file")).unwrap();
    symlink("nowhere", disk.path().join("dangling")).unwrap();
    for name in ["directory/secret", "file", "dangling", "directory"] {
        for mode in [OpenMode::Read, OpenMode::Write, OpenMode::CreateNew] {
            disk.open(name, mode).expect_err(name);
        }
    }
    disk.open("directory/new", OpenMode::CreateNew).expect_err("created through a link");
    disk.list("directory").expect_err("listed through a link");
    disk.create_dir("directory/new").expect_err("created through a link");
    disk.create_dir("directory").expect_err("a link is no directory");
    disk.remove("directory/secret").expect_err("removed through a link");
    disk.rename("directory/secret", "mine").expect_err("renamed through a link");
    disk.sync_dir("directory").expect_err("synced through a link");
    assert!(outside.disk.entry("secret").unwrap().is_some());
    assert_eq!(outside.disk.list("").unwrap().len(), 1);
    assert_eq!(disk.entry("file").unwrap().unwrap().kind, EntryKind::Link);
    assert!(disk.list("").unwrap().iter().all(|entry| entry.kind == EntryKind::Link));
    disk.remove("file").unwrap();
    assert!(outside.disk.entry("secret").unwrap().is_some(), "the link goes, not what it points at");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a hanging open can only be watched from another thread")]
fn pipes_and_devices_are_refused_without_waiting() {
    let scratch = scratch("pipes");
    let path = scratch.disk.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    assert_eq!(scratch.disk.entry("pipe").unwrap().unwrap().kind, EntryKind::Pipe);
    let (sender, receiver) = mpsc::channel();
    let root = scratch.disk.path().to_path_buf();
    std::thread::spawn(move || {
        let disk = Disk::new(root);
        let kinds = [OpenMode::Read, OpenMode::Write].map(|mode| disk.open("pipe", mode).unwrap_err().kind());
        let device = Disk::new("/dev").open("null", OpenMode::Read).unwrap_err().kind();
        sender.send((kinds, device)).unwrap();
    });
    let (kinds, device) = receiver.recv_timeout(Duration::from_secs(20)).expect("the open of a pipe hangs");
    assert_eq!(kinds, [io::ErrorKind::InvalidInput; 2]);
    assert_eq!(device, io::ErrorKind::InvalidInput);
}

/// The umask belongs to the process, so one test tries them all; the other tests never rely on it.
#[test]
fn modes_are_exact_whatever_the_umask() {
    for umask in [0o000, 0o022, 0o277] {
        let scratch = Scratch::new("modes");
        let disk = &scratch.disk;
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        let outcome = disk
            .create_dir("")
            .and_then(|_| disk.create_dir("d"))
            .and_then(|_| disk.create_dir("d/e"))
            .and_then(|_| disk.open("d/e/a", OpenMode::CreateNew));
        rustix::process::umask(before);
        outcome.unwrap();
        let modes = ["", "d", "d/e", "d/e/a"].map(|name| mode_of(disk, name));
        assert_eq!(modes, [0o700, 0o700, 0o700, 0o600], "umask {umask:o}");
    }
}

#[test]
fn reading_changes_neither_bytes_nor_times() {
    let scratch = scratch("times");
    let disk = &scratch.disk;
    write_all_at(&*disk.open("a", OpenMode::CreateNew).unwrap(), 0, b"bytes").unwrap();
    let past = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let path = disk.path().join("a");
    let times = std::fs::FileTimes::new().set_accessed(past).set_modified(past);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_times(times).unwrap();
    let file = disk.open("a", OpenMode::Read).unwrap();
    assert_eq!(file.read_at(0, &mut [0; 10]).unwrap(), 5);
    file.will_read_in_order();
    file.drop_cached(0, 5).unwrap();
    assert_eq!(file.read_at(0, &mut [0; 10]).unwrap(), 5);
    disk.list("").unwrap();
    disk.entry("a").unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!(metadata.modified().unwrap(), past);
    assert_eq!(metadata.accessed().unwrap(), past);
}

#[test]
fn the_root_may_be_reached_through_a_link_and_a_lost_one_is_made_again() {
    let scratch = scratch("linked-root");
    scratch.disk.create_dir("real").unwrap();
    symlink("real", scratch.disk.path().join("link")).unwrap();
    let disk = Disk::new(scratch.disk.path().join("link"));
    assert!(!disk.create_dir("").unwrap());
    disk.open("a", OpenMode::CreateNew).unwrap();
    assert!(scratch.disk.entry("real/a").unwrap().is_some());
    let disk = Disk::new(scratch.disk.path().join("lost"));
    assert!(disk.create_dir("").unwrap());
    scratch.disk.remove_dir("lost").unwrap();
    assert!(disk.create_dir("").unwrap());
    disk.open("a", OpenMode::CreateNew).unwrap();
    assert!(scratch.disk.entry("lost/a").unwrap().is_some());
    scratch.disk.open("file", OpenMode::CreateNew).unwrap();
    let disk = Disk::new(scratch.disk.path().join("file"));
    assert_eq!(disk.create_dir("").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_process_that_is_gone_is_not_alive() {
    let disk = Disk::new("/");
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let number = child.id();
    child.wait().unwrap();
    assert!(!disk.process_alive(number));
    assert!(disk.process_alive(1), "a process of another user counts as alive");
}

#[test]
fn a_name_that_is_not_text_is_listed_and_can_not_be_opened() {
    use std::os::unix::ffi::OsStrExt;
    let scratch = scratch("bytes");
    let name = std::ffi::OsStr::from_bytes(b"a\xFFb");
    std::fs::OpenOptions::new().write(true).create_new(true).open(scratch.disk.path().join(name)).unwrap();
    let entries = scratch.disk.list("").unwrap();
    assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a\u{FFFD}b"]);
    assert_eq!(scratch.disk.open(&entries[0].name, OpenMode::Read).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn the_boot_id_is_the_kernels_own() {
    let text = std::process::Command::new("cat").arg("/proc/sys/kernel/random/boot_id").output().unwrap().stdout;
    let digits: String = String::from_utf8(text).unwrap().chars().filter(char::is_ascii_hexdigit).collect();
    let boot_id = Disk::new("/").boot_id();
    if !digits.is_empty() {
        assert_eq!(u128::from_be_bytes(boot_id), u128::from_str_radix(&digits, 16).unwrap());
    }
    assert_ne!(super::boot_id_from_clocks(), [0; 16]);
}
