//! States after every event, written down: for another build, or another process, to compare with.

use crate::error::{Error, Result};
use crate::fold::fold::{Fold, Scope};
use crate::fold::folding::Folding;
use crate::fold::pass::Pass;
use crate::fold::state::{StateDigest, state_json};
use crate::{ErrorKind, Reader, Seq};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A state after an event.
#[derive(Clone, Debug, PartialEq)]
pub struct StateLine {
    /// The run; `None` for a fold over the store.
    pub run: Option<Seq>,
    /// The event.
    pub seq: Seq,
    /// Its revision; 0 for a fold over the store.
    pub revision: u32,
    /// The state's digest.
    pub digest: StateDigest,
    /// The state as JSON.
    pub state: Value,
}

impl StateLine {
    /// The line of a states file: `taffrail.state/1`.
    #[must_use]
    pub fn to_json<F: Fold>(&self) -> Value {
        json!({
            "schema": "taffrail.state/1",
            "fold": F::NAME,
            "version": F::VERSION,
            "run": self.run.map(Seq::get),
            "seq": self.seq.get(),
            "revision": self.revision,
            "digest": self.digest.to_string(),
            "state": self.state,
        })
    }
}

/// Gives the state after every event of the fold, of a run or of all (`None`), until `take` says `false`. Two processes of
/// one build that give different lines have found a fold that depends on more than the events.
///
/// # Errors
/// What ends a run's fold; as reading; what `take` returns.
pub fn each_state<F: Fold>(
    reader: &Reader,
    run: Option<Seq>,
    mut take: impl FnMut(StateLine) -> Result<bool>,
) -> Result<()> {
    let mut folding = Folding::<F>::over(reader)?;
    let mut events = reader.events(reader.events_of_fold::<F>(run)?)?;
    let mut applied: BTreeMap<Option<Seq>, u64> = BTreeMap::new();
    while let Some(record) = events.next()? {
        let key = if F::SCOPE == Scope::Run { record.run } else { None };
        folding.take(&record)?;
        if let Some(error) = folding.failure(key) {
            return Err(error.clone());
        }
        let is_asked_for = run.is_none() || key == run;
        let Some(standing) = folding.standing(key).filter(|_| is_asked_for) else { continue };
        let count = applied.entry(key).or_default();
        if standing.events == *count {
            continue;
        }
        *count = standing.events;
        let (digest, state) = (standing.digest()?, state_json(&standing.state));
        let (seq, revision) = (record.seq, standing.revision);
        if !take(StateLine { run: key, seq, revision, digest, state })? {
            break;
        }
    }
    Ok(())
}

/// A run (`None`: the store), and a revision in it (a seq).
type StatePlace = (Option<Seq>, u64);

/// A file of states that has been read.
#[derive(Clone, Debug, Default)]
pub struct States {
    lines: BTreeMap<(String, u32), BTreeMap<StatePlace, StateLine>>,
}

impl States {
    /// Reads lines of `taffrail.state/1`.
    ///
    /// # Errors
    /// `Invalid` (T0514) with the number of the line that is none.
    pub fn read<'l>(lines: impl IntoIterator<Item = &'l str>) -> Result<States> {
        let mut states = States::default();
        for (number, line) in lines.into_iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (fold, version, state) = read_line(line).ok_or_else(|| {
                let message = format!("line {} is no state of taffrail.state/1", number + 1);
                Error::new(ErrorKind::Invalid, "T0514", message).hint("write the file with: taffrail replay --states")
            })?;
            // A fold over the store has no revisions: its places are seqs.
            let place = if state.revision == 0 { state.seq.get() } else { u64::from(state.revision) };
            states.lines.entry((fold, version)).or_default().insert((state.run, place), state);
        }
        Ok(states)
    }

    pub(crate) fn of<F: Fold>(&self) -> impl Iterator<Item = (StatePlace, &StateLine)> {
        let lines = self.lines.get(&(F::NAME.to_owned(), F::VERSION)).into_iter().flatten();
        lines.map(|(key, line)| (*key, line))
    }
}

fn read_line(line: &str) -> Option<(String, u32, StateLine)> {
    let mut value: Value = serde_json::from_str(line).ok()?;
    if value.get("schema")?.as_str()? != "taffrail.state/1" {
        return None;
    }
    let run = match value.get("run")? {
        Value::Null => None,
        number => Some(Seq::new(number.as_u64()?)?),
    };
    let state = StateLine {
        run,
        seq: Seq::new(value.get("seq")?.as_u64()?)?,
        revision: u32::try_from(value.get("revision")?.as_u64()?).ok()?,
        digest: value.get("digest")?.as_str()?.parse().ok()?,
        state: value.get_mut("state")?.take(),
    };
    let version = u32::try_from(value.get("version")?.as_u64()?).ok()?;
    Some((value.get("fold")?.as_str()?.to_owned(), version, state))
}
