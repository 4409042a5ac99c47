//! Files damaged, deleted, put back from copies or taken from another store: found out, or without effect.

use super::crash_oracle::{Outcome, Promise};
use super::crash_reader::read_log;
use super::crash_states::{check, open};
use super::crash_workload::{Case, World};
use crate::lab_result::tell;
use crate::storage::SimDisk;
use crate::{Batch, ErrorKind, Expect, SyncPolicy, TypeEntry};
use std::sync::Arc;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The store refuses to be written.
    Refused,
    /// It is written, and reading it from end to end tells of the damage.
    Reported,
    /// Everything is as it was.
    Same,
}

/// A store with several segments, how it was some batches before, and one of another log.
struct Patient {
    world: World,
    earlier: SimDisk,
    foreign: SimDisk,
}

fn store(seed: u64) -> World {
    let mut case = Case::of(seed);
    (case.sync, case.processes, case.segment_len_bytes) = (SyncPolicy::Always, 1, vec![9 << 10]);
    let mut world = World::new(&case);
    for _ in 0..14 {
        world.append(1);
    }
    world
}

/// The newest segment's name and length of what is in it.
fn newest(disk: &SimDisk) -> (String, u64) {
    let files = disk.files();
    let (name, bytes) = files.iter().rfind(|(name, _)| name.ends_with(".seg")).unwrap();
    (name.clone(), bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1)
}

impl Patient {
    fn new() -> Patient {
        // A seed for which the last two batches go into the same segment.
        for seed in 1.. {
            let mut world = store(seed);
            let earlier = world.disk.clone();
            world.append(1);
            world.append(1);
            if newest(&world.disk).0 == newest(&earlier).0 && world.disk.files().len() > 7 {
                return Patient { world, earlier, foreign: store(seed + 1000).disk };
            }
        }
        unreachable!("some seed does")
    }

    /// The disk as it is, with `LOCK` clean, and as it is after a reboot.
    fn disks(&self) -> [SimDisk; 2] {
        [self.world.disk.clone(), self.world.disk.power_cut_mask(u64::MAX)]
    }

    fn copy(from: &SimDisk, name: &str, to: &SimDisk, as_name: &str) {
        to.put_file(as_name, &from.file_bytes(name).unwrap()).unwrap();
    }

    /// Opens, appends, reads everything. Whatever is lost in silence, or issued a second time, panics.
    fn verdict(&self, disk: &SimDisk, what: &str) -> Verdict {
        let last = self.world.oracle.submitted.iter().rev().find_map(|submitted| match submitted.outcome {
            Outcome::Acked(appended) => Some(appended.last.get()),
            _ => None,
        });
        let mut batch = Batch::new();
        let run = batch.run_or_create("behind the surgery", Expect::New);
        batch.event(Some(run), &Arc::new(TypeEntry::json("behind")), b"{}");
        let appended = open(disk, self.world.case.options(1)).and_then(|journal| Ok(journal.append(batch)?));
        match appended {
            Err(error) if error.kind() == ErrorKind::Damaged => Verdict::Refused,
            Err(error) => panic!("{what}: {error:?}"),
            Ok(appended) => {
                assert!(Some(appended.first.get()) > last, "{what}: {appended:?} behind {last:?}");
                match read_log(disk) {
                    Err(_) => Verdict::Reported,
                    Ok(mut log) => {
                        log.truncate(log.len() - 1);
                        while log.last().is_some_and(|event| event.more) {
                            log.pop();
                        }
                        let found = self.world.oracle.check(&log, Promise::All);
                        found.unwrap_or_else(|found| panic!("{what}: {found:?}"));
                        Verdict::Same
                    }
                }
            }
        }
    }

    /// Does the same on the running machine and after a reboot.
    fn operate(&self, what: &str, allowed: &[Verdict], operation: impl Fn(&SimDisk)) {
        for (boot, disk) in self.disks().iter().enumerate() {
            operation(disk);
            let verdict = self.verdict(disk, what);
            assert!(allowed.contains(&verdict), "{what}, boot {boot}: {verdict:?}");
        }
    }
}

const REFUSED: [Verdict; 1] = [Verdict::Refused];
const SAME: [Verdict; 1] = [Verdict::Same];
const FOUND: [Verdict; 2] = [Verdict::Refused, Verdict::Reported];

