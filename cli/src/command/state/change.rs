//! Changes of a state, as programs and people see them.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use taffrail::fold::{CauseEvent, CausedChange, FieldChange};

use crate::human;
use crate::payloads::Payloads;
use crate::subject::Subject;

/// The event behind a change.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CauseReport {
    seq: u64,
    /// Its ordinal in the run; 0 for an event of the store.
    revision: u32,
    /// RFC 3339, UTC.
    time: String,
    #[serde(skip)]
    time_ns: i64,
    r#type: String,
    /// Who did it, where the event says so.
    actor: Option<String>,
}

impl CauseReport {
    /// The report of an event; it is read again for its actor.
    #[must_use]
    pub(super) fn new(event: &CauseEvent, subject: &Subject) -> Self {
        let time = Timestamp::from_nanosecond(i128::from(event.time_ns));
        Self {
            seq: event.seq.get(),
            revision: event.revision,
            time: time.map(|time| time.to_string()).unwrap_or_default(),
            time_ns: event.time_ns,
            r#type: event.type_name.clone(),
            actor: actor(event, subject),
        }
    }

    /// Its seq.
    #[must_use]
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Its clock, as people read it.
    #[must_use]
    pub(super) fn time(&self) -> String {
        human::time(self.time_ns)
    }

    /// Its type.
    #[must_use]
    pub(super) fn type_name(&self) -> &str {
        &self.r#type
    }

    /// Who did it.
    #[must_use]
    pub(super) fn actor(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    /// `seq 9,402  EffectResolved by uid:1000`
    #[must_use]
    pub(super) fn human(&self) -> String {
        let actor = self.actor.as_ref().map(|actor| format!(" by {actor}")).unwrap_or_default();
        format!("seq {}  {}{actor}", human::thousands(self.seq), self.r#type)
    }
}

/// The text member `actor` of the event's own object, at whatever depth the variant puts it.
fn actor(event: &CauseEvent, subject: &Subject) -> Option<String> {
    let record = subject.reader.get(event.seq).ok().flatten()?;
    let json = Payloads::default().json(&subject.reader, &record)?;
    let value: Value = serde_json::from_str(json.get()).ok()?;
    let inner = || value.as_object()?.values().find_map(|inner| inner.get("actor"));
    value.get("actor").or_else(inner)?.as_str().map(str::to_owned)
}

/// A change of a value, and its cause.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ChangeReport {
    path: String,
    /// Null where it is new, or was null.
    old: Option<Value>,
    /// Null where it is gone, or is null.
    new: Option<Value>,
    /// `added`, `removed` or `changed`.
    change: &'static str,
    cause: Option<CauseReport>,
}

impl ChangeReport {
    /// The report of a change.
    #[must_use]
    pub(super) fn new(caused: CausedChange, subject: &Subject) -> Self {
        let cause = caused.cause.as_ref().map(|event| CauseReport::new(event, subject));
        let FieldChange { path, old, new } = caused.change;
        let change = match (&old, &new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        Self { path, old, new, change, cause }
    }

    /// The event's seq.
    #[must_use]
    pub(super) fn seq(&self) -> Option<u64> {
        self.cause.as_ref().map(|cause| cause.seq)
    }

    /// `+`, `-` or a blank, and the path.
    #[must_use]
    pub(super) fn place(&self) -> String {
        let sign = match self.change {
            "added" => '+',
            "removed" => '-',
            _ => ' ',
        };
        format!("{sign}{}", self.path)
    }

    /// `"pending" -> "ok"`, each value cut to a number of characters.
    #[must_use]
    pub(super) fn values(&self, most: usize) -> String {
        let show = |value: &Option<Value>| human::value(value.as_ref().unwrap_or(&Value::Null), most);
        match self.change {
            "added" => show(&self.new),
            "removed" => format!("(was {})", show(&self.old)),
            _ => format!("{} -> {}", show(&self.old), show(&self.new)),
        }
    }

    /// The time and the event: for lists in the order of the log.
    #[must_use]
    pub(super) fn cause(&self) -> Option<&CauseReport> {
        self.cause.as_ref()
    }
}
