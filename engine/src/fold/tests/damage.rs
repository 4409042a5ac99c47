//! Folding beside damage: what is lost is told, of the runs that it belongs to or may belong to, and nothing else changes.

use super::{Job, Jobs, Tally, open, queued, read, rewrite, store};
use crate::fold::run_api::complete;
use crate::fold::{Folding, Losses, Replay, Start};
use crate::storage::{Memory, Storage};
use crate::{ErrorKind, EventOrLoss, Expect, Journal, Query, Reader, Seq};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SEGMENT: &str = "segments/0000000001.seg";

/// Three runs by turns, with hints and a checkpoint; the third one ends early.
fn three() -> Arc<Memory> {
    let storage = store();
    let journal = open(&storage);
    for turn in 0..5 {
        for name in ["a", "b", "c"] {
            if name == "c" && turn > 2 {
                continue;
            }
            let run = journal.run_or_create(name).unwrap();
            run.append(Expect::Any, &[queued(&format!("{name}{turn}")), Job::Done { exit: turn }]).unwrap();
            if turn == 1 {
                run.append(Expect::Any, &[Job::Progress(1)]).unwrap();
                run.checkpoint::<Jobs>().unwrap();
            }
        }
    }
    journal.close().unwrap();
    storage
}

/// All seqs that can be read, and what is told to be lost.
fn read_all(reader: &Reader, query: Query) -> (BTreeSet<u64>, Losses) {
    let (mut seqs, mut losses) = (BTreeSet::new(), Losses::default());
    let mut events = reader.events(query).unwrap();
    while let Some(next) = events.next_or_loss().unwrap() {
        match next {
            EventOrLoss::Event(record) => assert!(seqs.insert(record.seq.get()), "seq {} twice", record.seq),
            EventOrLoss::Loss(loss) => crate::fold::Pass::lose(&mut losses, &loss).unwrap(),
        }
    }
    (seqs, losses)
}

struct Folded {
    states: BTreeMap<Seq, Tally>,
    lacking: BTreeSet<Seq>,
    losses: Losses,
}

fn fold(reader: &Reader) -> Folded {
    let (mut folding, mut losses) = (Folding::<Jobs>::new().unwrap(), Losses::default());
    Replay::of(reader).past_damage().go(&mut [&mut folding, &mut losses]).unwrap();
    let lacking = folding.lacking(&[]).into_iter().flatten().collect();
    let standings = folding.into_standings().filter_map(|(run, standing)| Some((run?, standing.ok()?.state)));
    Folded { states: standings.collect(), lacking, losses }
}

/// Every third byte of the log is spoiled, one at a time. What is read and what is told to be lost are all there was; a run that is
/// not said to lack anything has the state that it had; and where the header tells whose event it was, no other run is
/// touched.
#[test]
fn fold_whatever_bit_flips_every_state_is_what_it_was_or_is_said_to_lack_something() {
    let storage = three();
    let sound = fold(&read(&storage));
    assert!(sound.lacking.is_empty() && sound.losses.count == 0 && sound.states.len() == 3);
    let last = read(&storage).next_seq().unwrap().count_before();
    let mut end = 0;
    rewrite(&storage, SEGMENT, |bytes| end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    let (mut certain, mut doubtful, mut harmless) = (0, 0, 0);
    // Of the header blocks, which are there twice, a few bytes will do.
    for at in (0..4608).step_by(41).chain((4608..end).step_by(3)) {
        let spoil = |bytes: &mut Vec<u8>| bytes[at] ^= 1 << (at % 8);
        rewrite(&storage, SEGMENT, spoil);
        let reader = read(&storage);
        let (seqs, losses) = read_all(&reader, Query::all());
        let lost: BTreeSet<u64> =
            losses.listed.iter().filter_map(|loss| loss.seqs).flat_map(|range| range.first..=range.last).collect();
        assert!(seqs.is_disjoint(&lost), "byte {at}: {lost:?}");
        assert_eq!(seqs.union(&lost).count() as u64, last, "byte {at}: {losses:?}");
        if at % 7 == 0 {
            let (backwards, told) = read_all(&reader, Query::all().reverse());
            assert_eq!((&backwards, told.count), (&seqs, losses.count), "byte {at}, the last one first");
        }
        let folded = fold(&reader);
        assert_eq!(folded.losses.count, losses.count);
        for (run, state) in &sound.states {
            let is_same = folded.states.get(run) == Some(state);
            assert!(is_same || folded.lacking.contains(run), "byte {at}, run {run}: {:?}", folded.states.get(run));
            let loaded = reader.state::<Jobs>(Some(*run), None, Start::Origin);
            if !folded.lacking.contains(run) {
                let loaded = loaded.unwrap();
                assert!(
                    !loaded.standing.is_incomplete() && loaded.standing.state == *state,
                    "byte {at}, run {run} alone"
                );
            } else if let Ok(loaded) = loaded {
                assert!(loaded.standing.is_incomplete(), "byte {at}, run {run} alone");
            }
        }
        match losses.listed.first() {
            None => {
                harmless += 1;
                assert!(folded.lacking.is_empty(), "byte {at}");
            }
            // A row of the type table may be lost with an event of the store; then events of that type say nothing.
            Some(loss) if loss.header.is_some_and(|header| header.run.is_some()) => {
                certain += 1;
                let run = loss.header.and_then(|header| header.run);
                assert!(folded.lacking.iter().all(|lacking| Some(*lacking) == run), "byte {at}: {:?}", folded.lacking);
            }
            Some(_) => doubtful += 1,
        }
        rewrite(&storage, SEGMENT, spoil);
    }
    assert!(certain > 30 && doubtful > 30 && harmless > 30, "{certain} {doubtful} {harmless}");
}

/// A run behind whose last event something can not be read is in doubt; one that has a later event is not, since that event's
/// revision proves that nothing is missing.
#[test]
fn fold_a_header_that_is_lost_puts_those_runs_in_doubt_that_have_no_event_behind_it() {
    let storage = three();
    let names = ["a", "b", "c"].map(|name| read(&storage).find_run(name).unwrap());
    // The first event behind the last one of "c".
    let record = read(&storage).get(names[2].last.next()).unwrap().unwrap();
    let at = usize::try_from(record.offset).unwrap();
    rewrite(&storage, SEGMENT, |bytes| bytes[at + 9] ^= 1);
    let reader = read(&storage);
    let standing = |place: usize| reader.state::<Jobs>(Some(names[place].run), None, Start::Origin).unwrap().standing;
    assert_eq!(
        standing(0).missing.iter().map(|missing| missing.count).sum::<u64>(),
        1,
        "its own, by its next revision"
    );
    assert_eq!((standing(1).missing.len(), standing(1).doubt), (0, None));
    let third = standing(2);
    assert_eq!((third.missing.len(), third.doubt.map(|doubt| doubt.first)), (0, Some(record.seq.get())));
    let words: Vec<String> = third.lacks().collect();
    assert_eq!(words, [format!("seq {} can not be read, and may be of it", record.seq)]);
    let refused = complete(&third).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code(), refused.at().seq),
        (ErrorKind::Damaged, "T0507", Some(record.seq.get()))
    );
    assert!(complete(&standing(1)).is_ok());
}

