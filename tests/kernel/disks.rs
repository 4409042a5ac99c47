//! Disks that are full: a tmpfs, an ext4 on a loop device, a limit on the length of files.
//!
//! Needs root, to mount; mkfs.ext4 and a loop device; prlimit.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kit::{Directory, run};
use crate::mutations::{Case, MUTATIONS, Mutation, Prepared};
use crate::oracle;
use crate::result::{Check, missing};

/// A mount of ours, which ends with it.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn new(arguments: &[&str], at: &Path) -> Result<Mount, String> {
        std::fs::create_dir_all(at).map_err(|error| error.to_string())?;
        match Command::new("mount").args(arguments).arg(at).output() {
            Ok(output) if output.status.success() => Ok(Mount(at.to_path_buf())),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(format!("mount: {error}")),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = |arguments: &[&str]| {
            Command::new("umount").args(arguments).arg(&self.0).output().is_ok_and(|output| output.status.success())
        };
        // A process that another thread is starting holds its files for a moment.
        for _ in 0..200 {
            if unmounted(&[]) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let _best_effort = unmounted(&["-l"]);
    }
}

/// An image of ext4, mounted.
pub(crate) fn ext4(directory: &Path, mebibytes: u64) -> Result<Mount, String> {
    let image = directory.join("ext4.img");
    std::fs::File::create(&image).and_then(|file| file.set_len(mebibytes << 20)).map_err(|error| error.to_string())?;
    let image = image.to_str().expect("UTF-8");
    if let Some(why) = missing("mkfs.ext4", &["-q", "-F", image]) {
        return Err(why);
    }
    Mount::new(&["-o", "loop", image], &directory.join("ext4"))
}

/// Fills what is left of the disk, but for so many bytes.
fn fill(place: &Path, but: u64) -> PathBuf {
    let filler = place.join("filler");
    let mut block = 64 << 10;
    let mut len = 0;
    let file = std::fs::File::create(&filler).expect("a name is free");
    while block >= 1 {
        match std::os::unix::fs::FileExt::write_at(&file, &vec![1; block], len) {
            Ok(count) if count > 0 => len += count as u64,
            _ => block /= 4,
        }
    }
    file.set_len(len.saturating_sub(but)).expect("shorter");
    filler
}

/// The command on a disk that is full but for a little, and again when there is room.
fn on_full_disk(mutation: &Mutation, prepared: &Prepared, place: &Path, but: u64) -> Result<bool, String> {
    let store = place.join("store");
    prepared.copy_to(&store);
    let filler = fill(place, but);
    let answer = mutation.run(Command::new("env"), &store, prepared.beside());
    let judged = oracle::is_coded(answer.exit, &answer.notes).and_then(|()| {
        // Reading works on a full disk. Behind an undo the damage is back.
        if store.join("segments").exists() && mutation.name != "undo" && !prepared.before.is_empty() {
            oracle::keeps(&store, &prepared.before).map(|_| ())?;
        }
        std::fs::remove_file(&filler).map_err(|error| error.to_string())?;
        let case =
            Case { mutation, beside: prepared.beside(), store: &store, before: &prepared.before, answer: &answer };
        (mutation.judge)(&case)
    });
    let _gone_already = std::fs::remove_file(&filler);
    if store.exists() {
        std::fs::remove_dir_all(&store).expect("removed");
    }
    let name = mutation.name;
    judged.map_err(|error| format!("{name} with {but} bytes left: {error}; it had answered {answer:?}"))?;
    Ok(answer.exit != Some(0))
}

/// How much is left: from nothing to enough, with every border between the pages that a command writes.
const LEFT: [u64; 14] = [
    0,
    4 << 10,
    8 << 10,
    12 << 10,
    16 << 10,
    20 << 10,
    24 << 10,
    32 << 10,
    40 << 10,
    48 << 10,
    64 << 10,
    96 << 10,
    160 << 10,
    400 << 10,
];

fn check(check: &mut Check, place: &Path) {
    for mutation in &MUTATIONS {
        let prepared = Prepared::new(mutation);
        let mut refused = 0;
        for but in LEFT {
            let outcome = on_full_disk(mutation, &prepared, place, but);
            refused += u64::from(outcome == Ok(true));
            check.case(outcome.map(|_| ()));
        }
        // The others have room in the zeros that were written ahead.
        if refused == 0 && ["append", "import", "restore", "init"].contains(&mutation.name) {
            check.case(Err(format!("{} was never refused for want of room", mutation.name)));
        }
        check.count("refused", refused);
    }
}

