//! From an interval to an event: two folds of this build, side by side.

use crate::error::Result;
use crate::fold::fold::{Fold, Scope};
use crate::fold::folding::Folding;
use crate::fold::pass::Pass;
use crate::fold::state::{StateDigest, canonical_bytes, state_json};
use crate::fold::state_difference::{FieldChange, state_differences};
use crate::{Reader, Seq};

/// What was recorded, and between which places (revisions, or seqs for a fold over the store) it went wrong.
pub(crate) struct Recorded {
    pub(crate) digest: StateDigest,
    pub(crate) after: u64,
    pub(crate) until: u64,
}

/// What a closer look found.
pub(crate) enum Located {
    /// Two folds of this build disagree from this event on.
    Disagree { seq: Seq, revision: u32, fields: Vec<FieldChange> },
    /// The recorded state is that of another event in the interval.
    Elsewhere,
    /// The interval has only this event of the fold.
    Only { seq: Seq, revision: u32 },
    /// Nothing more is known than the interval.
    Nothing,
}

/// Folds a run twice up to the end of the interval, comparing after every event.
pub(crate) fn locate<F: Fold>(reader: &Reader, run: Option<Seq>, recorded: &Recorded) -> Result<Located> {
    let (mut one, mut two) = (Folding::<F>::new()?, Folding::<F>::new()?);
    let mut events = reader.events(reader.events_of_fold::<F>(run)?)?;
    let (mut elsewhere, mut inside) = (None, Vec::new());
    let mut applied = 0;
    while let Some(record) = events.next()? {
        let place = if F::SCOPE == Scope::Run { u64::from(record.revision) } else { record.seq.get() };
        let is_own = run.is_none() || record.run == run;
        if is_own && place > recorded.until {
            break;
        }
        one.take(&record)?;
        two.take(&record)?;
        let (Some(first), Some(second)) = (one.standing(run), two.standing(run)) else { continue };
        if first.events == applied {
            continue;
        }
        applied = first.events;
        let bytes = canonical_bytes(&first.state)?;
        if bytes != canonical_bytes(&second.state)? {
            let fields = state_differences(&state_json(&first.state), &state_json(&second.state));
            return Ok(Located::Disagree { seq: record.seq, revision: record.revision, fields });
        }
        if place > recorded.after {
            inside.push((record.seq, record.revision));
        }
        // The state just before the interval counts as well: an event may have been left out.
        if place >= recorded.after && place < recorded.until && StateDigest::of_bytes(&bytes) == recorded.digest {
            elsewhere = Some(place);
        }
    }
    Ok(match (elsewhere, inside.as_slice()) {
        (_, [(seq, revision)]) => Located::Only { seq: *seq, revision: *revision },
        (Some(_), _) => Located::Elsewhere,
        (None, _) => Located::Nothing,
    })
}