/// Bug: some commands folded from the first event on, and some from a snapshot that had seen what was lost since: two answers
/// about one run.
#[test]
fn fold_a_run_that_lacks_events_begins_at_the_snapshot_that_has_seen_them() {
    let storage = three();
    let run = read(&storage).find_run("a").unwrap().run;
    let sound = read(&storage).state::<Jobs>(Some(run), None, Start::Origin).unwrap().standing;
    let journal = open(&storage);
    let made = journal.run("a").unwrap().snapshot::<Jobs>().unwrap();
    journal.close().unwrap();
    let reader = read(&storage);
    let mut events = reader.events(Query::all().run(run).event_type("Queued")).unwrap();
    let record = events.next().unwrap().unwrap().into_owned();
    let at = usize::try_from(record.offset + record.frame_len).unwrap();
    rewrite(&storage, SEGMENT, |bytes| bytes[at - 9] ^= 1);
    let reader = read(&storage);
    let mut folding = Folding::<Jobs>::new().unwrap();
    Replay::of(&reader).past_damage().go(&mut [&mut folding]).unwrap();
    assert_eq!(folding.lacking(&[]), [Some(run)]);
    let begun = folding.begin_at_snapshots(&reader, None).unwrap();
    assert_eq!(begun.get(&Some(run)).map(|begun| begun.seq), Some(made.head.seq));
    let all = folding.into_standing(Some(run)).unwrap();
    let one = reader.state::<Jobs>(Some(run), None, Start::Snapshot).unwrap().standing;
    assert_eq!((&all.state, all.is_incomplete()), (&sound.state, false));
    assert_eq!((&one.state, one.is_incomplete()), (&sound.state, false));
    let origin = reader.state::<Jobs>(Some(run), None, Start::Origin).unwrap();
    assert!(origin.standing.is_incomplete() && origin.losses.count == 1);
}

/// Bug: a payload that could not be read, in the newest segment, stopped opening where the index of runs had to be made again.
/// Where the index was there, the segment's footer was made without the event, so that behind the next loss of the index the
/// run's last revision was given twice.
#[test]
fn fold_a_lost_payload_keeps_its_revision_when_the_segment_is_sealed() {
    let storage = store();
    let open = || {
        let options = Journal::options().create(true).segment_len_bytes(8 << 10);
        options.open_on(Arc::clone(&storage) as Arc<dyn Storage>).unwrap()
    };
    let forget = || {
        if storage.entry("runs.idx").unwrap().is_some() {
            storage.remove("runs.idx").unwrap();
        }
    };
    let journal = open();
    for name in ["a", "b"] {
        journal.run_or_create(name).unwrap().append(Expect::Any, &[queued("x"), queued(name)]).unwrap();
    }
    journal.close().unwrap();
    let last = read(&storage).find_run("a").unwrap();
    let record = read(&storage).get(last.last).unwrap().unwrap();
    let at = usize::try_from(record.offset).unwrap();
    // Behind the header.
    rewrite(&storage, SEGMENT, |bytes| bytes[at + 49] ^= 1);
    assert!(read(&storage).get(last.last).is_err());
    forget();

    let journal = open();
    let b = journal.run("b").unwrap();
    while journal.reader().unwrap().segments().len() < 2 {
        b.append(Expect::Any, &[queued(&"y".repeat(600))]).unwrap();
    }
    journal.close().unwrap();
    forget();
    let journal = open();
    let a = journal.run("a").unwrap();
    assert_eq!((a.number(), a.revision()), (last.run, last.revision));
    let appended = a.append(Expect::Revision(last.revision), &[queued("z")]).unwrap();
    assert_eq!(appended.revision, last.revision + 1);
    journal.close().unwrap();
    let standing = read(&storage).state::<Jobs>(Some(last.run), None, Start::Origin).unwrap().standing;
    assert_eq!((standing.missing.len(), standing.missing[0].count, standing.doubt), (1, 1, None));
}
