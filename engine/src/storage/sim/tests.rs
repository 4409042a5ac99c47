//! The simulated machine itself: what it loses, what it keeps, and that it is the same every time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use super::random::Random;
use super::{Failure, Fault, OperationKind, PendingKind, SimDisk, Stopped};
use crate::storage::{OpenMode, Storage, StorageFile, read_full_at, write_all_at};

mod faults;
mod names;

const SECTOR: usize = 512;

/// A machine with a durable root and a durable file `a` of so many sectors of ones.
fn machine(sectors: usize) -> (SimDisk, Box<dyn StorageFile>) {
    let sim = SimDisk::new(7);
    sim.put_file("a", &vec![1; sectors * SECTOR]).unwrap();
    let file = sim.process(1).open("a", OpenMode::Write).unwrap();
    (sim, file)
}

fn write_sector(file: &dyn StorageFile, sector: usize, value: u8) {
    write_all_at(file, (sector * SECTOR) as u64, &[value; SECTOR]).unwrap();
}

/// The first byte of each sector of `a`; every sector must be of one piece.
fn sectors_of(sim: &SimDisk) -> Vec<u8> {
    let bytes = sim.file_bytes("a").unwrap();
    let whole = |sector: &[u8]| sector.iter().all(|byte| *byte == sector[0]);
    bytes
        .chunks(SECTOR)
        .map(|sector| if whole(sector) { sector[0] } else { panic!("a torn sector: {sector:?}") })
        .collect()
}

fn stopped<T: std::fmt::Debug>(outcome: io::Result<T>) -> Option<Stopped> {
    Stopped::of(&outcome.unwrap_err())
}

#[test]
fn every_subset_of_unsynced_sectors_is_one_image() {
    let (sim, file) = machine(40);
    let changed = [0, 3, 7, 8, 9, 15, 16, 30, 31, 39];
    for sector in changed {
        write_sector(&*file, sector, 2);
    }
    let units = sim.pending_units();
    let indexes: Vec<_> = units.iter().map(|unit| unit.kind).collect();
    assert_eq!(indexes, changed.map(|index| PendingKind::Sector { index: index as u64 }));
    assert!(units.iter().enumerate().all(|(index, unit)| unit.index == index && unit.versions == 1));
    let mut digests = BTreeSet::new();
    for mask in 0..1_u64 << changed.len() {
        let image = sim.power_cut_mask(mask);
        let survived =
            |sector| changed.iter().position(|other| *other == sector).is_some_and(|bit| mask >> bit & 1 == 1);
        let expected: Vec<u8> = (0..40).map(|sector| if survived(sector) { 2 } else { 1 }).collect();
        assert_eq!(sectors_of(&image), expected);
        assert_eq!(image.pending_units(), []);
        digests.insert(image.digest());
    }
    assert_eq!(digests.len(), 1 << changed.len());
}

#[test]
fn unsynced_bytes_sometimes_vanish_and_synced_ones_never() {
    let (sim, file) = machine(8);
    write_sector(&*file, 2, 2);
    file.sync_data().unwrap();
    write_sector(&*file, 5, 3);
    let mut seen = BTreeMap::new();
    for seed in 0..200 {
        *seen.entry(sectors_of(&sim.power_cut(seed))).or_insert(0) += 1;
    }
    let image = |last| vec![1, 1, 2, 1, 1, last, 1, 1];
    assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), [image(1), image(3)]);
    assert!(seen.values().all(|count| *count > 40), "both happen often: {seen:?}");
}

#[test]
fn a_sector_may_hold_any_version_since_its_sync() {
    let (sim, file) = machine(1);
    for value in 2..=5 {
        write_sector(&*file, 0, value);
    }
    assert_eq!(sim.pending_units()[0].versions, 4);
    let chosen: Vec<u8> = (0..=5).map(|version| sectors_of(&sim.power_cut_with(|_| version))[0]).collect();
    assert_eq!(chosen, [1, 2, 3, 4, 5, 5]);
    let seen: BTreeSet<u8> = (0..300).map(|seed| sectors_of(&sim.power_cut(seed))[0]).collect();
    assert_eq!(seen, (1..=5).collect());
    file.sync_all().unwrap();
    assert_eq!(sectors_of(&sim.power_cut_mask(0)), [5]);
}