#[test]
#[ignore = "takes minutes and needs root; the lab runs it"]
fn on_a_full_tmpfs_every_mutating_command_is_refused_with_a_code_and_loses_nothing() {
    let mut result = Check::new("full-tmpfs", &["P1", "P2", "P5"]);
    let directory = Directory::new("full-tmpfs");
    match Mount::new(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], &directory.path().join("tmpfs")) {
        Ok(mount) => check(&mut result, mount.path()),
        Err(why) => return result.skip(&why),
    }
    result.end();
}

#[test]
#[ignore = "takes minutes and needs root; the lab runs it"]
fn on_a_full_ext4_every_mutating_command_is_refused_with_a_code_and_loses_nothing() {
    let mut result = Check::new("full-ext4", &["P1", "P2", "P5"]);
    let directory = Directory::new("full-ext4");
    match ext4(directory.path(), 8) {
        Ok(mount) => check(&mut result, mount.path()),
        Err(why) => return result.skip(&why),
    }
    result.end();
}

/// A tmpfs on which not even an empty store has room.
#[test]
#[ignore = "needs root; the lab runs it"]
fn on_a_disk_without_room_for_a_store_none_is_made_and_the_next_try_finds_no_half() {
    let mut result = Check::new("tiny-tmpfs", &["P2"]);
    let directory = Directory::new("tiny-tmpfs");
    let init = MUTATIONS.iter().find(|mutation| mutation.name == "init").expect("it is listed");
    for pages in [1, 2, 4, 6, 8, 10, 12, 16, 20, 24] {
        let options = format!("size={}k", pages * 4);
        let mount = match Mount::new(&["-t", "tmpfs", "-o", &options, "tmpfs"], &directory.path().join("tmpfs")) {
            Ok(mount) => mount,
            Err(why) => return result.skip(&why),
        };
        let store = mount.path().join("store");
        let answer = init.run(Command::new("env"), &store, directory.path());
        let outcome = oracle::is_coded(answer.exit, &answer.notes).and_then(|()| {
            let more = Command::new("mount").args(["-o", "remount,size=4m"]).arg(mount.path()).status();
            assert!(more.is_ok_and(|status| status.success()), "the disk grows");
            let before = Default::default();
            (init.judge)(&Case {
                mutation: init,
                beside: directory.path(),
                store: &store,
                before: &before,
                answer: &answer,
            })
        });
        result.count("refused", u64::from(answer.exit != Some(0)));
        result.case(outcome.map_err(|error| format!("{options}: {error}; it had answered {answer:?}")));
    }
    result.end();
}

/// `RLIMIT_FSIZE`: a write ends short, and the next one fails with `EFBIG`. SIGXFSZ is ignored, as nobody's shell does.
#[test]
#[ignore = "takes a minute and needs prlimit; the lab runs it"]
fn where_files_may_not_grow_every_mutating_command_is_refused_with_a_code_and_loses_nothing() {
    let mut result = Check::new("file-size-limit", &["P1", "P2", "P5"]);
    if let Some(why) = missing("prlimit", &["--fsize=4096", "true"]) {
        return result.skip(&why);
    }
    let directory = Directory::new("limited");
    for mutation in &MUTATIONS {
        let prepared = Prepared::new(mutation);
        for limit in [0, 1, 100, 512, 4095, 4608, 5000, 8192, 12_000, 20_000, 40_000, 65_000, 65_536, 70_000] {
            let store = directory.path().join("store");
            prepared.copy_to(&store);
            let mut wrapper = Command::new("sh");
            wrapper.args(["-c", &format!("trap '' XFSZ; exec prlimit --fsize={limit} \"$@\""), "sh"]);
            let answer = mutation.run(wrapper, &store, prepared.beside());
            let case =
                Case { mutation, beside: prepared.beside(), store: &store, before: &prepared.before, answer: &answer };
            let outcome = oracle::is_coded(answer.exit, &answer.notes).and_then(|()| (mutation.judge)(&case));
            result.count("refused", u64::from(answer.exit != Some(0)));
            let name = mutation.name;
            result.case(outcome.map_err(|error| format!("{name}, files up to {limit} bytes: {error}; {answer:?}")));
            if store.exists() {
                std::fs::remove_dir_all(&store).expect("removed");
            }
        }
    }
    let still_works = run(&directory.store(), &["log", "append", "--create", "--run", "r", "--type", "t", "1"], "");
    assert_eq!(still_works.exit, Some(0), "nothing of it stays: {still_works:?}");
    result.end();
}
