//! Repairs that are taken back: the damage is there again, and nothing else.

use super::damage_kit::{Files, Intact, files_of, intact, kinds, number, segment_name, store_of};
use crate::plan::Authority;
use crate::repair::{RepairMode, RepairPlan, UndoPlan};
use crate::storage::{OpenMode, Storage, write_all_at};
use crate::{Depth, SeqRange, Severity, VerifyOptions, VerifyReport, verify};
use std::sync::Arc;

fn agreed(plan: &str, accept_loss: u64) -> Authority {
    let (reason, actor) = ("a test".to_owned(), "uid:0".to_owned());
    Authority { plan: plan.to_owned(), accept_loss, reason, actor, lock_timeout_ms: 100 }
}

fn report(storage: &Arc<dyn Storage>) -> VerifyReport {
    verify(&**storage, &VerifyOptions { depth: Depth::Frames }, &mut |_, _| {}).unwrap()
}

/// What a report says of each place: kind, segment, where it begins, what is lost there.
///
/// The newest segment of before has events behind it afterwards, and so an end: what its file did not have any more is a hole
/// there. So of that one it is told where damage begins, and what is lost by it. What stood behind its last event had never been
/// part of the log, and stays in the quarantine.
fn told(report: &VerifyReport, newest: u32) -> Vec<(String, Option<u32>, u64, Vec<SeqRange>)> {
    let whole = |segment: Option<u32>| segment == Some(newest);
    let is_log = |kind: &str| !matches!(kind, "TORN_TAIL" | "FREE_SPACE");
    let mut all: Vec<_> = Vec::new();
    for finding in report.findings.iter().filter(|finding| is_log(finding.kind.name()) && !whole(finding.segment)) {
        all.push((finding.kind.name().to_owned(), finding.segment, finding.start, finding.lost.clone()));
    }
    let of_newest: Vec<_> =
        report.findings.iter().filter(|finding| is_log(finding.kind.name()) && whole(finding.segment)).collect();
    for finding in
        of_newest.iter().filter(|finding| matches!(finding.kind.name(), "FOOTER" | "FOOTER_MISMATCH" | "CHAIN"))
    {
        all.push((finding.kind.name().to_owned(), finding.segment, finding.start, finding.lost.clone()));
    }
    if let Some(start) = of_newest.iter().map(|finding| finding.start).min() {
        let mut lost: Vec<SeqRange> = Vec::new();
        for range in of_newest.iter().flat_map(|finding| &finding.lost) {
            match lost.last_mut() {
                Some(before) if before.last + 1 == range.first => before.last = range.last,
                _ => lost.push(*range),
            }
        }
        all.push(("damage".to_owned(), Some(newest), start, lost));
    }
    all.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    all
}

