//! The torn-tail-or-damage rule: a table over what can be seen at the first bad offset of the last segment.

use crate::sabotage::{self, Sabotage};

/// What stands where the next frame is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderAt {
    /// No proven header.
    Invalid,
    /// A proven header with another seq than the one that is due.
    OtherSeq,
    /// A proven header with the seq that is due.
    Expected,
}

/// The inputs of the rule. X is the first bad offset, n the seq that is due there, B <= X the start of X's batch, and D
/// the highest seq known to have been durable.
#[allow(clippy::struct_excessive_bools, reason = "the columns of a decision table")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailEvidence {
    /// n <= D: what is missing at X had been acknowledged.
    pub acknowledged: bool,
    /// What stands at X.
    pub header: HeaderAt,
    /// Only zeros from X to the end of the file.
    pub only_zeros: bool,
    /// B = X: no open batch before X.
    pub at_batch_start: bool,
    /// The frame at X (its header, where that is not proven) runs past the end of the file.
    pub runs_past_end: bool,
    /// The last byte of the header at X is zero, which no writer leaves so.
    pub header_end_zero: bool,
    /// The header at X is proven and the last byte of the stored payload is zero, which no writer leaves so.
    pub payload_end_zero: bool,
    /// A sector that the frame at X needs is all zero, from the frame's or the sector's start.
    pub zero_sector: bool,
}

/// What the end of the last segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The log ends here, cleanly.
    End,
    /// An append that was never acknowledged: removable, from the start of its batch.
    Torn,
    /// Acknowledged data is damaged: refuse to write, remove nothing.
    Damaged,
    /// Rot within the last group, which may or may not have been acknowledged: refuse to write until somebody decides.
    Ambiguous,
}

/// The rule. The first row that matches decides.
#[must_use]
pub fn classify(evidence: &TailEvidence) -> Verdict {
    let rows = [
        (evidence.acknowledged, Verdict::Damaged),
        (evidence.header == HeaderAt::OtherSeq, Verdict::Damaged),
        (evidence.only_zeros && evidence.at_batch_start, Verdict::End),
        (evidence.only_zeros, Verdict::Torn),
        (evidence.runs_past_end, Verdict::Torn),
        (evidence.header_end_zero, Verdict::Torn),
        (evidence.header == HeaderAt::Expected && evidence.payload_end_zero, Verdict::Torn),
        (evidence.zero_sector, Verdict::Torn),
    ];
    if sabotage::is(Sabotage::TruncateOnBadFrame) && !(evidence.only_zeros && evidence.at_batch_start) {
        return Verdict::Torn;
    }
    rows.iter().find(|(matches, _)| *matches).map_or(Verdict::Ambiguous, |(_, verdict)| *verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of the inputs, those included that no real tail shows.
    fn all() -> Vec<TailEvidence> {
        let mut all = Vec::new();
        for bits in 0..128_u32 {
            for header in [HeaderAt::Invalid, HeaderAt::OtherSeq, HeaderAt::Expected] {
                let bit = |n: u32| bits >> n & 1 == 1;
                all.push(TailEvidence {
                    acknowledged: bit(0),
                    header,
                    only_zeros: bit(1),
                    at_batch_start: bit(2),
                    runs_past_end: bit(3),
                    header_end_zero: bit(4),
                    payload_end_zero: bit(5),
                    zero_sector: bit(6),
                });
            }
        }
        all
    }

    #[test]
    fn every_combination_has_the_verdict_that_the_rule_spells_out() {
        let mut seen = [0; 4];
        for evidence in all() {
            // The rule again, as sentences instead of rows.
            let torn = evidence.only_zeros
                || evidence.runs_past_end
                || evidence.header_end_zero
                || evidence.zero_sector
                || (evidence.header == HeaderAt::Expected && evidence.payload_end_zero);
            let expected = if evidence.acknowledged || evidence.header == HeaderAt::OtherSeq {
                Verdict::Damaged
            } else if evidence.only_zeros && evidence.at_batch_start {
                Verdict::End
            } else if torn {
                Verdict::Torn
            } else {
                Verdict::Ambiguous
            };
            assert_eq!(classify(&evidence), expected, "{evidence:?}");
            seen[expected as usize] += 1;
        }
        assert_eq!(seen, [32, 90, 256, 6]);
    }

    #[test]
    fn nothing_that_was_acknowledged_is_ever_removable() {
        for evidence in all().iter().filter(|evidence| evidence.acknowledged) {
            assert_eq!(classify(evidence), Verdict::Damaged);
        }
    }

    #[test]
    fn an_open_batch_is_never_a_clean_end() {
        for evidence in all().iter().filter(|evidence| !evidence.at_batch_start) {
            assert_ne!(classify(evidence), Verdict::End);
        }
    }
}
