//! Segment images as a writer leaves them, made without an engine.

use crate::random::Random;
use taffrail_log_format::{
    Flags, Footer, FooterBuilder, FrameFields, Gaps, Kind, LogId, Mark, RunOpened, SegmentHeader, SegmentKey,
    SegmentNumber, Seq, SyncPolicyTag, TypeEntry, TypeRegistered, TypeTable, encode_frame, layout,
};

pub(crate) const LOG: LogId = LogId(*b"\x5e\x0b\x91\xd4\x27\xfa\x63\x8c\x10\xee\x4b\x72\x39\xc5\xad\x06");
pub(crate) const FIRST: usize = 4608;
pub(crate) const SECTOR: usize = 512;

/// A frame that was written: where, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) seq: u64,
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
    pub(crate) more: bool,
}

/// A segment in the making. Offsets are those of the file; `bytes` hold it from its start.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) key: SegmentKey,
    pub(crate) bytes: Vec<u8>,
    pub(crate) next: Seq,
    pub(crate) frames: Vec<Written>,
    gaps: Gaps,
    run: Option<(Seq, u32)>,
    builder: FooterBuilder,
}

pub(crate) fn seq(number: u64) -> Seq {
    Seq::new(number).expect("a seq")
}

pub(crate) fn types(rows: usize) -> TypeTable {
    let mut table = TypeTable::new();
    for row in 0..rows {
        let kind = table.next_kind().expect("room");
        let entry = TypeEntry::json(&format!("acme.deploy-{row}"));
        table.register(TypeRegistered { kind, entry }).expect("a new type");
    }
    table
}

pub(crate) fn header(number: u32, first_seq: Seq) -> SegmentHeader {
    let number = SegmentNumber::new(number).expect("a number");
    SegmentHeader {
        format_version: layout::FORMAT_VERSION,
        reader_floor: layout::FORMAT_VERSION,
        log_id: LOG,
        number,
        generation: 0,
        covers_from: number,
        first_seq,
        created_ns: 1_700_000_000_000_000_000,
        time_floor_ns: i64::MIN,
        predecessor: (number != SegmentNumber::FIRST).then_some((70_000, [9; 32])),
        origin: None,
        sync_policy: SyncPolicyTag::Always,
    }
}

impl Image {
    /// Header blocks, the type table, and the recorded absences if there are any.
    pub(crate) fn new(header: &SegmentHeader, rows: usize, gaps: Gaps) -> Image {
        let mut bytes = vec![0; FIRST];
        bytes[..512].copy_from_slice(&header.encode());
        bytes[4096..4608].copy_from_slice(&header.encode());
        let mut image = Image {
            key: header.key(),
            bytes,
            next: header.first_seq,
            frames: Vec::new(),
            gaps: Gaps::default(),
            run: None,
            builder: FooterBuilder::new(header.first_seq, header.time_floor_ns),
        };
        let durable = header.first_seq.count_before();
        image.push(Kind::TYPE_TABLE, &types(rows).encode(), durable, false);
        if !gaps.ranges().is_empty() {
            image.push(Kind::GAPS, &gaps.encode(), durable, false);
            image.next = gaps.skip(image.next);
            image.gaps = gaps;
        }
        image
    }

    pub(crate) fn first(rows: usize) -> Image {
        Image::new(&header(1, Seq::FIRST), rows, Gaps::default())
    }

    /// Appends a frame; events go to the open run, if there is one.
    pub(crate) fn push(&mut self, kind: Kind, payload: &[u8], durable: u64, more: bool) {
        let start = self.bytes.len();
        let takes_seq = kind.takes_seq();
        if kind == Kind::RUN_OPENED {
            self.run = Some((self.next, 0));
        }
        let run = self.run.as_mut().filter(|_| takes_seq && kind != Kind::TYPE_REGISTERED);
        let (run, revision) = run.map_or((None, 0), |(run, revision)| {
            *revision += 1;
            (Some(*run), *revision)
        });
        let time_ns = 1_700_000_000_000_000_000 + i64::try_from(self.next.get()).expect("small");
        let flags = Flags { more, hint: kind == Kind::MARK };
        let fields = FrameFields { seq: self.next, run, revision, time_ns, durable, kind, flags };
        let header = encode_frame(&mut self.bytes, &self.key, start as u64, &fields, payload).expect("a frame");
        self.builder.observe(&header, &self.bytes[start..], start as u64, payload);
        let end = self.bytes.len();
        self.frames.push(Written { start, end, seq: self.next.get(), kind, payload: payload.to_vec(), more });
        if takes_seq {
            self.next = self.gaps.skip(self.next.next());
        }
    }

    pub(crate) fn open_run(&mut self, name: &str, durable: u64) {
        self.push(Kind::RUN_OPENED, &RunOpened { name: name.into(), parent: None }.encode(), durable, false);
    }

    /// Footer and seal, as one batch.
    pub(crate) fn seal(&mut self, durable: u64) -> Footer {
        let footer = self.builder.clone().finish(None);
        let at = self.bytes.len() as u64;
        self.push(Kind::FOOTER, &footer.encode(), durable, true);
        self.push(Kind::SEAL, &at.to_le_bytes(), durable, false);
        footer
    }

    /// A group: some batches of events with one durable seq.
    pub(crate) fn group(&mut self, random: &mut Random, most: usize) {
        let durable = self.next.count_before();
        self.batches(random, most, durable);
    }

    pub(crate) fn batches(&mut self, random: &mut Random, most: usize, durable: u64) {
        let count = random.between(1, most);
        for event in 1..=count {
            let more = event < count && random.percent(50);
            let kind = Kind::new(random.pick(&[16, 16, 17, 18, 20, 32, 40])).expect("a kind");
            self.push(kind, &payload(random), durable, more);
        }
    }

    /// A small segment with everything in it: runs, batches, marks, masked payloads, footer and seal.
    pub(crate) fn sample() -> Image {
        let mut image = Image::first(2);
        let user = |row: u16| Kind::new(16 + row).expect("a kind");
        image.open_run("nightly", 0);
        image.push(user(0), br#"{"step":"build","ok":true}"#, 1, true);
        image.push(user(1), &[0; 700], 1, true);
        image.push(user(0), b"", 1, false);
        image.push(Kind::MARK, &Mark { name: "before".into(), note: "the deploy".into() }.encode(), 4, false);
        image.push(user(1), &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3], 5, false);
        image.open_run("hotfix", 6);
        image.push(user(0), &Random(7).bytes(521), 6, false);
        image.seal(8);
        image
    }
}

/// A realistic mix: empty ones, sparse records of fixed-width integers, blocks of zeros, text-like noise.
pub(crate) fn payload(random: &mut Random) -> Vec<u8> {
    match random.below(100) {
        0..12 => Vec::new(),
        12..40 => {
            let mut record = Vec::new();
            for _ in 0..random.between(1, 40) {
                let noise = random.next() % 256;
                let value = random.pick(&[0, 0, 1, 2, 3, 4, noise]);
                record.extend_from_slice(&value.to_le_bytes()[..random.pick(&[4, 8, 2, 1])]);
            }
            record
        }
        40..50 => {
            let len = random.pick(&[512, 1500, 4000]);
            [vec![0; len / 2], random.bytes(len - len / 2)].concat()
        }
        50..55 => vec![0; random.pick(&[130, 1500])],
        _ => {
            let len = random.pick(&[3, 40, 130, 460, 470, 600, 1500]);
            random.bytes(len)
        }
    }
}
