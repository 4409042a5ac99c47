//! Crash points between the blocks: dm-log-writes writes down, inside user-mode Linux, every block that a file system sends to
//! its disk, each flush, and a mark behind each acknowledged append. Then each prefix of that log is a disk after a power
//! cut, and so is each prefix of whose unflushed blocks only some have arrived. Each is mounted, and the store judged.
//!
//! Needs `linux.uml` with its modules, dmsetup, root and a loop device; for XFS also a host that can mount it.
//! `TAFFRAIL_CRASH_POINTS` is how many on each file system.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::disks::Mount;
use crate::kit::Directory;
use crate::machine::{Machine, format, is_missing};
use crate::oracle;
use crate::result::{Check, missing, size};

/// Appends that are made, each a process of its own, with a mark behind each.
const APPENDS: u64 = 60;

/// What a mark is called that says how many appends were acknowledged.
const MARK: &str = "acknowledged-";

const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARKED: u64 = 8;

/// One entry of the log that dm-log-writes keeps, as `Documentation/admin-guide/device-mapper/log-writes.rst` has it.
#[derive(Debug)]
struct Entry {
    /// Where on the disk, in bytes.
    offset: u64,
    /// Where in the log the data stands, and how long it is.
    data: (u64, usize),
    flags: u64,
    /// How many appends were acknowledged, for a mark of ours.
    acknowledged: Option<u64>,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Reads the log's own structure.
fn entries(log: &std::fs::File) -> Result<Vec<Entry>, String> {
    let mut head = [0; 512];
    log.read_exact_at(&mut head, 0).map_err(|error| error.to_string())?;
    let (magic, version, count) = (word(&head, 0), word(&head, 8), word(&head, 16));
    let sector = u64::from(u32::from_le_bytes(head[24..28].try_into().expect("four bytes")));
    if (magic, version) != (0x006a_7366_7773_6872, 1) || sector < 512 {
        return Err(std::format!("no log of dm-log-writes: {magic:#x} {version} {sector}"));
    }
    let mut at = sector;
    let mut found = Vec::new();
    for _ in 0..count {
        log.read_exact_at(&mut head, at).map_err(|error| error.to_string())?;
        let (start, sectors, flags, data_len) = (word(&head, 0), word(&head, 8), word(&head, 16), word(&head, 24));
        let name = &head[32..32 + usize::try_from(data_len).unwrap_or(0).min(400)];
        let acknowledged = String::from_utf8_lossy(name).strip_prefix(MARK).map(str::to_owned);
        let acknowledged = acknowledged.filter(|_| flags & MARKED != 0);
        let acknowledged = acknowledged.and_then(|number| number.trim_end_matches('\0').parse().ok());
        at += sector;
        let len = if flags & DISCARD == 0 { sectors * sector } else { 0 };
        let len_bytes = usize::try_from(len).map_err(|error| error.to_string())?;
        found.push(Entry { offset: start * sector, data: (at, len_bytes), flags, acknowledged });
        at += len;
    }
    Ok(found)
}

/// The appends, under the log.
fn record(directory: &Path, file_system: &str) -> Result<(), String> {
    let (disk, log) = (directory.join("disk"), directory.join("log"));
    format(&disk, file_system)?;
    let copied = Command::new("cp").arg("--sparse=always").arg(&disk).arg(directory.join("base")).status();
    assert!(copied.is_ok_and(|status| status.success()), "room for an image");
    let file = std::fs::File::create(&log).map_err(|error| error.to_string())?;
    file.set_len(1 << 30).map_err(|error| error.to_string())?;
    let command = env!("CARGO_BIN_EXE_taffrail-under-test");
    let filler = "x".repeat(2_500);
    let script = std::format!(
        "module dm-mod; module dm-log-writes
         dmsetup create --noudevsync logged --table \"0 $(blockdev --getsz /dev/ubda) log-writes /dev/ubda /dev/ubdb\" || echo failed: dmsetup
         mount -n -t {file_system} /dev/dm-0 /mnt/disk || echo failed: mount
         export TAFFRAIL_STORE=/mnt/disk/store
         {command} store init --segment-size 64KiB || echo failed: init
         n=0
         while [ $n -lt {APPENDS} ]; do
             {command} log append --create --run r$((n % 3)) --type tick \"{{\\\"n\\\":$n,\\\"x\\\":\\\"{filler}\\\"}}\" || echo failed: append
             n=$((n + 1))
             dmsetup message logged 0 mark {MARK}$n || echo failed: mark
         done
         umount /mnt/disk && dmsetup remove --noudevsync logged || echo failed: remove
         finish\n"
    );
    let mut machine = Machine::start(directory, &script, &[&disk, &log]);
    machine.wait_for("finished")?;
    // The disks have everything once the machine has halted.
    while machine.line(std::time::Duration::from_secs(30)).is_ok() {}
    Ok(())
}

/// A crash: behind which entry, and which of the blocks that were not flushed have arrived all the same.
struct Point {
    behind: usize,
    /// The seed of the choice; 0 for all of them.
    choice: u64,
}

fn points(count: usize, wanted: u64) -> Vec<Point> {
    let all = (0..=count).map(|behind| Point { behind, choice: 0 });
    let mut random = 7_u64;
    let some = (1..).map(|choice| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Point { behind: usize::try_from(random >> 33).expect("small") % (count + 1), choice }
    });
    let wanted = usize::try_from(wanted).expect("small");
    if wanted >= count { all.chain(some).take(wanted).collect() } else { all.step_by(count / wanted + 1).collect() }
}

