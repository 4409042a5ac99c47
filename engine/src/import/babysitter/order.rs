//! What can only be said of an event by looking at the one before it.

use super::event_name::EventName;
use super::{Oddity, OddityCode, Place};

/// The last values seen; small, whatever the run's length.
#[derive(Debug, Default)]
pub(super) struct Order {
    seq: Option<u64>,
    ulid: Option<String>,
    recorded_at_ns: Option<i64>,
}

impl Order {
    /// Judges an event file's name, before its content is read: a file that can not be read still has its number.
    pub(super) fn judge_name(&mut self, file: &str, base: &str, name: &EventName) -> Vec<Oddity> {
        let mut oddities = Vec::new();
        let place = name.seq.map_or(Place::File, Place::Seq);
        if !name.is_canonical(base) {
            oddities.push(Oddity::new(file, OddityCode::BadEventName, place, "not %06d.<ULID>.json, numbered from 1"));
        }
        if let Some(seq) = name.seq {
            oddities.extend(self.judge_seq(file, seq));
        }
        if let Some(ulid) = name.proper_ulid() {
            if let Some(before) = self.ulid.as_deref().filter(|before| *before >= ulid) {
                let reason = format!("{ulid} is not above {before}");
                oddities.push(Oddity::new(file, OddityCode::UlidStepsBack, place, reason));
            }
            self.ulid = Some(ulid.to_owned());
        } else if let Some(ulid) = &name.ulid {
            oddities.push(Oddity::new(file, OddityCode::MalformedUlid, place, format!("{ulid:?}")));
        }
        oddities
    }

    fn judge_seq(&mut self, file: &str, seq: u64) -> Option<Oddity> {
        let before = self.seq.replace(seq).unwrap_or(0);
        if seq == before && seq != 0 {
            return Some(Oddity::new(file, OddityCode::DuplicateSeq, Place::Seq(seq), format!("seq {seq} once more")));
        }
        if seq.saturating_sub(before) <= 1 {
            return None;
        }
        let (first, last) = (before + 1, seq - 1);
        let reason = format!("{} missing, {first} to {last}", seq - first);
        Some(Oddity::new(file, OddityCode::MissingSeqs, Place::Seqs { first, last }, reason))
    }

    /// Judges an event's time.
    pub(super) fn judge_time(&mut self, file: &str, name: &EventName, recorded_at_ns: Option<i64>) -> Option<Oddity> {
        let now_ns = recorded_at_ns?;
        let before_ns = self.recorded_at_ns.replace(now_ns).filter(|before_ns| *before_ns > now_ns)?;
        let place = name.seq.map_or(Place::File, Place::Seq);
        let reason =
            format!("{} ms before the previous event", (i128::from(before_ns) - i128::from(now_ns)) / 1_000_000);
        Some(Oddity::new(file, OddityCode::RecordedAtStepsBack, place, reason))
    }
}
