//! From a batch to the frames that it becomes: registrations of new types, openings of new runs, events.

use super::{Writer, no_run};
use crate::error::{Error, Result};
use crate::log::batch::{Batch, Draft, Expect, What};
use crate::log::run_index::RunTip;
use crate::{ErrorKind, Kind, RunOpened, Seq, TypeRegistered, TypeTable};

/// A frame that is about to be encoded.
pub(super) struct Planned<'a> {
    pub(super) run: Option<Seq>,
    pub(super) revision: u32,
    pub(super) kind: Kind,
    pub(super) hint: bool,
    /// It comes from a log where its payload was redacted.
    pub(super) redacted: bool,
    pub(super) time_ns: i64,
    pub(super) payload: std::borrow::Cow<'a, [u8]>,
}

impl AsRef<[u8]> for Planned<'_> {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

impl Writer {
    /// Works out the frames of a batch: registrations, openings, events. Changes nothing.
    pub(super) fn plan<'a>(&mut self, batch: &'a Batch, now_ns: i64) -> Result<Vec<Planned<'a>>> {
        let mut frames = Vec::with_capacity(batch.drafts.len() + 2);
        let kinds = self.register(batch, now_ns, &mut frames)?;
        let mut tips = self.open_runs(batch, now_ns, &mut frames)?;
        for (draft, kind) in batch.drafts.iter().zip(kinds) {
            let tip = draft.run.and_then(|run| tips.get_mut(run));
            let (run, revision) = match tip {
                None => (None, 0),
                Some(tip) => {
                    let exhausted = || {
                        let message = format!("run {} has reached its last revision", tip.run);
                        Error::new(ErrorKind::Invalid, "T0144", message)
                    };
                    tip.revision = tip.revision.checked_add(1).ok_or_else(exhausted)?;
                    (Some(tip.run), tip.revision)
                }
            };
            let (kind, hint) = kind;
            let payload = batch.payload(draft).into();
            let (redacted, time_ns) = (draft.redacted, draft.time_ns.unwrap_or(now_ns));
            frames.push(Planned { run, revision, kind, hint, redacted, time_ns, payload });
        }
        Ok(frames)
    }

    /// The kinds of a batch's events, with registrations of those that are new.
    fn register(&self, batch: &Batch, now_ns: i64, frames: &mut Vec<Planned<'_>>) -> Result<Vec<(Kind, bool)>> {
        let full =
            || Error::new(ErrorKind::Invalid, "T0144", "the store has all the types that its table has room for");
        let mut grown: Option<TypeTable> = None;
        let mut kinds = Vec::with_capacity(batch.drafts.len());
        for Draft { what, .. } in &batch.drafts {
            let entry = match what {
                What::Own(kind, hint) => {
                    kinds.push((*kind, *hint));
                    continue;
                }
                What::User(entry) => entry,
            };
            let types = grown.as_ref().unwrap_or(&self.head.types);
            let kind = match types.find(&entry.name, &entry.variant, entry.version) {
                Some(kind) => {
                    check_same_schema(types.get(kind), entry)?;
                    kind
                }
                None => {
                    let kind = types.next_kind().ok_or_else(full)?;
                    let mut row = (**entry).clone();
                    if is_described(types, &row) {
                        row.descriptor.clear();
                    }
                    let registered = TypeRegistered { kind, entry: row };
                    frames.push(Planned {
                        run: None,
                        revision: 0,
                        kind: Kind::TYPE_REGISTERED,
                        hint: false,
                        redacted: false,
                        time_ns: now_ns,
                        payload: registered.encode().into(),
                    });
                    let table = grown.get_or_insert_with(|| self.head.types.clone());
                    table.register(registered).map_err(|_| full())?;
                    kind
                }
            };
            kinds.push((kind, entry.hint));
        }
        Ok(kinds)
    }

    /// Where the batch's runs stand, with openings of those that are new.
    fn open_runs(&mut self, batch: &Batch, now_ns: i64, frames: &mut Vec<Planned<'_>>) -> Result<Vec<RunTip>> {
        let mut tips: Vec<RunTip> = Vec::with_capacity(batch.runs.len());
        for (position, run) in batch.runs.iter().enumerate() {
            if let Some(earlier) = batch.runs[..position].iter().position(|other| other.name == run.name) {
                let message = format!("the batch names run {:?} twice (places {earlier} and {position})", run.name);
                return Err(Error::new(ErrorKind::Invalid, "T0144", message));
            }
            let found = self.find_run(&run.name)?;
            match (run.expect, found) {
                (Expect::Revision(wanted), Some(tip)) if tip.revision != wanted => {
                    return Err(conflict(&run.name, &format!("revision {wanted}"), &format!("{}", tip.revision))
                        .seq(tip.last.get()));
                }
                (Expect::New, Some(tip)) => {
                    return Err(conflict(&run.name, "no such run", &format!("revision {}", tip.revision)));
                }
                (Expect::Revision(wanted), None) if wanted > 0 => {
                    return Err(no_run(&run.name));
                }
                (_, Some(tip)) => tips.push(tip),
                (expect, None) => {
                    if !run.create && expect != Expect::New {
                        return Err(no_run(&run.name));
                    }
                    let seq = Seq::after(self.head.position.next_seq.count_before() + frames.len() as u64);
                    let opened = RunOpened { name: run.name.clone(), parent: run.parent };
                    frames.push(Planned {
                        run: Some(seq),
                        revision: 1,
                        kind: Kind::RUN_OPENED,
                        hint: false,
                        redacted: false,
                        time_ns: now_ns,
                        payload: opened.encode().into(),
                    });
                    tips.push(RunTip { run: seq, revision: 1, last: seq });
                }
            }
        }
        Ok(tips)
    }
}

/// Whether an earlier row describes the schema of this one: the table says each schema once.
fn is_described(types: &TypeTable, row: &crate::TypeEntry) -> bool {
    row.fingerprint.is_some()
        && types.rows().any(|(_, other)| other.fingerprint == row.fingerprint && !other.descriptor.is_empty())
}

fn conflict(name: &str, wanted: &str, found: &str) -> Error {
    Error::new(ErrorKind::Conflict, "T0145", format!("run {name:?}: expected {wanted}, found {found}"))
        .hint("read the run again, decide again, and repeat the append with its new revision")
}

/// Same name and version must mean the same schema: swapped fields of one type would decode to wrong values in silence.
fn check_same_schema(known: Option<&crate::TypeEntry>, wanted: &crate::TypeEntry) -> Result<()> {
    let Some(known) = known else { return Ok(()) };
    if known.fingerprint == wanted.fingerprint && known.codec == wanted.codec && known.hint == wanted.hint {
        return Ok(());
    }
    let message = format!(
        "type {} version {} is registered in this store with another schema, codec or hint flag",
        wanted.full_name(),
        wanted.version
    );
    Err(Error::new(ErrorKind::Invalid, "T0143", message).hint("raise the type's version"))
}