#[test]
fn segments_that_are_missing_old_swapped_or_foreign_are_found() {
    let patient = Patient::new();
    check(&patient.world.disk, &patient.world.oracle, Promise::All).unwrap();
    let (last, _) = newest(&patient.world.disk);
    let (one, two) = ("segments/0000000001.seg", "segments/0000000002.seg");
    patient.operate("nothing", &SAME, |_| {});
    patient.operate("newest missing", &REFUSED, |disk| disk.remove_file(&last).unwrap());
    // Bug: with the watermark gone as well, LOCK was not asked, and seqs were issued again.
    patient.operate("newest and watermark missing", &REFUSED, |disk| {
        disk.remove_file(&last).unwrap();
        disk.remove_file("watermark").unwrap();
    });
    patient.operate("newest and LOCK missing", &REFUSED, |disk| {
        disk.remove_file(&last).unwrap();
        disk.remove_file("LOCK").unwrap();
    });
    patient.operate("an older one missing", &FOUND, |disk| disk.remove_file(two).unwrap());
    patient.operate("older copy of the newest", &REFUSED, |disk| {
        Patient::copy(&patient.earlier, &last, disk, &last);
    });
    patient.operate("two swapped", &FOUND, |disk| {
        Patient::copy(&patient.world.disk, one, disk, two);
        Patient::copy(&patient.world.disk, two, disk, one);
    });
    patient.operate("newest duplicated as the next", &FOUND, |disk| {
        let next = format!("segments/{:010}.seg", last[9..19].parse::<u32>().unwrap() + 1);
        Patient::copy(&patient.world.disk, &last, disk, &next);
    });
    patient.operate("foreign in the newest's place", &REFUSED, |disk| {
        Patient::copy(&patient.foreign, one, disk, &last);
    });
    patient.operate("foreign in an older one's place", &FOUND, |disk| {
        Patient::copy(&patient.foreign, one, disk, one);
    });
    patient.operate("newest emptied", &REFUSED, |disk| disk.truncate(&last, 0).unwrap());
    let (_, end) = newest(&patient.world.disk);
    for len in (0..end).step_by(61) {
        patient.operate("newest cut", &REFUSED, |disk| disk.truncate(&last, len).unwrap());
    }
}

#[test]
fn hints_and_locks_may_be_anything() {
    let patient = Patient::new();
    for name in ["LOCK", "runs.idx", "watermark"] {
        patient.operate("deleted", &SAME, |disk| disk.remove_file(name).unwrap());
        patient.operate("emptied", &SAME, |disk| disk.put_file(name, b"").unwrap());
        patient.operate("garbage", &SAME, |disk| disk.put_file(name, &[0xA5; 700]).unwrap());
        patient.operate("an older copy", &SAME, |disk| Patient::copy(&patient.earlier, name, disk, name));
        // Where LOCK is clean nobody asks the watermark, and the next append writes this log's.
        let foreign = if name == "watermark" { &[Verdict::Same, Verdict::Refused][..] } else { &SAME };
        patient.operate("another store's", foreign, |disk| Patient::copy(&patient.foreign, name, disk, name));
        let len = patient.world.disk.file_bytes(name).unwrap().len() as u64;
        for bit in (0..len * 8).step_by(if len > 1000 { 11 } else { 3 }) {
            patient.operate("a flipped bit", &SAME, |disk| disk.flip_bit(name, bit).unwrap());
        }
        for cut in (0..len).step_by(13) {
            patient.operate("cut", &SAME, |disk| disk.truncate(name, cut).unwrap());
        }
    }
}

#[test]
fn no_flipped_bit_is_taken_for_a_tear_or_passed_over() {
    tell("opening-damaged", &["P1", "P4", "P5"], || (open_with_flipped_bits(), vec![]));
}

/// Stores that were opened with one flipped bit each.
fn open_with_flipped_bits() -> u64 {
    let patient = Patient::new();
    let files = patient.world.disk.files();
    let (last, end) = newest(&patient.world.disk);
    let mut flips = 0;
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".seg")) {
        let len = if *name == last { end } else { bytes.len() as u64 };
        for byte in (0..len).filter(|byte| !(512..4096).contains(byte)).step_by(5) {
            let bit = byte * 8 + (byte / 5 + u64::from(flips % 3_u32)) % 8;
            patient.operate(&format!("bit {bit} of {name}"), &FOUND, |disk| disk.flip_bit(name, bit).unwrap());
            flips += 1;
        }
    }
    2 * u64::from(flips)
}

#[test]
fn no_zeroed_sector_is_passed_over() {
    tell("opening-zeroed", &["P1", "P4", "P5"], || (open_with_zeroed_sectors(), vec![]));
}

/// Where the last batch begins, in the newest segment: what stands before it is proven by its frames alone.
fn last_batch(disk: &SimDisk) -> u64 {
    let log = read_log(disk).unwrap();
    let newest = log.last().map(|event| event.place.0);
    let before = log.len() - 1 - log[..log.len() - 1].iter().rev().take_while(|event| event.more).count();
    let first = &log[before];
    assert_eq!(Some(first.place.0), newest);
    first.place.1
}

/// Stores that were opened with a sector of zeros; also without a watermark and a lock that know better.
fn open_with_zeroed_sectors() -> u64 {
    let mut count = 0;
    let patient = Patient::new();
    let (last, end) = newest(&patient.world.disk);
    for (name, bytes) in patient.world.disk.files().iter().filter(|(name, _)| name.ends_with(".seg")) {
        let len = if *name == last { end } else { bytes.len() as u64 };
        for sector in (0..len.div_ceil(512)).filter(|sector| !(1..8).contains(sector)) {
            patient.operate(&format!("sector {sector} of {name}"), &FOUND, |disk| {
                let end = ((sector + 1) * 512).min(bytes.len() as u64);
                let zeros = vec![0; usize::try_from(end - sector * 512).unwrap()];
                disk.overwrite(name, sector * 512, &zeros).unwrap();
            });
            count += 2;
            if *name != last || (sector + 1) * 512 > last_batch(&patient.world.disk) {
                continue;
            }
            patient.operate(&format!("sector {sector} of {name}, no other evidence"), &FOUND, |disk| {
                disk.overwrite(name, sector * 512, &[0; 512]).unwrap();
                disk.remove_file("watermark").unwrap();
                disk.remove_file("LOCK").unwrap();
            });
            count += 2;
        }
    }
    count
}