#[test]
fn a_length_survives_or_not_and_page_borders_in_between_do() {
    let (sim, file) = machine(1);
    write_all_at(&*file, 512, &[2; 9_000]).unwrap();
    let units = sim.pending_units();
    assert_eq!((units[0].kind, units[0].versions), (PendingKind::Size, 3));
    let lens = |version| {
        let image = sim.power_cut_with(|unit| if unit.kind == PendingKind::Size { version } else { unit.versions });
        let bytes = image.file_bytes("a").unwrap();
        assert!(bytes[512..].iter().all(|byte| *byte == 2));
        bytes.len()
    };
    assert_eq!([0, 1, 2, 3].map(lens), [512, 4096, 8192, 9512]);
    // The length alone: the appended space reads as zeros.
    let bytes = sim.power_cut_with(|unit| usize::from(unit.kind == PendingKind::Size) * 3).file_bytes("a").unwrap();
    assert_eq!((bytes.len(), bytes[511], bytes[512]), (9_512, 1, 0));
    assert!(bytes[512..].iter().all(|byte| *byte == 0));
    let seen: BTreeSet<usize> = (0..300).map(|seed| sim.power_cut(seed).file_bytes("a").unwrap().len()).collect();
    assert_eq!(seen, BTreeSet::from([512, 4096, 8192, 9512]));
    file.sync_data().unwrap();
    assert_eq!(sim.power_cut_mask(0).file_bytes("a").unwrap().len(), 9_512);
}

/// A cut takes with it what was written before it and leaves what was written after: a version from before must not come
/// back through a later extension.
#[test]
fn a_surviving_cut_takes_older_versions_along() {
    let (sim, file) = machine(4);
    write_sector(&*file, 2, 9);
    file.set_len(700).unwrap();
    file.set_len(2048).unwrap();
    write_sector(&*file, 3, 4);
    let all = sim.power_cut_mask(u64::MAX).file_bytes("a").unwrap();
    assert_eq!(all.len(), 2_048);
    assert!(all[..700].iter().all(|byte| *byte == 1));
    assert!(all[700..1_536].iter().all(|byte| *byte == 0), "the cut survived, what it removed does not");
    assert!(all[1_536..].iter().all(|byte| *byte == 4));
    assert_eq!(sectors_of(&sim.power_cut_with(|unit| usize::from(unit.kind != PendingKind::Size))), [1, 1, 9, 4]);
    assert_eq!(
        sim.power_cut_with(|unit| usize::from(unit.kind == PendingKind::Size)).file_bytes("a").unwrap().len(),
        700
    );
    let seen: BTreeSet<_> = (0..400).map(|seed| sim.power_cut(seed).digest()).collect();
    assert!(seen.len() >= 6, "{}", seen.len());
    file.sync_data().unwrap();
    assert_eq!(sim.power_cut_mask(0).file_bytes("a").unwrap(), all);
}

#[test]
fn a_power_cut_is_a_new_boot_and_leaves_the_machine_as_it_is() {
    let (sim, file) = machine(2);
    let process = sim.process(1);
    assert!(file.try_lock().unwrap());
    write_sector(&*file, 0, 2);
    let image = sim.power_cut(3);
    let reborn = image.process(2);
    assert_ne!(reborn.boot_id(), process.boot_id());
    assert!(reborn.open("a", OpenMode::Write).unwrap().try_lock().unwrap());
    assert!(!reborn.process_alive(1) && reborn.process_alive(2) && process.process_alive(1));
    assert!(reborn.now_ns() > process.now_ns());
    assert_eq!(image.ops().len(), 2);
    assert_eq!(sectors_of(&sim), [2, 1]);
    assert!(!sim.process(2).open("a", OpenMode::Write).unwrap().try_lock().unwrap());
}

#[test]
fn a_snapshot_is_independent_and_has_no_processes() {
    let (sim, file) = machine(2);
    assert!(file.try_lock().unwrap());
    write_sector(&*file, 0, 2);
    let snapshot = sim.clone();
    write_sector(&*file, 1, 2);
    assert_eq!(sectors_of(&snapshot), [2, 1]);
    assert_eq!(snapshot.pending_units().len(), 1, "what is unsynced stays so");
    let other = snapshot.process(1).open("a", OpenMode::Write).unwrap();
    assert!(other.try_lock().unwrap());
    write_sector(&*other, 0, 3);
    assert_eq!(sectors_of(&sim), [2, 2]);
    assert_eq!(snapshot.process(1).boot_id(), sim.process(1).boot_id());
}

/// A workload that a seed makes up, over three processes, kills and faults included.
fn random_run(seed: u64) -> SimDisk {
    let sim = SimDisk::new(seed);
    let mut random = Random::new(seed);
    for index in (5..300).step_by(17) {
        let faults = [
            Fault::Fail(Failure::Interrupted),
            Fault::Short(100),
            Fault::FailedSync,
            Fault::PartlyFailedSync,
            Fault::KillAfterPart(9),
        ];
        sim.inject(index, faults[usize::from(random.bytes_16()[0]) % faults.len()]);
    }
    sim.process(0).create_dir("").unwrap();
    for step in 0..200_u32 {
        let process = sim.process(step % 3);
        let name = format!("f{}", random.below(4));
        let outcome = match random.below(9) {
            0 => process.open(&name, OpenMode::CreateNew).map(|_| ()),
            1 => process.rename(&name, "f1"),
            2 => process.remove(&name),
            3 => process.sync_dir(""),
            4 => process.open(&name, OpenMode::Write).and_then(|file| file.sync_data()),
            5 => process.open(&name, OpenMode::Write).and_then(|file| file.set_len(random.below(6_000))),
            6 => process.open(&name, OpenMode::Write).and_then(|file| file.drop_cached(0, 0)),
            _ => process.open(&name, OpenMode::Write).and_then(|file| {
                let bytes = [random.next().to_le_bytes()[0]; 3_000];
                file.write_at(random.below(9_000), &bytes).map(|_| ())
            }),
        };
        drop(outcome);
    }
    sim
}

