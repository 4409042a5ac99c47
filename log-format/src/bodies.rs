//! The bodies of the log's own events.

use crate::seq::Seq;
use crate::wire::{Malformed, Reader, Writer};

/// The body of a [`crate::Kind::RUN_OPENED`] event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOpened {
    /// The run's name, unique in the store.
    pub name: String,
    /// The run that this one was made by or forked from.
    pub parent: Option<Seq>,
}

impl RunOpened {
    /// Longest name of a run.
    pub const MAX_NAME_LEN_BYTES: usize = 255;

    /// Whether a name may be given to a run: 1 to 255 bytes without control characters, no white space at the ends.
    #[must_use]
    pub fn is_valid_name(name: &str) -> bool {
        (1..=Self::MAX_NAME_LEN_BYTES).contains(&name.len())
            && name.trim() == name
            && !name.chars().any(char::is_control)
    }

    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.string(&self.name).option(self.parent, |w, parent| {
            w.unsigned(parent.get());
        });
        writer.into_bytes()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// The bytes are no such body, or the name is not a valid one.
    pub fn decode(bytes: &[u8]) -> Result<RunOpened, Malformed> {
        let mut reader = Reader::new(bytes);
        let name = reader.string()?.to_owned();
        if !RunOpened::is_valid_name(&name) {
            return Err(reader.malformed("a valid run name before here"));
        }
        let parent = reader.option(read_seq)?;
        reader.finish()?;
        Ok(RunOpened { name, parent })
    }
}

/// The body of a [`crate::Kind::MARK`] event: a named position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The mark's name.
    pub name: String,
    /// A remark for people; may be empty.
    pub note: String,
}

impl Mark {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.string(&self.name).string(&self.note);
        writer.into_bytes()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// The bytes are no such body.
    pub fn decode(bytes: &[u8]) -> Result<Mark, Malformed> {
        let mut reader = Reader::new(bytes);
        let mark = Mark { name: reader.string()?.to_owned(), note: reader.string()?.to_owned() };
        reader.finish()?;
        Ok(mark)
    }
}

/// The body of a [`crate::Kind::OPERATOR_ACTION`] event: somebody changed the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorAction {
    /// The command: `repair`, `compact`, `undo`, ...
    pub verb: String,
    /// Digest of the plan that was applied.
    pub plan: [u8; 32],
    /// The reason given.
    pub reason: String,
    /// Who, as far as the evidence goes: `uid:1000`.
    pub actor: String,
    /// What was done, as JSON.
    pub detail: String,
}

impl OperatorAction {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.string(&self.verb).array(&self.plan);
        writer.string(&self.reason).string(&self.actor).string(&self.detail);
        writer.into_bytes()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// The bytes are no such body.
    pub fn decode(bytes: &[u8]) -> Result<OperatorAction, Malformed> {
        let mut reader = Reader::new(bytes);
        let action = OperatorAction {
            verb: reader.string()?.to_owned(),
            plan: reader.array()?,
            reason: reader.string()?.to_owned(),
            actor: reader.string()?.to_owned(),
            detail: reader.string()?.to_owned(),
        };
        reader.finish()?;
        Ok(action)
    }
}

/// The body of a [`crate::Kind::RECOVERED`] event: a torn tail was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The first seq that was cut; it is issued again, beginning with this event.
    pub first: Seq,
    /// The segment.
    pub segment: u32,
    /// Where the cut was made.
    pub offset: u64,
    /// How many bytes went to quarantine.
    pub len_bytes: u64,
    /// BLAKE3 of those bytes.
    pub digest: [u8; 32],
    /// Where they are, relative to the store; empty if there were none.
    pub kept_in: String,
}

impl Recovered {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.unsigned(self.first.get()).unsigned(u64::from(self.segment));
        writer.unsigned(self.offset).unsigned(self.len_bytes);
        writer.array(&self.digest).string(&self.kept_in);
        writer.into_bytes()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// The bytes are no such body.
    pub fn decode(bytes: &[u8]) -> Result<Recovered, Malformed> {
        let mut reader = Reader::new(bytes);
        let recovered = Recovered {
            first: read_seq(&mut reader)?,
            segment: reader.small("a segment number")?,
            offset: reader.unsigned()?,
            len_bytes: reader.unsigned()?,
            digest: reader.array()?,
            kept_in: reader.string()?.to_owned(),
        };
        reader.finish()?;
        Ok(recovered)
    }
}

