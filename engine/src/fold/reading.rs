//! From the rows of a type table to what a fold does with their events.

use crate::error::{Error, Result};
use crate::fold::codec;
use crate::fold::event::Event;
use crate::fold::fold::{Fold, Scope};
use crate::fold::registry::{Registered, registered};
use crate::fold::schema::Schema;
use crate::fold::schema_difference::schema_differences;
use crate::fold::upcast::{Foreign, Upcast, Upcasts};
use crate::{Codec, ErrorKind, Kind, TypeEntry};
use std::sync::Arc;

/// What a fold does with the events of one kind.
pub(crate) enum Reading<E> {
    /// They are of the fold's own type and version.
    Current,
    /// They become events of that version first.
    Older(Upcast<E>),
    /// They do not matter to it.
    Ignored,
    /// They are of another type.
    Foreign,
    /// They should be of its type, and can not be read.
    Unreadable(Error),
}

/// A row, and what to do with its events.
type Judged<E> = (Arc<TypeEntry>, Reading<E>);

/// Reads the events of one type, over all kinds, versions and spellings of it that a log holds.
pub(crate) struct Readings<F: Fold> {
    own: Arc<Registered>,
    upcasts: Upcasts<F::Event>,
    /// By kind; the row that was judged is kept, so that another row under the same number is seen.
    judged: Vec<Option<Judged<F::Event>>>,
}

impl<F: Fold> Readings<F> {
    /// # Errors
    /// `Invalid` (T0505) where the fold's event type can not be traced.
    pub(crate) fn new() -> Result<Readings<F>> {
        Ok(Readings { own: registered::<F::Event>()?, upcasts: F::Event::upcasts(), judged: Vec::new() })
    }

    /// What to do with an event of a user type.
    pub(crate) fn of(&mut self, kind: Kind, entry: &Arc<TypeEntry>) -> &Reading<F::Event> {
        let position = usize::from(kind.get());
        if self.judged.len() <= position {
            self.judged.resize_with(position + 1, || None);
        }
        let known = self.judged[position].as_ref().is_some_and(|(row, _)| Arc::ptr_eq(row, entry));
        if !known {
            let reading = self.judge(entry);
            self.judged[position] = Some((Arc::clone(entry), reading));
        }
        match &self.judged[position] {
            Some((_, reading)) => reading,
            None => &Reading::Ignored,
        }
    }

    fn judge(&self, entry: &TypeEntry) -> Reading<F::Event> {
        if let Some(upcast) = self.upcasts.find(&entry.name, entry.version) {
            return match check_schema(entry, upcast.codec, upcast.fingerprint, None) {
                Ok(()) => Reading::Older(upcast),
                Err(error) => Reading::Unreadable(error),
            };
        }
        if entry.name != F::Event::TYPE {
            let ignored = F::SCOPE == Scope::Store || F::ignores(&entry.name);
            return if ignored { Reading::Ignored } else { Reading::Foreign };
        }
        if entry.version != F::Event::VERSION {
            let (name, version, ours) = (&entry.name, entry.version, F::Event::VERSION);
            let message = format!("version {version} of type {name} is unknown to this build, which knows {ours}");
            let hint = if version > ours { "use a newer build" } else { "add the step to Event::upcasts" };
            return Reading::Unreadable(Error::new(ErrorKind::Incompatible, "T0504", message).hint(hint));
        }
        let own = self.own.fingerprint;
        match check_schema(entry, Some(Codec::Bincode), None, Some((own, &self.own.schema))) {
            Ok(()) => Reading::Current,
            Err(error) => Reading::Unreadable(error),
        }
    }
}

/// Whether a row has the codec and the schema that its payloads will be read with.
fn check_schema(
    entry: &TypeEntry,
    codec: Option<Codec>,
    fingerprint: Option<fn() -> Result<[u8; 32]>>,
    own: Option<([u8; 32], &Schema)>,
) -> Result<()> {
    let wanted = match (fingerprint, own) {
        (Some(fingerprint), _) => Some(fingerprint()?),
        (None, Some((fingerprint, _))) => Some(fingerprint),
        (None, None) => None,
    };
    if codec.is_none_or(|codec| entry.codec == codec) && wanted.is_none_or(|wanted| entry.fingerprint == Some(wanted)) {
        return Ok(());
    }
    let name = entry.full_name();
    let mut message =
        format!("type {name} version {} has another schema in this log than in this build", entry.version);
    if let (Some((_, schema)), Ok(recorded)) = (own, Schema::from_text(&entry.descriptor)) {
        message = format!("{message}: {}", schema_differences(&recorded, schema).join("; "));
    }
    Err(Error::new(ErrorKind::Incompatible, "T0506", message)
        .hint("raise Event::VERSION, and say in Event::upcasts how the recorded version becomes the new one"))
}

/// The events that a record holds for a fold: one, or what an older one has become.
///
/// # Errors
/// `Incompatible` (T0501).
pub(crate) fn decode<E: Event>(reading: &Reading<E>, entry: &TypeEntry, payload: &[u8]) -> Result<Decoded<E>> {
    let decoded = match reading {
        Reading::Current => codec::decode_event(payload).map(|event| Decoded { first: Some(event), more: Vec::new() }),
        Reading::Older(upcast) => {
            let foreign = Foreign { variant: &entry.variant, codec: entry.codec, payload };
            (upcast.convert)(&foreign).map(|events| Decoded { first: None, more: events })
        }
        Reading::Ignored | Reading::Foreign | Reading::Unreadable(_) => return Ok(Decoded::default()),
    };
    decoded.map_err(|why| codec::undecodable(entry, &why))
}

/// Events out of one record; the usual single one costs no allocation.
pub(crate) struct Decoded<E> {
    first: Option<E>,
    more: Vec<E>,
}

impl<E> Default for Decoded<E> {
    fn default() -> Decoded<E> {
        Decoded { first: None, more: Vec::new() }
    }
}

impl<E> IntoIterator for Decoded<E> {
    type Item = E;
    type IntoIter = std::iter::Chain<std::option::IntoIter<E>, std::vec::IntoIter<E>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}