#[test]
fn the_same_seed_and_calls_give_the_same_operations_and_images() {
    let mut digests = BTreeSet::new();
    for seed in 0..40 {
        let (first, second) = (random_run(seed), random_run(seed));
        assert!(first.ops().len() > 200);
        assert_eq!(first.ops(), second.ops());
        assert_eq!(first.pending_units(), second.pending_units());
        assert_eq!(first.process(9).random_id().unwrap(), second.process(9).random_id().unwrap());
        for cut in 0..10 {
            assert_eq!(first.power_cut(cut).digest(), second.power_cut(cut).digest());
            digests.insert(first.power_cut(cut).digest());
        }
    }
    assert!(digests.len() > 100, "the seeds differ: {}", digests.len());
}

/// Whatever survives, an image is whole: reading it, writing all of it out, and cutting the power again change nothing.
#[test]
fn images_are_settled_and_a_full_survival_is_the_page_cache() {
    for seed in 0..60 {
        let sim = random_run(seed);
        for cut in 0..5 {
            let image = sim.power_cut(cut);
            let files = image.files();
            assert_eq!(image.pending_units(), []);
            assert_eq!(image.power_cut(cut).files(), files);
            for (name, bytes) in &files {
                assert_eq!(&image.durable_bytes(name).unwrap(), bytes);
            }
            image.drop_caches();
            image.write_back_all();
            assert_eq!(image.files(), files);
        }
        sim.drop_caches();
        let seen = sim.files();
        assert_eq!(sim.power_cut_with(|unit| unit.versions).files(), seen, "seed {seed}");
        sim.write_back_all();
        assert_eq!(sim.power_cut_with(|_| 0).files(), seen, "seed {seed}");
    }
}

#[test]
fn the_clock_moves_with_calls_and_as_it_is_told() {
    let sim = SimDisk::new(1);
    let process = sim.process(1);
    let start_ns = process.monotonic_ns();
    process.create_dir("").unwrap();
    let after_ns = process.monotonic_ns();
    assert!(after_ns > start_ns);
    let wall_ns = process.now_ns();
    process.sleep(Duration::from_secs(3));
    assert_eq!(process.now_ns() - wall_ns, 3_000_000_000);
    sim.set_now_ns(5);
    assert_eq!(process.now_ns(), 5);
    assert!(process.monotonic_ns() > after_ns + 3_000_000_000);
    sim.advance(Duration::from_nanos(7));
    assert!(process.now_ns() >= 12);
}

#[test]
fn surgery_reaches_the_medium() {
    let (sim, file) = machine(2);
    write_sector(&*file, 0, 2);
    sim.flip_bit("a", 512 * 8 + 3).unwrap();
    assert_eq!(sim.durable_bytes("a").unwrap(), sim.file_bytes("a").unwrap());
    let expected = [&[2; 512][..], &[1 ^ 8], &[1; 511]].concat();
    assert_eq!(sim.power_cut_mask(0).file_bytes("a").unwrap(), expected);
    sim.overwrite("a", 1_020, b"12345678").unwrap();
    sim.truncate("a", 1_026).unwrap();
    assert_eq!(&sim.power_cut_mask(0).file_bytes("a").unwrap()[1_019..], b"\x01123456");
    sim.put_file("d/e/f", b"deep").unwrap();
    sim.put_file("d/e/f", b"er").unwrap();
    sim.remove_file("a").unwrap();
    let files = BTreeMap::from([("d/e/f".to_owned(), b"er".to_vec())]);
    assert_eq!(sim.power_cut_mask(0).files(), files);
    assert_eq!(sim.flip_bit("d/e/f", 16).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(sim.flip_bit("a", 0).unwrap_err().kind(), io::ErrorKind::NotFound);
}

/// The sweeps of the log take hundreds of thousands of images: making one must stay far below a millisecond.
#[test]
fn images_are_cheap() {
    let (sim, file) = machine(128);
    for sector in 0..40 {
        write_sector(&*file, sector * 3, 2);
    }
    let mut changed = 0;
    for seed in 0..20_000 {
        let image = sim.power_cut(seed);
        let file = image.process(1).open("a", OpenMode::Read).unwrap();
        let mut byte = [0];
        read_full_at(&*file, 0, &mut byte).unwrap();
        changed += u32::from(byte[0] == 2);
    }
    assert!((5_000..15_000).contains(&changed), "{changed}");
}
