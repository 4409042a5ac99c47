//! Names: which changes of directories a power cut keeps.

use super::*;

/// A machine with a durable, empty root.
fn empty() -> SimDisk {
    let sim = SimDisk::new(3);
    let process = sim.process(1);
    process.create_dir("").unwrap();
    process.sync_parent().unwrap();
    sim
}

fn put(sim: &SimDisk, name: &str, bytes: &[u8]) {
    let file = sim.process(1).open(name, OpenMode::CreateNew).unwrap();
    write_all_at(&*file, 0, bytes).unwrap();
    file.sync_all().unwrap();
}

/// Every image that subsets of the pending units give, as `name=bytes` lines.
fn images(sim: &SimDisk) -> BTreeSet<String> {
    let line = |(name, bytes): (&String, &Vec<u8>)| format!("{name}={}", String::from_utf8_lossy(bytes));
    let units = sim.pending_units().len();
    assert!(units <= 12, "{units}");
    (0..1 << units)
        .map(|mask| sim.power_cut_mask(mask).files().iter().map(line).collect::<Vec<_>>().join(" "))
        .collect()
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn a_synced_file_without_a_synced_name_sometimes_vanishes() {
    let sim = empty();
    put(&sim, "a", b"1");
    assert_eq!(images(&sim), set(&["", "a=1"]));
    let vanished = (0..200).filter(|seed| sim.power_cut(*seed).files().is_empty()).count();
    assert!((40..160).contains(&vanished), "{vanished}");
    sim.process(1).sync_dir("").unwrap();
    assert_eq!(images(&sim), set(&["a=1"]));
}

#[test]
fn a_rename_is_one_unit_and_gives_back_what_it_replaced() {
    let sim = empty();
    put(&sim, "a", b"old");
    put(&sim, "b", b"new");
    let process = sim.process(1);
    process.sync_dir("").unwrap();
    process.rename("b", "a").unwrap();
    assert_eq!(images(&sim), set(&["a=old b=new", "a=new"]));
    process.sync_dir("").unwrap();
    assert_eq!(images(&sim), set(&["a=new"]));
}

#[test]
fn a_new_file_renamed_into_place_is_there_or_not_at_either_name() {
    let sim = empty();
    put(&sim, "a.tmp", b"1");
    sim.process(1).rename("a.tmp", "a").unwrap();
    assert_eq!(images(&sim), set(&["", "a.tmp=1", "a=1"]));
    sim.process(1).remove("a").unwrap();
    assert_eq!(images(&sim), set(&["", "a.tmp=1", "a=1"]));
    sim.process(1).sync_dir("").unwrap();
    assert_eq!(images(&sim), set(&[""]));
}

#[test]
fn removals_and_creations_survive_in_any_combination() {
    let sim = empty();
    put(&sim, "a", b"1");
    put(&sim, "b", b"2");
    sim.process(1).sync_dir("").unwrap();
    sim.process(1).remove("a").unwrap();
    sim.process(1).remove("b").unwrap();
    put(&sim, "b", b"3");
    assert_eq!(images(&sim), set(&["a=1 b=2", "a=1 b=3", "a=1", "b=2", "b=3", ""]));
}

/// A temporary name used twice: the first file had left it by a rename. Where that rename does not survive, the file is
/// still at the temporary name, and the second one may not push it out.
#[test]
fn a_reused_name_does_not_cost_the_file_that_moved_away() {
    let sim = empty();
    let process = sim.process(1);
    put(&sim, "tmp", b"1");
    process.sync_dir("").unwrap();
    process.rename("tmp", "a").unwrap();
    put(&sim, "tmp", b"2");
    process.rename("tmp", "b").unwrap();
    let images = images(&sim);
    assert!(images.iter().all(|image| image.contains("=1")), "{images:?}");
    assert_eq!(images, set(&["tmp=1", "a=1", "a=1 tmp=2", "a=1 b=2", "b=2 tmp=1"]));
}

#[test]
fn a_directory_that_does_not_survive_takes_its_files_along() {
    let sim = empty();
    let process = sim.process(1);
    put(&sim, "a", b"1");
    process.sync_dir("").unwrap();
    process.create_dir("d").unwrap();
    process.rename("a", "d/a").unwrap();
    process.sync_dir("d").unwrap();
    assert_eq!(images(&sim), set(&["", "d/a=1"]), "the rename is durable, the directory is not");
    process.sync_dir("").unwrap();
    assert_eq!(images(&sim), set(&["d/a=1"]));
}

#[test]
fn the_root_itself_may_vanish() {
    let sim = SimDisk::new(1);
    sim.process(1).create_dir("").unwrap();
    put(&sim, "a", b"1");
    sim.process(1).sync_dir("").unwrap();
    assert_eq!(images(&sim), set(&["", "a=1"]));
    assert!(sim.power_cut_mask(0).process(1).create_dir("").unwrap());
    sim.process(1).sync_parent().unwrap();
    assert_eq!(images(&sim), set(&["a=1"]));
}

#[test]
fn a_removed_directory_stays_away_once_its_parent_is_synced() {
    let sim = empty();
    let process = sim.process(1);
    process.create_dir("d").unwrap();
    put(&sim, "d/a", b"1");
    process.sync_dir("d").unwrap();
    process.sync_dir("").unwrap();
    process.remove("d/a").unwrap();
    process.remove_dir("d").unwrap();
    assert_eq!(images(&sim), set(&["d/a=1", ""]));
    process.sync_dir("").unwrap();
    assert!(sim.power_cut_mask(0).process(1).list("").unwrap().is_empty());
    assert_eq!(sim.pending_units(), []);
}

/// Every sequence of changes with a sync at the end is durable as a whole, whatever was synced on the way.
#[test]
fn a_sync_of_every_directory_makes_all_names_durable() {
    for seed in 0..300 {
        let sim = empty();
        let process = sim.process(1);
        let mut random = Random::new(seed);
        for directory in ["d", "e"] {
            process.create_dir(directory).unwrap();
        }
        let name = |random: &mut Random| {
            format!("{}f{}", ["", "d/", "e/"][usize::from(random.bytes_16()[0] % 3)], random.below(3))
        };
        for _ in 0..30 {
            let (from, to) = (name(&mut random), name(&mut random));
            let outcome = match random.below(6) {
                0 | 1 => process.open(&from, OpenMode::CreateNew).and_then(|file| {
                    file.write_at(0, from.as_bytes())?;
                    file.sync_data()
                }),
                2 => process.remove(&from),
                3 => process.sync_dir(["", "d", "e"][usize::from(random.bytes_16()[0] % 3)]),
                _ => process.rename(&from, &to),
            };
            drop(outcome);
        }
        let last = ["", "d", "e"][usize::from(random.bytes_16()[0] % 3)];
        process.sync_dir(last).unwrap();
        let of_last = |files: BTreeMap<String, Vec<u8>>| -> Vec<_> {
            let prefix = if last.is_empty() { String::new() } else { format!("{last}/") };
            files
                .into_iter()
                .filter(|(name, _)| name.strip_prefix(&prefix).is_some_and(|leaf| !leaf.contains('/')))
                .collect()
        };
        let expected = of_last(sim.files());
        for cut in 0..20 {
            // The directory's own entry may be missing, and its files with it; otherwise they are exactly these.
            let found = of_last(sim.power_cut(cut).files());
            let lost = !last.is_empty() && sim.power_cut(cut).process(1).entry(last).unwrap().is_none();
            assert!(lost || found == expected, "seed {seed} cut {cut}: {found:?} for {expected:?}");
        }
        for directory in ["", "d", "e"] {
            process.sync_dir(directory).unwrap();
        }
        assert_eq!(sim.pending_units(), [], "seed {seed}");
        assert_eq!(sim.power_cut_mask(0).files(), sim.files(), "seed {seed}");
    }
}

#[test]
fn a_file_without_a_name_lives_as_long_as_its_handle() {
    let sim = empty();
    put(&sim, "a", b"1");
    let process = sim.process(1);
    process.sync_dir("").unwrap();
    let file = process.open("a", OpenMode::Write).unwrap();
    process.remove("a").unwrap();
    process.sync_dir("").unwrap();
    write_all_at(&*file, 0, b"2").unwrap();
    assert_eq!(file.len_bytes().unwrap(), 1);
    assert_eq!(images(&sim), set(&[""]));
    drop(file);
    assert_eq!(sim.pending_units(), [], "nothing of it is left");
}
