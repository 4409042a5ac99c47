//! Bounds on decoding hostile bytes, for any serde type and any format.
//!
//! A length that was read from the bytes says how many elements follow. Elements that take bytes end with the bytes; those
//! that take none (`Vec<()>`) would be made by the billion, and nested ones would overflow the stack. A [`Guard`] stands
//! between a type and its decoder and counts both.

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// Deepest nesting of a value.
pub(crate) const MAX_DEPTH: u32 = 128;
/// Elements of sequences that may take no bytes at all.
pub(crate) const MAX_EMPTY_ELEMENTS: u64 = 1 << 16;

/// What is left to be decoded.
#[derive(Debug)]
pub(crate) struct Budget {
    depth: Cell<u32>,
    elements: Cell<u64>,
}

impl Budget {
    /// A budget for so many bytes: each element of a sequence begins with a byte of its own, but for the few that are empty.
    pub(crate) fn for_bytes(len_bytes: usize) -> Budget {
        Budget { depth: Cell::new(MAX_DEPTH), elements: Cell::new(len_bytes as u64 + MAX_EMPTY_ELEMENTS) }
    }

    /// Goes one level down.
    pub(crate) fn enter(&self) -> Result<(), String> {
        let depth = self.depth.get().checked_sub(1);
        self.depth.set(depth.ok_or_else(|| format!("it is nested more than {MAX_DEPTH} levels deep"))?);
        Ok(())
    }

    /// Comes up again.
    pub(crate) fn leave(&self) {
        self.depth.set(self.depth.get() + 1);
    }

    /// Takes one element of a sequence or a map.
    pub(crate) fn take_element(&self) -> Result<(), String> {
        let elements = self.elements.get().checked_sub(1);
        self.elements.set(elements.ok_or_else(|| "it has more elements than its bytes can hold".to_owned())?);
        Ok(())
    }
}

/// Anything of serde's, watched.
#[derive(Debug)]
pub(crate) struct Guard<'b, X> {
    inner: X,
    budget: &'b Budget,
    /// Whether elements count: those of sequences and maps do, those of tuples are fixed by the type.
    counts: bool,
}

impl<'b, X> Guard<'b, X> {
    pub(crate) fn new(inner: X, budget: &'b Budget) -> Guard<'b, X> {
        Guard { inner, budget, counts: false }
    }

    fn wrap<Y>(&self, inner: Y) -> Guard<'b, Y> {
        Guard { inner, budget: self.budget, counts: self.counts }
    }
}

/// Passes scalars through: they have no inside.
macro_rules! pass {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

/// Goes one level down for everything that has an inside.
macro_rules! nest {
    ($($method:ident($($name:ident: $type:ty),*) $counts:literal)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.budget.enter().map_err(D::Error::custom)?;
            let visitor = Guard { inner: visitor, budget: self.budget, counts: $counts };
            let value = self.inner.$method($($name,)* visitor)?;
            self.budget.leave();
            Ok(value)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guard<'_, D> {
    type Error = D::Error;

    pass! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    nest! {
        deserialize_option() false
        deserialize_unit_struct(name: &'static str) false
        deserialize_newtype_struct(name: &'static str) false
        deserialize_seq() true
        deserialize_tuple(len: usize) false
        deserialize_tuple_struct(name: &'static str, len: usize) false
        deserialize_map() true
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) false
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) false
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Guard<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(formatter)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let deserializer = self.wrap(deserializer);
        self.inner.visit_some(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let deserializer = self.wrap(deserializer);
        self.inner.visit_newtype_struct(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.wrap(access);
        self.inner.visit_seq(access)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.wrap(access);
        self.inner.visit_map(access)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.wrap(access);
        self.inner.visit_enum(access)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Guard<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.wrap(deserializer);
        self.inner.deserialize(deserializer)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Guard<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let seed = self.wrap(seed);
        let element = self.inner.next_element_seed(seed)?;
        if self.counts && element.is_some() {
            self.budget.take_element().map_err(A::Error::custom)?;
        }
        Ok(element)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Guard<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let seed = self.wrap(seed);
        let key = self.inner.next_key_seed(seed)?;
        if self.counts && key.is_some() {
            self.budget.take_element().map_err(A::Error::custom)?;
        }
        Ok(key)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        let seed = self.wrap(seed);
        self.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 'b, A: EnumAccess<'de>> EnumAccess<'de> for Guard<'b, A> {
    type Error = A::Error;
    type Variant = Guard<'b, A::Variant>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), A::Error> {
        let budget = self.budget;
        let seed = self.wrap(seed);
        let (value, variant) = self.inner.variant_seed(seed)?;
        Ok((value, Guard::new(variant, budget)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Guard<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.wrap(seed);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.wrap(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.wrap(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}