/// Makes the disk of a crash point in `image`.
fn make(directory: &Path, image: &Path, log: &std::fs::File, entries: &[Entry], point: &Point) {
    let copied = Command::new("cp").arg("--sparse=always").arg(directory.join("base")).arg(image).status();
    assert!(copied.is_ok_and(|status| status.success()), "room for an image");
    let disk = std::fs::OpenOptions::new().write(true).open(image).expect("ours");
    let written = &entries[..point.behind];
    let flushed = written.iter().rposition(|entry| entry.flags & FLUSH != 0).unwrap_or(0);
    for (number, entry) in written.iter().enumerate() {
        let digest = (number as u64 + 1).wrapping_mul(point.choice).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let arrived = point.choice == 0 || number < flushed || entry.flags & FUA != 0 || digest >> 63 == 0;
        let (at, len) = entry.data;
        if arrived && len > 0 && entry.flags & MARKED == 0 {
            let mut bytes = vec![0; len];
            log.read_exact_at(&mut bytes, at).expect("what was logged");
            disk.write_all_at(&bytes, entry.offset).expect("room for it");
        }
    }
}

/// Mounts, and judges the store as it is found there.
fn judge(image: &Path, mounted: &Path, file_system: &str, acknowledged: u64) -> Result<(), String> {
    // Images of one file system share its id.
    let options = if file_system == "xfs" { "loop,nouuid" } else { "loop" };
    let image = image.to_str().expect("UTF-8");
    let mount = Mount::new(&["-t", file_system, "-o", options, image], mounted)?;
    let store = mount.path().join("store");
    if acknowledged == 0 && !store.join("segments/0000000001.seg").exists() {
        return Ok(());
    }
    oracle::is_sound(&store)?;
    oracle::goes_on(&store)?;
    let ticks = oracle::ticks(&oracle::events(&store)?);
    let count = ticks.len() as u64;
    if ticks != (0..count).collect::<Vec<u64>>() || count < acknowledged || count > acknowledged + 1 {
        return Err(std::format!("{acknowledged} were acknowledged, and there is {ticks:?}"));
    }
    Ok(())
}

fn check(check: &mut Check, file_system: &'static str, wanted: u64) -> Result<(), String> {
    let directory = Directory::new("block-log");
    record(directory.path(), file_system)?;
    let log = std::fs::File::open(directory.path().join("log")).expect("ours");
    let entries = entries(&log)?;
    let marks = entries.iter().filter(|entry| entry.acknowledged.is_some()).count() as u64;
    let flushes = entries.iter().filter(|entry| entry.flags & FLUSH != 0).count() as u64;
    assert!(marks == APPENDS && flushes >= APPENDS, "{marks} marks, {flushes} flushes, {} entries", entries.len());
    check.count("blocks", entries.len() as u64);
    check.count("flushes", flushes);
    let points = points(entries.len(), wanted);
    let by_append: BTreeMap<usize, u64> =
        entries.iter().enumerate().filter_map(|(number, entry)| Some((number, entry.acknowledged?))).collect();
    let threads = usize::try_from(size("TAFFRAIL_LAB_THREADS", 2)).expect("small").max(1);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let (points, entries, by_append, log) = (&points, &entries, &by_append, &log);
                let (image, mounted) = (
                    directory.path().join(std::format!("image-{worker}")),
                    directory.path().join(std::format!("mounted-{worker}")),
                );
                let base = directory.path();
                scope.spawn(move || {
                    let mine = points.iter().skip(worker).step_by(threads);
                    mine.map(|point| {
                        make(base, &image, log, entries, point);
                        let acknowledged = by_append.range(..point.behind).next_back().map_or(0, |(_, number)| *number);
                        judge(&image, &mounted, file_system, acknowledged).map_err(|error| {
                            std::format!(
                                "{file_system}, behind entry {}, choice {}: {error}",
                                point.behind,
                                point.choice
                            )
                        })
                    })
                    .collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("it judges")).collect()
    });
    outcomes.into_iter().for_each(|outcome| check.case(outcome));
    Ok(())
}

fn run(name: &'static str, file_system: &'static str) {
    let mut result = Check::new(name, &["P1", "P2", "P4", "P6", "P7"]);
    let unknown = !std::fs::read_to_string("/proc/filesystems").unwrap_or_default().contains(file_system);
    let cannot = is_missing()
        .or_else(|| missing("dmsetup", &["--help"]))
        .or_else(|| unknown.then(|| std::format!("the kernel of this machine does not mount {file_system}")));
    if let Some(why) = cannot {
        return result.skip(&why);
    }
    if let Err(why) = check(&mut result, file_system, size("TAFFRAIL_CRASH_POINTS", 1_500)) {
        return result.skip(&why);
    }
    result.end();
}

#[test]
#[ignore = "takes minutes and needs user-mode Linux and root; the lab runs it"]
fn at_every_crash_point_between_the_blocks_of_an_ext4_nothing_acknowledged_is_lost() {
    run("block-crashes-ext4", "ext4");
}

#[test]
#[ignore = "takes minutes and needs user-mode Linux and root; the lab runs it"]
fn at_crash_points_between_the_blocks_of_an_xfs_nothing_acknowledged_is_lost() {
    run("block-crashes-xfs", "xfs");
}