/// The body of a [`crate::Kind::CHECKPOINT`] event: the digest of a run's folded state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the fold.
    pub fold: String,
    /// Version of the fold.
    pub version: u32,
    /// The build that folded.
    pub build: String,
    /// The run; `None` for a fold over the store.
    pub run: Option<Seq>,
    /// The run's revision that the state stands at (the seq, for a fold over the store).
    pub revision: u64,
    /// BLAKE3 of the state's canonical encoding.
    pub digest: [u8; 32],
}

impl Checkpoint {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.string(&self.fold).unsigned(u64::from(self.version)).string(&self.build);
        writer.option(self.run, |w, run| {
            w.unsigned(run.get());
        });
        writer.unsigned(self.revision).array(&self.digest);
        writer.into_bytes()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// The bytes are no such body.
    pub fn decode(bytes: &[u8]) -> Result<Checkpoint, Malformed> {
        let mut reader = Reader::new(bytes);
        let checkpoint = Checkpoint {
            fold: reader.string()?.to_owned(),
            version: reader.small("a version of 32 bits")?,
            build: reader.string()?.to_owned(),
            run: reader.option(read_seq)?,
            revision: reader.unsigned()?,
            digest: reader.array()?,
        };
        reader.finish()?;
        Ok(checkpoint)
    }
}

pub(crate) fn read_seq(reader: &mut Reader<'_>) -> Result<Seq, Malformed> {
    Seq::new(reader.unsigned()?).ok_or(reader.malformed("a seq before here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_read_back_and_every_truncation_is_refused() {
        let seq = Seq::new(300).unwrap();
        let digest = [5; 32];
        let opened = RunOpened { name: "nightly".into(), parent: Some(seq) };
        let mark = Mark { name: "before".into(), note: "ä".into() };
        let text = String::from("x");
        let action = OperatorAction {
            verb: "repair".into(),
            plan: digest,
            reason: text.clone(),
            actor: text.clone(),
            detail: "{}".into(),
        };
        let recovered =
            Recovered { first: seq, segment: 3, offset: 9, len_bytes: 70_000, digest, kept_in: text.clone() };
        let checkpoint =
            Checkpoint { fold: text.clone(), version: 1, build: text, run: Some(seq), revision: 1, digest };
        assert_eq!(RunOpened::decode(&opened.encode()), Ok(opened.clone()));
        assert_eq!(Mark::decode(&mark.encode()), Ok(mark.clone()));
        assert_eq!(OperatorAction::decode(&action.encode()), Ok(action.clone()));
        assert_eq!(Recovered::decode(&recovered.encode()), Ok(recovered.clone()));
        assert_eq!(Checkpoint::decode(&checkpoint.encode()), Ok(checkpoint.clone()));
        let refused = |bytes: &[u8]| {
            RunOpened::decode(bytes).is_err()
                && Mark::decode(bytes).is_err()
                && OperatorAction::decode(bytes).is_err()
                && Recovered::decode(bytes).is_err()
        };
        for body in [opened.encode(), action.encode(), recovered.encode()] {
            assert!(refused(&[&body[..], b"!"].concat()));
        }
        for (body, decode) in [
            (opened.encode(), (|b| RunOpened::decode(b).is_err()) as fn(&[u8]) -> bool),
            (mark.encode(), |b| Mark::decode(b).is_err()),
            (action.encode(), |b| OperatorAction::decode(b).is_err()),
            (recovered.encode(), |b| Recovered::decode(b).is_err()),
            (checkpoint.encode(), |b| Checkpoint::decode(b).is_err()),
        ] {
            assert!((0..body.len()).all(|len| decode(&body[..len])));
        }
    }

    #[test]
    fn names_of_runs_are_printable_and_bounded() {
        assert!(["nightly", "claude:1b-2", "läuft", "../etc", "a b"].iter().all(|name| RunOpened::is_valid_name(name)));
        let long = "x".repeat(256);
        assert!(!["", " a", "a\n", "a\u{1b}[0m", "a\u{9b}", &long].iter().any(|name| RunOpened::is_valid_name(name)));
    }
}
