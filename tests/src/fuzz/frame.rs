//! Any bytes as a segment: the header blocks, then every frame that can be found, going on behind damage.
//!
//! The input is the segment from the type table on. Header CRCs are put right at every multiple of eight that looks like a
//! header: no fuzzer finds a CRC, and what lies behind a proven header is to be reached.

use arbitrary::{Arbitrary, Unstructured};
use taffrail_log_format::{Crc32c, crc32c};
use taffrail_log_format::{
    Kind, LogId, RawHeader, Scanner, SegmentHeader, SegmentKey, SegmentNumber, Seq, Step, find_header, layout,
    likely_flipped_bit,
};

/// The target.
pub fn run(bytes: &[u8]) {
    type Input<'b> = (bool, bool, &'b [u8]);
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let (seal_headers, seal_payloads, bytes) = input;
    let key = SegmentKey::new(LogId(*b"0123456789abcdef"), SegmentNumber::FIRST);
    let mut bytes = bytes.to_vec();
    if seal_headers {
        put_right(&key, &mut bytes, seal_payloads);
    }
    let base = layout::FIRST_FRAME;
    let mut scanner = Scanner::new(key, base, Some(Seq::FIRST));
    let mut last = None;
    loop {
        let before = scanner.offset();
        assert!(last.is_none_or(|last| last < before), "the scanner does not get on at {before}");
        last = Some(before);
        let at = usize::try_from(before - base).expect("small");
        let window = bytes.get(at..).unwrap_or_default();
        match scanner.step(window, true) {
            Step::Frame(frame) => {
                assert_eq!(frame.payload().len(), frame.stored.len());
                assert_eq!(scanner.offset(), frame.end());
                assert!(frame.header.durable() < frame.header.seq.get());
                if frame.header.kind == Kind::GAPS {
                    let due = scanner.expected().expect("known from now on");
                    assert_eq!(scanner.gaps().covering(due), None);
                }
            }
            Step::NeedBytes(count) => panic!("{count} bytes are asked for behind the last"),
            Step::Free | Step::End | Step::Bad { .. } => {
                assert_eq!(scanner.offset(), before);
                if let Some(flip) = likely_flipped_bit(&key, before, window) {
                    assert_eq!((flip.found ^ flip.restored).count_ones(), 1);
                }
                let Some((offset, header)) = find_header(&key, &bytes, base, before + 8) else { break };
                assert!(offset > before && offset.is_multiple_of(8));
                scanner.resume_at(offset, Some(header.seq));
            }
        }
    }
    let _header = SegmentHeader::read(&bytes, bytes.get(512..).unwrap_or_default());
}

fn put_right(key: &SegmentKey, bytes: &mut [u8], payloads: bool) {
    for at in (0..bytes.len().saturating_sub(47)).step_by(8) {
        if !RawHeader::new(&bytes[at..]).is_some_and(|raw| raw.looks_like_header()) {
            continue;
        }
        let len = usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]])) | usize::from(bytes[at + 6]) << 16;
        if payloads && let Some(payload) = bytes.get(at + 48..at + 48 + len) {
            let crc = crc32c(payload);
            bytes[at + 40..at + 44].copy_from_slice(&crc.to_le_bytes());
        }
        let crc = Crc32c::default().then(&key.log_id().0).then(&key.number().get().to_le_bytes());
        let crc = crc.then(&(layout::FIRST_FRAME + at as u64).to_le_bytes()).then(&bytes[at + 4..at + 48]);
        bytes[at..at + 4].copy_from_slice(&crc.value().to_le_bytes());
    }
}
