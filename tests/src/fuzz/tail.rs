//! Logs that the input describes, crashed or damaged as it says, and judged.
//!
//! The input gives the payloads and group borders of a log and then the harm. A crash of the last group must not be refused,
//! and nothing acknowledged may be cut; one flipped bit in acknowledged data must not be taken for a tear; any other harm
//! must not cause a panic, nor a cut below what the intact part of the log proves to have been durable.

use arbitrary::{Arbitrary, Unstructured};
use taffrail_log_format::{
    Flags, FrameFields, Kind, LogId, Scanner, SegmentKey, SegmentNumber, Seq, TailScan, Verdict, encode_frame, layout,
    scan_tail,
};

const BASE: usize = 4608;

struct Log {
    key: SegmentKey,
    /// The segment from its first frame on.
    bytes: Vec<u8>,
    /// Ends of batches, and behind which seq.
    batches: Vec<(usize, u64)>,
    /// Where the payload of the frame that covers a byte ends, for bytes of padding.
    bodies: Vec<(usize, usize)>,
    acked: u64,
    acked_end: usize,
}

/// Each input byte pair is a frame: size and content of its payload, whether its batch goes on, whether a group ends.
fn write(shape: &[u8]) -> Log {
    let key = SegmentKey::new(LogId(*b"0123456789abcdef"), SegmentNumber::FIRST);
    let mut log = Log { key, bytes: Vec::new(), batches: vec![(0, 0)], bodies: Vec::new(), acked: 0, acked_end: 0 };
    let mut seq = Seq::FIRST;
    let frames: Vec<_> = shape.chunks_exact(2).take(60).collect();
    for (place, frame) in frames.iter().enumerate() {
        let last = place + 1 == frames.len();
        let more = frame[0] & 0x80 != 0 && !last;
        let len = [0, 1, 7, 8, 40, 130, 460, 512, 1500][usize::from(frame[0] & 0x7F) % 9];
        let payload: Vec<u8> = (0..len)
            .map(|at: usize| match frame[1] & 3 {
                0 => 0,
                1 => u8::from(at.is_multiple_of(8)),
                2 => frame[1],
                _ => u8::try_from(at.wrapping_mul(167) % 256).expect("below 256"),
            })
            .collect();
        let fields = FrameFields {
            seq,
            run: None,
            revision: 0,
            time_ns: 1,
            durable: log.acked,
            kind: Kind::FIRST_USER,
            flags: Flags { more, hint: false },
        };
        let start = log.bytes.len();
        encode_frame(&mut log.bytes, &key, (BASE + start) as u64, &fields, &payload).expect("a frame");
        log.bodies.push((start + 48 + len, log.bytes.len()));
        if !more {
            log.batches.push((log.bytes.len(), seq.get()));
            if frame[1] & 0xC0 == 0 && !last {
                log.acked = seq.get();
                log.acked_end = log.bytes.len();
            }
        }
        seq = seq.next();
    }
    log
}

fn judge(log: &Log, file: &[u8], durable: u64) -> TailScan {
    let scanner = Scanner::new(log.key, BASE as u64, Some(Seq::FIRST));
    scan_tail(scanner, file, durable, |_| {}).expect("the seq is known")
}

fn check_crash(log: &Log, sectors: u64, zeros: u16, cut: u16) {
    let end = log.bytes.len();
    let mut file = log.bytes.clone();
    file.resize(end + usize::from(zeros % 1200), 0);
    for (place, sector) in (log.acked_end / 512..end.div_ceil(512)).enumerate() {
        if sectors >> (place % 64) & 1 == 0 {
            let from = (sector * 512).max(log.acked_end);
            let to = (sector * 512 + 512).min(end);
            file[from..to].fill(0);
        }
    }
    let from = log.acked_end + usize::from(cut) % (end - log.acked_end + 1);
    match cut % 3 {
        0 => file.truncate(from),
        1 => file[from..].fill(0),
        _ => {}
    }
    let tail = judge(log, &file, 0);
    assert!([Verdict::End, Verdict::Torn].contains(&tail.verdict), "a tear was refused: {tail:?}");
    let cut_at = usize::try_from(tail.batch_at).expect("small") - BASE;
    assert!(cut_at >= log.acked_end, "acknowledged events would be cut: {tail:?}");
    assert!(log.batches.contains(&(cut_at, tail.batch_seq.count_before())), "part of a batch would stay: {tail:?}");
}

fn check_flip(log: &Log, at: u16, bit: u8) {
    let at = usize::from(at) % log.acked_end;
    let mut file = log.bytes.clone();
    file[at] ^= 1 << (bit % 8);
    let tail = judge(log, &file, 0);
    let padding = log.bodies.iter().any(|(body, frame)| (*body..*frame).contains(&at));
    let refused = [Verdict::Damaged, Verdict::Ambiguous].contains(&tail.verdict);
    assert!(refused != padding, "bit {bit} of byte {at}: {tail:?}");
}

fn check_harm(log: &Log, harm: &[u8]) {
    let mut file = log.bytes.clone();
    let len = file.len();
    for piece in harm.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([piece[0], piece[1]])) % len;
        match piece[2] % 4 {
            0 => file[at] = piece[3],
            1 => file[at..(at + usize::from(piece[3]) * 8).min(len)].fill(0),
            2 => file.copy_within(at..(at + usize::from(piece[3])).min(len), len - at.max(len - at)),
            _ => file[at / 512 * 512..(at / 512 * 512 + 512).min(len)].fill(piece[3]),
        }
    }
    // With a watermark from outside, nothing below it is ever removable, whatever was done to the bytes.
    let tail = judge(log, &file, log.acked);
    let removable = [Verdict::End, Verdict::Torn].contains(&tail.verdict);
    assert!(!removable || tail.expected.get() > log.acked, "acknowledged events were taken for a tear: {tail:?}");
    assert!(tail.batch_at <= tail.bad_at && tail.bad_at <= tail.data_end, "{tail:?}");
    assert!(tail.data_end - BASE as u64 <= file.len() as u64 && tail.batch_seq <= tail.expected, "{tail:?}");
}

/// The target.
pub fn run(bytes: &[u8]) {
    type Input<'b> = (u64, u16, u16, u8, [u8; 16], &'b [u8]);
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let (sectors, zeros, at, bit, harm, shape) = input;
    let log = write(shape);
    if log.bytes.is_empty() {
        return;
    }
    assert_eq!(layout::FIRST_FRAME, BASE as u64);
    check_crash(&log, sectors, zeros, at);
    if log.acked_end > 0 {
        check_flip(&log, at, bit);
    }
    check_harm(&log, &harm);
}
