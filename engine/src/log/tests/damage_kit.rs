//! A small log written by the real journal, and what its bytes are.

use crate::storage::{Memory, OpenMode, Storage, read_full_at, write_all_at};
use crate::{
    Batch, Depth, Expect, Header, Inspector, Journal, Kind, Piece, SegmentNumber, SeqRange, TypeEntry, VerifyOptions,
    VerifyReport, verify,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The files of a store, by name.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A frame of the intact log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) offset: u64,
    /// Behind the payload; padding follows.
    pub(super) payload_end: u64,
    pub(super) end: u64,
    pub(super) header: Header,
}

/// An intact log: its files, and the frames of each segment.
#[derive(Debug)]
pub(super) struct Intact {
    pub(super) files: Files,
    pub(super) frames: BTreeMap<SegmentNumber, Vec<Placed>>,
    pub(super) last: u64,
}

pub(super) fn number(number: u32) -> SegmentNumber {
    SegmentNumber::new(number).unwrap()
}

pub(super) fn segment_name(segment: u32) -> String {
    format!("segments/{}", number(segment).file_name())
}

/// Appends `events` events in batches of one to three, to three runs and to none; every fifth one is no JSON.
pub(super) fn append(journal: &Journal, events: std::ops::Range<u32>) {
    let json = Arc::new(TypeEntry::json("step.done"));
    let bytes = Arc::new(TypeEntry { codec: crate::Codec::Bytes, ..TypeEntry::json("blob") });
    let mut event = events.start;
    while event < events.end {
        let mut batch = Batch::new();
        let name = ["nightly-7", "release-42", "fix-login"][usize::try_from(event % 3).unwrap()];
        let run = batch.run_or_create(name, Expect::Any);
        for _ in 0..=event % 3 {
            let text =
                format!("{{\"event\":{event},\"text\":\"{}\"}}", "abcdefg ".repeat(20 + event as usize * 37 % 90));
            match event % 5 {
                0 => batch.event(Some(run), &bytes, &text.as_bytes()[..text.len() - event as usize % 7]),
                1 => batch.event(None, &json, text.as_bytes()),
                _ => batch.event(Some(run), &json, text.as_bytes()),
            };
            event += 1;
        }
        journal.append(batch).unwrap();
    }
}

pub(super) fn files_of(storage: &dyn Storage) -> Files {
    let mut files = Files::new();
    for (directory, prefix) in [("", ""), ("segments", "segments/")] {
        for entry in storage.list(directory).unwrap() {
            if entry.kind == crate::storage::EntryKind::File {
                let name = format!("{prefix}{}", entry.name);
                let mut bytes = vec![0; usize::try_from(entry.len_bytes).unwrap()];
                read_full_at(&*storage.open(&name, OpenMode::Read).unwrap(), 0, &mut bytes).unwrap();
                files.insert(name, bytes);
            }
        }
    }
    files
}

pub(super) fn store_of(files: &Files) -> Memory {
    let memory = Memory::new();
    memory.create_dir("").unwrap();
    memory.create_dir("segments").unwrap();
    for (name, bytes) in files {
        write_all_at(&*memory.open(name, OpenMode::CreateNew).unwrap(), 0, bytes).unwrap();
    }
    memory
}

/// A log of some segments, closed in order.
pub(super) fn intact(segment_len_bytes: u64, events: u32) -> Intact {
    let memory = Memory::new();
    let options = Journal::options().create(true).segment_len_bytes(segment_len_bytes);
    let journal = options.open_on(Arc::new(memory.clone())).unwrap();
    append(&journal, 0..events);
    journal.close().unwrap();
    described(&memory)
}

/// What an intact store holds.
pub(super) fn described(memory: &Memory) -> Intact {
    let files = files_of(memory);
    let mut frames: BTreeMap<SegmentNumber, Vec<Placed>> = BTreeMap::new();
    let mut last = 0;
    let mut at = number(1);
    let inspected = Inspector::open(memory).unwrap().walk(&mut |piece| {
        match piece {
            Piece::Segment { number, .. } => at = *number,
            Piece::Frame(frame) => {
                if frame.header.kind.takes_seq() {
                    last = frame.header.seq.get();
                }
                frames.entry(at).or_default().push(Placed {
                    offset: frame.offset,
                    payload_end: frame.end() - frame.padding.len() as u64,
                    end: frame.end(),
                    header: frame.header,
                });
            }
            Piece::Damage(damage) => panic!("an intact log has damage: {damage:?}"),
            Piece::Gap(_) | Piece::Skimmed(_) | Piece::Tail(_) => {}
        }
        Ok(())
    });
    assert_eq!(inspected.unwrap().next.unwrap().get(), last + 1);
    Intact { files, frames, last }
}

pub(super) fn check(storage: &dyn Storage, depth: Depth) -> VerifyReport {
    let report = verify(storage, &VerifyOptions { depth }, &mut |_, _| {}).unwrap();
    let totals = report.totals;
    if depth > Depth::Chain {
        assert_eq!(totals.bytes_checked, totals.bytes_total, "every byte is accounted for: {report:#?}");
    }
    let listed: u64 = lost(&report).iter().map(|range| range.count()).sum();
    assert_eq!((listed, report.findings_not_listed), (totals.lost, 0));
    report
}

pub(super) fn verified(storage: &dyn Storage) -> VerifyReport {
    check(storage, Depth::Decode)
}

/// All lost seqs, as ranges that are apart.
pub(super) fn lost(report: &VerifyReport) -> Vec<SeqRange> {
    let mut all: Vec<SeqRange> = report.findings.iter().flat_map(|finding| finding.lost.iter().copied()).collect();
    all.sort_unstable_by_key(|range| range.first);
    let mut merged: Vec<SeqRange> = Vec::new();
    for range in all {
        match merged.last_mut() {
            Some(before) if before.last + 1 == range.first => before.last = range.last,
            Some(before) => {
                assert!(before.last < range.first, "an event is lost twice: {report:#?}");
                merged.push(range);
            }
            None => merged.push(range),
        }
    }
    merged
}

pub(super) fn kinds(report: &VerifyReport) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.kind.name()).collect()
}

impl Intact {
    /// The seqs of the events that touch a range of bytes of a segment, and whether each is an event.
    pub(super) fn hit(&self, segment: u32, range: std::ops::Range<u64>) -> Vec<Placed> {
        let frames = self.frames[&number(segment)].iter();
        frames.filter(|frame| frame.offset < range.end && range.start < frame.payload_end).copied().collect()
    }

    /// First and last seq of a segment.
    pub(super) fn seqs(&self, segment: u32) -> SeqRange {
        let events: Vec<u64> = self.frames[&number(segment)]
            .iter()
            .filter(|frame| frame.header.kind.takes_seq())
            .map(|frame| frame.header.seq.get())
            .collect();
        SeqRange { first: events[0], last: *events.last().unwrap() }
    }
}

/// The seqs of events among frames, as ranges.
pub(super) fn ranges(frames: &[Placed]) -> Vec<SeqRange> {
    let mut merged: Vec<SeqRange> = Vec::new();
    for frame in frames.iter().filter(|frame| frame.header.kind.takes_seq() && frame.header.kind != Kind::SEAL) {
        let seq = frame.header.seq.get();
        match merged.last_mut() {
            Some(before) if before.last + 1 == seq => before.last = seq,
            _ => merged.push(SeqRange { first: seq, last: seq }),
        }
    }
    merged
}
