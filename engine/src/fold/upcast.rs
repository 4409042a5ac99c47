//! Old events for new code: explicit steps from one version to the next.

use crate::Codec;
use crate::fold::codec;
use crate::fold::event::Event;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

type Convert<E> = Arc<dyn Fn(&Foreign<'_>) -> Result<Vec<E>, String> + Send + Sync>;

/// An event of another type, as the log holds it.
#[derive(Clone, Copy, Debug)]
pub struct Foreign<'a> {
    /// Its variant; empty where its type has none.
    pub variant: &'a str,
    /// How its payload is encoded.
    pub codec: Codec,
    /// Its payload.
    pub payload: &'a [u8],
}

/// How a payload of one older type becomes events.
pub(crate) struct Upcast<E> {
    /// The codec that the payload must have; `None`: any.
    pub(crate) codec: Option<Codec>,
    /// Fingerprint of the schema that the payload must have; `None` where it can not be known.
    pub(crate) fingerprint: Option<fn() -> crate::Result<[u8; 32]>>,
    pub(crate) convert: Convert<E>,
}

impl<E> Clone for Upcast<E> {
    fn clone(&self) -> Upcast<E> {
        Upcast { codec: self.codec, fingerprint: self.fingerprint, convert: Arc::clone(&self.convert) }
    }
}

/// What events of other versions, or of other types, become: none, one or several events of this type each.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use taffrail::{Event, Upcasts};
/// #[derive(Serialize, Deserialize)]
/// struct DoneV1 { exit: i32 }
/// impl Event for DoneV1 {
///     const TYPE: &'static str = "acme.done";
///     const VERSION: u16 = 1;
/// }
/// #[derive(Serialize, Deserialize)]
/// struct Done { exit: i32, signal: Option<i32> }
/// impl Event for Done {
///     const TYPE: &'static str = "acme.done";
///     const VERSION: u16 = 2;
///     fn upcasts() -> Upcasts<Done> {
///         // Whatever version 1 could be made from comes along.
///         Upcasts::none().from_event(|old: DoneV1| vec![Done { exit: old.exit, signal: None }])
///     }
/// }
/// ```
pub struct Upcasts<E> {
    known: BTreeMap<(String, u16), Upcast<E>>,
}

impl<E> fmt::Debug for Upcasts<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.known.keys()).finish()
    }
}

impl<E: 'static> Upcasts<E> {
    /// None: only events of this version are understood.
    #[must_use]
    pub fn none() -> Upcasts<E> {
        Upcasts { known: BTreeMap::new() }
    }

    /// Events of the type `Old`, and of everything that `Old` itself can be made from, become what `step` says.
    #[must_use]
    pub fn from_event<Old: Event>(mut self, step: fn(Old) -> Vec<E>) -> Upcasts<E> {
        for (key, older) in Old::upcasts().known {
            let first = older.convert;
            let convert: Convert<E> = Arc::new(move |event| Ok(first(event)?.into_iter().flat_map(step).collect()));
            self.known.insert(key, Upcast { codec: older.codec, fingerprint: older.fingerprint, convert });
        }
        let convert: Convert<E> = Arc::new(move |event| codec::decode_event::<Old>(event.payload).map(step));
        let fingerprint: fn() -> crate::Result<[u8; 32]> =
            || Ok(crate::fold::registry::registered::<Old>()?.fingerprint);
        let upcast = Upcast { codec: Some(Codec::Bincode), fingerprint: Some(fingerprint), convert };
        self.known.insert((Old::TYPE.to_owned(), Old::VERSION), upcast);
        self
    }

    /// Payloads of a type in JSON (an import's, for example) become what `step` says.
    #[must_use]
    pub fn from_json(
        mut self,
        event_type: &str,
        version: u16,
        step: fn(&[u8]) -> Result<Vec<E>, String>,
    ) -> Upcasts<E> {
        let convert: Convert<E> = Arc::new(move |event| step(event.payload));
        let upcast = Upcast { codec: Some(Codec::Json), fingerprint: None, convert };
        self.known.insert((event_type.to_owned(), version), upcast);
        self
    }

    /// Events of a foreign type, of whatever variant and codec, become what `step` says: for imports, whose types are many
    /// and whose payloads may be broken. What is returned as an error ends the fold of the run, so a step that is to go on
    /// makes an event of it.
    #[must_use]
    pub fn from_foreign(
        mut self,
        event_type: &str,
        version: u16,
        step: fn(&Foreign<'_>) -> Result<Vec<E>, String>,
    ) -> Upcasts<E> {
        let upcast = Upcast { codec: None, fingerprint: None, convert: Arc::new(step) };
        self.known.insert((event_type.to_owned(), version), upcast);
        self
    }

    pub(crate) fn find(&self, event_type: &str, version: u16) -> Option<Upcast<E>> {
        self.known.get(&(event_type.to_owned(), version)).cloned()
    }
}
