//! Types that this process has traced: the rows that its events have in a type table.

use crate::error::Result;
use crate::fold::codec;
use crate::fold::event::Event;
use crate::fold::schema::{Schema, invalid};
use crate::fold::trace::schema_of;
use crate::{Codec, TypeEntry};
use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A traced type.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) schema: Schema,
    pub(crate) fingerprint: [u8; 32],
    descriptor: Vec<u8>,
    /// Whether what is written must be read back first.
    is_unbounded: bool,
    entries: Mutex<BTreeMap<(&'static str, bool), Arc<TypeEntry>>>,
}

impl Registered {
    /// The row of one of the type's variants.
    fn entry<E: Event>(&self, event: &E) -> Result<Arc<TypeEntry>> {
        let (kind, hint) = (event.kind(), event.is_hint());
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(&(kind, hint)) {
            return Ok(Arc::clone(entry));
        }
        let entry = TypeEntry {
            name: E::TYPE.to_owned(),
            variant: kind.to_owned(),
            version: E::VERSION,
            codec: Codec::Bincode,
            hint,
            fingerprint: Some(self.fingerprint),
            descriptor: self.descriptor.clone(),
        };
        if !entry.is_valid() {
            let name = entry.full_name();
            let message = format!("{name:?} is no name for a type: 1 to 64 of a-z 0-9 _ . -, variants also A-Z");
            return Err(invalid(&message));
        }
        let entry = Arc::new(entry);
        entries.insert((kind, hint), Arc::clone(&entry));
        Ok(entry)
    }

    /// An event's row and payload.
    ///
    /// # Errors
    /// `Invalid`: T0502 where it can not be encoded, or not be read back; T0505 where its kind is no name.
    pub(crate) fn encode<E: Event>(&self, event: &E) -> Result<(Arc<TypeEntry>, Vec<u8>)> {
        let entry = self.entry(event)?;
        let payload = codec::encode(event)?;
        if self.is_unbounded
            && let Err(why) = codec::decode_event::<E>(&payload)
        {
            let message = format!("{} could not be read back: {why}", entry.full_name());
            return Err(crate::Error::new(crate::ErrorKind::Invalid, "T0502", message));
        }
        Ok((entry, payload))
    }
}

/// The traced type, from this process's memory if it has been traced before.
///
/// # Errors
/// `Invalid` (T0505).
pub(crate) fn registered<E: Event>() -> Result<Arc<Registered>> {
    static KNOWN: Mutex<BTreeMap<TypeId, Arc<Registered>>> = Mutex::new(BTreeMap::new());
    let key = TypeId::of::<E>();
    if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(Arc::clone(known));
    }
    let schema = schema_of::<E>()?;
    let descriptor = schema.to_text()?.into_bytes();
    let made = Arc::new(Registered {
        fingerprint: *blake3::hash(&descriptor).as_bytes(),
        descriptor,
        is_unbounded: schema.is_unbounded(),
        schema,
        entries: Mutex::new(BTreeMap::new()),
    });
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&made));
    Ok(made)
}

/// The schema that an event type is registered with.
///
/// # Errors
/// `Invalid` (T0505): serde attributes that bincode can not carry, a value that does not survive, a shape that could not be
/// guessed without [`Event::samples`].
pub fn schema<E: Event>() -> Result<Schema> {
    Ok(registered::<E>()?.schema.clone())
}
