//! Typed events: what a program writes, and what its folds are given.

use crate::Seq;
use crate::fold::upcast::Upcasts;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type of events: any serde type that bincode can carry.
///
/// The type is registered in the log with its schema when the first event of it is appended. The same name and version with
/// another schema is refused from then on: change the type, raise [`Event::VERSION`], and say in [`Event::upcasts`] how old
/// events become new ones.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use taffrail::Event;
/// #[derive(Serialize, Deserialize)]
/// enum Job {
///     Queued { cmd: String },
///     Done { exit: i32 },
/// }
/// impl Event for Job {
///     const TYPE: &'static str = "acme.job";
///     const VERSION: u16 = 1;
///     fn kind(&self) -> &'static str {
///         match self {
///             Job::Queued { .. } => "Queued",
///             Job::Done { .. } => "Done",
///         }
///     }
/// }
/// ```
pub trait Event: Serialize + DeserializeOwned + 'static {
    /// Name in the log: 1 to 64 of `[a-z0-9_.-]`.
    const TYPE: &'static str;
    /// Version of the schema.
    const VERSION: u16;

    /// The variant: up to 64 of `[A-Za-z0-9_.-]`. It is kept outside the payload, so that filters need not decode it.
    fn kind(&self) -> &'static str {
        ""
    }

    /// Whether a fold may do without the event. A hint never reaches [`crate::Fold::apply`], and never changes a state.
    /// All events of one [`Event::kind`] must answer alike.
    fn is_hint(&self) -> bool {
        false
    }

    /// Values to learn the schema from, and to prove it on: needed where a type refuses values that were made up for it (a
    /// checked string, for example), and for enumerations inside of lists and options, of which every variant must occur.
    #[must_use]
    fn samples() -> Vec<Self> {
        Vec::new()
    }

    /// How events of other versions become events of this one.
    #[must_use]
    fn upcasts() -> Upcasts<Self> {
        Upcasts::none()
    }
}

/// An event with what the log knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded<E> {
    /// Its number in the log.
    pub seq: Seq,
    /// The run's number: the seq of its first event; `None` for an event of the store.
    pub run: Option<Seq>,
    /// Its ordinal in the run, from 1; 0 without a run.
    pub revision: u32,
    /// The clock when it was appended, in nanoseconds since 1970. The clock may step back; order is by seq.
    pub time_ns: i64,
    /// The event.
    pub data: E,
}
