use crate::seq::Seq;
use crate::wire::{Malformed, Reader, Writer};

/// Why events are absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// They were damaged, and a salvage has taken what was left of them away.
    Damaged,
    /// A compaction has moved or dropped them.
    Compacted,
    /// They have been redacted.
    Redacted,
}

/// A range of absent events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapRange {
    /// First absent seq.
    pub first: Seq,
    /// Last absent seq.
    pub last: Seq,
    /// Why.
    pub reason: GapReason,
    /// BLAKE3 of the bytes that were taken away.
    pub digest: [u8; 32],
    /// Where those bytes are now, relative to the store; empty if they were dropped.
    pub kept_in: String,
}

/// The body of a [`crate::Kind::GAPS`] frame: the recorded absences of a segment, ascending and apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    ranges: Vec<GapRange>,
}

impl Gaps {
    /// Absences in ascending order; `None` if ranges are out of order, overlap, or leave no seq behind them.
    #[must_use]
    pub fn new(ranges: Vec<GapRange>) -> Option<Gaps> {
        let ordered = ranges.windows(2).all(|pair| pair[0].last < pair[1].first);
        let possible = ranges.iter().all(|range| range.first <= range.last && range.last < range.last.next());
        (ordered && possible).then_some(Gaps { ranges })
    }

    /// The ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> &[GapRange] {
        &self.ranges
    }

    /// The range that covers a seq.
    #[must_use]
    pub fn covering(&self, seq: Seq) -> Option<&GapRange> {
        let position = self.ranges.partition_point(|range| range.last < seq);
        self.ranges.get(position).filter(|range| range.first <= seq)
    }

    /// The first seq from `seq` on that is not recorded as absent.
    #[must_use]
    #[inline]
    pub fn skip(&self, mut seq: Seq) -> Seq {
        if self.ranges.is_empty() {
            return seq;
        }
        while let Some(range) = self.covering(seq) {
            seq = range.last.next();
        }
        seq
    }

    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.unsigned(self.ranges.len() as u64);
        for range in &self.ranges {
            writer.unsigned(range.first.get()).unsigned(range.last.get());
            writer.byte(match range.reason {
                GapReason::Damaged => 1,
                GapReason::Compacted => 2,
                GapReason::Redacted => 3,
            });
            writer.array(&range.digest).string(&range.kept_in);
        }
        writer.into_bytes()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// The bytes are no such body, or ranges are out of order.
    pub fn decode(bytes: &[u8]) -> Result<Gaps, Malformed> {
        let mut reader = Reader::new(bytes);
        let count = reader.count(36)?;
        let mut ranges = Vec::with_capacity(count);
        for _ in 0..count {
            ranges.push(GapRange {
                first: Seq::new(reader.unsigned()?).ok_or(reader.malformed("a seq before here"))?,
                last: Seq::new(reader.unsigned()?).ok_or(reader.malformed("a seq before here"))?,
                reason: match reader.byte()? {
                    1 => GapReason::Damaged,
                    2 => GapReason::Compacted,
                    3 => GapReason::Redacted,
                    _ => return Err(reader.malformed("a reason from 1 to 3 before here")),
                },
                digest: reader.array()?,
                kept_in: reader.string()?.to_owned(),
            });
        }
        let out_of_order = reader.malformed("ascending ranges");
        reader.finish()?;
        Gaps::new(ranges).ok_or(out_of_order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> GapRange {
        let seq = |number| Seq::new(number).unwrap();
        let kept_in = "quarantine/8c1e44".into();
        GapRange { first: seq(first), last: seq(last), reason: GapReason::Damaged, digest: [1; 32], kept_in }
    }

    #[test]
    fn only_recorded_absences_are_skipped() {
        let gaps = Gaps::new(vec![range(3, 4), range(5, 5), range(9, 9)]).unwrap();
        let skip = |seq| gaps.skip(Seq::new(seq).unwrap()).get();
        assert_eq!([2, 3, 4, 5, 6, 9, 10].map(skip), [2, 6, 6, 6, 6, 10, 10]);
        assert_eq!(Gaps::decode(&gaps.encode()), Ok(gaps));
    }

    #[test]
    fn an_absence_up_to_the_last_number_is_refused() {
        // Bug: the seq behind the last number saturates to that number, so a recorded absence that reached it made
        // `skip` look for a seq behind it for ever: thirty hostile bytes hung every reader.
        assert_eq!(Gaps::new(vec![range(5, u64::MAX)]), None);
        let mut body = vec![1, 5, 253];
        body.extend_from_slice(&[0xFF; 8]);
        body.extend_from_slice(&[1; 33]);
        body.push(0);
        assert!(Gaps::decode(&body).is_err());
        assert!(Gaps::new(vec![range(5, u64::MAX - 1)]).is_some());
    }

    #[test]
    fn overlapping_and_backward_ranges_are_refused() {
        assert_eq!(Gaps::new(vec![range(3, 5), range(5, 6)]), None);
        assert_eq!(Gaps::new(vec![range(3, 2)]), None);
        let mut body = Gaps::new(vec![range(3, 4)]).unwrap().encode();
        body[2] = 2;
        assert!(Gaps::decode(&body).is_err());
        body[2] = 4;
        body[3] = 9;
        assert!(Gaps::decode(&body).is_err());
    }
}
