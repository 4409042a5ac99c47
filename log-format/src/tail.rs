//! Judging the end of the last segment.

use crate::classify::{HeaderAt, TailEvidence, Verdict, classify};
use crate::defect::{Defect, DefectKind};
use crate::frame::{Frame, Header, RawHeader, layout as frame_layout};
use crate::kind::Kind;
use crate::layout::{FRAME_ALIGN_BYTES, SECTOR_LEN_BYTES};
use crate::scan::{Scanner, Step};
use crate::seq::Seq;

/// What the end of the last segment looks like.
#[derive(Clone, Debug)]
pub struct TailScan {
    /// The verdict of the rule.
    pub verdict: Verdict,
    /// What the rule was given.
    pub evidence: TailEvidence,
    /// X: the first offset without a good frame. Behind the last frame if the segment is sealed.
    pub bad_at: u64,
    /// n: the seq that is due at X.
    pub expected: Seq,
    /// B: where X's batch begins; a torn tail is cut here.
    pub batch_at: u64,
    /// b: the first seq of that batch.
    pub batch_seq: Seq,
    /// D: the highest seq that anything here or outside tells to have been durable.
    pub durable: u64,
    /// Offset behind the last byte that is not zero; X where only zeros follow.
    pub data_end: u64,
    /// What is wrong at X; `None` where only zeros follow.
    pub defect: Option<Defect>,
    /// The header at X, where it is proven.
    pub header: Option<Header>,
    /// Whether the last frame is a seal: the segment is complete.
    pub sealed: bool,
    /// Offset behind the last whole batch that holds an event; where scanning began if there was none. A footer, and a seal that
    /// is torn, may stand behind it.
    pub events_end: u64,
}

/// Scans the rest of the last segment and judges how it ends.
///
/// `scanner` stands where scanning starts, at a batch's start, and knows the seq that is due there; `bytes` are those from
/// there to the end of the file. `durable` is the highest seq known durable from outside: watermark, predecessor, snapshots.
/// `visit` sees every good frame, those of an open batch included.
pub fn scan_tail(
    mut scanner: Scanner,
    bytes: &[u8],
    durable: u64,
    mut visit: impl FnMut(&Frame<'_>),
) -> Option<TailScan> {
    let base = scanner.offset();
    let at = |offset: u64| usize::try_from(offset - base).unwrap_or(usize::MAX);
    let (mut batch_at, mut batch_seq) = (base, scanner.expected()?);
    let (mut durable, mut sealed) = (durable, false);
    let (mut events_end, mut holds_event) = (base, false);
    let (defect, header) = loop {
        match scanner.step(bytes.get(at(scanner.offset())..).unwrap_or_default(), true) {
            Step::Frame(frame) => {
                durable = durable.max(frame.header.durable());
                sealed = frame.header.kind == Kind::SEAL;
                holds_event |= frame.header.kind.takes_seq();
                visit(&frame);
                if !scanner.in_batch() {
                    (batch_at, batch_seq) = (scanner.offset(), scanner.expected()?);
                    if std::mem::take(&mut holds_event) {
                        events_end = batch_at;
                    }
                }
            }
            Step::Bad { defect, header } => break (Some(defect), header),
            Step::Free | Step::End | Step::NeedBytes(_) => break (None, None),
        }
    };
    let bad_at = scanner.offset();
    let expected = scanner.expected()?;
    let rest = bytes.get(at(bad_at)..).unwrap_or_default();
    let data_len = data_len(rest);
    let hole = || {
        Defect::new(DefectKind::Hole, bad_at, "a frame", format!("zeros, and data up to {}", bad_at + data_len as u64))
    };
    let defect = defect.or_else(|| (data_len > 0).then(hole));
    durable = durable.max(durable_behind(&scanner, rest, data_len, expected));
    let header_at = match header {
        None => HeaderAt::Invalid,
        Some(header) if header.seq == expected => HeaderAt::Expected,
        Some(_) => HeaderAt::OtherSeq,
    };
    let good = header.filter(|_| header_at == HeaderAt::Expected);
    let evidence = TailEvidence {
        acknowledged: expected.get() <= durable,
        header: header_at,
        only_zeros: data_len == 0,
        at_batch_start: batch_at == bad_at,
        runs_past_end: good.map_or(frame_layout::HEADER_LEN_BYTES as u64, |header| header.frame_len())
            > rest.len() as u64,
        header_end_zero: rest.get(frame_layout::FLAGS).is_none_or(|byte| *byte == 0),
        payload_end_zero: good.filter(|header| header.payload_len > 0).is_some_and(|header| {
            rest.get(frame_layout::HEADER_LEN_BYTES + header.payload_len as usize - 1).is_none_or(|byte| *byte == 0)
        }),
        zero_sector: has_zero_sector(rest, bad_at, good),
    };
    let verdict = classify(&evidence);
    let data_end = bad_at + data_len as u64;
    Some(TailScan {
        verdict,
        evidence,
        bad_at,
        expected,
        batch_at,
        batch_seq,
        durable,
        data_end,
        defect,
        header,
        sealed,
        events_end,
    })
}

/// Length without the zeros at the end. Preallocated space makes these many; pieces that are all zero are passed over whole.
fn data_len(bytes: &[u8]) -> usize {
    const PIECE_LEN_BYTES: usize = 256;
    let mut rest = bytes;
    while let Some((before, piece)) = rest.split_last_chunk::<PIECE_LEN_BYTES>()
        && piece.iter().fold(0, |all, byte| all | byte) == 0
    {
        rest = before;
    }
    rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// The highest durable seq that a proven header behind X tells of. `rest` begins at X. A header counts only if its seq
/// could stand there: n at least, which frames carry that take no seq, and not further than frames fit in between. No header
/// ends with a zero, so none reaches behind the data.
fn durable_behind(scanner: &Scanner, rest: &[u8], data_len: usize, expected: Seq) -> u64 {
    let reach = expected.get().saturating_add(rest.len() as u64 / frame_layout::HEADER_LEN_BYTES as u64);
    let mut durable = 0;
    let mut position = 0;
    while let Some(raw) = rest[..data_len].get(position..).and_then(RawHeader::new) {
        if let Some(header) = raw.proven(scanner.key(), scanner.offset() + position as u64)
            && header.seq >= expected
            && header.seq.get() <= reach
        {
            durable = durable.max(header.durable());
        }
        #[allow(clippy::cast_possible_truncation, reason = "eight")]
        {
            position += FRAME_ALIGN_BYTES as usize;
        }
    }
    durable
}

/// Whether a sector that the frame at X needs holds only zeros, from the frame's or the sector's start to the sector's end.
fn has_zero_sector(rest: &[u8], bad_at: u64, good: Option<Header>) -> bool {
    let needed = good.map_or(0, |header| u64::from(header.payload_len)) + frame_layout::HEADER_LEN_BYTES as u64;
    let mut start = 0_u64;
    while start < needed && start < rest.len() as u64 {
        let border = (bad_at + start) / SECTOR_LEN_BYTES * SECTOR_LEN_BYTES + SECTOR_LEN_BYTES - bad_at;
        let end = border.min(rest.len() as u64);
        #[allow(clippy::cast_possible_truncation, reason = "both are at most rest.len()")]
        if rest[start as usize..end as usize].iter().all(|byte| *byte == 0) {
            return true;
        }
        start = border;
    }
    false
}