/// Repairs a damaged store, takes that back, and repairs it again.
fn there_and_back(files: &Files, newest: u32, what: &str) -> bool {
    let storage: Arc<dyn Storage> = Arc::new(store_of(files));
    let before = report(&storage);
    let plan = match RepairPlan::make(&*storage, RepairMode::Salvage) {
        Ok(plan) if !plan.is_empty() => plan,
        _ => return false,
    };
    plan.apply(&storage, &agreed(plan.name(), plan.lost)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let repaired = report(&storage);
    assert_eq!((repaired.severity, kinds(&repaired)), (Severity::Clean, vec![]), "{what}: {repaired:#?}");
    let undo = match UndoPlan::make(&storage, None) {
        Ok(undo) => undo,
        // A torn tail alone: nothing of it had been an event.
        Err(error) if error.code() == "T0403" => return false,
        Err(error) => panic!("{what}: {error}"),
    };
    undo.apply(&storage, &agreed(undo.name(), 0)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let after = report(&storage);
    assert_eq!(told(&after, newest), told(&before, newest), "{what}: {after:#?}\n{before:#?}");
    let again = RepairPlan::make(&*storage, RepairMode::Salvage).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(again.lost, plan.lost, "{what}: {again:#?}");
    again.apply(&storage, &agreed(again.name(), again.lost)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let clean = report(&storage);
    assert_eq!((clean.severity, kinds(&clean)), (Severity::Clean, vec![]), "{what}: {clean:#?}");
    true
}

fn with(intact: &Intact, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Files {
    let mut files = intact.files.clone();
    change(files.get_mut(name).unwrap());
    files
}

/// An undo of a salvage of the newest segment put back a segment without an end, before the one that the repair had begun since:
/// verify told of the damage that was back, and of a missing footer as well. And the record of a lost segment stayed where it
/// was, so that the undo of a repair of two things took back one of them.
#[test]
fn a_repair_and_its_undo_leave_the_findings_that_there_were() {
    let intact = intact(12 << 10, 60);
    let segments: Vec<u32> = intact.frames.keys().map(|number| number.get()).collect();
    assert!(segments.len() > 3, "{segments:?}");
    let mut cases = 0;
    let mut tails = 0;
    for segment in &segments {
        let name = segment_name(*segment);
        let is_newest = Some(segment) == segments.last();
        let frames = &intact.frames[&number(*segment)];
        let mut damage: Vec<(String, Files)> = Vec::new();
        for (place, frame) in frames.iter().enumerate() {
            // The first frames, the last ones, and some between: type table, events, footer, seal.
            if place > 2 && place + 4 < frames.len() && place % 5 != 0 {
                continue;
            }
            for byte in [frame.offset + 9, frame.offset + 30, frame.offset + 50, frame.payload_end - 1] {
                let at = usize::try_from(byte).unwrap();
                let flipped = with(&intact, &name, |bytes| bytes[at] ^= 4);
                damage.push((format!("a bit of byte {byte:#x}, frame {place}"), flipped));
            }
        }
        let len = intact.files[&name].len();
        let last = usize::try_from(frames.last().unwrap().end).unwrap();
        for start in [4608, last.saturating_sub(4096) / 512 * 512, last.saturating_sub(700) / 512 * 512] {
            let zeroed = with(&intact, &name, |bytes| {
                let end = (start + 1024).min(len);
                bytes[start..end].fill(0);
            });
            damage.push((format!("zeros from {start:#x}"), zeroed));
        }
        let half = with(&intact, &name, |bytes| bytes.truncate(last / 2));
        damage.push(("the second half is not there".to_owned(), half));
        for block in [0, 4096] {
            damage.push((format!("the block at {block}"), with(&intact, &name, |bytes| bytes[block + 20] ^= 1)));
        }
        let both = with(&intact, &name, |bytes| (bytes[20], bytes[4116]) = (!bytes[20], !bytes[4116]));
        damage.push(("both blocks".to_owned(), both));
        // Without its type table and its footer, only the segment before tells which types there are.
        let [table, end] = [0, frames.len() - 2].map(|place| usize::try_from(frames[place].offset).unwrap());
        let typeless =
            with(&intact, &name, |bytes| (bytes[table + 9], bytes[end + 9]) = (!bytes[table + 9], !bytes[end + 9]));
        damage.push(("type table and footer".to_owned(), typeless));
        let mut missing = intact.files.clone();
        missing.remove(&name);
        damage.push(("no file".to_owned(), missing));
        for (what, files) in damage {
            let what = format!("segment {segment}, {what}");
            cases += 1;
            tails += u32::from(there_and_back(&files, *segments.last().unwrap(), &what) && is_newest);
        }
    }
    // Two things at once, in a sealed segment and in the newest one.
    let (first, last) = (segment_name(segments[0]), segment_name(*segments.last().unwrap()));
    let event = |segment: u32| usize::try_from(intact.frames[&number(segment)][4].offset).unwrap();
    let mut both = with(&intact, &first, |bytes| bytes[event(segments[0]) + 60] ^= 1);
    both.get_mut(&last).unwrap()[event(*segments.last().unwrap()) + 20] ^= 1;
    both.remove(&segment_name(segments[1]));
    assert!(there_and_back(&both, *segments.last().unwrap(), "three segments at once"));
    // The types of a segment without its table are those that the record of the lost one before it ends with.
    let table = usize::try_from(intact.frames[&number(*segments.last().unwrap())][0].offset).unwrap();
    let mut typeless = with(&intact, &last, |bytes| bytes[table + 9] ^= 4);
    typeless.remove(&segment_name(segments[segments.len() - 2]));
    assert!(there_and_back(&typeless, *segments.last().unwrap(), "no segment before a lost type table"));
    assert!(cases > 100 && tails > 20, "{cases} cases, {tails} of the newest segment");
}

/// Two files had changed names: verify said that a salvage helps, the salvage refused, and its hint led back to verify.
#[test]
fn files_that_have_changed_names_get_them_back_by_a_salvage() {
    let intact = intact(12 << 10, 60);
    let segments: Vec<u32> = intact.frames.keys().map(|number| number.get()).collect();
    let files = |order: &[usize]| {
        let mut files = intact.files.clone();
        for (place, holds) in order.iter().enumerate() {
            files.insert(segment_name(segments[place]), intact.files[&segment_name(segments[*holds])].clone());
        }
        files
    };
    let last = segments.len() - 1;
    let mut swapped: Vec<usize> = (0..segments.len()).collect();
    swapped.swap(1, last);
    let mut free = intact.files.clone();
    let moved = free.remove(&segment_name(segments[1])).unwrap();
    free.insert(segment_name(90), moved);
    for (files, count) in [(files(&[1, 0]), 2), (files(&[1, 2, 0]), 3), (files(&swapped), 2), (free, 1)] {
        let storage: Arc<dyn Storage> = Arc::new(store_of(&files));
        assert_eq!(report(&storage).severity, Severity::Damaged);
        let plan = RepairPlan::make(&*storage, RepairMode::Salvage).unwrap();
        assert_eq!((plan.segments.len(), plan.lost), (count, 0), "{plan:#?}");
        plan.apply(&storage, &agreed(plan.name(), 0)).unwrap();
        let clean = report(&storage);
        assert_eq!((clean.severity, kinds(&clean)), (Severity::Clean, vec![]), "{clean:#?}");
        let now = files_of(&*storage);
        for segment in &segments[..last] {
            assert!(now[&segment_name(*segment)] == intact.files[&segment_name(*segment)], "segment {segment}");
        }
        assert!(!now.keys().any(|name| name.ends_with(".named")), "{:?}", now.keys());
    }
    // Two copies of one segment: which name is wrong can be told, and what was in the place of the other can not.
    let mut copied = intact.files.clone();
    copied.insert(segment_name(segments[1]), intact.files[&segment_name(segments[0])].clone());
    let storage: Arc<dyn Storage> = Arc::new(store_of(&copied));
    let refused = RepairPlan::make(&*storage, RepairMode::Salvage).unwrap_err();
    assert!(
        refused.code() == "T0304" && refused.hint_text().is_some_and(|hint| hint.contains("move the file away")),
        "{refused}"
    );
}

/// A renaming that stops anywhere leaves every file with a name, and the next plan ends it.
#[test]
fn a_renaming_that_was_stopped_is_ended_by_the_next() {
    use crate::storage::{Fault, SimDisk};
    let sim = SimDisk::new(9);
    let storage: Arc<dyn Storage> = Arc::new(sim.process(1));
    let options = crate::Journal::options().create(true).segment_len_bytes(12 << 10);
    let journal = options.open_on(Arc::clone(&storage)).unwrap();
    super::damage_kit::append(&journal, 0..60);
    journal.close().unwrap();
    for (from, to) in [("0000000001.seg", "x"), ("0000000002.seg", "0000000001.seg"), ("x", "0000000002.seg")] {
        storage.rename(&format!("segments/{from}"), &format!("segments/{to}")).unwrap();
        storage.sync_dir("segments").unwrap();
    }
    let first = sim.next_operation();
    let go = |storage: &Arc<dyn Storage>| {
        let plan = RepairPlan::make(&**storage, RepairMode::Salvage)?;
        if plan.is_empty() { Ok(()) } else { plan.apply(storage, &agreed(plan.name(), 0)).map(|_| ()) }
    };
    let whole = sim.clone();
    go(&(Arc::new(whole.process(2)) as Arc<dyn Storage>)).unwrap();
    let last = whole.next_operation();
    let mut stopped = 0;
    for index in first..last {
        for is_eager in [false, true] {
            let twin = sim.clone();
            twin.inject(index, Fault::CrashBefore);
            let _stopped = go(&(Arc::new(twin.process(2)) as Arc<dyn Storage>));
            if !twin.is_crashed() {
                continue;
            }
            stopped += 1;
            let image = twin.power_cut_with(|unit| if is_eager { unit.versions } else { 0 });
            let storage: Arc<dyn Storage> = Arc::new(image.process(3));
            go(&storage).unwrap_or_else(|error| panic!("stopped before call {index}: {error}"));
            let report = report(&storage);
            assert_eq!((report.severity, report.totals.lost), (Severity::Clean, 0), "call {index}: {report:#?}");
        }
    }
    assert!(stopped > 20, "{stopped}");
}

/// A repair of a bit in the first segment, and what stands in the segment by then.
fn repaired() -> (Arc<dyn Storage>, u64) {
    let intact = intact(12 << 10, 30);
    let frame = &intact.frames[&number(1)][2];
    let at = usize::try_from(frame.offset + 50).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(store_of(&with(&intact, &segment_name(1), |bytes| bytes[at] ^= 4)));
    let plan = RepairPlan::make(&*storage, RepairMode::Salvage).unwrap();
    let applied = plan.apply(&storage, &agreed(plan.name(), plan.lost)).unwrap();
    (storage, applied.event)
}

/// What had been undone could be undone again where it was named by its seq: a segment that had been put back from a backup
/// since would have been replaced by the damaged one.
#[test]
fn what_was_undone_is_not_undone_again() {
    let (storage, event) = repaired();
    let undo = UndoPlan::make(&storage, None).unwrap();
    undo.apply(&storage, &agreed(undo.name(), 0)).unwrap();
    let again = UndoPlan::make(&storage, crate::Seq::new(event)).unwrap_err();
    assert_eq!(again.code(), "T0403", "{again}");
    assert!(again.to_string().contains("was undone"), "{again}");
    assert_eq!(UndoPlan::make(&storage, None).unwrap_err().code(), "T0404");
}

/// The event that tells of an undo goes in before the first file is put back. Where that was all, `store undo` said that there
/// was nothing to undo, though nothing had been undone.
#[test]
fn an_undo_that_was_stopped_behind_its_event_is_carried_out_by_the_next() {
    let (storage, event) = repaired();
    let before = files_of(&*storage);
    let undo = UndoPlan::make(&storage, None).unwrap();
    undo.apply(&storage, &agreed(undo.name(), 0)).unwrap();
    let done = files_of(&*storage);
    let segment = segment_name(1);
    assert_ne!(before[&segment], done[&segment]);
    storage.remove(&segment).unwrap();
    let file = storage.open(&segment, OpenMode::CreateNew).unwrap();
    write_all_at(&*file, 0, &before[&segment]).unwrap();
    let undo = UndoPlan::make(&storage, None).unwrap();
    assert_eq!(undo.event, event);
    undo.apply(&storage, &agreed(undo.name(), 0)).unwrap();
    assert_eq!(files_of(&*storage)[&segment], done[&segment]);
    assert_eq!(UndoPlan::make(&storage, None).unwrap_err().code(), "T0404");
}
